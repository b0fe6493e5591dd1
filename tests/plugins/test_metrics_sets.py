"""Distances of sets of pictures, their networks, and likeness by an encoder."""

import numpy
import pytest
import torch
from torch.nn.functional import normalize

from tests.plugins.metrics_tiny import GOLDEN, INCEPTION, inception_weights
from zero3d import UserError
from zero3d.evaluation import make_metric, metric_options
from zero3d.interfaces import Encoder
from zero3d.plugins import load_plugins
from zero3d_metrics.components.pictures import ClipSimilarity
from zero3d_metrics.components.sets import Fid, Kid
from zero3d_metrics.fid import frechet_distance, kernel_distance
from zero3d_metrics.inception import PARAMETERS, Inception

CPU = torch.device("cpu")


def sets():
    rng = numpy.random.default_rng(0)
    one, two = rng.standard_normal((64, 16)), 1.2 * rng.standard_normal((80, 16)) + 0.3
    return [torch.from_numpy(x) for x in (one, two, rng.standard_normal((8, 16)) + 0.5)]


def test_frechet_distance():
    one, two, few = sets()
    pairs = {"X|Y": (one, two), "X|X": (one, one), "X|Z (fewer pictures than dimensions)": (one, few)}
    pairs["Z|Z[:5] (both singular)"] = (few, few[:5])
    assert set(pairs) == set(GOLDEN["frechet"])
    for name, pair in pairs.items():
        assert frechet_distance(*pair) == pytest.approx(GOLDEN["frechet"][name]["exact_40_digits"], abs=1e-11)


def test_kernel_distance():
    one, two, few = sets()
    golden = GOLDEN["frechet"]["X|Y"]["kid_unbiased_all_samples"]
    assert kernel_distance(one, two) == pytest.approx(golden, abs=1e-8)
    # choices of 20 pictures scatter about it, and all of both sets are no choice
    assert kernel_distance(one, two, subset=20, subsets=400) == pytest.approx(golden, rel=0.05)
    assert kernel_distance(one, one, subset=1000, subsets=2) == pytest.approx(kernel_distance(one, one), abs=1e-12)
    with pytest.raises(UserError, match="two of each"):
        kernel_distance(one, few[:1])


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(inception_weights(), file)
    yield file
    file.unlink()  # 95 MB


def golden_pictures():
    y, x = numpy.mgrid[0:64, 0:64].astype(float)
    ramp = numpy.stack([x / 63, y / 63, numpy.full_like(x, 0.5)], axis=-1)
    return torch.from_numpy(numpy.stack([ramp, numpy.random.default_rng(0).random((64, 64, 3))])).float()


@pytest.mark.parametrize(("mode", "key"), [("pytorch-fid", "pytorch_fid"), ("clean-fid", "clean_fid_8bit")])
def test_features_are_pytorch_fids_own(inception, mode, key):
    metric = Fid(Fid.Config(weights=str(inception), features=mode))
    metric.load(CPU)
    found = metric.features(golden_pictures())
    assert found.shape == (2, 2048)
    for row, golden in zip(found, INCEPTION[key].values(), strict=True):
        torch.testing.assert_close(row[::64], torch.tensor(golden["every_64th"]), rtol=1e-4, atol=0.05)
        assert float(row.double().norm()) == pytest.approx(golden["norm"], rel=1e-5)
    assert list(metric.distance(found, found)) == ["fid" if mode == "pytorch-fid" else "fid_clean"]


def test_inceptions_layout_on_the_meta_device():
    with torch.device("meta"):
        network = Inception()
    shapes = {k: list(v.shape) for k, v in network.state_dict().items() if not k.endswith("tracked")}
    assert shapes == {k: v for k, v in INCEPTION["shapes"].items() if not k.startswith("fc.")}
    assert sum(value.numel() for value in network.parameters()) == PARAMETERS


def test_inception_files_that_are_refused(tmp_path):
    script, half = tmp_path / "inception-2015-12-05.pt", tmp_path / "half.pth"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), str(script))
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, half)
    told = {
        script: "TorchScript, a program that loading would run; give pytorch-fid's pt_inception",
        half: "conv.weight is",
    }
    told[tmp_path / "none.pth"] = "no such file"
    for file, words in told.items():
        with pytest.raises(UserError, match=words) as error:
            Kid(Kid.Config(weights=str(file))).load(CPU)
        assert len(str(error.value).splitlines()) == 1


class Vectors(Encoder):
    """A picture's vector is its first channel."""

    name = "vectors"

    def encode_pictures(self, image):
        return normalize(image[..., 0].flatten(1), dim=1)

    def encode_texts(self, texts):
        raise NotImplementedError


def test_clip_similarity_is_the_cosine():
    metric = ClipSimilarity(ClipSimilarity.Config())
    metric.use_encoder(Vectors(None))
    one, two, _ = sets()
    pictures = [x[:1, :, None, None].expand(1, 16, 1, 3) for x in (one, two)]
    found = metric.pictures(*pictures)
    assert float(found["clip_similarity"]) == pytest.approx(GOLDEN["cosine_of_X0_Y0"], abs=1e-6)


def test_metrics_from_words():
    registry = load_plugins()
    options = metric_options("fscore:thresholds=[0.01, 0.2],points=500", "--metrics")
    assert options == {"type": "fscore", "thresholds": [0.01, 0.2], "points": 500}
    metric = make_metric(registry, options, "eval", "--metrics fscore")
    assert metric.config.thresholds == [0.01, 0.2]
    for said, told in {
        "fscore:points": "is no option=value",
        "lpips": "trunk: missing",
        "fscor": "did you mean",
    }.items():
        with pytest.raises(UserError, match=f"(?i){told}"):
            make_metric(registry, metric_options(said, "eval: --metrics"), "eval", f"--metrics {said}")
    made = {"type": "clip_similarity", "encoder": "klip:somewhere"}
    with pytest.raises(UserError, match="no encoder called 'klip'"):
        make_metric(registry, made, "eval", "--metrics clip_similarity")
