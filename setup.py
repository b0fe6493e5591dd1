"""What pyproject.toml cannot say: packages of three places in one wheel, the recipes as `zero3d.recipes`."""

from setuptools import find_namespace_packages, setup

plugins = find_namespace_packages("plugins", include=["zero3d_*"])
own = [name for name in find_namespace_packages(include=["zero3d*"]) if not name.startswith("zero3d_")]
places = {name: f"plugins/{name}" for name in plugins if "." not in name}
setup(packages=[*own, *plugins, "zero3d.recipes"], package_dir={**places, "zero3d.recipes": "recipes"})
