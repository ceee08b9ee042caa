"""Comparing networks: what is planted is found, what is random is not, and every number is
checked by another way to it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from circuitome.extract.responses import signatures
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.signatures import unit_rows
from circuitome.significance import auc, empirical_p, target_decoy_q
from circuitome.universality import readout
from circuitome.universality.alignment import alignment_svg, linear_cka, mutual_shares, own_squares
from circuitome.universality.compare import TABLES, CompareError, Comparison, compare, open_all
from circuitome.universality.matching import multiply, mutual_best, shuffled
from circuitome.universality.readout import compare_with_twins, read_out
from tests.support.signed_networks import (
    convolutions,
    network,
    permuted,
    plant,
    signed,
    small_gallery,
)
from tests.support.unrelated_networks import INPUT as SMOOTH
from tests.support.unrelated_networks import unrelated

STARTS = np.array([0, 5, 12])
OTHERS = np.array([0, 4, 6, 15])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return unit_rows(np.random.default_rng(0).standard_normal((12, 40)).astype(np.float32))


@pytest.fixture(scope="module")
def columns() -> np.ndarray:
    return unit_rows(np.random.default_rng(1).standard_normal((15, 40)).astype(np.float32))


# -- matching
# ----------------------------------------------------------------------------------------


def test_products_by_layers_are_those_of_the_whole(rows: np.ndarray, columns: np.ndarray) -> None:
    found, whole = multiply(rows, STARTS, columns, OTHERS), np.corrcoef(rows, columns)[:12, 12:]
    assert found.of_rows == pytest.approx(whole.max(1), abs=1e-5)
    assert found.of_columns == pytest.approx(whole.max(0), abs=1e-5)
    assert found.column_of.tolist() == whole.argmax(1).tolist()
    assert found.row_of.tolist() == whole.argmax(0).tolist()
    assert found.by_column_layer[:, 1] == pytest.approx(whole[:, 4:6].max(1), abs=1e-5)
    assert found.by_row_layer[1] == pytest.approx(whole[5:].max(0), abs=1e-5)
    assert found.squares[0, 2] == pytest.approx((whole[:5, 6:] ** 2).sum(), rel=1e-4)


def test_mutual_matches_are_those_that_choose_each_other(
    rows: np.ndarray, columns: np.ndarray
) -> None:
    found, whole = multiply(rows, STARTS, columns, OTHERS), rows @ columns.T
    pairs = {(i, j) for i, j in enumerate(whole.argmax(1)) if whole[:, j].argmax() == i}
    assert set(np.flatnonzero(mutual_best(found))) == {i for i, _ in pairs}
    shares = mutual_shares(found, np.repeat([0, 1], [5, 7]), np.repeat([0, 1, 2], [4, 2, 9]))
    assert shares.sum() > 0
    assert shares[0, 2] == sum(i < 5 and j >= 6 for i, j in pairs) / 5


def test_linear_cka_is_that_of_the_kernels(rows: np.ndarray, columns: np.ndarray) -> None:
    cka = linear_cka(
        multiply(rows, STARTS, columns, OTHERS),
        own_squares(rows, STARTS),
        own_squares(columns, OTHERS),
    )
    one, other = (part.T @ part for part in (rows[5:], columns[:4]))  # kernels over samples
    assert cka[1, 0] == pytest.approx(
        np.sum(one * other) / np.linalg.norm(one) / np.linalg.norm(other), rel=1e-4
    )
    itself = linear_cka(
        multiply(rows, STARTS, rows, STARTS), own_squares(rows, STARTS), own_squares(rows, STARTS)
    )
    assert np.diag(itself) == pytest.approx(1, rel=1e-4)


def test_shuffling_moves_whole_pictures_of_each_row_apart() -> None:
    rows = np.arange(24.0).reshape(2, 12)
    mixed = shuffled(rows, 3, seed=0)
    assert np.array_equal(np.sort(mixed, 1), rows)
    assert {tuple(part) for part in mixed[0].reshape(-1, 3)} == {
        tuple(part) for part in rows[0].reshape(-1, 3)
    }
    assert not np.array_equal(
        mixed[0].reshape(-1, 3)[:, 0] // 3, mixed[1].reshape(-1, 3)[:, 0] // 3 - 4
    )


# -- significance
# ------------------------------------------------------------------------------------


def test_p_and_q_by_hand() -> None:
    scores, decoys = np.array([0.9, 0.4, 0.6]), np.array([0.5, 0.1, 0.2, 0.3, 0.65, 0.0])
    assert empirical_p(scores, decoys) == pytest.approx([1 / 7, 3 / 7, 2 / 7])
    # from the top: 1/2 chance of one found, 2/2 of two, 3/2 of three; the least from there down
    assert target_decoy_q(scores, decoys, copies=2) == pytest.approx([0.5, 0.5, 0.5])
    assert target_decoy_q(scores, decoys, copies=1) == pytest.approx([1, 1, 1])
    assert auc(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx((0 + 0.5 + 1) / 4)


def test_q_keeps_its_promise_where_everything_is_chance() -> None:
    rng, trials = np.random.default_rng(0), 600
    found = sum(
        (target_decoy_q(rng.standard_t(3, 30), rng.standard_t(3, 90), copies=3) <= 0.05).any()
        for _ in range(trials)
    )
    assert found <= 0.05 * trials + 3 * np.sqrt(0.05 * 0.95 * trials)


def test_read_outs_of_chance_are_rarely_believed() -> None:
    rng, found = np.random.default_rng(1), 0
    for _ in range(300):
        layer = rng.normal(0.2, 0.05) + 0.1 * rng.standard_normal((4, 20)) + 0.3 * rng.random(20)
        _, q = compare_with_twins(layer[0], layer[1:])
        found += bool((q <= 0.05).any())
    assert found <= 15 + 3 * np.sqrt(0.05 * 0.95 * 300)


# -- read-outs
# ---------------------------------------------------------------------------------------


def test_ridge_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    for predictors in (7, 60):  # more samples than predictors, and fewer
        x, y = rng.standard_normal((40, predictors)), rng.standard_normal((40, 5))
        y[:, 0] += x[:, 0] * 2
        new = rng.standard_normal((9, predictors))
        monkeypatch.setattr(readout, "PENALTIES", (0.3,))
        theirs = linear_model.Ridge(alpha=0.3 * 40).fit(x, y).predict(new)
        assert readout._predicted(x, y, new) == pytest.approx(theirs, abs=1e-4)


def test_the_penalty_of_each_target_suits_it() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((80, 40))
    y = np.column_stack(
        [x @ rng.standard_normal(40), rng.standard_normal(80)]
    )  # all signal, no signal
    new = rng.standard_normal((500, 40))
    found = readout._predicted(x, y, new)
    assert np.abs(found[:, 1]).mean() < 0.3 * np.abs(found[:, 0]).mean()


def test_a_rotated_code_is_read_out_though_no_neuron_matches() -> None:
    rng = np.random.default_rng(4)
    code = rng.standard_normal((20, 900)).astype(np.float32)
    turned = np.linalg.qr(rng.standard_normal((20, 20)))[0].astype(np.float32) @ code
    code, turned, other = (
        unit_rows(code),
        unit_rows(turned),
        unit_rows(rng.standard_normal((20, 900)).astype(np.float32)),
    )
    assert np.median((code @ turned.T).max(1)) < 0.7
    assert read_out(turned, code, per_picture=3).min() > 0.99
    assert read_out(other, code, per_picture=3).max() < 0.05


def test_no_picture_is_learned_and_tested_at_once() -> None:
    rng = np.random.default_rng(5)
    repeated = [
        np.repeat(rng.standard_normal((n, 100)), 4, axis=1).astype(np.float32) for n in (90, 3)
    ]
    predictors, targets = map(unit_rows, repeated)
    assert read_out(predictors, targets, per_picture=4).max() < 0.1
    assert (
        read_out(predictors, targets, per_picture=1).min() > 0.5
    )  # so it looks where a picture is in several folds


def test_a_silent_neuron_has_no_read_out() -> None:
    rows = unit_rows(np.random.default_rng(6).standard_normal((4, 60)).astype(np.float32))
    rows[1] = 0
    assert np.isnan(read_out(rows, rows, per_picture=2)).tolist() == [False, True, False, False]
    assert read_out(rows[1:2], rows[:1], per_picture=2)[0] < 0.05


# -- whole networks
# ----------------------------------------------------------------------------------


def both(one: Bundle, other: Bundle) -> Comparison:
    return compare(*open_all([one, other]))


def matches(found: Comparison, source: str) -> list[dict]:
    return [
        row
        for row in found.tables["ANALOGOUS_TO"].to_pylist()
        if row["from"].startswith(f"{source}/")
    ]


def test_a_network_finds_every_neuron_of_itself_under_a_permutation(tmp_path: Path) -> None:
    model = network(11)
    other, places = permuted(model, 0)
    found = both(signed(model, tmp_path / "one"), signed(other, tmp_path / "other"))
    for source, target, way in (
        ("one", "other", places),
        ("other", "one", [np.argsort(place) for place in places]),
    ):
        rows = matches(found, source)
        assert len(rows) == 58
        for row in rows:
            layer, _, channel = row["from"].partition("/")[2].partition(":")
            assert row["to"] == f"{target}/{layer}:{way[int(layer) // 2][int(channel)]}"
            assert row["score"] > 0.999 and row["mutual"] and row["share"] > 0.99
    layers: list[Mapping[str, Any]] = [*found.layers]
    assert all(row["cka"] > 0.999 for row in layers if row["aligned"] == row["layer"])
    assert [row["aligned"] for row in layers] == ["0", "2", "4"] * 2


def test_planted_features_are_found_and_nothing_else(tmp_path: Path) -> None:
    one, other = network(12, first=100, second=100), network(13, first=100, second=100)
    planted = plant(one, other, share=0.2, noise=0.15, seed=5)[:2]
    shown = small_gallery(300)
    found = both(
        *(
            signed(net, tmp_path / name, gallery=shown)
            for net, name in ((one, "one"), (other, "other"))
        )
    )
    for source, target, backward in (("one", "other", False), ("other", "one", True)):
        wanted = {
            (f"{source}/{2 * layer}:{pair[backward]}", f"{target}/{2 * layer}:{pair[not backward]}")
            for layer, pairs in enumerate(planted)
            for pair in pairs.items()
        }
        called = {
            (row["from"], row["to"])
            for row in matches(found, source)
            if row["q"] <= 0.05 and "/4:" not in row["from"]
        }
        assert len(wanted) == 40
        assert len(called & wanted) >= 0.95 * len(wanted)
        assert len(called & wanted) >= 0.95 * len(called)


def test_networks_that_share_nothing_have_no_analogues(tmp_path: Path) -> None:
    bundles = [signed(network(20 + n, first=60, second=60), tmp_path / f"n{n}") for n in range(2)]
    found = both(*bundles)
    for table in ("ANALOGOUS_TO", "READ_OUT_OF"):
        q = np.array(found.tables[table]["q"])
        assert len(q) > 250
        assert (q <= 0.05).mean() <= 0.05


def test_unrelated_networks_with_smooth_filters_have_no_analogues(tmp_path: Path) -> None:
    bundles = [
        signed(unrelated(seed), tmp_path / f"n{seed}", input_shape=SMOOTH) for seed in range(3)
    ]
    for one, other in combinations(bundles, 2):
        found = both(one, other)
        for table in ("ANALOGOUS_TO", "READ_OUT_OF"):
            q = np.array(found.tables[table]["q"])
            assert len(q) > 250
            assert (q <= 0.05).mean() <= 0.05


def test_a_trained_network_is_not_found_in_its_twin(tmp_path: Path) -> None:
    from circuitome.extract.responses.twins import smooth_twin
    from circuitome.networks import BUNDLED, load

    about, model = BUNDLED["menagerie_s0"], load("menagerie_s0")
    shown = small_gallery()
    images = (shown.draw(np.arange(32), about.input_size[1:]) - about.mean[0]) / about.std[0]
    size, mean, std = about.input_size, about.mean, about.std
    first = next(name for name, part in model.named_modules() if isinstance(part, nn.Conv2d))
    one, two = (smooth_twin(model, seed, images=images, seeing={first}) for seed in (90, 91))
    bundles = [
        signed(net, tmp_path / name, input_shape=size, mean=mean, std=std)
        for name, net in (("real", model), ("one", one), ("two", two))
    ]
    for one, other in ((0, 1), (1, 2)):
        found = both(bundles[one], bundles[other])
        for table in ("ANALOGOUS_TO", "READ_OUT_OF"):
            q = np.array(found.tables[table]["q"])
            assert (q <= 0.05).mean() <= 0.05


def test_signatures_with_an_older_null_are_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(16, first=4, second=4)
    monkeypatch.setattr(signatures, "NULL", "twins")
    old, new = signed(model, tmp_path / "old"), tmp_path / "new"
    monkeypatch.undo()
    with pytest.raises(BundleError, match="older kind of null networks"):
        open_all([old, signed(model, new)])


def test_tables_have_the_columns_of_the_schema_and_every_pair_of_layers(tmp_path: Path) -> None:
    found = both(
        signed(network(14), tmp_path / "one"), signed(network(15, first=30), tmp_path / "other")
    )
    for name in TABLES:
        assert found.tables[name].schema == arrow_schema(name)
    aligned = found.tables["ALIGNED_WITH"].to_pylist()
    assert len({(row["from"], row["to"]) for row in aligned}) == len(aligned) == 2 * 9
    by_ends = {(row["from"], row["to"]): row for row in aligned}
    there, back = by_ends["one/0", "other/2"], by_ends["other/2", "one/0"]
    assert (
        there["cka"] == pytest.approx(back["cka"]) and there["mutual_share"] == back["mutual_share"]
    )
    read = found.tables["READ_OUT_OF"].to_pylist()
    assert len(read) == 58 + 64 and all(row["r2"] <= 1 and 0 < row["p"] <= 1 for row in read)
    first = next(row for row in matches(found, "one") if row["from"].startswith("one/2"))
    assert first["field_from"] == 9 and first["depth_from"] == pytest.approx(2 / 3)


def test_what_cannot_be_compared_is_refused_with_the_cure(tmp_path: Path) -> None:
    model = network(16, first=4, second=4)
    one, again = signed(model, tmp_path / "one"), signed(model, tmp_path / "again" / "one")
    other = signed(model, tmp_path / "other", gallery=small_gallery(36))
    with pytest.raises(CompareError, match="two bundles"):
        open_all([one])
    with pytest.raises(CompareError, match="--name"):
        open_all([one, again])
    with pytest.raises(CompareError, match="different pictures"):
        open_all([one, other])


def test_a_picture_of_the_alignment_says_layers_and_values() -> None:
    matrix = np.array([[0.0, 1.0], [0.25, 0.5]])
    text = alignment_svg("a <b>", ["x", "y&z"], ["u", "v"], [("CKA", matrix)])
    tree = ET.fromstring(text)
    titles = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["x – u: 0.000", "x – v: 1.000", "y&z – u: 0.250", "y&z – v: 0.500"]
    fills = [node.get("fill") for node in tree.iter("{http://www.w3.org/2000/svg}rect")]
    assert "#ffffff" in fills and "#081d58" in fills


def test_planting_is_what_it_says() -> None:
    one, other = network(17), network(18)
    pairs = plant(one, other, share=0.25, noise=0.0, seed=1)[0]
    first, second = convolutions(one)[0].weight, convolutions(other)[0].weight
    assert len(pairs) == 6
    assert all(torch.equal(first[a], second[b]) for a, b in pairs.items())
