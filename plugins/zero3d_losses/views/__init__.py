"""Terms on rendered pictures."""
