"""Annotations written into synthetic bundles by hand, and networks in which each circuit of kinds
stands among decoys.

Every planted network has noise on all its weights (`planted_noise`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import ANNOTATION_PARTS, arrow_schema
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS
from tests.support.planted_noise import Noise, light
from tests.support.synthetic import write_bundle, write_planted

__all__ = [
    "KINDS",
    "Pair",
    "Plan",
    "annotate",
    "around",
    "precision_and_recall",
    "randomly_annotated",
]

KINDS: Final = (
    *(
        "colour_contrast",
        "colour_centre_surround",
        "edge",
        "centre_surround",
        "high_low",
        "bw_vs_colour",
    ),
    *("line", "hue", None),
)

Pair = tuple[str, str, str, float, float | None]
"""First, second, transform, amount, q."""


def annotate(
    bundle: Bundle, neurons: Mapping[str, Mapping[str, Any]], pairs: Iterable[Pair] = ()
) -> Bundle:
    """The bundle with columns of some neurons set, and with equivariant pairs; opened again."""
    rows = [row | neurons.get(row["key"], {}) for row in bundle.table("Neuron").to_pylist()]
    names = ("from", "to", "transform", "amount", "q")
    edges = [
        dict(zip(names, pair, strict=True)) | {"score": 0.7, "evidence": "responses"}
        for pair in pairs
    ]
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Neuron", pa.Table.from_pylist(rows, schema=arrow_schema("Neuron")))
        writer.replace(
            "EQUIVARIANT_TO", pa.Table.from_pylist(edges, schema=arrow_schema("EQUIVARIANT_TO"))
        )
        writer.finish(model={"annotated": ",".join(ANNOTATION_PARTS)})
    return Bundle.open(bundle.path)


def randomly_annotated(
    path: Path, *, seed: int, density: float, layers: tuple[int, ...] = (6, 16, 20, 16, 6)
) -> Bundle:
    """A random bundle with random kinds and preferences, some of which lack, and random pairs
    within layers.
    """
    bundle = write_bundle(path, layers=layers, seed=seed, density=density, force=True)
    rng = np.random.default_rng(seed)
    homes: dict[str, list[str]] = {}
    neurons = {}
    for row in bundle.table("Neuron").to_pylist():
        homes.setdefault(row["layer"], []).append(row["key"])
        neurons[row["key"]] = {"kind": KINDS[rng.integers(len(KINDS))]} | {
            name: float(rng.uniform(0, 360)) if rng.random() < 0.9 else None
            for name in ("orientation_deg", "hue_deg")
        }
    pairs: list[Pair] = []
    for home in homes.values():
        for number, first in enumerate(home):
            for second in home[number + 1 :]:
                if rng.random() < 0.5:
                    transform, amount = (("flip_h", 1.0), ("rotate", 90.0), ("rotate", -90.0))[
                        rng.integers(3)
                    ]
                    q = (0.01, 0.04, 0.4, None)[rng.integers(4)]
                    pairs += [(first, second, transform, amount, q)] * int(rng.integers(1, 3))
    return annotate(bundle, neurons, pairs)


@dataclass(slots=True)
class Plan:
    """A network that is being written down: a chain of layers, and what stands in it."""

    widths: Mapping[str, int]  # layer -> neurons, senders before receivers
    rng: np.random.Generator
    size: int = 1  # of the kernels, pixels
    neurons: dict[str, dict[str, Any]] = field(default_factory=dict)  # annotation
    pairs: list[Pair] = field(default_factory=list)
    planted: set[Any] = field(
        default_factory=set
    )  # roles of each instance, as `precision_and_recall` reads them
    weights: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # layer -> (receivers, senders, size, size)

    def __post_init__(self) -> None:
        names = list(self.widths)
        self.weights = {
            name: np.zeros((self.widths[name], self.widths[source], self.size, self.size))
            for source, name in itertools.pairwise(names)
        }

    def label(self, neuron: str, kind: str, **columns: float) -> str:
        """Say what a neuron, ``layer:channel``, responds to; its key."""
        self.neurons[f"planted/{neuron}"] = {"kind": kind, **columns}
        return f"planted/{neuron}"

    def mirror(
        self, layer: str, first: int, second: int, *, transform: str = "flip_h", q: float = 0.01
    ) -> None:
        """Make two neurons of a layer an equivariant pair."""
        self.pairs.append(
            (f"planted/{layer}:{first}", f"planted/{layer}:{second}", transform, 1.0, q)
        )

    def write(self, path: Path, *, noise: Noise = light) -> SignedGraph:
        """The graph of the network, with noise."""
        names, edges = list(self.widths), []
        for source, name in itertools.pairwise(names):
            noisy = noise(self.weights[name], self.rng)
            edges += [
                (
                    f"{source}:{a}",
                    f"{name}:{b}",
                    noisy[b, a].tolist() if self.size > 1 else float(noisy[b, a, 0, 0]),
                )
                for b, a in np.ndindex(noisy.shape[:2])
            ]
        bundle = write_planted(path, self.widths, edges, size=self.size, force=True)
        return SignedGraph.of_bundle(annotate(bundle, self.neurons, self.pairs))


def precision_and_recall(
    plan: Callable[[np.random.Generator], Plan],
    kind: str,
    roles: Sequence[str],
    path: Path,
    *,
    seeds: int = 20,
    noise: Noise = light,
    **parameters: Any,
) -> tuple[float, float]:
    """Precision and recall over some seeds together, instances compared by some of their roles."""
    right = wrong = missed = 0
    for seed in range(seeds):
        written = plan(np.random.default_rng(seed))
        rows = MOTIFS[kind].rows(written.write(path, noise=noise), limit=100_000, **parameters)
        found = {tuple(frozenset(row["roles"][role]) for role in roles) for row in rows}
        wanted = {tuple(frozenset(names) for names in instance) for instance in written.planted}
        right, wrong, missed = (
            right + len(found & wanted),
            wrong + len(found - wanted),
            missed + len(wanted - found),
        )
    assert right + missed >= seeds
    return right / max(right + wrong, 1), right / (right + missed)


def around(degrees: float) -> tuple[int, int]:
    """The pixel of a 3 x 3 kernel in a direction, as row and column."""
    return 1 - round(math.sin(math.radians(degrees))), 1 + round(math.cos(math.radians(degrees)))
