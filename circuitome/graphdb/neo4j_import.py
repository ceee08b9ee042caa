"""The graph as CSV for ``neo4j-admin database import``, streamed batch by batch, with the command
that takes it.

A table is one file. An empty string is ``""`` and null is nothing at all, lists are joined by
U+001F, quotes are doubled: what the tool reads by itself. Floats are written as doubles, so that
the same 64 bits come back as over Bolt: a column of type ``float`` would come back rounded to the
decimals of 32 bits. The tool takes an empty list for null, and one of a single empty string, so a
column says which lists these are, and ``finish.cypher`` makes them so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from circuitome.errors import CircuitomeError
from circuitome.graphdb.ddl import neo4j_constraints, neo4j_indexes
from circuitome.graphdb.schema import NODES, SCHEMA_VERSION, NodeType, arrow_schema, table_type

__all__ = ["ExportError", "Streams", "write_import"]


class ExportError(CircuitomeError):
    """A format that is not known, a graph that does not follow the schema, or a place that
    cannot be written.
    """


Streams = Iterable[tuple[str, Iterator[pa.RecordBatch]]]
"""Tables with rows, nodes first, each a name and its batches."""

_BETWEEN: Final = "\x1f"
_EMPTY: Final = "empty_lists"  # a property from the import to `finish.cypher`
_BLANK: Final = ": one empty string"  # after the name of a column there
_NOTHING: Final = pa.scalar("")
_SCRIPT: Final = """\
#!/bin/sh
# Makes a Neo4j database of the CSV files beside this script; what the database held is gone.
#   1. stop the server                   neo4j stop
#   2. run this as the server's user     sh import.sh [DATABASE]   (neo4j, unless another is named)
#   3. start the server                  neo4j start
#   4. constraints, indexes, empty lists cypher-shell -d DATABASE -f finish.cypher
set -e
cd "$(dirname "$0")"
neo4j-admin database import full "${1:-neo4j}" \\
"""


def write_import(streams: Streams, folder: Path) -> None:
    """Write the tables into a new folder as CSV, beside ``import.sh`` and ``finish.cypher``,
    which is for afterwards.
    """
    folder.mkdir()
    names, multiline = [], False
    for name, batches in streams:
        with (folder / f"{name}.csv").open("wb") as file:
            multiline |= _write_table(name, batches, file)
        names.append(name)
    _write_script(folder / "import.sh", _arguments(names, multiline=multiline))
    statements = [*neo4j_constraints().values(), *neo4j_indexes().values()]
    statements += itertools.chain.from_iterable(map(_emptying, names))
    (folder / "finish.cypher").write_text("".join(f"{statement};\n" for statement in statements))


def _write_script(path: Path, arguments: Iterable[str]) -> None:
    path.write_text(_SCRIPT + " \\\n".join(f"  {argument}" for argument in arguments) + "\n")
    path.chmod(0o755)


def _arguments(names: Iterable[str], *, multiline: bool) -> Iterator[str]:
    """What the tool is called with."""
    for name in names:
        yield f"--{'nodes' if name in NODES else 'relationships'}={name}={name}.csv"
    yield from ("--array-delimiter=U+001F", "--strict=true", "--overwrite-destination=true")
    if multiline:  # the tool reads a file in one thread then
        yield "--multiline-fields=true"


def _lists(name: str) -> list[str]:
    return [field.name for field in arrow_schema(name) if pa.types.is_list(field.type)]


def _emptying(name: str) -> Iterator[str]:
    """Statements that set the lists which hold nothing, or an empty string, and remove what
    says so.
    """
    pattern = f"(n:`{name}`)" if name in NODES else f"()-[n:`{name}`]->()"
    for column in _lists(name):
        yield f"MATCH {pattern} WHERE '{column}' IN n.`{_EMPTY}` SET n.`{column}` = []"
        if arrow_schema(name).field(column).type.value_type == pa.string():
            yield (
                f"MATCH {pattern} WHERE '{column}{_BLANK}' IN n.`{_EMPTY}` SET n.`{column}` = ['']"
            )
    if _lists(name):
        yield f"MATCH {pattern} WHERE n.`{_EMPTY}` IS NOT NULL REMOVE n.`{_EMPTY}`"


def _write_table(name: str, batches: Iterator[pa.RecordBatch], file: BinaryIO) -> bool:
    """Write one table; whether a value spans lines."""
    header = pa.schema([(title, pa.string()) for title in _header(name)])
    pacsv.write_csv(header.empty_table(), file)
    options, multiline = pacsv.WriteOptions(include_header=False), False
    for batch in batches:
        _check_lists(name, batch)
        columns = [
            _column(column) for column in _settled(name, batch).cast(arrow_schema(name)).columns
        ]
        if _lists(name):
            columns.append(_empty_lists(name, batch))
        multiline |= any(_spans_lines(column) for column in columns)
        pacsv.write_csv(
            pa.RecordBatch.from_arrays(columns, schema=_untitled(columns)), file, options
        )
    return multiline


def _header(name: str) -> list[str]:
    """The tool's titles: ``key:ID(Neuron)``, ``:START_ID(Neuron)``, ``weight:double``."""
    kind = table_type(name)
    columns = [f"{column.name}:{column.type.import_tool}" for column in kind.columns]
    columns += [f"{_EMPTY}:string[]"] if _lists(name) else []
    if isinstance(kind, NodeType):
        return [f"key:ID({name})", *columns[1:]]
    return [f":START_ID({kind.source})", f":END_ID({kind.target})", *columns]


