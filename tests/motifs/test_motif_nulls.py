"""Null models keep what they say and destroy the rest; q and p are what they are by hand, and
calibrated.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.extract import extract
from circuitome.extract.models.resolve import resolve
from circuitome.kernels import banding_ratio
from circuitome.networks import BUNDLED
from circuitome.queries.algorithms import read_back
from circuitome.queries.catalogue import library
from circuitome.queries.database import open_database
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import (
    MOTIFS,
    Motif,
    MotifRow,
    find,
    find_significant,
    nulls,
    summary,
)
from circuitome.queries.motifs.significance import Significance, Task, assess, instance_q
from circuitome.queries.motifs.weight_banding import banding_p, significant
from circuitome.significance import empirical_p
from tests.support.planted_noise import gaussian
from tests.support.planted_pairs import plant
from tests.support.synthetic import write_bundle, write_planted

TESTED = [motif for motif in MOTIFS.values() if isinstance(motif, Motif)]
SEEDS = range(20)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> SignedGraph:
    folder = tmp_path_factory.mktemp("nulls")
    return SignedGraph.of_bundle(write_bundle(folder / "r", layers=(4, 12, 16, 12, 5), density=0.6))


def rewired(graph: SignedGraph, name: str, seed: int = 0) -> SignedGraph:
    return nulls.find_null(name)(graph, np.random.default_rng(seed))


def gathered(groups: np.ndarray, *values: np.ndarray) -> dict[int, list[Any]]:
    """Values of each group, sorted."""
    found: dict[int, list[Any]] = {}
    for group, *rest in zip(groups.tolist(), *(value.tolist() for value in values), strict=True):
        found.setdefault(group, []).append(tuple(rest))
    return {group: sorted(items) for group, items in found.items()}


def layer_pairs(graph: SignedGraph) -> list[tuple[int, int]]:
    return sorted(
        zip(graph.layer[graph.sender].tolist(), graph.layer[graph.receiver].tolist(), strict=True)
    )


def matrix(graph: SignedGraph, sending: int, receiving: int) -> np.ndarray:
    """Weights between two layers, ``(senders, receivers)``."""
    dense = np.zeros((len(graph.keys), len(graph.keys)))
    dense[graph.sender, graph.receiver] = graph.weight
    return dense[graph.layer == sending][:, graph.layer == receiving]


@pytest.mark.parametrize(
    "name", [name for name in nulls.NULLS if name != "labels"]
)  # which leaves all edges
def test_a_null_keeps_edges_between_layers_and_follows_its_seed(
    graph: SignedGraph, name: str
) -> None:
    one, again, other = rewired(graph, name), rewired(graph, name), rewired(graph, name, seed=1)
    assert layer_pairs(one) == layer_pairs(graph)
    assert np.bincount(one.receiver).tolist() == np.bincount(graph.receiver).tolist()
    ends = one.sender * len(one.keys) + one.receiver
    assert len(np.unique(ends)) == len(ends)
    same = [
        (getattr(one, field) == getattr(again, field)).all()
        for field in ("sender", "excites", "weight")
    ]
    assert all(same)
    assert (one.sender != other.sender).any() or (one.weight != other.weight).any()
    assert (one.sender != graph.sender).any() or (one.weight != graph.weight).any()
    assert ((one.weight > 0) <= one.excites).all()
    assert ((one.weight < 0) <= ~one.excites).all()


def test_kernels_keep_what_each_receiver_gets_and_from_whom(graph: SignedGraph) -> None:
    null = rewired(graph, "kernels")
    fields = ("weight", "share", "polarity", "rank")
    before = gathered(graph.receiver, *(getattr(graph, field) for field in fields))
    assert gathered(null.receiver, *(getattr(null, field) for field in fields)) == before
    assert gathered(null.receiver, null.sender) == gathered(graph.receiver, graph.sender)
    moved = gathered(null.receiver, null.sender, null.weight) != gathered(
        graph.receiver, graph.sender, graph.weight
    )
    assert moved


@pytest.mark.parametrize("name", ["signs", "swap"])
def test_shuffled_signs_leave_sizes_in_place_and_the_number_of_excitatory_inputs(
    graph: SignedGraph, name: str
) -> None:
    null = rewired(graph, name)
    assert (null.sender == graph.sender).all() and (null.receiver == graph.receiver).all()
    assert (np.abs(null.weight) == np.abs(graph.weight)).all() and (null.share == graph.share).all()
    excitatory = [np.bincount(item.receiver, item.excites).tolist() for item in (graph, null)]
    assert excitatory[0] == excitatory[1]
    assert (null.excites != graph.excites).mean() > 0.2


def test_swapped_signs_keep_how_many_of_a_layer_each_sender_excites(graph: SignedGraph) -> None:
    null = rewired(graph, "swap")
    target = graph.sender * len(graph.layers) + graph.layer[graph.receiver]
    assert np.bincount(target, null.excites).tolist() == np.bincount(target, graph.excites).tolist()


def test_a_relabelled_layer_has_the_same_columns_in_another_order(graph: SignedGraph) -> None:
    null = rewired(graph, "relabel")
    changed = False
    for sending, receiving in dict.fromkeys(layer_pairs(graph)):
        before, after = matrix(graph, sending, receiving), matrix(null, sending, receiving)
        assert sorted(map(tuple, after[after.any(1)])) == sorted(map(tuple, before[before.any(1)]))
        changed |= bool((before != after).any())
    assert changed


def test_relabelling_stays_within_the_groups_of_a_grouped_convolution(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    groups = [range(6), range(6, 12)]
    edges = [
        (f"in:{sender}", f"out:{receiver}", float(rng.standard_normal()))
        for group in groups
        for sender, receiver in itertools.product(group, group)
    ]
    graph = SignedGraph.of_bundle(write_planted(tmp_path / "grouped", {"in": 12, "out": 12}, edges))
    ((sending, receiving),) = set(layer_pairs(graph))
    before = matrix(graph, sending, receiving)
    after = matrix(rewired(graph, "relabel"), sending, receiving)
    assert (before != after).any()
    assert ((before != 0) == (after != 0)).all()


def test_columns_keep_the_shares_that_a_receiver_gets_and_rank_them(graph: SignedGraph) -> None:
    null = rewired(graph, "columns")
    total = [np.bincount(item.receiver, item.share) for item in (graph, null)]
    assert total[1] == pytest.approx(total[0])
    for receiver in np.unique(null.receiver):
        here = null.receiver == receiver
        assert (np.argsort(null.rank[here]) == np.argsort(-null.share[here], kind="stable")).all()
    target = graph.sender * len(graph.layers) + graph.layer[graph.receiver]
    assert np.bincount(target, null.excites).tolist() == np.bincount(target, graph.excites).tolist()


def test_an_unknown_null_is_answered_with_near_ones() -> None:
    with pytest.raises(QueryError, match="no null model is called 'sign'; did you mean `signs`"):
        nulls.find_null("sign")


def test_q_is_the_expected_number_of_null_instances_over_the_observed_one() -> None:
    levels, q = instance_q(np.array([5.0, 3.0, 3.0, 1.0]), np.array([4.0, 2.0, 2.0, 2.0]), nulls=4)
    assert levels.tolist() == [5, 3, 1]
    # above 5: (0 + 1)/4 over 1; above 3: (1 + 1)/4 over 3; above 1: (4 + 1)/4 over 4; and the best
    # cut that lets one in
    assert q == pytest.approx([1 / 6, 1 / 6, 5 / 16])


@settings(max_examples=50, deadline=None)
@given(
    observed=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    null=st.lists(st.integers(0, 9), max_size=60),
)
def test_q_never_falls_as_scores_fall_and_is_no_better_than_the_nulls_can_show(
    observed: list[int], null: list[int]
) -> None:
    levels, q = instance_q(np.array(observed, float), np.array(null, float), nulls=10)
    assert (np.diff(levels) < 0).all()
    assert (np.diff(q) >= 0).all()
    assert (q >= 1 / (10 * len(observed))).all() and (q <= 1).all()


def test_p_is_the_share_of_counts_as_large_the_observed_one_among_them() -> None:
    assert empirical_p(3, [0, 1, 3]) == 0.5
    assert empirical_p(4, [0] * 199) == 0.005
    assert empirical_p(0, [0] * 19) == 1


def test_workers_and_company_change_nothing(graph: SignedGraph) -> None:
    loose = {"strength": 1.0}
    tasks = [
        Task.of(motif, loose if library()[motif.kind].parameter("strength") else {})
        for motif in TESTED
    ]
    together = assess(graph, tasks, nulls=5, seed=3)
    again = assess(graph, tasks, nulls=5, seed=3, workers=1)
    for one, other in zip(together, again, strict=True):
        assert one.q.tolist() == other.q.tolist()
        assert (one.p, one.null_mean, one.instances) == (other.p, other.null_mean, other.instances)
    (alone,) = assess(graph, tasks[-1:], nulls=5, seed=3)
    assert (alone.p, alone.q.tolist()) == (together[-1].p, together[-1].q.tolist())


def brute_pairs(graph: SignedGraph, cosine: float, strength: float) -> tuple[list[Any], list[Any]]:
    """Opponent pairs and push-pull pairs, from dense vectors and by trying every pair."""
    n = len(graph.keys)
    weight, effect, strong = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    weight[graph.sender, graph.receiver] = graph.weight
    effect[graph.sender, graph.receiver] = graph.polarity * np.sqrt(
        graph.share * graph.fan_in[graph.receiver]
    )
    for edge in np.flatnonzero((graph.strength >= strength) & (np.abs(graph.polarity) >= 0.2)):
        strong[graph.sender[edge], graph.receiver[edge]] = 1 if graph.excites[edge] else -1
    opponents, push_pull = [], []
    for one, other in itertools.combinations(range(n), 2):
        norm = np.linalg.norm(weight[:, one]) * np.linalg.norm(weight[:, other])
        if graph.layer[one] != graph.layer[other] or norm == 0:
            continue
        fan_in = float(weight[:, one] @ weight[:, other] / norm)
        signs = set(zip(strong[:, one].tolist(), strong[:, other].tolist(), strict=True))
        if {(1, -1), (-1, 1)} <= signs and -fan_in >= cosine:
            opponents.append((one, other, -fan_in))
        sent = np.linalg.norm(effect[one]) * np.linalg.norm(effect[other])
        if {(1, -1), (-1, 1)} & signs and (strong[one] * strong[other] < 0).any():
            fan_out = float(effect[one] @ effect[other] / sent)
            if min(-fan_in, -fan_out) >= cosine:
                push_pull.append((one, other, min(-fan_in, -fan_out)))
    return opponents, push_pull


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.4, 1.0]),
    cosine=st.sampled_from([0.0, 0.2]),
)
def test_pairs_that_oppose_are_those_that_brute_force_finds(
    tmp_path: Path, seed: int, density: float, cosine: float
) -> None:
    bundle = write_bundle(
        tmp_path / "r", layers=(3, 8, 12, 10, 4), seed=seed, density=density, force=True
    )
    graph = SignedGraph.of_bundle(bundle)
    number = {key: place for place, key in enumerate(graph.keys)}
    for kind, expected in zip(
        ("opponent_pairs", "push_pull"), brute_pairs(graph, cosine, 0.5), strict=True
    ):
        rows = MOTIFS[kind].rows(graph, cosine=cosine, strength=0.5, limit=1000)
        found = sorted(
            (*(number[key] for key in row["roles"]["case"]), row["score"]) for row in rows
        )
        assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
        assert [pair[2] for pair in found] == pytest.approx(
            [pair[2] for pair in expected], abs=1e-8
        )
        assert MOTIFS[kind].count(graph, cosine=cosine, strength=0.5) == len(expected)


@pytest.mark.parametrize("kind", ["opponent_pairs", "push_pull"])
@pytest.mark.parametrize("noise", [0.25, 0.5])
def test_planted_pairs_are_found_among_decoys(tmp_path: Path, kind: str, noise: float) -> None:
    found, right, there = 0, 0, 0
    for seed in SEEDS:
        planted = plant(tmp_path / "planted", seed=seed, noise=gaussian(noise))
        graph = SignedGraph.of_bundle(planted.bundle)
        (result,) = assess(graph, [Task.of(MOTIFS[kind])], nulls=39)
        rows = [row for row in result.annotate(MOTIFS[kind].rows(graph)) if row["q"] <= 0.05]
        # readers of opponents oppose each other, too: what is known is what stands among the cases
        pairs = {
            frozenset(row["roles"]["case"]) for row in rows if "/case:" in row["roles"]["case"][0]
        }
        expected = planted.opponents if kind == "opponent_pairs" else planted.push_pull
        found, right, there = (
            found + len(pairs),
            right + len(pairs & expected),
            there + len(expected),
        )
        assert result.p <= 0.05
    assert right / there >= 0.95
    assert right / found >= 0.95


def demixed(path: Path, *, seed: int) -> SignedGraph:
    """Sixty-four inputs over 24 hosts; the first 16 of 48 readers read one input each, the
    others at random.
    """
    rng = np.random.default_rng(seed)
    into, out = rng.standard_normal((24, 64)), rng.standard_normal((48, 24))
    out[:16] = into[:, :16].T + 0.5 * rng.standard_normal((16, 24))
    edges = [(f"in:{i}", f"host:{k}", float(into[k, i])) for k, i in np.ndindex(into.shape)]
    edges += [(f"host:{k}", f"out:{r}", float(out[r, k])) for r, k in np.ndindex(out.shape)]
    return SignedGraph.of_bundle(
        write_planted(path, {"in": 64, "host": 24, "out": 48}, edges, name="p", force=True)
    )


def test_features_that_are_spread_and_read_back_are_found(tmp_path: Path) -> None:
    right, found = 0, 0
    for seed in SEEDS:
        graph = demixed(tmp_path / "demixed", seed=seed)
        (chain,) = read_back.chains(graph)
        pairs = read_back.read_back(chain, cosine=0.6, hosts=3)
        names = zip(graph.names(pairs.feature), graph.names(pairs.reader), strict=True)
        right += sum(f.removeprefix("p/in:") == r.removeprefix("p/out:") for f, r in names)
        found += len(pairs.feature)
        assert (pairs.spread >= 3).all()
    assert right / (16 * len(SEEDS)) >= 0.95
    assert (
        right / found >= 0.85
    )  # in 24 dimensions some of the 32 readers at random match one of the 64 inputs


def test_read_back_is_enriched_where_it_is_planted(tmp_path: Path) -> None:
    graph = demixed(tmp_path / "demixed", seed=0)
    (result,) = assess(graph, [Task.of(MOTIFS["superposition_read_back"])], nulls=99)
    assert result.p == 0.01
    assert result.null == "relabel"
    (turned,) = assess(
        graph, [Task.of(MOTIFS["superposition_read_back"], null="reflect")], nulls=19
    )
    assert (turned.null, turned.p) == ("reflect", 0.05)


def test_reflected_readers_read_as_much_of_each_principal_component(tmp_path: Path) -> None:
    (chain,) = read_back.chains(demixed(tmp_path / "demixed", seed=0))
    turned = read_back.reflect(chain, np.random.default_rng(0))
    into = chain.into - chain.into.mean(1, keepdims=True)
    axes = np.linalg.svd(into)[0]
    assert np.abs(turned.out @ axes) == pytest.approx(np.abs(chain.out @ axes))
    assert np.abs(turned.out - chain.out).max() > 0.1


def test_rows_of_a_database_get_q_and_the_name_of_its_null(tmp_path: Path) -> None:
    planted = plant(tmp_path / "planted", seed=0, noise=gaussian(0.25))
    with open_database(tmp_path / "p.db", create=True) as database:
        database.load(planted.bundle)
        rows, found = find_significant(database, "opponent-pairs", nulls=39, strength="4", limit=5)
        assert len(rows) == 5
        assert [row | {"q": None, "null": None} for row in rows] == find(
            database, "opponent_pairs", limit=5
        )
        assert all(
            row["null"] == "kernels" and row["p"] is None and row["q"] <= 0.05 for row in rows
        )
        assert (found.null, found.nulls, found.p) == ("signs", 39, 0.025)
        every = {item.kind: item for item in summary(database, nulls=3)}
        assert every.keys() == MOTIFS.keys()
        pairs = every["opponent_pairs"]
        assert isinstance(pairs, Significance) and pairs.instances == found.instances
        with pytest.raises(QueryError, match="weight_banding: edges alone have no null model"):
            find_significant(database, "weight_banding")


def striped(*, tilt: float, seed: int) -> np.ndarray:
    """Kernels that vary along y, times ``tilt``, and noise, ``(24, 6, 3, 3)``."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((24, 6, 3, 1)) * np.ones((1, 1, 1, 3))
    return tilt * rows + rng.standard_normal((24, 6, 3, 3))


