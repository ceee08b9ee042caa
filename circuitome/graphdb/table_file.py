"""One table of a bundle as a Parquet file, opened only if it is what the manifest and the schema
say.

A file of a few kilobytes can unpack to any size, so what a table may take in memory is bounded by
its size on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from circuitome.errors import first_line
from circuitome.graphdb.manifest import BundleError
from circuitome.graphdb.schema import RELATIONSHIPS, arrow_schema

__all__ = ["CURE", "opened"]

CURE: Final = "; extract the bundle again"
"""The end of every message about a damaged table."""

_CODECS: Final = ("LZ4", "SNAPPY", "UNCOMPRESSED")
"""Bundles have the first; codecs that are not here can pack a thousandfold and more."""

_ROOM: Final = 64 << 20  # bytes that any table may take in memory ...
_SWELL: Final = 64  # ... and so many more for each byte of its file: real tables take up to 13


@contextmanager
def opened(path: Path, table: str, *, rows: int) -> Iterator[pq.ParquetFile]:
    """The file of a table with that many rows; ends of relationships are dictionary-encoded.

    Raises:
        BundleError: columns, rows or size are not as declared, or the file cannot be read.
    """
    ends = ["from", "to"] if table in RELATIONSHIPS else []
    try:
        with pq.ParquetFile(path, read_dictionary=ends) as file:
            if fault := _fault(path, file, table, rows=rows):
                raise BundleError(f"{path}: {fault}{CURE}")
            yield file
    except KeyError as error:  # no ends
        raise BundleError(f"{path}: its columns are not those of the schema{CURE}") from error
    except (pa.ArrowException, OSError) as error:
        raise BundleError(f"{path}: not readable ({first_line(error)}){CURE}") from error


def _fault(path: Path, file: pq.ParquetFile, table: str, *, rows: int) -> str:
    """What is wrong with the columns, rows or size of a table; empty if nothing is."""
    if fault := _column_fault(file.schema_arrow, arrow_schema(table)):
        return fault
    if file.metadata.num_rows != rows:
        return f"{file.metadata.num_rows} rows, the manifest says {rows}"
    return _size_fault(path, file)


def _column_fault(schema: pa.Schema, declared: pa.Schema) -> str:
    if schema.names != declared.names:
        return "its columns are not those of the schema"
    for field, expected in zip(schema, declared, strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if kind != expected.type:
            return f"its column `{field.name}` holds {kind}, not {expected.type}"
    return ""


def _size_fault(path: Path, file: pq.ParquetFile) -> str:
    chunks = list(_chunks(file.metadata))
    codecs = {chunk.compression for chunk in chunks}
    if not codecs <= set(_CODECS):
        return f"compressed with {', '.join(sorted(codecs))}, not with {_CODECS[0]}"
    size = path.stat().st_size
    room = _ROOM + _SWELL * size
    values = 8 * sum(chunk.num_values for chunk in chunks)
    if values > room or _text_bytes(path, file, room) > room:
        return f"its {size} bytes would unpack to more than {room >> 20} MiB"
    return ""


def _chunks(metadata: pq.FileMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            yield metadata.row_group(group).column(column)


def _text_bytes(path: Path, file: pq.ParquetFile, room: int) -> int:
    """Bytes of the table's texts if each were written out, counted from their dictionaries."""
    leaves = [file.schema.column(number) for number in range(len(file.schema.names))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    paths = [name for name in texts if name not in ("from", "to")]
    total = 0
    if paths:
        with pq.ParquetFile(path, read_dictionary=paths) as packed:
            for batch in packed.iter_batches(1 << 16, columns=paths):
                total += sum(map(_unpacked, batch.columns))
                if total > room:
                    break
    return total


def _unpacked(column: pa.Array) -> int:
    texts = column.flatten() if isinstance(column, pa.ListArray) else column
    if not isinstance(texts, pa.DictionaryArray):
        return texts.nbytes
    lengths = pc.call_function("binary_length", [texts.dictionary])
    return pc.call_function("sum", [lengths.take(texts.indices)]).as_py() or 0
