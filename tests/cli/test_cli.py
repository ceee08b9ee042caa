"""The command line, run as people run it: arguments in, exit code, stdout and stderr out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.program import run
from tests.support.synthetic import annotated

COMMANDS = (
    *("extract", "annotate", "verify", "check", "load", "drop", "models", "query"),
    *(
        "motifs",
        "neuron",
        "circuit",
        "families",
        "compare",
        "export",
        "schema",
        "demo",
        "thread",
        "thread-check",
    ),
)

NETS = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(8, 6, 1)
        self.right = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(torch.cat([self.left(x), self.right(x)], 1))
        return self.head(x.mean((2, 3)))

def tiny():
    return Tiny()

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        return torch.cumsum(self.first(x), 2)

def odd():
    return Odd()
"""


def program(arguments: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "circuitome", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `nets.py`, the bundles `tiny.circuitome` and `other.circuitome`, and
    `circuitome.db` holding the first.
    """
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "nets.py").write_text(NETS)
    for name, seed in (("tiny", 0), ("other", 1)):
        made = run(
            "extract", f"{folder / 'nets.py'}:tiny", "--weights", "random", "--seed", str(seed), "--input-size", "3,16,16",
            "--name", name, "-o", folder / f"{name}.circuitome",
        )  # fmt: skip
        assert made.code == 0, made.err
    loaded = run("load", folder / "tiny.circuitome", "--db", folder / "circuitome.db")
    assert loaded.code == 0, loaded.err
    return folder


@pytest.fixture
def annotated_database(here: Path) -> Path:
    """The workshop with a made-up annotation of its network in the bundle and in the database."""
    from circuitome.graphdb.bundle import Bundle

    annotated(Bundle.open(here / "tiny.circuitome"))
    assert run("load", "tiny.circuitome").code == 0
    return here


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the annotation was called with; a made-up one takes its place."""
    calls: list[dict[str, Any]] = []

    def annotate(bundle: Any, model: Any, **options: Any) -> Any:
        calls.append({"bundle": bundle.model, "model": type(model).__name__, **options})
        return annotated(bundle)

    module = ModuleType("circuitome.extract.annotate.pipeline")
    module.__dict__["annotate"] = annotate
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_the_version_is_printed() -> None:
    got = run("--version")
    assert got.code == 0
    assert got.out.startswith("circuitome ")


def test_no_command_shows_the_help() -> None:
    got = run()
    assert "Commands:" in got.out + got.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str) -> None:
    got = run(command, "--help")
    assert got.code == 0
    assert "Example" in got.out
    assert f"  circuitome {command}" in got.out


def test_the_help_lists_every_command_and_no_other() -> None:
    lines = run("--help").out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == list(COMMANDS)


def test_shell_completion_knows_the_commands() -> None:
    environment = {
        **os.environ,
        "_CIRCUITOME_COMPLETE": "complete_bash",
        "COMP_WORDS": "circuitome ver",
        "COMP_CWORD": "1",
    }
    code = "from circuitome.cli import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["verify"]


def test_an_unknown_command_or_option_is_wrong_use() -> None:
    assert run("extrakt").code == 2
    assert run("query", "--frobnicate").code == 2


def test_extract_prints_the_bundle_and_says_what_is_in_it(here: Path) -> None:
    got = run(
        "extract",
        "nets.py:tiny",
        "--weights",
        "random",
        "--input-size",
        "3,16,16",
        "--name",
        "mine",
    )
    assert (got.code, got.out) == (0, "mine.circuitome\n")
    assert "27 neurons" in got.err  # 3 + 8 + 6 + 6 + 4
    manifest = json.loads((here / "mine.circuitome" / "manifest.json").read_text())
    assert manifest["model"]["architecture"] == "nets.py:tiny"
    assert manifest["model"]["weights"] == "random"


def test_extract_refuses_to_replace_a_bundle_unless_told(here: Path) -> None:
    again = ["extract", "nets.py:tiny", "--input-size", "3,16,16"]
    before = (here / "tiny.circuitome" / "manifest.json").read_bytes()
    refused = run(*again)
    assert refused.code == 2
    assert "--force" in refused.err
    assert (here / "tiny.circuitome" / "manifest.json").read_bytes() == before
    assert run(*again, "--force").code == 0
    assert (here / "tiny.circuitome" / "manifest.json").read_bytes() != before