def test_banded_kernels_beat_transposed_ones_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    assert banding_p(striped(tilt=1, seed=0), nulls=999, rng=rng) == 0.001
    assert banding_p(striped(tilt=1, seed=0).swapaxes(2, 3), nulls=999, rng=rng) == 1
    p = [banding_p(striped(tilt=0, seed=seed), nulls=99, rng=rng) for seed in range(100)]
    assert 0.02 <= np.mean([value is not None and value <= 0.1 for value in p]) <= 0.2
    assert banding_p(np.ones((2, 2, 1, 1)), nulls=9, rng=rng) is None
    assert banding_p(np.random.default_rng(0).random((4, 2, 1, 7)), nulls=9, rng=rng) is None


def test_banding_p_is_exact_for_few_filters() -> None:
    kernels = striped(tilt=1, seed=1)[:4]
    turns = itertools.product([False, True], repeat=4)
    every = [
        banding_ratio(
            np.where(np.array(turn)[:, None, None, None], kernels.swapaxes(2, 3), kernels)
        )
        for turn in turns
    ]
    exact = np.mean(np.array(every) >= banding_ratio(kernels) - 1e-9)
    p = banding_p(kernels, nulls=20_000, rng=np.random.default_rng(0))
    assert p == pytest.approx(exact, abs=0.01)


