"""Words that several parts share: transform groups, traits of stimuli, preferences, limits.

A neuron's kind is the name of the stimulus that describes it best, so the traits of stimuli are
those of kinds as well. A new stimulus is a function in `extract.stimuli.patterns` and an entry of
`STIMULI`; motifs and queries ask for traits, never for lists of names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "CIRCUIT_HOPS",
    "CIRCUIT_INPUTS",
    "GROUPS",
    "INVARIANT",
    "PREFERENCES",
    "Q_MAX",
    "SHARED_INPUTS",
    "STIMULI",
    "SWITCHES",
    "TRAITS",
    "with_traits",
]

Q_MAX: Final = 0.05
"""What is named, kept or counted as found has at most this q."""
CIRCUIT_HOPS: Final = 2
"""Hops of a neuron's circuit ..."""
CIRCUIT_INPUTS: Final = 5
"""... and the strongest edges of each of its neurons, unless others are asked for."""
SHARED_INPUTS: Final = 4
"""Inputs shared by two neurons of a motif that are shown if no edge joins its neurons."""
INVARIANT: Final = math.sqrt(0.5)
"""Least correlation of a neuron's response with itself under a group that leaves it alone."""

GROUPS: Final = ("rotate", "flip_h", "flip_v", "scale", "hue", "hue_rotate", "invert")
"""Groups of transforms under which neurons may be copies of one another."""
SWITCHES: Final = ("flip_h", "flip_v", "invert")
"""Groups of two elements: an amount is 0 or 1."""

PREFERENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "orientation_deg": "degrees",
        "frequency": "cycles per pixel",
        "hue_deg": "degrees",
        "radius_px": "pixels",
    }
)
"""What an annotated neuron may prefer, with units: columns of `Neuron`."""

TRAITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "grey": "has no colour at all",
        "coloured": "differs from grey in colour alone",
        "bar": "has an orientation along a bar or a border that it repeats",
        "border": "shows where a border runs",
        "bright side": "has a bright and a dark side",
        "round": "looks the same under rotations and reflections",
        "middle hue": "has one hue, that of its middle",
    }
)
"""What a stimulus can be, each with its meaning."""

STIMULI: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "line": frozenset({"grey", "bar", "border"}),
        "edge": frozenset({"grey", "bar", "border", "bright side"}),
        "grating": frozenset({"grey", "bar"}),
        "gabor": frozenset({"grey", "bar"}),
        "curve": frozenset({"grey"}),
        "corner": frozenset({"grey"}),
        "angle": frozenset({"grey"}),
        "cross": frozenset({"grey"}),
        "circle": frozenset({"grey", "round"}),
        "centre_surround": frozenset({"grey", "round"}),
        "colour_centre_surround": frozenset({"coloured", "round", "middle hue"}),
        "line_end": frozenset({"grey"}),
        "spiral": frozenset({"grey"}),
        "divergence": frozenset({"grey"}),
        "high_low": frozenset({"grey"}),
        "brightness_gradient": frozenset({"grey", "border", "bright side"}),
        "colour_contrast": frozenset({"coloured", "border"}),
        "hue": frozenset({"coloured", "middle hue"}),
        "bw_vs_colour": frozenset(),
        "dead_leaves": frozenset(),
        "noise": frozenset(),
        "oriented_texture": frozenset({"grey"}),
    }
)
"""Every stimulus with its traits, in the order in which they are shown."""


def with_traits(*traits: str) -> tuple[str, ...]:
    """Names of the stimuli that have all these traits, in the order of `STIMULI`.

    Raises:
        KeyError: a trait that is not in `TRAITS`.

    >>> with_traits("round", "grey")
    ('circle', 'centre_surround')
    """
    for trait in traits:
        if trait not in TRAITS:
            raise KeyError(f"trait {trait!r} is not known; the traits are {', '.join(TRAITS)}")
    return tuple(name for name, own in STIMULI.items() if own >= set(traits))
