"""Significance of motifs: how it is calibrated, what it says of real networks, and what it costs.

``python benchmarks/bench_motif_nulls.py docs/motifs.md`` writes the tables into the page. The networks of the second table
lie in the folder ``CIRCUITOME_WEIGHTS``; without it only the bundled ones are shown.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from circuitome.extract import extract
from circuitome.extract.models import resolve
from circuitome.networks import BUNDLED
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, nulls
from circuitome.queries.motifs.significance import Significance, Task, assess
from circuitome.queries.motifs.superposition_read_back import TASK, reflected

__all__ = ["calibration", "findings", "main"]

ROOT = Path(__file__).parents[1]
WEIGHTS = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
ARCHITECTURES = ROOT / "tests" / "architectures"
TRIES = 60
FEW = 39  # null networks a try of the calibration
TASKS = [*(Task.of(motif) for motif in MOTIFS.values() if motif.scores is not None), TASK]
NETWORKS: dict[str, tuple[str, str, tuple[int, int, int]]] = {
    "SqueezeNet 1.1": ("squeezenet1_1", "squeezenet1_1_imagenet", (3, 224, 224)),
    "SqueezeNet 1.0": ("squeezenet1_0", "squeezenet1_0_deepcompression", (3, 224, 224)),
    "Inception v3, early": (
        f"{ARCHITECTURES / 'inception_v3_2015.py'}:early",
        "inception_v3_tf2015_early",
        (3, 299, 299),
    ),
    "ResNet-20": (f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet20", "resnet20_cifar10", (3, 32, 32)),
    "ResNet-20, seed C": (f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet20", "resnet20_cifar10_seedC", (3, 32, 32)),
    "ResNet-20, seed D": (f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet20", "resnet20_cifar10_seedD", (3, 32, 32)),
}


def bundled(folder: Path) -> Iterator[tuple[str, SignedGraph]]:
    for name, network in BUNDLED.items():
        bundle = extract(resolve(name).model, output=folder / name, name=name, input_shape=network.input_size)
        yield name, SignedGraph.of_bundle(bundle)


def real(folder: Path) -> Iterator[tuple[str, SignedGraph]]:
    for title, (model, weights, shape) in NETWORKS.items():
        file = WEIGHTS / f"{weights}.safetensors"
        if file.is_file():
            name = title.replace(" ", "_").replace(",", "")
            network = resolve(model, weights=str(file))
            yield (
                title,
                SignedGraph.of_bundle(extract(network.model, output=folder / name, name=name, input_shape=shape)),
            )


def calibration(graphs: list[SignedGraph]) -> str:
    """Null networks taken for networks: how often a motif has a finding, and how small its p are."""
    found = {task.kind: 0 for task in TASKS}
    small: dict[str, list[float]] = {task.kind: [] for task in TASKS}
    for place in range(TRIES):
        graph = graphs[place % len(graphs)]
        for name in dict.fromkeys(null for task in TASKS for null in (task.instance_null, task.null)):
            drawn = nulls.find_null(name)(graph, np.random.default_rng([7, place]))
            tasks = [task for task in TASKS if name in (task.instance_null, task.null)]
            for task, result in zip(tasks, assess(drawn, tasks, nulls=FEW, seed=place), strict=True):
                if name == task.instance_null:
                    found[task.kind] += result.least_q is not None and result.least_q <= 0.05
                if name == task.null:
                    small[task.kind].append(result.p)
    lines = [
        f"| motif | null of q | findings at q <= 0.05 in {TRIES} | null of p | p <= 0.05 | p <= 0.25 | p smaller than uniform? |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        p = np.array(small[task.kind])
        test = kstest(p, "uniform", alternative="greater").pvalue
        lines.append(
            f"| {task.kind} | `{task.instance_null}` | {found[task.kind]} | `{task.null}` | {(p <= 0.05).mean():.2f} "
            f"| {(p <= 0.25).mean():.2f} | p = {test:.2f} |"
        )
    return "\n".join(lines) + "\n"


def findings(graphs: dict[str, SignedGraph]) -> str:
    """What the null networks say of each network, and how long it took."""
    lines = [
        "| network | motif | found | null mean ± sd | null | p | strongest | its q | rows at q <= 0.05 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for title, graph in graphs.items():
        start, spent = time.perf_counter(), time.process_time()
        results = assess(graph, TASKS)
        took, spent = time.perf_counter() - start, time.process_time() - spent
        print(f"{title}: {len(graph.sender):,} edges, {took:.1f} s, of processors {spent:.1f} s", file=sys.stderr)
        lines += [_row(title, graph, task, result) for task, result in zip(TASKS, results, strict=True)]
        counts = reflected(graph, nulls=199)
        observed = results[-1].instances
        p = (1 + sum(count >= observed for count in counts)) / 200
        lines.append(
            f"| {title} | {TASK.kind} | {observed:,} | {np.mean(counts):,.1f} ± {np.std(counts):,.1f} | `reflect` | {p:.3f} | | | |"
        )
    return "\n".join(lines) + "\n"


def _row(title: str, graph: SignedGraph, task: Task, result: Significance) -> str:
    believed = sum(result.q_of(score) <= 0.05 for score in task.scores(graph))
    best = "" if result.strongest is None else f"{result.strongest:.3g}"
    q = "" if result.least_q is None else f"{result.least_q:.3g}"
    return (
        f"| {title} | {task.kind} | {result.instances:,} | {result.null_mean:,.1f} ± {result.null_sd:,.1f} | `{result.null}` "
        f"| {result.p:.3f} | {best} | {q} | {believed:,} |"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours = dict(bundled(Path(folder)))
        tables = {
            "findings": findings(dict(real(Path(folder))) | ours),
            "calibration": calibration(list(ours.values())),
        }
    for name, text in tables.items():
        print(text)
        for page in map(Path, sys.argv[1:]):
            before, rest = page.read_text().split(f"<!-- {name}: begin -->\n")
            after = rest.split(f"<!-- {name}: end -->")[1]
            page.write_text(f"{before}<!-- {name}: begin -->\n{text}<!-- {name}: end -->{after}")


if __name__ == "__main__":
    main()
