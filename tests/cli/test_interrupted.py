"""What people and systems do to a running program: Ctrl-C, SIGTERM, a pipe that is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import neo4j
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import export
from circuitome.graphdb.stores.opening import open_store
from circuitome.queries.database import open_database
from tests.support.synthetic import write_bundle
from tests.support.trials import attempt

SLOW = """// Slow.
// returns:
//   n: a number
MATCH (a:Neuron), (b:Neuron), (c:Neuron), (d:Neuron), (e:Neuron), (f:Neuron)
WHERE a.key <> b.key AND b.key <> c.key AND c.key <> d.key AND d.key <> e.key AND e.key <> f.key AND f.key <> a.key
RETURN count(*) AS n
"""
FACTORY = """from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)
    )
"""
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it runs aside ignore it
from circuitome.cli import main
main(sys.argv[1:])
"""
LOADER = """
import sys
from circuitome.cli import main
from circuitome.graphdb.stores import embedded
real = embedded.build
def slow(*parts, **named):
    real(*parts, **named)
    print("built", flush=True)
    import time
    time.sleep(60)
embedded.build = slow
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network with so many neurons that their sixth power is out of reach."""
    return write_bundle(tmp_path_factory.mktemp("wide") / "wide", name="wide", layers=(3, 40, 40))


def program(*arguments: Any, code: Sequence[str] = ("-c", PROGRAM)) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, *code, *map(str, arguments)]
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def transactions(server: Any) -> list[str]:
    """Queries that run on the server, but for this one."""
    with neo4j.GraphDatabase.driver(server.address, auth=("neo4j", server.password)) as driver:
        rows = driver.execute_query(
            "SHOW TRANSACTIONS YIELD currentQuery RETURN currentQuery AS text"
        ).records
    return [row["text"] for row in rows if row["text"] and "(f:Neuron)" in row["text"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_running_query_at_once(
    number: signal.Signals,
    address: str,
    wide: Bundle,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    with open_database(address, create=True) as database:
        database.load(wide)
    (tmp_path / "slow.cypher").write_text(SLOW)
    server = request.getfixturevalue("neo4j_empty") if "://" in address else None
    process = program("query", tmp_path / "slow.cypher", "--db", address, "--timeout", "0")
    if server is None:
        time.sleep(5)
    else:
        wait_until(lambda: transactions(server))
    assert process.poll() is None
    process.send_signal(number)
    start = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130 if number == signal.SIGINT else 143, "", "")
    assert time.monotonic() - start < 20
    if server is not None:
        wait_until(lambda: not transactions(server))


def wait_until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_stopped_annotation_says_that_it_can_go_on(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    bundle, model = tmp_path / "small.circuitome", f"{tmp_path}/nets.py:small"
    line = [model, "--input-size", "3,32,32", "--weights", "random", "-o", bundle]
    assert attempt("extract", *line).code == 0
    process = program("annotate", bundle, model)
    wait_until((tmp_path / f".{bundle.name}.annotating" / "setting.json").is_file)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; finished layers are kept" in err


def test_a_load_that_is_told_to_end_clears_away_what_it_began(wide: Bundle, tmp_path: Path) -> None:
    process = program("load", wide.path, "--db", tmp_path / "x.db", code=("-c", LOADER))
    assert process.stdout is not None and process.stdout.readline() == "built\n"
    assert list(tmp_path.iterdir())
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line", [["query", "edges", "--limit", "50000"], ["query", "edges", "--json"], ["models"]]
)
def test_a_closed_pipe_is_no_failure(line: list[str], wide: Bundle, tmp_path: Path) -> None:
    with open_database(tmp_path / "x.db", create=True) as database:
        database.load(wide)
    process = program(*line, "--db", tmp_path / "x.db")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "there").write_text("precious")
    (tmp_path / "link").symlink_to("there")
    yield tmp_path / "link"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text() == "precious"


def test_an_export_takes_the_place_of_no_link_and_no_device(wide: Bundle, link: Path) -> None:
    with open_database(link.parent / "x.db", create=True) as database:
        database.load(wide)
    os.mkfifo(link.parent / "pipe")
    for target in (link, link.parent / "pipe"):
        trial = attempt("export", "--db", link.parent / "x.db", "-o", target)
        assert trial.code == 2 and f"{target}: a link or a device" in trial.err, trial
    assert export(wide, "networkx", link.parent / "x.json").is_file()


def test_what_is_loaded_right_before_a_drop_stays(
    neo4j_empty: Any, wide: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop that waits for a load must not think of the models that were there when it began
    to wait.
    """
    other = write_bundle(tmp_path / "other", name="other")
    with open_store(neo4j_empty.address) as store, open_store(neo4j_empty.address) as loader:
        store.load(wide)
        real = store._alone  # pyright: ignore[reportAttributeAccessIssue]

        def late() -> Any:
            loader.load(other)
            return real()

        monkeypatch.setattr(store, "_alone", late)
        store.drop("wide")
        assert [(row["key"], row["state"]) for row in store.models()] == [("other", "ready")]
        assert store.run("MATCH (n:Neuron) RETURN DISTINCT n.model AS model").to_pylist() == [
            {"model": "other"}
        ]


def test_what_a_lost_model_left_does_not_hinder_its_load(neo4j_empty: Any, wide: Bundle) -> None:
    with open_store(neo4j_empty.address) as store:
        store.load(wide)
        with neo4j.GraphDatabase.driver(
            neo4j_empty.address, auth=("neo4j", neo4j_empty.password)
        ) as driver:
            driver.execute_query("MATCH (m:Model) DETACH DELETE m")
        store.load(wide)
        assert [(row["key"], row["state"]) for row in store.models()] == [("wide", "ready")]
        assert store.run("MATCH (n:Neuron) RETURN count(*) AS n").to_pylist() == [
            {"n": wide.rows("Neuron")}
        ]
