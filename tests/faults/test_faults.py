"""What happens to processes, disks and servers: kills at random moments, full and read-only places,
lost connections, two at once.

A tenth of the kills here, all of them with `-m torture`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import neo4j
import numpy as np
import pyarrow as pa
import pytest

from circuitome.graphdb import drafts
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import tables_of
from circuitome.graphdb.stores.local_server import LocalServer, free_port, missing
from circuitome.graphdb.stores.opening import open_store
from circuitome.queries.database import open_database
from circuitome.queries.errors import QueryError
from circuitome.universality.destinations import TABLES
from tests.support.compare_stores import commands
from tests.support.killing import Ended, run_until, torn
from tests.support.signed_networks import network, signed, small_gallery
from tests.support.synthetic import annotated, write_bundle
from tests.support.trials import Tally, attempt, snapshot

NETS = """
from torch import nn

def tiny():
    first, second = nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.Conv2d(8, 6, 3)
    layers = first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(6, 2, 1)
    return nn.Sequential(*layers).eval()
"""
EXTRACT = [
    "extract",
    "nets.py:tiny",
    "--weights",
    "random",
    "--input-size",
    "3,33,33",
    "--name",
    "tiny",
    "--device",
    "cpu",
]
EXTRACT += ["-o", "tiny.circuitome", "--force"]


def kills(few: int, many: int) -> Any:
    """So many kills in the short run, and in the long one."""
    long = pytest.param(many, marks=[pytest.mark.torture, pytest.mark.timeout(3000)], id="all")
    return pytest.mark.parametrize("number", [pytest.param(few, id="few"), long])


def report(kind: str, tried: int, *, refused: int = 0) -> None:
    """Note trials for the page of the docs; each was looked at before."""
    tally = Tally(kind, tried=tried, refused=refused)
    tally.report()


def files(folder: Path) -> dict[str, str]:
    """Digest of each file of a folder; empty where there is none."""
    return snapshot(folder) if folder.is_dir() else {}


def rows(address: str | Path) -> dict[str, list[str]]:
    """Everything that a database holds, in an order of its own."""
    with open_store(str(address)) as store:
        return {
            name: sorted(map(repr, table.to_pylist())) for name, table in tables_of(store).items()
        }


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles that are only read: `toy`, another one of its name in `newer`, `other`, and three
    with signatures.
    """
    folder = tmp_path_factory.mktemp("shelf")
    annotated(write_bundle(folder / "toy"))
    annotated(write_bundle(folder / "newer", seed=1))
    write_bundle(folder / "other", name="other", seed=2)
    for seed, name in enumerate(("one", "two", "three")):
        signed(
            network(seed, first=8, second=8),
            folder / f"{name}.circuitome",
            gallery=small_gallery(36),
        )
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of a command that is killed; `torn` makes it."""
    return tmp_path / "place"


@kills(4, 40)
def test_a_killed_extract_leaves_the_old_bundle_or_the_new_one(place: Path, number: int) -> None:
    manifests: list[Any] = []

    def before() -> None:
        (place / "nets.py").write_text(NETS)
        write_bundle(place / "tiny.circuitome", name="tiny")
        manifests.append(Bundle.open(place / "tiny.circuitome").manifest)

    def look() -> None:
        held = Bundle.open(place / "tiny.circuitome")
        held.check()
        assert held.manifest in manifests

    def after() -> dict[str, str]:
        manifests.append(Bundle.open(place / "tiny.circuitome").manifest)
        return files(place / "tiny.circuitome")

    report(
        "kill -9 of extract",
        torn(EXTRACT, place, before=before, look=look, after=after, number=number, seed=1),
    )


@kills(2, 25)
def test_a_killed_annotate_leaves_the_old_bundle_or_the_new_one(
    place: Path, tmp_path: Path, number: int
) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    done = run_until(EXTRACT, tmp_path)
    assert done.code == 0, done.said
    parts = "responses" if number < 10 else "responses,equivariance,families,circuits"
    line = [
        "annotate",
        "tiny.circuitome",
        "nets.py:tiny",
        "--weights",
        "random",
        "--device",
        "cpu",
        "--parts",
        parts,
    ]
    whole: list[dict[str, str]] = [files(tmp_path / "tiny.circuitome")]

    def before() -> None:
        shutil.copy(tmp_path / "nets.py", place)
        shutil.copytree(tmp_path / "tiny.circuitome", place / "tiny.circuitome")

    def look() -> None:
        Bundle.open(place / "tiny.circuitome").check()
        assert files(place / "tiny.circuitome") in whole

    def after() -> dict[str, str]:
        whole.append(files(place / "tiny.circuitome"))
        return whole[-1]

    line += ["--twins", "3"]
    report(
        "kill -9 of annotate",
        torn(line, place, before=before, look=look, after=after, number=number, seed=2),
    )


@kills(2, 25)
def test_a_killed_comparison_leaves_the_old_folder_or_the_new_one(
    place: Path, shelf: Path, number: int
) -> None:
    one, two, three = (shelf / f"{name}.circuitome" for name in ("one", "two", "three"))
    old = place.parent / "old"
    assert attempt("compare", one, two, "-o", old).code == 0
    whole = [files(old)]

    def look() -> None:
        assert files(place / "compared") in whole

    def after() -> dict[str, str]:
        whole.append(files(place / "compared"))
        return whole[-1]

    killed = torn(
        ["compare", one, two, three, "-o", "compared", "--force"],
        place,
        before=lambda: shutil.copytree(old, place / "compared") and None,
        look=look,
        after=after,
        number=number,
        seed=3,
    )
    report("kill -9 of compare, into a folder", killed)


@kills(2, 15)
def test_a_killed_comparison_leaves_the_old_database_or_the_new_one(
    place: Path, shelf: Path, number: int
) -> None:
    one, two = (shelf / f"{name}.circuitome" for name in ("one", "two"))
    whole = into_a_file(place, ["compare", one, two, "--db", "x.db", "--force"], [one, two])
    report("kill -9 of compare, into a file", torn(**whole, number=number, seed=4))


@kills(2, 30)
def test_a_killed_load_leaves_the_old_file_or_the_new_one(
    place: Path, shelf: Path, number: int
) -> None:
    whole = into_a_file(
        place, ["load", shelf / "newer", "--db", "x.db"], [shelf / "toy", shelf / "other"]
    )
    report("kill -9 of load, into a file", torn(**whole, number=number, seed=5))


def into_a_file(place: Path, line: list[Any], bundles: list[Path]) -> dict[str, Any]:
    """What `torn` needs of a command that changes a file with some bundles."""
    first = place.parent / "first.db"
    with open_database(first, create=True) as database:
        database.load(*bundles)
    whole = [rows(first)]

    def look() -> None:
        assert rows(place / "x.db") in whole

    def after() -> dict[str, list[str]]:
        whole.append(rows(place / "x.db"))
        return whole[-1]

    before: Callable[[], Any] = lambda: shutil.copyfile(first, place / "x.db")  # noqa: E731
    return {"arguments": line, "folder": place, "before": before, "look": look, "after": after}


@kills(3, 25)
def test_a_killed_load_over_bolt_is_seen_to_be_unfinished(
    place: Path, shelf: Path, neo4j_empty: Any, number: int
) -> None:
    address = neo4j_empty.address
    whole: list[Any] = []

    def before() -> None:
        with open_database(address) as database:
            database.load(shelf / "toy", shelf / "other")
        whole.append(rows(address)) if not whole else None

    def look() -> None:
        with open_store(address) as store:
            states = {row["key"]: row["state"] for row in store.models()}
        assert states["other"] == "ready"
        assert states["toy"] == "loading" or rows(address) in whole

    def after() -> dict[str, list[str]]:
        whole.append(rows(address))
        return whole[-1]

    line = ["load", shelf / "newer", "--db", address]
    report(
        "kill -9 of load, over Bolt",
        torn(line, place, before=before, look=look, after=after, number=number, seed=6),
    )


@kills(2, 25)
def test_a_killed_comparison_over_bolt_leaves_each_pair_whole_or_not_at_all(
    place: Path, shelf: Path, neo4j_empty: Any, number: int
) -> None:
    address = neo4j_empty.address
    bundles = [shelf / f"{name}.circuitome" for name in ("one", "two", "three")]
    whole: list[Any] = []

    def matches() -> dict[tuple[str, str, str], list[str]]:
        """The rows between two networks, by table and both."""
        found: dict[tuple[str, str, str], list[str]] = {}
        with open_store(address) as store:
            for name, table in tables_of(store).items():
                for row in table.to_pylist() if name in TABLES else ():
                    found.setdefault(
                        (name, *(row[end].split("/")[0] for end in ("from", "to"))), []
                    ).append(repr(row))
        return {place: sorted(rows) for place, rows in found.items()}

    def before() -> None:
        with open_database(address) as database:
            database.load(*bundles, replace=True)

    def look() -> None:
        found, (wanted, _) = matches(), whole[0]
        assert found.items() <= wanted.items()
        for pair in combinations(("one", "two", "three"), 2):
            there = [place in found for place in wanted if {*place[1:]} == {*pair}]
            assert all(there) or not any(there), pair

    def after() -> Any:
        whole.append((matches(), rows(address)))
        return whole[-1]

    line = ["compare", *bundles, "--db", address]
    killed = torn(line, place, before=before, look=look, after=after, number=number, seed=7)
    report("kill -9 of compare, over Bolt", killed)


def test_where_folders_cannot_be_swapped_a_killed_one_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_bundle(tmp_path / "toy")
    monkeypatch.setattr(drafts, "_swapped", lambda one, other: False)
    child = os.fork()
    if child == 0:  # ends between the two renames
        real = os.replace
        monkeypatch.setattr(os, "replace", lambda a, b: (real(a, b), os.kill(os.getpid(), 9)))
        write_bundle(tmp_path / "toy", seed=1, force=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert not (tmp_path / "toy").exists()
    again = Bundle.open(tmp_path / "toy")
    again.check()
    assert again.manifest == old.manifest
    write_bundle(tmp_path / "toy", seed=1, force=True).check()
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_the_draft_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with drafts.draft(tmp_path / "toy") as folder:
        (folder / "content").write_text("x")
        write_bundle(tmp_path / "toy")
        assert (folder / "content").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that everybody may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o777)
    (folder / "nets.py").write_text(NETS)
    yield folder
    shutil.rmtree(folder)


def refused(done: Ended, name: str, *cures: str) -> None:
    """One message that names the place and the cure, and no traceback."""
    assert done.code == 2, done.said
    assert "Traceback" not in done.said
    said = [line for line in done.said.splitlines() if line.startswith("circuitome: ")]
    assert len(said) == 1 and name in said[0] and any(cure in said[0] for cure in cures), done.said


@pytest.mark.parametrize("largest", [2_000, 6_000])
def test_a_full_disk_leaves_no_bundle(open_place: Path, largest: int) -> None:
    there = files(open_place)
    done = run_until(EXTRACT, open_place, largest=largest)
    refused(done, "tiny.circuitome", "room", "another")
    assert files(open_place) == there
    report("full disk: extract", 1, refused=1)


@pytest.mark.parametrize("largest", [5_000, 300_000, 4_000_000])
def test_a_full_disk_leaves_the_old_database(open_place: Path, shelf: Path, largest: int) -> None:
    with open_database(open_place / "x.db", create=True) as database:
        database.load(shelf / "other")
    there = files(open_place)
    done = run_until(["load", shelf / "toy", "--db", "x.db"], open_place, largest=largest)
    refused(done, "x.db", "room", "another")
    assert files(open_place) == there
    report("full disk: load", 1, refused=1)


@pytest.mark.torture
@pytest.mark.parametrize("size", ["64k", "300k", "1m", "2m"])
def test_a_small_file_system_stays_as_it_was(open_place: Path, shelf: Path, size: str) -> None:
    disk = open_place / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        (disk / "tmp").mkdir()
        (disk / "nets.py").write_text(NETS)
        (disk / "filler").write_bytes(bytes(40_000 if size == "64k" else 200_000))
        there = files(disk)
        for line in (EXTRACT, ["load", shelf / "toy", "--db", "x.db"]):
            done = run_until(line, disk)
            if done.code == 0:
                shutil.rmtree(disk / "tiny.circuitome", ignore_errors=True)
                (disk / "x.db").unlink(missing_ok=True)
            else:
                refused(done, "tiny.circuitome" if line is EXTRACT else "x.db", "room", "another")
            assert files(disk) == there
            report(f"full disk: {line[0]}", 1, refused=done.code == 2)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_read_only_folder_is_named(open_place: Path, shelf: Path) -> None:
    assert run_until(EXTRACT, open_place).code == 0
    shutil.copytree(shelf / "toy", open_place / "toy")
    shutil.copytree(shelf / "one.circuitome", open_place / "one")
    shutil.copytree(shelf / "two.circuitome", open_place / "two")
    with open_database(open_place / "x.db", create=True) as database:
        database.load(shelf / "other")
    (open_place / "tmp").chmod(0o777)
    open_place.chmod(0o555)
    there = files(open_place)
    for line, name in (
        (EXTRACT, "tiny.circuitome"),
        (
            [
                "annotate",
                "tiny.circuitome",
                "nets.py:tiny",
                "--weights",
                "random",
                "--parts",
                "responses",
            ],
            "tiny.circuitome",
        ),
        (["load", "toy", "--db", "x.db"], "x.db"),
        (["drop", "other", "--db", "x.db"], "x.db"),
        (["compare", "one", "two", "-o", "compared"], "compared"),
        (["export", "--db", "x.db", "-o", "x.json"], "x.json"),
    ):
        refused(run_until(line, open_place, nobody=True), name, "another", "can")
        assert files(open_place) == there, line
        report("read-only folder", 1, refused=1)
    read = run_until(["models", "--json", "--db", "x.db"], open_place, nobody=True)
    assert read.code == 0 and "other" in read.said, read.said


def both(first: list[Any], second: list[Any], folder: Path) -> tuple[Ended, Ended]:
    """Two commands at once."""
    (folder / "tmp").mkdir(exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda line: run_until(line, folder), (first, second))
    return one, other


@pytest.mark.parametrize("engine", ["kuzu", "neo4j"])
def test_two_loads_of_one_model_at_once_leave_one_of_them_whole(
    engine: str, shelf: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = (
        str(tmp_path / "x.db")
        if engine == "kuzu"
        else request.getfixturevalue("neo4j_empty").address
    )
    wanted = []
    for name in ("toy", "newer"):
        with open_database(tmp_path / f"{name}.db", create=True) as database:
            database.load(shelf / name)
        wanted.append(rows(tmp_path / f"{name}.db"))
    for ended in both(
        ["load", shelf / "toy", "--db", address],
        ["load", shelf / "newer", "--db", address],
        tmp_path,
    ):
        assert ended.code == 0, ended.said
    held = rows(address)
    assert {name: len(table) for name, table in held.items()} in [
        {n: len(t) for n, t in w.items()} for w in wanted
    ]
    assert engine == "neo4j" or held in wanted
    if engine == "neo4j":  # equal values as Neo4j gives them back
        with open_database(address) as database:
            database.load(shelf / "toy")
            toy = rows(address)
            database.load(shelf / "newer")
        assert held in [toy, rows(address)]
    assert not [path for path in tmp_path.iterdir() if "loading" in path.name]
    report("two loads of one model at once", 1)


def test_two_extracts_of_one_bundle_at_once_leave_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    ended = both(EXTRACT, [*EXTRACT, "--seed", "1"], tmp_path)
    assert [one.code for one in ended] == [0, 0], [one.said for one in ended]
    Bundle.open(tmp_path / "tiny.circuitome").check()
    assert {path.name for path in tmp_path.iterdir()} == {"nets.py", "tiny.circuitome", "tmp"}


@pytest.mark.parametrize("engine", ["kuzu", "neo4j"])
def test_a_reader_sees_a_whole_model_or_none(
    engine: str, shelf: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = (
        str(tmp_path / "x.db")
        if engine == "kuzu"
        else request.getfixturevalue("neo4j_empty").address
    )
    (tmp_path / "tmp").mkdir()
    wanted = []
    for name in ("newer", "toy"):
        with open_database(address, create=True) as database:
            database.load(shelf / name)
            wanted.append(database.query("edges", model="toy", limit=1_000_000).to_dicts())
    assert wanted[0] != wanted[1]
    seen: list[Any] = []
    refusals: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(run_until, ["load", shelf / "newer", "--db", address], tmp_path)
        while not load.done():
            try:
                with open_database(address) as database:
                    seen.append(database.query("edges", model="toy", limit=1_000_000).to_dicts())
            except QueryError as error:
                refusals.append(str(error))
    assert load.result().code == 0
    assert all(one in wanted for one in seen)
    assert all("not wholly loaded" in one for one in refusals)
    assert seen and (refusals if engine == "neo4j" else not refusals)
    report("reader during a load", len(seen) + len(refusals))


def test_reading_commands_say_that_a_model_is_half_loaded(
    shelf: Path, tmp_path: Path, neo4j_empty: Any
) -> None:
    address = neo4j_empty.address
    with open_database(address) as database:
        database.load(shelf / "toy")
        lines = list(commands(database, "toy"))
    with neo4j.GraphDatabase.driver(address, auth=("neo4j", neo4j_empty.password)) as driver:
        driver.execute_query("MATCH (m:Model) SET m.state = 'loading'")
    own = tmp_path / "own.cypher"
    own.write_text(
        "// Neurons.\n// params:\n// returns:\n//   n: how many\nMATCH (n:Neuron) RETURN "
        "count(n) AS n\n"
    )
    for line in [*lines, ["export", "-o", tmp_path / "x.json"]]:
        trial = attempt(*line, "--db", address)
        if line[0] == "models":
            assert trial.code == 0 and "loading" in trial.out
        else:
            assert trial.code == 2 and "not wholly loaded" in trial.err, (line, trial)
    trial = attempt("query", own, "--db", address)
    assert trial.code == 0 and "toy: not wholly loaded" in trial.err, trial
    with open_database(address) as database:
        database.drop("toy")
        assert database.models() == []


class Proxy:
    """A way to a server that is slow (seconds a piece), ends after so many bytes, or stalls after
    so many.
    """

    def __init__(
        self, port: int, *, slow: float = 0.0, cut: int | None = None, stall: int | None = None
    ) -> None:
        self._target, self.slow, self.cut, self.stall = port, slow, cut, stall
        self._passed, self._open = 0, True
        self._server = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[socket.socket] = []
        self.address = f"bolt://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(16_384):
                self._passed += len(data)
                time.sleep(self.slow)
                if self.cut is not None and self._passed > self.cut:
                    self.cut = None
                    self._end()
                while self.stall is not None and self._passed > self.stall and self._open:
                    time.sleep(0.05)
                sink.sendall(data)
        except OSError:
            pass

    def _end(self) -> None:
        for connection in self._pairs:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._server.close()
        self._end()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_a_slow_connection_loads_all_the_same(shelf: Path, neo4j_empty: Any) -> None:
    with Proxy(port_of(neo4j_empty.address), slow=0.01) as proxy:
        trial = attempt("load", shelf / "toy", "--db", proxy.address)
    assert trial.code == 0, trial
    slow = rows(neo4j_empty.address)
    with open_database(neo4j_empty.address) as database:
        database.load(shelf / "toy")
    assert rows(neo4j_empty.address) == slow
    report("slow connection: load", 1)


def test_a_connection_that_breaks_leaves_nothing_that_looks_whole(
    shelf: Path, neo4j_empty: Any
) -> None:
    address = neo4j_empty.address
    with open_database(address) as database:
        database.load(shelf / "toy")
    whole = rows(address)
    tally = Tally("dropped connection: load")
    for cut in (2_000, 6_000, 15_000, 30_000, 45_000, 60_000):
        with Proxy(port_of(address), cut=cut) as proxy:
            trial = attempt("load", shelf / "toy", "--db", proxy.address)
            assert (
                trial.code == 0
                or "load it again" in trial.err
                or "no Neo4j server answers" in trial.err
            ), trial
            tally.add(f"cut after {cut}", trial, names=proxy.address)
        with open_store(address) as store:
            (state,) = (row["state"] for row in store.models())
        assert state == "loading" or rows(address) == whole, cut
        assert trial.code == 2 or state == "ready", cut
        with open_database(address) as database:
            database.load(shelf / "toy")
        assert rows(address) == whole, cut
    assert tally.refused
    tally.report()


@pytest.mark.parametrize(
    "line", [["models"], ["load", "toy"], ["query", "layers"], ["drop", "toy"], ["schema"]]
)
def test_a_refused_connection_and_a_wrong_password_are_named(
    line: list[str], shelf: Path, neo4j_empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shelf)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.monotonic()
    trial = attempt(*line, "--db", f"bolt://127.0.0.1:{port}")
    assert trial.code == 2 and f"127.0.0.1:{port}: no Neo4j server answers there" in trial.err, (
        trial
    )
    assert time.monotonic() - start < 8
    report("refused connection", 1, refused=1)
    if line[0] in {"models", "load"}:  # after three the server keeps everybody of that name waiting
        monkeypatch.setenv("NEO4J_PASSWORD", "wrong")
        trial = attempt(*line, "--db", neo4j_empty.address)
        assert (
            trial.code == 2
            and "refused user 'neo4j'; set NEO4J_USER and NEO4J_PASSWORD" in trial.err
        ), trial
        report("wrong password", 1, refused=1)


def test_a_bundle_loaded_twice_is_the_same_graph(
    shelf: Path, tmp_path: Path, neo4j_empty: Any
) -> None:
    for address in (str(tmp_path / "x.db"), neo4j_empty.address):
        held = []
        for _ in range(2):
            with open_database(address, create=True) as database:
                database.load(shelf / "toy", shelf / "other")
            held.append(rows(address))
        assert held[0] == held[1]


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "tmp").mkdir()
    made = []
    for _ in range(2):
        shutil.rmtree(tmp_path / "tiny.circuitome", ignore_errors=True)
        for line in (
            EXTRACT,
            [
                "annotate",
                "tiny.circuitome",
                "nets.py:tiny",
                "--weights",
                "random",
                "--parts",
                "equivariance",
                "--twins",
                "3",
            ],
        ):
            done = run_until(line, tmp_path)
            assert done.code == 0, done.said
        made.append(files(tmp_path / "tiny.circuitome"))
    assert made[0] == made[1]


def test_the_number_of_threads_changes_no_row_and_hardly_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    line = [
        "annotate",
        "tiny.circuitome",
        "nets.py:tiny",
        "--weights",
        "random",
        "--device",
        "cpu",
        "--twins",
        "3",
    ]
    made: list[Bundle] = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for command in (EXTRACT, [*line, "--parts", "equivariance"]):
                trial = attempt(*command)
                assert trial.code == 0, trial
            Path("tiny.circuitome").rename(f"with{threads}")
            made.append(Bundle.open(f"with{threads}"))
    finally:
        torch.set_num_threads(before)
    one, other = made
    assert one.tables == other.tables
    for name in one.tables:
        for column, a, b in zip(
            one.table(name).column_names, one.table(name), other.table(name), strict=True
        ):
            if pa.types.is_floating(a.type):
                values = (
                    np.array(part.to_pylist(), dtype=float) for part in (b, a)
                )  # nulls as NaN
                np.testing.assert_allclose(
                    *values, rtol=1e-5, atol=1e-5, err_msg=f"{name}.{column}"
                )
            elif not pa.types.is_list(a.type):
                assert a.to_pylist() == b.to_pylist(), (name, column)


@pytest.fixture
def own_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., LocalServer]]:
    """Starts servers, one after the other, on one folder and port; settings as in `neo4j.conf`."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    port, servers = free_port(), []
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

    def start(**settings: str) -> LocalServer:
        server = LocalServer(
            tmp_path / "home",
            port=port,
            heap="512m",
            page_cache="128m",
            settings={name.replace("__", "."): value for name, value in settings.items()},
        )
        server.start(patience=200)
        servers.append(server)
        monkeypatch.setenv("NEO4J_PASSWORD", server.password)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_a_server_killed_during_a_load_and_started_again_holds_no_half_model(
    shelf: Path, own_server: Callable[..., LocalServer], tmp_path: Path
) -> None:
    server = own_server()
    big = annotated(write_bundle(tmp_path / "big", name="big", layers=(3, 64, 128, 96, 10)))
    with open_database(server.address) as database:
        database.load(big, shelf / "other")
    whole = rows(server.address)
    tally = Tally("server killed during a load")
    for seconds in (0.7, 1.5, 3.0):
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(attempt, "load", big.path, "--db", server.address)
            time.sleep(seconds)
            server.kill()
            server = own_server()
        tally.add(f"after {seconds} s", load.result(), names=server.address)
        with open_store(server.address) as store:
            states = {row["key"]: row["state"] for row in store.models()}
        assert states["other"] == "ready"
        assert states["big"] == "loading" or rows(server.address) == whole
        assert attempt("load", big.path, "--db", server.address).code == 0
        assert rows(server.address) == whole
    tally.report()


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_a_stalled_connection_ends_and_a_read_only_server_says_so(
    shelf: Path, own_server: Callable[..., LocalServer]
) -> None:
    server = own_server(
        server__bolt__connection_keep_alive="1s", server__bolt__connection_keep_alive_probes="2"
    )
    with open_database(server.address) as database:
        database.load(shelf / "toy")
    whole = rows(server.address)
    tally = Tally("stalled connection: load")
    with Proxy(server.port, stall=20_000) as proxy:
        tally.add(
            "stalled", attempt("load", shelf / "toy", "--db", proxy.address), names=proxy.address
        )
    assert tally.refused
    with open_store(server.address) as store:
        assert [row["state"] for row in store.models()] == ["loading"]
    assert attempt("load", shelf / "toy", "--db", server.address).code == 0
    assert rows(server.address) == whole
    tally.report()
    server.stop()
    server = own_server(server__databases__read_only="neo4j")
    tally = Tally("database that is read-only")
    for line in (["load", shelf / "other"], ["drop", "toy"], ["load", shelf / "toy", "--replace"]):
        trial = attempt(*line, "--db", server.address)
        tally.add(str(line[0]), trial, names=server.address)
        assert trial.code == 2 and "read-only" in trial.err, trial
    assert attempt("query", "layers", "--db", server.address).code == 0
    assert rows(server.address) == whole
    tally.report()


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_a_server_that_limits_transactions_and_waiting_takes_a_load_and_says_who_waits(
    shelf: Path, own_server: Callable[..., LocalServer]
) -> None:
    server = own_server(db__transaction__timeout="3s", db__lock__acquisition__timeout="2s")
    with open_store(server.address) as store, open_store(server.address) as other:
        slow = iter([5])
        store.load(Bundle.open(shelf / "toy"), progress=lambda *_: time.sleep(next(slow, 0)))
        assert [row["state"] for row in store.models()] == ["ready"]
        with other._alone():  # pyright: ignore[reportAttributeAccessIssue]
            trial = attempt("load", shelf / "toy", "--db", server.address)
    assert (
        trial.code == 2
        and "another program writes there, and the server lets nobody wait so long" in trial.err
    ), trial
    report("server that limits transactions: load", 2, refused=1)
