"""Real trained networks go from file to verified, loaded and queried graph."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neo4j
import numpy as np
import pytest

from circuitome import open_store
from circuitome.extract import extract, verify
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.edges import Pruning
from circuitome.extract.models.network import Network
from circuitome.extract.models.resolve import resolve
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import export
from circuitome.graphdb.schema import RELATIONSHIPS
from circuitome.graphdb.stores.local_server import LocalServer, admin, free_port, missing
from circuitome.queries.catalogue import library
from circuitome.queries.database import open_database
from circuitome.queries.values import bind
from tests.support import planted_kinds
from tests.support.compare_stores import command_differences, differences
from tests.support.synthetic import annotated
from tests.support.trials import Tally, attempt

ARCHITECTURES = Path(__file__).parents[1] / "support" / "architectures"
RESNET, MTCNN, INCEPTION = (
    str(ARCHITECTURES / name) for name in ("cifar_resnet.py", "mtcnn.py", "inception_v3_2015.py")
)
REAL = {
    "resnet20": (f"{RESNET}:resnet20", "resnet20_cifar10"),
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet"),
    "onet": (f"{MTCNN}:onet", "mtcnn_onet"),
    "pnet": (f"{MTCNN}:pnet", "mtcnn_pnet"),
    "rnet": (f"{MTCNN}:rnet", "mtcnn_rnet"),
    "resnet20_seedC": (f"{RESNET}:resnet20", "resnet20_cifar10_seedC"),
    "resnet20_seedD": (f"{RESNET}:resnet20", "resnet20_cifar10_seedD"),
    "resnet32": (f"{RESNET}:resnet32", "resnet32_cifar10"),
    "resnet56": (f"{RESNET}:resnet56", "resnet56_cifar10"),
    "squeezenet1_0": ("squeezenet1_0", "squeezenet1_0_deepcompression"),
    "inception_early": (f"{INCEPTION}:early", "inception_v3_tf2015_early"),
    "inception_late": (f"{INCEPTION}:late", "inception_v3_tf2015_late_fp16"),
}


MANY = (
    200_000  # relationships; more are brought in by the import tool, to a server with more memory
)
FEW = 8  # edges of a receiver, if every query and command is asked of two engines


def networks(*often: str) -> list[Any]:
    """All networks, as parameters; those not named wait for `make torture`."""
    slow = [pytest.mark.torture, pytest.mark.timeout(1800)]
    return [
        pytest.param(name, marks=[] if name in often else slow) for name in ("menagerie_s0", *REAL)
    ]


def resolved(name: str, weights_dir: Path) -> Network:
    """A network by its name here, with its trained weights."""
    if name not in REAL:
        return resolve(name)
    spec, weights = REAL[name]
    return resolve(spec, weights=str(weights_dir / f"{weights}.safetensors"), name=name)


def extracted(network: Network, folder: Path, *, top: int | None = None) -> Bundle:
    """Its bundle, of each receiver the ``top`` strongest edges."""
    bare = Network(
        network.model,
        name=network.name,
        input_shape=network.input_shape,
        labels=network.labels,
    )
    return extract(bare, output=folder / network.name, keep=Pruning(top=top))


@pytest.fixture(
    scope="module", params=networks("menagerie_s0", "resnet20", "squeezenet1_1", "onet")
)
def network(request, weights_dir) -> Network:
    return resolved(request.param, weights_dir)


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory) -> Bundle:
    return extracted(network, tmp_path_factory.mktemp("real"))


def test_the_graph_is_the_network(bundle, network):
    assert [check for check in verify(bundle, network.model) if not check.ok] == []


def test_what_was_kept_and_dropped_adds_up(bundle):
    neurons = bundle.table("Neuron").to_pylist()
    counts = bundle.manifest.counts
    assert sum(row["fan_in"] for row in neurons) == counts["edges"] + counts["dropped"]


def test_it_answers_from_a_database(bundle, network, tmp_path):
    with open_store(str(tmp_path / "real.db"), create=True) as database:
        database.load(bundle)
        last = bundle.table("Layer").to_pylist()[-1]
        rows = database.query("inputs", neuron=f"{last['key']}:0").to_dicts()
        assert rows
        assert rows[0]["share"] == max(row["share"] for row in rows)
        layers = database.query("layers").to_dicts()
        assert sum(row["neurons"] for row in layers) == bundle.manifest.counts["neurons"]


def described(bundle: Bundle, folder: Path) -> Bundle:
    """A copy with kinds, families and many pairs that are made up: they say nothing of it, but
    queries about them have rows.
    """
    copy = annotated(Bundle.open(shutil.copytree(bundle.path, folder / "described")))
    rng, pairs = np.random.default_rng(0), []
    for layer in copy.table("Layer").to_pylist():
        for first, second in np.sort(
            rng.integers(layer["channels"], size=(2 * layer["channels"], 2)), axis=1
        ).tolist():
            transform, amount = (("flip_h", 1.0), ("rotate", 90.0), ("rotate", -90.0))[
                rng.integers(3)
            ]
            if first < second:
                ends = f"{layer['key']}:{first}", f"{layer['key']}:{second}"
                pairs.append((*ends, transform, amount, (0.01, 0.04, 0.4, None)[rng.integers(4)]))
    return planted_kinds.annotate(copy, {}, pairs)


@contextlib.contextmanager
def served(bundle: Bundle, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Address of a Neo4j server that holds the bundle: the one of the test run, or one of its
    own where there is much to hold.
    """
    if sum(map(bundle.rows, RELATIONSHIPS)) <= MANY:
        address = request.getfixturevalue("neo4j_empty").address
        with open_store(address) as store:
            store.load(bundle)
        yield address
        return
    if reason := missing():
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    csv = export(bundle, "neo4j-admin", folder / "csv")
    script = (csv / "import.sh").read_text()
    command = (
        script[script.index("database import full") :]
        .replace('"${1:-neo4j}"', "neo4j")
        .replace("\\\n", " ")
    )
    server = LocalServer(folder / "home", port=free_port(), heap="2g", page_cache="512m")
    server.prepare()
    with contextlib.chdir(csv):
        admin(server.home, command.split())
    with server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEO4J_PASSWORD", server.password)
        patch.delenv("NEO4J_USER", raising=False)
        with neo4j.GraphDatabase.driver(
            server.address, auth=(server.user, server.password)
        ) as driver:
            for statement in (csv / "finish.cypher").read_text().split(";\n")[:-1]:
                driver.execute_query(neo4j.Query(statement))  # pyright: ignore[reportArgumentType]
            driver.execute_query("CALL db.awaitIndexes(600)")
        yield server.address


