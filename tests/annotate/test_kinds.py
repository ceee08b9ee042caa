"""Kinds from cell statistics: by hand on two families, and on simulated neurons whose kind is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch

from circuitome.extract.annotate.kinds import Kinds, kinds
from circuitome.extract.annotate.tuner import KindError
from circuitome.extract.responses.cells import CellError, CellStatistics, Top
from circuitome.extract.stimuli.catalogue import STIMULI, catalogue

REPEATS = 4
NOISE = 0.1


@dataclass(frozen=True)
class Axis:
    name: str
    unit: str = ""
    period: float | None = None
    column: str | None = None


@dataclass(frozen=True)
class Cell:
    stimulus: str
    values: Mapping[str, float]


AXES = {
    "line": (Axis("orientation", "degrees", 180, "orientation_deg"), Axis("width", "pixels")),
    "grating": (
        Axis("orientation", "degrees", 180, "orientation_deg"),
        Axis("frequency", "cycles per pixel", column="frequency"),
    ),
    "curve": (
        Axis("orientation", "degrees", 360, "orientation_deg"),
        Axis("radius", "pixels", column="radius_px"),
    ),
    "circle": (Axis("radius", "pixels", column="radius_px"),),
    "hue": (Axis("hue", "degrees", 360, "hue_deg"),),
}
VALUES = {
    "line": (np.arange(0, 180, 15.0), np.array([1.0, 2])),
    "grating": (np.arange(0, 180, 15.0), np.array([0.05, 0.1, 0.2, 0.4])),
    "curve": (np.arange(0, 360, 15.0), np.array([5.0, 10, 20])),
    "circle": (np.array([3.0, 6, 12, 24]),),
    "hue": (np.arange(0, 360, 15.0),),
}
CELLS = tuple(
    Cell(name, dict(zip([axis.name for axis in AXES[name]], row, strict=True)))
    for name in AXES
    for row in product(*VALUES[name])
)
Neuron = Callable[[Cell], float]


def bump(angle: float, centre: float, period: float, sharpness: float = 3) -> float:
    return float(np.exp(sharpness * (np.cos(2 * np.pi * (angle - centre) / period) - 1)))


def octaves(value: float, centre: float, spread: float = 0.7) -> float:
    return float(np.exp(-0.5 * (np.log2(value / centre) / spread) ** 2))


def a_line_neuron(cell: Cell) -> float:
    """Prefers lines at 60 degrees; gratings of that orientation and a fitting frequency drive
    it by 0.7.
    """
    values = cell.values
    if cell.stimulus == "line":
        return bump(values["orientation"], 60, 180)
    if cell.stimulus == "grating":
        return 0.7 * bump(values["orientation"], 60, 180) * octaves(values["frequency"], 0.1)
    return 0.0


def a_curve_neuron(cell: Cell) -> float:
    """Prefers curves of radius 10 that point to 200 degrees, and answers their tangents weakly."""
    if cell.stimulus == "curve":
        return bump(cell.values["orientation"], 200, 360, 6) * octaves(cell.values["radius"], 10)
    if cell.stimulus == "line":
        return 0.2 * bump(cell.values["orientation"], 110, 180)
    return 0.0


def a_curve_neuron_that_answers_circles(cell: Cell) -> float:
    """A circle is such a curve somewhere, whatever its size, and drives the neuron half way."""
    return 0.5 if cell.stimulus == "circle" else a_curve_neuron(cell)


def a_grating_neuron(cell: Cell) -> float:
    if cell.stimulus != "grating":
        return 0.0
    return bump(cell.values["orientation"], 100, 180) * octaves(cell.values["frequency"], 0.2)


def a_colour_neuron(cell: Cell) -> float:
    return bump(cell.values["hue"], 310, 360) if cell.stimulus == "hue" else 0.0


def a_circle_neuron(cell: Cell) -> float:
    return octaves(cell.values["radius"], 12) if cell.stimulus == "circle" else 0.0


KNOWN: dict[str, Neuron] = {
    "line": a_line_neuron,
    "curve": a_curve_neuron,
    "grating": a_grating_neuron,
    "hue": a_colour_neuron,
    "circle": a_circle_neuron,
}


def shown(
    means: np.ndarray, seed: int, *, noise: float = NOISE, repeats: int = REPEATS
) -> CellStatistics:
    """Statistics of neurons with these cell means, ``(cells, neurons)``, over some noisy trials
    a cell.
    """
    rng = np.random.default_rng(seed)
    stats = CellStatistics(*means.shape)
    for _ in range(repeats):
        stats.add(np.arange(len(means)), means + noise * rng.standard_normal(means.shape))
    return stats


def known(count: int = 1, **options: float) -> CellStatistics:
    """``count`` neurons of each known kind, in the order of `KNOWN`."""
    means = np.array(
        [[neuron(cell) for neuron in KNOWN.values() for _ in range(count)] for cell in CELLS]
    )
    return shown(means, 0, **options)  # pyright: ignore[reportArgumentType]


def unplanted(seed: int, neurons: int = 40) -> CellStatistics:
    """Neurons without a kind: a random value for each cell and each family; trials differ as
    much as cells do.
    """
    rng = np.random.default_rng([seed, 1])
    means = rng.standard_normal((len(CELLS), neurons))
    for name in AXES:
        means[[cell.stimulus == name for cell in CELLS]] += 0.5 * rng.standard_normal(neurons)
    return shown(np.maximum(means, 0), seed, noise=1)


def found(stats: CellStatistics, twins: int = 5) -> Kinds:
    return kinds(stats, [unplanted(seed) for seed in range(1, twins + 1)], CELLS, AXES)


def by_hand(*responses: tuple[str, float]) -> float:
    """Share explained of one neuron's best family; each cell is shown twice without noise."""
    cells = [Cell(name, {"radius": float(place)}) for place, (name, _) in enumerate(responses)]
    axes = {name: [Axis("radius", "pixels", column="radius_px")] for name, _ in responses}
    means = np.array([[value] for _, value in responses])
    stats, twin = (shown(each, 0, noise=0, repeats=2) for each in (means, np.zeros_like(means)))
    return float(kinds(stats, [twin], cells, axes).explained[0])


