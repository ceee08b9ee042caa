"""One real Neo4j server for the whole test run, whatever the number of workers; each test has it
alone and empty.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import neo4j
import pytest

from circuitome.graphdb.stores.local_server import LocalServer, ServerError, free_port, missing

__all__ = ["Server", "neo4j_empty", "neo4j_shared"]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, as the worker that started it wrote it down."""

    address: str
    password: str
    home: str
    pid: int


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def neo4j_shared(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[tuple[Server, Path]]:
    """The server and its folder; the first worker starts it, the last one stops it."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "neo4j"
    folder.mkdir(exist_ok=True)
    with _locked(folder / "lock"):
        server = _join(folder)
    yield server, folder
    with _locked(folder / "lock"):
        _leave(folder, server)


def _join(folder: Path) -> Server:
    users = folder / "users"
    count = int(users.read_text()) if users.exists() else 0
    if count == 0:
        local = LocalServer(folder / "home", port=free_port(), heap="512m", page_cache="128m")
        try:
            with pytest.MonkeyPatch.context() as patch:  # a short life: the quick compiler alone
                patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
                local.start(patience=200)
        except ServerError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(error))
        assert local.pid is not None
        server = Server(local.address, local.password, str(local.home), local.pid)
        (folder / "server.json").write_text(json.dumps(asdict(server)))
    users.write_text(str(count + 1))
    return Server(**json.loads((folder / "server.json").read_text()))


def _leave(folder: Path, server: Server) -> None:
    left = int((folder / "users").read_text()) - 1
    (folder / "users").write_text(str(left))
    if left == 0:
        os.kill(server.pid, signal.SIGTERM)
        _wait_for_end(server.pid)


def _wait_for_end(pid: int) -> None:
    """Wait until the process is gone; one that another worker started stays a zombie until that
    worker ends.
    """
    for _ in range(300):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":
            return
        time.sleep(0.1)


@pytest.fixture
def neo4j_empty(
    neo4j_shared: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """The server, emptied, with the password in the environment; no other test uses it
    meanwhile.
    """
    server, folder = neo4j_shared
    with _locked(folder / "turn"):
        monkeypatch.setenv("NEO4J_PASSWORD", server.password)
        monkeypatch.delenv("NEO4J_USER", raising=False)
        with (
            neo4j.GraphDatabase.driver(server.address, auth=("neo4j", server.password)) as driver,
            driver.session() as session,
        ):
            session.run(
                "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 100 ROWS"
            ).consume()
        yield server
