"""Every unit is shown its own patch of the image, and read where the arithmetic says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from circuitome.extract.fields import field_geometries
from circuitome.extract.responses.moments import effective_fields
from circuitome.extract.responses.probes import assemble, map_sizes, plan, symmetric_side
from circuitome.extract.responses.runner import Runner, Subject, patches_at, units_around
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.extract.verify import read_operand
from circuitome.networks import load

CPU = torch.device("cpu")


class Crooked(nn.Module):
    """Strides, pools, dilation, an asymmetric kernel, groups, a residual addition and a
    concatenation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=2, padding=1)
        self.left = nn.Conv2d(8, 8, (1, 5), padding=(0, 2))
        self.right = nn.Conv2d(8, 8, 3, dilation=2, padding=2, groups=4)
        self.last = nn.Conv2d(24, 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.first(x)), 3, 2)
        y = torch.relu(self.left(x) + x)
        return self.last(torch.cat([x, y, torch.relu(self.right(y))], 1))


def crooked(side: int = 65) -> tuple[Crooked, Trace]:
    torch.manual_seed(0)
    model = Crooked().eval()
    return model, trace(model, (3, side, side))


def runner_of(model: nn.Module, traced: Trace, batch: int = 2) -> Runner:
    layers = range(1, len(traced.wiring.layers))
    return Subject.of(model, traced).runner(layers, batch=batch)


def test_receptive_fields_are_where_the_gradient_is() -> None:
    model, traced = crooked()
    runner = runner_of(model, traced, batch=1)
    image = torch.rand(1, 3, 65, 65, requires_grad=True)
    maps = runner(image)
    for index, field in enumerate(field_geometries(traced.wiring)[1:], start=1):
        grid = maps[traced.wiring.layers[index].node]
        unit = tuple(size // 2 for size in grid.shape[2:])
        (gradient,) = torch.autograd.grad(
            grid[:, :, unit[0], unit[1]].abs().sum(), image, retain_graph=True
        )
        support = gradient.abs().sum((0, 1))
        for axis in (0, 1):
            touched = support.sum(1 - axis).nonzero().flatten()
            centre = field.start[axis] + field.jump[axis] * unit[axis]
            assert touched.min() >= centre - (field.size[axis] - 1) / 2
            assert touched.max() <= centre + (field.size[axis] - 1) / 2


def test_a_convolutions_field_is_exactly_its_kernel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.Conv2d(4, 4, 3, stride=2))
    fields = field_geometries(trace(model.eval(), (3, 33, 33)).wiring)
    assert [(look.size[0], look.jump[0], look.start[0]) for look in fields] == [
        (1, 1, 0),
        (7, 2, 0),
        (11, 4, 2),
    ]


def test_squeezenets_grids_are_symmetric_at_223_pixels() -> None:
    from torchvision.models import squeezenet1_0, squeezenet1_1

    assert symmetric_side(trace(squeezenet1_1().eval(), (3, 224, 224)).wiring) == 223
    assert symmetric_side(trace(squeezenet1_0().eval(), (3, 224, 224)).wiring) == 227


def test_map_sizes_are_those_of_a_new_trace() -> None:
    _, traced = crooked()
    for side in (51, 64, 80):
        _, other = crooked(side)
        assert map_sizes(traced.wiring, side) == [layer.size for layer in other.wiring.layers]
    assert map_sizes(traced.wiring, 4) is None


@pytest.mark.parametrize("name", ["crooked", "menagerie_s0"])
def test_a_unit_sees_its_own_patch_and_no_other(name: str) -> None:
    model = Crooked().eval() if name == "crooked" else load(name)
    traced = trace(model, (3, 65, 65))
    fields = field_geometries(traced.wiring)
    probes = plan(traced.wiring)
    assert sorted(index for probe in probes for index in probe.layers) == list(
        range(1, len(traced.wiring.layers))
    )
    shared = [probe for probe in probes if not probe.whole]
    assert shared
    for probe in shared:
        runner = Subject.of(model, traced).runner(probe.layers, batch=1)
        patches = torch.rand(
            probe.patches, 3, probe.side, probe.side, generator=torch.Generator().manual_seed(1)
        )
        other = torch.rand(
            probe.patches, 3, probe.side, probe.side, generator=torch.Generator().manual_seed(2)
        )
        mixed = other.clone()
        mixed[1] = patches[1]
        with torch.no_grad():
            before, after = (runner(assemble(probe, images)) for images in (patches, mixed))
        for index in probe.layers:
            node = traced.wiring.layers[index].node
            was, now = (
                units_around(probe, fields[index], maps[node], margin=1) for maps in (before, after)
            )
            assert torch.allclose(was[1], now[1], atol=1e-5)
            assert not torch.allclose(was[0], now[0], atol=1e-3)


