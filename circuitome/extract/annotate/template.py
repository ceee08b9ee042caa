"""Templates: what the weights between two families are a function of, if they turn with them.

A member at offset a is the family's feature turned by a. If a circuit turns with what it reads,
then turning sender and receiver by g turns the kernel between them: ``K(a + g, b + g) = g K(a,
b)``. So every kernel, turned back by its receiver's offset, is a function of ``a - b`` alone, the
*template*; R2 is the share of the turned-back kernels' variance about their mean that it explains
(``e->e``). If one end is a neuron that the group leaves alone there is one relative offset: the
kernel turned, ``i->e`` or ``e->i``; R2 is about the mean entry then. (*Naturally Occurring
Equivariance in Neural Networks*; *Curve Circuits*, Distill 2020-21.)

Null: the members' offsets permuted, on both sides independently. If they are few, all permutations
are gone through. The set of relative offsets is the same in all, so that the bins of the template
are too. Circuits whose offsets cannot tell a perfect template from chance, such as three members
with three, are not asked at all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.extract.stimuli.transforms import Transform
from circuitome.kernels import turning
from circuitome.significance import p_of_count
from circuitome.vocabulary import Q_MAX

__all__ = ["GRIDS", "NULL", "SPATIAL", "Circuit", "OffsetBins", "circuit", "reachable"]

NULL: Final = "offsets"
"""Name of the null model: the members' offsets permuted."""
TURNED: Final = 0.9
"""Turned back, kernels must be explained at least as well as this share of what they are unturned.
"""
NULLS: Final = 999
"""Permutations, if all of them are more than `FEW`."""
FEW: Final = 1_500
ROOM: Final = 200_000
"""Numbers of permuted kernels that are held at a time."""
PER_OFFSET: Final = 3
"""Pairs of members that each relative offset of the template has at least, on average."""
ROUNDING: Final = 1e-9
"""A permutation reaches an R2 to within this: sums depend on order."""

GRIDS: Final[Mapping[str, tuple[float, float | None]]] = {
    "rotate": (15.0, 360.0),
    "hue": (30.0, 360.0),
    "flip_h": (1.0, 2.0),
    "flip_v": (1.0, 2.0),
    "invert": (1.0, 2.0),
    "scale": (0.5, None),
}
"""Finest grid of relative offsets, and the period, of each group that is asked."""
SPATIAL: Final = ("rotate", "flip_h", "flip_v")
"""Groups that turn kernels."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the weights between two families are a function of."""

    circuit_class: str  # `e->e`, `i->e` or `e->i`
    r2: float  # variance that the template explains
    still: float  # the same for kernels that do not turn
    p: float
    """Share of permutations that reach as much, itself among them; 1 if the kernels do not turn."""
    compression: float  # weights over free parameters of the template
    pairs: int
    offsets: np.ndarray  # (m,) sender's offset less the receiver's, rising
    template: np.ndarray  # (m,) mean summed kernel there


def circuit(
    kernels: np.ndarray,
    *,
    group: str,
    senders: np.ndarray | None,
    receivers: np.ndarray | None,
    rng: np.random.Generator,
    nulls: int = NULLS,
) -> Circuit | None:
    """The template of the weights between two families and its p; None if chance cannot be told
    from it.

    Args:
        kernels: ``(senders, receivers, kh, kw)``; of one end only one if it is invariant.
        group: transform group of both.
        senders: offsets ``(senders,)``, degrees, octaves or 0 and 1; None for an invariant sender.
        receivers: the same.
        nulls: permutations drawn if there are too many for all; ten times as many for what hardly
            any of them reached.

    Raises:
        ValueError: both ends are invariant.

    >>> angles = np.arange(8) * 45.0
    >>> weights = np.cos(np.deg2rad(angles[:, None] - angles))[:, :, None, None]
    >>> found = circuit(
    ...     weights, group="rotate", senders=angles, receivers=angles, rng=np.random.default_rng(0)
    ... )
    >>> round(found.r2, 6), found.p, found.compression
    (1.0, 0.0001, 8.0)
    """
    kernels, ends = _at_turned_end(kernels, group, senders, receivers)
    spatial = group in SPATIAL and kernels.shape[2:] != (1, 1)
    if not _can_tell(ends, spatial=spatial):
        return None
    flat = kernels.reshape(*kernels.shape[:2], -1).astype(np.float64)
    turns = _turns(kernels.shape[2:], group, ends.angles) if spatial else None
    r2, still, p = _tested(flat, turns, ends, rng, nulls)
    if not math.isfinite(r2):
        return None
    order = np.argsort(ends.offsets, kind="stable")
    return Circuit(
        circuit_class="->".join("i" if end is None else "e" for end in (senders, receivers)),
        r2=r2,
        still=still,
        p=p,
        compression=ends.bins.size / ends.size,
        pairs=ends.bins.size,
        offsets=ends.offsets[order],
        template=ends.means(flat.sum(2))[order],
    )


