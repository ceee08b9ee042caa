"""Measurements of motifs: the files of `results/`, and how tables show a measurement.

Each file holds one JSON object a line; a line with ``about`` says where the others come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "HELD_OUT",
    "Q_MAX",
    "TITLES",
    "Row",
    "about",
    "bold",
    "grid",
    "markdown",
    "named",
    "number",
    "read",
    "write",
]

RESULTS = Path(__file__).parent / "results"
Q_MAX = 0.05
TITLES = {
    "squeezenet1_1": "SqueezeNet 1.1",
    "squeezenet1_0": "SqueezeNet 1.0",
    "inception_early": "Inception v3, early",
    "resnet20": "ResNet-20",
    "resnet20_c": "ResNet-20, seed C",
    "resnet20_d": "ResNet-20, seed D",
    "resnet32": "ResNet-32",
    "resnet56": "ResNet-56",
    "menagerie_s0": "menagerie_s0",
    "menagerie_s1": "menagerie_s1",
    "menagerie_s2": "menagerie_s2",
    "menagerie_s0_twin": "twin of menagerie_s0",
}
"""Name of a network's bundle, and what the tables call it."""
HELD_OUT = {
    "squeezenet1_1_places365": "SqueezeNet 1.1, Places365",
    "resnet44": "ResNet-44",
    "resnet20_b": "ResNet-20, seed B",
    "resnet20_e": "ResNet-20, seed E",
    "resnet20_f": "ResNet-20, hardly trained",
}
SHORTER = (
    ("SqueezeNet", "SqN"),
    ("Inception v3, early", "Inc"),
    ("ResNet-", "R"),
    (", seed", ""),
    ("menagerie_", ""),
)

Row = dict[str, Any]
"""One line of a file of `results/`: its keys are the measurement's own."""


def read(name: str) -> list[Row]:
    """The measurements of a file of `results/`, without the line that says where they are from."""
    path = RESULTS / f"{name}.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [row for row in map(json.loads, lines) if "about" not in row]


def about(name: str) -> str:
    """Where a file's measurements come from, in its own words."""
    first = json.loads((RESULTS / f"{name}.jsonl").read_text().partition("\n")[0])
    return str(first.get("about", ""))


def write(name: str, rows: Iterable[Row], *, origin: str = "") -> None:
    """Replace the measurements of a file of `results/`."""
    lines = [{"about": origin}, *rows] if origin else list(rows)
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in lines)
    (RESULTS / f"{name}.jsonl").write_text(text)


def markdown(head: str, ruler: str, rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ruler, *(f"| {' | '.join(cells)} |" for cells in rows)]
    return "\n".join(lines) + "\n"


def short(title: str) -> str:
    """The title of a network as the head of a narrow column."""
    for long, shorter in SHORTER:
        title = title.replace(long, shorter)
    return title


def number(value: float | None, form: str) -> str:
    """The number, or an empty cell."""
    return "" if value is None else format(value, form)


def named(null: str | None) -> str:
    """The name of a null model, or a dash."""
    return f"`{null}`" if null else "-"


def bold(text: str, row: Mapping[str, Any]) -> str:
    """The text, bold where p is at most 0.05."""
    return f"**{text}**" if row["p"] <= Q_MAX else text


def times(row: Mapping[str, Any]) -> str:
    """How many times the mean of the null networks were found, bold where p is at most 0.05."""
    counted = row.get("counted", row["found"])
    if not counted and not row["mean"]:
        return "–"
    ratio = counted / row["mean"] if row["mean"] else float("inf")
    text = "> 100" if ratio > 100 else f"{ratio:.1f}"
    return bold(text, row)


def cell(row: Mapping[str, Any]) -> str:
    """A cell of the overview: times chance, or how many rows have a small q of their own."""
    if row["mean"] is not None:
        return times(row)
    kept_only = row["null"] == "offsets"
    return str(row["found"]) if kept_only else f"{row['believed']} of {row['found']}"


def grid(
    rows: Sequence[Row], asked: Sequence[tuple[str, str | None]], titles: Mapping[str, str]
) -> str:
    """A line a motif and null, a column a network."""
    cells = {(row["motif"], row["null"], row["network"]): cell(row) for row in rows}
    head = " | ".join(short(title) for title in titles.values())
    lines = []
    for motif, null in asked:
        row = [cells.get((motif, null, network), "") for network in titles]
        lines.append([motif, named(null), *row])
    return markdown(f"| motif | null | {head} |", f"|---|---|{'---:|' * len(titles)}", lines)
