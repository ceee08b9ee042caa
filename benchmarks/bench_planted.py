"""Every motif in networks into which it was written by hand: precision and recall.

Planted among decoys, under light and trained-like noise; see docs/motif_calibration.md. ``python
benchmarks/bench_planted.py`` measures, keeps the numbers in ``results/planted.jsonl`` and renders
the tables of the docs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Row, write
from tests.support.planted_motifs import CIRCUITS
from tests.support.planted_noise import NOISES, light

__all__ = ["main", "measured"]

SEEDS = 20


def measured() -> Iterator[Row]:
    """One row a circuit and noise."""
    with tempfile.TemporaryDirectory() as folder:
        for name, circuit in CIRCUITS.items():
            for called, noise in [("own", light)] if circuit.own_noise else NOISES.items():
                precision, recall = circuit.measure(Path(folder) / "p", SEEDS, noise=noise)
                yield {
                    "circuit": name,
                    "noise": called,
                    "precision": round(precision, 2),
                    "recall": round(recall, 2),
                    "seeds": SEEDS,
                }


def main() -> None:
    origin = f"`python benchmarks/bench_planted.py`, run on {date.today()}; to two decimals."
    write("planted", measured(), origin=origin)
    result_pages.main()


if __name__ == "__main__":
    main()
