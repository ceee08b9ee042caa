"""Why `torch.export` refuses a network, in words that name the line and the cure."""

from __future__ import annotations

import dataclasses
import linecache
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from circuitome.extract.wiring import WiringError

__all__ = ["outputs_as_dictionary", "refused"]

_TORCH: Final = str(Path(torch.__file__).parent)
_OWN: Final = str(Path(__file__).parents[2])
_ON_DATA: Final = ("DataDependent", "data-dependent", "Sym(u", "unbacked")


def refused(model: nn.Module, input_shape: Sequence[int], error: Exception) -> WiringError:
    """The error about a network that cannot be exported on images of ``input_shape``."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    kind = type(error).__name__
    what = f"{type(model).__name__} on an input of {'x'.join(map(str, input_shape))}"
    if any(word in f"{kind}: {error}" for word in _ON_DATA):
        return WiringError(
            f"{what} cannot be exported: {_line_of(error)}decides by the values of the image, so "
            "that there is no one graph; replace this control flow or shape that depends on data "
            "by what it does for your images, or end before it with --until MODULE"
        )
    if "pytree" in str(error):
        return WiringError(
            f"{what} cannot be exported: it returns an object of its own class; return a tensor, a "
            "tuple or a dictionary of tensors"
        )
    return WiringError(
        f"{what} cannot be exported by torch.export ({kind}: {reason}); {_line_of(error, 'see ')}"
        "check the input size (--input-size), and the model for control flow that depends on data"
    )


def _line_of(error: Exception, before: str = "") -> str:
    """File, line and text of the last line of the network's own code that was run."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_TORCH, _OWN, "<"))
    ]
    if not frames:
        return "" if before else "an operation "
    frame = frames[-1]
    text = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{before}{frame.filename}, line {frame.lineno} (`{text}`)" + ("; " if before else " ")


@contextmanager
def outputs_as_dictionary(model: nn.Module) -> Iterator[None]:
    """Meanwhile the network returns a dictionary of its fields if it returns a dataclass."""

    def as_dictionary(_model: nn.Module, _given: Any, output: Any) -> Any:
        if not dataclasses.is_dataclass(output) or isinstance(output, type):
            return output
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}

    hook = model.register_forward_hook(as_dictionary)
    try:
        yield
    finally:
        hook.remove()
