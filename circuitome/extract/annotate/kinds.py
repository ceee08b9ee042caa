"""What kind of neuron it is: the stimulus that drives it, held against twins of the network.

Three numbers are kept apart, for one alone misleads:

* *Which stimulus*: the one with the cell that the neuron prefers. Cell means are shrunk towards
  their stimulus's by what the trials disagree within cells (James & Stein), so that a stimulus of
  many cells gains nothing by noise, are put in the neuron's own standard deviations, and the mean
  over the twins' neurons for the same cell is taken off: some stimuli drive anything. (The share of
  variance alone names the wrong one: a curve neuron responds to every circle half way, so circles,
  few and all alike, hold more of its variance than the few curves that it is about.)
* *How much it explains*: the share of the neuron's variance over all trials, stimuli weighted
  equally, that lies between the cells of the stimulus and everything else lumped together; less the
  share that noise alone would give (as omega squared: Hays, *Statistics for Psychologists*, 1963).
* *Whether that means anything*: the share (its arcsine root) is standardised by what the twins'
  neurons have for the same stimulus, and p is the share of the twins' neurons, with the stimuli
  chosen for them alike, that reach as much; q by Benjamini & Hochberg (1995) within the layer. So a
  neuron that prefers one stimulus while others hold most of its variance stays unexplained, however
  sharp its tuning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.extract.annotate.tuner import (
    AxisLike,
    CellLike,
    CellMeans,
    Curve,
    KindError,
    Table,
    Tuned,
    Tuner,
)
from circuitome.extract.responses.cells import CellStatistics
from circuitome.significance import benjamini_hochberg, empirical_p
from circuitome.vocabulary import Q_MAX

__all__ = ["SILENT", "UNEXPLAINED", "Kinds", "kinds"]

UNEXPLAINED: Final = "unexplained"
SILENT: Final = "silent"
"""Kind of a neuron that gives one and the same response to every trial."""
TINY: Final = 1e-12
"""A variance below this share of the squared responses is rounding."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of a layer's neurons, one entry a neuron."""

    kind: np.ndarray
    """str: a stimulus, `unexplained` or `silent`."""
    best: np.ndarray
    """str: the stimulus it prefers, significant or not; empty if silent."""
    runner_up: np.ndarray
    """str: the next one; empty if silent or if there is one stimulus only."""
    explained: np.ndarray
    """Share of its variance that `best` explains, from 0 to 1."""
    p: np.ndarray
    """Share of the twins' neurons, one added, that reach as much."""
    q: np.ndarray
    """The same, corrected within the layer."""
    orientation_deg: np.ndarray
    """Preferred parameters; NaN if `kind` has no such axis or is not a stimulus."""
    frequency: np.ndarray
    """Cycles per pixel."""
    hue_deg: np.ndarray
    radius_px: np.ndarray
    preferred_sd: np.ndarray
    """Standard deviation of the preferred value on the main axis of `best`."""
    selectivity: np.ndarray
    """Along that axis, as `Tuning` has it; NaN if it has none."""
    selectivity_sd: np.ndarray
    curves: tuple[Curve | None, ...]
    """None if silent or if `best` has one value only."""


