"""Models in: from what was typed on the command line to a network in eval mode with its weights and
preprocessing.

Four spellings: the name of a bundled network, a torchvision classification network,
``package.module:factory``, and ``path/file.py:factory``. The last two run the user's code; they are
taken from the command line and never from a file.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.models.network import Network
from circuitome.extract.models.weights import (
    WeightsError,
    fit,
    randomise,
    read_weights,
    refuse_nonfinite,
)
from circuitome.networks import BUNDLED

__all__ = ["ModelError", "is_known_name", "resolve", "resolve_again"]

DEFAULT: Final = "DEFAULT"
RANDOM: Final = "random"
_WITH_TRANSFORM: Final = (
    "googlenet",
    "inception_v3",
)  # their published weights expect torchvision's input transform
_NAME: Final = re.compile(r"[^\W_][\w.+-]*")
_LONGEST_NAME: Final = 200  # files and folders are called by it, and may have 255 bytes


class ModelError(CircuitomeError):
    """A model that is not known, cannot be built, or is described wrongly."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A way to build one architecture, and what is known about it."""

    name: str
    architecture: str
    build: Callable[[], nn.Module]
    default: Path | Callable[[], Mapping[str, Tensor]] | None = None  # published weights
    rename: Callable[[str], str] = field(default=lambda name: name)  # names in older weights files
    about: Mapping[str, Any] = field(default_factory=dict)  # input_shape, mean, std, task, labels


def is_known_name(spec: str) -> bool:
    """Whether ``spec`` is a bundled or torchvision name: such a network is built without
    running anybody's code.
    """
    return spec in BUNDLED or spec in _torchvision_names()


def resolve(
    spec: str,
    *,
    weights: str | None = None,
    name: str | None = None,
    input_size: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    allow_nonfinite: bool = False,
) -> Network:
    """Build the network that ``spec`` names, with its weights.

    Args:
        spec: bundled or torchvision name, ``package.module:factory`` or ``path/file.py:factory``. A
            factory takes no arguments and returns a module; its attributes ``input_shape``,
            ``mean``, ``std``, ``task`` and ``labels`` are the defaults.
        weights: a file (`read_weights`), ``DEFAULT`` (published ones), or ``random`` (from
            ``seed``); None takes the published ones of a name, and leaves a factory's network as it
            was built.
        input_size: channels, height, width.
        mean, std: preprocessing, one number an input channel.
        allow_nonfinite: let NaN and infinite weights pass.

    Raises: ModelError: the name is unknown, the factory missing or failing, or what is said of the
        input does not fit. WeightsError: the weights cannot be read or are another network's.

    Example:
        >>> network = resolve("squeezenet1_1", weights="random")
        >>> network.input_shape, network.weights, len(network.labels)
        ((3, 224, 224), 'random', 1000)
    """
    source = _source(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            seed
        )  # a factory that leaves its weights random does so the same way every time
        model = source.build().float().eval().requires_grad_(False)
    origin = _weigh(model, source, weights, seed)
    if not allow_nonfinite:
        refuse_nonfinite(
            model, source=weights if weights not in (None, DEFAULT) else source.architecture
        )
    shape = _input_shape(input_size or _known(source, model, "input_shape"))
    return Network(
        model=model,
        name=_checked_name(name or source.name),
        architecture=source.architecture,
        weights=origin,
        seed=seed,
        input_shape=shape,
        mean=_per_channel(
            "mean", mean or _fitting(_known(source, model, "mean"), shape[0]), shape[0]
        ),
        std=_per_channel("std", std or _fitting(_known(source, model, "std"), shape[0]), shape[0]),
        task=str(_known(source, model, "task") or ""),
        labels=tuple(map(str, _known(source, model, "labels") or ())),
    )


