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

__all__ = ["differences", "questions"]

PATIENCE = 900.0  # seconds for one query: what is compared is rows, not speed
MANY = 300_000  # edges; of larger networks only the strong ones are listed
TOO_MANY = 1_000_000  # edges; in larger networks bare motifs are asked of the strongest alone: there are billions
Question = tuple[str, dict[str, Any]]


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
        "mutual_inhibition": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "unioning_over_cases": [{"strength": 32.0} if edges > TOO_MANY else {}],
        "branch_cluster": [{"grouping": grouping, "limit": 1_000_000} for grouping in ("family", "kind")],
        "neurons_of_kind": [{"kind": kind, "limit": 1_000_000} for kind in ("unexplained", "curve")],
        "invariant_neurons": [{"transform": "rotate", "least": 0.5, "limit": 1_000_000}, {"transform": "hue"}],
        "family_members": [{"family": key} for key in sorted({row["family"] for row in families})[:3]],
    }
    block = next((row["block"] for row in database.ask("branches", model=model)), "").removeprefix(f"{model}/")
    given["block_channel"] = [{"block": block, "channel": channel} for channel in (0, 20)]
    otherwise = {"neuron": one, "layer": middle, "list of neuron": [one, other], "model": model}
    for query in library().values():
        for parameters in given.get(query.name, [{}]):
            needed = {p.name: otherwise[p.type] for p in query.parameters if p.required and p.name not in parameters}
            yield query.name, needed | parameters


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