@dataclass(frozen=True, slots=True)
class _Stimuli:
    """The stimuli of a list of cells."""

    names: tuple[str, ...]
    of: np.ndarray
    """``(cells,)`` number of each cell's stimulus."""

    @classmethod
    def of_cells(cls, cells: Sequence[CellLike]) -> _Stimuli:
        names = tuple(dict.fromkeys(cell.stimulus for cell in cells))
        return cls(names, np.array([names.index(cell.stimulus) for cell in cells]))

    def rows(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every stimulus with the numbers of its cells."""
        for number, name in enumerate(self.names):
            yield name, np.flatnonzero(self.of == number)

    @property
    def member(self) -> np.ndarray:
        """``(F, K)``: 1 for the cells of each stimulus."""
        return (np.arange(len(self.names))[:, None] == self.of).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Layer:
    """What is read from the statistics of one layer; C neurons, F stimuli, K cells."""

    live: np.ndarray
    """``(C,)`` bool: its responses vary."""
    cells: CellMeans
    drive: np.ndarray
    """``(K, C)`` shrunk cell means, in the neuron's standard deviations from its mean."""
    raw: np.ndarray
    """``(K, C)`` the same, not shrunk."""
    explained: np.ndarray
    """``(F, C)`` share of variance that each stimulus explains; may be a little below 0."""


def kinds(
    stats: CellStatistics,
    null_stats: Sequence[CellStatistics],
    cells: Sequence[CellLike],
    axes: Mapping[str, Sequence[AxisLike]],
    *,
    seed: int = 0,
) -> Kinds:
    """Kinds of a layer's neurons.

    Args:
        stats: the layer's responses to the cells.
        null_stats: those of the same layer of each twin.
        cells: what each cell shows.
        axes: axes of each stimulus, nuisances left out; the first that takes several values is the
            main one.
        seed: of the uncertainties.

    Raises:
        KindError: no twins, a cell that was never shown, statistics that do not fit the cells, or
            an axis with a column that neurons do not have.
    """
    _check_all(stats, null_stats, cells)
    stimuli = _Stimuli.of_cells(cells)
    layer, twins = _read(stats, stimuli), [_read(each, stimuli) for each in null_stats]
    usual = _usual(twins)
    order = _preferred(layer, stimuli, usual)
    p = _significance(layer, twins, stimuli, usual)
    tables = [Table.of(rows, cells, axes[name]) for name, rows in stimuli.rows()]
    tuner = Tuner(layer.cells, seed)
    for number, table in enumerate(tables):
        tuner.tune(table, np.flatnonzero(layer.live & (order[0] == number)))
    return _described(layer, np.array(stimuli.names), order, p, tuner.tuned)


def _described(
    layer: _Layer, names: np.ndarray, order: np.ndarray, p: np.ndarray, tuned: Tuned
) -> Kinds:
    """Kinds of neurons that prefer the stimuli ``names`` in an ``order`` ``(F, C)``."""
    live, q = layer.live, benjamini_hochberg(p)
    significant = live & (q <= Q_MAX)
    best, *others = (np.where(live, names[place], "") for place in order[:2])
    share = np.clip(_of_each(layer.explained, order[0]), 0, 1)
    parameters = tuned.parameters.items()
    return Kinds(
        kind=np.where(significant, best, np.where(live, UNEXPLAINED, SILENT)),
        best=best,
        runner_up=others[0] if others else np.full(len(p), ""),
        explained=np.where(live, share, 0.0),
        p=p,
        q=q,
        preferred_sd=tuned.preferred_sd,
        selectivity=tuned.selectivity,
        selectivity_sd=tuned.selectivity_sd,
        curves=tuple(tuned.curves),
        **{name: np.where(significant, values, np.nan) for name, values in parameters},
    )


def _of_each(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Of ``(F, C)`` the entry of every neuron at its own place ``(C,)``: ``(C,)``."""
    return np.take_along_axis(values, place[None], 0)[0]


def _check_all(
    stats: CellStatistics, null_stats: Sequence[CellStatistics], cells: Sequence[CellLike]
) -> None:
    for each in (stats, *null_stats):
        _check(each, cells)
    if not null_stats:
        raise KindError(
            "kinds need the responses of twins to be held against; give at least one twin"
        )


def _check(stats: CellStatistics, cells: Sequence[CellLike]) -> None:
    if len(stats.n) != len(cells) or not len(cells):
        raise KindError(
            f"statistics of {len(stats.n)} cells for {len(cells)} described ones; "
            "use those of one catalogue"
        )
    if not (stats.n > 0).all():
        missing = cells[int(np.argmin(stats.n))]
        raise KindError(
            f"{missing.stimulus} {dict(missing.values)} was never shown; "
            "run the whole catalogue before asking for kinds"
        )


@dataclass(frozen=True, slots=True)
class _Variances:
    """Of what the responses to each stimulus are made."""

    trials: np.ndarray
    """``(F, 1)``."""
    centre: np.ndarray
    """``(F, C)`` mean response."""
    noise: np.ndarray
    """``(F, C)`` variance within the cells."""
    between: np.ndarray
    """``(F, C)`` variance between the cells, less what noise alone gives."""

    @classmethod
    def of(
        cls, stats: CellStatistics, stimuli: _Stimuli, means: np.ndarray, within: np.ndarray
    ) -> _Variances:
        """From the means and the sums of squares of the cells, ``(K, C)`` each."""
        member = stimuli.member
        sizes, trials = member.sum(1)[:, None], (member @ stats.n)[:, None]
        centre = member @ stats.total / trials
        noise = member @ within / np.maximum(trials - sizes, 1)
        apart = np.square(means - centre[stimuli.of])
        between = member @ (stats.n[:, None] * apart) / trials
        return cls(trials, centre, noise, between - (sizes - 1) / trials * noise)

    @property
    def explained(self) -> np.ndarray:
        """Variance ``(F, C)`` between the cells of each stimulus and everything else."""
        return self.between / len(self.trials) + _contrast(self.centre, self.noise / self.trials)

    def shrunk(self, means: np.ndarray, trials: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Means ``(K, C)`` of cells moved to their stimuli's, ``of``, by the share of noise in
        their variance.
        """
        signal = np.maximum(self.between, 0)[of]
        noise = self.noise[of] / trials[:, None]
        kept = signal / np.maximum(signal + noise, np.finfo(float).tiny)
        return self.centre[of] + kept * (means - self.centre[of])


def _read(stats: CellStatistics, stimuli: _Stimuli) -> _Layer:
    means = stats.means
    within = np.maximum(stats.squares - stats.total * means, 0)
    parts = _Variances.of(stats, stimuli, means, within)
    square = (stimuli.member @ stats.squares / parts.trials).mean(0)
    grand = parts.centre.mean(0)
    live = square - grand**2 > TINY * square
    variance = np.where(live, square - grand**2, 1)
    above = np.stack([parts.shrunk(means, stats.n, stimuli.of), means]) - grand
    drive, raw = np.where(live, above / np.sqrt(variance), 0)
    explained = np.where(live, parts.explained / variance, 0)
    return _Layer(live, CellMeans(stats.n, means, within, grand), drive, raw, explained)


def _contrast(centre: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """Variance ``(F, C)`` between each stimulus's mean and that of all others.

    A stimulus weighs 1 / F, so this comes to (mean - grand)^2 / (F - 1), less what the ``jitter``
    of the means, their variance by noise, gives.
    """
    count = len(centre)
    if count < 2:
        return np.zeros_like(centre)
    own = np.square(centre - centre.mean(0))
    return (own - (1 - 2 / count) * jitter - jitter.mean(0) / count) / (count - 1)


def _usual(twins: Sequence[_Layer]) -> np.ndarray:
    """What a twin's neuron gives to each cell on average, in its standard deviations, ``(K,
    1)``.
    """
    live = max(1, sum(int(twin.live.sum()) for twin in twins))
    return sum((twin.raw.sum(1) for twin in twins), np.zeros(len(twins[0].raw)))[:, None] / live


def _preferred(layer: _Layer, stimuli: _Stimuli, usual: np.ndarray) -> np.ndarray:
    """Stimuli by falling drive of their best cell, ``(F, C)``."""
    excess = layer.drive - usual
    best = [excess[stimuli.of == number].max(0) for number in range(len(stimuli.names))]
    return np.argsort(-np.stack(best), axis=0, kind="stable")


def _significance(
    layer: _Layer, twins: Sequence[_Layer], stimuli: _Stimuli, usual: np.ndarray
) -> np.ndarray:
    """p of every neuron, ``(C,)``, pooled over the twins' neurons."""
    pooled = np.concatenate([_angle(twin.explained[:, twin.live]) for twin in twins], axis=1)
    if not pooled.shape[1]:
        return np.ones(len(layer.live))
    mean, spread = pooled.mean(1), pooled.std(1)
    scale = np.where(spread > 0, spread, 1)

    def score(of: _Layer) -> np.ndarray:
        best = _preferred(of, stimuli, usual)[0]
        share = _of_each(_angle(of.explained), best)
        return np.where(of.live, (share - mean[best]) / scale[best], -np.inf)

    null = np.concatenate([score(twin) for twin in twins])
    return np.where(layer.live, empirical_p(score(layer), null), 1.0)


def _angle(share: np.ndarray) -> np.ndarray:
    """Arcsine root of shares: their spread then depends little on their size."""
    return np.arcsin(np.sqrt(np.clip(share, 0, 1)))
