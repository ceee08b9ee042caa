"""Curated families: a person's list of neurons that are one feature, read from CSV.

The file has a header and one line a member::

    family,neuron,offset,group
    curves,features.3.expand3x3:17,0,rotate
    curves,features.3.expand3x3:21,45,rotate

``neuron`` is a key, with or without the model; ``offset`` the member's place (degrees, octaves,
parity); ``group`` may be left out. A family may span several layers. Loading a file again replaces
the families that it names; others stay.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import TRANSFORM_GROUPS, arrow_schema

__all__ = ["CuratedError", "Member", "join_families", "load_families", "read_families"]

_COLUMNS: Final = ("family", "neuron", "offset")
_OPTIONAL: Final = ("group",)
_EXAMPLE: Final = "family,neuron,offset"


class CuratedError(CircuitomeError):
    """A file of curated families that cannot be read, or does not fit its bundle."""


@dataclass(frozen=True, slots=True)
class Member:
    """One line of the file."""

    family: str
    """Title of the family."""
    neuron: str
    """Whole key of the neuron."""
    offset: float
    """Its place in the family: degrees, octaves or parity."""
    group: str | None
    """Transform group of the family, or None if the file does not say."""
    line: int
    """Line of the file, from 1."""


def load_families(bundle: Bundle, file: Path) -> Bundle:
    """Put the families of a CSV file into a bundle, ``source`` curated, and open it again.

    Raises:
        CuratedError: names the file, the line and the cure.
        BundleError: the bundle cannot be written.
    """
    neurons = bundle.table("Neuron").select(["key", "layer"]).to_pylist()
    layers = {row["key"]: row["layer"] for row in neurons}
    read = read_families(file, model=bundle.model, neurons=layers)
    families, members = _tables(bundle.model, layers, read)
    again = families["key"].to_pylist()
    families, members = join_families(bundle, families, members, instead_of=again)
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Family", families)
        writer.replace("MEMBER_OF", members)
        writer.finish()
    return Bundle.open(bundle.path)


def join_families(
    bundle: Bundle, families: pa.Table, members: pa.Table, *, instead_of: Collection[str]
) -> tuple[pa.Table, pa.Table]:
    """The tables ``Family`` and ``MEMBER_OF`` of a bundle with others added, and those of the keys
    ``instead_of`` left out.
    """
    gone = set(instead_of)
    tables = []
    for name, column, added in (("Family", "key", families), ("MEMBER_OF", "to", members)):
        old = [row for row in bundle.table(name).to_pylist() if row[column] not in gone]
        tables.append(pa.Table.from_pylist(old + added.to_pylist(), schema=arrow_schema(name)))
    return tables[0], tables[1]


def read_families(file: Path, *, model: str, neurons: Collection[str]) -> list[Member]:
    """Read and check a file of curated families.

    Args:
        file: CSV with a header, as the module says.
        model: key of the model, which the file's keys may leave out.
        neurons: keys of the model's neurons.

    Raises:
        CuratedError: the file is not readable, the header is missing, a number is malformed, a
            neuron is not in the model or twice in a family, or a family has two groups.
    """
    members = [_member(file, line, cells, model, neurons) for line, cells in _lines(file)]
    if not members:
        raise CuratedError(
            f"{file}: no family below the header; write one member a line, "
            "as in `curves,conv1:3,45`"
        )
    _check_families(file, members)
    return members


def _check_families(file: Path, members: Sequence[Member]) -> None:
    """Refuse a neuron that is twice in a family, and a family of two groups."""
    for line, fault in _family_faults(members):
        raise CuratedError(f"{file}, line {line}: {fault}")


def _family_faults(members: Sequence[Member]) -> Iterator[tuple[int, str]]:
    """Lines at which members do not go with those above, and why."""
    first: dict[tuple[str, str], Member] = {}
    groups: dict[str, Member] = {}
    for member in members:
        family, line, group = member.family, member.line, member.group or "none"
        same = first.setdefault((family, member.neuron), member)
        if same is not member:
            yield line, f"{member.neuron} is in {family!r} already (line {same.line}); remove one"
        other = groups.setdefault(family, member)
        if other.group != member.group:
            there = f"{other.group or 'none'} on line {other.line}"
            yield line, f"{family!r} has the group {group}, and {there}; a family has one group"


def _lines(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line number and cells by column of every line that is not blank."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            yield from _filled(file, stream)
    except FileNotFoundError:
        raise CuratedError(
            f"{file}: no such file; name a CSV file with the columns {_EXAMPLE}"
        ) from None
    except (OSError, UnicodeError, csv.Error) as error:
        raise CuratedError(
            f"{file}: cannot be read as CSV in UTF-8 ({error}); save it with the columns {_EXAMPLE}"
        ) from error


def _filled(file: Path, stream: Iterable[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The lines below the header that are not blank."""
    reader = csv.reader(stream, strict=True)
    header = _header(file, next(reader, []))
    for cells in reader:
        if any(cell.strip() for cell in cells):
            where = f"{file}, line {reader.line_num}"
            yield reader.line_num, _by_column(where, header, cells)


