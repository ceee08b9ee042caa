"""The rows of every library query, from two databases that hold the same model; by hand as well as in the tests.

python -m tests.compare_stores circuitome.db bolt://127.0.0.1:7687 [MODEL...]
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from circuitome.queries.catalogue import library
from circuitome.queries.database import Database, open_database
from circuitome.queries.motifs import MOTIFS

__all__ = ["NOT_COMPARED", "alike", "commands", "differences", "questions"]

PATIENCE = 900.0  # seconds for one query: what is compared is rows, not speed
MANY = 300_000  # edges; of larger networks only the strong ones are listed
TOO_MANY = 1_000_000  # edges; in larger networks bare motifs are asked of the strongest alone: there are billions
Question = tuple[str, dict[str, Any]]
NOT_COMPARED = {
    "extract": "reads weights, no database",
    "annotate": "reads a bundle, no database",
    "verify": "reads a bundle, no database",
    "check": "reads a bundle, no database",
    "load": "writes: tests/test_stores.py",
    "drop": "writes: tests/test_stores.py",
    "compare": "writes where it is given a database",
    "demo": "makes a database of its own",
    "thread-check": "makes a database of its own",
    "schema": "engines differ: constraints, indexes and names of types",
}
"""Commands whose answers are not compared, each with the reason."""


def questions(database: Database, model: str) -> Iterator[Question]:
    """Every query of the library with parameters that make sense for the model; some with several."""
    layers = database.ask("layers", model=model).to_dicts()
    receivers = [row["layer"] for row in layers if row["reads"]]
    middle, last = receivers[len(receivers) // 2], receivers[-1]
    width = {row["layer"]: row["neurons"] for row in layers}
    source, one, other, end = f"{layers[0]['layer']}:0", f"{middle}:0", f"{middle}:{width[middle] - 1}", f"{last}:0"
    edges = sum(row["edges"] for row in database.ask("balance", model=model))
    families = database.ask("families", model=model)
    given: dict[str, list[dict[str, Any]]] = {
        "edges": [{"strength": 4.0 if edges > MANY else 0.0}],
        "inputs": [{"neuron": one}, {"neuron": end, "limit": 1_000_000}],
        "outputs": [{"neuron": source, "limit": 1_000_000}, {"neuron": one}],
        "shared_inputs": [{"first": one, "second": other, "limit": 1_000_000}],
        "look_up": [{"neurons": [end, source, one, other]}],
        "inputs_of": [{"neurons": [one, other, end], "k": 50}],
        "outputs_of": [{"neurons": [source, one]}],
        "upstream": [{"neuron": end, "depth": 4, "k": 6}],
        "downstream": [{"neuron": source, "depth": 4, "k": 6}],
        "strongest_paths": [{"source": source, "target": end, "k": 25}, {"source": source, "target": one}],
        "hubs": [{"limit": 200}, {"strength": 0.5}],
        "superposition": [{}, {"limit": 200}],
        "latent_branches": [{"nulls": 9}],
        "residual_bypass": [{"least": 0.0, "limit": 1_000_000}],
        "mutual_inhibition": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "unioning_over_cases": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "polysemantic_neuron": [{"strength": 8.0} if edges > TOO_MANY else {}],
        "mirrored_unions": [{}, {"transform": "rotate", "q": 1.0}],
        "tangent_circuit": [{"strength": 0.3, "inputs": 1, "least": -1.0, "limit": 1_000_000}, {}],
        "curve_to_circle": [{"points": "outwards", "strength": 0.3, "inputs": 1, "least": -1.0, "limit": 1_000_000}],
        "branch_cluster": [{"grouping": grouping, "limit": 1_000_000} for grouping in ("family", "kind")],
        "neurons_of_kind": [{"kind": kind, "limit": 1_000_000} for kind in ("unexplained", "curve")],
        "invariant_neurons": [{"transform": "rotate", "least": 0.5, "limit": 1_000_000}, {"transform": "hue"}],
        "look_up_motif": [{"motif": ""}],
        "motif_members": [{"motif": row["motif"]} for row in database.ask("saved_motifs", model=model, limit=3)],
        "edges_between": [{"neurons": [source, one, other, end]}],
        "family_members": [{"family": key} for key in sorted({row["family"] for row in families})[:3]],
    }
    given |= {
        "features_of_kind": [{"kind": kind} for kind in ("unexplained", "curve")],
        "feature_members": [{"feature": row["feature"]} for row in database.ask("features_by_models", limit=3)],
        "universal_edges": [{"senders": layers[0]["layer"], "receivers": receivers[0], "strength": 1.0}]
        + [
            {"senders": row["senders"], "receivers": row["receivers"]}
            for row in database.ask("preserved_circuits", model=model).to_dicts()[:3]
        ],
    }
    block = next((row["block"] for row in database.ask("branches", model=model)), "").removeprefix(f"{model}/")
    given["block_channel"] = [{"block": block, "channel": channel} for channel in (0, 20)]
    otherwise = {"neuron": one, "layer": middle, "list of neuron": [one, other], "model": model}
    for query in library().values():
        for parameters in given.get(query.name, [{}]):
            needed = {p.name: otherwise[p.type] for p in query.parameters if p.required and p.name not in parameters}
            yield query.name, needed | parameters


def commands(database: Database, model: str) -> Iterator[list[str]]:
    """Arguments of every reading command, but for --db and --json; of `query` and `motifs` one line a name."""
    layers = [row["layer"] for row in database.ask("layers", model=model) if row["reads"]]
    neuron = f"{layers[-1]}:0"
    yield ["models"]
    yield ["neuron", neuron]
    yield ["circuit", neuron, "--depth", "3"]
    yield ["circuit", f"{layers[0]}:1", "--direction", "downstream"]
    yield ["families", "--model", model]
    yield ["families", "--layer", layers[0]]
    yield ["query", "inputs", "-p", f"neuron={neuron}"]
    yield ["query", "hubs", "-p", f"model={model}", "--limit", "7"]
    yield ["motifs", "--model", model, "--null", "9"]
    for kind in MOTIFS:
        if kind != "weight_banding":  # reads kernels, out of the bundle
            yield ["motifs", kind, "--model", model, "--limit", "50"]
    yield ["motifs", "opponent-pairs", "--model", model, "--null", "9"]


def alike(one: Any, other: Any) -> bool:
    """Whether two values out of JSON are equal, floats but for 1e-6 of their size."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return _same(one, other)


