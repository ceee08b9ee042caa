"""Neo4j as it is run: schema and its repair, loads in batches, bulk import, TLS, passwords, and
the same answers as the file.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import neo4j
import pyarrow as pa
import pytest

from circuitome.cli.app import app
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import export, tables_of
from circuitome.graphdb.neo4j_import import write_import
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, SCHEMA_VERSION, arrow_schema
from circuitome.graphdb.stores.local_server import LocalServer, admin, free_port
from circuitome.graphdb.stores.neo4j import Neo4jStore
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import OutdatedError, StoreError
from circuitome.queries.database import Database, open_database
from tests.support.compare_stores import NOT_COMPARED, alike, commands, differences
from tests.support.program import Run, run
from tests.support.synthetic import annotated, write_bundle

ROOT = Path(__file__).parents[2]
NASTY = [
    *(
        'say "x"',
        '"',
        "it's",
        "a,b",
        "a;b",
        "back\\slash",
        '\\"',
        "trail\\",
        "line\nbreak",
        "cr\r\nlf",
        "\r",
        "  spaces ",
    ),
    *("\t", "", "ü→ℓ", "`t`", "x}) DETACH DELETE n //", "null", "true", "007", "=1+1", "\x7f"),
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return annotated(write_bundle(tmp_path_factory.mktemp("bundles") / "toy"))


@pytest.fixture
def cypher(neo4j_empty: Any) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Runs Cypher on the server as somebody else would."""
    with neo4j.GraphDatabase.driver(
        neo4j_empty.address, auth=("neo4j", neo4j_empty.password)
    ) as driver:

        def ask(text: Any, **parameters: Any) -> list[dict[str, Any]]:
            return [dict(record) for record in driver.execute_query(text, parameters).records]

        yield ask
        for what in ("CONSTRAINT", "INDEX"):
            found = ask(
                f"SHOW {what}ES YIELD name" if what == "INDEX" else "SHOW CONSTRAINTS YIELD name"
            )
            for name in {row["name"] for row in found} & {"Neuron_gone", "theirs", "mine"}:
                ask(f"DROP {what} `{name}` IF EXISTS")


def states(done: Run) -> dict[str, str]:
    """Of what `schema --db --json` printed: what is not `ok`, by kind and name."""
    return {
        f"{row['what']} {row['name']}": row["state"] for row in done.rows if row["state"] != "ok"
    }


def test_a_fresh_database_has_nothing_but_what_is_declared(neo4j_empty: Any, toy: Bundle) -> None:
    with open_store(neo4j_empty.address) as store:
        store.load(toy)
        items = store.inspect()
    assert {item.state for item in items} == {"ok"}
    assert {item.name for item in items if item.what == "label"} == {
        name for name in NODES if toy.rows(name)
    }
    assert {item.name for item in items if item.what == "relationship"} == {
        n for n in RELATIONSHIPS if toy.rows(n)
    }
    assert {"Neuron.bias", "Layer.kernel", "EXCITES.weight"} <= {
        i.name for i in items if i.what == "property"
    }
    assert sum(item.what == "constraint" for item in items) == len(NODES)


def test_a_fresh_file_has_nothing_but_what_is_declared(tmp_path: Path, toy: Bundle) -> None:
    with open_store(str(tmp_path / "x.db"), create=True) as store:
        store.load(toy)
        items = store.inspect()
        assert store.repair() == items
    assert {item.state for item in items} == {"ok"}
    columns = sum(len(kind.columns) for kind in (*NODES.values(), *RELATIONSHIPS.values()))
    assert sum(item.what == "property" for item in items) == columns


