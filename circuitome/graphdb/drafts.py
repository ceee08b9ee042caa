"""Folders that take their place all at once, so that what stands there is whole even where the
process was killed.

A draft lies beside its place as ``.NAME.draft-XXXX``, locked by the process that writes it. A
killed process loses the lock, and the next draft for the same place clears away what it left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["clear", "draft", "put_in_place"]

_OLD: Final = (
    "old"  # in a draft: what stood at the place before, where the system cannot swap folders
)
_HERE: Final = -100  # AT_FDCWD: paths are relative to the working folder
_EXCHANGE: Final = 2  # RENAME_EXCHANGE


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, gone in the end; `OSError` where there can be none."""
    clear(path)
    while True:
        folder = path.parent / f"{_prefix(path)}{secrets.token_hex(4)}"
        folder.mkdir()
        lock = _locked(folder)
        if lock is not None or not _can_lock():
            break
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def clear(path: Path) -> None:
    """Clear away the drafts for ``path`` that killed processes left; what one of them had moved
    aside goes back.
    """
    try:
        left = [folder for folder in path.parent.iterdir() if folder.name.startswith(_prefix(path))]
    except OSError:  # no such folder, or none that may be listed
        return
    for folder in left:
        if (lock := _locked(folder)) is None:
            continue
        with contextlib.suppress(OSError):
            if (folder / _OLD).exists() and not path.exists():
                os.replace(folder / _OLD, path)
        _remove(folder)
        os.close(lock)


def put_in_place(folder: Path, path: Path) -> None:
    """Let a whole folder take the place of another, at once where the system can swap two, or
    an empty place.
    """
    if not path.exists():
        os.replace(folder, path)
    elif _swapped(folder, path):
        _remove(folder)
    else:
        _replaced(folder, path)


def _replaced(folder: Path, path: Path) -> None:
    """Replace in two steps; a process that is killed between them leaves the old folder in its
    draft, see `clear`.
    """
    with draft(path) as aside:
        os.replace(path, aside / _OLD)
        try:
            os.replace(folder, path)
        except BaseException:
            if not path.exists():
                os.replace(aside / _OLD, path)
            raise


def _swapped(one: Path, other: Path) -> bool:
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _prefix(path: Path) -> str:
    return f".{path.name}.draft-"


def _can_lock() -> bool:
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not a POSIX system: what killed processes leave stays
        return False
    return True


def _locked(folder: Path) -> int | None:
    """A lock on a folder of our own, until it is closed or the process ends; None where another
    process has it.
    """
    if not _can_lock():
        return None
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.fstat(handle)
        if there.st_uid == os.geteuid() and os.path.samestat(there, os.stat(folder)):
            return handle
    os.close(handle)
    return None


def _remove(folder: Path) -> None:
    if folder.is_symlink():  # a link to a bundle was replaced
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
