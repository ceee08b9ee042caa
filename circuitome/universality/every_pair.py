"""Every pair of some networks compared, and the features that they have in common.

A pair's tables go to a folder or a database as soon as it is done, so that a run that is cut off
keeps what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import Signatures
from circuitome.queries.database import Database
from circuitome.queries.rows import Rows
from circuitome.universality.circuits import compare_circuits
from circuitome.universality.compare import Comparison, open_all
from circuitome.universality.compare import compare as compare_two
from circuitome.universality.destinations import FolderWriter, pairs_to_compare, record
from circuitome.universality.features import (
    PeriodicTable,
    describe_bundles,
    features,
    mutual_links,
    record_features,
)
from circuitome.universality.periodic_table import table_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparisons", "compare_all"]


class Match(TypedDict):
    """The best match of a neuron in another network."""

    a: str
    b: str
    score: float
    mutual: bool
    q: float


@dataclass(slots=True)
class Comparisons:
    """What the comparison of some networks, pair by pair, gave."""

    networks: Sequence[Signatures]
    pairs: int
    """Number of pairs that were compared."""
    new: int
    """Number of pairs that the database did not have."""
    tables: list[pa.Table] = field(default_factory=list)
    """The best match of every neuron, a table for each pair: `ANALOGOUS_TO`."""
    layers: list[Mapping[str, object]] = field(default_factory=list)
    """Rows of layers, pair by pair."""
    circuits: list[Mapping[str, object]] = field(default_factory=list)
    """Rows of preserved edges and motifs, pair by pair."""

    def add(self, found: Comparison) -> None:
        """Take in one pair."""
        self.tables.append(found.tables["ANALOGOUS_TO"])
        self.layers += found.layers
        self.circuits += found.circuits

    def matches(self, *, q: float | None = None) -> list[Match]:
        """The best match of every neuron, of at most this q; most significant first."""
        columns = ["from", "to", "score", "mutual", "q"]
        rows: list[Match] = []
        for table in self.tables:
            rows += table.select(columns).rename_columns(list(Match.__annotations__)).to_pylist()
        kept = rows if q is None else [row for row in rows if row["q"] <= q]
        return sorted(kept, key=lambda row: (row["q"], -row["score"], row["a"], row["b"]))

    def features(self) -> PeriodicTable:
        """Links between the networks, kinds of neurons, and clusters of neurons that match."""
        links = mutual_links(self.tables)
        kinds, groups = describe_bundles([one.bundle for one in self.networks])
        return PeriodicTable(links, kinds, features(links, kinds=kinds, groups=groups))

    def to_pandas(self) -> pd.DataFrame:
        """The matches as a data frame."""
        return Rows.of([dict(row) for row in self.matches()]).to_pandas()


def compare_all(
    bundles: Sequence[Bundle],
    *,
    database: Database | None = None,
    folder: Path | None = None,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparisons:
    """Compare every pair of networks both ways, from the signatures in their bundles.

    A ``database`` gets the pairs that it does not have; a ``folder`` gets tables and pictures of
    all pairs. ``force`` compares again, and replaces the folder.

    Raises:
        CompareError: for fewer than two networks, one without signatures, or a folder in the way.
    """
    networks = open_all(bundles)
    new = pairs_to_compare(networks, database, force=force)
    pairs = new if folder is None else pairs_to_compare(networks)
    compared = Comparisons(networks, len(pairs), len(new))
    with ExitStack() as stack:
        writer = None
        if folder is not None:
            writer = stack.enter_context(FolderWriter(folder, networks, force=force))
        for number, (a, b) in enumerate(pairs, start=1):
            report = _stage(progress, f"pair {number} of {len(pairs)}")
            found = compare_circuits(compare_two(a, b, report=report), a.bundle, b.bundle)
            if writer is not None:
                writer.add(found)
            if database is not None and (a, b) in new:
                record(database, found)
            compared.add(found)
        if database is not None:
            # also if no pair is new: a run that was cut off may have left features of before
            record_features(database)
        if writer is not None:
            writer.put("periodic_table.csv", table_csv(compared.features().features))
    return compared


def _stage(progress: Callable[[str, int, int], None] | None, name: str) -> Callable[..., None]:
    if progress is None:
        return lambda *_: None
    return lambda done, total: progress(name, done, total)
