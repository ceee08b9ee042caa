"""Superposition read back, by responses: the reader follows the feature better than any host between them does.

`superposition_read_back` looks at weights alone. Here the correlation ``C`` of response signatures says who follows whom.
Sender ``i`` and reader ``r`` are a pair where

* the reader gains: ``C[i, r]`` is at least ``gain`` more than the largest ``C[i, k]`` over the hosts ``k``;
* each is the other's best match by ``C``;
* they are wired: the product of both matrices, centred, is at least twice the root mean square of the reader's row;
* the drive ``max(0, V[r, k] W[k, i])`` is spread over an effective number of at least ``hosts`` hosts;
* at least 70 % of the drive goes through hosts that follow some sender unrelated to ``i`` (``|C| < 0.3``) better than ``i``.

The null networks change what the readers read and leave the responses alone: `relabel` permutes the hosts as inputs,
`reflect` is that of `superposition_read_back`. They say whether wiring and following go together, and that they do in
random networks as well, for a reader follows only through its wires. So p is **no** evidence of training: hold the count
against that of a twin. A bundle with signatures is all that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import Signatures
from circuitome.queries.algorithms.read_back import Chain, chains, effective_number, reflect
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Bundled, instance
from circuitome.queries.motifs.significance import enrichment, instance_q
from circuitome.queries.motifs.superposition_read_back import MOTIF

__all__ = ["BUNDLED", "Answered", "Followed", "answered", "followed", "read_back_by_responses"]

UNRELATED: Final = 0.3  # |C| of senders that have nothing to do with each other
SHARED: Final = 0.7  # least part of the drive through hosts that follow something else better
WIRED: Final = 2.0  # times the root mean square of the reader's row


@dataclass(frozen=True, slots=True)
class Answered:
    """What was found in one network, and in its null networks."""

    rows: list[dict[str, Any]]  # motif rows with q against `relabel`, by gain, the largest first
    counts: dict[str, list[int]]  # null model -> instances in each null network
    p: dict[str, float]  # null model -> share of them with as many, the network among them


@dataclass(frozen=True, slots=True)
class Followed:
    """Who follows whom around one layer of hosts."""

    chain: Chain
    gain: (
        np.ndarray
    )  # (i, r) correlation of sender and reader, less that of the sender and its best host
    mutual: np.ndarray  # (i, r) bool, each is the other's best
    elsewhere: np.ndarray  # (k, i) bool, the host follows some sender unrelated to i better than i


def read_back_by_responses(
    bundle: Bundle, *, gain: float = 0.1, hosts: float = 3, nulls: int = 199, seed: int = 0
) -> Answered:
    """Features that are spread out and read back, by what the neurons answer, against ``nulls`` null networks of each kind.

    Roles are ``feature``, ``host`` (those that drive the reader, the strongest first) and ``reader``; the score is the gain.
    `BundleError` where the bundle has no signatures.
    """
    graph = SignedGraph.of_bundle(bundle)
    around = _around(graph, Signatures.open(bundle))
    found = [answered(each, each.chain, gain=gain, hosts=hosts) for each in around]
    decoys: dict[str, list[np.ndarray]] = {}
    for name, rewire in _NULLS.items():
        decoys[name] = []
        for place in range(nulls):
            rng = np.random.default_rng([seed, len(decoys), place])
            scores = [
                answered(each, rewire(each.chain, rng), gain=gain, hosts=hosts)[2]
                for each in around
            ]
            decoys[name].append(np.concatenate([np.empty(0), *scores]))
    counts = {name: [len(scores) for scores in drawn] for name, drawn in decoys.items()}
    observed = np.concatenate([np.empty(0), *(scores for _, _, scores in found)])
    levels, q = instance_q(observed, np.concatenate(decoys["relabel"]), nulls=nulls)
    rows = [
        _row(graph, each.chain, i, r, score)
        | {"q": float(q[np.searchsorted(-levels, -score)]), "null": "relabel"}
        for each, (senders, readers, scores) in zip(around, found, strict=True)
        for i, r, score in zip(senders.tolist(), readers.tolist(), scores.tolist(), strict=True)
    ]
    rows.sort(key=lambda row: (-row["score"], row["roles"]["feature"], row["roles"]["reader"]))
    return Answered(
        rows, counts, {name: enrichment(len(observed), drawn) for name, drawn in counts.items()}
    )


def answered(
    around: Followed, chain: Chain, *, gain: float, hosts: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Instances around one layer of hosts: places of senders and of readers, and gains, each ``(m,)``.

    ``chain`` holds the weights, which a null network may have changed; the responses stay as they were.
    """
    i, r = np.nonzero(around.mutual & (around.gain >= gain))
    into, out = chain.centred()
    expanded = out[r] @ into  # (m, senders)
    own = np.take_along_axis(expanded, i[:, None], axis=1)[:, 0]
    wired = own >= WIRED * np.sqrt(np.square(expanded).mean(1))
    drive = np.maximum(0, out[r] * into[:, i].T)
    apart = (drive * around.elsewhere[:, i].T).sum(1)
    there = wired & (effective_number(drive) >= hosts) & (apart >= SHARED * drive.sum(1))
    return i[there], r[there], around.gain[i, r][there]


