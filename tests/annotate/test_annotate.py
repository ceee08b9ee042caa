"""A whole annotation: from a network with known filters to rows of the graph, also when it is
stopped on the way.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from circuitome.extract import Network, Options, extract
from circuitome.extract.annotate.pairs import GroupScores
from circuitome.extract.annotate.parts import kinds as kinds_part
from circuitome.extract.annotate.pipeline import AnnotateError, annotate
from circuitome.extract.annotate.scoring import LayerScores, Nulls, score_layers
from circuitome.extract.responses.probes import plan
from circuitome.extract.responses.runner import Subject
from circuitome.extract.responses.stage import Stage
from circuitome.extract.stimuli.catalogue import STIMULI
from circuitome.extract.stimuli.ensemble import ensemble
from circuitome.extract.stimuli.transforms import steps
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import PARTS

SIDE = 33


def known_network() -> nn.Sequential:
    """Filters 0-3: one random filter at quarter turns; 4 and 5: another and its mirror image;
    6: its negative; 7: noise.
    """
    generator = torch.Generator().manual_seed(3)
    first, second, third = (torch.randn(3, 5, 5, generator=generator) for _ in range(3))
    filters = [torch.rot90(first, turns, (1, 2)) for turns in range(4)]
    filters += [second, second.flip(2), -second, third]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        first_layer = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
        first_layer.weight.copy_(torch.stack(filters))
        return nn.Sequential(
            first_layer, nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1)
        ).eval()


def filters_of(model: nn.Sequential) -> torch.Tensor:
    weight = model[0].weight
    assert isinstance(weight, torch.Tensor)
    return weight


@pytest.fixture(scope="module")
def traced() -> Trace:
    return trace(known_network(), (3, SIDE, SIDE))


def scores_of_first_layer(traced: Trace, model: nn.Module, *groups: str) -> LayerScores:
    probe = next(probe for probe in plan(traced.wiring) if 1 in probe.layers)
    found = score_layers(
        Stage.of(Subject.of(model, traced), probe, [0, 1], batch=4),
        {1: groups},
        ensemble(200, probe.side, 2.5, seed=0),
        nulls=Nulls(3, seed=0),
        advance=lambda: None,
    )
    return found[1]


@pytest.fixture(scope="module")
def groups(traced: Trace) -> dict[str, GroupScores]:
    found = scores_of_first_layer(traced, known_network(), "rotate", "flip_h", "invert")
    return {group.group: group for group in found.groups}


def test_a_filters_turned_copy_answers_the_turned_stimulus_alike(
    groups: dict[str, GroupScores],
) -> None:
    quarter = [transform.amount for transform in steps("rotate")].index(90.0)
    turned = groups["rotate"].scores[quarter]
    assert [turned[i, (i + 1) % 4] for i in range(4)] == pytest.approx([1.0] * 4, abs=1e-4)
    assert np.abs(turned[:4, 7]).max() < 0.9
    half = groups["rotate"].scores[-1]
    assert half[0, 2] == pytest.approx(1.0, abs=1e-4)


def test_a_filters_mirror_image_answers_the_mirrored_stimulus_alike(
    groups: dict[str, GroupScores],
) -> None:
    assert groups["flip_h"].scores[0][4, 5] == pytest.approx(1.0, abs=1e-4)
    assert groups["flip_h"].plain[4, 5] < 0.9


def test_inversion_pairs_a_filter_with_its_negative(
    groups: dict[str, GroupScores], traced: Trace
) -> None:
    mean = float(traced.kernels["kernel/0"][4].sum())
    # inversion about grey adds a constant, which a correlation of linear responses would not see
    assert abs(mean) > 1e-3
    assert groups["invert"].scores[0][4, 6] > groups["invert"].plain[4, 6]


def test_null_layers_keep_each_neurons_mean_and_spread(traced: Trace) -> None:
    from circuitome.extract.annotate import scoring

    task = scoring._task(Subject.of(known_network(), traced), 1, Nulls(4, seed=0))
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(5, 8, 300, generator=generator) * torch.rand(5, 8, 1, generator=generator) + 1
    task.standardised(raw)
    assert task.gain is not None and task.shift is not None
    fitted = raw * task.gain + task.shift
    assert torch.allclose(fitted.mean(2), raw[:1].mean(2).expand(5, 8), atol=1e-4)
    assert torch.allclose(fitted.std(2), raw[:1].std(2).expand(5, 8), atol=1e-4)


def test_hue_leaves_a_colour_blind_filter_as_it_is() -> None:
    model = known_network()
    with torch.no_grad():
        filters_of(model).copy_(filters_of(model).mean(1, keepdim=True).expand(8, 3, 5, 5))
    invariance = scores_of_first_layer(
        trace(model, (3, SIDE, SIDE)), model, "hue", "rotate"
    ).invariance
    assert invariance["hue"] == pytest.approx(np.ones(8), abs=1e-3)
    assert invariance["rotate"].max() < 0.95


# -- the whole
# ---------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return extract(
        Network(known_network(), name="known", input_shape=(3, SIDE, SIDE)),
        output=tmp_path / "known",
        options=Options(span=None),
    )


def bytes_of(bundle: Bundle) -> dict[str, bytes]:
    return {
        str(path.relative_to(bundle.path)): path.read_bytes()
        for path in sorted(bundle.path.rglob("*"))
        if path.is_file()
    }


def test_an_annotation_fills_the_graph(bundle: Bundle) -> None:
    done = annotate(bundle, known_network(), twins=4, device="cpu")
    done.check()
    neurons = done.table("Neuron").to_pylist()
    first = [row for row in neurons if row["layer"] == "known/0"]
    assert all(
        row["kind"] and 0 <= row["sparsity"] <= 1 and row["max_response"] > 0 for row in first
    )
    assert all(
        -1 <= row["invariance_rotate"] <= 1 and len(row["top_stimuli"]) == 5 for row in first
    )
    pairs = done.table("EQUIVARIANT_TO").to_pylist()
    assert all(pair["q"] <= 0.05 and pair["score"] > pair["baseline"] for pair in pairs)
    layer = next(row for row in done.table("Layer").to_pylist() if row["name"] == "0")
    assert layer["effective_receptive_field"] == [5.0, 5.0]
    assert done.manifest.model["annotated"] == ",".join(PARTS)
    assert not list(bundle.path.parent.glob(".known*"))
    with safe_open(done.attached_path("tuning/1.safetensors"), framework="numpy") as file:
        mean, cells = file.get_tensor("mean"), json.loads(file.metadata()["cells"])
    assert mean.shape == (len(cells), 8)
    assert {cell["stimulus"] for cell in cells} == set(STIMULI)


def test_a_stopped_annotation_goes_on_and_ends_the_same(bundle: Bundle, tmp_path) -> None:
    shutil.copytree(bundle.path, tmp_path / "other")
    whole = bytes_of(annotate(bundle, known_network(), twins=3, device="cpu"))
    other, stops = Bundle.open(tmp_path / "other"), 0

    class Stopped(BaseException):
        pass

    stages: set[str] = set()
    while True:

        def stop(stage: str, done: int, total: int) -> None:
            if done == total and stage not in stages:
                stages.add(stage)
                raise Stopped

        try:
            annotated = annotate(other, known_network(), twins=3, device="cpu", progress=stop)
            break
        except Stopped:
            stops += 1
            assert bytes_of(Bundle.open(tmp_path / "other")) == bytes_of(other)
    assert stops > 2
    assert bytes_of(annotated) == whole


def test_what_is_done_is_not_done_again(bundle: Bundle, monkeypatch) -> None:
    done = annotate(bundle, known_network(), parts=["kinds"], twins=3, device="cpu")
    monkeypatch.setattr(kinds_part, "show", lambda *_: pytest.fail("kinds were there"))
    assert bytes_of(
        annotate(done, known_network(), parts=["kinds"], twins=3, device="cpu")
    ) == bytes_of(done)
    more = annotate(done, known_network(), parts=["equivariance"], twins=3, device="cpu")
    assert more.manifest.model["annotated"] == "responses,kinds,equivariance"
    kinds = [row["kind"] for row in more.table("Neuron").to_pylist()]
    assert kinds == [row["kind"] for row in done.table("Neuron").to_pylist()]


def test_kinds_of_a_stopped_run_are_not_put_in_where_nobody_asks_for_them(bundle: Bundle) -> None:
    class Stopped(BaseException):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage.startswith("equivariance"):
            raise Stopped

    with pytest.raises(Stopped):
        annotate(
            bundle,
            known_network(),
            parts=["kinds", "equivariance"],
            twins=3,
            device="cpu",
            progress=stop,
        )
    done = annotate(bundle, known_network(), parts=["equivariance"], twins=3, device="cpu")
    assert done.manifest.model["annotated"] == "responses,equivariance"
    assert {row["kind"] for row in done.table("Neuron").to_pylist()} == {None}
    assert done.attached == ()


def test_another_setting_throws_unfinished_layers_away_and_says_so(bundle: Bundle, caplog) -> None:
    class Stopped(BaseException):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        annotate(bundle, known_network(), parts=["kinds"], twins=4, device="cpu", progress=stop)
    annotate(bundle, known_network(), parts=["responses"], twins=3, device="cpu")
    (message,) = [text for text in caplog.messages if "thrown away" in text]
    assert "unfinished annotation with twins 4" in message


def test_other_parameters_do_everything_anew(bundle: Bundle) -> None:
    done = annotate(bundle, known_network(), parts=["kinds"], twins=4, device="cpu")
    other = annotate(done, known_network(), parts=["equivariance"], twins=3, device="cpu")
    assert other.manifest.model["annotated"] == "responses,kinds,equivariance"
    assert other.manifest.model["twins"] == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"parts": ["colours"]}, "colours"), ({"twins": 2}, "--twins 2"), ({"parts": []}, "none")],
)
def test_wrong_wishes_are_named(bundle: Bundle, changes: dict, says: str) -> None:
    with pytest.raises(AnnotateError, match=says):
        annotate(bundle, known_network(), device="cpu", **changes)


def test_another_model_is_refused(bundle: Bundle) -> None:
    model = known_network()
    with torch.no_grad():
        filters_of(model).mul_(2)
    with pytest.raises(AnnotateError, match="other weights"):
        annotate(bundle, model, twins=3, device="cpu")


def test_a_network_that_sees_no_images_is_refused(tmp_path) -> None:
    model = nn.Sequential(nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    made = extract(Network(model, name="five", input_shape=(5, 9, 9)), output=tmp_path / "five")
    with pytest.raises(AnnotateError, match="5 channels"):
        annotate(made, model, twins=3, device="cpu")


NETS = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 5, stride=2, padding=2)
    with torch.no_grad():
        first.weight[1] = torch.rot90(first.weight[0], 1, (1, 2))
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1)).eval()
"""


def test_from_the_command_line_a_network_is_annotated_loaded_and_shown(tmp_path) -> None:
    (tmp_path / "nets.py").write_text(NETS)

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "circuitome", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told.append(done.stderr)
        return done.stdout

    told: list[str] = []
    run("extract", "nets.py:net", "--input-size", "3,33,33", "--annotate", "kinds", "--twins", "3")
    shown = json.loads(run("annotate", "net.circuitome", "nets.py:net", "--twins", "3", "--json"))
    assert "null layers; no q can be below" in told[-1]
    assert [row["layer"] for row in shown] == ["0", "2", "4"]
    run("load", "net.circuitome")
    (about,) = json.loads(run("neuron", "0:0", "--json"))
    assert about["kind"] and len(about["top_stimuli"]) == 5 and about["inputs"]
    rows = json.loads(run("query", "equivariance_by_layer", "--json"))
    assert {row["layer"] for row in rows} <= {"net/0", "net/2", "net/4"}
