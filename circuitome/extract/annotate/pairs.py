"""Equivariant pairs of a layer: scores under a transform, their baselines, their significance.

``score[i, j]`` of a transform g is the correlation over stimuli of neuron i with neuron j seen
under g: 1 where j is i turned by g. It counts by its excess over the three things that look like
equivariance and are not: that the two neurons agree without any transform, and that either of them
does not notice g (blobs look like turned blobs, which is why a random network has high scores).
Everything is then held against surrogate layers (`nulls`): p is pooled over the pairs of the layer,
q is the expected number of chance pairs over the number found (target and decoy: Elias and Gygi,
Nature Methods 4, 2007), over all transform groups of the layer together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from circuitome.errors import CircuitomeError
from circuitome.kernels import cosines, turning
from circuitome.significance import empirical_p, q_at, target_decoy_q
from circuitome.vocabulary import SWITCHES

if TYPE_CHECKING:
    from circuitome.extract.stimuli.transforms import Transform

__all__ = [
    "GroupScores",
    "Pair",
    "ScoresError",
    "baseline",
    "correlation",
    "find_pairs",
    "invariance",
    "weight_scores",
]


class ScoresError(CircuitomeError):
    """Scores whose shapes or amounts do not go together."""


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Pair scores of one layer under one transform group, and those of its surrogate layers."""

    group: str  # rotate, scale, hue ...
    amounts: (
        np.ndarray
    )  # (a,) positive amounts: degrees, octaves, or 1 for reflections and inversion
    period: float | None  # 360 where amounts are angles, None otherwise
    scores: np.ndarray  # (a, C, C): correlation of neuron i with neuron j under the transform
    plain: np.ndarray  # (C, C): the same without a transform
    null_scores: np.ndarray  # (S, a, C, C) of S surrogate layers
    null_plain: np.ndarray  # (S, C, C)
    turns: np.ndarray | None = (
        None  # (a,) degrees of rotation beside the amounts, where a group has two (hue_rotate)
    )

    def __post_init__(self) -> None:
        self._check_shapes()
        if not len(self.amounts) or (self.amounts <= 0).any():
            raise ScoresError(
                f"amounts {self.amounts.tolist()} of group {self.group}: give one or more, "
                "all positive"
            )
        if self.turns is not None and self.turns.shape != self.amounts.shape:
            raise ScoresError(
                f"group {self.group} has {len(self.amounts)} amounts and {len(self.turns)} turns; "
                "give as many"
            )

    def _check_shapes(self) -> None:
        nulls, neurons = len(self.null_plain), len(self.plain)
        plain = (neurons, neurons)
        layer = (len(self.amounts), *plain)
        tables = (self.scores, self.plain, self.null_scores, self.null_plain)
        shapes = tuple(table.shape for table in tables)
        if shapes != (layer, plain, (nulls, *layer), (nulls, *plain)):
            raise ScoresError(
                f"scores of group {self.group} have shapes {shapes[0]}, {shapes[1]}, "
                f"{shapes[2]} and {shapes[3]}; give (amounts, C, C), (C, C), "
                "(nulls, amounts, C, C) and (nulls, C, C)"
            )

    @property
    def involution(self) -> bool:
        """Whether the transform done twice is none: reflections, inversion."""
        return self.group in SWITCHES


