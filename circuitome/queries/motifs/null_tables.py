"""Null networks as tables: what a query reads of a model, its edges rewired.

A null network has the rewired edges, and of the rest what the model has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.reading import owners, reading
from circuitome.graphdb.schema import EDGE_TYPES, RelationshipType, arrow_schema, table_type
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph, numbers_of

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["KEPT", "NetworkTables", "rewired_tables"]

KEPT: Final = (
    "Model",
    "Layer",
    "Block",
    "Branch",
    "Neuron",
    "Family",
    "IN_LAYER",
    "IN_BLOCK",
    "IN_BRANCH",
    "OF_MODEL",
    "NEXT",
    "MEMBER_OF",
    "EQUIVARIANT_TO",
    "GATES",
)
"""What a null network has beside its edges: what the model has."""


@dataclass(frozen=True, slots=True)
class NetworkTables:
    """What a query reads of one model: the columns and tables whose names are in its text."""

    graph: SignedGraph  # edges in the order of their receivers
    edges: pa.Table  # both types of edges, in the graph's order
    fixed: dict[str, pa.Table]  # the other tables by name

    @classmethod
    def of_database(
        cls, database: Database, *, model: str, names: Collection[str]
    ) -> NetworkTables:
        """The tables of a model; ``names`` are the words of the query's text."""
        graph = SignedGraph.of_database(database, model=model).by_receiver()
        edges = pa.concat_tables([_table(database, name, model, names) for name in EDGE_TYPES])
        tables = [name for name in KEPT if name in _wanted(names)]
        fixed = {name: _table(database, name, model, names) for name in tables}
        return cls(graph, edges.take(pa.array(_order(graph, edges))), fixed)

    def rewired(self, copy: SignedGraph) -> dict[str, pa.Table]:
        """All tables of a rewired copy of the graph."""
        return self.fixed | rewired_tables(self.graph, copy, self.edges)


def _order(graph: SignedGraph, edges: pa.Table) -> np.ndarray:
    """The row of each of the graph's edges in a table of them, ``(e,)``."""
    keys, n = pa.array(graph.keys), len(graph.keys)
    ends = numbers_of(edges["to"], keys) * n + numbers_of(edges["from"], keys)
    order = np.empty(len(ends), np.int64)
    order[np.argsort(graph.receiver * n + graph.sender)] = np.argsort(ends)
    return order


def _wanted(names: Collection[str]) -> set[str]:
    """The tables that are named, with both ends of each relationship, and the neurons."""
    named = {name for name in KEPT if name in names}
    kinds = [table_type(name) for name in named]
    ends = [(kind.source, kind.target) for kind in kinds if isinstance(kind, RelationshipType)]
    return named.union({"Neuron"}, *ends)


def rewired_tables(graph: SignedGraph, copy: SignedGraph, edges: pa.Table) -> dict[str, pa.Table]:
    """The two edge tables of a rewired copy of a graph.

    ``edges`` has the columns wanted, in the order of the graph's edges. If edges have another size
    than before (`columns`), excitation follows from weight and polarity, and nothing is known of
    their kernels.
    """
    keys = pa.array(copy.keys)
    resized = not np.array_equal(np.abs(graph.weight), np.abs(copy.weight))
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name in edges.column_names:
        if name in ("from", "to"):
            ends = copy.sender if name == "from" else copy.receiver
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(ends.astype(np.int32)), keys)
        elif name in EDGE_COLUMNS:
            columns[name] = pa.array(getattr(copy, name), from_pandas=True)
        elif name == "excitation":
            excitation = edges[name].to_numpy()
            columns[name] = pa.array(_excitation(graph, copy, excitation, resized=resized))
        else:
            columns[name] = pa.nulls(len(edges), edges[name].type) if resized else edges[name]
    whole = pa.table(columns)
    return {
        table: whole.filter(pa.array(copy.excites == (table == "EXCITES"))) for table in EDGE_TYPES
    }


def _excitation(
    graph: SignedGraph, copy: SignedGraph, excitation: np.ndarray, *, resized: bool
) -> np.ndarray:
    if resized:
        mass = np.divide(
            copy.weight, copy.polarity, out=np.zeros_like(copy.weight), where=copy.polarity != 0
        )
        return (mass + copy.weight) / 2
    return np.where(copy.excites == graph.excites, excitation, excitation - graph.weight)


def _table(database: Database, name: str, model: str, names: Collection[str]) -> pa.Table:
    """What a model has of a table: keys or ends, and the columns that are among ``names``."""
    schema = arrow_schema(name)
    columns = [
        column for column in schema.names if column in ("key", "from", "to") or column in names
    ]
    tests = [f"{owner} = $model" for owner in owners(name)]
    text = reading(name, tests=tests, columns=columns)
    wanted = pa.schema([schema.field(column) for column in columns])
    return database.store.run(text, {"model": model}).cast(wanted)
