"""Geometry of kernels, against SciPy and against kernels whose geometry is plain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from circuitome.kernels import banding_ratio, cosines, part_centres, turning, unit_rows


def inverse_rotation(degrees: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where entries of a kernel turned counter-clockwise (y down) come from."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (c, -s), (s, c)


@pytest.mark.parametrize("degrees", [15.0, 45.0, 90.0, 200.0])
def test_turning_agrees_with_scipys_linear_interpolation(degrees: float) -> None:
    kernel = np.random.default_rng(0).normal(size=(7, 7))
    (a, b), (c, d) = inverse_rotation(degrees)
    matrix = np.array([[d, c], [b, a]])  # rows and columns instead of x and y
    offset = np.array([3, 3]) - matrix @ [3, 3]
    padded = np.pad(kernel, 9)
    shift = 9 + offset - matrix @ [9, 9]
    wanted = ndimage.affine_transform(padded, matrix, shift.tolist(), order=1)
    turned = (turning((7, 7), inverse_rotation(degrees)) @ kernel.reshape(-1)).reshape(7, 7)
    assert turned == pytest.approx(wanted[9:-9, 9:-9], abs=1e-9)


def test_quarter_turns_move_entries_to_entries() -> None:
    kernel = np.arange(9.0).reshape(3, 3)
    turned = turning((3, 3), inverse_rotation(90.0)) @ kernel.reshape(-1)
    assert turned == pytest.approx(np.rot90(kernel).reshape(-1), abs=1e-12)


def test_centres_are_means_of_places_weighted_by_each_part() -> None:
    kernel = np.zeros((5, 3))
    kernel[0, 2], kernel[2, 2], kernel[4, 0] = 1.0, 3.0, -2.0
    centres = {name: float(value[0]) for name, value in part_centres(kernel[None]).items()}
    assert centres == {"ex": 1.0, "ey": -0.5, "ix": -1.0, "iy": 2.0}
    assert np.isnan(part_centres(np.ones((1, 3, 3)))["ix"]).all()


def test_banding_is_the_inverse_of_that_of_the_transposed_kernels() -> None:
    kernels = np.random.default_rng(1).normal(size=(4, 3, 5, 5))
    ratio = banding_ratio(kernels)
    assert banding_ratio(kernels.swapaxes(2, 3)) == pytest.approx(1 / ratio)
    rows = np.broadcast_to(np.arange(5.0)[:, None], (1, 1, 5, 5))
    assert banding_ratio(rows) == math.inf
    assert math.isnan(banding_ratio(np.ones((1, 1, 5, 5))))


def test_rows_of_zeros_are_like_nothing() -> None:
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert unit_rows(rows).tolist() == [[0.0, 0.0], [0.6, 0.8]]
    assert cosines(rows, rows).tolist() == [[0.0, 0.0], [0.0, pytest.approx(1.0)]]
