"""What hostile input cannot do: write through a reading command, reach files, run code, fool a terminal, fill the memory."""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from circuitome.graphdb.bundle import Bundle, BundleError, BundleWriter
from circuitome.graphdb.cypher import CypherError, check_reading
from circuitome.graphdb.schema import EDGE_TYPES, NODES, arrow_schema
from circuitome.graphdb.stores import open_store
from tests.fuzzing import Trial, attempt, snapshot
from tests.synthetic import write_bundle, write_planted
from tests.test_bad_input import NETS, fit_manifest

HOSTILE = (
    *(
        "' OR 1=1 --",
        '"; DROP TABLE Neuron; //',
        "`) DETACH DELETE n //",
        "}) DETACH DELETE n //",
        "$model",
        "\\",
        "\\'",
    ),
    *(
        "\u0391\u0412",
        "n\u200be",
        "\u202egpj.exe",
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "a\nb\tc",
        "caf\u00e9",
        "%s{0}",
        "*",
        "../x",
    ),
    "x" * 1_000,
)

WRITING = (
    "CREATE (n:Model {key: 'evil'})",
    "create (n:Model {key: 'evil'})",
    "CrEaTe/**/(n:Model {key: 'evil'})",
    "// MATCH\nCREATE (n:Model {key: 'evil'})",
    "/* MATCH */ CREATE (n:Model {key: 'evil'})",
    "// hidden\rCREATE (n:Model {key: 'evil'})",
    "\\u0043REATE (n:Model {key: 'evil'})",
    "MATCH (n:Model) WHERE n.key <> '\\u0027 CREATE (:Model {key: \\u0027evil\\u0027}) //' RETURN n.key",
    "EXPLAIN CREATE (n:Model {key: 'evil'})",
    "PROFILE CREATE (n:Model {key: 'evil'})",
    "INSERT (n:Model {key: 'evil'})",
    "MERGE (n:Model {key: 'evil'}) RETURN n.key",
    "MATCH (n:Neuron) SET n.bias = 7.0",
    "MATCH (n:Neuron)\nSET\nn.bias = 7.0 RETURN n.key",
    "MATCH (n:Neuron) SET n += {bias: 7.0}",
    "MATCH (n:Neuron) REMOVE n.bias",
    "MATCH (n:Neuron) DELETE n",
    "MATCH (n:Neuron) DETACH DELETE n",
    "MATCH (n:Neuron) NODETACH DELETE n",
    "MATCH (n:Neuron) FOREACH (x IN [1] | SET n.bias = 7.0)",
    "MATCH (n:Neuron) CALL (n) { DETACH DELETE n } RETURN 1 AS x",
    "MATCH (n:Neuron) CALL { WITH n DETACH DELETE n } RETURN 1 AS x",
    "MATCH (n:Neuron) CALL (n) { SET n.bias = 7.0 } IN TRANSACTIONS OF 10 ROWS RETURN 1 AS x",
    "MATCH (n:Neuron) CALL (n) { MATCH (m) RETURN m } IN 2 CONCURRENT TRANSACTIONS RETURN 1 AS x",
    "MATCH (n:Neuron) RETURN n.key UNION MATCH (m:Neuron) DETACH DELETE m RETURN 'x' AS key",
    "RETURN 1 AS x; MATCH (n) DETACH DELETE n",
    "DROP TABLE EXCITES",
    "DROP INDEX x",
    "DROP CONSTRAINT Neuron_key",
    "CREATE INDEX x FOR (n:Neuron) ON (n.bias)",
    "ALTER TABLE Neuron ADD evil STRING",
    "COMMENT ON TABLE Model IS 'mine'",
    "COPY Neuron FROM 'x.parquet'",
    "COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "PROFILE COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "EXPLAIN COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "EXPORT DATABASE 'stolen'",
    "PROFILE EXPORT DATABASE 'stolen'",
    "IMPORT DATABASE 'stolen'",
    "PROFILE IMPORT DATABASE 'stolen'",
    "INSTALL json",
    "PROFILE INSTALL json",
    "LOAD EXTENSION 'evil.so'",
    "PROFILE LOAD EXTENSION 'evil.so'",
    "ATTACH 'other.db' AS other (dbtype kuzu)",
    "PROFILE ATTACH 'other.db' AS other (dbtype kuzu)",
    "BEGIN TRANSACTION",
    "CHECKPOINT",
    "USE system",
    "SHOW TRANSACTIONS YIELD transactionId AS id TERMINATE TRANSACTIONS id",
    "CYPHER 5 CREATE (n:Model {key: 'evil'})",
)
"""Each is refused whatever is allowed."""