def test_keep_all_keeps_every_edge(here: Path) -> None:
    run(
        "extract",
        "nets.py:tiny",
        "--input-size",
        "3,16,16",
        "--keep",
        "all",
        "-o",
        "whole.circuitome",
    )
    counts = json.loads((here / "whole.circuitome" / "manifest.json").read_text())["counts"]
    assert counts["dropped"] == 0
    assert counts["edges"] == 3 * 8 + 8 * 6 + 8 * 6 + 12 * 4


@pytest.mark.parametrize(
    "option, value",
    [
        *[
            ("--keep", "1.5"),
            ("--keep", "most"),
            ("--input-size", "3x16x16"),
            ("--mean", "a,b,c"),
            ("--seed", "x"),
        ],
        *[("--annotate", "everything"), ("--images", "nowhere")],
    ],
)
def test_an_option_with_an_impossible_value_is_wrong_use(
    here: Path, option: str, value: str
) -> None:
    got = run("extract", "nets.py:tiny", option, value)
    assert got.code == 2
    assert option in got.err
    assert value in got.err


@pytest.mark.parametrize(
    "arguments, place",
    [
        (["extract", "squeezenet_1_1"], "squeezenet1_1"),
        (["extract", "nets.py:tiny", "--weights", "nowhere.pth"], "nowhere.pth"),
        (["extract", "nets.py:odd", "-o", "odd.circuitome"], "cumsum"),
        (["extract", "nets.py:tiny", "--device", "abacus", "-o", "x.circuitome"], "abacus"),
        (["verify", "nowhere.circuitome"], "nowhere.circuitome"),
        (["verify", "tiny.circuitome"], "nets.py:tiny"),
        (["annotate", "nowhere.circuitome"], "nowhere.circuitome"),
        (["annotate", "tiny.circuitome"], "nets.py:tiny"),
        (
            ["annotate", "tiny.circuitome", "--parts", "kinds,tuning"],
            "'tuning': give all, or some of responses, kinds",
        ),
        (["annotate", "tiny.circuitome", "--families", "nets.py"], "nets.py, line"),
        (["annotate", "tiny.circuitome", "--families", "nowhere.csv"], "nowhere.csv"),
        (["query", "family_members", "-p", "family=f0"], "no family 'f0'"),
        (["check", "nets.py"], "nets.py"),
        (["load", "nowhere.circuitome"], "nowhere.circuitome"),
        (["drop", "tinny"], "tiny"),
        (["models", "--db", "nowhere.db"], "nowhere.db"),
        (["models", "--db", "nets.py"], "nets.py"),
        (["query", "inputz"], "inputs"),
        (["query", "nowhere.cypher"], "nowhere.cypher"),
        (["query", "inputs"], "neuron"),
        (["query", "inputs", "-p", "neuron=tiny/first:99"], "tiny/first"),
        (["query", "inputs", "-p", "neuron=tiny/first:0", "-p", "colour=red"], "colour"),
        (["query", "inputs", "-p", "neuron"], "key=value"),
        (["query", "inputs", "-p", "timeout=3"], "--timeout"),
        (["query"], "--list"),
        (["motifs", "unionising"], "unionising"),
        (["motifs", "weight_banding", "--null", "9"], "edges alone"),
        (["motifs", "superposition", "--bundle", "tiny.circuitome"], "weight_banding"),
        (["motifs", "superposition", "--model", "tinny"], "tiny"),
        (["neuron", "first:99"], "first:99"),
        (["circuit", "nowhere:0"], "nowhere:0"),
        (["export", "-o", "x", "--format", "punchcards"], "punchcards"),
        (["export", "-o", "x", "--only", "layers"], "'layers'"),
        (["export", "-o", "x", "--least-share", "2"], "--least-share"),
        (["export", "-o", "x", "--family", "f9"], "no family 'f9'"),
        (["export", "-o", "x", "--circuit", "first:99"], "no neuron 'first:99'"),
        (["export", "tiny.circuitome", "-o", "x", "--db", "circuitome.db"], "choose one"),
        (["export", "tiny.circuitome", "-o", "x", "--model", "other"], "holds tiny"),
        (["export", "-o", "x", "-f", "neo4j-admin", "--only", "neurons"], "neo4j-admin"),
        (["models", "--db", "bolt://127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    here: Path, arguments: list[str], place: str
) -> None:
    before = sorted(os.listdir(here))
    got = run(*arguments)
    assert got.code == 2
    assert place in got.err
    assert got.out == ""
    assert "Traceback" not in got.err
    assert sorted(os.listdir(here)) == before


PARTS = ("responses", "kinds", "equivariance", "families", "circuits", "signatures")


def test_annotate_prints_a_line_a_layer(here: Path, pipeline: list[dict[str, Any]]) -> None:
    got = run("annotate", "tiny.circuitome", "nets.py:tiny")
    assert got.code == 0, got.err
    assert got.out.split()[:6] == [
        "layer",
        "neurons",
        "explained",
        "equivariant",
        "in_families",
        "invariant",
    ]
    assert [line.split()[0] for line in got.out.splitlines()[2:]] == [
        "first",
        "left",
        "right",
        "head",
    ]
    assert "annotated (responses, kinds, equivariance, families, circuits, signatures)" in got.err
    assert "`circuitome load tiny.circuitome`" in got.err
    (call,) = pipeline
    assert callable(call.pop("progress"))
    assert call == {
        "bundle": "tiny", "model": "Tiny", "parts": PARTS, "twins": 10, "images": None, "device": "auto", "seed": 0
    }  # fmt: skip


def test_annotate_hands_over_what_was_asked(here: Path, pipeline: list[dict[str, Any]]) -> None:
    (here / "pictures").mkdir()
    got = run(
        "annotate", "tiny.circuitome", "nets.py:tiny", "--parts", "families, kinds", "--twins", "3", "--images", "pictures",
        "--device", "cpu", "--seed", "7", "--json",
    )  # fmt: skip
    assert got.code == 0, got.err
    assert [set(row) for row in got.rows] == [
        {"layer", "neurons", "explained", "equivariant", "in_families", "invariant"}
    ] * 4
    (call,) = pipeline
    assert (call["parts"], call["twins"], call["seed"], call["device"]) == (
        ("kinds", "families"),
        3,
        7,
        "cpu",
    )
    assert call["images"] == Path("pictures")


def test_annotate_refuses_another_network(here: Path, pipeline: list[dict[str, Any]]) -> None:
    got = run("annotate", "tiny.circuitome", "nets.py:odd")
    assert got.code == 2
    assert "other weights" in got.err
    assert run("annotate", "tiny.circuitome").code == 2
    assert pipeline == []


def test_one_null_network_is_too_few(here: Path, pipeline: list[dict[str, Any]]) -> None:
    got = run("annotate", "tiny.circuitome", "nets.py:tiny", "--twins", "1")
    assert got.code == 2
    assert "--twins" in got.err
    assert pipeline == []


def test_curated_families_need_no_model(here: Path, pipeline: list[dict[str, Any]]) -> None:
    (here / "mine.csv").write_text(
        "family,neuron,offset\nfronts,first:0,0\nfronts,tiny/first:5,90\n"
    )
    got = run("annotate", "tiny.circuitome", "--families", "mine.csv")
    assert (got.code, got.out) == (0, "")
    assert "1 of its families are curated" in got.err
    assert pipeline == []
    assert run("load", "tiny.circuitome").code == 0
    (row,) = run("families", "--json").rows
    assert (row["name"], row["source"], row["layer"], row["group"]) == (
        "fronts",
        "curated",
        "tiny/first",
        None,
    )
    assert [member["offset"] for member in row["members"]] == [0.0, 90.0]
    assert run("annotate", "tiny.circuitome", "--families", "mine.csv", "--json").rows == []


def test_curated_families_and_an_annotation_go_together(
    here: Path, pipeline: list[dict[str, Any]]
) -> None:
    (here / "mine.csv").write_text("family,neuron,offset\nmine,first:0,0\n")
    assert run("annotate", "tiny.circuitome", "nets.py:tiny", "--families", "mine.csv").code == 0
    assert len(pipeline) == 1


def test_extract_annotates_when_asked_and_says_how_when_not(
    here: Path, pipeline: list[dict[str, Any]]
) -> None:
    line = [
        "extract",
        "nets.py:tiny",
        "--weights",
        "random",
        "--seed",
        "4",
        "--input-size",
        "3,16,16",
        "--name",
        "mine",
    ]
    plain = run(*line)
    assert (
        "not annotated: `circuitome annotate mine.circuitome nets.py:tiny` describes" in plain.err
    )
    assert pipeline == []
    got = run(*line, "--force", "--annotate", "kinds", "--twins", "3")
    assert (got.code, got.out) == (0, "mine.circuitome\n")
    assert "not annotated" not in got.err
    (call,) = pipeline
    assert (call["bundle"], call["parts"], call["twins"], call["seed"]) == (
        "mine",
        ("kinds",),
        3,
        4,
    )


def test_the_hint_of_extract_names_the_weights(here: Path) -> None:
    from safetensors.torch import save_file

    from circuitome.extract.models.resolve import resolve

    save_file(
        resolve("nets.py:tiny", weights="random").model.state_dict(), here / "mine.safetensors"
    )
    got = run(
        "extract",
        "nets.py:tiny",
        "--weights",
        "mine.safetensors",
        "--input-size",
        "3,16,16",
        "--name",
        "mine",
    )
    assert got.code == 0, got.err
    assert (
        "`circuitome annotate mine.circuitome nets.py:tiny --weights mine.safetensors`" in got.err
    )


def test_verify_says_that_all_passed_and_prints_a_line_a_check_when_asked(here: Path) -> None:
    short = run("verify", "tiny.circuitome", "nets.py:tiny")
    assert (short.code, short.out) == (0, ""), short.err
    assert "8 checks of 4 layers passed" in short.err
    got = run("verify", "tiny.circuitome", "nets.py:tiny", "--all")
    assert got.code == 0, got.err
    assert {"first", "left", "right", "head"} <= {
        line.split()[0] for line in got.out.splitlines()[2:]
    }
    rows = run("verify", "tiny.circuitome", "nets.py:tiny", "--json").rows
    assert {row["layer"] for row in rows} == {"first", "left", "right", "head"}
    assert all(row["ok"] and row["error"] <= 1e-5 for row in rows)


def test_verify_needs_no_model_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        run(
            "extract",
            "squeezenet1_1",
            "--weights",
            "random",
            "--seed",
            "5",
            "--input-size",
            "3,64,64",
        ).code
        == 0
    )
    assert run("verify", "squeezenet1_1.circuitome").code == 0


def test_verify_refuses_other_weights(here: Path) -> None:
    got = run("verify", "tiny.circuitome", "nets.py:tiny", "--weights", "random", "--json")
    assert got.code == 0, got.err
    shutil.copytree("other.circuitome", "disguised.circuitome")
    path = here / "disguised.circuitome" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["model"]["seed"] = 0
    path.write_text(json.dumps(manifest))
    got = run("verify", "disguised.circuitome", "nets.py:tiny")
    assert got.code == 2
    assert "other weights" in got.err


def test_verify_never_runs_code_that_a_manifest_names(here: Path) -> None:
    (here / "evil.py").write_text(
        "from pathlib import Path\nPath('executed').touch()\ndef net(): ..."
    )
    path = here / "tiny.circuitome" / "manifest.json"
    manifest = json.loads(path.read_text())
    for architecture in ("evil.py:net", "evil:net"):
        manifest["model"]["architecture"] = architecture
        path.write_text(json.dumps(manifest))
        got = run("verify", "tiny.circuitome")
        assert got.code == 2
        assert "typed" in got.err
    assert not (here / "executed").exists()


def test_verify_fails_with_exit_code_1_where_the_bundle_is_another_network(here: Path) -> None:
    """Another network's kernels under this manifest, with checksums that fit."""
    import hashlib

    name = "kernels.safetensors"
    shutil.copy(here / "other.circuitome" / name, here / "tiny.circuitome" / name)
    path = here / "tiny.circuitome" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name]["sha256"] = hashlib.sha256(
        (here / "tiny.circuitome" / name).read_bytes()
    ).hexdigest()
    path.write_text(json.dumps(manifest))
    got = run("verify", "tiny.circuitome", "nets.py:tiny", "--json")
    assert got.code == 1
    assert not all(row["ok"] for row in got.rows)
    assert "failed" in got.err


def test_check_passes_a_whole_bundle_and_names_an_altered_file(here: Path) -> None:
    assert run("check", "tiny.circuitome", "other.circuitome").code == 0
    path = here / "tiny.circuitome" / "tables" / "EXCITES.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    got = run("check", "tiny.circuitome")
    assert got.code == 1
    assert "EXCITES.parquet was altered" in got.err


def test_models_come_and_go(here: Path) -> None:
    assert [row["key"] for row in run("models", "--json").rows] == ["tiny"]
    assert run("load", "other.circuitome").code == 0
    assert sorted(row["key"] for row in run("models", "--json").rows) == ["other", "tiny"]
    assert run("drop", "tiny").code == 0
    assert [row["key"] for row in run("models", "--json").rows] == ["other"]


def test_loading_twice_gives_the_same_database(here: Path) -> None:
    before = run("query", "edges", "--json").rows
    assert run("load", "tiny.circuitome").code == 0
    assert run("query", "edges", "--json").rows == before
    assert len(before) > 0


def test_the_database_comes_from_the_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "circuitome.db").rename(here / "elsewhere.db")
    assert run("models").code == 2
    monkeypatch.setenv("CIRCUITOME_DB", "elsewhere.db")
    assert run("models", "--json").rows[0]["key"] == "tiny"