def differences(first: Database, second: Database, model: str, *, say: Any = None) -> list[str]:
    """Where the two databases answer differently about the model; floats may differ by 1e-6 of their size.

    ``say`` is called after every query with its name, its number of rows and the seconds of both.
    """
    found = []
    for name, parameters in questions(first, model):
        answers, seconds = [], []
        for database in (first, second):
            began = time.perf_counter()
            rows = database.query(name, timeout=PATIENCE, **parameters).to_dicts()
            seconds.append(time.perf_counter() - began)
            answers.append([row for row in rows if name != "models" or row["model"] == model])
        if say:
            say(name, len(answers[0]), *seconds)
        found += [f"{name} {parameters}: {problem}" for problem in _different(*answers)]
    return found


def _different(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The first difference of two lists of rows, in words."""
    if len(one) != len(other):
        yield f"{len(one)} rows and {len(other)} rows"
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if list(left) != list(right) or not all(_same(left[name], right[name]) for name in left):
            yield f"row {number}: {dict(left)} and {dict(right)}"
            return


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return type(one) is type(other) and one == other


def main(addresses: Sequence[str], models: Sequence[str]) -> int:
    """Compare the models that both databases hold; 1 where an answer differs."""
    with open_database(addresses[0]) as first, open_database(addresses[1]) as second:
        held = {row["key"] for row in second.models()}
        found = []
        for model in models or [row["key"] for row in first.models() if row["key"] in held]:
            print(model)
            found += differences(first, second, model, say=_print)
    print("\n".join(found) or "equal rows")
    return bool(found)


def _print(name: str, rows: int, one: float, other: float) -> None:
    print(f"  {name:22} {rows:9,} rows {one:8.2f} s {other:8.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3], sys.argv[3:]))
