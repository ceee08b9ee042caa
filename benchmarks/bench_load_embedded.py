"""Loading a bundle into the embedded store against plain CREATE and UNWIND, in one process.

The bundle has 3 million edges with every property; the two alternatives run on a part of them, and
their rate is taken for the whole. Processor seconds stand beside the wall clock, since other
programs may run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import kuzu

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import kuzu_statements
from circuitome.graphdb.schema import EDGE_TYPES, RELATIONSHIPS
from circuitome.graphdb.stores.opening import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.synthetic import write_bundle

GOAL: Final = 350_000  # edges a second, every property


def edges(bundle: Bundle) -> int:
    """Signed edges of the bundle."""
    return sum(bundle.rows(name) for name in EDGE_TYPES)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds."""
    clock, used = time.perf_counter(), sum(os.times()[:2])
    work()
    return time.perf_counter() - clock, sum(os.times()[:2]) - used


def by_statements(bundle: Bundle, folder: Path, sample: int, batch: int) -> float:
    """Edges a second by ``CREATE``, one statement an edge (``batch`` 1) or ``UNWIND`` over
    batches; one transaction.
    """
    database = kuzu.Database(str(folder / f"batch{batch}.db"))
    connection = kuzu.Connection(database)
    for statement in kuzu_statements():
        connection.execute(statement)
    connection.execute(f'COPY Neuron FROM "{bundle.table_path("Neuron")}"')
    prefix = "x." if batch > 1 else "$"
    values = ", ".join(
        f"`{column.name}`: {prefix}v_{column.name}" for column in RELATIONSHIPS["EXCITES"].columns
    )
    ends = f"MATCH (a:Neuron {{key: {prefix}v_from}}), (b:Neuron {{key: {prefix}v_to}})"
    insert = (
        f"{'UNWIND $rows AS x ' if batch > 1 else ''}{ends} CREATE (a)-[:EXCITES {{{values}}}]->(b)"
    )
    start = time.perf_counter()
    connection.execute("BEGIN TRANSACTION")
    for rows in batches(bundle, sample, batch):
        connection.execute(insert, {"rows": rows} if batch > 1 else rows[0])
    connection.execute("COMMIT")
    seconds = time.perf_counter() - start
    connection.close()
    database.close()
    return sample / seconds


def batches(bundle: Bundle, sample: int, size: int) -> Iterator[list[dict[str, Any]]]:
    """The first ``sample`` edges as lists of ``size`` rows."""
    rows = (row for batch in bundle.batches("EXCITES", 1000) for row in batch.to_pylist())
    rows = ({f"v_{name}": value for name, value in row.items()} for row in rows)
    rows = islice(rows, sample)
    while part := list(islice(rows, size)):
        yield part


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--width", type=int, default=550, help="neurons a layer; 550 makes 3 million edges"
    )
    parser.add_argument("--sample", type=int, default=5_000, help="edges for the alternatives")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_bundle(
            folder / "big", name="big", layers=(3, *[options.width] * 11), density=1.0
        )
        with open_store(str(folder / "x.db"), create=True) as store:
            wall, used = timed(lambda: store.load(bundle))
            rate = edges(bundle) / wall
            print(f"bundle: {edges(bundle):,} edges, {bundle.rows('Neuron'):,} neurons")
            print(
                f"load: {wall:.1f} s, {used:.1f} processor s, {rate:,.0f} edges/s (goal {GOAL:,})"
            )
            print(
                f"      {2 * edges(bundle) / used:,.0f} edges/s if two cores had done nothing else"
            )
            top = (
                "MATCH (n:Neuron {key: $key})<-[r:EXCITES]-(m) RETURN m.key AS sender, "
                "r.share AS share "
            )
            top += "ORDER BY share DESC, sender LIMIT 10"
            seconds, _ = timed(lambda: store.run(top, {"key": "big/block5.a:7"}))
            print(f"inputs of a neuron: {1000 * seconds:.0f} ms")
        for title, batch in (("CREATE, one statement an edge", 1), ("UNWIND, 1,000 rows", 1000)):
            other = by_statements(bundle, folder, options.sample, batch)
            print(
                f"{title}: {other:,.0f} edges/s over {options.sample:,} edges; load is "
                f"{rate / other:,.0f} x as fast"
            )


if __name__ == "__main__":
    main()
