"""The laws of a renderer."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit, rays
from zero3d.interfaces import Renderer, Representation
from zero3d.testing.balls import ThreeBalls, ThreeBallsConfig, draw_balls
from zero3d.testing.laws.common import Laws, differences, in_double, same
from zero3d.testing.laws.state import check_state
from zero3d.testing.samples import fresh_step
from zero3d.testing.sphere import SphereConfig, SphereField
from zero3d.values import FAR, VIEW_FIELDS, Cameras, View

BALL = SphereConfig(radius=0.9, density=3.0, colour=[0.8, 0.3, 0.2], box=0.95)
"""The ball whose picture is known; see `draw_balls`."""
EDGE = 0.06
"""Rays that pass the ball's edge within this, world units, are not asked: there a short step sees what a long one misses."""
BACKGROUND = (0.25, 0.5, 0.75)


def check_renderer(
    renderer: Renderer,
    representation: Representation,
    background: Tensor,
    size: int = 6,
    tolerance: float = 1e-5,
    ball: Representation | None = None,
) -> None:
    """The laws of a renderer. Call it from a test; the first broken one is an AssertionError of one line.

    - It fills what it declares, finite and of the right shapes; opacity lies in [0, 1]; the weights of a ray, if it has
      them, are not negative and sum to its opacity. A batch of two views equals the two drawn alone.
    - Without a step the picture is exact: drawing again gives the same, and nothing is drawn from a random stream;
      with one, random numbers come from `step.generator(name)`, and fresh instances draw alike; what it remembers from step
      to step is in `state_dict`. A flat background (h, w, C) is the one colour (C,).
    - Gradients in the representation's parameters equal central differences in float64, of all fields together.
    - A ball of uniform density looks as it must (closed form): opacity 1 - exp(-density chord), one colour throughout,
      depth along the unit ray plus (1 - opacity) far, and a ray that misses shows the background, exactly.
    - Three balls on the three axes are where `zero3d.geometry` says: the picture is not turned, mirrored or upside down.
    - `memory_bytes` is above 0 and does not fall with more rays.

    Args:
        renderer: the one to try.
        representation: something for it to draw; it is copied, and the copy made float64. Not at a kink, where no
            difference quotient is right: a fresh network may have all its units at theirs.
        background: (C,), as many channels as the representation.
        size: pixels of the pictures of the first three laws.
        tolerance: of theirs.
        ball: for a renderer that does not accept every RadianceField: a ball of radius 0.9 around the origin, of density
            3 and colour 0.8, 0.3, 0.2, as what it accepts. None: without the closed form.
    """

    laws = Laws(type(renderer))
    laws.refuses(renderer.config)
    provides = renderer.provides
    laws("it provides image and opacity", provides >= {"image", "opacity"}, f"provides = {sorted(provides)}")
    fits = isinstance(representation, renderer.accepts)
    laws(
        "it accepts what it is tried with", fits, f"a {type(representation).__name__} is no {renderer.accepts.__name__}"
    )
    field = copy.deepcopy(representation).double()
    cameras = in_double(orbit(20.0, torch.tensor([10.0, 130.0]), size))
    view = _fields(laws, renderer, field, cameras, background.double(), tolerance)
    _batches(laws, renderer, field, cameras, background.double(), view, tolerance)
    _repeats(laws, renderer, field, cameras, background.double(), view, tolerance)
    _each_its_own(laws, renderer, field, cameras, background.double(), tolerance)
    _gradient(laws, renderer, field, cameras, background.double())
    few, many = (renderer.memory_bytes(representation, count) for count in (100, 10_000))
    laws("memory_bytes tells what a render takes", 0 < few <= many, f"{few} bytes for 100 rays, {many} for 10000")
    if issubclass(SphereField, renderer.accepts):
        ball = SphereField(BALL)
    if ball is not None:
        _ball(laws, renderer, ball)
    if issubclass(ThreeBalls, renderer.accepts):
        _axes(laws, renderer)


