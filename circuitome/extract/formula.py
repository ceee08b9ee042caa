"""Formulas: functions of one tensor that a network writes out by hand, as plain data.

A formula is a list of instructions ``[operation, arguments, named arguments]``, each an ATen
operation with its overload; the argument ``"v0"`` is the tensor, ``"v1"`` the first instruction's
result, and so on; ``["tensor", [numbers, shape], {}]`` is a constant. The last result is the
formula's. If it treats each number by itself it is an activation; with sums over channels or
positions it is a normalisation.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CURVES", "Formula", "REDUCTIONS", "SUMS", "VIEWS", "evaluate", "known_name"]

Formula = Sequence[Sequence[Any]]

CURVES: Final = frozenset(
    [
        "abs",
        "add",
        "clamp",
        "clamp_max",
        "clamp_min",
        "cos",
        "div",
        "elu",
        "erf",
        "exp",
        "expm1",
        "ge",
        "gelu",
        "gt",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "le",
        "leaky_relu",
        "log",
        "log1p",
        "log_sigmoid",
        "lt",
        "maximum",
        "minimum",
        "mul",
        "neg",
        "pow",
        "reciprocal",
        "relu",
        "relu6",
        "rsqrt",
        "rsub",
        "sigmoid",
        "silu",
        "sin",
        "softplus",
        "sqrt",
        "square",
        "sub",
        "tanh",
        "where",
    ]
)
"""Operations on each number by itself."""
REDUCTIONS: Final = frozenset(
    [
        "amax",
        "amin",
        "avg_pool3d",
        "getitem",
        "linalg_vector_norm",
        "mean",
        "norm",
        "std",
        "sum",
        "var",
        "var_mean",
    ]
)
"""Operations that sum up numbers."""
SUMS: Final = REDUCTIONS - {"avg_pool3d", "getitem"}
"""Those that name their dimensions."""
VIEWS: Final = frozenset(
    [
        "clone",
        "constant_pad_nd",
        "contiguous",
        "detach",
        "expand",
        "expand_as",
        "pad",
        "reshape",
        "squeeze",
        "to",
        "unsqueeze",
        "view",
    ]
)
"""Operations between them that change a shape, or nothing."""

_KNOWN: Final = {
    "relu": (F.relu, {}),
    "silu": (F.silu, {}),
    "hardswish": (F.hardswish, {}),
    "hardsigmoid": (F.hardsigmoid, {}),
    "gelu": (F.gelu, {}),
    "mish": (F.mish, {}),
    "square": (torch.square, {}),
    "softplus": (F.softplus, {}),
    "tanh": (torch.tanh, {}),
}


def evaluate(formula: Formula, x: Tensor) -> Tensor:
    """The formula of ``x``; `ValueError` for an operation that no formula has."""
    values: list[Any] = [x]

    def value(argument: Any) -> Any:
        if isinstance(argument, str) and argument.startswith("v"):
            return values[int(argument[1:])]
        return argument

    for name, arguments, named in formula:
        if name == "tensor":
            numbers, shape = arguments
            values.append(torch.tensor(numbers, dtype=x.dtype, device=x.device).reshape(shape))
            continue
        given = [value(argument) for argument in arguments]
        values.append(_operation(name)(*given, **{key: value(v) for key, v in named.items()}))
    return values[-1]


def _operation(name: str) -> Any:
    packet, _, overload = name.partition(".")
    if packet == "getitem":
        return operator.getitem
    if packet not in CURVES | REDUCTIONS | VIEWS | {"softmax"}:
        raise ValueError(f"{name} is no operation of a formula")
    return getattr(getattr(torch.ops.aten, packet), overload)


def known_name(formula: Formula) -> tuple[str, dict[str, object]] | None:
    """The activation that a formula writes out and its attributes, if it is a known one.

    It is if both agree to 1e-7 on numbers from -12 to 12, close together, and from -100 to 100.
    """
    near = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    x = torch.cat([near, torch.linspace(-100, 100, 201, dtype=torch.float64)])
    mine = evaluate(formula, x)
    if mine.shape != x.shape or mine.dtype != x.dtype:
        return None
    candidates = [(name, compute(x), attrs) for name, (compute, attrs) in _KNOWN.items()]
    candidates.append(("gelu", F.gelu(x, approximate="tanh"), {"approximate": "tanh"}))
    for name, truth, attrs in candidates:
        if torch.allclose(mine, truth, rtol=1e-7, atol=1e-7):
            return name, dict(attrs)
    return None
