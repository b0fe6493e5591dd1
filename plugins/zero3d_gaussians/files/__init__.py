"""Gaussians in files that other programs open."""
