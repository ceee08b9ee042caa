"""Null models: what responses and scores are like where nothing was learned.

A *twin* is the same network with the entries of every filter permuted: weight distribution, fan-in
and signs are kept. It is the null of tuning and kinds. For equivariance and for universality it is
too easy to beat, because smooth filters resemble each other and permuted ones are not smooth.
*Surrogates* keep what makes filters smooth: of each component of a filter the phase is random, the
power is not (surrogate data: Theiler et al., Physica D 58, 1992). They make the null layers of
families; a *smooth twin*, the null of universality, has them in every layer.

Which components? Those of Fourier take a filter for periodic; the jump from one border to the other
then becomes a step inside, surrogates are rougher than the filters, and chance is found
significant. Those of the cosine transform do better and still not well, because filters that are
cut from a smooth field do not end level. So the components are the layer's own (Karhunen and
Loève): eigenvectors of the covariance of pixels at each distance, pooled over all filters, alike
along x and along y. Their phase is a sign, and filters that are a stationary Gaussian field in the
image are exactly as likely as their surrogates. `benchmarks/bench_equivariance_calibration.py`
compares all of these.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Final, TypeAlias, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from circuitome.errors import CircuitomeError

__all__ = ["NullError", "components", "envelope", "smooth_twin", "surrogates", "twin"]

_FILTERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_Scale: TypeAlias = tuple[Tensor, Tensor]
"""Mean and standard deviation of every channel, ``(C,)`` each."""
_Draw: TypeAlias = Callable[[str, nn.Module, torch.Generator], None]
"""Draws the filters of a module of this name anew, in place."""
_Watch: TypeAlias = Callable[[str, nn.Module, Tensor], Tensor | None]
"""Takes a module's name, the module and its output; may return another output."""
RESCALED: Final = 16
"""Images by which filters without batch norm are rescaled."""


class NullError(CircuitomeError):
    """A null model that can't be made."""


def twin(model: nn.Module, seed: int, *, images: Tensor | None = None) -> nn.Module:
    """A copy of a model with the entries of every filter permuted, in evaluation mode; the model
    stays as it is.

    ``images``: ``(n, 3, H, W)``, as the model wants them. Given these, the statistics of batch
    norms are estimated anew, as means over one pass; and a filter with a bias, which batch norm
    does not follow, is scaled and shifted so that its responses have the mean and spread of the
    original's: otherwise deep neurons of a network without batch norm fall silent, or linear.
    Without images both stay as they are. A weight that several modules share is permuted once.
    """
    return _drawn(model, seed, images, lambda _, module, generator: _permute(module, generator))


def smooth_twin(
    model: nn.Module, seed: int, *, images: Tensor | None = None, seeing: Collection[str]
) -> nn.Module:
    """A `twin` whose filters are `surrogates`: as smooth as the model's own.

    The most level component of a filter keeps its sign, and with it the filter whether it excites
    or inhibits on the whole. Kernels stay with their inputs in the modules ``seeing`` the image,
    which are given by name; elsewhere they are dealt to the inputs. Filters that are not over a
    plane are permuted.
    """

    def draw(name: str, module: nn.Module, generator: torch.Generator) -> None:
        if isinstance(module, nn.Conv2d):
            drawn = surrogates(
                module.weight, 1, generator=generator, colours=name in seeing, level=True
            )
            module.weight.copy_(drawn[0])
        else:
            _permute(module, generator)

    return _drawn(model, seed, images, draw)


def _drawn(model: nn.Module, seed: int, images: Tensor | None, draw: _Draw) -> nn.Module:
    """A copy of a model with every filter drawn anew, at the scale that `twin` describes."""
    other = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    with torch.no_grad():
        for name, module in other.named_modules():
            if isinstance(module, (*_FILTERS, *_TRANSPOSED)) and id(module.weight) not in done:
                done.add(id(module.weight))
                draw(name, module, generator)
    if images is not None:
        _rescale(model, other, images[:RESCALED])
        _estimate(other, images)
    return other


