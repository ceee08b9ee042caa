"""Networks in which circuits of kinds and of places in the kernel stand at known neurons, among
decoys.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tests.support.planted_kinds import Plan, around

__all__ = ["ANY", "boundaries", "colours", "contrasts", "hues", "round_a_middle", "tangents"]

ANY: Final = "corner"
"""The kind of a receiver where none is asked for, so that another is no decoy."""


def contrasts(rng: np.random.Generator) -> Plan:
    """Five centres that four contrasts face, of both hues alike, and decoys that four contrasts
    stand around otherwise.
    """
    plan = Plan({"contrast": 160, "centre": 40}, rng, size=3)
    for centre in range(40):
        hue, decoy = float(rng.uniform(0, 360)), centre // 5
        column = {"hue_deg": hue} if decoy != 6 else {}
        key = plan.label(
            f"centre:{centre}", "line" if decoy == 1 else "colour_centre_surround", **column
        )
        senders = list(range(4 * centre, 4 * centre + 4))
        start = 90 * int(rng.integers(4))
        for number, sender in enumerate(senders):
            place = start + 90 * number
            # the hue is to the left of the orientation, so it faces the centre when seen from there
            # the centre is left
            orientation, own = place + 90, hue
            if decoy == 2 or (decoy == 3 and number % 2):  # it faces away: all, or every other
                orientation += 180
            if decoy == 4:  # another hue
                own += 90
            if rng.random() < 0.5:  # the same border, named by its other side
                orientation, own = orientation + 180, own + 180
            orientation, own = orientation + rng.uniform(-20, 20), own + rng.uniform(-20, 20)
            kind = "line" if decoy == 7 else "colour_contrast"
            plan.label(
                f"contrast:{sender}", kind, orientation_deg=orientation % 360, hue_deg=own % 360
            )
            if decoy == 5:  # no place
                plan.weights["centre"][centre, sender, 1, 1] = 1.5
            else:
                plan.weights["centre"][centre, sender][around(place)] = 1
                plan.weights["centre"][centre, sender][around(place + 180)] = -0.5
        if decoy == 0:
            plan.planted.add(((key,),))
    return plan


def boundaries(rng: np.random.Generator, *, idle: int = 0) -> Plan:
    """Boundaries with two cues that agree, and decoys: at right angles, one cue inhibits, no cue,
    another kind.

    ``idle`` more senders have no kind and send only noise.
    """
    plan = Plan({"cue": 60 + idle, "boundary": 60}, rng)
    for number in range(30):
        orientation, decoy = float(rng.uniform(0, 180)), number % 5
        turned = (
            orientation
            + (90 if decoy == 1 else 0)
            + 180 * int(rng.integers(2))
            + rng.uniform(-15, 15)
        )
        fine = plan.label(f"cue:{2 * number}", "high_low", orientation_deg=orientation)
        kind = "curve" if decoy == 4 else ("line", "edge", "colour_contrast")[number % 3]
        other = plan.label(f"cue:{2 * number + 1}", kind, orientation_deg=turned % 360)
        for boundary in (2 * number, 2 * number + 1):
            plan.weights["boundary"][boundary, 2 * number] = 1
            plan.weights["boundary"][boundary, 2 * number + 1] = {2: -1, 3: 0}.get(decoy, 1)
            if decoy == 0:
                plan.planted.add(((f"planted/boundary:{boundary}",), (fine,), (other,)))
    return plan


def colours(rng: np.random.Generator) -> Plan:
    """Detectors of either sign, and decoys: both sides excite, colours disagree, no colour, another
    kind.
    """
    plan = Plan({"in": 64, "detector": 40}, rng)
    for sender in range(64):
        kinds = (
            ("hue", "colour_contrast", "colour_centre_surround")
            if sender < 32
            else ("line", "gabor", "circle")
        )
        plan.label(f"in:{sender}", kinds[sender % 3], hue_deg=float(rng.uniform(0, 360)))
    for detector in range(40):
        decoy, sign = detector % 5, float(rng.choice([-1, 1]))
        key = plan.label(f"detector:{detector}", "gabor" if decoy == 4 else "bw_vs_colour")
        coloured, grey = rng.permutation(32)[:4], 32 + rng.permutation(32)[:4]
        plan.weights["detector"][detector, grey] = sign
        opposite = {1: sign, 3: 0.0}.get(decoy, -sign)
        plan.weights["detector"][detector, coloured] = opposite
        if decoy == 2:
            plan.weights["detector"][detector, coloured[:2]] = sign
        if decoy == 0:
            plan.planted.add(((key,),))
    return plan


def round_a_middle(
    rng: np.random.Generator, *, receiver: str, sender: str, turned: float, turn: float
) -> Plan:
    """Neurons round whose middle twelve senders lie at ``turned`` degrees to the directions of
    their places, and decoys.

    Decoys: all ``turn`` degrees off, orientations as drawn, another kind of receiver, of senders,
    and no place.
    """
    plan = Plan({"in": 144, "out": 12}, rng, size=5)
    for number in range(12):
        kind = number % 6
        key = plan.label(f"out:{number}", "noise" if kind == 3 else receiver)
        for n in range(12):
            place = 30.0 * n
            angle = place + turned + (turn if kind == 1 else 0) + rng.uniform(-10, 10)
            angle = rng.uniform(0, 360) if kind == 2 else angle
            plan.label(
                f"in:{12 * number + n}", "hue" if kind == 4 else sender, orientation_deg=angle % 360
            )
            plan.weights["out"][number, 12 * number + n][_pixel(place) if kind != 5 else (2, 2)] = 1
        if kind == 0 or (kind == 3 and receiver == ANY):
            plan.planted.add(((key,),))
    return plan


def _pixel(direction: float) -> tuple[int, int]:
    """Row and column of the pixel two from the middle of a 5 x 5 kernel."""
    return 2 - round(2 * math.sin(math.radians(direction))), 2 + round(
        2 * math.cos(math.radians(direction))
    )


def tangents(rng: np.random.Generator) -> Plan:
    """Curves excited by tangent curves and lines on both sides and inhibited by opposing curves,
    and decoys.

    Decoys: tangents a quarter turn off, orientations as drawn, every sign turned, another kind of
    receiver, sides exchanged. A like curve in the very middle is no decoy: it is tangent there.
    """
    plan = Plan({"in": 96, "out": 12}, rng, size=5)
    for number in range(12):
        kind, facing = number % 6, 90.0 * int(rng.integers(4))
        key = plan.label(f"out:{number}", "edge" if kind == 4 else "curve", orientation_deg=facing)
        for n in range(8):
            place, name = facing + (90, -90)[n % 2], ("curve", "line", "edge", "curve")[n // 2]
            centre = (4 * math.cos(math.radians(facing)), 4 * math.sin(math.radians(facing)))
            here = (2 * math.cos(math.radians(place)), 2 * math.sin(math.radians(place)))
            towards = math.degrees(math.atan2(centre[1] - here[1], centre[0] - here[0]))
            angle = (
                towards
                + (0 if name == "curve" else 90)
                + (180 if n >= 6 else 0)
                + (90 if kind == 1 else 0)
            )
            angle = rng.uniform(0, 360) if kind == 2 else angle + rng.uniform(-10, 10)
            plan.label(f"in:{8 * number + n}", name, orientation_deg=angle % 360)
            sign = (-1 if n >= 6 else 1) * (-1 if kind == 3 else 1)
            plan.weights["out"][number, 8 * number + n][
                _pixel(place + (180 if kind == 5 else 0))
            ] = sign
        if kind == 0:
            plan.planted.add(((key,),))
    return plan


def hues(rng: np.random.Generator) -> Plan:
    """Hues excited by six like hues and inhibited by six opposite ones, and decoys: reversed, all
    excite, as drawn, other kinds.
    """
    plan = Plan({"in": 240, "out": 20}, rng)
    for number in range(20):
        kind, hue = number % 5, float(rng.uniform(0, 360))
        key = plan.label(f"out:{number}", "line" if kind == 4 else "hue", hue_deg=hue)
        for n in range(12):
            angle = hue + (180 if n >= 6 else 0) + rng.uniform(-30, 30)
            angle = rng.uniform(0, 360) if kind == 3 else angle
            plan.label(f"in:{12 * number + n}", "hue", hue_deg=angle % 360)
            sign = (-1 if n >= 6 and kind != 2 else 1) * (-1 if kind == 1 else 1)
            plan.weights["out"][number, 12 * number + n] = sign
        if kind == 0:
            plan.planted.add(((key,),))
    return plan