def test_sums_of_parts_are_sums_of_the_whole():
    rng = np.random.default_rng(0)
    ids, responses = rng.integers(0, 7, 200), rng.standard_normal((200, 3))
    parts = CellStatistics(7, 3)
    for first in range(0, 200, 33):
        parts.add(ids[first : first + 33], responses[first : first + 33])
    for cell in range(7):
        own = responses[ids == cell]
        assert parts.n[cell] == len(own)
        np.testing.assert_allclose(parts.total[cell], own.sum(0))
        np.testing.assert_allclose(parts.squares[cell], (own**2).sum(0))


def test_the_strongest_trials_are_those_of_a_sort_of_all():
    rng = np.random.default_rng(1)
    responses = rng.integers(0, 50, (100, 4)).astype(float)  # with ties
    top = Top(5, 4)
    for first in range(0, 100, 7):
        top.add(np.arange(100)[first : first + 7], responses[first : first + 7])
    order = np.argsort(-responses, axis=0, kind="stable")[:5]
    np.testing.assert_array_equal(top.trials, order.T)
    np.testing.assert_array_equal(top.values, np.take_along_axis(responses, order, 0).T)


def test_where_fewer_trials_were_seen_the_places_stay_empty():
    top = Top(3, 1)
    top.add(np.array([4]), np.array([[2.0]]))
    assert top.trials.tolist() == [[4, -1, -1]]
    assert top.values.tolist() == [[2.0, -np.inf, -np.inf]]


def test_responses_of_another_width_are_refused():
    with pytest.raises(CellError, match="wants"):
        CellStatistics(3, 2).add(np.array([0]), np.ones((1, 5)))
    with pytest.raises(CellError, match="wants"):
        Top(3, 2).add(np.array([0]), np.ones((1, 5)))


def test_a_response_that_is_no_number_is_refused():
    with pytest.raises(CellError, match="NaN"):
        CellStatistics(3, 1).add(np.array([0]), np.array([[np.nan]]))


