"""Finding and loading plug-ins, installed or not."""

from zero3d.plugins.loading import load_plugins, register_plugin

__all__ = ["load_plugins", "register_plugin"]
