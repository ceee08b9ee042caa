"""Networks written down by hand in which each motif stands at known neurons, among decoys that almost have it.

All have Gaussian noise on every weight, half as spread as the weights of its layer, zeros counted (`plant`: as asked).
`CIRCUITS` measures precision and recall of every motif of the library; some of its networks are those of the motifs' own tests.

Pairs that exclude each other (`plant`) stand in ``in -> case -> out``. Decoys are pairs of which nobody inhibits, only one of the two is
inhibited, both have the same main inputs, or each is inhibited by inputs of its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle, BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, latent_branches, residual_bypass
from circuitome.queries.motifs.branch_cluster import Places
from circuitome.queries.motifs.significance import Task, assess
from circuitome.queries.motifs.weight_banding import banding_ratio, significant
from circuitome.significance import benjamini_hochberg
from tests.motifs import (
    test_equivariant_circuit,
    test_kind_circuits,
    test_latent_branches,
    test_mirrored_unions,
)
from tests.motifs.test_polysemantic import readers
from tests.support.planted_kinds import NOISE, Plan, annotate, precision_and_recall
from tests.support.synthetic import write_planted, write_residual

__all__ = ["CIRCUITS", "PLANTS", "Circuit", "Planted", "plant"]

SENDERS, RECEIVERS = 96, 96
PAIRS = 4  # of each kind
PATTERN = 12  # inputs that a case reads
TARGETS, MAIN = (
    4,
    4.0,
)  # receivers that a case mainly sends to, and how much, in units of what the others get


@dataclass(frozen=True, slots=True)
class Planted:
    """A network and what stands in it."""

    bundle: Bundle
    opponents: frozenset[frozenset[str]]  # pairs of keys whose fan-ins oppose each other
    push_pull: frozenset[frozenset[str]]  # those of them whose fan-outs do, too


Fill = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Two sets of inputs and the signs of the first, to the fan-ins of a pair, each ``(SENDERS,)``."""


