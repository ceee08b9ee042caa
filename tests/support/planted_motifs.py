"""Networks written down by hand in which each motif stands at known neurons, among decoys that
almost have it.

All have noise on every weight, of `planted_noise`. `CIRCUITS` measures precision and recall of
every motif of the library; some of its networks are those of the motifs' own tests.

Pairs that exclude each other (`plant`) stand in ``in -> case -> out``. Decoys are pairs of which
nobody inhibits, only one of the two is inhibited, both have the same main inputs, or each is
inhibited by inputs of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.kernels import banding_ratio
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, branch_cluster
from circuitome.queries.motifs.places import Places
from circuitome.queries.motifs.significance import Task, assess
from circuitome.queries.motifs.weight_banding import significant
from circuitome.significance import benjamini_hochberg
from tests.support.planted_circuits import (
    ANY,
    boundaries,
    colours,
    contrasts,
    hues,
    round_a_middle,
    tangents,
)
from tests.support.planted_equivariance import families_that_feed, mirrored, poses
from tests.support.planted_kinds import Plan, annotate, precision_and_recall
from tests.support.planted_noise import AMOUNT, Noise, light
from tests.support.planted_pairs import plant
from tests.support.planted_weights import (
    grouped_weights,
    hosted,
    inhibition,
    readers,
    spread,
    unions,
)
from tests.support.synthetic import write_planted, write_residual

__all__ = ["CIRCUITS", "Circuit"]


def _superposition(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
    """Of the first rows, as many as are planted: how many are; of the planted: how many are among
    twice as many rows.
    """
    first = among = there = 0
    for seed in range(seeds):
        plan = hosted(np.random.default_rng(seed))
        wanted = {instance[0] for instance in plan.planted}
        rows = MOTIFS["superposition"].rows(plan.write(path, noise=noise), limit=2 * len(wanted))
        found = [tuple(row["roles"]["feature"]) for row in rows]
        first, among = (
            first + len(wanted & set(found[: len(wanted)])),
            among + len(wanted & set(found)),
        )
        there += len(wanted)
    return first / there, among / there


def _opposed(path: Path, seeds: int, noise: Noise, *, kind: str) -> tuple[float, float]:
    """Pairs with a q of at most 0.05 among the cases of `plant`: readers of opponents oppose each
    other, too.
    """

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        planted = plant(path, seed=seed, noise=noise)
        graph = SignedGraph.of_bundle(planted.bundle)
        (result,) = assess(graph, [Task.of(MOTIFS[kind])], nulls=39)
        rows = [row for row in result.annotate(MOTIFS[kind].rows(graph)) if row["q"] <= 0.05]
        pairs = {
            frozenset(row["roles"]["case"]) for row in rows if "/case:" in row["roles"]["case"][0]
        }
        return pairs, set(planted.opponents if kind == "opponent_pairs" else planted.push_pull)

    return _counted(found, seeds)


def _counted(found: Callable[[int], tuple[set[Any], set[Any]]], seeds: int) -> tuple[float, float]:
    """Precision and recall over some seeds together, from what is found and what is planted at
    each.
    """
    right = called = there = 0
    for seed in range(seeds):
        rows, planted = found(seed)
        right, called, there = right + len(rows & planted), called + len(rows), there + len(planted)
    return right / max(called, 1), right / there


def _banded(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
    """Layers with a q of at most 0.05: four with stripes along x; decoys have them along y, either
    way by filter, or none.
    """

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng = np.random.default_rng(seed)
        stripes = ("banded",) * 4 + ("across", "across", "either", "either", "none", "none")
        width = 16
        names = ["in", *(f"{kind}{place}" for place, kind in enumerate(stripes))]
        edges: list[tuple[str, str, Any]] = []
        ratios = {}
        for place, kind in enumerate(stripes):
            kernels = rng.standard_normal((width, width, 3, 1)) * np.ones((1, 1, 1, 3))
            turned = (rng.random(width) < 0.5) & (kind == "either") | (kind == "across")
            kernels[turned] = kernels[turned].swapaxes(2, 3)
            kernels = noise(kernels, rng) - (kernels if kind == "none" else 0)
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
            bundle, MOTIFS["weight_banding"].rows(SignedGraph.of_bundle(bundle)), nulls=199
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


def _clustered(path: Path, seeds: int, noise: Noise, *, wrong: float) -> tuple[float, float]:
    """Kinds in one branch each, q at most 0.05; a part ``wrong`` of all kinds is dealt anew.

    Decoys: kinds over all branches, a pair in one branch, and unexplained neurons in one branch,
    which are no kind.
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
        rows = branch_cluster.MOTIF.rows(Places.of_bundle(labelled), grouping="kind", limit=1_000)
        called = {
            (*row["roles"]["group"], *row["roles"]["branch"]) for row in rows if row["q"] <= 0.05
        }
        return called, {(KINDS[n], f"planted/block#{'abcd'[n]}") for n in range(4)}

    return _counted(found, seeds)


