"""Tuning of a layer's neurons to the axes of the stimuli that they prefer.

The main axis of a stimulus is tuned with the other ones at what the neuron prefers; on each other
axis that neurons have a column for, responses are averaged along the main one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from circuitome.errors import CircuitomeError
from circuitome.tuning import Tuning, tune
from circuitome.vocabulary import PREFERENCES

__all__ = ["AxisLike", "CellLike", "CellMeans", "Curve", "KindError", "Table", "Tuned", "Tuner"]


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
    @property
    def column(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Curve:
    """A neuron's tuning curve along the main axis of its best stimulus, the other axes at what it
    prefers.
    """

    tuned_to: str
    """``curve: orientation, degrees``."""
    at: np.ndarray
    """``(n,)`` values of the axis."""
    mean: np.ndarray
    """``(n,)`` mean responses."""
    error: np.ndarray
    """``(n,)`` their standard errors, the spread within cells pooled over the curve; NaN without
    repeats.
    """


@dataclass(frozen=True, slots=True)
class CellMeans:
    """Responses of a layer to cells; C neurons, K cells."""

    trials: np.ndarray
    """``(K,)`` how often each cell was shown."""
    means: np.ndarray
    """``(K, C)`` mean responses."""
    within: np.ndarray
    """``(K, C)`` sum of squares within the cells."""
    grand: np.ndarray
    """``(C,)`` mean response, stimuli weighted equally."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Tuning of a layer's neurons within their best stimuli; filled stimulus by stimulus."""

    parameters: dict[str, np.ndarray]
    """Column -> ``(C,)``."""
    preferred_sd: np.ndarray
    selectivity: np.ndarray
    selectivity_sd: np.ndarray
    curves: list[Curve | None]

    @classmethod
    def of_none(cls, count: int) -> Tuned:
        """Nothing known of so many neurons."""
        parameters = {column: np.full(count, np.nan) for column in PREFERENCES}
        nan = np.full((3, count), np.nan)
        return cls(parameters, nan[0], nan[1], nan[2], [None] * count)

    def store(self, axis: AxisLike, neurons: np.ndarray, found: Tuning) -> None:
        """Keep the preferred values of some neurons, if the axis has a column."""
        if axis.column is not None:
            self.parameters[axis.column][neurons] = found.preferred

    def store_main(self, axis: AxisLike, neurons: np.ndarray, found: Tuning) -> None:
        """Keep also how sure they are, and how sharp the tuning is."""
        self.store(axis, neurons, found)
        self.preferred_sd[neurons] = found.preferred_sd
        self.selectivity[neurons] = found.selectivity
        self.selectivity_sd[neurons] = found.selectivity_sd


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of one stimulus as a table."""

    stimulus: str
    rows: np.ndarray
    """``(k,)`` numbers of the cells."""
    axes: tuple[AxisLike, ...]
    """Those that take several values, the main one first."""
    values: np.ndarray
    """``(k, axes)``."""

    @classmethod
    def of(cls, rows: np.ndarray, cells: Sequence[CellLike], axes: Sequence[AxisLike]) -> Table:
        """The table of some cells, which have to hold every combination of the values once."""
        shown = [cells[row] for row in rows]
        columns = [cell.values[axis.name] for axis in axes for cell in shown]
        values = np.array(columns).reshape(len(axes), len(rows)).T
        counts = [len(np.unique(column)) for column in values.T]
        stimulus = shown[0].stimulus
        _check_axes(stimulus, len(rows), axes, counts)
        several = [place for place, count in enumerate(counts) if count > 1]
        return cls(stimulus, rows, tuple(axes[place] for place in several), values[:, several])

    def along(self, place: int, setting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells along one axis, the others at ``setting``, in order: their numbers and values."""
        others = np.delete(self.values, place, axis=1)
        mask = np.flatnonzero((others == setting).all(1))
        order = mask[np.argsort(self.values[mask, place], kind="stable")]
        return self.rows[order], self.values[order, place]


