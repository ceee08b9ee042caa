"""The periodic table: clusters by hand and by their rules, what chance gives, both stores, the
command, published features.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from circuitome.cli import main
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.protocol import Amendment, Removal, Store
from circuitome.queries.database import Database, open_database
from circuitome.queries.motifs import MotifRow
from circuitome.queries.motifs.saved import Finding, save
from circuitome.universality.clusters import cluster
from circuitome.universality.features import (
    Feature,
    Links,
    agreement,
    chance,
    describe_bundles,
    features,
    features_of_database,
    mutual_links,
    record_features,
)
from circuitome.universality.periodic_table import grid, table_csv
from circuitome.universality.preserved import COPIES
from circuitome.universality.published import PublishedError, published_features, record_published
from tests.support.signed_networks import network, permuted, signed, small_gallery
from tests.support.synthetic import annotated, write_bundle

Match = tuple[str, str, float]


def analogous(
    matches: Iterable[Match], *, q: float = 0.01, back: float = 0.01, mutual: bool = True
) -> pa.Table:
    """Rows of ``ANALOGOUS_TO`` both ways; depths are tenths of the last digit of a key."""
    rows = []
    for one, other, score in matches:
        for a, b, believed in ((one, other, q), (other, one, back)):
            depths = {"depth_from": int(a[-1]) / 10, "depth_to": int(b[-1]) / 10}
            rows.append(
                {
                    "from": a,
                    "to": b,
                    "score": score,
                    "mutual": mutual,
                    "p": believed,
                    "q": believed,
                    **depths,
                }
            )
    return pa.Table.from_pylist(rows, schema=arrow_schema("ANALOGOUS_TO"))


def links_of(*matches: Match) -> Links:
    return mutual_links([analogous(matches)])


def members(found: Iterable[Feature]) -> list[set[str]]:
    return [set(one.members) for one in found]


def test_links_are_mutual_matches_that_both_ends_believe() -> None:
    good = analogous([("b/l:2", "a/l:1", 0.5)])
    tables = [
        good,
        analogous([("a/l:3", "b/l:3", 0.9)], back=0.06),
        analogous([("a/l:4", "b/l:4", 0.9)], mutual=False),
    ]
    links = mutual_links(tables)
    assert (links.first, links.second, links.score.tolist()) == (("a/l:1",), ("b/l:2",), [0.5])
    assert links.depth == {"a/l:1": 0.1, "b/l:2": 0.2}
    assert len(mutual_links(tables, q=0.06)) == 2
    assert len(mutual_links([])) == 0 and features(mutual_links([])) == []


def test_a_triangle_is_a_feature_and_a_chain_is_not() -> None:
    triangle = [("a/l:1", "b/l:2", 0.5), ("b/l:2", "c/l:3", 0.7), ("a/l:1", "c/l:3", 0.6)]
    (found,) = features(links_of(*triangle))
    assert found.members == ("a/l:1", "b/l:2", "c/l:3") and found.models == 3
    assert found.score == pytest.approx(0.6) and found.depth == 0.2
    assert found.scores == pytest.approx((0.55, 0.6, 0.65))
    assert members(features(links_of(*triangle[:2]))) == [
        {"b/l:2", "c/l:3"}
    ]  # the stronger half of a chain


def test_four_neurons_with_one_match_missing_are_one_feature_and_with_two_missing_are_not() -> None:
    names = ["a/l:1", "b/l:1", "c/l:1", "d/l:1"]
    every = [(one, other, 0.5) for one, other in combinations(names, 2)]
    assert members(features(links_of(*every[1:]))) == [set(names)]
    weaker = [(one, other, 0.4 if one == "a/l:1" else 0.5) for one, other, _ in every[2:]]
    assert members(features(links_of(*weaker))) == [{"b/l:1", "c/l:1", "d/l:1"}]


def test_no_feature_has_two_neurons_of_a_network() -> None:
    matches = [
        ("a/l:1", "b/l:1", 0.9),
        ("b/l:1", "c/l:1", 0.8),
        ("a/l:2", "c/l:1", 0.7),
        ("a/l:2", "b/l:2", 0.6),
        ("b/l:2", "c/l:2", 0.5),
    ]
    found = features(links_of(*matches))
    assert members(found) == [{"a/l:1", "b/l:1"}, {"a/l:2", "c/l:1"}, {"b/l:2", "c/l:2"}]
    assert [one.key for one in found] == ["u1", "u2", "u3"]


@pytest.mark.parametrize("seed", range(4))
def test_clusters_keep_their_rules_on_random_links(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nets = np.repeat(np.arange(5), 12)
    pairs = [
        (12 * one + int(i), 12 * other + int(j))
        for one, other in combinations(range(5), 2)
        for i, j in zip(rng.permutation(12)[:9], rng.permutation(12)[:9] % 12, strict=True)
    ]
    first, second = np.array(pairs).T
    score = rng.random(len(pairs))
    found = cluster(first, second, score, nets)
    assert len({n for one in found for n in one}) == sum(map(len, found))
    linked = set(pairs)
    for one in found:
        assert len(set(nets[one].tolist())) == len(one) >= 2
        inside = sum(pair in linked for pair in combinations(one, 2))
        assert 2 * inside > len(one) * (len(one) - 1) / 2
    # nothing more could be joined
    owner = {n: place for place, one in enumerate(found) for n in one}
    parts = [*found, *([n] for n in set(first.tolist() + second.tolist()) - set(owner))]
    for one, other in combinations(parts, 2):
        between = sum((min(i, j), max(i, j)) in linked for i in one for j in other)
        apart = set(nets[one].tolist()).isdisjoint(nets[other].tolist())
        assert not (apart and 2 * between > len(one) * len(other))
    order = rng.permutation(len(pairs))
    assert cluster(first[order], second[order], score[order], nets) == found


def test_kind_and_family_are_those_of_more_than_half() -> None:
    links = links_of(
        ("a/l:1", "b/l:2", 0.5),
        ("b/l:2", "c/l:3", 0.7),
        ("a/l:1", "c/l:3", 0.6),
        ("a/m:4", "b/m:4", 0.9),
    )
    kinds = {"a/l:1": "curve", "b/l:2": "curve", "c/l:3": "line", "a/m:4": "line", "b/m:4": "curve"}
    groups = {"a/l:1": ["rotate", "rotate", "hue"], "b/l:2": ["rotate"], "a/m:4": ["hue"]}
    of_three, of_two = features(links, kinds=kinds, groups=groups)
    assert (of_three.kind, of_three.family, of_two.kind, of_two.family) == (
        "curve",
        "rotate",
        None,
        None,
    )
    assert features(links, kinds={"a/m:4": "line"})[1].kind == "line"  # of the annotated ones
    rows = grid([of_three, of_two])
    assert rows == [
        {"depth": "0.2-0.3", "curve": "u1x3", "(no kind)": ""},
        {"depth": "0.4-0.5", "curve": "", "(no kind)": "u2x2"},
    ]
    lines = list(csv.DictReader(table_csv([of_three, of_two]).splitlines()))
    assert (
        lines[0]["neurons"] == "a/l:1 b/l:2 c/l:3"
        and lines[0]["kind"] == "curve"
        and lines[1]["kind"] == ""
    )


def planted(shared: int, single: int) -> Links:
    """Four networks: ``shared`` features that all have, and in each pair ``single`` matches of
    their own.
    """
    rng, matches = np.random.default_rng(0), []
    for one, other in combinations("abcd", 2):
        matches += [(f"{one}/l:{i}", f"{other}/l:{i}", 0.6) for i in range(shared)]
        own = [rng.permutation(np.arange(shared, shared + 3 * single))[:single] for _ in "ab"]
        matches += [(f"{one}/l:{i}", f"{other}/l:{j}", 0.5) for i, j in zip(*own, strict=True)]
    return links_of(*matches)


def test_chance_expects_hardly_any_large_features_where_many_are_planted() -> None:
    two, three, four = chance(planted(20, 10), copies=39)
    assert (two["models"], three["models"], four["models"]) == (2, 3, 4)
    assert four["features"] >= 20 and four["expected"] < 1 and four["p"] == pytest.approx(1 / 40)
    assert three["features"] >= four["features"] and three["expected"] < 5
    assert two["features"] >= three["features"]


def test_chance_gives_as_many_as_there_are_where_nothing_is_planted() -> None:
    three = chance(planted(0, 30), copies=99)[1]
    assert abs(three["features"] - three["expected"]) < 3 * three["sd"] + 1 and three["p"] > 0.02


def test_kinds_agree_by_chance_where_they_are_dealt_out_and_beyond_it_where_matches_share_them() -> (
    None
):
    links = links_of(*((f"a/l:{i}", f"b/l:{i}", 0.5) for i in range(40)))
    shared = {f"{net}/l:{i}": ("curve", "line")[i % 2] for net in "ab" for i in range(40)}
    found = agreement(links, shared, copies=199)
    assert found is not None and (found["links"], found["same"], found["p"]) == (40, 1.0, 1 / 200)
    assert found["expected"] == pytest.approx(0.5, abs=0.05)  # twenty of each
    apart = shared | {f"b/l:{i}": ("curve", "line")[i // 20] for i in range(40)}
    dealt = agreement(links, apart, copies=199)
    assert dealt is not None and dealt["same"] == 0.5 and dealt["p"] > 0.2
    assert agreement(links, dict.fromkeys(shared, "unexplained")) is None
    one = agreement(links, {key: kind for key, kind in shared.items() if key.startswith("a/")})
    assert one is None


# -- databases
# ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Three networks of the same wiring and weights, annotated."""
    folder = tmp_path_factory.mktemp("toys")
    return [
        annotated(write_bundle(folder / name, name=name, layers=(3, 8, 4)))
        for name in ("a", "b", "c")
    ]


