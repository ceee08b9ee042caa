"""Cost of a graph against the cost of running the network once: all signed edges of GoogLeNet on
the CPU.

Prints seconds for one forward pass of 32 images, for computing every edge, for computing and
writing the whole bundle (tracing excluded), and their ratios. Best of ``--repeats``; random
weights, since the work does not depend on them. Goals: edges <= 0.2 x, bundle <= 1.0 x one forward
pass.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from circuitome.extract.edges import KEEP_ALL
from circuitome.extract.inputs import shapes_of
from circuitome.extract.models.resolve import resolve
from circuitome.extract.pipeline import Options, write_bundle
from circuitome.extract.tables import layer_edges
from circuitome.extract.trace.tracing import trace
from circuitome.graphdb.bundle_writer import BundleWriter


def best(repeats: int, work: Callable[[], object]) -> float:
    """Least wall-clock seconds of ``work`` over ``repeats`` runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="googlenet")
    options = parser.parse_args()
    network = resolve(options.model, weights="random")
    images = torch.randn(32, *shapes_of(network.input_shape)[0])
    cpu = torch.device("cpu")
    traced = trace(network.model, network.input_shape)

    def forward() -> None:
        with torch.inference_mode():
            network.model(images)

    def edges() -> int:
        layers = range(len(traced.wiring.layers))
        return sum(
            len(run.sender)
            for layer in layers
            for run, _, _ in layer_edges(traced, layer, KEEP_ALL, cpu)
        )

    def bundle() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_bundle(
                BundleWriter(Path(folder) / "net"),
                {"key": network.name},
                traced,
                keep=KEEP_ALL,
                options=Options(span=None, device="cpu"),
            )

    once = best(options.repeats, forward)
    print(f"{options.model}: {edges():,} edges, {torch.get_num_threads()} threads")
    print(f"forward pass of 32 images    {once:7.3f} s")
    for what, work in (("computing all edges", edges), ("computing and writing all", bundle)):
        seconds = best(options.repeats, work)
        print(f"{what:28} {seconds:7.3f} s   {seconds / once:5.2f} x the forward pass")


if __name__ == "__main__":
    main()
