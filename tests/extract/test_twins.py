import pytest
import torch
from torch import nn

from circuitome.extract.responses.twins import (
    NullError,
    components,
    smooth_twin,
    surrogates,
    twin,
)
from tests.support.planted import smooth_filters


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, groups=2),
        nn.Dropout(),
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_twin_has_the_entries_of_every_filter_in_another_order() -> None:
    model = network()
    other = twin(model, 1)
    for name in ("0.weight", "3.weight"):
        mine, theirs = (m.state_dict()[name].flatten(1) for m in (model, other))
        assert not torch.equal(mine, theirs)
        assert torch.equal(mine.sort(1).values, theirs.sort(1).values)


def test_a_transposed_convolution_is_permuted_by_output_channel() -> None:
    model = nn.ConvTranspose2d(4, 6, 3, groups=2)
    other = twin(model, 0)
    assert isinstance(other, nn.ConvTranspose2d)
    for group in range(2):
        for output in range(3):
            filters = [
                m.weight[2 * group : 2 * group + 2, output].flatten().sort().values
                for m in (model, other)
            ]
            assert torch.equal(*filters)
    assert not torch.equal(model.weight, other.weight)


def test_making_a_twin_leaves_the_model_as_it_was() -> None:
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin(model, 1, images=torch.randn(8, 3, 12, 12))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_same_seed_gives_the_same_twin() -> None:
    model = network()
    same, other = (twin(model, seed).state_dict()["0.weight"] for seed in (3, 4))
    assert torch.equal(twin(model, 3).state_dict()["0.weight"], same)
    assert not torch.equal(same, other)


def test_batch_norm_of_a_twin_is_estimated_on_the_images() -> None:
    images = 3 + 2 * torch.randn(64, 3, 12, 12, generator=generator())
    other = twin(network(), 1, images=images)
    seen = other[0](images)  # pyright: ignore[reportIndexIssue]
    norm = other[1]  # pyright: ignore[reportIndexIssue]
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(norm.running_var, seen.var((0, 2, 3)), rtol=1e-3)
    assert not norm.training


def test_surrogates_keep_the_power_of_every_component_of_every_filter() -> None:
    kernel = smooth_filters(5, smoothness=1.0, generator=generator()).double()
    basis = components(kernel)
    before = (kernel.flatten(2) @ basis).square()
    for null in surrogates(kernel, 3, generator=generator(), colours=True):
        assert torch.allclose((null.flatten(2) @ basis).square(), before, atol=1e-9)


def test_components_of_smooth_filters_run_from_smooth_to_rough() -> None:
    kernel = smooth_filters(300, smoothness=1.0, generator=generator())
    basis = components(kernel)
    assert torch.allclose(basis.T @ basis, torch.eye(49, dtype=torch.float64), atol=1e-9)
    fields = basis.T.reshape(49, 7, 7)
    assert (fields[-1] > 0).all() or (fields[-1] < 0).all()  # the strongest component is a blob
    assert (fields[0, :, 1:] * fields[0, :, :-1]).sum() < 0  # the weakest one alternates


def test_surrogates_fall_off_from_the_centre_as_the_filters_do() -> None:
    axis = torch.arange(7) - 3.0
    bell = torch.exp(-(axis[:, None] ** 2 + axis**2) / 8)
    kernel = bell * smooth_filters(300, smoothness=1.0, generator=generator())
    sizes = [
        surrogates(kernel, 1, generator=generator(), colours=True, shared=shared)[0].std((0, 1))
        for shared in (False, True)
    ]
    wanted = kernel.std((0, 1))
    assert (sizes[1] - wanted).abs().max() < 0.1 * wanted.max()
    assert sizes[0][0, 0] > 2 * wanted[0, 0]  # components of a stationary field do not


def test_surrogates_keep_the_mean_of_the_filters() -> None:
    filters = smooth_filters(300, smoothness=1.0, generator=generator())
    shared, own = (
        surrogates(filters - 0.5, 1, generator=generator(), colours=colours, shared=True)[0].mean()
        for colours in (True, False)
    )
    alone = surrogates(filters - 0.5, 1, generator=generator(), colours=True)[0].mean()
    assert abs(shared + 0.5) < 0.05
    assert abs(own + 0.5) < 0.05
    assert abs(alone) < 0.1  # each filter's level component has a sign of its own


