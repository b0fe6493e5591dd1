"""The laws of each kind of component: call one from your plug-in's tests; an AssertionError names the broken law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import (
    CameraSampler,
    Denoiser,
    Guidance,
    RadianceField,
    Regularizer,
    Renderer,
    Representation,
    Teacher,
)
from zero3d.random import Generators
from zero3d.registry import check_component
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.values import Cameras, LossContext, Picture, Step, View


def fresh_step(index: int = 0, total: int = 10, seed: int = 0) -> Step:
    """A step with random streams of its own."""
    return Step(index, total, Generators(seed), "test")


def random_view(views: int, size: int, channels: int = 3, samples: int = 5, seed: int = 0) -> View:
    """A view with every field filled, as leaves that require a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def draw(last: int) -> Tensor:
        return torch.rand(views, size, size, last, generator=generator).requires_grad_()

    return View(image=draw(channels), opacity=draw(1), depth=draw(1), weights=draw(samples), normals=draw(3))


def check_guidance(component: type[Guidance], config: Any = None, teacher: Teacher | None = None) -> None:
    """Shape, finiteness, no graph, inputs unchanged, same seed same gradient."""
    check_component(component)
    teacher = teacher or Teacher(GaussianDenoiser(GaussianConfig(resolution=8)))
    size, channels = teacher.denoiser.resolution, teacher.denoiser.channels
    guidance = component(component.Config() if config is None else config, teacher)
    view, cameras = random_view(2, size, channels).detach(), orbit(20.0, torch.tensor([10.0, 200.0]), size)
    before = view.image.clone()
    first = guidance.gradient(view, cameras, fresh_step())
    again = guidance.gradient(view, cameras, fresh_step())
    assert first.value.shape == view.image.shape, f"gradient {tuple(first.value.shape)} for image {tuple(before.shape)}"
    assert torch.isfinite(first.value).all(), "the gradient is not finite"
    assert not first.value.requires_grad, "the gradient carries a graph"
    assert torch.equal(before, view.image), "the rendered image was changed in place"
    assert torch.equal(first.value, again.value), "the same seed gave another gradient; draw from step.generator alone"
    assert all(isinstance(figure, float) for figure in first.metrics.values()), "metrics are floats"


def check_regularizer(component: type[Regularizer], config: Any = None, representation: Any = None) -> None:
    """A finite, non-negative, differentiable scalar from the declared needs alone."""
    check_component(component)
    regularizer = component(component.Config() if config is None else config)
    assert component.needs <= {"image", "opacity", "depth", "weights", "normals", "near_view", "input_view", "rgb"}
    full = {name: random_view(2, 8, seed=seed) for seed, name in enumerate(("novel", "near", "input"))}
    kept = {name: _only(view, component.needs) for name, view in full.items()}
    generator = torch.Generator().manual_seed(9)
    picture = Picture(torch.rand(8, 8, 3, generator=generator), torch.rand(8, 8, 1, generator=generator))
    context = LossContext(
        step=fresh_step(),
        view=kept[component.default_view],
        cameras=orbit(20.0, torch.tensor([10.0, 200.0]), 8),
        novel=kept["novel"],
        near=kept["near"] if "near_view" in component.needs or component.default_view == "near" else None,
        input=kept["input"] if "input_view" in component.needs or component.default_view == "input" else None,
        picture=picture,
        representation=representation,
        decode=lambda image: image,
    )
    penalty = regularizer.penalty(context)
    assert penalty.ndim == 0, f"the penalty is no scalar: {tuple(penalty.shape)}"
    assert torch.isfinite(penalty), "the penalty is not finite"
    assert penalty >= 0, f"the penalty is negative: {penalty.item()}"
    assert penalty.requires_grad, "the penalty depends on nothing that is optimised"
    penalty.backward()  # type: ignore[no-untyped-call]


def check_renderer(
    renderer: Renderer, representation: Representation, background: Tensor, size: int = 6, tolerance: float = 1e-5
) -> None:
    """Declared fields are there, opacity in [0, 1], a batch equals its singles, gradients match finite differences."""
    check_component(type(renderer))
    assert renderer.provides >= {"image", "opacity"}
    assert isinstance(representation, renderer.accepts)
    representation = representation.double()
    background = background.double()
    cameras = orbit(20.0, torch.tensor([10.0, 130.0]), size)
    cameras = Cameras(cameras.camera_to_world.double(), size, size, cameras.fov)
    view = renderer.render(representation, cameras, background, renderer.provides)
    for name in renderer.provides:
        value = getattr(view, name)
        assert value is not None, f"{name} is declared but not provided"
        assert value.shape[:3] == (2, size, size), f"{name} has shape {tuple(value.shape)}"
        assert torch.isfinite(value).all(), f"{name} is not finite"
    assert view.image.shape[-1] == representation.channels
    assert ((view.opacity >= 0) & (view.opacity <= 1 + tolerance)).all(), "opacity leaves [0, 1]"
    for index in range(2):
        single = renderer.render(representation, cameras[index : index + 1], background, renderer.provides)
        assert torch.allclose(single.image[0], view.image[index], atol=tolerance), "a batch differs from its singles"
        assert torch.allclose(single.opacity[0], view.opacity[index], atol=tolerance)
    _check_gradient(lambda: renderer.render(representation, cameras, background).image.square().sum(), representation)
    assert renderer.memory_bytes(representation, 100) > 0


