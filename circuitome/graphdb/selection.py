"""What of a graph is written: neurons alone, edges that are strong enough, one family, one circuit.

A selection works on whole tables, so a bundle and a database give the same graph.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from circuitome.graphdb.neo4j_import import ExportError
from circuitome.graphdb.schema import EDGE_TYPES, NODES, RELATIONSHIPS, WEIGHTED
from circuitome.vocabulary import CIRCUIT_HOPS, CIRCUIT_INPUTS, SHARED_INPUTS

__all__ = ["WHOLE", "Selection"]

_ALONE: Final = ("Neuron", *EDGE_TYPES, "GATES")
_BETWEEN: Final = (*WEIGHTED, "GATES")
_BELONGS: Final = ("IN_LAYER", "IN_BLOCK", "IN_BRANCH", "MEMBER_OF", "INSTANCE_OF", "OF_MODEL")
"""What leads from a neuron to all that it belongs to, in this order."""
_DIGITS: Final = 6
"""As many as a saved motif's key needs at least."""

Tables: TypeAlias = Mapping[str, pa.Table]
_Filter: TypeAlias = Callable[[pa.Table], pa.Array]


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a graph is written; all of it if nothing is said."""

    only: str | None = None
    """``neurons``: neurons and the edges between them, no layers, families nor expanded edges."""
    least_share: float = 0.0
    """Edges and expanded edges with a smaller share of the receiver are left out."""
    family: str | None = None
    """Key of a family: its members, and the edges by which they read and are read."""
    circuit: str | None = None
    """Key of a neuron or of a saved motif: what ``circuitome circuit`` shows of it."""

    def __post_init__(self) -> None:
        if self.only not in (None, "neurons"):
            raise ExportError(f"only {self.only!r}: give neurons, or leave it out")
        if not 0 <= self.least_share <= 1:
            raise ExportError(f"a least share of {self.least_share}: give one from 0 to 1")
        if self.family is not None and self.circuit is not None:
            raise ExportError("a family and a circuit: choose one of them")

    @property
    def options(self) -> tuple[str, ...]:
        """The options of the command line that this selection needs."""
        said = {
            "--only": self.only is not None,
            "--least-share": self.least_share > 0,
            "--family": self.family is not None,
            "--circuit": self.circuit is not None,
        }
        return tuple(option for option, given in said.items() if given)

    def reads(self, table: str) -> bool:
        """Whether a table is needed."""
        ends = RELATIONSHIPS.get(table)
        between = ends is not None and ends.source == ends.target == "Neuron"
        return self.only is None or table in _ALONE or not between

    def of(self, tables: Tables) -> dict[str, pa.Table]:
        """The tables of what is chosen, without those that hold no row then."""
        strong = {name: self._strong(name, table) for name, table in tables.items()}
        part = _part_of(strong, self)
        found = strong if part is None else dict(_cut(strong, part))
        names = found if self.only is None else _ALONE
        return {name: found[name] for name in names if name in found and found[name].num_rows}

    def _strong(self, name: str, table: pa.Table) -> pa.Table:
        if not self.least_share or name not in WEIGHTED:
            return table
        return table.filter(_call("greater_equal", table["share"], pa.scalar(self.least_share)))


WHOLE: Final = Selection()
"""The whole graph."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a graph."""

    neurons: frozenset[str]
    joined: _Filter
    """Which rows between neurons are in it; of the other tables those with both ends."""
    families: frozenset[str] | None = None
    """The families in it; None for all that its neurons are in."""


def _part_of(tables: Tables, chosen: Selection) -> _Part | None:
    if chosen.family is not None:
        return _family(tables, chosen.family)
    if chosen.circuit is not None:
        return _circuit(tables, chosen.circuit)
    return None


def _family(tables: Tables, key: str) -> _Part:
    """The members of a family, and what they read and are read by."""
    key = _known(tables, "Family", key, "`circuitome families` lists them")
    joins = tables["MEMBER_OF"]
    members = _values(joins.filter(_among(joins, "to", {key})), "from")

    def touches(table: pa.Table) -> pa.Array:
        return _call("or", _among(table, "from", members), _among(table, "to", members))

    neurons = set(members)
    for name in _BETWEEN:
        if name in tables:
            rows = tables[name].filter(touches(tables[name]))
            neurons |= _values(rows, "from") | _values(rows, "to")
    return _Part(frozenset(neurons), touches, frozenset({key}))


def _circuit(tables: Tables, key: str) -> _Part:
    """The circuit that feeds a neuron, or a saved motif with the edges between its neurons."""
    motif = _motif(tables, key)
    if motif is not None:
        return _motif_part(tables, motif)
    neuron = _known(tables, "Neuron", key, "`circuitome query neurons` lists them")
    pairs, frontier, seen = set[tuple[str, str]](), {neuron}, {neuron}
    for _ in range(CIRCUIT_HOPS):
        found = set(_strongest(tables, frontier))
        frontier = {sender for sender, _ in found} - seen
        pairs |= found
        seen |= frontier
    return _Part(frozenset(seen), _joining(pairs))


