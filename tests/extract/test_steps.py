"""Steps of the wiring: each says in one place what it computes and what it does to places."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

from circuitome.extract import trace
from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import (
    ExpandedKernel,
    ExpandError,
    FieldGeometry,
    Geometry,
    Pointwise,
)
from circuitome.extract.steps import STEPS, StepKind, apply, output_size
from circuitome.extract.wiring import Step

SIZE = (8, 12)
SPATIAL = {
    "max_pool": {"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 0), "dilation": (1, 1)},
    "avg_pool": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    "adaptive_avg_pool": {"output_size": (4, 3)},
    "adaptive_max_pool": {"output_size": (4, 2)},
    "mean": {"dims": (2, 3)},
    "amax": {"dims": (2, 3)},
    "pad": {"pad": (2, 1, 3, 0), "mode": "constant"},
    "slice": {"dim": 3, "start": 1, "stop": 12, "step": 2},
    "upsample": {"size": (16, 36), "mode": "nearest"},
    "filter": {
        "kernel": [[0.1, 0.2], [0.3, 0.1], [0.2, 0.1]],
        "kernel_size": (3, 2),
        "stride": (2, 1),
        "padding": (1, 0),
        "dilation": (1, 2),
    },
}
START = FieldGeometry((1.0, 1.0), (1.0, 1.0), (0.0, 0.0))


def array(name: str) -> Tensor:
    raise AssertionError(f"no vector {name} here")


def pixels(step: Step, unit: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Rows and columns that a unit behind a linear step depends on: the gradient of its value."""
    x = torch.zeros(1, 1, *SIZE, requires_grad=True)
    apply(step, x, array)[0, 0, unit[0], unit[1]].backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    return sorted({*rows.tolist()}), sorted({*columns.tolist()})


def test_a_step_without_geometry_is_refused() -> None:
    with pytest.raises(TypeError, match="geometry"):
        StepKind(torch.relu)  # pyright: ignore[reportCallIssue]


def test_a_geometry_that_cannot_go_back_is_refused() -> None:
    class OneWay(Geometry):
        field = Pointwise.field

    with pytest.raises(TypeError, match="back"):
        OneWay()  # pyright: ignore[reportAbstractUsage]


def test_every_step_that_changes_a_map_is_tried_here() -> None:
    assert {name for name, kind in STEPS.items() if not kind.geometry.keeps_size} == set(SPATIAL)
    assert all(not inspect.isabstract(type(kind.geometry)) for kind in STEPS.values())


@pytest.mark.parametrize("name", [name for name in SPATIAL if "max" not in name])
def test_fields_of_a_step_lie_where_its_gradient_is(name: str) -> None:
    step = Step(name, SPATIAL[name])
    after = output_size(step, SIZE)
    field = STEPS[name].geometry.field(step, START, SIZE, after)
    unit = tuple(length // 2 for length in after)
    for axis, seen in enumerate(pixels(step, (unit[0], unit[1]))):
        centre = field.start[axis] + field.jump[axis] * unit[axis]
        # an upsampled unit may look from between two pixels at the nearer one
        assert centre == pytest.approx((seen[0] + seen[-1]) / 2, abs=0.5)
        assert field.size[axis] == seen[-1] - seen[0] + 1


@pytest.mark.parametrize("name", ["avg_pool", "filter", "adaptive_avg_pool", "pad", "slice"])
def test_the_way_back_through_a_linear_step_is_its_gradient(name: str) -> None:
    step = Step(name, SPATIAL[name])
    torch.manual_seed(0)
    kernel = torch.randn(1, 1, 2, 1)
    behind = ExpandedKernel(kernel, (1, 1), 1)
    before = STEPS[name].geometry.back(step, behind, SIZE)
    x = torch.zeros(1, 1, *SIZE, requires_grad=True)
    (apply(step, x, array)[:, :, 1:3, 1:2] * kernel).sum().backward()
    assert x.grad is not None
    top, left = before.origin
    height, width = before.kernel.shape[2:]
    placed = torch.zeros(SIZE[0] + 8, SIZE[1] + 8)  # the border takes what reads outside
    placed[4 + top : 4 + top + height, 4 + left : 4 + left + width] = before.kernel[0, 0]
    assert torch.allclose(placed[4:-4, 4:-4], x.grad[0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("upsample", SPATIAL["upsample"]),
        ("adaptive_avg_pool", {"output_size": (3, 5)}),
        ("flip", {"dims": [2]}),
    ],
)
def test_what_reads_by_phases_is_no_one_kernel(name: str, attrs: dict[str, object]) -> None:
    behind = ExpandedKernel(torch.ones(1, 1, 1, 1), (0, 0), 1)
    with pytest.raises(ExpandError, match="cannot be multiplied out"):
        STEPS[name].geometry.back(Step(name, attrs), behind, SIZE)


def test_a_mirrored_map_is_seen_from_the_other_end() -> None:
    step = Step("flip", {"dims": [3]})
    field = STEPS["flip"].geometry.field(step, START, SIZE, SIZE)
    rows, columns = pixels(step, (2, 3))
    assert (rows, columns) == ([2], [SIZE[1] - 1 - 3])
    assert [field.start[axis] + field.jump[axis] * (2, 3)[axis] for axis in (0, 1)] == [2, 8]
    assert (field.unit(8, 1, SIZE[1]), field.unit(2, 0, SIZE[0])) == (3, 2)


def test_a_pool_to_a_grid_widens_fields_by_its_windows_alone() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 2, 2)
    )
    wiring = trace(model.eval(), (3, 14, 14)).wiring
    fields = field_geometries(wiring)
    # 12 units of 3 pixels; windows of 6: 3 + 5 pixels; two of them, 6 apart: all 14
    assert [field.size[0] for field in fields] == [1, 3, 14]
    assert [layer.receptive_field for layer in wiring.layers] == [(1, 1), (3, 3), (14, 14)]
