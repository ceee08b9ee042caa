"""Large networks of torchvision in the embedded database: seconds, bytes and memory.

    python benchmarks/bench_load_large.py resnet18 resnet50 densenet121

Every network has random weights, and its edges are pruned by default. It is extracted and loaded
in processes of their own, so that the memory is the load's alone. The measurements go into
`results/load_large.jsonl`, in place of those of the same networks, and the table of them into
`docs/architectures.md`. Gigabytes of disk are needed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Row, about, read, write
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import WEIGHTED
from circuitome.queries.database import open_database

NETWORKS: Final = ("resnet18", "resnet50", "densenet121")
NAME: Final = "load_large"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--bundle", type=Path, help="load this one and print what was measured")
    options = parser.parse_args()
    if options.bundle:
        print(json.dumps(loaded(options.bundle)))
        return
    for network in options.networks:
        rows = {row["network"]: row for row in read(NAME)} | {network: measured(network)}
        print(rows[network], flush=True)
        write(NAME, sorted(rows.values(), key=lambda row: row["edges"]), origin=about(NAME))
    result_pages.main()


def measured(network: str) -> Row:
    """What loading one network takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / f"{network}.circuitome"
        extract = ["-m", "circuitome", "extract", network, "--weights", "random", "-o", str(bundle)]
        subprocess.run([sys.executable, *extract], check=True, capture_output=True)
        load = [sys.executable, __file__, "--bundle", str(bundle)]
        return json.loads(subprocess.run(load, check=True, capture_output=True).stdout)


def loaded(path: Path) -> Row:
    """What loading a bundle takes, and asking for the inputs of its last neuron."""
    bundle, database = Bundle.open(path), path.with_suffix(".db")
    start = time.perf_counter()
    with open_database(database, create=True) as opened:
        opened.load(bundle)
        seconds, processor = time.perf_counter() - start, sum(os.times()[:2])
        neuron = bundle.table("Neuron")["key"][-1].as_py()
        start = time.perf_counter()
        rows = list(opened.ask("inputs", neuron=neuron))
        asked = time.perf_counter() - start
    if not rows:
        raise SystemExit(f"{neuron}: no inputs")
    return {
        "network": bundle.model,
        "edges": sum(map(bundle.rows, WEIGHTED)),
        "bundle": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "database": database.stat().st_size,
        "seconds": seconds,
        "processor": processor,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux: KiB
        "inputs": asked,
    }


if __name__ == "__main__":
    main()
