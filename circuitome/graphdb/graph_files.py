"""The graph as one file: node-link JSON, Cytoscape JSON, GraphML and GEXF.

Other programs draw what they find under names of their own. A node's ``label`` is its class or
colour, or else its key without the model (Cytoscape calls it ``name``). In GEXF the ``weight`` of
an edge is its share, since Gephi takes no negative weights; the signed weight is the attribute
``signed_weight``, its sign is ``sign``, and excitation is red, inhibition blue.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from xml.sax.saxutils import escape, quoteattr

import networkx as nx

from circuitome.graphdb.graph_tables import Tables
from circuitome.graphdb.networkx_graph import to_networkx
from circuitome.graphdb.rows import Row, whole

__all__ = ["write_cytoscape", "write_gexf", "write_graphml", "write_node_link"]

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
    'xmlns:viz="http://www.gexf.net/1.2draft/viz" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.2">\n'
    '<graph defaultedgetype="directed" mode="static">\n'
)
_COLOURS: Final = {
    1: '<viz:color r="214" g="39" b="40"/>',
    -1: '<viz:color r="31" g="119" b="180"/>',
}
"""Of edges that excite, and of those that inhibit."""


@dataclass(frozen=True, slots=True)
class _Elements:
    """Nodes and edges with text for names, unique over all labels: a key that two labels share
    gets its label before it.
    """

    nodes: list[tuple[str, Row]]
    """Name and attributes."""
    edges: list[tuple[str, str, str, Row]]
    """Names of both ends, type, attributes."""

    @classmethod
    def of(cls, tables: Tables) -> Self:
        """The elements of the graph."""
        graph = to_networkx(tables)
        name = {node: f"{node[0]} {node[1]}" if isinstance(node, tuple) else node for node in graph}
        models = {values["model"] for _, values in graph.nodes(data=True) if "model" in values}
        nodes = [
            (name[node], {**values, "label": _label(node, values, several=len(models) > 1)})
            for node, values in graph.nodes(data=True)
        ]
        edges = [
            (name[a], name[b], key[0] if isinstance(key, tuple) else key, values)
            for a, b, key, values in graph.edges(keys=True, data=True)
        ]
        return cls(nodes, edges)

    def fields(self) -> tuple[_Fields, _Fields]:
        """What XML declares of the nodes, and of the edges."""
        of_nodes = _types(values for _, values in self.nodes)
        of_edges = {"type": "string", **_types(values for *_, values in self.edges)}
        return _Fields("node", of_nodes), _Fields("edge", of_edges)


def _label(node: str | tuple[str, str], values: Row, *, several: bool) -> str:
    """What programs write beside a node: its class, colour or kind, or its key; without its model
    if there is one model alone.
    """
    if values.get("label"):
        return str(values["label"])
    key = node[1] if isinstance(node, tuple) else node
    if values["type"] == "Motif":
        return f"{values.get('kind', 'motif')} {key[:6]}"
    return key if several else key.removeprefix(f"{values.get('model')}/")


class _Fields:
    """The attributes of the nodes, or of the edges, as XML declares them."""

    def __init__(self, place: str, types: Mapping[str, str]) -> None:
        self.place = place
        self.types = dict(types)
        self.numbers = {name: number for number, name in enumerate(types)}

    def leave_out(self, name: str) -> None:
        """Declare no such attribute: the format has a place of its own for it."""
        self.types.pop(name, None)


def _types(rows: Iterable[Row]) -> dict[str, str]:
    """Type of each attribute; text where rows differ or a list must become text."""
    found: dict[str, str] = {}
    for values in rows:
        for name, value in values.items():
            kind = _XML_TYPES.get(type(value), "string")
            found[name] = kind if found.get(name, kind) == kind else "string"
    return found


def write_node_link(tables: Tables, path: Path) -> None:
    """Write node-link JSON, as networkx reads it."""
    _write_json(nx.node_link_data(to_networkx(tables), edges="edges"), path)


def write_cytoscape(tables: Tables, path: Path) -> None:
    """Write Cytoscape.js JSON."""
    elements = _Elements.of(tables)
    nodes = [
        {"data": {**values, "id": key, "name": values["label"]}} for key, values in elements.nodes
    ]
    edges = [
        {"data": {**values, "id": f"e{number}", "source": a, "target": b, "interaction": kind}}
        for number, (a, b, kind, values) in enumerate(elements.edges)
    ]
    content = {"data": {"name": "circuitome"}, "elements": {"nodes": nodes, "edges": edges}}
    _write_json(content, path)


def _write_json(content: Mapping[str, object], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))


def write_graphml(tables: Tables, path: Path) -> None:
    """Write GraphML."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_graphml(_Elements.of(tables)))


