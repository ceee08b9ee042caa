"""Motifs in the database: saved and found again on both stores, summed up, and drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from circuitome.cli.drawing import drawing, glyphs
from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs import MotifRow, NotAsked, find, find_significant, summary
from circuitome.queries.motifs.saved import (
    Edge,
    Enrichment,
    Finding,
    Instance,
    SavedMotif,
    find_saved,
    key_of,
    looks_like_a_motif,
    save,
    save_summary,
    stored,
)
from circuitome.queries.motifs.significance import Significance
from tests.support.program import run
from tests.support.synthetic import write_bundle, write_planted

UNION = [
    *[
        ("in:0", "case:0", 1.0),
        ("in:1", "case:0", -1.0),
        ("in:1", "case:1", 1.0),
        ("in:0", "case:1", -1.0),
    ],
    *[("case:0", "out:0", 1.0), ("case:1", "out:0", 0.5)],
]
SHAPE = {"in": 2, "case": 2, "out": 1}


@pytest.fixture
def union(tmp_path: Path, database: Database) -> Bundle:
    bundle = write_planted(tmp_path / "p.circuitome", SHAPE, UNION, name="p")
    database.load(bundle)
    return bundle


def saved(database: Database, kind: str, **parameters: Any) -> list[MotifRow]:
    rows = find(database, kind, model="p", **parameters)
    (kept,) = save(database, "p", [Finding.of(kind, rows, model="p", **parameters)])
    return kept


def test_a_saved_motif_is_found_again_with_its_roles_and_edges(
    database: Database, union: Bundle
) -> None:
    (row,) = saved(database, "unioning_over_cases", strength=0.2)
    assert re.fullmatch(r"[0-9a-f]{16}", row["key"])
    for key in (row["key"], row["key"][:6], row["key"].upper()):
        found = find_saved(database, key)
        assert {name: found.motif[name] for name in row} == row
    assert found.motif["title"] == "A neuron that unites two cases which exclude each other."
    members = [(member["role"], member["position"], member["neuron"]) for member in found.neurons]
    assert members == [
        *[("union", 0, "p/out:0"), ("case", 0, "p/case:0"), ("case", 1, "p/case:1")],
        *[("source", 0, "p/in:0"), ("source", 1, "p/in:1")],
    ]
    edges = {(edge["sender"], edge["receiver"]): edge for edge in found.edges}
    assert len(edges) == 6
    assert edges["p/in:0", "p/case:1"]["weight"] == -1.0
    assert edges["p/case:0", "p/out:0"]["share"] == pytest.approx(0.8)
    (kind,) = database.store.run(
        "MATCH (k:MotifKind) RETURN k.key AS key, k.definition AS definition, k.source AS source"
    ).to_pylist()
    assert kind["key"] == "unioning_over_cases"
    assert kind["source"].startswith("Olah et al., *Zoom In")
    assert "Source" not in kind["definition"]


def test_the_parameters_of_the_search_are_kept(database: Database, union: Bundle) -> None:
    (row,) = saved(database, "unioning_over_cases", strength=0.2)
    (kept,) = database.query("saved_motifs", model="p")
    assert json.loads(kept["parameters"]) == {"strength": 0.2, "polarity": 0.2, "limit": 100}
    assert kept["motif"] == row["key"]


def test_saving_again_replaces_what_was_saved_of_the_kind_alone(
    database: Database, union: Bundle
) -> None:
    saved(database, "unioning_over_cases", strength=0.2)
    first = saved(database, "mutual_inhibition", strength=0.2)
    again = saved(database, "mutual_inhibition", strength=0.2)
    assert first == again
    assert [row["kind"] for row in database.query("saved_motifs", model="p")] == [
        "mutual_inhibition",
        "unioning_over_cases",
    ]
    assert saved(database, "mutual_inhibition", strength=50.0) == []
    assert [row["kind"] for row in database.query("saved_motifs", model="p")] == [
        "unioning_over_cases"
    ]


def test_members_that_are_no_neurons_are_kept_without_a_role(
    database: Database, tmp_path: Path
) -> None:
    from circuitome.queries.motifs import motif

    database.load(write_bundle(tmp_path / "toy"))
    row = motif.instance("weight_banding", "toy", 2.0, {"layer": ["toy/conv1"]})
    ((kept,),) = save(database, "toy", [Finding.of("weight_banding", [row], model="toy")])
    found = find_saved(database, kept["key"])
    assert (found.motif["roles"], found.neurons, found.edges) == ({"layer": ["toy/conv1"]}, [], [])


def test_the_key_is_of_the_roles_and_of_nothing_else() -> None:
    row = {"kind": "pair", "model": "toy", "roles": {"case": ["a", "b"]}, "score": 1.0}
    assert key_of(row) == key_of(row | {"score": 2.0, "q": 0.5})
    assert (
        len(
            {
                key_of(row),
                key_of(row | {"roles": {"case": ["b", "a"]}}),
                key_of(row | {"model": "other"}),
            }
        )
        == 3
    )


def test_a_motif_that_is_not_there_is_answered_with_the_cure(
    database: Database, union: Bundle
) -> None:
    with pytest.raises(QueryError, match=r"no motif 'abcdef' is saved.*motifs KIND --save"):
        find_saved(database, "abcdef")
    (row,) = saved(database, "unioning_over_cases", strength=0.2)
    with pytest.raises(QueryError, match="at least 6 digits"):
        find_saved(database, row["key"][:5])


def test_a_key_is_no_neuron() -> None:
    assert looks_like_a_motif("3f9a01bc")
    assert not any(
        map(looks_like_a_motif, ("3f9a0", "squeezenet1_1/features.0:5", "abcdeg", "in:0", ""))
    )


def test_significance_is_saved_and_comes_back(database: Database, tmp_path: Path) -> None:
    database.load(write_bundle(tmp_path / "toy", layers=(4, 12, 12, 5), density=0.7))
    rows, found = find_significant(database, "mutual_inhibition", strength=0.5, nulls=9, seed=3)
    assert isinstance(found, Significance)
    enrichment = Enrichment.of(found, seed=3)
    save(
        database,
        "toy",
        [Finding.of("mutual_inhibition", rows, model="toy", enrichment=enrichment, strength=0.5)],
    )
    row = stored(database)["mutual_inhibition"]
    for name in (
        "instances",
        "strongest",
        "q",
        "q_null",
        "p",
        "null_mean",
        "null_sd",
        "nulls",
        "seed",
    ):
        assert row[name] == getattr(enrichment, name), name
    assert row["null_model"] == found.null
    assert json.loads(str(row["parameters"]))["strength"] == 0.5
    (best, *_) = database.query("saved_motifs", model="toy")
    assert (best["q"], best["null_model"]) == (rows[0]["q"], "kernels")
    # candidates that are saved later leave it
    save(database, "toy", [Finding.of("mutual_inhibition", rows[:1], model="toy", strength=0.5)])
    assert stored(database)["mutual_inhibition"] == row


def test_a_summary_is_saved_whole_with_the_best_instances(
    database: Database, tmp_path: Path
) -> None:
    database.load(write_bundle(tmp_path / "toy", layers=(4, 16, 16, 5), density=0.7))
    found = summary(database, nulls=9)
    kept = save_summary(database, found, q=0.3, limit=4)
    rows = stored(database)
    asked = [item for item in found if not isinstance(item, NotAsked)]
    assert list(rows) == sorted(item.kind for item in asked)
    for item in asked:
        assert (rows[item.kind]["instances"], rows[item.kind]["strongest"]) == (
            item.instances,
            item.strongest,
        )
    there = [row["kind"] for row in database.query("saved_motifs", model="toy", limit=1000)]
    assert {kind: there.count(kind) for kind in kept} == kept
    assert max(kept.values()) <= 4
    assert all(row["q"] <= 0.3 for row in database.query("saved_motifs", model="toy", limit=1000))


def test_a_kernel_is_drawn_by_sign_and_size() -> None:
    assert glyphs([[1.0, 0.4, 0.1], [-1.0, -0.4, 0.0]]) == ["# + ·", "= - ·"]
    assert glyphs([[0.0]]) == ["·"]


def test_the_drawing_has_every_edge_where_its_neurons_meet(
    database: Database, union: Bundle
) -> None:
    (row,) = saved(database, "unioning_over_cases", strength=0.2)
    lines = list(drawing(find_saved(database, row["key"])))
    table = [line.split("    ") for line in lines]
    cells = {
        parts[0].strip(): [part.strip() for part in parts[1:] if part.strip()]
        for parts in table
        if len(parts) > 1
    }
    assert cells["source 1"] == ["+ 50.0%  #1", "- 50.0%  #1"]
    assert [cell[0] for cell in cells["source 2"]] == ["-", "+"]
    assert cells["case 1"] == ["+ 80.0%  #1"]
    assert cells["case 2"] == ["+ 20.0%  #2"]
    assert any(line.strip() == "union     out:0" for line in lines)


def test_a_drawing_of_many_hosts_names_the_strongest_and_counts_the_rest() -> None:
    hosts = [f"m/l:{place}" for place in range(40)]
    motif = {
        **{
            "key": "0" * 16,
            "kind": "k",
            "title": "T.",
            "model": "m",
            "score": 1.0,
            "p": None,
            "q": 0.5,
            "null": "kernels",
        },
        "roles": {"feature": ["m/i:0"], "host": hosts},
    }
    edges = [
        {
            "sender": "m/i:0",
            "receiver": host,
            "weight": -1.0,
            "share": place / 100,
            "polarity": -1.0,
            "rank": 2,
            "kernel": 0,
        }
        for place, host in enumerate(hosts)
    ]
    lines = list(drawing(Instance(cast("SavedMotif", motif), [], cast("list[Edge]", edges))))
    assert "  feature to l:39: - 39.0%  #2" in lines
    assert "  and 28 weaker ones" in lines
    assert "  and 28 more" in lines
    assert len(lines) < 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a planted union, its bundle `p.circuitome` and the database
    `circuitome.db`.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    kernel = np.zeros((3, 3))
    kernel[:, 0], kernel[:, 2] = 1.0, -0.2
    edges = [(a, b, (kernel * weight).tolist()) for a, b, weight in UNION]
    write_planted("p.circuitome", SHAPE, edges, name="p", size=3)
    assert run("load", "p.circuitome").code == 0
    return tmp_path


def test_motifs_are_saved_and_drawn_from_the_command_line(folder: Path) -> None:
    got = run("motifs", "unioning-over-cases", "-p", "strength=0.2", "--save", "--json")
    (row,) = got.rows
    assert f"saved 1 motif; `circuitome circuit {row['key']}` draws one" in got.err
    drawn = run("circuit", row["key"][:8], "--bundle", "p.circuitome")
    assert drawn.code == 0, drawn.err
    assert "# · -" in drawn.out and "= · +" in drawn.out
    assert "against" not in drawn.out and "no null model was asked" in drawn.out
    (found,) = run("circuit", row["key"], "--json").rows
    assert found["motif"] == row | {
        "title": "A neuron that unites two cases which exclude each other."
    }
    assert (len(found["neurons"]), len(found["edges"])) == (5, 6)
    (taps,) = run("circuit", row["key"], "--bundle", "p.circuitome", "--json").rows
    assert np.shape(taps["edges"][0]["taps"]) == (3, 3)


def test_a_bundle_of_something_else_is_refused(folder: Path) -> None:
    (row,) = run("motifs", "unioning-over-cases", "-p", "strength=0.2", "--save", "--json").rows
    write_planted("q.circuitome", SHAPE, UNION, name="q")
    got = run("circuit", row["key"], "--bundle", "q.circuitome")
    assert (got.code, got.out) == (2, "")
    assert "holds q, and the motif is of p" in got.err
    assert run("circuit", "p/case:0", "--bundle", "p.circuitome").code == 2


def test_a_neuron_is_still_followed(folder: Path) -> None:
    rows = run("circuit", "p/out:0", "--depth", "1", "--json").rows
    assert [row["sender"] for row in rows] == ["p/case:0", "p/case:1"]


def test_a_pair_that_no_edge_joins_is_drawn_with_the_inputs_that_it_shares(folder: Path) -> None:
    (row,) = run("motifs", "opponent-pairs", "-p", "strength=0.2", "--save", "--json").rows
    drawn = run("circuit", row["key"], "--bundle", "p.circuitome").out
    assert re.search(r"in:0 +\+ 50\.0%  #1 +- 50\.0%  #1", drawn)
    assert "no edge joins these" in drawn


def test_a_saved_summary_answers_at_once_until_null_networks_are_asked(folder: Path) -> None:
    computed = run("motifs", "--null", "5", "--save", "--json")
    assert computed.code == 0, computed.err
    answered = run("motifs", "--json")
    assert "these values were saved before; --null N computes them again" in answered.err
    assert answered.rows == sorted(computed.rows, key=lambda row: row["kind"])
    assert "stored" not in run("motifs", "--null", "2", "--json").err
    assert run("load", "p.circuitome").code == 0  # what was saved goes with the old rows
    assert run("query", "enrichments", "--json").rows == []
