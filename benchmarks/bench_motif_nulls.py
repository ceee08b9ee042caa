"""Every motif of the library in real networks, the bundled ones and a twin: how many, against how many by chance.

``python benchmarks/bench_motif_nulls.py docs/motifs.md`` writes the tables into the page; names of networks after it limit
the run to these (``tables``: to none), and the others keep their rows, which lie in ``results/motif_findings.jsonl``. Bundles
are taken from the folder ``CIRCUITOME_BUNDLES`` (``squeezenet1_1.circuitome`` ...; annotated ones show the motifs that need
it), otherwise they are extracted, without annotation, from the folder ``CIRCUITOME_WEIGHTS``; a network that is in neither is
left out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from circuitome.extract import Network, extract
from circuitome.extract.models.resolve import resolve
from circuitome.extract.responses.twins import twin
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import BUNDLED
from circuitome.queries.algorithms.read_back import reflected
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS
from circuitome.queries.motifs.significance import NULLS, Significance, Task, assess
from circuitome.queries.motifs.weight_banding import significant

__all__ = ["EVERY", "bundle_of", "exact", "into_page", "main", "possible", "tested"]

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "motif_findings.jsonl"
WEIGHTS = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
BUNDLES = Path(os.environ.get("CIRCUITOME_BUNDLES", "bundles"))
CIFAR = f"{ROOT / 'tests' / 'architectures' / 'cifar_resnet.py'}"
INCEPTION = f"{ROOT / 'tests' / 'architectures' / 'inception_v3_2015.py'}"
NETWORKS: dict[str, tuple[str, str, str, tuple[int, int, int]]] = {
    "squeezenet1_1": ("SqueezeNet 1.1", "squeezenet1_1", "squeezenet1_1_imagenet", (3, 224, 224)),
    "squeezenet1_0": (
        "SqueezeNet 1.0",
        "squeezenet1_0",
        "squeezenet1_0_deepcompression",
        (3, 224, 224),
    ),
    "inception_early": (
        "Inception v3, early",
        f"{INCEPTION}:early",
        "inception_v3_tf2015_early",
        (3, 299, 299),
    ),
    "resnet20": ("ResNet-20", f"{CIFAR}:resnet20", "resnet20_cifar10", (3, 32, 32)),
    "resnet20_c": ("ResNet-20, seed C", f"{CIFAR}:resnet20", "resnet20_cifar10_seedC", (3, 32, 32)),
    "resnet20_d": ("ResNet-20, seed D", f"{CIFAR}:resnet20", "resnet20_cifar10_seedD", (3, 32, 32)),
    "resnet32": ("ResNet-32", f"{CIFAR}:resnet32", "resnet32_cifar10", (3, 32, 32)),
    "resnet56": ("ResNet-56", f"{CIFAR}:resnet56", "resnet56_cifar10", (3, 32, 32)),
    **{name: (name, name, "", network.input_size) for name, network in BUNDLED.items()},
    "menagerie_s0_twin": (
        "twin of menagerie_s0",
        "menagerie_s0",
        "",
        BUNDLED["menagerie_s0"].input_size,
    ),
}
"""Name of a bundle: title, model, file of weights, input shape."""

READ_BACK = "superposition_read_back"
EVERY = 1_000_000_000  # more rows than there are
Row = dict[str, Any]


def bundle_of(name: str, folder: Path) -> Bundle | None:
    """The bundle of a network; none where neither it nor the weights are there."""
    _, model, weights, shape = NETWORKS[name]
    ready, file = BUNDLES / f"{name}.circuitome", WEIGHTS / f"{weights}.safetensors"
    if ready.is_dir():
        return Bundle.open(ready)
    if weights and not file.is_file():
        return None
    network = resolve(model, weights=str(file)) if weights else resolve(model)
    made = twin(network.model, 0) if name.endswith("_twin") else network.model
    return extract(Network(made, name=name, input_shape=shape), output=folder / name)


def possible(kind: str, graph: SignedGraph, parts: Sequence[str]) -> bool:
    """Whether a motif can occur in a network: what it asks for is there."""
    if kind in ("mirrored_unions", "posed_pairs"):
        return "equivariance" in parts
    if kind == "residual_bypass":
        return bool((graph.op == "add").any())
    if kind == "equivariant_circuit":
        return "circuits" in parts
    return "kinds" in parts if MOTIFS[kind].null == "labels" or kind == "branch_cluster" else True


def tested(graph: SignedGraph, parts: Sequence[str]) -> list[Task]:
    """The motifs of a network that null networks are compared for."""
    return [
        Task.of(motif)
        for motif in MOTIFS.values()
        if motif.scores is not None and possible(motif.kind, graph, parts)
    ]


def exact(
    bundle: Bundle, graph: SignedGraph, parts: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Motifs whose rows have a q of their own, and all rows of each."""
    for kind, motif in MOTIFS.items():
        if motif.scores is not None or not possible(kind, graph, parts):
            continue
        if kind == "branch_cluster":
            yield kind, motif.twin(motif.of_bundle(bundle), grouping="kind", limit=EVERY)
        elif kind == "weight_banding":
            yield kind, significant(bundle, motif.twin(graph, limit=EVERY), nulls=999)
        else:
            yield kind, motif.twin(motif.of_bundle(bundle), limit=EVERY)