def test_a_family_that_holds_all_the_variance_explains_all_of_it():
    assert by_hand(("a", 0), ("a", 2), ("b", 1), ("b", 1)) == pytest.approx(1)


def test_the_share_explained_is_that_of_a_calculation_by_hand():
    # family means 1 and 1/2, mean 3/4; variance (2 + 1/2) / 2 - 9/16 = 11/16; between: 1 / 2 +
    # (1/4)^2 = 9/16
    assert by_hand(("a", 0), ("a", 2), ("b", 0), ("b", 1)) == pytest.approx(9 / 11)


@pytest.mark.parametrize("kind", KNOWN)
def test_a_neuron_is_of_its_kind(kind: str):
    """The line neuron answers gratings as well, and the curve neuron lines."""
    assert found(known()).kind[list(KNOWN).index(kind)] == kind


def test_a_curve_neuron_prefers_curves_though_circles_hold_more_of_its_variance():
    means = np.array([a_curve_neuron_that_answers_circles(cell) for cell in CELLS])
    family = {name: means[[cell.stimulus == name for cell in CELLS]] for name in AXES}
    grand = np.mean([each.mean() for each in family.values()])
    held = {
        name: each.var() / len(AXES) + (each.mean() - grand) ** 2 / (len(AXES) - 1)
        for name, each in family.items()
    }
    one = found(shown(means[:, None], 0))
    assert max(held, key=lambda name: held[name]) == "circle"
    assert one.best[0] == "curve" and one.runner_up[0] == "circle"
    variance = np.mean([np.square(each).mean() for each in family.values()]) - grand**2 + NOISE**2
    assert one.explained[0] == pytest.approx(held["curve"] / variance, abs=0.03)


def test_preferred_parameters_stand_in_their_columns():
    result = dict(zip(KNOWN, range(len(KNOWN)), strict=True))
    one = found(known())
    assert one.orientation_deg[result["line"]] == pytest.approx(60, abs=5)
    assert one.orientation_deg[result["curve"]] == pytest.approx(200, abs=5)
    assert one.radius_px[result["curve"]] == pytest.approx(10, rel=0.25)
    assert one.orientation_deg[result["grating"]] == pytest.approx(100, abs=5)
    assert one.frequency[result["grating"]] == pytest.approx(0.2, rel=0.25)
    assert one.hue_deg[result["hue"]] == pytest.approx(310, abs=8)
    assert one.radius_px[result["circle"]] == pytest.approx(12, rel=0.25)
    assert np.isnan(one.hue_deg[result["line"]]) and np.isnan(one.radius_px[result["line"]])


def test_a_tuning_curve_holds_the_means_of_the_cells_and_their_standard_errors():
    curve = found(known()).curves[list(KNOWN).index("curve")]
    assert curve is not None and curve.tuned_to == "curve: orientation, degrees"
    np.testing.assert_array_equal(curve.at, VALUES["curve"][0])
    expected = [a_curve_neuron(Cell("curve", {"orientation": at, "radius": 10})) for at in curve.at]
    assert np.abs(curve.mean - expected).max() < 4 * NOISE / np.sqrt(REPEATS)
    np.testing.assert_allclose(curve.error, NOISE / np.sqrt(REPEATS), rtol=0.3)


def test_neurons_of_pure_noise_are_unexplained_whatever_the_number_of_cells():
    noise = shown(np.zeros((len(CELLS), 200)), 3)
    result = found(noise)
    assert (result.kind == "unexplained").all()
    assert result.explained.mean() < 0.03
    assert np.isnan(result.orientation_deg).all()


def test_more_repeats_do_not_change_what_is_explained_of_a_noisy_neuron():
    few, many = (found(known(20, noise=0.3, repeats=repeats)).explained for repeats in (2, 20))
    per_kind = np.abs(few.reshape(-1, 20).mean(1) - many.reshape(-1, 20).mean(1))
    assert per_kind.max() < 0.02


def test_twins_held_against_twins_have_no_kinds():
    named = [np.isin(found(unplanted(seed)).kind, list(AXES)).mean() for seed in range(20, 30)]
    assert np.mean(named) < 0.05


