"""Networks for trials of motifs, with weights as training leaves them, and motifs written in.

Sizes of weights are log-normal, their mean is a little inhibitory, some neurons send much, some are
dead, and most layers have groups of neurons that other neurons strongly read as a whole. Such a
group is made of near-copies of one neuron, or of neurons that share strong inputs whatever their
signs. Shuffled signs turn copies into neurons that exclude each other, and what reads them into
unions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from tests.support.synthetic import Plan, write_plans

__all__ = [
    "ARCHITECTURES",
    "DECOYS",
    "HOSTS",
    "PLANTS",
    "SPREAD",
    "Recipe",
    "TrainedLike",
    "bumps",
    "trained_like",
]

SPREAD: Final = 0.8  # of the logarithms of sizes
INHIBITED: Final = 0.55  # share of the weights that inhibit
HEAVY, GAIN = 0.06, 2.5  # share of neurons that send much, and how much more
DEAD: Final = 0.04  # share of neurons without weights to speak of
ALIKE: Final = 0.25  # noise of a near-copy, in units of the spread of the neuron's weights
STRONG: Final = 4.0  # a planted weight, in units of its receiver's root mean square
MAIN: Final = 1.5  # the main inputs of a host, in units of a planted weight
SHARED: Final = (4, 6)  # inputs that both of a pair read, fewest and most


@dataclass(frozen=True, slots=True)
class Architecture:
    """The layers of a network, senders first, and where motifs may be written."""

    layers: tuple[Plan, ...]  # without kernels
    places: tuple[tuple[str, str], ...]  # a layer, and one that reads it

    def sources(self, layer: str) -> tuple[str, ...]:
        """The layers that one reads, in their order."""
        return next(plan.sources for plan in self.layers if plan.name == layer)


def _layers(*layers: Plan) -> tuple[Plan, ...]:
    return (Plan("in", "input", 48), *layers)


ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {
        "plain": Architecture(
            _layers(
                Plan("one", "conv", 64, ("in",)),
                Plan("two", "conv", 64, ("one",)),
                Plan("three", "conv", 64, ("two",)),
            ),
            (("one", "two"), ("two", "three")),
        ),
        "branches": Architecture(
            _layers(
                Plan("stem", "conv", 64, ("in",)),
                Plan("left", "conv", 48, ("stem",), block="block"),
                Plan("right", "conv", 48, ("stem",), block="block"),
                Plan("top", "conv", 64, ("left", "right")),
            ),
            (("stem", "left"), ("stem", "right"), ("left", "top"), ("right", "top")),
        ),
        "residual": Architecture(
            _layers(
                Plan("stem", "conv", 48, ("in",)),
                Plan("first", "conv", 64, ("stem",)),
                Plan("second", "conv", 48, ("first",)),
                Plan("add", "add", 48, ("second", "stem")),
                Plan("top", "conv", 64, ("add",)),
            ),
            (("stem", "first"), ("first", "second")),
        ),
        "squeezed": Architecture(
            _layers(
                Plan("squeeze", "conv", 48, ("in",)),
                Plan("expand", "conv", 96, ("squeeze",)),
                Plan("narrow", "conv", 48, ("expand",)),
                Plan("wide", "conv", 96, ("narrow",)),
            ),
            (("squeeze", "expand"), ("expand", "narrow"), ("narrow", "wide")),
        ),
    }
)
"""Every architecture by its name: three or four convolutions of 48 to 96 neurons."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is in a network."""

    plant: str | None = None  # kind of motif, of `PLANTS`, or "superposition, " and one of `HOSTS`
    planted: int = 0  # how many of it
    decoy: str = "copies"  # of `DECOYS`
    groups: int = 3  # decoys at each place of the architecture
    size: int = 4  # neurons of such a group


@dataclass(frozen=True, slots=True)
class TrainedLike:
    """A network, and the neurons of each motif that stands in it."""

    bundle: Bundle
    planted: tuple[frozenset[str], ...]  # keys