def findings(name: str, bundle: Bundle) -> list[Row]:
    """What null networks say of a network: one row a motif."""
    graph = SignedGraph.of_bundle(bundle)
    parts = (bundle.table("Model").to_pylist()[0]["annotated"] or "").split(",")
    start, spent = time.perf_counter(), time.process_time()
    tasks = tested(graph, parts)
    results = assess(graph, tasks)
    rows = [_row(name, graph, task, result) for task, result in zip(tasks, results, strict=True)]
    rows += _reflected(
        name, graph, next(result.instances for result in results if result.kind == READ_BACK)
    )
    rows += [_exact(name, kind, found) for kind, found in exact(bundle, graph, parts) if found]
    took, spent = time.perf_counter() - start, time.process_time() - spent
    print(
        f"{name}: {len(graph.sender):,} edges, {took:.1f} s, of processors {spent:.1f} s",
        file=sys.stderr,
    )
    return rows


def _row(name: str, graph: SignedGraph, task: Task, result: Significance) -> Row:
    numbers = {
        "found": result.instances,
        "mean": result.null_mean,
        "sd": result.null_sd,
        "p": result.p,
    }
    believed = sum(result.q_of(score) <= 0.05 for score in task.scores(graph))
    best = {"strongest": result.strongest, "q": result.least_q, "believed": believed}
    return {"network": name, "motif": result.kind, "null": result.null} | numbers | best


def _reflected(name: str, graph: SignedGraph, observed: int) -> Iterator[Row]:
    counts = reflected(graph, nulls=NULLS)
    if any(counts) or observed:
        p = (1 + sum(count >= observed for count in counts)) / (1 + len(counts))
        numbers = {
            "found": observed,
            "mean": float(np.mean(counts)),
            "sd": float(np.std(counts)),
            "p": p,
        }
        yield (
            {"network": name, "motif": READ_BACK, "null": "reflect"}
            | numbers
            | {"strongest": None, "q": None}
        )


def _exact(name: str, kind: str, rows: list[Row]) -> Row:
    q = [row["q"] for row in rows if row["q"] is not None]
    null = next((row["null"] for row in rows if row["null"]), None)
    best = {
        "strongest": rows[0]["score"],
        "q": min(q, default=None),
        "believed": sum(value <= 0.05 for value in q),
    }
    return {
        "network": name,
        "motif": kind,
        "null": null,
        "found": len(rows),
        "mean": None,
        "sd": None,
        "p": None,
    } | best


