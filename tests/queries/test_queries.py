"""The named queries on both engines, against the bundle's own tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.protocol import Store
from circuitome.queries.catalogue import library
from circuitome.queries.database import Database, open_database
from circuitome.queries.errors import QueryError
from circuitome.queries.rows import Rows
from tests.support.compare_stores import questions
from tests.support.synthetic import annotated, write_bundle

NEURON, OTHER = "toy/block2.a:1", "toy/block2.b:0"

GIVEN: dict[str, dict[str, Any]] = {
    "inputs": {"neuron": NEURON},
    "outputs": {"neuron": "toy/conv1:2"},
    "shared_inputs": {"first": NEURON, "second": OTHER},
    "look_up": {"neurons": [NEURON, OTHER]},
    "inputs_of": {"neurons": [NEURON, OTHER], "k": 3},
    "outputs_of": {"neurons": ["toy/conv1:2", "toy/input:0"], "min_share": 0.05},
    "upstream": {"neuron": "toy/fc:0"},
    "downstream": {"neuron": "toy/input:0"},
    "expanded_inputs": {"neuron": "toy/fc:0"},
    "cancelling": {"most": 1.0, "share": 0.0},
    "block_channel": {"block": "block2", "channel": 9},
    "strongest_paths": {"source": "toy/input:0", "target": "toy/fc:0"},
    "mutual_inhibition": {"strength": 0.5},
    "unioning_over_cases": {"strength": 0.5},
    "superposition": {"strength": 0.5},
    "opponent_pairs": {"strength": 0.5, "cosine": 0.2},
    "push_pull": {"strength": 0.5, "cosine": 0.0},
    "branch_cluster": {"grouping": "kind"},
    "neurons_of_kind": {"kind": "line", "lowest": 30.0, "highest": 150.0},
    "annotation": {"neuron": NEURON},
    "partners": {"neuron": NEURON},
    "family_members": {"family": "toy/conv1/f0"},
    "families_of": {"neuron": NEURON},
}
"""Parameters of the queries that need some."""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return annotated(
        write_bundle(tmp_path / "toy.circuitome", layers=(3, 12, 16, 12, 5), density=0.8, keep=0.98)
    )


@pytest.fixture
def database(store: Store, bundle: Bundle) -> Iterator[Database]:
    with Database(store) as database:
        database.load(bundle)
        yield database


def frame(bundle: Bundle, table: str) -> Any:  # pandas' types take a filtered frame for a series
    return bundle.table(table).to_pandas()


def edges_of(bundle: Bundle) -> Any:
    """All signed edges: sender, receiver, effect and the tables' columns, with the receiver's
    layer and fan-in.
    """
    tables = [frame(bundle, name).assign(effect=name.lower()) for name in ("EXCITES", "INHIBITS")]
    edges: Any = pd.concat(tables, ignore_index=True).rename(
        columns={"from": "sender", "to": "receiver"}
    )
    edges[["sender", "receiver"]] = edges[["sender", "receiver"]].astype(str)
    neurons = frame(bundle, "Neuron").set_index("key")
    edges["layer"] = edges.receiver.map(neurons.layer)
    edges["strength"] = edges.share.astype(float) * edges.receiver.map(neurons.fan_in)
    return edges.astype(dict.fromkeys(("weight", "share", "polarity", "excitation"), float))


def same(rows: Rows, expected: pd.DataFrame) -> None:
    """The rows are the expected ones, in order, column by column."""
    found: Any = rows.to_pandas()[list(expected.columns)]
    pd.testing.assert_frame_equal(
        found, expected.reset_index(drop=True), check_dtype=False, rtol=1e-6
    )


def by_index(bundle: Bundle, summary: pd.DataFrame) -> pd.DataFrame:
    layers = frame(bundle, "Layer").set_index("key")["index"]
    return summary.assign(index=summary.layer.map(layers)).sort_values(["index", "layer"])


def expected_inputs(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    edges = edges[edges.receiver == NEURON].sort_values(
        ["share", "sender"], ascending=[False, True]
    )
    return edges[["sender", "effect", "share", "weight", "polarity", "rank"]]


def expected_outputs(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    edges = edges[edges.sender == "toy/conv1:2"].sort_values(
        ["share", "receiver"], ascending=[False, True]
    )
    return edges[["receiver", "effect", "share", "weight", "polarity", "rank"]].head(20)


def expected_shared_inputs(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    first, second = edges[edges.receiver == NEURON], edges[edges.receiver == OTHER]
    both = first.merge(second, on="sender", suffixes=("_first", "_second"))
    both["agreement"] = (both.effect_first == both.effect_second).map(
        {True: "same", False: "opposite"}
    )
    both["least_share"] = both[["share_first", "share_second"]].min(axis=1)
    return both.sort_values(["least_share", "sender"], ascending=[False, True])[
        [
            "sender",
            "agreement",
            "weight_first",
            "weight_second",
            "share_first",
            "share_second",
            "least_share",
        ]
    ]


def expected_hubs(bundle: Bundle) -> pd.DataFrame:
    strong = edges_of(bundle).query("strength >= 2")
    hubs = strong.groupby("sender").agg(
        receivers=("receiver", "count"),
        excited=("effect", lambda effects: (effects == "excites").sum()),
        inhibited=("effect", lambda effects: (effects == "inhibits").sum()),
        reach=("share", "sum"),
    )
    hubs = hubs.reset_index().rename(columns={"sender": "neuron"})
    return hubs.sort_values(["receivers", "neuron"], ascending=[False, True]).head(20)


def expected_balance(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    edges["inhibition"] = edges.excitation - edges.weight
    balance = edges.groupby("layer").agg(
        edges=("sender", "count"),
        excitatory=("effect", lambda effects: (effects == "excites").sum()),
        excitation=("excitation", "sum"),
        inhibition=("inhibition", "sum"),
        mixed=("polarity", lambda polarity: (polarity.abs() < 0.2).mean()),
    )
    balance["balance"] = (balance.excitation - balance.inhibition) / (
        balance.excitation + balance.inhibition
    )
    return by_index(bundle, balance.reset_index())


def expected_dropped(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").query("fan_in > 0")
    dropped = neurons.groupby("layer").agg(
        connected=("fan_in", "sum"),
        dropped=("dropped", "sum"),
        least_kept_mass=("kept_mass", "min"),
    )
    dropped["kept_mass"] = frame(bundle, "Layer").set_index("key").kept_mass
    return by_index(bundle, dropped.reset_index())


def expected_layers(bundle: Bundle) -> pd.DataFrame:
    layers = frame(bundle, "Layer").sort_values("index")
    reads = frame(bundle, "NEXT").groupby("to").size()
    return pd.DataFrame(
        {
            "index": layers["index"],
            "layer": layers.key,
            "op": layers.op,
            "neurons": layers.channels,
            "reads": layers.key.map(reads).fillna(0).astype(int),
            "depth": layers.depth,
        }
    )


def expected_branches(bundle: Bundle) -> pd.DataFrame:
    branches = frame(bundle, "Branch").sort_values(["block", "index"])
    neurons = frame(bundle, "IN_BRANCH").groupby("to").size()
    return pd.DataFrame(
        {
            "block": branches.block,
            "branch": branches.key,
            "channels": branches.channels,
            "neurons": branches.key.map(neurons),
        }
    )


def expected_edges(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle).sort_values(["receiver", "sender"])
    return edges[["sender", "receiver", "weight", "share", "polarity", "rank"]]


def expected_neurons(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").rename(columns={"key": "neuron"})
    return neurons.sort_values(["layer", "channel"])[["neuron", "layer", "channel", "bias"]]


def expected_look_up(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").rename(columns={"key": "neuron"})
    found = neurons[neurons.neuron.isin([NEURON, OTHER])].sort_values("neuron")
    return found[
        ["neuron", "model", "layer", "channel", "op", "bias", "fan_in", "dropped", "kept_mass"]
    ]


def expected_inputs_of(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    edges = edges[edges.receiver.isin([NEURON, OTHER]) & (edges["rank"] <= 3)]
    edges = edges.sort_values(["receiver", "share", "sender"], ascending=[True, False, True])
    return edges[["sender", "receiver", "weight", "share", "polarity"]]


def expected_outputs_of(bundle: Bundle) -> pd.DataFrame:
    edges = edges_of(bundle)
    edges = edges[edges.sender.isin(["toy/conv1:2", "toy/input:0"]) & (edges.share >= 0.05)]
    edges = edges.sort_values(["sender", "share", "receiver"], ascending=[True, False, True])
    return edges[["sender", "receiver", "weight", "share", "polarity"]]


def expected_neurons_of_kind(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").rename(columns={"key": "neuron"})
    found = neurons[(neurons.kind == "line") & neurons.orientation_deg.between(30, 150)]
    found = found.sort_values(["explained", "neuron"], ascending=[False, True])
    return found[
        ["neuron", "layer", "orientation_deg", "frequency", "explained", "selectivity", "q"]
    ]


def expected_invariant_neurons(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").rename(
        columns={"key": "neuron", "invariance_rotate": "invariance"}
    )
    found = neurons[neurons.invariance >= 0.9].sort_values(
        ["invariance", "neuron"], ascending=[False, True]
    )
    return found[["neuron", "layer", "invariance", "kind"]]


def expected_explained_by_layer(bundle: Bundle) -> pd.DataFrame:
    neurons = frame(bundle, "Neuron").dropna(subset="kind")
    found = neurons.groupby("layer").agg(
        neurons=("kind", "count"),
        explained=("kind", lambda kinds: (~kinds.isin(["unexplained", "silent"])).mean()),
        unexplained=("kind", lambda kinds: (kinds == "unexplained").sum()),
        silent=("kind", lambda kinds: (kinds == "silent").sum()),
    )
    return by_index(bundle, found.reset_index())


def expected_equivariance_by_layer(bundle: Bundle) -> pd.DataFrame:
    layers = frame(bundle, "Layer").dropna(subset="equivariant").sort_values("index")
    layers = layers.rename(columns={"key": "layer", "channels": "neurons"})
    return layers[["index", "layer", "neurons", "equivariant", "in_families", "invariant"]]


def expected_family_members(bundle: Bundle) -> pd.DataFrame:
    members = frame(bundle, "MEMBER_OF").astype({"from": str})
    members = members[members["to"] == "toy/conv1/f0"].rename(columns={"from": "neuron"})
    members["kind"] = members.neuron.map(frame(bundle, "Neuron").set_index("key").kind)
    return members.sort_values(["offset", "neuron"])[["neuron", "offset", "offset_sd", "kind"]]


def expected_families(bundle: Bundle) -> pd.DataFrame:
    members = frame(bundle, "MEMBER_OF").astype(dict.fromkeys(("from", "to"), str))
    members = members.rename(columns={"from": "neuron", "to": "family"})
    rows = members.merge(frame(bundle, "Family").rename(columns={"key": "family"}), on="family")
    return rows.sort_values(["family", "offset", "neuron"])[
        ["family", "model", "size", "source", "neuron", "offset"]
    ]


def expected_families_with_gaps(bundle: Bundle) -> pd.DataFrame:
    found = (
        frame(bundle, "Family")
        .dropna(subset="gaps")
        .sort_values("key")
        .rename(columns={"key": "family"})
    )
    return found[["family", "layer", "group", "size", "q", "source"]]


def expected_families_of(bundle: Bundle) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "family": ["toy/block2.a/f0"],
            "group": ["rotate"],
            "offset": [90.0],
            "source": ["computed"],
        }
    )


def expected_partners(bundle: Bundle) -> pd.DataFrame:
    """Neuron 1: 0 is 90 degrees before it, 2 is 90 degrees after it, 3 has another hue and is
    turned.
    """
    pairs = (
        frame(bundle, "EQUIVARIANT_TO")
        .astype(dict.fromkeys(("from", "to"), str))
        .set_index(["from", "to"])
    )
    other = [NEURON.replace(":1", f":{channel}") for channel in (0, 2, 3)]
    scores = [
        pairs.score[other[0], NEURON],
        pairs.score[NEURON, other[1]],
        pairs.score[NEURON, other[2]],
    ]
    rows = pd.DataFrame(
        {
            "partner": other,
            "transform": ["rotate", "rotate", "hue_rotate"],
            "amount": [-90.0, 90.0, 60.0],
            "turn": [None, None, 90.0],
            "score": scores,
            "q": [0.01, 0.02, 0.4],
        }
    )
    return rows.sort_values("score", ascending=False)


ORACLES: dict[str, Callable[[Bundle], pd.DataFrame]] = {
    name.removeprefix("expected_"): oracle
    for name, oracle in globals().items()
    if name.startswith("expected_")
}


def test_each_query_gives_what_the_bundles_tables_hold(database: Database, bundle: Bundle) -> None:
    for name, oracle in ORACLES.items():
        expected = oracle(bundle)
        assert len(expected), name
        same(database.query(name, **GIVEN.get(name, {})), expected)


def test_every_query_returns_the_columns_that_it_documents(database: Database) -> None:
    asked = dict(reversed(list(questions(database, "toy"))))  # the first question of each
    for query in library().values():
        if query.name in asked or query.name in GIVEN:
            rows = database.query(query.name, **GIVEN.get(query.name, asked.get(query.name, {})))
            assert rows.columns == tuple(output.name for output in query.returns), query.name
    assert set(library()) - set(asked) - set(GIVEN) <= {
        "motif_members",
        "feature_members",
    }  # nothing is saved here


def test_the_models_are_listed_with_their_size(database: Database, bundle: Bundle) -> None:
    (row,) = database.query("models").to_dicts()
    assert (row["model"], row["neurons"], row["layers"], row["state"]) == ("toy", 48, 7, "ready")


def test_rows_are_dictionaries_arrow_pandas_and_json(database: Database) -> None:
    rows = database.query("inputs", neuron=NEURON, limit=3)
    assert len(rows) == 3
    assert json.loads(json.dumps(rows.to_dicts())) == list(rows)
    assert isinstance(rows.to_arrow(), pa.Table)
    assert rows.to_pandas().sender.tolist() == [row["sender"] for row in rows]


def test_values_that_json_cannot_hold_become_null() -> None:
    assert Rows.of([{"x": float("nan"), "y": [1.0, float("inf")]}]).to_dicts() == [
        {"x": None, "y": [1.0, None]}
    ]


def test_a_limit_is_the_querys_own_or_cuts_the_rows(database: Database) -> None:
    assert len(database.query("hubs", limit="2")) == 2
    assert len(database.query("neurons", limit=2)) == 2
    assert database.query("neurons", limit=2).to_dicts() == database.query("neurons").to_dicts()[:2]
    with pytest.raises(QueryError, match="hubs: `limit` cannot be -1"):
        database.query("hubs", limit=-1)


def test_the_model_may_be_left_out_of_a_key_where_there_is_one(database: Database) -> None:
    short = database.query("inputs", neuron="block2.a:1")
    assert short.to_dicts() == database.query("inputs", neuron=NEURON).to_dicts()


MISTYPED = {
    "toy/block2.a:99": "toy/block2.a has the channels 0 to 7, not '99'",
    "toy/blok2.a:1": "toy has no layer 'blok2.a'; did you mean `block2.a`",
    "toy/block2.a": "that is a layer; add a channel, 0 to 7: `toy/block2.a:0`",
    "nonsense": "toy has no layer 'nonsense'; it has input, conv1",
    "x' OR 1 = 1 //": "no neuron",
}


def test_a_mistyped_neuron_is_an_error_that_helps_and_not_an_empty_answer(
    database: Database,
) -> None:
    for key, message in MISTYPED.items():
        for name, parameter in (
            ("inputs", "neuron"),
            ("upstream", "neuron"),
            ("look_up", "neurons"),
        ):
            given: dict[str, Any] = {parameter: [key] if name == "look_up" else key}
            with pytest.raises(QueryError) as error:
                database.query(name, **given)
            assert message in str(error.value)


def test_an_unknown_model_or_parameter_is_answered_with_near_ones(database: Database) -> None:
    with pytest.raises(QueryError, match="no model 'tyo' in the database; did you mean `toy`"):
        database.query("hubs", model="tyo")
    with pytest.raises(QueryError, match="hubs: no parameter `limt`; did you mean `limit`"):
        database.query("hubs", limt=3)
    with pytest.raises(QueryError, match="inputs: the parameter `neuron` is missing"):
        database.query("inputs")


def test_with_two_models_the_model_must_be_named(database: Database, tmp_path: Path) -> None:
    database.load(write_bundle(tmp_path / "other.circuitome", name="other", layers=(2, 3, 2)))
    with pytest.raises(QueryError, match=r"holds 2 models \(other, toy\); name one"):
        database.query("hubs")
    with pytest.raises(QueryError, match="begins with none of its models"):
        database.query("inputs", neuron="conv1:0")
    with pytest.raises(QueryError, match="neurons of two models"):
        database.query("strongest_paths", source="toy/input:0", target="other/fc:0")
    assert {
        row["neuron"].split("/")[0] for row in database.query("hubs", model="other", strength=0)
    } == {"other"}
    database.drop("other")
    assert [row["key"] for row in database.models()] == ["toy"]


def test_a_users_own_file_runs_with_and_without_a_header(
    database: Database, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.cypher"
    bare.write_text(
        "MATCH (n:Neuron) WHERE n.model = $model AND n.channel >= $least RETURN n.key ORDER BY "
        "n.key"
    )
    assert len(database.query(bare, least=6, limit=3)) == 3
    titled = tmp_path / "titled.cypher"
    titled.write_text(
        "// Mine.\n//\n// params:\n//   least (integer = 7): at least\n//   model (model): "
        f"it\n{bare.read_text()}"
    )
    assert len(database.query(str(titled))) == sum(
        row["channel"] >= 7 for row in database.query("neurons")
    )


def test_a_users_file_that_would_end_the_process_is_refused_before_it_runs(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "crash.cypher"
    path.write_text(
        "MATCH (n:Neuron) WITH n, [1, 2] AS xs\nWHERE all(x IN xs WHERE x > 0)\nRETURN n.key AS "
        "key ORDER BY key"
    )
    if database.store.dialect == "kuzu":
        with pytest.raises(QueryError, match=r"crash, line 2: .*kill the process"):
            database.query(path)
    else:
        assert len(database.query(path)) == 48


def test_a_users_file_cannot_write(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "write.cypher"
    path.write_text("MATCH (n:Neuron) DETACH DELETE n")
    with pytest.raises(CircuitomeError):
        database.query(path)
    assert len(database.query("neurons")) == 48


def test_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    with open_database(tmp_path / "none.db", create=True) as database:
        assert database.models() == []
        with pytest.raises(QueryError, match="holds no model; `circuitome load"):
            database.query("hubs")
        with pytest.raises(CircuitomeError, match="circuitome load"):
            database.query("inputs", neuron="toy/conv1:0")


def test_expanded_inputs_are_those_of_the_table_by_share(
    database: Database, bundle: Bundle
) -> None:
    table = frame(bundle, "EXPANDED")
    receiver = table["to"].iloc[0]
    expected = (
        table[table["to"] == receiver]
        .sort_values(["share", "from"], ascending=[False, True])
        .head(5)
    )
    rows = database.query("expanded_inputs", neuron=receiver, limit=5).to_dicts()
    assert [row["sender"] for row in rows] == expected["from"].tolist()
    assert [row["weight"] for row in rows] == pytest.approx(expected["weight"].tolist())
    clear = database.query(
        "expanded_inputs", neuron=receiver, cancellation=0.5, limit=10_000
    ).to_dicts()
    kept = table[(table["to"] == receiver) & (table["cancellation"] >= 0.5)]
    assert {row["sender"] for row in clear} == set(kept["from"])


def test_cancelling_edges_are_strong_in_spite_of_it(database: Database, bundle: Bundle) -> None:
    table = frame(bundle, "EXPANDED")
    rows = database.query("cancelling", most=0.2, share=0.01, limit=10_000).to_dicts()
    expected = table[(table["cancellation"] <= 0.2) & (table["share"] >= 0.01)]
    assert {(row["sender"], row["receiver"]) for row in rows} == set(
        zip(expected["from"], expected["to"], strict=True)
    )


def test_a_channel_of_a_block_leads_to_its_neuron(database: Database, bundle: Bundle) -> None:
    place = frame(bundle, "IN_BLOCK").iloc[9]
    block = place["to"].split("/")[1]
    (row,) = database.query("block_channel", block=block, channel=int(place["channel"])).to_dicts()
    assert row["neuron"] == place["from"]
    assert row["neuron"] == f"{row['layer']}:{row['channel']}"


def test_pairs_of_layers_are_in_the_order_of_computation(
    database: Database, bundle: Bundle
) -> None:
    rows = database.query("pairs").to_dicts()
    assert len(rows) == bundle.rows("NEXT")
    assert [row["index"] for row in rows] == sorted(row["index"] for row in rows)


def test_a_range_of_orientations_may_go_through_zero(database: Database, bundle: Bundle) -> None:
    neurons = frame(bundle, "Neuron").query("kind == 'line'").set_index("key").orientation_deg
    rows = database.query("neurons_of_kind", kind="line", lowest=150, highest=30).to_dicts()
    expected = set(neurons[(neurons >= 150) | (neurons <= 30)].index)
    assert {row["neuron"] for row in rows} == expected
    assert 0 < len(expected) < len(neurons)
    everything = database.query("neurons_of_kind", kind="silent").to_dicts()
    assert everything
    assert all(row["orientation_deg"] is None for row in everything)


def test_a_mirror_image_has_its_partner_from_both_ends(database: Database) -> None:
    for one, other in (("toy/conv1:0", "toy/conv1:3"), ("toy/conv1:3", "toy/conv1:0")):
        rows = database.query("partners", neuron=one, q=0.05).to_dicts()
        flips = [(row["partner"], row["amount"]) for row in rows if row["transform"] == "flip_h"]
        assert flips == [(other, 1.0)]
    assert [
        row["amount"]
        for row in database.query("partners", neuron="toy/conv1:2")
        if row["amount"] > 0
    ] == [180.0]


def test_partners_may_be_asked_for_findings_alone(database: Database) -> None:
    partners = {row["partner"] for row in database.query("partners", neuron="conv1:1", q=0.05)}
    assert partners == {"toy/conv1:0", "toy/conv1:2"}


def test_the_annotation_of_a_neuron_is_its_row(database: Database, bundle: Bundle) -> None:
    (row,) = database.query("annotation", neuron=NEURON).to_dicts()
    expected = next(
        neuron for neuron in bundle.table("Neuron").to_pylist() if neuron["key"] == NEURON
    )
    named = {name: value for name, value in row.items() if name not in ("neuron", "annotated")}
    assert named == {name: expected[name] for name in named}
    assert row["tuning"] == [0.0, 0.5, 1.0, 0.25]
    assert row["annotated"] == "responses,kinds,equivariance,families,circuits,signatures"


def test_gaps_come_back_as_numbers(database: Database) -> None:
    assert {tuple(row["gaps"]) for row in database.query("families_with_gaps").to_dicts()} == {
        (270.0,)
    }


def test_a_mistyped_family_is_an_error_that_helps(database: Database, tmp_path: Path) -> None:
    short = database.query("family_members", family="conv1/f0").to_dicts()
    assert short == database.query("family_members", family="toy/conv1/f0").to_dicts()
    with pytest.raises(
        QueryError, match=r"no family 'conv1/f1' in the database; did you mean `conv1/f0`"
    ):
        database.query("family_members", family="conv1/f1")
    database.load(write_bundle(tmp_path / "bare.circuitome", name="bare"))
    with pytest.raises(QueryError, match="bare has none; `circuitome annotate"):
        database.query("family_members", family="bare/conv1/f0")
