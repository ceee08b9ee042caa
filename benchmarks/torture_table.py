"""Write what `make torture` tried into docs/reliability.md: one row a kind of trial.

python benchmarks/torture_table.py TRIALS.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin -->\n", "<!-- torture: end -->"


def table(lines: Iterable[str]) -> str:
    """The table of the page, from one JSON object a line: the trials of each kind together."""
    kinds: dict[str, Counter[str]] = {}
    for row in map(json.loads, lines):
        counts = kinds.setdefault(row["kind"], Counter())
        counts.update({name: row[name] for name in ("tried", "refused", "survived")})
    rows = [
        f"| {kind} | {counts['tried']:,} | {counts['refused']:,} | {counts['survived']:,} |"
        for kind, counts in sorted(kinds.items())
    ]
    return "\n".join(["| what | trials | refused | survived |", "|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    head, _, rest = PAGE.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}{table(Path(sys.argv[1]).read_text().splitlines())}{END}{tail}")
