"""One way of a comparison: the matches of one network's neurons in another, and their significance.

**Matches.** The best match of a neuron is sought among all neurons of the other network, whatever
their layer. The null is looked for as widely, in *smooth twins*. What counts is a neuron's
*excess*: its score less what it finds in twins of the other network (in Fisher's z), since a neuron
with a simple taste finds something like it everywhere. The excess has to beat two nulls. One is the
excess of neurons of the same layer in twins of its own network: does a random neuron find as much?
The other is the excess of one twin of the other network over the rest: is there as much in a random
network? p and q are the larger of the two, pooled over the neurons of a layer. The network itself
is sought in all twins of the other, each of its twins in `SOUGHT_IN` of them.

**Ceiling.** A match's *share of the possible* is its score over the geometric mean of both neurons'
reliabilities. It is 1 if the two are as alike as each is to itself a little displaced, and can be
more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from circuitome.graphdb.signatures import NETWORK, Signatures
from circuitome.universality.alignment import linear_cka, mutual_shares, own_squares
from circuitome.universality.matching import Products, multiply, mutual_best, shuffled
from circuitome.universality.nulls import over_the_others, p_and_q

__all__ = ["SOUGHT_IN", "Way", "layer_span", "match", "searched"]

SOUGHT_IN: Final = 3
"""Twins of the other network in which each twin is sought."""
_MOST_CORRELATION: Final = 1 - 1e-6  # correlations count up to here: a copy's is 1

Significance = tuple[np.ndarray, np.ndarray]
"""p and q."""


@dataclass(frozen=True)
class Way:
    """The matches of the ``n`` neurons of one network in another.

    Of both networks there are copies: the first is the network itself, the others are its twins.
    """

    source: Signatures
    target: Signatures
    alive: np.ndarray  # (n,) bool: neurons of the source that have a signature
    alive_there: np.ndarray  # (m,) bool: and those of the target
    # of a copy of the source (by number) with one of the target, as far as they are `searched`
    products: Mapping[tuple[int, int], Products]
    shuffled: Products  # of both networks, every neuron's pictures in an order of its own
    cka: np.ndarray  # (source layers, target layers)
    shares: np.ndarray  # (source layers, target layers) mutual matches

    def turned(self) -> Way:
        """The matches of the target's neurons in the source."""
        return Way(
            source=self.target,
            target=self.source,
            alive=self.alive_there,
            alive_there=self.alive,
            products={(j, i): found.turned() for (i, j), found in self.products.items()},
            shuffled=self.shuffled.turned(),
            cka=self.cka.T,
            shares=self.shares.T,
        )

    @cached_property
    def best(self) -> np.ndarray:
        """What neurons find in the whole other network, ``(source copies, target copies, n)``; NaN
        for copies that are not compared.
        """
        copies = 1 + len(self.source.twins), 1 + len(self.target.twins)
        found = np.full((*copies, len(self.alive)), np.nan, np.float32)
        for places, products in self.products.items():
            found[places] = products.of_rows
        return found

    @cached_property
    def by_layer(self) -> np.ndarray:
        """What they find in each layer of the target, ``(source copies, n, target layers)``."""
        copies = range(1 + len(self.source.twins))
        return np.stack([self.products[copy, 0].by_column_layer for copy in copies])

    @property
    def scores(self) -> np.ndarray:
        """What the source's own neurons find in the target, ``(n,)``."""
        return self.best[0, 0]

    @property
    def matched(self) -> np.ndarray:
        """The neuron of the target that each matches best, ``(n,)``."""
        return self.products[0, 0].column_of

    @cached_property
    def mutual(self) -> np.ndarray:
        """Which of them match each other best, ``(n,)`` bool."""
        return mutual_best(self.products[0, 0])

    @cached_property
    def by_chance(self) -> np.ndarray:
        """What neurons find if the order of their pictures means nothing, ``(n,)``."""
        return self.shuffled.of_rows

    @cached_property
    def aligned(self) -> np.ndarray:
        """The target's layer that is most like each layer of the source, ``(source layers,)``."""
        return self.cka.argmax(1)

    def living(self, layer: int) -> np.ndarray:
        """Neurons of a layer of the source that have a signature."""
        span = layer_span(self.source, layer)
        return span.start + np.flatnonzero(self.alive[span])

    @cached_property
    def excess(self) -> np.ndarray:
        """How much more neurons find in the target than in its twins, ``(source copies, n)``."""
        scores = _stretched(self.best)
        return scores[:, 0] - np.nanmean(scores[:, 1:], 1)

    @cached_property
    def significance(self) -> Significance:
        """p and q of every neuron's match, ``(n,)`` each."""
        of_twins = self.excess[1:]
        in_twins = over_the_others(_stretched(self.best[0, 1:]))

        def test(neurons: np.ndarray, layer: slice) -> np.ndarray:
            excess = self.excess[0, neurons]
            return np.max([p_and_q(excess, null[:, layer]) for null in (of_twins, in_twins)], 0)

        return self.by_layers(test)

    def by_layers(self, test: Callable[[np.ndarray, slice], Iterable[np.ndarray]]) -> Significance:
        """p and q of all neurons, ``(n,)`` each; 1 for those without a signature.

        ``test`` gives both for the neurons of a layer that have one. It is also given the run of
        all of the layer's neurons.
        """
        p, q = np.ones(len(self.alive)), np.ones(len(self.alive))
        for layer in range(len(self.source.layers)):
            neurons = self.living(layer)
            p[neurons], q[neurons] = test(neurons, layer_span(self.source, layer))
        return p, q

    @cached_property
    def share_of_possible(self) -> np.ndarray:
        """Scores over the geometric mean of both reliabilities, ``(n,)``; NaN if either is none."""
        product = self.source.reliability * self.target.reliability[self.matched]
        return self.scores / np.sqrt(np.where(product > 0, product, np.nan))