def test_a_query_gives_a_table_for_people_and_an_array_for_programs(here: Path) -> None:
    table = run("query", "inputs", "-p", "neuron=tiny/head:0")
    rows = run("query", "inputs", "-p", "neuron=head:0", "--json").rows
    assert table.code == 0
    assert table.out.split()[0] == "sender"
    assert len(table.out.splitlines()) == len(rows) + 2
    assert all(row["sender"] in table.out for row in rows)
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares, reverse=True)


def test_a_limit_is_kept(here: Path) -> None:
    assert len(run("query", "inputs", "-p", "neuron=head:0", "--limit", "3", "--json").rows) == 3
    assert len(run("query", "inputs", "-p", "neuron=head:0", "-p", "limit=2", "--json").rows) == 2
    assert len(run("query", "layers", "--limit", "1", "--json").rows) == 1


def test_no_rows_are_an_empty_array_and_no_failure(here: Path) -> None:
    got = run("query", "edges", "-p", "strength=1e9", "--json")
    assert (got.code, got.rows) == (0, [])
    assert run("query", "edges", "-p", "strength=1e9").err.strip() == "no rows"


def test_a_file_of_ones_own_runs_like_a_query(here: Path) -> None:
    (here / "mine.cypher").write_text(
        "MATCH (n:Neuron) WHERE n.channel >= $least RETURN n.key AS neuron ORDER BY neuron"
    )
    rows = run("query", "mine.cypher", "-p", "least=6", "--json").rows
    assert [row["neuron"] for row in rows] == ["tiny/first:6", "tiny/first:7"]


