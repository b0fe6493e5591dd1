"""The Gaussian teacher of tests/data/methods_tiny.npz, and numbers drawn in advance in place of random ones.

The arrays are those of the original authors' functions over this teacher, (B, C, h, w) in variance-preserving form.
Each condition k is a prior N(mu_k, s_k^2) in every entry: D_k(y; sigma) = mu_k + s_k^2 / (s_k^2 + sigma^2) (y - mu_k).
"""

import json
from collections import Counter
from pathlib import Path

import numpy
import torch

from zero3d.diffusion import broadcast, sigmas_from_alphas_cumprod
from zero3d.geometry import orbit
from zero3d.interfaces import PixelDenoiser, Teacher
from zero3d.testing import fresh_step
from zero3d.values import View
from zero3d_score.shared import draws

GOLDEN = numpy.load("tests/data/methods_tiny.npz")
NOTES = json.loads(Path("tests/data/methods_tiny.json").read_text(encoding="utf-8"))
SIGMAS = sigmas_from_alphas_cumprod(torch.tensor(GOLDEN["alphas_cumprod"]))


def golden(name):
    """(..., C, h, w) -> (..., h, w, C), float64."""
    return torch.tensor(GOLDEN[name]).movedim(-3, -1)


class Priors(PixelDenoiser):
    """One Gaussian a branch; `conditions` names the golden file's condition of each."""

    name = "priors"
    unit, centre, channels, resolution, picture_resolution = 1.0, 0.0, 4, 8, 8

    def __init__(self, conditions, views=slice(None)):
        super().__init__(None)
        stds = dict(zip(NOTES["stds"], GOLDEN["stds"].tolist(), strict=True))
        self.priors = {b: (golden(f"mu_{name}")[views], stds[name] ** 2) for b, name in conditions.items()}
        self.branches = tuple(conditions)
        self.sigmas = SIGMAS
        self.calls = []

    def condition(self, subject):
        return None

    def predict(self, noised, sigma, condition, cameras, branches):
        self.calls.append((tuple(branches), [int((SIGMAS - s).abs().argmin()) for s in sigma]))
        noise = broadcast(sigma, noised) ** 2
        told = {}
        for branch in branches:
            mu, variance = self.priors[branch]
            told[branch] = mu + variance / (variance + noise) * (noised - mu)
        return told

    @property
    def asked(self):
        """How often each branch was computed."""
        return Counter(branch for branches, _ in self.calls for branch in branches)


def use(monkeypatch, t=None, **streams):
    """Draws come from `streams`: name -> what is drawn there, one after the other; `t` (B,) are the timesteps."""
    waiting = {name: list(values) for name, values in streams.items()}
    monkeypatch.setattr(draws, "normal", lambda like, step, stream="noise": waiting[stream].pop(0).expand(like.shape))
    if t is not None:
        monkeypatch.setattr(draws, "timesteps", lambda *arguments: torch.as_tensor(t))
    return waiting


def ask(component, conditions, views=slice(None), index=0, total=10, **options):
    """(the answer for the golden view, the teacher): `options` are the component's."""
    denoiser = Priors(conditions, views)
    guidance = component(component.Config(**options), Teacher(denoiser))
    image = golden("x")[views]
    cameras = orbit(20.0, torch.zeros(len(image)), 8)
    answer = guidance.gradient(View(image, image[..., :1]), cameras, fresh_step(index, total))
    return answer, denoiser


def error(value, name, views=slice(None)):
    """The largest difference, as a share of the largest entry."""
    expected = golden(name)[views] if value.ndim == 4 else golden(name)
    return float((value - expected).abs().max() / expected.abs().max())
