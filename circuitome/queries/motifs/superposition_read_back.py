"""Superposition read back: spread over several hosts of a layer, recovered by a neuron of the next.

How the pairs are found stands in `circuitome.queries.algorithms.read_back`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.algorithms.read_back import chains, read_back, reflect
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find", "reflected"]


def find(graph: SignedGraph, *, cosine: float, hosts: float) -> Instances:
    """Feature, hosts and reader; the score is the cosine, to nine digits."""
    found = [(chain, read_back(chain, cosine=cosine, hosts=hosts)) for chain in chains(graph)]
    nothing = np.empty(0, np.int64)
    roles = {
        "feature": np.concatenate([nothing, *(back.feature for _, back in found)]),
        "host": [hosts for chain, back in found for hosts in back.main_hosts(chain)],
        "reader": np.concatenate([nothing, *(back.reader for _, back in found)]),
    }
    scores = [back.score for _, back in found]
    return Instances(roles, np.concatenate([np.empty(0), *scores]))


def reflected(
    graph: SignedGraph, rng: np.random.Generator, *, cosine: float, hosts: float
) -> np.ndarray:
    """Scores of all instances in a copy of the graph whose readers are reflected, ``(m,)``."""
    found = graph.once(("chains",), lambda: tuple(chains(graph)))
    turned = [reflect(chain, own) for chain, own in zip(found, rng.spawn(len(found)), strict=True)]
    scores = [read_back(chain, cosine=cosine, hosts=hosts).score for chain in turned]
    return np.concatenate([np.empty(0), *scores])


MOTIF: Final = Motif(
    "superposition_read_back", find, null="relabel", own_nulls={"reflect": reflected}
)
