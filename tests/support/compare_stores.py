"""The rows of every library query and reading command, from two databases that hold the same
models; by hand as well as in the tests.

python -m tests.support.compare_stores circuitome.db bolt://127.0.0.1:7687 [MODEL...]
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from circuitome.queries.catalogue import library
from circuitome.queries.database import Database, open_database
from circuitome.queries.motifs import MOTIFS
from tests.support.trials import attempt

__all__ = [
    "NOT_COMPARED",
    "NOT_OF_LARGE",
    "alike",
    "command_differences",
    "commands",
    "differences",
    "questions",
]

PATIENCE = 900.0  # seconds for one query: what is compared is rows, not speed
MANY = 300_000  # edges; of larger networks only the strong ones are listed
# edges; in larger networks bare motifs are asked of the strongest alone: there are billions
TOO_MANY = 1_000_000
Question = tuple[str, dict[str, Any]]
Say = Callable[[str, int, float, float], None]
"""Called with what was asked, its number of rows, and the seconds of both engines."""
NOT_COMPARED = {
    "extract": "reads weights, no database",
    "annotate": "reads a bundle, no database",
    "verify": "reads a bundle, no database",
    "check": "reads a bundle, no database",
    "load": "writes: tests/graphdb/test_stores.py",
    "drop": "writes: tests/graphdb/test_stores.py",
    "compare": "writes where it is given a database",
    "demo": "makes a database of its own",
    "thread": "writes: tests/thread/test_graph.py",
    "thread-check": "makes a database of its own",
    "schema": "engines differ: constraints, indexes and names of types",
}
"""Commands whose answers are not compared, each with the reason."""
_MEMORY: Final = "the embedded engine needs more than 1 GiB"
NOT_OF_LARGE: Final = {
    **dict.fromkeys(
        (
            "mirrored_unions",
            "opponent_pairs",
            "polysemantic_neuron",
            "push_pull",
            "residual_bypass",
        ),
        _MEMORY,
    ),
    "latent_branches": "reads all edges, as `superposition_read_back` does, then sums that no "
    "engine does",
    "motifs superposition_read_back": "reads all edges: the query of that name is asked",
    "motifs --null": "reads all edges, as `superposition_read_back` does, then sums that no "
    "engine does",
}
"""What is not asked of networks with more than a million edges, each with the reason."""


def questions(database: Database, model: str) -> Iterator[Question]:
    """Every query of the library with parameters that make sense for the model; some with
    several.
    """
    layers = database.ask("layers", model=model).to_dicts()
    receivers = [row["layer"] for row in layers if row["reads"]]
    middle, last = receivers[len(receivers) // 2], receivers[-1]
    width = {row["layer"]: row["neurons"] for row in layers}
    source, one, other, end = (
        f"{layers[0]['layer']}:0",
        f"{middle}:0",
        f"{middle}:{width[middle] - 1}",
        f"{last}:0",
    )
    edges = sum(row["edges"] for row in database.ask("balance", model=model))
    families = database.ask("families", model=model)
    pairs = database.ask("equivariant_pairs", model=model).to_dicts()[:1]
    given: dict[str, list[dict[str, Any]]] = {
        "edges": [{"strength": 4.0 if edges > MANY else 0.0}, {"layer": last}],
        "inputs": [{"neuron": one}, {"neuron": end, "limit": 1_000_000}],
        "outputs": [{"neuron": source, "limit": 1_000_000}, {"neuron": one}],
        "shared_inputs": [{"first": one, "second": other, "limit": 1_000_000}],
        "look_up": [{"neurons": [end, source, one, other]}],
        "inputs_of": [{"neurons": [one, other, end], "k": 50}],
        "outputs_of": [{"neurons": [source, one]}],
        "upstream": [{"neuron": end, "depth": 4, "k": 6}],
        "downstream": [{"neuron": source, "depth": 4, "k": 6}],
        "strongest_paths": [
            {"source": source, "target": end, "k": 25},
            {"source": source, "target": one},
        ],
        "hubs": [{"limit": 200}, {"strength": 0.5}],
        "superposition": [{}, {"limit": 200}],
        "latent_branches": [{"nulls": 9}],
        "residual_bypass": [{"min_score": 0.0, "limit": 1_000_000}],
        "mutual_inhibition": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "unioning_over_cases": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "mirrored_unions": [{}, {"transform": "rotate", "q": 1.0}],
        "tangent_circuit": [
            {"strength": 0.3, "min_inputs": 1, "min_score": -1.0, "limit": 1_000_000},
            {},
        ],
        "curve_to_circle": [
            {
                "points": "outwards",
                "strength": 0.3,
                "min_inputs": 1,
                "min_score": -1.0,
                "limit": 1_000_000,
            }
        ],
        "branch_cluster": [
            {"grouping": grouping, "limit": 1_000_000} for grouping in ("family", "kind")
        ],
        "neurons_of_kind": [
            {"kind": kind, "limit": 1_000_000} for kind in ("unexplained", "curve")
        ],
        "invariant_neurons": [
            {"transform": "rotate", "min_invariance": 0.5, "limit": 1_000_000},
            {"transform": "hue"},
        ],
        "look_up_motif": [{"motif": ""}],
        "motif_members": [
            {"motif": row["motif"]} for row in database.ask("saved_motifs", model=model, limit=3)
        ],
        "edges_between": [{"neurons": [source, one, other, end]}],
        "partners": [
            {"neuron": neuron}
            for neuron in (one, *(pair[end] for pair in pairs for end in ("first", "second")))
        ],
        "families_of": [
            {"neuron": neuron}
            for neuron in (one, *(row["neuron"] for row in families.to_dicts()[:1]))
        ],
        "family_members": [
            {"family": key} for key in sorted({row["family"] for row in families})[:3]
        ],
    }
    given |= {
        "features_of_kind": [{"kind": kind} for kind in ("unexplained", "curve")],
        "feature_members": [
            {"feature": row["feature"]} for row in database.ask("features_by_models", limit=3)
        ],
        "universal_edges": [
            {"senders": layers[0]["layer"], "receivers": receivers[0], "strength": 1.0}
        ]
        + [
            {"senders": row["senders"], "receivers": row["receivers"]}
            for row in database.ask("preserved_circuits", model=model).to_dicts()[:3]
        ],
    }
    block = next((row["block"] for row in database.ask("branches", model=model)), "").removeprefix(
        f"{model}/"
    )
    given["block_channel"] = [{"block": block, "channel": channel} for channel in (0, 20)]
    otherwise = {"neuron": one, "layer": middle, "list of neuron": [one, other], "model": model}
    for query in library().values():
        for parameters in (
            [] if query.name in NOT_OF_LARGE and edges > TOO_MANY else given.get(query.name, [{}])
        ):
            needed = {
                p.name: otherwise[p.type]
                for p in query.parameters
                if p.required and p.name not in parameters
            }
            yield query.name, needed | parameters


def commands(database: Database, model: str) -> Iterator[list[str]]:
    """Arguments of every reading command, but for --db and --json; of `query` and `motifs` one line
    a name.
    """
    layers = [row["layer"] for row in database.ask("layers", model=model) if row["reads"]]
    large = sum(row["edges"] for row in database.ask("balance", model=model)) > TOO_MANY
    neuron, patience = f"{layers[-1]}:0", ["--model", model, "--timeout", f"{PATIENCE:.0f}"]
    yield ["models"]
    for place in (neuron, f"{layers[len(layers) // 2]}:0"):
        yield ["neuron", place]
    yield ["circuit", neuron, "--depth", "3"]
    yield ["circuit", f"{layers[0]}:1", "--direction", "downstream"]
    yield ["families", "--model", model]
    yield ["families", "--layer", layers[0]]
    yield ["query", "inputs", "-p", f"neuron={neuron}"]
    yield ["query", "hubs", "-p", f"model={model}", "--limit", "7"]
    yield from (
        ["circuit", row["motif"]] for row in database.ask("saved_motifs", model=model, limit=3)
    )
    if len(database.ask("enrichments", model=model)):
        yield ["motifs", "--model", model]
    for kind in MOTIFS:
        left_out = large and not NOT_OF_LARGE.keys().isdisjoint({kind, f"motifs {kind}"})
        if kind != "weight_banding" and not left_out:  # that reads kernels, out of the bundle
            narrow = (
                ["-p", "strength=32"]
                if large and kind in ("mutual_inhibition", "unioning_over_cases")
                else []
            )
            few = ["-p", "nulls=9"] if kind == "latent_branches" else []
            yield ["motifs", kind, "--limit", "50", *narrow, *few, *patience]
    if not large:
        yield ["motifs", "--null", "2", *patience]
        yield ["motifs", "opponent-pairs", "--null", "9", *patience]


def alike(one: Any, other: Any) -> bool:
    """Whether two values out of JSON are equal, floats but for 1e-6 of their size."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return _same(one, other)


