"""How a cloud of Gaussians is drawn: projection, compositing (dense, numba, gsplat)."""