SAME = [
    (f"{one}/conv1:{i}", f"{other}/conv1:{i}", 0.9 - i / 100)
    for one, other in pairwise("abca")
    for i in range(3)
]
OUT = [("a/fc:1", "b/fc:2", 0.4)]


def filled(store: Store, toys: list[Any]) -> Database:
    store.load(*toys)
    doubtful = analogous([("a/conv1:7", "b/conv1:6", 0.95)], q=0.5, back=0.5)
    out = {
        "from": "a/conv1:7",
        "to": "b/fc",
        "r2": 0.25,
        "null_r2": 0.125,
        "p": 0.01,
        "q": 0.02,
        "null": "twins",
    }
    aligned = [
        {
            "from": "a/conv1",
            "to": f"b/{name}",
            "mutual_share": 0.5,
            "cka": cka,
            "score": 0.5,
            "auc": 0.75,
        }
        for name, cka in (("fc", 0.25), ("conv1", 0.5))
    ]
    kept = {
        "from": "a/fc",
        "to": "b",
        "senders": "a/conv1",
        "edges": 5,
        "preserved": 4,
        "expected": 0.5,
        "sd": 0.25,
    }
    rows = {
        "READ_OUT_OF": [out],
        "ALIGNED_WITH": aligned,
        "PRESERVED_IN": [kept | {"p": 0.005, "null": "kernels"}],
    }
    tables = {
        name: pa.Table.from_pylist(given, schema=arrow_schema(name)) for name, given in rows.items()
    }
    tables["ANALOGOUS_TO"] = pa.concat_tables([analogous([*SAME, *OUT]), doubtful])
    store.amend(Amendment(insert=tables))
    return Database(store)


