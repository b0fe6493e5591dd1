"""From prompts to embeddings: directions of view, debiasing, learned tokens, tokenizers, the file of embeddings."""

import json
import math

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.plugins.sd_tiny import (
    VIEWS,
    WIDTH,
    clip_vocabulary,
    make_text,
    save_bert,
    save_clip_tokenizer,
    save_deepfloyd,
    save_stable_diffusion,
)
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.values import Prompt, Subject
from zero3d_stable_diffusion.deepfloyd_if import DeepFloydConfig, DeepFloydIF
from zero3d_stable_diffusion.stable_diffusion import StableDiffusion, StableDiffusionConfig
from zero3d_stable_diffusion.words.debias import Debias
from zero3d_stable_diffusion.words.encoders import clip_context
from zero3d_stable_diffusion.words.inversion import read_embeddings
from zero3d_stable_diffusion.words.tokenizers import check_files
from zero3d_stable_diffusion.words.views import ViewWords, shares, texts_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_stable_diffusion(tmp_path_factory.mktemp("words") / "sd15")


def seen(azimuth, elevation=0.0, **words):
    """The direction that has all of the text, or its shares."""
    row = shares(orbit(float(elevation), float(azimuth), 8), ViewWords(**words))[0]
    assert float(row.sum()) == pytest.approx(1, abs=1e-5)
    return VIEWS[int(row.argmax())] if float(row.max()) > 0.9999 else row


@pytest.mark.parametrize(
    ("azimuth", "elevation", "told"),
    [(0, 0, "front"), (44, 0, "front"), (-44, 59, "front"), (46, 0, "side"), (-90, 0, "side"), (134, 0, "side")]
    + [(136, 0, "back"), (-170, -30, "back"), (180, 0, "back"), (0, 61, "overhead"), (180, 80, "overhead")],
)
def test_directions_as_threestudios(azimuth, elevation, told):
    assert seen(azimuth, elevation) == told


def test_the_angles_are_options():
    """DreamGaussian's: front below 60 degrees, back above 120, nothing overhead."""
    words = {"front_deg": 60.0, "back_deg": 60.0, "overhead_deg": 90.0}
    found = [
        seen(azimuth, elevation, **words) for azimuth, elevation in ((59, 0), (61, 0), (119, 0), (121, 0), (0, 85))
    ]
    assert found == ["front", "side", "side", "back", "front"]


def test_blended_as_threestudios_perp_neg():
    golden = numpy.load("tests/data/methods_tiny.npz")
    with open("tests/data/methods_tiny.json", encoding="utf-8") as file:
        told = json.load(file)
    assert "perpneg_positive_mix" in told
    order = ["side", "front", "back", "overhead"]  # threestudio's
    for azimuth, elevation, mix in zip(
        golden["perpneg_azimuth_deg"], golden["perpneg_elevation_deg"], golden["perpneg_positive_mix"], strict=True
    ):
        row = shares(orbit(float(elevation), float(azimuth), 8), ViewWords(blend=True))[0]
        wanted = [mix[order.index(view)] for view in VIEWS]
        assert numpy.allclose(row.numpy(), wanted, atol=1e-5), (azimuth, elevation)


def test_the_texts():
    prompt = Prompt("a cat", "ugly")
    assert texts_of(prompt, ViewWords()) == {
        "null": "",
        "negative": "ugly",
        "plain": "a cat",
        "front": "a cat, front view",
        "side": "a cat, side view",
        "back": "a cat, back view",
        "overhead": "a cat, overhead view",
    }
    before = texts_of(prompt, ViewWords(view_words="prefix", texts={"side": "a cat's flank"}, unconditional="negative"))
    assert (before["front"], before["back"]) == ("front view of a cat", "backside view of a cat")
    assert (before["side"], before["null"]) == ("a cat's flank", "ugly")
    assert {texts_of(prompt, ViewWords(view_words="none"))[view] for view in VIEWS} == {"a cat"}


