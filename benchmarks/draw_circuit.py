"""Draw the front page's circuit: two neurons, the inputs that they share, and every kernel between.

``python benchmarks/draw_circuit.py [PICTURE.png]`` needs no annotation and no image: the pictures
of neurons are their linearised filters of the image (`extract.expanded`), and the kernels are the
bundle's. The two neurons are the pair of `LAYER` that is most opposed, by the sum of two cosines,
of their fan-ins and of their linearised filters; the inputs are those with the largest shares.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from circuitome.extract import Network, extract
from circuitome.extract.expanded import expand
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import load

__all__ = ["Drawn", "draw", "main", "opposed"]

NETWORK, SENDERS, LAYER = "menagerie_s0", "reduce2.conv", "conv2.conv"
SHOWN = 6
"""Inputs in the picture."""
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "circuit_menagerie_s0.png"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Two receivers, the senders that they share, and what joins them."""

    receivers: tuple[int, int]
    senders: list[int]
    cosine: float
    """Of the fan-ins of the two receivers."""
    shares: np.ndarray
    """``(2, senders)``: of each receiver's squared fan-in norm."""
    kernels: np.ndarray
    """``(2, senders, height, width)``."""
    faces: tuple[np.ndarray, np.ndarray]
    """Linearised filters of all receivers and of all senders, ``(C, 3, side, side)`` each."""


def opposed(bundle: Bundle) -> Drawn:
    """The pair of `LAYER` with the most opposed fan-ins, and its strongest shared inputs."""
    wiring, arrays = Wiring.from_json(bundle.wiring), bundle.kernels.arrays()
    kernels = np.asarray(expand(wiring, arrays, [SENDERS], LAYER)[SENDERS].kernel)
    filters = [
        np.asarray(expand(wiring, arrays, ["input"], name)["input"].kernel)
        for name in (LAYER, SENDERS)
    ]
    fan_ins = _cosines(kernels)
    opposition = fan_ins + _cosines(filters[0])
    first, second = np.unravel_index(np.argmin(opposition), opposition.shape)
    pair = sorted((int(first), int(second)))
    squares = (kernels[pair] ** 2).sum(axis=(2, 3))
    shares = squares / squares.sum(axis=1, keepdims=True)
    senders = [int(sender) for sender in np.argsort(-shares.sum(axis=0))[:SHOWN]]
    return Drawn(
        receivers=(pair[0], pair[1]),
        senders=senders,
        cosine=float(fan_ins[first, second]),
        shares=shares[:, senders],
        kernels=kernels[pair][:, senders],
        faces=(filters[0], filters[1]),
    )


def _cosines(kernels: np.ndarray) -> np.ndarray:
    """Cosines ``(C, C)`` of the kernels ``(C, ...)`` with each other."""
    flat = kernels.reshape(len(kernels), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return flat @ flat.T


def draw(drawn: Drawn, output: Path) -> None:
    """A row a receiver, a column an input; red excites, blue inhibits."""
    columns = len(drawn.senders) + 1
    figure, axes = plt.subplots(3, columns, figsize=(1.35 * columns, 4.5))
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, f"{SENDERS}\n(sends)", ha="center", va="center", fontsize=9)
    for place, sender in enumerate(drawn.senders):
        _face(axes[0, place + 1], drawn.faces[1][sender], f":{sender}")
    for row, receiver in enumerate(drawn.receivers):
        _face(axes[row + 1, 0], drawn.faces[0][receiver], f"{LAYER}:{receiver}")
        strongest = np.abs(drawn.kernels[row]).max()
        for place in range(len(drawn.senders)):
            kernel, share = drawn.kernels[row, place], drawn.shares[row, place]
            _kernel(axes[row + 1, place + 1], kernel, share, strongest)
    figure.tight_layout(pad=0.6)
    figure.savefig(output, dpi=100)
    plt.close(figure)


def _face(axis: Axes, kernel: np.ndarray, title: str) -> None:
    """A filter ``(3, side, side)`` as colours, grey where it is zero."""
    axis.imshow(np.clip(0.5 + 0.5 * kernel.transpose(1, 2, 0) / np.abs(kernel).max(), 0, 1))
    axis.set_title(title, fontsize=9)
    axis.set(xticks=[], yticks=[])


def _kernel(axis: Axes, kernel: np.ndarray, share: float, strongest: float) -> None:
    sign = "+" if kernel.sum() > 0 else "−"
    axis.imshow(kernel, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
    axis.set_title(f"{sign} {share:.0%}", fontsize=9, color="#a11" if sign == "+" else "#14a")
    axis.set(xticks=[], yticks=[])


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as folder:
        network = Network(load(NETWORK), name=NETWORK, input_shape=(3, 64, 64))
        bundle = extract(network, output=Path(folder) / NETWORK)
        drawn = opposed(bundle)
    draw(drawn, output)
    print(f"{LAYER}: {drawn.receivers}, cosine {drawn.cosine:.2f}, inputs {drawn.senders}")


if __name__ == "__main__":
    main()