def test_schema_shows_what_is_missing_and_repairs_it(
    neo4j_empty: Any, toy: Bundle, cypher: Any
) -> None:
    address = neo4j_empty.address
    assert run("load", toy.path, "--db", address).code == 0
    assert run("schema", "--db", address).code == 0
    cypher("DROP CONSTRAINT Neuron_key")
    cypher("DROP INDEX EXCITES_share")
    cypher("CREATE INDEX Neuron_gone FOR (n:Neuron) ON (n.gone)")
    cypher("CREATE INDEX theirs FOR (n:Person) ON (n.name)")
    got = run("schema", "--db", address, "--json")
    assert (got.code, states(got)) == (
        1,
        {
            "constraint Neuron_key": "missing",
            "index EXCITES_share": "missing",
            "index Neuron_gone": "outdated",
            "index theirs": "foreign",
        },
    )
    assert "--repair" in got.err and "--replace" not in got.err
    got = run("schema", "--db", address, "--repair", "--json")
    assert (got.code, states(got)) == (0, {"index theirs": "foreign"})
    names = {row["name"] for row in cypher("SHOW INDEXES YIELD name")}
    assert {"Neuron_key", "EXCITES_share", "theirs"} <= names
    assert "Neuron_gone" not in names


def test_an_index_of_another_name_serves_as_well(
    neo4j_empty: Any, toy: Bundle, cypher: Any
) -> None:
    with open_store(neo4j_empty.address) as store:
        store.load(toy)
        cypher("DROP INDEX Neuron_kind")
        cypher("CREATE INDEX mine FOR (n:Neuron) ON (n.kind)")
        assert not any(item.differs for item in store.repair())
        cypher("DROP INDEX mine")
        assert [item.name for item in store.inspect() if item.differs] == ["Neuron_kind"]
        assert not any(item.differs for item in store.repair())


def test_schema_shows_labels_and_properties_that_are_not_the_schemas(
    neo4j_empty: Any, toy: Bundle, cypher: Any
) -> None:
    assert run("load", toy.path, "--db", neo4j_empty.address).code == 0
    cypher("CREATE (:Person {name: 'x'})-[:`KN``OWS` {since: 1}]->(:Person)")
    got = run("schema", "--db", neo4j_empty.address, "--json")
    assert (got.code, states(got)) == (
        0,
        {"label Person": "foreign", "relationship KN`OWS": "foreign"},
    )
    cypher("MATCH (n:Neuron {key: 'toy/conv1:0'}) SET n.bias = 'much', n.mood = 1")
    cypher("MATCH (:Neuron {key: 'toy/conv1:0'})-[r:EXCITES]->() SET r.mood = 1")
    got = run("schema", "--db", neo4j_empty.address, "--repair", "--json")
    found = {name: state for name, state in states(got).items() if state != "foreign"}
    wrong = ("Neuron.bias", "Neuron.mood", "EXCITES.mood")
    assert (got.code, found) == (1, {f"property {name}": "outdated" for name in wrong})
    assert "load BUNDLE... --replace" in got.err


def test_repair_without_a_database_is_wrong_use() -> None:
    got = run("schema", "--repair")
    assert got.code == 2
    assert "--db" in got.err


def test_an_older_database_on_a_server_is_told_and_replaced(
    neo4j_empty: Any, toy: Bundle, cypher: Any, tmp_path: Path
) -> None:
    address = neo4j_empty.address
    with open_store(address) as store:
        store.load(toy)
    cypher("MATCH (m:Model) SET m.schema_version = 1")
    cypher("CREATE (:Person {name: 'x'}), (:Neuron {key: 'old/x:0', model: 'old', gone: 1})")
    cypher("CREATE INDEX Neuron_gone FOR (n:Neuron) ON (n.gone)")
    for line in (["query", "layers"], ["load", toy.path], ["motifs", "opponent-pairs"]):
        got = run(*line, "--db", address)
        assert got.code == 2
        assert re.search(
            r"another schema \(toy: version 1; .*`circuitome load BUNDLE\.\.\. --replace", got.err
        )
    write_bundle(tmp_path / "other", name="other")
    cypher("CREATE (:Model {key: 'other', schema_version: 2, state: 'ready'})")
    for line in (
        ["query", "hubs"],
        ["motifs"],
        ["families"],
        ["export", "-o", tmp_path / "x.json"],
    ):
        got = run(*line, "--db", f"{address}/neo4j")
        assert got.code == 2 and f"--replace --db {address}/neo4j`" in got.err, got
    got = run("models", "--db", address)
    assert got.code == 0 and "toy: made with another schema (version 1" in got.err
    cypher("MATCH (m:Model {key: 'other'}) DELETE m")
    with open_store(address) as store, pytest.raises(OutdatedError):
        store.run("MATCH (n:Neuron) RETURN n.key AS key")
    got = run("schema", "--db", address, "--json")
    assert (got.code, states(got)["version toy"]) == (1, "outdated")
    assert run("load", toy.path, "--replace", "--db", address).code == 0
    assert states(run("schema", "--db", address, "--json")) == {"label Person": "foreign"}
    assert cypher("MATCH (n) RETURN count(n) AS n")[0]["n"] == 1 + sum(
        toy.rows(table) for table in NODES
    )
    assert "Neuron_gone" not in {row["name"] for row in cypher("SHOW INDEXES YIELD name")}


