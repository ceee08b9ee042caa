"""One walk over an exported graph: the value of every tensor as channels of layers.

The value of a tensor is symbolic: for each of its channels the layer and channel that made it and
the steps on the way (`Value`). Whatever depends on parameters alone is computed at once. An
operation without a rule is an error that names it, never a guess.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout, LayoutError
from circuitome.extract.spatial import per_channel, single
from circuitome.extract.steps import STEPS
from circuitome.extract.trace.composites import Composite
from circuitome.extract.wiring import Norm, Step, WiringError

__all__ = [
    "PendingLayer",
    "Rule",
    "Tracer",
    "Value",
    "identity_layer",
    "leaves",
    "module_of",
    "operation_name",
]


@dataclass(frozen=True)
class Value:
    """A tensor as channels of layers.

    ``layer``, ``channel`` and ``path`` have one entry a channel; ``layer`` -1 is a channel of
    zeros. ``slots`` says for every step with vectors which of its entries belongs to the channel
    (-1: the step is not on its path).
    """

    layout: Layout
    layer: np.ndarray
    channel: np.ndarray
    path: np.ndarray
    slots: Mapping[int, np.ndarray]
    sole: bool  # the only use so far of what it came from: a gain may be folded into the layer

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.layer)

    def take(self, index: np.ndarray, layout: Layout) -> Value:
        """Some channels, in another order; -1 takes a channel of zeros."""
        zero = index < 0

        def pick(array: np.ndarray, nothing: int) -> np.ndarray:
            return (
                np.where(zero, nothing, array[index])
                if len(array)
                else np.full(len(index), nothing)
            )

        slots = {slot: pick(array, -1) for slot, array in self.slots.items()}
        return Value(
            layout, pick(self.layer, -1), pick(self.channel, 0), pick(self.path, 0), slots, False
        )

    def slot(self, key: int) -> np.ndarray:
        """Which entry of a step's vectors belongs to each channel."""
        return self.slots.get(key, np.full(self.channels, -1))

    def choose(self, index: np.ndarray, dim: int) -> Value:
        """Some channels, which dimension ``dim`` holds; -1 chooses a channel of zeros."""
        return self.take(index, self.layout.with_channels(len(index), dim))


@dataclass
class PendingLayer:
    """A layer while it is traced: folding still changes its kernel, bias and node."""

    name: str
    op: str
    node: Node
    layout: Layout
    operands: tuple[tuple[Node | None, Value], ...] = ()  # None: no node holds it
    width: int = 0
    weight: Tensor | None = None  # (out, fan_in, kh, kw), or with a depth before the height
    bias: Tensor | None = None  # (out,)
    stride: tuple[int, ...] = ()  # empty: 1 along each axis; so for what follows
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    output_padding: tuple[int, ...] | None = None
    norm: Norm | None = None
    labels: tuple[str, ...] = ()


_COMPARED: Final = "compares values of the image, and what follows depends on the answer"
_ORDERED: Final = "orders or counts by the values of the image"
REASONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "where"), _COMPARED),
    **dict.fromkeys(("sort", "topk", "argmax", "argmin", "argsort", "nonzero"), _ORDERED),
    **dict.fromkeys(("masked_select", "masked_fill", "gather", "scatter"), _ORDERED),
    "grid_sample": "reads positions that depend on the image",
    "grid_sampler": "reads positions that depend on the image",
    "scaled_dot_product_attention": "is attention over positions",
    **dict.fromkeys(("fft_fft2", "fft_rfft2", "fft_ifft2"), "mixes all positions"),
}
"""Why some operations have no rule."""

Rule = Callable[..., Any]


