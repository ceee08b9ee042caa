"""Calibration and power of families, pairs and analogues in one table, at default settings.

``python benchmarks/calibrate.py --first SEED`` draws networks with fresh seeds: such in which
nothing is to be found, and such into which families were written. It keeps its counts in
``results/calibration.jsonl`` and renders the page. The motifs have a benchmark of their own
(`bench_motif_power`), whose counts stand on the same page. About forty minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import (
    bench_equivariance_calibration,
    bench_planted_families,
    bench_universality,
    result_pages,
)
from benchmarks.results import Row, write

__all__ = ["main", "measured"]

NETWORKS = 20
NULLS = 10  # null layers that families are grown against, by default
NULL = "own components"


def measured(first: int) -> Iterator[Row]:
    """One row a question, over networks whose seeds begin with ``first``."""
    seeds = range(first, first + NETWORKS)
    for case in bench_planted_families.CASES:
        row = bench_planted_families.measured(case, seeds)
        yield {"question": "planted families", "in": case, "networks": NETWORKS, **row}
    for layer in bench_equivariance_calibration.LAYERS:
        row = bench_equivariance_calibration.measured(layer, NULL, NULLS, seeds)
        yield {"question": "unplanted layers", "in": layer, "networks": NETWORKS, **row}
    unrelated = range(first, first + bench_universality.UNRELATED)
    with tempfile.TemporaryDirectory() as folder:
        for row in bench_universality.believed_of_unrelated(Path(folder), unrelated):
            yield {"question": "unrelated networks", "in": row.pop("what"), **row}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    options = parser.parse_args()
    rows = []
    for row in measured(options.first):
        print(row, flush=True)
        rows.append(row)
    origin = f"`python benchmarks/calibrate.py --first {options.first}`, run on {date.today()}"
    write("calibration", rows, origin=origin)
    result_pages.main()


if __name__ == "__main__":
    main()