class Asked(Tally):
    """What was asked of both stores, and what they answered differently."""

    def __init__(self) -> None:
        super().__init__("questions and commands on both engines")
        self.answered: set[str] = set()

    def ask(self, file: Path, address: str, model: str, *, only: Any = None) -> None:
        """Every query and every reading command about a model; ``only`` picks commands by their
        arguments.
        """
        with open_database(str(file)) as one, open_database(address) as other:
            self.faults += differences(one, other, model, say=self._count)
        self.faults += command_differences(str(file), address, model, say=self._count, only=only)

    def _count(self, what: str, rows: int, *seconds: float) -> None:
        self.tried += 1
        self.answered |= {what} if rows else set()


def not_twice(line: list[str]) -> bool:
    """Whether a command does more than print what the query of a motif answers."""
    return line[0] != "motifs" or "--null" in line


@pytest.mark.parametrize("network", networks("menagerie_s0"), indirect=True)
def test_both_stores_answer_every_query_and_command_alike(network, request, tmp_path):
    short = request.node.get_closest_marker("torture") is None
    bundle = described(extracted(network, tmp_path, top=FEW if short else None), tmp_path)
    asked = Asked()
    with open_store(str(tmp_path / "real.db"), create=True) as embedded:
        embedded.load(bundle)
    with served(bundle, request, tmp_path) as address:
        asked.ask(tmp_path / "real.db", address, bundle.model, only=not_twice if short else None)
    asked.report()
    assert {
        "edges",
        "equivariant_pairs",
        "families",
        "family_members",
        "neurons_of_kind",
        "models",
    } <= asked.answered


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_both_stores_answer_alike_about_two_networks_that_were_annotated_and_compared(
    neo4j_empty, weights_dir, ground_truth_dir, tmp_path
):
    bundles, asked = [], Asked()
    for name in ("menagerie_s0", "resnet20"):
        network = resolved(name, weights_dir)
        bundles.append(annotate(extracted(network, tmp_path), network.model, twins=3, device="cpu"))
    paths = [bundle.path for bundle in bundles]
    for address in (tmp_path / "real.db", neo4j_empty.address):
        lines: list[list[Any]] = [
            ["load", *paths],
            ["compare", *paths, "--published", ground_truth_dir],
        ]
        lines += [
            ["motifs", "--null", "9", "--save", "--model", bundle.model] for bundle in bundles
        ]
        for line in lines:
            done = attempt(*line, "--db", address)
            assert done.code == 0, (line, done.err, done.crash)
    for bundle in bundles:
        asked.ask(tmp_path / "real.db", neo4j_empty.address, bundle.model)
    asked.report()
    assert {
        *(
            "mutual_matches",
            "features_by_models",
            "feature_members",
            "periodic_table",
            "preserved_circuits",
        ),
        *(
            "matched_families",
            "layer_alignment",
            "read_outs",
            "unique_neurons",
            "published_features",
        ),
        *("saved_motifs", "motif_members", "enrichments", "partners", "analogues"),
    } <= asked.answered


def looked_at(plan: dict[str, Any]) -> int:
    """Records that a plan made Neo4j look at."""
    return plan.get("dbHits", 0) + sum(map(looked_at, plan.get("children", [])))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("posed_pairs", 200),
        ("opponent_pairs", 40),
        ("mirrored_unions", 25),
        ("polysemantic_neuron", 50),
    ],
)
def test_the_server_looks_at_few_records_for_each_relationship(neo4j_empty, tmp_path, name, most):
    """What takes minutes on a real network is seen at once in the plan: twice as many, or more,
    where each pair walks a fan-out.
    """
    bundle = planted_kinds.randomly_annotated(
        tmp_path / "toy", seed=0, density=1.0, layers=(3, 40, 40, 40, 8)
    )
    relationships = sum(map(bundle.rows, RELATIONSHIPS))
    query = library()[name]
    given = bind(name, query.parameters, {"model": bundle.model, "strength": 1.0})
    text: Any = f"PROFILE {query.text_for('neo4j')}"
    with neo4j.GraphDatabase.driver(
        neo4j_empty.address, auth=("neo4j", neo4j_empty.password)
    ) as driver:
        with open_store(neo4j_empty.address) as store:
            store.load(bundle)
            store.drop(bundle.model)
            driver.execute_query(text, given)  # the server keeps this plan for an empty database
            store.load(bundle)
        answer = driver.execute_query(text, given)
    assert answer.records
    assert looked_at(answer.summary.profile or {}) <= most * relationships
