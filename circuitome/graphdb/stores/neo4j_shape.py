"""What a server's database has, against the schema: constraints, indexes, what is in use, and the
schema version of each model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypedDict

import pyarrow as pa

from circuitome.graphdb.ddl import SchemaItem, compared, neo4j_declared, properties_compared
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, SCHEMA_VERSION

__all__ = ["Read", "contents", "structures", "versions"]

Read = Callable[[str], pa.Table]
"""Gives the rows of a statement."""

_CONSTRAINTS: Final = "SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties"
_INDEXES: Final = (
    "SHOW INDEXES YIELD name, type, labelsOrTypes, properties, owningConstraint, state "
    "WHERE type <> 'LOOKUP' AND owningConstraint IS NULL"
)
_IN_USE: Final = {
    "label": "CALL db.schema.nodeTypeProperties() YIELD nodeLabels AS names, "
    "propertyName AS name, propertyTypes AS types "
    "RETURN names, name, types ORDER BY names, name",
    "relationship": "CALL db.schema.relTypeProperties() YIELD relType, propertyName AS name, "
    "propertyTypes AS types RETURN [substring(relType, 2, size(relType) - 3)] AS names, "
    "name, types ORDER BY names, name",
}
_VERSIONS: Final = (
    "MATCH (m:Model) WHERE m.schema_version IS NOT NULL "
    "RETURN m.key AS key, m.schema_version AS version ORDER BY key"
)


class _Structure(TypedDict):
    """A constraint or index, as the server shows it."""

    name: str
    type: str
    labelsOrTypes: list[str] | None
    properties: list[str] | None


class _InUse(TypedDict):
    """A property that the server has seen, at nodes of some labels or at a relationship type."""

    names: list[str]
    name: str | None
    types: list[str]


def structures(read: Read) -> Iterator[SchemaItem]:
    """Constraints and indexes; one that failed is outdated, so that `repair` makes it anew."""
    constraints, indexes = read(_CONSTRAINTS).to_pylist(), read(_INDEXES).to_pylist()
    failed = {row["name"]: _meaning(row) for row in indexes if row["state"] == "FAILED"}
    declared = neo4j_declared()
    yield from compared("constraint", declared["constraint"], _by_meaning(constraints))
    sound = _by_meaning(row for row in indexes if row["name"] not in failed)
    for item in compared("index", declared["index"], sound):
        if item.name not in failed:
            yield item
    for name, meaning in failed.items():
        yield SchemaItem("index", name, meaning, f"{meaning} (failed)", "outdated")


def _by_meaning(rows: Iterable[_Structure]) -> dict[str, str]:
    return {_meaning(row): row["name"] for row in rows}


def _meaning(row: _Structure) -> str:
    """Type, label and properties of a constraint or index, as in ``RANGE Neuron.kind``."""
    return (
        f"{row['type']} {'|'.join(row['labelsOrTypes'] or [])}.{','.join(row['properties'] or [])}"
    )


def contents(read: Read) -> Iterator[SchemaItem]:
    """Labels, relationship types and properties that are in use, and the schema version of
    each model.
    """
    yield from _in_use(read)
    for model, version in versions(read):
        state = "ok" if version == SCHEMA_VERSION else "outdated"
        yield SchemaItem("version", model, str(SCHEMA_VERSION), str(version), state)


def _in_use(read: Read) -> Iterator[SchemaItem]:
    for what, known in (("label", NODES), ("relationship", RELATIONSHIPS)):
        rows: list[_InUse] = read(_IN_USE[what]).to_pylist()
        for table in sorted(set(chain.from_iterable(row["names"] for row in rows))):
            if table in known:
                yield SchemaItem(what, table, table, table, "ok")
                yield from properties_compared(table, _types(table, rows), engine="neo4j")
            else:
                yield SchemaItem(what, table, "", table, "foreign")


def _types(table: str, rows: Iterable[_InUse]) -> dict[str, str]:
    """The types of each property of a label or relationship type."""
    own = (row for row in rows if table in row["names"])
    return {row["name"]: " | ".join(row["types"]) for row in own if row["name"]}


def versions(read: Read) -> list[tuple[str, int]]:
    """The schema version of each model."""
    return [(row["key"], row["version"]) for row in read(_VERSIONS).to_pylist()]
