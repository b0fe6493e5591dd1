"""The laws of a representation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.interfaces import RadianceField, Representation, SplatCloud
from zero3d.testing.laws.common import Laws, copied, same
from zero3d.testing.samples import fresh_step

STEPS = 6
SMALL = 2**16
"""Bytes of buffers that nobody minds."""


def check_representation(make: Callable[[], Representation]) -> None:
    """The laws of a representation. Call it from a test; the first broken one is an AssertionError of one line.

    - Each parameter is in exactly one of `param_groups`, and every tensor is a parameter or a buffer: nothing stays
      behind when it is moved to another device, and the "meta" device holds no memory.
    - The same seed gives the same start; random numbers come from `step.generator(name)` alone.
    - `state_dict` is all there is to it: loaded into a fresh one it gives the same parameters and the same field.
    - The memory check is told the truth: built on "meta" it has the parameters that it has after `initialise`, and its
      buffers are no larger than they.
    - Steps of an optimizer with `after_step` behind each leave every parameter finite and in one group; one that grows
      becomes no larger than `parameter_bytes` counted before. n steps are k steps, a checkpoint of both, and n - k steps of
      a fresh one: what it counts and what the optimizer remembers follow its rows.
    - A RadianceField besides: density (N,), not negative and 0 outside the box, features (N, C), finite, in [0, 1] for
      RGB; any number of points, none among them; differentiable; a `spacing` above 0.
    - A SplatCloud besides: centres (N, 3), covariances (N, 3, 3) that are some, features (N, C), opacities (N,) in [0, 1].

    Args:
        make: builds one, always with the same options, small enough for a test.
    """
    first, second = make(), make()
    laws = Laws(type(first))
    laws.refuses(first.config)
    with laws.own_randomness("step.generator(name) in initialise"):
        for representation in (first, second):
            with torch.no_grad():
                representation.initialise(fresh_step())
    _groups(laws, first)
    start = second.state_dict()
    for name, value in first.state_dict().items():
        laws("same seed, same start", torch.equal(value, start[name]), f"{name} differs between two of seed 0")
        laws("the start is finite", torch.isfinite(value.double()).all(), f"{name} holds nan or inf")
    _memory(laws, first, make)
    _devices(laws, make)
    _after_step(laws, second, make)
    _state(laws, second, make)
    if isinstance(first, RadianceField):
        _field(laws, first)
    if isinstance(first, SplatCloud):
        _splats(laws, first)


def _groups(laws: Laws, representation: Representation) -> None:
    law = "each parameter is in exactly one group"
    grouped = [id(parameter) for group in representation.param_groups() for parameter in group["params"]]
    for name, parameter in representation.named_parameters():
        count = grouped.count(id(parameter))
        laws(law, count == 1, f"{name} is in {count}")
    laws(law, len(grouped) == len(list(representation.parameters())), "a group holds what is no parameter of it")


def _sizes(representation: Representation) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in representation.named_parameters()}


def _memory(laws: Laws, representation: Representation, make: Callable[[], Representation]) -> None:
    told = "__init__ fails there; use tensor factories, no values"
    with laws.runs("it is built on the meta device", told), torch.device("meta"):
        sketch = make()
    beside = [name for name, parameter in sketch.named_parameters() if parameter.device.type != "meta"]
    laws(
        "it is built on the meta device", not beside, f"{', '.join(beside)}: allocated on another device than asked for"
    )
    sketched, real = _sizes(sketch), _sizes(representation)
    laws("the memory check is told the truth", sketched == real, f"on meta it has {sketched}, after initialise {real}")
    held = [
        sum(t.numel() * t.element_size() for t in part)
        for part in (representation.buffers(), representation.parameters())
    ]
    law = "the memory check is told the truth"
    laws(
        law,
        held[0] <= max(held[1], SMALL),
        f"{held[0]} bytes of buffers, {held[1]} of parameters: it counts only these",
    )


def _devices(laws: Laws, make: Callable[[], Representation]) -> None:
    law = "every tensor moves with it"
    representation = make()
    for path, module in representation.named_modules():
        for name, value in vars(module).items():
            place = f"{path}.{name}" if path else name
            laws(law, not isinstance(value, Tensor), f"{place} is a plain attribute; make it a buffer or a parameter")
    with laws.runs(law, "it cannot be moved to the CPU and to meta"):
        representation.to("cpu")
        representation.to("meta")
    left = [name for name, tensor in _all(representation) if tensor.device.type != "meta"]
    laws(law, not left, f"{', '.join(left)} stayed behind")


def _all(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _after_step(laws: Laws, representation: Representation, make: Callable[[], Representation]) -> None:
    from zero3d.engine import Optimizer  # which reads recipes; the command line need not, to start
    from zero3d.recipe import OptimizerOptions

    options, most = OptimizerOptions(lr=0.05), representation.parameter_bytes()
    with laws.runs("param_groups give lr_scale, not lr", "no optimizer can be made of them"):
        optimizer = Optimizer(options, representation)
    for index in range(STEPS // 2):
        _step(laws, representation, optimizer, index)
    law = "n steps are k steps, a checkpoint and n - k steps"
    with laws.runs(law, "load_state_dict() of its own state, or the optimizer's, fails"):
        resumed = make()
        with torch.no_grad():
            resumed.initialise(fresh_step(seed=1))
        other = Optimizer(options, resumed)
        resumed.load_state_dict(copied(representation.state_dict()))
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    alike = same(representation.state_dict(), resumed.state_dict())
    laws("state_dict is all there is to it", alike, "what was loaded is not what was saved")
    for index in range(STEPS // 2, STEPS):
        _step(laws, representation, optimizer, index)
        _step(laws, resumed, other, index)
    alike = same(representation.state_dict(), resumed.state_dict())
    laws(law, alike, "resumed, it ends elsewhere; keep what it counts in a buffer, and change rows by rearrange")
    held = sum(tensor.numel() * tensor.element_size() for tensor in representation.parameters())
    law = "parameter_bytes counts the largest size"
    laws(law, held <= most, f"{most} bytes said before, {held} held after {STEPS} steps")
    _groups(laws, representation)


def _step(laws: Laws, representation: Representation, optimizer: Any, index: int) -> None:
    """One of the run's: gradients of noise, the optimizer's step, and what the representation makes of it."""
    law = "steps leave it finite, and the optimizer knows of every change of size"
    optimizer.zero_grad()
    for k, parameter in enumerate(representation.parameters()):
        if parameter.requires_grad:
            generator = torch.Generator().manual_seed(97 * index + k)
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter)
    step = fresh_step(index, STEPS, seed=index)
    optimizer.step(step)
    with laws.own_randomness(), laws.runs(law, "after_step() fails"):
        representation.after_step(step, optimizer)
    with laws.runs(law, f"after step {index}"):
        optimizer.check(index)
        optimizer.check_finite(index)


def _state(laws: Laws, representation: Representation, make: Callable[[], Representation]) -> None:
    law = "state_dict is all there is to it"
    restored = make()
    saved = copied(representation.state_dict())
    with laws.runs(law, "load_state_dict() of its own state fails"):
        restored.load_state_dict(saved)
    laws(law, same(saved, restored.state_dict()), "what was loaded is not what was saved")
    if isinstance(representation, RadianceField) and isinstance(restored, RadianceField):
        points = _points(representation)
        for what in ("density", "features"):
            with torch.no_grad():
                one, other = getattr(representation, what)(points), getattr(restored, what)(points)
            laws(
                law,
                torch.equal(one, other),
                f"a restored field has another {what}; keep what it depends on in a buffer",
            )


def _points(field: RadianceField, count: int = 50) -> Tensor:
    """Inside the box."""
    chance = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    return field.box[0] + chance * (field.box[1] - field.box[0])


def _field(laws: Laws, field: RadianceField) -> None:
    points = _points(field)
    density, features = field.density(points), field.features(points)
    moves = (density.sum() + features.sum()).requires_grad
    density, features = density.detach(), features.detach()
    shapes = tuple(density.shape), tuple(features.shape)
    expected = (50,), (50, field.channels)
    laws(
        "density is (N,), features (N, C)", shapes == expected, f"{shapes} for 50 points and {field.channels} channels"
    )
    finite = torch.isfinite(density).all() and torch.isfinite(features).all()
    laws("density and features are finite", finite, "nan or inf inside the box")
    laws("density is not negative", (density >= 0).all(), f"{float(density.min())} inside the box")
    if field.channels == 3:
        low, high = float(features.min()), float(features.max())
        laws("RGB features lie in [0, 1]", low >= -1e-5 and high <= 1 + 1e-5, f"they run from {low:.4g} to {high:.4g}")
    outside = field.box[1] + 1.0 + torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    laws("density is 0 outside the box", (field.density(outside) == 0).all(), "a point above the box has density")
    with laws.runs("any number of points may be asked", "density() or features() of no point fails"):
        none: Any = points[:0]
        field.density(none), field.features(none)
    laws("it is differentiable", moves, "no parameter has a gradient")
    axes = [torch.lerp(low, high, torch.linspace(0.2, 0.8, 3)) for low, high in field.box.detach().cpu().T]
    lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    again = field.lattice_density(axes).detach().flatten()
    alike = again.shape == (27,) and torch.allclose(again, field.density(lattice).detach(), rtol=1e-3, atol=1e-4)
    laws("lattice_density is density on a lattice", alike, "they differ")
    laws("spacing is above 0", field.spacing > 0, f"{field.spacing}")


def _splats(laws: Laws, cloud: SplatCloud) -> None:
    centres, covariances, features, opacities = (part.detach() for part in cloud.splats())
    found = tuple(tuple(part.shape) for part in (centres, covariances, features, opacities))
    count = len(centres)
    expected = (count, 3), (count, 3, 3), (count, cloud.channels), (count,)
    laws("splats are (N, 3), (N, 3, 3), (N, C), (N,)", found == expected, f"{found}")
    alike = torch.allclose(covariances, covariances.mT, rtol=1e-4, atol=1e-8)
    least = float(torch.linalg.eigvalsh(covariances.double()).min()) if alike and count else 0.0
    scale = float(covariances.abs().max()) if count else 0.0
    laws("covariances are some", alike and least >= -1e-5 * scale, "not symmetric, or one has a negative variance")
    inside = bool(((opacities >= 0) & (opacities <= 1)).all())
    if cloud.channels == 3:
        inside &= bool(((features >= -1e-5) & (features <= 1 + 1e-5)).all())
    laws("opacities, and RGB, lie in [0, 1]", inside, "some do not")