def test_a_query_cannot_write(here: Path) -> None:
    (here / "evil.cypher").write_text("MATCH (n:Neuron) SET n.bias = 0 RETURN n.key AS neuron")
    before = run("query", "neurons", "--json").rows
    assert run("query", "evil.cypher").code == 2
    assert run("query", "neurons", "--json").rows == before


def test_the_library_is_listed_with_its_documentation() -> None:
    rows = run("query", "--list", "--json").rows
    names = {row["name"] for row in rows}
    assert {
        "inputs",
        "outputs",
        "upstream",
        "downstream",
        "strongest_paths",
        "hubs",
        "balance",
        "unioning_over_cases",
    } <= names
    assert all(row["title"] and row["returns"] for row in rows)
    table = run("query", "--list").out
    assert all(name in table for name in names)


def test_a_query_is_shown_ready_to_be_pasted() -> None:
    got = run("query", "hubs", "--show", "-p", "strength=3")
    assert got.code == 0
    assert ":param strength" in got.out
    assert "MATCH" in got.out
    assert "3" in got.out


def test_motifs_are_listed_and_found(here: Path) -> None:
    kinds = [row["kind"] for row in run("motifs", "--list", "--json").rows]
    assert {"mutual_inhibition", "unioning_over_cases", "superposition", "weight_banding"} <= set(
        kinds
    )
    got = run(
        "motifs",
        "mutual-inhibition",
        "-p",
        "strength=0.1",
        "-p",
        "polarity=0",
        "--limit",
        "4",
        "--json",
    )
    assert len(got.rows) == 4
    for row in got.rows:
        assert set(row) == {"kind", "model", "score", "p", "q", "null", "roles"}
        assert set(row["roles"]) == {"case", "source"}
    assert "not findings" in got.err


