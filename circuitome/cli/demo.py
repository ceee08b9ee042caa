"""The whole path on the bundled networks, told in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from circuitome.cli.output import plural, progress
from circuitome.networks import BUNDLED

if TYPE_CHECKING:
    from circuitome.extract.verify import LayerCheck
    from circuitome.graphdb.bundle import Bundle
    from circuitome.graphdb.stores.protocol import Progress
    from circuitome.queries.database import Database
    from circuitome.queries.motifs import MotifRow

__all__ = ["demo"]


def demo(
    folder: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where the bundles and the database go."
        ),
    ] = Path("demo"),
) -> None:
    """Show the whole path on bundled networks.

    Extracts three small trained networks, verifies the bundles, loads them into an embedded
    database, asks it, exports a graph for networkx, and describes what it finds.

    \b
    Example:
      circuitome demo -o somewhere
    """
    from circuitome.queries.database import open_database

    print(_INTRODUCTION)
    with progress() as report:
        bundles = [_extracted(name, folder, report) for name in BUNDLED]
    database_file = folder / "circuitome.db"
    with open_database(database_file, create=True) as database:
        database.load(*bundles)
        print(
            f"\n2. The database: {database_file} holds {plural(len(bundles), 'network')}. "
            "Everything below is asked of it."
        )
        for tell in _CHAPTERS:
            print("\n" + tell(database))
    print("\n" + _graph(bundles[0], folder))
    print(_GO_ON.format(db=database_file, name=bundles[0].model, bundle=bundles[0].path))


_INTRODUCTION = """\
Circuitome: from weights to answers, on three networks that come with it.
They are small, branched CNNs, trained from three seeds to say what is drawn in 64 x 64 pictures.