def test_patches_stand_where_their_centres_are() -> None:
    _, traced = crooked()
    for probe in plan(traced.wiring):
        patches = torch.full((probe.patches, 3, probe.side, probe.side), 0.5)
        middle = (probe.side - 1) // 2
        patches[:, :, middle : probe.side - middle, middle : probe.side - middle] = 1.0
        lit = (assemble(probe, patches)[0, 0] == 1.0).nonzero().float()
        wanted = torch.tensor([[y, x] for y in probe.centres[0] for x in probe.centres[1]])
        per_patch = lit.reshape(-1, len(lit) // probe.patches, 2) if probe.side % 2 else None
        if per_patch is not None:
            assert torch.equal(lit[lit[:, 0].argsort(stable=True)].mean(0), wanted.mean(0))
            assert {tuple(place) for place in lit.tolist()} == {
                tuple(place) for place in wanted.tolist()
            }


def test_the_cut_network_gives_the_networks_own_maps() -> None:
    model, traced = crooked()
    images = torch.rand(3, 3, 65, 65)
    subject = replace(Subject.of(model, traced), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    runner = subject.runner([1, 5], batch=4)
    shift, scale = (
        torch.tensor(values).view(1, 3, 1, 1) for values in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    )
    with torch.no_grad():
        maps = runner(images)
        first = model.first((images - shift) / scale)
    assert traced.wiring.layers[1].name == "first"
    assert torch.allclose(maps[traced.wiring.layers[1].node], first, atol=1e-5)


def test_a_rebound_network_has_the_other_models_weights() -> None:
    model, traced = crooked()
    torch.manual_seed(7)
    other = Crooked().eval()
    images = torch.rand(2, 3, 65, 65)
    last = len(traced.wiring.layers) - 1
    runner = Subject.of(model, traced).runner([last], batch=2).rebound(other)
    with torch.no_grad():
        assert torch.allclose(
            runner(images)[traced.wiring.layers[last].node], other(images), atol=1e-5
        )


def test_what_a_unit_reads_times_its_filter_is_its_pre_activation() -> None:
    model, traced = crooked()
    runner = runner_of(model, traced)
    with torch.no_grad():
        maps = runner(torch.rand(2, 3, 65, 65)) | {traced.wiring.layers[0].node: torch.zeros(0)}
        for index, layer in enumerate(traced.wiring.layers):
            if layer.op != "conv" or layer.links[0].source == 0:
                continue
            operand = read_operand(traced.wiring, layer, 0, traced.kernels, maps)
            rows, columns = torch.tensor([0.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 4.0])
            kernel = torch.as_tensor(traced.kernels[f"kernel/{layer.name}"])
            read = patches_at(layer, operand, rows, columns)
            mine = (
                kernel.reshape(layer.groups, layer.channels // layer.groups, -1) @ read
            ).reshape(layer.channels, 2, 3)
            mine += torch.as_tensor(traced.biases[index]).view(-1, 1, 1)
            theirs = maps[layer.node][:, :, rows.long(), columns.long()].permute(1, 0, 2)
            assert torch.allclose(mine, theirs, atol=1e-5)


def test_between_units_reads_are_interpolated() -> None:
    _, traced = crooked()
    layer = traced.wiring.layers[-1]
    operand = torch.rand(1, layer.width, 9, 9)
    here, there, between = (
        patches_at(layer, operand, torch.tensor([2.0]), torch.tensor([x])) for x in (3.0, 4.0, 3.25)
    )
    assert torch.allclose(between, 0.75 * here + 0.25 * there)


def test_effective_fields_lie_within_the_theoretical_ones() -> None:
    model, traced = crooked()
    runner = runner_of(model, traced)
    fields = effective_fields(runner, torch.rand(2, 3, 65, 65))
    for index, field in enumerate(field_geometries(traced.wiring)[1:], start=1):
        for axis in (0, 1):
            assert 1 <= fields[index][axis] <= field.size[axis]
