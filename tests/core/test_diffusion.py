import numpy
import torch

from zero3d import diffusion


def test_the_schedule_equals_the_original_code():
    golden = numpy.load("tests/data/zero123_tiny.npz")["alphas_cumprod"]
    assert numpy.abs(diffusion.scaled_linear_alphas_cumprod().numpy() / golden - 1).max() < 1e-6


def test_the_noise_levels_of_score_jacobian_chaining():
    sigmas = diffusion.stable_diffusion_sigmas()
    # SJC's list runs downwards; its us[30:-10] spans t = 10..969
    for t, sigma in ((999, 14.6146), (969, 12.2288), (10, 0.098291), (0, 0.02917)):
        assert abs(float(sigmas[t]) / sigma - 1) < 1e-3


def test_eps_and_x0_are_inverse_and_guidance_commutes():
    noised, eps_a, eps_b = (torch.randn(2, 3, 3, 4) for _ in range(3))
    sigma = torch.tensor([0.5, 7.0])
    assert torch.allclose(
        diffusion.eps_from_x0(noised, diffusion.x0_from_eps(noised, eps_a, sigma), sigma), eps_a, atol=1e-5
    )
    of_eps = diffusion.x0_from_eps(noised, diffusion.guided(eps_a, eps_b, 3.0), sigma)
    x0_a, x0_b = (diffusion.x0_from_eps(noised, eps, sigma) for eps in (eps_a, eps_b))
    assert torch.allclose(of_eps, diffusion.guided(x0_a, x0_b, 3.0), atol=1e-4)


def test_variance_preserving_form_has_unit_variance():
    sigma = torch.tensor([3.0])
    z = torch.randn(1, 100_000) + 3.0 * torch.randn(1, 100_000)
    assert abs(float(diffusion.to_variance_preserving(z, sigma).var()) - 1) < 0.02


def test_sigma_to_t_inverts_the_table():
    sigmas = diffusion.stable_diffusion_sigmas()
    t = torch.tensor([0, 10, 500, 999])
    assert torch.equal(diffusion.sigma_to_t(sigmas[t], sigmas), t)


def test_v_and_eps_of_one_noising_give_its_x0():
    x0, n, sigma = torch.randn(3, 4, 4, 2), torch.randn(3, 4, 4, 2), torch.tensor([0.03, 1.0, 14.0])
    a = 1 / (1 + sigma**2).sqrt()[:, None, None, None]
    b = (1 - a**2).sqrt()
    noised = x0 + sigma[:, None, None, None] * n
    assert torch.allclose(diffusion.x0_from_v(noised, a * n - b * x0, sigma), x0, atol=1e-5)


def test_the_cosine_schedule_is_diffusers():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    assert torch.allclose(diffusion.cosine_alphas_cumprod(), theirs, rtol=2e-4, atol=0)
    theirs = DDPMScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012).alphas_cumprod.double()
    assert torch.allclose(diffusion.linear_alphas_cumprod(1000, 0.00085, 0.012), theirs, rtol=2e-4, atol=0)


def test_ddim_towards_what_is_known_goes_straight_and_asks_for_no_noise():
    """With the same x0 at each level and eta 0 the noise is carried down unchanged, whatever the levels between."""
    x0, noise = torch.randn(2, 3, 3, 4, dtype=torch.float64), torch.randn(2, 3, 3, 4, dtype=torch.float64)
    for between in ([], [3.0], [6.5, 2.0, 1.0]):
        levels = torch.tensor([7.0, *between, 0.5], dtype=torch.float64)
        found = diffusion.ddim(lambda noised, sigma: x0, x0 + 7 * noise, levels, 0.0, lambda: 1 / 0)
        assert torch.allclose(found, x0 + 0.5 * noise, atol=1e-12)


def test_ddim_with_fresh_noise_keeps_the_level():
    """At eta 1 what is left is x0 with as much noise as the last level says, and at 0 x0 itself."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.zeros(1, 100, 100, 4)
    asked = []

    def fresh():
        asked.append(1)
        return torch.randn(x0.shape, generator=generator)

    start = 7 * torch.randn(x0.shape, generator=generator)
    found = diffusion.ddim(lambda noised, sigma: x0, start, torch.tensor([7.0, 3.0, 0.5]), 1.0, fresh)
    assert len(asked) == 2
    assert abs(float(found.std()) / 0.5 - 1) < 0.02
    assert torch.equal(diffusion.ddim(lambda noised, sigma: x0, start, torch.tensor([7.0, 0.0]), 1.0, fresh), x0)
