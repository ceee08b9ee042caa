"""The graph of the published circuits: what it holds, against the facts as they stand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.protocol import Store
from circuitome.kernels import part_centres
from circuitome.queries.database import Database, open_database
from circuitome.queries.motifs import find
from circuitome.significance import hypergeometric
from circuitome.thread.checks import check_thread
from circuitome.thread.decoded import chosen_tiles
from circuitome.thread.ground_truth import FACTS, GroundTruth
from circuitome.thread.keys import MODEL, neuron_key
from tests.support.compare_stores import questions
from tests.support.program import run
from tests.support.synthetic import edge_columns


def test_the_centres_of_a_kernel_are_its_centres_of_mass() -> None:
    kernel = np.zeros((1, 5, 5))
    kernel[0, 0, 4], kernel[0, 2, 4], kernel[0, 4, 1] = 3, 1, -2
    found = part_centres(kernel)
    assert [found[name][0] for name in ("ex", "ey", "ix", "iy")] == [2, -1.5, -1, 2]
    assert np.isnan(part_centres(np.abs(kernel))["ix"][0])


def test_the_graph_has_every_neuron_and_family_of_early_vision(bundle: Bundle) -> None:
    bundle.check()
    assert (bundle.rows("Neuron"), bundle.rows("Family"), bundle.rows("MEMBER_OF")) == (
        1056,
        77,
        1056,
    )
    sizes = Counter(bundle.table("IN_BRANCH")["to"].to_pylist())
    assert sizes[f"{MODEL}/mixed3b#mixed3b_5x5"] == 96


def test_every_edge_of_the_graph_is_the_kernel_of_a_figure(bundle: Bundle) -> None:
    tiles = json.loads((FACTS / "circuit_weights_from_figures.json").read_text())["edges"]
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


def test_expanded_weights_are_the_sums_of_the_published_kernels(bundle: Bundle) -> None:
    with np.load(FACTS / "expanded_weights_conv2d2_to_mixed3b_curves.npz") as arrays:
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
    assert high_low == {neuron_key(truth, f"mixed3a:{unit}") for unit in truth.high_low_family}
    strongest = next(iter(database.query("inputs", neuron="mixed3b_5x5:59", limit=1)))
    assert (strongest["sender"], strongest["effect"]) == (
        neuron_key(truth, "mixed3a:95"),
        "inhibits",
    )
    findings = check_thread(truth, bundle, database=database)
    assert "does not hold" not in {finding.verdict for finding in findings}


CURVE_FEATURES = (
    "Curves",
    "Double Curves",
    "Curves misc.",
    "Shallow Curves",
    "Curve Shapes",
    "Evolute",
    "Circles / Loops",
)
"""The families of mixed3b whose union the article counts as 30 curve features."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that `circuitome thread` has made."""
    path = tmp_path_factory.mktemp("loaded") / "thread.db"
    got = run("thread", "--db", path)
    assert got.code == 0, got.err
    return path


def test_black_and_white_detectors_are_a_branch_cluster_of_nine_of_nine(loaded: Path) -> None:
    with open_database(loaded) as database:
        rows = find(database, "branch_cluster")
    (row,) = [
        row for row in rows if row["roles"]["group"] == [f"{MODEL}/curated:mixed3a BW vs Color"]
    ]
    assert row["roles"]["branch"] == [f"{MODEL}/mixed3a#mixed3a_5x5"]
    assert (row["observed"], row["group_size"]) == (9, 9)
    assert row["p"] == pytest.approx(2.4847210327344655e-09, rel=1e-9)


def test_curve_features_are_thirty_of_thirty_in_one_branch(loaded: Path) -> None:
    """Counted with the query `branch_cluster`, a family at a time: neurons are in one family."""
    with open_database(loaded) as database:
        rows = database.query("branch_cluster", min_size=1, limit=1_000_000).to_dicts()
    wanted = {f"{MODEL}/curated:mixed3b {title}" for title in CURVE_FEATURES}
    own = [
        row
        for row in rows
        if row["group"] in wanted and row["branch"] == f"{MODEL}/mixed3b#mixed3b_5x5"
    ]
    assert len(own) == 7
    inside, size = (sum(row[name] for row in own) for name in ("observed", "group_size"))
    assert (inside, size) == (30, 30)
    ((branch, block),) = {(row["branch_size"], row["block_size"]) for row in own}
    p = hypergeometric(inside, size, special=branch, total=block)
    assert p == pytest.approx(1.6794181448967342e-23, rel=1e-9)


def test_every_query_of_the_library_runs_on_the_graph(loaded: Path) -> None:
    rows: dict[str, int] = {}
    with open_database(loaded) as database:
        for name, parameters in questions(database, MODEL):
            found = len(database.query(name, **parameters).to_dicts())
            rows[name] = max(found, rows.get(name, 0))
    some = ("neurons", "families", "edges", "branches", "published_features")
    assert [name for name in some if not rows[name]] == []


def test_loading_again_changes_nothing(loaded: Path) -> None:
    with open_database(loaded) as database:
        before = {name: database.query(name).to_dicts() for name in ("edges", "families")}
        features = database.ask("published_features").to_dicts()
    again = run("thread", "--db", loaded, "--json")
    assert again.code == 0
    with open_database(loaded) as database:
        assert [row["key"] for row in database.models()] == [MODEL]
        assert {name: database.query(name).to_dicts() for name in before} == before
        assert database.ask("published_features").to_dicts() == features
    counts = {row["what"]: row["count"] for row in again.rows}
    assert list(again.rows[0]) == ["what", "count", "facts"]
    assert (counts["neurons"], counts["families"], counts["tuning curves"]) == (1056, 77, 32)
    assert (counts["signed edges"], counts["expanded edges"]) == (118, 330)
    assert counts["features of several networks"] == len(features) == 9


def test_the_bundle_can_be_kept_and_is_not_replaced_unless_forced(tmp_path: Path) -> None:
    asked = ("thread", "--db", tmp_path / "t.db", "-o", tmp_path / "t.circuitome")
    assert run(*asked).code == 0
    Bundle.open(tmp_path / "t.circuitome").check()
    refused = run(*asked)
    assert (refused.code, refused.out) == (2, "")
    assert "already there" in refused.err and "--force" in refused.err
    assert run(*asked, "--force").code == 0


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    got = run("thread", "--db", tmp_path / "file" / "t.db")
    assert (got.code, got.out) == (2, "")
    assert got.err.count("\n") == 1