def _graphml(elements: _Elements) -> Iterator[str]:
    of_nodes, of_edges = elements.fields()
    yield _GRAPHML
    yield from _graphml_keys(of_nodes)
    yield from _graphml_keys(of_edges)
    yield '<graph edgedefault="directed">\n'
    for key, values in elements.nodes:
        yield f"{_tag('node', id=key)}{_graphml_data(values, of_nodes)}</node>\n"
    for a, b, kind, values in elements.edges:
        data = _graphml_data({"type": kind, **values}, of_edges)
        yield f"{_tag('edge', source=a, target=b)}{data}</edge>\n"
    yield "</graph>\n</graphml>\n"


def _graphml_keys(fields: _Fields) -> Iterator[str]:
    for name, kind in fields.types.items():
        key = f"{fields.place[0]}{fields.numbers[name]}"
        yield (
            f'<key id="{key}" for="{fields.place}" attr.name={quoteattr(name)} '
            f'attr.type="{kind}"/>\n'
        )


def _graphml_data(values: Row, fields: _Fields) -> str:
    return "".join(
        f'<data key="{fields.place[0]}{fields.numbers[name]}">{escape(_xml_text(value))}</data>'
        for name, value in values.items()
    )


def write_gexf(tables: Tables, path: Path) -> None:
    """Write GEXF."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_gexf(_drawn(_Elements.of(tables))))


def _drawn(elements: _Elements) -> _Elements:
    """The elements with the names of Gephi: the weight of an edge is no attribute there."""
    edges = [(a, b, kind, _signed(kind, values)) for a, b, kind, values in elements.edges]
    return _Elements(elements.nodes, edges)


def _signed(kind: str, values: Row) -> Row:
    """The attributes of an edge, with the sign and the signed weight if it has a weight."""
    if "weight" not in values:
        return values
    weight = values["weight"]
    inhibits = kind == "INHIBITS" or (isinstance(weight, float) and weight < 0)
    named = {name: value for name, value in values.items() if name != "weight"}
    return {"sign": -1 if inhibits else 1, "signed_weight": weight, **named}


def _gexf(elements: _Elements) -> Iterator[str]:
    of_nodes, of_edges = elements.fields()
    of_nodes.leave_out("label")
    yield _GEXF
    yield from _gexf_attributes(of_nodes)
    yield from _gexf_attributes(of_edges)
    yield "<nodes>\n"
    for key, values in elements.nodes:
        tag = _tag("node", id=key, label=values["label"])
        yield f"{tag}{_gexf_data(values, of_nodes)}</node>\n"
    yield "</nodes>\n<edges>\n"
    for number, (a, b, kind, values) in enumerate(elements.edges):
        tag = _tag("edge", id=number, source=a, target=b, label=kind, **_weight(values))
        colour = _COLOURS.get(whole(values, "sign"), "") if "sign" in values else ""
        data = _gexf_data({"type": kind, **values}, of_edges)
        yield f"{tag}{colour}{data}</edge>\n"
    yield "</edges>\n</graph>\n</gexf>\n"


def _weight(values: Row) -> Row:
    """The weight that Gephi draws: the share, of which none is negative."""
    share = values.get("share")
    known = isinstance(share, float) and math.isfinite(share) and share >= 0
    return {"weight": share} if known else {}


def _gexf_attributes(fields: _Fields) -> Iterator[str]:
    yield f'<attributes class="{fields.place}" mode="static">\n'
    for name, kind in fields.types.items():
        yield f'<attribute id="{fields.numbers[name]}" title={quoteattr(name)} type="{kind}"/>\n'
    yield "</attributes>\n"


def _gexf_data(values: Row, fields: _Fields) -> str:
    items = (
        f'<attvalue for="{fields.numbers[name]}" value={_attribute(value)}/>'
        for name, value in values.items()
        if name in fields.types
    )
    return f"<attvalues>{''.join(items)}</attvalues>"


def _tag(element: str, **attributes: object) -> str:
    given = (f" {name}={_attribute(value)}" for name, value in attributes.items())
    return f"<{element}{''.join(given)}>"


def _attribute(value: object) -> str:
    return quoteattr(_xml_text(value))


def _xml_text(value: object) -> str:
    """A value as XML allows it: JSON for lists, words for truth and for what is not finite,
    escapes for other characters.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    text = json.dumps(value) if isinstance(value, list) else str(value)
    return _NOT_XML.sub(lambda match: ascii(match.group())[1:-1], text)  # two names stay two
