"""The representation: Gaussians, what they start from, how they grow, their density."""
