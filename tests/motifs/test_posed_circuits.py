"""Tangent, circle, divergence and hue circuits: queries on both engines, their twins, loops
over edges, planted ones, chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.opening import open_store
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, MotifRow, find, find_significant, missing
from circuitome.queries.motifs.nulls import labels
from circuitome.queries.motifs.significance import Task, assess
from tests.support.synthetic import write_bundle, write_planted

POSED = ("tangent_circuit", "line_to_circle", "line_to_divergence", "curve_to_circle", "hue_to_hue")
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    *((kind, {}) for kind in POSED),
    ("curve_to_circle", {"points": "outwards"}),
    ("tangent_circuit", {"radius": 1.5}),
)
KINDS = ("line", "edge", "gabor", "grating", "curve", "circle", "centre_surround", "divergence", "hue",
         "colour_centre_surround", "unexplained")  # fmt: skip
ORIENTED = ("line", "edge", "gabor", "grating", "curve")
COLOURED = ("hue", "colour_centre_surround")
SIZE = 5
BIG = 1_000_000


def rows_of(bundle: Bundle, kind: str, **parameters: Any) -> list[MotifRow]:
    """The rows of the array form, which are those of the query."""
    return MOTIFS[kind].rows(SignedGraph.of_bundle(bundle), **parameters)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    """A database of one engine, for what does not depend on it."""
    with Database(open_store(str(tmp_path / "one.db"), create=True)) as database:
        yield database


def named(bundle: Bundle, said: Mapping[str, tuple[str, float | None]]) -> Bundle:
    """The bundle with a kind, and an orientation or a hue, for some neurons."""
    rows = bundle.table("Neuron").to_pylist()
    for row in rows:
        kind, angle = said.get(row["key"], (None, None))
        row["kind"] = kind
        row["orientation_deg"] = angle if kind in ORIENTED else None
        row["hue_deg"] = angle if kind in COLOURED else None
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Neuron", pa.Table.from_pylist(rows, schema=arrow_schema("Neuron")))
        writer.finish(model={"annotated": "responses,kinds"})
    return Bundle.open(bundle.path)


def random_network(path: Path, *, seed: int) -> Bundle:
    """A random bundle, kernels of 3 x 3 and 1 x 1, whose neurons have random kinds; some
    without what their kind prefers.
    """
    bundle = write_bundle(path, layers=(3, 16, 18, 14, 6), seed=seed, density=0.8, force=True)
    rng = np.random.default_rng(seed)
    keys = bundle.table("Neuron").column("key").to_pylist()
    angles = [None if rng.random() < 0.1 else float(rng.uniform(0, 360)) for _ in keys]
    return named(
        bundle,
        dict(
            zip(keys, zip(rng.choice(KINDS, len(keys)).tolist(), angles, strict=True), strict=True)
        ),
    )


def agrees(
    kind: str, edge: dict[str, Any], sender: dict[str, Any], receiver: dict[str, Any], **own: Any
) -> float:
    """Agreement of one edge by angles, where the motif works with vectors."""
    if kind == "hue_to_hue":
        return math.cos(math.radians(sender["hue_deg"] - receiver["hue_deg"]))
    excites = edge["weight"] >= 0
    x, y = (edge["ex"], -edge["ey"]) if excites else (edge["ix"], -edge["iy"])  # y up
    turn = math.radians(sender["orientation_deg"])
    if kind == "tangent_circuit":
        radius, facing = own.get("radius", 4.0), math.radians(receiver["orientation_deg"])
        inwards = math.atan2(radius * math.sin(facing) - y, radius * math.cos(facing) - x)
        apart = turn - inwards
        return math.cos(apart) if sender["kind"] == "curve" else math.cos(2 * (apart - math.pi / 2))
    apart = turn - math.atan2(y, x)
    if kind == "curve_to_circle":
        return math.cos(apart) * (1 if own.get("points") == "outwards" else -1)
    return math.cos(2 * apart) * (1 if kind == "line_to_divergence" else -1)


def takes_part(
    kind: str, edge: dict[str, Any], sender: dict[str, Any], receiver: dict[str, Any], **own: Any
) -> bool:
    lines, angle = ORIENTED[:4], "orientation_deg"
    senders, receivers = {
        "tangent_circuit": (ORIENTED, ("curve",)),
        "line_to_circle": (lines, ("circle", "centre_surround")),
        "line_to_divergence": (lines, ("divergence",)),
        "curve_to_circle": (
            ("curve",),
            KINDS if own.get("points") == "outwards" else ("circle", "centre_surround"),
        ),
        "hue_to_hue": (COLOURED, COLOURED),
    }[kind]
    if kind == "hue_to_hue":
        return sender["kind"] in senders and receiver["kind"] in receivers and None not in (
            sender["hue_deg"], receiver["hue_deg"])  # fmt: skip
    if sender["kind"] not in senders or receiver["kind"] not in receivers or sender[angle] is None:
        return False
    if kind == "tangent_circuit" and receiver[angle] is None:
        return False
    x, y = (edge["ex"], edge["ey"]) if edge["weight"] >= 0 else (edge["ix"], edge["iy"])
    return (x, y) != (0, 0)


def by_hand(
    bundle: Bundle, kind: str, *, strength: float, min_inputs: int, min_score: float, **own: Any
) -> dict[str, float]:
    """Receiver -> score, by a loop over the edges."""
    neurons = {row["key"]: row for row in bundle.table("Neuron").to_pylist()}
    sums: dict[str, list[float]] = {}
    for table in ("EXCITES", "INHIBITS"):
        for edge in bundle.table(table).to_pylist():
            sender, receiver = neurons[edge["from"]], neurons[edge["to"]]
            if edge["share"] * receiver["fan_in"] < strength or abs(edge["polarity"]) < 0.2:
                continue
            if takes_part(kind, edge, sender, receiver, **own):
                agreement = agrees(kind, edge, sender, receiver, **own) * (
                    1 if edge["weight"] >= 0 else -1
                )
                entry = sums.setdefault(edge["to"], [0, 0.0, 0.0])
                entry[0] += 1
                entry[1] += edge["share"] * agreement
                entry[2] += edge["share"]
    scores = {
        key: agreed / total for key, (number, agreed, total) in sums.items() if number >= min_inputs
    }
    return {key: score for key, score in scores.items() if score >= min_score}


@pytest.mark.parametrize("kind, own", ASKED)
def test_the_twin_finds_what_a_loop_over_the_edges_finds(
    tmp_path: Path, kind: str, own: dict[str, Any]
) -> None:
    found = 0
    for seed in range(4):
        bundle = random_network(tmp_path / "r", seed=seed)
        graph = SignedGraph.of_bundle(bundle)
        rows = MOTIFS[kind].rows(
            graph, strength=0.3, min_inputs=2, min_score=-0.5, limit=BIG, **own
        )
        expected = by_hand(bundle, kind, strength=0.3, min_inputs=2, min_score=-0.5, **own)
        role = next(iter(MOTIFS[kind].roles))
        assert {row["roles"][role][0]: row["score"] for row in rows} == pytest.approx(
            expected, abs=1e-8
        )
        assert len(rows) == MOTIFS[kind].count(
            graph, strength=0.3, min_inputs=2, min_score=-0.5, **own
        )
        assert [row["score"] for row in rows] == sorted(
            (row["score"] for row in rows), reverse=True
        )
        found += len(rows)
    assert found


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000))
def test_the_queries_find_what_the_twins_find(
    database: Database, tmp_path: Path, seed: int
) -> None:
    bundle = random_network(tmp_path / "r", seed=seed)
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for kind, own in ASKED:
        for limit, min_score in ((BIG, -1.0), (2, 0.0)):
            asked = {
                "strength": 0.3,
                "min_inputs": 2,
                "min_score": min_score,
                "limit": limit,
                **own,
            }
            assert find(database, kind, **asked) == MOTIFS[kind].rows(graph, **asked)


# -- planted
# -----------------------------------------------------------------------------------------


def at_place(direction: float, *, sign: float = 1.0) -> list[list[float]]:
    """A kernel of one entry two pixels from the middle, at a direction in degrees, nearest
    entry.
    """
    kernel = np.zeros((SIZE, SIZE))
    kernel[SIZE // 2 - round(2 * math.sin(math.radians(direction))),
           SIZE // 2 + round(2 * math.cos(math.radians(direction)))] = sign  # fmt: skip
    return kernel.tolist()


def round_the_middle(
    path: Path,
    receiver: str,
    sender: str,
    orientation: float,
    *,
    scattered: bool = False,
    opposed: bool = False,
) -> Bundle:
    """Eight neurons, each at its own place round a receiver's middle, at ``orientation`` degrees to
    the direction of its place.

    ``opposed``: four more, at right angles to those, inhibit from between. ``scattered``:
    orientations as drawn.
    """
    rng = np.random.default_rng(0)
    places = np.arange(8) * 45.0
    edges: list[Any] = [(f"in:{n}", "out:0", at_place(place)) for n, place in enumerate(places)]
    said: dict[str, tuple[str, float | None]] = {"p/out:0": (receiver, None)}
    for n, place in enumerate(places):
        said[f"p/in:{n}"] = (
            sender,
            float(rng.uniform(0, 360) if scattered else place + orientation),
        )
    if opposed:
        for n in range(4):
            edges.append((f"in:{8 + n}", "out:0", at_place(90.0 * n, sign=-1.0)))
            said[f"p/in:{8 + n}"] = (
                sender,
                90.0 * n + orientation + (180.0 if sender == "curve" else 90.0),
            )
    return named(
        write_planted(path, {"in": 12, "out": 1}, edges, name="p", size=SIZE, force=True), said
    )


@pytest.mark.parametrize(
    "kind, receiver, sender, orientation, own",
    [
        ("line_to_circle", "circle", "line", 90.0, {}),
        ("line_to_divergence", "divergence", "line", 0.0, {}),
        ("curve_to_circle", "circle", "curve", 180.0, {}),
        ("curve_to_circle", "corner", "curve", 0.0, {"points": "outwards"}),
    ],
)
def test_what_stands_round_a_middle_as_asked_is_found_and_its_decoys_are_not(
    tmp_path: Path, kind: str, receiver: str, sender: str, orientation: float, own: dict[str, Any]
) -> None:
    right = round_the_middle(tmp_path / "a", receiver, sender, orientation, opposed=True)
    (row,) = rows_of(right, kind, **own)
    assert row["score"] == pytest.approx(1)
    assert row["roles"]["circle" if "circle" in kind else "divergence"] == ["p/out:0"]
    assert row["roles"]["excited_by"] == sorted(f"p/in:{n}" for n in range(8))
    assert row["roles"]["inhibited_by"] == sorted(f"p/in:{n}" for n in range(8, 12))
    turn = 180.0 if sender == "curve" else 90.0
    decoys = [
        round_the_middle(
            tmp_path / "b", receiver, sender, orientation + turn
        ),  # the other way about
        round_the_middle(tmp_path / "c", receiver, sender, orientation, scattered=True),
        round_the_middle(tmp_path / "d", "edge", "noise", orientation),  # of other kinds
    ]
    for decoy in decoys:
        assert rows_of(decoy, kind, **own) == []


def curve_reader(path: Path, *, turned: float = 0.0, size: int = SIZE, sign: float = 1.0) -> Bundle:
    """A curve at 90 degrees (its centre above) that reads a curve and lines tangent to it, and
    an opposing curve inhibits it.
    """
    kernels = [at_place(0.0), at_place(180.0), at_place(0.0), at_place(180.0, sign=-1.0)]
    if size == 1:
        kernels = [1.0, 1.0, 1.0, -1.0]
    edges = [(f"in:{n}", "out:0", kernel) for n, kernel in enumerate(kernels)]
    bend = math.degrees(math.atan2(2, 4))  # of an arc of radius 4, two pixels aside
    said = {
        "p/out:0": ("curve", 90.0),
        "p/in:0": ("curve", 90 + bend + turned),
        "p/in:1": ("line", -bend + turned),
        "p/in:2": ("edge", 180 + bend + turned),
        "p/in:3": ("curve", 270 - bend + turned),
    }
    return named(
        write_planted(path, {"in": 4, "out": 1}, edges, name="p", size=size, force=True), said
    )


def test_a_planted_tangent_circuit_is_found_and_one_turned_away_is_not(tmp_path: Path) -> None:
    (row,) = rows_of(curve_reader(tmp_path / "a"), "tangent_circuit")
    assert row["score"] == pytest.approx(1)
    assert row["roles"] == {
        "curve": ["p/out:0"],
        "excited_by": ["p/in:0", "p/in:1", "p/in:2"],
        "inhibited_by": ["p/in:3"],
    }
    for turned in (90.0, -90.0):
        assert rows_of(curve_reader(tmp_path / "b", turned=turned), "tangent_circuit") == []


def test_kernels_of_one_pixel_have_no_place(tmp_path: Path) -> None:
    assert (
        rows_of(
            curve_reader(tmp_path / "a", size=1), "tangent_circuit", min_inputs=1, min_score=-1.0
        )
        == []
    )


def hues(path: Path, *, like: bool) -> Bundle:
    edges: list[Any] = [(f"in:{n}", "out:0", 1.0 if n < 2 else -1.0) for n in range(4)]
    angles = (10.0, 350.0, 170.0, 190.0) if like else (10.0, 190.0, 170.0, 350.0)
    said: dict[str, tuple[str, float | None]] = {
        f"p/in:{n}": ("hue", angle) for n, angle in enumerate(angles)
    }
    said["p/out:0"] = ("colour_centre_surround", 0.0)
    return named(write_planted(path, {"in": 4, "out": 1}, edges, name="p", force=True), said)


def test_a_hue_excited_by_like_hues_and_inhibited_by_opposite_ones_is_found(tmp_path: Path) -> None:
    (row,) = rows_of(hues(tmp_path / "a", like=True), "hue_to_hue")
    assert row["score"] == pytest.approx(math.cos(math.radians(10)))
    assert row["roles"] == {
        "hue": ["p/out:0"], "excited_by": ["p/in:0", "p/in:1"], "inhibited_by": ["p/in:2", "p/in:3"]
    }  # fmt: skip
    assert rows_of(hues(tmp_path / "b", like=False), "hue_to_hue") == []


# -- nulls
# -------------------------------------------------------------------------------------------


def test_labels_keep_the_edges_and_the_kinds_of_each_layer(tmp_path: Path) -> None:
    graph = SignedGraph.of_bundle(random_network(tmp_path / "r", seed=0))
    null = labels(graph, np.random.default_rng(0))
    said = [
        sorted(
            zip(
                each.layer.tolist(),
                each.kind.tolist(),
                map(str, each.preferences["orientation_deg"]),
                strict=True,
            )
        )
        for each in (graph, null)
    ]
    assert said[0] == said[1]
    assert (graph.kind != null.kind).any()
    for name in ("sender", "receiver", "weight", "ex", "iy"):
        assert getattr(graph, name) is getattr(null, name)


def test_a_network_full_of_circles_is_enriched_and_a_random_one_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    edges: list[Any] = []
    said: dict[str, tuple[str, float | None]] = {f"p/in:{n}": ("line", 22.5 * n) for n in range(8)}
    for receiver in range(24):  # the first eight are circles; all read lines round a middle
        said[f"p/out:{receiver}"] = ("circle" if receiver < 8 else "corner", None)
        for n in range(8):
            # of the 16 orientations a line has, two directions are at right angles to each
            direction = 22.5 * n + 90 if receiver < 8 else rng.uniform(0, 360)
            edges.append((f"in:{n}", f"out:{receiver}", at_place(direction + 180 * (receiver % 2))))
    planted = named(
        write_planted(tmp_path / "p", {"in": 8, "out": 24}, edges, name="p", size=SIZE), said
    )
    tasks = [Task.of(MOTIFS[kind]) for kind in POSED]
    found = {
        each.kind: each
        for each in assess(SignedGraph.of_bundle(planted), tasks, nulls=99, workers=1)
    }
    assert found["line_to_circle"].instances == 8 and found["line_to_circle"].null == "labels"
    assert found["line_to_circle"].p == 0.01 and (found["line_to_circle"].least_q or 1) <= 0.05


def test_p_on_random_kinds_is_not_below_uniform(tmp_path: Path) -> None:
    p: list[float] = []
    for seed in range(30):
        graph = SignedGraph.of_bundle(random_network(tmp_path / "r", seed=seed))
        tasks = [
            Task.of(MOTIFS[kind], {"strength": 0.3, "min_inputs": 2, "min_score": 0.3})
            for kind in ("tangent_circuit", "hue_to_hue")
        ]
        found = assess(graph, tasks, nulls=9, workers=1)
        p += [each.p for each in found if each.p is not None]
    # of 60 p values at most 0.1, six are expected; thirteen or more happen five times in a thousand
    assert len(p) == 60
    assert sum(value <= 0.1 for value in p) <= 13


def test_significance_comes_from_a_database_alone(embedded: Database, tmp_path: Path) -> None:
    embedded.load(random_network(tmp_path / "r", seed=1))
    rows, found = find_significant(
        embedded, "hue_to_hue", nulls=9, strength=0.3, min_inputs=1, min_score=0.0
    )
    assert rows and all(row["null"] == "kernels" and 0 < (row["q"] or 0.0) <= 1 for row in rows)
    assert found.null == "labels" and found.instances == len(rows)


def test_what_is_missing_is_said(embedded: Database, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "r")
    embedded.load(bundle)
    for kind in POSED:
        assert "circuitome annotate BUNDLE" in (missing(embedded, kind) or "")
    embedded.load(named(bundle, {"toy/conv1:0": ("line", 0.0)}))
    assert "no neuron of toy is of a kind that receives here (circle" in (
        missing(embedded, "line_to_circle") or ""
    ) or ("centre_surround" in (missing(embedded, "line_to_circle") or ""))
    with pytest.raises(QueryError, match=r"`points` cannot be 'in'; .*inwards"):
        find(embedded, "curve_to_circle", points="in")
