"""Pairs of cases that exclude each other, ``in -> case -> out``, among decoys that almost do.

Decoys are pairs of which nobody inhibits, only one of the two is inhibited, both have the same main
inputs, or each is inhibited by inputs of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from circuitome.graphdb.bundle import Bundle
from tests.support.planted_noise import Noise
from tests.support.synthetic import write_planted

__all__ = ["PLANTS", "Planted", "plant"]

SENDERS, RECEIVERS = 96, 96


PAIRS = 4  # of each kind


PATTERN = 12  # inputs that a case reads


TARGETS, MAIN = (
    4,
    4.0,
)  # receivers that a case mainly sends to, and how much, in units of what the others get


@dataclass(frozen=True, slots=True)
class Planted:
    """A network and what stands in it."""

    bundle: Bundle
    opponents: frozenset[frozenset[str]]  # pairs of keys whose fan-ins oppose each other
    push_pull: frozenset[frozenset[str]]  # those of them whose fan-outs do, too


Fill = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Two sets of inputs and the signs of the first, to the fan-ins of a pair, each ``(SENDERS,)``."""


def _planted(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first = np.zeros(SENDERS)
    first[pattern] = signs
    return first, -first


def _nobody_inhibits(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    first[pattern], second[other] = 1, 1
    return first, second


def _one_is_inhibited(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    half = PATTERN // 2
    first[pattern], second[other[:half]], second[pattern[:half]] = 1, 1, -1
    return first, second


def _same_main_input(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = _planted(pattern, other, signs)
    return first, np.abs(second) * np.sign(first)


def _own_inhibitors(
    pattern: np.ndarray, other: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros(SENDERS), np.zeros(SENDERS)
    first[pattern], second[other] = signs, -signs
    return first, second


PLANTS: Mapping[str, Fill] = {
    "push and pull": _planted,
    "opposed, but sends otherwise": _planted,
    "nobody inhibits": _nobody_inhibits,
    "one is inhibited": _one_is_inhibited,
    "same main input": _same_main_input,
    "own inhibitors": _own_inhibitors,
}


def plant(path: str | os.PathLike[str], *, seed: int, noise: Noise) -> Planted:
    """A network with four pairs of each kind, with noise on every weight.

    What the first of a push-pull pair excites, the second inhibits; the others send what they like.
    """
    rng = np.random.default_rng(seed)
    fan_in, fan_out, kinds = [], [], []
    for kind, fill in PLANTS.items():
        for _ in range(PAIRS):
            drawn = rng.permutation(SENDERS)
            signs = rng.permutation(np.repeat([1.0, -1.0], PATTERN // 2))
            fan_in += fill(drawn[:PATTERN], drawn[PATTERN : 2 * PATTERN], signs)
            sent = rng.standard_normal(RECEIVERS)
            sent[rng.permutation(RECEIVERS)[:TARGETS]] = rng.choice([-MAIN, MAIN], TARGETS)
            fan_out += [sent, -sent if kind == "push and pull" else rng.permutation(sent)]
            kinds.append(kind)
    into, out = (noise(np.array(rows), rng) for rows in (fan_in, fan_out))
    keys = [
        frozenset({f"planted/case:{2 * pair}", f"planted/case:{2 * pair + 1}"})
        for pair in range(len(kinds))
    ]
    return Planted(
        bundle=_bundle(path, [into, out.T]),
        opponents=frozenset(
            key for key, kind in zip(keys, kinds, strict=True) if PLANTS[kind] is _planted
        ),
        push_pull=frozenset(
            key for key, kind in zip(keys, kinds, strict=True) if kind == "push and pull"
        ),
    )


def _bundle(path: str | os.PathLike[str], weights: list[np.ndarray]) -> Bundle:
    """A network ``in -> case -> out`` from its matrices, each ``(receivers, senders)``."""
    first, second = weights
    edges = [
        (f"{source}:{sender}", f"{target}:{receiver}", float(matrix[receiver, sender]))
        for source, target, matrix in (("in", "case", first), ("case", "out", second))
        for receiver, sender in np.ndindex(matrix.shape)
    ]
    return write_planted(
        path,
        {"in": first.shape[1], "case": first.shape[0], "out": second.shape[0]},
        edges,
        force=True,
    )
