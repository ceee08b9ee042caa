"""A user's own motif: a query in a file, its instances, and its null networks in the embedded
engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import StoreError
from circuitome.graphdb.stores.scratch import Scratch
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import find, find_significant, nulls
from circuitome.queries.motifs.null_tables import rewired_tables
from circuitome.queries.motifs.own import find_own, find_own_significant, load_own
from circuitome.queries.motifs.saved import Finding, find_saved, save
from circuitome.queries.query_file import LIBRARY
from tests.support.program import run
from tests.support.synthetic import annotated, write_bundle, write_planted

CHAIN = """\
// A neuron that excites one which inhibits a third.
//
// params:
//   model (model): the model
//   strength (float = 0.5): least share of each edge, in units of 1 / fan-in of its receiver
//   limit (integer = 100): at most so many rows
// returns:
//   start: key of the first
//   through: key of the second
//   end: key of the third
//   score: strength of the weaker edge
//
// Source: this test.
MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)-[s:INHIBITS]->(c:Neuron)
WHERE a.model = $model AND b.model = $model AND c.model = $model
  AND r.share * b.fan_in >= $strength AND s.share * c.fan_in >= $strength
RETURN a.key AS start, b.key AS through, c.key AS `end`,
       CASE WHEN r.share * b.fan_in < s.share * c.fan_in THEN r.share * b.fan_in ELSE s.share * c.fan_in END AS score
ORDER BY score DESC, start, through, `end`
LIMIT $limit
"""

EDGES = [
    ("in:0", "mid:0", 1.0),
    ("in:1", "mid:1", -1.0),
    ("mid:0", "out:0", -1.0),
    ("mid:1", "out:0", 0.5),
]
LIBRARY_MOTIFS = ("mutual_inhibition", "opponent_pairs")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("own") / "toy", layers=(4, 10, 10, 4), density=0.7)


@pytest.fixture(scope="module")
def kuzu(toy: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The toy in an embedded database that no test changes."""
    with Database(
        open_store(str(tmp_path_factory.mktemp("own") / "toy.db"), create=True)
    ) as database:
        database.load(toy)
        yield database


def write(folder: Path, text: str, name: str = "chain.cypher") -> Path:
    (folder / name).write_text(text)
    return folder / name


def changed(old: str, new: str) -> str:
    assert old in CHAIN
    return CHAIN.replace(old, new)


def test_an_own_motif_is_found_where_it_was_planted(database: Database, tmp_path: Path) -> None:
    database.load(write_planted(tmp_path / "p", {"in": 2, "mid": 2, "out": 1}, EDGES, name="p"))
    motif = load_own(write(tmp_path, CHAIN))
    roles = {"start": ["p/in:0"], "through": ["p/mid:0"], "end": ["p/out:0"]}
    (row,) = find_own(database, motif)
    assert (row["kind"], row["model"], row["roles"]) == ("chain", "p", roles)
    assert (row["p"], row["q"], row["null"]) == (None, None, None)
    assert row["score"] == pytest.approx(1.0)  # of 1.0 and 0.8 x 2


def test_a_motif_of_the_library_as_a_file_is_the_motif_of_the_library(
    database: Database, toy: Bundle
) -> None:
    database.load(toy)
    for kind in LIBRARY_MOTIFS:
        given: dict[str, Any] = {"strength": 0.5} | (
            {"cosine": 0.1} if kind == "opponent_pairs" else {}
        )
        motif = load_own(LIBRARY / "motifs" / f"{kind}.cypher")
        assert find_own(database, motif, **given) == find(database, kind, **given)
        rows, found = find_own_significant(database, motif, nulls=6, seed=1, limit=3, **given)
        expected_rows, expected = find_significant(
            database, kind, nulls=6, seed=1, limit=3, **given
        )
        assert rows == expected_rows
        assert len(rows) == 3
        # the same null networks, asked in Cypher and counted in numpy
        alike = ["instances", "strongest", "nulls", "instance_null"]
        if kind == "opponent_pairs":  # others have a p by another count, or none
            alike += ["p", "null", "null_mean", "null_sd"]
        for name in alike:
            assert getattr(found, name) == getattr(expected, name), name
        assert found.instances > 3
        np.testing.assert_allclose(found.q, expected.q)


