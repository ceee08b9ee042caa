"""Whether a module is a network that can be followed, and what to do if not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from circuitome.errors import first_line
from circuitome.extract.inputs import InputShape, as_text, miscounted
from circuitome.extract.models.heads import run_once
from circuitome.extract.models.network import ModelError

__all__ = ["ready", "refuse_unready"]

_UNINITIALISED: Final = (UninitializedParameter, UninitializedBuffer)
_QUANTISED: Final = ("quantized", "quantization", "qat", "torchao")
"""Words of a class's module that say that it computes with whole numbers, or as if."""


def ready(model: nn.Module, input_shape: InputShape, *, source: str) -> nn.Module:
    """The module in eval mode and float32, without gradients; lazy layers get their weights by a
    run on ``input_shape`` (channels, height, width, or several inputs).

    Args:
        source: what the error calls the network.

    Raises:
        ModelError: it is TorchScript, on the meta device, quantised, or does not run.
    """
    model = _unwrapped(model)
    refuse_unready(model, source=source, lazy=True)
    try:
        model = model.float().eval()
        if _lazy(model):
            run_once(model, input_shape)
        return model.requires_grad_(False)
    except Exception as error:  # it is the user's code that runs
        if why := miscounted(model, input_shape):
            raise ModelError(f"{source}: {why}") from error
        raise ModelError(
            f"{source}: cannot be made ready on an input of {as_text(input_shape)} "
            f"({type(error).__name__}: {first_line(error)[:200]}); check the input size "
            "(--input-size), and return a plain torch.nn.Module"
        ) from error


def _unwrapped(model: nn.Module) -> nn.Module:
    """The network inside `torch.compile` and `DataParallel`."""
    while True:
        inner = model.module if isinstance(model, nn.DataParallel) else None
        inner = inner or getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def refuse_unready(model: nn.Module, *, source: str, lazy: bool = False) -> None:
    """`ModelError` for a module whose weights or operations cannot be seen.

    Args:
        source: what the error calls it.
        lazy: let layers pass that have no weights before they run.
    """
    if fault := _fault(model) or ("" if lazy else _lazy(model)):
        raise ModelError(f"{source}: {fault}")


def _fault(model: nn.Module) -> str:
    """What is wrong with a module, and the cure; empty if nothing."""
    if isinstance(model, torch.jit.ScriptModule):
        return (
            "gave a TorchScript module, whose operations cannot be followed; return the module "
            "before torch.jit.script or torch.jit.trace"
        )
    for name, module in model.named_modules():
        words = type(module).__module__.split(".")
        if set(words) & set(_QUANTISED):
            return (
                f"its layer {name or 'network'} is quantised ({type(module).__name__}); return "
                "the network before quantisation"
            )
    return next(filter(None, (_odd(name, tensor) for name, tensor in _tensors(model))), "")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _odd(name: str, tensor: Tensor) -> str:
    """What is wrong with a tensor of a module; empty if nothing."""
    if isinstance(tensor, _UNINITIALISED):
        return ""
    if tensor.is_meta:
        return (
            f"{name} is on the meta device and has no values; build the network without "
            "torch.device('meta')"
        )
    if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex():
        return f"{name} is no plain tensor of floats ({tensor.dtype}); return the plain network"
    if type(tensor.data) is not Tensor:
        return (
            f"{name} is a {type(tensor.data).__name__}, not a plain tensor; return the network "
            "before quantisation, compression or sharding"
        )
    return ""


def _lazy(model: nn.Module) -> str:
    """Which layer has no weights yet, and the cure; empty if all have."""
    for name, tensor in _tensors(model):
        if isinstance(tensor, _UNINITIALISED):
            return f"{name} is lazy and has no values yet; run the network once on an image"
    return ""
