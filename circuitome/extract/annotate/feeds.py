"""Equivariant circuits of a network: every family of a bundle against every other that feeds it.

A bundle goes in, ``FEEDS`` come out: kernels, families and invariances are all in it, so that no
image and no network is needed. `template` says when weights are an equivariant circuit.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from circuitome.extract.annotate.curated import join_families
from circuitome.extract.annotate.template import GRIDS, NULL, SPATIAL, Circuit, circuit
from circuitome.extract.wiring import Layer, Wiring
from circuitome.graphdb.annotation import Findings, put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import Row, table_of
from circuitome.graphdb.stores.protocol import Progress
from circuitome.significance import benjamini_hochberg
from circuitome.vocabulary import INVARIANT, Q_MAX, with_traits

__all__ = ["circuits_of", "current", "feeds_findings", "write_circuits"]


@dataclass(frozen=True, slots=True)
class _Side:
    """One end of a circuit: a family in one layer, or an invariant neuron."""

    family: str
    """Key."""
    group: str
    layer: int
    channels: np.ndarray
    """``(k,)``."""
    offsets: np.ndarray | None
    """``(k,)``; None: invariant."""

    def to_json(self) -> list[object]:
        """Plain data, in the order of the fields."""
        offsets = None if self.offsets is None else self.offsets.tolist()
        return [self.family, self.group, self.layer, self.channels.tolist(), offsets]


_Feed: TypeAlias = tuple[_Side, _Side, Circuit]
"""Sender, receiver, and what the weights between them are."""


def circuits_of(
    bundle: Bundle, *, seed: int = 0, progress: Progress | None = None
) -> Iterator[_Feed]:
    """Every circuit of a bundle that can be told from chance: sender, receiver, template and p."""
    wiring = Wiring.from_json(bundle.wiring)
    families, invariants = _sides(bundle, wiring)
    rng = np.random.default_rng(seed)
    for place, layer in enumerate(wiring.layers):
        if progress is not None:
            progress("circuits", place + 1, len(wiring.layers))
        into = [side for side in (*families, *invariants) if side.layer == place]
        if into and _mixes_all(layer):
            yield from _feeds(bundle, wiring, place, _ends(into, families, invariants), rng)


def _feeds(
    bundle: Bundle,
    wiring: Wiring,
    place: int,
    ends: Iterable[tuple[_Side, _Side]],
    rng: np.random.Generator,
) -> Iterator[_Feed]:
    """The circuits between senders and receivers in one layer."""
    positions = _positions(wiring, place)
    if not positions:
        return
    weights = _scaled(bundle.kernels.layer(wiring.layers[place].name))
    for sender, receiver in ends:
        if sender.layer in positions:
            at = positions[sender.layer][sender.channels]
            found = _between(weights, sender, receiver, at, rng)
            if found is not None:
                yield sender, receiver, found


def _mixes_all(layer: Layer) -> bool:
    """Whether each neuron has weights for all inputs of its layer."""
    return layer.groups == 1 and layer.op in ("conv", "linear")


def _ends(
    receivers: Iterable[_Side], families: Sequence[_Side], invariants: Sequence[_Side]
) -> Iterator[tuple[_Side, _Side]]:
    """Senders and receivers of the same group, one of them a family at least."""
    for receiver in receivers:
        senders = families if receiver.offsets is None else (*families, *invariants)
        for sender in senders:
            if sender.group == receiver.group:
                yield sender, receiver


def _between(
    weights: np.ndarray, sender: _Side, receiver: _Side, at: np.ndarray, rng: np.random.Generator
) -> Circuit | None:
    """The circuit between two sides; ``at`` ``(k,)``: where the sender's channels arrive, -1
    nowhere.
    """
    kernels = weights[receiver.channels][:, at[at >= 0]].swapaxes(0, 1)
    if not _worth_asking(kernels, sender, receiver):
        return None
    offsets = None if sender.offsets is None else sender.offsets[at >= 0]
    return circuit(
        kernels, group=sender.group, senders=offsets, receivers=receiver.offsets, rng=rng
    )


def _worth_asking(kernels: np.ndarray, sender: _Side, receiver: _Side) -> bool:
    """Whether there are weights, and members enough, and kernels that the group can turn."""
    least = 2 if sender.offsets is not None and receiver.offsets is not None else 1
    turnable = sender.group != "rotate" or kernels.shape[2] == kernels.shape[3]
    return turnable and min(kernels.shape[:2]) >= least and bool(kernels.any())


def _scaled(kernels: np.ndarray) -> np.ndarray:
    """Kernels ``(out, fan_in, kh, kw)`` in units of the root mean square norm of their neuron's
    kernels.
    """
    norm = np.sqrt(np.square(kernels.astype(np.float64)).sum((2, 3)))
    rms = np.sqrt(np.square(norm).sum(1) / np.maximum((norm > 0).sum(1), 1))
    return kernels / np.where(rms > 0, rms, 1)[:, None, None, None]


def _positions(wiring: Wiring, index: int) -> dict[int, np.ndarray]:
    """Source layer -> where each of its channels arrives, ``(channels,)``, -1 nowhere.

    Sources of which a channel arrives at several places are left out.
    """
    found: dict[int, np.ndarray] = {}
    several = set()
    for link in wiring.layers[index].links:
        place = found.setdefault(link.source, np.full(wiring.layers[link.source].channels, -1))
        repeated = len(np.unique(link.channels)) < len(link.channels)
        if repeated or (place[link.channels] >= 0).any():
            several.add(link.source)
        place[link.channels] = link.positions
    return {source: place for source, place in found.items() if source not in several}


def _sides(bundle: Bundle, wiring: Wiring) -> tuple[list[_Side], list[_Side]]:
    """Families layer by layer, and the invariant neurons of each group that has families."""
    number = {f"{bundle.model}/{layer.name}": place for place, layer in enumerate(wiring.layers)}
    members: dict[tuple[str, str, int], list[tuple[int, float]]] = defaultdict(list)
    inside: dict[str, set[str]] = defaultdict(set)
    for family, group, neuron, offset in _members(bundle):
        layer, _, channel = neuron.rpartition(":")
        members[family, group, number[layer]].append((int(channel), offset))
        inside[group].add(neuron)
    families = [_family_side(*home, own) for home, own in sorted(members.items())]
    return families, list(_invariants(bundle, number, inside))


def _members(bundle: Bundle) -> Iterator[tuple[str, str, str, float]]:
    """Family, its group, neuron and offset of every member whose offset can be asked about."""
    families = bundle.table("Family").to_pylist()
    group = {row["key"]: row["group"] for row in families if row["size"] != 1}
    for row in bundle.table("MEMBER_OF").to_pylist():
        family, offset = row["to"], row["offset"]
        if group.get(family) in GRIDS and offset is not None:
            yield family, group[family], row["from"], offset


def _family_side(
    family: str, group: str, layer: int, members: Iterable[tuple[int, float]]
) -> _Side:
    """A family's members, channel and offset of each, in one layer."""
    channels, offsets = zip(*sorted(members), strict=True)
    return _Side(family, group, layer, np.array(channels), np.array(offsets))