@pytest.mark.parametrize("null", ["signs", "swap", "relabel", "columns", "kernels"])
def test_null_networks_are_the_rewired_graph_edge_by_edge(
    kuzu: Database, toy: Bundle, null: str
) -> None:
    graph = SignedGraph.of_bundle(toy)
    columns = ["from", "to", "weight", "excitation", "polarity", "share", "rank", "kernel"]
    plain = pa.schema([pa.field("from", pa.string()), pa.field("to", pa.string())])
    edges = pa.concat_tables(
        [
            pa.table(
                [
                    toy.table(name)[c].cast(plain.field(c).type)
                    if c in plain.names
                    else toy.table(name)[c]
                    for c in columns
                ],
                names=columns,
            )
            for name in ("EXCITES", "INHIBITS")
        ]
    )
    copy = nulls.find_null(null)(graph, np.random.default_rng(0))
    tables = rewired_tables(graph, copy, edges)
    with Scratch({"Neuron": toy.table("Neuron").select(["key"]), **tables}) as scratch:
        rows = scratch.run(
            "MATCH (a:Neuron)-[r:EXCITES|INHIBITS]->(b:Neuron) RETURN a.key AS sender, b.key AS "
            "receiver, "
            "r.weight AS weight, r.excitation AS excitation, r.polarity AS polarity, r.share AS "
            "share, r.rank AS rank",
            {},
        )
        excites = scratch.run(
            "MATCH (:Neuron)-[r:EXCITES]->(:Neuron) RETURN min(r.weight) AS least", {}
        )
    found = {(row["sender"], row["receiver"]): row for row in rows.to_pylist()}
    assert len(found) == rows.num_rows == len(graph.sender)
    for place, ends in enumerate(
        zip(copy.names(copy.sender), copy.names(copy.receiver), strict=True)
    ):
        for name in ("weight", "polarity", "share", "rank"):
            assert found[ends][name] == pytest.approx(getattr(copy, name)[place])
        mass = 2 * found[ends]["excitation"] - found[ends]["weight"]
        assert found[ends]["polarity"] * mass == pytest.approx(found[ends]["weight"], abs=1e-6)
        assert found[ends]["excitation"] >= -1e-6
    assert excites["least"][0].as_py() >= 0


def test_the_limit_cuts_the_rows_and_not_the_counts(kuzu: Database, tmp_path: Path) -> None:
    motif = load_own(write(tmp_path, CHAIN))
    every = find_own(kuzu, motif, limit=1_000_000)
    rows, found = find_own_significant(kuzu, motif, nulls=3, limit=2)
    assert len(every) == found.instances > 2
    assert [row["roles"] for row in rows] == [row["roles"] for row in every[:2]]
    assert [row["q"] for row in rows] == [found.q_of(row["score"]) for row in rows]
    assert {row["null"] for row in rows} == {"kernels"}


def test_the_null_model_of_p_can_be_chosen(kuzu: Database, tmp_path: Path) -> None:
    motif = load_own(write(tmp_path, CHAIN))
    told: list[tuple[int, int]] = []
    _, found = find_own_significant(
        kuzu, motif, nulls=3, null="relabel", progress=lambda *done: told.append(done)
    )
    assert (found.null, found.instance_null) == ("relabel", "kernels")
    assert told == [(done, 6) for done in range(7)]
    _, same = find_own_significant(kuzu, motif, nulls=3, null="kernels")
    assert same.null == "kernels"
    with pytest.raises(
        QueryError, match="no null model of edges is called 'sign'; did you mean `signs`"
    ):
        find_own_significant(kuzu, motif, nulls=3, null="sign")


