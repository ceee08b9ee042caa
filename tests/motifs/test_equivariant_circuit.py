"""Equivariant circuits: planted ones among decoys, chance, the published hand-written one, and
rows on both engines.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from circuitome.extract import Network, Options, extract
from circuitome.extract.annotate.curated import load_families
from circuitome.extract.annotate.feeds import current, write_circuits
from circuitome.extract.annotate.template import OffsetBins, circuit, reachable
from circuitome.extract.stimuli.transforms import Transform
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import ANNOTATION_PARTS, arrow_schema
from circuitome.graphdb.stores.opening import open_store
from circuitome.kernels import turning
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs import find, missing
from circuitome.queries.motifs.equivariant_circuit import MOTIF, Feeds
from circuitome.significance import benjamini_hochberg
from tests.support.planted_equivariance import (
    SIDE,
    UNITS,
    families_that_feed,
    offsets,
    places,
    turned_kernels,
)
from tests.support.planted_noise import gaussian
from tests.support.synthetic import annotated, write_bundle

BIG = 1_000_000


def test_planted_circuits_are_found_and_their_decoys_are_not() -> None:
    true, q = [], []
    for seed in range(20):
        noise = gaussian((0.0, 0.25, 0.5)[seed % 3])
        there = families_that_feed(np.random.default_rng(seed), noise=noise)
        true += [planted for planted, _ in there]
        q += benjamini_hochberg([1.0 if found is None else found.p for _, found in there]).tolist()
    there, called = np.array(true), np.array(q) <= 0.01
    assert (there & called).sum() / there.sum() >= 0.95
    assert (there & called).sum() / called.sum() >= 0.95
    # at the level of the graph one call in twenty may be chance: more than six of some forty
    # happens once in a hundred times
    assert (~there & (np.array(q) <= 0.05)).sum() <= 6


@pytest.mark.parametrize("ends", ["i->e", "e->i"])
def test_a_kernel_that_turns_with_one_end_is_found(ends: str) -> None:
    called: list[tuple[bool, bool]] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for turn in (True, False):
            at = offsets(rng)
            kernels = np.stack([planted_one(seed, angle, turn) for angle in at])[None]
            kernels += 0.5 * kernels.std() * rng.standard_normal(kernels.shape)
            asked: dict[str, Any] = {"senders": None, "receivers": at}
            if ends == "e->i":
                kernels, asked = kernels.swapaxes(0, 1), {"senders": at, "receivers": None}
            found = circuit(kernels, group="rotate", rng=rng, **asked)
            assert found is not None and found.circuit_class == ends and found.pairs == UNITS
            called.append((turn, found.p <= 0.01))
    assert sum(call for turn, call in called if turn) >= 19
    assert sum(call for turn, call in called if not turn) <= 1


def planted_one(seed: int, angle: float, turn: bool) -> np.ndarray:
    """One random kernel of blobs, turned by an angle."""
    rng = np.random.default_rng(seed)
    right, up = places(angle if turn else 0.0)
    centres, sizes = rng.uniform(-1.5, 1.5, (3, 2)), rng.standard_normal(3)
    blobs = [np.exp(-((right - x) ** 2 + (up - y) ** 2) / 1.5) for x, y in centres]
    return np.tensordot(sizes, np.stack(blobs), 1)


def test_p_on_random_weights_is_not_below_uniform() -> None:
    p = []
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        shape = [(4, 5, 3), (6, 7, 1), (5, 4, 3)][seed % 3]
        weights = rng.standard_normal((shape[0], shape[1], shape[2], shape[2]))
        a, b = offsets(rng, shape[0]), offsets(rng, shape[1])
        found = circuit(weights, group="rotate", senders=a, receivers=b, rng=rng)
        lone = circuit(weights[:1], group="rotate", senders=None, receivers=b, rng=rng)
        p += [each.p for each in (found, lone) if each is not None]
    assert len(p) >= 80
    for level in (0.05, 0.2, 0.5):
        # more than this happens once in a thousand times to an exact test
        most = next(
            k
            for k in range(len(p) + 1)
            if sum(_binomial(n, len(p), level) for n in range(k, len(p) + 1)) < 1e-3
        )
        assert sum(value <= level for value in p) < most


def _binomial(n: int, of: int, chance: float) -> float:
    return math.comb(of, n) * chance**n * (1 - chance) ** (of - n)


def test_the_published_hand_written_curve_circuit_is_equivariant(ground_truth_dir: Path) -> None:
    with np.load(ground_truth_dir / "aann_weights.npz") as file:
        kernels = file["aann_3a_to_3b"][:24, :24]
    clockwise = -15.0 * np.arange(24)  # as its authors count
    found = circuit(
        kernels,
        group="rotate",
        senders=clockwise,
        receivers=clockwise,
        rng=np.random.default_rng(0),
    )
    assert found is not None
    assert found.r2 > 0.95 and found.p <= 0.001 and found.still < 0.7
    near = np.abs(found.offsets) < 45
    assert (found.template[near] > 0).all() and (
        found.template[np.abs(found.offsets) > 135] < 0
    ).all()


def test_turning_a_kernel_is_what_turning_an_image_is() -> None:
    kernel = np.random.default_rng(0).standard_normal((3, 3))
    for turns in range(4):
        turned = turning(
            (3, 3), Transform("rotate", 90.0 * turns).inverse().matrix
        ) @ kernel.reshape(-1)
        assert turned.reshape(3, 3) == pytest.approx(
            np.rot90(kernel, turns)
        )  # numpy turns counter-clockwise, too
    assert (
        turning((3, 3), Transform("flip_h", 1.0).inverse().matrix) @ kernel.reshape(-1)
    ).reshape(3, 3) == pytest.approx(kernel[:, ::-1])
    assert (
        turning((3, 3), Transform("flip_v", 1.0).inverse().matrix) @ kernel.reshape(-1)
    ).reshape(3, 3) == pytest.approx(kernel[::-1])


def test_circuits_that_chance_cannot_be_told_from_are_not_asked() -> None:
    thirds, pair = np.arange(3) * 120.0, np.array([0.0, 1.0])
    rng = np.random.default_rng(0)
    assert reachable(OffsetBins.of("rotate", thirds, thirds), spatial=False) == 0.5
    assert (
        circuit(np.ones((3, 3, 3, 3)), group="rotate", senders=thirds, receivers=thirds, rng=rng)
        is None
    )
    mirrored = rng.standard_normal((2, 2, 3, 3))
    assert circuit(mirrored, group="flip_h", senders=pair, receivers=pair, rng=rng) is None
    colours = rng.standard_normal((1, 6, 3, 3))
    assert (
        circuit(colours, group="hue", senders=None, receivers=np.arange(6) * 60.0, rng=rng) is None
    )


def test_hues_and_scales_have_templates_without_turning() -> None:
    rng = np.random.default_rng(0)
    hues = np.arange(6) * 60.0
    weights = np.cos(np.deg2rad(hues[:, None] - hues))[:, :, None, None] * np.ones((1, 1, 3, 3))
    found = circuit(weights, group="hue", senders=hues, receivers=hues, rng=rng)
    assert found is not None and found.r2 == pytest.approx(1) and found.p < 0.01
    octaves = np.arange(6) * 0.5
    weights = np.exp(-np.square(octaves[:, None] - octaves))[:, :, None, None]
    found = circuit(weights, group="scale", senders=octaves, receivers=octaves, rng=rng)
    assert found is not None and found.r2 > 0.9 and found.p < 0.05


# -- the bundle
# --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network whose first 8 units feed the next layer's first 8 by turned kernels; both, and
    two decoys, are families.
    """
    folder, rng = tmp_path_factory.mktemp("circuits"), np.random.default_rng(5)
    a, b = np.round(offsets(rng), 3), np.round(offsets(rng), 3)
    kernels = np.concatenate(
        [turned_kernels(a, b, rng), rng.standard_normal((UNITS, UNITS, SIDE, SIDE))]
    )
    weights = (
        np.concatenate([kernels, rng.standard_normal(kernels.shape)], 1)
        .swapaxes(0, 1)
        .astype(np.float32)
    )
    first, second = (
        nn.Conv2d(3, 2 * UNITS, 3, padding=1),
        nn.Conv2d(2 * UNITS, 2 * UNITS, SIDE, padding=2),
    )
    with torch.no_grad():
        second.weight.copy_(torch.as_tensor(weights))
    model = nn.Sequential(first, nn.ReLU(), second).eval()
    bundle = extract(
        Network(model, name="net", input_shape=(3, 16, 16)),
        output=folder / "net",
        options=Options(span=None),
    )
    lines = ["family,neuron,offset,group"]
    for layer, at in ((0, a), (2, b)):
        for family in range(2):
            lines += [
                f"l{layer}f{family},{layer}:{family * UNITS + n},{at[n]},rotate"
                for n in range(UNITS)
            ]
    (folder / "families.csv").write_text("\n".join(lines))
    return load_families(bundle, folder / "families.csv")