def test_an_older_file_is_told_and_replaced(
    tmp_path: Path, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    other = write_bundle(tmp_path / "other", name="other")
    with monkeypatch.context() as patch:
        for module in ("embedded", "kuzu_files"):
            name = f"circuitome.graphdb.stores.{module}.fingerprint"
            patch.setattr(name, lambda: "circuitome schema 1 abc")
        assert run("load", other.path, "--db", path).code == 0
    old = path.read_bytes()
    got = run("load", toy.path, "--db", path)
    assert got.code == 2
    assert "another schema (circuitome schema 1 abc;" in got.err
    assert path.read_bytes() == old
    got = run("schema", "--db", path, "--json")
    assert (got.code, states(got)) == (1, {f"version {path}": "outdated"})
    assert run("load", toy.path, "--replace", "--db", path).code == 0
    assert [row["key"] for row in run("models", "--db", path, "--json").rows] == ["toy"]
    assert run("schema", "--db", path).code == 0


def test_replace_spares_files_that_are_not_ours(tmp_path: Path, toy: Bundle) -> None:
    path = tmp_path / "precious.db"
    path.write_bytes(b"precious")
    got = run("load", toy.path, "--replace", "--db", path)
    assert (got.code, path.read_bytes()) == (2, b"precious")


def rows(tables: Mapping[str, pa.Table]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, table.to_pylist())) for name, table in tables.items()}


@pytest.fixture
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_BATCH", 7), ("_DELETED", 5)):
        monkeypatch.setattr(f"circuitome.graphdb.stores.neo4j.{name}", size)


def test_small_transactions_give_the_same_graph_and_leave_nothing(
    neo4j_empty: Any, small_transactions: None, tmp_path: Path, cypher: Any
) -> None:
    bundle = write_bundle(tmp_path / "small", name="small", layers=(3, 4, 2))
    with open_store(neo4j_empty.address) as store:
        store.load(bundle)
        store.load(bundle)
        assert rows(tables_of(store)) == rows(tables_of(bundle))
        sizes = cypher("MATCH (n:Neuron) RETURN max(COUNT { (n)--() }) AS most")
        assert sizes[0]["most"] > 5
        cypher("CREATE (:Person)-[:LIKES]->(:Person)")
        store.drop("small")
    assert cypher("MATCH (n) RETURN count(n) AS n") == [{"n": 2}]


def test_a_drop_says_loading_and_no_transaction_is_larger_than_its_bound(
    neo4j_empty: Any, small_transactions: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "small", name="small", layers=(3, 4, 2))
    with open_store(neo4j_empty.address) as store, open_store(neo4j_empty.address) as reader:
        assert isinstance(store, Neo4jStore)
        real, sizes, states = store._connection.write, {"CREATE": set(), "DELETE": set()}, set()

        def write(statement: str, *parameters: Any) -> int:
            done = real(statement, *parameters)
            for verb, seen in sizes.items():
                if f" {verb} " in statement and "RETURN count(*)" in statement:
                    seen.add(done)
            states.update(row["state"] for row in reader.models())
            return done

        monkeypatch.setattr(store._connection, "write", write)
        store.load(bundle)
        assert max(sizes["CREATE"]) == 7
        states.clear()
        store.drop("small")
        assert states == {"loading"}
        assert max(sizes["DELETE"]) == 5