def motif(model: str, one: int, other: int, kind: str = "opponent_pairs") -> MotifRow:
    roles = {"case": [f"{model}/conv1:{one}", f"{model}/conv1:{other}"]}
    return {
        "kind": kind,
        "model": model,
        "score": 1.0,
        "p": None,
        "q": None,
        "null": None,
        "roles": roles,
    }


def test_both_stores_answer_every_question_alike_and_right(store: Store, toys: list[Any]) -> None:
    database = filled(store, toys)
    *_, found = record_features(database)
    assert members(found) == [{f"{net}/conv1:{i}" for net in "abc"} for i in range(3)] + [
        {"a/fc:1", "b/fc:2"}
    ]
    assert [one.kind for one in found] == ["line", "curve", "unexplained", None]
    assert [one.family for one in found[:2]] == ["rotate", "rotate"]
    assert record_features(database)[2] == found  # in place of the first
    kinds, groups = describe_bundles(toys)
    links = mutual_links([analogous([*SAME, *OUT])])
    assert features(links, kinds=kinds, groups=groups) == found == features_of_database(database)[2]

    rows = database.ask("features_by_models", min_networks=3).to_dicts()
    assert [(row["feature"], row["models"], row["size"]) for row in rows] == [
        ("u1", 3, 3),
        ("u2", 3, 3),
        ("u3", 3, 3),
    ]
    assert len(database.ask("features_by_models")) == 4
    table = database.ask("periodic_table").to_dicts()
    assert [(row["band"], row["kind"], row["feature"]) for row in table] == [
        *((0.0, "line", "u1"), (1.0, "", "u4"), (1.0, "curve", "u2"), (2.0, "unexplained", "u3"))
    ]
    (row,) = database.ask("features_of_kind", kind="curve").to_dicts()
    assert (row["feature"], row["models"], row["depth"]) == ("u2", 3, pytest.approx(0.1))
    rows = database.ask("feature_members", feature="u2").to_dicts()
    assert [row["neuron"] for row in rows] == ["a/conv1:1", "b/conv1:1", "c/conv1:1"]
    assert [row["score"] for row in rows] == pytest.approx([0.89] * 3)

    rows = database.ask("analogues", neuron="a/conv1:0").to_dicts()
    assert [(row["neuron"], row["score"], row["mutual"]) for row in rows] == [
        *(("b/conv1:0", pytest.approx(0.9), True), ("c/conv1:0", pytest.approx(0.9), True))
    ]
    assert len(database.ask("analogues", neuron="a/conv1:7")) == 1
    assert len(database.ask("analogues", neuron="a/conv1:7", q=0.05)) == 0
    (row,) = database.ask("unique_neurons", model="a").to_dicts()
    assert (row["neuron"], row["compared"], row["least_q"]) == ("a/conv1:7", 1, 0.5)
    assert len(database.ask("mutual_matches")) == len(SAME) + 1
    (row,) = database.ask("read_outs", model="a").to_dicts()
    assert (row["neuron"], row["layer"], row["r2"], row["null_r2"]) == (
        "a/conv1:7",
        "b/fc",
        0.25,
        0.125,
    )
    assert (
        len(database.ask("read_outs", model="a", q=0.01))
        == len(database.ask("read_outs", model="b"))
        == 0
    )
    rows = database.ask("layer_alignment", layer="a/conv1").to_dicts()
    assert [(row["layer"], row["cka"]) for row in rows] == [("b/conv1", 0.5), ("b/fc", 0.25)]
    (row,) = database.ask("preserved_circuits", model="a").to_dicts()
    assert (row["other"], row["edges"], row["preserved"], row["null_model"]) == (
        "b",
        5,
        4,
        "kernels",
    )