def test_motifs_of_weights_alone_can_be_asked_for(here: Path) -> None:
    every = {row["kind"]: row["evidence"] for row in run("motifs", "--list", "--json").rows}
    alone = {row["kind"] for row in run("motifs", "--list", "--evidence", "weights", "--json").rows}
    assert alone == {kind for kind, evidence in every.items() if evidence == "weights"}
    assert "hue_to_hue" not in alone
    assert {
        row["kind"] for row in run("motifs", "--evidence", "weights", "--null", "3", "--json").rows
    } == alone
    got = run("motifs", "hue-to-hue", "--evidence", "weights")
    assert got.code == 2
    assert "needs what annotation measured" in got.err
    assert run("motifs", "hue-to-hue", "--evidence", "all").code == 0


def test_motifs_are_compared_with_null_networks(here: Path) -> None:
    line = "motifs opponent_pairs -p strength=0.1 -p cosine=0.01 --null 9 --limit 3 --json"
    got = run(*line.split())
    assert len(got.rows) == 3
    assert all(
        row["null"] == "kernels" and 0 < row["q"] <= 1 and row["p"] is None for row in got.rows
    )
    assert "9 null networks `signs`" in got.err
    rows = {row["kind"]: row for row in run("motifs", "--null", "9", "--json").rows}
    assert rows.keys() == {row["kind"] for row in run("motifs", "--list", "--json").rows}
    assert rows["push_pull"]["nulls"] == 9
    assert rows["weight_banding"]["p"] is None
    assert "q_null" in run("motifs", "--null", "3").out


