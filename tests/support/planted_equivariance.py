"""Networks and kernels in which equivariance makes a circuit, among decoys that almost are one."""

from __future__ import annotations

import math

import numpy as np

from circuitome.extract.annotate.template import Circuit, circuit
from tests.support.planted_kinds import Plan
from tests.support.planted_noise import Noise

__all__ = [
    "SIDE",
    "UNITS",
    "families_that_feed",
    "mirrored",
    "offsets",
    "places",
    "poses",
    "turned_kernels",
]

SIDE, UNITS = 5, 8


def places(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels right and up of a kernel's middle, carried back by a rotation of ``angle`` degrees,
    each ``(SIDE, SIDE)``.
    """
    line = np.arange(SIDE) - (SIDE - 1) / 2
    right, up = np.meshgrid(line, -line)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return cosine * right + sine * up, cosine * up - sine * right


def turned_kernels(
    senders: np.ndarray, receivers: np.ndarray, rng: np.random.Generator, *, turn: bool = True
) -> np.ndarray:
    """Kernels ``(s, r, SIDE, SIDE)``: three blobs, each by a smooth function of the relative
    offset, turned by the receiver's.
    """
    centres, waves, phases = (
        rng.uniform(-1.5, 1.5, (3, 2)),
        rng.standard_normal((3, 3)),
        rng.uniform(0, 360, (3, 3)),
    )
    kernels = np.zeros((len(senders), len(receivers), SIDE, SIDE))
    for i, j in np.ndindex(kernels.shape[:2]):
        right, up = places(float(receivers[j]) if turn else 0.0)
        for centre, wave, phase in zip(centres, waves, phases, strict=True):
            turns = np.deg2rad(np.arange(3) * (senders[i] - receivers[j]) + phase)
            blob = np.exp(-((right - centre[0]) ** 2 + (up - centre[1]) ** 2) / 1.5)
            kernels[i, j] += (wave * np.cos(turns)).sum() * blob
    return kernels


def offsets(rng: np.random.Generator, count: int = UNITS) -> np.ndarray:
    """Places round the circle, a few degrees off, the first at 0 as annotation counts them."""
    found = np.arange(count) * 360 / count + rng.uniform(-4, 4, count)
    return (found - found[0]) % 360


def families_that_feed(rng: np.random.Generator, noise: Noise) -> list[tuple[bool, Circuit | None]]:
    """Two planted circuits among decoys, under noise: whether planted, and what is found."""
    found = []
    for kind in ("planted", "planted", "shuffled", "one pair", "still", "noise", "noise"):
        a, b = offsets(rng), offsets(rng)
        kernels = turned_kernels(a, b, rng, turn=kind != "still")
        if kind == "shuffled":
            kernels = kernels[rng.permutation(UNITS)][:, rng.permutation(UNITS)]
        if kind in ("one pair", "noise"):
            alone = kernels[0, 0].copy()
            kernels = rng.permutation(kernels.reshape(-1)).reshape(kernels.shape) * (
                kind == "noise"
            )
            kernels[0, 0] += alone * (kind == "one pair")
        kernels = noise(kernels, rng)
        found.append(
            (
                kind == "planted",
                circuit(kernels, group="rotate", senders=a, receivers=b, rng=rng, nulls=199),
            )
        )
    return found


def mirrored(rng: np.random.Generator) -> Plan:
    """Pairs of cases that receivers unite, and decoys.

    No partners, partners under another transform, partners that are no finding, cases that do not
    oppose each other, cases that are read as opposites, and cases that are read by different
    receivers.
    """
    plan = Plan({"in": 192, "case": 56, "out": 64}, rng)
    for pair in range(28):
        decoy, first, second = pair % 7, 2 * pair, 2 * pair + 1
        pattern, signs = rng.permutation(192)[:48], rng.choice([-1.0, 1.0], 48)
        plan.weights["case"][first, pattern, 0, 0] = signs
        plan.weights["case"][second, pattern, 0, 0] = (
            -signs if decoy != 4 else signs * rng.permutation([1.0, -1.0] * 24)
        )
        if decoy == 1:
            pass
        elif decoy == 2:
            plan.mirror("case", first, second, transform="rotate")
        else:
            plan.mirror("case", first, second, q=0.4 if decoy == 3 else 0.01)
        readers = rng.permutation(64)[:8]
        plan.weights["out"][readers[:4], first] = 2
        plan.weights["out"][readers[4:] if decoy == 6 else readers[:4], second] = (
            -2 if decoy == 5 else 2
        )
        if decoy == 0:
            plan.planted.add(((f"planted/case:{first}", f"planted/case:{second}"),))
    return plan


def poses(rng: np.random.Generator) -> Plan:
    """Poses that excite poses that are united, and decoys.

    Later features that are no partners, poses that excite both, earlier ones that are no partners,
    one that inhibits, a later one that nobody unites with the other.
    """
    plan = Plan({"pose": 48, "later": 48, "union": 48}, rng)
    for pair in range(24):
        decoy, first, second = pair % 6, 2 * pair, 2 * pair + 1
        if decoy != 3:
            plan.mirror("pose", first, second)
        if decoy != 1:
            plan.mirror("later", second, first)  # stored either way round
        plan.weights["later"][first, first] = 1
        plan.weights["later"][second, second] = -1 if decoy == 4 else 1
        if decoy == 2:
            plan.weights["later"][first, second] = plan.weights["later"][second, first] = 1
        plan.weights["union"][first, first] = 1
        plan.weights["union"][second if decoy == 5 else first, second] = 1
        if decoy == 0:
            names = (
                ("pose", first),
                ("pose", second),
                ("later", first),
                ("later", second),
                ("union", first),
            )
            # the one whose key comes first is the first
            plan.planted.add(
                tuple((f"planted/{layer}:{number}",) for layer, number in _by_key(names))
            )
    return plan


def _by_key(names: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    one, other, later, beside, union = names
    if f"{one[1]}" < f"{other[1]}":
        return names
    return other, one, beside, later, union