def test_an_edge_is_universal_between_analogues_alone(store: Store, toys: list[Any]) -> None:
    database = filled(store, toys)
    ask = {"senders": "a/conv1", "receivers": "a/fc"}
    rows = database.ask("universal_edges", **ask, strength=0.0, factor=1e9).to_dicts()
    weight = {
        (row["sender"], row["receiver"]): row["weight"] for row in database.ask("edges", model="a")
    }
    other = {
        (row["sender"], row["receiver"]): row["weight"] for row in database.ask("edges", model="b")
    }
    wanted = {
        (f"a/conv1:{i}", "a/fc:1", f"b/conv1:{i}", "b/fc:2")
        for i in range(3)
        if ends_alike(weight, other, f"conv1:{i}")
    }
    found = {
        tuple(row[name] for name in ("sender", "receiver", "other_sender", "other_receiver"))
        for row in rows
    }
    assert found == wanted and all(
        (row["weight"] >= 0) == (row["other_weight"] >= 0) for row in rows
    )
    ratios = [
        max(row["strength"] / row["other_strength"], row["other_strength"] / row["strength"])
        for row in rows
    ]
    close = database.ask("universal_edges", **ask, strength=0.0, factor=1.5).to_dicts()
    assert len(close) == sum(ratio <= 1.5 for ratio in ratios)
    assert len(database.ask("universal_edges", **ask, strength=1000.0)) == 0