def test_a_model_is_loaded_once_and_one_with_other_weights_is_told(
    address: str, toy: Bundle, tmp_path: Path
) -> None:
    newer = write_bundle(tmp_path / "newer", seed=1)
    assert newer.model == toy.model
    got = run("load", toy.path, newer.path, "--db", address)
    assert got.code == 2 and "two bundles hold the model 'toy'" in got.err
    assert "other weights" not in run("load", toy.path, "--db", address).err
    assert "other weights" not in run("load", toy.path, "--db", address).err
    assert (
        "toy: replaces a model of that name with other weights"
        in run("load", newer.path, "--db", address).err
    )


def test_an_empty_database_is_said_to_be_empty(address: str, toy: Bundle, tmp_path: Path) -> None:
    assert run("load", toy.path, "--db", address).code == 0
    assert run("drop", "toy", "--db", address).code == 0
    for line in (["families"], ["export", "-o", tmp_path / "x.json"], ["query", "hubs"]):
        got = run(*line, "--db", address)
        assert got.code == 2 and f"{address}: the database holds no model" in got.err, got
    assert not (tmp_path / "x.json").exists()


def test_the_local_server_listens_here_alone_and_hides_its_password(neo4j_shared: Any) -> None:
    home = Path(neo4j_shared[0].home)
    assert (home / "password").stat().st_mode & 0o077 == 0
    listening = [
        line
        for line in (home / "conf" / "neo4j.conf").read_text().splitlines()
        if "listen_address" in line
    ]
    assert listening and all("=127.0.0.1" in line for line in listening)


def test_one_bookmark_manager_serves_all_sessions(neo4j_empty: Any, toy: Bundle) -> None:
    """In a cluster the read after a load waits for the load; here the bookmark is seen to
    arrive.
    """
    with open_store(neo4j_empty.address) as store:
        assert not set(store._connection._bookmarks.get_bookmarks())  # pyright: ignore[reportAttributeAccessIssue]
        store.load(toy)
        assert set(store._connection._bookmarks.get_bookmarks())  # pyright: ignore[reportAttributeAccessIssue]


def nasty_tables() -> dict[str, pa.Table]:
    """Neurons and gates with every value that CSV is known to lose."""
    floats = [0.1, math.inf, -math.inf, 1e-308, -0.0, 5e-324, 1.7976931348623157e308, None]
    lists = [[], ["a", "", "b"], ["", ""], None, ['"'], ["a,b", "c\nd"], [""]]
    neurons = [
        {
            "key": f"k{place} {text}",
            "model": "nasty",
            "label": text,
            "bias": floats[place % 8],
            "channel": [2**63 - 1, -(2**63), 0, None][place % 4],
            "top_stimuli": lists[place % 7],
            "tuning": [[], [1.5, math.inf], [0.1], None][place % 4],
        }
        for place, text in enumerate(NASTY)
    ]
    gates = [
        {"from": one["key"], "to": other["key"], "via": text}
        for one, other, text in zip(neurons, [*neurons[1:], neurons[0]], NASTY, strict=True)
    ]
    model = {
        "key": "nasty",
        "state": "loading",
        "input_shape": [],
        "mean": [],
        "std": [1.0],
        "seed": 7,
    }
    found = {"Model": [model], "Neuron": neurons, "GATES": gates}
    return {
        name: pa.Table.from_pylist(table, schema=arrow_schema(name))
        for name, table in found.items()
    }


