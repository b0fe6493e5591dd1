"""The published weights of both models."""

from __future__ import annotations

from zero3d.weights import Published, hub

UNSEEN = "see its page (non-commercial, as remembered)"

ZERO123PLUS = (
    hub("sudo-ai/zero123plus-v1.2", UNSEEN, note="elevations 20 and -10, field of view 30 degrees"),
    hub("sudo-ai/zero123plus-v1.1", UNSEEN, note="elevations 30 and -20"),
)
SV3D = (
    Published(
        "sv3d_p.safetensors",
        "https://huggingface.co/stabilityai/sv3d",
        "non-commercial; its licence must be accepted there",
        note="the one that is told its cameras; sv3d_u.safetensors beside it is not and cannot be used",
    ),
)
"""Nobody here has seen the pages: no sizes, no hashes."""
