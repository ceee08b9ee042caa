"""Superposition read back, by responses: the reader follows the feature better than any host.

`superposition_read_back` looks at weights alone; who follows whom by responses stands in
`circuitome.queries.algorithms.follow`.

The null networks change what the readers read and leave the responses alone: `relabel` permutes the
hosts as inputs, `reflect` is that of `superposition_read_back`. They say whether wiring and
following go together, and that they do in random networks as well, for a reader follows only
through its wires. So p is **no** evidence of training: hold the count against that of a twin. A
bundle with signatures is all that it takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import Signatures
from circuitome.queries.algorithms.follow import Followed, Pairs, followed_around, following
from circuitome.queries.algorithms.read_back import NULLS
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Bundled
from circuitome.queries.motifs.motif_row import MotifRow, instance, tested
from circuitome.queries.motifs.superposition_read_back import MOTIF
from circuitome.significance import empirical_p, target_decoy_q

__all__ = ["BUNDLED", "ByResponses", "read_back_by_responses"]


@dataclass(frozen=True, slots=True)
class ByResponses:
    """What was found in one network, and in its null networks."""

    rows: list[MotifRow]  # with q against `relabel`, by gain, the largest first
    counts: dict[str, list[int]]  # null model -> instances in each null network
    p: dict[str, float]  # null model -> share of them with as many, the network among them


def read_back_by_responses(
    bundle: Bundle, *, gain: float = 0.1, hosts: float = 3, nulls: int = 199, seed: int = 0
) -> ByResponses:
    """Features that are spread out and read back by their responses, against null networks.

    There are ``nulls`` of each null model. Roles are ``feature``, ``host`` (those that drive the
    reader, the strongest first) and ``reader``; the score is the gain. `BundleError` if the bundle
    has no signatures.
    """
    graph = SignedGraph.of_bundle(bundle)
    around = followed_around(graph, Signatures.open(bundle))
    find = functools.partial(following, gain=gain, hosts=hosts)
    pairs = [find(each, each.chain) for each in around]
    decoys = {name: _drawn(name, around, find, nulls=nulls, seed=seed) for name in NULLS}
    observed = _gains(pairs)
    q = target_decoy_q(observed, np.concatenate(decoys["relabel"]), copies=nulls).tolist()
    rows = [
        tested(row, p=None, q=rate, null="relabel")
        for row, rate in zip(_rows(graph, around, pairs), q, strict=True)
    ]
    rows.sort(key=lambda row: (-row["score"], row["roles"]["feature"], row["roles"]["reader"]))
    counts = {name: list(map(len, found)) for name, found in decoys.items()}
    p = {name: float(empirical_p(len(observed), numbers)) for name, numbers in counts.items()}
    return ByResponses(rows, counts, p)


def _drawn(
    name: str, around: Sequence[Followed], find: Callable[..., Pairs], *, nulls: int, seed: int
) -> list[np.ndarray]:
    """Gains of the pairs in each null network of one model."""
    found = []
    for place in range(nulls):
        rng = np.random.default_rng([seed, list(NULLS).index(name) + 1, place])
        found.append(_gains(find(each, NULLS[name](each.chain, rng)) for each in around))
    return found


def _gains(pairs: Iterable[Pairs]) -> np.ndarray:
    return np.concatenate([np.empty(0), *(gains for _, _, gains in pairs)])


def _rows(
    graph: SignedGraph, around: Sequence[Followed], pairs: Sequence[Pairs]
) -> Iterator[MotifRow]:
    for each, ends in zip(around, pairs, strict=True):
        for i, r, gain in zip(*map(np.ndarray.tolist, ends), strict=True):
            yield _row(graph, each, i, r, gain)


def _row(graph: SignedGraph, around: Followed, i: int, r: int, gain: float) -> MotifRow:
    chain = around.chain
    into, out = chain.centred()
    drive = out[r] * into[:, i]
    order = np.argsort(-drive, kind="stable")
    roles = {
        "feature": graph.names(chain.senders[[i]]),
        "host": graph.names(chain.hosts[order[drive[order] > 0]]),
        "reader": graph.names(chain.readers[[r]]),
    }
    return instance(MOTIF.kind, graph.model, gain, roles)


def _of_bundle(
    bundle: Bundle, *, nulls: int | None, seed: int, limit: int
) -> tuple[list[MotifRow], list[str]]:
    found = read_back_by_responses(bundle, nulls=199 if nulls is None else nulls, seed=seed)
    said = []
    for name, counts in found.counts.items():
        against = f"{sum(counts) / len(counts):.1f} in null networks `{name}`"
        said.append(f"instances: {len(found.rows):,}; {against}, p = {found.p[name]:.4g}")
    twin = "a random network has them, too: hold the number against that of a twin (docs/motifs.md)"
    return found.rows[:limit], [*said, twin]


BUNDLED: Final = Bundled(MOTIF.kind, _of_bundle)
