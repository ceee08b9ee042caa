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

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.protocol import Amendment, Removal
from circuitome.significance import empirical_p
from circuitome.universality.clusters import cluster
from circuitome.universality.nulls import permutations
from circuitome.vocabulary import Q_MAX

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import Database

__all__ = [
    "Feature",
    "Links",
    "PeriodicTable",
    "agreement",
    "chance",
    "describe_bundles",
    "features",
    "features_of_database",
    "gathered",
    "mutual_links",
    "record_features",
]

T = TypeVar("T")

COPIES: Final = 99  # permutations of `chance`
_NO_KIND: Final = (None, "unexplained", "silent")


@dataclass(frozen=True, slots=True)
class Links:
    """Mutual matches between networks, each once; ``m`` of them."""

    first: tuple[str, ...]  # keys of neurons
    second: tuple[str, ...]
    score: np.ndarray  # (m,)
    depth: Mapping[str, float]  # of every neuron in them

    @classmethod
    def of(
        cls,
        first: Sequence[str],
        second: Sequence[str],
        score: Sequence[float],
        *,
        depths: Sequence[float],
    ) -> Links:
        """Links between neurons; ``depths`` are those of all first ends, then of all second."""
        depth = dict(zip([*first, *second], depths, strict=True))
        return cls(tuple(first), tuple(second), np.array(score, dtype=float), depth)

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

    def row(self) -> dict[str, object]:
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
    table = pa.concat_tables([arrow_schema("ANALOGOUS_TO").empty_table(), *matches])
    believed = table.filter(pc.field("mutual") & (pc.field("q") <= q))
    upwards = believed.filter(pc.field("from") < pc.field("to"))
    back = believed.select(["from", "to"])
    both = upwards.join(back, ["from", "to"], ["to", "from"], "left semi")
    links = both.sort_by([("from", "ascending"), ("to", "ascending")]).to_pydict()
    depths = [*links["depth_from"], *links["depth_to"]]
    return Links.of(links["from"], links["to"], links["score"], depths=depths)


def _clusters(links: Links, second: Sequence[str] | None = None) -> list[list[str]]:
    second = links.second if second is None else second
    keys, places = np.unique(np.array([*links.first, *second], dtype=object), return_inverse=True)
    names = [_network(key) for key in keys]
    network = np.unique(names, return_inverse=True)[1] if names else np.zeros(0, np.int64)
    found = cluster(places[: len(links)], places[len(links) :], links.score, network)
    return [keys[members].tolist() for members in found]


def features(
    links: Links,
    *,
    kinds: Mapping[str, str | None] = MappingProxyType({}),
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Feature]:
    """The features, those of most networks first, then the most alike.

    ``kinds`` and ``groups`` are what annotation says of neurons.
    """
    score = dict(zip(map(frozenset, links.ends()), links.score.tolist(), strict=True))
    found = [_feature(members, score, links.depth) for members in _clusters(links)]
    found.sort(key=lambda one: (-one.models, -round(one.score, 9), one.members))
    return [
        replace(
            one,
            key=f"u{number}",
            kind=_kind(one.members, kinds),
            family=_family(one.members, groups),
        )
        for number, one in enumerate(found, 1)
    ]


def _feature(
    members: Sequence[str], score: Mapping[frozenset[str], float], depth: Mapping[str, float]
) -> Feature:
    """The feature of a cluster, without a key and what annotation says of it."""
    linked = [_scores(one, members, score) for one in members]
    return Feature(
        key="",
        members=tuple(members),
        scores=tuple(float(np.mean(values)) for values in linked),
        score=float(np.mean(np.concatenate(linked))),
        depth=float(np.median([depth[member] for member in members])),
        kind=None,
        family=None,
    )


def _scores(one: str, members: Sequence[str], score: Mapping[frozenset[str], float]) -> list[float]:
    """Scores of a member's links with the others."""
    pairs = (frozenset((one, other)) for other in members)
    return [score[pair] for pair in pairs if pair in score]


def _kind(members: Sequence[str], kinds: Mapping[str, str | None]) -> str | None:
    known = [kind for kind in map(kinds.get, members) if kind is not None]
    return _most(known, len(known))


def _family(members: Sequence[str], groups: Mapping[str, Sequence[str]]) -> str | None:
    of_each = (set(groups.get(member, ())) for member in members)
    return _most(chain.from_iterable(of_each), len(members))


def _most(names: Iterable[str], of: int) -> str | None:
    """The name that more than half of ``of`` have."""
    best = Counter(names).most_common(1)
    return best[0][0] if best and 2 * best[0][1] > of else None


class ChanceRow(TypedDict):
    """Features of at least so many networks, and those in permuted links."""

    models: int
    features: int
    expected: float
    sd: float
    p: float


