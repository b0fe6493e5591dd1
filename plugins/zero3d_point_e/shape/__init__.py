"""Of the points: their mesh, where the picture's camera stood, files."""
