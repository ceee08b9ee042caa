"""The property graph, declared once: Arrow schemas, database DDL and the docs page derive from it.

Every stored value is a scalar or a list of scalars. A node is found by its ``key``, a readable
string; a relationship by the keys of its ends. Floats are ``DOUBLE`` in the databases; the wide
edge tables keep them as float32 in the bundle, which is what the weights are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from circuitome.graphdb.schema_nodes import NODE_TYPES
from circuitome.graphdb.schema_parts import (
    ANNOTATION_PARTS,
    PARTS,
    AnnotationPart,
    SchemaError,
    needed_by,
    parts_done,
)
from circuitome.graphdb.schema_relationships import RELATIONSHIP_TYPES, TRANSFORM_GROUPS
from circuitome.graphdb.schema_types import Column, NodeType, RelationshipType, Type

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ANNOTATION_PARTS",
    "EDGE_TYPES",
    "NODES",
    "PARTS",
    "RELATIONSHIPS",
    "SCHEMA_VERSION",
    "WEIGHTED",
    "TRANSFORM_GROUPS",
    "AnnotationPart",
    "Column",
    "NodeType",
    "RelationshipType",
    "SchemaError",
    "Type",
    "arrow_schema",
    "made_by",
    "needed_by",
    "parts_done",
    "table_type",
]

SCHEMA_VERSION: Final = 3

NODES: Final[dict[str, NodeType]] = {node.name: node for node in NODE_TYPES}
RELATIONSHIPS: Final[dict[str, RelationshipType]] = {rel.name: rel for rel in RELATIONSHIP_TYPES}
EDGE_TYPES: Final = ("EXCITES", "INHIBITS")
WEIGHTED: Final = (*EDGE_TYPES, "EXPANDED")
"""The relationships with a weight, a share and a rank: edges of all kinds."""


def table_type(name: str) -> NodeType | RelationshipType:
    """Declaration of a node or relationship table by its name; `KeyError` for others."""
    return NODES[name] if name in NODES else RELATIONSHIPS[name]


def arrow_schema(name: str) -> pa.Schema:
    """Arrow schema of a bundle table: the columns, after ``from`` and ``to`` for a relationship.

    >>> arrow_schema("IN_BLOCK").names
    ['from', 'to', 'channel']
    """
    import pyarrow as pa

    kind = table_type(name)
    ends = () if isinstance(kind, NodeType) else ("from", "to")
    fields = [(end, pa.string()) for end in ends]
    return pa.schema(fields + [(column.name, column.type.arrow) for column in kind.columns])


def made_by(part: str) -> dict[str, tuple[str, ...]]:
    """What a part of the annotation makes: table -> its columns, of a whole table all of them.

    Raises:
        SchemaError: there is no such part, or no column and no table names it.

    >>> made_by("signatures")
    {'Model': ('signatures_sha256',), 'Neuron': ('reliability',)}
    """
    if part not in PARTS:
        raise SchemaError(f"no part {part!r} of the annotation; choose from {', '.join(PARTS)}")
    columns = {kind.name: tuple(_columns_of(part, kind)) for kind in _tables()}
    made = {table: names for table, names in columns.items() if names}
    if not made:
        raise SchemaError(
            f"the part {part!r} of the annotation makes nothing; name it at a column or a table"
        )
    return made


def _tables() -> Iterator[NodeType | RelationshipType]:
    yield from NODES.values()
    yield from RELATIONSHIPS.values()


def _columns_of(part: str, kind: NodeType | RelationshipType) -> Iterator[str]:
    for column in kind.columns:
        if part == (column.part or kind.part):
            yield column.name
