"""The command `weights`."""
