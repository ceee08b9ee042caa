"""Equivariant circuits: families whose weights depend on the relative offset of their members alone, the kernel turned with it.

A member at offset a is the family's feature turned by a. If a circuit turns with what it reads, then turning sender and
receiver by g turns the kernel between them: ``K(a + g, b + g) = g K(a, b)``. So every kernel, turned back by its receiver's
offset, is a function of ``a - b`` alone, the *template*; R2 is the share of the turned-back kernels' variance about their mean
that it explains (``e->e``). Where one end is a neuron that the group leaves alone there is one relative offset: the kernel
turned, ``i->e`` or ``e->i``; R2 is about the mean entry then. (*Naturally Occurring Equivariance in Neural Networks*; *Curve
Circuits*, Distill 2020-21.)

Null: the members' offsets permuted, on both sides independently. All permutations are gone through where they are few. The
set of relative offsets is the same in all, so that the bins of the template are too. Circuits whose offsets cannot tell a
perfect template from chance, such as three members with three, are not asked at all.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.extract.annotate.curated import join_families
from circuitome.extract.stimuli.transforms import Transform
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.annotation import Findings, put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores import Progress
from circuitome.significance import benjamini_hochberg

__all__ = [
    "NULL",
    "Circuit",
    "Ends",
    "circuit",
    "circuits_of",
    "current",
    "feeds_findings",
    "reachable",
    "turning",
    "write_circuits",
]

NULL: Final = "offsets"
"""Name of the null model: the members' offsets permuted."""
LEVEL: Final = 0.05
"""Largest q of a circuit that is put into the graph, and largest p that its offsets must be able to reach."""
TURNED: Final = 0.9
"""Turned back, kernels must be explained at least as well as this share of what they are as they stand."""
INVARIANT: Final = math.sqrt(0.5)
"""Least correlation of a neuron's activation with itself under a group that leaves it alone."""
ROUND: Final = ("circle", "centre_surround", "colour_centre_surround")
"""Kinds that rotation and reflections leave alone."""
NULLS: Final = 999  # permutations, where all of them are more than `FEW`
MORE: Final = 9_999  # of a circuit that hardly any of those reached
FEW: Final = 1_500
NUMBERS: Final = 200_000  # numbers of permuted kernels that are held at a time
PER_OFFSET: Final = (
    3  # pairs of members that each relative offset of the template has at least, on average
)

