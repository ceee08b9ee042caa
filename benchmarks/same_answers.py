"""Whether two checkouts answer alike: bundles, rows of every library query on both engines, p and q
of every motif.

    python benchmarks/same_answers.py record CHECKOUT FOLDER [--weights DIR] [--neo4j]
    python benchmarks/same_answers.py compare FOLDER FOLDER

``record`` runs a checkout's own code (its folder comes first on the path) on the bundled networks
and, if its weights are there, on SqueezeNet 1.1, annotated with three twins. ``compare`` prints
what differs, row by row, and exits with 1 if anything does.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

BUNDLED = ("menagerie_s0", "menagerie_s1", "menagerie_s2")
LARGE = "squeezenet1_1"
NULLS = 19
NOT_ASKED_OF_LARGE = {
    "mutual_inhibition",
    "unioning_over_cases",
}  # billions of candidates without a null model
MADE_ANEW = {
    "circuitome",
    "created",
    "code",
    "drawing",
    "version",
    "torch",
    "numpy",
    "schema_version",
}
"""Entries of a manifest that say when and by what it was made."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("record", "compare", "_ask"))
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--neo4j", action="store_true", help="start a server and ask it, too")
    options = parser.parse_args()
    if options.verb == "compare":
        problems = list(differences(options.first, options.second))
        print("\n".join(problems) or "equal")
        return bool(problems)
    if options.verb == "_ask":
        return ask(options.second)
    return record(
        options.first.resolve(), options.second.resolve(), options.weights, server=options.neo4j
    )


