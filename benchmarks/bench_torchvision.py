"""Every classification CNN of torchvision, from its name to a proven bundle: the table of
docs/architectures.md.

Random weights (batch-norm statistics, affines and layer scales too), the published input size,
edges kept to 99 % of each neuron's squared fan-in norm, one process a network. ``python
benchmarks/bench_torchvision.py --write docs/architectures.md`` writes the table; names on the
command line restrict it. How the cost grows with size: `bench_growth.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NOT_CONVOLUTIONAL = ("vit_", "swin_", "maxvit")
BEGIN, END = "<!-- torchvision: begin -->\n", "<!-- torchvision: end -->"


def names() -> list[str]:
    """Classification networks of torchvision that are convolutional."""
    import torchvision

    every = torchvision.models.list_models(module=torchvision.models)
    return [name for name in every if not name.startswith(NOT_CONVOLUTIONAL)]


def measure(name: str) -> dict[str, Any]:
    """Extract and verify one network in this process."""
    from circuitome.extract import extract, verify
    from circuitome.extract.models.resolve import resolve
    from circuitome.extract.trace.tracing import trace

    network = resolve(name, weights="random")
    start = time.perf_counter()
    trace(network.model, network.input_shape)
    wired = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bundle = extract(network, output=Path(folder) / name)
        extracted = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        checks = verify(bundle, network.model)
        counts = bundle.manifest.counts
        kernels = sum(
            array.size
            for key, array in bundle.kernels.arrays().items()
            if key.startswith("kernel/")
        )
    return {
        "name": name,
        "input": network.input_shape[1],
        "layers": counts["layers"],
        "neurons": counts["neurons"],
        "edges": counts["edges"],
        "expanded": counts["expanded"],
        "not_expanded": counts["not_expanded"],
        "parameters": kernels,
        "wiring_s": wired - start,
        "extract_s": extracted - wired,
        "verify_s": time.perf_counter() - extracted,
        "peak_gb": peak,
        "error": max(check.error for check in checks),
        "passed": all(check.ok for check in checks),
    }


def run(name: str) -> dict[str, Any]:
    """`measure` in a process of its own, so that its peak memory is its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"name": name, "failure": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table, and the fit."""
    head = (
        "| network | input | layers | neurons | edges | expanded | wiring s | extraction s | "
        "peak GB | worst error | verify |\n"
    )
    lines = [head, "|---|" + "---:|" * 9 + "---|\n"]
    for row in rows:
        if "failure" in row:
            lines.append(f"| {row['name']} | | | | | | | | | | **failed**: {row['failure']} |\n")
            continue
        lines.append(
            f"| {row['name']} | {row['input']} | {row['layers']} | {row['neurons']:,} | "
            f"{row['edges']:,} | "
            f"{row['expanded']:,} | {row['wiring_s']:.1f} | {row['extract_s']:.1f} | "
            f"{row['peak_gb']:.1f} | "
            f"{row['error']:.1e} | {'passed' if row['passed'] else '**failed**'} |\n"
        )
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--one")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for name in options.names or names():
        rows.append(run(name))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows))
    if options.write:
        page = options.write.read_text()
        options.write.write_text(
            page.split(BEGIN)[0] + BEGIN + table(rows) + END + page.split(END)[1]
        )


if __name__ == "__main__":
    main()
