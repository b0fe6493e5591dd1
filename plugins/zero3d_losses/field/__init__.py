"""Terms on the field itself, seen or not."""
