"""Growth of the extraction with the size of the network: seconds against kernel parameters, and the
fit.

Tracing excluded, every edge computed and pruned to 99 % and the bundle written, random weights;
networks from SqueezeNet 1.1 to RegNetY-32GF. Prints the seconds of each and two fits: a line
through them (``seconds = start + rate * parameters``) and the exponent of a power law. Linear
growth is an exponent of 1.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from circuitome.extract.edges import KEEP_MOST
from circuitome.extract.models.resolve import resolve
from circuitome.extract.pipeline import Options, write_bundle
from circuitome.extract.trace.tracing import trace
from circuitome.graphdb.bundle_writer import BundleWriter

NETWORKS = (
    "squeezenet1_1",
    "googlenet",
    "resnet18",
    "resnet50",
    "regnet_y_8gf",
    "resnet152",
    "regnet_y_16gf",
    "regnet_y_32gf",
)


def measure(name: str) -> tuple[int, int, float]:
    """Kernel parameters, edges, and seconds of the extraction."""
    network = resolve(name, weights="random")
    traced = trace(network.model, network.input_shape)
    parameters = sum(
        array.size for key, array in traced.kernels.items() if key.startswith("kernel/")
    )
    with tempfile.TemporaryDirectory() as folder:
        writer = BundleWriter(Path(folder) / "net")
        start = time.perf_counter()
        options = Options(span=None, device="cpu")
        bundle = write_bundle(writer, {"key": name}, traced, keep=KEEP_MOST, options=options)
        return parameters, bundle.manifest.counts["edges"], time.perf_counter() - start


def main() -> None:
    """Measure every network and print the table and the fits."""
    print("| network | kernel parameters | kept edges | seconds |\n|---|---:|---:|---:|")
    rows = []
    for name in NETWORKS:
        parameters, edges, seconds = measure(name)
        rows.append((parameters, seconds))
        print(f"| {name} | {parameters:,} | {edges:,} | {seconds:.2f} |", flush=True)
    sizes, seconds = np.array(rows).T
    rate, start = np.polyfit(sizes, seconds, 1)
    fitted = start + rate * sizes
    r2 = 1 - np.square(seconds - fitted).sum() / np.square(seconds - seconds.mean()).sum()
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(
        f"\nseconds = {start:.2f} + {1e6 * rate:.3f} per million parameters, R2 {r2:.3f}; power "
        f"law: exponent {exponent:.2f}"
    )


if __name__ == "__main__":
    main()