def test_the_text_encoder_is_read_once_and_let_go(folder):
    """One reading for all texts, and no module of it is alive afterwards."""
    import gc
    import weakref

    denoiser = StableDiffusion(StableDiffusionConfig(weights=str(folder)))
    denoiser.load(CPU)
    load, alive = denoiser._model.load, []

    def watched(part, dtype):
        module = load(part, dtype)
        alive.append((part, weakref.ref(module)))
        return module

    denoiser._model.load = watched
    denoiser.condition(Subject(prompt=Prompt("a cat", "ugly")))
    gc.collect()
    assert [part for part, _ in alive] == ["text_encoder"]
    assert alive[0][1]() is None


def test_a_text_that_is_too_long_is_told(folder):
    denoiser = StableDiffusion(StableDiffusionConfig(weights=str(folder)))
    denoiser.load(CPU)
    with pytest.warns(UserWarning, match="tokens, of which the model reads 77"):
        denoiser.condition(Subject(prompt=Prompt("a long tale " * 40)))


# -- the file of embeddings


def test_embeddings_are_written_once_and_read_without_the_encoder(tmp_path):
    model, file = save_deepfloyd(tmp_path / "if"), tmp_path / "cat.safetensors"
    config = DeepFloydConfig(weights=str(model), embeddings=str(file))
    first = DeepFloydIF(config)
    first.load(CPU)
    wanted = first.condition(Subject(prompt=Prompt("a cat", "ugly")))
    assert {name.removeprefix("text: ") for name in load_file(file)} == set(wanted.texts.values())
    (model / "text_encoder").rename(tmp_path / "gone")
    (model / "tokenizer").rename(tmp_path / "gone too")
    second = DeepFloydIF(config)
    second.load(CPU)
    found = second.condition(Subject(prompt=Prompt("a cat", "ugly")))
    assert torch.equal(found.directions, wanted.directions)
    assert torch.equal(found.others["negative"], wanted.others["negative"])
    with pytest.raises(RecipeError, match=r"denoiser.embeddings: .* has not 'a dog', and") as caught:
        second.condition(Subject(prompt=Prompt("a dog", "ugly")))
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_needs_only_texts_for_names(tmp_path):
    model, file = save_deepfloyd(tmp_path / "if", text=False), tmp_path / "own.safetensors"
    texts = [*(f"a cat, {view} view" for view in VIEWS), "", "a cat"]
    save_file({text: torch.full((1, 77, WIDTH), float(k)) for k, text in enumerate(texts) if text}, file)
    denoiser = DeepFloydIF(DeepFloydConfig(weights=str(model), embeddings=str(file), unconditional="empty"))
    denoiser.load(CPU)
    with pytest.raises(RecipeError, match="has not ''"):
        denoiser.condition(Subject(prompt=Prompt("a cat")))
    save_file({f"text: {text}": torch.full((77, WIDTH), float(k)) for k, text in enumerate(texts)}, file)
    denoiser = DeepFloydIF(DeepFloydConfig(weights=str(model), embeddings=str(file)))
    denoiser.load(CPU)
    condition = denoiser.condition(Subject(prompt=Prompt("a cat")))
    assert condition.directions[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert condition.others["null"].unique().tolist() == [4.0]


def test_files_of_embeddings_that_do_not_fit_are_one_line(tmp_path):
    model, file = save_deepfloyd(tmp_path / "if", text=False), tmp_path / "e.safetensors"
    for tensors, metadata, told in (
        ({"a": torch.zeros(77, 5)}, {}, "tokens of 48 numbers"),
        ({"a": torch.zeros(77, WIDTH)}, {"made_by": "another"}, "was made by another"),
    ):
        save_file(tensors, file, metadata)
        with pytest.raises(RecipeError, match=f"denoiser.embeddings: .*{told}"):
            DeepFloydIF(DeepFloydConfig(weights=str(model), embeddings=str(file)))
    file.write_bytes(b"no tensors")
    with pytest.raises(RecipeError, match=r"denoiser.embeddings: .* no valid safetensors"):
        DeepFloydIF(DeepFloydConfig(weights=str(model), embeddings=str(file)))


def test_a_missing_folder_for_embeddings_is_told_before_anything_loads(tmp_path):
    model = save_deepfloyd(tmp_path / "if")
    with pytest.raises(RecipeError, match=r"denoiser.embeddings: .*e.safetensors: no folder .*away; make it") as caught:
        DeepFloydIF(DeepFloydConfig(weights=str(model), embeddings=str(tmp_path / "away" / "e.safetensors")))
    assert "\n" not in str(caught.value)


def test_no_bar_is_drawn_while_a_text_encoder_loads(folder, capfd):
    from transformers.utils import logging

    denoiser = StableDiffusion(StableDiffusionConfig(weights=str(folder)))
    denoiser.load(CPU)
    was = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    try:
        denoiser.condition(Subject(prompt=Prompt("a cat")))
        assert logging.is_progress_bar_enabled()
    finally:
        (logging.enable_progress_bar if was else logging.disable_progress_bar)()
    assert "Loading weights" not in capfd.readouterr().err


# -- tokenizers


@pytest.mark.parametrize("lost", ["vocab.json", "merges.txt"])
def test_a_tokenizer_without_a_file_is_one_line_before_anything_loads(folder, tmp_path, lost):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "tokenizer" / lost).unlink()
    with pytest.raises(RecipeError, match=f"denoiser.tokenizer: .* has no {lost}") as caught:
        StableDiffusion(StableDiffusionConfig(weights=str(copy)))
    assert "\n" not in str(caught.value)
    other = save_clip_tokenizer(tmp_path / "other")
    StableDiffusion(StableDiffusionConfig(weights=str(copy), tokenizer=str(other)))