def check_representation(make: Callable[[], Representation]) -> None:
    """Parameters in exactly one group, same seed same start, state round-trip, meta device, fields in their ranges."""
    first, second = make(), make()
    check_component(type(first))
    for representation in (first, second):
        with torch.no_grad():
            representation.initialise(fresh_step())
    own = [id(parameter) for parameter in first.parameters()]
    grouped = [id(parameter) for group in first.param_groups() for parameter in group["params"]]
    assert sorted(own) == sorted(grouped), "each parameter belongs into exactly one group"
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), f"{name}: the same seed gave another start"
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1.0)
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert all(parameter.device.type == "meta" for parameter in make().parameters()), "allocates beside the device"
    if isinstance(first, RadianceField):
        _check_field(first)


def check_denoiser(denoiser: Denoiser, condition: Any = None) -> None:
    """Shapes, ascending noise levels, finite, deterministic, a batch equals its singles, CFG linear in the scale."""
    check_component(type(denoiser))
    assert (denoiser.sigmas.diff() > 0).all(), "sigmas must ascend"
    size, channels = denoiser.resolution, denoiser.channels
    cameras = orbit(20.0, torch.tensor([10.0, 200.0]), size)
    generator = torch.Generator().manual_seed(0)
    noised = torch.randn(2, size, size, channels, generator=generator)
    sigma = denoiser.sigmas[[len(denoiser.sigmas) // 3, len(denoiser.sigmas) // 2]]

    def ask(scale: float, rows: slice = slice(None)) -> Tensor:
        with torch.no_grad():
            return denoiser.denoise(noised[rows], sigma[rows], condition, cameras[rows], scale)

    zero, one, three = ask(0.0), ask(1.0), ask(3.0)
    assert one.shape == noised.shape
    assert torch.isfinite(one).all()
    assert torch.equal(one, ask(1.0)), "the same question got another answer"
    assert torch.allclose(one[:1], ask(1.0, slice(0, 1)), atol=1e-4), "a batch differs from its singles"
    assert torch.allclose(three, zero + 3 * (one - zero), atol=1e-3), "guidance is not uncond + s (cond - uncond)"
    white = denoiser.background()
    assert white.shape[-1] == channels
    assert denoiser.decode(one).shape[-1] == 3


def check_camera_sampler(sampler: CameraSampler) -> None:
    """B cameras of the declared size that look at the origin; deterministic; near views are near."""
    check_component(type(sampler))
    first, again = sampler.sample(fresh_step()), sampler.sample(fresh_step())
    assert torch.equal(first.camera_to_world, again.camera_to_world), "the same seed gave other cameras"
    assert len(first) == sampler.views
    assert first.height == first.width == sampler.resolution
    rotation = first.camera_to_world[:, :3, :3]
    identity = torch.eye(3).expand_as(rotation)
    assert torch.allclose(rotation @ rotation.mT, identity, atol=1e-5), "camera axes are not orthonormal"
    assert (torch.linalg.det(rotation) > 0).all(), "camera axes are left-handed"
    forward = -rotation[:, :, 2]
    assert torch.allclose(forward, -first.position / first.distance[:, None], atol=1e-4), "looks past the origin"
    near = sampler.near(first, fresh_step())
    assert len(near) == len(first)
    assert ((near.position - first.position).norm(dim=-1) < 0.5 * first.distance).all(), "the near view is far"


def _only(view: View, needs: frozenset[str]) -> View:
    """The view without what was not asked for; image and opacity are always there."""
    return View(
        image=view.image,
        opacity=view.opacity,
        depth=view.depth if "depth" in needs else None,
        weights=view.weights if "weights" in needs else None,
        normals=view.normals if "normals" in needs else None,
    )


def _check_gradient(value: Callable[[], Tensor], representation: Representation, probes: int = 6) -> None:
    """Directional derivatives by central differences in float64, along random directions of all parameters together."""
    parameters = list(representation.parameters())
    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    for probe in range(probes):
        generator = torch.Generator().manual_seed(probe)
        directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        expected = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
        step, ends = 1e-6, []
        with torch.no_grad():
            for sign in (1, -2):
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction, alpha=sign * step)
                ends.append(float(value()))
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
        measured = (ends[0] - ends[1]) / (2 * step)
        scale = max(1e-3, abs(measured), abs(expected))
        assert abs(expected - measured) < 1e-3 * scale, f"gradient {expected}, finite differences {measured}"


def _check_field(field: RadianceField) -> None:
    generator = torch.Generator().manual_seed(0)
    inside = field.box[0] + torch.rand(50, 3, generator=generator) * (field.box[1] - field.box[0])
    density, features = field.density(inside), field.features(inside)
    assert density.shape == (50,)
    assert features.shape == (50, field.channels)
    assert (density >= 0).all()
    assert torch.isfinite(features).all()
    outside = field.box[1] + 1.0 + torch.rand(5, 3, generator=generator)
    assert (field.density(outside) == 0).all(), "density outside the box must be 0"
    assert field.spacing > 0
