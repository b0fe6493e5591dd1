"""Rendered objects in the published form, from folders or from tar shards."""
