from functools import cache

import numpy as np
import pytest
import torch

from circuitome.extract.annotate.families import (
    Found,
    find_families,
    strongest,
)
from circuitome.extract.annotate.growing import LOST_RESAMPLED, finer
from circuitome.extract.annotate.offsets import closure, fit_offsets, gaps
from circuitome.extract.annotate.pairs import GroupScores, ScoresError
from circuitome.extract.stimuli.transforms import Transform
from tests.support.planted import (
    Planted,
    Responder,
    gabor,
    null_layers,
    offset_errors,
    pairwise,
    planted_layer,
    planted_network,
    smooth_filters,
    turned,
)


@cache
def responder(group: str) -> Responder:
    return Responder(groups=(group,))


def families(kernel: torch.Tensor, group: str, *, nulls: int = 10):
    """Families that are stronger than the strongest of every null layer."""
    return standing_out(
        responder(group).scores(kernel, group, nulls=null_layers(kernel, nulls, seed=1))
    )


def standing_out(scores: GroupScores) -> list[Found]:
    found, chance = find_families(scores)
    return [family for family in found if family.strength > chance.max()]


def assert_found(found: list[Found], truth: Planted, *, within: float | None = None) -> None:
    """The first family found is the planted one."""
    assert found
    family = found[0]
    precision, recall = pairwise(family.members.tolist(), truth.members)
    assert precision >= 0.95 and recall >= 0.95
    if within is not None:
        assert family.period is not None
        pairs = list(zip(family.members.tolist(), family.offsets.tolist(), strict=True))
        assert abs(offset_errors(pairs, truth, period=family.period)).max() <= within


