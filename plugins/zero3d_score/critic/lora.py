"""The LoRA critic: low-rank adapters and a camera embedding over a copy of the teacher's own network."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.errors import RecipeError
from zero3d.interfaces import COND, PLAIN, AdaptableDenoiser
from zero3d.values import Cameras
from zero3d_score.critic.base import CameraEmbedding, Critic

ADAPTED = r".*attn[12]\.to_(q|k|v|out\.0)"
"""Of every self- and cross-attention: query, key, value, output."""


class LoraCritic(Critic):
    """phi = the teacher's network with W + B A in its attentions and the camera added to the time embedding.

    arXiv 2305.16213, and its code: rank 4, A normal with deviation 1 / rank, B = 0. At first phi is the teacher: the camera
    embedding, which starts at random there, starts at 0 here. The frozen weights are shared, not copied; what is trained is
    kept in float32. phi is asked for the prompt as it was written, where the teacher knows it apart from the view's.
    """

    def __init__(self, denoiser: AdaptableDenoiser, network: nn.Module, rank: int) -> None:
        """`network`: the denoiser's, or its outline to count by.

        Raises:
            RecipeError: it has no attentions or no time embedding of diffusers' names.
        """
        super().__init__()
        from peft import LoraConfig, inject_adapter_in_model

        width = getattr(getattr(getattr(network, "time_embedding", None), "linear_2", None), "out_features", None)
        copy = _sharing(network)
        try:
            inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=ADAPTED), copy)
        except ValueError:
            width = None
        if width is None:
            raise RecipeError(
                f"guidance vsd: critic: lora; the network of denoiser {denoiser.name!r} lacks time_embedding, attn1 or "
                "attn2 of diffusers' U-Nets; set critic: small"
            )
        self._denoiser, self._rank = [denoiser], rank  # in a list: it is no module of phi's
        self._branch = PLAIN if PLAIN in denoiser.branches else COND
        self.network = copy.eval()
        for parameter in self.trained().values():
            parameter.data = parameter.data.float()
        device = next(copy.parameters()).device
        self.camera = CameraEmbedding(width).to(device)
        self._camera_embedding: Tensor | None = None
        embedding: Any = copy.time_embedding
        embedding.register_forward_hook(self._add_camera)

    def initialise(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for name, parameter in self.trained().items():
                if ".lora_A." in name:
                    numbers = torch.randn(parameter.shape, generator=generator)
                    parameter.copy_(numbers / self._rank)
                elif ".lora_B." in name:
                    parameter.zero_()
        self.camera.initialise(generator)

    def predict(self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, pose: Tensor) -> Tensor:
        self._camera_embedding = self.camera(pose.float())
        try:
            return self._denoiser[0].predict_by(self.network, noised, sigma, condition, cameras, self._branch)
        finally:
            self._camera_embedding = None

    def _add_camera(self, module: nn.Module, inputs: Any, embedding: Tensor) -> Tensor:
        """The time embedding (B, width) with the camera's on it."""
        return embedding if self._camera_embedding is None else embedding + self._camera_embedding.to(embedding)


def _sharing(network: nn.Module) -> nn.Module:
    """A copy of the modules that holds the very parameters and buffers of the original."""
    return deepcopy(network, {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())})
