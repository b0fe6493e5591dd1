"""What a benchmark does for each object and method: truth, prediction, placing, scores."""
