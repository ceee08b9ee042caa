"""The head of a network: its last layers, which name the classes, and cutting them off."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import torch
from torch import nn

from circuitome.errors import first_line
from circuitome.extract.inputs import InputShape, as_text, zeros
from circuitome.extract.models.weights import WeightsError

__all__ = ["drop", "last_modules", "run_once"]


def run_once(model: nn.Module, input_shape: InputShape) -> list[str]:
    """Run a network on two black images, or on one if it takes no more; the modules that own
    tensors, in the order in which they began.
    """
    order: list[str] = []

    def noting(name: str) -> object:
        return lambda *_: order.append(name)

    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            if own:
                hooks.enter_context(
                    module.register_forward_pre_hook(noting(name))  # pyright: ignore
                )
        try:
            model(*zeros(input_shape, 2))
        except Exception as error:  # it is the user's code that runs
            order.clear()
            _run_on_one(model, input_shape, error)
    return order


def _run_on_one(model: nn.Module, input_shape: InputShape, trouble: Exception) -> None:
    """Run a network on one black image; the trouble with two is raised if that fails, too."""
    try:
        model(*zeros(input_shape, 1))
    except Exception:
        raise trouble from None


def last_modules(names: Iterable[str], every: Iterable[str]) -> list[str]:
    """The largest modules all of whose tensors are among ``names``.

    >>> last_modules({"head.1.weight", "head.1.bias"}, ["0.weight", "head.1.weight", "head.1.bias"])
    ['head']
    """
    lacking, others = set(names), [name for name in every if name not in set(names)]
    whole: list[str] = []
    for name in sorted(lacking):
        words = name.split(".")
        modules = (".".join(words[:end]) for end in range(1, len(words)))
        outer = next((m for m in modules if not any(o.startswith(f"{m}.") for o in others)), None)
        if outer is not None and outer not in whole:
            whole.append(outer)
    return whole


def drop(
    model: nn.Module, names: Iterable[str], input_shape: InputShape, *, source: str
) -> tuple[str, ...]:
    """Leave the layers out to which tensors of these names belong; what they read is put out.

    Args:
        names: tensors that a weights file lacks, or has for other classes.
        input_shape: of one input or of several; the network is run on it, so as to see that these
            layers are its last.
        source: what the error calls the file.

    Returns:
        The modules that were left out.

    Raises:
        WeightsError: they are not the last layers, or the network does not run without them.
    """
    gone = tuple(dict.fromkeys(name.rpartition(".")[0] for name in names))
    order = _run(model, input_shape, "cannot be run on its input", source=source)
    first = next((place for place, name in enumerate(order) if name in gone), len(order))
    later = [name for name in order[first:] if name not in gone]
    if later or "" in gone:
        why = f"{later[0] or 'the network itself'} runs after it" if later else "it is the network"
        raise WeightsError(
            f"{source}: lacks {gone[0] or 'tensors of the network itself'}, which is no head: "
            f"{why}; name the architecture that these weights were trained with"
        )
    for name in gone:
        model.set_submodule(name, nn.Identity())
    _run(model, input_shape, f"cannot be run without {', '.join(gone)}", source=source)
    return gone


def _run(model: nn.Module, input_shape: InputShape, trouble: str, *, source: str) -> list[str]:
    try:
        return run_once(model, input_shape)
    except Exception as error:  # it is the user's code that runs
        raise WeightsError(
            f"{source}: the network {trouble} of {as_text(input_shape)} "
            f"({type(error).__name__}: {first_line(error)[:200]}); name a factory whose network "
            "is the one that the file has"
        ) from error
