"""Models in: from what was typed on the command line to a network in eval mode with its weights and
preprocessing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import torch
from torch import nn

from circuitome.extract.inputs import InputShape
from circuitome.extract.models.about import About
from circuitome.extract.models.checkpoints import Entry, entries_of
from circuitome.extract.models.fitting import Fitted, Target, WeightsFile, fit, read_entries
from circuitome.extract.models.network import ModelError, Network
from circuitome.extract.models.readiness import ready
from circuitome.extract.models.sources import Source, is_known_name, source_of
from circuitome.extract.models.until import end_before
from circuitome.extract.models.weights import WeightsError, randomise, refuse_nonfinite
from circuitome.graphdb.rows import ModelRow
from circuitome.networks import BUNDLED

__all__ = ["ModelError", "WeightsFile", "is_known_name", "resolve", "resolve_again"]

NOTHING: Final = About()
DEFAULT: Final = "DEFAULT"
RANDOM: Final = "random"
_UNKNOWN: Final = "?"
NOT_CHOSEN: Final = Fitted("", ())
_NAME: Final = re.compile(r"[^\W_][\w.+-]*")
_LONGEST_NAME: Final = 200  # files and folders are called by it, and may have 255 bytes


def resolve(
    spec: str,
    *,
    weights: str | WeightsFile | None = None,
    name: str | None = None,
    said: About = NOTHING,
    seed: int = 0,
    allow_nonfinite: bool = False,
) -> Network:
    """Build the network that ``spec`` names, with its weights.

    Args:
        spec: bundled or torchvision name, ``package.module:factory`` or ``path/file.py:factory``. A
            factory takes no arguments and returns a module, whose attributes say what `About` does.
        weights: a file, or ``FILE::KEY`` for one place in it (`WeightsFile` can leave a head out,
            too), ``DEFAULT`` (published ones), or ``random`` (from ``seed``); None takes the
            published ones of a name, and leaves a factory's network as it was built.
        said: input shape, preprocessing and the rest, in place of what is known of the network.
        allow_nonfinite: let NaN and infinite weights pass.

    Raises: ModelError: the name is unknown, the factory missing or failing, or what is said of the
        input does not fit. WeightsError: the weights cannot be read or are another network's.

    Example:
        >>> network = resolve("squeezenet1_1", weights="random")
        >>> network.input_shape, network.weights, len(network.labels)
        ((3, 224, 224), 'random', 1000)
    """
    source = source_of(spec)
    file = WeightsFile.of(weights) if isinstance(weights, str) else weights
    with torch.random.fork_rng(devices=[]):
        # a factory that leaves its weights random does so the same way every time
        torch.manual_seed(seed)
        model = source.build()
        about = said.over(source.about or About.of(model))
        model = ready(model, about.input_shape, source=source.architecture)
    target = Target(model, source.architecture, about.input_shape, source.rename)
    origin, fitted = _weigh(target, source, file, seed)
    if not allow_nonfinite:
        path = None if file is None or file.path == DEFAULT else file.path
        refuse_nonfinite(model, source=path or source.architecture)
    if about.until:
        end_before(model, about.until, about.input_shape, source=source.architecture)
    return Network(
        model=model,
        name=_checked_name(name or source.name),
        input_shape=about.input_shape,
        mean=about.mean,
        std=about.std,
        task=about.task,
        labels=() if fitted.left_out or about.until else about.labels,
        architecture=source.architecture,
        weights=origin,
        seed=seed,
        taken=fitted.told,
        left_out=fitted.left_out,
        until=about.until,
    )


def resolve_again(
    described: ModelRow,
    *,
    spec: str | None,
    weights: str | None,
    bundle: str,
    command: str = "verify",
    notes: Mapping[str, object] = MappingProxyType({}),
) -> Network:
    """Build the network that a bundle was made from, and make sure that it is the same one.

    Args:
        described: the bundle's `Model` row. Names of networks, ``DEFAULT``, ``random``, the seed
            and a weights file in the working folder are taken from it if nothing was typed; code
            that it names is never run.
        spec, weights: as for `resolve`, where they were typed.
        bundle, command: what the error calls the bundle, and the command to type.
        notes: what else the manifest says: modules of the head that were ``left_out``, the module
            ``until`` which the network goes, and several ``inputs``.

    Raises:
        ModelError: the architecture or the weights file has to be typed.
        WeightsError: these are other weights than the bundle's.
    """
    architecture, origin = str(described.get("architecture")), str(described.get("weights"))
    known = spec or (architecture if is_known_name(architecture) else None)
    if weights is None:
        weights = _weights_again(origin, known)
    if known is None or weights == _UNKNOWN:
        raise ModelError(_to_type(architecture, origin, spec=spec, line=f"{command} {bundle}"))
    weights = weights or None
    head = "drop" if notes.get("left_out") else "keep"
    file = WeightsFile.of(weights, head=head) if weights else None
    inputs = cast("InputShape", notes.get("inputs") or described.get("input_shape") or ())
    network = resolve(
        known,
        weights=file,
        said=About(inputs, until=str(notes.get("until") or "")),
        seed=int(described.get("seed") or 0),
    )
    _refuse_other_weights(network, described, bundle)
    return network


def _refuse_other_weights(network: Network, described: ModelRow, bundle: str) -> None:
    sha256 = network.weights_sha256
    if sha256 != described.get("weights_sha256"):
        raise WeightsError(
            f"{bundle}: made from other weights than these ({described.get('weights')}, SHA-256 "
            f"{str(described.get('weights_sha256'))[:12]}...; "
            f"these: {network.weights}, {sha256[:12]}...); name the same MODEL and --weights, or "
            "extract it again"
        )


def _weights_again(origin: str, spec: str | None) -> str:
    """The weights that a bundle names; empty for those that the network comes with."""
    if origin in (DEFAULT, RANDOM):
        return origin
    is_bundled = spec in BUNDLED and BUNDLED[spec].weights.name == origin
    if origin == "factory" or is_bundled:
        return ""
    file = Path(WeightsFile.of(origin).path)
    # no other folder, whatever a manifest says
    return origin if file.name == str(file) and file.is_file() else _UNKNOWN


def _to_type(architecture: str, origin: str, *, spec: str | None, line: str) -> str:
    """What a bundle was made from that has to be typed again, and the command for it."""
    model = spec or ("" if is_known_name(architecture) else architecture)
    file = origin not in (DEFAULT, RANDOM, "factory") and f" --weights {origin}"
    return (
        f"{line.partition(' ')[2]} was made from {architecture or 'code'} with the weights "
        f"{origin}; code is run, and files elsewhere are read, only when they are typed: "
        f"`circuitome {line}{f' {model}' if model else ''}{file or ''}`, with the folders of both"
    )


def _weigh(
    target: Target, source: Source, file: WeightsFile | None, seed: int
) -> tuple[str, Fitted]:
    """Put the weights in; returns what the `Model` row says about them, and what was chosen."""
    _refuse_other_head(file)
    if file is not None and file.path == RANDOM:
        randomise(target.model, seed)
        return RANDOM, NOT_CHOSEN
    if file is not None and file.path != DEFAULT:
        return file.name, _fit_file(target, file)
    if isinstance(source.default, Path):
        return source.default.name, _fit_file(target, WeightsFile(str(source.default)))
    if source.default is not None:
        origin = f"published weights of {source.name}"
        return DEFAULT, _fit(target, entries_of(source.default()), WeightsFile(origin))
    if file is not None:
        raise WeightsError(
            f"{source.architecture}: a factory has no DEFAULT weights; give a file with "
            "--weights FILE"
        )
    return "factory", NOT_CHOSEN


def _refuse_other_head(file: WeightsFile | None) -> None:
    if file is not None and file.head == "drop" and file.path in (DEFAULT, RANDOM):
        raise WeightsError(
            f"--head drop leaves out what a weights file lacks, and {file.path} lacks nothing; "
            "leave it out"
        )


def _fit_file(target: Target, file: WeightsFile) -> Fitted:
    return _fit(target, read_entries(Path(file.path)), file)


def _fit(target: Target, entries: list[Entry], file: WeightsFile) -> Fitted:
    _drop_absent_heads(target.model, entries)
    return fit(target, entries, source=file.path, key=file.key, head=file.head)


def _drop_absent_heads(model: nn.Module, entries: list[Entry]) -> None:
    """Auxiliary heads take part in training only; a file without them is whole."""
    words = {word for entry in entries for word in entry.name.split(".")}
    for head in ("aux1", "aux2", "AuxLogits"):
        if getattr(model, head, None) is not None and head not in words:
            setattr(model, head, None)
            setattr(model, "aux_logits", False)  # noqa: B010 (the types know no such attribute)


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ModelError(
            f"{name!r} cannot name a model: it begins every neuron's key, so it has letters, "
            "digits, `_`, `.`, `+`, `-` "
            f"only, {_LONGEST_NAME} at most, and begins with a letter or digit; give another "
            "with --name"
        )
    return name
