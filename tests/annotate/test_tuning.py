"""Tuning curves: against hand-made curves and against the published responses of InceptionV1's
curve detectors.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitome.tuning import Tuning, TuningError, tune

ANGLES = np.arange(0, 360, 15.0)
SAMPLED = np.arange(720) / 2  # degrees at which the published curves were sampled
NOISE = 0.05  # standard deviation of the added noise, as a share of the peak


def bumps(
    angles: np.ndarray, centres: np.ndarray, *, sharpness: float = 3, period: float = 360
) -> np.ndarray:
    """Von Mises bumps of height 1, ``(centres, angles)``."""
    return np.exp(sharpness * (np.cos(2 * np.pi * (angles - centres[:, None]) / period) - 1))


def apart(a: np.ndarray, b: np.ndarray, period: float = 360) -> np.ndarray:
    """Distance of two angles on the circle."""
    return np.abs((a - b + period / 2) % period - period / 2)


def draws(curves: np.ndarray, count: int, way: str, *, times: int = 25) -> list[Tuning]:
    """Noisy subsamples of ``count`` of the published points, fitted."""
    found = []
    for seed in range(times):
        rng = np.random.default_rng(seed)
        even = (np.arange(count) * 720 // count + rng.integers(720)) % 720
        at = even if way == "even" else rng.choice(720, count, replace=False)
        noise = NOISE * curves.max(1, keepdims=True) * rng.standard_normal((len(curves), count))
        found.append(tune(SAMPLED[at], curves[:, at] + noise, period=360))
    return found


def test_the_peak_between_two_samples_is_found():
    centres = np.array([3.0, 97.0, 211.5, 358.0])
    assert (apart(tune(ANGLES, bumps(ANGLES, centres), period=360).preferred, centres) < 1).all()


def test_an_orientation_has_a_period_of_half_a_turn():
    values, centres = np.arange(0, 180, 15.0), np.array([2.0, 80.0, 176.0])
    found = tune(values, bumps(values, centres, period=180), period=180)
    assert (apart(found.preferred, centres, 180) < 1).all()
    assert ((found.preferred >= 0) & (found.preferred < 180)).all()


def test_a_skewed_curve_prefers_its_peak_and_not_its_circular_mean():
    curve = np.interp(ANGLES, [60, 90, 210], [0, 1, 0])
    mean = np.rad2deg(np.angle((curve * np.exp(1j * np.deg2rad(ANGLES))).sum()))
    found = tune(ANGLES, curve[None], period=360).preferred[0]
    assert mean > 115
    assert abs(found - 90) < 8


def test_turning_the_curve_turns_the_preferred_value_and_nothing_else():
    curve = np.random.default_rng(0).random((5, 24))
    one, other = (tune(ANGLES, np.roll(curve, shift, axis=1), period=360) for shift in (0, 6))
    np.testing.assert_allclose(apart(other.preferred, one.preferred + 90), 0, atol=1e-4)
    np.testing.assert_allclose(other.selectivity, one.selectivity, atol=1e-6)
    np.testing.assert_allclose(other.echo, one.echo, atol=1e-4)


def test_selectivity_is_the_length_of_the_mean_vector():
    curve = 1 + 0.6 * np.cos(np.deg2rad(ANGLES - 30))  # mean vector of 1 + m cos: m / 2
    assert tune(ANGLES, curve[None], period=360).selectivity[0] == pytest.approx(0.3, abs=0.01)


def test_selectivity_does_not_depend_on_where_the_curve_was_sampled():
    uneven = np.concatenate([np.arange(0, 90, 5.0), np.arange(90, 360, 20.0)])
    even, crowded = (
        tune(at, bumps(at, np.array([45.0])), period=360).selectivity[0] for at in (ANGLES, uneven)
    )
    assert crowded == pytest.approx(even, abs=0.02)


def test_the_echo_is_the_response_half_a_turn_from_the_peak():
    curve = bumps(ANGLES, np.array([120.0])) + 0.25 * bumps(ANGLES, np.array([300.0]))
    assert tune(ANGLES, curve, period=360).echo[0] == pytest.approx(0.25, abs=0.02)


def test_a_radius_is_compared_by_ratios_and_may_be_preferred_at_the_end():
    radii = 2.0 ** np.arange(0, 5.5, 0.5)
    middle = np.exp(-0.5 * (np.log2(radii) - 2.4) ** 2)
    found = tune(radii, np.stack([middle, np.arange(11.0)]), period=None)
    assert np.log2(found.preferred[0]) == pytest.approx(2.4, abs=0.2)
    assert found.preferred[1] == pytest.approx(32)
    assert np.isnan(found.echo).all()


def test_the_standard_deviation_says_how_far_the_preferred_value_is_off():
    rng = np.random.default_rng(3)
    centres = rng.uniform(0, 360, 300)
    found = tune(ANGLES, bumps(ANGLES, centres) + 0.2 * rng.standard_normal((300, 24)), period=360)
    off = apart(found.preferred, centres)
    within = (off < 2 * found.preferred_sd).mean()  # 0.95 if it were exact and normal
    assert within > 0.88
    assert np.median(found.preferred_sd) < 3 * np.median(off)


def test_more_noise_makes_every_uncertainty_larger():
    rng = np.random.default_rng(4)
    curves, noise = bumps(ANGLES, rng.uniform(0, 360, 50)), rng.standard_normal((50, 24))
    low, high = (tune(ANGLES, curves + amount * noise, period=360) for amount in (0.02, 0.3))
    for column in ("preferred_sd", "selectivity_sd", "echo_sd"):
        assert np.median(getattr(high, column)) > 2 * np.median(getattr(low, column))


def test_the_scale_of_the_responses_changes_the_peak_alone():
    curve = np.random.default_rng(5).random((3, 24))
    small, large = tune(ANGLES, curve, period=360), tune(ANGLES, 1e6 * curve, period=360)
    np.testing.assert_allclose(large.peak, 1e6 * small.peak, rtol=1e-6)
    for column in ("preferred", "preferred_sd", "selectivity", "echo"):
        np.testing.assert_allclose(getattr(large, column), getattr(small, column), rtol=1e-5)


def test_a_neuron_that_does_not_vary_has_no_tuning_and_disturbs_no_other():
    curves = np.stack([np.full(24, 2.0), bumps(ANGLES, np.array([60.0]))[0]])
    found = tune(ANGLES, curves, period=360)
    assert np.isnan(found.preferred[0]) and np.isnan(found.selectivity[0])
    assert abs(found.preferred[1] - 60) < 1


@pytest.mark.parametrize(
    "values, responses, message",
    [
        (np.zeros(3), np.ones((1, 3)), "two or more different values"),
        (np.array([0.0, 360.0]), np.ones((1, 2)), "two or more different values"),
        (np.arange(3.0), np.ones((1, 4)), r"shape \(1, 4\)"),
        (np.arange(3.0), np.array([[1, np.nan, 2]]), "NaN"),
    ],
)
def test_a_curve_that_cannot_be_fitted_is_refused(
    values: np.ndarray, responses: np.ndarray, message: str
):
    with pytest.raises(TuningError, match=message):
        tune(values, responses, period=360)


@pytest.mark.parametrize("way", ["even", "random"])
@pytest.mark.parametrize("count", [24, 36, 48])
def test_the_published_curve_detectors_prefer_what_was_published(
    ground_truth_dir: Path, count: int, way: str
):
    """Median error over 25 noisy subsamples, 5 degrees at most for each of the ten; noise 5 %
    of the peak.
    """
    arrays = np.load(ground_truth_dir / "tuning_curves.npz")
    facts = json.loads((ground_truth_dir / "curve_detectors.json").read_text())["tuning_3b"]
    published = np.array(
        [facts[str(unit)]["preferred_deg_argmax"] for unit in arrays["mixed3b_units"]]
    )
    found = draws(arrays["mixed3b_act"].astype(np.float64), count, way)
    errors = np.median([apart(each.preferred, published) for each in found], axis=0)
    assert len(errors) == 10
    assert (errors <= 5).all(), errors.round(1)


def test_early_curve_detectors_echo_at_half_a_turn_and_later_ones_do_not(ground_truth_dir: Path):
    arrays = np.load(ground_truth_dir / "tuning_curves.npz")
    median = {
        layer: [
            np.median(each.echo) for each in draws(arrays[f"{layer}_act"], 36, "random", times=10)
        ]
        for layer in ("conv2d2", "mixed3a", "mixed3b")
    }
    assert min(median["conv2d2"]) > max(median["mixed3b"])
    assert min(median["mixed3a"]) > max(median["mixed3b"])