def test_a_neuron_shows_both_sides(here: Path) -> None:
    (row,) = run("neuron", "tiny/left:0", "--json").rows
    assert {edge["sender"].split(":")[0] for edge in row["inputs"]} == {"tiny/first"}
    assert {edge["receiver"].split(":")[0] for edge in row["outputs"]} == {"tiny/head"}
    table = run("neuron", "left:0").out
    assert all(edge["sender"] in table for edge in row["inputs"])
    (few,) = run("neuron", "left:0", "--limit", "2", "--json").rows
    assert few["inputs"] == row["inputs"][:2]


def test_a_neuron_without_annotation_says_how_to_get_one(here: Path) -> None:
    got = run("neuron", "left:0")
    assert "not annotated: `circuitome annotate" in got.err
    assert not {"kind", "tuning", "answers"} & {
        line.split()[0] for line in got.out.splitlines() if line.strip()
    }
    (row,) = run("neuron", "left:0", "--json").rows
    assert row["neuron"] == "tiny/left:0"
    assert [row[name] for name in ("annotated", "kind", "tuning", "partners", "families")] == [
        None,
        None,
        None,
        [],
        [],
    ]


def test_an_annotated_neuron_shows_what_it_does(annotated_database: Path) -> None:
    got = run("neuron", "first:1")
    assert got.err == ""
    told = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in got.out.splitlines()
        if line.startswith("  ")
    }
    assert told["kind"].startswith("curve (explains ")
    assert told["kind"].endswith("p 0.001; q 0.01; then edge)")
    assert told["prefers"].startswith("orientation 350 degrees; radius 6 pixels; selectivity ")
    assert told["tuning"] == "0 ▁▅█▃ 135 (curve: orientation, degrees; 0 to 1)"
    assert told["responses"] == "mean 0.5; sd 0.25; maximum 4; silent at 75% of positions"
    assert told["invariance"].startswith("rotate 0.95; flip_h ")
    assert told["family"] == "tiny/first/f0 at 90 degrees (rotate, 3 neurons, computed, q 0.02)"
    assert told["answers"] == "curve, orientation 45 degrees, radius 12 pixels"
    assert [title in got.out for title in ("\npartners\n", "\ninputs\n", "\noutputs\n")] == [
        True
    ] * 3
    (row,) = run("neuron", "first:1", "--json").rows
    assert [
        (partner["partner"], partner["amount"])
        for partner in row["partners"]
        if partner["q"] <= 0.05
    ] in (
        [("tiny/first:0", -90.0), ("tiny/first:2", 90.0)],
        [("tiny/first:2", 90.0), ("tiny/first:0", -90.0)],
    )
    assert row["tuning_at"] == [0.0, 45.0, 90.0, 135.0]
    assert row["families"][0]["offset"] == 90.0
    assert all(partner["partner"] in got.out for partner in row["partners"])


def test_a_silent_neuron_is_told_without_a_tuning_curve(annotated_database: Path) -> None:
    lines = run("neuron", "first:3").out.splitlines()
    assert any(line.split()[:2] == ["kind", "silent"] for line in lines)
    assert not any(line.startswith("  tuning") for line in lines)


def test_a_curve_in_text_starts_at_zero_and_fits_a_line() -> None:
    from circuitome.cli.neuron import sparkline

    assert sparkline([1.0, 1.0]) == "██"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([-1.0, 1.0, None, 0.0]) == "▁█ ▅"
    ramp = sparkline([float(value) for value in range(720)])
    assert len(ramp) == 72
    assert list(ramp) == sorted(ramp)
    assert (ramp[0], ramp[-1]) == ("▁", "█")


def test_a_circuit_grows_both_ways(here: Path) -> None:
    up = run("circuit", "head:0", "--depth", "3", "-k", "2", "--json").rows
    assert {row["distance"] for row in up} == {1, 2, 3}
    down = run(
        "circuit", "input:0", "--direction", "downstream", "--depth", "1", "-k", "3", "--json"
    ).rows
    assert {row["sender"] for row in down} == {"tiny/input:0"}
    assert len(down) == 3


