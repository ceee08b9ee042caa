"""Equivariance by weights alone: is one neuron's fan-in another's, with its inputs' partners?

In a layer that reads the image the transform itself moves the inputs (a hue turns colours). In
deeper layers the partners that were found for the layers below say where an input goes, and an
input that the transform leaves alone stays itself: so equivariance is followed from layer to layer.
Null: the same with surrogate filters. Only transforms that move kernel entries to kernel entries
are asked: quarter turns, reflections, hue and inversion. *Naturally Occurring Equivariance in
Neural Networks* (Distill, 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import torch

from circuitome.extract.annotate.pairs import GroupScores, Pair, find_pairs, weight_scores
from circuitome.extract.annotate.relations import Relations
from circuitome.extract.annotate.scoring import ANGLES, Nulls, can_pair
from circuitome.extract.responses.runner import Subject
from circuitome.extract.stimuli.transforms import IDENTITY, Transform
from circuitome.extract.wiring import Layer, Wiring
from circuitome.vocabulary import INVARIANT, Q_MAX

__all__ = ["weight_pairs"]

ASKED: Final[Mapping[str, tuple[float, ...]]] = {
    "rotate": (90.0, 180.0),
    "flip_h": (1.0,),
    "flip_v": (1.0,),
    "hue": (60.0, 120.0, 180.0),
    "invert": (1.0,),
}
NEAR: Final = 15.0
"""Degrees by which a partner's angle may miss."""


def weight_pairs(
    subject: Subject, index: int, known: Mapping[int, Relations], nulls: Nulls
) -> list[Pair]:
    """Pairs of one layer by its filters, of q up to `Q_MAX`; ``known``: by responses, of the layers
    below.
    """
    wiring = subject.wiring
    layer = wiring.layers[index]
    if layer.op not in ("conv", "linear") or layer.groups != 1 or not can_pair(wiring, index):
        return []
    kernel = torch.as_tensor(subject.arrays[f"kernel/{layer.name}"].astype(np.float64))
    kernels = nulls.filters(wiring, index, kernel).numpy()
    plain = np.stack([weight_scores(one, IDENTITY, np.eye(layer.fan_in)) for one in kernels])
    asked = {group: _asked(wiring, index, group, known) for group in ASKED}
    groups = [
        _group_scores(group, kernels, plain, found) for group, found in asked.items() if found
    ]
    return [pair for pair in find_pairs(groups) if pair.q <= Q_MAX]


def _group_scores(
    group: str,
    kernels: np.ndarray,
    plain: np.ndarray,
    asked: Mapping[Transform, np.ndarray | None],
) -> GroupScores:
    scores = np.stack([_scores(one, asked) for one in kernels])
    amounts = np.array([transform.amount for transform in asked])
    period = 360.0 if group in ANGLES else None
    own, chance = (scores[0], plain[0]), (scores[1:], plain[1:])
    return GroupScores(group, amounts, period, *own, *chance)


def _asked(
    wiring: Wiring, index: int, group: str, known: Mapping[int, Relations]
) -> dict[Transform, np.ndarray | None]:
    """Transforms of a group that can be asked, with the partners of the inputs; None for an
    image's.
    """
    transforms = [Transform(group, amount) for amount in ASKED[group]]
    if wiring.reads_image(index):
        return dict.fromkeys(transforms)
    layer = wiring.layers[index]
    found = {transform: _inputs(wiring, layer, transform, known) for transform in transforms}
    return {transform: partners for transform, partners in found.items() if partners.any()}


def _scores(kernel: np.ndarray, asked: Mapping[Transform, np.ndarray | None]) -> np.ndarray:
    return np.stack([weight_scores(kernel, *one) for one in asked.items()])


def _inputs(
    wiring: Wiring, layer: Layer, transform: Transform, known: Mapping[int, Relations]
) -> np.ndarray:
    """``(fan_in, fan_in)``: how much input b is input a under the transform, by what is known of
    them.
    """
    partners = np.zeros((layer.fan_in, layer.fan_in))
    for source in {link.source for link in layer.links} & known.keys():
        place = np.full(wiring.layers[source].channels, -1)
        for link in layer.links:
            if link.source == source:
                place[link.channels] = link.positions
        for a, b, score in _relations(known[source], transform):
            ends = place[a], place[b]
            if min(ends) >= 0:
                partners[ends] = max(partners[ends], score)
    return partners


def _relations(found: Relations, transform: Transform) -> Iterator[tuple[int, int, float]]:
    """Neurons a and b of one layer, b being a under the transform, and the score."""
    own = np.asarray(found.invariance.get(transform.group, ()))
    for neuron in np.flatnonzero(own >= INVARIANT).tolist():
        yield neuron, neuron, float(own[neuron])
    for pair in found.pairs:
        if pair.group == transform.group:
            ways = ((pair.i, pair.j, pair.amount), (pair.j, pair.i, -pair.amount))
            for a, b, amount in ways:
                if _near(transform, amount):
                    yield a, b, pair.score


def _near(transform: Transform, amount: float) -> bool:
    """Whether an amount is a transform's, angles to within `NEAR`."""
    apart = (amount - transform.amount + 180) % 360 - 180
    return transform.group not in ANGLES or abs(apart) <= NEAR
