"""The metrics as components: what a benchmark's protocols name."""
