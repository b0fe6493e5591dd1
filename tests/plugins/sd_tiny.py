"""Stable Diffusion, DeepFloyd IF and Image Variations at a small width, in the published layouts; golden numbers."""

import json
from pathlib import Path

import numpy
import torch

from tests.plugins.zero123_tiny import SPEC as ZERO123
from tests.plugins.zero123_tiny import synthetic

SPEC = json.loads(Path("tests/data/sd_text_tiny.json").read_text(encoding="utf-8"))
GOLDEN = {name: torch.from_numpy(value) for name, value in numpy.load("tests/data/sd_text_tiny.npz").items()}
WIDTH = 48
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BYTES = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]


def clip_vocabulary():
    """CLIP's: every byte as a character, alone and at a word's end; two merges; start and end."""
    rest = [b for b in range(256) if b not in BYTES]
    characters = [chr(b) for b in BYTES] + [chr(256 + n) for n in range(len(rest))]
    tokens = [*characters, *(c + "</w>" for c in characters), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, ["c a", "ca t</w>"]


def save_clip_tokenizer(folder, pad="<|endoftext|>"):
    """As on the hub: vocab.json, merges.txt, tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = clip_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "CLIPTokenizer", "pad_token": pad, "model_max_length": 77}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def text_config(second=False):
    vocabulary, _ = clip_vocabulary()
    ends = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    return {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": WIDTH,
        "max_position_embeddings": 77,
        **ends,
        "hidden_act": "gelu" if second else "quick_gelu",
    }


def filled(module, prefix=""):
    """Golden weights: each made from its own name."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.copy_(synthetic(prefix + name, tuple(value.shape)))
    return module.eval()


def make_vae(blocks=(32, 32, 64, 64), layers=1):
    from diffusers import AutoencoderKL

    return filled(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=blocks,
            layers_per_block=layers,
            latent_channels=4,
            scaling_factor=0.18215,
        )
    )


def make_unet(kind):
    from diffusers import UNet2DConditionModel

    return filled(UNet2DConditionModel(**SPEC["unet_config"][kind]))


def make_text(second=False):
    from transformers import CLIPTextConfig, CLIPTextModel

    return filled(CLIPTextModel(CLIPTextConfig(**text_config(second))))


def save_scheduler(folder, **options):
    from diffusers import DDIMScheduler

    known = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
    DDIMScheduler(**{**known, "steps_offset": 1, "set_alpha_to_one": False, **options}).save_pretrained(
        folder / "scheduler"
    )


def save_index(folder, name):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}), encoding="utf-8")


def save_stable_diffusion(folder, second=False, prediction="epsilon"):
    """Stable Diffusion 1.5, or 2.1 with eps or v: the same weights read twice."""
    make_unet("sd21" if second else "sd15").save_pretrained(folder / "unet")
    make_vae().save_pretrained(folder / "vae")
    make_text(second).save_pretrained(folder / "text_encoder")
    save_clip_tokenizer(folder / "tokenizer", "!" if second else "<|endoftext|>")
    save_scheduler(folder, prediction_type=prediction)
    save_index(folder, "StableDiffusionPipeline")
    return folder


def vision_config():
    return {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "projection_dim": WIDTH,
    }


def save_variations(folder):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    make_unet("sd15").save_pretrained(folder / "unet")
    make_vae().save_pretrained(folder / "vae")
    filled(CLIPVisionModelWithProjection(CLIPVisionConfig(**vision_config()))).save_pretrained(folder / "image_encoder")
    save_scheduler(folder)
    save_index(folder, "StableDiffusionImageVariationPipeline")
    return folder


