"""What the schema is declared with: types of columns, columns, node types, relationship types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SIGNIFICANCE",
    "Column",
    "NodeType",
    "RelationshipType",
    "Type",
    "filled_by",
    "floating",
    "integer",
    "key",
    "string",
]


class Type(Enum):
    """Type of a column, with its name in each place that has names for types."""

    # Arrow, Kuzu's DDL, what Kuzu shows, what Neo4j shows, Neo4j's import tool
    STRING = ("string", "STRING", "STRING", "String", "string")
    INT = ("int64", "INT64", "INT64", "Long", "long")
    FLOAT = ("float64", "DOUBLE", "DOUBLE", "Double", "double")
    FLOAT32 = ("float32", "DOUBLE", "DOUBLE", "Double", "double")
    BOOL = ("bool", "BOOLEAN", "BOOL", "Boolean", "boolean")
    INTS = ("list<int64>", "INT64[]", "INT64[]", "LongArray", "long[]")
    FLOATS = ("list<float64>", "DOUBLE[]", "DOUBLE[]", "DoubleArray", "double[]")
    STRINGS = ("list<string>", "STRING[]", "STRING[]", "StringArray", "string[]")

    @property
    def title(self) -> str:
        """Name of the type for people: Arrow's."""
        return self.value[0]

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of the column in the bundle's Parquet tables."""
        import pyarrow as pa  # so that the command line can read the schema before it is loaded

        name = self.title
        if name.startswith("list<"):
            return pa.list_(pa.type_for_alias(name[5:-1]))
        return pa.type_for_alias(name)

    @property
    def kuzu(self) -> str:
        """Type name in Kuzu's DDL."""
        return self.value[1]

    @property
    def import_tool(self) -> str:
        """Type name in the headers of ``neo4j-admin database import``."""
        return self.value[4]

    def shown(self, engine: str) -> str:
        """Type name in what an engine (``kuzu`` or ``neo4j``) tells of its properties."""
        return self.value[2 if engine == "kuzu" else 3]


@dataclass(frozen=True, slots=True)
class Column:
    """One property of a node or relationship type."""

    name: str
    type: Type
    doc: str
    indexed: bool = False  # users filter by it, so Neo4j gets an index
    part: str | None = None  # of the annotation that fills it; None: it is there from the start


@dataclass(frozen=True, slots=True)
class NodeType:
    """A node label, found by its ``key``."""

    name: str
    doc: str
    columns: tuple[Column, ...]  # the first one is the key
    part: str | None = None  # of the annotation that makes its rows

    @property
    def key(self) -> Column:
        """The unique key, always the first column."""
        return self.columns[0]


@dataclass(frozen=True, slots=True)
class RelationshipType:
    """A relationship type between two node labels; its tables start with the columns ``from``
    and ``to``.
    """

    name: str
    source: str  # label of the node it leaves
    target: str  # label of the node it enters
    doc: str
    columns: tuple[Column, ...] = ()
    part: str | None = None  # of the annotation that makes its rows


def key(example: str) -> Column:
    """The unique key of a node, shown by an example."""
    return Column("key", Type.STRING, f"unique, readable: `{example}`")


def string(name: str, doc: str, *, indexed: bool = False) -> Column:
    """A column of texts."""
    return Column(name, Type.STRING, doc, indexed)


def integer(name: str, doc: str) -> Column:
    """A column of whole numbers."""
    return Column(name, Type.INT, doc)


def floating(name: str, doc: str, *, indexed: bool = False) -> Column:
    """A column of 64-bit floats."""
    return Column(name, Type.FLOAT, doc, indexed)


def filled_by(part: str, *columns: Column) -> tuple[Column, ...]:
    """Columns that a part of the annotation fills."""
    return tuple(replace(column, part=part) for column in columns)


SIGNIFICANCE: Final = (
    floating("p", "p value"),
    floating("q", "false discovery rate", indexed=True),
)
"""What every finding that is tested has."""
