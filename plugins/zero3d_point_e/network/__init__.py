"""The transformers over sets of points."""