@dataclass(frozen=True, slots=True)
class Pair:
    """Neuron ``j`` is neuron ``i`` (of the lower channel) under a transform."""

    i: int
    j: int
    group: str
    amount: float  # of the best transform of the group, signed: degrees, octaves, or 1
    score: float  # correlation under the transform
    baseline: float  # what it had to beat: agreement without it, or invariance of either
    p: float  # share of the surrogates' pairs that exceed their baselines by as much
    q: float  # expected chance pairs over pairs found, from here up, over all groups of the layer
    turn: float = 0.0  # degrees of the rotation beside the amount (hue_rotate)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of every row of ``a`` ``(C, M)`` with every row of ``b`` ``(C, M)``: ``(C, C)``,
    0 for constant rows.

    >>> correlation(np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[3.0, 1.0], [1.0, 3.0]]))
    array([[-1.,  1.], [ 0.,  0.]])
    """
    return _standard(a) @ _standard(b).T


def _standard(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    silent = norm <= np.sqrt(rows.shape[1]) * 1e-6 * np.abs(rows).max(1, keepdims=True, initial=0)
    return np.where(silent, 0, centred / np.where(silent, 1, norm))


def _signed(scores: GroupScores, amounts: np.ndarray) -> np.ndarray:
    """Amounts (or turns) of both signs, in the order of `_both_signs`; a half turn has but one.

    The score of (i, j) at a negative amount is that of (j, i) at the positive one.
    """
    return np.concatenate([amounts, 0.0 - amounts[_two_sided(scores)]])


def _two_sided(scores: GroupScores) -> np.ndarray:
    if scores.involution:
        return np.zeros(len(scores.amounts), bool)
    half = np.inf if scores.period is None else scores.period / 2
    return np.abs(scores.amounts - half) > 1e-9


def _both_signs(scores: GroupScores, layer: np.ndarray) -> np.ndarray:
    """Add the negative amounts to ``(a, C, C)``; self-inverse transforms become symmetric."""
    two = _two_sided(scores)
    turned = layer.transpose(0, 2, 1)
    return np.concatenate([np.where(two[:, None, None], layer, (layer + turned) / 2), turned[two]])


def baseline(layer: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """What scores ``(a, C, C)`` have to beat: agreement without a transform, invariance of either
    neuron, and 0.
    """
    own = np.diagonal(layer, axis1=1, axis2=2)
    return np.maximum(np.maximum(own[:, :, None], own[:, None, :]), np.maximum(plain, 0))


def _best(scores: GroupScores, layer: np.ndarray, plain: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of every pair i < j: place of its best amount, its score there, its baseline there;
    ``(pairs,)`` each.
    """
    both = _both_signs(scores, layer)
    floor = baseline(both, plain)
    i, j = np.triu_indices(len(plain), 1)
    excess = (both - floor)[:, i, j]
    place = excess.argmax(0)
    return place, both[place, i, j], floor[place, i, j]


def find_pairs(groups: Sequence[GroupScores]) -> list[Pair]:
    """Pairs of one layer that beat their baselines, best amount of every group, with p and q.

    p is pooled over the layer: the share of all pairs of all surrogate layers with at least this
    excess. q counts each pair of neurons once, by its best group, groups being made comparable by
    the mean and spread of the largest excess on surrogate layers, and every neuron once: pairs
    count that are the best of both, since a neuron that by chance has one partner has several. One
    more chance finding than was seen is allowed for, so that few surrogates can't promise much.

    Raises:
        ScoresError: there are no surrogates.
    """
    if not groups:
        return []
    if any(not len(scores.null_plain) for scores in groups):
        raise ScoresError(
            "pairs have no significance without surrogate layers; give two or more, ten are usual"
        )
    found = [_Excess.of(scores) for scores in groups]
    levels, q = _q_by_level(found)
    pairs = [pair for each in found for pair in each.pairs(levels, q)]
    return sorted(pairs, key=lambda pair: (pair.q, pair.p, pair.i, pair.j, pair.group))


