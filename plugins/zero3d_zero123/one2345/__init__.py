"""How far a picture's camera looks down, from the views that a teacher draws beside it (One-2-3-45, arXiv 2306.16928)."""