REACHING = (
    "LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "MATCH (n:Model) LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "LOAD FROM 'nets.csv' RETURN *",
    "LOAD WITH HEADERS (a STRING) FROM 'nets.csv' RETURN *",
    "CALL timeout=0",
    "PROFILE CALL timeout=0",
    "CALL READ_PARQUET('x.parquet') RETURN *",
    "CALL dbms.listConfig() YIELD name RETURN name",
    "call/* */dbms . listConfig() YIELD name RETURN name",
    "CALL `dbms`.`listConfig`() YIELD name RETURN name",
    "OPTIONAL CALL dbms.listConfig() YIELD name RETURN name",
    "CALL (*) { CALL dbms.killQuery('x') YIELD queryId RETURN queryId } RETURN queryId",
    "CALL apoc.load.json('file:///etc/passwd') YIELD value RETURN value",
    "CALL apoc.cypher.doIt('CREATE (n)', {}) YIELD value RETURN value",
    "RETURN apoc.util.sleep(1) AS x",
    "MATCH (n:Model) WHERE genai.vector.encode(n.key, 'x') IS NOT NULL RETURN n.key",
)
"""Each is refused unless it is allowed."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    return folder


@pytest.fixture
def toy(address: str, tmp_path: Path) -> Iterator[str]:
    """A database that holds the model `toy`, by its address; it must hold the same afterwards."""
    bundle = write_bundle(tmp_path / "toy")
    with open_store(address, create=True) as store:
        store.load(bundle)
    before = content(address)
    yield address
    assert content(address) == before


def content(address: str) -> list[Any]:
    """Everything of the nodes, and how many edges there are."""
    with open_store(address) as store:
        rows = [
            store.run(f"MATCH (n:`{name}`) RETURN n.key AS key, n AS node ORDER BY key").to_pylist() for name in NODES
        ]
        return [
            *rows,
            *(store.run(f"MATCH ()-[r:`{name}`]->() RETURN count(r) AS n").to_pylist() for name in EDGE_TYPES),
        ]


def ask(text: str, address: str, *more: str, watch: Path | None = None) -> Trial:
    Path("asked.cypher").write_text(text, encoding="utf-8")
    return attempt("query", "asked.cypher", "--db", address, *more, watch=watch)


def test_no_query_writes_or_leaves_a_file(toy: str, here: Path) -> None:
    Path("nets.csv").write_text("a\nb\n")
    Path("asked.cypher").touch()
    for text in (*WRITING, *REACHING):
        for flag in ([], ["--unsafe"]) if text in WRITING else ([],):
            Path("asked.cypher").write_text(text, encoding="utf-8")
            trial = ask(text, toy, *flag, watch=here)
            assert trial.code == 2, (text, flag, trial.out)
            assert not trial.crash
            assert not trial.changed, (text, trial.changed)
            assert "asked.cypher" in trial.err
    assert sorted(os.listdir(here)) == ["asked.cypher", "nets.csv"]


@pytest.mark.parametrize("text", WRITING)
def test_every_writing_text_is_refused_by_its_words_alone(text: str) -> None:
    for unsafe in (False, True):
        with pytest.raises(CypherError):
            check_reading(text, unsafe=unsafe)


@pytest.mark.parametrize("text", REACHING)
def test_what_reaches_beyond_the_graph_is_refused_with_the_way_to_allow_it(text: str) -> None:
    with pytest.raises(CypherError, match=r"reaches beyond the graph.*--unsafe"):
        check_reading(text)
    check_reading(text, unsafe=True)


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n:Neuron) WHERE n.key = 'CREATE (x) SET y' RETURN n.key AS `DELETE n` // DROP TABLE x",
        "MATCH (n:Model) RETURN n.key AS set, n.seed AS call ORDER BY set",
        "MATCH (n) CALL (n) { MATCH (n)-->(m) RETURN count(m) AS c } RETURN n.key, c",
        "CALL db.labels() YIELD label RETURN label",
        "CALL show_tables() RETURN name",
        "EXPLAIN MATCH (n) RETURN n",
        "RETURN date.truncate('day', date()) AS x, point.distance($a, $b) AS y, vector.similarity.cosine($a, $b) AS z",
        "/* a\nb */ MATCH (n)\r\nRETURN n.key\t;",
    ],
)
def test_words_that_write_may_be_names_and_texts(text: str) -> None:
    check_reading(text)


@pytest.mark.parametrize("char", ["\u200b", "\u00a0", "\u2028", "\u202e", "\x0b", "\x00", "\ufeff", "\u180e"])
def test_characters_that_nobody_sees_are_refused_in_code_and_let_be_in_texts(char: str) -> None:
    with pytest.raises(CypherError, match="invisible"):
        check_reading(f"MATCH (n){char}RETURN n")
    check_reading(f"MATCH (n) WHERE n.key = '{char}' RETURN n // {char}")


def test_unsafe_reads_a_file_and_still_cannot_write(toy: str, here: Path) -> None:
    if toy.startswith("bolt"):
        got = ask("CALL dbms.components() YIELD name RETURN name", toy, "--unsafe", "--json")
        assert "Neo4j" in got.out, got.err
    else:
        Path("mine.csv").write_text("a\n7\n")
        got = ask(f"LOAD FROM '{here / 'mine.csv'}' (header=true) RETURN a", toy, "--unsafe", "--json")
        assert json.loads(got.out) == [{"a": 7}], got.err
    assert ask("MATCH (n:Neuron) SET n.bias = 7.0", toy, "--unsafe").code == 2


def test_rows_of_a_users_query_end_at_ten_thousand_with_a_word_about_it(toy: str, here: Path) -> None:
    text = "MATCH (a:Neuron), (b:Neuron), (c:Neuron) RETURN a.key AS a, b.key AS b, c.bias AS c"
    got = ask(text, toy, "--json")
    rows = json.loads(got.out)
    assert (got.code, len(rows), set(rows[0])) == (0, 10_000, {"a", "b", "c"})
    assert "only the first 10,000 rows" in got.err
    more = ask(text, toy, "--json", "--limit", "11000")
    assert (len(json.loads(more.out)), more.err) == (11_000, "")
    few = ask("MATCH (n:Model) RETURN n.key AS key", toy, "--json")
    assert (json.loads(few.out), few.err) == ([{"key": "toy"}], "")


def test_cut_rows_have_the_same_types_as_whole_ones(toy: str) -> None:
    text = "MATCH (n:Layer) RETURN n.key AS k, n.channels AS c, n.depth AS d, n.kernel AS s, n AS n, n.banding_p AS p ORDER BY k"
    with open_store(toy) as store:
        whole, cut, none = store.run(text), store.run(text, most=3), store.run(text, most=0)
    assert cut.to_pylist() == whole.to_pylist()[:3]
    assert (none.num_rows, none.column_names) == (0, whole.column_names)


def test_a_runaway_pattern_is_stopped_and_says_how_to_narrow(toy: str, here: Path) -> None:
    paths = ", ".join(f"(n{number}:Neuron)" for number in range(7))
    got = ask(f"MATCH {paths} RETURN sum(n0.bias * n6.bias + n3.bias) AS x", toy, "--timeout", "0.3")
    assert got.code == 2
    assert "stopped after 0.3 s; narrow its pattern" in got.err


@pytest.mark.parametrize(
    "text",
    [
        "RETURN size(range(1, 100000000000)) AS x",
        "RETURN lpad('x', 2147483647, 'y') AS x",
        "RETURN repeat('x', $n) AS x",
    ],
)
def test_what_no_time_out_stops_is_not_started(text: str, tmp_path: Path, here: Path) -> None:
    with open_store(str(tmp_path / "a.db"), create=True) as store:
        store.load(write_bundle(tmp_path / "toy"))
    got = ask(text, str(tmp_path / "a.db"), *(["-p", "n=1"] if "$n" in text else []))
    assert got.code == 2
    assert "no time-out stops them" in got.err


def test_hostile_names_stay_names_in_every_command(address: str, tmp_path: Path, here: Path) -> None:
    layers = dict.fromkeys(HOSTILE, 1)
    edges = [(f"{a}:0", f"{b}:0", 1.0) for a, b in pairwise(HOSTILE)]
    model = "m`\"'}) DETACH DELETE n //\x1b[31m"
    bundle = write_planted(tmp_path / "hostile", layers, edges, name=model)
    assert attempt("load", bundle.path, "--db", address).code == 0
    keys = sorted(bundle.table("Neuron")["key"].to_pylist())
    for line in (["models"], ["query", "neurons"], ["query", "layers"], ["families"], ["motifs", "superposition"]):
        for flag in ([], ["--json"]):
            trial = attempt(*line, *flag, "--db", address)
            assert (trial.code, trial.crash) == (0, ""), (line, trial.err)
            assert not trial.faults()
    rows = json.loads(attempt("query", "neurons", "--json", "--db", address).out)
    assert sorted(row["neuron"] for row in rows) == keys
    for key in keys:
        trial = attempt("neuron", key, "--json", "--db", address)
        assert trial.code == 0, trial.err
        assert json.loads(trial.out)[0]["neuron"] == key
    Path("one.cypher").write_text("MATCH (n:Neuron {key: $key}) RETURN n.key AS key")
    for name in (*HOSTILE, "x" * 10_000):
        for value in (name, f"{model}/{name}:0"):
            trial = attempt("query", "one.cypher", "-p", f"key={value}", "--json", "--db", address)
            found = [{"key": value}] if value in keys else []
            assert (trial.code, trial.crash) == (0, ""), trial.err
            assert json.loads(trial.out) == found
    for form in ("networkx", "graphml", "gexf", "cytoscape"):
        trial = attempt("export", "--format", form, "-o", f"out.{form}", "--db", address)
        assert trial.code == 0, trial.err
    graph = nx.node_link_graph(json.loads(Path("out.networkx").read_text()), edges="edges")
    assert set(keys) <= set(graph)
    assert nx.read_graphml("out.graphml").number_of_nodes() == graph.number_of_nodes()
    assert attempt("drop", model, "--db", address).code == 0
    assert json.loads(attempt("models", "--json", "--db", address).out) == []


def test_a_key_that_is_too_long_for_an_index_is_refused_before_anything_is_written(
    address: str, tmp_path: Path
) -> None:
    bundle = write_planted(tmp_path / "long", {"x" * 10_000: 1, "b": 1}, [(f"{'x' * 10_000}:0", "b:0", 1.0)])
    trial = attempt("load", bundle.path, "--db", address)
    assert not trial.faults(names="a key has 10,0")
    assert trial.code == 2
    with open_store(address, create=True) as store:
        assert store.models() == []


def test_hostile_layers_of_a_network_and_curated_families_stay_names(address: str, here: Path) -> None:
    names = [name for name in HOSTILE if "." not in name and len(name) < 300]
    Path("odd.py").write_text(
        f"from torch import nn\nNAMES = {names!r}\n"
        "def odd():\n    m = nn.Sequential()\n    for i, n in enumerate(NAMES):\n"
        "        m.add_module(n, nn.Conv2d(3, 3, 1))\n    return m\n"
    )
    made = attempt("extract", "odd.py:odd", "--input-size", "3,4,4", "--weights", "random", "-o", "odd.circuitome")
    assert made.code == 0, made.err or made.crash
    with Path("mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["family", "neuron", "offset"], *([name, f"odd/{names[0]}:{i}", 0] for i, name in enumerate(names[:3]))]
        )
    curated = attempt("annotate", "odd.circuitome", "--families", "mine.csv")
    assert curated.code == 0, curated.err or curated.crash
    assert attempt("load", "odd.circuitome", "--db", address).code == 0
    rows = json.loads(attempt("families", "--json", "--db", address).out)
    assert sorted(row["name"] for row in rows) == sorted(names[:3])
    layers = {row["layer"] for row in json.loads(attempt("query", "layers", "--json", "--db", address).out)}
    assert {f"odd/{name}" for name in names} <= layers


@pytest.mark.parametrize("name", [*HOSTILE, "\u0441ircuitome/x", "a" * 201])
def test_a_model_cannot_be_called_anything(name: str, here: Path) -> None:
    Path("nets.py").write_text(NETS)
    trial = attempt("extract", "nets.py:tiny", "--name", name, "--input-size", "3,8,8", watch=here)
    if name in ("\u0391\u0412", "caf\u00e9"):  # letters, if not of the Latin alphabet
        assert (trial.code, trial.changed[0]) == (0, f"{name}.circuitome")
    else:
        assert not trial.faults()
        assert (trial.code, "--name" in trial.err) == (2, True)


def test_a_table_and_json_show_what_a_terminal_would_obey(here: Path, tmp_path: Path) -> None:
    bundle = write_planted(
        tmp_path / "p", {"a\x1b[31m\x9b2J\u202e": 1, "b": 1}, [("a\x1b[31m\x9b2J\u202e:0", "b:0", 1.0)]
    )
    assert attempt("load", bundle.path, "--db", "a.db").code == 0
    for line in (["query", "neurons"], ["neuron", "b:0"], ["query", "neurons", "--json"]):
        got = attempt(*line, "--db", "a.db")
        assert got.code == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(got.out + got.err)
        assert "\\x1b[31m\\x9b2J\\u202e" in got.out or "\\u001b[31m\\u009b2J\\u202e" in got.out
    Path("evil.cypher").write_text("// \x1b[31m\nMATCH (n:Model) RETURN n.key AS key")
    assert "\x1b" not in attempt("query", "evil.cypher", "--show").out
    assert "\x1b" not in attempt("query", "--\x1b[31m").err


TRAP = "import pathlib\npathlib.Path(__file__).with_name('sprung').touch()\nraise SystemExit('trapped')\n"


@pytest.mark.parametrize("where, file", [("beside", "w.safetensors"), ("inside", "w.pth")])
def test_nothing_is_imported_from_the_folder_of_a_weights_file(where: str, file: str, tmp_path: Path) -> None:
    from circuitome.extract.models import resolve

    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in (
        "torch",
        "numpy",
        "json",
        "safetensors",
        "torchvision",
        "kuzu",
        "rich",
        "typer",
        "sitecustomize",
        "circuitome",
    ):
        (folder / f"{name}.py").write_text(TRAP)
    state = resolve("squeezenet1_1", weights="random").model.state_dict()
    if file.endswith("pth"):
        torch.save(state, folder / file)
    else:
        save_file({name: tensor.numpy() for name, tensor in state.items()}, folder / file)
    line = ["extract", "squeezenet1_1", "--weights", folder / file, "--input-size", "3,64,64", "-o", tmp_path / "out"]
    done = subprocess.run(
        [Path(sys.executable).with_name("circuitome"), *line],
        cwd=folder if where == "inside" else tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "sprung").exists()


def test_a_manifest_names_code_and_none_is_run(here: Path) -> None:
    Path("nets.py").write_text(NETS)
    Path("evil.py").write_text("from pathlib import Path\nPath('executed').touch()\ndef net(): ...\n")
    assert attempt("extract", "nets.py:tiny", "--input-size", "3,8,8", "-o", "a.circuitome").code == 0
    manifest = json.loads(Path("a.circuitome/manifest.json").read_text())
    for architecture in ("evil.py:net", "evil:net", str(here / "evil.py:net"), "os:getcwd"):
        manifest["model"]["architecture"] = architecture
        Path("a.circuitome/manifest.json").write_text(json.dumps(manifest))
        for command in ("verify", "annotate"):
            trial = attempt(command, "a.circuitome")
            assert (trial.code, "typed" in trial.err) == (2, True), trial.err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "tables/../../outside", "..", "a\\..\\b", "x\x00y", "./../outside"]
)
def test_a_path_in_a_manifest_does_not_lead_out(name: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (tmp_path / "outside").write_bytes(b"secret")
    manifest = dict(bundle.manifest)
    manifest["files"] = {**manifest["files"], name: {"bytes": 6, "sha256": "0" * 64, "rows": 1}}
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="is not a file of the bundle's folder"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    "name", ["tables/Neuron.parquet", "kernels.safetensors", "wiring.json", "manifest.json", "tables"]
)
def test_a_link_that_leads_out_of_a_bundle_is_refused(name: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (bundle.path / name).rename(tmp_path / "outside")
    (bundle.path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is not a file of the bundle's folder"):
        Bundle.open(bundle.path)


def test_a_bundle_behind_a_link_is_a_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "toy")
    (tmp_path / "link").symlink_to(tmp_path / "toy")
    Bundle.open(tmp_path / "link").check()


def test_neurons_of_another_model_are_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    neurons = bundle.table("Neuron").to_pylist()
    neurons[3]["model"] = "other"
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Neuron", pa.Table.from_pylist(neurons, schema=arrow_schema("Neuron")))
        writer.finish()
    with pytest.raises(BundleError, match="model is 'other' in some rows"):
        Bundle.open(bundle.path).check()


BOUNDED = """
import json, resource, sys
from circuitome.cli import main
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
codes = []
for line in json.loads(sys.argv[2]):
    try:
        main(line)
    except SystemExit as stop:
        codes.append(stop.code)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) / 1024
