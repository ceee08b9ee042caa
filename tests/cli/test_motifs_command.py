"""`circuitome motifs`: no option is ignored in silence, and no q is left out in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import circuitome
from circuitome.cli import motifs as command
from circuitome.queries.algorithms import read_back
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MotifRow
from circuitome.queries.motifs.significance import NULLS
from circuitome.queries.occurrences import Occurrences
from circuitome.queries.question import Question
from tests.support.program import run
from tests.support.synthetic import write_bundle, write_planted

OWN = """// A strong edge.
//
// params:
//   model (model): the model
//   limit (integer = 100): maximum number of rows
// returns:
//   sender: key of the sender
//   receiver: key of the receiver
//   score: share
MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron)
WHERE a.model = $model
RETURN a.key AS sender, b.key AS receiver, r.share AS score
ORDER BY score DESC, sender, receiver
LIMIT $limit
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random network, without annotation, in a database, and `own.cypher`."""
    folder = tmp_path_factory.mktemp("motifs")
    write_bundle(folder / "toy.circuitome", layers=(3, 10, 10, 4), density=1.0)
    (folder / "own.cypher").write_text(OWN)
    got = run("load", folder / "toy.circuitome", "--db", folder / "circuitome.db")
    assert got.code == 0, got.err
    return folder


@pytest.mark.parametrize(
    "line, option, cure",
    [
        ("--bundle toy.circuitome", "--bundle", "weight_banding --bundle BUNDLE"),
        ("--q 0.05", "--q", "add --save"),
        ("--limit 3", "--limit", "add --save"),
        ("-p strength=3", "--param", "name it"),
        ("--null-model swap", "--null-model", "name it"),
        ("superposition --list", "KIND", "--list"),
        ("--list --null 3", "--null", "--list"),
        ("--list --db circuitome.db", "--db", "--list"),
        ("own.cypher --evidence weights", "--evidence", "leave it out"),
        ("own.cypher --bundle toy.circuitome", "--bundle", "leave out --bundle"),
        ("own.cypher --null-model swap", "--null-model", "add --null 199"),
        ("superposition --seed 1", "--seed", "add --null 199"),
        ("superposition --null-model swap --null 9", "--null-model", "leave out"),
        ("superposition_read_back --null-model reflect", "--null-model", "add --null 199"),
        ("superposition_read_back --null-model refect --null 9", "'refect'", "`reflect`"),
        ("superposition -p limit=2 --limit 3", "--limit", "given twice"),
        ("superposition -p model=toy", "'model'", "--model"),
        ("latent_branches --seed 1", "--seed", "-p seed=SEED"),
        ("latent_branches --null-model swap", "--null-model", "leave out"),
        ("branch_cluster --seed 1", "--seed", "leave it out"),
        ("weight_banding --bundle toy.circuitome --timeout 9", "--timeout", "leave it out"),
        ("weight_banding --bundle toy.circuitome --null-model swap", "--null-model", "leave out"),
    ],
)
def test_an_option_that_would_change_nothing_is_one_error_with_its_cure(
    here: Path, line: str, option: str, cure: str
) -> None:
    got = run("motifs", *line.split())
    assert (got.code, got.out) == (2, "")
    assert option in got.err and cure in got.err
    assert "Traceback" not in got.err


@pytest.mark.parametrize(
    "line",
    [
        "--null 1 --seed 1 --evidence weights --timeout 100 --model toy",
        "--null 1 --save --q 0.5 --limit 2",
        "superposition --evidence all --limit 2 -p strength=3",
        "weight_banding --bundle toy.circuitome --q 1 --null 9 --seed 1 --limit 2 -p min_score=0",
        "own.cypher --null 1 --null-model swap --seed 1 --limit 2 --timeout 100",
        "--list --evidence weights --json",
    ],
)
def test_options_that_go_together_are_taken(here: Path, line: str) -> None:
    got = run("motifs", *line.split())
    assert got.code == 0, got.err


@pytest.mark.parametrize("kind", ["opponent_pairs -p strength=0.1 -p cosine=0.01", "own.cypher"])
def test_a_q_without_null_takes_as_many_null_networks_as_the_summary(
    here: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("circuitome.queries.question.NULLS", 3)
    asked = run("motifs", *kind.split(), "--q", "1", "--limit", "5", "--json")
    same = run("motifs", *kind.split(), "--q", "1", "--limit", "5", "--null", "3", "--json")
    assert len(asked.rows) == 5
    assert all(row["q"] is not None for row in asked.rows)
    assert (asked.rows, asked.err) == (same.rows, same.err)
    assert "3 null networks" in asked.err


def test_the_number_of_null_networks_is_that_of_the_summary(here: Path) -> None:
    got = run("motifs", "opponent-pairs", "--q", "0.05", "--json")
    assert f"{NULLS} null networks" in got.err


def test_null_networks_that_take_long_are_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["motifs", "opponent_pairs", "--null", "9", "--json"]
    assert "in all" not in run(*line).err
    monkeypatch.setattr(command, "_PATIENCE", 0.0)
    err = run(*line).err
    assert err.count("in all") == 1
    assert "of 18 null networks" in err and "--null N asks for fewer" in err


def test_a_q_that_no_instance_reaches_is_said(here: Path) -> None:
    got = run("motifs", "mutual_inhibition", "-p", "strength=0.1", "--null", "1", "--q", "0")
    assert got.out == ""
    assert "no instance has a q of at most 0" in got.err


def test_an_empty_list_says_why_for_programs_too(here: Path) -> None:
    got = run("motifs", "hue_to_hue", "--q", "0.05", "--json")
    assert (got.code, got.rows) == (0, [])
    assert "no neuron of toy has a kind; `circuitome annotate BUNDLE --parts kinds`" in got.err


def test_a_summary_has_dashes_where_nothing_was_asked(here: Path) -> None:
    rows = {row["kind"]: row for row in run("motifs", "--null", "1", "--json").rows}
    hue = rows["hue_to_hue"]
    assert (hue["instances"], hue["p"], hue["remark"]) == (
        *(None, None),
        "needs annotate --parts kinds",
    )
    assert rows["mutual_inhibition"]["instances"] is not None
    shown = run("motifs", "--null", "1").out.splitlines()
    (line,) = [line for line in shown if line.startswith("hue_to_hue")]
    assert line.split()[1:4] == ["toy", "-", "-"]
    assert line.rstrip().endswith("needs annotate --parts kinds")


def test_a_seed_computes_a_saved_summary_again(here: Path) -> None:
    assert run("motifs", "--null", "1", "--save").code == 0
    saved = "these values were saved before"
    assert saved in run("motifs", "--json").err
    got = run("motifs", "--seed", "1", "--evidence", "weights", "--null", "1", "--json")
    assert saved not in got.err


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a database of forty inputs over 16 hosts; the first 12 of 40 readers read one
    input each.
    """
    rng = np.random.default_rng(0)
    into, out = rng.standard_normal((16, 40)), rng.standard_normal((40, 16))
    out[:12] = into[:, :12].T + 0.3 * rng.standard_normal((12, 16))
    edges = [(f"in:{i}", f"host:{k}", float(into[k, i])) for k, i in np.ndindex(into.shape)]
    edges += [(f"host:{k}", f"out:{r}", float(out[r, k])) for r, k in np.ndindex(out.shape)]
    write_planted(tmp_path / "p", {"in": 40, "host": 16, "out": 40}, edges, name="p")
    return tmp_path