def test_circuits_are_put_into_a_bundle_without_its_model(written: Bundle) -> None:
    assert not current(written)
    done = write_circuits(written)
    done.check()
    (row,) = done.table("FEEDS").to_pylist()
    assert (row["from"], row["to"]) == ("net/curated:l0f0", "net/curated:l2f0")
    assert (
        row["circuit_class"] == "e->e"
        and row["r2"] > 0.8
        and row["p"] == 1e-4
        and row["q"] == pytest.approx(4e-4)
    )
    assert row["pairs"] == 64 and row["compression"] == pytest.approx(64 / len(row["offsets"]))
    assert len(row["template"]) == len(row["offsets"]) and row["offsets"] == sorted(row["offsets"])
    assert current(done) and not current(done, seed=1)
    again = write_circuits(done)
    assert again.table("FEEDS").equals(done.table("FEEDS"))
    assert again.rows("Family") == done.rows("Family") == 4


def test_an_invariant_neuron_at_the_end_of_a_circuit_is_a_family_of_one(
    written: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(written.path, tmp_path / "net")
    bundle = Bundle.open(tmp_path / "net")
    kernels = bundle.kernels.layer("2")
    angle = [
        row["offset"]
        for row in bundle.table("MEMBER_OF").to_pylist()
        if row["to"] == "net/curated:l2f1"
    ]
    for place in range(UNITS):  # what unit 8 sends to the second family turns with it
        kernels[UNITS + place, UNITS] = 3 * planted_one(1, angle[place], turn=True)
    arrays = bundle.kernels.arrays() | {"kernel/2": kernels}
    _with_kernels(bundle, arrays)
    bundle = Bundle.open(bundle.path)
    neurons = bundle.table("Neuron").to_pylist()
    families = [
        row for row in bundle.table("Family").to_pylist() if row["key"] != "net/curated:l0f1"
    ]
    members = [
        row for row in bundle.table("MEMBER_OF").to_pylist() if row["to"] != "net/curated:l0f1"
    ]
    for row in neurons:
        row["invariance_rotate"] = 0.9 if row["key"] in ("net/0:8", "net/0:9") else 0.1
    with BundleWriter.amend(bundle) as writer:
        for name, rows in (("Neuron", neurons), ("Family", families), ("MEMBER_OF", members)):
            writer.replace(name, pa.Table.from_pylist(rows, schema=arrow_schema(name)))
        writer.finish()
    done = write_circuits(Bundle.open(bundle.path))
    feeds = {(row["from"], row["to"]): row for row in done.table("FEEDS").to_pylist()}
    row = feeds["net/0/rotate:8", "net/curated:l2f1"]
    assert row["circuit_class"] == "i->e" and row["offsets"] == [0.0] and row["pairs"] == UNITS
    one = next(row for row in done.table("Family").to_pylist() if row["key"] == "net/0/rotate:8")
    assert (one["size"], one["group"], one["layer"], one["source"]) == (
        1,
        "rotate",
        "net/0",
        "computed",
    )
    assert [
        row["from"] for row in done.table("MEMBER_OF").to_pylist() if row["to"] == one["key"]
    ] == ["net/0:8"]
    assert write_circuits(done).rows("Family") == done.rows("Family")


def _with_kernels(bundle: Bundle, arrays: dict[str, np.ndarray]) -> None:
    """Write other kernels into a bundle, and their size into its manifest."""
    save_file(arrays, bundle.path / "kernels.safetensors")
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["files"]["kernels.safetensors"]["bytes"] = (
        (bundle.path / "kernels.safetensors").stat().st_size
    )
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))