def test_rows_of_the_same_neurons_are_one_instance_with_the_best_score(
    kuzu: Database, tmp_path: Path
) -> None:
    text = (
        changed("a.key AS start, ", "")
        .replace("//   start: key of the first\n", "")
        .replace("start, ", "")
    )
    rows = find_own(kuzu, load_own(write(tmp_path, text)), limit=1_000_000)
    whole = find_own(kuzu, load_own(write(tmp_path, CHAIN)), limit=1_000_000)
    best: dict[tuple[str, str], float] = {}
    for row in whole:
        ends = (row["roles"]["through"][0], row["roles"]["end"][0])
        best[ends] = max(best.get(ends, 0.0), row["score"])
    assert {
        (row["roles"]["through"][0], row["roles"]["end"][0]): row["score"] for row in rows
    } == best
    assert len(rows) == len(best) < len(whole)


def test_without_a_score_every_instance_has_one(kuzu: Database, tmp_path: Path) -> None:
    start = CHAIN.index(",\n       CASE")
    text = CHAIN[:start] + CHAIN[CHAIN.index("\nORDER BY") :]
    text = text.replace("//   score: strength of the weaker edge\n", "").replace(
        "ORDER BY score DESC, ", "ORDER BY "
    )
    rows, found = find_own_significant(kuzu, load_own(write(tmp_path, text)), nulls=3)
    assert {row["score"] for row in rows} == {1.0}
    assert len({row["q"] for row in rows}) == 1
    assert found.instances == len(
        find_own(kuzu, load_own(write(tmp_path, CHAIN, "other.cypher")), limit=1_000_000)
    )


def test_numbered_columns_and_lists_are_places_of_one_role(kuzu: Database, tmp_path: Path) -> None:
    text = """\
// A neuron and what excites it.
//
// params:
//   model (model): the model
// returns:
//   reader: key of the neuron
//   input: keys of what excites it
//   score: their number
MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)
WHERE b.model = $model
RETURN b.key AS reader, collect(a.key) AS input, count(*) AS score
ORDER BY score DESC, reader
"""
    (row, *_) = find_own(kuzu, load_own(write(tmp_path, text)))
    assert len(row["roles"]["input"]) == row["score"] > 1
    text = text.replace("reader", "case_1").replace(
        "collect(a.key) AS input", "min(a.key) AS case_2"
    )
    (row, *_) = find_own(kuzu, load_own(write(tmp_path, text.replace("//   input", "//   case_2"))))
    assert list(row["roles"]) == ["case"]
    assert len(row["roles"]["case"]) == 2


def test_annotations_are_kept_in_null_networks(tmp_path: Path) -> None:
    bundle = annotated(write_bundle(tmp_path / "toy", layers=(4, 10, 10, 4), density=0.7))
    text = changed(
        "WHERE a.model",
        "WHERE b.kind IS NOT NULL AND EXISTS { MATCH (b)-[:IN_LAYER]->(:Layer) } AND a.model",
    )
    with Database(open_store(str(tmp_path / "a.db"), create=True)) as database:
        database.load(bundle)
        rows, found = find_own_significant(
            database, load_own(write(tmp_path, text)), nulls=4, null="signs"
        )
    assert rows
    assert found.null_mean > 0