def followed(chain: Chain, senders: np.ndarray, hosts: np.ndarray, readers: np.ndarray) -> Followed:
    """Who follows whom, from responses ``(neurons, samples)`` of each side: rows of mean 0 and length 1, or of zeros."""
    same, reader, host = senders @ senders.T, senders @ readers.T, senders @ hosts.T
    mutual = (reader == reader.max(1, keepdims=True)) & (reader == reader.max(0)) & (reader > 0)
    unrelated = [
        host[np.abs(row) < UNRELATED].max(0, initial=-1) for row in same
    ]  # what follows something else, how well
    gain = reader - host.max(1, initial=0)[:, None]
    return Followed(chain, gain, mutual, np.stack(unrelated, axis=1) > host.T)


def _around(graph: SignedGraph, signatures: Signatures) -> list[Followed]:
    """The same around every layer of hosts whose neurons all have a place among the signatures."""
    rows, place = (
        signatures.copy(),
        {key: number for number, key in enumerate(signatures.neuron_keys())},
    )
    found = []
    for chain in chains(graph):
        sides = [
            _rows_of(graph, side, rows, place)
            for side in (chain.senders, chain.hosts, chain.readers)
        ]
        if all(side is not None for side in sides):
            found.append(followed(chain, *(side for side in sides if side is not None)))
    return found


def _rows_of(
    graph: SignedGraph, neurons: np.ndarray, rows: np.ndarray, place: dict[str, int]
) -> np.ndarray | None:
    numbers = [place.get(key) for key in graph.names(neurons)]
    known: Sequence[int] = [number for number in numbers if number is not None]
    return rows[known] if len(known) == len(numbers) else None


def _relabel(chain: Chain, rng: np.random.Generator) -> Chain:
    return Chain(
        chain.senders,
        chain.hosts,
        chain.readers,
        chain.into,
        chain.out[:, rng.permutation(chain.out.shape[1])],
    )


def _row(graph: SignedGraph, chain: Chain, i: int, r: int, score: float) -> dict[str, Any]:
    into, out = chain.centred()
    drive = out[r] * into[:, i]
    order = np.argsort(-drive, kind="stable")
    hosts = chain.hosts[order[drive[order] > 0]]
    roles = {
        "feature": graph.names(chain.senders[[i]]),
        "host": graph.names(hosts),
        "reader": graph.names(chain.readers[[r]]),
    }
    return instance("superposition_read_back", graph.model, score, roles)


_NULLS: Final[dict[str, Callable[[Chain, np.random.Generator], Chain]]] = {
    "relabel": _relabel,
    "reflect": reflect,
}


def _of_bundle(
    bundle: Bundle, *, nulls: int | None, seed: int, limit: int
) -> tuple[list[dict[str, Any]], list[str]]:
    found = read_back_by_responses(bundle, nulls=199 if nulls is None else nulls, seed=seed)
    said = [
        f"instances: {len(found.rows):,}; {sum(counts) / len(counts):.1f} in null networks `{name}`, p = {found.p[name]:.4g}"
        for name, counts in found.counts.items()
    ]
    return found.rows[:limit], [
        *said,
        "a random network has them, too: hold the number against that of a twin (docs/motifs.md)",
    ]


BUNDLED: Final = Bundled(MOTIF.kind, _of_bundle)
