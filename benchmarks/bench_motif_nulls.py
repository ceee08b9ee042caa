"""Every motif of the library in real networks, the bundled ones and a twin: found, and by chance.

``python benchmarks/bench_motif_nulls.py [NETWORK...]`` measures all networks, or those named; the
others keep their rows in ``results/motif_findings.jsonl``. At the end it renders the tables of the
docs (``python benchmarks/result_pages.py`` does that alone). Bundles are taken from the folder
``CIRCUITOME_BUNDLES`` (``squeezenet1_1.circuitome`` ...; annotated ones show the motifs that need
it). Otherwise they are extracted, without annotation, from the folder ``CIRCUITOME_WEIGHTS``; a
network that is in neither is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Q_MAX, Row, read, write
from circuitome.extract import Network, extract
from circuitome.extract.models.resolve import resolve
from circuitome.extract.responses.twins import twin
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import BUNDLED
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, Motif, MotifRow
from circuitome.queries.motifs.significance import Significance, Task, assess
from circuitome.queries.motifs.weight_banding import significant

__all__ = ["EVERY", "bundle_of", "exact", "main", "possible", "tested"]

ROOT = Path(__file__).parents[1]
WEIGHTS = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
BUNDLES = Path(os.environ.get("CIRCUITOME_BUNDLES", "bundles"))
CIFAR = f"{ROOT / 'tests' / 'support' / 'architectures' / 'cifar_resnet.py'}"
INCEPTION = f"{ROOT / 'tests' / 'support' / 'architectures' / 'inception_v3_2015.py'}"
SIDES = {"imagenet": (3, 224, 224), "inception": (3, 299, 299), "cifar": (3, 32, 32)}
NETWORKS: dict[str, tuple[str, str, tuple[int, int, int]]] = {
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet", SIDES["imagenet"]),
    "squeezenet1_0": ("squeezenet1_0", "squeezenet1_0_deepcompression", SIDES["imagenet"]),
    "inception_early": (f"{INCEPTION}:early", "inception_v3_tf2015_early", SIDES["inception"]),
    "resnet20": (f"{CIFAR}:resnet20", "resnet20_cifar10", SIDES["cifar"]),
    "resnet20_c": (f"{CIFAR}:resnet20", "resnet20_cifar10_seedC", SIDES["cifar"]),
    "resnet20_d": (f"{CIFAR}:resnet20", "resnet20_cifar10_seedD", SIDES["cifar"]),
    "resnet32": (f"{CIFAR}:resnet32", "resnet32_cifar10", SIDES["cifar"]),
    "resnet56": (f"{CIFAR}:resnet56", "resnet56_cifar10", SIDES["cifar"]),
    **{name: (name, "", network.input_size) for name, network in BUNDLED.items()},
    "menagerie_s0_twin": ("menagerie_s0", "", BUNDLED["menagerie_s0"].input_size),
}
"""Name of a bundle (those of `results.TITLES`): model, file of weights, input shape."""

READ_BACK = "superposition_read_back"
EVERY = 1_000_000_000  # more rows than there are


def bundle_of(name: str, folder: Path) -> Bundle | None:
    """The bundle of a network; `None` if neither it nor its weights are there."""
    model, weights, shape = NETWORKS[name]
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
        if isinstance(motif, Motif) and possible(motif.kind, graph, parts)
    ]


def exact(
    bundle: Bundle, graph: SignedGraph, parts: Sequence[str]
) -> Iterator[tuple[str, list[MotifRow]]]:
    """Motifs whose rows have a q of their own, and all rows of each."""
    for kind, motif in MOTIFS.items():
        if isinstance(motif, Motif) or not possible(kind, graph, parts):
            continue
        if kind == "branch_cluster":
            yield kind, motif.rows(motif.of_bundle(bundle), grouping="kind", limit=EVERY)
        elif kind == "weight_banding":
            yield kind, significant(bundle, motif.rows(graph, limit=EVERY), nulls=999)
        else:
            yield kind, motif.rows(motif.of_bundle(bundle), limit=EVERY)


def findings(name: str, bundle: Bundle) -> list[Row]:
    """What null networks say of a network: one row a motif."""
    graph = SignedGraph.of_bundle(bundle)
    parts = (bundle.table("Model").to_pylist()[0]["annotated"] or "").split(",")
    start, spent = time.perf_counter(), time.process_time()
    tasks = tested(graph, parts)
    results = assess(graph, tasks)
    rows = [_row(name, graph, task, result) for task, result in zip(tasks, results, strict=True)]
    rows += _reflected(name, graph)
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
    if MOTIFS[result.kind].about_p is not None and result.p is not None:
        numbers["counted"] = result.counted
    believed = sum(result.q_of(score) <= Q_MAX for score in task.scores(graph))
    best = {"strongest": result.strongest, "q": result.least_q, "believed": believed}
    return {"network": name, "motif": result.kind, "null": result.null} | numbers | best


def _reflected(name: str, graph: SignedGraph) -> Iterator[Row]:
    """What `reflect` says of superposition read back."""
    task = Task.of(MOTIFS[READ_BACK], null="reflect")
    (result,) = assess(graph, [task])
    if result.instances or result.null_mean:
        yield _row(name, graph, task, result) | {"strongest": None, "q": None, "believed": None}


def _exact(name: str, kind: str, rows: list[MotifRow]) -> Row:
    q = [row["q"] for row in rows if row["q"] is not None]
    null = next((row["null"] for row in rows if row["null"]), None)
    best = {
        "strongest": rows[0]["score"],
        "q": min(q, default=None),
        "believed": sum(value <= Q_MAX for value in q),
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or list(NETWORKS):
            bundle = bundle_of(name, Path(folder))
            if bundle is None:
                continue
            others = [row for row in read("motif_findings") if row["network"] != name]
            rows = others + findings(name, bundle)
            places = {network: place for place, network in enumerate(NETWORKS)}
            rows.sort(key=lambda row: (places[row["network"]], row["motif"]))
            write("motif_findings", rows)
    result_pages.main()


if __name__ == "__main__":
    main()