def _invariants(
    bundle: Bundle, number: Mapping[str, int], inside: Mapping[str, set[str]]
) -> Iterator[_Side]:
    """Neurons that a group leaves alone, each a family of one, for each spatial group with
    families.
    """
    round_kinds = with_traits("round")
    groups = [group for group in SPATIAL if group in inside]
    for row in bundle.table("Neuron").to_pylist():
        for group in groups:
            kept = row[f"invariance_{group}"]
            alone = row["kind"] in round_kinds or (kept is not None and kept >= INVARIANT)
            if alone and row["key"] not in inside[group]:
                key = f"{row['layer']}/{group}:{row['channel']}"
                yield _Side(key, group, number[row["layer"]], np.array([row["channel"]]), None)


def current(bundle: Bundle, *, seed: int = 0) -> bool:
    """Whether the bundle has the circuits of the families that it has."""
    return bundle.manifest.note("circuits") == _state(bundle, seed)


def _state(bundle: Bundle, seed: int) -> str:
    """Digest of everything that the circuits are made of but the weights."""
    families, invariants = _sides(bundle, Wiring.from_json(bundle.wiring))
    sides = [side.to_json() for side in families]
    text = json.dumps([seed, sides, [side.family for side in invariants]])
    return hashlib.sha256(text.encode()).hexdigest()


