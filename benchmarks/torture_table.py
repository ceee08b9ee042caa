"""Write what `make torture` tried into docs/reliability.md: one row a kind of trial.

python benchmarks/torture_table.py TRIALS.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin -->\n", "<!-- torture: end -->"


def table(lines: Iterable[str]) -> str:
    """The table of the page, from one JSON object a line: the largest run of each kind."""
    best: dict[str, Mapping[str, Any]] = {}
    for row in map(json.loads, lines):
        if row["tried"] >= best.get(row["kind"], {"tried": 0})["tried"]:
            best[row["kind"]] = row
    rows = [
        f"| {kind} | {row['tried']:,} | {row['refused']:,} | {row['survived']:,} |"
        for kind, row in sorted(best.items())
    ]
    return "\n".join(["| what | trials | refused | survived |", "|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}{table(Path(sys.argv[1]).read_text().splitlines())}{END}{tail}")
