"""The recipes that come with zero3d: `zero3d.recipes` in an installed one, `recipes/` in a checkout."""
