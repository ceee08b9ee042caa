"""PyTorch files, read without running what is in them.

They are read by ``torch.load(weights_only=True)`` and never otherwise. What training code saves
beside tensors (arguments, configurations, dates, NumPy's numbers) is replaced by `Inert` objects
of this module, which hold nothing and do nothing: the classes and functions that a file names are
neither imported nor called.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from circuitome.errors import first_line
from circuitome.extract.models.weights import RESAVE, WeightsError

__all__ = ["Inert", "read_pickled"]

_MOST_KINDS: Final = 100
"""Kinds of foreign objects in one file; each costs another reading."""
_RUNS_CODE: Final = frozenset(
    {
        "builtins",
        "commands",  # what old pickles call subprocess
        "ctypes",
        "importlib",
        "multiprocessing",
        "nt",
        "os",
        "posix",
        "runpy",
        "shutil",
        "socket",
        "subprocess",
        "sys",
    }
)
"""Modules whose names in a file show that somebody wants code to run: such a file is refused.

The list need not be complete: nothing that a file names is called."""
_DATA: Final = frozenset(
    {
        "argparse.Namespace",
        "builtins.bool",
        "builtins.dict",
        "builtins.float",
        "builtins.frozenset",
        "builtins.int",
        "builtins.list",
        "builtins.object",
        "builtins.slice",
        "builtins.str",
        "builtins.tuple",
        "collections.defaultdict",
        "collections.deque",
        "copyreg._reconstructor",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "functools.partial",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.random._pickle.__randomstate_ctor",
    }
)
"""Names that are no classes by their spelling, and stand for data."""

_FOREIGN: Final = re.compile(r"GLOBAL (\S+) was not an allowed global")
_FILLED: Final = (
    (re.compile(r"Can only SETITEMS? for .*but got <class '([^']+)'>"), OrderedDict),
    (re.compile(r"Can only (?:append to|extend) lists, but got <class '([^']+)'>"), list),
)
"""What the reader says of an object that is filled like a dictionary, or like a list."""
_CODE: Final = re.compile(r"GLOBAL (\S+)|Unsupported (?:class|operand) (\S+)|function (\S+)")
_REASON: Final = re.compile(r"WeightsUnpickler error:\s*(.+)")
_LATER: Final = frozenset({"140", "141", "145", "147", "148", "149", "150"})
"""Operands of pickle protocols 4 and 5, by number."""

_Stands = dict[str, type]


class Inert:
    """Stands for an object of a file that is no tensor: takes everything and keeps nothing."""

    def __new__(cls, *_: object) -> Any:
        """An empty object, whatever the file says about its content."""
        return object.__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Nothing is kept."""


def _inert(name: str, filled: Callable[[], object] | None = None) -> type:
    """A class that stands for the one of that name; ``filled`` makes what the file fills."""
    module, _, kind = name.rpartition(".")
    members: dict[str, object] = {"__module__": module}
    if filled is not None:
        members["__new__"] = lambda cls, *_: filled()
    return type(kind, (Inert,), members)


def read_pickled(path: Path) -> object:
    """What a file of ``torch.save`` holds, its tensors on the CPU, all but data as `Inert`.

    Raises:
        WeightsError: it is damaged, would unpack to more than it is, or names code to run.
    """
    _refuse_bomb(path)
    stands = {name: _inert(name) for name in _DATA}
    while True:
        try:
            return _loaded(path, stands)
        except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
            more = _stand_in(str(error), stands)
            if not more or len(stands) > len(_DATA) + _MOST_KINDS:
                raise _refusal(path, error) from error
            stands |= more


def _loaded(path: Path, stands: Mapping[str, type]) -> object:
    allowed: Any = [(stand, name) for name, stand in stands.items()]
    # opened here, since torch takes a path that ends in .safetensors for such a file
    with (
        path.open("rb") as file,
        torch.serialization.safe_globals(allowed),
        warnings.catch_warnings(action="ignore"),  # about old pickle protocols
    ):
        return torch.load(file, map_location="cpu", weights_only=True)


def _stand_in(message: str, stands: Mapping[str, type]) -> _Stands:
    """A stand for the object at which the reader stopped; nothing if there is no harmless one."""
    if foreign := _FOREIGN.search(message):
        name = foreign[1] if "." in foreign[1] else f"builtins.{foreign[1]}"
        return {name: _inert(name)} if name not in stands and _is_class(name) else {}
    for pattern, filled in _FILLED:
        found = pattern.search(message)
        if found and found[1] in stands:
            return {found[1]: _inert(found[1], filled)}
    return {}


def _is_class(name: str) -> bool:
    """Whether a name is spelled like a class, and is of no module that runs code."""
    words = name.split(".")
    plain = all(word.isidentifier() for word in words)
    return plain and words[-1][:1].isupper() and words[0] not in _RUNS_CODE


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


def _refusal(path: Path, error: Exception) -> WeightsError:
    message = str(error)
    if "persistent_load of storage" in message:
        return _more_than_tensors(path, "a module with its source")
    code = _CODE.search(message)
    name = next(filter(None, code.groups())) if code else ""
    if name in _LATER:
        return _more_than_tensors(path, "a pickle of a later protocol than PyTorch reads safely")
    if name and not name.isdigit():
        return _more_than_tensors(path, name)
    reason = _REASON.search(message)
    said = reason[1] if reason else first_line(error)
    return WeightsError(
        f"{path}: not a whole PyTorch file ({said[:200].rstrip('.')}); fetch or save it again"
    )


def _more_than_tensors(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path}: holds more than tensors ({what}), and code in a weights file is never run; "
        f"{RESAVE}"
    )