@dataclass(frozen=True, slots=True)
class _Draft:
    """A network in the making."""

    architecture: Architecture
    weights: dict[str, np.ndarray]  # (channels, fan_in) of each layer but the input and additions
    rng: np.random.Generator
    free: dict[str, list[int]]  # neurons of each layer that nothing stands at, in random order

    @classmethod
    def of(cls, architecture: Architecture, rng: np.random.Generator) -> _Draft:
        channels = {plan.name: plan.channels for plan in architecture.layers}
        free = {name: rng.permutation(number).tolist() for name, number in channels.items()}
        weights = {
            plan.name: _background(plan.channels, sum(channels[s] for s in plan.sources), rng)
            for plan in architecture.layers
            if plan.op == "conv"
        }
        return cls(architecture, weights, rng, free)

    def take(self, layer: str, number: int) -> list[int]:
        """Neurons of a layer that nothing stands at."""
        return [self.free[layer].pop() for _ in range(number)]

    def start(self, reader: str, layer: str) -> int:
        """The place of a layer's first neuron among the inputs of another that reads it."""
        channels = {plan.name: plan.channels for plan in self.architecture.layers}
        sources = self.architecture.sources(reader)
        return sum(channels[source] for source in sources[: sources.index(layer)])

    def place(self, number: int) -> tuple[str, str]:
        """A layer, and one that reads it: all places in turn."""
        places = self.architecture.places
        return places[number % len(places)]

    def strong(self, layer: str, neuron: int, number: int) -> np.ndarray:
        """Sizes of strong weights of a neuron, ``(number,)``."""
        typical = np.sqrt(np.mean(self.weights[layer][neuron] ** 2))
        return STRONG * typical * np.exp(0.2 * self.rng.standard_normal(number))

    def excite(self, receiver: tuple[str, int], layer: str, senders: list[int]) -> None:
        """Make a neuron strongly read some neurons of a layer."""
        name, neuron = receiver
        column = self.start(name, layer) + np.array(senders)
        self.weights[name][neuron, column] = self.strong(name, neuron, len(senders))


def _background(channels: int, fan_in: int, rng: np.random.Generator) -> np.ndarray:
    """Weights without motifs, ``(channels, fan_in)``."""
    sizes = np.exp(SPREAD * rng.standard_normal((channels, fan_in)))
    signs = np.where(rng.random(sizes.shape) < INHIBITED, -1.0, 1.0)
    sends = np.where(rng.random(fan_in) < HEAVY, GAIN, 1.0)
    reads = np.exp(0.5 * rng.standard_normal((channels, 1)))
    dead = rng.random((channels, 1)) < DEAD
    noise = 1e-3 * rng.standard_normal(sizes.shape)
    return np.where(dead, noise, sizes * signs * sends * reads) / np.sqrt(fan_in)


def _copies(draft: _Draft, layer: str, size: int) -> list[int]:
    """Near-copies of one neuron."""
    first, *others = draft.take(layer, size)
    for other in others:
        draft.weights[layer][other] = _noisy(draft, draft.weights[layer][first])
    return [first, *others]


def _noisy(draft: _Draft, weights: np.ndarray) -> np.ndarray:
    return weights + ALIKE * weights.std() * draft.rng.standard_normal(len(weights))


def _sharing(draft: _Draft, layer: str, size: int) -> list[int]:
    """Neurons that share their strong inputs, each with signs of its own."""
    found = draft.take(layer, size)
    inputs = draft.rng.permutation(draft.weights[layer].shape[1])[: SHARED[1]]
    for neuron in found:
        signs = draft.rng.choice([-1.0, 1.0], len(inputs))
        draft.weights[layer][neuron, inputs] = signs * draft.strong(layer, neuron, len(inputs))
    return found


DECOYS: Final[Mapping[str, Callable[[_Draft, str, int], list[int]]]] = MappingProxyType(
    {"copies": _copies, "sharing": _sharing}
)
"""How a group of neurons is written into a layer."""


