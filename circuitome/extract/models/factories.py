"""Factories: functions in a person's module or file that build a network.

They run the person's code, and are taken from the command line and never from a file.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from torch import nn

from circuitome.extract.models.network import ModelError

__all__ = ["build", "functions_in"]

Result = TypeVar("Result")


def build(place: str, function: str) -> nn.Module:
    """What a function gives, or the module of that name; ``place`` is a module or a ``.py`` file.

    Raises:
        ModelError: there is no such place or function, it fails, or gives something else.
    """
    is_file = place.endswith(".py")
    with _imports_from(Path(place).resolve().parent if is_file else Path.cwd()):
        module = _run_file(Path(place)) if is_file else _import(place)
        found = _attribute(module, place, function)
        model = found if isinstance(found, nn.Module) else _guarded(f"{place}:{function}", found)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{place}:{function} gave a {type(model).__name__}, not a torch.nn.Module; return "
            "the network"
        )
    return model


def _attribute(module: ModuleType, place: str, function: str) -> Callable[[], object]:
    found: Any = module
    for part in function.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ModelError(
            f"{place}: has no {function!r}; it has "
            f"{', '.join(_callables(module)) or 'no functions'}"
        )
    return found


@contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """Let code in a folder be imported, as when Python itself runs it, and leave nothing behind
    there.
    """
    sys.path.insert(0, str(folder))
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(folder))


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; name the Python file that has the factory")
    name = f"_circuitome_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    _guarded(str(path), lambda: loader.exec_module(module))
    return module


def _import(name: str) -> ModuleType:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None:
        raise ModelError(
            f"{name}: no such module; install its package, run from its folder, or write "
            "path/file.py:factory"
        )
    return _guarded(name, lambda: importlib.import_module(name))


def _guarded(what: str, run: Callable[[], Result]) -> Result:
    """Run the user's code; what it raises is told with its place."""
    try:
        return run()
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ModelError(
            f"{what} failed: {reason} ({place}); it must run without arguments"
        ) from error


def _callables(module: ModuleType) -> list[str]:
    """The first dozen of its own public functions and classes."""
    own = (
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    )
    return [name for name in own if not name.startswith("_")][:12]


def functions_in(path: Path) -> list[str]:
    """Names of the public functions at the top of a Python file, without running it."""
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
