"""What streaming responses costs beside the forward passes themselves: SqueezeNet 1.1 and two
twins, one thread or as set.

The catalogue of the deepest probe is shown to the network and its twins as `annotate` does it
(drawn, laid out, run, read, added to the statistics), and the same number of images is only run
through the same cut networks. Goal: 1.3 x.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from circuitome.extract.annotate.parts.kinds import show
from circuitome.extract.models.resolve import resolve
from circuitome.extract.responses.probes import plan
from circuitome.extract.responses.runner import Subject
from circuitome.extract.responses.stage import Stage
from circuitome.extract.responses.twins import twin
from circuitome.extract.stimuli.catalogue import catalogue
from circuitome.extract.trace.tracing import trace

SIDE, TWINS = 127, 10


def main() -> None:
    """Time both and print the ratio."""
    network = resolve("squeezenet1_1", weights="random")
    traced = trace(network.model, (3, SIDE, SIDE))
    subject = replace(Subject.of(network.model, traced), mean=network.mean, std=network.std)
    twins = [twin(network.model, seed) for seed in range(TWINS)]
    print(f"{torch.get_num_threads()} threads, {1 + TWINS} networks, images of {SIDE} pixels")
    for probe in plan(traced.wiring):
        shown = catalogue(probe.side, probe.side / 3, seed=0, scarce=probe.patches <= 4)
        stage = Stage.of(subject, probe, probe.layers)
        runner = stage.runner
        runners = [runner, *(runner.rebound(other) for other in twins)]
        count = -(-len(shown) // probe.patches)
        batches = [
            torch.rand(min(runner.batch, count - start), 3, SIDE, SIDE)
            for start in range(0, count, runner.batch)
        ]
        with torch.no_grad():
            for each in runners:
                each(batches[0])
            start = time.perf_counter()
            for images in batches:
                for each in runners:
                    each(images)
            plain = time.perf_counter() - start
        start = time.perf_counter()
        show(stage, probe.layers, shown, twins, lambda *_: None)
        seconds = time.perf_counter() - start
        print(
            f"{len(probe.layers):3} layers, {count:4} images: forward {plain:6.2f} s, "
            f"with responses {seconds:6.2f} s, {seconds / plain:.2f} x"
        )


if __name__ == "__main__":
    main()