def _permute(module: nn.Module, generator: torch.Generator) -> None:
    """Permute entries within each filter, in place."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    groups = module.groups if isinstance(module, _TRANSPOSED) else 1
    assert isinstance(groups, int)
    filters = _by_output(weight, groups) if isinstance(module, _TRANSPOSED) else weight
    flat = filters.reshape(len(filters), -1)
    order = torch.rand(flat.shape, generator=generator).argsort(1).to(flat.device)
    permuted = flat.gather(1, order).reshape(filters.shape)
    weight.copy_(_by_output(permuted, groups) if isinstance(module, _TRANSPOSED) else permuted)


def _by_output(weight: Tensor, groups: int) -> Tensor:
    """``(in, out / groups, ...)`` of a transposed convolution as ``(out, in / groups, ...)``, and
    the way back.
    """
    split = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2)
    return split.reshape(-1, *split.shape[2:])


@torch.no_grad()
def _rescale(model: nn.Module, other: nn.Module, images: Tensor) -> None:
    """Give every filter of ``other`` that has a bias the mean and spread that its original has, in
    the order of computation.
    """
    wanted: dict[str, _Scale] = {}

    def remember(name: str, module: nn.Module, output: Tensor) -> None:
        wanted.setdefault(name, _moments(output))

    def adapt(name: str, module: nn.Module, output: Tensor) -> Tensor | None:
        if name not in wanted:  # a module called again: adapted at its first call
            return None
        return _adapted(module, output, wanted.pop(name))

    _watched(copy.deepcopy(model).eval(), images, remember)
    _watched(other, images, adapt)


def _watched(net: nn.Module, images: Tensor, watch: _Watch) -> None:
    """Run a network, and give the output of every filter with a bias to ``watch``."""

    def hook_of(name: str) -> Callable[..., Tensor | None]:
        return lambda module, inputs, output: watch(name, module, output)

    hooks = [
        module.register_forward_hook(hook_of(name))
        for name, module in net.named_modules()
        if isinstance(module, _FILTERS) and module.bias is not None
    ]
    try:
        net(images)
    finally:
        for hook in hooks:
            hook.remove()


def _adapted(module: nn.Module, output: Tensor, wanted: _Scale) -> Tensor:
    """Give a module's filters the mean and spread that are ``wanted``; returns its new output."""
    (mean, spread), (now, width) = wanted, _moments(output)
    gain = torch.where(width > 0, spread / width.clamp(min=torch.finfo(width.dtype).tiny), 1)
    shift = mean - gain * now
    assert isinstance(module.weight, Tensor) and isinstance(module.bias, Tensor)
    module.weight.mul_(gain.view(-1, *(1,) * (module.weight.dim() - 1)))
    module.bias.copy_(gain * module.bias + shift)
    return output * _along(gain, output) + _along(shift, output)


def _moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel ``(C,)``; a linear layer's channels come
    last.
    """
    channels = output.movedim(-1 if output.dim() < 4 else 1, 0).flatten(1)
    return channels.mean(1), channels.std(1)


def _along(values: Tensor, output: Tensor) -> Tensor:
    return values if output.dim() < 4 else values.view(-1, 1, 1)


def _is_estimated(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether a module is a batch norm that keeps statistics."""
    return isinstance(module, _BatchNorm) and module.track_running_stats


