"""Weights in: reading a file without running what is in it, fitting it to a network, random
weights, digests.

`read_weights` opens `.safetensors`, and `.pth` with ``weights_only=True`` and never otherwise;
`fit` puts the tensors into a network or says which one does not belong; `randomise` draws weights
none of which is at an identity default.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
import zipfile
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from circuitome.errors import CircuitomeError

__all__ = [
    "RESAVE",
    "WeightsError",
    "digest",
    "fit",
    "randomise",
    "read_weights",
    "refuse_nonfinite",
    "shape_in_words",
]

_PICKLED: Final = (".pth", ".pt", ".th")
_WRAPPINGS: Final = ("state_dict", "model_state_dict", "model")
_PREFIXES: Final = ("module.", "_orig_mod.")  # left by DataParallel and by torch.compile
_COUNTERS: Final = "num_batches_tracked"  # batch norm's counter: no weight, absent from older files
# what the reader refused to call
_CODE: Final = re.compile(r"GLOBAL ([\w.]+)|Unsupported (?:class|operand) ([\w.]+)")
RESAVE: Final = (
    "save its tensors with `safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`"
)


class WeightsError(CircuitomeError):
    """A weights file that cannot be read, or that belongs to another network."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file by name, on the CPU, in the dtypes of the file.

    ``.safetensors``, or ``.pth``, ``.pt``, ``.th`` read with ``weights_only=True``, so no code in
    it is run. A state dict inside ``{"state_dict": ...}``, ``{"model": ...}`` or
    ``{"model_state_dict": ...}`` is found, and the prefix ``module.`` of every name is taken off.

    Raises:
        WeightsError: there is no such file, it is damaged, holds code, or holds no tensors.
    """
    if not _is_file(path):
        raise WeightsError(
            f"{path}: no such file; name a weights file, DEFAULT or random with --weights"
        )
    if path.suffix == ".safetensors":
        return _without_prefix(_read_safetensors(path))
    if path.suffix in _PICKLED:
        return _without_prefix(_state_dict(path, _read_pickled(path)))
    raise WeightsError(
        f"{path}: not a weights file by its name; it ends in .safetensors, {', '.join(_PICKLED)}"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a whole safetensors file ({_first_line(error)}); fetch or save it again"
        ) from error


def _read_pickled(path: Path) -> Any:
    _refuse_bomb(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # about old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
        code = _CODE.search(str(error))
        if code:
            raise WeightsError(
                f"{path}: holds more than tensors ({code[1] or code[2]}), and code in a weights "
                f"file is never run; {RESAVE}"
            ) from error
        raise WeightsError(
            f"{path}: not a whole PyTorch file ({_first_line(error)}); fetch or save it again"
        ) from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: PyTorch packs nothing, so what is
    packed is not its own.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older PyTorch file, or none at all: the reader says which
    if unpacked > path.stat().st_size:
        raise WeightsError(
            f"{path}: would unpack to {unpacked:,} bytes from {path.stat().st_size:,}; {RESAVE}"
        )


def _first_line(error: Exception) -> str:
    return _shortened(_lines(error)[0])


def _last_line(error: Exception) -> str:
    return _shortened(_lines(error)[-1].strip())


def _lines(error: Exception) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]


def _shortened(line: str) -> str:
    return line[:200].rstrip(".")


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    for key in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _state_dict(path, content[key])
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not a state dict; {RESAVE}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{path}: {name!r} is a {type(value).__name__}, not a tensor; {RESAVE}"
            )
    return dict(content)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _without_prefix(
                {name.removeprefix(prefix): tensor for name, tensor in state.items()}
            )
    return state


def fit(model: nn.Module, state: Mapping[str, Tensor], *, source: str, architecture: str) -> None:
    """Copy ``state`` into ``model``, every name and shape in its place; half precision becomes the
    model's float32.

    Args:
        source: what the error calls the weights: the file's path.
        architecture: what the error calls the model.

    Raises: WeightsError: another shape (the first such tensor in the model's order), missing or
        unknown names.
    """
    expected = model.state_dict()
    _refuse_other_shapes(expected, state, source=source, architecture=architecture)
    _refuse_other_names(expected, state, source=source, architecture=architecture)
    _refuse_quantised(expected, state, source=source)
    try:
        # not strict for batch norm's counters alone
        model.load_state_dict(dict(state), strict=False)
    # tensors that hold no values, or are no plain ones
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise WeightsError(
            f"{source}: its tensors cannot be copied ({_last_line(error)}); {RESAVE}"
        ) from error


def _refuse_other_shapes(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], *, source: str, architecture: str
) -> None:
    for name, tensor in expected.items():
        if name in state and state[name].shape != tensor.shape:
            raise WeightsError(
                f"{source}: {name} is {shape_in_words(state[name])}, but {architecture} has "
                f"{shape_in_words(tensor)} there; "
                "name the architecture that these weights were trained with"
            )


def _refuse_other_names(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], *, source: str, architecture: str
) -> None:
    faults = []
    if missing := _beside(expected, state):
        faults.append(f"lacks {missing}")
    if unknown := _beside(state, expected):
        faults.append(f"has {unknown} unknown to it")
    if faults:
        raise WeightsError(
            f"{source}: not the weights of {architecture}: the file {' and '.join(faults)}; "
            "name the architecture that these weights were trained with"
        )


def _beside(names: Iterable[str], others: Container[str]) -> str:
    """The first of the names that others lack, and how many more there are; empty if none."""
    lacking = [name for name in names if name not in others and not name.endswith(_COUNTERS)]
    if len(lacking) < 2:
        return "".join(lacking)
    return f"{lacking[0]} and {len(lacking) - 1} more"


def _refuse_quantised(
    expected: Mapping[str, Tensor], state: Mapping[str, Tensor], *, source: str
) -> None:
    for name, tensor in expected.items():
        if name in state and tensor.is_floating_point() and not state[name].is_floating_point():
            raise WeightsError(
                f"{source}: {name} holds {state[name].dtype}, not floats; save it without "
                "quantisation"
            )


def shape_in_words(tensor: Tensor) -> str:
    """Sizes as people write them."""
    return "x".join(map(str, tensor.shape)) or "a scalar"


def refuse_nonfinite(model: nn.Module, *, source: str) -> None:
    """`WeightsError` that names the first tensor of ``model`` with a NaN or an infinity, and
    the channel in it.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            place = (~torch.isfinite(tensor)).nonzero()[0].tolist()
            where = f", channel {place[0]}" if place else ""
            raise WeightsError(
                f"{source}: {name}{where} is not finite (NaN or infinity); train or save the "
                "network again, "
                "or mark such neurons with `extract --allow-nonfinite`"
            )


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every weight of ``model`` anew, from ``seed`` alone.

    Kernels are Gaussian with variance 2 / fan-in. Gains of norms and layer scales (either sign),
    biases, running means and variances are random too: at their defaults they are the identity, and
    a fault in folding them would not show.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            parameter.copy_(_draw(module, name, parameter.shape, generator))
        for name, buffer in module.named_buffers(recurse=False):
            if name == "running_mean":
                buffer.copy_(_normal(buffer.shape, 0.2, generator))
            elif name == "running_var":
                buffer.copy_(_uniform(buffer.shape, 0.5, 1.5, generator))


def _draw(module: nn.Module, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    size = math.prod(shape)
    if isinstance(module, nn.PReLU):
        return _uniform(shape, 0.1, 0.4, generator)
    if "bias" in name:
        return _normal(shape, 0.1, generator)
    if len(shape) < 2 or size == max(shape):  # a gain a channel
        sign = torch.where(_uniform(shape, 0, 1, generator) < 0.125, -1.0, 1.0)
        return _uniform(shape, 0.5, 1.5, generator) * sign
    return _normal(shape, math.sqrt(2 * shape[0] / size), generator)


def _uniform(shape: torch.Size, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _normal(shape: torch.Size, sd: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * sd


def digest(model: nn.Module) -> str:
    """SHA-256 over every parameter and buffer of ``model``: names, dtypes, shapes and bytes, sorted
    by name.

    >>> digest(nn.Identity()) == hashlib.sha256().hexdigest()
    True
    """
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(f"{name} {tensor.dtype} {shape_in_words(tensor)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
