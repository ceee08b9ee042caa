"""A Neo4j server on this machine without Docker: Java, and the jars of Neo4j Community from Maven
Central.

::

    python -m circuitome.graphdb.stores.local_server --home .neo4j

listens on the loopback address alone, makes a password on the first start, keeps it in
``HOME/password``, and runs until Ctrl-C. The tests start the same server on a free port.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from circuitome.errors import CircuitomeError

__all__ = ["LocalServer", "ServerError", "admin", "free_port", "jars", "missing"]

_POM: Final = Path(__file__).with_name("local_server.pom.xml")
_PACKAGES: Final = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
_OPENS: Final = ("java.nio", "java.io", "sun.nio.ch", "java.lang", "java.util.concurrent")
_CONF: Final = """\
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
server.memory.heap.initial_size={heap}
server.memory.heap.max_size={heap}
server.memory.pagecache.size={page_cache}
dbms.usage_report.enabled=false
"""
_LOGS: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR"><Loggers><Root level="WARN"/></Loggers></Configuration>
"""
_USER_LOGS: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders>
    <Console name="Console" target="SYSTEM_OUT"><PatternLayout pattern="%d %level %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="Console"/></Root></Loggers>
</Configuration>
"""


class ServerError(CircuitomeError):
    """A server that cannot be made or started here."""


def missing() -> str | None:
    """What is missing to run a server here, with the Debian packages that have it; none where
    all is there.
    """
    absent = [program for program in _PACKAGES if shutil.which(program) is None]
    if not absent:
        return None
    packages = " ".join(_PACKAGES[program] for program in absent)
    return f"a local Neo4j needs {' and '.join(absent)}: apt-get install {packages}"


def jars() -> Path:
    """The folder of Neo4j's jars, fetched through Maven on the first use (about 120 MB)."""
    if reason := missing():
        raise ServerError(reason)
    match = re.search(r"<neo4j.version>([\d.]+)<", _POM.read_text())
    assert match is not None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "circuitome"
    folder = cache / f"neo4j-{match.group(1)}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        pom = shutil.copy(_POM, Path(temporary, "pom.xml"))
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={temporary}/jars"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stdout + done.stderr).splitlines()
            reason = next((line for line in lines if "ERROR" in line), done.returncode)
            raise ServerError(f"Maven could not fetch Neo4j: {reason}; is the network there?")
        try:
            Path(temporary, "jars").rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody was faster
                raise


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def admin(home: Path, arguments: Sequence[str]) -> str:
    """Run ``neo4j-admin`` for the server that lives in ``home``; its output. `ServerError`
    where it fails.
    """
    environment = {**os.environ, "NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    done = subprocess.run(
        [*_java("512m"), "org.neo4j.cli.AdminTool", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise ServerError(
            f"neo4j-admin {arguments[0]} failed in {home}: "
            f"{(done.stderr or done.stdout).strip()[-500:]}"
        )
    return done.stdout


def _java(heap: str) -> list[str]:
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
    return ["java", f"-Xmx{heap}", "-XX:+UseG1GC", *opens, "-cp", f"{jars()}/*"]


class LocalServer(AbstractContextManager["LocalServer"]):
    """A Neo4j server that lives in a folder; a context manager that starts and stops it.

    ``address``, ``user`` and ``password`` are what a driver needs. The port is 7687 unless given;
    ``page_cache``, ``heap`` and further ``settings`` as in ``neo4j.conf``.
    """

    user: str = "neo4j"

    def __init__(
        self,
        home: str | os.PathLike[str],
        *,
        port: int = 7687,
        heap: str = "1g",
        page_cache: str = "512m",
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.home = Path(home).absolute()
        self.port = port
        self.address = f"bolt://127.0.0.1:{port}"
        self._heap = heap
        self._page_cache = page_cache
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        """The password that the first start made."""
        return (self.home / "password").read_text().strip()

    @property
    def log(self) -> str:
        """What the server printed."""
        return (self.home / "logs" / "console.log").read_text(errors="replace")

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def prepare(self) -> None:
        """Write the configuration, and make a password where there is none yet."""
        for name in ("conf", "data", "logs", "plugins", "import", "run"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        conf = _CONF.format(port=self.port, heap=self._heap, page_cache=self._page_cache)
        conf += "".join(f"{name}={value}\n" for name, value in self._settings.items())
        (self.home / "conf" / "neo4j.conf").write_text(conf)
        (self.home / "conf" / "user-logs.xml").write_text(_USER_LOGS)
        (self.home / "conf" / "server-logs.xml").write_text(_LOGS)
        if not (self.home / "password").is_file():
            self._make_password()

    def _make_password(self) -> None:
        password = secrets.token_urlsafe(18).replace("-", "_")  # a leading dash would be an option
        admin(self.home, ["dbms", "set-initial-password", password])
        place = os.open(self.home / "password", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(place, "w") as file:
            file.write(password + "\n")

    def start(self, *, patience: float = 120) -> None:
        """Start it and wait until it answers, at most ``patience`` seconds; `ServerError`
        otherwise.
        """
        if self._listens():
            raise ServerError(
                f"port {self.port} is taken: a server answers there already; stop it, or give "
                "another --port"
            )
        self.prepare()
        self._process = self._begun()
        until = time.monotonic() + patience
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise ServerError(
                    f"Neo4j did not start in {self.home} on port {self.port}: "
                    f"{self.log.strip()[-500:]}"
                )
            time.sleep(0.2)

    def _begun(self) -> subprocess.Popen[bytes]:
        """The server's process, which prints into its log."""
        command = [
            *_java(self._heap),
            "org.neo4j.server.CommunityEntryPoint",
            f"--home-dir={self.home}",
            f"--config-dir={self.home}/conf",
        ]
        with (self.home / "logs" / "console.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def _listens(self) -> bool:
        """Whether Bolt answers, by its handshake."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"\x60\x60\xb0\x17" + b"\x00\x00\x04\x05" + bytes(12))
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def stop(self, *, patience: float = 60) -> None:
        """Ask it to stop and wait; stopping twice does nothing."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until Ctrl-C."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with LocalServer(options.home, port=options.port) as server:
            _introduce(server)
            assert server._process is not None
            return server._process.wait()
    except KeyboardInterrupt:
        return 0
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m circuitome.graphdb.stores.local_server",
        description=(__doc__ or "").split("\n")[0],
    )
    parser.add_argument(
        "--home", default=".neo4j", help="folder of the server's data (default: .neo4j)"
    )
    parser.add_argument(
        "--port", type=int, default=7687, help="Bolt port on the loopback address (default: 7687)"
    )
    return parser.parse_args(arguments)


def _introduce(server: LocalServer) -> None:
    password = server.home / "password"
    print(f"Neo4j answers at {server.address}, user {server.user}, password in {password}")
    print(f"  export NEO4J_PASSWORD=$(cat {password})")
    print(f"  circuitome load BUNDLE --db {server.address}")
    print("Ctrl-C stops it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