_STEPS: Final[Mapping[str, tuple[float, float | None]]] = {
    "rotate": (15.0, 360.0),
    "hue": (30.0, 360.0),
    "flip_h": (1.0, 2.0),
    "flip_v": (1.0, 2.0),
    "invert": (1.0, 2.0),
    "scale": (0.5, None),
}
"""Finest grid of relative offsets, and the period, of each group that is asked."""
_SPATIAL: Final = ("rotate", "flip_h", "flip_v")


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the weights between two families are a function of."""

    circuit_class: str  # `e->e`, `i->e` or `e->i`
    r2: float  # variance that the template explains
    still: float  # the same for kernels that do not turn
    p: float  # share of permutations that reach as much, itself among them; 1 where the kernels do not turn
    compression: float  # weights over free parameters of the template
    pairs: int
    offsets: np.ndarray  # (m,) sender's offset less the receiver's, rising
    template: np.ndarray  # (m,) mean summed kernel there


def circuit(
    kernels: np.ndarray,
    *,
    group: str,
    senders: np.ndarray | None,
    receivers: np.ndarray | None,
    rng: np.random.Generator,
    nulls: int = NULLS,
) -> Circuit | None:
    """The template of the weights between two families and its p; None where chance cannot be told from a template.

    Args:
        kernels: ``(senders, receivers, kh, kw)``; of one end only one where it is invariant.
        group: transform group of both.
        senders: offsets ``(senders,)``, degrees, octaves or 0 and 1; None for an invariant sender.
        receivers: the same.
        nulls: permutations drawn where there are too many for all; ten times as many for what hardly any of them reached.

    >>> angles = np.arange(8) * 45.0
    >>> weights = np.cos(np.deg2rad(angles[:, None] - angles))[:, :, None, None]
    >>> found = circuit(
    ...     weights, group="rotate", senders=angles, receivers=angles, rng=np.random.default_rng(0)
    ... )
    >>> round(found.r2, 6), found.p, found.compression
    (1.0, 0.0001, 8.0)
    """
    if senders is None and receivers is None:
        raise ValueError("at least one end of an equivariant circuit has offsets")
    turned, other = (receivers, senders) if receivers is not None else (senders, None)
    assert turned is not None
    if receivers is None:
        kernels = kernels.swapaxes(0, 1)
    spatial = group in _SPATIAL and kernels.shape[2:] != (1, 1)
    if other is None and not spatial:
        return None  # nothing turns: permutations change nothing
    if group == "scale":
        kernels = kernels.sum((2, 3), keepdims=True)
    ends = Ends.of(group, other, turned)
    if reachable(ends, spatial=spatial) > LEVEL or (other is not None and ends.size < 2):
        return None
    flat = kernels.reshape(*kernels.shape[:2], -1).astype(np.float64)
    back = (
        _turned_back(flat, kernels.shape[2:], group, turned)
        if spatial
        else flat[:, :, None].repeat(len(turned), 2)
    )
    observed = _explained(back, ends, *(np.arange(n)[None] for n in ends.bins.shape))[0]
    if not np.isfinite(observed):
        return None
    still = float(
        _explained(flat[:, :, None].repeat(len(turned), 2), ends, *map(_own, ends.bins.shape))[0]
    )
    bins = ends.bins.reshape(-1)
    number = np.bincount(bins, minlength=ends.size)
    weight = np.bincount(bins, flat.sum(2).reshape(-1), ends.size) / number
    order = np.argsort(ends.offsets, kind="stable")
    turns = observed >= TURNED * still
    return Circuit(
        circuit_class="i->e" if senders is None else "e->i" if receivers is None else "e->e",
        r2=float(observed),
        still=still,
        p=_permuted(back, ends, float(observed), rng, nulls) if turns else 1.0,
        compression=len(bins) / ends.size,
        pairs=len(bins),
        offsets=ends.offsets[order],
        template=weight[order],
    )


def _own(size: int) -> np.ndarray:
    return np.arange(size)[None]


@dataclass(frozen=True, slots=True)
class Ends:
    """The relative offsets of all pairs in bins, from offsets alone."""

    bins: np.ndarray  # (other, turned) int64, bin of each pair
    size: int  # bins, all of them taken
    offsets: np.ndarray  # (size,) mean relative offset of each
    angles: np.ndarray  # (turned,) by what the kernels are turned
    between: bool  # whether both ends have offsets

    @classmethod
    def of(cls, group: str, other: np.ndarray | None, turned: np.ndarray) -> Ends:
        """The finest bins on the group's grid that have enough pairs each; one bin where one end is invariant."""
        if other is None:
            return cls(np.zeros((1, len(turned)), np.int64), 1, np.zeros(1), turned, between=False)
        step, period = _STEPS[group]
        apart = other[:, None] - turned[None, :]
        grids = (
            _binned(apart, width, period) for width in _widths(step, period, float(np.ptp(apart)))
        )
        bins, offsets = next(
            grid for grid in grids if apart.size >= PER_OFFSET * len(grid[1]) or len(grid[1]) <= 2
        )
        return cls(bins, len(offsets), offsets, turned, between=True)


def _widths(step: float, period: float | None, span: float) -> list[float]:
    if period is None:
        return [step * factor for factor in range(1, math.ceil(span / step) + 2)]
    places = round(period / step)
    return [period / count for count in range(places, 1, -1) if places % count == 0]


