"""What is said of a network beside its weights: its input, task and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from torch import nn

from circuitome.extract.inputs import InputShape, shapes_of
from circuitome.extract.models.network import ModelError
from circuitome.extract.spatial import VOLUMES

__all__ = ["About"]


@dataclass(frozen=True, slots=True)
class About:
    """What somebody says of a network; what is empty is not said."""

    input_shape: InputShape = ()
    """Channels, height, width; of signals channels and length, of volumes with a depth before the
    height. Several inputs: the shape of each."""
    mean: Sequence[float] | None = None
    """Subtracted from each input channel."""
    std: Sequence[float] | None = None
    """Each input channel is divided by it."""
    task: str = ""
    labels: Sequence[str] = ()
    until: str = ""
    """Module that the network ends before; empty: it is whole."""

    @classmethod
    def of(cls, model: nn.Module) -> About:
        """What a module says of itself, in attributes that hold plain values."""
        said = {field.name: getattr(model, field.name, None) for field in fields(cls)}
        plain = {
            name: value for name, value in said.items() if isinstance(value, (tuple, list, str))
        }
        return cls(**plain)  # pyright: ignore[reportArgumentType] (`over` checks it)

    def over(self, known: About) -> About:
        """What is said here, and for the rest what is known.

        Known preprocessing is left out where the input has other channels than it is for.

        Raises:
            ModelError: what is said here does not fit the input, or is no input.
        """
        shapes = _checked_shapes(self.input_shape or known.input_shape or (3, 224, 224))
        first, *others = shapes
        channels = first[0]
        return About(
            shapes if others else first,
            mean=_per_channel("mean", self.mean or _fitting(known.mean, channels), channels),
            std=_per_channel("std", self.std or _fitting(known.std, channels), channels),
            task=str(self.task or known.task or ""),
            labels=tuple(map(str, self.labels or known.labels)),
            until=self.until,
        )


def _checked_shapes(given: InputShape) -> tuple[tuple[int, ...], ...]:
    """The shapes; of several inputs one may be a vector."""
    try:
        shapes = shapes_of(given)
    except (TypeError, ValueError):
        shapes = ()
    least = 1 if len(shapes) > 1 else 2
    for shape in shapes or ((),):
        if not least <= len(shape) <= 1 + VOLUMES or min(shape) < 1:
            raise ModelError(
                f"input size {shape or given}: give channels, height and width, as in --input-size "
                "3,224,224; of signals channels and length, of volumes channels, depth, height and "
                "width"
            )
    return shapes


def _fitting(known: Sequence[float] | None, channels: int) -> Sequence[float] | None:
    """Published preprocessing, unless the input was given other channels than it is for."""
    return known if known is not None and len(known) == channels else None


def _per_channel(
    what: str, values: Sequence[float] | None, channels: int
) -> tuple[float, ...] | None:
    if values is None:
        return None
    numbers = tuple(map(float, values))
    if len(numbers) != channels:
        raise ModelError(
            f"--{what} has {len(numbers)} numbers and the input {channels} channels; give one a "
            "channel"
        )
    if what == "std" and not all(number > 0 for number in numbers):
        raise ModelError(
            f"--std {numbers}: each input channel is divided by it, so give numbers above 0"
        )
    return numbers