def _fields(
    laws: Laws, renderer: Renderer, field: Representation, cameras: Cameras, background: Tensor, tolerance: float
) -> View:
    with laws.own_randomness(), laws.runs("it draws in float64", "render() fails"):
        view = renderer.render(field, cameras, background, renderer.provides).detach()
    expected = (len(cameras), cameras.height, cameras.width)
    channels = {"image": field.channels, "opacity": 1, "depth": 1, "normals": 3}
    lacking = ", ".join(sorted(renderer.provides - view.tensors().keys()))
    laws("declared fields are there", not lacking, f"{lacking}: declared and asked for, but not in the view")
    for name, value in view.tensors().items():
        own = (*expected, channels.get(name, value.shape[-1]))
        shape = own if name in VIEW_FIELDS else (expected[0], *value.shape[1:])
        laws("fields have the right shapes", tuple(value.shape) == shape, f"{name}: {tuple(value.shape)}, not {shape}")
        laws("fields are finite", torch.isfinite(value).all(), f"{name} holds nan or inf")
    low, high = float(view.opacity.min()), float(view.opacity.max())
    laws("opacity lies in [0, 1]", low >= 0 and high <= 1 + tolerance, f"it runs from {low} to {high}")
    if view.weights is not None:
        total = view.weights.sum(dim=-1, keepdim=True)
        off = float((total - view.opacity).abs().max())
        good = bool((view.weights >= -tolerance).all()) and off < max(tolerance, 1e-4)
        laws("a ray's weights are not negative and sum to its opacity", good, f"they are off by {off:.3g}")
    if view.distances is not None and view.weights is not None:
        fits = view.distances.shape == view.weights.shape
        laws("each weight has its distance", fits, f"{tuple(view.distances.shape)} for {tuple(view.weights.shape)}")
    return view


def _batches(
    laws: Laws,
    renderer: Renderer,
    field: Representation,
    cameras: Cameras,
    background: Tensor,
    view: View,
    tolerance: float,
) -> None:
    sampled = {"weights", "distances"}  # how many samples a ray has may depend on the others
    whole = view.tensors()
    for index in range(len(cameras)):
        single = renderer.render(field, cameras[index : index + 1], background, renderer.provides).detach().tensors()
        for name in sorted(renderer.provides - sampled):
            off = float((single[name][0] - whole[name][index]).abs().max())
            laws("a batch equals its singles", off <= tolerance, f"{name} of view {index} differs by {off:.3g}")


def _each_its_own(
    laws: Laws, renderer: Renderer, field: Representation, cameras: Cameras, background: Tensor, tolerance: float
) -> None:
    """Fields of view and backgrounds, one a view."""
    fovs = torch.linspace(0.6, 0.9, len(cameras), dtype=torch.float64)
    with laws.runs("cameras may have a field of view each", "render() fails with fov (B,)"):
        many = renderer.render(field, replace(cameras, fov=fovs), background).image
    for index, fov in enumerate(fovs.tolist()):
        one = renderer.render(field, replace(cameras[index : index + 1], fov=fov), background).image
        off = float((many[index] - one[0]).abs().max().detach())
        laws("cameras may have a field of view each", off <= tolerance, f"view {index} alone differs by {off:.3g}")
    shades = background * torch.linspace(1.0, 0.5, len(cameras), dtype=torch.float64)[:, None]
    with laws.runs("views may have a background each", "render() fails with a background (B, h, w, C)"):
        many = renderer.render(field, cameras, shades[:, None, None].expand(-1, 2, 2, -1)).image
    for index, shade in enumerate(shades):
        one = renderer.render(field, cameras[index : index + 1], shade).image
        off = float((many[index] - one[0]).abs().max().detach())
        laws("views may have a background each", off <= tolerance, f"view {index} alone differs by {off:.3g}")


def _repeats(
    laws: Laws,
    renderer: Renderer,
    field: Representation,
    cameras: Cameras,
    background: Tensor,
    view: View,
    tolerance: float,
) -> None:
    again = renderer.render(field, cameras, background).detach()
    laws("without a step the picture is exact", torch.equal(again.image, view.image), "drawing again gives another one")
    flat = background.expand(3, 3, -1)
    off = float((renderer.render(field, cameras, flat).detach().image - view.image).abs().max())
    laws("a flat background is one colour", off <= tolerance, f"as (3, 3, C) the picture differs by {off:.3g}")

    def use(made: Renderer, index: int) -> dict[str, Tensor]:
        step = fresh_step(index, total=4, seed=index)
        return {"image": made.render(field, cameras, background, frozenset(), step).image.detach()}

    def fresh() -> Renderer:
        made = type(renderer)(renderer.config)
        made.load(torch.device("cpu"))
        return made

    with laws.own_randomness(), laws.runs("it draws within a step", "render(..., step=step) fails"):
        one, other = (use(fresh(), 0) for _ in range(2))
    laws("same seed, same picture", same(one, other), "two fresh ones draw one step otherwise")
    check_state(laws, fresh, use)


