"""Weights into a network: what a file holds, matched by names, every shape in its place."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from circuitome.errors import first_line
from circuitome.extract.inputs import InputShape
from circuitome.extract.models.checkpoints import Entry, entries_of, places_of
from circuitome.extract.models.choosing import Choice, choose, names_in_words
from circuitome.extract.models.heads import drop, last_modules
from circuitome.extract.models.matching import Fit
from circuitome.extract.models.weight_files import read_content
from circuitome.extract.models.weights import RESAVE, WeightsError, shape_in_words

__all__ = ["Fitted", "Target", "WeightsFile", "fit", "fit_file", "read_entries"]

_HEADS: Final = ("keep", "drop")
_OTHER: Final = "name the architecture that these weights were trained with"
_CURES: Final = (
    (
        re.compile(r"_packed_params|fake_quant|activation_post_process|zero_point$"),
        "these are weights of a quantised network: save them before quantisation",
    ),
    (
        re.compile(r"parametrizations\."),
        "they are parametrised: save them after "
        "`torch.nn.utils.parametrize.remove_parametrizations`",
    ),
    (
        re.compile(r"weight_u$"),
        "with spectral norm: save them after `torch.nn.utils.remove_spectral_norm`",
    ),
)
"""What names that a network does not have tell of how they came about."""
_PART: Final = re.compile(r"-\d{5}-of-\d{5}\.[a-z]+$")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file, what is taken of it, and what becomes of the head."""

    path: str
    """The file; also ``DEFAULT`` (published weights) or ``random`` for `resolve`."""
    key: str = ""
    """Where in the file the weights stand, keys between dots; empty: where the names fit."""
    head: str = "keep"
    """``drop`` leaves out the last layers if the file lacks their weights."""

    def __post_init__(self) -> None:
        if self.head not in _HEADS:
            raise WeightsError(f"head {self.head!r}: give one of {', '.join(_HEADS)}")

    @classmethod
    def of(cls, text: str, *, head: str = "keep") -> WeightsFile:
        """What is typed as ``FILE`` or ``FILE::KEY``.

        >>> WeightsFile.of("last.ckpt::ema")
        WeightsFile(path='last.ckpt', key='ema', head='keep')
        """
        path, separator, key = text.rpartition("::")
        if not separator or not path or _is_there(text):
            return cls(text, head=head)
        return cls(path, key, head)

    @property
    def name(self) -> str:
        """The file's name and the key, as a bundle's manifest says."""
        return Path(self.path).name + (f"::{self.key}" if self.key else "")


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a name that is too long
        return False


@dataclass(frozen=True, slots=True)
class Target:
    """A network that is to get weights."""

    model: nn.Module
    architecture: str
    """What errors call it."""
    input_shape: InputShape = (3, 224, 224)
    """What it reads: it is run on such an image where a head is left out."""
    rename: Callable[[str], str] = field(default=lambda name: name)
    """Its names in older files."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was put into a network."""

    told: str
    """One line about what was chosen; empty if the file is the network's state dict."""
    left_out: tuple[str, ...]
    """Modules of the head that were left out."""


def read_entries(path: Path) -> list[Entry]:
    """Every tensor of a weights file.

    Raises:
        WeightsError: it cannot be read (`read_content`), or holds no tensors by name.
    """
    content = read_content(path)
    if entries := entries_of(content):
        return entries
    if isinstance(content, Mapping) and content:
        name, value = next(iter(content.items()))
        raise WeightsError(f"{path}: {name!r} is a {_kind(value)}, not a tensor; {RESAVE}")
    raise WeightsError(f"{path}: holds a {_kind(content)}, not a state dict; {RESAVE}")


def _kind(value: object) -> str:
    kind = type(value)
    own = kind.__module__.startswith(("builtins", "collections", "torch.storage"))
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


def fit_file(target: Target, file: WeightsFile) -> Fitted:
    """Put the tensors of a file that are the network's into it: `read_entries`, then `fit`."""
    entries = read_entries(Path(file.path))
    return fit(target, entries, source=file.path, key=file.key, head=file.head)


def fit(
    target: Target, entries: Sequence[Entry], *, source: str, key: str = "", head: str = "keep"
) -> Fitted:
    """Copy the tensors that are the network's into it; half precision becomes its float32.

    Args:
        entries: those of the file.
        source: what the error calls the file.
        key: where in the file they stand.
        head: ``drop`` leaves out the last layers if the file lacks their weights.

    Raises: WeightsError: names or shapes are another network's, two networks fit, a quantised
        tensor.
    """
    entries = [replace(entry, name=target.rename(entry.name)) for entry in entries]
    expected = target.model.state_dict()
    choice = choose(expected, entries, source=source, key=key)
    if choice is None:
        raise _no_names(expected, entries, source=source, architecture=target.architecture)
    left_out = _without_head(target, choice.fit, source=source) if head == "drop" else ()
    if not left_out:
        _refuse_other_shapes(expected, choice.fit, source=source, target=target)
        _refuse_other_names(expected, choice.fit, source=source, target=target)
    kept = _copied(target.model, choice.fit, source=source)
    return Fitted(_told(replace(choice, fit=kept), left_out), left_out)