def _check_axes(stimulus: str, cells: int, axes: Sequence[AxisLike], counts: Sequence[int]) -> None:
    """Refuse axes whose values the cells do not combine, or that have a column unknown."""
    if math.prod(counts) != cells:
        raise KindError(
            f"{stimulus} has {cells} cells for {' x '.join(map(str, counts))} "
            "values of its axes; give every combination of the values once"
        )
    for axis in axes:
        if axis.column not in (None, *PREFERENCES):
            raise KindError(
                f"{stimulus}: {axis.name} is kept in {axis.column!r}, which neurons do "
                f"not have; name one of {', '.join(PREFERENCES)}, or None"
            )


@dataclass(frozen=True, slots=True)
class Tuner:
    """Tunes the neurons of a layer to the axes of the stimuli that they prefer."""

    cells: CellMeans
    seed: int
    tuned: Tuned = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tuned", Tuned.of_none(len(self.cells.grand)))

    def tune(self, table: Table, neurons: np.ndarray) -> None:
        """Tune the neurons that prefer the stimulus of a table."""
        if len(neurons) and table.axes:
            for chosen, setting in self._settings(table, neurons):
                self._main(table, chosen, setting)
                self._others(table, chosen, setting)

    def _settings(self, table: Table, neurons: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Neurons by the values of the other axes that they prefer.

        There their responses above the mean hold most energy.
        """
        others, of = np.unique(table.values[:, 1:], axis=0, return_inverse=True)
        above = np.square(self._above(table.rows, neurons))
        of = of.reshape(-1)
        energy = [above[of == setting].mean(0) for setting in range(len(others))]
        chosen = np.stack(energy).argmax(0)
        return [(neurons[chosen == setting], others[setting]) for setting in np.unique(chosen)]

    def _above(self, rows: np.ndarray, neurons: np.ndarray) -> np.ndarray:
        """Mean responses ``(rows, neurons)`` above the neurons' own means."""
        return np.maximum(self._means(rows, neurons) - self.cells.grand[neurons], 0)

    def _means(self, rows: np.ndarray, neurons: np.ndarray) -> np.ndarray:
        return self.cells.means[np.ix_(rows, neurons)]

    def _main(self, table: Table, neurons: np.ndarray, setting: np.ndarray) -> None:
        rows, values = table.along(0, setting)
        if len(values) < 2:
            return
        axis, means, error = table.axes[0], self._means(rows, neurons), self._errors(rows, neurons)
        found = tune(values, means.T, period=axis.period, seed=self.seed)
        self.tuned.store_main(axis, neurons, found)
        tuned_to = f"{table.stimulus}: {axis.name}" + (f", {axis.unit}" if axis.unit else "")
        for neuron, mean, sd in zip(neurons, means.T, error.T, strict=True):
            self.tuned.curves[neuron] = Curve(tuned_to, values, mean, sd)

    def _errors(self, rows: np.ndarray, neurons: np.ndarray) -> np.ndarray:
        """Standard errors of cell means, ``(rows, neurons)``, the spread within cells pooled."""
        trials = self.cells.trials[rows]
        freedom = trials.sum() - len(rows)
        if not freedom:
            return np.full((len(rows), len(neurons)), np.nan)
        within = self.cells.within[np.ix_(rows, neurons)].sum(0)
        return np.sqrt(within / freedom / trials[:, None])

    def _others(self, table: Table, neurons: np.ndarray, setting: np.ndarray) -> None:
        """Preferred values on the other axes: responses averaged along the main one.

        They are weighted by the curve above the mean.
        """
        weight = self._above(table.along(0, setting)[0], neurons)
        weight = weight / np.where(weight.sum(0) > 0, weight.sum(0), 1)
        for place, axis in enumerate(table.axes[1:]):
            if axis.column is None:
                continue
            values = np.unique(table.values[:, place + 1])
            curves = []
            for value in values:
                here = setting.copy()
                here[place] = value
                rows, _ = table.along(0, here)
                curves.append((weight * self._means(rows, neurons)).sum(0))
            curve = np.stack(curves, axis=1)
            found = tune(values, curve, period=axis.period, seed=self.seed)
            self.tuned.store(axis, neurons, found)