def save_t5_tokenizer(folder):
    """A Unigram vocabulary of letters, as T5's in tokenizer.json: padding 0, end 1."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((c, -2.0) for c in "▁,." + LETTERS)]
    made = Tokenizer(models.Unigram(pieces, 2))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def make_t5():
    from transformers import T5Config, T5EncoderModel

    encoder = T5EncoderModel(T5Config(**SPEC["t5_config"])).eval()
    state = {name: synthetic(name, tuple(shape)) for name, shape in SPEC["shapes_t5"].items()}
    encoder.load_state_dict(state, strict=False)  # encoder.embed_tokens is shared.weight
    return encoder


def save_deepfloyd(folder, text=True):
    from diffusers import DDPMScheduler

    make_unet("if").save_pretrained(folder / "unet")
    if text:
        make_t5().save_pretrained(folder / "text_encoder")
        save_t5_tokenizer(folder / "tokenizer")
    options = {"beta_schedule": "squaredcos_cap_v2", "variance_type": "learned_range", "thresholding": True}
    DDPMScheduler(**options).save_pretrained(folder / "scheduler")
    save_index(folder, "IFPipeline")
    return folder


VIEWS = ("front", "side", "back", "overhead")


def save_bert(folder, words=()):
    """A masked language model of a few words; `words`: more of its vocabulary."""
    from transformers import BertConfig, BertForMaskedLM

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *["this", "image", "is", "depicting", "a", "view", "of"], *VIEWS, *words]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}), encoding="utf-8"
    )
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(set(vocabulary)),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=1.0,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


UNET, VAE = "model.diffusion_model.", "first_stage_model."


def original_state(second=False):
    """The original layout: names of Zero-1-to-3's checkpoint, four inputs, and a text tower of the first or second kind."""
    shapes = {}
    for name, shape in ZERO123["shapes"].items():
        if name.startswith((UNET, VAE, "model_ema.diffusion_model")):
            shapes[name] = list(shape)
            if name.endswith(("input_blocks.0.0.weight", "input_blocks00weight")):
                shapes[name][1] = 4
            linear = name.replace("_", "")
            if second and len(shape) == 4 and ("projin" in linear or "projout" in linear) and not name.startswith(VAE):
                shapes[name] = list(shape)[:2]
    state = {name: synthetic(name, tuple(shape)) for name, shape in shapes.items()}
    return state | (open_clip_text() if second else clip_text())


def clip_text():
    names = {name: tuple(value.shape) for name, value in make_text().state_dict().items()}
    out = {}
    for name, shape in names.items():
        original = f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"
        out[original] = synthetic(original, shape)
    out["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return out


def open_clip_text(layers=3):
    """OpenCLIP's names; the last of its layers is one too many."""
    count = len(clip_vocabulary()[0])
    shapes = {"token_embedding.weight": (count, WIDTH), "positional_embedding": (77, WIDTH), "logit_scale": ()}
    shapes |= {"ln_final.weight": (WIDTH,), "ln_final.bias": (WIDTH,), "text_projection": (WIDTH, WIDTH)}
    for k in range(layers):
        block = f"transformer.resblocks.{k}."
        for name, shape in {
            "attn.in_proj_weight": (3 * WIDTH, WIDTH),
            "attn.in_proj_bias": (3 * WIDTH,),
            "attn.out_proj.weight": (WIDTH, WIDTH),
            "attn.out_proj.bias": (WIDTH,),
            "mlp.c_fc.weight": (96, WIDTH),
            "mlp.c_fc.bias": (96,),
            "mlp.c_proj.weight": (WIDTH, 96),
            "mlp.c_proj.bias": (WIDTH,),
            **{f"ln_{n}.{kind}": (WIDTH,) for n in (1, 2) for kind in ("weight", "bias")},
        }.items():
            shapes[block + name] = shape
    return {
        f"cond_stage_model.model.{name}": synthetic(f"cond_stage_model.model.{name}", shape)
        for name, shape in shapes.items()
    }


def single_file_config(folder, second=False):
    """The file that tells the loader of the tiny size."""
    channels = ZERO123["config"]["model_channels"]
    changes = {
        "unet": {
            "sample_size": 16,
            "block_out_channels": [channels * m for m in ZERO123["config"]["mult"]],
            "cross_attention_dim": WIDTH,
            **({"attention_head_dim": [2, 4, 4, 4]} if second else {}),
        },
        "vae": {"block_out_channels": [ZERO123["config"]["vae_ch"] * m for m in ZERO123["config"]["vae_mult"]]},
        "text_encoder": text_config(second),
    }
    file = folder / f"tiny{1 + second}.json"
    file.write_text(json.dumps(changes), encoding="utf-8")
    return str(file)
