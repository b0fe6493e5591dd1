"""What is distilled, and from what it learns: denoisers, encoders, training data."""
