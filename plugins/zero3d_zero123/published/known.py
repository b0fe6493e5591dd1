"""The published weights: where each is, how large, and under which licence."""

from __future__ import annotations

from zero3d.weights import Published, find

MIT = "MIT"
STABILITY = "Stability AI's non-commercial research licence"
COMMUNITY = "Stability AI's community licence"


KNOWN = (
    Published(
        "105000.ckpt",
        "https://huggingface.co/cvlab/zero123-weights",
        MIT,
        15.5,
        "f0fee4e7c1d81c70af5a5f7bb6185fd03d75f0764f8fb9a2efaf729c69679855",
        "the paper's weights",
    ),
    Published("165000.ckpt", "https://huggingface.co/cvlab/zero123-weights", MIT, None, note="trained longer"),
    Published(
        "zero123-xl.ckpt",
        "https://zero123.cs.columbia.edu/assets/zero123-xl.ckpt",
        MIT,
        15.5,
        note="trained on Objaverse-XL",
    ),
    Published("stable_zero123.ckpt", "https://huggingface.co/stabilityai/stable-zero123", STABILITY, 8.6),
    Published("stable_zero123_c.ckpt", "https://huggingface.co/stabilityai/stable-zero123", COMMUNITY, 8.6),
    Published("kxic/zero123-105000", "https://huggingface.co/kxic/zero123-105000", MIT, 5.0, note="probably not EMA"),
    Published("kxic/zero123-165000", "https://huggingface.co/kxic/zero123-165000", MIT, 5.0, note="probably not EMA"),
    Published("kxic/zero123-xl", "https://huggingface.co/kxic/zero123-xl", MIT, 5.0, note="probably not EMA"),
    Published("kxic/stable-zero123", "https://huggingface.co/kxic/stable-zero123", STABILITY, 5.0),
    Published(
        "bennyguo/zero123-diffusers",
        "https://huggingface.co/bennyguo/zero123-diffusers",
        MIT,
        5.0,
        note="its fp16_ema variant is EMA, the others are not",
    ),
    Published(
        "bennyguo/zero123-xl-diffusers",
        "https://huggingface.co/bennyguo/zero123-xl-diffusers",
        MIT,
        5.0,
        note="its fp16_ema variant is EMA, the others are not",
    ),
    Published("ashawkey/zero123-xl-diffusers", "https://huggingface.co/ashawkey/zero123-xl-diffusers", MIT, 2.5),
    Published(
        "ashawkey/stable-zero123-diffusers", "https://huggingface.co/ashawkey/stable-zero123-diffusers", STABILITY, 2.5
    ),
)
"""As their pages said in 2023 and 2024; sizes of diffusers folders are those of the parts that are loaded."""


def where_to_get(name: str) -> str:
    """One clause: where this file, or the paper's weights, can be had."""
    entry = find(name, KNOWN) or KNOWN[0]
    return f"get {entry.name} from {entry.line}; `zero3d weights list` shows all"


def is_stable(name: str) -> bool:
    """Whether a file or repository is, by its name, of the Stable Zero123 family (another pose vector)."""
    return "stable" in name.rstrip("/").rsplit("/", 1)[-1].lower()
