"""Between the field's image space and the teacher's: encode and resize, and pull a gradient back through both."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import Denoiser
from zero3d.values import View


def to_teacher(image: Tensor, denoiser: Denoiser) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """A rendered image in the teacher's space, and the pull-back of gradients there to the image.

    Args:
        image: (B, H, W, C): RGB, encoded for a latent teacher, or already in its space. Without a graph.

    Returns:
        y (B, h, w, denoiser.channels) without a graph, and g_y -> (dy/dimage)^T g_y of the image's shape.
    """
    same_space = image.shape[-1] == denoiser.channels
    size = denoiser.resolution if same_space else denoiser.picture_resolution
    if same_space and image.shape[1] == size:
        return image, lambda gradient: gradient
    leaf = image.detach().requires_grad_()
    with torch.enable_grad():
        y = resized(leaf, size)
        if not same_space:
            y = denoiser.encode(y)

    def pull_back(gradient: Tensor) -> Tensor:
        return torch.autograd.grad(y, leaf, gradient)[0]

    return y.detach(), pull_back


def resized(image: Tensor, size: int) -> Tensor:
    """(B, H, W, C) -> (B, size, size, C): averaged down or bilinearly up."""
    if image.shape[1] == size:
        return image
    planes = image.permute(0, 3, 1, 2)
    if image.shape[1] > size:
        planes = functional.interpolate(planes, (size, size), mode="area")
    else:
        planes = functional.interpolate(planes, (size, size), mode="bilinear", align_corners=False)
    return planes.permute(0, 2, 3, 1)


def normals_as_picture(view: View) -> Tensor:
    """A view's normals as RGB (B, H, W, 3), (n + 1) / 2 before black: threestudio's comp_normal."""
    assert view.normals is not None, "needs normals"
    return (view.normals + view.opacity) / 2


def normals_gradients(gradient: Tensor) -> dict[str, Tensor]:
    """dL/d field of the view from that of `normals_as_picture`."""
    return {"normals": gradient / 2, "opacity": gradient.sum(dim=-1, keepdim=True) / 2}
