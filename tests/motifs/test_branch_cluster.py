"""Branch clusters: the query on both engines, its array form, and chances counted by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from circuitome.cli import app
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.queries.database import Database, open_database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs import find, missing, summary
from circuitome.queries.motifs.branch_cluster import MOTIF, clusters
from circuitome.queries.motifs.places import Places
from circuitome.queries.motifs.summary import NotAsked
from circuitome.significance import hypergeometric
from circuitome.thread.ground_truth import open_ground_truth
from circuitome.thread.inception import write_inception
from circuitome.thread.keys import MODEL
from tests.support.synthetic import annotated, write_bundle

BIG = 1_000_000


def labelled(
    path: Path, *, seed: int, layers: tuple[int, ...] = (3, 12, 16, 12, 5), curated: int = 4
) -> Bundle:
    """A random bundle whose neurons have random kinds and lie in random curated families,
    anywhere in the network.
    """
    bundle = annotated(write_bundle(path, layers=layers, seed=seed, force=True))
    rng = np.random.default_rng(seed)
    neurons = bundle.table("Neuron").to_pylist()
    for row in neurons:
        row["kind"] = (
            str(rng.choice(["line", "curve", "gabor", "unexplained", "silent"]))
            if row["kind"]
            else None
        )
    names = [f"{bundle.model}/curated:g{group}" for group in range(curated)]
    families: list[dict[str, Any]] = [
        {"key": name, "model": bundle.model, "source": "curated"} for name in names
    ]
    members = [
        {"from": row["key"], "to": str(name)}
        for row in neurons
        for name in rng.choice(names, 2, replace=False)
    ]
    with BundleWriter.amend(bundle) as writer:
        tables = {"Neuron": neurons}
        tables["Family"] = bundle.table("Family").to_pylist() + families
        tables["MEMBER_OF"] = bundle.table("MEMBER_OF").to_pylist() + members
        for name, rows in tables.items():
            writer.replace(name, pa.Table.from_pylist(rows, schema=arrow_schema(name)))
        writer.finish()
    return Bundle.open(bundle.path)


def chance(observed: int, group: int, branch: int, block: int) -> float:
    """The hypergeometric tail in whole numbers."""
    ways = sum(
        math.comb(branch, k) * math.comb(block - branch, group - k)
        for k in range(observed, min(group, branch) + 1)
    )
    return ways / math.comb(block, group)


def by_hand(bundle: Bundle, min_size: int) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """(kind, branch) -> observed, group, branch and block size, from loops over the neurons of
    a synthetic bundle.
    """
    kind = {row["key"]: row["kind"] for row in bundle.table("Neuron").to_pylist()}
    home = {row["from"]: row["to"] for row in bundle.table("IN_BRANCH").to_pylist()}
    found = {}
    for block in {branch.split("#")[0] for branch in home.values()}:
        here = [neuron for neuron, branch in home.items() if branch.split("#")[0] == block]
        sizes = Counter(home[neuron] for neuron in here)
        groups = Counter(
            kind[neuron] for neuron in here if kind[neuron] not in ("unexplained", "silent")
        )
        for group, size in groups.items():
            for branch in sizes:
                observed = sum(kind[neuron] == group and home[neuron] == branch for neuron in here)
                if size >= min_size:
                    found[group, branch] = (observed, size, sizes[branch], len(here))
    return found


def test_the_tail_is_that_of_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    block = rng.integers(2, 300, 200)
    group, branch = rng.integers(1, block + 1), rng.integers(1, block + 1)
    observed = rng.integers(0, np.minimum(group, branch) + 1)
    expected = [
        chance(*each)
        for each in zip(*(x.tolist() for x in (observed, group, branch, block)), strict=True)
    ]
    found = hypergeometric(observed, branch, special=group, total=block)
    assert found == pytest.approx(expected, rel=1e-9)
    nothing = np.zeros(0, np.int64)
    assert hypergeometric(nothing, nothing, special=nothing, total=nothing).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_of_the_query_are_those_of_loops_over_neurons(
    database: Database, tmp_path: Path, seed: int
) -> None:
    bundle = labelled(tmp_path / "r", seed=seed)
    database.load(bundle)
    rows = database.query("branch_cluster", grouping="kind", min_size=2, limit=BIG).to_dicts()
    names = ("observed", "group_size", "branch_size", "block_size")
    assert {
        (row["group"], row["branch"]): tuple(row[name] for name in names) for row in rows
    } == by_hand(bundle, 2)
    assert rows


@pytest.mark.parametrize("grouping", ["family", "kind"])
def test_the_query_and_its_twin_give_the_same_rows(
    database: Database, tmp_path: Path, grouping: str
) -> None:
    for seed in range(3):
        bundle = labelled(tmp_path / "r", seed=seed)
        database.load(bundle)
        places = Places.of_bundle(bundle)
        for min_size, limit in ((1, BIG), (3, BIG), (3, 4)):
            rows = find(
                database, "branch-cluster", grouping=grouping, min_size=min_size, limit=limit
            )
            assert rows == MOTIF.rows(places, grouping=grouping, min_size=min_size, limit=limit)
            assert len(rows) == min(
                limit, MOTIF.count(places, grouping=grouping, min_size=min_size)
            )
        assert find(database, "branch_cluster", grouping=grouping)


def test_corrections_count_every_pair_and_not_only_those_shown(
    database: Database, tmp_path: Path
) -> None:
    bundle = labelled(tmp_path / "r", seed=0)
    database.load(bundle)
    pairs = by_hand(bundle, 3)
    rows = find(database, "branch_cluster", grouping="kind", limit=2)
    p = sorted(chance(*counts) for counts in pairs.values())
    assert len(rows) == 2 < len(pairs)
    for row in rows:
        own = chance(*pairs[row["roles"]["group"][0], row["roles"]["branch"][0]])
        assert (row["null"], row["tests"]) == ("hypergeometric", len(pairs))
        assert row["p"] == pytest.approx(own)
        assert row["bonferroni"] == pytest.approx(min(1, own * len(p)))
        larger = [
            value * len(p) / rank for rank, value in enumerate(p, 1) if value >= own * (1 - 1e-9)
        ]
        assert row["q"] == pytest.approx(min(1, *larger))


def test_random_groups_are_seldom_found() -> None:
    rng = np.random.default_rng(0)
    ends = {f"b#{branch}": ("b", np.arange(120) % 4 == branch) for branch in range(4)}
    tries = 300
    found = 0
    for _ in range(tries):
        kinds = rng.integers(0, 6, 120)
        places = Places("m", ends, {"kind": {str(kind): kinds == kind for kind in range(6)}})
        found += any(row["bonferroni"] <= 0.05 for row in MOTIF.rows(places, grouping="kind"))
    # Bonferroni bounds the rate by 0.05: more than 28 in 300 come about once in a thousand times
    assert found <= 28


def test_a_planted_cluster_is_found_and_a_spread_out_group_is_not() -> None:
    inside = np.arange(40) < 10
    ends = {"b#x": ("b", inside), "b#y": ("b", ~inside), "c#z": ("c", np.zeros(40, bool))}
    groups = {
        "clustered": np.arange(40) < 8,
        "spread": np.arange(40) % 4 == 0,
        "few": np.arange(40) < 2,
    }
    rows = MOTIF.rows(Places("m", ends, {"kind": groups}), grouping="kind")
    assert [row["roles"] for row in rows if row["bonferroni"] <= 0.05] == [
        {"group": ["clustered"], "branch": ["b#x"]}
    ]
    assert rows[0]["p"] == pytest.approx(math.comb(10, 8) / math.comb(40, 8))
    assert {row["roles"]["group"][0] for row in rows} == {"clustered", "spread"}


def test_families_found_in_one_layer_are_no_evidence_and_the_model_is_said_to_lack_others(
    database: Database, tmp_path: Path
) -> None:
    bare = write_bundle(tmp_path / "bare", name="bare", layers=(3, 12, 16, 12, 5))
    bundle = annotated(write_bundle(tmp_path / "toy", layers=(3, 12, 16, 5)))
    with BundleWriter.amend(bundle) as writer:
        rows = [row for row in bundle.table("Family").to_pylist() if row["source"] == "computed"]
        keys = {row["key"] for row in rows}
        members = [row for row in bundle.table("MEMBER_OF").to_pylist() if row["to"] in keys]
        writer.replace("Family", pa.Table.from_pylist(rows, schema=arrow_schema("Family")))
        writer.replace("MEMBER_OF", pa.Table.from_pylist(members, schema=arrow_schema("MEMBER_OF")))
        writer.finish()
    flat = write_bundle(tmp_path / "flat", name="flat", layers=(3, 4))
    database.load(bare, Bundle.open(bundle.path), flat)
    assert find(database, "branch_cluster", model="toy", min_size=1) == []
    assert "one layer each" in str(missing(database, "branch_cluster", model="toy"))
    assert missing(database, "branch_cluster", model="toy", grouping="kind") is None
    assert "circuitome annotate" in str(
        missing(database, "branch_cluster", model="bare", grouping="kind")
    )
    assert "no branches" in str(missing(database, "branch_cluster", model="flat"))
    assert missing(database, "superposition", model="bare") is None
    with pytest.raises(QueryError, match="`grouping` cannot be 'kinds'; did you mean `kind`"):
        find(database, "branch_cluster", model="toy", grouping="kinds")


def test_the_branches_of_the_thread_hold_the_groups_that_it_says(tmp_path: Path) -> None:
    with open_database(tmp_path / "thread.db", create=True) as database:
        database.load(write_inception(open_ground_truth(), tmp_path / "thread"))
        # every family, however small: the pairs that `thread-check` tests
        rows = find(database, "branch_cluster", min_size=1)
        assert {row["tests"] for row in rows} == {208}
        assert sum(row["bonferroni"] <= 0.05 for row in rows) == 10
        first = rows[0]
        assert first["roles"] == {
            "group": [f"{MODEL}/curated:mixed3a BW vs Color"],
            "branch": [f"{MODEL}/mixed3a#mixed3a_5x5"],
        }
        assert (first["observed"], first["group_size"]) == (9, 9)
        assert first["p"] == pytest.approx(2.5e-9, rel=0.02)
        (tally,) = [item for item in summary(database, nulls=1) if item.kind == "branch_cluster"]
        assert not isinstance(tally, NotAsked)
        assert tally.instance_null == "hypergeometric"
        assert tally.least_q == min(
            row["q"] or 0.0 for row in find(database, "branch_cluster", limit=BIG)
        )


def test_the_command_says_which_annotation_is_missing(tmp_path: Path) -> None:
    with open_database(tmp_path / "b.db", create=True) as database:
        database.load(write_bundle(tmp_path / "bare", name="bare", layers=(3, 12, 16, 12, 5)))
    asked = ["motifs", "branch-cluster", "--db", str(tmp_path / "b.db"), "--json"]
    got = CliRunner().invoke(app, [*asked, "-p", "grouping=kind"])
    assert (got.exit_code, json.loads(got.stdout)) == (0, [])
    got = CliRunner().invoke(app, [*asked[:-1], "-p", "grouping=kind"])
    assert (got.exit_code, got.stdout) == (0, "")
    assert "no neuron of bare has a kind; `circuitome annotate" in got.stderr


def test_no_pairs_have_no_rows() -> None:
    assert clusters("m", []) == []
