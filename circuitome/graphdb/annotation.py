"""Annotations of a bundle: which parts it has, and how the findings of one part get into it.

What a part may write is declared in the schema: the columns and tables that name it, or a part that
it needs. Anything else is refused, so that a column that nobody declared cannot be dropped unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import (
    PARTS,
    SchemaError,
    made_by,
    needed_by,
    parts_done,
    table_type,
)

__all__ = ["Findings", "put_in"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one part of the annotation puts into a bundle."""

    columns: Mapping[str, Mapping[str, Sequence[object]]] = field(default_factory=dict)
    """Table -> column -> a value for every row; NaN becomes null."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Whole tables, instead of those that the bundle has."""
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
    """Further files, by their names under ``annotations/``."""
    model: Mapping[str, object] = field(default_factory=dict)
    """Columns of the `Model` row."""
    manifest: Mapping[str, object] = field(default_factory=dict)
    """Entries of the manifest."""


def put_in(bundle: Bundle, part: str, found: Findings) -> Bundle:
    """Put the findings of one part into a bundle and open it again; parts that need it are undone.

    Raises: SchemaError: the part is not declared, or a finding belongs to neither it nor a part it
        needs. BundleError: the bundle cannot be written.
    """
    _check(part, found)
    before = parts_done(bundle.manifest.model)
    done = [
        name for name in PARTS if name == part or (name in before and part not in needed_by(name))
    ]
    with BundleWriter.amend(bundle) as writer:
        for table, columns in found.columns.items():
            writer.replace(table, _with(bundle.table(table), columns))
        for table, rows in found.tables.items():
            writer.replace(table, rows)
        for name, content in found.files.items():
            writer.attach(name, content)
        writer.finish(model={"annotated": ",".join(done), **found.model}, notes=found.manifest)
    return Bundle.open(bundle.path)


def _check(part: str, found: Findings) -> None:
    own = _columns({part} | needed_by(part))
    given = {(table, name) for table, columns in found.columns.items() for name in columns}
    given |= {("Model", name) for name in found.model}
    if foreign := sorted(given - own):
        table, name = foreign[0]
        raise SchemaError(
            f"{table}.{name} does not belong to the part {part!r} of the annotation; "
            "name the part at the column in the schema"
        )
    for table, rows in found.tables.items():
        _check_table(part, table, rows)


def _check_table(part: str, table: str, rows: pa.Table) -> None:
    owner = table_type(table).part
    emptied = not rows.num_rows and owner in PARTS and part in needed_by(owner)
    if owner not in {part, *needed_by(part)} and not emptied:
        raise SchemaError(
            f"the table {table} does not belong to the part {part!r} of the annotation; "
            "name the part at the table in the schema"
        )


def _columns(parts: set[str]) -> set[tuple[str, str]]:
    return {
        (table, name) for part in parts for table, names in made_by(part).items() for name in names
    }


def _with(table: pa.Table, columns: Mapping[str, Sequence[object]]) -> pa.Table:
    """The table with some of its columns replaced."""
    for name, values in columns.items():
        own = table.schema.field(name)
        column = pa.array(list(values), own.type, from_pandas=True)
        table = table.set_column(table.column_names.index(name), own, column)
    return table