def test_families_are_one_row_each_with_members_in_order_and_gaps(annotated_database: Path) -> None:
    rows = run("families", "--layer", "first", "--json").rows
    (row,) = rows
    assert list(row) == [
        *(
            "family",
            "model",
            "layer",
            "name",
            "group",
            "size",
            "closure",
            "q",
            "source",
            "gaps",
            "members",
        ),
    ]
    members = [
        {"neuron": f"tiny/first:{channel}", "offset": 90.0 * channel} for channel in range(3)
    ]
    assert (row["family"], row["gaps"], row["members"]) == ("tiny/first/f0", [270.0], members)
    shown = run("families", "--layer", "first").out
    assert "0 (0), 1 (90), 2 (180), (270?)" in shown
    sources = [row["source"] for row in run("families", "--json").rows]
    assert sources.count("curated") == 1
    assert sources.count("computed") == 4


def test_families_say_when_there_are_none(here: Path) -> None:
    got = run("families")
    assert (got.code, got.out) == (0, "")
    assert "no families: `circuitome annotate" in got.err
    assert run("families", "--json", "--layer", "first").rows == []
    assert (
        "no families in first; `circuitome families` lists"
        in run("families", "--layer", "first").err
    )


def test_the_schema_names_every_property() -> None:
    from circuitome.graphdb.schema import NODES, RELATIONSHIPS

    rows = run("schema", "--json").rows
    shown = {(row["of"], row["property"]) for row in rows}
    for kind in (*NODES.values(), *RELATIONSHIPS.values()):
        assert {(kind.name, column.name) for column in kind.columns} <= shown


def test_help_answers_without_the_heavy_libraries() -> None:
    code = """
import sys
from circuitome.cli import main
try:
    main(["extract", "--help"])
finally:
    print(sorted({"torch", "kuzu", "neo4j", "pyarrow", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
}
"""The environment of a user: Python buffers what it writes to a pipe until it ends."""


def piped(line: str, reader: str, here: Path) -> tuple[int, str]:
    """Exit code and stderr of the program when its output goes to a reader that stops early."""
    command = f"{sys.executable} -B -m circuitome {line} | {reader}; exit ${{PIPESTATUS[0]}}"
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(["bash", "-c", command], env=PLAIN, cwd=here, **options)
    return done.returncode, done.stderr


@pytest.mark.parametrize("reader", ["head -1", "true"])
@pytest.mark.parametrize(
    "line",
    [
        *("schema", "schema --json", "--help", "query --help", "--version", "query --list --json"),
        *("models", "models --json", "query neurons", "query neurons --json", "motifs --list"),
        *("query hubs --show", "neuron first:0", "circuit first:0", "check tiny.circuitome"),
    ],
)
def test_a_reader_that_stops_early_is_no_error(here: Path, line: str, reader: str) -> None:
    code, err = piped(line, reader, here)
    assert code == 0, err
    assert "Traceback" not in err and "Exception ignored" not in err and "BrokenPipe" not in err


def test_a_refusal_stays_one_if_nobody_reads_it(here: Path) -> None:
    assert piped("query no_such_query 2>&1", "true", here)[0] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_output_that_cannot_be_written_is_an_error(here: Path) -> None:
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-B", "-m", "circuitome", "query", "neurons"]
        options: dict[str, Any] = {"stdout": full, "stderr": subprocess.PIPE, "text": True}
        done = subprocess.run(line, env=PLAIN, cwd=here, timeout=120, **options)
    assert done.returncode == 2
    assert done.stderr == "circuitome: the output cannot be written (No space left on device)\n"


def _heed_interrupts() -> None:
    """A test run in the background ignores SIGINT, and hands that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_quietly_and_leaves_nothing(here: Path) -> None:
    (here / "slow.py").write_text(
        "import time\ndef net():\n    print('building', flush=True)\n    time.sleep(60)"
    )
    before = sorted(os.listdir(here))
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "circuitome", "extract", "slow.py:net"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  (no threads here)
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "building\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert sorted(os.listdir(here)) == before


def test_the_program_runs_as_a_module() -> None:
    done = program(["--version"])
    assert (done.returncode, done.stderr) == (0, "")


def test_hostile_text_reaches_no_terminal_and_no_query(here: Path) -> None:
    got = run("query", "inputs", "-p", "neuron=x' }) DETACH DELETE n //\x1b[31m")
    assert got.code == 2
    assert "\x1b" not in got.err
    assert len(run("query", "neurons", "--json").rows) > 0


COUNTED = "MATCH (n:Neuron) RETURN n.op AS op, count(*) AS neurons ORDER BY op"


