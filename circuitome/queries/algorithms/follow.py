"""Who follows whom around a layer of hosts: correlations of response signatures, and the wires.

The correlation ``C`` of response signatures says who follows whom. Sender ``i`` and reader ``r``
are a pair if

* the reader gains: ``C[i, r]`` is at least ``gain`` more than the largest ``C[i, k]`` over the
  hosts ``k``;
* each is the other's best match by ``C``;
* they are wired: the product of both matrices, centred, is at least twice the root mean square of
  the reader's row;
* the drive ``max(0, V[r, k] W[k, i])`` is spread over an effective number of at least ``hosts``
  hosts;
* at least 70 % of the drive goes through hosts that follow some sender unrelated to ``i``
  (``|C| < 0.3``) better than ``i``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.graphdb.signatures import Signatures
from circuitome.queries.algorithms.read_back import Chain, chains, effective_number
from circuitome.queries.graph import SignedGraph

__all__ = ["Followed", "Pairs", "followed", "followed_around", "following"]

_UNRELATED: Final = 0.3  # |C| of senders that have nothing to do with each other
_SHARED: Final = 0.7  # least part of the drive through hosts that follow something else better
_WIRED: Final = 2.0  # times the root mean square of the reader's row


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Places of senders and of readers around one layer of hosts, and gains, each ``(m,)``."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Who follows whom around one layer of hosts."""

    chain: Chain
    gain: np.ndarray  # (i, r) correlation of sender and reader, less that of sender and best host
    mutual: np.ndarray  # (i, r) bool, each is the other's best
    elsewhere: np.ndarray  # (k, i) bool, the host follows a sender unrelated to i better than i


def following(around: Followed, chain: Chain, *, gain: float, hosts: float) -> Pairs:
    """Pairs around one layer of hosts.

    ``chain`` holds the weights, which a null network may have changed; the responses stay.
    """
    i, r = np.nonzero(around.mutual & (around.gain >= gain))
    into, out = chain.centred()
    expanded = out[r] @ into  # (m, senders)
    own = np.take_along_axis(expanded, i[:, None], axis=1)[:, 0]
    wired = own >= _WIRED * np.sqrt(np.square(expanded).mean(1))
    drive = np.maximum(0, out[r] * into[:, i].T)
    apart = (drive * around.elsewhere[:, i].T).sum(1)
    held = wired & (effective_number(drive) >= hosts) & (apart >= _SHARED * drive.sum(1))
    return i[held], r[held], around.gain[i, r][held]


def followed(chain: Chain, senders: np.ndarray, hosts: np.ndarray, readers: np.ndarray) -> Followed:
    """Who follows whom, from responses ``(neurons, samples)`` of each side.

    Rows have mean 0 and length 1, or are zeros.
    """
    same, reader, host = senders @ senders.T, senders @ readers.T, senders @ hosts.T
    mutual = (reader == reader.max(1, keepdims=True)) & (reader == reader.max(0)) & (reader > 0)
    # how well each host follows something that is unrelated to a sender
    unrelated = [host[np.abs(row) < _UNRELATED].max(0, initial=-1) for row in same]
    gain = reader - host.max(1, initial=0)[:, None]
    return Followed(chain, gain, mutual, np.stack(unrelated, axis=1) > host.T)


def followed_around(graph: SignedGraph, signatures: Signatures) -> list[Followed]:
    """The same around every layer of hosts whose neurons all have a signature."""
    rows = signatures.copy()
    place = {key: number for number, key in enumerate(signatures.neuron_keys())}
    found = []
    for chain in chains(graph):
        sides = chain.senders, chain.hosts, chain.readers
        keys = [graph.names(side) for side in sides]
        if all(key in place for key in itertools.chain.from_iterable(keys)):
            found.append(
                followed(chain, *(rows[list(map(place.__getitem__, side))] for side in keys))
            )
    return found
