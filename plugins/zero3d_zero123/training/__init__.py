"""Fine-tuning the published architecture: where it starts, what it is fitted to."""
