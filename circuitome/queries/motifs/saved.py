"""Motifs in the database: instances with the neurons in their roles, and what null networks said of each kind.

A saved motif has a key, the beginning of a hash of what it is (kind, model, neurons in their roles), so that saving it
again gives the same one. Saving a kind of a model replaces what was saved of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores import Amendment, Removal
from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.significance import Significance
from circuitome.queries.query_file import Query
from circuitome.queries.values import bind

if TYPE_CHECKING:
    from circuitome.queries.database import Database
    from circuitome.queries.motifs import Tally

__all__ = [
    "Enrichment",
    "Finding",
    "Instance",
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
    strongest: float | None  # the highest score; none without instances
    q: float | None  # least q of an instance
    q_null: str | None  # null model of that
    p: float | None = None  # of the number of instances; none where no null network was asked
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
    query: Query | None  # says what the motif is; none for a motif without a query
    rows: Sequence[Mapping[str, Any]]  # motif rows, strongest first
    parameters: Mapping[str, Any]  # of the search
    enrichment: Enrichment | None = None  # none: what was saved of it stays

    @classmethod
    def of(
        cls,
        query: Query | str,
        rows: Sequence[Mapping[str, Any]],
        *,
        model: str,
        enrichment: Enrichment | None = None,
        **given: Any,
    ) -> Finding:
        """What a query found, or the motif of that kind, with the parameters that were given."""
        known = query if isinstance(query, Query) else library().get(query)
        if known is None:
            return cls(str(query), None, rows, given, enrichment)
        values = bind(known.name, known.parameters, {"model": model, **given})
        del values["model"]
        return cls(known.name, known, rows, values, enrichment)


@dataclass(frozen=True, slots=True)
class Instance:
    """One saved motif and what lies between its neurons."""

    motif: Mapping[str, Any]  # key, kind, title, model, score, p, q, null, roles
    neurons: Sequence[
        Mapping[str, Any]
    ]  # role, position, neuron, layer, kind, label; roles in the motif's order
    edges: Sequence[Mapping[str, Any]]  # sender, receiver, weight, share, polarity, rank, kernel


def key_of(row: Mapping[str, Any]) -> str:
    """The key of a motif row: 16 hexadecimal digits.

    >>> key_of({"kind": "pair", "model": "toy", "roles": {"case": ["toy/conv1:0", "toy/conv1:1"]}})
    'a94e552cb06178e6'
    """
    what = json.dumps(
        [row["kind"], row["model"], dict(row["roles"])], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(what.encode()).hexdigest()[:_HASHED]


def save(database: Database, model: str, findings: Sequence[Finding]) -> list[list[dict[str, Any]]]:
    """Put motifs into the database, in the place of all that was saved of their kinds in this model; all or nothing.

    The rows of each finding come back with their ``key``, each motif once.
    """
    kept = [_once(finding.rows) for finding in findings]
    kinds = [finding.kind for finding in findings]
    parts = [
        (row["key"], role, place, key)
        for rows in kept
        for row in rows
        for role, place, key in _members(row)
    ]
    neurons = _neurons_among(database, [key for *_, key in parts])
    tables: dict[str, list[dict[str, Any]]] = {
        "MotifKind": [_kind_row(finding) for finding in findings],
        "Motif": [
            _motif_row(row, finding.parameters)
            for finding, rows in zip(findings, kept, strict=True)
            for row in rows
        ],
        "ENRICHED_IN": [
            _enrichment_row(finding, model)
            for finding in findings
            if finding.enrichment is not None
        ],
        "OF_KIND": [{"from": row["key"], "to": row["kind"]} for rows in kept for row in rows],
        "HAS_ROLE": [
            {"from": motif, "to": key, "role": role, "position": place}
            for motif, role, place, key in parts
            if key in neurons
        ],
    }
    renewed = [finding.kind for finding in findings if finding.enrichment is not None]
    database.store.amend(
        Amendment(
            remove=(
                Removal("Motif", {"model": [model], "kind": kinds}),
                Removal("ENRICHED_IN", source={"key": renewed}, target={"key": [model]}),
            ),
            insert={
                name: pa.Table.from_pylist(rows, schema=arrow_schema(name))
                for name, rows in tables.items()
                if rows
            },
        )
    )
    return kept


def save_summary(
    database: Database,
    found: Sequence[Significance | Tally],
    *,
    model: str | None = None,
    q: float = 0.05,
    limit: int = 100,
    seed: int = 0,
) -> dict[str, int]:
    """Put what `circuitome.queries.motifs.summary` found into the database, and the best instances of each motif.

    Saved are instances of at most this ``q``, at most ``limit`` of a motif. How many of each kind comes back.
    """
    from circuitome.queries.motifs import find

    model = database.model_key(model)
    findings = []
    for item in found:
        rows = find(database, item.kind, model=model, limit=limit)
        rows = item.annotate(rows) if isinstance(item, Significance) else rows
        believed = [row for row in rows if row["q"] is not None and row["q"] <= q]
        findings.append(
            Finding.of(
                item.kind,
                believed,
                model=model,
                enrichment=Enrichment.of(item, seed=seed),
                limit=limit,
            )
        )
    kept = save(database, model, findings)
    return {finding.kind: len(rows) for finding, rows in zip(findings, kept, strict=True)}


def stored(database: Database, *, model: str | None = None) -> dict[str, dict[str, Any]]:
    """What was saved of each motif kind in a model, as rows of the query `enrichments`, by kind."""
    rows = database.ask("enrichments", model=database.model_key(model)).to_dicts()
    return {row["kind"]: row for row in rows}


def find_saved(database: Database, key: str) -> Instance:
    """The saved motif of that key, or of the only one that begins so; `QueryError` where there is none, or several."""
    wanted = key.strip().lower()
    found = (
        database.ask("look_up_motif", motif=wanted).to_dicts() if len(wanted) >= _SHORTEST else []
    )
    if not found:
        raise QueryError(
            f"no motif {key!r} is saved in the database; give at least {_SHORTEST} digits of a key that "
            "`circuitome query saved_motifs` shows, or save some: `circuitome motifs KIND --save`"
        )
    if len(found) > 1:
        raise QueryError(
            f"{len(found)} saved motifs begin with {key!r}; give more of its digits: {found[0]['motif']}"
        )
    row = found[0]
    roles = dict.fromkeys(row["roles"])
    motif = {
        "key": row["motif"],
        **{name: row[name] for name in ("kind", "title", "model", "score", "p", "q")},
        "null": row["null_model"],
        "roles": {
            role: [k for r, k in zip(row["roles"], row["members"], strict=True) if r == role]
            for role in roles
        },
    }
    order = {role: place for place, role in enumerate(roles)}
    members = sorted(
        database.ask("motif_members", motif=row["motif"]).to_dicts(),
        key=lambda m: (order[m["role"]], m["position"]),
    )
    neurons = sorted({member["neuron"] for member in members})
    edges = database.ask("edges_between", neurons=neurons).to_dicts() if neurons else []
    return Instance(motif, members, edges)


def looks_like_a_motif(key: str) -> bool:
    """Whether a text can be the key of a motif, or its beginning: six or more hexadecimal digits and nothing else."""
    return bool(re.fullmatch(rf"[0-9a-fA-F]{{{_SHORTEST},{_HASHED}}}", key.strip()))


def _once(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their keys, the first of those that are one motif."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = key_of(row)
        found.setdefault(key, {"key": key, **row})
    return list(found.values())


def _members(row: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Role, place in the role, and key of whatever plays a part."""
    return [
        (role, place, key) for role, keys in row["roles"].items() for place, key in enumerate(keys)
    ]


