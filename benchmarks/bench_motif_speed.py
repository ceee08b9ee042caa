"""Speed of the six-edge union: the twin and the Cypher against igraph, DotMotif and networkx, one
graph, equal answers.

``python benchmarks/bench_motif_speed.py`` needs the trained SqueezeNet 1.1 and Inception v3 in the
folder ``CIRCUITOME_WEIGHTS``. The others are no dependencies: ``pip install --target FOLDER igraph
dotmotif grandiso networkx`` and add FOLDER to ``PYTHONPATH``; what is not there is said and left
out. ``--slow`` runs DotMotif and networkx on the largest graph too (minutes).

The graph: edges of SqueezeNet 1.1 with a share of at least 2 / fan-in, without the classifier. The
two branches of a fire module are taken for one layer, so that the query's "in the same layer" says
nothing and the bare pattern, which is all that the others know, has the same instances. Smaller
graphs are those with a higher strength. Others find every instance twice, with its cases exchanged;
that is divided out. Times are processor seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.extract import Network, Pruning, extract
from circuitome.extract.models.resolve import resolve
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import EDGE_TYPES
from circuitome.queries.database import open_database
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph
from circuitome.queries.motifs import unioning_over_cases

ROOT: Final = Path(__file__).parents[1]
WEIGHTS: Final = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
STRENGTHS: Final = (4.0, 3.0, 2.0)
GROWTH: Final = (30_000, 100_000, 300_000, 1_000_000, 3_000_000)
PATTERN: Final = (
    ("a1", "b1", 1),
    ("a2", "b2", 1),
    ("a1", "b2", -1),
    ("a2", "b1", -1),
    ("b1", "u", 1),
    ("b2", "u", 1),
)
MANY: Final = 12_000  # edges; DotMotif and networkx take minutes beyond
ENUMERABLE: Final = 5_000_000  # instances
BARE: Final = """\
MATCH (a1:Neuron)-[:EXCITES]->(b1:Neuron)-[:EXCITES]->(u:Neuron)<-[:EXCITES]-(b2:Neuron)<-[:EXCITES]-(a2:Neuron),
      (a1)-[:INHIBITS]->(b2), (a2)-[:INHIBITS]->(b1)
