"""Stimuli: every transform is exact, trials are what they are called, random images do not
depend on their company.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from circuitome import vocabulary
from circuitome.extract.stimuli.catalogue import JITTER, STIMULI, catalogue
from circuitome.extract.stimuli.ensemble import ensemble, natural_like
from circuitome.extract.stimuli.images import ImagesError, read_images
from circuitome.extract.stimuli.registry import REGISTERED, Axis, Canvas, StimulusError, stimulus
from circuitome.extract.stimuli.transforms import (
    GROUPS,
    IDENTITY,
    Transform,
    TransformError,
    hue_axis,
    steps,
)

SOME = {
    "rotate": [Transform("rotate", 35.0), Transform("rotate", 90.0)],
    "flip_h": [Transform("flip_h", 1.0)],
    "flip_v": [Transform("flip_v", 1.0)],
    "scale": [Transform("scale", 0.5), Transform("scale", 1.0)],
    "hue": [Transform("hue", 40.0), Transform("hue", 180.0)],
    "invert": [Transform("invert", 1.0)],
}
ACTS = [(name, group) for name, kind in STIMULI.items() for group in kind.acts]


def _draw(name: str, canvas: Canvas, values: dict[str, float]) -> torch.Tensor:
    parameters = {axis: torch.tensor(value).view(1, 1, 1) for axis, value in values.items()}
    return STIMULI[name].draw(canvas, **parameters)


def _values(name: str, radius: float, rng: np.random.Generator) -> dict[str, float]:
    """One value an axis; angles lie a little off, where no mirror takes them to themselves."""
    return {
        axis.name: float(rng.choice(np.asarray(axis.values(radius))))
        + (7.0 if axis.period else 0.0)
        for axis in STIMULI[name].axes
    }


def _points(count: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.randn(2, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, y


# transforms


def test_a_rotation_by_90_degrees_takes_right_to_up() -> None:
    # what is seen at the top (0, -1) was to the right
    x, y = Transform("rotate", 90.0).coordinates(torch.tensor([0.0]), torch.tensor([-1.0]))
    assert (float(x), float(y)) == (1.0, 0.0)
    assert np.allclose(np.array(Transform("rotate", 90.0).matrix) @ [1, 0], [0, -1])


def test_a_scale_of_an_octave_makes_things_twice_as_large() -> None:
    x, y = Transform("scale", 1.0).coordinates(torch.tensor([6.0]), torch.tensor([-2.0]))
    assert (float(x), float(y)) == (3.0, -1.0)


@pytest.mark.parametrize("group", GROUPS)
def test_a_transform_and_its_inverse_are_the_identity(group: str) -> None:
    x, y = _points()
    rgb = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    for transform in steps(group):
        back = transform.inverse()
        assert torch.allclose(
            torch.stack(back.coordinates(*transform.coordinates(x, y))), torch.stack((x, y))
        )
        assert torch.allclose(back.colour(transform.colour(rgb)), rgb, atol=1e-6)


@pytest.mark.parametrize("group", ["rotate", "scale", "hue"])
def test_amounts_of_a_group_add_up(group: str) -> None:
    x, y = _points()
    rgb = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    first, second, both = Transform(group, 0.7), Transform(group, 1.6), Transform(group, 2.3)
    assert torch.allclose(
        torch.stack(first.coordinates(*second.coordinates(x, y))),
        torch.stack(both.coordinates(x, y)),
    )
    assert torch.allclose(first.colour(second.colour(rgb)), both.colour(rgb), atol=1e-6)


def test_hue_rotation_by_360_degrees_is_the_identity_and_by_120_takes_red_to_green() -> None:
    rgb = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(Transform("hue", 360.0).colour(rgb), rgb, atol=1e-6)
    assert torch.allclose(Transform("hue", 120.0).colour(rgb), rgb.roll(1, 1), atol=1e-6)


def test_hue_rotation_keeps_greys_and_turns_a_hue_by_its_amount() -> None:
    grey = torch.linspace(0, 1, 5).view(5, 1, 1, 1).expand(5, 3, 1, 1)
    turn = Transform("hue", 70.0)
    assert torch.allclose(turn.colour(grey), grey, atol=1e-6)
    colour, turned = (
        0.5 + 0.4 * hue_axis(torch.tensor(hue)).view(1, 3, 1, 1) for hue in (25.0, 95.0)
    )
    assert torch.allclose(turn.colour(colour), turned, atol=1e-6)


def test_a_transform_that_there_is_not_is_refused() -> None:
    with pytest.raises(TransformError, match="'twist' is not known; choose one of rotate"):
        Transform("twist", 1.0)
    with pytest.raises(TransformError, match=r"flip_h by 0\.5"):
        Transform("flip_h", 0.5)
    with pytest.raises(TransformError, match="hue_rotate"):
        Transform("rotate", 30.0, turn=10.0)


def test_no_default_step_is_another_or_the_inverse_of_another() -> None:
    def action(transform: Transform) -> tuple[float, ...]:
        hue = transform.amount if transform.group in ("hue", "hue_rotate") else 0.0
        numbers = (
            *np.ravel(transform.matrix),
            math.cos(math.radians(hue)),
            math.sin(math.radians(hue)),
        )
        return tuple(np.round(numbers, 6) + 0.0)

    for group in GROUPS:
        own = [action(transform) for transform in steps(group)]
        assert len(set(own)) == len(own)
        for index, transform in enumerate(steps(group)):
            assert action(transform.inverse()) not in own[:index] + own[index + 1 :]


# stimuli


@pytest.mark.parametrize("name, group", ACTS)
def test_a_transform_of_the_image_is_a_move_of_the_parameter(name: str, group: str) -> None:
    rng = np.random.default_rng([5, *name.encode()])
    radius = 7.0
    for transform in SOME[group]:
        for _ in range(4):
            values = _values(name, radius, rng)
            under = transform.colour(
                _draw(name, Canvas.square(24, radius, transform=transform), values)
            )
            # borders are as soft as the pattern is large: twice the size, twice as soft
            plain = replace(Canvas.square(24, radius), soft=transform.factor)
            moved = _draw(name, plain, STIMULI[name].moved(values, transform))
            assert torch.allclose(moved.expand_as(under), under, atol=2e-3)
            assert moved.std() > 0.01 or name == "hue"


@pytest.mark.parametrize("name, group", ACTS)
def test_a_parameter_that_a_transform_moves_can_be_seen(name: str, group: str) -> None:
    rng = np.random.default_rng([6, *name.encode()])
    values = _values(name, 7.0, rng)
    moved = STIMULI[name].moved(values, SOME[group][0])
    canvas = Canvas.square(24, 7.0)
    assert (_draw(name, canvas, moved) - _draw(name, canvas, values)).abs().max() > 0.02


def test_a_hue_with_a_rotation_moves_both_parameters() -> None:
    moved = STIMULI["colour_contrast"].moved(
        {"orientation": 10.0, "hue": 20.0}, Transform("hue_rotate", 120.0, 90.0)
    )
    assert moved == {"orientation": 100.0, "hue": 140.0}
    with pytest.raises(StimulusError, match="hue_rotate moves no parameter of the stimulus line"):
        STIMULI["line"].moved(
            {"orientation": 0.0, "width": 2.0, "polarity": 1.0}, Transform("hue_rotate", 60.0, 90.0)
        )


def test_orientations_are_what_the_conventions_say() -> None:
    canvas = Canvas.square(33, 12.0)
    edge = _draw("edge", canvas, {"orientation": 0.0, "blur": 1.0})[0, 0]
    assert (
        edge[4, 16] > 0.9 and edge[28, 16] < 0.1
    )  # light to the left of a walk to the right: on top
    rising = _draw("line", canvas, {"orientation": 45.0, "width": 3.0, "polarity": 1.0})[0, 0]
    assert rising[4, 28] > 0.9 and rising[28, 28] == 0.5  # up and to the right
    up = _draw("curve", canvas, {"orientation": 90.0, "radius": 8.0, "polarity": 1.0})[0, 0]
    assert up[16, 16] > 0.9  # the middle of the arc is in the middle
    assert (
        up[8, 8] > 0.9 and up[8, 24] > 0.9 and up[0, 16] == 0.5
    )  # half a circle about (0, -8), open on top
    end = _draw("line_end", canvas, {"orientation": 90.0, "width": 3.0, "polarity": 1.0})[0, 0]
    assert end[4, 16] > 0.9 and end[28, 16] == 0.5
    ramp = _draw("brightness_gradient", canvas, {"orientation": 0.0, "width": 24.0})[0, 0]
    assert ramp[6, 16] > ramp[12, 16] > ramp[20, 16] > ramp[26, 16]


def test_a_grating_has_the_frequency_that_it_says() -> None:
    values = {"orientation": 0.0, "frequency": 8 / 64, "phase": 30.0}
    spectrum = torch.fft.rfft(
        _draw("grating", Canvas.square(64, 20.0), values)[0, 0, :, 7] - 0.5
    ).abs()
    assert int(spectrum.argmax()) == 8


def test_high_frequencies_lie_to_the_left_of_the_border() -> None:
    values = {"orientation": 0.0, "frequency": 0.35, "seed": 0.25}
    image = _draw("high_low", Canvas.square(64, 30.0), values)[0, 0]
    top, bottom = (
        half.diff(dim=1).square().mean() / half.var() for half in (image[:30], image[34:])
    )
    assert top > 5 * bottom


def test_colours_of_a_border_are_opposite_and_equally_bright() -> None:
    image = _draw("colour_contrast", Canvas.square(16, 6.0), {"orientation": 0.0, "hue": 0.0})[0]
    assert torch.allclose(image.mean(0), torch.tensor(0.5), atol=1e-6)
    assert image[0, 0, 8] > 0.9 and image[0, 15, 8] < 0.1
    assert torch.allclose(image[:, 0] + image[:, 15], torch.tensor(1.0), atol=1e-6)


def test_the_registry_refuses_a_name_twice_an_unknown_group_and_a_missing_sentence() -> None:
    level = Axis("level", "", lambda radius: [0.0], column=None)

    def field(canvas: Canvas, *, level: torch.Tensor) -> torch.Tensor:
        """A field."""
        return level

    before = dict(REGISTERED)
    with pytest.raises(StimulusError, match="line is registered twice"):
        stimulus("line", level)(field)
    with pytest.raises(StimulusError, match="no transform group twist"):
        stimulus("field", level, traits=[], twist="level")(field)
    with pytest.raises(StimulusError, match="'tone', which is none of its axes"):
        stimulus("field", level, traits=[], invert="tone")(field)
    with pytest.raises(StimulusError, match="no docstring"):
        stimulus("field", level, traits=[])(lambda canvas, *, level: level)
    assert before == REGISTERED


def test_the_registry_refuses_a_stimulus_without_traits_and_an_axis_without_a_column() -> None:
    def field(canvas: Canvas, *, level: torch.Tensor) -> torch.Tensor:
        """A field."""
        return level

    level = Axis("level", "", lambda radius: [0.0], column=None)
    with pytest.raises(StimulusError, match="field has no traits; enter it in"):
        stimulus("field", level)(field)
    with pytest.raises(StimulusError, match="'loud' is no trait; choose from grey"):
        stimulus("field", level, traits=["loud"])(field)
    with pytest.raises(StimulusError, match="level is kept in 'level_db', which neurons do not"):
        stimulus("field", replace(level, column="level_db"), traits=[])(field)
    with pytest.raises(TypeError, match="column"):
        Axis("level", "", lambda radius: [0.0])  # pyright: ignore[reportCallIssue]
    assert "field" not in REGISTERED


def test_motifs_and_the_registry_know_the_same_stimuli() -> None:
    assert list(STIMULI) == list(vocabulary.STIMULI)
    assert {name: one.traits for name, one in STIMULI.items()} == vocabulary.STIMULI
    kept = {axis.column for one in STIMULI.values() for axis in one.axes}
    assert kept - {None} == set(vocabulary.PREFERENCES)
    for one in STIMULI.values():
        for axis in one.axes:
            if axis.column is not None:
                assert axis.unit == vocabulary.PREFERENCES[axis.column]


@pytest.mark.parametrize("name", STIMULI)
def test_a_stimulus_is_what_its_traits_say(name: str) -> None:
    trials = catalogue(32, 14.0, seed=0, stimuli=[name])
    images = trials.draw(0, len(trials))
    apart = (images - images.mean(1, keepdim=True)).abs().amax((1, 2, 3))
    assert ("grey" in STIMULI[name].traits) == (float(apart.max()) < 1e-6)
    if "coloured" in STIMULI[name].traits:
        assert float((images.mean(1) - images.mean((1, 2, 3))[:, None, None]).abs().max()) < 1e-5
    columns = {axis.column for axis in STIMULI[name].axes}
    assert "orientation_deg" in columns or not STIMULI[name].traits & {"bar", "border"}
    if "round" in STIMULI[name].traits:
        own = trials.trials[0].parameters
        plain = {k: torch.as_tensor(v)[:, None, None] for k, v in own.items()}
        del plain["right"], plain["down"]
        still = STIMULI[name].draw(Canvas.square(32, 14.0), **plain)
        assert torch.allclose(still, still.rot90(1, (2, 3)), atol=1e-5)
        assert torch.allclose(still, still.flip(3), atol=1e-5)


def test_a_new_stimulus_is_one_function() -> None:
    height = Axis("height", "", lambda radius: [0.1, 0.2, 0.3], column=None)

    @stimulus("slope", height, traits=["grey"])
    def slope(canvas: Canvas, *, height: torch.Tensor) -> torch.Tensor:
        """Brighter to the right."""
        return (0.5 + height * canvas.x)[:, None]

    try:
        trials = catalogue(5, 2.0, seed=0, stimuli=["slope"], repeats=3)
        assert len(trials.cells) == 3
        assert trials.draw(0, len(trials)).shape == (len(trials), 3, 5, 5)
        assert trials.describe(len(trials) - 1) == "slope, height 0.3"
    finally:
        del REGISTERED["slope"]


# the catalogue


@pytest.mark.parametrize("side, radius", [(7, 1.5), (15, 3.5), (64, 30.0)])
def test_a_catalogue_has_its_cells_and_every_cell_its_repeats(side: int, radius: float) -> None:
    trials = catalogue(side, radius, seed=0, repeats=2)
    assert 1000 <= len(trials.cells) <= 1600
    assert {cell.stimulus for cell in trials.cells} == set(STIMULI)
    counts = np.bincount(trials.cell_of, minlength=len(trials.cells))
    assert counts.min() >= 2
    assert len({(cell.stimulus, *cell.values.items()) for cell in trials.cells}) == len(
        trials.cells
    )
    families = [
        sum(counts[i] for i, cell in enumerate(trials.cells) if cell.stimulus == name)
        for name in STIMULI
    ]
    assert max(families) <= 2.1 * min(families)


def test_a_scarce_catalogue_has_about_a_third_and_all_families() -> None:
    trials, scarce = (catalogue(64, 30.0, seed=0, scarce=scarce) for scarce in (False, True))
    assert 250 <= len(scarce.cells) <= 350
    assert len(scarce) < 0.4 * len(trials)
    assert {cell.stimulus for cell in scarce.cells} == set(STIMULI)
    everything = {(cell.stimulus, *cell.values.items()) for cell in trials.cells}
    assert {(cell.stimulus, *cell.values.items()) for cell in scarce.cells} <= everything


def test_images_stay_within_reach_of_black_and_white() -> None:
    trials = catalogue(15, 6.0, seed=0)
    images = trials.draw(0, len(trials))
    assert not images.isnan().any()
    assert ((images < 0) | (images > 1)).float().mean() < 0.01
    assert images.min() > -0.3 and images.max() < 1.3


def test_trials_drawn_in_parts_are_the_trials_drawn_at_once() -> None:
    trials = catalogue(9, 4.0, seed=3)
    whole = trials.draw(0, len(trials))
    parts = [trials.draw(start, start + 271) for start in range(0, len(trials), 271)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert trials.draw(10, 10).shape == (0, 3, 9, 9)


def test_the_trials_of_a_family_do_not_depend_on_the_others() -> None:
    alone = catalogue(9, 4.0, seed=3, stimuli=["curve"])
    trials = catalogue(9, 4.0, seed=3)
    where = [i for i, cell in enumerate(trials.cell_of) if trials.cells[cell].stimulus == "curve"]
    assert torch.equal(alone.draw(0, len(alone)), trials.draw(where[0], where[-1] + 1))


def test_nuisances_are_spread_evenly_over_the_trials_of_a_cell() -> None:
    trials = catalogue(9, 4.0, seed=0, stimuli=["curve", "grating"], repeats=4)
    curve, grating = (own.parameters for own in trials.trials)
    assert np.all(curve["polarity"].reshape(72, 4).sum(1) == 0)
    phases = np.sort(grating["phase"].reshape(60, 4), axis=1)
    assert np.all(np.diff(phases, axis=1) == 90)
    assert len(np.unique(phases)) == 16
    assert np.hypot(curve["right"], curve["down"]).max() <= JITTER * 4 + 1e-6


def test_a_trial_is_described_in_words() -> None:
    trials = catalogue(33, 12.0, seed=0)
    words = {trials.describe(trial) for trial in range(len(trials))}
    assert "curve, orientation 45 degrees, radius 19.2 pixels" in words
    assert "colour centre surround, radius 10.8 pixels, hue 330 degrees" in words
    assert len(words) == len(trials.cells)


def test_the_hash_is_the_same_again_and_changes_with_everything_that_defines_the_images() -> None:
    def digest(side: int = 9, radius: float = 4.0, seed: int = 0, **more: object) -> str:
        return catalogue(side, radius, seed=seed, **more).hash  # pyright: ignore[reportArgumentType]

    again = [digest(), digest()]
    others = [
        digest(11),
        digest(radius=4.5),
        digest(seed=1),
        digest(repeats=3),
        digest(scarce=True),
    ]
    others.append(digest(stimuli=["line", "edge"]))
    assert again[0] == again[1]
    assert len({again[0], *others}) == 7


def test_a_catalogue_that_cannot_be_is_refused() -> None:
    with pytest.raises(StimulusError, match="no stimulus banana, curv; choose from line, edge"):
        catalogue(9, 4.0, seed=0, stimuli=["curv", "line", "banana"])
    with pytest.raises(StimulusError, match="all must be positive"):
        catalogue(9, 0.0, seed=0)


# random images


@pytest.mark.parametrize("side", [20, 21])
def test_a_quarter_turn_and_flips_of_the_ensemble_are_those_of_its_pixels(side: int) -> None:
    images = ensemble(60, side, 9.0, seed=0)
    plain = images.draw()
    assert torch.allclose(images.draw(Transform("rotate", 90.0)), plain.rot90(1, (2, 3)), atol=1e-4)
    assert torch.allclose(
        images.draw(Transform("rotate", 270.0)), plain.rot90(-1, (2, 3)), atol=1e-4
    )
    assert torch.allclose(images.draw(Transform("flip_h", 1.0)), plain.flip(3), atol=1e-4)
    assert torch.allclose(images.draw(Transform("flip_v", 1.0)), plain.flip(2), atol=1e-4)


def test_an_oblique_turn_of_the_ensemble_is_exact_where_pixels_meet_pixels() -> None:
    # the triangle of sides 3, 4, 5: a turn by 36.87 degrees takes (4, 3) up and right of the centre
    # to ...
    images = ensemble(60, 41, 18.0, seed=0)
    degrees = math.degrees(math.atan2(3, 4))
    plain, turned = images.draw(), images.draw(Transform("rotate", degrees))
    for a in range(-2, 3):
        for b in range(-2, 3):
            before = turned[..., 20 + 5 * b, 20 + 5 * a]  # (5a, 5b), y down
            x, y = 4 * a - 3 * b, 3 * a + 4 * b
            assert torch.allclose(before, plain[..., 20 + y, 20 + x], atol=1e-3)


def test_a_change_of_scale_of_the_ensemble_is_exact_where_pixels_meet_pixels() -> None:
    fine, coarse = ensemble(60, 33, 30.0, seed=0), ensemble(60, 17, 30.0, seed=0)
    assert torch.allclose(
        coarse.draw(Transform("scale", -1.0)), fine.draw()[..., ::2, ::2], atol=1e-3
    )
    assert torch.allclose(
        fine.draw(Transform("scale", 1.0))[..., ::2, ::2], coarse.draw(), atol=1e-3
    )


def test_colours_of_the_ensemble_turn_and_invert_exactly() -> None:
    images = ensemble(30, 16, 7.0, seed=0)
    plain = images.draw()
    assert torch.allclose(images.draw(Transform("hue", 120.0)), plain.roll(1, 1), atol=1e-5)
    assert torch.allclose(images.draw(Transform("invert", 1.0)), 1 - plain, atol=1e-6)
    both = images.draw(Transform("hue_rotate", 120.0, 90.0))
    assert torch.allclose(both, plain.roll(1, 1).rot90(1, (2, 3)), atol=1e-4)


def test_images_of_the_ensemble_do_not_depend_on_their_company() -> None:
    images = ensemble(100, 16, 7.0, seed=4)
    assert torch.allclose(images.draw(start=10, stop=20), images.draw()[10:20], atol=1e-5)
    assert torch.allclose(
        ensemble(40, 16, 7.0, seed=4).draw(stop=40), images.draw(stop=40), atol=1e-5
    )
    assert images.draw(IDENTITY, 5, 5).shape == (0, 3, 16, 16)


def test_a_seed_gives_the_same_images_again_and_another_gives_others() -> None:
    first, again, other = (ensemble(20, 16, 7.0, seed=seed).draw() for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.1
    scenes = [natural_like(6, 16, seed=seed) for seed in (4, 4, 5)]
    assert torch.equal(scenes[0], scenes[1])
    assert (scenes[0] - scenes[2]).abs().mean() > 0.05


def test_the_ensemble_favours_no_colour_polarity_or_direction() -> None:
    images = ensemble(3000, 8, 4.0, seed=0).draw().double() - 0.5
    # one number an image: the images are independent, their pixels are not
    colour = images.mean((2, 3))
    assert (colour.mean(0).abs() < 4 * colour.std(0) / math.sqrt(3000)).all()
    red, between = (hue_axis(torch.tensor(hue, dtype=torch.float64)) for hue in (0.0, 90.0))
    first, second = colour @ red, colour @ between
    spread = first.square() - second.square(), first * second
    across = images.diff(dim=3)[:, :, :7].square() - images.diff(dim=2)[..., :7].square()
    rising = (images[..., 1:, 1:] - images[..., :7, :7]).square() - (
        images[..., 1:, :7] - images[..., :7, 1:]
    ).square()
    directions = across.mean((1, 2, 3)), rising.mean((1, 2, 3))
    for statistic in (*spread, *directions, colour.pow(3).sum(1)):
        assert abs(statistic.mean()) < 4 * statistic.std() / math.sqrt(3000)


def test_the_ensemble_has_high_contrast_at_any_size() -> None:
    for side, radius in ((7, 1.5), (33, 12.0), (96, 48.0)):
        images = ensemble(200, side, radius, seed=0).draw()
        assert images.std() > 0.2
        assert not images.isnan().any()
        assert ((images < 0) | (images > 1)).float().mean() < 0.15


def test_natural_like_scenes_have_the_spectrum_of_textured_surfaces_with_sharp_borders() -> None:
    scenes = natural_like(40, 64, seed=0)
    assert scenes.min() >= 0 and scenes.max() <= 1
    window = torch.hann_window(64, periodic=False)
    field = scenes.mean(1) - scenes.mean((1, 2, 3))[:, None, None]
    power = torch.fft.rfft2(field * window * window[:, None]).abs().square().mean(0)
    radius = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64))
    bands = [
        power[(radius >= low) & (radius < 2 * low)].mean().log2() for low in (1 / 32, 1 / 16, 1 / 8)
    ]
    # an octave takes two powers of two from 1/f textures and three from sharp borders; a little
    # blur takes more
    assert -3.5 < float(bands[2] - bands[0]) / 2 < -2


def test_random_images_that_cannot_be_are_refused() -> None:
    with pytest.raises(StimulusError, match="must be positive"):
        ensemble(0, 16, 7.0, seed=0)
    with pytest.raises(StimulusError, match="must be positive"):
        natural_like(3, 0, seed=0)


# a user's pictures


def test_pictures_are_read_in_order_cut_square_and_brought_to_size(tmp_path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = (255, 128, 0)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    (tmp_path / "below").mkdir()
    Image.fromarray(np.full((10, 10), 51, np.uint8)).save(tmp_path / "below" / "A.JPG")
    (tmp_path / "notes.txt").write_text("no picture")
    (first, wide), (second, grey) = sorted(read_images(tmp_path, 20))
    assert (first, second) == ("b.png", "below/A.JPG")
    assert wide.shape == grey.shape == (3, 20, 20)
    assert torch.allclose(wide, torch.tensor([1.0, 128 / 255, 0.0]).view(3, 1, 1), atol=1e-6)
    assert torch.allclose(grey, torch.tensor(0.2), atol=0.01)


def test_deep_grey_and_transparent_pictures_keep_their_look(tmp_path) -> None:
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "glass.png")
    for _, picture in read_images(tmp_path, 8):
        assert torch.allclose(picture, torch.tensor(128 / 255), atol=1e-6)


def test_a_folder_without_pictures_or_that_is_not_there_is_refused_at_once(tmp_path) -> None:
    with pytest.raises(ImagesError, match=r"no picture in .*; files must end in one of \.bmp"):
        read_images(tmp_path, 8)
    with pytest.raises(ImagesError, match="nowhere is not a folder"):
        read_images(tmp_path / "nowhere", 8)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n\x00\x00", "half"])
def test_a_damaged_picture_is_named(tmp_path, content: bytes | str) -> None:
    path = tmp_path / "bad.png"
    if content == "half":
        noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        content = path.read_bytes()[:900]
    assert isinstance(content, bytes)
    path.write_bytes(content)
    with pytest.raises(ImagesError, match=r"bad\.png cannot be read as a picture"):
        list(read_images(tmp_path, 8))
