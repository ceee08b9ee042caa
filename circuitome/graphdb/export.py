"""The graph for other programs: networkx, GraphML, GEXF, Cytoscape JSON, and CSV for
``neo4j-admin``.

A source is a `Bundle` or a model in a `Store`. On disk, ``networkx`` means node-link JSON and never
a pickle: a pickle runs code when it is opened.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import networkx as nx
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.drafts import draft, put_in_place
from circuitome.graphdb.neo4j_import import ExportError, write_import
from circuitome.graphdb.reading import owners, reading
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, arrow_schema
from circuitome.graphdb.stores.protocol import Store

__all__ = [
    "FORMATS",
    "ExportError",
    "Tables",
    "export",
    "from_networkx",
    "tables_of",
    "to_networkx",
]

Tables = Mapping[str, pa.Table]
"""Tables by name, with the schema's columns; what is not there is empty."""


def tables_of(source: Bundle | Store | Tables, *, model: str | None = None) -> dict[str, pa.Table]:
    """All tables that hold rows, nodes first; from a store those of one ``model``, else of all.

    Relationships between two models belong to the tables of all, not to those of one.
    """
    if isinstance(source, Bundle):
        return {name: source.table(name) for name in source.tables}
    read = source.get if isinstance(source, Mapping) else _from_store(source, model)
    tables = {name: read(name) for name in (*NODES, *RELATIONSHIPS)}
    return {name: table for name, table in tables.items() if table is not None and table.num_rows}