def _gradient(laws: Laws, renderer: Renderer, field: Representation, cameras: Cameras, background: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    drawn = renderer.render(field, cameras, background, renderer.provides).tensors()
    names = [name for name in sorted(renderer.provides) if name in VIEW_FIELDS or drawn[name].requires_grad]
    shapes = [drawn[name].shape for name in names]
    weights = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]

    def value() -> Tensor:
        view = renderer.render(field, cameras, background, renderer.provides).tensors()
        told = [(view[name] * weight).sum() for name, weight in zip(names, weights, strict=True)]
        return torch.stack(told).sum()

    parameters = [parameter for parameter in field.parameters() if parameter.requires_grad]
    laws("it is differentiable", value().requires_grad, "the view carries no graph to the parameters")
    for told, measured in differences(value, parameters):
        close = abs(told - measured) < 1e-3 * max(1e-3, abs(told), abs(measured))
        found = f"backpropagation says {told:.6g}, central differences {measured:.6g}"
        laws("gradients equal finite differences", close, found)


def _ball(laws: Laws, renderer: Renderer, ball: Representation) -> None:
    law = "a ball of uniform density looks as it must"
    cameras = orbit(25.0, 40.0, 24)
    background, far = torch.tensor(BACKGROUND), float(getattr(renderer.config, "far", FAR))
    with torch.no_grad(), laws.runs(law, "render() fails"):
        view = renderer.render(ball, cameras, background, renderer.provides)
        known = draw_balls(SphereField(BALL), cameras, background, far)
    origins, directions = rays(cameras)
    passes = (origins + directions * -(origins * directions).sum(dim=-1, keepdim=True)).norm(dim=-1)
    hit, miss = passes < BALL.radius - EDGE, passes > BALL.radius + EDGE
    off = (view.opacity - known.opacity)[..., 0][hit].abs()
    found = (
        f"opacity 1 - exp(-density chord), but it is off by {float(off.mean()):.3g} ({float(off.max()):.3g} at worst)"
    )
    laws(law, float(off.mean()) < 0.03 and float(off.max()) < 0.1, found)
    expected = view.opacity * torch.tensor(BALL.colour) + (1 - view.opacity) * background
    off = (view.image - expected)[hit].abs().max()
    laws(law, off < 0.03, f"opacity colour + (1 - opacity) background, but the image is off by {float(off):.3g}")
    law = "a ray that misses shows the background"
    exact = isinstance(ball, SphereField)  # another representation may have no hard edge
    off = (view.image - background)[miss].abs().max()
    laws(law, off == 0 if exact else off < 1e-3, f"the image is off by {float(off):.3g}")
    if view.depth is None or known.depth is None:
        return
    law = "depth is the distance along the unit ray, plus (1 - opacity) far"
    off = (view.depth[..., 0][miss] - far).abs().max()
    laws(
        law,
        off < (1e-4 if exact else 0.05),
        f"a ray that misses has a depth other than far = {far:g}, by {float(off):.3g}",
    )
    own, true = (
        ((v.depth - (1 - v.opacity) * far) / v.opacity.clamp(min=1e-3))[..., 0]  # type: ignore[operator]
        for v in (view, known)
    )
    beside = hit & (passes > 0.5 * BALL.radius)  # there, depth along the camera's axis would be shorter
    bias, worst = float((own - true)[beside].mean()), float((own - true)[hit].abs().max())
    laws(
        law,
        abs(bias) < 0.04 and worst < 0.15,
        f"off by {bias:.3g} on average away from the middle, {worst:.3g} at worst",
    )


def _axes(laws: Laws, renderer: Renderer) -> None:
    law = "the picture is neither turned nor mirrored"
    field, background = ThreeBalls(ThreeBallsConfig()), torch.tensor(BACKGROUND)
    cameras = orbit(20.0, torch.tensor([0.0, 70.0, 200.0]), 32)
    with torch.no_grad(), laws.runs(law, "render() fails"):
        image = renderer.render(field, cameras, background).image
        known = draw_balls(field, cameras, background).image
    share: Any = ((image - known).abs().amax(dim=-1) < 0.1).float().mean()
    found = f"{float(share):.0%} of the pixels of three balls on +x, +y and +z are as zero3d.geometry.rays sees them"
    laws(law, share > 0.95, found)
