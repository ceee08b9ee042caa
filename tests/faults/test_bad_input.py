"""Bad input: whatever is put in, one message that names it, exit code 2, and nothing left behind.

Each kind of damage is tried with seeded generators: a tenth here, all of it with `-m torture`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, cast

import neo4j
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.export import tables_of
from circuitome.graphdb.schema import EDGE_TYPES, arrow_schema
from circuitome.graphdb.stores.opening import open_store
from tests.support.damaged_bundles import BUNDLE_DAMAGE, damaged, fit_manifest
from tests.support.damaged_files import BYTE_DAMAGE, SAFETENSORS_DAMAGE
from tests.support.factories import TINY
from tests.support.random_arguments import random_arguments
from tests.support.random_cypher import random_cypher, random_motif
from tests.support.synthetic import write_bundle
from tests.support.trials import Tally, attempt, seeds

ROOT = Path(__file__).parents[2]


def trials(number: int) -> Any:
    """So many trials in the long run, a tenth of them in the short one."""
    long = pytest.param(number, marks=[pytest.mark.torture, pytest.mark.timeout(3000)], id="all")
    return pytest.mark.parametrize("number", [pytest.param(number // 10, id="tenth"), long])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `nets.py`, its weights in two formats, the bundle `tiny.circuitome`, and a
    database of it.
    """
    folder = tmp_path_factory.mktemp("bench")
    (folder / "nets.py").write_text(TINY)
    made = extract(
        folder, "--weights", "random", "--name", "tiny", "-o", folder / "tiny.circuitome"
    )
    assert made.code == 0, made.err
    from circuitome.extract.models.resolve import resolve

    state = resolve(f"{folder / 'nets.py'}:tiny", weights="random").model.state_dict()
    torch.save(state, folder / "whole.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(
        {name: tensor.numpy() for name, tensor in state.items()}, folder / "whole.safetensors"
    )
    assert attempt("load", folder / "tiny.circuitome", "--db", folder / "circuitome.db").code == 0
    return folder


def extract(folder: Path, *more: Any, watch: Path | None = None) -> Any:
    return attempt(
        "extract",
        f"{folder / 'nets.py'}:tiny",
        "--input-size",
        "3,8,8",
        "--device",
        "cpu",
        *more,
        watch=watch,
    )


