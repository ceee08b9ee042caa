"""What kind of neuron it is: the family of stimuli that drives it, held against twins of the network.

Three numbers are kept apart, for one alone misleads:

* *Which family*: the one with the cell that the neuron prefers. Cell means are shrunk towards their family's by what the
  trials disagree within cells (James & Stein), so that a family of many cells gains nothing by noise, are put in the
  neuron's own standard deviations, and the mean over the twins' neurons for the same cell is taken off: some stimuli
  drive anything. (The share of variance alone names the wrong family: a curve neuron answers every circle half way, so
  circles, few and all alike, hold more of its variance than the few curves that it is about.)
* *How much it explains*: the share of the neuron's variance over all trials, families weighted equally, that lies
  between the cells of the family and everything else lumped together; less the share that noise alone would give
  (as omega squared: Hays, *Statistics for Psychologists*, 1963).
* *Whether that means anything*: the share (its arcsine root) is standardised by what the twins' neurons have for the
  same family, and p is the share of the twins' neurons, with the families chosen for them alike, that reach as much;
  q by Benjamini & Hochberg (1995) within the layer. So a neuron that prefers one family while others hold most of its
  variance stays unexplained, however sharp its tuning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from circuitome.errors import CircuitomeError
from circuitome.extract.responses.cells import CellStatistics
from circuitome.significance import benjamini_hochberg
from circuitome.tuning import Tuning, tune

__all__ = [
    "COLUMNS",
    "LEVEL",
    "SILENT",
    "UNEXPLAINED",
    "AxisLike",
    "CellLike",
    "Curve",
    "KindError",
    "Kinds",
    "kinds",
]

UNEXPLAINED: Final = "unexplained"
SILENT: Final = "silent"
"""Kind of a neuron that gives one and the same response to every trial."""
LEVEL: Final = 0.05
"""A kind is named where q is at most this."""
COLUMNS: Final = ("orientation_deg", "frequency", "hue_deg", "radius_px")
"""Preferred parameters that have a column of their own."""
TINY: Final = 1e-12
"""A variance below this share of the squared responses is rounding."""


class KindError(CircuitomeError):
    """Statistics from which no kinds can be read."""


class CellLike(Protocol):
    """One combination of the values of a stimulus."""

    @property
    def stimulus(self) -> str: ...
    @property
    def values(self) -> Mapping[str, float]: ...


class AxisLike(Protocol):
    """One parameter of a stimulus."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def period(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Curve:
    """A neuron's tuning curve along the main axis of its best family, the other axes at what it prefers."""

    tuned_to: str  # "curve: orientation, degrees"
    at: np.ndarray  # (n,) values of the axis
    mean: np.ndarray  # (n,) mean responses
    error: np.ndarray  # (n,) their standard errors, the spread within cells pooled over the curve; NaN without repeats


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of a layer's neurons, one entry a neuron."""

    kind: np.ndarray  # str: a family of stimuli, `unexplained` or `silent`
    best: np.ndarray  # str: the family it prefers, significant or not; empty where silent
    runner_up: np.ndarray  # str: the next one; empty where silent or where there is one family only
    explained: np.ndarray  # share of its variance that `best` explains, from 0 to 1
    p: np.ndarray  # share of the twins' neurons, one added, that reach as much
    q: np.ndarray  # the same, corrected within the layer
    orientation_deg: (
        np.ndarray
    )  # preferred parameters; NaN where `kind` has no such axis or is not a family
    frequency: np.ndarray  # cycles per pixel
    hue_deg: np.ndarray
    radius_px: np.ndarray
    preferred_sd: np.ndarray  # standard deviation of the preferred value on the main axis of `best`
    selectivity: np.ndarray  # along that axis, as `Tuning` has it; NaN where it has none
    selectivity_sd: np.ndarray
    curves: tuple[Curve | None, ...]  # None where silent or where `best` has one value only


@dataclass(frozen=True, slots=True)
class _Families:
    """The families of a list of cells."""

    names: tuple[str, ...]
    of: np.ndarray  # (cells,) number of each cell's family


