"""Motifs in the database: instances with their neurons, and what null networks said of each kind.

A saved motif has a key, the beginning of a hash of what it is (kind, model, neurons in their
roles), so that saving it again gives the same one. Saving a kind of a model replaces what was saved
of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypedDict, cast

from circuitome.graphdb.rows import table_of
from circuitome.graphdb.stores.protocol import Amendment, Removal
from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.motif_row import MotifRow
from circuitome.queries.motifs.registry import MOTIFS
from circuitome.queries.motifs.search import Search
from circuitome.queries.motifs.significance import Significance
from circuitome.queries.motifs.summary import NotAsked, Tally
from circuitome.queries.query_file import Query
from circuitome.queries.values import bind
from circuitome.vocabulary import Q_MAX

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = [
    "Edge",
    "Enrichment",
    "Finding",
    "Instance",
    "Member",
    "SavedMotif",
    "find_saved",
    "key_of",
    "looks_like_a_motif",
    "save",
    "save_summary",
    "stored",
]

_SHORTEST: Final = 6  # digits of a key that are enough to ask for one
_HASHED: Final = 16  # hexadecimal digits of a key
_MANY: Final = 20_000  # neurons that are looked up at once


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How often a motif occurs in a model, and what null networks say of that."""

    instances: int
    strongest: float | None  # the highest score; None without instances
    q: float | None  # least q of an instance
    q_null: str | None  # null model of that
    p: float | None = None  # of the number of instances; None if no null network was asked
    null: str | None = None  # null model of that
    null_mean: float | None = None
    null_sd: float | None = None
    nulls: int | None = None  # null networks of each null model
    seed: int | None = None

    @classmethod
    def of(cls, found: Significance | Tally, *, seed: int) -> Enrichment:
        """What was found of a motif; ``seed`` of its null networks."""
        start = (found.instances, found.strongest, found.least_q, found.instance_null)
        if not isinstance(found, Significance):
            return cls(*start)
        return cls(*start, found.p, found.null, found.null_mean, found.null_sd, found.nulls, seed)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be saved of one motif in one model."""

    kind: str
    query: Query | None  # says what the motif is; None for a motif without a query
    rows: Sequence[MotifRow]  # strongest first
    parameters: Mapping[str, object]  # of the search
    enrichment: Enrichment | None = None  # None: what was saved of it stays

    @classmethod
    def of(
        cls,
        query: Query | str,
        rows: Sequence[MotifRow],
        *,
        model: str,
        enrichment: Enrichment | None = None,
        **given: object,
    ) -> Finding:
        """What a query found, or the motif of that kind, with the parameters that were given."""
        known = query if isinstance(query, Query) else library().get(query)
        if known is None:
            return cls(str(query), None, rows, given, enrichment)
        values = bind(known.name, known.parameters, {"model": model, **given})
        del values["model"]
        return cls(known.name, known, rows, values, enrichment)

    @classmethod
    def of_search(
        cls, search: Search, rows: Sequence[MotifRow], enrichment: Enrichment | None = None
    ) -> Finding:
        """What a search found."""
        query = library()[search.motif.kind]
        values = {**search.thresholds, "limit": search.limit}
        return cls(query.name, query, rows, values, enrichment)


class SavedMotif(TypedDict):
    """A saved motif row."""

    key: str
    kind: str
    title: str
    model: str
    score: float
    p: float | None
    q: float | None
    null: str | None
    roles: dict[str, list[str]]


class Member(TypedDict):
    """A neuron of a saved motif."""

    role: str
    position: int  # in the role
    neuron: str
    layer: str
    kind: str | None
    label: str | None


class Edge(TypedDict):
    """An edge between neurons of a saved motif."""

    sender: str
    receiver: str
    weight: float
    share: float
    polarity: float
    rank: int
    kernel: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One saved motif and what lies between its neurons."""

    motif: SavedMotif
    neurons: Sequence[Member]  # roles in the motif's order
    edges: Sequence[Edge]


