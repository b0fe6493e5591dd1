"""Terms that hold a view against a picture or a file of it."""