def chance(links: Links, *, copies: int = COPIES, seed: int = 0) -> list[ChanceRow]:
    """For every number of networks: features found in at least so many, and how many in
    permuted links.
    """
    most, second = len(links.networks), np.array(links.second, dtype=object)
    null = np.zeros((copies, most + 1))
    if len(links):
        for copy, drawn in enumerate(_permuted(list(links.ends()), copies, seed)):
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


def _permuted(ends: Sequence[tuple[str, str]], copies: int, seed: int) -> Iterator[np.ndarray]:
    """Permutations of second ends among links from one network to one layer of another."""
    group = np.array([f"{_network(one)} {_layer(other)}" for one, other in ends], dtype=str)
    return permutations(group, copies, np.random.default_rng(seed))


class Agreement(TypedDict):
    """How many links have a kind at both ends, and the share of one kind, also by chance."""

    links: int
    same: float
    expected: float
    p: float


def agreement(
    links: Links, kinds: Mapping[str, str | None], *, copies: int = COPIES, seed: int = 0
) -> Agreement | None:
    """Share of links whose two neurons are of one kind, and that in permuted links; None if no
    two have a kind.

    Kinds come from annotation, which knows nothing of matches. Links with a neuron of no kind,
    `unexplained` or `silent` are left out.
    """
    known = {neuron for neuron, kind in kinds.items() if kind not in _NO_KIND}
    ends = [pair for pair in links.ends() if known.issuperset(pair)]
    if not ends:
        return None
    one, other = np.vectorize(kinds.get, otypes=[object])(np.transpose(ends))
    found = float((one == other).mean())
    null = np.array([(one == other[drawn]).mean() for drawn in _permuted(ends, copies, seed)])
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
        neurons = bundle.table("Neuron").select(["key", "kind"]).to_pydict()
        kinds.update(zip(neurons["key"], neurons["kind"], strict=True))
        groups |= gathered(_believed_groups(bundle))
    return kinds, groups


def _believed_groups(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Each neuron of a believed family that has a transform group, with the group."""
    families = bundle.table("Family").select(["key", "group", "q"]).to_pylist()
    group = {row["key"]: row["group"] for row in families if row["q"] is None or row["q"] <= Q_MAX}
    for row in bundle.table("MEMBER_OF").select(["from", "to"]).to_pylist():
        if group.get(row["to"]) is not None:
            yield row["from"], group[row["to"]]


def gathered(pairs: Iterable[tuple[T, str]]) -> dict[T, list[str]]:
    """What comes with each key, in order."""
    found: dict[T, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


class PeriodicTable(NamedTuple):
    """Features of several networks, and what they are made of."""

    links: Links
    kinds: dict[str, str | None]  # of the neurons
    features: list[Feature]


def features_of_database(database: Database) -> PeriodicTable:
    """The links of all networks that a database holds, the kinds of their neurons, and their
    features.
    """
    matches = database.ask("mutual_matches", q=Q_MAX).to_dicts()
    families = database.ask("matched_families", q=Q_MAX) if matches else ()
    links = Links.of(
        _column(matches, "first"),
        _column(matches, "second"),
        _column(matches, "score"),
        depths=_column(matches, "depth_first", "depth_second"),
    )
    kinds = _column(matches, "kind_first", "kind_second")
    kinds = dict(zip(_column(matches, "first", "second"), kinds, strict=True))
    groups = gathered((row["neuron"], row["group"]) for row in families)
    return PeriodicTable(links, kinds, features(links, kinds=kinds, groups=groups))


def _column(rows: Sequence[Mapping[str, object]], *names: str) -> list[Any]:
    return [row[name] for name in names for row in rows]


def record_features(database: Database) -> PeriodicTable:
    """Make a database's features anew from all matches that it holds, as `features_of_database`
    gives them.

    Curated ones stay. All or nothing.
    """
    table = features_of_database(database)
    instances = chain.from_iterable(map(_instances, table.features))
    rows = {"Feature": map(_node, table.features), "INSTANCE_OF": instances}
    tables = {
        name: pa.Table.from_pylist(list(some), schema=arrow_schema(name))
        for name, some in rows.items()
        if table.features
    }
    removal = Removal("Feature", {"source": ["computed"]})
    database.store.amend(Amendment(remove=(removal,), insert=tables))
    return table


def _node(feature: Feature) -> dict[str, object]:
    """A feature as a row of ``Feature``, whose schema has no place for its neurons."""
    return feature.row() | {"key": feature.key, "source": "computed"}


def _instances(feature: Feature) -> Iterator[dict[str, object]]:
    """Rows of ``INSTANCE_OF``."""
    for member, score in zip(feature.members, feature.scores, strict=True):
        yield {"from": member, "to": feature.key, "score": score}
