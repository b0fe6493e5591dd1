"""`zero3d eval`: what is scored, its views, the figures and how they are told."""
