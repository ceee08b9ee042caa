"""Large networks of torchvision in the embedded database: seconds, bytes and memory, as a Markdown
table.

    python benchmarks/bench_load_large.py resnet18 resnet50 densenet121

Every network has random weights, and its edges are pruned by default. It is extracted and loaded
in processes of their own, so that the memory is the load's alone. Gigabytes of disk are needed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import WEIGHTED
from circuitome.queries.database import open_database

NETWORKS = ("resnet18", "resnet50", "densenet121")
GIB = 1 << 30
HEAD = (
    "| network | edges of all kinds | bundle | database | database / bundle | load | memory "
    "| `inputs` |\n|---|---:|---:|---:|---:|---:|---:|---:|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--bundle", type=Path, help="load this one and print its row")
    options = parser.parse_args()
    if options.bundle:
        print(loaded(options.bundle), flush=True)
        return
    print(HEAD, flush=True)
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / f"{network}.circuitome"
            extract = ["extract", network, "--weights", "random", "-o", str(bundle)]
            subprocess.run(
                [sys.executable, "-m", "circuitome", *extract], check=True, capture_output=True
            )
            subprocess.run([sys.executable, __file__, "--bundle", str(bundle)], check=True)


def loaded(path: Path) -> str:
    """The row of one bundle."""
    bundle = Bundle.open(path)
    database = path.with_suffix(".db")
    start = time.perf_counter()
    with open_database(database, create=True) as opened:
        opened.load(bundle)
        seconds = time.perf_counter() - start
        neuron = bundle.table("Neuron")["key"][-1].as_py()
        start = time.perf_counter()
        rows = list(opened.ask("inputs", neuron=neuron))
        asked = time.perf_counter() - start
    assert rows
    sizes = [sum(file.stat().st_size for file in path.rglob("*")), database.stat().st_size]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    cells = [
        bundle.model,
        f"{sum(map(bundle.rows, WEIGHTED)):,}",
        *(f"{size / GIB:.2f} GiB" for size in sizes),
        f"{sizes[1] / sizes[0]:.1f}",
        f"{seconds:.0f} s",
        f"{memory / GIB:.1f} GiB",
        f"{asked:.2f} s",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
