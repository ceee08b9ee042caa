"""Superposition read back by responses in networks and in their twins, against null networks of what readers read.

``python benchmarks/bench_read_back.py BUNDLE...``: bundles with response signatures (`circuitome annotate BUNDLE --parts
signatures`). Without any, the bundled networks are extracted and annotated.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from circuitome.extract import Network, extract
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.models.resolve import resolve
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import BUNDLED
from circuitome.queries.motifs.read_back_responses import read_back_by_responses

__all__ = ["main"]

HEAD = (
    "| network | found | relabel | p | reflect | p | largest gain | rows at q <= 0.05 | seconds |"
)


def row(bundle: Bundle) -> str:
    """One line of the table."""
    start = time.process_time()
    found = read_back_by_responses(bundle)
    cells = [bundle.model, str(len(found.rows))]
    for name in ("relabel", "reflect"):
        counts = found.counts[name]
        cells += [f"{np.mean(counts):.1f} ± {np.std(counts):.1f}", f"{found.p[name]:.3f}"]
    cells += [
        f"{found.rows[0]['score']:.2f}" if found.rows else "",
        str(sum(row["q"] <= 0.05 for row in found.rows)),
    ]
    return f"| {' | '.join([*cells, f'{time.process_time() - start:.1f}'])} |"


def bundled(folder: Path) -> list[Bundle]:
    """The networks that come with the program, with signatures."""
    made = []
    for name, network in BUNDLED.items():
        model = resolve(name).model
        bundle = extract(
            Network(model, name=name, input_shape=network.input_size), output=folder / name
        )
        made.append(annotate(bundle, model, parts=["signatures"]))
    return made


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        bundles = [Bundle.open(path) for path in sys.argv[1:]] or bundled(Path(folder))
        print(HEAD, "|---|---:|---|---:|---|---:|---:|---:|---:|", sep="\n")
        for bundle in bundles:
            print(row(bundle), flush=True)


if __name__ == "__main__":
    main()
