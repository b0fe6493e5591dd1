"""The published CLIP models."""

from __future__ import annotations

from zero3d.weights import hub

OPENAI = "MIT by OpenAI's repository"
KNOWN = (
    hub("openai/clip-vit-base-patch32", OPENAI, 0.6, "ViT-B/32: DietNeRF; R-precision"),
    hub("openai/clip-vit-base-patch16", OPENAI, 0.6, "ViT-B/16: Dream Fields, stable-dreamfusion"),
    hub("openai/clip-vit-large-patch14", OPENAI, 1.7, "ViT-L/14"),
    hub("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "MIT", 3.9, "OpenCLIP ViT-H/14"),
)
"""Sizes are of one file of weights, about; sizes and licences as remembered, not looked up."""


def where_to_get() -> str:
    """For the end of an error."""
    return f"known ones are {', '.join(entry.name for entry in KNOWN)} on https://huggingface.co"
