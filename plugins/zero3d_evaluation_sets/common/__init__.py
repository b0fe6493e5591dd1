"""What the sets share: choosing objects, files behind an object, pictures, meshes, folders."""
