"""The laws of each kind of component, one kind a file; `zero3d.testing` has them all by name."""
