"""The periodic table: neurons of several networks that are one feature, by their mutual matches.

Two neurons of different networks are linked if each is the other's best match, significant in both
directions (q <= `Q_MAX`). Features are `clusters` of linked neurons. So a feature of three networks
is a triangle of matches, not a chain, and a feature holds one neuron of a network at most.

Chance: links with their second ends permuted among those of the same layer, each pair of networks
by itself. It keeps how many links there are between which layers, so that it says nothing of
features of two networks (their evidence is the matches' own q), and says of larger ones how often
independent matches close by accident.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.protocol import Amendment, Removal
from circuitome.significance import empirical_p
from circuitome.universality.clusters import cluster
from circuitome.vocabulary import Q_MAX

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import Database

__all__ = [
    "agreement",
    "Feature",
    "Links",
    "chance",
    "describe_bundles",
    "features",
    "features_of_database",
    "grid",
    "mutual_links",
    "record_features",
    "table_csv",
]

COPIES: Final = 99  # permutations of `chance`
_BANDS: Final = 10  # rows of the table
_NO_KIND: Final = (None, "unexplained", "silent")


@dataclass(frozen=True, slots=True)
class Links:
    """Mutual matches between networks, each once; ``m`` of them."""

    first: tuple[str, ...]  # keys of neurons
    second: tuple[str, ...]
    score: np.ndarray  # (m,)
    depth: Mapping[str, float]  # of every neuron in them

    def __len__(self) -> int:
        return len(self.first)

    def ends(self) -> Iterator[tuple[str, str]]:
        """Both neurons of each."""
        return zip(self.first, self.second, strict=True)

    @property
    def networks(self) -> tuple[str, ...]:
        """Keys of the networks that have a neuron in them."""
        return tuple(sorted({_network(key) for key in self.depth}))


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of the table: a feature found in several networks."""

    key: str  # u1 and so on: by the number of networks, then score
    members: tuple[str, ...]  # keys of neurons, one a network
    scores: tuple[float, ...]  # mean score of each member's links in it
    score: float  # mean score of its links
    depth: float  # median relative depth of the members
    kind: str | None  # that more than half of the annotated members have
    family: str | None  # transform group of which more than half of the members have a family

    @property
    def models(self) -> int:
        """Number of networks."""
        return len({_network(member) for member in self.members})

    def row(self) -> dict[str, Any]:
        """The feature as one row; ``neurons`` are its addresses."""
        return {
            "feature": self.key,
            "models": self.models,
            "size": len(self.members),
            "depth": self.depth,
            "kind": self.kind,
            "family": self.family,
            "score": self.score,
            "neurons": list(self.members),
        }


def _network(neuron: str) -> str:
    return neuron.partition("/")[0]


def _layer(neuron: str) -> str:
    return neuron.rpartition(":")[0]


def mutual_links(matches: Iterable[pa.Table], *, q: float = Q_MAX) -> Links:
    """Mutual best matches of some ``ANALOGOUS_TO`` tables, significant in both directions.

    They come in the order of their keys.
    """
    names = ("from", "to", "score", "mutual", "q", "depth_from", "depth_to")
    rows = [row for table in matches for row in table.select(names).to_pylist()]
    significant = {_ends(row) for row in rows if row["mutual"] and row["q"] <= q}
    upwards = {_ends(row): row for row in rows if row["from"] < row["to"]}
    both = sorted(ends for ends in upwards if {ends, ends[::-1]} <= significant)
    kept = [upwards[ends] for ends in both]
    depth = {row[end]: row[f"depth_{end}"] for row in kept for end in ("from", "to")}
    first, second = (tuple(ends[side] for ends in both) for side in (0, 1))
    return Links(first, second, np.array([row["score"] for row in kept], dtype=float), depth)