class Tracer:
    """The state of one walk. Rules call its methods."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = rules
        self.layers: list[PendingLayer] = []
        # steps, each with the slot of its vectors or -1
        self.paths: list[tuple[tuple[Step, int], ...]] = [()]
        self.vectors: dict[int, dict[str, Tensor]] = {}  # slot -> argument -> (channels,)
        self.parameters: dict[Node, str] = {}
        self.env: dict[Node, Any] = {}
        self.learned: set[Node] = set()  # what depends on parameters, not on buffers alone
        self.attention: tuple[str, ...] = ()  # modules that mix positions
        self.composites: Mapping[Node, Composite] = {}
        self._path_index: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self.node: Node

    # -- layers ------------------------------------------------------------------------------------

    def add_layer(self, layer: PendingLayer) -> Value:
        """Register a layer and return its output."""
        self.layers.append(layer)
        channels = layer.layout.channels
        index = len(self.layers) - 1
        return Value(
            layer.layout,
            np.full(channels, index),
            np.arange(channels),
            np.zeros(channels, dtype=np.int64),
            {},
            len(layer.node.users) == 1,
        )

    def name_of(self, node: Node, weight: Node | None = None) -> str:
        """Dotted module path of the operation, with ``@2`` on a second call, or the node's name."""
        path, kind = module_of(node)
        owner = self.parameters.get(weight, "").rpartition(".")[0] if weight is not None else ""
        is_layer = kind.startswith("torch.nn.modules") or "Conv" in kind or "Linear" in kind
        if not path or not (owner == path or is_layer):
            return node.name
        calls = self._names.get(path, 0) + 1
        self._names[path] = calls
        return path if calls == 1 else f"{path}@{calls}"

    def whole_layer(self, value: Value) -> PendingLayer | None:
        """The layer whose unchanged output this is, or None."""
        if not value.channels or value.layer[0] < 0:
            return None
        layer = self.layers[value.layer[0]]
        same = (
            value.channels == layer.layout.channels
            and (value.layer == value.layer[0]).all()
            and (value.channel == np.arange(value.channels)).all()
            and not value.path.any()
        )
        return layer if same else None

    # -- values ------------------------------------------------------------------------------------

    def step(
        self,
        value: Value,
        step: Step,
        *,
        layout: Layout | None = None,
        vectors: Mapping[str, Tensor] | None = None,
    ) -> Value:
        """Every channel passes one more step; ``vectors`` have one entry a channel."""
        if not STEPS[step.name].zero and (value.layer < 0).any():
            raise self.error(
                "meets channels of zeros that it would make constant; that is not wired"
            )
        slot = -1
        slots = dict(value.slots)
        if vectors:
            slot = len(self.vectors)
            self.vectors[slot] = dict(vectors)
            slots[slot] = np.arange(value.channels)
        path = value.path.copy()
        for old in np.unique(value.path):
            path[value.path == old] = self._intern((*self.paths[old], (step, slot)))
        return replace(value, layout=layout or value.layout, path=path, slots=slots, sole=False)

    def affine(self, value: Value, gain: Tensor | None, shift: Tensor | None) -> Value:
        """Per-channel gain and shift: folded into the layer where that is exact, else a step."""
        layer = self.whole_layer(value)
        if (
            layer is not None
            and value.sole
            and (layer.op in ("conv", "linear") or _is_composed(layer))
            and layer.weight is not None
        ):
            layer.weight, layer.bias = _fold(layer.weight, layer.bias, gain, shift)
            layer.node, layer.layout = self.node, value.layout
            return replace(value, sole=len(self.node.users) == 1)
        vectors = {
            name: tensor
            for name, tensor in (("gain", gain), ("shift", shift))
            if tensor is not None
        }
        return self.step(value, Step("affine"), vectors=vectors)

    def relayout(self, value: Value, layout: Layout) -> Value:
        """The same channels in another layout; split channels that meet again get their new
        order.
        """
        merged, order = layout.merge()
        sole = value.sole and len(self.node.users) == 1
        if np.array_equal(order, np.arange(len(order))):
            return replace(value, layout=merged, sole=sole)
        return value.take(order, merged)

    def concat(self, values: Sequence[Value], dim: int) -> Value:
        """Channels one after another along dimension ``dim``."""

        def slot(key: int) -> np.ndarray:
            return np.concatenate([value.slot(key) for value in values])

        keys = set().union(*(value.slots for value in values))
        layout = values[0].layout.with_channels(sum(value.channels for value in values), dim)
        return Value(
            layout,
            np.concatenate([value.layer for value in values]),
            np.concatenate([value.channel for value in values]),
            np.concatenate([value.path for value in values]),
            {key: slot(key) for key in keys},
            False,
        )

    def _intern(self, path: tuple[tuple[Step, int], ...]) -> int:
        key = repr(path)
        if key not in self._path_index:
            self._path_index[key] = len(self.paths)
            self.paths.append(path)
        return self._path_index[key]

    # -- errors ------------------------------------------------------------------------------------

    def error(self, why: str) -> WiringError:
        """An error about the node at hand: operation, node, module path, reason, cure."""
        path, _ = module_of(self.node)
        near = [home for home in self.attention if _within(path, home) or _within(home, path)]
        what = (
            f"self-attention in {near[0] or 'the model itself'} mixes positions by weights that "
            "depend on the image, so that no channel can be followed through it: "
            if near
            else ""
        )
        return WiringError(
            f"{what}operation {self.node.target} (node {self.node.name}, "
            f"module {path or 'the model itself'}) {why}. Replace it in the model"
            f"{_or_end(near[0] if near else path)}; docs/extraction.md says what is wired"
        )

    # -- the walk ----------------------------------------------------------------------------------

    def visit(self, node: Node) -> Any:
        """Value of one node: symbolic, or computed where it depends on parameters alone."""
        self.node = node
        args: Any = torch.fx.map_arg(node.args, lambda n: self.env[n])
        kwargs: Any = torch.fx.map_arg(node.kwargs, lambda n: self.env[n])
        if node.target is operator.getitem:
            return args[0][args[1]]
        if not any(isinstance(leaf, Value) for leaf in leaves((args, kwargs))):
            return node.target(*args, **kwargs)  # type: ignore[operator]
        rule = self.rules.get(operation_name(node))
        if rule is None:
            why = REASONS.get(operation_name(node), "is not understood")
            raise self.error(f"{why}; the graph cannot be wired through it")
        try:
            return rule(self, *args, **kwargs)
        except LayoutError as error:
            raise self.error(f"is not understood here: {error}") from error