1. Every channel becomes a neuron, every connected pair of channels a signed edge; pruning drops
   the weakest. A bundle is verified: from the network's own activations of one layer, its kernels
   and wiring must compute the next."""

_GO_ON = """
Go on:
  export CIRCUITOME_DB={db}
  circuitome query --list                                        what can be asked
  circuitome neuron {name}/a.branch3x3.conv:0              its inputs and outputs
  circuitome circuit {name}/heads.facing:0 --depth 3       what feeds a class
  circuitome motifs mutual_inhibition --model {name}
  circuitome query hubs -p model={name} --show             the Cypher, for Neo4j Browser
  circuitome annotate {bundle}      what each neuron does: kinds, partners, families
  circuitome extract squeezenet1_1 --weights FILE                a network of your own"""


def _extracted(name: str, folder: Path, report: Progress) -> Bundle:
    """Extract and verify one bundled network; says how it went."""
    from circuitome.extract import extract, verify
    from circuitome.extract.models.resolve import resolve

    def told(stage: str, done: int, total: int) -> None:
        report(f"{name}: {stage}", done, total)

    network = resolve(name)
    path = folder / f"{name}.circuitome"
    bundle = extract(network, output=path, force=True, progress=told)
    _tell_proof(bundle, name, verify(bundle, network.model, progress=told))
    return bundle


def _tell_proof(bundle: Bundle, name: str, checks: list[LayerCheck]) -> None:
    """What the bundle holds, and how exactly; ends the demo if it is not the network."""
    if failed := [check.layer for check in checks if not check.ok]:
        print(f"   {name}: the bundle is not the network, first at {failed[0]}")
        raise typer.Exit(1)
    counts, worst = bundle.manifest.counts, max(check.error for check in checks)
    print(
        f"   {name}: {plural(counts['neurons'], 'neuron')}, {plural(counts['edges'], 'edge')} "
        f"({counts['dropped']:,} dropped); verified, largest error {worst:.0e}"
    )


def _tell_layers(database: Database) -> str:
    name = next(iter(BUNDLED))
    rows = database.query("balance", model=name).to_dicts()
    most = max(rows, key=lambda row: row["balance"])
    least = min(rows, key=lambda row: row["balance"])
    return (
        "3. Excitation and inhibition. Which layers excite, which inhibit?\n"
        f"   In {name} the balance runs from {least['balance']:+.2f} ({_short(least['layer'])}) "
        f"to {most['balance']:+.2f} ({_short(most['layer'])}); -1 is inhibition only, +1 "
        "excitation only."
    )


def _tell_opposition(database: Database) -> str:
    lines = [
        "4. Mutual inhibition. Two neurons of a layer, each excited by what inhibits the other: an "
        "opponent pair."
    ]
    for found, row in _strongest(database, "mutual_inhibition"):
        first, second = map(_short, row["roles"]["case"])
        source_1, source_2 = map(_short, row["roles"]["source"])
        lines.append(
            f"   {found}. The strongest: {source_1} excites {first} and inhibits {second},"
        )
        lines.append(f"      {source_2} the other way round.")
    return "\n".join(lines)


def _tell_union(database: Database) -> str:
    lines = [
        "5. Unioning over cases. Such a pair, and a later neuron that both excite: `either of the "
        "two`."
    ]
    for found, row in _strongest(database, "unioning_over_cases"):
        first, second = map(_short, row["roles"]["case"])
        union = _short(row["roles"]["union"][0])
        lines.append(f"   {found}. The strongest: {union} unites {first} and {second}.")
    lines.append(
        "   Candidates, not findings: random networks have such patterns, too. What is more than "
        "chance is a later question."
    )
    return "\n".join(lines)


def _tell_superposition(database: Database) -> str:
    lines = ["6. Superposition. A neuron that many others read, and none of them mainly."]
    for found, row in _strongest(database, "superposition"):
        feature, hosts = _short(row["roles"]["feature"][0]), len(row["roles"]["host"])
        lines.append(f"   {found}. The most spread out: {feature}, in {plural(hosts, 'host')}.")
    return "\n".join(lines)


def _tell_banding(database: Database) -> str:
    lines = [
        "7. Weight banding. Do a layer's kernels vary more from top to bottom than from left to "
        "right? 1 is no."
    ]
    for _, row in _strongest(database, "weight_banding"):
        layer = _short(row["roles"]["layer"][0])
        lines.append(f"   {row['model']}: most in {layer}, {row['score']:.2f}.")
    return "\n".join(lines)


def _strongest(database: Database, kind: str) -> Iterator[tuple[str, MotifRow]]:
    """The strongest instance of a motif in each network that has one, after the network's name
    and the number of instances.
    """
    from circuitome.queries.graph import SignedGraph
    from circuitome.queries.motifs import find, find_motif

    for name in BUNDLED:
        number = find_motif(kind).count(SignedGraph.of_database(database, model=name))
        for row in find(database, kind, model=name, limit=1):
            yield f"{name}: {plural(number, 'candidate')}", row


def _short(key: str) -> str:
    """A key without its model; a class with its name."""
    from circuitome.networks.scenes import CLASSES

    place = key.partition("/")[2]
    layer, _, channel = place.rpartition(":")
    answers = CLASSES.get(layer.removeprefix("heads."))
    return f"{place} ({answers[int(channel)]})" if answers else place


_CHAPTERS: Final = (
    _tell_layers,
    _tell_opposition,
    _tell_union,
    _tell_superposition,
    _tell_banding,
)


def _graph(bundle: Bundle, folder: Path) -> str:
    from circuitome.graphdb.export import export, to_networkx

    graph = to_networkx(bundle)
    path = export(bundle, "networkx", folder / f"{bundle.model}.json")
    return (
        "8. For networkx: circuitome.to_networkx(bundle) is a MultiDiGraph with every property, "
        f"{plural(graph.number_of_nodes(), 'node')} and\n   "
        f"{plural(graph.number_of_edges(), 'edge')}; {path} is the same as a file."
    )