def _streams(
    source: Bundle | Store | Tables, model: str | None
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """All tables that hold rows, nodes first, one after the other: a bundle in batches, a store
    a table at a time.
    """
    if isinstance(source, Bundle):
        yield from ((name, source.batches(name)) for name in source.tables)
        return
    read = source.get if isinstance(source, Mapping) else _from_store(source, model)
    for name in (*NODES, *RELATIONSHIPS):
        table = read(name)
        if table is not None and table.num_rows:
            yield name, iter(table.to_batches())


def _from_store(store: Store, model: str | None) -> Callable[[str], pa.Table]:
    def read(name: str) -> pa.Table:
        cypher = _reading(name, model)
        rows = store.run(
            cypher, {} if model is None or "$model" not in cypher else {"model": model}
        )
        return pa.table(
            [_cast(rows[field.name], field.type) for field in arrow_schema(name)],
            schema=arrow_schema(name),
        )

    return read


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _reading(name: str, model: str | None) -> str:
    tests = [] if model is None else [f"{owner} = $model" for owner in owners(name)]
    order = "`key`" if name in NODES else "`from`, `to`"
    return f"{reading(name, tests=tests)} ORDER BY {order}"


def to_networkx(source: Bundle | Store | Tables, *, model: str | None = None) -> nx.MultiDiGraph:
    """The graph with every property that is not null.

    A node is its key in the database, with its label as attribute ``type``; a second node of the
    same key (a block named as a layer) is the tuple ``(label, key)``. A relationship is an edge
    whose key is its type; a second one between the same neurons is ``(type, number)``.
    `from_networkx` takes it back without loss.

    >>> graph = to_networkx(bundle)  # doctest: +SKIP
    >>> graph.edges["toy/conv1:0", "toy/block2.a:1", "EXCITES"]["weight"]  # doctest: +SKIP
    0.25
    """
    tables = tables_of(source, model=model)
    graph = nx.MultiDiGraph()
    names: dict[str, dict[str, Any]] = {label: {} for label in NODES}
    for label in NODES:
        if label in tables:
            keys = tables[label]["key"].to_pylist()
            names[label] = {key: (label, key) if key in graph else key for key in keys}
            attributes = _attributes(tables[label])
            graph.add_nodes_from(
                (names[label][key], {"type": label, **values})
                for key, values in zip(keys, attributes, strict=True)
            )
    for name, kind in RELATIONSHIPS.items():
        if name in tables:
            ends = zip(
                _ends(tables[name], "from", names[kind.source]),
                _ends(tables[name], "to", names[kind.target]),
                strict=True,
            )
            _add_edges(
                graph, name, list(ends), _attributes(tables[name].drop_columns(["from", "to"]))
            )
    return graph


def _ends(table: pa.Table, column: str, names: Mapping[str, Any]) -> list[Any]:
    return [names.get(key, key) for key in table[column].to_pylist()]


def _add_edges(
    graph: nx.MultiDiGraph, name: str, ends: list[tuple[Any, Any]], attributes: list[dict[str, Any]]
) -> None:
    if len(set(ends)) == len(ends):
        edges: Any = ((a, b, name, values) for (a, b), values in zip(ends, attributes, strict=True))
        graph.add_edges_from(edges)
        return
    seen: dict[tuple[Any, Any], int] = {}
    for (a, b), values in zip(ends, attributes, strict=True):
        number = seen[a, b] = seen.get((a, b), -1) + 1
        graph.add_edge(a, b, key=(name, number) if number else name, **values)


def _attributes(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dictionaries without nulls."""
    columns = {
        name: table[name] for name in table.column_names if table[name].null_count < table.num_rows
    }
    if not columns:
        return [{} for _ in range(table.num_rows)]
    names = list(columns)
    rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    if not any(column.null_count for column in columns.values()):
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in rows
    ]


def from_networkx(graph: nx.MultiDiGraph) -> dict[str, pa.Table]:
    """Tables of a graph that `to_networkx` made; `ExportError` for types and properties that
    the schema does not have.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for node, values in graph.nodes(data=True):
        key = node[1] if isinstance(node, tuple) else node
        values = {"key": key, **values}
        rows.setdefault(_known(str(values.pop("type", "")), NODES, f"node {key!r}"), []).append(
            values
        )
    for a, b, name, values in graph.edges(keys=True, data=True):
        ends = {
            "from": a[1] if isinstance(a, tuple) else a,
            "to": b[1] if isinstance(b, tuple) else b,
        }
        kind = name[0] if isinstance(name, tuple) else name
        rows.setdefault(_known(str(kind), RELATIONSHIPS, f"edge {ends}"), []).append(
            {**ends, **values}
        )
    return {name: _table(name, rows[name]) for name in (*NODES, *RELATIONSHIPS) if name in rows}


def _known(name: str, known: Mapping[str, Any], where: str) -> str:
    if name not in known:
        raise ExportError(f"{where}: {name!r} is no type of the schema; it has {', '.join(known)}")
    return name


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
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


def export(
    source: Bundle | Store | Tables,
    format: str,
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
) -> Path:
    """Write the graph to ``path`` in one of `FORMATS`: a file, or a new folder for ``neo4j-admin``.

    ``networkx``: node-link JSON (``networkx.node_link_graph(json.load(file), edges="edges")``);
    ``cytoscape``: Cytoscape.js JSON; ``graphml`` and ``gexf``: XML; ``neo4j-admin``: CSV, with the
    command in its ``import.sh``. Nulls are left out; a list is JSON text where the format has no
    lists. A file that is there is replaced when the new one is whole. `ExportError` where the
    format is unknown or the place cannot be written.
    """
    if format not in FORMATS:
        raise ExportError(f"unknown format {format!r}; one of {', '.join(FORMATS)}")
    target = Path(path)
    if target.is_symlink() or (target.exists() and not target.is_file() and not target.is_dir()):
        raise ExportError(
            f"{target}: a link or a device, which a file would take the place of; name another "
            "place with -o"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft(target) as folder:
            written = folder / "out"
            FORMATS[format](source, model, written)
            _place(written, target)
    except OSError as error:
        raise ExportError(
            f"{target}: cannot be written ({error.strerror or error}); name another place with -o"
        ) from error
    return target


def _place(written: Path, target: Path) -> None:
    if not written.is_dir():
        os.replace(written, target)
        return
    if target.exists() and not (target / "import.sh").is_file() and any(target.iterdir()):
        raise ExportError(f"{target}: a folder with other files in it; name another with -o")
    put_in_place(written, target)


def _write_node_link(tables: Tables, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(
            nx.node_link_data(to_networkx(tables), edges="edges"), file, separators=(",", ":")
        )


def _elements(
    tables: Tables,
) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, str, str, dict[str, Any]]]]:
    """Nodes and edges with text for names, unique over all labels: a key that two labels share
    gets its label before it.
    """
    graph = to_networkx(tables)
    name = {node: f"{node[0]} {node[1]}" if isinstance(node, tuple) else node for node in graph}
    nodes = [(name[node], values) for node, values in graph.nodes(data=True)]
    edges = [
        (name[a], name[b], key[0] if isinstance(key, tuple) else key, values)
        for a, b, key, values in graph.edges(keys=True, data=True)
    ]
    return nodes, edges


def _write_cytoscape(tables: Tables, path: Path) -> None:
    nodes, edges = _elements(tables)
    elements = {
        "nodes": [{"data": {**values, "id": key, "name": key}} for key, values in nodes],
        "edges": [
            {"data": {**values, "id": f"e{number}", "source": a, "target": b, "interaction": kind}}
            for number, (a, b, kind, values) in enumerate(edges)
        ],
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(
            {"data": {"name": "circuitome"}, "elements": elements}, file, separators=(",", ":")
        )


_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_TYPES: Final = {bool: "boolean", int: "long", float: "double", str: "string"}
_GRAPHML: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n<graphml '
    'xmlns="http://graphml.graphdrawing.org/xmlns" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns '
    'http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)
_GEXF: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n<gexf xmlns="http://www.gexf.net/1.2draft" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.2">\n'
    '<graph defaultedgetype="directed" mode="static">\n'
)


def _fields(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Type of each attribute; text where rows differ or a list must become text."""
    found: dict[str, str] = {}
    for values in rows:
        for name, value in values.items():
            kind = _XML_TYPES.get(type(value), "string")
            found[name] = kind if found.get(name, kind) == kind else "string"
    return found


def _xml_text(value: Any) -> str:
    """A value as XML allows it: JSON for lists, words for truth and for what is not finite,
    escapes for other characters.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    text = json.dumps(value) if isinstance(value, list) else str(value)
    return _NOT_XML.sub(lambda match: ascii(match.group())[1:-1], text)  # two names stay two


def _write_graphml(tables: Tables, path: Path) -> None:
    nodes, edges = _elements(tables)
    fields = {
        "node": _fields(values for _, values in nodes),
        "edge": {"type": "string", **_fields(v for *_, v in edges)},
    }
    ids = {
        (place, name): f"{place[0]}{i}"
        for place, names in fields.items()
        for i, name in enumerate(names)
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(_GRAPHML)
        for (place, name), key in ids.items():
            file.write(
                f'<key id="{key}" for="{place}" attr.name={quoteattr(name)} '
                f'attr.type="{fields[place][name]}"/>\n'
            )
        file.write('<graph edgedefault="directed">\n')
        for key, values in nodes:
            file.write(f"<node id={_attribute(key)}>{_graphml_data(values, 'node', ids)}</node>\n")
        for a, b, kind, values in edges:
            data = _graphml_data({"type": kind, **values}, "edge", ids)
            file.write(f"<edge source={_attribute(a)} target={_attribute(b)}>{data}</edge>\n")
        file.write("</graph>\n</graphml>\n")


def _graphml_data(values: Mapping[str, Any], place: str, ids: Mapping[tuple[str, str], str]) -> str:
    return "".join(
        f'<data key="{ids[place, name]}">{escape(_xml_text(value))}</data>'
        for name, value in values.items()
    )


def _attribute(text: str) -> str:
    return quoteattr(_xml_text(text))


def _write_gexf(tables: Tables, path: Path) -> None:
    nodes, edges = _elements(tables)
    fields = {
        "node": _fields(values for _, values in nodes),
        "edge": {"type": "string", **_fields(v for *_, v in edges)},
    }
    ids = {(place, name): str(i) for place, names in fields.items() for i, name in enumerate(names)}
    with path.open("w", encoding="utf-8") as file:
        file.write(_GEXF)
        for place, names in fields.items():
            file.write(f'<attributes class="{place}" mode="static">\n')
            for name, kind in names.items():
                file.write(
                    f'<attribute id="{ids[place, name]}" title={quoteattr(name)} type="{kind}"/>\n'
                )
            file.write("</attributes>\n")
        file.write("<nodes>\n")
        for key, values in nodes:
            file.write(
                f"<node id={_attribute(key)} "
                f"label={_attribute(key)}>{_gexf_data(values, 'node', ids)}</node>\n"
            )
        file.write("</nodes>\n<edges>\n")
        for number, (a, b, kind, values) in enumerate(edges):
            data = _gexf_data({"type": kind, **values}, "edge", ids)
            file.write(
                f'<edge id="{number}" source={_attribute(a)} target={_attribute(b)} '
                f"label={_attribute(kind)}>{data}</edge>\n"
            )
        file.write("</edges>\n</graph>\n</gexf>\n")


def _gexf_data(values: Mapping[str, Any], place: str, ids: Mapping[tuple[str, str], str]) -> str:
    items = (
        f'<attvalue for="{ids[place, name]}" value={_attribute(value)}/>'
        for name, value in values.items()
    )
    return f"<attvalues>{''.join(items)}</attvalues>"


def _whole(
    write: Callable[[Tables, Path], None],
) -> Callable[[Bundle | Store | Tables, str | None, Path], None]:
    """A writer that takes all tables at once."""
    return lambda source, model, path: write(tables_of(source, model=model), path)


FORMATS: Final[Mapping[str, Callable[[Bundle | Store | Tables, str | None, Path], None]]] = {
    "networkx": _whole(_write_node_link),
    "graphml": _whole(_write_graphml),
    "gexf": _whole(_write_gexf),
    "cytoscape": _whole(_write_cytoscape),
    "neo4j-admin": lambda source, model, path: write_import(_streams(source, model), path),
}