def test_reflect_is_a_null_model_of_read_back_on_the_command_line_and_in_notebooks(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted)
    assert run("load", "p").code == 0
    line = ["motifs", "superposition-read-back", "--null", "19", "--json"]
    got = run(*line, "--null-model", "reflect")
    assert "19 null networks `reflect`: p = 0.05; q of a row is against `kernels`" in got.err
    assert got.rows == run(*line).rows  # the null model of p leaves q alone
    found = circuitome.motifs("superposition_read_back", nulls=19, null_model="reflect")
    assert isinstance(found, Occurrences) and found.significance is not None
    # the same null networks, drawn by hand
    (chain,) = read_back.chains(SignedGraph.of_bundle(circuitome.Bundle.open("p")))
    counts = []
    for place in range(19):
        (rng,) = np.random.default_rng([0, place]).spawn(1)
        turned = read_back.reflect(chain, rng)
        counts.append(len(read_back.read_back(turned, cosine=0.6, hosts=3).score))
    assert (found.significance.null, found.significance.null_mean) == ("reflect", np.mean(counts))
    assert found.significance.instances >= 10 > np.mean(counts)


def test_a_notebook_refuses_what_would_change_nothing(here: Path) -> None:
    with pytest.raises(QueryError, match="add --null 199"):
        circuitome.motifs("superposition_read_back", null_model="reflect")
    with pytest.raises(QueryError, match="name it"):
        circuitome.motifs(bundle=here / "toy.circuitome")
    found = circuitome.motifs("mutual_inhibition", strength=0.1)
    assert isinstance(found, Occurrences)
    with pytest.raises(QueryError, match="candidates have no q; ask for null networks"):
        found.at_most(0.05)


@pytest.mark.parametrize(
    "kind, way", [("weight_banding", "--bundle BUNDLE"), ("opponent-pairs", "--null 199")]
)
def test_candidates_have_no_q_and_the_error_says_how_to_get_one(kind: str, way: str) -> None:
    row = MotifRow(kind=kind, model="m", score=1.0, p=None, q=None, null=None, roles={})
    with pytest.raises(QueryError, match=f"no q; .*{way}"):
        Occurrences(Question(kind), [row]).at_most(0.05)


def test_a_parameter_with_a_name_of_the_null_networks_is_refused(here: Path) -> None:
    text = OWN.replace("//   limit", "//   seed (float = 0): least share\n//   limit")
    (here / "seed.cypher").write_text(text.replace("= $model", "= $model AND r.share >= $seed"))
    assert run("motifs", "seed.cypher", "-p", "seed=0.1").code == 0
    got = run("motifs", "seed.cypher", "-p", "seed=0.1", "--null", "1")
    assert got.code == 2
    assert "call the parameter otherwise" in got.err and "Traceback" not in got.err