WHERE b1.key < b2.key
RETURN count(*) AS instances
"""


def cut(bundle: Bundle, *, strength: float) -> None:
    """Leave in a bundle's copy only the edges of the benchmark, and make one layer of the
    branches of each module.
    """
    neurons = bundle.table("Neuron")
    layers = [_merged(name) for name in neurons.column("layer").to_pylist()]
    place = neurons.column_names.index("layer")
    fan_in = dict(
        zip(neurons.column("key").to_pylist(), neurons.column("fan_in").to_pylist(), strict=True)
    )
    with BundleWriter.amend(bundle) as writer:
        writer.replace(
            "Neuron",
            neurons.set_column(
                place, "layer", pa.array(layers, neurons.schema.field("layer").type)
            ),
        )
        for name in EDGE_TYPES:
            edges = bundle.table(name)
            to = edges.column("to").to_pylist()
            size = edges.column("share").to_numpy() * np.array([fan_in[key] for key in to])
            kept = (size >= strength) & np.array(["/classifier" not in key for key in to])
            writer.replace(name, edges.filter(pa.array(kept)))
        writer.finish()


def _merged(layer: str) -> str:
    return layer.replace(".expand1x1", ".expand").replace(".expand3x3", ".expand")


def timed(work: Callable[[], Any], *, times: int = 1) -> tuple[Any, float]:
    """The answer and the least of some times, processor seconds of all threads: other programs
    may run meanwhile.
    """
    seconds, answer = [], None
    for _ in range(times):
        start = time.process_time()
        answer = work()
        seconds.append(time.process_time() - start)
    return answer, min(seconds)


def signed_edges(graph: SignedGraph) -> Iterator[tuple[int, int, int]]:
    """Sender, receiver and sign of every edge."""
    sign = np.where(graph.excites, 1, -1)
    return zip(graph.sender.tolist(), graph.receiver.tolist(), sign.tolist(), strict=True)


def with_twin(graph: SignedGraph) -> Iterator[tuple[str, int, float]]:
    """By the vectorised twin: counted, and all of them listed."""
    fresh = lambda: dataclasses.replace(graph)  # noqa: E731 - forgets what an earlier run computed
    number, seconds = timed(
        lambda: unioning_over_cases.MOTIF.count(fresh(), strength=0, polarity=0), times=5
    )
    yield "find, count", number, seconds
    found, seconds = timed(
        lambda: unioning_over_cases.MOTIF.scores(fresh(), strength=0, polarity=0), times=3
    )
    yield "find, enumerate", len(found), seconds


def with_kuzu(bundle: Bundle, folder: Path) -> Iterator[tuple[str, int, float]]:
    """By Cypher in the embedded engine: the bare pattern counted, and the rows of the library's
    query.
    """
    with open_database(folder / f"{bundle.path.name}.db", create=True, timeout=600) as database:
        database.load(bundle)
        rows, seconds = timed(lambda: database.store.run(BARE, {}, timeout=600), times=3)
        yield "Cypher on Kuzu, count", rows.column("instances")[0].as_py(), seconds
        ask = lambda: database.query(  # noqa: E731
            "unioning_over_cases", strength=0, polarity=0, limit=1_000_000_000
        )
        found, seconds = timed(ask, times=2)
        yield "Cypher on Kuzu, all rows", len(found), seconds


def with_igraph(graph: SignedGraph) -> Iterator[tuple[str, int, float]]:
    """By igraph's VF2, in C."""
    igraph = _module("igraph")
    if igraph is not None:
        edges = list(signed_edges(graph))
        large = igraph.Graph(n=len(graph.keys), edges=[edge[:2] for edge in edges], directed=True)
        names = sorted({name for edge in PATTERN for name in edge[:2]})
        small = igraph.Graph(
            n=len(names),
            edges=[(names.index(a), names.index(b)) for a, b, _ in PATTERN],
            directed=True,
        )
        colour = [(sign + 1) // 2 for _, _, sign in edges]
        wanted = [(sign + 1) // 2 for _, _, sign in PATTERN]
        number, seconds = timed(
            lambda: large.count_subisomorphisms_vf2(small, edge_color1=colour, edge_color2=wanted),
            times=1,
        )
        yield "igraph, VF2", number // 2, seconds


def with_dotmotif(graph: SignedGraph) -> Iterator[tuple[str, int, float]]:
    """By DotMotif with GrandIso."""
    dotmotif, networkx = _module("dotmotif"), _module("networkx")
    if dotmotif is not None and networkx is not None and _module("grandiso") is not None:
        motif = dotmotif.Motif("\n".join(f"{a} -> {b} [sign = {sign}]" for a, b, sign in PATTERN))
        executor = dotmotif.GrandIsoExecutor(graph=_networkx(networkx, graph))
        found, seconds = timed(lambda: executor.find(motif))
        yield "DotMotif, GrandIso", len(found) // 2, seconds


def with_networkx(graph: SignedGraph) -> Iterator[tuple[str, int, float]]:
    """By networkx's VF2."""
    networkx = _module("networkx")
    if networkx is not None:
        large = _networkx(networkx, graph)
        small = networkx.DiGraph()
        for a, b, sign in PATTERN:
            small.add_edge(a, b, sign=sign)
        isomorphism = importlib.import_module("networkx.algorithms.isomorphism")
        matcher = isomorphism.DiGraphMatcher(
            large, small, edge_match=isomorphism.numerical_edge_match("sign", 0)
        )
        number, seconds = timed(lambda: sum(1 for _ in matcher.subgraph_monomorphisms_iter()))
        yield "networkx, VF2", number // 2, seconds


def _networkx(networkx: Any, graph: SignedGraph) -> Any:
    large = networkx.DiGraph()
    large.add_weighted_edges_from(signed_edges(graph), weight="sign")
    return large


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(
            f"{name} is not installed and is left out: pip install --target FOLDER {name}",
            file=sys.stderr,
        )
        return None


def compared(original: Bundle, folder: Path, *, slow: bool) -> str:
    """The first table: every way, on graphs of three sizes."""
    columns: list[tuple[str, dict[str, tuple[int, float]]]] = []
    for strength in STRENGTHS:
        bundle = _copied(original, folder / f"cut_{strength:g}")
        cut(bundle, strength=strength)
        bundle = Bundle.open(bundle.path)
        graph = SignedGraph.of_bundle(bundle).by_receiver()
        edges = len(graph.sender)
        ways = [with_twin(graph), with_kuzu(bundle, folder), with_igraph(graph)]
        ways += [with_dotmotif(graph), with_networkx(graph)] if slow or edges <= MANY else []
        times = {}
        for way in ways:
            for name, number, seconds in way:
                print(
                    f"strength {strength:g}, {edges:,} edges: {name}: {number:,} in "
                    f"{seconds:.4f} s",
                    file=sys.stderr,
                )
                times[name] = number, seconds
        numbers = {name: number for name, (number, _) in times.items()}
        assert len(set(numbers.values())) == 1, f"the answers differ: {numbers}"
        columns.append((f"{edges:,} / {times['find, count'][0]:,}", times))
    names = list(dict.fromkeys(name for _, times in columns for name in times))
    largest = columns[-1][1]
    head = [
        "processor seconds, by edges / instances",
        *(title for title, _ in columns),
        "times `find, enumerate`, largest graph",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name in names:
        cells = [_seconds(times[name][1]) if name in times else "" for _, times in columns]
        ratio = (
            f"{largest[name][1] / largest['find, enumerate'][1]:,.2g}" if name in largest else ""
        )
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio} |")
    return "\n".join([*lines, "", *_goals(largest)]) + "\n"


def _goals(times: dict[str, tuple[int, float]]) -> Iterator[str]:
    """What was asked for, and what came of it."""
    for fast, slow, goal in (
        ("find, enumerate", "DotMotif, GrandIso", 1000),
        ("find, enumerate", "igraph, VF2", 50),
        ("Cypher on Kuzu, count", "DotMotif, GrandIso", 100),
        ("Cypher on Kuzu, all rows", "DotMotif, GrandIso", 100),
    ):
        if fast in times and slow in times:
            yield (
                f"* {fast} is {times[slow][1] / times[fast][1]:,.0f} times as fast as {slow} "
                f"(goal {goal:,})"
            )


def grown(graph: SignedGraph) -> str:
    """The second table: the twin on more and more of one network's edges, strongest first."""
    lines = [
        "| edges | instances | count, processor seconds | enumerate, processor seconds |",
        "|---:|---:|---:|---:|",
    ]
    order = np.argsort(-graph.strength, kind="stable")
    for size in dict.fromkeys(min(size, len(order)) for size in GROWTH):
        part = _part(graph, np.sort(order[:size]))
        number, seconds = timed(
            lambda part=part: unioning_over_cases.MOTIF.count(
                dataclasses.replace(part), strength=0, polarity=0
            ),
            times=3,
        )
        listed = ""
        if number <= ENUMERABLE:
            found, took = timed(
                lambda part=part: unioning_over_cases.MOTIF.scores(
                    dataclasses.replace(part), strength=0, polarity=0
                )
            )
            assert len(found) == number
            listed = _seconds(took)
        lines.append(f"| {size:,} | {number:,} | {_seconds(seconds)} | {listed} |")
    return "\n".join(lines) + "\n"


def _part(graph: SignedGraph, edges: np.ndarray) -> SignedGraph:
    names = ("sender", "receiver", "excites", *EDGE_COLUMNS)
    return dataclasses.replace(graph, **{name: getattr(graph, name)[edges] for name in names})


def _seconds(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.3g}"


def _copied(bundle: Bundle, path: Path) -> Bundle:
    shutil.copytree(bundle.path, path)
    return Bundle.open(path)


def _network(folder: Path, model: str, weights: str, shape: tuple[int, int, int]) -> Bundle:
    file = WEIGHTS / f"{weights}.safetensors"
    if not file.is_file():
        sys.exit(f"no weights at {file}; set CIRCUITOME_WEIGHTS to the folder that has them")
    return extract(
        Network(resolve(model, weights=str(file)).model, name=weights, input_shape=shape),
        output=folder / weights,
        keep=Pruning(),
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--slow", action="store_true", help="DotMotif and networkx on the largest graph, too"
    )
    slow = parser.parse_args().slow
    if not WEIGHTS.is_dir():
        print(
            f"left out: no weights at {WEIGHTS}; set CIRCUITOME_WEIGHTS to the folder that has "
            "them",
            file=sys.stderr,
        )
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        late = f"{ROOT / 'tests' / 'architectures' / 'inception_v3_2015.py'}:late"
        inception = _network(folder, late, "inception_v3_tf2015_late_fp16", (288, 35, 35))
        print(grown(SignedGraph.of_bundle(inception).by_receiver()), flush=True)
        squeezenet = _network(folder, "squeezenet1_1", "squeezenet1_1_imagenet", (3, 224, 224))
        print(compared(squeezenet, folder, slow=slow), flush=True)


if __name__ == "__main__":
    main()
