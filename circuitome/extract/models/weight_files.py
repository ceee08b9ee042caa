"""Weights files, known by their content and not by their names.

safetensors, what ``torch.save`` writes, and the index of a file in parts. Everything else is
refused as what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from circuitome.errors import first_line
from circuitome.extract.models.file_kinds import (
    foreign,
    head_of,
    is_json,
    is_pickled,
    is_safetensors,
)
from circuitome.extract.models.pickles import read_pickled
from circuitome.extract.models.weights import WeightsError

__all__ = ["read_content"]

_MOST_JSON: Final = 64 << 20  # bytes of an index; that of a model with 100,000 tensors has 10 MB


def read_content(path: Path) -> object:
    """What a weights file holds, its tensors on the CPU in the dtypes of the file.

    Tensors by name for safetensors and for an index with its parts; what was saved for a PyTorch
    file, without its code (`read_pickled`).

    Raises:
        WeightsError: there is no such file, it is no weights file, is damaged, or names code.
    """
    _refuse_missing(path)
    head = head_of(path)
    if is_json(head) and not is_safetensors(head):
        return _read_parts(path)
    return _read_file(path, head)


def _refuse_missing(path: Path) -> None:
    try:
        found, folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        found, folder = False, False
    if folder:
        raise WeightsError(f"{path}: a folder; name the weights file in it{_candidates(path)}")
    if not found:
        raise WeightsError(
            f"{path}: no such file; name a weights file, DEFAULT or random with --weights"
        )


def _candidates(folder: Path) -> str:
    """Some files of a folder that may hold weights, in words."""
    endings = (".safetensors", ".index.json", ".pth", ".pt", ".bin", ".ckpt")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(endings))
    return f", such as {', '.join(names[:3])}" if names else ""


def _read_file(path: Path, head: bytes) -> object:
    """What one file holds; `WeightsError` if it is none of the two kinds."""
    if is_safetensors(head):
        return _read_safetensors(path)
    if what := foreign(path, head):
        raise WeightsError(f"{path}: not a weights file but {what}")
    if is_pickled(head):
        return read_pickled(path)
    if path.suffix == ".safetensors":  # damaged at its beginning
        return _read_safetensors(path)
    raise WeightsError(
        f"{path}: not a weights file, for it begins with bytes {head[:8].hex(' ')}; name a "
        "safetensors file, or one that `torch.save` has written"
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, AttributeError, KeyError) as error:
        raise WeightsError(
            f"{path}: not a whole safetensors file ({first_line(error)[:200]}); fetch or save it "
            "again"
        ) from error


def _read_parts(path: Path) -> dict[str, object]:
    """The tensors of all parts that an index names; they lie beside it."""
    places = _weight_map(path)
    tensors: dict[str, object] = {}
    for part in dict.fromkeys(places.values()):
        content = _read_part(path, part)
        tensors |= {name: content[name] for name in content if places.get(name) == part}
    return tensors


def _weight_map(path: Path) -> Mapping[str, str]:
    """The file of each tensor, as an index says."""
    try:
        size = path.stat().st_size
        if size > _MOST_JSON:
            raise ValueError(f"{size} bytes are too many")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: not readable as JSON ({first_line(error)[:200]}); fetch it again"
        ) from error
    places = content.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(part, str) for part in places.values()):
        raise WeightsError(
            f"{path}: not a weights file but a JSON text without the weight_map of an index; name "
            "the file that holds the tensors"
        )
    return places


def _read_part(path: Path, part: str) -> Mapping[str, object]:
    """What one part of an index holds."""
    plain = PurePosixPath(part).name == part and part not in ("", "..")
    if not plain or "\\" in part or not part.isprintable():
        raise WeightsError(
            f"{path}: names {part!r}, which is not a file beside it; fetch the index again"
        )
    file = path.parent / part
    if not file.is_file():
        raise WeightsError(f"{path}: its part {part} is not beside it; fetch it, too")
    content = _read_file(file, head_of(file))
    if not isinstance(content, Mapping):
        raise WeightsError(f"{file}: holds no tensors by name; fetch it again")
    return content
