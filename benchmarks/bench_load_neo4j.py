"""Loading a bundle into a Neo4j of its own over Bolt and through the import tool, with every
property.

Over Bolt beside three other ways to write the same relationships: a look-up of both ends for every
row, internal ids, and maps for parameters. Processor seconds (server and client) stand beside the
wall clock, since other programs may run meanwhile: the rate that counts is what two cores would do
alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import neo4j

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import export
from circuitome.graphdb.schema import RELATIONSHIPS
from circuitome.graphdb.stores.local_server import LocalServer, admin, free_port
from circuitome.graphdb.stores.opening import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.synthetic import write_bundle

BOLT: Final = 12_000  # relationships a second, every property
BULK: Final = 200_000
COLUMNS: Final = [column.name for column in RELATIONSHIPS["EXCITES"].columns]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    wall: float  # seconds
    server: float  # processor seconds of the server
    client: float  # processor seconds of this process and the programs it ran

    def line(self, what: str, rows: int, goal: int | None = None) -> str:
        """One line of the report; ``goal`` in rows a second."""
        used = self.server + self.client
        text = (
            f"{what:42} {rows / self.wall:9,.0f}/s in {self.wall:6.1f} s; {self.server:6.1f} "
            f"+ {self.client:5.1f} processor s, "
        )
        return f"{text}{2 * rows / used:9,.0f}/s on two cores alone" + (
            f" (goal {goal:,})" if goal else ""
        )


def used(pid: int | None) -> tuple[float, float]:
    """Processor seconds of a process, and of this one with its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() if pid else ["0"] * 13
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return ticks, sum(item.ru_utime + item.ru_stime for item in times)


def cost(work: Callable[[], object], pid: int | None = None) -> Cost:
    """Do it and say what it took."""
    clock, before = time.perf_counter(), used(pid)
    work()
    after = used(pid)
    return Cost(time.perf_counter() - clock, after[0] - before[0], after[1] - before[1])


def alternatives(ids: dict[str, int]) -> Iterator[tuple[str, str, Callable[[dict[str, Any]], Any]]]:
    """Other ways to write relationships: name, statement over ``$rows``, and what makes a row
    of it.
    """
    values = ", ".join(f"`{name}`: x[{place}]" for place, name in enumerate(COLUMNS, start=2))
    listed = lambda row: [row["from"], row["to"], *(row[name] for name in COLUMNS)]  # noqa: E731
    ends = "MATCH (a:Neuron {key: x[0]}) MATCH (b:Neuron {key: x[1]})"
    yield (
        "both ends looked up for every row",
        f"UNWIND $rows AS x {ends} CREATE (a)-[:EXCITES {{{values}}}]->(b)",
        listed,
    )
    ends = "MATCH (a:Neuron) WHERE id(a) = x[0] MATCH (b:Neuron) WHERE id(b) = x[1]"
    numbered = lambda row: [ids[row["from"]], ids[row["to"]], *(row[name] for name in COLUMNS)]  # noqa: E731
    yield (
        "internal ids",
        f"UNWIND $rows AS x {ends} CREATE (a)-[:EXCITES {{{values}}}]->(b)",
        numbered,
    )
    ends = "MATCH (a:Neuron {key: x.from}) MATCH (b:Neuron {key: x.to})"
    mapped = lambda row: {  # noqa: E731
        "from": row["from"],
        "to": row["to"],
        "p": {name: row[name] for name in COLUMNS},
    }
    yield (
        "maps for parameters",
        f"UNWIND $rows AS x {ends} CREATE (a)-[r:EXCITES]->(b) SET r = x.p",
        mapped,
    )


def try_alternatives(driver: neo4j.Driver, bundle: Bundle, pid: int, sample: int) -> None:
    """Write a part of the edges in other ways, 2,000 rows a transaction, one session."""
    found = driver.execute_query("MATCH (n:Neuron) RETURN n.key AS key, id(n) AS id").records
    ids = {record["key"]: record["id"] for record in found}
    rows = [row for batch in bundle.batches("EXCITES", 2_000) for row in batch.to_pylist()][:sample]
    for name, statement, made in alternatives(ids):
        batches = [
            [made(row) for row in rows[at : at + 2_000]] for at in range(0, len(rows), 2_000)
        ]

        def write(statement: Any = statement, batches: list[Any] = batches) -> None:
            for batch in batches:
                driver.execute_query(statement, rows=batch)

        write()  # once for the compiler
        print(cost(write, pid).line(f"  {name}", len(rows)), flush=True)


@contextmanager
def server_in(folder: Path) -> Iterator[LocalServer]:
    """A server of its own, with its password in the environment."""
    server = LocalServer(folder, port=free_port(), heap="1g", page_cache="512m")
    server.prepare()
    os.environ["NEO4J_PASSWORD"] = server.password
    with server:
        yield server


def over_bolt(bundle: Bundle, rows: int, folder: Path, sample: int) -> None:
    """Load twice, once into an empty database; try other ways; drop."""
    with server_in(folder) as server, open_store(server.address) as store:
        assert server.pid is not None
        print(
            cost(lambda: store.load(bundle), server.pid).line(
                "Bolt, new server, empty database", rows, BOLT
            ),
            flush=True,
        )
        print(cost(lambda: store.drop(bundle.model), server.pid).line("drop", rows), flush=True)
        print(
            cost(lambda: store.load(bundle), server.pid).line("Bolt, warm server", rows, BOLT),
            flush=True,
        )
        with neo4j.GraphDatabase.driver(
            server.address, auth=("neo4j", server.password), notifications_min_severity="OFF"
        ) as driver:
            try_alternatives(driver, bundle, server.pid, sample)


def in_bulk(bundle: Bundle, rows: int, folder: Path) -> None:
    """Write CSV, and let the import tool make a database of it."""
    print(
        cost(lambda: export(bundle, "neo4j-admin", folder / "csv")).line(
            "CSV for neo4j-admin", rows
        ),
        flush=True,
    )
    script = (folder / "csv" / "import.sh").read_text()
    command = (
        script[script.index("database import full") :]
        .replace('"${1:-neo4j}"', "neo4j")
        .replace("\\\n", " ")
    )
    LocalServer(folder / "bulk").prepare()
    with chdir(folder / "csv"):
        tool = cost(lambda: admin(folder / "bulk", command.split()))
    print(tool.line("neo4j-admin database import full", rows, BULK), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "bundle", nargs="?", type=Path, help="a bundle; a synthetic one where none is named"
    )
    parser.add_argument(
        "--width", type=int, default=130, help="neurons a layer of the synthetic one"
    )
    parser.add_argument(
        "--sample", type=int, default=40_000, help="relationships for the other ways"
    )
    parser.add_argument("--bulk", action="store_true", help="the import tool alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = (
            Bundle.open(options.bundle.absolute())
            if options.bundle
            else write_bundle(
                folder / "big", name="big", layers=(3, *[options.width] * 11), density=1.0
            )
        )
        rows = sum(bundle.rows(table) for table in RELATIONSHIPS)
        print(
            f"{bundle.model}: {bundle.rows('Neuron'):,} neurons, {rows:,} relationships; load "
            f"average {os.getloadavg()[0]:.1f}"
        )
        in_bulk(bundle, rows, folder)
        if not options.bulk:
            over_bolt(bundle, rows, folder / "server", options.sample)
        print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