def _binned(apart: np.ndarray, width: float, period: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Bin of each difference, numbered from 0, and the mean difference in each; the grid lies where the differences do."""
    shift = np.angle(np.exp(2j * np.pi * apart / width).mean()) / 2 / np.pi * width
    place = np.round((apart - shift) / width).astype(np.int64)
    if period is not None:
        place %= round(period / width)
    there, bins = np.unique(place, return_inverse=True)
    bins = bins.reshape(apart.shape)
    if period is None:
        middle = np.bincount(bins.reshape(-1), apart.reshape(-1)) / np.bincount(bins.reshape(-1))
    else:
        rest = apart - shift - there[bins] * width
        rest = (rest + period / 2) % period - period / 2
        middle = np.bincount(bins.reshape(-1), rest.reshape(-1)) / np.bincount(bins.reshape(-1))
        middle = (middle + there * width + shift + period / 2) % period - period / 2
    return bins, middle


def reachable(ends: Ends, *, spatial: bool) -> float:
    """The least p that a perfect template could have: the share of permutations that cannot be told from none.

    Those after which the same pairs are together, and all kernels are turned alike; 0 where there are too many to look.

    >>> thirds = np.arange(3) * 120.0
    >>> reachable(Ends.of("rotate", thirds, thirds), spatial=False)
    0.5
    """
    others, turned = ends.bins.shape
    total = math.factorial(others) * math.factorial(turned)
    if total > FEW:
        return 0.0
    sigma, tau = _every(others, turned)
    alike = (
        _canonical(ends.bins[sigma[:, :, None], tau[:, None, :]]) == _canonical(ends.bins[None])
    ).all(1)
    if spatial:
        by = (ends.angles[tau] - ends.angles + 180) % 360
        alike &= (np.abs(by - by[:, :1]) < 1e-6).all(1)
    return float(alike.sum()) / total


def _canonical(bins: np.ndarray) -> np.ndarray:
    """Bins ``(P, o, t)`` as the place where each first occurs, ``(P, o * t)``: equal where the same pairs are together."""
    flat = bins.reshape(len(bins), -1)
    return (flat[:, :, None] == flat[:, None, :]).argmax(2)


def _every(others: int, turned: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of permutations of both ends, ``(P, others)`` and ``(P, turned)``."""
    one, two = (np.array(list(itertools.permutations(range(size)))) for size in (others, turned))
    return one.repeat(len(two), 0), np.tile(two, (len(one), 1))


def _permuted(
    back: np.ndarray, ends: Ends, observed: float, rng: np.random.Generator, nulls: int
) -> float:
    others, turned = ends.bins.shape
    bar = observed - 1e-9
    if math.factorial(others) * math.factorial(turned) <= FEW:
        reached = _explained(back, ends, *_every(others, turned)) >= bar
        return float(reached.mean())
    for number in (nulls, nulls * 10 + 9):
        sigma = rng.permuted(np.tile(np.arange(others), (number, 1)), axis=1)
        tau = rng.permuted(np.tile(np.arange(turned), (number, 1)), axis=1)
        reached = int((_explained(back, ends, sigma, tau) >= bar).sum())
        if reached > 4:
            break
    return (1 + reached) / (1 + number)


def _explained(back: np.ndarray, ends: Ends, sigma: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """R2 ``(P,)`` after each of some permutations of both ends; NaN where there is nothing to explain.

    ``back``: ``(other, turned, turned, entries)``, each kernel turned back by every offset of its side.
    """
    others, turned, _, entries = back.shape
    pairs = others * turned
    found = []
    for start in range(0, len(sigma), max(1, NUMBERS // (pairs * (entries + ends.size)))):
        part = slice(start, start + max(1, NUMBERS // (pairs * (entries + ends.size))))
        taken = back[np.arange(others)[:, None], np.arange(turned), tau[part, None, :]].reshape(
            -1, pairs, entries
        )
        mean = taken.mean(1)
        energy = np.square(taken).sum((1, 2))
        if ends.between:
            bins = ends.bins[sigma[part, :, None], tau[part, None, :]].reshape(-1, 1, pairs)
            inside = (bins == np.arange(ends.size)[:, None]).astype(np.float64)
            sums = inside @ taken
            template = (np.square(sums).sum(2) / inside.sum(2)).sum(1)
            base = pairs * np.square(mean).sum(1)
        else:
            template = pairs * np.square(mean).sum(1)
            base = pairs * entries * np.square(mean.mean(1))
        total = energy - base
        there = total > 1e-12 * energy
        found.append(np.where(there, (template - base) / np.where(there, total, 1), np.nan))
    return np.concatenate(found)


def _turned_back(
    flat: np.ndarray, size: Sequence[int], group: str, offsets: np.ndarray
) -> np.ndarray:
    """Kernels ``(o, t, entries)`` turned back by each of some offsets, ``(o, t, offsets, entries)``."""
    operators = np.stack(
        [turning(size, Transform(group, float(offset)).inverse()) for offset in offsets]
    )
    return np.einsum("xef,otf->otxe", operators, flat, optimize=True)


def turning(size: Sequence[int], transform: Transform) -> np.ndarray:
    """What turns a kernel of ``size`` (height, width) as a linear map of its entries, ``(entries, entries)``.

    Bilinear between entries, zero outside; exact for quarter turns and reflections.

    >>> quarter = turning((3, 3), Transform("rotate", 90.0))
    >>> (quarter @ np.array([0, 0, 0, 0, 0, 1, 0, 0, 0.0])).reshape(
    ...     3, 3
    ... )  # what was on the right is on top
    array([[0., 1., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    height, width = size
    y, x = (grid.reshape(-1) for grid in np.mgrid[:height, :width])
    (a, b), (c, d) = transform.inverse().matrix
    right, down = x - (width - 1) / 2, y - (height - 1) / 2
    from_x, from_y = a * right + b * down + (width - 1) / 2, c * right + d * down + (height - 1) / 2
    near_x = np.maximum(1 - np.abs(from_x[:, None] - x[None, :]), 0)
    near_y = np.maximum(1 - np.abs(from_y[:, None] - y[None, :]), 0)
    return near_x * near_y


# -- a network ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Side:
    """One end of a circuit: a family in one layer, or an invariant neuron."""

    family: str  # key
    group: str
    layer: int
    channels: np.ndarray  # (k,)
    offsets: np.ndarray | None  # (k,); None: invariant


def circuits_of(
    bundle: Bundle, *, seed: int = 0, progress: Progress | None = None
) -> Iterator[tuple[_Side, _Side, Circuit]]:
    """Every circuit of a bundle that can be told from chance: sender, receiver, template and p."""
    wiring = Wiring.from_json(bundle.wiring)
    families, invariants = _sides(bundle, wiring)
    rng = np.random.default_rng(seed)
    for place, layer in enumerate(wiring.layers):
        if progress is not None:
            progress("circuits", place + 1, len(wiring.layers))
        into = [side for side in (*families, *invariants) if side.layer == place]
        positions = _positions(wiring, place)
        if not into or not positions or layer.groups != 1 or layer.op not in ("conv", "linear"):
            continue
        weights = _scaled(bundle.kernels.layer(layer.name))
        for receiver in into:
            pool = families if receiver.offsets is None else (*families, *invariants)
            for sender in pool:
                if sender.group == receiver.group and sender.layer in positions:
                    at = positions[sender.layer][sender.channels]
                    kernels = weights[receiver.channels][:, at[at >= 0]].swapaxes(0, 1)
                    offsets = None if sender.offsets is None else sender.offsets[at >= 0]
                    if _worth_asking(kernels, sender, receiver):
                        found = circuit(
                            kernels,
                            group=sender.group,
                            senders=offsets,
                            receivers=receiver.offsets,
                            rng=rng,
                        )
                        if found is not None:
                            yield sender, receiver, found


def _worth_asking(kernels: np.ndarray, sender: _Side, receiver: _Side) -> bool:
    """Whether there are weights, and members enough, and kernels that the group can turn."""
    least = 2 if sender.offsets is not None and receiver.offsets is not None else 1
    turnable = sender.group != "rotate" or kernels.shape[2] == kernels.shape[3]
    return turnable and min(kernels.shape[:2]) >= least and bool(kernels.any())


def _scaled(kernels: np.ndarray) -> np.ndarray:
    """Kernels ``(out, fan_in, kh, kw)`` in units of the root mean square norm of their neuron's kernels."""
    norm = np.sqrt(np.square(kernels.astype(np.float64)).sum((2, 3)))
    rms = np.sqrt(np.square(norm).sum(1) / np.maximum((norm > 0).sum(1), 1))
    return kernels / np.where(rms > 0, rms, 1)[:, None, None, None]


def _positions(wiring: Wiring, index: int) -> dict[int, np.ndarray]:
    """Source layer -> where each of its channels arrives, ``(channels,)``, -1 nowhere; sources that arrive at several are left out."""
    found: dict[int, np.ndarray] = {}
    several = set()
    for link in wiring.layers[index].links:
        place = found.setdefault(link.source, np.full(wiring.layers[link.source].channels, -1))
        if (place[link.channels] >= 0).any() or len(set(link.channels.tolist())) < len(
            link.channels
        ):
            several.add(link.source)
        place[link.channels] = link.positions
    return {source: place for source, place in found.items() if source not in several}


def _sides(bundle: Bundle, wiring: Wiring) -> tuple[list[_Side], list[_Side]]:
    """Families layer by layer, and the invariant neurons of each group that has families."""
    number = {f"{bundle.model}/{layer.name}": place for place, layer in enumerate(wiring.layers)}
    group = {
        row["key"]: row["group"] for row in bundle.table("Family").to_pylist() if row["size"] != 1
    }
    members: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    inside: dict[str, set[str]] = defaultdict(set)
    for row in bundle.table("MEMBER_OF").to_pylist():
        named = group.get(row["to"])
        if named in _STEPS and row["offset"] is not None:
            layer, _, channel = row["from"].rpartition(":")
            members[row["to"], number[layer]].append((int(channel), row["offset"]))
            inside[named].add(row["from"])
    families = [
        _Side(
            family,
            group[family],
            layer,
            *(np.array(column) for column in zip(*sorted(pairs), strict=True)),
        )
        for (family, layer), pairs in sorted(members.items())
    ]
    return families, list(_invariants(bundle, number, inside))


def _invariants(
    bundle: Bundle, number: Mapping[str, int], inside: Mapping[str, set[str]]
) -> Iterator[_Side]:
    """Neurons that a group leaves alone, each a family of one, for each spatial group that has families."""
    for row in bundle.table("Neuron").to_pylist():
        for group in _SPATIAL:
            if group in inside and row["key"] not in inside[group]:
                kept = row[f"invariance_{group}"]
                if row["kind"] in ROUND or (kept is not None and kept >= INVARIANT):
                    key = f"{row['layer']}/{group}:{row['channel']}"
                    yield _Side(key, group, number[row["layer"]], np.array([row["channel"]]), None)


# -- the bundle --------------------------------------------------------------------------------------


def current(bundle: Bundle, *, seed: int = 0) -> bool:
    """Whether the bundle has the circuits of the families that it has."""
    return bundle.manifest.note("circuits") == _state(bundle, seed)


def _state(bundle: Bundle, seed: int) -> str:
    """Digest of everything that the circuits are made of but the weights."""
    families, invariants = _sides(bundle, Wiring.from_json(bundle.wiring))
    sides = [
        [side.family, side.group, side.layer, side.channels.tolist(), _listed(side)]
        for side in families
    ]
    return hashlib.sha256(
        json.dumps([seed, sides, [side.family for side in invariants]]).encode()
    ).hexdigest()


def _listed(side: _Side) -> list[float] | None:
    return None if side.offsets is None else side.offsets.tolist()


def write_circuits(bundle: Bundle, *, seed: int = 0, progress: Progress | None = None) -> Bundle:
    """Put the equivariant circuits at q <= 0.05 into a bundle as ``FEEDS``, and open it again; its model is not needed.

    Raises:
        BundleError: the bundle cannot be written.
    """
    return put_in(bundle, "circuits", feeds_findings(bundle, seed=seed, progress=progress))


def feeds_findings(bundle: Bundle, *, seed: int = 0, progress: Progress | None = None) -> Findings:
    """What the equivariant circuits at q <= 0.05 put into a bundle; what an earlier run put in goes.

    An invariant neuron that is one end of such a circuit becomes a family of one member.
    """
    best = _strongest(circuits_of(bundle, seed=seed, progress=progress))
    q = benjamini_hochberg(np.array([each.p for _, _, each in best])) if best else np.empty(0)
    kept = [(*each, float(value)) for each, value in zip(best, q, strict=True) if value <= LEVEL]
    rows = [_row(sender, receiver, each, value) for sender, receiver, each, value in kept]
    alone = {side.family: side for each in kept for side in each[:2] if side.offsets is None}
    before = [row["key"] for row in bundle.table("Family").to_pylist() if row["size"] == 1]
    families, members = join_families(bundle, *_singles(bundle, alone.values()), instead_of=before)
    return Findings(
        tables={
            "FEEDS": pa.Table.from_pylist(rows, schema=arrow_schema("FEEDS")),
            "Family": families,
            "MEMBER_OF": members,
        },
        manifest={"circuits": _state(bundle, seed)},
    )


def _strongest(found: Iterator[tuple[_Side, _Side, Circuit]]) -> list[tuple[_Side, _Side, Circuit]]:
    """One circuit of each two families, in order of their keys: that of most pairs, where they meet in several layers."""
    best: dict[tuple[str, str], tuple[_Side, _Side, Circuit]] = {}
    for each in found:
        ends = each[0].family, each[1].family
        if ends not in best or each[2].pairs > best[ends][2].pairs:
            best[ends] = each
    return [best[ends] for ends in sorted(best)]


def _row(sender: _Side, receiver: _Side, found: Circuit, q: float) -> dict[str, Any]:
    own = {
        name: getattr(found, name) for name in ("circuit_class", "r2", "p", "compression", "pairs")
    }
    lists = {"offsets": found.offsets.tolist(), "template": found.template.tolist()}
    return {"from": sender.family, "to": receiver.family, "q": q, "null": NULL} | own | lists


def _singles(bundle: Bundle, sides: Any) -> tuple[pa.Table, pa.Table]:
    """Rows of ``Family`` and ``MEMBER_OF`` of families of one."""
    families, members = [], []
    for side in sides:
        layer = side.family.rpartition("/")[0]
        own = {"key": side.family, "model": bundle.model, "layer": layer, "group": side.group}
        families.append(own | {"size": 1, "source": "computed"})
        members.append({"from": f"{layer}:{side.channels[0]}", "to": side.family, "offset": 0.0})
    return (
        pa.Table.from_pylist(families, schema=arrow_schema("Family")),
        pa.Table.from_pylist(members, schema=arrow_schema("MEMBER_OF")),
    )
