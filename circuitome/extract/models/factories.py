"""Factories: functions in a person's module or file that build a network.

They run the person's code, and are taken from the command line and never from a file.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import io
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TextIO, TypeVar

from torch import nn
from torch.export import ExportedProgram

from circuitome.extract.models.network import ModelError

__all__ = ["build", "functions_in"]

Result = TypeVar("Result")

_PRIVATE: Final = "_circuitome_user_"
"""Modules of a person's files are called by this and their own name."""


def build(place: str, function: str) -> nn.Module:
    """What a function gives, or the module of that name; ``place`` is a module or a ``.py`` file.

    A file of a package (its folder has an ``__init__.py``) is run as a part of it.

    Raises:
        ModelError: there is no such place or function, it fails, or gives something else.
    """
    with _imports_from(_folders(place)), _as_program(place):
        module = _run_file(Path(place)) if place.endswith(".py") else _import(place)
        found = _attribute(module, place, function)
        model = found if isinstance(found, nn.Module) else _called(f"{place}:{function}", found)
    if isinstance(model, ExportedProgram):
        raise ModelError(
            f"{place}:{function} gave an exported program; return the module before torch.export"
        )
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{place}:{function} gave a {type(model).__name__}, not a torch.nn.Module; return "
            "the network"
        )
    return model


def _called(what: str, factory: Callable[[], object]) -> object:
    """What a factory gives."""
    if needed := _required(factory):
        raise ModelError(
            f"{what} needs arguments ({', '.join(needed)}), and must run without arguments; write "
            "a function that calls it with them, and name that one"
        )
    return _guarded(what, factory)


def _required(factory: object) -> list[str]:
    """Names of the arguments that a function cannot do without."""
    try:
        parameters = inspect.signature(factory).parameters.values()  # pyright: ignore
    except (TypeError, ValueError):  # no function, or one without a signature
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


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


def _folders(place: str) -> list[Path]:
    """From where code may import: the file's folder, and that of its package; or the working
    folder.
    """
    if not place.endswith(".py"):
        return [Path.cwd()]
    path = Path(place).resolve()
    return list(dict.fromkeys((_package_root(path), path.parent)))


def _package_root(path: Path) -> Path:
    """The first folder above a file that is no package."""
    return next(folder for folder in path.parents if not (folder / "__init__.py").is_file())


@contextmanager
def _imports_from(folders: Sequence[Path]) -> Iterator[None]:
    """Let code in folders be imported, as when Python itself runs it, and leave nothing behind
    there.
    """
    for folder in folders:
        sys.path.insert(0, str(folder))
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
        for folder in folders:
            sys.path.remove(str(folder))


@contextmanager
def _as_program(place: str) -> Iterator[None]:
    """Give code that reads a command line an empty one; what it prints goes to stderr."""
    before = sys.argv
    sys.argv = [place]
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.argv = before


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; name the Python file that has the factory")
    if _is_relative(path):
        name = _package_of(path.resolve())
        return _guarded(str(path), lambda: importlib.import_module(name))
    return _guarded(str(path), lambda: _executed(_PRIVATE + path.stem, path))


def _executed(name: str, path: Path, inside: Sequence[str] | None = None) -> ModuleType:
    """Run a file as the module of that name; ``inside`` is where its own modules lie."""
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=None if inside is None else list(inside)
    )
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    return module


def _is_relative(path: Path) -> bool:
    """Whether a file of a package imports relatively to it."""
    if not (path.resolve().parent / "__init__.py").is_file():
        return False
    nodes = ast.walk(_parsed(path))
    return any(isinstance(node, ast.ImportFrom) and node.level > 0 for node in nodes)


def _package_of(path: Path) -> str:
    """Run the packages around a file, outermost first; the name that its module has in them.

    The outermost gets a name of its own, so that an installed package keeps its own.
    """
    root = _package_root(path)
    outer, *inner = path.relative_to(root).with_suffix("").parts
    top = _PRIVATE + outer
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]  # of an earlier file
    folder = root / outer
    _guarded(str(folder), lambda: _executed(top, folder / "__init__.py", inside=[str(folder)]))
    return ".".join((top, *inner))


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
    said = _Held(sys.stderr)
    try:
        with redirect_stderr(said):  # pyright: ignore[reportArgumentType]
            return run()
    except SystemExit as error:
        usage = said.last()
        raise ModelError(
            f"{what} failed: SystemExit: {error.code} ({_where(error)}"
            f"{f': {usage}' if usage else ''}); it ended the program, as argparse and sys.exit do: "
            "build the network in a function that reads no command line"
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ModelError(f"{what} failed: {reason} ({_where(error)}); {_cure(error)}") from error
    finally:
        said.release()


class _Held:
    """A stream that holds what argparse says of a command line until it is released."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._text = stream, io.StringIO()

    def write(self, text: str) -> int:
        """Keep a text of argparse, and write any other."""
        writer = sys._getframe(1).f_globals.get("__name__")
        return (self._text if writer == "argparse" else self._stream).write(text)

    def last(self) -> str:
        """The last line; nothing is left to be released."""
        lines = self._text.getvalue().strip().splitlines()
        self._text = io.StringIO()
        return lines[-1].strip() if lines else ""

    def release(self) -> None:
        """Write all that is held."""
        self._stream.write(self._text.getvalue())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _where(error: BaseException) -> str:
    """File and line where an error arose: the last that is no installed package's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def _is_own(file: str) -> bool:
    installed = sysconfig.get_paths()
    library = (installed["stdlib"], installed["purelib"], installed["platlib"])
    return not file.startswith((*library, str(Path(__file__).parents[2]), "<"))


def _cure(error: Exception) -> str:
    if isinstance(error, ImportError) and "relative import" in str(error):
        return (
            "put an empty __init__.py into its folder, or run from the folder above and write "
            "FOLDER.FILE:FACTORY"
        )
    if isinstance(error, ModuleNotFoundError):
        return "install what it imports, or run where it can be imported"
    return "repair it until Python runs it by itself; it must run without arguments"


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
    return [
        node.name
        for node in _parsed(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def _parsed(path: Path) -> ast.Module:
    """The syntax of a Python file; of none if it cannot be read."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