def _at_turned_end(
    kernels: np.ndarray, group: str, senders: np.ndarray | None, receivers: np.ndarray | None
) -> tuple[np.ndarray, OffsetBins]:
    """Kernels ``(other, turned, kh, kw)`` with the end by whose offsets they are turned second, and
    the relative offsets.
    """
    if group == "scale":
        kernels = kernels.sum((2, 3), keepdims=True)
    if receivers is not None:
        return kernels, OffsetBins.of(group, senders, receivers)
    if senders is None:
        raise ValueError("at least one end of an equivariant circuit has offsets")
    return kernels.swapaxes(0, 1), OffsetBins.of(group, None, senders)


def _tested(
    flat: np.ndarray,
    turns: np.ndarray | None,
    ends: OffsetBins,
    rng: np.random.Generator,
    nulls: int,
) -> tuple[float, float, float]:
    """R2 of the template of kernels ``(other, turned, entries)``, the same if they do not turn, and
    p.
    """
    back = unturned = flat[:, :, None].repeat(len(ends.angles), 2)
    if turns is not None:
        back = np.einsum("xef,otf->otxe", turns, flat, optimize=True)
    r2, still = _in_place(back, ends), _in_place(unturned, ends)
    return r2, still, _permuted(back, ends, r2, rng, nulls) if r2 >= TURNED * still else 1.0


def _turns(size: Sequence[int], group: str, offsets: np.ndarray) -> np.ndarray:
    """Maps ``(offsets, entries, entries)`` that turn kernels back by each of some offsets."""
    return np.stack([turning(size, Transform(group, float(each)).matrix) for each in offsets])


def _can_tell(ends: OffsetBins, *, spatial: bool) -> bool:
    """Whether a template could be told from chance."""
    varies = ends.size > 1 if ends.between else spatial  # permuting what does not turn is idle
    return varies and reachable(ends, spatial=spatial) <= Q_MAX


def _in_place(back: np.ndarray, ends: OffsetBins) -> float:
    """R2 if no member is permuted; NaN if there is nothing to explain."""
    others, turned = ends.bins.shape
    return float(_explained(back, ends, np.arange(others)[None], np.arange(turned)[None])[0])