def _read_by_others(draft: _Draft, number: int, recipe: Recipe) -> None:
    """A group of neurons, and two neurons that strongly read all of them."""
    layer, reader = draft.place(number)
    group = DECOYS[recipe.decoy](draft, layer, recipe.size)
    for receiver in draft.take(reader, 2):
        draft.excite((reader, receiver), layer, group)


def _oppose(draft: _Draft, layer: str, cases: list[int]) -> None:
    """Make two neurons of a layer each be excited by what inhibits the other."""
    one, other = cases
    number = int(draft.rng.integers(SHARED[0], SHARED[1] + 1))
    inputs = draft.rng.permutation(draft.weights[layer].shape[1])[:number]
    signs = draft.rng.permutation(np.arange(number) % 2 * 2.0 - 1)
    draft.weights[layer][one, inputs] = signs * draft.strong(layer, one, number)
    draft.weights[layer][other, inputs] = -signs * draft.strong(layer, other, number)


def _inhibition(draft: _Draft, number: int) -> set[tuple[str, int]]:
    layer, _ = draft.place(number)
    cases = draft.take(layer, 2)
    _oppose(draft, layer, cases)
    return {(layer, case) for case in cases}


def _union(draft: _Draft, number: int) -> set[tuple[str, int]]:
    layer, reader = draft.place(number)
    cases, (united,) = draft.take(layer, 2), draft.take(reader, 1)
    _oppose(draft, layer, cases)
    draft.excite((reader, united), layer, cases)
    return {(reader, united), *((layer, case) for case in cases)}


def _opponents(draft: _Draft, number: int) -> set[tuple[str, int]]:
    """Two neurons whose whole fan-ins oppose each other."""
    layer, _ = draft.place(number)
    one, other = draft.take(layer, 2)
    weights = draft.weights[layer]
    _oppose(draft, layer, [one, other])
    weights[other] = -_noisy(draft, weights[one])
    return {(layer, one), (layer, other)}


def _push_pull(draft: _Draft, number: int) -> set[tuple[str, int]]:
    """Opponents of which the one excites what the other inhibits."""
    layer, reader = draft.place(number)
    found = _opponents(draft, number)
    one, other = (draft.start(reader, layer) + neuron for _, neuron in found)
    weights = draft.weights[reader]
    for receiver in draft.take(reader, 2):
        weights[receiver, one] = draft.strong(reader, receiver, 1)[0]
    weights[:, other] = -_noisy(draft, weights[:, one])
    return found


def _two_groups(draft: _Draft, number: int) -> set[tuple[str, int]]:
    """A neuron that strongly reads two groups of near-copies."""
    layer, reader = draft.place(number)
    one, other = (_copies(draft, layer, 3) for _ in range(2))
    (neuron,) = draft.take(reader, 1)
    draft.excite((reader, neuron), layer, one + other)
    return {(reader, neuron)}


def _read_back(draft: _Draft, number: int) -> set[tuple[str, int]]:
    """A neuron that reads a layer as an input of the layer is spread over it."""
    layer, reader = draft.place(number)
    source = draft.architecture.sources(layer)[0]
    (feature,), (neuron,) = draft.take(source, 1), draft.take(reader, 1)
    column = draft.start(layer, source) + feature
    spread = draft.weights[layer][:, column]
    start = draft.start(reader, layer)
    draft.weights[reader][neuron, start : start + len(spread)] = _noisy(draft, spread)
    return {(source, feature), (reader, neuron)}


def _superposition(
    draft: _Draft, number: int, *, mains: Sequence[Sequence[int]]
) -> set[tuple[str, int]]:
    """A feature that excites three neurons of one kind, and is the main input of none.

    They are of one kind since what they mainly read are near-copies; ``mains`` says which of these
    each of the three reads.
    """
    layer, reader = draft.place(number)
    copies = _copies(draft, layer, max(map(max, mains)) + 1)
    hosts, (feature,) = draft.take(reader, 3), draft.take(layer, 1)
    start = draft.start(reader, layer)
    for host, own in zip(hosts, mains, strict=True):
        inputs = start + np.array([feature, *(copies[place] for place in own)])
        sizes = draft.strong(reader, host, len(inputs))
        sizes[1:] *= MAIN
        sizes[0] = min(sizes[0], 0.9 * sizes[1:].max())
        draft.weights[reader][host, inputs] = sizes
    _never_main(draft, layer, feature)
    return {(layer, feature), *((reader, host) for host in hosts)}


