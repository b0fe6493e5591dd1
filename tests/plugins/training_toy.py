"""A plug-in with a denoiser of a dozen numbers that learns in no time; its noise is each target's own."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from zero3d import hookimpl
from zero3d.interfaces import PixelDenoiser, TrainableDenoiser


@dataclass
class ToyConfig:
    """Options of `toy`. slow: seconds a step."""

    slow: float = 0.0


class Toy(PixelDenoiser, TrainableDenoiser):
    """Learns to take noise away, colour by colour, knowing the input's mean colour."""

    name = "toy"
    Config = ToyConfig
    stages = ("fit",)
    resolution = picture_resolution = 8

    def condition(self, subject):
        return subject.pictures[0].picture.rgb.mean((0, 1))[None]

    def predict(self, noised, sigma, condition, cameras, branches):
        wide = condition[:, None, None].expand(len(noised), *noised.shape[1:3], -1)
        return dict.fromkeys(branches, self.layer(torch.cat([noised, wide], dim=-1)).clamp(0, 1))

    def trainable(self, stage):
        self.layer = nn.Linear(6, 3)
        return self.layer

    def training_loss(self, batch, stage, generator):
        time.sleep(self.config.slow)
        each = len(batch.target_rgba) // len(batch)
        truth = batch.target_rgba[..., :3]
        noise = torch.stack([torch.randn(truth.shape[1:], generator=seeded(seed)) for seed in batch.seeds])
        colour = batch.input_rgba[..., :3].mean((1, 2)).repeat_interleave(each, dim=0)[:, None, None]
        guess = self.layer(torch.cat([truth + 0.3 * noise.to(truth), colour.expand_as(truth)], dim=-1))
        return (guess - truth).square().mean(), {}

    def save(self, path):
        from safetensors.torch import save_file

        save_file({name: value.detach().cpu().clone() for name, value in self.layer.state_dict().items()}, path)


def seeded(seed):
    return torch.Generator().manual_seed(int(seed))


@hookimpl
def register_components(register):
    register(Toy)