@pytest.fixture
def here(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    return folder


@trials(1000)
def test_damaged_weights_are_refused_or_harmless(bench: Path, here: Path, number: int) -> None:
    tally = Tally("damaged weights files")
    whole = {
        name: (bench / name).read_bytes() for name in ("whole.safetensors", "whole.pth", "old.pth")
    }
    for seed, rng in enumerate(seeds(number)):
        name = rng.choice(["whole.safetensors", "whole.safetensors", "whole.pth", "old.pth"])
        ways = SAFETENSORS_DAMAGE if name.endswith("safetensors") else BYTE_DAMAGE
        how = rng.choice(list(ways))
        bad = Path(f"bad{seed}").with_suffix(Path(name).suffix)
        bad.write_bytes(ways[how](rng, whole[name]))
        trial = extract(bench, "--weights", bad, "-o", "out.circuitome", watch=here)
        tally.add(f"{seed}: {name}, {how}", trial, names=bad.name, may_change=True)
        bad.unlink()
        shutil.rmtree("out.circuitome", ignore_errors=True)
    tally.report()


@trials(1000)
def test_damaged_bundles_are_refused_or_harmless(bench: Path, here: Path, number: int) -> None:
    tally = Tally("damaged bundles")
    for seed, rng in enumerate(seeds(number)):
        how = rng.choice(list(BUNDLE_DAMAGE))
        shutil.copytree(bench / "tiny.circuitome", "bad.circuitome")
        damaged(here / "bad.circuitome", rng, how)
        checked = attempt("check", "bad.circuitome", watch=here)
        tally.add(f"{seed}: {how}, check", checked, names="bad.circuitome")
        command = rng.choices(["verify", "load", ""], [1, 4, 6])[0]
        if command == "verify":
            done = attempt("verify", "bad.circuitome", f"{bench / 'nets.py'}:tiny", watch=here)
            tally.look(f"{seed}: {how}, verify", done, names="bad")
        elif command == "load":
            done = attempt("load", "bad.circuitome", "--db", "bad.db", watch=here)
            tally.look(f"{seed}: {how}, load", done, names="bad", may_change=True)
            if done.code == 0:
                asked = rng.choice(
                    [["models", "--json"], ["query", "neurons"], ["neuron", "0:0"], ["families"]]
                )
                got = attempt(*asked, "--db", "bad.db", watch=here)
                tally.look(f"{seed}: {how}, {asked[0]}", got)
        for path in here.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    tally.report()


def furnish(bench: Path, folder: Path) -> None:
    """Put what the argument lines name into a folder."""
    for name in ("nets.py", "circuitome.db"):
        shutil.copy(bench / name, folder / name)
    shutil.copytree(bench / "tiny.circuitome", folder / "tiny.circuitome")
    (folder / "mine.csv").write_text("family,neuron,offset\nmine,0:0,0\nmine,0:1,90\n")


@trials(1000)
def test_random_argument_lines_end_in_order(bench: Path, here: Path, number: int) -> None:
    tally = Tally("random argument lines")
    furnish(bench, here)
    for seed, rng in enumerate(seeds(number)):
        line = random_arguments(rng)
        writes = bool({"extract", "load", "drop", "export", "annotate", "demo"} & set(line))
        tally.add(f"{seed}: {line}"[:400], attempt(*line, watch=here), may_change=writes)
        if writes:
            for path in here.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            furnish(bench, here)
    tally.report()


def digest(address: str) -> dict[str, Any]:
    """All that a database holds, whatever its labels: how many rows of each kind, and a digest of
    them.
    """
    if "://" not in address:
        with open_store(address) as store:
            tables = {name: table.to_pylist() for name, table in tables_of(store).items()}
        return {"file": hashlib.sha256(Path(address).read_bytes()).hexdigest(), **_counted(tables)}
    asked = {
        "nodes": "MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties",
        "relationships": (
            "MATCH (a)-[r]->(b) RETURN a.key AS a, type(r) AS type, b.key AS b, properties(r) AS "
            "properties"
        ),
        "constraints": "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties",
        "indexes": "SHOW INDEXES YIELD name, type, labelsOrTypes, properties, state",
        "users": "SHOW USERS YIELD user, passwordChangeRequired",
        "databases": "SHOW DATABASES YIELD name, currentStatus, access",
        "procedures": "CALL db.labels() YIELD label RETURN label",
    }
    with neo4j.GraphDatabase.driver(
        address, auth=("neo4j", os.environ["NEO4J_PASSWORD"])
    ) as driver:
        return _counted(
            {name: driver.execute_query(cast(Any, text))[0] for name, text in asked.items()}
        )


def _counted(tables: dict[str, Any]) -> dict[str, Any]:
    """Numbers of rows, and a digest of the rows in any order."""
    texts = {
        name: sorted(json.dumps(dict(row), sort_keys=True) for row in rows)
        for name, rows in tables.items()
    }
    return {
        name: (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
        for name, rows in texts.items()
    }


@pytest.mark.parametrize("engine", ["Kuzu", "Neo4j"])
@trials(500)
def test_random_queries_end_in_order_and_change_nothing(
    bench: Path,
    here: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    engine: str,
    number: int,
) -> None:
    address = (
        request.getfixturevalue("neo4j_empty").address
        if engine == "Neo4j"
        else str(tmp_path / "some.db")
    )
    loaded = attempt("load", bench / "tiny.circuitome", "--db", address)
    assert loaded.code == 0, loaded.err
    before = digest(address)
    tally = Tally(f"random query files and parameters, {engine}")
    for seed, rng in enumerate(seeds(number)):
        file = Path(f"odd{seed}.cypher")
        if rng.random() < 0.15:
            text, given = (
                random_motif(rng),
                rng.choice([[], ["--null", "1"], ["--null", "2", "--null-model", "swap"]]),
            )
            line = ["motifs", file, *given]
        else:
            text, given = random_cypher(rng)
            line = ["query", file, *given]
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        as_json = ["--json"] if rng.random() < 0.5 else []
        trial = attempt(*line, "--db", address, "--timeout", "10", *as_json, watch=here)
        tally.add(
            f"{seed}: {text!r} {given}"[:600], trial, names="" if "-p" in trial.err else file.stem
        )
        if trial.code == 2:
            tally.faults += [f"{seed}: not one message with a cure: {trial.err}"] * (
                trial.err.count("circuitome: ") != 1
                or not re.search(r"; |, line \d+: .+: |`-p ", trial.err)
            )
        file.unlink()
    assert digest(address) == before
    tally.report()


def rewrite(bundle: Bundle, table: str, **columns: Any) -> None:
    """Put values into the first row of a table, by column."""
    rows = bundle.table(table).to_pylist()
    rows[0] |= columns
    changed = pa.Table.from_pylist(
        rows, schema=bundle.table(table).cast(arrow_schema(table)).schema
    )
    pq.write_table(changed, bundle.table_path(table), compression="lz4")
    fit_manifest(bundle.path, f"tables/{table}.parquet")


@pytest.mark.parametrize(
    "table, columns, message",
    [
        ("Neuron", {"key": "toy/conv1:0"}, "the key 'toy/conv1:0' is there twice"),
        ("Neuron", {"key": None}, "1 rows have no key"),
        ("Neuron", {"bias": float("nan")}, "1 values of `bias` are not a number"),
        ("Neuron", {"tuning": [0.5, float("nan")]}, "1 values of `tuning` are not a number"),
        (
            "EXCITES",
            {"from": "toy/nobody:0"},
            "1 rows have no Neuron at `from`, the first is 'toy/nobody:0' in row 0",
        ),
        (
            "EXCITES",
            {"to": "toy/conv1"},
            "1 rows have no Neuron at `to`, the first is 'toy/conv1' in row 0",
        ),
        ("IN_LAYER", {"to": None}, "1 rows have no Layer at `to`"),
        ("EXCITES", {"weight": float("nan")}, "1 values of `weight` are not a number"),
        ("EXCITES", {"from": "toy/input:1", "to": "toy/conv1:1"}, "have more than one edge"),
        ("Model", {"key": "other"}, "key is 'other' in some rows, the manifest says 'toy'"),
    ],
)
def test_check_tells_each_problem_in_a_line(
    tmp_path: Path, table: str, columns: dict[str, Any], message: str
) -> None:
    bundle = write_bundle(tmp_path / "toy", density=1.0)
    assert attempt("check", bundle.path).code == 0
    rewrite(bundle, table, **columns)
    got = attempt("check", bundle.path)
    assert got.code == 1
    assert f"{table}.parquet" in got.err or "edge" in message
    assert sum(message in line for line in got.err.splitlines()) == 1
    assert got.out == ""


def test_check_goes_on_after_the_first_problem_and_the_first_bundle(tmp_path: Path) -> None:
    bundles = [write_bundle(tmp_path / name, name="toy") for name in "abc"]
    rewrite(bundles[0], "Neuron", bias=float("nan"))
    rewrite(bundles[0], "EXCITES", share=float("nan"))
    (bundles[1].path / "wiring.json").write_text(
        (bundles[1].path / "wiring.json").read_text()[::-1]
    )
    got = attempt("check", *(bundle.path for bundle in bundles))
    assert got.code == 1
    assert [
        word in got.err for word in ("`bias`", "`share`", "wiring.json was altered", "c: whole")
    ] == [True] * 4
    assert f"{bundles[0].path}: 2 problems" in got.err


def sick(bench: Path, place: tuple[int, ...], value: float, name: str = "0.weight") -> Path:
    state = load_file(bench / "whole.safetensors")
    state[name][place] = value
    save_file(state, "sick.safetensors")
    return Path("sick.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_with_layer_and_neuron(
    bench: Path, here: Path, value: float
) -> None:
    got = extract(
        bench, "--weights", sick(bench, (5, 1, 0, 2), value), "-o", "out.circuitome", watch=here
    )
    assert not got.faults(names="sick.safetensors: 0.weight, channel 5 is not finite")
    assert (got.code, "--allow-nonfinite" in got.err) == (2, True)


def test_a_bias_that_overflows_while_it_is_folded_is_refused_with_layer_and_neuron(
    bench: Path, here: Path
) -> None:
    got = extract(
        bench,
        "--weights",
        sick(bench, (2,), -1.0, "1.running_var"),
        "-o",
        "out.circuitome",
        watch=here,
    )
    assert not got.faults(names="layer 0, neuron 2")
    assert got.code == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_allowed_weights_that_are_not_finite_mark_their_neuron_and_make_no_edge(
    bench: Path, here: Path, value: float
) -> None:
    from circuitome.extract.models.resolve import resolve

    state = resolve(f"{bench / 'nets.py'}:tiny", weights="random").model.state_dict()
    state["3.weight"][1, 4] = value
    state["3.bias"][2] = value
    torch.save(state, "sick.pth")
    options = ["--name", "sick", "--keep", "all"]
    got = extract(bench, "--weights", "sick.pth", "--allow-nonfinite", *options)
    assert got.code == 0, got.err
    assert "2 neurons with weights that are not finite, the first sick/3:1" in got.err
    bundle = Bundle.open("sick.circuitome")
    assert list(bundle.faults()) == []
    assert bundle.manifest.nonfinite == ["sick/3:1", "sick/3:2"]
    neurons = {row["key"]: row for row in bundle.table("Neuron").to_pylist()}
    assert [neurons[f"sick/3:{i}"]["kept_mass"] for i in range(3)] == [1.0, None, None]
    assert [neurons[f"sick/3:{i}"]["bias"] is None for i in range(3)] == [False, False, True]
    edges = [edge for name in EDGE_TYPES for edge in bundle.table(name).to_pylist()]
    assert {edge["from"] for edge in edges if edge["to"] == "sick/3:1"} == {
        f"sick/0:{i}" for i in range(8) if i != 4
    }
    assert sum(edge["to"] == "sick/3:2" for edge in edges) == 8
    assert attempt("load", "sick.circuitome", "--db", "a.db").code == 0
    for command in ("verify", "annotate"):
        refused = attempt(
            command, "sick.circuitome", f"{bench / 'nets.py'}:tiny", "--weights", "sick.pth"
        )
        assert (refused.code, "is not finite" in refused.err) == (2, True), refused.err


def test_an_odd_tensor_is_refused(bench: Path, here: Path) -> None:
    from circuitome.extract.models.resolve import resolve

    state = resolve(f"{bench / 'nets.py'}:tiny", weights="random").model.state_dict()
    whole = state["0.weight"]
    for number, odd in enumerate(
        (
            whole.to(torch.complex64),
            whole.to("meta"),
            whole.to_sparse(),
            whole.bool(),
            torch.zeros(0),
            torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8),
        )
    ):
        torch.save(state | {"0.weight": odd}, f"odd{number}.pth")
        got = extract(bench, "--weights", f"odd{number}.pth", "-o", "out.circuitome", watch=here)
        assert got.code == 2, (number, got.out)
        assert not got.faults(names=f"odd{number}.pth")


LONG = ["x" * 300, "x/" * 3000, "\udcff\udcfe", "a\nb"]


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize(
    "line",
    [
        ["extract", "nets.py:tiny", "--weights", "{}.pth"],
        ["extract", "{}.py:tiny"],
        [
            "extract",
            "squeezenet1_1",
            "--weights",
            "random",
            "--input-size",
            "3,64,64",
            "-o",
            "{}/b",
        ],
        ["check", "{}"],
        ["load", "{}"],
        ["models", "--db", "{}"],
        ["load", "tiny.circuitome", "--db", "{}/x"],
        ["query", "{}.cypher"],
        ["export", "--db", "circuitome.db", "-o", "{}/x"],
        ["annotate", "tiny.circuitome", "--families", "{}"],
        ["annotate", "tiny.circuitome", "nets.py:tiny", "--images", "{}"],
    ],
)
def test_a_name_that_no_file_can_have_is_one_message(
    bench: Path, here: Path, line: list[str], name: str
) -> None:
    for file in ("nets.py", "circuitome.db"):
        shutil.copy(bench / file, here / file)
    shutil.copytree(bench / "tiny.circuitome", here / "tiny.circuitome")
    got = attempt(*(word.replace("{}", name) for word in line), watch=here)
    made = line[-1].endswith(("/x", "/b")) and name == "a\nb"  # odd, and possible
    assert not got.faults(may_change=made), got
    assert made or got.code == 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.binary(max_size=400), suffix=st.sampled_from([".safetensors", ".pth"]))
def test_any_bytes_are_no_weights(
    bench: Path, tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / f"any{suffix}").write_bytes(data)
    trial = extract(
        bench, "--weights", folder / f"any{suffix}", "-o", folder / "out.circuitome", watch=folder
    )
    assert not trial.faults(names=f"any{suffix}")
    assert trial.code == 2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    entry=st.sampled_from(["model", "kernels", "files", "schema_version", "format"]), value=_JSON
)
def test_any_value_in_a_manifest_is_refused(
    tmp_path_factory: pytest.TempPathFactory, entry: str, value: Any
) -> None:
    assume(value != [])  # no kernels are kernels, too
    bundle = write_bundle(tmp_path_factory.mktemp("any") / "toy")
    (bundle.path / "manifest.json").write_text(
        json.dumps({**bundle.manifest.to_json(), entry: value})
    )
    with pytest.raises(BundleError, match=r"manifest\.json|schema version"):
        Bundle.open(bundle.path)
