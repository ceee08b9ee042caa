"""Statements that set up a database, and the schema page of the docs, all made from the schema declaration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    SCHEMA_VERSION,
    Column,
    NodeType,
    RelationshipType,
    table_type,
)

__all__ = ["fingerprint", "kuzu_statements", "neo4j_constraints", "neo4j_indexes", "schema_markdown"]


def kuzu_statements() -> list[str]:
    """Every table of the schema in Kuzu's DDL, nodes first."""
    return [_kuzu_table(table_type(name)) for name in (*NODES, *RELATIONSHIPS)]


def _kuzu_table(kind: NodeType | RelationshipType) -> str:
    columns = [f"`{column.name}` {column.type.kuzu}" for column in kind.columns]
    if isinstance(kind, NodeType):
        return f"CREATE NODE TABLE `{kind.name}` ({', '.join(columns)}, PRIMARY KEY (`{kind.key.name}`))"
    return f"CREATE REL TABLE `{kind.name}` ({', '.join([f'FROM `{kind.source}` TO `{kind.target}`', *columns])})"


def fingerprint() -> str:
    """What marks a database as ours and of this schema: version and a hash of the tables."""
    digest = hashlib.sha256("\n".join(kuzu_statements()).encode()).hexdigest()
    return f"circuitome schema {SCHEMA_VERSION} {digest[:12]}"


def neo4j_constraints() -> dict[str, str]:
    """A unique key for each node label, by name; running them again changes nothing."""
    return {
        f"{name}_key": f"CREATE CONSTRAINT `{name}_key` IF NOT EXISTS FOR (n:`{name}`) REQUIRE n.`{node.key.name}` IS UNIQUE"
        for name, node in NODES.items()
    }


def neo4j_indexes() -> dict[str, str]:
    """An index for each column that users filter by, by name; running them again changes nothing."""
    patterns = {name: f"(n:`{name}`)" for name in NODES} | {name: f"()-[n:`{name}`]-()" for name in RELATIONSHIPS}
    return {
        f"{name}_{column.name}": f"CREATE INDEX `{name}_{column.name}` IF NOT EXISTS FOR {pattern} ON (n.`{column.name}`)"
        for name, pattern in patterns.items()
        for column in table_type(name).columns
        if column.indexed
    }


_PREFACE = """\
# The graph

Made from `circuitome/graphdb/schema.py` by `make docs`; version {version}. A node is found by its `key`.
Every property may be missing (null) but the key; lists hold scalars; floats are 64 bits wide in the databases.
An index is there for the columns marked with `*`.
"""


def schema_markdown() -> str:
    """The schema as a page of Markdown: `docs/schema.md`."""
    parts = [_PREFACE.format(version=SCHEMA_VERSION), "## Nodes\n"]
    parts += [f"### `{node.name}`\n\n{node.doc}\n\n{_columns(node.columns)}" for node in NODES.values()]
    parts.append("## Relationships\n")
    parts += [_relationship(kind) for kind in RELATIONSHIPS.values()]
    return "\n".join(parts)


def _relationship(kind: RelationshipType) -> str:
    arrow = f"`(:{kind.source})-[:{kind.name}]->(:{kind.target})`"
    return f"### `{kind.name}`\n\n{arrow}: {kind.doc}\n" + (f"\n{_columns(kind.columns)}" if kind.columns else "")


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        f"| `{column.name}`{'*' if column.indexed else ''} | {column.type.value[0]} | {column.doc.replace('|', chr(92) + '|')} |"
        for column in columns
    ]
    return "\n".join(["| property | type | what it is |", "|---|---|---|", *rows, ""])