@dataclass(frozen=True, slots=True)
class _Layer:
    """What is read from the statistics of one layer; C neurons, F families, K cells."""

    live: np.ndarray  # (C,) bool: its responses vary
    grand: np.ndarray  # (C,) mean response, families weighted equally
    means: np.ndarray  # (K, C) mean responses
    within: np.ndarray  # (K, C) sum of squares within the cells
    drive: np.ndarray  # (K, C) shrunk cell means, in the neuron's standard deviations from its mean
    raw: np.ndarray  # (K, C) the same, not shrunk
    explained: (
        np.ndarray
    )  # (F, C) share of variance that each family explains; may be a little below 0


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
        axes: axes of each stimulus, nuisances left out; the first that takes several values is the main one.
        seed: of the uncertainties.

    Raises:
        KindError: no twins, a cell that was never shown, or statistics that do not fit the cells.
    """
    for each in (stats, *null_stats):
        _check(each, cells)
    if not null_stats:
        raise KindError(
            "kinds need the responses of twins to be held against; give at least one twin"
        )
    families = _families(cells)
    layer, twins = _read(stats, families), [_read(each, families) for each in null_stats]
    usual = _usual(twins)
    order, p = _preferred(layer, families, usual), _significance(layer, twins, families, usual)
    q, best = benjamini_hochberg(p), order[0]
    names = np.array(families.names)
    named = layer.live & (q <= LEVEL)
    kind = np.where(named, names[best], np.where(layer.live, UNEXPLAINED, SILENT))
    runner_up = names[order[1]] if len(order) > 1 else np.full(len(best), "")
    share = np.clip(np.take_along_axis(layer.explained, best[None], 0)[0], 0, 1)
    tuned = _tuned(stats, layer, families, cells, axes, best, seed)
    parameters = {column: np.where(named, tuned.parameters[column], np.nan) for column in COLUMNS}
    return Kinds(
        kind=kind,
        best=np.where(layer.live, names[best], ""),
        runner_up=np.where(layer.live, runner_up, ""),
        explained=np.where(layer.live, share, 0.0),
        p=p,
        q=q,
        preferred_sd=tuned.preferred_sd,
        selectivity=tuned.selectivity,
        selectivity_sd=tuned.selectivity_sd,
        curves=tuple(tuned.curves),
        **parameters,
    )


def _check(stats: CellStatistics, cells: Sequence[CellLike]) -> None:
    if len(stats.n) != len(cells) or not len(cells):
        raise KindError(
            f"statistics of {len(stats.n)} cells for {len(cells)} described ones; use those of one catalogue"
        )
    if not (stats.n > 0).all():
        missing = cells[int(np.argmin(stats.n))]
        raise KindError(
            f"{missing.stimulus} {dict(missing.values)} was never shown; run the whole catalogue before asking for kinds"
        )


def _families(cells: Sequence[CellLike]) -> _Families:
    names = tuple(dict.fromkeys(cell.stimulus for cell in cells))
    return _Families(names, np.array([names.index(cell.stimulus) for cell in cells]))


def _read(stats: CellStatistics, families: _Families) -> _Layer:
    means = stats.total / stats.n[:, None]
    within = np.maximum(stats.squares - stats.total * means, 0)
    count = len(families.names)
    member = (np.arange(count)[:, None] == families.of).astype(np.float64)  # (F, K)
    trials, sizes = member @ stats.n, member.sum(1)
    family = member @ stats.total / trials[:, None]  # (F, C) mean of each family
    square = member @ stats.squares / trials[:, None]
    grand = family.mean(0)
    variance = square.mean(0) - grand**2
    live = variance > TINY * square.mean(0)
    spread = np.sqrt(np.where(live, variance, 1))
    noise = member @ within / np.maximum(trials - sizes, 1)[:, None]  # (F, C) variance within cells
    between = member @ (stats.n[:, None] * np.square(means - family[families.of])) / trials[:, None]
    between -= (sizes - 1)[:, None] / trials[:, None] * noise
    signal = np.maximum(between, 0)[families.of]
    kept = signal / np.maximum(signal + noise[families.of] / stats.n[:, None], np.finfo(float).tiny)
    shrunk = family[families.of] + kept * (means - family[families.of])
    # a family weighs 1 / F; the contrast of its mean with the mean of all others comes to (mean - grand)^2 / (F - 1)
    jitter = noise / trials[:, None]  # of a family's mean
    contrast = np.square(family - grand) - (1 - 2 / count) * jitter - jitter.mean(0) / count
    explained = between / count + (contrast / (count - 1) if count > 1 else 0)
    return _Layer(
        live=live,
        grand=grand,
        means=means,
        within=within,
        drive=np.where(live, (shrunk - grand) / spread, 0),
        raw=np.where(live, (means - grand) / spread, 0),
        explained=np.where(live, explained / np.where(live, variance, 1), 0),
    )


def _usual(twins: Sequence[_Layer]) -> np.ndarray:
    """What a twin's neuron gives to each cell on average, in its standard deviations, ``(K, 1)``."""
    live = max(1, sum(int(twin.live.sum()) for twin in twins))
    return sum((twin.raw.sum(1) for twin in twins), np.zeros(len(twins[0].raw)))[:, None] / live


