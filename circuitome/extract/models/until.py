"""The part of a network before one of its modules: what that module would read is put out.

Detectors, segmentation networks and hybrids have convolutions up to a head, or to attention, that
cannot be followed. A network that ends there keeps the names of its layers, and what is behind them
never runs.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from circuitome.errors import first_line
from circuitome.extract.inputs import InputShape, as_text, miscounted
from circuitome.extract.models.heads import run_once
from circuitome.extract.models.network import ModelError

__all__ = ["end_before"]


class _Reached(Exception):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class _End(nn.Module):
    """Stands in the place of the module that the network ends before."""

    def forward(self, *inputs: object, **named: object) -> object:
        every = (*inputs, *named.values())
        raise _Reached(every[0] if len(every) == 1 else every)


def end_before(model: nn.Module, module: str, input_shape: InputShape, *, source: str) -> nn.Module:
    """The same model, which puts out what ``module`` would read; it is changed in place.

    Args:
        module: its name in the model, such as ``layer4.1``.
        input_shape: of one input or of several; the model is run on it, so as to see that it gets
            there.
        source: what the error calls the model.

    Raises:
        ModelError: there is no such module, or the model does not come to it.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5))
        >>> end_before(net, "1", (3, 8, 8), source="net")(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 8, 6, 6])
    """
    names = [name for name, _ in model.named_modules() if name]
    if module not in names:
        near = difflib.get_close_matches(module, names, n=3) or names[:8]
        raise ModelError(
            f"{source}: has no module {module!r} to end before; near it are {', '.join(near)}"
        )
    model.set_submodule(module, _End())
    model.__class__ = _ending(type(model))
    try:
        run_once(model, input_shape)
    except ModelError as error:
        raise ModelError(f"{source}: {error} {module!r}; name a module that runs") from error
    except Exception as error:  # it is the user's code that runs
        if why := miscounted(model, input_shape):
            raise ModelError(f"{source}: {why}") from error
        raise ModelError(
            f"{source}: cannot be run up to {module!r} on an input of {as_text(input_shape)} "
            f"({type(error).__name__}: {first_line(error)[:200]}); check --input-size"
        ) from error
    return model


def _ending(kind: type[nn.Module]) -> type[nn.Module]:
    """The class with a run that ends where an `_End` stands.

    A class and no function of the instance: copies of the model run themselves.
    """

    @functools.wraps(kind.forward)
    def forward(self: nn.Module, *inputs: Any, **named: Any) -> object:
        with _module_stack_restored():
            try:
                kind.forward(self, *inputs, **named)
            except _Reached as reached:
                return reached.value
        raise ModelError("runs without ever coming to")

    members = {"forward": forward, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), members)


@contextmanager
def _module_stack_restored() -> Iterator[None]:
    """While a model is traced: the modules that the tracer is in are the same afterwards. It does
    not leave them if they end early.
    """
    tracing = get_proxy_mode()
    stack = getattr(tracing.tracer, "module_stack", None) if tracing is not None else None
    before = len(stack or ())
    try:
        yield
    finally:
        while stack is not None and len(stack) > before:
            stack.popitem()