@pytest.fixture(scope="module")
def imported(
    toy: Bundle, neo4j_shared: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    """A server of its own whose database the import tool made of the annotated network and the
    nasty values; it speaks TLS.
    """
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    home = tmp_path_factory.mktemp("imported")
    folder = home / "csv"
    tables, nasty = tables_of(toy), nasty_tables()
    merged = {
        name: pa.concat_tables([_plain(t[name]) for t in (tables, nasty) if name in t])
        for name in tables | nasty
    }
    write_import(
        (
            (name, iter(merged[name].to_batches(50)))
            for name in (*NODES, *RELATIONSHIPS)
            if name in merged
        ),
        folder,
    )
    script = (folder / "import.sh").read_text()
    assert "--multiline-fields=true" in script
    command = (
        script[script.index("database import full") :]
        .replace('"${1:-neo4j}"', "neo4j")
        .replace("\\\n", " ")
    )
    server = LocalServer(
        home, port=free_port(), heap="512m", page_cache="64m", settings=_tls(home / "certificates")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        patch.chdir(folder)
        server.prepare()
        admin(server.home, command.split())
        server.start(patience=200)
        patch.setenv("NEO4J_PASSWORD", server.password)
        with open_store(server.address) as store:
            assert any(item.differs for item in store.inspect())
        with neo4j.GraphDatabase.driver(server.address, auth=("neo4j", server.password)) as driver:
            for statement in (folder / "finish.cypher").read_text().split(";\n")[:-1]:
                driver.execute_query(neo4j.Query(statement))  # pyright: ignore[reportArgumentType]
    yield server
    server.stop()


def _plain(table: pa.Table) -> pa.Table:
    return table.cast(
        pa.schema(
            [
                (f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
                for f in table.schema
            ]
        )
    )


def _tls(folder: Path) -> dict[str, str]:
    """Settings for TLS beside plain connections, with a certificate that nobody has signed."""
    folder.mkdir()
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "private.key"), "-out", str(folder / "public.crt")]
    subprocess.run(command, check=True, capture_output=True)
    policy = {"enabled": "true", "base_directory": str(folder), "client_auth": "NONE"}
    return {f"dbms.ssl.policy.bolt.{name}": value for name, value in policy.items()} | {
        "server.bolt.tls_level": "OPTIONAL"
    }


def test_the_import_tool_takes_every_value(
    imported: LocalServer, toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", imported.password)
    with open_store(imported.address) as store:
        assert [item for item in store.inspect() if item.differs] == []
        assert rows(tables_of(store, model="toy")) == rows(tables_of(toy))
        text = (
            "MATCH (a)-[r:EXCITES {kernel: $kernel}]->(b) WHERE b.model = 'toy' RETURN "
            "r.weight AS weight"
        )
        for edge in toy.table("EXCITES").to_pylist()[
            :20
        ]:  # every bit of 64, whatever width the schema then gives them
            assert store.run(text, {"kernel": edge["kernel"]}).to_pylist() == [
                {"weight": edge["weight"]}
            ]
        found = tables_of(store, model="nasty")
    (model,) = found.pop("Model").to_pylist()
    settled = {
        "state": "ready",
        "schema_version": SCHEMA_VERSION,
        "input_shape": [],
        "mean": [],
        "std": [1.0],
        "seed": 7,
    }
    assert {name: model[name] for name in settled} == settled
    assert rows(found) == rows({name: nasty_tables()[name] for name in ("Neuron", "GATES")})


def test_an_imported_database_answers_as_the_file_does(
    imported: LocalServer, toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", imported.password)
    with (
        open_database(str(tmp_path / "x.db"), create=True) as embedded,
        open_database(imported.address) as server,
    ):
        embedded.load(toy)
        for name in ("layers", "hubs", "edges", "families", "balance"):
            one, other = (
                database.query(name, model="toy").to_dicts() for database in (embedded, server)
            )
            assert one and alike(one, other), name


def test_an_export_of_a_file_is_that_of_its_bundle(toy: Bundle, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "x.db"), create=True) as store:
        store.load(toy)
        one, other = (
            export(store, "neo4j-admin", tmp_path / "one"),
            export(toy, "neo4j-admin", tmp_path / "other"),
        )
    for path in one.iterdir():
        assert sorted(path.read_text().splitlines()) == sorted(
            (other / path.name).read_text().splitlines()
        ), path.name
    assert "multiline" not in (one / "import.sh").read_text()


def test_the_import_script_is_shell(toy: Bundle, tmp_path: Path) -> None:
    folder = export(toy, "neo4j-admin", tmp_path / "csv")
    assert subprocess.run(["sh", "-n", folder / "import.sh"], check=False).returncode == 0
    assert "--strict=true" in (folder / "import.sh").read_text()


@pytest.fixture
def both(neo4j_empty: Any, toy: Bundle, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """The annotated network in a file and on the server."""
    with (
        open_database(str(tmp_path / "x.db"), create=True) as embedded,
        open_database(neo4j_empty.address) as server,
    ):
        for database in (embedded, server):
            database.load(toy)
        yield embedded, server


def test_both_engines_answer_every_query_about_an_annotated_network_alike(
    both: tuple[Database, Database],
) -> None:
    asked: list[str] = []
    assert (
        differences(*both, "toy", say=lambda name, found, *_: asked.append(name) if found else None)
        == []
    )
    assert {"families", "family_members", "neurons_of_kind", "invariant_neurons", "edges"} <= set(
        asked
    )


def test_both_engines_give_every_command_alike(
    both: tuple[Database, Database], neo4j_empty: Any, tmp_path: Path
) -> None:
    lines = list(commands(both[0], "toy"))
    names = {
        c.name or getattr(c.callback, "__name__", "").replace("_", "-")
        for c in app.registered_commands
    }
    assert names - set(NOT_COMPARED) == {line[0] for line in lines} | {"export"}
    answered: set[str] = set()
    for line in lines:
        one, other = (
            run(*line, "--json", "--db", db) for db in (tmp_path / "x.db", neo4j_empty.address)
        )
        assert (one.code, one.err) == (
            other.code,
            other.err.replace(neo4j_empty.address, str(tmp_path / "x.db")),
        ), line
        assert one.code == 2 or alike(one.rows, other.rows), line
        if one.code == 0 and one.rows:
            answered.add(line[0])
    assert answered == {line[0] for line in lines}
    graphs = []
    for place, db in enumerate((tmp_path / "x.db", neo4j_empty.address)):
        assert run("export", "-o", tmp_path / str(place), "--db", db).code == 0
        graphs.append(json.loads((tmp_path / str(place)).read_text()))
    for part, key in (("nodes", "id"), ("edges", "source")):
        one, other = (
            sorted(graph[part], key=lambda item: (item[key], repr(item))) for graph in graphs
        )
        assert len(one) == len(other)
        assert all(
            alike(dict(sorted(a.items())), dict(sorted(b.items())))
            for a, b in zip(one, other, strict=True)
        )


def test_tls_is_spoken_and_a_stranger_is_not_trusted(
    imported: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = imported.port
    monkeypatch.setenv("NEO4J_PASSWORD", imported.password)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for scheme in ("bolt+ssc", "neo4j+ssc"):
        with open_store(f"{scheme}://127.0.0.1:{port}") as store:
            assert [row["key"] for row in store.models()] == ["nasty", "toy"]
    for scheme in ("bolt+s", "neo4j+s"):
        with (
            open_store(f"{scheme}://127.0.0.1:{port}") as store,
            pytest.raises(
                StoreError, match=r"no TLS connection \(.*certificate.*neo4j\+ssc://.*SSL_CERT_FILE"
            ) as error,
        ):
            store.models()
        assert imported.password not in str(error.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(imported.home / "certificates" / "public.crt"))
    with open_store(f"neo4j+s://127.0.0.1:{port}/neo4j") as store:
        assert [row["key"] for row in store.models()] == ["nasty", "toy"]


def test_tls_to_a_server_without_it_says_so(neo4j_empty: Any) -> None:
    for scheme in ("bolt+ssc", "neo4j+s"):
        with (
            open_store(neo4j_empty.address.replace("bolt", scheme)) as store,
            pytest.raises(StoreError, match=r"no TLS connection .*without TLS is neo4j://"),
        ):
            store.models()


SECRET = "s3cret-Pa55"


def test_a_password_is_asked_for_at_a_terminal_alone(
    neo4j_empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    asked: list[tuple[str, dict[str, Any]]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append((text, options))
        return neo4j_empty.password

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.delenv("NEO4J_PASSWORD")
    got = run("models", "--db", neo4j_empty.address)
    assert (got.code, asked) == (2, [])
    assert "set NEO4J_PASSWORD" in got.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    got = run("models", "--json", "--db", neo4j_empty.address)
    assert (got.code, got.rows) == (0, [])
    assert asked == [
        (f"Password of neo4j at {neo4j_empty.address}", {"hide_input": True, "err": True})
    ]
    os.environ.pop("NEO4J_PASSWORD", None)


@pytest.mark.parametrize("line", [["models"], ["query", "layers"], ["schema"], ["drop", "x"]])
def test_no_error_has_the_password(
    neo4j_empty: Any, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", SECRET)
    for address in (
        neo4j_empty.address,
        "bolt://127.0.0.1:1",
        "neo4j+s://127.0.0.1:1",
        f"bolt://neo4j:{SECRET}@host",
    ):
        got = run(*line, "--db", address)
        assert got.code == 2
        assert SECRET not in got.out + got.err


def read_yaml(text: str) -> dict[str, Any]:
    """Mappings and lists of scalars by indentation: what the compose file uses of YAML, and an
    error for the rest.
    """
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]

    def value(words: str) -> Any:
        return json.loads(words) if words[:1] in {'"', "["} else words

    def block(indent: int) -> Any:
        found: Any = None
        while lines and len(lines[0]) - len(lines[0].lstrip()) == indent:
            line = lines.pop(0).strip()
            if line.startswith("- "):
                found = [*(found or []), value(line[2:])]
                continue
            name, colon, rest = line.partition(":")
            assert colon and (not rest or rest[0] == " "), line
            deeper = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
            found = {
                **(found or {}),
                name: value(rest.strip())
                if rest.strip()
                else block(deeper)
                if deeper > indent
                else None,
            }
        return found

    read = block(0)
    assert not lines, lines
    return read


def test_the_compose_file_has_what_a_server_needs_and_no_password() -> None:
    services = read_yaml((ROOT / "docker" / "compose.yaml").read_text())
    server, program = services["services"]["neo4j"], services["services"]["circuitome"]
    assert server["image"].startswith("neo4j:5.26")
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    environment = server["environment"]
    assert environment["NEO4J_AUTH"].startswith("neo4j/${NEO4J_PASSWORD:?")
    memory = [name for name in environment if name.startswith("NEO4J_server_memory_")]
    assert len(memory) == 3
    plain = {"NEO4J_AUTH"} | {
        name for name in environment if name.removeprefix("NEO4J_")[:1].islower()
    }
    assert set(environment) == plain, (
        "the image takes any other NEO4J_... for a setting that does not exist"
    )
    assert {volume.partition(":")[2] for volume in server["volumes"]} == {"/data", "/logs"}
    assert {volume.partition(":")[0] for volume in server["volumes"]} == set(services["volumes"])
    assert {"test", "interval", "timeout", "retries", "start_period"} == set(server["healthcheck"])
    assert not re.search(r"\s(-p|--password)\s", server["healthcheck"]["test"][1])
    assert program["depends_on"]["neo4j"]["condition"] == "service_healthy"
    assert program["environment"]["NEO4J_PASSWORD"] == "${NEO4J_PASSWORD}"


def test_the_image_of_the_program_does_not_run_as_root() -> None:
    lines = (ROOT / "docker" / "Dockerfile").read_text().splitlines()
    users = [place for place, line in enumerate(lines) if line.startswith("USER ")]
    (entry,) = [place for place, line in enumerate(lines) if line.startswith("ENTRYPOINT")]
    assert users and users[-1] < entry
    assert lines[users[-1]].split()[1] not in {"root", "0"}
