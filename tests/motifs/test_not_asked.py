"""A motif that cannot occur in a network is not asked: no count, no p, and what it needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database, open_database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, Motif, NotAsked, Search, search, summary
from circuitome.queries.motifs.saved import save_summary, stored
from circuitome.queries.occurrences import occurrences, survey
from circuitome.queries.question import Question
from circuitome.vocabulary import STIMULI
from tests.support.planted_kinds import annotate, randomly_annotated
from tests.support.synthetic import annotated, write_bundle

OF_KINDS = {
    *("black_white_vs_colour", "contrast_to_centre", "curve_to_circle", "high_low_to_boundary"),
    *("hue_to_hue", "line_to_circle", "line_to_divergence", "tangent_circuit"),
}
OF_PAIRS = {"mirrored_unions", "posed_pairs"}
LOOSE = {"strength": 0, "polarity": 0, "min_inputs": 1, "min_score": -1, "agreement": -1}


def remarks(database: Database, model: str) -> dict[str, str]:
    """What each motif needs that is not asked."""
    rows = survey(database, model=model, nulls=1).rows
    for row in rows:
        asked = row["remark"] is None
        assert asked == (row["instances"] is not None)
        assert asked or (row["p"], row["q"], row["nulls"]) == (None, None, None)
    return {row["kind"]: row["remark"] for row in rows if row["remark"]}


def test_a_network_without_annotation_is_told_the_part_that_each_motif_needs(
    database: Database, tmp_path: Path
) -> None:
    database.load(write_bundle(tmp_path / "bare", name="bare", layers=(3, 8, 8, 4)))
    found = remarks(database, "bare")
    assert {kind for kind, needs in found.items() if needs.endswith("--parts kinds")} == OF_KINDS
    assert {kind for kind, needs in found.items() if needs.endswith(" equivariance")} == OF_PAIRS
    assert found["equivariant_circuit"] == "needs annotate --parts circuits"
    assert found["residual_bypass"] == "needs residual additions"
    assert found.keys().isdisjoint({"opponent_pairs", "superposition", "weight_banding"})


def test_a_network_with_annotation_is_not_told_to_annotate(
    database: Database, tmp_path: Path
) -> None:
    bundle = annotated(write_bundle(tmp_path / "toy", layers=(3, 8, 8, 4)))
    database.load(bundle)
    found = remarks(database, bundle.model)
    assert found["hue_to_hue"].startswith("needs neurons of kind ")
    assert not [needs for needs in found.values() if "--parts" in needs]


def test_what_was_not_asked_is_not_saved_and_does_not_hide_what_was(
    database: Database, tmp_path: Path
) -> None:
    database.load(write_bundle(tmp_path / "bare", name="bare", layers=(3, 8, 8, 4)))
    found = summary(database, nulls=2)
    unasked = {item.kind for item in found if isinstance(item, NotAsked)}
    save_summary(database, found)
    assert unasked and stored(database).keys() == MOTIFS.keys() - unasked
    again = survey(database)
    assert again.stored
    assert again.rows == survey(database, nulls=2).rows
    assert not survey(database, seed=1, kinds=["superposition"]).stored


def test_a_motif_that_cannot_occur_is_held_against_no_null_network(tmp_path: Path) -> None:
    with open_database(tmp_path / "x.db", create=True) as database:
        database.load(write_bundle(tmp_path / "bare", name="bare", layers=(3, 8, 8, 4)))
        told = []
        question = Question("hue-to-hue", nulls=3)
        found = occurrences(database, question, progress=lambda *done: told.append(done))
        assert (found.rows, found.significance, told) == ([], None, [])
        assert "annotate BUNDLE --parts kinds" in str(found.lacking)


def some_kinds(path: Path, *, seed: int) -> Bundle:
    """A random network whose neurons have a few of all kinds."""
    bundle = randomly_annotated(path, seed=seed, density=1.0)
    rng = np.random.default_rng(seed)
    few = rng.choice(list(STIMULI), 2 + 6 * seed, replace=False)
    keys = bundle.table("Neuron")["key"].to_pylist()
    kinds = rng.choice(few, len(keys)).tolist()
    angles = rng.uniform(0, 360, (len(keys), 2)).tolist()
    return annotate(
        bundle,
        {
            key: {"kind": kind, "orientation_deg": turn, "hue_deg": hue}
            for key, kind, (turn, hue) in zip(keys, kinds, angles, strict=True)
        },
    )


def test_what_lacks_something_has_no_instance_at_any_threshold(tmp_path: Path) -> None:
    """Else a motif that is there would not be asked."""
    lacking, there = set(), set()
    for seed in range(4):
        bundle = some_kinds(tmp_path / "r", seed=seed)
        graph = SignedGraph.of_bundle(bundle)
        with open_database(tmp_path / f"{seed}.db", create=True) as database:
            database.load(bundle)
            for kind in OF_KINDS:
                motif = MOTIFS[kind]
                assert isinstance(motif, Motif)
                names = {threshold.name for threshold in motif.definition.thresholds}
                loose = {name: value for name, value in LOOSE.items() if name in names}
                instances = motif.count(graph, **loose)
                if Search.of(motif, graph.model, loose).lack(database):
                    assert instances == 0, (seed, kind)
                    lacking.add(kind)
                elif instances:
                    there.add(kind)
    assert len(lacking) >= 6
    assert len(there) >= 5


@pytest.mark.parametrize("done", [True, False])
def test_pairs_that_annotation_did_not_find_are_not_pairs_that_nobody_looked_for(
    tmp_path: Path, done: bool
) -> None:
    bundle = write_bundle(tmp_path / "bare", name="bare", layers=(3, 8, 8, 4))
    if done:
        from circuitome.graphdb.bundle_writer import BundleWriter

        with BundleWriter.amend(bundle) as writer:
            writer.finish(model={"annotated": "responses,equivariance"})
        bundle = Bundle.open(bundle.path)
    with open_database(tmp_path / "x.db", create=True) as database:
        database.load(bundle)
        lack = search(database, "posed_pairs").lack(database)
        assert lack is not None
        assert ("annotate" in lack.reason) != done