def _never_main(draft: _Draft, layer: str, feature: int) -> None:
    """Where a neuron is a main input, exchange its weight for that of another."""
    for reader, weights in draft.weights.items():
        if layer in draft.architecture.sources(reader):
            column = draft.start(reader, layer) + feature
            for neuron in np.flatnonzero(np.abs(weights).argmax(1) == column):
                row = weights[neuron]
                other = (column + draft.rng.integers(1, len(row))) % len(row)
                row[[column, other]] = row[[other, column]]


HOSTS: Final[Mapping[str, Callable[[_Draft, int], set[tuple[str, int]]]]] = MappingProxyType(
    {
        "own": partial(_superposition, mains=((0, 1, 2), (3, 4, 5), (6, 7, 8))),
        "one shared": partial(_superposition, mains=((0, 1, 2, 3), (3, 4, 5, 6), (6, 7, 8, 0))),
        "two shared": partial(_superposition, mains=((0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 0, 1))),
        "all shared": partial(_superposition, mains=((0, 1, 2, 3),) * 3),
    }
)
"""How a feature is spread over three hosts, by how many main inputs any two of them share."""

PLANTS: Final[Mapping[str, Callable[[_Draft, int], set[tuple[str, int]]]]] = MappingProxyType(
    {
        "unioning_over_cases": _union,
        "mutual_inhibition": _inhibition,
        "opponent_pairs": _opponents,
        "push_pull": _push_pull,
        "polysemantic_neuron": _two_groups,
        "superposition": HOSTS["own"],
        "superposition_read_back": _read_back,
    }
)
"""How one instance of a motif is written into a network."""


def _with_kernels(plan: Plan, draft: _Draft) -> Plan:
    """The layer with its kernels: its weights over smooth bumps, additions as they are."""
    if plan.op == "input":
        return plan
    if plan.op == "add":
        both = np.tile(np.eye(plan.channels, dtype=np.float32), len(plan.sources))
        return replace(plan, kernels=both[:, :, None, None])
    weights = draft.weights[plan.name]
    kernels = weights[:, :, None, None] * bumps(weights.shape, draft.rng)
    return replace(plan, kernels=kernels.astype(np.float32))


def bumps(shape: tuple[int, ...], rng: np.random.Generator, *, size: int = 3) -> np.ndarray:
    """Smooth kernels of norm one that hardly change sign, ``(*shape, size, size)``."""
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, size)], indexing="ij")  # whatever the size
    centre = 0.7 * rng.standard_normal((2, *shape, 1, 1))
    bumps = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 2)
    bumps += 0.1 * rng.standard_normal(bumps.shape)
    return bumps / np.sqrt((bumps**2).sum((2, 3), keepdims=True))


_PLAIN: Final = Recipe()


def trained_like(
    path: str | os.PathLike[str],
    *,
    architecture: str = "plain",
    seed: int = 0,
    recipe: Recipe = _PLAIN,
) -> TrainedLike:
    """Write a network and open it."""
    rng = np.random.default_rng(seed)
    draft = _Draft.of(ARCHITECTURES[architecture], rng)
    plants = {**PLANTS, **{f"superposition, {name}": plant for name, plant in HOSTS.items()}}
    planted = (
        [plants[recipe.plant](draft, n) for n in range(recipe.planted)] if recipe.plant else []
    )
    for number in range(recipe.groups * len(draft.architecture.places)):
        _read_by_others(draft, number, recipe)
    plans = [_with_kernels(plan, draft) for plan in draft.architecture.layers]
    bundle = write_plans(path, plans, name="t", force=True)
    keys = [frozenset(f"t/{layer}:{neuron}" for layer, neuron in found) for found in planted]
    return TrainedLike(bundle, tuple(keys))