def key_of(row: Mapping[str, object] | MotifRow) -> str:
    """The key of a motif row: 16 hexadecimal digits.

    >>> key_of({"kind": "pair", "model": "toy", "roles": {"case": ["toy/conv1:0", "toy/conv1:1"]}})
    'a94e552cb06178e6'
    """
    what = json.dumps([row["kind"], row["model"], row["roles"]], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(what.encode()).hexdigest()[:_HASHED]


def save(database: Database, model: str, findings: Sequence[Finding]) -> list[list[MotifRow]]:
    """Put motifs into the database, for all that was saved of their kinds in this model.

    All or nothing. The rows of each finding come back with their ``key``, each motif once.
    """
    kept = [_once(finding.rows) for finding in findings]
    tables = _rows_to_save(database, model, findings, kept)
    insert = {name: table_of(name, rows) for name, rows in tables.items() if rows}
    database.store.amend(Amendment(_superseded(model, findings), insert))
    return kept


def _rows_to_save(
    database: Database, model: str, findings: Sequence[Finding], kept: Sequence[list[MotifRow]]
) -> dict[str, list[dict[str, object]]]:
    """Table -> its rows; ``kept`` are the motif rows of each finding, with their keys."""
    pairs = zip(kept, findings, strict=True)
    saved = [(row, finding) for rows, finding in pairs for row in rows]
    return {
        "MotifKind": [_kind_row(finding) for finding in findings],
        "Motif": [_motif_row(row, finding) for row, finding in saved],
        "ENRICHED_IN": [_enrichment_row(finding, model) for finding in _renewed(findings)],
        "OF_KIND": [{"from": _key(row), "to": row["kind"]} for row, _ in saved],
        "HAS_ROLE": _role_rows(database, [row for row, _ in saved]),
    }


def _renewed(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.enrichment is not None]


def _superseded(model: str, findings: Sequence[Finding]) -> tuple[Removal, Removal]:
    """The motifs of the same kinds, and what was said of those of which more is said now."""
    kinds = [finding.kind for finding in findings]
    enriched = {"key": [finding.kind for finding in _renewed(findings)]}
    return (
        Removal("Motif", {"model": [model], "kind": kinds}),
        Removal("ENRICHED_IN", source=enriched, target={"key": [model]}),
    )


def save_summary(
    database: Database,
    found: Sequence[Significance | Tally | NotAsked],
    *,
    model: str | None = None,
    q: float = Q_MAX,
    limit: int = 100,
    seed: int = 0,
) -> dict[str, int]:
    """Put what a summary found into the database, and the best instances of each motif.

    Saved are instances of at most this ``q``, at most ``limit`` of a motif, and nothing of a motif
    that was not asked. How many of each kind comes back.
    """
    model = database.model_key(model)
    findings = []
    for item in found:
        if isinstance(item, NotAsked):
            continue
        search = Search.of(MOTIFS[item.kind], model, {"limit": limit})
        rows = search.rows(database)
        rows = item.annotate(rows) if isinstance(item, Significance) else rows
        believed = [row for row in rows if row["q"] is not None and row["q"] <= q]
        findings.append(Finding.of_search(search, believed, Enrichment.of(item, seed=seed)))
    kept = save(database, model, findings)
    return {finding.kind: len(rows) for finding, rows in zip(findings, kept, strict=True)}


def stored(database: Database, *, model: str | None = None) -> dict[str, dict[str, object]]:
    """What was saved of each motif kind in a model, as rows of the query `enrichments`, by kind."""
    rows = database.ask("enrichments", model=database.model_key(model)).to_dicts()
    return {row["kind"]: row for row in rows}


def find_saved(database: Database, key: str) -> Instance:
    """The saved motif of that key, or of the only one that begins so.

    Raises:
        QueryError: there is none, or several.
    """
    wanted, found = key.strip().lower(), []
    if len(wanted) >= _SHORTEST:
        found = database.ask("look_up_motif", motif=wanted).to_dicts()
    _check_only(key, [row["motif"] for row in found])
    motif = _saved_motif(found[0])
    order = list(motif["roles"])
    members = database.ask("motif_members", motif=motif["key"]).to_dicts()
    members.sort(key=lambda member: (order.index(member["role"]), member["position"]))
    neurons = sorted({member["neuron"] for member in members})
    edges = database.ask("edges_between", neurons=neurons).to_dicts() if neurons else []
    return Instance(motif, cast("list[Member]", members), cast("list[Edge]", edges))


def _check_only(key: str, found: Sequence[str]) -> None:
    """`QueryError` if the motifs found by a key are none, or several."""
    if not found:
        raise QueryError(
            f"no motif {key!r} is saved in the database; give at least {_SHORTEST} digits of a key "
            "that `circuitome query saved_motifs` shows, or save some: "
            "`circuitome motifs KIND --save`"
        )
    if len(found) > 1:
        raise QueryError(
            f"{len(found)} saved motifs begin with {key!r}; give more of its digits: {found[0]}"
        )


def _saved_motif(row: Mapping[str, object]) -> SavedMotif:
    """From a row of the query `look_up_motif`."""
    roles: dict[str, list[str]] = {}
    members = zip(cast("list[str]", row["roles"]), cast("list[str]", row["members"]), strict=True)
    for role, member in members:
        roles.setdefault(role, []).append(member)
    same = {name: row[name] for name in ("kind", "title", "model", "score", "p", "q")}
    motif = {"key": row["motif"], **same, "null": row["null_model"], "roles": roles}
    return cast("SavedMotif", motif)


def looks_like_a_motif(key: str) -> bool:
    """Whether a text can be the key of a motif, or its beginning: six or more hex digits alone."""
    return bool(re.fullmatch(rf"[0-9a-fA-F]{{{_SHORTEST},{_HASHED}}}", key.strip()))


def _once(rows: Iterable[MotifRow]) -> list[MotifRow]:
    """The rows with their keys, the first of those that are one motif."""
    found: dict[str, MotifRow] = {}
    for row in rows:
        key = key_of(row)
        if key not in found:
            found[key] = cast("MotifRow", {"key": key, **row})
    return list(found.values())


def _key(row: MotifRow) -> str:
    return row.get("key") or key_of(row)


def _members(row: MotifRow) -> list[tuple[str, int, str]]:
    """Role, place in the role, and key of whatever plays a part."""
    return [
        (role, place, key) for role, keys in row["roles"].items() for place, key in enumerate(keys)
    ]


def _role_rows(database: Database, rows: Sequence[MotifRow]) -> list[dict[str, object]]:
    """Rows of ``HAS_ROLE``: the members that are neurons of the database."""
    parts = [(_key(row), *member) for row in rows for member in _members(row)]
    neurons = _neurons_among(database, [key for *_, key in parts])
    return [
        {"from": motif, "to": key, "role": role, "position": place}
        for motif, role, place, key in parts
        if key in neurons
    ]


def _neurons_among(database: Database, keys: Iterable[str]) -> set[str]:
    unique = sorted(set(keys))
    parts = [unique[start : start + _MANY] for start in range(0, len(unique), _MANY)]
    return {row["neuron"] for part in parts for row in database.ask("look_up", neurons=part)}


def _motif_row(row: MotifRow, finding: Finding) -> dict[str, object]:
    """A row of ``Motif``."""
    members = _members(row)
    return {
        "key": _key(row),
        "model": row["model"],
        "kind": row["kind"],
        "score": row["score"],
        "p": row["p"],
        "q": row["q"],
        "null": row["null"],
        "parameters": _json(finding),
        "roles": [role for role, _, _ in members],
        "members": [key for _, _, key in members],
    }


def _kind_row(finding: Finding) -> dict[str, object]:
    """A row of ``MotifKind``: what the motif is, and where that is from."""
    if finding.query is None:
        return {"key": finding.kind, "title": finding.kind.replace("_", " ")}
    parts = finding.query.doc.split("\n\n")
    sources = [part.removeprefix("Source: ") for part in parts if part.startswith("Source: ")]
    definition = "\n\n".join(part for part in parts if not part.startswith("Source: "))
    return {
        "key": finding.kind,
        "title": finding.query.title,
        "definition": definition or finding.query.title,
        "source": " ".join(sources) or None,
    }


def _enrichment_row(finding: Finding, model: str) -> dict[str, object]:
    """A row of ``ENRICHED_IN``."""
    assert finding.enrichment is not None
    ends = {"from": finding.kind, "to": model}
    return {**ends, **asdict(finding.enrichment), "parameters": _json(finding)}


def _json(finding: Finding) -> str:
    return json.dumps(dict(finding.parameters), sort_keys=True)