def ends_alike(weight: dict[Any, float], other: dict[Any, float], sender: str) -> bool:
    one, two = weight.get((f"a/{sender}", "a/fc:1")), other.get((f"b/{sender}", "b/fc:2"))
    return one is not None and two is not None and (one >= 0) == (two >= 0)


def test_a_motif_recurs_where_analogues_play_its_parts(store: Store, toys: list[Any]) -> None:
    database = filled(store, toys)
    save(
        database,
        "a",
        [
            Finding(
                "opponent_pairs", None, [motif("a", 0, 1), motif("a", 1, 2), motif("a", 0, 7)], {}
            )
        ],
    )
    save(database, "b", [Finding("opponent_pairs", None, [motif("b", 1, 0), motif("b", 0, 6)], {})])
    save(database, "c", [Finding("push_pull", None, [motif("c", 0, 1, "push_pull")], {})])
    rows = database.ask("recurring_motifs", model="a").to_dicts()
    assert [(row["members"], row["model"], row["other_members"]) for row in rows] == [
        (["a/conv1:0", "a/conv1:1"], "b", ["b/conv1:1", "b/conv1:0"])
    ]
    assert len(database.ask("recurring_motifs", model="a", kind="push_pull")) == 0
    assert len(database.ask("recurring_motifs", model="b", kind="opponent_pairs")) == 1
    doubtful = database.ask("recurring_motifs", model="a", q=0.5).to_dicts()
    assert [row["members"] for row in doubtful] == [
        ["a/conv1:0", "a/conv1:1"],
        ["a/conv1:0", "a/conv1:7"],
    ] or [row["members"] for row in doubtful] == [
        ["a/conv1:0", "a/conv1:7"],
        ["a/conv1:0", "a/conv1:1"],
    ]


# -- published features
# ------------------------------------------------------------------------------


def test_published_high_low_frequency_detectors_lie_at_the_published_depths(
    store: Store, toys: list[Any], ground_truth_dir: Path
) -> None:
    database = filled(store, toys)
    record_features(database)
    loaded = record_published(database, ground_truth_dir)
    record_published(database, ground_truth_dir)
    rows = {row["feature"]: row for row in database.ask("published_features").to_dicts()}
    assert sorted(rows) == [row["key"] for row in loaded] and len(rows) > 5
    assert all(row["addresses"] and row["name"] for row in rows.values())
    row = rows["circuits/high-low-frequency"]
    assert (row["models"], round(row["shallowest"], 2), round(row["deepest"], 2)) == (4, 0.29, 0.33)
    assert "AlexNet Conv2D_2:183" in row["addresses"] and len(row["addresses"]) == row["size"] == 24
    other = rows["multimodal/high-low"]
    assert other["depth"] is None and "InceptionV1 mixed3a_0:112" in other["addresses"]
    named = database.ask("published_features", title="high-low").to_dicts()
    assert {row["feature"] for row in named} == {
        "circuits/high-low-frequency",
        "multimodal/high-low",
    }
    assert len(database.ask("features_by_models")) == 4  # curated ones are not among them
    record_features(database)
    assert len(database.ask("published_features")) == len(rows)