def table(rows: Iterable[Row]) -> str:
    """One line a motif and network; those that neither the network nor any null network has are left out."""
    place = {name: number for number, name in enumerate(NETWORKS)}
    lines = [
        "| motif | network | found | null mean ± sd | null | p | strongest | its q | rows at q <= 0.05 |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for row in sorted(
        rows, key=lambda row: (row["motif"], row["null"] == "reflect", place[row["network"]])
    ):
        if row["found"] or row["mean"]:
            chance = "" if row["mean"] is None else f"{row['mean']:,.1f} ± {row['sd']:,.1f}"
            numbers = [
                _number(row["p"], ".3f"),
                _number(row["strongest"], ".3g"),
                _number(row["q"], ".3g"),
            ]
            lines.append(
                f"| {row['motif']} | {NETWORKS[row['network']][0]} | {row['found']:,} | {chance} | `{row['null']}` "
                f"| {' | '.join(numbers)} | {_number(row.get('believed'), ',')} |"
            )
    return "\n".join(lines) + "\n"


def overview(rows: Sequence[Row]) -> str:
    """A line a motif, a column a network: how many times what chance gives, bold where p <= 0.05.

    Where rows have a test of their own: how many of them have a q of at most 0.05, of how many.
    """
    names = [name for name in NETWORKS if any(row["network"] == name for row in rows)]
    cells = {(row["motif"], row["null"], row["network"]): _cell(row) for row in rows}
    kinds = sorted({(row["motif"], row["null"]) for row in rows})
    lines = [
        f"| motif | null | {' | '.join(_short(NETWORKS[name][0]) for name in names)} |",
        f"|---|---|{'---:|' * len(names)}",
    ]
    lines += [
        f"| {kind} | `{null}` | {' | '.join(cells.get((kind, null, name), '') for name in names)} |"
        for kind, null in kinds
    ]
    return "\n".join(lines) + "\n"


def _short(title: str) -> str:
    for long, short in (
        ("SqueezeNet", "SqN"),
        ("Inception v3, early", "Inc"),
        ("ResNet-", "R"),
        (", seed", ""),
    ):
        title = title.replace(long, short)
    return title.replace("menagerie_", "")


def _cell(row: Mapping[str, Any]) -> str:
    if row["mean"] is None:
        return (
            f"{row['found']}"
            if row["null"] == "offsets"
            else f"{row['believed']} of {row['found']}"
        )
    if not row["found"] and not row["mean"]:
        return "–"
    ratio = row["found"] / row["mean"] if row["mean"] else float("inf")
    text = "> 100" if ratio > 100 else f"{ratio:.1f}"
    return f"**{text}**" if row["p"] <= 0.05 else text


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def into_page(page: Path, name: str, text: str) -> None:
    """Put a table between its two comments in a page."""
    before, rest = page.read_text().split(f"<!-- {name}: begin -->\n")
    after = rest.split(f"<!-- {name}: end -->")[1]
    page.write_text(f"{before}<!-- {name}: begin -->\n{text}<!-- {name}: end -->{after}")


def _known() -> list[Row]:
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []
    )


def main() -> None:
    pages = [Path(word) for word in sys.argv[1:] if word.endswith(".md")]
    asked = [word for word in sys.argv[1:] if not word.endswith(".md")] or list(NETWORKS)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked if asked != ["tables"] else ():
            bundle = bundle_of(name, Path(folder))
            if bundle is not None:
                found = findings(name, bundle)
                every = [row for row in _known() if row["network"] != name] + found
                order = sorted(
                    every, key=lambda row: (list(NETWORKS).index(row["network"]), row["motif"])
                )
                RESULTS.write_text("".join(f"{json.dumps(row)}\n" for row in order))
    tables = {"overview": overview(_known()), "findings": table(_known())}
    for name, text in tables.items():
        print(text)
        for page in pages:
            into_page(page, name, text)


if __name__ == "__main__":
    main()
