"""The inputs of a network: one shape, or several in the order of the arguments of its forward."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Final, cast

import torch
from torch import Tensor, nn

from circuitome.graphdb.manifest import BundleError, Manifest

__all__ = [
    "InputShape",
    "as_text",
    "inputs_in",
    "is_picture",
    "miscounted",
    "random_inputs",
    "shapes_of",
    "zeros",
]

InputShape = Sequence[int] | Sequence[Sequence[int]]
"""Shape of one example, channels first; or the shapes of several inputs."""
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def shapes_of(given: InputShape) -> tuple[tuple[int, ...], ...]:
    """The shapes of all inputs.

    >>> shapes_of((3, 64, 64)), shapes_of([[3, 64, 64], [10]])
    (((3, 64, 64),), ((3, 64, 64), (10,)))
    """
    if len(given) and isinstance(given[0], Sequence):
        several = cast("Sequence[Sequence[int]]", given)
        return tuple(tuple(map(int, shape)) for shape in several)
    return (tuple(map(int, cast("Sequence[int]", given))),)


def as_text(given: InputShape) -> str:
    """The shapes for people.

    >>> as_text((3, 64, 64)), as_text([[3, 64, 64], [10]])
    ('3x64x64', '3x64x64 and 10')
    """
    return " and ".join("x".join(map(str, shape)) for shape in shapes_of(given))


def is_picture(given: InputShape) -> bool:
    """Whether it is one input of channels, height and width."""
    shapes = shapes_of(given)
    return len(shapes) == 1 and len(shapes[0]) == 3


def miscounted(model: nn.Module, given: InputShape) -> str | None:
    """That a network takes more inputs or fewer, and how to say so; None if it may take these."""
    count, parameters = len(shapes_of(given)), inspect.signature(model.forward).parameters.values()
    taken = [one.name for one in parameters if one.kind in _POSITIONAL]
    needed = [
        one.name for one in parameters if one.kind in _POSITIONAL and one.default is one.empty
    ]
    more = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    if len(needed) <= count and (more or count <= len(taken)):
        return None
    names = ", ".join(needed if count < len(needed) else taken)
    given_here = "1 size is given" if count == 1 else f"{count} sizes are given"
    return (
        f"it takes the inputs {names}, and {given_here}; give --input-size once for each, in this "
        "order"
    )


def inputs_in(manifest: Manifest) -> InputShape:
    """What a bundle's network reads; `BundleError` if its manifest is damaged there."""
    several = manifest.note("inputs")
    if several is None:
        return manifest.model["input_shape"] or ()
    try:
        return shapes_of(cast("Sequence[Sequence[int]]", several))
    except (TypeError, ValueError):
        key = manifest.model["key"]
        raise BundleError(
            f"{key}: its entry `inputs` is damaged; extract the bundle again"
        ) from None


def zeros(given: InputShape, batch: int, *, device: torch.device | None = None) -> list[Tensor]:
    """Black images, or what is like them, in a batch."""
    return [torch.zeros(batch, *shape, device=device) for shape in shapes_of(given)]


def random_inputs(given: InputShape, batch: int, *, seed: int) -> list[Tensor]:
    """A batch of normal noise for each input."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, *shape, generator=generator) for shape in shapes_of(given)]