def test_layers_get_p_and_q_from_the_kernels_of_their_bundle(tmp_path: Path) -> None:
    name = next(iter(BUNDLED))
    bundle = extract(resolve(name), output=tmp_path / name)
    rows = significant(
        bundle, MOTIFS["weight_banding"].rows(SignedGraph.of_bundle(bundle)), nulls=99
    )
    assert rows
    assert all(
        row["null"] == "transpose" and row["p"] <= (row["q"] or 0.0)
        for row in rows
        if row["p"] is not None
    )
    assert any(row["p"] is not None for row in rows)
    with pytest.raises(QueryError, match="holds menagerie_s0, not other"):
        significant(bundle, [MotifRow(**{**rows[0], "model": "other"})], nulls=9)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> list[SignedGraph]:
    folder = tmp_path_factory.mktemp("bundled")
    return [SignedGraph.of_bundle(extract(resolve(name), output=folder / name)) for name in BUNDLED]


def test_null_networks_have_few_findings_and_no_small_p(bundled: list[SignedGraph]) -> None:
    tries = 6  # `make bench` does 60 a motif, and twins
    tasks = [
        Task.of(motif) for motif in TESTED if motif.null != "labels"
    ]  # nothing is annotated here
    found, small = (
        dict.fromkeys((task.kind for task in tasks), 0),
        dict.fromkeys((task.kind for task in tasks), 0),
    )
    for place in range(tries):
        graph = bundled[place % len(bundled)]
        for name in dict.fromkeys(null for task in tasks for null in task.null_models):
            asked = [
                replace(task, instance_null=name, null=name)
                for task in tasks
                if name in task.null_models
            ]
            for result in assess(
                rewired(graph, name, seed=1000 + place), asked, nulls=19, seed=place
            ):
                if MOTIFS[result.kind].instance_null == name:
                    found[result.kind] += result.least_q is not None and result.least_q <= 0.05
                else:
                    small[result.kind] += result.p <= 0.05
    # a third of a finding is expected of each; four of six would be seen once in ten thousand times
    assert max(found.values()) <= 3, found
    assert max(small.values()) <= 3, small