def resolve_again(
    described: Mapping[str, Any], *, spec: str | None, weights: str | None, bundle: str
) -> Network:
    """Build the network that a bundle was made from, and make sure that it is the same one.

    Args:
        described: the bundle's `Model` row. Names of networks, ``DEFAULT``, ``random`` and the seed
            are taken from it if nothing was typed; code that it names is never run.
        spec, weights: as for `resolve`, where they were typed.
        bundle: what the error calls the bundle.

    Raises:
        ModelError: the architecture or the weights file has to be typed.
        WeightsError: these are other weights than the bundle's.
    """
    architecture, origin = str(described.get("architecture")), str(described.get("weights"))
    if spec is None and not is_known_name(architecture):
        raise ModelError(
            f"{bundle} was made from {architecture or 'code'}, which is run only when it is "
            "typed; name it after the bundle"
        )
    if weights is None and origin in (DEFAULT, RANDOM):
        weights = origin
    elif (
        weights is None
        and origin != "factory"
        and not _is_bundled_file(spec or architecture, origin)
    ):
        raise ModelError(
            f"{bundle} was made with the weights {origin}; name that file with --weights"
        )
    network = resolve(
        spec or architecture,
        weights=weights,
        input_size=described.get("input_shape"),
        seed=int(described.get("seed") or 0),
    )
    sha256 = network.weights_sha256
    if sha256 != described.get("weights_sha256"):
        raise WeightsError(
            f"{bundle}: made from other weights than these ({origin}, SHA-256 "
            f"{str(described.get('weights_sha256'))[:12]}...; "
            f"these: {network.weights}, {sha256[:12]}...); name the same MODEL and --weights, or "
            "extract it again"
        )
    return network


def _is_bundled_file(spec: str, origin: str) -> bool:
    return spec in BUNDLED and BUNDLED[spec].weights.name == origin


def _source(spec: str) -> _Source:
    if ":" in spec:
        return _factory(spec)
    if spec in BUNDLED:
        return _bundled(spec)
    if spec in _torchvision_names():
        return _torchvision(spec)
    raise ModelError(f"{spec!r} is not a network that is known by name; {_suggestion(spec)}")


def _suggestion(spec: str) -> str:
    if spec.endswith(".py"):
        functions = _functions(Path(spec))
        return (
            f"name the function that builds it: {spec}:{functions[0] if functions else 'FACTORY'}"
        )
    known = [*BUNDLED, *_torchvision_names()]
    near = difflib.get_close_matches(spec.lower(), known, n=4, cutoff=0.5)
    return (
        f"near ones: {', '.join(near)}"
        if near
        else "take a torchvision name, package.module:factory or file.py:factory"
    )


def _torchvision_names() -> list[str]:
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def _bundled(name: str) -> _Source:
    network = BUNDLED[name]
    module, _, function = network.factory.partition(":")
    about = {
        "input_shape": network.input_size,
        "mean": network.mean,
        "std": network.std,
        "task": network.task,
    }
    return _Source(
        name, name, getattr(importlib.import_module(module), function), network.weights, about=about
    )


def _torchvision(name: str) -> _Source:
    import torchvision

    choices: Any = torchvision.models.get_model_weights(name)
    published = choices.DEFAULT
    transform = published.transforms()
    options = {"init_weights": False, "transform_input": True} if name in _WITH_TRANSFORM else {}
    about = {
        "input_shape": (3, transform.crop_size[0], transform.crop_size[0]),
        "mean": transform.mean,
        "std": transform.std,
        "task": "ImageNet-1k classification",
        "labels": published.meta["categories"],
    }

    def build() -> nn.Module:
        return torchvision.models.get_model(name, weights=None, **options)

    def download() -> Mapping[str, Tensor]:
        try:
            return published.get_state_dict(progress=True, check_hash=True, weights_only=True)
        except (
            Exception
        ) as error:  # no network, no such host, a cut connection, a wrong hash, a full disk
            raise WeightsError(
                f"{name}: its published weights could not be fetched from {published.url} "
                f"({error}); "
                "give a file with --weights FILE, or take --weights random"
            ) from error

    return _Source(
        name, name, build, download, _densenet_name if name.startswith("densenet") else str, about
    )


def _densenet_name(name: str) -> str:
    """The published DenseNet files write `denselayer1.norm.1.weight` for
    `denselayer1.norm1.weight`.
    """
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)


