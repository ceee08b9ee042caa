"""Sources of networks: how the architecture that somebody typed is built, and what is known of it.

Four spellings: the name of a bundled network, a torchvision classification network,
``package.module:factory``, and ``path/file.py:factory``.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor, nn

from circuitome.extract.models.about import About
from circuitome.extract.models.factories import build, functions_in
from circuitome.extract.models.network import ModelError
from circuitome.extract.models.weights import WeightsError
from circuitome.networks import BUNDLED

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

__all__ = ["Source", "is_known_name", "source_of"]

# their published weights expect torchvision's input transform
_WITH_TRANSFORM: Final = ("googlenet", "inception_v3")


@dataclass(frozen=True, slots=True)
class Source:
    """A way to build one architecture, and what is known about it."""

    name: str
    architecture: str
    build: Callable[[], nn.Module]
    about: About | None = None  # None: the module says so itself
    default: Path | Callable[[], Mapping[str, Tensor]] | None = None  # published weights
    rename: Callable[[str], str] = field(default=lambda name: name)  # names in older weights files


def is_known_name(spec: str) -> bool:
    """Whether ``spec`` is a bundled or torchvision name: such a network is built without
    running anybody's code.
    """
    return spec in BUNDLED or spec in _torchvision_names()


def source_of(spec: str) -> Source:
    """How to build what was typed.

    Raises:
        ModelError: it is neither a known name nor a factory.
    """
    if ":" in spec:
        return _factory(spec)
    if spec in BUNDLED:
        return _bundled(spec)
    if spec in _torchvision_names():
        return _torchvision(spec)
    raise ModelError(f"{spec!r} is not a network that is known by name; {_suggestion(spec)}")


def _suggestion(spec: str) -> str:
    if spec.endswith(".py"):
        functions = functions_in(Path(spec))
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


def _bundled(name: str) -> Source:
    network = BUNDLED[name]
    module, _, function = network.factory.partition(":")
    factory = getattr(importlib.import_module(module), function)
    about = About(network.input_size, network.mean, network.std, network.task)
    return Source(name, name, factory, about, network.weights)


def _torchvision(name: str) -> Source:
    import torchvision

    choices: Any = torchvision.models.get_model_weights(name)
    published = choices.DEFAULT
    options = {"init_weights": False, "transform_input": True} if name in _WITH_TRANSFORM else {}
    return Source(
        name,
        name,
        partial(torchvision.models.get_model, name, weights=None, **options),
        _published(published),
        partial(_download, name, published),
        _densenet_name if name.startswith("densenet") else str,
    )


def _published(weights: WeightsEnum) -> About:
    transform = weights.transforms()
    return About(
        (3, transform.crop_size[0], transform.crop_size[0]),
        mean=transform.mean,
        std=transform.std,
        task="ImageNet-1k classification",
        labels=weights.meta["categories"],
    )


def _download(name: str, weights: WeightsEnum) -> Mapping[str, Tensor]:
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    # no network, no such host, a cut connection, a wrong hash, a full disk
    except Exception as error:
        raise WeightsError(
            f"{name}: its published weights could not be fetched from {weights.url} "
            f"({error}); "
            "give a file with --weights FILE, or take --weights random"
        ) from error


def _densenet_name(name: str) -> str:
    """The published DenseNet files write `denselayer1.norm.1.weight` for
    `denselayer1.norm1.weight`.
    """
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)


def _factory(spec: str) -> Source:
    place, _, function = spec.rpartition(":")
    if not place or not function:
        raise ModelError(f"{spec!r}: write package.module:factory or path/file.py:factory")
    shown = f"{Path(place).name}:{function}" if place.endswith(".py") else spec
    return Source(function.rpartition(".")[2], shown, partial(build, place, function))
