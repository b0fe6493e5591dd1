"""Published weights: what there is, and reading them."""
