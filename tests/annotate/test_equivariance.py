import numpy as np
import pytest
import torch

from circuitome.extract.annotate.pairs import (
    GroupScores,
    ScoresError,
    baseline,
    correlation,
    find_pairs,
    invariance,
    weight_scores,
)
from circuitome.extract.stimuli.transforms import Transform
from tests.support.planted import Responder, gabor, null_layers, planted_layer, smooth_filters


def scores(
    layer: np.ndarray,
    *,
    plain: np.ndarray | None = None,
    group: str = "rotate",
    amounts: tuple[float, ...] = (90.0, 180.0),
    nulls: int = 20,
) -> GroupScores:
    """Scores with null layers in which nothing agrees but by up to 0.2."""
    count = layer.shape[1]
    rng = np.random.default_rng(0)
    null = rng.uniform(-0.2, 0.2, (nulls, *layer.shape))
    own = np.eye(count) if plain is None else plain
    period = 360.0 if group in ("rotate", "hue") else None
    return GroupScores(
        group,
        np.array(amounts),
        period,
        layer,
        own,
        null,
        np.broadcast_to(np.eye(count), (nulls, count, count)),
    )


def test_correlation_is_that_of_numpy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3, 50))
    np.testing.assert_allclose(correlation(a, b), np.corrcoef(a, b)[:3, 3:])


def test_a_constant_row_correlates_with_nothing() -> None:
    rows = np.array([[0.1] * 40, list(range(40))])
    assert correlation(rows, rows).tolist() == [[0, 0], [0, pytest.approx(1)]]


def test_the_baseline_is_the_largest_of_what_a_score_has_to_beat() -> None:
    layer = np.array([[[0.5, 0.9], [0.0, 0.2]]])
    plain = np.array([[1.0, 0.7], [0.7, 1.0]])
    assert baseline(layer, plain)[0].tolist() == [[1.0, 0.7], [0.7, 1.0]]
    assert baseline(layer, np.eye(2) * 0 - 1)[0].tolist() == [[0.5, 0.5], [0.5, 0.2]]


def test_a_planted_pair_is_found_with_its_amount_and_sign() -> None:
    layer = np.zeros((2, 6, 6))
    layer[0, 4, 1] = 0.9  # 1 is 4 turned by 90, so 4 is 1 turned by -90
    (pair, *rest) = find_pairs([scores(layer)])
    assert (pair.i, pair.j, pair.amount, pair.score, pair.baseline) == (1, 4, -90.0, 0.9, 0.0)
    assert pair.q == pytest.approx(1 / 20)
    assert pair.p == pytest.approx(1 / (20 * 15 + 1))
    assert not rest


def test_a_half_turn_has_no_sign() -> None:
    layer = np.zeros((2, 6, 6))
    layer[1, 4, 1] = layer[1, 1, 4] = 0.9
    assert [pair.amount for pair in find_pairs([scores(layer)])] == [180.0]


def test_neurons_that_agree_without_a_transform_are_no_pair() -> None:
    layer = np.zeros((2, 4, 4))
    layer[:, 0, 1] = layer[:, 1, 0] = 0.9
    plain = np.eye(4)
    plain[0, 1] = plain[1, 0] = 0.95
    assert find_pairs([scores(layer, plain=plain)]) == []


def test_invariant_neurons_are_no_pair() -> None:
    layer = np.zeros((2, 4, 4))
    layer[:, :2, :2] = 0.9
    assert find_pairs([scores(layer)]) == []


def test_pairs_like_those_of_null_layers_have_no_significance() -> None:
    rng = np.random.default_rng(1)
    pairs = find_pairs([scores(rng.uniform(-0.2, 0.2, (2, 20, 20)))])
    assert pairs and min(pair.q for pair in pairs) > 0.2


def test_few_null_layers_promise_little() -> None:
    layer = np.zeros((2, 6, 6))
    layer[0, 0, 1] = 0.9
    assert find_pairs([scores(layer, nulls=4)])[0].q == pytest.approx(1 / 4)


def test_a_pair_counts_once_over_all_groups() -> None:
    layer = np.zeros((2, 6, 6))
    layer[0, 0, 1] = 0.9
    mirrored = np.zeros((1, 6, 6))
    mirrored[0, 0, 1] = mirrored[0, 1, 0] = 0.9
    found = find_pairs([scores(layer), scores(mirrored, group="flip_h", amounts=(1.0,))])
    assert {(pair.i, pair.j, pair.group) for pair in found} == {(0, 1, "rotate"), (0, 1, "flip_h")}
    assert found[0].q == 1 / 20