def _strongest(tables: Tables, receivers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Sender and receiver of the strongest edges into some neurons."""
    for table in _signed(tables):
        rows = table.filter(_among(table, "to", receivers))
        yield from _pairs(rows.filter(_call("less_equal", rows["rank"], pa.scalar(CIRCUIT_INPUTS))))


def _motif(tables: Tables, key: str) -> str | None:
    """The key of the saved motif that begins so; None if this is no motif's key."""
    if len(key) < _DIGITS or not set(key) <= set("0123456789abcdef"):
        return None
    keys = [one for one in _keys(tables, "Motif") if one.startswith(key)]
    if len(keys) != 1:
        said = f"{len(keys)} saved motifs begin so" if keys else "no saved motif begins so"
        raise ExportError(
            f"{key}: {said}; `circuitome query saved_motifs` lists those of a database"
        )
    return keys[0]


def _motif_part(tables: Tables, key: str) -> _Part:
    """The neurons of a motif and the edges between them; without one, the inputs they share."""
    roles = tables["HAS_ROLE"]
    rows = roles.filter(_among(roles, "from", {key}))
    neurons = list(dict.fromkeys(rows["to"].to_pylist()))
    pairs = {pair for table in _signed(tables) for pair in _pairs(_within(table, neurons))}
    if not pairs and len(neurons) > 1:
        pairs = _shared_inputs(tables, *neurons[:2])
    ends = {end for pair in pairs for end in pair}
    return _Part(frozenset(neurons) | ends, _joining(pairs))


def _shared_inputs(tables: Tables, first: str, second: str) -> set[tuple[str, str]]:
    """Edges from the strongest inputs that two neurons share, by the smaller of both shares."""
    shares: dict[str, dict[str, float]] = {first: {}, second: {}}
    for table in _signed(tables):
        rows = table.filter(_among(table, "to", shares))
        for (sender, receiver), share in zip(_pairs(rows), rows["share"].to_pylist(), strict=True):
            shares[receiver][sender] = share
    least = {one: min(shares[first][one], shares[second][one]) for one in _both(shares)}
    senders = sorted(least, key=lambda one: (-least[one], one))[:SHARED_INPUTS]
    return {(sender, receiver) for sender in senders for receiver in shares}


def _both(shares: Mapping[str, Mapping[str, float]]) -> set[str]:
    first, second = shares.values()
    return set(first) & set(second)


def _cut(tables: Tables, part: _Part) -> Iterator[tuple[str, pa.Table]]:
    """The tables of a part: its neurons, what they belong to, and what joins these."""
    kept = _belonging(tables, part)
    for name, table in tables.items():
        if name in NODES:
            yield name, table.filter(_among(table, "key", kept.get(name, set())))
            continue
        ends = RELATIONSHIPS[name]
        rows = table.filter(_among(table, "from", kept.get(ends.source, set())))
        rows = rows.filter(_among(rows, "to", kept.get(ends.target, set())))
        yield name, rows.filter(part.joined(rows)) if name in _BETWEEN else rows


def _belonging(tables: Tables, part: _Part) -> dict[str, set[str]]:
    """Keys of the nodes of a part by label."""
    kept: dict[str, set[str]] = {"Neuron": set(part.neurons)}
    for name in _BELONGS:
        if name in tables:
            ends, table = RELATIONSHIPS[name], tables[name]
            rows = table.filter(_among(table, "from", kept.get(ends.source, set())))
            kept.setdefault(ends.target, set()).update(_values(rows, "to"))
    if part.families is not None:
        kept["Family"] = set(part.families)
    return kept


def _signed(tables: Tables) -> Iterator[pa.Table]:
    yield from (tables[name] for name in EDGE_TYPES if name in tables)


def _within(table: pa.Table, neurons: Iterable[str]) -> pa.Table:
    """The rows between some neurons."""
    rows = table.filter(_among(table, "from", neurons))
    return rows.filter(_among(rows, "to", neurons))


def _joining(pairs: set[tuple[str, str]]) -> _Filter:
    """Which rows join one of the pairs."""
    return lambda table: pa.array((pair in pairs for pair in _pairs(table)), pa.bool_())


def _pairs(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(table["from"].to_pylist(), table["to"].to_pylist(), strict=True)


def _values(table: pa.Table, column: str) -> set[str]:
    return set(table[column].unique().to_pylist())


def _among(table: pa.Table, column: str, keys: Iterable[str]) -> pa.Array:
    """Which rows have one of the keys in a column."""
    options = pc.SetLookupOptions(pa.array(list(keys), pa.string()))
    return pc.call_function("is_in", [table[column].cast(pa.string())], options)


def _call(function: str, *arguments: object) -> pa.Array:
    return pc.call_function(function, list(arguments))


def _keys(tables: Tables, label: str) -> list[str]:
    return tables[label]["key"].to_pylist() if label in tables else []


def _known(tables: Tables, label: str, key: str, cure: str) -> str:
    """The whole key of a node; the model may be left out if one model alone has such a node."""
    keys = set(_keys(tables, label))
    whole = [key, *(f"{model}/{key}" for model in _keys(tables, "Model"))]
    found = [one for one in whole if one in keys]
    if key in keys:
        return key
    if len(found) == 1:
        return found[0]
    if found:
        raise ExportError(f"{key}: {' and '.join(found)} are there; give the whole key of one")
    near = difflib.get_close_matches(whole[-1], keys, 3)
    cure = f"did you mean {' or '.join(near)}?" if near else cure
    raise ExportError(f"no {label.lower()} {key!r}; {cure}")
