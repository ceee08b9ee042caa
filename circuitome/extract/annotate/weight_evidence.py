"""Equivariance by weights alone: is one neuron's fan-in another's, turned, with its inputs replaced by their own partners?

In a layer that reads the image the transform itself moves the inputs (a hue turns colours). In deeper layers the partners that
were found for the layers below say where an input goes, and an input that the transform leaves alone stays itself: so equivariance is
followed from layer to layer. Null: the same with surrogate filters. Only transforms that move kernel entries to kernel entries
are asked: quarter turns, reflections, hue and inversion. *Naturally Occurring Equivariance in Neural Networks* (Distill, 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from circuitome.extract.annotate.pairs import GroupScores, Pair, find_pairs, weight_scores
from circuitome.extract.annotate.scoring import ANGLES, can_pair
from circuitome.extract.responses.twins import surrogates
from circuitome.extract.stimuli.transforms import IDENTITY, Transform
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.wiring import Layer, Wiring

__all__ = ["weight_pairs"]

ASKED: Final[Mapping[str, tuple[float, ...]]] = {
    "rotate": (90.0, 180.0),
    "flip_h": (1.0,),
    "flip_v": (1.0,),
    "hue": (60.0, 120.0, 180.0),
    "invert": (1.0,),
}
NEAR: Final = 15.0  # degrees by which a partner's angle may miss
KEPT: Final = float(np.sqrt(0.5))
"""Correlation of an input with itself from which on the transform is said to leave it alone."""


def weight_pairs(
    traced: Trace, index: int, pieces: Mapping[int, Any], *, nulls: int, seed: int
) -> list[Pair]:
    """Pairs of one layer by its filters; ``pieces`` are the findings by responses of the layers below."""
    wiring = traced.wiring
    layer = wiring.layers[index]
    if layer.op not in ("conv", "linear") or layer.groups != 1 or not can_pair(wiring, index):
        return []
    kernel = traced.kernels[f"kernel/{layer.name}"].astype(np.float64)
    reads_image = wiring.reads_image(index)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    null = surrogates(
        torch.as_tensor(kernel), nulls, generator=generator, colours=reads_image
    ).numpy()
    every = [kernel, *null]
    plain = np.stack([weight_scores(one, IDENTITY, np.eye(layer.fan_in)) for one in every])
    groups = []
    for group, amounts in ASKED.items():
        asked = [
            (amount, _inputs(wiring, layer, Transform(group, amount), pieces)) for amount in amounts
        ]
        asked = [(amount, partners) for amount, partners in asked if reads_image or partners.any()]
        if asked:
            scores = np.stack(
                [
                    np.stack(
                        [
                            weight_scores(
                                one, Transform(group, amount), None if reads_image else partners
                            )
                            for amount, partners in asked
                        ]
                    )
                    for one in every
                ]
            )
            numbers = np.array([amount for amount, _ in asked])
            period = 360.0 if group in ANGLES else None
            groups.append(
                GroupScores(group, numbers, period, scores[0], plain[0], scores[1:], plain[1:])
            )
    return find_pairs(groups)


def _inputs(
    wiring: Wiring, layer: Layer, transform: Transform, pieces: Mapping[int, Any]
) -> np.ndarray:
    """``(fan_in, fan_in)``: how much input b is input a under the transform, by the findings of the layers they come from."""
    partners = np.zeros((layer.fan_in, layer.fan_in))
    for source in {link.source for link in layer.links}:
        piece = pieces.get(source)
        if piece is None:
            continue
        place = np.full(wiring.layers[source].channels, -1)
        for link in layer.links:
            if link.source == source:
                place[link.channels] = link.positions
        for a, b, score in _relations(piece, transform):
            if place[a] >= 0 and place[b] >= 0:
                partners[place[a], place[b]] = max(partners[place[a], place[b]], score)
    return partners


def _relations(piece: Mapping[str, Any], transform: Transform) -> Iterator[tuple[int, int, float]]:
    """Neurons a and b of one layer where b is a under the transform, and the score."""
    own: Sequence[float] = piece["invariance"].get(transform.group, ())
    for neuron, score in enumerate(own):
        if score >= KEPT:
            yield neuron, neuron, score
    for pair in piece["pairs"]:
        if pair["group"] != transform.group or pair["q"] > 0.05:
            continue
        for a, b, amount in (
            (pair["i"], pair["j"], pair["amount"]),
            (pair["j"], pair["i"], -pair["amount"]),
        ):
            if (
                transform.group not in ANGLES
                or abs((amount - transform.amount + 180) % 360 - 180) <= NEAR
            ):
                yield a, b, pair["score"]
