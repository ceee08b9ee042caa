"""What a load is refused for before it starts: too many edges, or no room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from circuitome.graphdb.schema import WEIGHTED
from circuitome.graphdb.stores.memory import in_words
from circuitome.graphdb.stores.protocol import StoreError

__all__ = ["MOST_EDGES", "check_edges", "check_room"]

MOST_EDGES: Final = 50_000_000
"""Edges of all kinds that an embedded database may have: a machine with 24 GB fills it."""

_EMPTY: Final = 11 << 20  # bytes of a database without rows ...
_SWELL: Final = 9  # ... and at most about so many for each of a Parquet file: 3 to 8.6 in real ones
_CURE: Final = (
    "load the strong edges with `load --least-share 0.001`, or extract fewer with "
    "`extract --keep 0.9` or `extract --top 50`"
)


def check_edges(where: str, files: Sequence[Path], *, most: int) -> None:
    """`StoreError` where the Parquet files of a database hold more than ``most`` edges."""
    edges = sum(_rows(path) for path in files if path.stem in WEIGHTED)
    if edges > most:
        raise StoreError(
            f"{where}: {edges:,} edges of all kinds would take up to "
            f"{in_words(_expected(files))}, and an embedded database holds {most:,} at most; "
            f"{_CURE}"
        )


def check_room(where: str, folder: Path, files: Sequence[Path], *, beside: int = 0) -> None:
    """`StoreError` where the disk has no room for a database of these Parquet files, and
    ``beside`` bytes.

    Kuzu ends the whole process when its disk is full at the end of a COPY, so it is asked before.
    """
    need = _expected(files) + beside
    if not _has_room(folder, need):
        free = shutil.disk_usage(folder).free
        why = f"the disk has {in_words(free)}" if free < need else "a quota or limit forbids it"
        raise StoreError(
            f"{where}: nothing was changed: up to {in_words(need)} are needed beside it, "
            f"and {why}; make room, name another place with --db, or {_CURE}"
        )


def _rows(path: Path) -> int:
    """Rows of a Parquet file; 0 of one that was damaged: the check of its bundle says so."""
    try:
        return pq.read_metadata(path).num_rows
    except pa.ArrowException:
        return 0


def _expected(files: Sequence[Path]) -> int:
    """Bytes that a database of these Parquet files has at most."""
    return _EMPTY + _SWELL * sum(path.stat().st_size for path in files)


def _has_room(folder: Path, need: int) -> bool:
    """Whether so many bytes can be reserved in a folder."""
    if not hasattr(os, "posix_fallocate"):
        return shutil.disk_usage(folder).free >= need
    room = folder / "room"
    try:
        with room.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, need)
    except OSError as error:  # others say that the file system cannot tell
        return error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    finally:
        room.unlink(missing_ok=True)
    return True