def _settled(name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A model is whole when the import is, whatever the source says of it."""
    if name != "Model":
        return batch
    for column, value in (("state", "ready"), ("schema_version", SCHEMA_VERSION)):
        place = batch.schema.get_field_index(column)
        field = arrow_schema(name).field(column)
        batch = batch.set_column(place, field, pa.array([value] * batch.num_rows, field.type))
    return batch


def _column(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        return pc.call_function("binary_join", [_words(column), pa.scalar(_BETWEEN)])
    if pa.types.is_floating(column.type):
        doubles = column.cast(pa.float64())
        return doubles if _finite(doubles) else _spelled(doubles.cast(pa.string()))
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _words(column: pa.Array) -> pa.Array:
    """A list column with text for its values."""
    kind = column.type.value_type
    text = column.cast(pa.list_(pa.string()))
    if not pa.types.is_floating(kind):
        return text
    return pa.ListArray.from_arrays(
        text.offsets, _spelled(text.values), mask=column.is_null() if column.null_count else None
    )


def _check_lists(name: str, batch: pa.RecordBatch) -> None:
    """`ExportError` where a text in a list holds what lists are joined by: the tool has no
    escape for it.
    """
    for column in _lists(name):
        values = batch[column].flatten()
        if pa.types.is_string(values.type):
            found = pc.call_function(
                "match_substring", [values], pc.MatchSubstringOptions(_BETWEEN)
            )
            if pc.call_function("any", [found]).as_py():
                raise ExportError(
                    f"{name}: a text in `{column}` holds the character U+001F, which the import "
                    "tool would split; "
                    "rename what is called so, or write another format"
                )


def _empty_lists(name: str, batch: pa.RecordBatch) -> pa.Array:
    """The names of the columns whose list the tool takes for null, null where there is none."""
    words = [_lost_list(column, batch[column]) for column in _lists(name)]
    joined = pc.call_function("binary_join_element_wise", [*words, _NOTHING])
    none = pc.call_function("equal", [joined, _NOTHING])
    return pc.call_function("if_else", [none, pa.scalar(None, pa.string()), joined])


def _lost_list(column: str, lists: pa.Array) -> pa.Array:
    """The name of the column where the tool takes its list for null, else an empty text."""
    # no value, or an empty one alone
    lost = pc.call_function("equal", [_column(lists), _NOTHING])
    lost = pc.call_function("coalesce", [lost, pa.scalar(False)])
    none = pc.call_function("list_value_length", [lists])
    none = pc.call_function("equal", [none, pa.scalar(0)])
    names = [pa.scalar(f"{column}{what}{_BETWEEN}") for what in ("", _BLANK)]
    return pc.call_function(
        "if_else", [lost, pc.call_function("if_else", [none, *names]), _NOTHING]
    )


def _finite(column: pa.Array) -> bool:
    return pc.call_function("all", [pc.call_function("is_finite", [column])]).as_py() is not False


def _spelled(text: pa.Array) -> pa.Array:
    """What is not finite, in Java's words."""
    for arrow, java in (("nan", "NaN"), ("inf", "Infinity")):
        options = pc.ReplaceSubstringOptions(arrow, java)
        text = pc.call_function("replace_substring", [text], options)
    return text


def _spans_lines(column: pa.Array) -> bool:
    if not pa.types.is_string(column.type):
        return False
    found = pc.call_function("match_substring_regex", [column], pc.MatchSubstringOptions("[\r\n]"))
    return bool(pc.call_function("any", [found]).as_py())


def _untitled(columns: list[pa.Array]) -> pa.Schema:
    return pa.schema([(str(place), column.type) for place, column in enumerate(columns)])
