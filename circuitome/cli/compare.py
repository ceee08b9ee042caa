"""The command that looks for the neurons of one network in another."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuitome.cli.options import AsJson, Limit, ask_password
from circuitome.cli.output import note, plural, progress, show_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from circuitome.universality.every_pair import Comparisons
    from circuitome.universality.features import Feature, Links

__all__ = ["compare"]

Bundles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="BUNDLE BUNDLE...",
        show_default=False,
        help="Two bundles or more, with signatures; may be left out with --table or --published, "
        "and --db.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        show_default=False,
        help="Write tables and pictures into this folder.",
    ),
]
Into = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="DB",
        envvar="CIRCUITOME_DB",
        callback=ask_password,
        show_default=False,
        help="Write into this database, which holds the models: a file, or neo4j://, bolt://, "
        "neo4j+s://.",
    ),
]
LargestQ = Annotated[
    float | None, typer.Option("--q", metavar="Q", help="Only matches with at most this q.")
]
Layers = Annotated[
    bool, typer.Option("--layers", help="Show a row for each layer instead of each neuron.")
]
Circuits = Annotated[
    bool, typer.Option("--circuits", help="Show which strong edges and motifs are preserved.")
]
Table = Annotated[
    bool,
    typer.Option(
        "--table",
        help="Show the periodic table of features; without bundles, that of the database.",
    ),
]
Published = Annotated[
    Path | None,
    typer.Option(
        "--published",
        metavar="DIR",
        show_default=False,
        help="Load the features published with the Circuits thread from this folder into the "
        "database.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace DIR; compare pairs again that the database has already."),
]


@dataclass(frozen=True, slots=True)
class _Output:
    """Where results go, and how they are shown."""

    folder: Path | None
    db: str | None
    limit: int | None
    force: bool
    as_json: bool

    def show(self, rows: Sequence[Mapping[str, object]], empty: str = "") -> None:
        """Print the first rows."""
        show_rows(rows[: self.limit], as_json=self.as_json, empty=empty)


def compare(
    bundles: Bundles = None,
    output: Folder = None,
    db: Into = None,
    q: LargestQ = None,
    limit: Limit = None,
    layers: Layers = False,
    circuits: Circuits = False,
    table: Table = False,
    published: Published = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Find the neurons of one network in another.

    Every pair of networks is compared both ways. For each neuron: its best match in the other
    network by their responses to the same pictures, and its q against smooth twins (networks whose
    filters are random and as smooth). Also which layers are alike, and how well a layer of one
    network predicts each neuron of the other. This needs the bundles' signatures and no model:
    `circuitome annotate BUNDLE --parts signatures` makes them.

    --circuits shows how many strong edges and motifs of one network recur between the analogues in
    the other. --table shows features, clusters of neurons that match in several networks, by depth
    and kind; u1x5 is feature u1, found in 5. Both show what chance gives.

    With --db, pairs that the database has already are left alone, so adding a network costs only
    its own pairs. Features are made again from all pairs that it holds.

    \b
    Examples:
      circuitome compare menagerie_s0.circuitome menagerie_s1.circuitome -o compared
      circuitome compare *.circuitome --db circuitome.db
      circuitome compare squeezenet1_0.circuitome squeezenet1_1.circuitome --q 0.05 --json
      circuitome compare resnet20.circuitome resnet56.circuitome --layers
      circuitome compare resnet20.circuitome resnet56.circuitome --circuits
      circuitome compare *.circuitome --table -o compared
      circuitome compare --table --db circuitome.db
      circuitome compare --published facts --db circuitome.db
    """
    from circuitome.universality.compare import CompareError

    if layers + circuits + table > 1:
        raise CompareError("--layers, --circuits and --table exclude each other; give one of them")
    if q is not None and layers + circuits + table:
        raise CompareError("--q keeps matches of neurons; leave --layers, --circuits, --table out")
    where = _Output(output, db, limit, force, as_json)
    if published is not None:
        _publish(published, db)
    if bundles:
        found = _compared(bundles, where)
        if table:
            _show_features(found, where)
        elif layers or circuits:
            where.show(found.circuits if circuits else found.layers, _empty(found, None))
        else:
            where.show([*found.matches(q=q)], _empty(found, q))
        _tell(found, where)
    elif table:
        _table_of_database(where, output)
    elif published is None:
        raise CompareError("name two bundles at least, or --table with --db DB")