def _neurons_among(database: Database, keys: Iterable[str]) -> set[str]:
    unique = sorted(set(keys))
    parts = [unique[start : start + _MANY] for start in range(0, len(unique), _MANY)]
    return {row["neuron"] for part in parts for row in database.ask("look_up", neurons=part)}


def _motif_row(row: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    members = _members(row)
    return {name: row[name] for name in ("key", "model", "kind", "score", "p", "q", "null")} | {
        "parameters": json.dumps(dict(parameters), sort_keys=True),
        "roles": [role for role, _, _ in members],
        "members": [key for _, _, key in members],
    }


def _kind_row(finding: Finding) -> dict[str, Any]:
    if finding.query is None:
        return {"key": finding.kind, "title": finding.kind.replace("_", " ")}
    parts = finding.query.doc.split("\n\n")
    source = " ".join(part for part in parts if part.startswith("Source: ")).removeprefix(
        "Source: "
    )
    definition = "\n\n".join(part for part in parts if not part.startswith("Source: "))
    return {
        "key": finding.kind,
        "title": finding.query.title,
        "definition": definition or finding.query.title,
        "source": source or None,
    }


def _enrichment_row(finding: Finding, model: str) -> dict[str, Any]:
    found = finding.enrichment
    assert found is not None
    return {
        "from": finding.kind,
        "to": model,
        **{name: getattr(found, name) for name in Enrichment.__slots__},
        "parameters": json.dumps(dict(finding.parameters), sort_keys=True),
    }