def test_t5s_tokenizer_needs_its_files(tmp_path):
    tmp_path.joinpath("t").mkdir()
    with pytest.raises(RecipeError, match=r"has neither tokenizer.json nor spiece.model"):
        check_files(tmp_path / "t", "t5")


# -- learned tokens


def test_a_learned_token_stands_in_the_text(tmp_path):
    """The embedding's row is where the token is; a token of two vectors is two places."""
    from transformers import CLIPTokenizer

    tokenizer_folder = save_clip_tokenizer(tmp_path / "tokenizer")
    vectors = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1))
    seen_rows = []

    def load():
        encoder = make_text()
        encoder.get_input_embeddings().register_forward_hook(lambda module, given, out: seen_rows.append(out[0]))
        resize = encoder.resize_token_embeddings

        def resized(*args, **options):
            made = resize(*args, **options)
            made.register_forward_hook(lambda module, given, out: seen_rows.append(out[0]))
            return made

        encoder.resize_token_embeddings = resized
        return encoder

    context = clip_context(["a <mug> cat"], tokenizer_folder, load, CPU, learned={"<mug>": vectors}, where="file")
    plain = clip_context(["a cat"], tokenizer_folder, make_text, CPU)
    assert torch.allclose(seen_rows[-1][2:4], vectors), "start, a, and then the two"
    cat = CLIPTokenizer.from_pretrained(tokenizer_folder)("cat").input_ids[1]
    assert torch.allclose(seen_rows[-1][4], make_text().get_input_embeddings().weight[cat])
    assert (context - plain).abs().max() > 1e-2


@pytest.mark.parametrize("form", ["bin", "safetensors", "webui", "emb_params"])
def test_every_form_of_a_learned_token_is_read(tmp_path, form):
    vector = torch.randn(WIDTH)
    file = tmp_path / f"mug.{'pt' if form == 'webui' else 'safetensors' if form != 'bin' else 'bin'}"
    if form == "bin":
        torch.save({"<mug>": vector}, file)
    elif form == "webui":
        torch.save({"string_to_param": {"*": vector[None]}, "name": "mug", "step": 100}, file)
    else:
        save_file({"<mug>" if form == "safetensors" else "emb_params": vector}, file)
    assert torch.equal(read_embeddings(file)["<mug>"], vector[None])
    assert list(read_embeddings(file, "<cup>")) == ["<cup>"]