def _compared(bundles: list[Path], where: _Output) -> Comparisons:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import open_database
    from circuitome.universality.every_pair import compare_all

    opened = [Bundle.open(path) for path in bundles]
    with ExitStack() as stack:
        database = None if where.db is None else stack.enter_context(open_database(where.db))
        report = stack.enter_context(progress())
        return compare_all(
            opened, database=database, folder=where.folder, force=where.force, progress=report
        )


def _publish(folder: Path, db: str | None) -> None:
    """Load published features."""
    from circuitome.queries.database import open_database
    from circuitome.universality.compare import CompareError
    from circuitome.universality.published import record_published

    if db is None:
        raise CompareError("--published loads features into a database; name it with --db DB")
    with open_database(db) as database:
        note(f"{db}: {plural(len(record_published(database, folder)), 'published feature')}")


def _show_features(found: Comparisons, where: _Output) -> None:
    """The table of the networks compared, or of all in the database."""
    if where.db is not None:
        _table_of_database(where, None)
    else:
        _show_table(*found.features(), where)


def _table_of_database(where: _Output, folder: Path | None) -> None:
    """Make the features of a database again, since a network may be gone; show and write them."""
    from circuitome.queries.database import open_database
    from circuitome.universality.compare import CompareError
    from circuitome.universality.features import record_features

    if where.db is None:
        raise CompareError("--table needs bundles, or a database that holds comparisons: --db DB")
    path = None if folder is None else _free(folder / "periodic_table.csv", force=where.force)
    with open_database(where.db) as database:
        links, kinds, found = record_features(database)
    if path is not None:
        _write_table(path, found)
    _show_table(links, kinds, found, where)


def _free(path: Path, *, force: bool) -> Path:
    """The path, if nothing is there or may be replaced."""
    from circuitome.universality.compare import CompareError

    if path.exists() and not force:
        raise CompareError(
            f"{path}: already there; name another folder with -o, or --force to replace it"
        )
    return path


def _write_table(path: Path, found: list[Feature]) -> None:
    from circuitome.universality.compare import CompareError
    from circuitome.universality.periodic_table import table_csv

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table_csv(found))
    except OSError as error:
        raise CompareError(
            f"{path}: cannot be written ({error.strerror}); name another folder with -o"
        ) from error
    note(f"{path}: {plural(len(found), 'feature')}")


def _show_table(
    links: Links, kinds: dict[str, str | None], found: list[Feature], where: _Output
) -> None:
    """The table for people, or its features as JSON; what chance gives goes to stderr."""
    from circuitome.universality.periodic_table import grid

    shown = found[: where.limit]
    rows = [one.row() for one in shown] if where.as_json else grid(shown)
    empty = "no feature: no two neurons match both ways at q <= 0.05"
    show_rows(rows, as_json=where.as_json, empty=empty)
    _tell_chance(links)
    _tell_agreement(links, kinds)


def _tell_chance(links: Links) -> None:
    from circuitome.universality.features import chance

    for row in chance(links):
        plus = "" if row["models"] == len(links.networks) else " or more"
        by_chance = (
            f"{row['expected']:.1f} (sd {row['sd']:.1f}) in permuted matches"
            if row["models"] > 2
            else "for two networks the q of matches is the test"
        )
        number = plural(row["features"], "feature")
        note(f"in {row['models']}{plus} networks: {number}; {by_chance}")


def _tell_agreement(links: Links, kinds: dict[str, str | None]) -> None:
    from circuitome.universality.features import agreement

    if (same := agreement(links, kinds)) is not None:
        note(
            f"of {same['links']:,} matches whose neurons both have a kind, {same['same']:.0%} are "
            f"of one kind; {same['expected']:.0%} in permuted matches (p = {same['p']:.2g})"
        )


def _empty(found: Comparisons, q: float | None) -> str:
    return "no match" + ("" if q is None else f" with q <= {q:g}") if found.pairs else ""


def _tell(found: Comparisons, where: _Output) -> None:
    """What was compared, and where it went."""
    folder, db, number = where.folder, where.db, len(found.networks)
    left = number * (number - 1) // 2 - found.new
    if left:
        note(f"{db} has {plural(left, 'pair')} already; --force compares them again")
    if folder is not None:
        note(f"{folder}: tables and pictures of {plural(found.pairs, 'pair')}")
    if db is not None and found.new:
        note(f"{db}: {plural(found.new, 'pair')} of networks compared")
    if folder is None and db is None:
        note("-o DIR keeps this as tables and pictures, --db DB in a database")
