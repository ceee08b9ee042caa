"""Draw a family: its members in the order of their offsets, as what drives them on average and as
their best stimulus.

``python benchmarks/draw_families.py BUNDLE MODEL FAMILY... --output PICTURE.png [--weights FILE]``:
BUNDLE is annotated, FAMILY a key such as ``squeezenet1_1/features.4.expand3x3/f1``. Upper row of a
family: the response-weighted average of 3,000 random stimuli (for a linear neuron, its filter);
lower row: the strongest trial of the catalogue. Offsets are written above.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from circuitome.extract.inputs import shapes_of
from circuitome.extract.models.about import About
from circuitome.extract.models.resolve import resolve
from circuitome.extract.responses.cells import Top
from circuitome.extract.responses.probes import plan, symmetric_side
from circuitome.extract.responses.runner import Subject, units_around
from circuitome.extract.responses.stage import Stage
from circuitome.extract.stimuli.catalogue import catalogue
from circuitome.extract.stimuli.ensemble import ensemble
from circuitome.extract.stimuli.transforms import IDENTITY
from circuitome.extract.trace.tracing import trace
from circuitome.graphdb.bundle import Bundle

SHOWN = 3000


def responses(stage: Stage, index: int, patches: torch.Tensor) -> np.ndarray:
    """Activations ``(n, C)`` of the units that the patches are centred on."""
    with torch.no_grad():
        maps = stage.maps(patches)[stage.wiring.layers[index].node]
        around = units_around(stage.probe, stage.fields[index], maps, margin=0)
        active = stage.subject.activation(index, around)
    return active[: len(patches), :, 0].numpy()


def pictures(stage: Stage, index: int, radius: float) -> tuple[Any, Any]:
    """Average stimulus and best stimulus of every neuron of a layer, ``(C, side, side, 3)``
    each.
    """
    probe = stage.probe
    channels, stride = stage.wiring.layers[index].channels, stage.stride
    random, average = (
        ensemble(SHOWN, probe.side, radius, seed=7),
        np.zeros((channels, 3 * probe.side**2)),
    )
    weights = []
    for start in range(0, SHOWN, stride):
        patches = random.draw(IDENTITY, start, min(start + stride, SHOWN))
        weights.append(responses(stage, index, patches))
    scores = np.concatenate(weights)
    scores = (scores - scores.mean(0)) / np.maximum(scores.std(0), 1e-9)
    for start in range(0, SHOWN, stride):
        patches = (
            random.draw(IDENTITY, start, min(start + stride, SHOWN))
            .numpy()
            .reshape(-1, average.shape[1])
        )
        average += scores[start : start + len(patches)].T @ (patches - 0.5)
    shown, top = catalogue(probe.side, radius, seed=0, scarce=probe.whole), Top(1, channels)
    for start in range(0, len(shown), stride):
        patches = shown.draw(start, min(start + stride, len(shown)))
        top.add(
            np.arange(start, start + len(patches)),
            responses(stage, index, patches),
        )
    best = np.stack(
        [shown.draw(int(trial), int(trial) + 1)[0].numpy() for trial in top.trials[:, 0]]
    )
    shape = (channels, 3, probe.side, probe.side)
    return average.reshape(shape).transpose(0, 2, 3, 1), best.transpose(0, 2, 3, 1)


def main() -> None:
    """Draw the families that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("model")
    parser.add_argument("families", nargs="+")
    parser.add_argument("--weights")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    row = bundle.manifest.model
    network = resolve(options.model, weights=options.weights, said=About(row["input_shape"] or ()))
    first = trace(network.model, network.input_shape)
    side = symmetric_side(first.wiring)
    traced = trace(network.model, (shapes_of(network.input_shape)[0][0], side, side))
    subject = Subject.of(network.model, traced)
    subject = replace(subject, mean=row.get("mean"), std=row.get("std"))
    layers = [layer.name for layer in traced.wiring.layers]
    fields = {
        entry["name"]: entry["effective_receptive_field"]
        for entry in bundle.table("Layer").to_pylist()
    }
    members = bundle.table("MEMBER_OF").to_pylist()
    drawn = []
    for family in options.families:
        index = layers.index(family.removeprefix(f"{bundle.model}/").rpartition("/")[0])
        probe = next(probe for probe in plan(traced.wiring) if index in probe.layers)
        stage = Stage.of(subject, probe, [index], batch=8)
        radius = float(np.clip(max(fields[layers[index]]) / 2, 3, probe.side / 2))
        found = pictures(stage, index, radius)
        own = sorted(
            (m["offset"], int(m["from"].rpartition(":")[2])) for m in members if m["to"] == family
        )
        drawn.append((family, own, found, radius))
    draw(drawn, options.output)


def draw(drawn: list[Any], output: Path) -> None:
    """Two rows of pictures a family."""
    columns = max(len(own) for _, own, _, _ in drawn)
    figure, axes = plt.subplots(
        2 * len(drawn), columns, figsize=(1.1 * columns, 2.5 * len(drawn)), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for number, (_, own, (average, best), radius) in enumerate(drawn):
        for place, (offset, channel) in enumerate(own):
            middle = average.shape[1] // 2
            reach = max(2, min(middle, int(np.ceil(radius))))
            part = slice(middle - reach, middle + reach + 1)
            filters = average[channel][part, part]
            axes[2 * number, place].imshow(0.5 + 0.5 * filters / np.abs(filters).max())
            axes[2 * number, place].set_title(
                f"{channel}\n{offset:.0f}°" if abs(offset) > 2 else f"{channel}\n{offset:.2g}",
                fontsize=8,
            )
            axes[2 * number + 1, place].imshow(np.clip(best[channel][part, part], 0, 1))
    figure.tight_layout(pad=0.3)
    figure.savefig(output, dpi=90)


if __name__ == "__main__":
    main()
