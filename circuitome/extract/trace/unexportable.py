"""Why `torch.export` refuses a network, in words that name the line and the cure."""

from __future__ import annotations

import dataclasses
import linecache
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from circuitome.extract.inputs import InputShape, as_text, miscounted, shapes_of
from circuitome.extract.wiring import SeveralImages, WiringError

__all__ = ["outputs_as_dictionary", "refused"]

_TORCH: Final = str(Path(torch.__file__).parent)
_PYTHON: Final = sysconfig.get_path("stdlib")
_READS: Final = {
    nn.Conv1d: (2, "channels and length, as in --input-size 12,1000"),
    nn.Conv2d: (3, "channels, height and width, as in --input-size 3,224,224"),
    nn.Conv3d: (4, "channels, depth, height and width, as in --input-size 1,32,64,64"),
}
"""What a convolution reads of each example: how many numbers say its size, and in words."""
_OWN: Final = str(Path(__file__).parents[2])
_ON_DATA: Final = ("DataDependent", "data-dependent", "Sym(u", "unbacked")


def refused(model: nn.Module, inputs: InputShape, error: Exception) -> WiringError:
    """The error about a network that cannot be exported on these inputs."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    kind = type(error).__name__
    what = f"{type(model).__name__} on an input of {as_text(inputs)}"
    if any(word in f"{kind}: {error}" for word in _ON_DATA):
        return WiringError(
            f"{what} cannot be exported: {_line_of(error)}decides by the values of the image, so "
            "that there is no one graph; replace this control flow or shape that depends on data "
            "by what it does for your images, or end before it with --until MODULE"
        )
    if (why := _other_input(model, inputs)) is not None:
        return WiringError(f"{what} cannot be extracted: {why}")
    if "pytree" in str(error):
        return WiringError(
            f"{what} cannot be exported: it returns an object of its own class; return a tensor, a "
            "tuple or a dictionary of tensors"
        )
    return SeveralImages(
        f"{what} cannot be exported by torch.export ({kind}: {reason}); {_line_of(error, 'see ')}"
        "check the input size (--input-size), and the model for control flow that depends on data"
    )


def _other_input(model: nn.Module, inputs: InputShape) -> str | None:
    """Why a network takes something else than these inputs, and the cure; None if it may take
    them.
    """
    (first, *others) = shapes_of(inputs)
    return miscounted(model, inputs) or (None if others else _other_axes(model, first))


def _other_axes(model: nn.Module, shape: Sequence[int]) -> str | None:
    """That the first convolution reads maps of other axes, and how their size is written."""
    for name, module in model.named_modules():
        kind = next((kind for kind in _READS if isinstance(module, kind)), None)
        if kind is not None:
            numbers, said = _READS[kind]
            what = f"module {name or 'the model itself'} is a {kind.__name__}, which reads {said}"
            return None if numbers == len(shape) else what
    return None


def _line_of(error: Exception, before: str = "") -> str:
    """File, line and text of the last line of the network's own code that was run."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_TORCH, _OWN, _PYTHON, "<"))
    ]
    if not frames:
        return "" if before else "an operation "
    frame = frames[-1]
    text = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{before}{frame.filename}, line {frame.lineno} (`{text}`)" + ("; " if before else " ")


@contextmanager
def outputs_as_dictionary(model: nn.Module) -> Iterator[None]:
    """Meanwhile the network returns dictionaries where it returns dataclasses, or mappings of its
    own class.
    """
    hook = model.register_forward_hook(lambda _model, _given, output: _plain(output))
    try:
        yield
    finally:
        hook.remove()


def _plain(output: Any) -> Any:
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        named = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
        return _plain(named)
    if isinstance(output, Mapping):
        return {str(name): _plain(value) for name, value in output.items()}
    return [_plain(item) for item in output] if isinstance(output, (list, tuple)) else output
