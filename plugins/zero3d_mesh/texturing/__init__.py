"""From a surface to a texture: its unwrapping, its colours, its files."""
