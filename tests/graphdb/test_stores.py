"""Both stores pass the same tests: same bundle in, same rows out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, SCHEMA_VERSION, arrow_schema, table_type
from circuitome.graphdb.stores import embedded
from circuitome.graphdb.stores.local_server import LocalServer, ServerError
from circuitome.graphdb.stores.neo4j import Neo4jStore
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import Amendment, Removal, Store, StoreError
from tests.support.synthetic import annotated, write_bundle, write_planted

HOSTILE = [
    "it's",
    'say "x"',
    "`tick`",
    "x}) DETACH DELETE n //",
    "$m",
    "\\",
    "neurön/ℓ",
    "a\nb",
    "-1; DROP TABLE Model",
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return annotated(write_bundle(tmp_path_factory.mktemp("bundles") / "toy"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(
        tmp_path_factory.mktemp("bundles") / "other", name="other", layers=(3, 4, 4, 2), seed=1
    )


def read(store: Store, table: str, model: str) -> list[dict[str, Any]]:
    """All rows of a table that belong to a model, in order."""
    kind = table_type(table)
    columns = [f"x.`{column.name}` AS `{column.name}`" for column in kind.columns]
    if table in NODES:
        owner = "key" if table == "Model" else "model"
        query = f"MATCH (x:{table}) WHERE x.{owner} = $model RETURN {', '.join(columns)}"
    else:
        kind = RELATIONSHIPS[table]
        query = (
            f"MATCH (a:{kind.source})-[x:{table}]->(b:{kind.target}) WHERE a.key STARTS "
            "WITH $model "
        )
        query += f"RETURN {', '.join(['a.key AS `from`', 'b.key AS `to`', *columns])}"
    return ordered(store.run(query, {"model": model}))


def ordered(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(
        rows.to_pylist(), key=lambda row: (row.get("from") or row.get("key"), row.get("to") or "")
    )


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert list(left) == list(right)
        for name, value in right.items():
            if isinstance(value, float):
                assert left[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
            else:
                assert left[name] == value, name


def assert_holds(store: Store, bundle: Bundle) -> None:
    for table in (*NODES, *RELATIONSHIPS):
        if table not in ("Feature", "MotifKind"):
            assert_same(read(store, table, bundle.model), ordered(bundle.table(table)))


def count(store: Store) -> tuple[int, int]:
    nodes = store.run("MATCH (n) RETURN count(*) AS n")["n"][0].as_py()
    return nodes, store.run("MATCH ()-[r]->() RETURN count(*) AS n")["n"][0].as_py()


def test_every_table_comes_back_as_it_is_in_the_bundle(store: Store, toy: Bundle) -> None:
    store.load(toy)
    assert (
        toy.rows("EXPANDED")
        and toy.rows("GATES")
        and toy.rows("IN_BRANCH")
        and toy.rows("MEMBER_OF")
    )
    assert_holds(store, toy)


def test_loading_twice_gives_the_same_graph(store: Store, toy: Bundle) -> None:
    store.load(toy)
    before = count(store)
    store.load(toy)
    assert count(store) == before
    assert_holds(store, toy)


def test_two_models_live_side_by_side_and_one_can_go(
    store: Store, toy: Bundle, other: Bundle
) -> None:
    store.load(toy)
    store.load(other)
    assert [(row["key"], row["state"]) for row in store.models()] == [
        ("other", "ready"),
        ("toy", "ready"),
    ]
    assert_holds(store, toy)
    assert_holds(store, other)
    store.drop("toy")
    assert [row["key"] for row in store.models()] == ["other"]
    assert count(store)[0] == sum(other.rows(table) for table in NODES)
    assert_holds(store, other)


def test_several_bundles_load_at_once(store: Store, toy: Bundle, other: Bundle) -> None:
    store.load(toy, other)
    assert_holds(store, toy)
    assert_holds(store, other)


def test_the_last_model_can_go_and_come_back(store: Store, toy: Bundle) -> None:
    store.load(toy)
    store.drop("toy")
    assert store.models() == []
    assert count(store) == (0, 0)
    store.load(toy)
    assert_holds(store, toy)


def test_dropping_what_is_not_there_says_what_is(store: Store, toy: Bundle) -> None:
    store.load(toy)
    with pytest.raises(StoreError, match=r"no model 'tiy'; it has toy"):
        store.drop("tiy")


def test_a_replaced_model_has_nothing_of_the_old_one(
    store: Store, toy: Bundle, tmp_path: Path
) -> None:
    store.load(toy)
    small = write_bundle(tmp_path / "small", name="toy", layers=(3, 4, 2))
    store.load(small)
    assert_holds(store, small)
    assert count(store)[0] == sum(small.rows(table) for table in NODES)


def test_progress_ends_at_all_rows_of_every_table(store: Store, toy: Bundle) -> None:
    seen: dict[str, tuple[int, int]] = {}
    store.load(toy, progress=lambda table, done, total: seen.update({table: (done, total)}))
    rows = {table: (toy.rows(table), toy.rows(table)) for table in toy.tables}
    seen.setdefault("Model", (1, 1))
    assert seen == rows


WRITING = [
    "CREATE (n:Model {key: 'evil'})",
    "MATCH (n:Neuron) SET n.bias = 7.0",
    "MATCH (n:Neuron) SET n.bias = 7.0 RETURN n.key",
    "MATCH (n:Neuron) DETACH DELETE n",
    "MATCH (n:Neuron) WITH n LIMIT 1 DETACH DELETE n RETURN 1 AS x",
    "MERGE (n:Model {key: 'evil'}) RETURN n.key",
    "MATCH (n:Neuron) REMOVE n.bias RETURN n.key",
    "UNWIND [1] AS x CREATE (n:Model {key: 'evil'}) RETURN n.key",
    "DROP TABLE Neuron",
    "RETURN 1 AS x; MATCH (n) DETACH DELETE n",
    "// comment\nCREATE (n:Model {key: 'evil'})",
    "/* MATCH */ CREATE (n:Model {key: 'evil'})",
    "COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "LOAD FROM '/etc/passwd' RETURN *",
    "MATCH (n:Model) CALL (n) { DETACH DELETE n } IN TRANSACTIONS RETURN 1 AS x",
    "",
    "CREATE INDEX x FOR (n:Neuron) ON (n.bias)",
    "ALTER TABLE Neuron ADD evil STRING",
    "PROFILE CREATE (n:Model {key: 'evil'})",
]


def test_reading_cannot_write(store: Store, toy: Bundle) -> None:
    store.load(toy)
    before = count(store)
    for cypher in WRITING:
        with pytest.raises(StoreError):
            store.run(cypher)
    assert count(store) == before
    assert not Path("stolen.csv").exists()


def test_the_engine_itself_refuses_to_write(
    store: Store, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.load(toy)
    monkeypatch.setattr(
        "circuitome.graphdb.stores.protocol.check_reading", lambda text, **options: None
    )
    for cypher in (
        "CREATE (n:Model {key: 'evil'})",
        "MATCH (n:Neuron) SET n.bias = 7.0",
        "MATCH (n) DETACH DELETE n",
    ):
        with pytest.raises(StoreError):
            store.run(cypher)
    assert_holds(store, toy)


def test_words_that_write_may_be_values_and_names(store: Store, toy: Bundle) -> None:
    store.load(toy)
    for word in ("CREATE", "set", "Delete", "MERGE"):
        rows = store.run(
            f"MATCH (n:Model) WHERE n.key <> '{word}' RETURN n.key AS `{word}` // {word} (x)"
        )
        assert rows.to_pylist() == [{word: "toy"}]


def test_a_runaway_query_is_stopped_and_the_store_lives_on(store: Store, tmp_path: Path) -> None:
    store.load(write_bundle(tmp_path / "wide", name="wide", layers=(3, *[40] * 7), size=1))
    paths = "-[:EXCITES]->".join(f"(n{number}:Neuron)" for number in range(8))
    with pytest.raises(StoreError, match=r"stopped after 0\.2 s; narrow"):
        store.run(f"MATCH {paths} RETURN sum(n0.bias * n7.bias + n3.bias) AS x", timeout=0.2)
    assert [row["key"] for row in store.models()] == ["wide"]


def test_parameters_are_checked_both_ways(store: Store, toy: Bundle) -> None:
    store.load(toy)
    with pytest.raises(StoreError, match=r"uses \$key, which was not given"):
        store.run("MATCH (n:Model {key: $key}) RETURN n.key")
    with pytest.raises(StoreError, match=r"no parameter \$kye; it uses \$key"):
        store.run("MATCH (n:Model {key: $key}) RETURN n.key", {"key": "toy", "kye": 1})


def test_a_value_that_no_database_takes_is_refused(store: Store, toy: Bundle) -> None:
    store.load(toy)
    values: tuple[Any, ...] = (object(), 2**70, [object()])
    for value in values:
        with pytest.raises(StoreError):
            store.run("MATCH (n:Model) WHERE n.seed = $x RETURN n.key AS k", {"x": value})


def test_a_faulty_query_is_one_message(store: Store, toy: Bundle) -> None:
    store.load(toy)
    for cypher in [
        "MTCH (n) RETURN n",
        "MATCH (n:Neuron RETURN n",
        "MATCH (n) RETURN nope(n)",
        "RETURN n",
    ]:
        with pytest.raises(StoreError) as caught:
            store.run(cypher)
        assert "\n" not in str(caught.value)


def test_both_stores_give_the_same_arrow_types(store: Store, toy: Bundle) -> None:
    store.load(toy)
    rows = store.run(
        "MATCH (n:Neuron) RETURN count(*) AS n, sum(n.channel) AS s, avg(n.channel) AS a, "
        "max(n.bias) AS m, "
        "collect(n.channel) AS c, min(n.key) AS k, sum(n.depth) AS d, count(*) > 2 AS b"
    )
    assert [str(kind) for kind in rows.schema.types[:4]] == ["int64", "int64", "double", "double"]
    assert rows.schema.field("c").type.value_type == pa.int64()
    assert [str(kind) for kind in rows.schema.types[5:]] == ["string", "double", "bool"]


def test_no_rows_still_have_their_columns(store: Store, toy: Bundle) -> None:
    store.load(toy)
    rows = store.run(
        "MATCH (n:Neuron) WHERE n.channel > $most RETURN n.key AS key, n.bias AS bias",
        {"most": 1000},
    )
    assert rows.num_rows == 0
    assert rows.column_names == ["key", "bias"]


def test_a_whole_node_comes_back_as_its_properties(store: Store, toy: Bundle) -> None:
    store.load(toy)
    (row,) = store.run("MATCH (n:Layer {key: 'toy/conv1'}) RETURN n AS layer").to_pylist()
    expected = next(
        layer for layer in toy.table("Layer").to_pylist() if layer["key"] == "toy/conv1"
    )
    assert row["layer"] == {name: value for name, value in expected.items() if value is not None}


def test_hostile_names_stay_names(store: Store, tmp_path: Path) -> None:
    layers = dict.fromkeys(HOSTILE, 1)
    edges = [(f"{a}:0", f"{b}:0", 1.0) for a, b in pairwise(HOSTILE)]
    bundle = write_planted(tmp_path / "hostile", layers, edges, name="m`\"'}) DETACH DELETE n //")
    store.load(bundle)
    assert_holds(store, bundle)
    key = bundle.table("Neuron")["key"][3].as_py()
    assert store.run(
        "MATCH (n:Neuron {key: $key}) RETURN n.key AS key", {"key": key}
    ).to_pylist() == [{"key": key}]
    store.drop(bundle.model)
    assert count(store) == (0, 0)


def test_a_damaged_bundle_is_refused_and_changes_nothing(
    store: Store, toy: Bundle, tmp_path: Path
) -> None:
    store.load(toy)
    broken = write_bundle(tmp_path / "broken", name="toy", seed=5)
    data = bytearray(broken.table_path("EXCITES").read_bytes())
    data[len(data) // 2] ^= 255
    broken.table_path("EXCITES").write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"EXCITES\.parquet was altered"):
        store.load(broken)
    assert_holds(store, toy)


def table_of(name: str, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(name))


def motif(key: str, model: str, *, score: float = 1.0, kind: str = "pair") -> dict[str, Any]:
    roles = {"roles": ["case", "case"], "members": [f"{model}/conv1:0", f"{model}/conv1:1"]}
    return {"key": key, "model": model, "kind": kind, "score": score, **roles}


def saved(*rows: dict[str, Any]) -> dict[str, pa.Table]:
    """Everything that motifs are, but their kind."""
    parts = [
        {"from": row["key"], "to": member, "role": role, "position": place}
        for row in rows
        for place, (role, member) in enumerate(zip(row["roles"], row["members"], strict=True))
    ]
    kinds = [{"from": row["key"], "to": row["kind"]} for row in rows]
    return {
        "Motif": table_of("Motif", *rows),
        "HAS_ROLE": table_of("HAS_ROLE", *parts),
        "OF_KIND": table_of("OF_KIND", *kinds),
    }


PAIR = table_of("MotifKind", {"key": "pair", "title": "A pair."})


@pytest.fixture
def amended(store: Store, toy: Bundle, other: Bundle) -> Store:
    """Two models; one with two motifs of a kind and what is known of that kind, the other with
    one motif.
    """
    store.load(toy, other)
    enriched = table_of("ENRICHED_IN", {"from": "pair", "to": "toy", "instances": 2, "p": 0.5})
    rows = saved(motif("m1", "toy"), motif("m2", "toy", score=2.0), motif("m3", "other"))
    store.amend(Amendment(insert={"MotifKind": PAIR, "ENRICHED_IN": enriched, **rows}))
    return store


def motifs_of(store: Store, model: str) -> list[tuple[str, float]]:
    """Motifs of a model with their scores, as their relationships tell them."""
    rows = store.run(
        "MATCH (k:MotifKind)<-[:OF_KIND]-(m:Motif)-[r:HAS_ROLE]->(n:Neuron) WHERE n.model = $model "
        "RETURN m.key AS key, m.score AS score, m.roles AS roles, m.members AS members, k.title "
        "AS title, "
        "r.role AS role, r.position AS position, n.key AS neuron ORDER BY key, position",
        {"model": model},
    ).to_pylist()
    for row in rows:
        assert (row["roles"][row["position"]], row["members"][row["position"]]) == (
            row["role"],
            row["neuron"],
        )
    assert len(rows) % 2 == 0
    return [(row["key"], row["score"]) for row in rows[::2]]


@pytest.mark.parametrize("what", ["load", "drop", "amend"])
def test_a_writer_waits_for_another_one_and_says_so(
    amended: Store,
    address: str,
    toy: Bundle,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("circuitome.graphdb.stores.protocol._PATIENCE", 0.2)
    change = Amendment((Removal("Motif", {"model": ["toy"]}),))
    writes = {
        "load": lambda: amended.load(toy),
        "drop": lambda: amended.drop("toy"),
        "amend": lambda: amended.amend(change),
    }
    with ThreadPoolExecutor(1) as pool, open_store(address) as holder:
        with holder._alone() if isinstance(holder, Neo4jStore) else embedded._alone(Path(address)):
            waits = pool.submit(writes[what])
            with pytest.raises(TimeoutError):
                waits.result(timeout=1.5)
            assert f"{address}: another program writes; waiting" in caplog.text
            assert motifs_of(amended, "toy") == [("m1", 1.0), ("m2", 2.0)]
        waits.result(timeout=60)
    assert motifs_of(amended, "toy") == []


def test_what_an_amendment_inserts_is_read_back_and_the_models_stay(
    amended: Store, toy: Bundle, other: Bundle
) -> None:
    assert motifs_of(amended, "toy") == [("m1", 1.0), ("m2", 2.0)]
    assert motifs_of(amended, "other") == [("m3", 1.0)]
    assert [(row["key"], row["state"]) for row in amended.models()] == [
        ("other", "ready"),
        ("toy", "ready"),
    ]
    for bundle in (toy, other):
        for table in bundle.tables:
            assert_same(read(amended, table, bundle.model), ordered(bundle.table(table)))


def test_an_amendment_replaces_what_it_removes(amended: Store) -> None:
    gone = Removal("Motif", {"model": ["toy"], "kind": ["pair"]})
    amended.amend(Amendment((gone,), saved(motif("m2", "toy", score=5.0), motif("m4", "toy"))))
    assert motifs_of(amended, "toy") == [("m2", 5.0), ("m4", 1.0)]
    assert motifs_of(amended, "other") == [("m3", 1.0)]


def test_a_key_that_is_there_gets_new_properties_and_keeps_its_relationships(
    amended: Store,
) -> None:
    amended.amend(
        Amendment(
            insert={
                "MotifKind": table_of("MotifKind", {"key": "pair", "title": "Two."}),
                "Motif": table_of("Motif", motif("m1", "toy", score=9.0)),
            }
        )
    )
    assert motifs_of(amended, "toy") == [("m1", 9.0), ("m2", 2.0)]
    rows = amended.run(
        "MATCH (k:MotifKind)-[e:ENRICHED_IN]->(m:Model) RETURN k.title AS title, e.p AS p, m.key "
        "AS key"
    )
    assert rows.to_pylist() == [{"title": "Two.", "p": 0.5, "key": "toy"}]


@pytest.mark.parametrize(
    "removal, left",
    [
        (Removal("HAS_ROLE", {"position": [1]}), {("m1", 0), ("m2", 0), ("m3", 0)}),
        (Removal("HAS_ROLE", source={"key": ["m1", "m3"]}), {("m2", 0), ("m2", 1)}),
        (
            Removal("HAS_ROLE", target={"model": ["other"]}),
            {("m1", 0), ("m1", 1), ("m2", 0), ("m2", 1)},
        ),
        (
            Removal("HAS_ROLE", {"position": [0]}, {"model": ["toy"]}),
            {("m1", 1), ("m2", 1), ("m3", 0), ("m3", 1)},
        ),
        (Removal("Motif", {"score": [2.0]}), {("m1", 0), ("m1", 1), ("m3", 0), ("m3", 1)}),
        (Removal("HAS_ROLE"), set()),
        (
            Removal("HAS_ROLE", {"position": []}),
            {(f"m{n}", place) for n in (1, 2, 3) for place in (0, 1)},
        ),
        (
            Removal("Motif", {"q": [0.5]}),
            {(f"m{n}", place) for n in (1, 2, 3) for place in (0, 1)},
        ),  # they have no q
    ],
)
def test_a_removal_takes_what_matches_all_that_it_says(
    amended: Store, removal: Removal, left: set[tuple[str, int]]
) -> None:
    amended.amend(Amendment((removal,)))
    rows = amended.run(
        "MATCH (m:Motif)-[r:HAS_ROLE]->(:Neuron) RETURN m.key AS key, r.position AS position"
    )
    assert {(row["key"], row["position"]) for row in rows.to_pylist()} == left
    assert rows.num_rows == len(left)


def test_an_end_that_is_not_there_is_named_and_nothing_is_changed(amended: Store) -> None:
    before = count(amended)
    wrong = saved(motif("m5", "toy") | {"members": ["toy/conv1:0", "toy/nowhere:1"]})
    with pytest.raises(
        StoreError,
        match=r"HAS_ROLE names a Motif or a Neuron that is not there, nothing was changed",
    ):
        amended.amend(Amendment((Removal("Motif", {"model": ["other"]}),), wrong))
    assert count(amended) == before
    assert motifs_of(amended, "other") == [("m3", 1.0)]


@pytest.mark.parametrize(
    "change, message",
    [
        (Amendment((Removal("Motive"),)), "the schema has no table 'Motive'"),
        (Amendment((Removal("Motif", {"modl": ["toy"]}),)), "Motif has no column 'modl'"),
        (
            Amendment((Removal("Motif", source={"key": ["toy"]}),)),
            "Motif is a node and has no ends",
        ),
        (
            Amendment((Removal("HAS_ROLE", target={"kinds": ["x"]}),)),
            "Neuron has no column 'kinds'",
        ),
        (Amendment(insert={"Motive": PAIR}), "the schema has no table 'Motive'"),
        (Amendment(insert={"Motif": PAIR}), "rows of Motif have the columns key, title"),
        (Amendment(insert={"MotifKind": pa.concat_tables([PAIR, PAIR])}), "have a key twice"),
        (Amendment(insert={"MotifKind": table_of("MotifKind", {"title": "?"})}), "has no key"),
        (
            Amendment(insert={"MotifKind": PAIR.set_column(1, "title", pa.array([[1, 2]]))}),
            "rows of MotifKind do not fit the schema",
        ),
    ],
)
def test_an_amendment_that_does_not_fit_the_schema_is_refused(
    amended: Store, change: Amendment, message: str
) -> None:
    before = count(amended)
    with pytest.raises(StoreError, match=message):
        amended.amend(change)
    assert count(amended) == before


def test_motifs_go_with_their_model_and_when_it_is_loaded_again(
    amended: Store, toy: Bundle
) -> None:
    amended.load(toy)
    assert motifs_of(amended, "toy") == []
    assert amended.run("MATCH (m:Motif) RETURN m.key AS key").to_pylist() == [{"key": "m3"}]
    assert (
        amended.run("MATCH (:MotifKind)-[e:ENRICHED_IN]->(m:Model) RETURN m.key AS key").num_rows
        == 0
    )
    amended.amend(Amendment(insert=saved(motif("m1", "toy"))))
    assert motifs_of(amended, "toy") == [("m1", 1.0)]
    amended.drop("toy")
    assert motifs_of(amended, "other") == [("m3", 1.0)]
    assert amended.run("MATCH (m:Motif) RETURN m.key AS key").to_pylist() == [{"key": "m3"}]
    amended.drop("other")
    assert count(amended) == (0, 0)


def test_a_database_is_whole_after_many_amendments(store: Store, toy: Bundle) -> None:
    store.load(toy)
    for number in range(8):
        rows = [
            motif(f"{number % 3}-{place}", "toy", score=float(number))
            for place in range(40 + number)
        ]
        store.amend(
            Amendment((Removal("Motif", {"model": ["toy"]}),), {"MotifKind": PAIR, **saved(*rows)})
        )
        assert motifs_of(store, "toy") == sorted((row["key"], row["score"]) for row in rows)
    store.amend(Amendment((Removal("MotifKind"), Removal("Motif"))))
    assert_holds(store, toy)
    assert count(store)[0] == sum(toy.rows(table) for table in NODES)


def test_neurons_themselves_can_be_amended(store: Store, toy: Bundle) -> None:
    store.load(toy)
    rows = toy.table("Neuron").to_pylist()
    changed = [row | {"kind": "curve"} for row in rows[:2]]
    store.amend(Amendment(insert={"Neuron": table_of("Neuron", *changed)}))
    assert_same(
        read(store, "Neuron", "toy"), sorted([*changed, *rows[2:]], key=lambda row: row["key"])
    )
    assert_same(read(store, "EXCITES", "toy"), ordered(toy.table("EXCITES")))
    assert [row["state"] for row in store.models()] == ["ready"]


def test_a_reader_keeps_its_rows_while_another_amends(tmp_path: Path, toy: Bundle) -> None:
    path = str(tmp_path / "x.db")
    with open_store(path, create=True) as writer:
        writer.load(toy)
        with open_store(path) as reader:
            writer.amend(Amendment(insert={"MotifKind": PAIR}))
            assert reader.run("MATCH (k:MotifKind) RETURN k.key AS key").num_rows == 0
        with open_store(path) as reader:
            assert reader.run("MATCH (k:MotifKind) RETURN k.key AS key").to_pylist() == [
                {"key": "pair"}
            ]
    assert [left.name for left in tmp_path.iterdir()] == ["x.db"]


def test_a_large_amendment_reaches_neo4j_in_batches(
    neo4j_empty: Any, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("circuitome.graphdb.stores.neo4j._ATOMIC", 10)
    with open_store(neo4j_empty.address) as store:
        store.load(toy)
        rows = [motif(f"m{number}", "toy") for number in range(30)]
        store.amend(Amendment(insert={"MotifKind": PAIR, **saved(*rows)}))
        store.amend(Amendment((Removal("Motif"),), saved(*rows[:20])))
        assert len(motifs_of(store, "toy")) == 20


def test_of_a_large_amendment_the_last_rows_come_at_once(
    neo4j_empty: Any, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What seals a comparison, the pairs of layers, is among them."""
    monkeypatch.setattr("circuitome.graphdb.stores.neo4j._ATOMIC", 4)
    monkeypatch.setattr("circuitome.graphdb.stores.neo4j._BATCH", 2)
    neurons, layers = (toy.table(name)["key"].to_pylist() for name in ("Neuron", "Layer"))
    matches = table_of("ANALOGOUS_TO", *({"from": one, "to": one} for one in neurons[:9]))
    sealed = table_of("ALIGNED_WITH", *({"from": layer, "to": layer} for layer in layers[:3]))
    seen: list[tuple[int, int]] = []
    with open_store(neo4j_empty.address) as store, open_store(neo4j_empty.address) as reader:
        store.load(toy)
        assert isinstance(store, Neo4jStore)
        real = store._amend

        def step(*change: Any) -> None:
            real(*change)
            rows = reader.run(
                "MATCH ()-[r:ANALOGOUS_TO|ALIGNED_WITH]->() RETURN type(r) AS name"
            ).to_pylist()
            names = [row["name"] for row in rows]
            seen.append((names.count("ANALOGOUS_TO"), names.count("ALIGNED_WITH")))

        monkeypatch.setattr(store, "_amend", step)
        store.amend(
            Amendment((Removal("ANALOGOUS_TO"),), {"ALIGNED_WITH": sealed, "ANALOGOUS_TO": matches})
        )
    assert seen == [(0, 0), (2, 0), (4, 0), (6, 0), (8, 0), (9, 3)]


