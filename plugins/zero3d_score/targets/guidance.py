"""Target pictures: the teacher's sampler runs whole, once, and the field is fitted to what it drew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.diffusion import broadcast, ddim, guided
from zero3d.geometry import orbit
from zero3d.interfaces import COND, NULL, CameraSampler, Guidance, Teacher
from zero3d.values import Cameras, Step, View, ViewGradient
from zero3d_score.shared import draws
from zero3d_score.shared.space import resized
from zero3d_score.targets.matte import cut_out
from zero3d_score.targets.options import TargetPicturesConfig


class TargetPictures(Guidance):
    """dL/dx = x - x*, x* a picture that the teacher drew from that camera at the start, for teachers of fixed views.

    The sampler is Euler's in sigma form with a share of fresh noise (DDIM with eta). Each step fits as many of the pictures
    as the camera sampler draws views, of its size, chosen at random; all, if it draws as many. Cameras and pictures are its
    state. Zero123++ (arXiv 2310.15110) and SV3D (arXiv 2403.12008) are made for this; their own 3D stages have other losses.
    """

    name: ClassVar[str] = "target_pictures"
    Config: ClassVar[type[Any]] = TargetPicturesConfig
    needs: frozenset[str] = frozenset({"image", "opacity", "background"})
    branches: tuple[str, ...] = (COND, NULL)
    takes_fixed_views: ClassVar[bool] = True

    def __init__(self, config: TargetPicturesConfig, teacher: Teacher) -> None:
        """
        Raises:
            RecipeError: no cameras, two sets of them, or no whole groups of what its denoiser draws jointly.
        """
        super().__init__(config, teacher)
        denoiser, chosen = teacher.denoiser, len(config.azimuth_deg)
        place, fixed = "guidance.target_pictures.azimuth_deg", denoiser.views(teacher.subject) is not None
        if fixed and chosen:
            raise RecipeError(f"{place}: denoiser {denoiser.name!r} draws views of its own alone; remove it")
        if not fixed and not chosen:
            raise RecipeError(
                f"{place}: empty, and denoiser {denoiser.name!r} has no views of its own; give for example [0, 90, 180, 270]"
            )
        if not fixed and chosen % denoiser.group:
            raise RecipeError(
                f"{place}: {chosen} angles, but denoiser {denoiser.name!r} draws {denoiser.group} views jointly; "
                f"give a multiple of {denoiser.group}"
            )
        self._left, self._made = 0, 0
        self._cameras: Cameras | None = None
        self._front: Tensor | None = None
        self._alpha: Tensor | None = None
        self._plain: list[bool] = []
        self._shown: Tensor | None = None

    def cameras(self, step: Step, sampler: CameraSampler) -> Cameras | None:
        drawn = sampler.sample(step)  # for their number and size
        if self._cameras is None or (self.config.refresh and self._left == 0):
            self._cameras, self._front, self._left = self._own(), None, self.config.refresh
        held, count = len(self._cameras), min(len(drawn), len(self._cameras))
        self._shown = torch.arange(held)
        if count < held:
            self._shown = torch.randperm(held, generator=step.generator("pictures"))[:count].sort().values
        return self._cameras[self._shown].resized(drawn.height, drawn.width)

    def _own(self) -> Cameras:
        """Those of the teacher, or where the options say."""
        denoiser, subject, config = self.teacher.denoiser, self.teacher.subject, self.config
        fixed: Cameras | None = denoiser.views(subject)
        if fixed is not None:
            return fixed.to("cpu")
        elevation, azimuth = torch.tensor(config.elevation_deg), torch.tensor(config.azimuth_deg)
        if not subject.pictures:
            return orbit(elevation, azimuth, denoiser.resolution)
        front = subject.pictures[0].camera
        azimuth = azimuth + math.degrees(float(front.azimuth[0]))
        return orbit(elevation, azimuth, denoiser.resolution, float(front.distance[0]), float(front.fovs[0]))

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        if self._cameras is None:
            self._cameras = cameras.to("cpu")
        if self._front is None or self._alpha is None:
            self._keep(self._drawn(view.image, self._cameras, step), view.image.shape[-1] == 3)
        assert self._front is not None
        assert self._alpha is not None
        shown = torch.arange(len(self._cameras)) if self._shown is None else self._shown
        size = view.image.shape[1]
        front, alpha = (resized(held[shown].to(view.image), size) for held in (self._front, self._alpha))
        target = front + (1 - alpha) * view.extra.get("background", 1.0)  # white where nobody hands one in
        away = view.image - target
        gradients = {"image": away}
        figures = {"distance": float(away.abs().mean()), "pictures_made": float(self._made)}
        if self.config.mask and self.config.mask_weight and any(self._plain):
            plain = torch.tensor([self._plain[k] for k in shown.tolist()]).to(view.image)
            beside = self.config.mask_weight * broadcast(plain, alpha) * (view.opacity - alpha)
            gradients["opacity"] = beside
            figures["beside_the_silhouette"] = float(beside.abs().mean())
        return ViewGradient(gradients, figures)

    def after_step(self, step: Step) -> None:
        self._left = max(self._left - 1, 0)

    @torch.no_grad()
    def _drawn(self, image: Tensor, cameras: Cameras, step: Step) -> Tensor:
        """A picture for each camera: RGB in [0, 1], or for a field in its latent that."""
        denoiser, config = self.teacher.denoiser, self.config
        cameras = cameras.resized(denoiser.resolution, denoiser.resolution).to(image.device)
        shape = (len(cameras), denoiser.resolution, denoiser.resolution, denoiser.channels)
        times = config.timesteps(len(denoiser.sigmas))
        levels = draws.levels(denoiser, times, image)
        noise = draws.normal(image.new_empty(shape), step)
        noised = draws.first_noised(denoiser, levels[0], noise, None if config.spacing == "even" else 0.0)
        scales = image.new_tensor(config.scales(denoiser.group, config.guidance_scale(step)))
        scales = broadcast(scales.repeat(len(cameras) // denoiser.group), noised)

        def x0_of(noised: Tensor, sigma: Tensor) -> Tensor:
            return self._guided(noised, sigma.expand(len(noised)), cameras, scales)

        levels = torch.cat([levels, levels.new_zeros(1)])
        noised = ddim(x0_of, noised, levels, config.eta, partial(draws.normal, noised, step, "hops"))
        return denoiser.decode(noised).clamp(0, 1) if image.shape[-1] == 3 else noised

    def _guided(self, noised: Tensor, sigma: Tensor, cameras: Cameras, scales: Any) -> Tensor:
        branches = (COND,) if bool((scales == 1).all()) else (NULL, COND)
        x0: dict[str, Tensor] = self.teacher.predict(noised, sigma, cameras, branches)
        return guided(x0[NULL], x0[COND], scales) if NULL in x0 else x0[COND]

    def _keep(self, pictures: Tensor, rgb: bool) -> None:
        self._made += 1
        cut = rgb and self.config.mask
        parts = [cut_out(one) if cut else (one, torch.ones_like(one[..., :1]), False) for one in pictures]
        self._front, self._alpha = torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
        self._plain = [part[2] for part in parts]

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"made": self._made, "left": self._left, "plain": self._plain}
        if self._cameras is not None:
            held = self._cameras
            state |= {"camera_to_world": held.camera_to_world, "size": [held.height, held.width], "fov": held.fov}
        if self._front is not None and self._alpha is not None:
            state |= {"front": self._front, "alpha": self._alpha}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not {"made", "left", "plain"} <= state.keys():
            raise ValueError(f"it holds {', '.join(sorted(state)) or 'nothing'}, no target pictures' counters")
        self._made, self._left = int(state["made"]), int(state["left"])
        self._plain = [bool(plain) for plain in state["plain"]]
        self._front, self._alpha = state.get("front"), state.get("alpha")
        if "camera_to_world" in state:
            height, width = state["size"]
            self._cameras = Cameras(state["camera_to_world"], height, width, state["fov"])