def _told(choice: Choice, left_out: Sequence[str]) -> str:
    """One line about what was taken and what was left out."""
    told = choice.in_words()
    if left_out:
        told = told or f"taken: {len(choice.fit.found)} tensors"
        told += f"; left out: {names_in_words(left_out)}, and with the head its classes"
    return told


def _without_head(target: Target, found: Fit, *, source: str) -> tuple[str, ...]:
    """Leave out the layers that a file lacks or has for other classes; returns their names."""
    lacking = [*found.missing, *found.misfits]
    if not lacking:
        raise WeightsError(f"{source}: has the whole head; leave out --head drop")
    kept = {name.partition(".")[0] for name in found.found if name not in found.misfits}
    strangers = [name for name in found.unknown if name.partition(".")[0] in kept]
    if strangers or not found.right:
        fault = f"has {_some(strangers)} unknown to it" if strangers else f"lacks {_some(lacking)}"
        raise WeightsError(
            f"{source}: not the weights of {target.architecture} without its head: the file "
            f"{fault}; {_OTHER}"
        )
    return drop(target.model, lacking, target.input_shape, source=source)


def _no_names(
    expected: Mapping[str, Tensor], entries: Sequence[Entry], *, source: str, architecture: str
) -> WeightsError:
    """The error for a file that has no name of the network."""
    places = [f"{place or 'the file itself'} ({n})" for place, n in places_of(entries).items()]
    return WeightsError(
        f"{source}: not the weights of {architecture}: the file lacks {_some(expected)} and has "
        f"{_some([entry.name for entry in entries])} unknown to it, its tensors at "
        f"{names_in_words(places)}; {_OTHER}"
    )


def _refuse_other_shapes(
    expected: Mapping[str, Tensor], found: Fit, *, source: str, target: Target
) -> None:
    for name in found.misfits:
        cure = _OTHER
        if _is_last(expected, [*found.misfits, *found.missing]):
            module = names_in_words(_modules(found.misfits, expected))
            cure = f"for other classes, `--head drop` leaves {module} out; else {_OTHER}"
        raise WeightsError(
            f"{source}: {name} is {shape_in_words(found.found[name].tensor)}, but "
            f"{target.architecture} has {shape_in_words(expected[name])} there; {cure}"
        )


def _refuse_other_names(
    expected: Mapping[str, Tensor], found: Fit, *, source: str, target: Target
) -> None:
    if not found.missing and not found.unknown:
        return
    faults = []
    if found.missing:
        faults.append(f"lacks {_some(found.missing)}")
    if found.unknown:
        faults.append(f"has {_some(found.unknown)} unknown to it")
    start = f"{source}: not the weights of {target.architecture}: the file {' and '.join(faults)}"
    raise WeightsError(f"{start}; {_cure(expected, found, source=source)}")


def _cure(expected: Mapping[str, Tensor], found: Fit, *, source: str) -> str:
    """What to do about a file with other names."""
    for pattern, cure in _CURES:
        if any(pattern.search(name) for name in found.unknown):
            return cure
    if _PART.search(source):
        return "it is one part of the weights: name their index, which ends in .index.json"
    if found.right and _is_last(expected, found.missing):
        modules = names_in_words(_modules(found.missing, expected))
        return (
            f"all of {modules} is absent (a backbone): `--head drop` leaves it out, with the "
            f"classes; or write a factory whose network has no {modules}"
        )
    return _OTHER


def _is_last(expected: Mapping[str, Tensor], names: Iterable[str]) -> bool:
    """Whether these are the last tensors of a network, and whole modules."""
    lacking = set(names)
    if not lacking:
        return False
    modules = {name.rpartition(".")[0] for name in lacking}
    order = [name.rpartition(".")[0] in modules for name in expected]
    return "" not in modules and order == sorted(order) and not all(order)


def _modules(names: Sequence[str], expected: Mapping[str, Tensor]) -> list[str]:
    whole = last_modules(names, expected)
    return whole or list(dict.fromkeys(name.rpartition(".")[0] for name in names))


def _some(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    first, *others = names
    return f"{first} and {len(others)} more" if others else first


def _copied(model: nn.Module, found: Fit, *, source: str) -> Fit:
    """Put tensors into a model; returns those that have a place in it."""
    expected = model.state_dict()
    kept = replace(found, found={n: e for n, e in found.found.items() if n in expected})
    state = OrderedDict((name, entry.tensor) for name, entry in kept.found.items())
    # some networks ask for the version of their layers, which a renamed file does not have
    vars(state).update(vars(expected))
    for name, tensor in state.items():
        if expected[name].is_floating_point() and not tensor.is_floating_point():
            raise WeightsError(
                f"{source}: {name} holds {tensor.dtype}, not floats; save it without quantisation"
            )
    try:
        # not strict for batch norm's counters alone
        model.load_state_dict(state, strict=False)
    # tensors that hold no values, or are no plain ones; the user's code may take part
    except Exception as error:
        last = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"{source}: its tensors cannot be copied ({first_line(last[-1].strip())[:200]}); "
            f"{RESAVE}"
        ) from error
    return kept