def _or_end(module: str) -> str:
    """The other cure of what cannot be wired, in a module."""
    return f", or end before it with --until {module}" if module else ""


def _within(path: str, home: str) -> bool:
    """Whether a module is another or lies in it."""
    return not home or path == home or path.startswith(f"{home}.")


def _is_composed(layer: PendingLayer) -> bool:
    """Whether a layer is a norm that the network writes out by hand, of a gain and shift yet to
    come.
    """
    return layer.norm is not None and layer.norm["name"] == "composed"


def operation_name(node: Node) -> str:
    """ATen name without overload and in-place underscore: ``relu`` for ``aten.relu_.default``."""
    name = str(node.target).removeprefix("aten.").split(".")[0]
    return name.rstrip("_")


def module_of(node: Node) -> tuple[str, str]:
    """Dotted path and class of the innermost module that a node belongs to; empty if none."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    path, kind = [("", ""), *stack][-1]
    return path, str(kind)


def leaves(tree: Any) -> Iterable[Any]:
    """Whatever stands in nested tuples, lists and values of dictionaries."""
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        yield from leaves(tuple(tree.values()))
    else:
        yield tree


def _fold(
    weight: Tensor, bias: Tensor | None, gain: Tensor | None, shift: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    bias = torch.zeros(weight.shape[0], dtype=torch.float64) if bias is None else bias
    if gain is not None:
        factor = gain.view(-1, 1, *single(weight.dim() - 2))
        weight, bias = weight * factor.to(weight.dtype), bias * gain.to(bias.dtype)
    return weight, bias if shift is None else bias + shift.to(bias.dtype)


def identity_layer(
    tracer: Tracer,
    op: str,
    operands: Sequence[tuple[Node | None, Value]],
    *,
    name: str,
    layout: Layout | None = None,
    coefficients: Sequence[float] = (),
) -> PendingLayer:
    """A layer whose neuron c is a weighted sum (or product) of channel c of each operand.

    The coefficients are ones, and the layout that of the first operand, if not given.
    """
    layout = layout or operands[0][1].layout
    channels = layout.channels
    factors = torch.tensor(list(coefficients) or [1.0] * len(operands), dtype=torch.float64)
    weight = per_channel(factors, layout.rank).expand(channels, *[-1] * (1 + layout.rank))
    layer = PendingLayer(name, op, tracer.node, layout, tuple(operands), channels, weight)
    layer.groups = channels
    return layer