@pytest.mark.parametrize(
    "old, new, message",
    [
        (CHAIN[: CHAIN.index("MATCH")], "", "no header"),
        ("MATCH (a", "CREATE (:Neuron {key: 'x'}) WITH 1 AS one MATCH (a", "reads"),
        ("$model", "'toy'", "declared and not used"),
        (
            "//   end: key of the third\n",
            "",
            "it returns start, through, end, score and documents start, through, score",
        ),
    ],
)
def test_a_file_that_is_no_motif_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        load_own(write(tmp_path, changed(old, new)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"gone\.cypher: no such file"):
        load_own(tmp_path / "gone.cypher")


def test_a_motif_needs_a_model(tmp_path: Path) -> None:
    text = changed("//   model (model): the model\n", "").replace(
        " a.model = $model AND b.model = $model AND c.model = $model\n  AND", ""
    )
    with pytest.raises(QueryError, match=r"add `//   model \(model\): the model`"):
        load_own(write(tmp_path, text))


def test_a_motif_without_neurons_is_refused(kuzu: Database, tmp_path: Path) -> None:
    text = changed(
        "a.key AS start, b.key AS through, c.key AS `end`",
        "a.layer AS start, b.layer AS through, c.layer AS `end`",
    )
    with pytest.raises(
        QueryError, match=r"none of its columns \(start, through, end, score\) holds neuron keys"
    ):
        find_own(kuzu, load_own(write(tmp_path, text)))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("[s:INHIBITS]", "[s:EXPANDED]", "rewired edges and no EXPANDED"),
        ("[s:INHIBITS]", "[s]", "a relationship without a type"),
        ("LIMIT $limit", "LIMIT 5", "its LIMIT cuts the counts"),
    ],
)
def test_what_null_networks_cannot_answer_is_refused(
    kuzu: Database, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = changed(old, new)
    if "$limit" not in text:
        text = text.replace("//   limit (integer = 100): at most so many rows\n", "")
    motif = load_own(write(tmp_path, text))
    with pytest.raises(QueryError, match=message):
        find_own_significant(kuzu, motif, nulls=2)


def test_an_own_motif_is_saved_under_the_name_of_its_file(
    kuzu: Database, toy: Bundle, tmp_path: Path
) -> None:
    motif = load_own(write(tmp_path, CHAIN))
    with Database(open_store(str(tmp_path / "a.db"), create=True)) as database:
        database.load(toy)
        rows = find_own(database, motif, limit=3)
        ((row, *_),) = save(database, "toy", [Finding.of(motif.query, rows, model="toy", limit=3)])
        assert (
            find_saved(database, row["key"]).motif["title"]
            == "A neuron that excites one which inhibits a third."
        )
        (kind,) = database.store.run(
            "MATCH (k:MotifKind) RETURN k.key AS key, k.source AS source"
        ).to_pylist()
    assert kind == {"key": "chain", "source": "this test."}


def test_an_end_that_is_not_there_is_one_message(toy: Bundle) -> None:
    edges = pa.table({"from": ["toy/conv1:0"], "to": ["toy/nowhere:1"]})
    with pytest.raises(StoreError, match="a null network cannot be built"):
        Scratch({"Neuron": toy.table("Neuron").select(["key"]), "EXCITES": edges})


def test_the_example_of_the_page_runs(
    toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    page = (Path(__file__).parents[2] / "docs" / "own_motifs.md").read_text()
    (example,) = re.findall(r"```cypher\n(.*?)```", page, re.DOTALL)
    write(tmp_path, example, "disinhibition.cypher")
    assert run("load", toy.path).code == 0
    commands = re.findall(r"^circuitome (motifs disinhibition.*)$", page, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        got = run(
            *re.sub(r"--null \d+", "--null 2", command).split(), "-p", "strength=0.5", "--json"
        )
        assert got.code == 0, got.err
        assert got.rows or "--q" in command  # nothing is planted in a random network


def test_the_command_line_runs_a_file(
    kuzu: Database, toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    write(tmp_path, CHAIN)
    assert run("load", toy.path).code == 0
    got = run(
        "motifs",
        "chain.cypher",
        "--null",
        "3",
        "--null-model",
        "swap",
        "--limit",
        "2",
        "--save",
        "--json",
    )
    assert got.code == 0, got.err
    assert [row["kind"] for row in got.rows] == ["chain", "chain"]
    assert "3 null networks `swap`" in got.err
    (enriched,) = run("query", "enrichments", "--json").rows
    assert (enriched["kind"], enriched["null_model"], enriched["nulls"]) == ("chain", "swap", 3)
    assert "through" in run("circuit", got.rows[0]["key"]).out
    wrong = run("motifs", "opponent_pairs", "--null-model", "swap")
    assert wrong.code == 2 and "--null-model" in wrong.err
    unknown = run("motifs", "nowhere.cypher")
    assert unknown.code == 2 and "nowhere.cypher: no such file" in unknown.err
