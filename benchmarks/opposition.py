"""The finding of the README: mutual inhibition and unions in the bundled networks, against shuffled signs.

Null: the signs of each neuron's incoming edges are permuted among them, so that every neuron keeps its inputs, their
strengths and its number of excitatory ones. ``python benchmarks/opposition.py README.md`` writes the table into the file.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

from circuitome.extract import extract
from circuitome.extract.models.resolve import resolve
from circuitome.networks import BUNDLED
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS

__all__ = ["counts", "shuffled", "table"]

KINDS = ("mutual_inhibition", "unioning_over_cases")
BEGIN, END = "<!-- opposition: begin -->\n", "<!-- opposition: end -->"
SHUFFLES = 100


def counts(graph: SignedGraph) -> list[int]:
    """Instances of each of `KINDS`, with the queries' own thresholds."""
    return [MOTIFS[kind].count(graph) for kind in KINDS]


def shuffled(graph: SignedGraph, seed: int) -> SignedGraph:
    """The graph with the signs permuted among each receiver's edges."""
    there = np.argsort(graph.receiver, kind="stable")
    drawn = np.lexsort((np.random.default_rng(seed).random(len(there)), graph.receiver))
    excites = np.empty_like(graph.excites)
    excites[there] = graph.excites[drawn]
    return dataclasses.replace(graph, excites=excites)


def table() -> str:
    """The table, in Markdown."""
    lines = [
        "| network | mutual inhibition | with shuffled signs | unions of opposed cases | with shuffled signs |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in BUNDLED:
            bundle = extract(resolve(name), output=Path(folder) / name)
            graph = SignedGraph.of_bundle(bundle)
            null = np.array([counts(shuffled(graph, seed)) for seed in range(SHUFFLES)])
            cells = [
                f"{found:,} | {mean:,.0f} ± {sd:,.0f}"
                for found, mean, sd in zip(counts(graph), null.mean(0), null.std(0), strict=True)
            ]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = table()
    print(text)
    for name in sys.argv[1:]:
        page = Path(name).read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        Path(name).write_text(before + BEGIN + text + END + after)


if __name__ == "__main__":
    main()
