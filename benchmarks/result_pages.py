"""Write the tables of measured motifs into README and docs, from what `results/` holds.

``python benchmarks/result_pages.py`` renders every table and runs nothing; `make docs` calls it,
and a test holds the pages to it. The benchmarks that measure call it at their end. Each file of
`results/` holds one JSON object a line; a line with ``about`` says where the others come from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import kstest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import thresholds
from benchmarks.front_page import finding
from benchmarks.results import HELD_OUT, Q_MAX, TITLES, Row, grid, markdown, number, read
from circuitome.queries.motifs import MOTIFS

__all__ = ["PAGES", "into", "main", "render"]

ROOT = Path(__file__).parents[1]


def overview() -> str:
    """All motifs over the networks of `TITLES`."""
    rows = read("motif_findings")
    return grid(rows, sorted({(row["motif"], row["null"]) for row in rows}), TITLES)


def findings() -> str:
    """One line a motif and network, unless neither it nor any null network has an instance."""
    places = {network: place for place, network in enumerate(TITLES)}
    rows = [row for row in read("motif_findings") if row["found"] or row["mean"]]
    rows.sort(key=lambda row: (row["motif"], row["null"] == "reflect", places[row["network"]]))
    return markdown(
        "| motif | network | found | null mean ± sd | null | p | strongest | its q "
        "| rows at q <= 0.05 |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|",
        (_finding(row) for row in rows),
    )


def _finding(row: Row) -> list[str]:
    chance = "" if row["mean"] is None else f"{row['mean']:,.1f} ± {row['sd']:,.1f}"
    found = [row["motif"], TITLES[row["network"]], f"{row['found']:,}", chance, f"`{row['null']}`"]
    best = [number(row["strongest"], ".3g"), number(row["q"], ".3g")]
    return [*found, number(row["p"], ".3f"), *best, number(row.get("believed"), ",")]


def held_out() -> str:
    """Found, mean of the null networks and p in networks that nobody tuned the motifs on."""
    rows = [row for row in read("motif_held_out") if row["network"] in HELD_OUT and "found" in row]
    cells = {(row["motif"], row["null"], row["network"]): _against(row) for row in rows}
    lines = []
    for motif, null in sorted({(row["motif"], row["null"]) for row in rows}):
        row = [cells.get((motif, null, network), "") for network in HELD_OUT]
        lines.append([motif, f"`{null}`", *row])
    head = " | ".join(HELD_OUT.values())
    return markdown(f"| motif | null | {head} |", f"|---|---|{'---:|' * len(HELD_OUT)}", lines)


def _against(row: Row) -> str:
    if row["mean"] is None:
        return str(row["found"])
    text = f"{row['found']:,} / {row['mean']:,g}, {row['p']:g}"
    return f"**{text}**" if row["p"] <= Q_MAX else text


def planted_p() -> str:
    """p against shuffled signs in networks into which circuits were written."""
    rows = [row for row in read("motif_held_out") if "p_from" in row]
    return markdown(
        "| motif | planted in each | networks | p from | to |",
        "|---|---:|---:|---:|---:|",
        (
            [
                row["motif"],
                number(row["planted"], "d"),
                str(row["networks"]),
                f"{row['p_from']:g}",
                f"{row['p_to']:g}",
            ]
            for row in rows
        ),
    )


def read_back() -> str:
    """Superposition read back by responses."""
    return markdown(
        "| network | found | relabel | p | reflect | p | largest gain | rows at q <= 0.05 "
        "| seconds |",
        "|---|---:|---|---:|---|---:|---:|---:|---:|",
        map(_read_back, read("read_back")),
    )


def _read_back(row: Row) -> list[str]:
    cells = [row["network"], str(row["found"])]
    for null in (row["relabel"], row["reflect"]):
        cells += [f"{null['mean']:.1f} ± {null['sd']:.1f}", f"{null['p']:.3f}"]
    gain = number(row["largest_gain"], ".2f")
    return [*cells, gain, str(row["believed"]), f"{row['seconds']:.1f}"]


def banding() -> str:
    """Layers whose kernels are banded, at q <= 0.05."""
    return markdown(
        "| network | layers tested | banded: number, ratio |",
        "|---|---:|---|",
        ([row["network"], str(row["tested"]), row["banded"]] for row in read("banding")),
    )


def planted() -> str:
    """Precision and recall of every motif in networks into which it was written."""
    return markdown(
        "| motif | noise | precision | recall | seeds |",
        "|---|---:|---:|---:|---:|",
        (
            [
                row["circuit"],
                number(row["noise"], "g"),
                f"{row['precision']:.2f}",
                f"{row['recall']:.2f}",
                str(row["seeds"]),
            ]
            for row in read("planted")
        ),
    )


def calibration() -> str:
    """One line a motif and kind of network without findings."""
    rows = sorted(read("motif_calibration"), key=lambda row: (row["motif"], row["of"]))
    return markdown(
        "| motif | networks | null of q | finding at q <= 0.05 | null of p | p <= 0.05 "
        "| p <= 0.25 | p smaller than uniform? |",
        "|---|---|---|---:|---|---:|---:|---|",
        map(_calibrated, rows),
    )


def _calibrated(row: Row) -> list[str]:
    motif = MOTIFS[row["motif"]]
    found = sum(q is not None and q <= Q_MAX for q in row["q"])
    null = f"`{motif.instance_null}`" if motif.instance_null is not None else "its own"
    cells = [row["motif"], row["of"], null, f"{found} of {len(row['q'])}"]
    if not row["p"]:
        return [*cells, "", "", "", ""]
    p = np.array(row["p"])
    test = kstest(p, "uniform", alternative="greater").pvalue
    below = [f"{(p <= limit).mean():.2f}" for limit in (0.05, 0.25)]
    return [*cells, f"`{motif.null}`", *below, f"{test:.2f}"]


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"finding": finding},
    "docs/thresholds.md": {"thresholds": thresholds.table},
    "docs/motif_results.md": {
        "overview": overview,
        "held-out": held_out,
        "read-back": read_back,
        "banding": banding,
        "findings": findings,
    },
    "docs/motif_calibration.md": {
        "calibration": calibration,
        "planted": planted,
        "planted-p": planted_p,
    },
}
"""The pages with tables from `results/`: the name of each table's two comments, and its text."""


def into(text: str, name: str, table: str) -> str:
    """The page's text with the table between its two comments."""
    before, rest = text.split(f"<!-- {name}: begin -->\n")
    after = rest.split(f"<!-- {name}: end -->")[1]
    return f"{before}<!-- {name}: begin -->\n{table}<!-- {name}: end -->{after}"


def render(page: str) -> str:
    """The text of a page with all of its tables made anew."""
    text = (ROOT / page).read_text()
    for name, table in PAGES[page].items():
        text = into(text, name, table())
    return text


def main() -> None:
    for page in PAGES:
        (ROOT / page).write_text(render(page))


if __name__ == "__main__":
    main()
