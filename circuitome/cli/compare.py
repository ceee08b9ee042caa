"""The command that looks for the neurons of one network in another."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuitome.cli.options import AsJson, Limit, ask_password
from circuitome.cli.output import Progress, note, plural, progress, show_rows

if TYPE_CHECKING:
    from circuitome.graphdb.signatures import Signatures
    from circuitome.universality.compare import Comparison
    from circuitome.universality.features import Feature, Links

__all__ = ["compare"]


def compare(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="BUNDLE BUNDLE...",
            show_default=False,
            help="Two bundles or more, with signatures; may be left out with --table or --published and --db.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            show_default=False,
            help="Write tables and pictures here.",
        ),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="DB",
            envvar="CIRCUITOME_DB",
            callback=ask_password,
            show_default=False,
            help="Write into this database, which holds the models: a file, or neo4j://, bolt://, neo4j+s://.",
        ),
    ] = None,
    q: Annotated[
        float | None, typer.Option("--q", metavar="Q", help="Only matches with at most this q.")
    ] = None,
    limit: Limit = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show one row a layer instead of one a neuron.")
    ] = False,
    circuits: Annotated[
        bool,
        typer.Option(
            "--circuits", help="Show what is preserved of strong edges and motifs instead."
        ),
    ] = False,
    table: Annotated[
        bool,
        typer.Option(
            "--table",
            help="Show the periodic table of features instead; without bundles, that of the database.",
        ),
    ] = False,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published",
            metavar="DIR",
            show_default=False,
            help="Load the features published with the Circuits thread from this folder into the database.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace DIR; compare pairs again that the database has already."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find the neurons of one network again in another.

    Every pair of the networks, both ways: for each neuron its best match in the other network by what both say to the same
    pictures, and how believable that is against twins (networks with the entries of each filter permuted). Also which layers are
    alike, and how well a layer of one network predicts each neuron of the other. Needs the bundles' signatures and no model:
    `circuitome annotate BUNDLE --parts signatures` makes them. Beside that: how many strong edges and motifs of one network are there
    again between the analogues in the other (--circuits), and features, clusters of neurons that match in several networks
    (--table: depth by kind; u1x5 is feature u1, found in 5), each with what chance gives.

    With --db, pairs that the database has already are left alone, so that adding a network costs its own pairs only;
    features are made anew from all pairs that it holds.

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
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import open_database
    from circuitome.universality.compare import CompareError, open_all
    from circuitome.universality.compare import compare as compare_two
    from circuitome.universality.destinations import FolderWriter, pairs_to_compare, record
    from circuitome.universality.features import (
        describe_bundles,
        features,
        mutual_links,
        record_features,
        table_csv,
    )
    from circuitome.universality.preserved import compare_circuits

    if layers + circuits + table > 1:
        raise CompareError(
            "--layers, --circuits and --table each show something else; give one of them"
        )
    if published is not None:
        _publish(published, db)
    if not bundles:
        if table:
            _table_of_database(db, output, limit, as_json=as_json, force=force)
        elif published is None:
            raise CompareError("name two bundles at least, or --table with --db DB")
        return
    networks = open_all([Bundle.open(path) for path in bundles])
    with ExitStack() as stack:
        database = None if db is None else stack.enter_context(open_database(db))
        new = pairs_to_compare(networks, database, force=force)
        pairs = new if output is None else pairs_to_compare(networks)  # the folder gets them all
        writer = (
            None
            if output is None
            else stack.enter_context(FolderWriter(output, networks, force=force))
        )
        report, rows, matches = stack.enter_context(progress()), [], []
        for number, (a, b) in enumerate(pairs):
            found = compare_two(a, b, report=_stage(report, f"pair {number + 1} of {len(pairs)}"))
            found = compare_circuits(found, a.bundle, b.bundle)
            if writer is not None:
                writer.add(found)
            if database is not None and (a, b) in new:
                record(database, found)
            matches.append(found.tables["ANALOGOUS_TO"])
            rows += _shown(found, layers=layers, circuits=circuits, q=q)
        if (
            database is not None
        ):  # also where no pair is new: a run that was cut off may have left those of before
            record_features(database)
        links = mutual_links(matches)
        kinds, groups = describe_bundles([one.bundle for one in networks])
        cells = features(links, kinds=kinds, groups=groups)
        if writer is not None:
            writer.put("periodic_table.csv", table_csv(cells))
    if table and db is not None:
        _table_of_database(db, None, limit, as_json=as_json, force=force)
    elif table:
        _show_table(links, kinds, cells, limit, as_json=as_json)
    else:
        rows = rows if layers or circuits else _ranked(rows)
        show_rows(rows[:limit], as_json=as_json, empty=_empty(pairs, q))
    _tell(networks, pairs, new, output, db)


def _shown(found: Comparison, *, layers: bool, circuits: bool, q: float | None) -> list[Any]:
    if circuits:
        return list(found.circuits)
    return list(found.layers) if layers else _rows(found, q)


def _publish(folder: Path, db: str | None) -> None:
    """Load published features; says how many."""
    from circuitome.queries.database import open_database
    from circuitome.universality.compare import CompareError
    from circuitome.universality.published import record_published

    if db is None:
        raise CompareError("--published loads features into a database; name it with --db DB")
    with open_database(db) as database:
        note(f"{db}: {plural(len(record_published(database, folder)), 'published feature')}")


def _table_of_database(
    db: str | None, output: Path | None, limit: int | None, *, as_json: bool, force: bool
) -> None:
    """Make the features of all networks in a database anew, since one may have been dropped; show the table, and write it."""
    from circuitome.queries.database import open_database
    from circuitome.universality.compare import CompareError
    from circuitome.universality.features import record_features, table_csv

    if db is None:
        raise CompareError("--table needs bundles, or a database that holds comparisons: --db DB")
    path = None if output is None else output / "periodic_table.csv"
    if path is not None and path.exists() and not force:
        raise CompareError(
            f"{path}: already there; name another folder with -o, or --force to replace it"
        )
    with open_database(db) as database:
        links, kinds, found = record_features(database)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(table_csv(found))
        except OSError as error:
            raise CompareError(
                f"{path}: cannot be written ({error.strerror}); name another folder with -o"
            ) from error
        note(f"{path}: {plural(len(found), 'feature')}")
    _show_table(links, kinds, found, limit, as_json=as_json)


def _show_table(
    links: Links,
    kinds: dict[str, str | None],
    found: list[Feature],
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """The table for people, or its features as JSON; what chance gives goes to stderr."""
    from circuitome.universality.features import agreement, chance, grid

    if as_json:
        show_rows([one.row() for one in found[:limit]], as_json=True)
    else:
        show_rows(
            grid(found[:limit]),
            as_json=False,
            empty="no feature: no two neurons match both ways at q <= 0.05",
        )
    for row in chance(links):
        plus = "" if row["models"] == len(links.networks) else " or more"
        expected = f"{row['expected']:.1f} (sd {row['sd']:.1f}) in permuted matches"
        by_chance = (
            expected if row["models"] > 2 else "what the q of matches says of chance holds for two"
        )
        note(
            f"in {row['models']}{plus} networks: {plural(row['features'], 'feature')}; {by_chance}"
        )
    if (same := agreement(links, kinds)) is not None:
        note(
            f"of {same['links']:,} matches whose neurons both have a kind {same['same']:.0%} are of one kind; "
            f"{same['expected']:.0%} in permuted matches (p = {same['p']:.2g})"
        )


def _stage(report: Progress, name: str) -> Any:
    return lambda done, total: report(name, done, total)


def _rows(found: Comparison, q: float | None) -> list[dict[str, Any]]:
    table = found.tables["ANALOGOUS_TO"].select(["from", "to", "score", "mutual", "q"])
    rows = table.rename_columns(["a", "b", "score", "mutual", "q"]).to_pylist()
    return rows if q is None else [row for row in rows if row["q"] <= q]


def _ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most believable first, then the most alike."""
    return sorted(rows, key=lambda row: (row["q"], -row["score"], row["a"], row["b"]))


def _empty(pairs: list[tuple[Signatures, Signatures]], q: float | None) -> str:
    return "no match" + ("" if q is None else f" with q <= {q:g}") if pairs else ""


def _tell(
    networks: list[Signatures],
    pairs: list[Any],
    new: list[Any],
    output: Path | None,
    db: str | None,
) -> None:
    left = len(networks) * (len(networks) - 1) // 2 - len(new)
    if left:
        note(f"{db} has {plural(left, 'pair')} already; --force compares them again")
    if output is not None:
        note(f"{output}: tables and pictures of {plural(len(pairs), 'pair')}")
    if db is not None and new:
        note(f"{db}: {plural(len(new), 'pair')} of networks compared")
    if output is None and db is None:
        note("-o DIR keeps this as tables and pictures, --db DB in a database")
