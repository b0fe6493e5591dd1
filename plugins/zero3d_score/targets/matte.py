"""The object of a drawn picture, before a plain background."""

from __future__ import annotations

import torch
from torch import Tensor

NEAR, FAR = 0.04, 0.12
"""Largest channel's distance from the background's colour: below it is background, above it object; mixed between."""
BORDER_SHARE = 0.9
"""How much of the border must be near its median colour for the background to count as plain."""
OBJECT_SHARE = (0.002, 0.98)
"""Of the picture; less or more is no object found."""


def cut_out(picture: Tensor) -> tuple[Tensor, Tensor, bool]:
    """(H, W, 3) in [0, 1] -> its object premultiplied (H, W, 3), alpha (H, W, 1), and whether the background is plain.

    Background is what is near the border's median colour and connected to the border. The picture is the object's over
    that colour: x = front + (1 - alpha) colour. Where it is not plain, alpha is 1 and front the picture.
    """
    from scipy import ndimage

    border = torch.cat([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    colour = border.median(dim=0).values
    distance = (picture - colour).abs().amax(dim=-1)
    around = torch.cat([distance[0], distance[-1], distance[:, 0], distance[:, -1]])
    nothing = picture, torch.ones_like(picture[..., :1]), False
    if float((around < FAR).float().mean()) < BORDER_SHARE:
        return nothing
    regions = torch.from_numpy(ndimage.label((distance < FAR).cpu().numpy())[0]).to(picture.device)
    ends = torch.cat([regions[0], regions[-1], regions[:, 0], regions[:, -1]]).unique()
    outside = torch.isin(regions, ends[ends > 0])
    alpha = torch.where(outside, ((distance - NEAR) / (FAR - NEAR)).clamp(0, 1), 1.0)[..., None]
    if not OBJECT_SHARE[0] < float(alpha.mean()) < OBJECT_SHARE[1]:
        return nothing
    return (picture - (1 - alpha) * colour).clamp(0, 1), alpha, True
