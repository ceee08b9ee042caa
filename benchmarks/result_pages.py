"""Write the tables of measured motifs into README and docs, from what `results/` holds.

``python benchmarks/result_pages.py`` renders every table and runs nothing; `make docs` calls it,
and a test holds the pages to it. The benchmarks that measure call it at their end. Each file of
`results/` holds one JSON object a line; a line with ``about`` says where the others come from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binom, kstest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import thresholds
from benchmarks.front_page import finding
from benchmarks.results import (
    HELD_OUT,
    Q_MAX,
    TITLES,
    Row,
    bold,
    grid,
    markdown,
    named,
    number,
    read,
)
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
    counted = f" ({row['counted']:,})" if "counted" in row else ""
    number_found = f"{row['found']:,}{counted}"
    found = [row["motif"], TITLES[row["network"]], number_found, chance, named(row["null"])]
    best = [number(row["strongest"], ".3g"), number(row["q"], ".3g")]
    return [*found, number(row["p"], ".3f"), *best, number(row.get("believed"), ",")]


def held_out() -> str:
    """Found, mean of the null networks and p in networks that nobody tuned the motifs on."""
    rows = [row for row in read("motif_held_out") if row["network"] in HELD_OUT and "found" in row]
    cells = {(row["motif"], row["null"], row["network"]): _against(row) for row in rows}
    lines = []
    for motif, null in sorted({(row["motif"], row["null"]) for row in rows}):
        row = [cells.get((motif, null, network), "") for network in HELD_OUT]
        lines.append([motif, named(null), *row])
    head = " | ".join(HELD_OUT.values())
    return markdown(f"| motif | null | {head} |", f"|---|---|{'---:|' * len(HELD_OUT)}", lines)


def _against(row: Row) -> str:
    if row["mean"] is None:
        return str(row["found"])
    return bold(f"{row['found']:,} / {row['mean']:,g}, {row['p']:g}", row)


def leaky() -> str:
    """Motifs of opposite signs in the bundled networks and in their like with leaky rectifiers."""
    bundled = {(row["network"], row["motif"]): row for row in read("motif_findings")}
    leaky = {(row["network"], row["motif"]): row for row in read("leaky")}
    lines = []
    for network, motif in sorted(leaky, key=lambda each: (each[1], each[0])):
        both = bundled[network, motif], leaky[network, motif]
        lines.append([motif, network.removeprefix("menagerie_s"), *map(_with_spread, both)])
    slope = next(iter(leaky.values()))["slope"]
    return markdown(f"| motif | seed | slope 0 | slope {slope:g} |", "|---|---:|---:|---:|", lines)


def _with_spread(row: Row) -> str:
    text = f"{row['found']:,} / {row['mean']:,.1f} ± {row['sd']:,.1f}, {row['p']:.3f}"
    return bold(text, row)


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
    """Precision and recall of every motif in networks into which it was written, by noise."""
    found: dict[str, dict[str, Row]] = {}
    for row in read("planted"):
        found.setdefault(row["circuit"], {})[row["noise"]] = row
    return markdown(
        "| motif | precision, light | recall, light | precision, trained-like "
        "| recall, trained-like | recall, half as large | recall, Gaussian, as large |",
        f"|---|{6 * '---:|'}",
        ([circuit, *_under_noise(rows)] for circuit, rows in found.items()),
    )


def _under_noise(rows: Mapping[str, Row]) -> list[str]:
    """The cells of a circuit; a dash where its noise is its own and not of the weights."""
    if "own" in rows:
        return [*_both(rows["own"]), "-", "-", "-", "-"]
    recalls = [f"{rows[name]['recall']:.2f}" for name in ("half as large", "Gaussian, as large")]
    return [*_both(rows["light"]), *_both(rows["trained-like"]), *recalls]


def _both(row: Row) -> tuple[str, str]:
    return f"{row['precision']:.2f}", f"{row['recall']:.2f}"


def superposed() -> str:
    """Precision and recall of scores of literal superposition, by what main inputs hosts share."""
    found: dict[str, list[str]] = {}
    for row in read("superposition"):
        parts = (row[name] / row["planted"] for name in ("first", "among"))
        found.setdefault(row["score"], []).append(", ".join(f"{part:.2f}" for part in parts))
    hosts = list(dict.fromkeys(row["hosts"] for row in read("superposition")))
    head = "".join(f" {name} |" for name in hosts)
    lines = ([score, *cells] for score, cells in found.items())
    return markdown(f"| score |{head}", f"|---|{len(hosts) * '---:|'}", lines)


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
    if not row["p"] or motif.null is None:
        return [*cells, "", "", "", ""]
    p = np.array(row["p"])
    test = kstest(p, "uniform", alternative="greater").pvalue
    below = [f"{(p <= limit).mean():.2f}" for limit in (0.05, 0.25)]
    return [*cells, f"`{motif.null}`", *below, f"{test:.2f}"]


def power() -> str:
    """What p and q find of motifs that stand in networks, by how many do."""
    found: dict[str, dict[int, Row]] = {}
    for row in read("motif_power"):
        if row["planted"]:
            found.setdefault(row["motif"], {})[row["planted"]] = row
    numbers = sorted({number for rows in found.values() for number in rows})
    head = "".join(f" p: {number} |" for number in numbers)
    head += " null of q |" + "".join(f" q: {number} |" for number in numbers)
    ruler = "---:|" * len(numbers)
    lines = (_powered(motif, [rows[number] for number in numbers]) for motif, rows in found.items())
    return markdown(f"| motif | null of p |{head}", f"|---|---|{ruler}---|{ruler}", lines)


def _powered(motif: str, rows: Sequence[Row]) -> list[str]:
    p = ["-" if row["p"] is None else f"{row['p'] / row['networks']:.2f}" for row in rows]
    q = [f"{row['found'] / row['instances']:.2f}" for row in rows]
    null, of_q = MOTIFS[motif].null, MOTIFS[motif].instance_null
    return [motif, named(null), *p, named(of_q), *q]


def unplanted() -> str:
    """What p and q find in networks that hold none of a motif."""
    rows = [row for row in read("motif_power") if not row["planted"]]
    return markdown(
        "| motif | in networks with | p <= 0.05 | a row at q <= 0.05 |",
        "|---|---|---:|---:|",
        map(_unplanted, sorted(rows, key=lambda row: (row["motif"], row["of"]))),
    )


def _unplanted(row: Row) -> list[str]:
    of = f" of {row['networks']}"
    p = "-" if row["p"] is None else f"{row['p']}{of}"
    return [row["motif"], row["of"], p, f"{row['found']}{of}"]


def at_a_glance() -> str:
    """One line a question: families, pairs, analogues and motifs, with goal and what is found."""
    rows = read("calibration")
    families = (_planted_families(row) for row in rows if row["question"] == "planted families")
    layers = (
        line
        for row in rows
        if row["question"] == "unplanted layers"
        for line in _unplanted_layers(row)
    )
    analogues = (_analogues(row) for row in rows if row["question"] == "unrelated networks")
    return markdown(
        "| what is asked | in | what is there | measured | wanted |",
        "|---|---|---|---|---|",
        [*families, *layers, *analogues, *_motifs_at_a_glance()],
    )


def _planted_families(row: Row) -> list[str]:
    where = f"{row['networks']} networks with all of it in one layer"
    strange = f"{row['strange']} of {row['networks']} networks have a family of others"
    if row["recall"] is None:
        wanted = f"at most {_few(row['networks'])} networks"
        return ["families", f"{row['networks']} networks", "nothing", strange, wanted]
    found = f"precision {row['precision']:.2f}, recall {row['recall']:.2f}; {strange}"
    return ["families", where, row["in"], found, "precision and recall .95"]


def _unplanted_layers(row: Row) -> list[list[str]]:
    where = f"{row['networks']} layers of smooth filters, {row['in']}"
    wanted = f"at most {_few(row['networks'])}"
    counts = [("families", row["families"]), ("pairs", row["pairs"])]
    return [[what, where, "nothing", f"in {count}", wanted] for what, count in counts]


def _analogues(row: Row) -> list[str]:
    found = f"mean {row['mean']:.1%}, largest {row['largest']:.1%}; {row['above']} pairs above 5 %"
    where = f"{row['pairs']} ordered pairs of unrelated networks"
    return [
        f"analogues: {row['in']}",
        where,
        "nothing",
        found,
        "mean 5 %; 90 % of pairs at most 5 %",
    ]


def _motifs_at_a_glance() -> list[list[str]]:
    """Motifs with a p, in networks without groups of neurons, and with four of the motif."""
    lines = []
    for row in read("motif_power"):
        if row["p"] is not None and (row["planted"] == 4 or row.get("of") == "no groups"):
            there = "four of it" if row["planted"] else "nothing"
            wanted = "80 %" if row["planted"] else f"at most {_few(row['networks'])}"
            found = f"p <= 0.05 in {row['p']} of {row['networks']}"
            where = f"{row['networks']} trained-like networks"
            lines.append([f"`{row['motif']}`", where, there, found, wanted])
    return sorted(lines, key=lambda line: (line[0], line[2]))


def _few(networks: int) -> int:
    """How many of some networks have p <= 0.05 by chance, but for three times in a thousand."""
    return int(binom.isf(0.003, networks, Q_MAX))


def load_large() -> str:
    """What it takes to load large networks into the embedded database."""
    return markdown(
        "| network | edges of all kinds | bundle, GiB | database, GiB | database / bundle "
        "| load, s | processor s | memory, GiB | `inputs`, s |",
        f"|---|{8 * '---:|'}",
        map(_loaded, read("load_large")),
    )


def _loaded(row: Row) -> list[str]:
    bundle, database, memory = (row[name] / (1 << 30) for name in ("bundle", "database", "memory"))
    sizes = [f"{bundle:.2f}", f"{database:.2f}", f"{database / bundle:.1f}"]
    seconds = [f"{row[name]:.0f}" for name in ("seconds", "processor")]
    cost = [*seconds, f"{memory:.1f}", f"{row['inputs']:.2f}"]
    return [row["network"], f"{row['edges']:,}", *sizes, *cost]


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"finding": finding},
    "docs/thresholds.md": {"thresholds": thresholds.table},
    "docs/motif_results.md": {
        "overview": overview,
        "held-out": held_out,
        "leaky": leaky,
        "read-back": read_back,
        "banding": banding,
        "findings": findings,
    },
    "docs/architectures.md": {"load-large": load_large},
    "docs/calibration.md": {"glance": at_a_glance},
    "docs/motif_calibration.md": {
        "calibration": calibration,
        "planted": planted,
        "superposed": superposed,
        "power": power,
        "unplanted": unplanted,
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