def _latent(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
    """Pairs of layers in two groups, q at most 0.05; decoys in which some merely send or read much,
    or nothing is.
    """

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng = np.random.default_rng(seed)
        layers: dict[str, int] = {}
        edges: list[tuple[str, str, Any]] = []
        kinds = ("groups",) * 3 + ("much",) * 3 + ("none",) * 3
        for place, kind in enumerate(kinds):
            weights, _, _ = grouped_weights(
                100 * seed + place, noise=AMOUNT, popular=kind == "much"
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
        rows = MOTIFS["latent_branches"].rows(graph)
        called = {row["roles"]["sender_1"][0].split(".")[0] for row in rows if row["q"] <= 0.05}
        return called, {
            f"planted/{kind}{place}" for place, kind in enumerate(kinds) if kind == "groups"
        }

    return _counted(found, seeds)


def _bypassed(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
    """Channels that a block leaves alone; it overwrites the others with three times what they
    hold.
    """

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        rng, blocks = np.random.default_rng(seed), []
        for _ in range(3):
            into, out = np.eye(8, 6), 3 * np.eye(6, 8)
            out[1::2] = 0
            blocks.append(tuple(noise(m, rng).astype(np.float32) for m in (into, out)))
        rows = MOTIFS["residual_bypass"].rows(SignedGraph.of_bundle(write_residual(path, blocks)))
        called = {row["roles"]["target"][0] for row in rows}
        return called, {f"r/add{block}:{channel}" for block in range(3) for channel in (1, 3, 5)}

    return _counted(found, seeds)


def _fed(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
    """Circuits of two families with a q of at most 0.05; decoys are shuffled, one pair alone,
    still, or noise.
    """

    def found(seed: int) -> tuple[set[Any], set[Any]]:
        there = families_that_feed(np.random.default_rng(seed), noise=noise)
        q = benjamini_hochberg([1.0 if circuit is None else circuit.p for _, circuit in there])
        called = set(np.flatnonzero(q <= 0.05).tolist())
        return called, {number for number, (planted, _) in enumerate(there) if planted}

    return _counted(found, seeds)


Counted = Callable[[Path, int, Noise], tuple[float, float]]
"""The path of a bundle, a number of networks, and their noise, to precision and recall."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A motif that is planted, and how to look for it."""

    kind: str
    counted: Counted
    remark: str = ""
    own_noise: bool = False  # on something else than weights, so that noise of weights is not used

    def measure(self, path: Path, seeds: int, *, noise: Noise = light) -> tuple[float, float]:
        """Precision and recall over so many networks, each written to ``path``."""
        return self.counted(path, seeds, noise)


def _planned(
    kind: str,
    plan: Callable[[np.random.Generator], Plan],
    roles: Sequence[str],
    *,
    remark: str = "",
    **parameters: Any,
) -> Circuit:
    def counted(path: Path, seeds: int, noise: Noise) -> tuple[float, float]:
        return precision_and_recall(plan, kind, roles, path, seeds=seeds, noise=noise, **parameters)

    return Circuit(kind, counted, remark)


def _placed(
    kind: str, receiver: str, sender: str, *, turned: float, turn: float, **parameters: Any
) -> Circuit:
    role = "circle" if "circle" in kind else "divergence"

    def plan(rng: np.random.Generator) -> Plan:
        return round_a_middle(rng, receiver=receiver, sender=sender, turned=turned, turn=turn)

    remark = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return _planned(kind, plan, [role], remark=remark, **parameters)


_POSES: Final = ("first", "second", "later_first", "later_second", "union")

CIRCUITS: Final[Mapping[str, Circuit]] = MappingProxyType(
    {
        f"{circuit.kind}, {circuit.remark}" if circuit.remark else circuit.kind: circuit
        for circuit in (
            _planned("black_white_vs_colour", colours, ["detector"]),
            Circuit(
                "branch_cluster",
                partial(_clustered, wrong=0.25),
                "a quarter of the kinds wrong",
                own_noise=True,
            ),
            Circuit(
                "branch_cluster",
                partial(_clustered, wrong=0.5),
                "half of the kinds wrong",
                own_noise=True,
            ),
            _planned("contrast_to_centre", contrasts, ["centre"]),
            _placed("curve_to_circle", "circle", "curve", turned=180, turn=180),
            _placed("curve_to_circle", ANY, "curve", turned=0, turn=180, points="outwards"),
            Circuit("equivariant_circuit", _fed),
            _planned(
                "high_low_to_boundary",
                boundaries,
                ["boundary", "high_low", "cue"],
            ),
            _planned("hue_to_hue", hues, ["hue"]),
            Circuit("latent_branches", _latent, own_noise=True),
            _placed("line_to_circle", "circle", "line", turned=90, turn=90),
            _placed("line_to_divergence", "divergence", "line", turned=0, turn=90),
            _planned("mirrored_unions", mirrored, ["case"]),
            _planned("mutual_inhibition", inhibition, ["case", "source"]),
            Circuit("opponent_pairs", partial(_opposed, kind="opponent_pairs")),
            _planned("polysemantic_neuron", readers, ["neuron"]),
            _planned("posed_pairs", poses, _POSES),
            Circuit("push_pull", partial(_opposed, kind="push_pull")),
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
"""Every motif of the library by its kind, some twice; q is at most 0.05 where the rows have one
without null networks.
"""
