"""The claims of the thread: checked against independent counts, and how the checks fail."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom

from circuitome.significance import binomial, hypergeometric
from circuitome.thread.evidence import Finding
from circuitome.thread.ground_truth import FACTS
from circuitome.thread.keys import MODEL
from tests.support.program import Run, run

ROOT = Path(__file__).parents[2]


def rewrite(file: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def rewrite_arrays(file: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    with np.load(file) as arrays:
        changed: dict[str, Any] = {name: change(name, arrays[name]) for name in arrays.files}
    np.savez(file, **changed)


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


def test_branch_counts_and_their_chances_are_those_of_another_program(printed: Run) -> None:
    """The table of families by branches was counted when the facts were collected."""
    table = json.loads((FACTS / "branch_specialization.json").read_text())
    counted = table["computed_from_families_x_branches"]
    chance = {}
    for layer, families in counted.items():
        branches: Counter[str] = Counter()
        for family in families:
            branches.update(family["by_branch"])
        for family in families:
            for branch, inside in family["by_branch"].items():
                p = hypergeom.sf(inside - 1, branches.total(), branches[branch], family["n"])
                chance[layer, family["family"], branch] = p
    assert len(chance) == 208
    found = [key for key, p in chance.items() if p <= 0.05 / 208]
    measured = one(printed.rows, "families are concentrated")["measured"]
    assert measured.startswith(f"{len(found)} of 208 pairs")
    for _, family, branch in found:
        assert f"{family}/{branch}" in measured
    p = chance["mixed3a", "BW vs Color", "mixed3a_5x5"]
    measured = one(printed.rows, "black-and-white vs colour detectors")["measured"]
    assert measured == f"9 of 9, p = {p:.1e}"


def test_the_thirty_curve_features_are_told_to_be_a_union(printed: Run) -> None:
    measured = one(printed.rows, "curve features")["measured"]
    p = hypergeom.sf(29, 480, 96, 30)
    assert measured.startswith(f"30 of 30, p = {p:.1e}")
    assert "union of 7 families" in measured
    assert "30 of 33" in measured  # with the family whose name fits and whose neurons do not


def test_banding_ratios_are_those_that_came_with_the_maps(printed: Run) -> None:
    text, index = banding_text(printed), ratios_of_index(FACTS)
    for ratio in index:
        assert f"{ratio:.2g}" in text
    assert text.count(", ") + 4 == len(index)  # each layer in one row, and there are four rows
    assert "VGG19 - fc-only 6.8" in one(printed.rows, "VGG19")["measured"]


def banding_text(printed: Run) -> str:
    rows = [row for row in printed.rows if row["source"] == "Weight Banding"]
    return " ".join(row["measured"] for row in rows)


def ratios_of_index(facts: Path) -> list[float]:
    index = json.loads((facts / "weight_banding_index.json").read_text())["models"]
    return [entry["row_variance_over_column_variance"] for entry in index]


def test_the_taxonomy_needs_pictures_and_says_so(printed: Run) -> None:
    row = one(printed.rows, "taxonomy")
    assert row["verdict"] == "cannot be checked"
    assert "conv2d0_filters_rgb8.npz" in row["measured"]
    assert "--ground-truth DIR" in row["measured"]


def test_a_fuller_folder_gives_the_same_rows_and_the_taxonomy(
    printed: Run, ground_truth_dir: Path
) -> None:
    fuller = run("thread-check", "--ground-truth", ground_truth_dir, "--json")
    assert fuller.code == 0
    parted = [i for i, row in enumerate(fuller.rows) if row != printed.rows[i]]
    assert [fuller.rows[i]["claim"] for i in parted] == ["taxonomy of the 64 filters of conv2d0"]
    assert fuller.rows[parted[0]]["verdict"] == "holds"
    assert fuller.rows[parted[0]]["measured"].startswith("52 of 64 agree with our rule")


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
    def change(content: Any) -> None:
        for entry in content["models"]:
            entry["row_variance_over_column_variance"] **= -1

    rewrite(facts / "weight_banding_index.json", change)


def turn_maps(facts: Path) -> None:
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
        (move_one_detector, ["black-and-white vs colour "
                             "detectors", "high-low frequency detectors of mixed3a"]),
        (negate_kernels, ["car detector", "curves excite", "curves inhibit", "pairs of curves", "mixed3b:345", "circle", "evolute"]),
        (turn_tuning, ["preferred angles", "the same by our estimator", "circle", "evolute"]),
        (swap_tuned_layers, ["early curve detectors also respond"]),
        (turn_bands, ["last layers before", "trained on images turned"]),
        (negate_the_hand_written, ["the same signs in the hand-written"]),
    ],
)  # fmt: skip
def test_facts_that_say_otherwise_fail_their_checks(
    copy: Path, alter: Callable[[Path], None], fallen: list[str]
) -> None:
    alter(copy)
    assert_fallen(copy, fallen)


@pytest.mark.parametrize(
    "alter, fallen",
    [
        (turn_maps, ["last layers before", "trained on images turned"]),
        (blur_filters, ["taxonomy"]),
    ],
)
def test_pictures_that_say_otherwise_fail_their_checks(
    copy_with_pictures: Path, alter: Callable[[Path], None], fallen: list[str]
) -> None:
    alter(copy_with_pictures)
    assert_fallen(copy_with_pictures, fallen)


def assert_fallen(facts: Path, claims: list[str]) -> None:
    """Every row whose claim starts so does not hold, and most of the others do."""
    got = run("thread-check", "--ground-truth", facts, "--json")
    assert got.code == 1
    for start in claims:
        rows = [row for row in got.rows if row["claim"].startswith(start)]
        assert rows
        assert {row["verdict"] for row in rows} == {"does not hold"}, rows
    standing = [row["claim"] for row in got.rows if row["verdict"] == "does not hold"]
    assert len(standing) < len(got.rows) / 2


def test_a_folder_without_the_facts_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    got = run("thread-check", "--ground-truth", tmp_path)
    assert (got.code, got.out) == (2, "")
    assert got.err.count("\n") == 1
    assert f"{tmp_path}: inceptionv1_architecture.json is missing, and 9 more" in got.err
    assert "leave both out for those that come with this program" in got.err


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
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    negate_the_hand_written(copy)
    monkeypatch.setenv("CIRCUITOME_GROUND_TRUTH", str(copy))
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    got = run("thread-check", "--db", tmp_path / "kept.db")
    assert got.code == 1
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


def test_the_checks_need_no_torch() -> None:
    code = "import sys, circuitome.thread.checks; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
