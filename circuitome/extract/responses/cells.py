"""Statistics of a layer's responses that stream: sums per cell, and the strongest trials.

A cell is one combination of a stimulus's values; its trials differ in nuisances only. Memory does
not grow with the number of trials.
"""

from __future__ import annotations

import numpy as np

from circuitome.errors import CircuitomeError

__all__ = ["CellError", "CellStatistics", "Top"]


class CellError(CircuitomeError):
    """Responses that do not fit the statistics that they are added to."""


class CellStatistics:
    """Count, sum and sum of squares of every neuron's responses to the trials of each cell.

    Example:
        >>> stats = CellStatistics(cells=2, neurons=1)
        >>> stats.add(np.array([0, 0, 1]), np.array([[1.0], [3.0], [5.0]]))
        >>> stats.n.tolist(), stats.total[:, 0].tolist(), stats.squares[:, 0].tolist()
        ([2.0, 1.0], [4.0, 5.0], [10.0, 25.0])
    """

    __slots__ = ("n", "squares", "total")

    def __init__(self, cells: int, neurons: int) -> None:
        self.n: np.ndarray = np.zeros(cells)
        """``(cells,)`` trials seen."""
        self.total: np.ndarray = np.zeros((cells, neurons))
        """``(cells, neurons)`` sum of the responses."""
        self.squares: np.ndarray = np.zeros((cells, neurons))
        """``(cells, neurons)`` sum of their squares."""

    @property
    def means(self) -> np.ndarray:
        """``(cells, neurons)`` mean responses."""
        return self.total / self.n[:, None]

    def add(self, cell_ids: np.ndarray, responses: np.ndarray) -> None:
        """Add trials: ``cell_ids`` ``(n,)`` says each one's cell, ``responses`` is ``(n,
        neurons)``; `CellError` if they do not fit.
        """
        cell_ids, responses = np.asarray(cell_ids), np.asarray(responses, np.float64)
        _check_shape(responses, len(cell_ids), self.total.shape[1])
        if not np.isfinite(responses).all():
            raise CellError(
                "a response is NaN or infinite; check the model's weights and the input's scale"
            )
        ids, place = np.unique(cell_ids, return_inverse=True)
        # a product is faster than np.add.at
        member = (np.arange(len(ids))[:, None] == place).astype(np.float64)
        self.n[ids] += member.sum(1)
        self.total[ids] += member @ responses
        self.squares[ids] += member @ np.square(responses)


class Top:
    """The strongest trials of every neuron, strongest first; the first column is the maximum.

    Example:
        >>> top = Top(2, neurons=1)
        >>> top.add(np.array([7, 8, 9]), np.array([[1.0], [3.0], [2.0]]))
        >>> top.values.tolist(), top.trials.tolist()
        ([[3.0, 2.0]], [[8, 9]])
    """

    __slots__ = ("trials", "values")

    def __init__(self, count: int, neurons: int) -> None:
        self.values: np.ndarray = np.full((neurons, count), -np.inf)
        """``(neurons, count)`` responses, -inf if fewer trials were seen."""
        self.trials: np.ndarray = np.full((neurons, count), -1, np.int64)
        """``(neurons, count)`` numbers of the trials, -1 where fewer were seen."""

    def add(self, trial_ids: np.ndarray, responses: np.ndarray) -> None:
        """Add trials: ``trial_ids`` ``(n,)`` are their numbers, ``responses`` is ``(n, neurons)``.
        Ties go to the lower number.
        """
        _check_shape(responses, len(trial_ids), len(self.values))
        numbers = np.broadcast_to(trial_ids, responses.T.shape)
        values = np.concatenate([self.values, np.asarray(responses, np.float64).T], axis=1)
        trials = np.concatenate([self.trials, numbers], axis=1)
        order = np.lexsort((trials, -values), axis=1)[:, : self.values.shape[1]]
        self.values = np.take_along_axis(values, order, axis=1)
        self.trials = np.take_along_axis(trials, order, axis=1)


def _check_shape(responses: np.ndarray, trials: int, neurons: int) -> None:
    if responses.shape != (trials, neurons):
        raise CellError(
            f"responses of shape {responses.shape} to {trials} trials; "
            f"this layer wants ({trials}, {neurons})"
        )