def _planted(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first = np.zeros(SENDERS)
    first[pattern] = signs
    return first, -first


def _nobody_inhibits(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    first[pattern], second[other] = 1, 1
    return first, second


def _one_is_inhibited(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    half = PATTERN // 2
    first[pattern], second[other[:half]], second[pattern[:half]] = 1, 1, -1
    return first, second


def _same_main_input(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = _planted(pattern, other, signs)
    return first, np.abs(second) * np.sign(first)


def _own_inhibitors(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    first[pattern], second[other] = signs, -signs
    return first, second


PLANTS: Mapping[str, Fill] = {
    "push and pull": _planted,
    "opposed, but sends otherwise": _planted,
    "nobody inhibits": _nobody_inhibits,
    "one is inhibited": _one_is_inhibited,
    "same main input": _same_main_input,
    "own inhibitors": _own_inhibitors,
}


def plant(path: str | os.PathLike[str], *, seed: int, noise: float) -> Planted:
    """A network with four pairs of each kind; ``noise`` on every weight, in units of the planted weights' spread.

    What the first of a push-pull pair excites, the second inhibits; the others send what they like.
    """
    rng = np.random.default_rng(seed)
    fan_in, fan_out, kinds = [], [], []
    for kind, fill in PLANTS.items():
        for _ in range(PAIRS):
            drawn = rng.permutation(SENDERS)
            signs = rng.permutation(np.repeat([1.0, -1.0], PATTERN // 2))
            fan_in += fill(drawn[:PATTERN], drawn[PATTERN : 2 * PATTERN], signs)
            sent = rng.standard_normal(RECEIVERS)
            sent[rng.permutation(RECEIVERS)[:TARGETS]] = rng.choice([-MAIN, MAIN], TARGETS)
            fan_out += [sent, -sent if kind == "push and pull" else rng.permutation(sent)]
            kinds.append(kind)
    into, out = (_noisy(np.array(rows), noise, rng) for rows in (fan_in, fan_out))
    keys = [
        frozenset({f"planted/case:{2 * pair}", f"planted/case:{2 * pair + 1}"})
        for pair in range(len(kinds))
    ]
    return Planted(
        bundle=_bundle(path, [into, out.T]),
        opponents=frozenset(
            key for key, kind in zip(keys, kinds, strict=True) if PLANTS[kind] is _planted
        ),
        push_pull=frozenset(
            key for key, kind in zip(keys, kinds, strict=True) if kind == "push and pull"
        ),
    )


def _noisy(weights: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    return weights + noise * weights.std() * rng.standard_normal(weights.shape)


def _bundle(path: str | os.PathLike[str], weights: list[np.ndarray]) -> Bundle:
    """A network ``in -> case -> out`` from its matrices, each ``(receivers, senders)``."""
    first, second = weights
    edges = [
        (f"{source}:{sender}", f"{target}:{receiver}", float(matrix[receiver, sender]))
        for source, target, matrix in (("in", "case", first), ("case", "out", second))
        for receiver, sender in np.ndindex(matrix.shape)
    ]
    return write_planted(
        path,
        {"in": first.shape[1], "case": first.shape[0], "out": second.shape[0]},
        edges,
        force=True,
    )


# -- the whole library -------------------------------------------------------------------------------


def _cases(plan: Plan, pair: int, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Write the fan-ins of a pair of cases, ten inputs of its own: those that excite the first, and the second, if planted."""
    own = 12 * pair + plan.rng.permutation(12)[:10]
    a, b = own[:5], own[5:]
    first, second = plan.weights["case"][2 * pair : 2 * pair + 2, :, 0, 0]
    first[a] = 1
    if kind in (0, 1, 2):  # each is excited by what inhibits the other
        first[b], second[b], second[a] = -1, 1, -1
    elif kind == 3:  # nobody inhibits
        second[b] = 1
    elif kind == 4:  # one is inhibited
        second[b], second[a] = 1, -1
    else:  # the same main inputs
        first[b], second[b], second[a] = -1, -1, 1
    return a, b


def inhibition(rng: np.random.Generator) -> Plan:
    """Two pairs of cases that inhibit each other, with four kinds of decoys; the last has inhibitors of its own."""
    plan = Plan({"in": 144, "case": 24}, rng)
    for pair in range(12):
        kind = (0, 3, 4, 5, 6, 6)[pair % 6]
        if kind == 6:
            own = 12 * pair + np.arange(12)
            for case in range(2):
                drawn = own[6 * case : 6 * case + 6]
                plan.weights["case"][2 * pair + case, drawn, 0, 0] = rng.permutation(
                    [1, 1, 1, -1, -1, -1]
                )
            continue
        a, b = _cases(plan, pair, kind)
        if kind == 0:
            plan.planted |= {
                (_keys("case", (2 * pair, 2 * pair + 1)), _keys("in", ends))
                for ends in _pairs(a, b)
            }
    return plan


def unions(rng: np.random.Generator) -> Plan:
    """Two neurons for each pair of cases that unite it; decoys unite one case, or one less the other, or no opponents."""
    plan = Plan({"in": 144, "case": 24, "union": 24}, rng)
    for pair in range(12):
        kind, cases = pair % 6, (2 * pair, 2 * pair + 1)
        a, b = _cases(plan, pair, kind)
        for union in cases:
            plan.weights["union"][union, cases[0]] = 1
            plan.weights["union"][union, cases[1]] = {1: 0, 2: -1}.get(kind, 1)
            if kind == 0:
                found = (_keys("union", (union,)), _keys("case", cases))
                plan.planted |= {(*found, _keys("in", ends)) for ends in _pairs(a, b)}
    return plan


def _keys(layer: str, numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"planted/{layer}:{number}" for number in numbers)


def _pairs(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    return [(int(one), int(other)) for one in a for other in b]


def hosted(rng: np.random.Generator) -> Plan:
    """Features spread over eight hosts each, and decoys: with a home, over two hosts, inhibiting, weak everywhere."""
    plan = Plan({"in": 96, "host": 96}, rng)
    into = plan.weights["host"][..., 0, 0]
    for host in range(96):
        into[host, 36 + rng.permutation(60)[:3]] = 2
    for feature in range(30):
        kind, hosts = feature % 5, rng.permutation(95)[:8]
        if kind == 4:
            into[:, feature] = 0.2
        elif kind == 2:
            into[hosts[:2], feature] = 1
        else:
            into[hosts, feature] = -1 if kind == 3 else 1
        if kind == 1:
            into[95 - feature // 5, feature] = 4
        if kind == 0:
            plan.planted.add((_keys("in", (feature,)),))
    return plan


def _superposition(path: Path, seeds: int) -> tuple[float, float]:
    """Of the first rows, as many as are planted: how many are; of the planted: how many are among twice as many rows."""
    first = among = there = 0
    for seed in range(seeds):
        plan = hosted(np.random.default_rng(seed))
        wanted = {instance[0] for instance in plan.planted}
        rows = MOTIFS["superposition"].twin(plan.write(path), limit=2 * len(wanted))
        found = [tuple(row["roles"]["feature"]) for row in rows]
        first, among = (
            first + len(wanted & set(found[: len(wanted)])),
            among + len(wanted & set(found)),
        )
        there += len(wanted)
    return first / there, among / there


def spread(rng: np.random.Generator, *, hosts: int) -> Plan:
    """Features over all hosts that readers read back; decoys read three of the hosts, the opposite, one host, or at random."""
    plan = Plan({"in": 2 * hosts, "host": hosts, "out": 2 * hosts}, rng)
    into, out = plan.weights["host"][..., 0, 0], plan.weights["out"][..., 0, 0]
    into[:] = rng.standard_normal(into.shape)
    out[:] = rng.standard_normal(out.shape)
    for reader in range(hosts):
        kind = reader % 4
        if kind == 0:
            out[reader] = into[:, reader]
            plan.planted.add((_keys("in", (reader,)), _keys("out", (reader,))))
        elif kind == 1:
            out[reader] = 0
            out[reader, np.argsort(-into[:, reader])[:3]] = math.sqrt(hosts / 3)
        elif kind == 2:
            out[reader] = -into[:, reader]
        else:  # the feature has a host of its own
            into[:, reader] = 0
            into[reader // 4, reader] = out[reader, reader // 4] = math.sqrt(hosts)
    return plan


ANY: Final = "corner"
"""The kind of a receiver where none is asked for, so that another is no decoy."""


def _round(
    rng: np.random.Generator, *, receiver: str, sender: str, turned: float, turn: float
) -> Plan:
    """Neurons round whose middle twelve senders lie at ``turned`` degrees to the directions of their places, and decoys.

    Decoys: all ``turn`` degrees off, orientations as drawn, another kind of receiver, of senders, and no place.
    """
    plan = Plan({"in": 144, "out": 12}, rng, size=5)
    for number in range(12):
        kind = number % 6
        key = plan.label(f"out:{number}", "noise" if kind == 3 else receiver)
        for n in range(12):
            place = 30.0 * n
            angle = place + turned + (turn if kind == 1 else 0) + rng.uniform(-10, 10)
            angle = rng.uniform(0, 360) if kind == 2 else angle
            plan.label(
                f"in:{12 * number + n}", "hue" if kind == 4 else sender, orientation_deg=angle % 360
            )
            plan.weights["out"][number, 12 * number + n][_pixel(place) if kind != 5 else (2, 2)] = 1
        if kind == 0 or (kind == 3 and receiver == ANY):
            plan.planted.add(((key,),))
    return plan


def _pixel(direction: float) -> tuple[int, int]:
    """Row and column of the pixel two from the middle of a 5 x 5 kernel."""
    return 2 - round(2 * math.sin(math.radians(direction))), 2 + round(
        2 * math.cos(math.radians(direction))
    )


def tangents(rng: np.random.Generator) -> Plan:
    """Curves excited by tangent curves and lines on both sides and inhibited by opposing curves, and decoys.

    Decoys: tangents a quarter turn off, orientations as drawn, every sign turned, another kind of receiver, sides exchanged.
    A like curve in the very middle is no decoy: it is tangent there.
    """
    plan = Plan({"in": 96, "out": 12}, rng, size=5)
    for number in range(12):
        kind, facing = number % 6, 90.0 * int(rng.integers(4))
        key = plan.label(f"out:{number}", "edge" if kind == 4 else "curve", orientation_deg=facing)
        for n in range(8):
            place, name = facing + (90, -90)[n % 2], ("curve", "line", "edge", "curve")[n // 2]
            centre = (4 * math.cos(math.radians(facing)), 4 * math.sin(math.radians(facing)))
            here = (2 * math.cos(math.radians(place)), 2 * math.sin(math.radians(place)))
            towards = math.degrees(math.atan2(centre[1] - here[1], centre[0] - here[0]))
            angle = (
                towards
                + (0 if name == "curve" else 90)
                + (180 if n >= 6 else 0)
                + (90 if kind == 1 else 0)
            )
            angle = rng.uniform(0, 360) if kind == 2 else angle + rng.uniform(-10, 10)
            plan.label(f"in:{8 * number + n}", name, orientation_deg=angle % 360)
            sign = (-1 if n >= 6 else 1) * (-1 if kind == 3 else 1)
            plan.weights["out"][number, 8 * number + n][
                _pixel(place + (180 if kind == 5 else 0))
            ] = sign
        if kind == 0:
            plan.planted.add(((key,),))
    return plan


def hues(rng: np.random.Generator) -> Plan:
    """Hues excited by six like hues and inhibited by six opposite ones, and decoys: reversed, all excite, as drawn, other kinds."""
    plan = Plan({"in": 240, "out": 20}, rng)
    for number in range(20):
        kind, hue = number % 5, float(rng.uniform(0, 360))
        key = plan.label(f"out:{number}", "line" if kind == 4 else "hue", hue_deg=hue)
        for n in range(12):
            angle = hue + (180 if n >= 6 else 0) + rng.uniform(-30, 30)
            angle = rng.uniform(0, 360) if kind == 3 else angle
            plan.label(f"in:{12 * number + n}", "hue", hue_deg=angle % 360)
            sign = (-1 if n >= 6 and kind != 2 else 1) * (-1 if kind == 1 else 1)
            plan.weights["out"][number, 12 * number + n] = sign
        if kind == 0:
            plan.planted.add(((key,),))
    return plan


def _opposed(kind: str, path: Path, seeds: int) -> tuple[float, float]:
    """Pairs with a q of at most 0.05 among the cases of `plant`: readers of opponents oppose each other, too."""

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        planted = plant(path, seed=seed, noise=NOISE)
        graph = SignedGraph.of_bundle(planted.bundle)
        (result,) = assess(graph, [Task.of(MOTIFS[kind])], nulls=39)
        rows = [row for row in result.annotate(MOTIFS[kind].twin(graph)) if row["q"] <= 0.05]
        pairs = {
            frozenset(row["roles"]["case"]) for row in rows if "/case:" in row["roles"]["case"][0]
        }
        return pairs, set(planted.opponents if kind == "opponent_pairs" else planted.push_pull)

    return _counted(found, seeds)


def _counted(found: Callable[[int], tuple[set[Any], set[Any]]], seeds: int) -> tuple[float, float]:
    """Precision and recall over some seeds together, from what is found and what is planted at each."""
    right = called = there = 0
    for seed in range(seeds):
        rows, planted = found(seed)
        right, called, there = right + len(rows & planted), called + len(rows), there + len(planted)
    return right / max(called, 1), right / there


def _banded(path: Path, seeds: int) -> tuple[float, float]:
    """Layers with a q of at most 0.05: four with stripes along x; decoys have them along y, either way by filter, or none."""

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng = np.random.default_rng(seed)
        stripes = ("banded",) * 4 + ("across", "across", "either", "either", "none", "none")
        width = 16
        names = ["in", *(f"{kind}{place}" for place, kind in enumerate(stripes))]
        edges: list[tuple[str, str, Any]] = []
        ratios = {}
        for place, kind in enumerate(stripes):
            kernels = (
                rng.standard_normal((width, width, 3, 1)) * np.ones((1, 1, 1, 3)) * (kind != "none")
            )
            turned = (rng.random(width) < 0.5) & (kind == "either") | (kind == "across")
            kernels[turned] = kernels[turned].swapaxes(2, 3)
            kernels += NOISE * (kernels.std() or 1) * rng.standard_normal(kernels.shape)
            ends = [
                (f"{names[place]}:{a}", f"{names[place + 1]}:{b}")
                for b, a in np.ndindex(width, width)
            ]
            edges += [
                (*pair, kernel.tolist())
                for pair, kernel in zip(ends, kernels.reshape(-1, 3, 3), strict=True)
            ]
            ratios[names[place + 1]] = banding_ratio(kernels.astype(np.float32))
        bundle = write_planted(path, dict.fromkeys(names, width), edges, size=3, force=True)
        bundle = _with_ratios(bundle, ratios)
        rows = significant(
            bundle, MOTIFS["weight_banding"].twin(SignedGraph.of_bundle(bundle)), nulls=199
        )
        called = {
            row["roles"]["layer"][0] for row in rows if row["q"] is not None and row["q"] <= 0.05
        }
        return called, {f"planted/{name}" for name in names if name.startswith("banded")}

    return _counted(found, seeds)


def _with_ratios(bundle: Bundle, ratios: Mapping[str, float]) -> Bundle:
    rows = [
        row | {"banding_ratio": ratios.get(row["name"])}
        for row in bundle.table("Layer").to_pylist()
    ]
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Layer", pa.Table.from_pylist(rows, schema=arrow_schema("Layer")))
        writer.finish()
    return Bundle.open(bundle.path)


KINDS: Final = ("edge", "line", "curve", "gabor", "circle", "hue", "corner", "high_low")


def _clustered(path: Path, seeds: int, *, wrong: float) -> tuple[float, float]:
    """Kinds in one branch each, q at most 0.05; a part ``wrong`` of all kinds is dealt anew.

    Decoys: kinds over all branches, a pair in one branch, and unexplained neurons in one branch, which are no kind.
    """
    branches, size = ("block.a", "block.b", "block.c", "block.d"), 24
    edges = [("in:0", "stem:0", 1.0)]
    edges += [("stem:0", f"{branch}:{n}", 1.0) for branch in branches for n in range(2 * size + 8)]
    layers = {"in": 1, "stem": 1, **dict.fromkeys(branches, 2 * size + 8)}
    write_planted(path, layers, edges, blocks=dict.fromkeys(branches, "block"), force=True)

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng = np.random.default_rng(seed)
        kinds = []
        for place in range(len(branches)):
            last = (
                ["unexplained"] * 8
                if place == 0
                else ["spiral"] * 2 + ["silent"] * 6
                if place == 1
                else ["silent"] * 8
            )
            kinds += (
                [KINDS[place]] * size
                + [kind for kind in KINDS[4:] for _ in range(size // 4)]
                + last
            )
        dealt = np.array(kinds)
        redrawn = np.flatnonzero(rng.random(len(kinds)) < wrong)
        dealt[redrawn] = dealt[rng.permutation(redrawn)]
        keys = [f"planted/{branch}:{n}" for branch in branches for n in range(2 * size + 8)]
        labelled = annotate(
            Bundle.open(path),
            {key: {"kind": str(kind)} for key, kind in zip(keys, dealt, strict=True)},
        )
        rows = MOTIFS["branch_cluster"].twin(
            Places.of_bundle(labelled), grouping="kind", limit=1_000
        )
        called = {
            (*row["roles"]["group"], *row["roles"]["branch"]) for row in rows if row["q"] <= 0.05
        }
        return called, {(KINDS[n], f"planted/block#{'abcd'[n]}") for n in range(4)}

    return _counted(found, seeds)


def _latent(path: Path, seeds: int) -> tuple[float, float]:
    """Pairs of layers in two groups, q at most 0.05; decoys in which some merely send or read much, or nothing is."""

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng = np.random.default_rng(seed)
        layers: dict[str, int] = {}
        edges: list[tuple[str, str, Any]] = []
        kinds = ("groups",) * 3 + ("much",) * 3 + ("none",) * 3
        for place, kind in enumerate(kinds):
            weights, _, _ = test_latent_branches.planted(
                100 * seed + place, noise=NOISE, popular=kind == "much"
            )
            weights = (
                rng.permutation(weights.ravel()).reshape(len(weights), -1)
                if kind == "none"
                else weights
            )
            layers |= {
                f"{kind}{place}.in": weights.shape[0],
                f"{kind}{place}.out": weights.shape[1],
            }
            edges += [
                (f"{kind}{place}.in:{a}", f"{kind}{place}.out:{b}", float(weights[a, b]))
                for a, b in np.ndindex(weights.shape)
            ]
        graph = SignedGraph.of_bundle(write_planted(path, layers, edges, force=True))
        rows = latent_branches.twin(graph)
        called = {row["roles"]["sender_1"][0].split(".")[0] for row in rows if row["q"] <= 0.05}
        return called, {
            f"planted/{kind}{place}" for place, kind in enumerate(kinds) if kind == "groups"
        }

    return _counted(found, seeds)


def _bypassed(path: Path, seeds: int) -> tuple[float, float]:
    """Channels that a block leaves alone; it overwrites the others with three times what they hold."""

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng, blocks = np.random.default_rng(seed), []
        for _ in range(3):
            into, out = np.eye(8, 6), 3 * np.eye(6, 8)
            out[1::2] = 0
            noisy = (m + NOISE * m.std() * rng.standard_normal(m.shape) for m in (into, out))
            blocks.append(tuple(m.astype(np.float32) for m in noisy))
        rows = residual_bypass.twin(SignedGraph.of_bundle(write_residual(path, blocks)))
        called = {row["roles"]["target"][0] for row in rows}
        return called, {f"r/add{block}:{channel}" for block in range(3) for channel in (1, 3, 5)}

    return _counted(found, seeds)


def _fed(path: Path, seeds: int) -> tuple[float, float]:
    """Circuits of two families with a q of at most 0.05; decoys are shuffled, one pair alone, still, or noise."""

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        there = test_equivariant_circuit.network(np.random.default_rng(seed), noise=NOISE)
        q = benjamini_hochberg([1.0 if circuit is None else circuit.p for _, circuit in there])
        called = set(np.flatnonzero(q <= 0.05).tolist())
        return called, {number for number, (planted, _) in enumerate(there) if planted}

    return _counted(found, seeds)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A motif that is planted, and how to look for it."""

    kind: str
    measure: Callable[
        [Path, int], tuple[float, float]
    ]  # (path of a bundle, seeds) -> precision, recall
    remark: str = ""
    noise: float | None = NOISE  # of the weights; none where something else is noisy


def _planned(
    kind: str,
    plan: Callable[[np.random.Generator], Plan],
    roles: Sequence[str],
    *,
    remark: str = "",
    **parameters: Any,
) -> Circuit:
    def measure(path: Path, seeds: int) -> tuple[float, float]:
        return precision_and_recall(plan, kind, roles, path, seeds=seeds, **parameters)

    return Circuit(kind, measure, remark)


def _placed(
    kind: str, receiver: str, sender: str, *, turned: float, turn: float, **parameters: Any
) -> Circuit:
    role = "circle" if "circle" in kind else "divergence"

    def plan(rng: np.random.Generator) -> Plan:
        return _round(rng, receiver=receiver, sender=sender, turned=turned, turn=turn)

    remark = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return _planned(kind, plan, [role], remark=remark, **parameters)


_POSES: Final = ("first", "second", "later_first", "later_second", "union")

CIRCUITS: Final[Mapping[str, Circuit]] = MappingProxyType(
    {
        f"{circuit.kind}, {circuit.remark}" if circuit.remark else circuit.kind: circuit
        for circuit in (
            _planned("black_white_vs_colour", test_kind_circuits.colours, ["detector"]),
            Circuit(
                "branch_cluster",
                lambda path, n: _clustered(path, n, wrong=0.25),
                "a quarter of the kinds wrong",
                None,
            ),
            Circuit(
                "branch_cluster",
                lambda path, n: _clustered(path, n, wrong=0.5),
                "half of the kinds wrong",
                None,
            ),
            _planned("contrast_to_centre", test_kind_circuits.contrasts, ["centre"]),
            _placed("curve_to_circle", "circle", "curve", turned=180, turn=180),
            _placed("curve_to_circle", ANY, "curve", turned=0, turn=180, points="outwards"),
            Circuit("equivariant_circuit", _fed),
            _planned(
                "high_low_to_boundary",
                test_kind_circuits.boundaries,
                ["boundary", "high_low", "cue"],
            ),
            _planned("hue_to_hue", hues, ["hue"]),
            Circuit("latent_branches", _latent),
            _placed("line_to_circle", "circle", "line", turned=90, turn=90),
            _placed("line_to_divergence", "divergence", "line", turned=0, turn=90),
            _planned("mirrored_unions", test_mirrored_unions.unions, ["case"]),
            _planned("mutual_inhibition", inhibition, ["case", "source"]),
            Circuit("opponent_pairs", lambda path, seeds: _opposed("opponent_pairs", path, seeds)),
            _planned("polysemantic_neuron", readers, ["neuron"]),
            _planned("posed_pairs", test_mirrored_unions.poses, _POSES),
            Circuit("push_pull", lambda path, seeds: _opposed("push_pull", path, seeds)),
            Circuit("residual_bypass", _bypassed),
            Circuit("superposition", _superposition),
            _planned(
                "superposition_read_back",
                lambda rng: spread(rng, hosts=48),
                ["feature", "reader"],
                remark="48 hosts",
            ),
            _planned(
                "superposition_read_back",
                lambda rng: spread(rng, hosts=24),
                ["feature", "reader"],
                remark="24 hosts",
            ),
            _planned("tangent_circuit", tangents, ["curve"]),
            _planned("unioning_over_cases", unions, ["union", "case", "source"]),
            Circuit("weight_banding", _banded),
        )
    }
)
"""Every motif of the library by its kind, some twice; q is at most 0.05 where the rows have one without null networks."""