def test_learned_tokens_that_do_not_fit_are_one_line(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"<a>": torch.zeros(5)}, tmp_path / "narrow.bin")
    torch.save({"<a>": Evil()}, tmp_path / "evil.bin")
    torch.save({"<a>": "text"}, tmp_path / "text.bin")
    for name, told in (
        ("narrow.bin", "has 5 numbers, this text encoder 48"),
        ("evil.bin", "cannot be read as tensors alone"),
        ("text.bin", "holds no {token: vector}"),
        ("lost.bin", "no file"),
    ):
        with pytest.raises(RecipeError, match=f"denoiser.inversion: .*{told}") as caught:
            StableDiffusion(StableDiffusionConfig(weights=str(folder), inversion=str(tmp_path / name)))
        assert "\n" not in str(caught.value)
    torch.save({"cat</w>": torch.zeros(WIDTH)}, tmp_path / "known.bin")
    denoiser = StableDiffusion(StableDiffusionConfig(weights=str(folder), inversion=str(tmp_path / "known.bin")))
    denoiser.load(CPU)
    assert "cat</w>" in clip_vocabulary()[0]
    with pytest.raises(RecipeError, match="is a token of this model's already"):
        denoiser.condition(Subject(prompt=Prompt("a cat")))


# -- debiasing


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("bert"), ["cat", "nose", "with", "smiling"])


def test_debiasing_is_the_ratio_of_the_masks_shares(bert):
    """Anew, from the model's own logits by hand."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModelForMaskedLM.from_pretrained(bert).eval()
    ids = [tokenizer.convert_tokens_to_ids(view) for view in VIEWS]

    def likely(prompt):
        told = tokenizer(f"This image is depicting a [MASK] view of {prompt}", return_tensors="pt")
        place = told.input_ids[0].tolist().index(tokenizer.mask_token_id)
        with torch.no_grad():
            logits = model(**told).logits[0, place].tolist()
        parts = [math.exp(logits[i]) for i in ids]
        return [part / sum(parts) for part in parts]

    words = ["smiling", "cat", "with", "nose"]
    full, kept = likely(" ".join(words)), {}
    for v, view in enumerate(VIEWS):
        kept[view] = []
        for k, word in enumerate(words):
            without = likely(" ".join(words[:k] + words[k + 1 :]))
            if full[v] / (0.5 * full[v] + 0.5 * without[v]) >= 0.95:
                kept[view].append(word)
    found = Debias(str(bert), True, ())("smiling cat with nose")
    assert found == {view: " ".join(some) for view, some in kept.items()}
    assert len(set(found.values())) > 1, "a test that debiases nothing shows nothing"
    assert any(found[view] != "smiling cat with nose" for view in VIEWS)


def test_only_the_words_named_may_go(bert):
    every, some = (Debias(str(bert), True, ())("smiling cat with nose", only) for only in ((), (3,)))
    for view in VIEWS:
        assert some[view].startswith("smiling cat with")
        assert ("nose" in some[view]) == ("nose" in every[view])
    with pytest.raises(RecipeError, match=r"denoiser.debias_words: 4; the prompt has words 0 to 3"):
        Debias(str(bert), True, ())("smiling cat with nose", (4,))


def test_debiased_texts_reach_the_teacher(folder, bert):
    denoiser = StableDiffusion(StableDiffusionConfig(weights=str(folder), debias=str(bert), offline=True))
    said = Debias(str(bert), True, ())("smiling cat with nose")
    texts = denoiser.texts(Prompt("smiling cat with nose", "ugly"))
    wanted = {view: f"{said[view]}, {view} view" for view in VIEWS}
    assert texts == {"null": "", "negative": "ugly", "plain": "smiling cat with nose", **wanted}


def test_a_language_model_that_does_not_fit_is_one_line(folder, tmp_path):
    for name, told in (("nothing here", "no folder and no hub id"), (str(tmp_path), "has no config.json")):
        with pytest.raises(RecipeError, match=f"denoiser.debias: .*{told}"):
            StableDiffusion(StableDiffusionConfig(weights=str(folder), debias=name, offline=True))
    model = save_bert(tmp_path / "bert")
    (model / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"denoiser.debias: .* no model.safetensors"):
        StableDiffusion(StableDiffusionConfig(weights=str(folder), debias=str(model), offline=True))