@torch.no_grad()
def _estimate(model: nn.Module, images: Tensor) -> None:
    norms = [module for module in model.modules() if _is_estimated(module)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for part in images.split(64):
        model(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def surrogates(
    kernel: Tensor,
    count: int,
    *,
    generator: torch.Generator,
    colours: bool,
    level: bool = False,
    shared: bool = False,
) -> Tensor:
    """Surrogate layers ``(count, C, fan_in, kh, kw)`` of filters ``(C, fan_in, kh, kw)``.

    Every component of a filter gets a random sign, one for all its input channels: so the power of
    each component, the covariance of the input channels (colours, in a layer that reads the image)
    and with them the filter's norm are kept; where things lie and what comes beside what is not.
    With ``colours`` False the kernels are dealt to the input channels at random too, for each
    receiver anew: what a channel stands for is learned, and in 1x1 kernels there is nothing else.
    With ``level`` the component that is most level keeps its sign. With ``shared`` what the filters
    of the layer have in common stays: their mean, and that they fall off from the centre
    (`envelope`); components, and the norm that is kept, are those of what is left.
    Raises `NullError` for anything but filters over a plane.
    """
    if kernel.ndim != 4:
        raise NullError(
            f"filters of shape {tuple(kernel.shape)} have no plane; give (C, fan_in, kh, kw)"
        )
    mean = torch.zeros_like(kernel[0, 0], dtype=torch.float64)
    bell = torch.ones_like(mean)
    if shared:
        # all filters a little inhibitory are a little alike, and random signs would undo that
        mean = _alike(kernel.to(mean).mean(0 if colours else (0, 1)))
        bell = envelope(kernel - mean)
    flat = (kernel - mean) / bell
    basis = components(flat)
    power = flat.flatten(2) @ basis
    shape = (count, len(kernel), 1, len(basis))
    signs = torch.randint(2, shape, generator=generator).to(basis) * 2 - 1
    if level:
        signs[..., basis.sum(0).abs().argmax()] = 1
    found = ((power * signs) @ basis.T).reshape(count, *kernel.shape) * bell + mean
    found = found.to(kernel.dtype)
    return found if colours else _dealt(found, generator)


def envelope(kernel: Tensor) -> Tensor:
    """Root mean square of the kernels of a layer at each pixel ``(kh, kw)`` float64, alike at
    pixels that reflections and, in square kernels, quarter turns take to one another; at least a
    twentieth of its largest.
    """
    size = _alike(kernel.to(torch.float64).square().mean((0, 1))).sqrt()
    return size.clamp(min=float(size.max()) / 20).clamp(min=torch.finfo(size.dtype).tiny)


def _alike(plane: Tensor) -> Tensor:
    """Mean of a plane ``(..., kh, kw)`` over its reflections, and in squares its quarter turns."""
    turns = [plane, plane.flip(-2), plane.flip(-1), plane.flip(-2, -1)]
    if plane.shape[-2] == plane.shape[-1]:
        turns += [turned.mT for turned in turns]
    return torch.stack(turns).mean(0)


def components(kernel: Tensor) -> Tensor:
    """Orthonormal components of the kernels of a layer, one a column: ``(kh * kw, kh * kw)``
    float64.
    """
    height, width = kernel.shape[2:]
    pixels = kernel.reshape(-1, height * width).to(torch.float64)
    moments = pixels.T @ pixels
    distance = _distances(height, width).to(kernel.device)
    classes = max(height, width) ** 2
    total = torch.zeros(classes, dtype=torch.float64, device=kernel.device)
    total.index_add_(0, distance, moments.flatten())
    mean = total / torch.bincount(distance, minlength=classes).clamp(min=1)
    return torch.linalg.eigh(mean[distance].reshape(moments.shape)).eigenvectors


def _distances(height: int, width: int) -> Tensor:
    """Number of every two pixels' distance ``(pixels ** 2,)``; in square kernels x is y."""
    place = torch.arange(height * width)
    down, right = ((of[:, None] - of).abs() for of in (place // width, place % width))
    if height == width:
        down, right = torch.minimum(down, right), torch.maximum(down, right)
    return (down * max(height, width) + right).flatten()


def _dealt(kernels: Tensor, generator: torch.Generator) -> Tensor:
    """Kernels ``(count, C, fan_in, kh, kw)`` permuted over the input channels of each receiver."""
    order = torch.rand(kernels.shape[:3], generator=generator).argsort(2).to(kernels.device)
    return kernels.gather(2, order[..., None, None].expand_as(kernels))