def differences(
    first: Database, second: Database, model: str, *, say: Say | None = None
) -> list[str]:
    """Where the two databases answer queries about the model differently; floats may differ by 1e-6
    of their size.
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


def command_differences(
    first: str,
    second: str,
    model: str,
    *,
    say: Say | None = None,
    only: Callable[[list[str]], bool] | None = None,
) -> list[str]:
    """Where the commands print different things about the model, or end otherwise, by the
    databases' addresses.

    ``only`` picks some of `commands`, by their arguments.
    """
    with open_database(first) as database:
        lines = [line for line in commands(database, model) if only is None or only(line)]
    return [
        f"{' '.join(line)}: {problem}"
        for line in lines
        for problem in _printed(line, first, second, say)
    ]


def _printed(line: Sequence[str], first: str, second: str, say: Say | None) -> Iterator[str]:
    """How two runs of a command differ, in words."""
    trials, seconds = [], []
    for address in (first, second):
        began = time.perf_counter()
        trials.append(attempt(*line, "--json", "--db", address))
        seconds.append(time.perf_counter() - began)
    one, other = trials
    rows = [
        json.loads(trial.out) if trial.code == 0 and not trial.crash else [] for trial in trials
    ]
    if say:
        say(" ".join(line), len(rows[0]), *seconds)
    if one.crash or other.crash or one.code != other.code:
        yield (
            f"exit codes {one.code} and {other.code}: {one.crash or one.err} and "
            f"{other.crash or other.err}"
        )
    elif one.err.replace(first, second) != other.err:
        yield f"{one.err!r} and {other.err!r}"
    yield from _different(*rows)


def _different(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """The first difference of two lists of rows, in words."""
    if len(one) != len(other):
        yield f"{len(one)} rows and {len(other)} rows"
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if not alike(left, right):
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
        both = models or [row["key"] for row in first.models() if row["key"] in held]
        found = [
            problem for model in both for problem in differences(first, second, model, say=_print)
        ]
    for model in both:
        found += command_differences(addresses[0], addresses[1], model, say=_print)
    print("\n".join(found) or "equal rows")
    return bool(found)


def _print(name: str, rows: int, one: float, other: float) -> None:
    print(f"  {name:60} {rows:9,} rows {one:8.2f} s {other:8.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3], sys.argv[3:]))
