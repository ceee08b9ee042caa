"""The graph as a networkx graph, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import networkx as nx
import pyarrow as pa

from circuitome.graphdb.graph_tables import Source, tables_of
from circuitome.graphdb.neo4j_import import ExportError
from circuitome.graphdb.rows import Row
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, RelationshipType, arrow_schema
from circuitome.graphdb.selection import WHOLE, Selection

__all__ = ["from_networkx", "to_networkx"]

_Name: TypeAlias = str | tuple[str, str]
"""A node in the graph: its key, or its label and key where another label has that key."""


def to_networkx(
    source: Source, *, model: str | None = None, chosen: Selection = WHOLE
) -> nx.MultiDiGraph:
    """The graph with every property that is not null.

    A node is its key in the database, with its label as attribute ``type``; a second node of the
    same key (a block named as a layer) is the tuple ``(label, key)``. A relationship is an edge
    whose key is its type; a second one between the same neurons is ``(type, number)``.
    `from_networkx` takes it back without loss.

    So the graph has more edges than the model: beside those between neurons (``EXCITES`` and
    ``INHIBITS``, which ``load`` counts) there are expanded ones, and one for each neuron that is in
    a layer, a block or a family, and so on. ``chosen=Selection("neurons")`` leaves these out.

    >>> graph = to_networkx(bundle)  # doctest: +SKIP
    >>> graph.edges["toy/conv1:0", "toy/block2.a:1", "EXCITES"]["weight"]  # doctest: +SKIP
    0.25
    """
    tables = tables_of(source, model=model, chosen=chosen)
    graph = nx.MultiDiGraph()
    names: dict[str, dict[str, _Name]] = {label: {} for label in NODES}
    for label in NODES:
        if label in tables:
            names[label] = _add_nodes(graph, label, tables[label])
    for name, kind in RELATIONSHIPS.items():
        if name in tables:
            ends = _ends(tables[name], kind, names)
            _add_edges(graph, name, ends, _attributes(tables[name].drop_columns(["from", "to"])))
    return graph


def _add_nodes(graph: nx.MultiDiGraph, label: str, table: pa.Table) -> dict[str, _Name]:
    """Add the nodes of one label; their names in the graph by key."""
    keys = table["key"].to_pylist()
    names: dict[str, _Name] = {key: (label, key) if key in graph else key for key in keys}
    graph.add_nodes_from(
        (names[key], {"type": label, **values})
        for key, values in zip(keys, _attributes(table), strict=True)
    )
    return names


def _ends(
    table: pa.Table, kind: RelationshipType, names: Mapping[str, Mapping[str, _Name]]
) -> list[tuple[_Name, _Name]]:
    """The names of what each relationship leaves and enters."""
    leaves = (names[kind.source].get(key, key) for key in table["from"].to_pylist())
    enters = (names[kind.target].get(key, key) for key in table["to"].to_pylist())
    return list(zip(leaves, enters, strict=True))


def _add_edges(
    graph: nx.MultiDiGraph, name: str, ends: list[tuple[_Name, _Name]], attributes: list[Row]
) -> None:
    if len(set(ends)) == len(ends):
        edges: Any = ((a, b, name, values) for (a, b), values in zip(ends, attributes, strict=True))
        graph.add_edges_from(edges)
        return
    seen: dict[tuple[_Name, _Name], int] = {}
    for (a, b), values in zip(ends, attributes, strict=True):
        number = seen[a, b] = seen.get((a, b), -1) + 1
        graph.add_edge(a, b, key=(name, number) if number else name, **values)


def _attributes(table: pa.Table) -> list[Row]:
    """Rows as dictionaries without nulls."""
    names = [name for name in table.column_names if table[name].null_count < table.num_rows]
    if not names:
        return [{} for _ in range(table.num_rows)]
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    if not any(table[name].null_count for name in names):
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [_known(names, row) for row in rows]


def _known(names: list[str], row: Iterable[Any]) -> Row:
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}


def from_networkx(graph: nx.MultiDiGraph) -> dict[str, pa.Table]:
    """Tables of a graph that `to_networkx` made; `ExportError` for types and properties that
    the schema does not have.
    """
    rows: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for node, values in graph.nodes(data=True):
        key = _key(node)
        row = {"key": key, **values}
        rows[_declared(str(row.pop("type", "")), NODES, f"node {key!r}")].append(row)
    for a, b, name, values in graph.edges(keys=True, data=True):
        ends = {"from": _key(a), "to": _key(b)}
        kind = name[0] if isinstance(name, tuple) else name
        rows[_declared(str(kind), RELATIONSHIPS, f"edge {ends}")].append({**ends, **values})
    return {name: _table(name, rows[name]) for name in (*NODES, *RELATIONSHIPS) if name in rows}


def _key(name: _Name) -> str:
    return name[1] if isinstance(name, tuple) else name


def _declared(name: str, known: Collection[str], where: str) -> str:
    if name not in known:
        raise ExportError(f"{where}: {name!r} is no type of the schema; it has {', '.join(known)}")
    return name


def _table(name: str, rows: list[dict[str, object]]) -> pa.Table:
    schema = arrow_schema(name)
    if unknown := set().union(*rows) - set(schema.names):
        raise ExportError(
            f"{name}: property {min(unknown)!r} is not in the schema; see docs/schema.md"
        )
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ExportError(
            f"{name}: a value does not fit the schema ({error}); see docs/schema.md"
        ) from error