def _preferred(layer: _Layer, families: _Families, usual: np.ndarray) -> np.ndarray:
    """Families by falling drive of their best cell, ``(F, C)``."""
    excess = layer.drive - usual
    best = np.stack([excess[families.of == family].max(0) for family in range(len(families.names))])
    return np.argsort(-best, axis=0, kind="stable")


def _significance(
    layer: _Layer, twins: Sequence[_Layer], families: _Families, usual: np.ndarray
) -> np.ndarray:
    """p of every neuron, ``(C,)``, pooled over the twins' neurons."""
    live = [np.arcsin(np.sqrt(np.clip(twin.explained[:, twin.live], 0, 1))) for twin in twins]
    pooled = np.concatenate(live, axis=1)
    if not pooled.shape[1]:
        return np.ones(len(layer.live))
    mean, spread = pooled.mean(1), pooled.std(1)
    scale = np.where(spread > 0, spread, 1)

    def score(of: _Layer) -> np.ndarray:
        best = _preferred(of, families, usual)[0]
        share = np.take_along_axis(np.arcsin(np.sqrt(np.clip(of.explained, 0, 1))), best[None], 0)[
            0
        ]
        return np.where(of.live, (share - mean[best]) / scale[best], -np.inf)

    null = np.sort(np.concatenate([score(twin) for twin in twins]))
    reached = len(null) - np.searchsorted(null, score(layer), side="left")
    return np.where(layer.live, (1 + reached) / (1 + len(null)), 1.0)


@dataclass(frozen=True, slots=True)
class _Tuned:
    """Tuning of a layer's neurons within their best families; filled family by family."""

    parameters: dict[str, np.ndarray]  # column -> (C,)
    preferred_sd: np.ndarray
    selectivity: np.ndarray
    selectivity_sd: np.ndarray
    curves: list[Curve | None]


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells of one family as a table."""

    rows: np.ndarray  # (k,) numbers of the cells
    axes: tuple[AxisLike, ...]  # those that take several values, the main one first
    values: np.ndarray  # (k, axes)


def _tuned(
    stats: CellStatistics,
    layer: _Layer,
    families: _Families,
    cells: Sequence[CellLike],
    axes: Mapping[str, Sequence[AxisLike]],
    best: np.ndarray,
    seed: int,
) -> _Tuned:
    parameters = {column: np.full(len(best), np.nan) for column in COLUMNS}
    preferred_sd, selectivity, selectivity_sd = np.full((3, len(best)), np.nan)
    tuned = _Tuned(parameters, preferred_sd, selectivity, selectivity_sd, [None] * len(best))
    for number, name in enumerate(families.names):
        neurons = np.flatnonzero(layer.live & (best == number))
        table = _table(np.flatnonzero(families.of == number), cells, axes[name])
        if len(neurons) and table.axes:
            for chosen, setting in _settings(layer, table, neurons):
                _tune_main(tuned, stats, layer, table, name, chosen, setting, seed)
                _tune_others(tuned, layer, table, chosen, setting, seed)
    return tuned


def _table(rows: np.ndarray, cells: Sequence[CellLike], axes: Sequence[AxisLike]) -> _Table:
    values = np.array([[cells[row].values[axis.name] for axis in axes] for row in rows]).reshape(
        len(rows), len(axes)
    )
    counts = [len(np.unique(column)) for column in values.T]
    if math.prod(counts) != len(rows):
        raise KindError(
            f"{cells[rows[0]].stimulus} has {len(rows)} cells for {' x '.join(map(str, counts))} values of its axes; "
            "give every combination of the values once"
        )
    several = [place for place, count in enumerate(counts) if count > 1]
    return _Table(rows, tuple(axes[place] for place in several), values[:, several])


def _settings(
    layer: _Layer, table: _Table, neurons: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Neurons by the values of the other axes that they prefer, where their responses above the mean hold most energy."""
    others, of = np.unique(table.values[:, 1:], axis=0, return_inverse=True)
    above = np.square(
        np.maximum(layer.means[np.ix_(table.rows, neurons)] - layer.grand[neurons], 0)
    )
    energy = np.stack([above[of.reshape(-1) == setting].mean(0) for setting in range(len(others))])
    chosen = energy.argmax(0)
    return [(neurons[chosen == setting], others[setting]) for setting in np.unique(chosen)]


