"""Statements that set up a database, and the schema page of the docs, all made from the schema
declaration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    SCHEMA_VERSION,
    Column,
    NodeType,
    RelationshipType,
    table_type,
)

__all__ = [
    "SchemaItem",
    "compared",
    "fingerprint",
    "kuzu_statements",
    "kuzu_table",
    "neo4j_constraints",
    "neo4j_declared",
    "neo4j_indexes",
    "properties_compared",
    "schema_markdown",
]


@dataclass(frozen=True, slots=True)
class SchemaItem:
    """One thing that a database should have, or has."""

    what: str  # `constraint`, `index`, `table`, `label`, `relationship`, `property` or `version`
    name: str
    declared: str  # empty where the schema does not have it
    actual: str  # empty where the database does not have it
    # `ok`, `missing`, `outdated` (ours, but not of this schema) or `foreign` (not ours: left alone)
    state: str

    @property
    def differs(self) -> bool:
        """Whether the database is not what the schema says; what is somebody else's does not
        count.
        """
        return self.state in {"missing", "outdated"}


def kuzu_statements() -> list[str]:
    """Every table of the schema in Kuzu's DDL, nodes first."""
    return [kuzu_table(name) for name in (*NODES, *RELATIONSHIPS)]


def kuzu_table(name: str, columns: Sequence[str] | None = None) -> str:
    """The statement that makes a table, or one with some of its columns in that order.

    >>> kuzu_table("OF_MODEL")
    'CREATE REL TABLE `OF_MODEL` (FROM `Layer` TO `Model`)'
    """
    kind = table_type(name)
    types = {column.name: column.type.kuzu for column in kind.columns}
    names = types if columns is None else [name for name in columns if name in types]
    parts = [f"`{column}` {types[column]}" for column in names]
    if isinstance(kind, NodeType):
        parts.append(f"PRIMARY KEY (`{kind.key.name}`)")
        return f"CREATE NODE TABLE `{name}` ({', '.join(parts)})"
    parts.insert(0, f"FROM `{kind.source}` TO `{kind.target}`")
    return f"CREATE REL TABLE `{name}` ({', '.join(parts)})"


def fingerprint() -> str:
    """What marks a database as ours and of this schema: version and a hash of the tables."""
    digest = hashlib.sha256("\n".join(kuzu_statements()).encode()).hexdigest()
    return f"circuitome schema {SCHEMA_VERSION} {digest[:12]}"


def neo4j_constraints() -> dict[str, str]:
    """A unique key for each node label, by name; running them again changes nothing."""
    return {
        f"{name}_key": f"CREATE CONSTRAINT `{name}_key` IF NOT EXISTS FOR (n:`{name}`) REQUIRE "
        f"n.`{node.key.name}` IS UNIQUE"
        for name, node in NODES.items()
    }


def neo4j_indexes() -> dict[str, str]:
    """An index for each column that users filter by, by name; running them again changes
    nothing.
    """
    patterns = {name: f"(n:`{name}`)" for name in NODES} | {
        name: f"()-[n:`{name}`]-()" for name in RELATIONSHIPS
    }
    return {
        f"{name}_{column.name}": f"CREATE INDEX `{name}_{column.name}` IF NOT EXISTS FOR "
        f"{pattern} ON (n.`{column.name}`)"
        for name, pattern in patterns.items()
        for column in table_type(name).columns
        if column.indexed
    }


def neo4j_declared() -> dict[str, dict[str, str]]:
    """Constraints and indexes as `compared` takes them: ``constraint`` and ``index``, each name
    by meaning.
    """
    constraints = {
        f"UNIQUENESS {name}.{node.key.name}": f"{name}_key" for name, node in NODES.items()
    }
    indexes = {
        f"RANGE {name}.{column.name}": f"{name}_{column.name}"
        for name in (*NODES, *RELATIONSHIPS)
        for column in table_type(name).columns
        if column.indexed
    }
    return {"constraint": constraints, "index": indexes}


def compared(
    what: str, declared: Mapping[str, str], actual: Mapping[str, str]
) -> Iterator[SchemaItem]:
    """What is declared against what is there, each a name by its meaning, such as ``RANGE
    Neuron.kind``.

    Equal meaning is enough: another name is no difference. What is there and not declared is ours
    where its label or type and its name are.
    """
    for meaning, name in declared.items():
        found = meaning in actual
        yield SchemaItem(
            what,
            actual.get(meaning, name),
            meaning,
            meaning if found else "",
            "ok" if found else "missing",
        )
    for meaning, name in actual.items():
        if meaning not in declared:
            label = meaning.split(" ", 1)[-1].rpartition(".")[0]
            ours = (label in NODES or label in RELATIONSHIPS) and name.startswith(f"{label}_")
            yield SchemaItem(what, name, "", meaning, "outdated" if ours else "foreign")


def properties_compared(
    table: str, found: Mapping[str, str], *, engine: str
) -> Iterator[SchemaItem]:
    """The properties of a label or type, types by name, against those declared; ``engine`` is
    ``kuzu`` or ``neo4j``.

    Neo4j does not know of a property that no node has, so there none is missing.
    """
    declared = {column.name: column.type.shown(engine) for column in table_type(table).columns}
    for name in declared if engine == "kuzu" else ():
        if name not in found:
            yield SchemaItem("property", f"{table}.{name}", declared[name], "", "missing")
    for name, kind in found.items():
        wanted = declared.get(name, "")
        if wanted.endswith("Array") and all(part.endswith("Array") for part in kind.split(" | ")):
            kind = wanted  # Neo4j forgets what an empty list was one of
        yield SchemaItem(
            "property", f"{table}.{name}", wanted, kind, "ok" if kind == wanted else "outdated"
        )


_PREFACE = """\
# The graph

Made from `circuitome/graphdb/schema.py` by `make docs`; version {version}. A node is found by its
`key`. Every property but the key may be missing (null); lists hold scalars; floats are 64 bits wide
in the databases. An index is there for the columns marked with `*`.
"""


def schema_markdown() -> str:
    """The schema as a page of Markdown: `docs/schema.md`."""
    parts = [_PREFACE.format(version=SCHEMA_VERSION), "## Nodes\n"]
    parts += [
        f"### `{node.name}`\n\n{node.doc}\n\n{_columns(node.columns)}" for node in NODES.values()
    ]
    parts.append("## Relationships\n")
    parts += [_relationship(kind) for kind in RELATIONSHIPS.values()]
    return "\n".join(parts)


def _relationship(kind: RelationshipType) -> str:
    arrow = f"`(:{kind.source})-[:{kind.name}]->(:{kind.target})`"
    return f"### `{kind.name}`\n\n{arrow}: {kind.doc}\n" + (
        f"\n{_columns(kind.columns)}" if kind.columns else ""
    )


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        f"| `{column.name}`{'*' if column.indexed else ''} | {column.type.title} | "
        f"{column.doc.replace('|', chr(92) + '|')} |"
        for column in columns
    ]
    return "\n".join(["| property | type | what it is |", "|---|---|---|", *rows, ""])
