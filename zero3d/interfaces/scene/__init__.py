"""What is optimised and how it is drawn: representations, renderers, backgrounds, cameras."""
