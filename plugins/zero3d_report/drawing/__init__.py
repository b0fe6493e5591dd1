"""`zero3d draw`: pictures of a run's field, or of an exported file, from any cameras."""
