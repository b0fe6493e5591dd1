"""Options of the two denoisers."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass
class MvDreamConfig:
    """Options of `mvdream`.

    weights: the published checkpoint (a .pt, or its tensors as .safetensors), a folder of ashawkey's conversion (unet, vae,
    text_encoder, tokenizer), or its hub id. tokenizer: a folder with CLIP's vocab.json and merges.txt, or the hub id of a
    model with a folder tokenizer/; needed for a single file, which has none (Stable Diffusion 2.1-base's is the right one).
    dtype: what the U-Net computes in: float32, float16 or bfloat16; auto is float16 on CUDA, else float32.
    prompt_suffix, negative_suffix: put behind the prompt and the negative prompt, as they stand; without a negative prompt
    the second is one by itself, less a comma that it begins with.
    negative_as_null: the prediction without the condition reads the negative prompt (threestudio's guidance does so);
    false, it reads "". variant: of a folder's files, for example fp16; empty takes those without a name. config: a
    JSON file {part: {entry: value}} for a single file that is not of the published size. revision: of a hub id, a commit or
    branch. offline: take what was fetched before, never the network.
    """

    weights: str = "ashawkey/mvdream-sd2.1-diffusers"
    tokenizer: str = ""
    dtype: str = "auto"
    prompt_suffix: str = ""
    negative_suffix: str = ""
    negative_as_null: bool = False
    variant: str = ""
    config: str = ""
    revision: str = ""
    offline: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: {self.dtype!r}; one of {', '.join(DTYPES)}")
        if not self.weights:
            raise ValueError("weights: empty; give a checkpoint, a folder or a hub id")


@dataclass
class ImageDreamConfig(MvDreamConfig):
    """Options of `imagedream`, beside those of `mvdream`.

    picture_background: the grey behind the object in the picture that it is conditioned on, 0 to 1. In its authors' 3D runs
    it follows the mean of the background that the views are drawn on; in `recipes/imagedream.yaml` both are white.
    """

    weights: str = "ashawkey/imagedream-ipmv-diffusers"
    picture_background: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.picture_background <= 1:
            raise ValueError(f"picture_background: {self.picture_background}; 0 (black) to 1 (white)")