def write_circuits(bundle: Bundle, *, seed: int = 0, progress: Progress | None = None) -> Bundle:
    """Put the equivariant circuits at q <= 0.05 into a bundle as ``FEEDS``, and open it again.

    Raises:
        BundleError: the bundle cannot be written.
    """
    return put_in(bundle, "circuits", feeds_findings(bundle, seed=seed, progress=progress))


def feeds_findings(bundle: Bundle, *, seed: int = 0, progress: Progress | None = None) -> Findings:
    """What the equivariant circuits at q <= 0.05 put into a bundle; what an earlier run put in
    goes.

    An invariant neuron that is one end of such a circuit becomes a family of one member.
    """
    kept = _significant(circuits_of(bundle, seed=seed, progress=progress))
    feeds = table_of("FEEDS", [_row(*feed, q) for feed, q in kept])
    singles = _singles(bundle, _alone(feed for feed, _ in kept))
    before = [row["key"] for row in bundle.table("Family").to_pylist() if row["size"] == 1]
    families, members = join_families(bundle, *singles, instead_of=before)
    return Findings(
        tables={"FEEDS": feeds, "Family": families, "MEMBER_OF": members},
        manifest={"circuits": _state(bundle, seed)},
    )


def _significant(found: Iterable[_Feed]) -> list[tuple[_Feed, float]]:
    """The strongest circuit of each two families, with its q up to `Q_MAX`."""
    best = _one_a_pair(found)
    every = benjamini_hochberg([feed[2].p for feed in best]).tolist()
    return [(feed, q) for feed, q in zip(best, every, strict=True) if q <= Q_MAX]


def _alone(feeds: Iterable[_Feed]) -> list[_Side]:
    """The invariant neurons among the ends, each once."""
    ends = (side for sender, receiver, _ in feeds for side in (sender, receiver))
    return list({side.family: side for side in ends if side.offsets is None}.values())


def _one_a_pair(found: Iterable[_Feed]) -> list[_Feed]:
    """One circuit of each two families, in order of their keys.

    If they meet in several layers, that of most pairs.
    """
    best: dict[tuple[str, str], _Feed] = {}
    for each in found:
        ends = each[0].family, each[1].family
        if ends not in best or each[2].pairs > best[ends][2].pairs:
            best[ends] = each
    return [best[ends] for ends in sorted(best)]


def _row(sender: _Side, receiver: _Side, found: Circuit, q: float) -> Row:
    return {
        "from": sender.family,
        "to": receiver.family,
        "circuit_class": found.circuit_class,
        "r2": found.r2,
        "p": found.p,
        "q": q,
        "null": NULL,
        "compression": found.compression,
        "pairs": found.pairs,
        "offsets": found.offsets.tolist(),
        "template": found.template.tolist(),
    }


def _singles(bundle: Bundle, sides: Iterable[_Side]) -> tuple[pa.Table, pa.Table]:
    """Rows of ``Family`` and ``MEMBER_OF`` of families of one."""
    families: list[Row] = []
    members: list[Row] = []
    for side in sides:
        layer = side.family.rpartition("/")[0]
        own: Row = {"key": side.family, "model": bundle.model, "layer": layer, "group": side.group}
        families.append(own | {"size": 1, "source": "computed"})
        members.append({"from": f"{layer}:{side.channels[0]}", "to": side.family, "offset": 0.0})
    return table_of("Family", families), table_of("MEMBER_OF", members)