@pytest.mark.parametrize("noise", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(
    "count, span, phase", [(8, 360, 60), (12, 360, 60), (16, 360, 60), (8, 180, 0), (12, 180, 0)]
)
def test_turned_gabors_among_smooth_noise_are_a_family(
    count: int, span: float, phase: float, noise: float
) -> None:
    kernel, (truth,) = planted_layer(
        [("rotate", turned(count, span=span), {"phase": phase})],
        neurons=48,
        noise=noise,
        seed=count,
    )
    found = families(kernel, "rotate")
    assert_found(found, truth, within=5.0 if noise <= 0.25 else None)
    assert found[0].period == span
    assert found[0].closure > 0.9


def test_offsets_of_gabors_under_noise_of_half_their_spread_are_right_to_five_degrees_root_mean_square() -> (
    None
):
    errors = []
    for count in (8, 12, 16):
        kernel, (truth,) = planted_layer(
            [("rotate", turned(count, span=360), {"phase": 60})], neurons=48, noise=0.5, seed=count
        )
        family = families(kernel, "rotate")[0]
        pairs = list(zip(family.members.tolist(), family.offsets.tolist(), strict=True))
        errors.extend(offset_errors(pairs, truth, period=360))
    assert np.sqrt(np.mean(np.square(errors))) <= 5


def test_hue_triples_are_a_family() -> None:
    kernel, (truth,) = planted_layer([("hue", (0, 120, 240), {})], neurons=32, noise=0.2, seed=3)
    assert_found(families(kernel, "hue", nulls=20), truth, within=5.0)


def test_scale_ladders_are_a_family_in_octaves() -> None:
    kernel = smooth_filters(32, smoothness=1.0, generator=torch.Generator().manual_seed(0))
    for neuron, octaves in ((4, -0.5), (11, 0.0), (20, 0.5)):
        kernel[neuron] = gabor(Transform("scale", octaves), frequency=0.25, spread=1.3)
    family = families(kernel, "scale", nulls=20)[0]
    assert family.members.tolist() == [4, 11, 20]
    assert family.offsets == pytest.approx([0, 0.5, 1.0], abs=0.2)
    assert family.period is None


def test_mirror_images_are_families_of_two() -> None:
    kernel = smooth_filters(32, smoothness=1.0, generator=torch.Generator().manual_seed(0))
    kernel[5] = gabor(Transform("rotate", 40.0), phase=50.0)
    kernel[17] = kernel[5].flip(2)
    family = families(kernel, "flip_h", nulls=20)[0]
    assert (family.members.tolist(), family.offsets.tolist()) == ([5, 17], [0, 1])


def test_two_families_of_one_layer_are_told_apart() -> None:
    looks = ({"phase": 90.0, "frequency": 0.15}, {"phase": 0.0, "frequency": 0.26})
    kernel, truth = planted_layer(
        [("rotate", turned(8, span=360), looks[0]), ("rotate", turned(8, span=180), looks[1])],
        neurons=48,
        noise=0.1,
        seed=5,
    )
    found = [set(family.members.tolist()) for family in families(kernel, "rotate")[:2]]
    assert all(set(family.members) in found for family in truth)


def test_curves_made_of_lines_are_a_family_of_the_second_layer() -> None:
    network, _, (curves,) = planted_network(orientations=12, noise=0.2, seed=0)
    seen = Responder(groups=("rotate",), side=11, front=network[:2])
    kernel = network.state_dict()["2.weight"]
    found = standing_out(
        seen.scores(kernel, "rotate", nulls=null_layers(kernel, 10, seed=1, colours=False))
    )
    assert_found(found, curves, within=5.0)


def test_smooth_noise_is_seldom_stronger_than_every_null_layer() -> None:
    first = 0
    for seed in range(30):
        kernel = smooth_filters(
            32, smoothness=1.0, generator=torch.Generator().manual_seed(100 + seed)
        )
        scores = responder("rotate").scores(
            kernel, "rotate", nulls=null_layers(kernel, 10, seed=seed)
        )
        first += strongest(scores) > find_families(scores)[1].max()
    assert first <= 7  # of thirty, one in eleven each: eight would be chance in six of a thousand


def layer(amounts: dict[tuple[int, int], float], *, count: int, step: float = 90.0) -> GroupScores:
    """Scores of 1 where neuron j is i turned by the given angle, on a grid of ``step``; null
    layers have small noise.
    """
    grid = np.arange(step, 181, step)
    scores = np.zeros((len(grid), count, count))
    for (i, j), angle in amounts.items():
        for a, amount in enumerate(grid):
            scores[a, i, j] = max(scores[a, i, j], (angle - amount) % 360 == 0)
            scores[a, j, i] = max(scores[a, j, i], (-angle - amount) % 360 == 0)
    null = np.random.default_rng(0).uniform(-0.2, 0.2, (10, *scores.shape))
    return GroupScores(
        "rotate",
        grid,
        360.0,
        scores,
        np.eye(count),
        null,
        np.broadcast_to(np.eye(count), (10, count, count)),
    )


def test_a_family_of_three_quarters_lacks_the_fourth() -> None:
    ((family,), _) = find_families(layer({(1, 4): 90.0, (1, 3): 180.0, (4, 3): 90.0}, count=6))
    assert family.members.tolist() == [1, 3, 4]
    assert family.offsets == pytest.approx([0, 180, 90])
    assert family.gaps == pytest.approx([270])
    assert family.closure == 1
    told = np.log((1 + LOST_RESAMPLED) / LOST_RESAMPLED)
    assert family.strength == pytest.approx(2 * told, rel=0.05)  # less the toll of this null
    assert family.strength < 2 * told


def test_offsets_are_fitted_to_all_pairs_and_not_along_a_chain() -> None:
    truth = np.array([0.0, 40.0, 95.0, 200.0])
    noise = np.random.default_rng(0).normal(0, 3, (4, 4))
    differences = (truth[None] - truth[:, None] + noise + 180) % 360 - 180
    offsets, _ = fit_offsets(differences, np.round(truth / 15) * 15, period=360)
    expected = np.linalg.lstsq(*_equations(differences, truth), rcond=None)[0]
    np.testing.assert_allclose(offsets, (expected - expected[0]) % 360, atol=1e-6)


def _equations(differences: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One equation a pair, the difference taken on the turn of ``near``, and the first offset
    fixed at 0.
    """
    rows, values = [np.eye(4)[0]], [0.0]
    for i in range(4):
        for j in range(i + 1, 4):
            rows.append(np.eye(4)[j] - np.eye(4)[i])
            apart = near[j] - near[i]
            values.append(apart + (differences[i, j] - apart + 180) % 360 - 180)
    return np.array(rows), np.array(values)


def test_the_standard_error_of_an_offset_is_that_of_repeated_fits() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 90.0, 180.0, 230.0, 300.0])
    fits = [
        fit_offsets(truth[None] - truth[:, None] + rng.normal(0, 2, (5, 5)), truth, period=360)
        for _ in range(400)
    ]
    offsets = np.array([(fit[0] - truth + 180) % 360 - 180 for fit in fits])
    centred = offsets - offsets.mean(1, keepdims=True)
    assert np.sqrt(np.mean([fit[1] ** 2 for fit in fits])) == pytest.approx(centred.std(), rel=0.1)


def test_closure_counts_the_triangles_that_compose() -> None:
    truth = np.array([0.0, 90.0, 180.0, 270.0])
    best = (truth[None] - truth[:, None]) % 360
    assert closure(best, step=15, period=360) == 1
    best[0, 1] = 0
    assert closure(best, step=15, period=360) == 0.5


def test_closure_forgives_what_a_symmetric_feature_does_not_tell_apart() -> None:
    truth = np.array([0.0, 60.0, 120.0])
    best = truth[None] - truth[:, None]
    best[0, 1] += 180
    assert closure(best, step=15, period=360) == 0
    assert closure(best, step=15, period=180) == 1


@pytest.mark.parametrize(
    "offsets, period, missing",
    [
        ([0, 90, 180], 360, [270]),
        ([0, 60, 120], 180, []),
        ([3, 44, 91, 181, 224, 272, 316], 360, [135]),
        ([0, 0.5, 1.5], None, [1.0]),
        ([0, 10], 360, []),
        ([0, 17, 103], 360, []),
    ],
)
def test_gaps_are_where_the_spacing_suggests_a_member(
    offsets: list[float], period: float | None, missing: list[float]
) -> None:
    found = gaps(np.array(offsets, float), step=0.5 if period is None else 15.0, period=period)
    assert found == pytest.approx(missing, abs=5)


def test_amounts_that_leave_out_half_of_the_circle_are_refused() -> None:
    scores = layer({(0, 1): 90.0}, count=3)
    half = GroupScores(
        "rotate",
        scores.amounts[:1],
        360.0,
        scores.scores[:1],
        scores.plain,
        scores.null_scores[:, :1],
        scores.null_plain,
    )
    with pytest.raises(ScoresError, match="do not reach half of 360"):
        find_families(half)


def test_finer_places_keep_the_scores_where_they_were_measured() -> None:
    for places in (4, 5, 24):
        fine = finer(places, 3)
        np.testing.assert_allclose(fine[::3], np.eye(places), atol=1e-12)
        angle = 2 * np.pi * np.arange(places * 3) / (places * 3)
        np.testing.assert_allclose(fine @ np.cos(angle[::3] + 0.3), np.cos(angle + 0.3), atol=1e-12)
