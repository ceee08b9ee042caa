"""The published circuits of the thread: the graph of the facts, the checks against independent counts, and how they fail."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores import Store
from circuitome.queries.database import Database
from circuitome.thread.checks import check_thread
from circuitome.thread.evidence import Finding, binomial, hypergeometric
from circuitome.thread.ground_truth import GroundTruth, open_ground_truth
from circuitome.thread.inception import (
    MODEL,
    chosen_tiles,
    neuron_key,
    part_centres,
    write_inception,
)
from tests.support.program import Run, run
from tests.support.synthetic import edge_columns

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def truth(ground_truth_dir: Path) -> GroundTruth:
    return open_ground_truth(ground_truth_dir)


@pytest.fixture(scope="module")
def bundle(truth: GroundTruth, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_inception(truth, tmp_path_factory.mktemp("thread") / "thread.circuitome")


@pytest.fixture(scope="module")
def printed(ground_truth_dir: Path) -> Run:
    return run("thread-check", "--ground-truth", ground_truth_dir, "--json")


@pytest.fixture
def copy(ground_truth_dir: Path, tmp_path: Path) -> Path:
    """A copy of the facts that a test may alter."""
    return Path(shutil.copytree(ground_truth_dir, tmp_path / "facts"))


def rewrite(file: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def rewrite_arrays(file: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    with np.load(file) as arrays:
        changed: dict[str, Any] = {name: change(name, arrays[name]) for name in arrays.files}
    np.savez(file, **changed)


# The arithmetic


def test_the_hypergeometric_tail_is_what_counting_every_draw_gives() -> None:
    draws = list(itertools.combinations(range(9), 4))  # things 0 to 2 are special
    for found in range(4):
        share = sum(len({0, 1, 2} & set(draw)) >= found for draw in draws) / len(draws)
        assert hypergeometric(found, 4, special=3, total=9) == pytest.approx(share)


def test_the_sign_test_is_what_counting_every_throw_gives() -> None:
    throws = list(itertools.product((0, 1), repeat=7))
    for found in range(8):
        assert binomial(found, 7) == pytest.approx(
            sum(sum(throw) >= found for throw in throws) / len(throws)
        )


def test_the_centres_of_a_kernel_are_its_centres_of_mass() -> None:
    kernel = np.zeros((1, 5, 5))
    kernel[0, 0, 4], kernel[0, 2, 4], kernel[0, 4, 1] = 3, 1, -2
    found = part_centres(kernel)
    assert [found[name][0] for name in ("ex", "ey", "ix", "iy")] == [2, -1.5, -1, 2]
    assert np.isnan(part_centres(np.abs(kernel))["ix"][0])


# The graph


def test_the_graph_has_every_neuron_and_family_of_early_vision(bundle: Bundle) -> None:
    bundle.check()
    assert (bundle.rows("Neuron"), bundle.rows("Family"), bundle.rows("MEMBER_OF")) == (
        1056,
        77,
        1056,
    )
    sizes = Counter(bundle.table("IN_BRANCH")["to"].to_pylist())
    assert sizes[f"{MODEL}/mixed3b#mixed3b_5x5"] == 96


def test_every_edge_of_the_graph_is_the_kernel_of_a_figure(
    bundle: Bundle, ground_truth_dir: Path
) -> None:
    tiles = json.loads((ground_truth_dir / "circuit_weights_from_figures.json").read_text())[
        "edges"
    ]
    sound = {}
    for tile in tiles:
        if "flag" not in tile:
            sound.setdefault((tile["pre"], tile["post"]), []).append(
                np.array(tile["weights"], np.float32)
            )
    places = {row["from"]: row for row in bundle.table("IN_BLOCK").to_pylist()}

    def unit(key: str) -> str:
        if key in places:
            return f"{places[key]['to'].removeprefix(f'{MODEL}/')}:{places[key]['channel']}"
        return key.removeprefix(f"{MODEL}/")

    seen = set()
    for table in ("EXCITES", "INHIBITS"):
        for row in bundle.table(table).to_pylist():
            edge, kernel = (unit(row["from"]), unit(row["to"])), bundle.kernels.row(row["kernel"])
            assert any(np.array_equal(kernel, tile) for tile in sound[edge]), edge
            assert (row["weight"] < 0) == (table == "INHIBITS")
            columns = {
                name: value[0, 0] for name, value in edge_columns(kernel[None, None]).items()
            }
            for name in ("weight", "excitation", "polarity", "ex", "ey", "ix", "iy"):
                expected = (
                    None
                    if np.isnan(columns[name])
                    else pytest.approx(columns[name], rel=1e-5, abs=1e-6)
                )
                assert row[name] == expected, (edge, name)
            seen.add(edge)
    early = ("conv2d2:", "mixed3a:")
    assert seen == {edge for edge in sound if edge[0].startswith(early)}


def test_shares_and_ranks_are_among_the_decoded_kernels_of_a_receiver(bundle: Bundle) -> None:
    rows = [row for table in ("EXCITES", "INHIBITS") for row in bundle.table(table).to_pylist()]
    for receiver in {row["to"] for row in rows}:
        own = sorted((row for row in rows if row["to"] == receiver), key=lambda row: row["rank"])
        assert [row["rank"] for row in own] == list(range(1, len(own) + 1))
        assert sum(row["share"] for row in own) == pytest.approx(1, abs=1e-5)
        assert sorted((row["share"] for row in own), reverse=True) == [row["share"] for row in own]


def test_no_doubtful_kernel_is_taken_and_no_edge_twice(truth: GroundTruth) -> None:
    tiles = chosen_tiles(truth)
    assert not [tile for tile in tiles if tile.flag is not None]
    assert max(Counter((tile.sender, tile.receiver) for tile in tiles).values()) == 1


def test_the_inputs_that_no_figure_shows_are_counted(bundle: Bundle) -> None:
    (row,) = [
        row for row in bundle.table("Neuron").to_pylist() if row["key"] == f"{MODEL}/mixed3b_5x5:59"
    ]
    shown = sum(
        row["to"] == f"{MODEL}/mixed3b_5x5:59"
        for table in ("EXCITES", "INHIBITS")
        for row in bundle.table(table).to_pylist()
    )
    assert shown > 5
    assert (row["fan_in"], row["dropped"]) == (256, 256 - shown)


def test_expanded_weights_are_the_sums_of_the_published_kernels(
    bundle: Bundle, ground_truth_dir: Path
) -> None:
    with np.load(ground_truth_dir / "expanded_weights_conv2d2_to_mixed3b_curves.npz") as arrays:
        sender, receiver, kernel = (
            int(arrays["pre"][3]),
            int(arrays["post"][7]),
            arrays["weights"][3, 7],
        )
    start = 320  # the first channel of mixed3b_5x5
    ends = (f"{MODEL}/conv2d2:{sender}", f"{MODEL}/mixed3b_5x5:{receiver - start}")
    (row,) = [
        row for row in bundle.table("EXPANDED").to_pylist() if (row["from"], row["to"]) == ends
    ]
    assert row["weight"] == kernel.sum()
    assert row["excitation"] == kernel[kernel > 0].sum()
    assert bundle.rows("EXPANDED") == 330


def test_the_graph_answers_the_queries_of_the_library(
    bundle: Bundle, store: Store, truth: GroundTruth
) -> None:
    database = Database(store)
    database.load(bundle)
    (row,) = database.query("block_channel", block="mixed3b", channel=379)
    assert row["neuron"] == f"{MODEL}/mixed3b_5x5:59"
    families = database.query("families").to_dicts()
    assert len({row["family"] for row in families}) == 77
    high_low = {row["neuron"] for row in database.query("neurons_of_kind", kind="high_low")}
    assert high_low == {
        neuron_key(truth, f"mixed3a:{unit}")
        for unit in truth.high_low_fact("detectors_mixed3a_family")
    }
    strongest = next(iter(database.query("inputs", neuron="mixed3b_5x5:59", limit=1)))
    assert (strongest["sender"], strongest["effect"]) == (
        neuron_key(truth, "mixed3a:95"),
        "inhibits",
    )
    findings = check_thread(truth, bundle, database=database)
    assert "does not hold" not in {finding.verdict for finding in findings}


# The checks


def one(findings: list[dict[str, str]], start: str) -> dict[str, str]:
    (found,) = [row for row in findings if row["claim"].startswith(start)]
    return found


def test_every_claim_that_can_be_checked_holds(printed: Run) -> None:
    assert printed.code == 0
    assert list(printed.rows[0]) == ["claim", "source", "published", "measured", "verdict"]
    verdicts = Counter(row["verdict"] for row in printed.rows)
    assert set(verdicts) == {"holds", "cannot be checked"}
    assert verdicts["holds"] >= 25
    assert all(row["measured"] for row in printed.rows)


def test_branch_counts_and_their_chances_are_those_of_another_program(
    printed: Run, ground_truth_dir: Path
) -> None:
    with (ground_truth_dir / "families_early_vision.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["layer"] in ("mixed3a", "mixed3b")]
    layers, branches = Counter(row["layer"] for row in rows), Counter(row["branch"] for row in rows)
    families = Counter((row["layer"], row["family"]) for row in rows)
    inside = Counter((row["layer"], row["family"], row["branch"]) for row in rows)
    chance = {
        (layer, family, branch): hypergeom.sf(
            inside[layer, family, branch] - 1, layers[layer], branches[branch], size
        )
        for (layer, family), size in families.items()
        for branch in branches
        if branch.startswith(layer)
    }
    assert len(chance) == 208
    found = [key for key, p in chance.items() if p <= 0.05 / 208]
    measured = one(printed.rows, "families are concentrated")["measured"]
    assert measured.startswith(f"{len(found)} of 208 pairs")
    for _, family, branch in found:
        assert f"{family}/{branch}" in measured
    p = chance["mixed3a", "BW vs Color", "mixed3a_5x5"]
    assert (
        one(printed.rows, "black-and-white vs colour detectors")["measured"]
        == f"9 of 9, p = {p:.1e}"
    )


def test_the_thirty_curve_features_are_told_to_be_a_union(printed: Run) -> None:
    measured = one(printed.rows, "curve features")["measured"]
    p = hypergeom.sf(29, 480, 96, 30)
    assert measured.startswith(f"30 of 30, p = {p:.1e}")
    assert "union of 7 families" in measured
    assert "30 of 33" in measured  # with the family whose name fits and whose neurons do not


def test_banding_ratios_are_those_that_came_with_the_maps(
    printed: Run, ground_truth_dir: Path
) -> None:
    index = json.loads((ground_truth_dir / "weight_banding_index.json").read_text())["models"]
    text = " ".join(row["measured"] for row in printed.rows if row["source"] == "Weight Banding")
    for entry in index:
        assert f"{entry['row_variance_over_column_variance']:.2g}" in text
    assert text.count(", ") + 4 == len(index)  # each layer in one row, and there are four rows
    assert "VGG19 - fc-only 6.8" in one(printed.rows, "VGG19")["measured"]


def move_one_detector(facts: Path) -> None:
    def change(content: Any) -> None:
        families = {family["name"]: family["units"] for family in content["families"]["mixed3a"]}
        families["BW vs Color"].remove(214)
        families["BW vs Color"].append(families["High-Low Frequency"].pop())
        families["High-Low Frequency"].append(214)

    rewrite(facts / "families_early_vision.json", change)


def negate_kernels(facts: Path) -> None:
    def change(content: Any) -> None:
        for edge in content["edges"]:
            edge["weights"] = (-np.array(edge["weights"])).tolist()

    rewrite(facts / "circuit_weights_from_figures.json", change)


def turn_tuning(facts: Path) -> None:
    def change(name: str, array: np.ndarray) -> np.ndarray:
        return np.roll(array, 360, axis=1) if name.endswith("_act") else array

    rewrite_arrays(facts / "tuning_curves.npz", change)


def swap_tuned_layers(facts: Path) -> None:
    with np.load(facts / "tuning_curves.npz") as arrays:
        late, early = arrays["mixed3b_act"], arrays["conv2d2_act"]
    swapped = {"mixed3b_act": early[:10], "conv2d2_act": np.concatenate([late, late[:1]])}
    rewrite_arrays(facts / "tuning_curves.npz", swapped.get)


def turn_bands(facts: Path) -> None:
    rewrite_arrays(facts / "weight_banding_nmf_rgb8.npz", lambda _, array: array.swapaxes(1, 2))


def blur_filters(facts: Path) -> None:
    shuffled = np.random.default_rng(0)
    rewrite_arrays(
        facts / "conv2d0_filters_rgb8.npz",
        lambda _, array: shuffled.permuted(array.reshape(64, -1), axis=1).reshape(array.shape),
    )


def negate_the_hand_written(facts: Path) -> None:
    rewrite_arrays(
        facts / "aann_weights.npz", lambda name, array: -array if name == "aann_3a_to_3b" else array
    )


@pytest.mark.parametrize(
    "alter, fallen",
    [
        (move_one_detector, ["black-and-white vs colour detectors", "high-low frequency detectors of mixed3a"]),
        (negate_kernels, ["car detector", "curves excite", "curves inhibit", "pairs of curves", "mixed3b:345", "circle", "evolute"]),
        (turn_tuning, ["preferred angles", "the same by our estimator", "circle", "evolute"]),
        (swap_tuned_layers, ["early curve detectors also answer"]),
        (turn_bands, ["last layers before", "trained on images turned"]),
        (blur_filters, ["taxonomy"]),
        (negate_the_hand_written, ["the same signs in the hand-written"]),
    ],
)  # fmt: skip
def test_facts_that_say_otherwise_fail_their_checks(
    copy: Path, alter: Callable[[Path], None], fallen: list[str]
) -> None:
    alter(copy)
    got = run("thread-check", "--ground-truth", copy, "--json")
    assert got.code == 1
    for start in fallen:
        rows = [row for row in got.rows if row["claim"].startswith(start)]
        assert rows
        assert {row["verdict"] for row in rows} == {"does not hold"}, rows
    standing = [row["claim"] for row in got.rows if row["verdict"] == "does not hold"]
    assert len(standing) < len(got.rows) / 2


# The command


def test_without_the_facts_one_line_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIRCUITOME_GROUND_TRUTH", raising=False)
    got = run("thread-check")
    assert (got.code, got.out) == (2, "")
    assert got.err.count("\n") == 1
    assert "--ground-truth DIR" in got.err
    assert "CIRCUITOME_GROUND_TRUTH" in got.err


def test_a_folder_without_the_facts_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    got = run("thread-check", "--ground-truth", tmp_path)
    assert (got.code, got.out) == (2, "")
    assert got.err.count("\n") == 1
    assert f"{tmp_path}: inceptionv1_architecture.json is missing, and 11 more" in got.err


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("curve_detectors.json", b"{", "not readable"),
        ("curve_detectors.json", b"{}", "not readable"),
        ("circuit_weights_from_figures.json", b'{"edges": [{"pre": "conv2d2:1"}]}', "not readable"),
        ("tuning_curves.npz", b"no arrays", "not readable"),
    ],
)
def test_a_damaged_file_is_named(copy: Path, file: str, content: bytes, message: str) -> None:
    (copy / file).write_bytes(content)
    got = run("thread-check", "--ground-truth", copy)
    assert (got.code, got.out) == (2, "")
    assert f"{copy / file}: {message}" in got.err


def test_families_that_leave_a_unit_out_are_refused(copy: Path) -> None:
    rewrite(
        copy / "families_early_vision.json",
        lambda content: content["families"]["conv2d1"][0]["units"].pop(),
    )
    got = run("thread-check", "--ground-truth", copy)
    assert got.code == 2
    assert "conv2d1" in got.err


def test_the_environment_names_the_facts_and_the_graph_can_be_kept(
    ground_truth_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITOME_GROUND_TRUTH", str(ground_truth_dir))
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    got = run("thread-check", "--db", tmp_path / "kept.db")
    assert got.code == 0
    assert "cannot be checked" in got.out
    asked = run(
        "query",
        "block_channel",
        "-p",
        "block=mixed3a",
        "-p",
        "channel=110",
        "--db",
        tmp_path / "kept.db",
        "--json",
    )
    assert asked.rows[0]["neuron"] == f"{MODEL}/mixed3a_3x3:46"


def test_the_table_of_the_docs_is_the_table_of_the_command(printed: Run) -> None:
    page = (ROOT / "docs" / "thread.md").read_text()
    lines = [docs_line(Finding(**row)) for row in printed.rows]
    missing = [line for line in lines if line not in page]
    assert not missing, "put the lines into docs/thread.md"


def docs_line(finding: Finding) -> str:
    """A finding as a line of the table in docs/thread.md."""
    cells = (finding.claim, finding.source, finding.published, finding.measured, finding.verdict)
    return f"| {' | '.join(cells)} |"


def test_the_checks_need_no_torch_until_they_fit_a_curve() -> None:
    code = "import sys, circuitome.thread.checks; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
