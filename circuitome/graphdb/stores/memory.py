"""How much memory the embedded engine may have: what was asked for, or half of what is free."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from circuitome.graphdb.stores.protocol import StoreError

__all__ = ["MEMORY", "available_memory", "bytes_of", "in_words", "pool_size"]

MEMORY: Final = "CIRCUITOME_MEMORY"
"""The environment variable that says how much memory the engine may have."""

_LEAST: Final = 1 << 20  # bytes; the engine takes 0 for as much as it likes
_FLOOR: Final = 512 << 20  # bytes that are taken where hardly anything is free
_UNKNOWN: Final = 4 << 30  # bytes that count as free where the system does not say
_SHARE: Final = 0.5  # of what is free: the engine takes more than its pool when it reads Parquet
_UNITS: Final = ("", "K", "M", "G", "T")
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)(I?)B?", re.IGNORECASE)
_GROUP_FILES: Final = {  # by version of control groups: folder, limit, what is used
    2: ("", "memory.max", "memory.current"),
    1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}


def pool_size(asked: str | None = None) -> int:
    """Bytes that the engine's buffer pool may have.

    That is ``asked``, else ``CIRCUITOME_MEMORY``, else half of the memory that is free, but never
    under 512 MiB.

    Raises:
        StoreError: what is asked for is no size.
    """
    if asked is not None:
        return bytes_of(asked, source="--memory")
    if text := os.environ.get(MEMORY):
        return bytes_of(text, source=MEMORY)
    return max(_FLOOR, int(available_memory() * _SHARE))


def bytes_of(text: str, *, source: str) -> int:
    """A size such as ``4GiB``, ``500MB`` or ``2G`` in bytes; ``source`` is where it was given.

    Raises:
        StoreError: it is no size, or under 1 MiB.

    >>> bytes_of("4GiB", source="--memory"), bytes_of("500 mb", source="--memory")
    (4294967296, 500000000)
    """
    size = 0
    if match := _SIZE.fullmatch(text.strip()):
        number, unit, binary = match.groups()
        size = round(float(number) * (1024 if binary else 1000) ** _UNITS.index(unit.upper()))
    if size < _LEAST:
        raise StoreError(f"{source}: {text!r} is no memory; write 4GiB or 500MB")
    return size


def in_words(size: float) -> str:
    """Bytes for people.

    >>> in_words(1 << 30), in_words(300 << 20), in_words(2_700_000_000)
    ('1 GiB', '300 MiB', '2.5 GiB')
    """
    if size >= 1 << 30:
        return f"{round(size / (1 << 30), 1):g} GiB"
    return f"{max(1, round(size / (1 << 20)))} MiB"


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: free in the machine and in its control groups.

    ``root`` is the folder that holds ``proc`` and ``sys``.
    """
    return min([*_machine(root), *_groups(root)], default=_UNKNOWN)


def _machine(root: Path) -> Iterator[int]:
    """What the machine has free; where it does not say, half of what it has."""
    if found := re.search(r"MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo")):
        yield int(found[1]) << 10
        return
    try:
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return


def _groups(root: Path) -> Iterator[int]:
    """What each control group of this process leaves: those of containers and of batch systems."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, limit, used = _GROUP_FILES[1 if controllers else 2]
        path = Path(place.lstrip("/"))
        for group in (path, *path.parents):
            yield from _left(root / "sys/fs/cgroup" / folder / group, limit, used)


def _left(group: Path, limit: str, used: str) -> Iterator[int]:
    """What a control group leaves, with the files that it holds in memory and can give back."""
    most, taken = _text(group / limit).strip(), _text(group / used).strip()
    if most.isdecimal() and taken.isdecimal():
        files = re.search(r"^(?:total_)?inactive_file (\d+)", _text(group / "memory.stat"), re.M)
        yield max(0, int(most) - int(taken) + (int(files[1]) if files else 0))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