assert grown < float(sys.argv[1]), f"{grown:.0f} MiB"
print(json.dumps(codes))
"""


def bounded(*lines: list[Any], mebibytes: int) -> subprocess.CompletedProcess[str]:
    """Runs of the program in a process that fails where its memory grows by more; prints their exit codes."""
    code = [sys.executable, "-c", BOUNDED, str(mebibytes), json.dumps([list(map(str, line)) for line in lines])]
    return subprocess.run(code, capture_output=True, text=True, timeout=100)


def text_bomb() -> pa.Table:
    """A million rows that share one text of a megabyte: a few kilobytes on disk, a terabyte as plain text."""
    indices = pa.array(np.zeros(1_000_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000_000]))
    columns = {field.name: pa.nulls(1_000_000, field.type) for field in arrow_schema("Neuron")}
    return pa.table({**columns, "key": texts})


def row_bomb() -> pa.Table:
    """Twenty million rows of nothing."""
    return pa.table({field.name: pa.nulls(20_000_000, field.type) for field in arrow_schema("Branch")})


@pytest.mark.parametrize("table, make", [("Neuron", text_bomb), ("Branch", row_bomb)])
def test_a_table_that_would_unpack_to_very_much_is_refused(table: str, make: Any, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    rows = make()
    pq.write_table(rows, bundle.table_path(table), compression="lz4", use_dictionary=True)
    fit_manifest(bundle.path, f"tables/{table}.parquet", rows.num_rows)
    done = bounded(["check", bundle.path], ["load", bundle.path, "--db", tmp_path / "a.db"], mebibytes=400)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 2]
    assert done.stderr.count(f"{table}.parquet") >= 2
    assert done.stderr.count("would unpack to more than") >= 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.db").exists()


def test_a_table_packed_by_something_else_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    pq.write_table(pq.read_table(bundle.table_path("Neuron")), bundle.table_path("Neuron"), compression="zstd")
    fit_manifest(bundle.path, "tables/Neuron.parquet")
    with pytest.raises(BundleError, match="compressed with ZSTD"):
        Bundle.open(bundle.path).check()


def safetensors_with(header: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header


def weights_bombs(folder: Path) -> dict[str, Path]:
    """Weights files that promise, or would unpack to, far more than they are."""
    huge = {"0.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}}
    files = {
        "shape.safetensors": safetensors_with(json.dumps(huge).encode()),
        "header.safetensors": safetensors_with(b"{}", 1 << 62),
        "deep.safetensors": safetensors_with(b'{"a":' * 200_000),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    torch.save({"0.weight": torch.zeros(8, 3, 3, 3)}, folder / "packed.pth")
    with zipfile.ZipFile(folder / "packed.pth") as whole:
        parts = {entry: whole.read(entry) for entry in whole.namelist()}
    with zipfile.ZipFile(folder / "packed.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry, data in parts.items():
            bomb.writestr(entry, bytes(1 << 30) if "/data/" in entry else data)
    torch.save({"0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, folder / "strided.pth")
    return {name: folder / name for name in (*files, "packed.pth", "strided.pth")}


def test_weights_that_promise_too_much_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    bombs = weights_bombs(tmp_path)
    before = snapshot(tmp_path)
    model, output = f"{tmp_path / 'nets.py'}:tiny", tmp_path / "out.circuitome"
    done = bounded(*(["extract", model, "--weights", path, "-o", output] for path in bombs.values()), mebibytes=700)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [2] * len(bombs)
    assert all(name in done.stderr for name in bombs)
    assert "Traceback" not in done.stderr
    assert {name: file for name, file in snapshot(tmp_path).items() if "__pycache__" not in name} == before


def test_a_manifest_that_is_deep_or_huge_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (bundle.path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="not readable as JSON"):
        Bundle.open(bundle.path)
    with (bundle.path / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)  # a hole: no disk is used
    with pytest.raises(BundleError, match="are too many"):
        Bundle.open(bundle.path)