def record(checkout: Path, folder: Path, weights: Path | None, *, server: bool) -> int:
    """Make bundles and databases with a checkout, and write down what it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}

    def circuitome(*arguments: str, into: str | None = None, refused: bool = False) -> bool:
        """Run a command; whether it was taken, if it may be ``refused``."""
        if into and (folder / into).exists():
            return True
        command = [sys.executable, "-m", "circuitome", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode and not refused:
            sys.exit(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        if into and not done.returncode:
            (folder / into).write_text(done.stdout)
        return not done.returncode

    given = {name: [name] for name in BUNDLED}
    if weights is not None:
        given[LARGE] = [LARGE, "--weights", str(weights / "squeezenet1_1_imagenet.safetensors")]
    for name, arguments in given.items():
        if (folder / f"{name}.circuitome").exists():
            continue
        circuitome("extract", *arguments, "-o", f"{name}.circuitome", "--force")
        circuitome("annotate", f"{name}.circuitome", *arguments, "--twins", "3")
    (folder / "all.db").unlink(missing_ok=True)
    for name in given:
        circuitome("load", f"{name}.circuitome", "--db", "all.db")
    bundled = [f"{name}.circuitome" for name in BUNDLED]
    circuitome("compare", *bundled, "--db", "all.db", "--json", into="compare.json")
    circuitome(
        "compare", *bundled, "--table", "--db", "all.db", "--json", into="compare_table.json"
    )
    circuitome("compare", *bundled, "--circuits", "--json", into="compare_circuits.json")
    for name in given:
        nulls = "199" if name in BUNDLED else "19"
        circuitome(
            "motifs",
            "--null",
            nulls,
            "--model",
            name,
            "--db",
            "all.db",
            "--json",
            into=f"summary_{name}.json",
        )
    circuitome(
        "motifs", "--null", "19", "--save", "--model", BUNDLED[0], "--db", "all.db", "--json"
    )
    listing = json.loads(_output(environment, folder, "motifs", "--list", "--json"))
    for kind in [row["kind"] for row in listing]:
        for name in given:
            if kind == "weight_banding" or (name == LARGE and kind in NOT_ASKED_OF_LARGE):
                continue
            lines = [
                "motifs",
                kind,
                "--model",
                name,
                "--db",
                "all.db",
                "--json",
                "--timeout",
                "900",
            ]
            into = f"motif_{kind}_{name}.json"
            if not circuitome(*lines, "--null", str(NULLS), into=into, refused=True):
                circuitome(*lines, into=into)
    for name in given:
        lines = [
            "motifs",
            "weight-banding",
            "--bundle",
            f"{name}.circuitome",
            "--model",
            name,
            "--db",
            "all.db",
            "--json",
        ]
        circuitome(*lines, into=f"motif_weight_banding_{name}.json")
        lines = [
            "motifs",
            "superposition-read-back",
            "--bundle",
            f"{name}.circuitome",
            "--model",
            name,
            "--db",
            "all.db",
        ]
        circuitome(*lines, "--null", "19", "--json", into=f"motif_read_back_responses_{name}.json")
    flags = ["--neo4j"] if server else []
    asking = [sys.executable, str(Path(__file__).resolve()), "_ask", ".", str(folder), *flags]
    return subprocess.run(asking, cwd=checkout, env=environment, check=False).returncode


def _output(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "circuitome", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


def ask(folder: Path) -> int:
    """Ask every library query of every model, with the parameters that the checkout's own tests
    use.
    """
    _ask(str(folder / "all.db"), folder / "queries_kuzu.jsonl")
    if "--neo4j" in sys.argv:
        from circuitome.graphdb.stores.local_server import LocalServer, free_port

        server = LocalServer(folder / "neo4j", port=free_port(), heap="2g", page_cache="512m")
        server.start(patience=200)
        os.environ["NEO4J_PASSWORD"] = server.password
        try:
            for name in sorted(path.name for path in folder.glob("*.circuitome")):
                _load(server.address, folder / name)
            _ask(server.address, folder / "queries_neo4j.jsonl", only=BUNDLED)
        finally:
            server.stop()
    return 0


def _load(address: str, bundle: Path) -> None:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import open_database

    with open_database(address, create=True) as database:
        database.load(Bundle.open(bundle))


def _ask(address: str, path: Path, only: tuple[str, ...] = ()) -> None:
    try:
        from tests.support.compare_stores import questions
    except ImportError:
        from tests.compare_stores import questions  # pyright: ignore[reportMissingImports]
    from circuitome.queries.database import open_database

    with open_database(address) as database, path.open("w") as file:
        for model in sorted(row["key"] for row in database.models()):
            if only and model not in only:
                continue
            for number, (name, parameters) in enumerate(questions(database, model)):
                rows = database.query(name, timeout=900, **parameters).to_dicts()
                file.write(json.dumps({"query": f"{model} {number} {name}", "rows": rows}) + "\n")


def differences(one: Path, other: Path) -> Iterator[str]:
    """What the second folder has otherwise than the first, in words."""
    for bundle in sorted(one.glob("*.circuitome")):
        yield from _bundle_differences(bundle, other / bundle.name)
    for path in sorted(one.glob("*.json")):
        yield from _different(path.name, json.loads(path.read_text()), _json(other / path.name))
    for path in sorted(one.glob("*.jsonl")):
        theirs = dict(_lines(other / path.name))
        for query, rows in _lines(path):
            yield from _different(f"{path.name} {query}", rows, theirs.pop(query, None))
        yield from (f"{path.name} {query}: only in the second" for query in theirs)


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open() as file:
        for line in file:
            entry = json.loads(line)
            yield entry["query"], entry["rows"]


def _different(name: str, one: Any, other: Any) -> Iterator[str]:
    if not isinstance(one, list) or not isinstance(other, list):
        if not alike(one, other):
            yield f"{name}: {str(one)[:200]} and {str(other)[:200]}"
        return
    if len(one) != len(other):
        yield f"{name}: {len(one)} rows and {len(other)} rows"
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if not alike(left, right):
            yield f"{name} row {number}: {str(left)[:300]} and {str(right)[:300]}"
            return


def _bundle_differences(one: Path, other: Path) -> Iterator[str]:
    for path in sorted(one.rglob("*")):
        name = path.relative_to(one.parent)
        twin = other / path.relative_to(one)
        if path.is_dir():
            continue
        if not twin.exists():
            yield f"{name}: not in the second"
        elif path.suffix == ".parquet":
            if not pq.read_table(path).equals(pq.read_table(twin)):
                yield f"{name}: other rows{_columns(path, twin)}"
        elif path.suffix == ".json":
            yield from _manifest_differences(
                str(name), json.loads(path.read_text()), json.loads(twin.read_text())
            )
        elif path.suffix in (".npy", ".npz"):
            if path.read_bytes() != twin.read_bytes():
                yield f"{name}: other numbers, at most {_worst(path, twin):.1e}"
        elif path.read_bytes() != twin.read_bytes():
            yield f"{name}: other bytes"


def _columns(path: Path, twin: Path) -> str:
    """Which columns differ, and by how much."""
    one, other = pq.read_table(path).to_pandas(), pq.read_table(twin).to_pandas()
    if one.shape != other.shape:
        return f": {one.shape} and {other.shape}"
    return ": " + ", ".join(str(name) for name in one if not one[name].equals(other[name]))


def _worst(path: Path, twin: Path) -> float:
    one, other = np.load(path), np.load(twin)
    if hasattr(one, "files"):
        return max(float(np.abs(one[name] - other[name]).max()) for name in one.files)
    return float(np.abs(one.astype(float) - other.astype(float)).max())


def _manifest_differences(name: str, one: Any, other: Any, place: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in MADE_ANEW and key not in ("sha256", "bytes"):
                yield from _manifest_differences(
                    name, one.get(key), other.get(key), f"{place}/{key}"
                )
    elif not alike(one, other):
        yield f"{name} {place}: {str(one)[:100]} and {str(other)[:100]}"


def alike(one: Any, other: Any) -> bool:
    """Whether two values out of JSON are equal, floats but for 1e-9 of their size."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (
            math.isnan(one) and math.isnan(other)
        )
    return type(one) is type(other) and one == other


if __name__ == "__main__":
    sys.exit(main())
