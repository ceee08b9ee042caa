"""Superposition read back by responses in networks and in their twins, against null networks.

``python benchmarks/bench_read_back.py BUNDLE...``: bundles with response signatures (`circuitome
annotate BUNDLE --parts signatures`). Without any, the bundled networks are extracted and annotated.
The numbers of other networks stay in ``results/read_back.jsonl``; then the docs are rendered.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Q_MAX, Row, about, read, write
from circuitome.extract import Network, extract
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.models.resolve import resolve
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import BUNDLED
from circuitome.queries.motifs.read_back_responses import read_back_by_responses

__all__ = ["main"]


def row(bundle: Bundle) -> Row:
    """The measurement of one network."""
    start = time.process_time()
    found = read_back_by_responses(bundle)
    nulls = {
        name: {
            "mean": round(float(np.mean(found.counts[name])), 1),
            "sd": round(float(np.std(found.counts[name])), 1),
            "p": round(found.p[name], 3),
        }
        for name in ("relabel", "reflect")
    }
    return {
        "network": bundle.model,
        "found": len(found.rows),
        **nulls,
        "largest_gain": round(found.rows[0]["score"], 2) if found.rows else None,
        "believed": sum((row["q"] or 0.0) <= Q_MAX for row in found.rows),
        "seconds": round(time.process_time() - start, 1),
    }


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
    """Measure, keep the numbers, and render the docs."""
    with tempfile.TemporaryDirectory() as folder:
        bundles = [Bundle.open(path) for path in sys.argv[1:]] or bundled(Path(folder))
        made = {bundle.model: row(bundle) for bundle in bundles}
    rows = [made.pop(known["network"], known) for known in read("read_back")]
    write("read_back", [*rows, *made.values()], origin=about("read_back"))
    result_pages.main()


if __name__ == "__main__":
    main()