def match(a: Signatures, b: Signatures, step: Callable[[], None]) -> tuple[Way, Way]:
    """Matches both ways: each product of all with all serves both."""
    copies = [b.copy(name) for name in (NETWORK, *b.twins)]
    own_a, own_b = a.copy(), copies[0]
    products = {}
    for i, name in enumerate((NETWORK, *a.twins)):
        rows = a.copy(name) if i else own_a
        for j in searched(i, len(b.twins)):
            products[i, j] = multiply(rows, a.starts, copies[j], b.starts)
            step()
    mixed = multiply(shuffled(own_a, a.per_picture, seed=0), a.starts, own_b, b.starts)
    step()
    found = products[0, 0]
    there = Way(
        source=a,
        target=b,
        alive=np.any(own_a, axis=1),
        alive_there=np.any(own_b, axis=1),
        products=products,
        shuffled=mixed,
        cka=linear_cka(found, own_squares(own_a, a.starts), own_squares(own_b, b.starts)),
        shares=mutual_shares(found, a.layer_of, b.layer_of),
    )
    return there, there.turned()


def searched(copy: int, twins: int) -> list[int]:
    """The copies of another network in which a copy of one is sought, both with as many twins: a
    network in all, a twin in the network and in `SOUGHT_IN` twins.

    >>> [searched(copy, 4) for copy in range(5)]
    [[0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 4]]
    """
    if not copy:
        return [*range(1 + twins)]
    return [0, *sorted({(copy - 1 + more) % twins + 1 for more in range(SOUGHT_IN)})]


def layer_span(network: Signatures, layer: int) -> slice:
    """The run of a layer's neurons."""
    return slice(int(network.starts[layer]), int(network.starts[layer + 1]))


def _stretched(scores: np.ndarray) -> np.ndarray:
    """Fisher's z of correlations: differences then mean the same near 1, where first layers
    are, as near 0.
    """
    return np.arctanh(np.clip(scores, -_MOST_CORRELATION, _MOST_CORRELATION).astype(float))
