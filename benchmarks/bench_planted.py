"""Every motif in networks in which it was planted by hand, among decoys and under noise: precision and recall.

``python benchmarks/bench_planted.py docs/motifs.md`` writes the table into the page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_motif_nulls import into_page
from tests.support.planted_motifs import CIRCUITS

__all__ = ["main", "table"]

SEEDS = 20


def table() -> str:
    """One line a motif."""
    lines = ["| motif | noise | precision | recall | seeds |", "|---|---:|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, circuit in CIRCUITS.items():
            precision, recall = circuit.measure(Path(folder) / "planted", SEEDS)
            noise = "" if circuit.noise is None else f"{circuit.noise:g}"
            lines.append(f"| {name} | {noise} | {precision:.2f} | {recall:.2f} | {SEEDS} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = table()
    print(text)
    for page in map(Path, sys.argv[1:]):
        into_page(page, "planted", text)


if __name__ == "__main__":
    main()