def test_the_p_of_twins_is_spread_evenly():
    p = np.concatenate([found(unplanted(seed)).p for seed in range(20, 30)])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=0.06)


def test_a_silent_neuron_is_called_so_and_has_no_significance():
    means = np.zeros((len(CELLS), 2))
    means[:, 1] = [a_line_neuron(cell) for cell in CELLS]
    stats = CellStatistics(len(CELLS), 2)
    for _ in range(2):
        stats.add(np.arange(len(CELLS)), means + np.array([3.0, 0]))
    result = found(stats)
    assert result.kind[0] == "silent" and result.explained[0] == 0 and result.p[0] == 1
    assert result.curves[0] is None and result.runner_up[0] == ""
    assert result.kind[1] == "line"


def test_the_scale_of_a_neuron_changes_no_kind():
    stats, scaled = known(), known()
    scaled.total *= 1e4
    scaled.squares *= 1e8
    one, other = found(stats), found(scaled)
    assert (one.kind == other.kind).all()
    np.testing.assert_allclose(one.explained, other.explained)
    np.testing.assert_allclose(one.q, other.q)


def test_kinds_without_twins_are_refused():
    with pytest.raises(KindError, match="at least one twin"):
        kinds(known(), [], CELLS, AXES)


def test_a_cell_that_was_never_shown_is_named():
    stats = known()
    stats.n[5] = 0
    with pytest.raises(KindError, match=r"line .* was never shown"):
        found(stats)


def test_statistics_of_other_cells_are_refused():
    with pytest.raises(KindError, match="one catalogue"):
        kinds(known(), [unplanted(1)], CELLS[:-1], AXES)


def test_cells_that_leave_a_combination_out_are_refused():
    means = np.array([[a_line_neuron(cell)] for cell in CELLS])[1:]
    with pytest.raises(KindError, match="every combination"):
        kinds(
            shown(means, 0),
            [shown(np.random.default_rng(0).random((len(means), 9)), 1)],
            CELLS[1:],
            AXES,
        )


def template_responses(images: torch.Tensor, template: torch.Tensor) -> np.ndarray:
    """A neuron that looks for a template whatever the contrast: rectified normalised
    correlation, ``(trials,)``.
    """
    flat, wanted = images.flatten(1) - 0.5, template.flatten() - 0.5
    match = flat @ wanted / (flat.square().sum(1) * wanted.square().sum() + 1e-3).sqrt()
    return torch.relu(match - match.quantile(0.7)).numpy()


def test_neurons_that_look_for_a_stimulus_of_the_catalogue_are_of_its_kind():
    """Measured: 94 % of such neurons over 17 families. A neuron that looks at pixels in random
    order is the twin.
    """
    names = ("line", "edge", "curve", "circle", "corner", "hue", "colour_contrast")
    shows = catalogue(24, 9, seed=0, stimuli=names)
    images = shows.draw(0, len(shows))
    rng = np.random.default_rng(0)
    truth, responses, permuted = [], [], []
    for name, _ in product(names, range(6)):
        trial = rng.choice(
            np.flatnonzero([shows.cells[cell].stimulus == name for cell in shows.cell_of])
        )
        template = images[trial]
        shuffled = template.flatten()[torch.from_numpy(rng.permutation(template.numel()))]
        truth.append(name)
        responses.append(template_responses(images, template))
        permuted.append(template_responses(images, shuffled))
    stats = [CellStatistics(len(shows.cells), len(truth)) for _ in range(2)]
    for each, values in zip(stats, (responses, permuted), strict=True):
        each.add(shows.cell_of, np.stack(values, axis=1))
    axes = {name: [axis for axis in STIMULI[name].axes if not axis.nuisance] for name in names}
    result = kinds(stats[0], stats[1:], shows.cells, axes)
    assert (result.best == truth).mean() > 0.85


def test_an_axis_with_a_column_that_neurons_do_not_have_is_refused():
    axes = {name: [replace(axis, column="taste") for axis in own] for name, own in AXES.items()}
    with pytest.raises(KindError, match="orientation is kept in 'taste'"):
        kinds(known(), [unplanted(1)], CELLS, axes)