def test_surrogates_keep_the_covariance_of_colours() -> None:
    kernel = smooth_filters(5, smoothness=1.0, generator=generator())
    null = surrogates(kernel, 1, generator=generator(), colours=True)[0]
    before, after = (torch.einsum("caxy,cbxy->cab", k, k) for k in (kernel, null))
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-3)


def test_surrogates_are_other_filters() -> None:
    kernel = smooth_filters(20, smoothness=1.0, generator=generator())
    null = surrogates(kernel, 10, generator=generator(), colours=True)
    cosine = torch.cosine_similarity(kernel.flatten(1)[None], null.flatten(2), dim=2)
    assert abs(cosine.mean()) < 0.1
    assert cosine.max() < 0.999


def test_surrogates_are_as_smooth_as_the_filters_and_permuted_entries_are_not() -> None:
    kernel = smooth_filters(200, smoothness=1.5, generator=generator())

    def neighbours(filters: torch.Tensor) -> float:
        return float((filters[..., 1:] * filters[..., :-1]).mean() / filters.square().mean())

    null = surrogates(kernel, 1, generator=generator(), colours=True)[0]
    mixed = twin(_layer(kernel), 0).weight
    assert isinstance(mixed, torch.Tensor)
    assert neighbours(null) == pytest.approx(neighbours(kernel), abs=0.03)
    assert neighbours(mixed.detach()) < 0.2 < neighbours(kernel)


def _layer(kernel: torch.Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(3, len(kernel), kernel.shape[-1], bias=False)
    with torch.no_grad():
        layer.weight.copy_(kernel)
    return layer


def test_deeper_layers_get_their_kernels_dealt_to_other_inputs() -> None:
    kernel = torch.arange(1.0, 13.0).reshape(2, 6, 1, 1)
    null = surrogates(kernel, 4, generator=generator(), colours=False)
    assert torch.equal(
        null.abs().squeeze().sort(2).values.round(), kernel.squeeze().expand(4, 2, 6)
    )
    assert not torch.equal(null.abs().round(), kernel.expand(4, 2, 6, 1, 1))


def test_the_most_level_component_keeps_its_sign_and_the_others_do_not() -> None:
    kernel = smooth_filters(40, smoothness=1.0, generator=generator()).double()
    basis = components(kernel)
    (null,) = surrogates(kernel, 1, generator=generator(), colours=True, level=True)
    before, after = kernel.flatten(2) @ basis, null.flatten(2) @ basis
    kept = torch.isclose(before, after).all(1)
    level = basis.sum(0).abs().argmax()
    assert kept[:, level].all()
    assert 0.4 < kept.double().mean() < 0.6


def test_a_smooth_twin_has_surrogates_in_every_layer_over_a_plane() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(4, 3)
    )
    other = smooth_twin(model, 2, seeing={"0"})
    first, second, last = (
        [m.state_dict()[f"{n}.weight"] for m in (model, other)] for n in (0, 2, 4)
    )
    for before, after in (first, second, last):
        assert not torch.allclose(before, after)
        assert torch.allclose(before.flatten(1).norm(dim=1), after.flatten(1).norm(dim=1))
    sizes = [kernel.flatten(2).norm(dim=2) for kernel in first]
    assert torch.allclose(*sizes)  # kernels stay with the colours
    sizes = [kernel.flatten(2).norm(dim=2) for kernel in second]
    assert not torch.allclose(*sizes) and torch.allclose(*(size.sort(1).values for size in sizes))
    assert torch.equal(*(weight.sort(1).values for weight in last))


def test_filters_without_a_plane_are_refused() -> None:
    with pytest.raises(NullError, match=r"give \(C, fan_in, kh, kw\)"):
        surrogates(torch.zeros(3, 4), 1, generator=generator(), colours=False)