def _tune_main(
    tuned: _Tuned,
    stats: CellStatistics,
    layer: _Layer,
    table: _Table,
    name: str,
    neurons: np.ndarray,
    setting: np.ndarray,
    seed: int,
) -> None:
    rows, values = _along(table, 0, setting)
    if len(values) < 2:
        return
    axis, means = table.axes[0], layer.means[np.ix_(rows, neurons)]
    found = tune(values, means.T, period=axis.period, seed=seed)
    _store(tuned, axis, neurons, found)
    tuned.preferred_sd[neurons] = found.preferred_sd
    tuned.selectivity[neurons], tuned.selectivity_sd[neurons] = (
        found.selectivity,
        found.selectivity_sd,
    )
    error = _errors(stats, layer, rows, neurons)
    tuned_to = f"{name}: {axis.name}" + (f", {axis.unit}" if axis.unit else "")
    for place, neuron in enumerate(neurons):
        tuned.curves[neuron] = Curve(tuned_to, values, means[:, place], error[:, place])


def _errors(
    stats: CellStatistics, layer: _Layer, rows: np.ndarray, neurons: np.ndarray
) -> np.ndarray:
    """Standard errors of cell means, ``(rows, neurons)``, the spread within cells pooled over the rows."""
    freedom = stats.n[rows].sum() - len(rows)
    if not freedom:
        return np.full((len(rows), len(neurons)), np.nan)
    return np.sqrt(layer.within[np.ix_(rows, neurons)].sum(0) / freedom / stats.n[rows, None])


def _tune_others(
    tuned: _Tuned, layer: _Layer, table: _Table, neurons: np.ndarray, setting: np.ndarray, seed: int
) -> None:
    """Preferred values on the other axes: responses averaged along the main axis, weighted by the curve above the mean."""
    rows, _ = _along(table, 0, setting)
    weight = np.maximum(layer.means[np.ix_(rows, neurons)] - layer.grand[neurons], 0)
    weight = weight / np.where(weight.sum(0) > 0, weight.sum(0), 1)
    for place, axis in enumerate(table.axes[1:]):
        if _column(axis) is None:
            continue
        values = np.unique(table.values[:, place + 1])
        curves = []
        for value in values:
            here = setting.copy()
            here[place] = value
            curves.append((weight * layer.means[np.ix_(_along(table, 0, here)[0], neurons)]).sum(0))
        _store(
            tuned,
            axis,
            neurons,
            tune(values, np.stack(curves, axis=1), period=axis.period, seed=seed),
        )


def _along(table: _Table, place: int, setting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells along one axis, the others at ``setting``, in order of the axis: their numbers and values."""
    there = np.flatnonzero((np.delete(table.values, place, axis=1) == setting).all(1))
    order = there[np.argsort(table.values[there, place], kind="stable")]
    return table.rows[order], table.values[order, place]


def _store(tuned: _Tuned, axis: AxisLike, neurons: np.ndarray, found: Tuning) -> None:
    column = _column(axis)
    if column is not None:
        tuned.parameters[column][neurons] = found.preferred


def _column(axis: AxisLike) -> str | None:
    """The column of `COLUMNS` for an axis, if there is one."""
    named = {"orientation": "orientation_deg", "hue": "hue_deg", "radius": "radius_px"}
    return "frequency" if axis.unit == "cycles per pixel" else named.get(axis.name)