# -- the motif
# ---------------------------------------------------------------------------------------


def fed(path: Path, *, seed: int) -> Bundle:
    """A random bundle with circuits between its families."""
    bundle = annotated(write_bundle(path, layers=(3, 8, 12, 8, 4), seed=seed, force=True))
    rng = np.random.default_rng(seed)
    families = [row["key"] for row in bundle.table("Family").to_pylist()]
    rows = [
        {
            "from": one,
            "to": other,
            "circuit_class": str(rng.choice(["e->e", "i->e", "e->i"])),
            "r2": float(rng.random()),
        }
        | {"p": 0.001, "q": 0.01, "null": "offsets", "compression": 4.0, "pairs": 16}
        | {"offsets": [-90.0, 0.0, 90.0], "template": rng.standard_normal(3).tolist()}
        for one in families
        for other in families
        if one != other and rng.random() < 0.6
    ]
    with BundleWriter.amend(bundle) as writer:
        writer.replace("FEEDS", pa.Table.from_pylist(rows, schema=arrow_schema("FEEDS")))
        writer.finish(model={"annotated": ",".join(ANNOTATION_PARTS)})
    return Bundle.open(bundle.path)


def test_the_query_and_its_twin_give_the_same_rows(database: Database, tmp_path: Path) -> None:
    for seed in range(2):
        bundle = fed(tmp_path / "r", seed=seed)
        database.load(bundle)
        feeds = Feeds.of_bundle(bundle)
        for circuit_class, least, limit in (("all", 0.0, BIG), ("e->e", 0.3, BIG), ("all", 0.0, 2)):
            rows = find(
                database,
                "equivariant-circuit",
                circuit_class=circuit_class,
                min_score=least,
                limit=limit,
            )
            assert rows == MOTIF.rows(
                feeds, circuit_class=circuit_class, min_score=least, limit=limit
            )
            assert len(rows) == min(
                limit, MOTIF.count(feeds, circuit_class=circuit_class, min_score=least)
            )
        first = find(database, "equivariant_circuit")[0]
        assert first["p"] == 0.001 and first["q"] == 0.01 and first["null"] == "offsets"
        assert set(first["roles"]) == {"sender", "receiver"}


def test_a_network_without_circuits_says_how_to_get_them(tmp_path: Path) -> None:
    with Database(open_store(str(tmp_path / "one.db"), create=True)) as database:
        database.load(write_bundle(tmp_path / "r"))
        assert "annotate BUNDLE --parts circuits" in (
            missing(database, "equivariant_circuit") or ""
        )
        database.load(fed(tmp_path / "r", seed=0))
        assert missing(database, "equivariant_circuit") is None
        with pytest.raises(QueryError, match=r"`circuit_class` cannot be 'e-e'; .*e->e"):
            find(database, "equivariant_circuit", circuit_class="e-e")