def test_turns_come_with_their_amounts() -> None:
    layer = np.zeros((2, 6, 6))
    layer[1, 3, 2] = 0.9
    given = scores(layer, group="hue_rotate", amounts=(120.0, 120.0))
    both = GroupScores(
        given.group,
        given.amounts,
        None,
        given.scores,
        given.plain,
        given.null_scores,
        given.null_plain,
        np.array([90.0, -90.0]),
    )
    pair = find_pairs([both])[0]
    assert (pair.i, pair.j, pair.amount, pair.turn) == (2, 3, -120.0, 90.0)


def test_invariance_is_the_lowest_score_with_itself() -> None:
    layer = np.zeros((2, 2, 2))
    layer[0, 0, 0], layer[1, 0, 0], layer[0, 1, 1], layer[1, 1, 1] = 0.9, 0.8, 0.1, 1.0
    assert invariance(scores(layer)).tolist() == [0.8, 0.1]


def test_scores_of_other_shapes_are_refused() -> None:
    with pytest.raises(ScoresError, match="group rotate have shapes"):
        scores(np.zeros((3, 4, 4)))


@pytest.mark.parametrize(
    "group, amount",
    [("rotate", 90.0), ("rotate", 180.0), ("rotate", -90.0), ("flip_h", 1.0), ("flip_v", 1.0)],
)
def test_a_kernel_and_its_turned_copy_are_one_by_weights(group: str, amount: float) -> None:
    kernel = smooth_filters(4, smoothness=0.7, generator=torch.Generator().manual_seed(0))
    moved = {
        ("rotate", 90.0): kernel.rot90(1, (2, 3)),
        ("rotate", 180.0): kernel.rot90(2, (2, 3)),
        ("rotate", -90.0): kernel.rot90(-1, (2, 3)),
        ("flip_h", 1.0): kernel.flip(3),
        ("flip_v", 1.0): kernel.flip(2),
    }[group, amount]
    found = weight_scores(torch.cat([kernel, moved]).numpy(), Transform(group, amount))
    np.testing.assert_allclose(np.diagonal(found[:4, 4:]), 1, atol=1e-6)


def test_other_angles_are_interpolated() -> None:
    kernel = torch.stack(
        [gabor(Transform("rotate", angle), frequency=0.12, side=11) for angle in (0.0, 30.0, 120.0)]
    )
    found = weight_scores(kernel.numpy(), Transform("rotate", 30.0))
    assert found[0, 1] > 0.95
    assert abs(found[0, 2]) < 0.5


def test_hue_and_inversion_act_on_the_colours_of_a_first_layer() -> None:
    kernel = torch.stack([gabor(Transform("hue", hue)) for hue in (0.0, 120.0)])
    both = torch.cat([kernel, -kernel]).numpy()
    assert weight_scores(both, Transform("hue", 120.0))[0, 1] == pytest.approx(1, abs=1e-5)
    assert np.diagonal(weight_scores(both, Transform("invert", 1.0))[:2, 2:]) == pytest.approx(
        [1, 1], abs=1e-5
    )


def test_deeper_kernels_are_compared_through_the_partners_of_their_inputs() -> None:
    kernel = np.random.default_rng(0).normal(size=(1, 4, 3, 3))
    order = [2, 0, 3, 1]
    partners = np.zeros((4, 4))
    partners[np.arange(4), order] = 1
    moved = np.zeros_like(kernel)
    moved[:, order] = np.rot90(kernel, 1, (2, 3))
    both = np.concatenate([kernel, moved])
    assert weight_scores(both, Transform("rotate", 90.0), partners)[0, 1] == pytest.approx(1)
    assert abs(weight_scores(both, Transform("rotate", 90.0), np.eye(4))[0, 1]) < 0.5


def test_planted_mirror_images_and_negatives_are_found_among_noise() -> None:
    kernel, _ = planted_layer([], neurons=32, noise=0.0, seed=0)
    kernel[3] = gabor(Transform("rotate", 40.0), phase=50.0)
    kernel[9] = kernel[3].flip(2)
    kernel[20] = -kernel[12]
    responder = Responder(groups=("flip_h", "invert"))
    nulls = null_layers(kernel, 20, seed=1)
    found = find_pairs(
        [responder.scores(kernel, group, nulls=nulls) for group in ("flip_h", "invert")]
    )
    named = {(pair.i, pair.j, pair.group) for pair in found if pair.q <= 0.05}
    assert {(3, 9, "flip_h"), (12, 20, "invert")} <= named
