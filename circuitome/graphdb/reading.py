"""Statements that read whole tables, and who owns a node: the same for every store.

In a statement ``x`` is the row itself; of a relationship ``a`` is the node that it leaves, ``b``
the one it enters.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuitome.graphdb.schema import NODES, NodeType, arrow_schema, table_type

__all__ = ["owner", "owners", "pattern", "reading"]

_ENDS = {"from": "a.`key`", "to": "b.`key`"}


def owner(label: str) -> str | None:
    """The property that holds the key of a node's model; None if nodes of that label have no model.

    >>> owner("Model"), owner("Neuron"), owner("MotifKind")
    ('key', 'model', None)
    """
    if label == "Model":
        return "key"
    return "model" if any(column.name == "model" for column in NODES[label].columns) else None


def owners(table: str) -> list[str]:
    """What tells the model of a row: a property of it, or of each end of a relationship.

    >>> owners("IN_LAYER"), owners("OF_KIND")
    (['a.`model`', 'b.`model`'], ['a.`model`'])
    """
    kind = table_type(table)
    if isinstance(kind, NodeType):
        labels = [("x", table)]
    else:
        labels = [("a", kind.source), ("b", kind.target)]
    named = [(variable, owner(label)) for variable, label in labels]
    return [f"{variable}.`{name}`" for variable, name in named if name]


def pattern(table: str) -> str:
    """What matches every row of a table.

    >>> pattern("Layer"), pattern("OF_MODEL")
    ('(x:`Layer`)', '(a:`Layer`)-[x:`OF_MODEL`]->(b:`Model`)')
    """
    kind = table_type(table)
    if isinstance(kind, NodeType):
        return f"(x:`{table}`)"
    return f"(a:`{kind.source}`)-[x:`{table}`]->(b:`{kind.target}`)"


def reading(table: str, *, tests: Sequence[str] = (), columns: Sequence[str] | None = None) -> str:
    """The query that reads a table, or some of its columns, if a row passes all ``tests``.

    >>> reading("Model", tests=["x.`key` = $model"], columns=["key"])
    'MATCH (x:`Model`) WHERE x.`key` = $model RETURN x.`key` AS `key`'
    """
    names = arrow_schema(table).names if columns is None else columns
    returned = ", ".join(f"{_ENDS.get(name, f'x.`{name}`')} AS `{name}`" for name in names)
    where = f" WHERE {' AND '.join(tests)}" if tests else ""
    return f"MATCH {pattern(table)}{where} RETURN {returned}"
