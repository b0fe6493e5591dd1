"""The CLIP encoder against the originals' numbers, and its files."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from tests.plugins.clip_tiny import (
    GOLDEN,
    SPEC,
    config,
    make_encoder,
    openclip_state,
    picture,
    save_folder,
    save_tokenizer,
)
from zero3d.cli import main
from zero3d.errors import RecipeError
from zero3d_clip.encoder import ClipEncoder, ClipEncoderConfig
from zero3d_clip.names import sizes

PICTURES = ((0, 168, 168), (1, 400, 400), (2, 128, 128))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder):
    return make_encoder(folder)


@pytest.fixture(scope="module")
def openclip(tmp_path_factory):
    """A file with OpenCLIP's names and a configuration of its size."""
    place = tmp_path_factory.mktemp("openclip")
    save_file({name: tensor.contiguous() for name, tensor in openclip_state().items()}, place / "model.safetensors")
    config("gelu").to_json_file(place / "tiny.json")
    return place


class TestNumbers:
    def test_pictures_of_any_size_are_the_originals_vectors(self, encoder):
        found = torch.cat([encoder.encode_pictures(picture(*size)) for size in PICTURES])
        assert float((found - GOLDEN["image_embeds_unit"]).abs().max()) < 1e-5

    @pytest.mark.parametrize("ids", ["ids_padded_with_eos", "ids_padded_with_0"])
    def test_texts_are_the_originals_vectors_whatever_the_padding(self, encoder, ids):
        found = encoder.encode_tokens(GOLDEN[ids])
        assert float((found - GOLDEN["text_embeds_unit"]).abs().max()) < 1e-5
        images = torch.cat([encoder.encode_pictures(picture(*size)) for size in PICTURES])
        assert float((images @ found.T - GOLDEN["dreamfields_image_text_cosine"]).abs().max()) < 1e-5

    def test_its_text_tower_gives_stable_diffusions_contexts(self, encoder, tmp_path):
        out = encoder._model.text_model(input_ids=GOLDEN["ids_padded_with_eos"]).last_hidden_state
        assert float((out[:, ::4] - GOLDEN["quick_gelu_text_last_hidden"]).abs().max()) < 2e-5
        second = save_folder(tmp_path, activation="gelu", text_config={"num_hidden_layers": 2})
        out = make_encoder(second)._model.text_model(input_ids=GOLDEN["ids_padded_with_0"]).last_hidden_state
        assert float((out[:, ::4] - GOLDEN["gelu_two_layers_last_hidden"]).abs().max()) < 2e-5

    def test_the_last_hidden_layer_is_dietnerfs_class_token(self, folder):
        made = make_encoder(folder, layer="last_hidden")
        found = torch.cat([made.encode_pictures(picture(*size)) for size in PICTURES])
        assert made.dimensions == 64
        assert float((found - normalize(GOLDEN["dietnerf_class_token"], dim=-1)).abs().max()) < 1e-5
        cosine = float(found[0] @ found[1])
        assert cosine == pytest.approx(float(GOLDEN["dietnerf_cosine_render_train"]), abs=1e-5)
        assert abs(cosine - float(GOLDEN["dietnerf_cosine_if_projected"])) > 1e-3, "the projected space is another"

    def test_antialiasing_is_an_option_and_another_picture(self, folder, encoder):
        smooth, large = make_encoder(folder, antialias=True), picture(1, 400, 400)
        assert float((smooth.encode_pictures(large) - encoder.encode_pictures(large)).abs().max()) > 1e-4
        small = picture(2, 128, 128)
        assert torch.allclose(smooth.encode_pictures(small), encoder.encode_pictures(small), atol=1e-5)

    def test_words_go_through_the_tokenizer(self, encoder):
        letters = {letter: index for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789,.'-")}
        ids = [498, letters["a"] + len(letters), letters["c"], letters["a"], letters["t"] + len(letters)]
        tokens = torch.full((1, 77), 499)
        tokens[0, : len(ids)] = torch.tensor(ids)
        assert torch.equal(encoder.encode_texts(["A  cat"]), encoder.encode_tokens(tokens))
        assert encoder.encode_texts(["a" * 500]).isfinite().all(), "longer than 77 tokens"

    def test_half_precision_is_near(self, folder, encoder):
        made = make_encoder(folder, dtype="bfloat16")
        found = made.encode_pictures(picture(0, 168, 168))
        assert found.dtype == torch.float32
        assert float((found - encoder.encode_pictures(picture(0, 168, 168))).abs().max()) < 0.05
        (parameters, whole), (same, half) = (e.size(torch.device("cpu")) for e in (encoder, made))
        assert (parameters, whole) == (same, 2 * half)
        assert parameters == sum(torch.Size(shape).numel() for shape in SPEC["shapes"].values())


class TestOriginalNames:
    def test_an_openclip_file_gives_its_own_vectors(self, openclip):
        made = make_encoder(openclip / "model.safetensors", config=str(openclip / "tiny.json"))
        found = made.encode_pictures(picture(4, 224, 224))
        assert made.reads == {"picture"}
        assert float((found - normalize(GOLDEN["openclip_image_embeds"], dim=-1)).abs().max()) < 1e-5

    def test_its_text_tower_too(self, openclip, tmp_path):
        tokenizer = str(save_tokenizer(tmp_path / "tokenizer"))
        made = make_encoder(openclip / "model.safetensors", config=str(openclip / "tiny.json"), tokenizer=tokenizer)
        assert made.reads == {"picture", "prompt"}
        out = made._model.text_model(input_ids=GOLDEN["ids_padded_with_0"], output_hidden_states=True)
        found = made._model.text_model.final_layer_norm(out.hidden_states[-2])[:, ::4]
        assert float((found - GOLDEN["openclip_text_penultimate"]).abs().max()) < 2e-5

    @pytest.mark.parametrize(
        ("visual", "text", "projection", "layers", "expected"),
        [
            ((768, 3, 32, 50), 512, 512, (12, 12), ("quick_gelu", 12, 8, 32, 224)),
            ((768, 3, 16, 197), 512, 512, (12, 12), ("quick_gelu", 12, 8, 16, 224)),
            ((1024, 3, 14, 257), 768, 768, (24, 12), ("quick_gelu", 16, 12, 14, 224)),
            ((1280, 3, 14, 257), 1024, 1024, (32, 24), ("gelu", 16, 16, 14, 224)),
        ],
    )
    def test_shapes_tell_the_published_sizes(self, visual, text, projection, layers, expected):
        width, channels, patch, tokens = visual

        def empty(*shape):
            return torch.empty(shape, device="meta")

        state = {
            "visual.conv1.weight": empty(width, channels, patch, patch),
            "visual.positional_embedding": empty(tokens, width),
            "visual.proj": empty(width, projection),
            "token_embedding.weight": empty(49408, text),
            "positional_embedding": empty(77, text),
        }
        for tower, side, count in (("visual.transformer", width, layers[0]), ("transformer", text, layers[1])):
            names = (f"{tower}.resblocks.{k}.mlp.c_fc.weight" for k in range(count))
            state |= {name: empty(4 * side, side) for name in names}
        if expected[0] == "quick_gelu":
            with pytest.raises(ValueError, match="cannot be told"):
                sizes(state)
            state["input_resolution"] = empty()
        found = sizes(state)
        vision, words = found["vision_config"], found["text_config"]
        assert (vision["num_hidden_layers"], words["num_hidden_layers"]) == layers
        assert (vision["hidden_size"], words["hidden_size"], found["projection_dim"]) == (width, text, projection)
        heads = vision["num_attention_heads"], words["num_attention_heads"]
        assert (vision["hidden_act"], *heads, vision["patch_size"], vision["image_size"]) == expected
        assert (words["eos_token_id"], words["max_position_embeddings"]) == (49407, 77)


class TestFiles:
    def test_what_it_reads_follows_from_what_is_there(self, folder, tmp_path):
        from transformers import CLIPVisionModelWithProjection

        mute = save_folder(tmp_path / "mute", tokenizer=False)
        for options in ({}, {"layer": "last_hidden"}, {"texts": False}):
            made = ClipEncoder(ClipEncoderConfig(weights=str(folder), **options))
            assert made.reads == {"picture"} | (set() if options else {"prompt"})
        assert ClipEncoder(ClipEncoderConfig(weights=str(mute))).reads == {"picture"}
        taught = ClipEncoder(ClipEncoderConfig(weights=str(mute), tokenizer=str(folder)))
        assert taught.reads == {"picture", "prompt"}
        assert taught.weight_files() == [mute / "model.safetensors"]
        vision = config().vision_config
        CLIPVisionModelWithProjection(vision).save_pretrained(tmp_path / "vision")
        alone = make_encoder(tmp_path / "vision")
        assert (alone.reads, alone.dimensions) == ({"picture"}, 48)
        assert alone.encode_pictures(picture(0, 168, 168)).shape == (1, 48)

    def test_shards_and_pickled_tensors_are_read(self, encoder, tmp_path):
        from transformers import CLIPModel

        model = CLIPModel(config())
        model.load_state_dict(encoder._model.state_dict())
        model.save_pretrained(tmp_path / "shards", max_shard_size="400KB")
        assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
        (tmp_path / "old").mkdir()
        model.config.to_json_file(tmp_path / "old" / "config.json")
        torch.save(model.state_dict(), tmp_path / "old" / "pytorch_model.bin")
        expected = encoder.encode_pictures(picture(2, 128, 128))
        for name in ("shards", "old"):
            found = make_encoder(tmp_path / name).encode_pictures(picture(2, 128, 128))
            assert torch.allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda folder: (folder / "config.json").unlink(), "config.json: missing"),
            (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
            (lambda folder: (folder / "config.json").write_text("{", encoding="utf-8"), "no valid JSON"),
            (
                lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8"),
                "model_type 'bert' is no CLIP",
            ),
        ],
    )
    def test_what_is_no_clip_is_one_line_before_loading(self, tmp_path, spoil, told):
        place = save_folder(tmp_path / "clip")
        spoil(place)
        with pytest.raises(RecipeError, match=told) as caught:
            ClipEncoder(ClipEncoderConfig(weights=str(place)))
        assert str(caught.value).startswith("encoder.weights: ")

    def test_what_does_not_fit_is_one_line_when_loading(self, openclip, tmp_path):
        wide = save_folder(tmp_path / "clip")
        told = json.loads((wide / "config.json").read_text(encoding="utf-8"))
        told["vision_config"]["intermediate_size"] = 128
        (wide / "config.json").write_text(json.dumps(told), encoding="utf-8")
        with pytest.raises(RecipeError, match=r"mlp\.fc1.* the configuration wants"):
            make_encoder(wide)
        (tmp_path / "cut.safetensors").write_bytes((openclip / "model.safetensors").read_bytes()[:9000])
        for name, options in (("cut.safetensors", {}), ("none.pt", {})):
            with pytest.raises(RecipeError, match=r"^encoder\.weights: "):
                make_encoder(tmp_path / name, **options)
        with pytest.raises(RecipeError, match=r"cannot be told from its tensors; give encoder\.config"):
            make_encoder(openclip / "model.safetensors")
        with pytest.raises(RecipeError, match=r"^encoder\.tokenizer: .*no tokenizer\.json"):
            make_encoder(openclip / "model.safetensors", tokenizer=str(tmp_path))
        with pytest.raises(RecipeError, match=r"neither a folder .* nor a hub id; known ones are openai/"):
            make_encoder("not/a/model")

    def test_the_hub_is_asked_for_small_files_first(self, tmp_path, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(RecipeError, match=r"not in the cache.*https://huggingface.co/openai/clip-vit-base-patch16"):
            ClipEncoder(ClipEncoderConfig(weights="openai/clip-vit-base-patch16", offline=True))
        held = tmp_path / "models--openai--clip-vit-base-patch16"
        commit = "0" * 40
        save_folder(held / "snapshots" / commit)
        (held / "refs").mkdir()
        (held / "refs" / "main").write_text(commit, encoding="utf-8")
        made = make_encoder("openai/clip-vit-base-patch16", offline=True)
        assert made.reads == {"picture", "prompt"}
        assert made.weight_files() == [held / "snapshots" / commit / "model.safetensors"]

    def test_the_list_of_weights_has_them(self, capsys):
        assert main(["weights", "list"]) == 0
        shown = capsys.readouterr().out
        for name in ("openai/clip-vit-base-patch32", "laion/CLIP-ViT-H-14"):
            assert name in shown