@dataclass(frozen=True, slots=True)
class _Excess:
    """Every pair i < j of a layer under one group, at its best amount; ``(pairs,)`` each."""

    scores: GroupScores
    place: np.ndarray
    """Of the best amount, in the order of `_both_signs`."""
    score: np.ndarray
    floor: np.ndarray
    """What the score had to beat."""
    p: np.ndarray
    z: np.ndarray
    """Excess in units of the largest on surrogate layers; -inf if there is none."""
    null_z: np.ndarray
    """``(S, pairs)``: the same of the surrogates' pairs."""

    @classmethod
    def of(cls, scores: GroupScores) -> _Excess:
        """Compare a layer with its surrogates."""
        place, score, floor = _best(scores, scores.scores, scores.plain)
        nulls = zip(scores.null_scores, scores.null_plain, strict=True)
        best = [_best(scores, *layer) for layer in nulls]
        chance = np.array([own - beaten for _, own, beaten in best])
        largest = chance.max(1)
        mean, sd = largest.mean(), largest.std() or 1.0
        excess = score - floor
        z, null_z = (np.where(each > 0, (each - mean) / sd, -np.inf) for each in (excess, chance))
        return cls(scores, place, score, floor, empirical_p(excess, chance), z, null_z)

    def pairs(self, levels: np.ndarray, q: np.ndarray) -> Iterator[Pair]:
        """Those that beat their baselines, with q by their z."""
        scores = self.scores
        i, j = np.triu_indices(len(scores.plain), 1)
        turns = np.zeros(len(scores.amounts)) if scores.turns is None else scores.turns
        amount, turn = (_signed(scores, each)[self.place] for each in (scores.amounts, turns))
        columns = (amount, self.score, self.floor, self.p, q_at(self.z, levels, q), turn)
        for n in np.flatnonzero(self.z > -np.inf):
            numbers = (float(column[n]) for column in columns)
            yield Pair(int(i[n]), int(j[n]), scores.group, *numbers)


def _q_by_level(found: Sequence[_Excess]) -> tuple[np.ndarray, np.ndarray]:
    """Every pair's best z over the groups, rising, and the q that each has."""
    levels = np.max([each.z for each in found], axis=0)
    levels = np.sort(levels[levels > -np.inf])
    null = np.max([each.null_z for each in found], axis=0)
    return levels, target_decoy_q(levels, null[null > -np.inf], copies=len(null))


def invariance(scores: GroupScores) -> np.ndarray:
    """How little every neuron notices the group ``(C,)``: its lowest score with itself over the
    amounts.

    The lowest and not the mean: an even line detector comes back at a half turn, a small turn
    changes little, and neither makes it invariant.
    """
    return np.diagonal(scores.scores, axis1=1, axis2=2).min(0)


def weight_scores(
    kernel: np.ndarray, transform: Transform, partners: np.ndarray | None = None
) -> np.ndarray:
    """Cosine of every kernel under a transform with every kernel ``(C, C)``: evidence from weights
    alone.

    ``kernel``: ``(C, fan_in, kh, kw)``. ``partners``: ``(fan_in, fan_in)``, how much input b is
    input a under the transform; None for a layer that reads the image, whose channels the transform
    itself mixes (hue, inversion). Quarter turns and reflections move entries to entries; other
    angles and scales interpolate linearly between entries and compare where the moved kernel is
    known.
    """
    channels, fan_in, *size = kernel.shape
    if partners is None:
        partners = _colours(transform) if fan_in == 3 else np.eye(fan_in)
    if partners.shape != (fan_in, fan_in):
        raise ScoresError(
            f"partners have shape {partners.shape}; the kernel has {fan_in} inputs, "
            "give one row each"
        )
    moving = _moving(size, transform)
    flat = kernel.reshape(channels, fan_in, -1)
    moved = np.einsum("ab,cap->cbp", partners, flat @ moving)
    known = moving.sum(0) > 1 - 1e-6
    there, here = (each[:, :, known].reshape(channels, -1) for each in (moved, flat))
    return cosines(there, here)


def _moving(size: Sequence[int], transform: Transform) -> np.ndarray:
    """Map of a kernel's entries to those of the moved one, ``(entries, entries)``."""
    back = turning(size, transform.inverse().matrix, decimals=6)
    return np.ascontiguousarray(back.T)  # on the layout the rounding of products depends


def _colours(transform: Transform) -> np.ndarray:
    """``(3, 3)``: how much of channel b channel a becomes."""
    basis = 0.5 + torch.eye(3, dtype=torch.float64)
    return (transform.colour(basis[:, :, None, None])[..., 0, 0] - 0.5).numpy()