def _by_column(where: str, header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise CuratedError(
            f"{where}: {len(cells)} cells, the header has {len(header)} "
            f'({",".join(header)}); put text with commas between "quotes"'
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _header(file: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    fault = next(_header_faults(names), None)
    if fault is not None:
        raise CuratedError(
            f"{file}, line 1: {fault}; begin with the header {_EXAMPLE}, and `group` if you like"
        )
    return names


def _header_faults(names: Sequence[str]) -> Iterator[str]:
    yield from (f"no column {name!r}" for name in _COLUMNS if name not in names)
    known = (*_COLUMNS, *_OPTIONAL)
    yield from (f"a column {name!r}" for name in names if name not in known)
    if len(set(names)) < len(names):
        yield "a column twice"


def _member(
    file: Path, line: int, cells: Mapping[str, str], model: str, neurons: Collection[str]
) -> Member:
    where = f"{file}, line {line}"
    family, group = cells["family"], cells.get("group") or None
    if not family or not family.isprintable():
        raise CuratedError(
            f"{where}: the family has no name that can be printed; give each a title"
        )
    if group is not None and group not in TRANSFORM_GROUPS:
        raise CuratedError(
            f"{where}: no transform group {group!r}; write one of {', '.join(TRANSFORM_GROUPS)}, "
            "or nothing"
        )
    return Member(
        family,
        _neuron(where, cells["neuron"], model, neurons),
        _number(where, cells["offset"]),
        group,
        line,
    )


def _neuron(where: str, key: str, model: str, neurons: Collection[str]) -> str:
    for full in (key, f"{model}/{key}"):
        if full in neurons:
            return full
    raise CuratedError(
        f"{where}: no neuron {key!r} in {model}; write layer:channel, "
        f"such as {min(neurons).removeprefix(f'{model}/')}"
    )


def _number(where: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CuratedError(
            f"{where}: the offset {text!r} is no number; write degrees, octaves or parity, "
            "such as 45"
        )
    return number


def _tables(
    model: str, layers: Mapping[str, str], members: Sequence[Member]
) -> tuple[pa.Table, pa.Table]:
    """Rows of ``Family`` and ``MEMBER_OF``, families in the order of the file."""
    by_family: dict[str, list[Member]] = {}
    for member in members:
        by_family.setdefault(member.family, []).append(member)
    families = [_family(model, name, layers, group) for name, group in by_family.items()]
    links = [
        {"from": member.neuron, "to": _key(model, name), "offset": member.offset}
        for name, group in by_family.items()
        for member in group
    ]
    return (
        pa.Table.from_pylist(families, schema=arrow_schema("Family")),
        pa.Table.from_pylist(links, schema=arrow_schema("MEMBER_OF")),
    )


def _family(
    model: str, name: str, layers: Mapping[str, str], members: Sequence[Member]
) -> dict[str, object]:
    homes = {layers[member.neuron] for member in members}
    return {
        "key": _key(model, name),
        "model": model,
        "layer": homes.pop() if len(homes) == 1 else None,
        "name": name,
        "group": members[0].group,
        "size": len(members),
        "source": "curated",
    }


def _key(model: str, name: str) -> str:
    return f"{model}/curated:{name}"