@dataclass(frozen=True, slots=True)
class OffsetBins:
    """The relative offsets of all pairs in bins, from offsets alone."""

    bins: np.ndarray  # (other, turned) int64, bin of each pair
    size: int  # bins, all of them taken
    offsets: np.ndarray  # (size,) mean relative offset of each
    angles: np.ndarray  # (turned,) by what the kernels are turned
    between: bool  # whether both ends have offsets

    @classmethod
    def of(cls, group: str, other: np.ndarray | None, turned: np.ndarray) -> OffsetBins:
        """The finest bins on the group's grid that have enough pairs each; one bin where one end is
        invariant.
        """
        if other is None:
            return cls(np.zeros((1, len(turned)), np.int64), 1, np.zeros(1), turned, between=False)
        step, period = GRIDS[group]
        apart = other[:, None] - turned[None, :]
        most = max(2, apart.size // PER_OFFSET)
        widths = _widths(step, period, float(np.ptp(apart)))
        grids = (_binned(apart, width, period) for width in widths)
        bins, offsets = next(grid for grid in grids if len(grid[1]) <= most)
        return cls(bins, len(offsets), offsets, turned, between=True)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of some values of the pairs ``(other, turned)`` in each bin, ``(size,)``."""
        return _means_of(values, self.bins)

    def permuted(self, sigma: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """Bins ``(P, other, turned)`` after permutations ``(P, other)`` and ``(P, turned)`` of the
        ends.
        """
        return self.bins[sigma[:, :, None], tau[:, None, :]]


def _widths(step: float, period: float | None, span: float) -> list[float]:
    if period is None:
        return [step * factor for factor in range(1, math.ceil(span / step) + 2)]
    places = round(period / step)
    return [period / count for count in range(places, 1, -1) if places % count == 0]


def _binned(apart: np.ndarray, width: float, period: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Bin of each difference, numbered from 0, and the mean difference in each; the grid lies where
    the differences do.
    """
    shift = np.angle(np.exp(2j * np.pi * apart / width).mean()) / 2 / np.pi * width
    place = np.round((apart - shift) / width).astype(np.int64)
    if period is not None:
        place %= round(period / width)
    there, bins = np.unique(place, return_inverse=True)
    bins = bins.reshape(apart.shape)
    if period is None:
        return bins, _means_of(apart, bins)
    rest = apart - shift - there[bins] * width
    rest = (rest + period / 2) % period - period / 2
    middle = _means_of(rest, bins) + there * width + shift
    return bins, (middle + period / 2) % period - period / 2


def _means_of(values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Mean of the values in each bin; none is empty."""
    of = bins.reshape(-1)
    return np.bincount(of, values.reshape(-1)) / np.bincount(of)


def reachable(ends: OffsetBins, *, spatial: bool) -> float:
    """The least p that a perfect template could have: the share of permutations that cannot be told
    from none.

    Those after which the same pairs are together, and all kernels are turned alike; 0 if there
    are too many to look.

    >>> thirds = np.arange(3) * 120.0
    >>> reachable(OffsetBins.of("rotate", thirds, thirds), spatial=False)
    0.5
    """
    others, turned = ends.bins.shape
    total = math.factorial(others) * math.factorial(turned)
    if total > FEW:
        return 0.0
    sigma, tau = _every(others, turned)
    alike = (_canonical(ends.permuted(sigma, tau)) == _canonical(ends.bins[None])).all(1)
    if spatial:
        by = (ends.angles[tau] - ends.angles + 180) % 360
        alike &= (np.abs(by - by[:, :1]) < 1e-6).all(1)
    return float(alike.sum()) / total


def _canonical(bins: np.ndarray) -> np.ndarray:
    """Bins ``(P, o, t)`` as the place where each first occurs, ``(P, o * t)``: equal where the same
    pairs are together.
    """
    flat = bins.reshape(len(bins), -1)
    return (flat[:, :, None] == flat[:, None, :]).argmax(2)


def _every(others: int, turned: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of permutations of both ends, ``(P, others)`` and ``(P, turned)``."""
    one, two = (np.array(list(itertools.permutations(range(size)))) for size in (others, turned))
    return one.repeat(len(two), 0), np.tile(two, (len(one), 1))


def _permuted(
    back: np.ndarray, ends: OffsetBins, observed: float, rng: np.random.Generator, nulls: int
) -> float:
    """Share of permutations of both ends that reach what is observed."""
    others, turned = ends.bins.shape
    bar = observed - ROUNDING
    if math.factorial(others) * math.factorial(turned) <= FEW:
        reached = _explained(back, ends, *_every(others, turned)) >= bar
        return float(reached.mean())
    for number in (nulls, nulls * 10 + 9):
        sigma = rng.permuted(np.tile(np.arange(others), (number, 1)), axis=1)
        tau = rng.permuted(np.tile(np.arange(turned), (number, 1)), axis=1)
        count = int((_explained(back, ends, sigma, tau) >= bar).sum())
        if count > 4:
            break
    return float(p_of_count(count, number))


def _explained(
    back: np.ndarray, ends: OffsetBins, sigma: np.ndarray, tau: np.ndarray
) -> np.ndarray:
    """R2 ``(P,)`` after each of some permutations of both ends; NaN if there is nothing to explain.

    ``back``: ``(other, turned, turned, entries)``, each kernel turned back by every offset of its
    side.
    """
    size = max(1, ROOM // (ends.bins.size * (back.shape[3] + ends.size)))
    parts = [slice(start, start + size) for start in range(0, len(sigma), size)]
    return np.concatenate([_share(back, ends, sigma[part], tau[part]) for part in parts])


def _share(back: np.ndarray, ends: OffsetBins, sigma: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """R2 after a few permutations, as many as fit into memory."""
    others, turned, _, entries = back.shape
    places = np.arange(others)[:, None], np.arange(turned), tau[:, None, :]
    taken = back[places].reshape(-1, others * turned, entries)
    base, template = _energies(taken, ends, sigma, tau)
    energy = np.square(taken).sum((1, 2))
    total = energy - base
    varies = total > 1e-12 * energy
    return np.where(varies, (template - base) / np.where(varies, total, 1), np.nan)


def _energies(
    taken: np.ndarray, ends: OffsetBins, sigma: np.ndarray, tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Energy ``(P,)`` of kernels ``(P, pairs, entries)`` that are all alike, and of those of the
    template.
    """
    pairs, entries = taken.shape[1:]
    mean = taken.mean(1)
    alike = pairs * np.square(mean).sum(1)
    if not ends.between:
        return pairs * entries * np.square(mean.mean(1)), alike
    bins = ends.permuted(sigma, tau).reshape(-1, pairs)
    return alike, _energy_of_means(taken, bins, ends.size)


def _energy_of_means(taken: np.ndarray, bins: np.ndarray, size: int) -> np.ndarray:
    """Energy ``(P,)`` of kernels ``(P, pairs, entries)``, each replaced by the mean of its bin
    ``(P, pairs)``.
    """
    inside = (bins[:, None] == np.arange(size)[:, None]).astype(np.float64)
    return (np.square(inside @ taken).sum(2) / inside.sum(2)).sum(1)
