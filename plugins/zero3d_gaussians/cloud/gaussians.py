"""The representation: 3D Gaussians that grow and are pruned; also a radiance field, for exports and later stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.errors import StepError, UserError
from zero3d.interfaces import (
    PointCloud,
    RadianceField,
    Representation,
    RowOptimizer,
    SplatCloud,
    SurfaceRepresentation,
)
from zero3d.schedule import Schedule
from zero3d.values import Step
from zero3d_gaussians.cloud import growth, mcmc, start
from zero3d_gaussians.cloud.density import blobs, density_and_features
from zero3d_gaussians.cloud.options import MOST
from zero3d_gaussians.cloud.options import GaussiansConfig as GaussiansConfig  # public here
from zero3d_gaussians.cloud.watch import Seen, Watch
from zero3d_gaussians.drawing.projection import C0, rotations
from zero3d_gaussians.files.reading import opened
from zero3d_gaussians.values import Start, check_numbers, shown_bounds

FLATTEST = 1e-6
"""World units: no axis starts shorter."""


class GaussianCloud(RadianceField, SplatCloud):
    """3D Gaussians: centres, log scales, quaternions, opacity logits, spherical harmonics of degree 0 to 3."""

    name: ClassVar[str] = "gaussians"
    Config: ClassVar[type[Any]] = GaussiansConfig
    grows: ClassVar[bool] = True

    def __init__(self, config: GaussiansConfig) -> None:
        super().__init__(config)
        count, self.channels, self.spacing = config.points, config.channels, config.detail
        self.growth = growth.parse(config.densify)
        self.means = nn.Parameter(torch.zeros(count, 3))
        self.log_scales = nn.Parameter(torch.zeros(count, 3))
        self.quaternions = nn.Parameter(torch.zeros(count, 4))
        self.opacity_logits = nn.Parameter(torch.zeros(count))
        self.sh_base = nn.Parameter(torch.zeros(count, 1, config.channels))
        if config.degree:
            self.sh_rest = nn.Parameter(torch.zeros(count, (config.degree + 1) ** 2 - 1, config.channels))
        self.box: Tensor
        self.register_buffer("box", torch.tensor([[-1.0] * 3, [1.0] * 3]) * config.box)
        self.gradient_sums: Tensor
        self.register_buffer("gradient_sums", torch.zeros(count))
        self.times_seen: Tensor
        self.register_buffer("times_seen", torch.zeros(count))
        self._watch = Watch()

    @property
    def most(self) -> int:
        """Gaussians at the most, for the check of memory."""
        fixed = self.growth is None and self.config.start in ("auto", "ball")
        return int(self.config.points if fixed else self.config.max_count)

    def initialise(self, step: Step) -> None:
        """The ball, or the file.

        Raises:
            UserError: the file is missing, of another layout, empty, not finite, or larger than max_count.
        """
        self._watch.seed = int(torch.randint(2**31, (), generator=step.generator("follow")))
        if self.config.start in ("auto", "ball"):
            self._take(start.ball(self.config.points, self.config.radius, self.channels, step.generator("ball")))
        else:
            self._take(start.from_file(self.config.start, self.config.points, self.channels, step.generator("file")))

    @classmethod
    def from_file(cls, path: Path) -> GaussianCloud | None:
        """A .splat, or a .ply in 3DGS's layout; its density is asked for where its Gaussians show, 128 cells a side."""
        found = opened(path)
        if found is None:
            return None
        rest = 0 if found.sh_rest is None else found.sh_rest.shape[1]
        cloud = cls(GaussiansConfig(points=1, max_count=MOST, degree=math.isqrt(rest + 1) - 1))
        cloud._take(found, str(path))
        cloud.box = shown_bounds(found).to(cloud.box)
        cloud.spacing = float((cloud.box[1] - cloud.box[0]).max()) / 128
        return cloud

    def can_follow(self, previous: Representation | None) -> bool:
        """A point cloud, a field, a mesh or Gaussians of as many channels; where another start is asked for, anything."""
        known = isinstance(previous, (PointCloud, RadianceField, SurfaceRepresentation))
        fits = known and previous is not None and previous.channels == self.channels
        return previous is None or fits or self.config.start != "auto"

    def follow(self, previous: Representation) -> None:
        """Gaussians as they are, one at each point of a cloud; or else evenly strewn on a mesh's or a field's
        surface, in its colours.

        Raises:
            UserError: the field is empty.
        """
        if self.config.start != "auto":
            return
        generator = torch.Generator().manual_seed(self._watch.seed)
        if isinstance(previous, GaussianCloud):
            self._take(previous.as_start())
        elif isinstance(previous, PointCloud):
            self._take(start.from_points(*previous.points()))
        elif isinstance(previous, SurfaceRepresentation):
            self._take(start.from_surface(previous, self.config.points, generator))
        elif isinstance(previous, RadianceField):
            self._take(start.from_field(previous, self.config.points, generator))

    def param_groups(self) -> list[dict[str, Any]]:
        """Higher harmonics learn at a twentieth of the colours' rate, as in 3DGS."""
        named = {
            "position_lr": self.means,
            "colour_lr": self.sh_base,
            "opacity_lr": self.opacity_logits,
            "scale_lr": self.log_scales,
            "rotation_lr": self.quaternions,
        }
        groups = [
            {"params": [parameter], "lr_scale": Schedule.parse(getattr(self.config, name), name)}
            for name, parameter in named.items()
        ]
        if self.config.degree:
            groups.append({"params": [self.sh_rest], "lr_scale": _scaled(self.config.colour_lr, 1 / 20)})
        return groups

    def parameter_bytes(self) -> int:
        own = super().parameter_bytes()
        return own // max(len(self.means), 1) * max(self.most, len(self.means))

    # -- what renderers read

    def axes(self) -> Tensor:
        """(N, 3, 3): columns are the principal axes, each as long as its standard deviation, world units."""
        return rotations(self.quaternions) * self.log_scales.exp()[:, None, :]

    def opacities(self) -> Tensor:
        """(N,) in (0, 1)."""
        return self.opacity_logits.sigmoid()

    def splats(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes, shown = self.axes(), self.shown(self.sh_base[:, 0])
        return self.means, axes @ axes.mT, shown.clamp(max=1) if self.channels == 3 else shown, self.opacities()

    def harmonics(self) -> Tensor:
        """(N, K, C)."""
        return torch.cat([self.sh_base, self.sh_rest], dim=1) if self.config.degree else self.sh_base

    def shown(self, base: Tensor) -> Tensor:
        """Coefficients of degree 0 (N, C) -> colours: RGB not below 0, or the latent."""
        return self.shown_harmonics(C0 * base)

    def shown_harmonics(self, value: Tensor) -> Tensor:
        """Sums of harmonics -> colours."""
        return (value + 0.5).clamp(min=0) if self.channels == 3 else value

    def watched(self, views: int, width: int, height: int, step: Step | None) -> Seen | None:
        """The leaves of a render, while a cloud that grows is optimised; None otherwise."""
        if not isinstance(self.growth, growth.Growth) or step is None or not torch.is_grad_enabled():
            return None
        if any(seen.step != step.index for seen in self._watch.seen):
            self._watch.seen.clear()
        leaves = [torch.zeros(views, len(self.means), 2).to(self.means).requires_grad_() for _ in range(2)]
        seen = Seen(step.index, leaves[0], leaves[1] if self.growth.absolute else None, width, height)
        self._watch.seen.append(seen)
        return seen

    # -- growth

    def after_step(self, step: Step, optimizer: RowOptimizer) -> None:
        """Add up the step's gradients on the screen; clone, split, prune and reset where it is time.

        Raises:
            StepError: all would be pruned.
        """
        rule, iteration = self.growth, step.index + 1
        if isinstance(rule, mcmc.Mcmc):
            with torch.no_grad():
                self._move(rule, step, optimizer)
        if not isinstance(rule, growth.Growth):
            return
        renders, self._watch.seen = self._watch.seen, []
        with torch.no_grad():
            if rule.watches(iteration):
                self._add_up(renders)
            if rule.acts(iteration):
                self._change(rule, iteration, step, optimizer)
            if rule.resets(iteration):
                highest = math.log(rule.reset_opacity / (1 - rule.reset_opacity)) if rule.reset_opacity else -20.0
                self.opacity_logits.data.clamp_(max=highest)
                optimizer.reset("opacity_logits")

    def _move(self, rule: mcmc.Mcmc, step: Step, optimizer: RowOptimizer) -> None:
        """The faint to the opaque, new ones, and the step's noise."""
        if rule.acts(step.index + 1):
            dead = self.opacities() <= rule.dead_opacity
            if bool(dead.all()):
                raise StepError(
                    f"step {step.index}: representation {self.name!r}: every Gaussian is fainter than "
                    "densify.dead_opacity; lower it"
                )
            more = min(self.config.max_count, int(rule.growth * len(dead))) - len(dead)
            for place, count in ((dead, int(dead.sum())), (None, more)):
                if count > 0:
                    self._copy(rule, place, count, step, optimizer)
            self._clear_sums()
        rate = Schedule.parse(self.config.position_lr)
        first = rate.at(0, step.total)
        strength = rule.noise * (rate(step) / first if first else 1.0)
        if strength:
            self.means.data += mcmc.tremble(self.axes(), self.opacities(), strength, step.generator("tremble"))

    def _copy(self, rule: mcmc.Mcmc, dead: Tensor | None, count: int, step: Step, optimizer: RowOptimizer) -> None:
        """Copies of living Gaussians in the place of dead ones, or added; as in gsplat, sources of moved ones lose their
        moments, and so do the moved ones here: their moments were another place's."""
        opacities = self.opacities()
        rows = torch.arange(len(opacities), device=opacities.device)
        alive = rows if dead is None else rows[~dead]
        made = mcmc.copies(
            opacities, self.log_scales.detach(), alive, count, rule.dead_opacity, step.generator("relocation")
        )
        if dead is None:
            ends = torch.arange(len(rows), len(rows) + count, device=rows.device)
            rows = torch.cat([rows, made.sources])
        else:
            ends = dead.nonzero()[:, 0]
            rows = rows.clone()
            rows[ends] = made.sources
        new = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        new[ends] = True
        if dead is not None:
            new[made.sources] = True
        for name, _ in self.named_parameters():
            optimizer.rearrange(name, rows, new)
        for places in (made.sources, ends):
            self.opacity_logits.data[places] = made.opacity_logits
            self.log_scales.data[places] = made.log_scales

    def _add_up(self, renders: Sequence[Seen]) -> None:
        for seen in renders:
            lengths = seen.per_view()
            if lengths is None or seen.visible is None or lengths.shape[1] != len(self.means):
                continue
            self.gradient_sums += (lengths * seen.visible).sum(dim=0)
            self.times_seen += seen.visible.sum(dim=0)

    def _change(self, rule: growth.Growth, iteration: int, step: Step, optimizer: RowOptimizer) -> None:
        change = growth.plan(
            rule,
            iteration,
            self.gradient_sums / self.times_seen.clamp(min=1),
            self.means.detach(),
            self.log_scales.detach(),
            self.quaternions.detach(),
            self.opacities(),
            self.config.max_count,
            step.generator("split"),
        )
        if change.held_back and not self._watch.told:
            self._watch.told = True
            self.tell(
                f"note: step {step.index}: {change.held_back:,} Gaussians more would have grown than "
                f"representation.max_count, {self.config.max_count:,}, leaves room for; those with the largest gradients "
                "grow (said once); raise it for finer detail"
            )
        if not len(change.rows):
            raise StepError(
                f"step {step.index}: representation {self.name!r}: every Gaussian is fainter than "
                f"densify.prune_opacity or larger than densify.prune_scale; lower the one or raise the other"
            )
        for name, _ in self.named_parameters():
            optimizer.rearrange(name, change.rows, change.new)
        self.means.data[change.halves] = change.means
        self.log_scales.data[change.halves] = change.log_scales
        self._clear_sums()

    def _clear_sums(self) -> None:
        self.gradient_sums = self.means.new_zeros(len(self.means))
        self.times_seen = self.means.new_zeros(len(self.means))

    # -- the field

    def density(self, points: Tensor) -> Tensor:
        """Per world unit: what each Gaussian absorbs on a line through its centre is its opacity (root mean square over the
        directions); none is thinner than `detail`. 0 outside the box."""
        return self._ask(points)[0]

    def features(self, points: Tensor) -> Tensor:
        """The mean of the Gaussians' colours by their density there; grey where there is none."""
        found = self._ask(points, colours=True)[1]
        return found.clamp(0, 1) if self.channels == 3 else found

    def _ask(self, points: Tensor, colours: bool = False) -> tuple[Tensor, Tensor]:
        made = blobs(self.means, self.quaternions, self.log_scales, self.opacities(), self.spacing)
        values = self.shown(self.sh_base[:, 0]) if colours else self.means.new_zeros(len(self.means), 0)
        inside = ((points >= self.box[0]) & (points <= self.box[1])).all(dim=-1)
        grey = 0.5 if self.channels == 3 else 0.0
        density, features = density_and_features(made, values, points.to(self.means), grey)
        return density * inside, features

    # -- starts

    def as_start(self) -> Start:
        """What another cloud can begin from."""
        return Start(
            self.means.detach(),
            self.log_scales.detach(),
            self.quaternions.detach(),
            self.opacity_logits.detach(),
            self.sh_base.detach(),
            self.sh_rest.detach() if self.config.degree else None,
        )

    def _take(self, found: Start, where: str = "") -> None:
        """Make this cloud that one. `.data`, not the parameters, is replaced: an optimizer holds these already."""
        count = len(found.means)
        where = where or f"representation.start {self.config.start}"
        if not count:
            raise UserError(f"{where}: no points; give a cloud that has some")
        if count > self.config.max_count:
            raise UserError(
                f"{where}: {count:,} Gaussians, representation.max_count is {self.config.max_count:,}; raise that"
            )
        check_numbers(found, where)
        scales, means = found.log_scales, found.means
        if scales is None:
            scales = start.sizes(means, self.config.spread, self.config.flat if found.quaternions is not None else 1)
            if found.quaternions is not None:  # so deep that what shows of them ends at the surface
                outwards = rotations(found.quaternions)[:, :, 2]
                means = means - start.DEPTH * scales[:, :1].exp() * outwards
        quaternions = found.quaternions
        if quaternions is None:
            quaternions = found.means.new_tensor([1.0, 0, 0, 0]).expand(count, 4)
        logits = found.opacity_logits
        if logits is None:
            logits = found.means.new_full((count,), math.log(self.config.opacity / (1 - self.config.opacity)))
        named = {
            "means": means,
            "log_scales": scales.clamp(min=math.log(FLATTEST)),
            "quaternions": quaternions,
            "opacity_logits": logits,
            "sh_base": found.sh_base,
        }
        if self.config.degree:
            own = self.sh_rest.data.new_zeros(count, *self.sh_rest.shape[1:])
            given = 0 if found.sh_rest is None else min(own.shape[1], found.sh_rest.shape[1])
            if given:
                assert found.sh_rest is not None
                own[:, :given] = found.sh_rest[:, :given].to(own)
            named["sh_rest"] = own
        for name, value in named.items():
            parameter = self.get_parameter(name)
            parameter.data = value.detach().to(parameter).clone().contiguous()
        self._clear_sums()


def _scaled(source: Any, factor: float) -> Schedule:
    """A schedule times a number."""
    parsed = Schedule.parse(source)
    return Schedule(tuple(type(knot)(knot.at, knot.percent, knot.value * factor, knot.jump) for knot in parsed.knots))