def test_cypher_itself_is_a_query(here: Path) -> None:
    (here / "counted.cypher").write_text(COUNTED)
    rows = run("query", COUNTED, "--json").rows
    assert rows == run("query", "counted.cypher", "--json").rows
    assert {"op": "linear", "neurons": 4} in rows
    assert run("query", COUNTED, "--json", "--limit", "1").rows == rows[:1]
    asked = "match (n:Neuron) where n.op = $op return count(*) AS neurons"
    assert run("query", asked, "-p", "op=linear", "--json").rows == [{"neurons": 4}]
    assert run("query", f"// How many.\n{COUNTED}", "--show").out.startswith("// How many.")


@pytest.mark.parametrize(
    "cypher, words",
    [
        ("MATCH (n) DETACH DELETE n", "the query: "),
        ("MATCH (n:Neuron) SET n.bias = 0 RETURN n", "the query: "),
        ("CALL db.labels() YIELD label RETURN label", "the query: "),
        ("MATCH (n:Neuron RETURN n", "the query: "),
        ("RETURN $op AS op", "op"),
    ],
)
def test_typed_cypher_reads_and_nothing_else(here: Path, cypher: str, words: str) -> None:
    before = run("query", COUNTED, "--json").out
    got = run("query", cypher)
    assert (got.code, words in got.err) == (2, True), got.err
    assert run("query", COUNTED, "--json").out == before


@pytest.mark.parametrize(
    "asked, part",
    [
        ("families", "families"),
        ("equivariant_pairs", "equivariance"),
        ("MATCH (n:Neuron) WHERE n.kind = 'curve' RETURN n.key AS key", "kinds"),
    ],
)
def test_a_query_of_what_was_not_measured_says_so(here: Path, asked: str, part: str) -> None:
    got = run("query", asked)
    assert (got.code, got.out) == (0, "")
    assert f"`circuitome annotate BUNDLE --parts {part}`" in got.err
    assert run("query", "MATCH (n:Neuron) WHERE n.op = 'none' RETURN n.op").err == "no rows\n"


def test_a_query_takes_its_model_as_an_option(here: Path) -> None:
    assert run("load", "other.circuitome").code == 0
    refused = run("query", "hubs")
    assert (refused.code, "--model MODEL" in refused.err) == (2, True)
    rows = run("query", "hubs", "--model", "other", "--json").rows
    assert rows == run("query", "hubs", "-p", "model=other", "--json").rows
    twice = run("query", "hubs", "--model", "other", "-p", "model=tiny")
    assert (twice.code, "an option of its own" in twice.err) == (2, True)


def test_export_writes_a_graph_that_networkx_reads(here: Path) -> None:
    import networkx

    assert run("export", "-o", "tiny.json").code == 0
    graph = networkx.node_link_graph(json.loads((here / "tiny.json").read_text()), edges="edges")
    edges = run("query", "edges", "--json").rows
    assert sum(key in ("EXCITES", "INHIBITS") for *_, key in graph.edges(keys=True)) == len(edges)
    run("load", "other.circuitome")
    assert run("export", "--format", "graphml", "--model", "other", "-o", "other.graphml").code == 0
    assert {node.split("/")[0] for node in networkx.read_graphml(here / "other.graphml")} == {
        "other"
    }


def test_export_of_a_bundle_needs_no_database(here: Path) -> None:
    import networkx

    (here / "circuitome.db").unlink()
    line = ["export", "tiny.circuitome", "-f", "gexf", "-o", "tiny.gexf"]
    whole = run(*line)
    assert whole.code == 0, whole.err
    graph = networkx.read_gexf(here / "tiny.gexf")
    assert f"{graph.number_of_edges():,} relationships in all" in whole.err
    assert "`--only neurons` leaves these out" in whole.err
    part = run(*line, "--only", "neurons", "--least-share", "0.1")
    assert part.code == 0, part.err
    graph = networkx.read_gexf(here / "tiny.gexf")
    shares = [values["weight"] for *_, values in graph.edges(data=True)]
    assert min(shares) >= 0.1
    assert f"{len(graph)} neurons, {len(shares)} edges\n" in part.err
    assert "in all" not in part.err


def test_the_demo_tells_what_it_found(tmp_path: Path) -> None:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.networks import BUNDLED

    got = run("demo", "-o", tmp_path / "demo")
    assert got.code == 0, got.err
    for name in BUNDLED:
        bundle = Bundle.open(tmp_path / "demo" / f"{name}.circuitome")
        assert f"{bundle.manifest.counts['edges']:,} edges" in got.out
    assert "Mutual inhibition" in got.out
    assert "Go on:" in got.out
    assert len(run("models", "--db", tmp_path / "demo" / "circuitome.db", "--json").rows) == len(
        BUNDLED
    )
