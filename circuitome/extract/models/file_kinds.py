"""What a file is, by its first bytes: weights that can be read, or something else that is named
as what it is, with the way from there to weights.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["foreign", "head_of", "is_json", "is_pickled", "is_safetensors"]

_HEAD: Final = 1024  # bytes that tell kinds apart
_AGAIN: Final = "fetch the file itself"
_PORT: Final = "build the network in PyTorch, copy the weights into it, and `torch.save` them"
_STATE: Final = "`torch.save(model.state_dict(), 'weights.pth')`"
_UNPACK: Final = "unpack it, and name the weights file inside"

_STARTS: Final = (
    (rb"version https://git-lfs\.github\.com/spec/", "a Git LFS pointer; run `git lfs pull`"),
    (rb"(?i:\s*<(?:!doctype|html|head|\?xml|body))", f"a web page (HTML or XML); {_AGAIN}"),
    (rb"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras writes it; {_PORT}"),
    (rb"\x93NUMPY", f"a NumPy array; {_PORT}"),
    (rb"GGUF", f"a GGUF file of a language model; {_PORT}"),
    (rb"\x08\x01\x12", f"a TensorFlow SavedModel; {_PORT}"),
    (rb"\x08[\x02-\x20][\x12\x1a\x22\x28\x2a\x32\x3a\x42]", f"an ONNX file; {_PORT}"),
    (rb".{4}TFL3", f"a TensorFlow Lite file; {_PORT}"),
    (rb"\x1f\x8b", f"packed with gzip; {_UNPACK}"),
    (rb"BZh", f"packed with bzip2; {_UNPACK}"),
    (rb"\xfd7zXZ|7z\xbc\xaf\x27\x1c|Rar!|\x28\xb5\x2f\xfd", f"a packed archive; {_UNPACK}"),
    (rb".{257}ustar", f"a tar archive; {_UNPACK}"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture; name the weights file"),
    (rb"%PDF", "a PDF document; name the weights file"),
)
"""How a file of each kind begins, and what is said of it."""

_TENSORFLOW: Final = re.compile(r"\.data-\d{5}-of-\d{5}$|\.ckpt(?:-\d+)?\.(?:index|meta)$")
_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e]+")


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(_HEAD)


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins as safetensors does: the length of a header, then the header."""
    return head[8:9] == b"{" and head[5:8] == bytes(3)


def is_json(head: bytes) -> bool:
    """Whether a file begins as a JSON object."""
    return head.lstrip()[:1] == b"{"


def is_pickled(head: bytes) -> bool:
    """Whether a file begins as those of ``torch.save`` do, of new and of old versions."""
    return head.startswith((b"PK\x03\x04", b"\x80"))


def foreign(path: Path, head: bytes) -> str:
    """What a file is that holds no weights to be read, and what to do; empty if it may hold some.

    Args:
        path: the file, whose name is asked only where its content has no mark.
        head: its first bytes.
    """
    if not head:
        return "an empty file; fetch or save it again"
    for start, words in _STARTS:
        if re.match(start, head, re.DOTALL):
            return words
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if _TENSORFLOW.search(path.name):
        return f"a part of a TensorFlow checkpoint; {_PORT}"
    if _TEXT.fullmatch(head) and not is_json(head):
        return f"a text ({head[:40].decode().strip()!r} ...); {_AGAIN}"
    return ""


def _archive(path: Path) -> str:
    """What a zip archive is, by the names in it; empty for those of ``torch.save``."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""  # a damaged one: the reader says so
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last:
        return f"a TorchScript archive; `torch.jit.load` it and save its state dict, {_STATE}"
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return f"an exported program; `torch.export.load` it and save its state dict, {_STATE}"
    if "data.pkl" in last:
        return ""
    if "model.weights.h5" in last:
        return f"a Keras archive; {_PORT}"
    if names and all(name.endswith(".npy") for name in names):
        return f"an archive of NumPy arrays; {_PORT}"
    return f"a zip archive {_inside(names)}; {_UNPACK}"


def _inside(names: Sequence[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:3])
    return f"of {shown}{' ...' if len(names) > 3 else ''}" if names else "of nothing"