def test_a_folder_without_published_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishedError, match="cannot be read"):
        published_features(tmp_path)
    for name in ("universality_features.json", "high_low_frequency.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(PublishedError, match="not written as published"):
        published_features(tmp_path)
    (tmp_path / "high_low_frequency.json").write_text("{")
    with pytest.raises(PublishedError, match="not JSON"):
        published_features(tmp_path)


# -- the command
# -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network under two permutations of its channels: three networks that share
    everything.
    """
    made = tmp_path_factory.mktemp("networks")
    first = network(0, first=8, second=8)
    for number, name in enumerate(("one", "two", "three")):
        model = first if not number else permuted(first, number)[0]
        signed(model, made / f"{name}.circuitome", gallery=small_gallery(36))
    return made


def run(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert (stopped.value.code or 0) == code, said.err
    return said.out, said.err


def test_the_table_comes_from_bundles_and_from_a_database(
    folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    bundles, db = sorted(folder.iterdir()), tmp_path / "u.db"
    out, err = run(capsys, "compare", *bundles, "--table", "--json", "-o", tmp_path / "out")
    rows = json.loads(out)
    assert rows and {row["models"] for row in rows} == {3} and "in 3 networks" in err
    lines = list(csv.DictReader((tmp_path / "out" / "periodic_table.csv").open()))
    assert [line["neurons"].split() for line in lines] == [row["neurons"] for row in rows]
    assert (tmp_path / "out" / "PRESERVED_IN.parquet").exists()
    with open_database(str(db), create=True) as database:
        database.load(*bundles)
    run(capsys, "compare", *bundles, "--db", db, "--limit", "1")
    out, _ = run(capsys, "compare", "--table", "--db", db, "--json", "-o", tmp_path / "alone")
    assert [row["neurons"] for row in json.loads(out)] == [row["neurons"] for row in rows]
    assert (tmp_path / "alone" / "periodic_table.csv").read_text().startswith("feature,models,")
    assert (
        "already there"
        in run(capsys, "compare", "--table", "--db", db, "-o", tmp_path / "alone", code=2)[1]
    )
    assert "u1x3" in run(capsys, "compare", "--table", "--db", db)[0]
    with open_database(str(db)) as database:
        assert len(database.ask("features_by_models", min_networks=3)) == len(rows)
        assert len(database.ask("preserved_circuits", model="one")) > 0
        database.drop("two")
    run(capsys, "compare", "--table", "--db", db)  # of those that are left
    with open_database(str(db)) as database:
        assert {row["models"] for row in database.ask("features_by_models").to_dicts()} == {2}


def test_features_that_a_run_cut_off_did_not_write_come_with_the_next(
    folder: Path, tmp_path: Path, capsys
) -> None:
    bundles, db = sorted(folder.iterdir()), tmp_path / "u.db"
    with open_database(str(db), create=True) as database:
        database.load(*bundles)
    run(capsys, "compare", *bundles, "--db", db)
    with open_database(str(db)) as database:
        wanted = database.ask("features_by_models").to_dicts()
        database.store.amend(Amendment((Removal("Feature", {"source": ["computed"]}),)))
        assert wanted and not len(database.ask("features_by_models"))
    assert "3 pairs already" in run(capsys, "compare", *bundles, "--db", db)[1]
    with open_database(str(db)) as database:
        assert database.ask("features_by_models").to_dicts() == wanted


def test_circuits_are_shown_one_row_a_pair_of_layers_and_motif(
    folder: Path, capsys, monkeypatch
) -> None:
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    out, _ = run(
        capsys,
        "compare",
        folder / "one.circuitome",
        folder / "two.circuitome",
        "--circuits",
        "--json",
    )
    rows = json.loads(out)
    assert {row["model"] for row in rows} == {"one", "two"}
    assert {row["what"] for row in rows} == {
        "edges",
        "opponent_pairs",
        "push_pull",
        "mutual_inhibition",
    }
    assert all(
        0 <= row["again"] <= row["found"] and 1 / (COPIES + 1) <= row["p"] <= 1 for row in rows
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "two bundles"),
        (("--table",), "--db DB"),
        (("--published", "x"), "--db DB"),
        (("--table", "--layers"), "give one"),
        (("--published", "x", "--db", "none.db"), "none.db"),
    ],
)
def test_wrong_use_is_refused_with_the_cure(
    tmp_path: Path, capsys, monkeypatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    assert says in run(capsys, "compare", *words, code=2)[1]