def _ends(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["from"], row["to"]


def _clusters(links: Links, second: Sequence[str] | None = None) -> list[list[str]]:
    second = links.second if second is None else second
    keys, places = np.unique(np.array([*links.first, *second], dtype=object), return_inverse=True)
    names = [_network(key) for key in keys]
    network = np.unique(names, return_inverse=True)[1] if names else np.zeros(0, np.int64)
    found = cluster(places[: len(links)], places[len(links) :], links.score, network)
    return [[str(keys[n]) for n in members] for members in found]


def features(
    links: Links,
    *,
    kinds: Mapping[str, str | None] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> list[Feature]:
    """The features, those of most networks first, then the most alike; ``kinds`` and
    ``groups``: what annotation says of neurons.
    """
    pairs = map(frozenset, zip(links.first, links.second, strict=True))
    score = dict(zip(pairs, links.score.tolist(), strict=True))
    found = [
        _feature(members, score, links.depth, kinds or {}, groups or {})
        for members in _clusters(links)
    ]
    found.sort(key=lambda one: (-one.models, -round(one.score, 9), one.members))
    return [replace(one, key=f"u{number}") for number, one in enumerate(found, 1)]


def _feature(
    members: Sequence[str],
    score: Mapping[frozenset[str], float],
    depth: Mapping[str, float],
    kinds: Mapping[str, str | None],
    groups: Mapping[str, Sequence[str]],
) -> Feature:
    """The feature of a cluster, without a key."""
    linked = {
        one: [score[pair] for pair in _pairs_with(one, members) if pair in score] for one in members
    }
    known = [kind for kind in map(kinds.get, members) if kind is not None]
    turned = [group for member in members for group in set(groups.get(member, ()))]
    return Feature(
        key="",
        members=tuple(members),
        scores=tuple(float(np.mean(values)) for values in linked.values()),
        score=float(np.mean(list(itertools.chain.from_iterable(linked.values())))),
        depth=float(np.median([depth[member] for member in members])),
        kind=_most(known, len(known)),
        family=_most(turned, len(members)),
    )


def _pairs_with(one: str, members: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset((one, other)) for other in members if other != one]


def _most(names: Sequence[str], of: int) -> str | None:
    """The name that more than half of ``of`` have."""
    best = Counter(names).most_common(1)
    return best[0][0] if best and 2 * best[0][1] > of else None


def chance(links: Links, *, copies: int = COPIES, seed: int = 0) -> list[dict[str, Any]]:
    """For every number of networks: features found in at least so many, and how many in
    permuted links.
    """
    most = len(links.networks)
    second, null = np.array(links.second, dtype=object), np.zeros((copies, most + 1))
    for copy, drawn in enumerate(
        _permutations(links.first, links.second, copies if len(links) else 0, seed)
    ):
        null[copy] = _at_least(_clusters(links, second[drawn].tolist()), most)
    found = _at_least(_clusters(links), most)
    return [
        {
            "models": k,
            "features": int(found[k]),
            "expected": float(null[:, k].mean()),
            "sd": float(null[:, k].std(ddof=1)),
            "p": float(empirical_p(found[k], null[:, k])),
        }
        for k in range(2, most + 1)
    ]


def _permutations(
    first: Sequence[str], second: Sequence[str], copies: int, seed: int
) -> Iterator[np.ndarray]:
    """Permutations of second ends among links from one network to one layer of another."""
    rng = np.random.default_rng(seed)
    group = np.array(
        [f"{_network(a)} {_layer(b)}" for a, b in zip(first, second, strict=True)], dtype=str
    )
    home = np.argsort(group, kind="stable")
    for _ in range(copies):
        drawn = np.empty(len(group), np.int64)
        drawn[home] = np.lexsort((rng.random(len(group)), group))
        yield drawn


def agreement(
    links: Links, kinds: Mapping[str, str | None], *, copies: int = COPIES, seed: int = 0
) -> dict[str, Any] | None:
    """Share of links whose two neurons are of one kind, and that in permuted links; None where no
    two have a kind.

    Kinds come from annotation, which knows nothing of matches. Links with a neuron of no kind,
    `unexplained` or `silent` are left out.
    """
    ends = [
        (a, b)
        for a, b in zip(links.first, links.second, strict=True)
        if kinds.get(a) not in _NO_KIND and kinds.get(b) not in _NO_KIND
    ]
    if not ends:
        return None
    one, other = (np.array([kinds[pair[side]] for pair in ends], dtype=object) for side in (0, 1))
    found = float((one == other).mean())
    permuted = _permutations([a for a, _ in ends], [b for _, b in ends], copies, seed)
    null = np.array([(one == other[drawn]).mean() for drawn in permuted])
    p = float(empirical_p(found, null))
    return {"links": len(ends), "same": found, "expected": float(null.mean()), "p": p}


def _at_least(found: Sequence[Sequence[str]], most: int) -> np.ndarray:
    """How many have at least k networks, ``(most + 1,)``."""
    sizes = np.bincount([len(members) for members in found], minlength=most + 1)
    return sizes[::-1].cumsum()[::-1]


def describe_bundles(
    bundles: Iterable[Bundle],
) -> tuple[dict[str, str | None], dict[str, list[str]]]:
    """Kind of each neuron, and transform groups of its believed families, as the bundles know
    them.
    """
    kinds: dict[str, str | None] = {}
    groups: dict[str, list[str]] = {}
    for bundle in bundles:
        kinds |= {
            row["key"]: row["kind"]
            for row in bundle.table("Neuron").select(["key", "kind"]).to_pylist()
        }
        rows = bundle.table("Family").select(["key", "group", "q"]).to_pylist()
        family = {row["key"]: row["group"] for row in rows if row["q"] is None or row["q"] <= Q_MAX}
        for row in bundle.table("MEMBER_OF").select(["from", "to"]).to_pylist():
            if family.get(row["to"]) is not None:
                groups.setdefault(row["from"], []).append(family[row["to"]])
    return kinds, groups


def features_of_database(database: Database) -> tuple[Links, dict[str, str | None], list[Feature]]:
    """The links of all networks that a database holds, the kinds of their neurons, and their
    features.
    """
    rows = database.ask("mutual_matches", q=Q_MAX).to_dicts()
    depth = {row[end]: row[f"depth_{end}"] for row in rows for end in ("first", "second")}
    kinds = {row[end]: row[f"kind_{end}"] for row in rows for end in ("first", "second")}
    groups: dict[str, list[str]] = {}
    for row in database.ask("matched_families", q=Q_MAX) if rows else ():
        groups.setdefault(row["neuron"], []).append(row["group"])
    links = Links(
        tuple(row["first"] for row in rows),
        tuple(row["second"] for row in rows),
        np.array([row["score"] for row in rows], dtype=float),
        depth,
    )
    return links, kinds, features(links, kinds=kinds, groups=groups)


def record_features(database: Database) -> tuple[Links, dict[str, str | None], list[Feature]]:
    """Make a database's features anew from all matches that it holds, as `features_of_database`
    gives them.

    Curated ones stay. All or nothing.
    """
    links, kinds, found = features_of_database(database)
    rows = [
        {name: value for name, value in one.row().items() if name not in ("feature", "neurons")}
        | {"key": one.key, "source": "computed"}
        for one in found
    ]
    instances = [
        {"from": member, "to": one.key, "score": score}
        for one in found
        for member, score in zip(one.members, one.scores, strict=True)
    ]
    tables = {"Feature": rows, "INSTANCE_OF": instances}
    database.store.amend(
        Amendment(
            remove=(Removal("Feature", {"source": ["computed"]}),),
            insert={
                n: pa.Table.from_pylist(r, schema=arrow_schema(n)) for n, r in tables.items() if r
            },
        )
    )
    return links, kinds, found


def grid(found: Sequence[Feature], *, named: int = 1) -> list[dict[str, Any]]:
    """The table as rows by tenths of the depth and columns by kind, the commonest first.

    A cell names its first features, ``u1x5`` for one of five networks, and counts the rest.
    """
    kinds = [kind for kind, _ in Counter(one.kind or "" for one in found).most_common()]
    cells: dict[tuple[int, str], list[str]] = {}
    for one in found:
        band = min(int(one.depth * _BANDS + 1e-9), _BANDS - 1)
        cells.setdefault((band, one.kind or ""), []).append(f"{one.key}x{one.models}")
    rows = []
    for band in sorted({band for band, _ in cells}):
        row: dict[str, Any] = {"depth": f"{band / _BANDS:.1f}-{(band + 1) / _BANDS:.1f}"}
        for kind in kinds:
            keys = cells.get((band, kind), [])
            rest = f" +{len(keys) - named}" if len(keys) > named else ""
            row[kind or "(no kind)"] = " ".join(keys[:named]) + rest
        rows.append(row)
    return rows


def table_csv(found: Sequence[Feature]) -> str:
    """The table as CSV, one line a feature; its neurons are parted by blanks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("feature", "models", "size", "depth", "kind", "family", "score", "neurons"))
    writer.writerows([*list(one.row().values())[:-1], " ".join(one.members)] for one in found)
    return text.getvalue()