LOADER = """
import sys
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.opening import open_store
store = open_store(sys.argv[1], create=True)
def tell(table, done, total):
    print(table, flush=True)
store.load(Bundle.open(sys.argv[2]), progress=tell)
"""


def killed_load(address: str, bundle: Bundle, table: str) -> None:
    """Load in another process and kill it as soon as it tells of the table."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", LOADER, address, str(bundle.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == table:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("table", ["Layer", "EXCITES", "NEXT"])
def test_a_killed_load_leaves_nothing_that_looks_whole(
    address: str, toy: Bundle, other: Bundle, tmp_path: Path, table: str
) -> None:
    with open_store(address, create=True) as store:
        store.load(other)
    killed_load(address, toy, table)
    with open_store(address, create=True) as store:
        assert_holds(store, other)
        assert [row["key"] for row in store.models() if row["state"] == "ready"] == ["other"]
        store.load(toy)
        assert_holds(store, toy)
        assert_holds(store, other)
    assert not [left for left in tmp_path.iterdir() if ".loading" in left.name]


def test_an_embedded_database_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no such database; `circuitome load"):
        open_store(str(tmp_path / "no.db"))
    with open_store(str(tmp_path / "no.db"), create=True) as store:
        assert store.models() == []
        with pytest.raises(StoreError, match="no such database"):
            store.run("MATCH (n) RETURN n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"KUZU", b"KUZU'" + bytes(4096)])
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, toy: Bundle, content: bytes
) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not a database"):
        open_store(str(path), create=True)
    assert path.read_bytes() == content


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a database"):
        open_store(str(tmp_path))


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    import kuzu

    with kuzu.Database(str(tmp_path / "x.db")) as database, kuzu.Connection(database) as connection:
        connection.execute("CREATE NODE TABLE Person (name STRING, PRIMARY KEY (name))")
    with pytest.raises(StoreError, match="not one of circuitome"):
        open_store(str(tmp_path / "x.db"))


def test_a_database_of_another_schema_says_to_load_again(
    tmp_path: Path, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(str(tmp_path / "x.db"), create=True) as store:
        store.load(toy)
    monkeypatch.setattr(
        "circuitome.graphdb.stores.embedded.fingerprint", lambda: "circuitome schema 99 abc"
    )
    with pytest.raises(
        StoreError,
        match=r"another schema .*circuitome schema 99 abc.* `circuitome load BUNDLE\.\.\. "
        r"--replace",
    ):
        open_store(str(tmp_path / "x.db"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, toy: Bundle) -> None:
    (tmp_path / "file").write_text("")
    with (
        open_store(str(tmp_path / "file" / "x.db"), create=True) as store,
        pytest.raises(StoreError, match="cannot be written"),
    ):
        store.load(toy)


def test_a_query_that_needs_too_much_memory_says_so(tmp_path: Path, toy: Bundle) -> None:
    path = str(tmp_path / "store.db")
    with open_store(path, create=True) as store:
        store.load(toy)
    with (
        open_store(path, memory="48MiB") as store,
        pytest.raises(StoreError, match=r"more memory than it may have \(48 MiB\); narrow"),
    ):
        store.run(
            "MATCH (a:Neuron), (b:Neuron), (c:Neuron), (d:Neuron) "
            "RETURN a.key AS k, b.key AS l, c.key AS m, d.key AS n ORDER BY k, l, m, n"
        )


def test_a_reader_keeps_its_rows_while_another_loads(
    tmp_path: Path, toy: Bundle, other: Bundle
) -> None:
    path = str(tmp_path / "x.db")
    with open_store(path, create=True) as writer:
        writer.load(toy)
        with open_store(path) as reader:
            writer.load(other)
            assert [row["key"] for row in reader.models()] == ["toy"]
        with open_store(path) as reader:
            assert [row["key"] for row in reader.models()] == ["other", "toy"]


def test_loads_of_two_processes_into_one_file_both_arrive(
    tmp_path: Path, toy: Bundle, other: Bundle
) -> None:
    path = str(tmp_path / "x.db")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOADER, path, str(bundle.path)],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for bundle in (toy, other)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    with open_store(path) as store:
        assert [row["key"] for row in store.models()] == ["other", "toy"]


@pytest.mark.parametrize(
    "address", ["neo4j://", "bolt://host:99999", "http://host", "neo4j+x://host", "neo4j://ho st:x"]
)
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(StoreError, match="not the address of a server"):
        open_store(address)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(StoreError, match="do not belong in an address") as caught:
        open_store("neo4j://neo4j:s3cret@host:7687")
    assert "s3cret" not in str(caught.value)


def test_a_second_server_on_one_port_is_refused(neo4j_empty: Any, tmp_path: Path) -> None:
    port = int(neo4j_empty.address.rpartition(":")[2])
    with pytest.raises(ServerError, match=rf"port {port} is taken.*--port"):
        LocalServer(tmp_path / "second", port=port).start()
    assert not (tmp_path / "second").exists()


def test_a_missing_password_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    with (
        open_store("bolt://127.0.0.1:1") as store,
        pytest.raises(StoreError, match="set NEO4J_PASSWORD"),
    ):
        store.models()


def test_a_server_that_is_not_there_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "x")
    with (
        open_store("bolt://127.0.0.1:1") as store,
        pytest.raises(StoreError, match=r"127\.0\.0\.1:1: no Neo4j.*make neo4j"),
    ):
        store.models()


def test_a_wrong_password_is_told_without_the_password(
    neo4j_empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "wr0ng-pass")
    with (
        open_store(neo4j_empty.address) as store,
        pytest.raises(StoreError, match="refused user 'neo4j'") as caught,
    ):
        store.models()
    assert "wr0ng" not in str(caught.value)


def test_the_database_is_chosen_by_the_address(neo4j_empty: Any, toy: Bundle) -> None:
    with open_store(f"{neo4j_empty.address}/neo4j") as store:
        store.load(toy)
        assert [row["key"] for row in store.models()] == ["toy"]
    with (
        open_store(f"{neo4j_empty.address}/nosuch") as store,
        pytest.raises(StoreError, match="no database 'nosuch'"),
    ):
        store.models()


def test_neo4j_has_the_declared_constraints_and_indexes(neo4j_empty: Any, toy: Bundle) -> None:
    import neo4j

    with open_store(neo4j_empty.address) as store:
        store.load(toy)

    with neo4j.GraphDatabase.driver(
        neo4j_empty.address, auth=("neo4j", neo4j_empty.password)
    ) as driver:
        names = {
            record["name"] for record in driver.execute_query("SHOW INDEXES YIELD name").records
        }
    declared = {f"{name}_key" for name in NODES}
    for name, kind in (NODES | RELATIONSHIPS).items():
        declared |= {f"{name}_{column.name}" for column in kind.columns if column.indexed}
    assert declared <= names


def test_a_model_is_loading_until_all_of_it_is_in_neo4j(neo4j_empty: Any, toy: Bundle) -> None:
    states: list[str | None] = []
    with open_store(neo4j_empty.address) as store, open_store(neo4j_empty.address) as reader:
        store.load(toy, progress=lambda *_: states.append(reader.models()[0]["state"]))
        assert set(states) == {"loading"}
        (model,) = reader.models()
        assert (model["state"], model["schema_version"]) == ("ready", SCHEMA_VERSION)
