"""MVDream's network laid open: LoRA over four views denoised jointly, trained by vsd, beside an untouched teacher."""

import pytest
import torch

from tests.plugins.mvdream_tiny import save_folder
from zero3d.geometry import orbit
from zero3d.interfaces import AdaptableDenoiser, Teacher
from zero3d.testing import fresh_step, random_view
from zero3d.values import Prompt, Subject
from zero3d_mvdream.denoiser import ImageDream, MvDream
from zero3d_score.critic.lora import LoraCritic
from zero3d_score.vsd import VariationalScoreDistillation, VsdConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    made = MvDream(MvDream.Config(weights=str(save_folder(tmp_path_factory.mktemp("mvdream") / "model", "mvdream"))))
    made.load(CPU)
    return Teacher(made, made.condition(Subject(prompt=Prompt("a cat", "ugly"))))


def test_phi_begins_as_the_teacher_and_learns_from_groups(teacher):
    """At s = 1 nothing pulls while phi is the teacher's own network; after two updates something does."""
    guidance = VariationalScoreDistillation(VsdConfig(guidance_scale=1.0, lr=1e-2), teacher)
    guidance.load(CPU)
    assert isinstance(guidance._critic, LoraCritic)
    assert guidance.size(CPU)[0] == sum(value.numel() for value in guidance._fit.trained.values())
    before = {name: value.clone() for name, value in teacher.denoiser.network.state_dict().items()}
    view, cameras = random_view(4, 8, 4).detach(), orbit(10.0, 90.0 * torch.arange(4), 8)
    assert guidance.gradient(view, cameras, fresh_step()).value.abs().max() < 1e-5

    def loss():
        with torch.no_grad():
            return float(guidance.critic_loss(view.image, cameras, fresh_step(9)))

    first = loss()
    for index in range(2):
        guidance.gradient(view, cameras, fresh_step(0))
        guidance.after_step(fresh_step(index))
    assert loss() < first
    assert guidance.gradient(view, cameras, fresh_step()).value.abs().max() > 1e-4
    after = teacher.denoiser.network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_imagedream_whose_network_takes_a_fifth_frame_is_not_laid_open(tmp_path):
    made = ImageDream(ImageDream.Config(weights=str(save_folder(tmp_path / "model", "imagedream"))))
    assert not isinstance(made, AdaptableDenoiser)
    assert VariationalScoreDistillation(VsdConfig(), Teacher(made)).adapts is False