def _factory(spec: str) -> _Source:
    place, _, function = spec.rpartition(":")
    if not place or not function:
        raise ModelError(f"{spec!r}: write package.module:factory or path/file.py:factory")
    shown = f"{Path(place).name}:{function}" if place.endswith(".py") else spec
    return _Source(function.rpartition(".")[2], shown, lambda: _call(place, function))


def _call(place: str, function: str) -> nn.Module:
    folder = Path(place).resolve().parent if place.endswith(".py") else Path.cwd()
    with _imports_from(folder):
        module = _run_file(Path(place)) if place.endswith(".py") else _import(place)
        factory: Any = module
        for part in function.split("."):
            factory = getattr(factory, part, None)
        if factory is None:
            raise ModelError(
                f"{place}: has no {function!r}; it has "
                f"{', '.join(_callables(module)) or 'no functions'}"
            )
        model = (
            factory if isinstance(factory, nn.Module) else _guarded(f"{place}:{function}", factory)
        )
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{place}:{function} gave a {type(model).__name__}, not a torch.nn.Module; return "
            "the network"
        )
    return model


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


def _guarded(what: str, run: Callable[[], Any]) -> Any:
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
    own = [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]
    return [
        name
        for name in own
        if getattr(getattr(module, name), "__module__", None) == module.__name__
    ][:12]


def _functions(path: Path) -> list[str]:
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


def _weigh(model: nn.Module, source: _Source, weights: str | None, seed: int) -> str:
    """Put the weights in; returns what the `Model` row says about them."""
    if weights == RANDOM:
        randomise(model, seed)
        return RANDOM
    if weights is None and source.default is None:
        return "factory"
    if weights in (None, DEFAULT):
        if source.default is None:
            raise WeightsError(
                f"{source.architecture}: a factory has no DEFAULT weights; give a file with "
                "--weights FILE"
            )
        if callable(source.default):
            _fit(model, source, source.default(), f"published weights of {source.name}")
            return DEFAULT
    path = source.default if weights in (None, DEFAULT) else Path(str(weights))
    assert isinstance(path, Path)
    _fit(model, source, read_weights(path), str(path))
    return path.name


def _fit(model: nn.Module, source: _Source, state: Mapping[str, Tensor], origin: str) -> None:
    renamed = {source.rename(name): tensor for name, tensor in state.items()}
    _drop_absent_heads(model, renamed)
    fit(model, renamed, source=origin, architecture=source.architecture)


def _drop_absent_heads(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Auxiliary heads take part in training only; a file without them is whole."""
    for head in ("aux1", "aux2", "AuxLogits"):
        if getattr(model, head, None) is not None and not any(
            name.startswith(f"{head}.") for name in state
        ):
            setattr(model, head, None)
            setattr(model, "aux_logits", False)  # noqa: B010 (the types know no such attribute)


def _known(source: _Source, model: nn.Module, what: str) -> Any:
    """What is known about a named network, or what a factory's module says of itself in plain
    values.
    """
    said = source.about.get(what) if source.about else getattr(model, what, None)
    return said if isinstance(said, (tuple, list, str)) else None


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ModelError(
            f"{name!r} cannot name a model: it begins every neuron's key, so it has letters, "
            "digits, `_`, `.`, `+`, `-` "
            f"only, {_LONGEST_NAME} at most, and begins with a letter or digit; give another "
            "with --name"
        )
    return name


def _input_shape(size: Any) -> tuple[int, int, int]:
    shape = tuple(size or (3, 224, 224))
    if len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ModelError(
            f"input size {shape}: give channels, height and width, as in --input-size 3,224,224"
        )
    return shape


def _fitting(known: Any, channels: int) -> Any:
    """Published preprocessing, unless the input was given other channels than it is for."""
    return known if known is not None and len(known) == channels else None


def _per_channel(what: str, values: Any, channels: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    numbers = tuple(map(float, values))
    if len(numbers) != channels:
        raise ModelError(
            f"--{what} has {len(numbers)} numbers and the input {channels} channels; give one a "
            "channel"
        )
    if what == "std" and not all(number > 0 for number in numbers):
        raise ModelError(
            f"--std {numbers}: each input channel is divided by it, so give numbers above 0"
        )
    return numbers
