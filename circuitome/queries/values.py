"""Typed parameters: what a query declares, and how a value from a person becomes one of that type.

Values from Python are checked; values typed on a command line (`Typed`) are converted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from circuitome.queries.errors import QueryError, near

__all__ = ["TYPES", "Parameter", "Typed", "at_least_one", "bind", "convert", "rows_at_most"]


class Typed(str):
    """Text as typed by a person, whose type is not yet known.

    For a parameter with a declared type any string is converted; for one without (a file without a
    header) only `Typed` is guessed: ``5`` is a number, ``[1, 2]`` a list, ``true`` a boolean, and
    the rest stays text.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    type: str  # one of TYPES
    doc: str
    default: Any = None
    required: bool = True  # false where there is a default
    formerly: tuple[str, ...] = ()  # names that it had before, which are refused


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = int(value) if isinstance(value, str) else value
    if number != int(number):
        raise ValueError
    return int(number)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "yes", "1", "false", "no", "0"):
        return value.lower() in ("true", "yes", "1")
    raise ValueError


def _list(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def converted(value: Any) -> list[Any]:
        return [convert(item) for item in _items(value)]

    return converted


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return json.loads(text)
        return [item.strip() for item in text.split(",") if item.strip()]
    if isinstance(value, Mapping):
        raise ValueError
    return list(value)


def _any(value: Any) -> Any:
    if isinstance(value, Typed):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    return _native(value)


def _native(value: Any) -> Any:
    """Numbers of numpy and the like as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


TYPES: Final[dict[str, tuple[Callable[[Any], Any], str]]] = {
    "string": (_string, "text"),
    "model": (_string, "the key of a model, such as `squeezenet1_1`"),
    "layer": (_string, "the key of a layer, such as `squeezenet1_1/features.3.expand3x3`"),
    "neuron": (_string, "the key of a neuron, such as `squeezenet1_1/features.3.expand3x3:17`"),
    "family": (_string, "the key of a family, such as `squeezenet1_1/features.0/f3`"),
    "integer": (_integer, "a whole number"),
    "float": (_float, "a finite number"),
    "boolean": (_boolean, "`true` or `false`"),
    "list of string": (_list(_string), 'a list such as `["a", "b"]` or `a,b`'),
    "list of neuron": (
        _list(_string),
        'a list of neuron keys such as `["toy/conv1:0", "toy/conv1:3"]`',
    ),
    "list of integer": (_list(_integer), "a list of whole numbers such as `[1, 2]` or `1,2`"),
    "list of float": (_list(_float), "a list of numbers such as `[0.5, 1]` or `0.5,1`"),
    "any": (_any, "any value"),
}
"""Every declared type: its converter, which raises ``ValueError``, and what it accepts."""


def bind(
    where: str, declared: tuple[Parameter, ...], given: Mapping[str, object]
) -> dict[str, Any]:
    """Values of all declared parameters: those given, converted, and the defaults of the rest.

    ``where`` names the query in messages. `QueryError` for a parameter that is not declared, a
    missing one, or a value that does not convert.

    >>> bind("hubs", (Parameter("limit", "integer", "at most so many", 20, False),), {"limit": "5"})
    {'limit': 5}
    """
    _check_known(where, declared, given)
    return {parameter.name: _value(where, parameter, given) for parameter in declared}


def _check_known(where: str, declared: tuple[Parameter, ...], given: Mapping[str, object]) -> None:
    names = [parameter.name for parameter in declared]
    renamed = {old: parameter.name for parameter in declared for old in parameter.formerly}
    takes = f"it takes {', '.join(map('`{}`'.format, names))}" if names else "it takes none"
    for name in given:
        if name in renamed:
            raise QueryError(
                f"{where}: the parameter `{name}` is called `{renamed[name]}` now; give it by that "
                "name"
            )
        if name not in names:
            cure = near(name, names, otherwise=takes)
            raise QueryError(f"{where}: no parameter `{name}`; {cure}")


def _value(where: str, parameter: Parameter, given: Mapping[str, object]) -> Any:
    if parameter.name in given:
        return convert(where, parameter, given[parameter.name])
    if parameter.required:
        raise QueryError(
            f"{where}: the parameter `{parameter.name}` is "
            f"missing{f' ({parameter.doc})' if parameter.doc else ''}; "
            f"give {TYPES[parameter.type][1]}: `-p {parameter.name}=...`, or "
            f"`{parameter.name}=...` in Python"
        )
    return parameter.default


def convert(where: str, parameter: Parameter, value: Any) -> Any:
    """A given value as the declared type; `QueryError` where it does not convert."""
    converter, accepts = TYPES[parameter.type]
    try:
        return converter(_native(value))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise QueryError(
            f"{where}: `{parameter.name}` cannot be {value!r}; give {accepts}"
        ) from None


def at_least_one(where: str, **numbers: int) -> None:
    """`QueryError` for a number below 1; ``where`` names the query in messages."""
    for name, number in numbers.items():
        if number < 1:
            raise QueryError(f"{where}: `{name}` cannot be {number}; give a whole number from 1")


def rows_at_most(where: str, limit: object) -> int:
    """A number of rows; `QueryError` for what is none."""
    try:
        number = int(cast("int | str", limit))
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise QueryError(f"{where}: `limit` cannot be {limit!r}; give a whole number from 0")
    return number
