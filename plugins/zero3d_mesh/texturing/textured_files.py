"""A mesh with a texture as GLB, or as OBJ with MTL and PNG beside it; written by trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.files import write_bytes
from zero3d.geometry import world_to_gltf
from zero3d.meshes.glb import ARRAY, ELEMENTS
from zero3d_mesh.texturing.atlas import Atlas

ROUGHNESS = 0.9
"""Of the material, 0 (a mirror) to 1; the colours were seen under a light that is not known, so little is added to it."""


def save_textured(mesh: Any, atlas: Atlas, picture: numpy.ndarray, path: Path) -> None:
    """Write a world-axes trimesh.Trimesh, laid out by `atlas`, in glTF axes; `picture` (H, W, 3) uint8 sRGB.

    Every file is moved into place whole, the main one last.
    """
    from PIL import Image
    from trimesh import Trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial, SimpleMaterial

    image = Image.fromarray(picture)
    turned = [world_to_gltf(torch.from_numpy(numpy.array(a))).numpy() for a in (mesh.vertices, mesh.vertex_normals)]
    vertices, normals = (array[atlas.vertices] for array in turned)
    uv = numpy.stack([atlas.uv[:, 0], 1 - atlas.uv[:, 1]], axis=1)  # trimesh counts v upwards, as OBJ does
    glb = path.suffix == ".glb"
    material: Any = (
        PBRMaterial(name=path.stem, baseColorTexture=image, metallicFactor=0.0, roughnessFactor=ROUGHNESS)
        if glb
        else SimpleMaterial(image=image, name=path.stem, diffuse=[255] * 4, ambient=[255] * 4, specular=[0, 0, 0, 255])
    )
    split = Trimesh(
        vertices, atlas.faces, vertex_normals=normals, visual=TextureVisuals(uv, material=material), process=False
    )
    for name, data in (_glb if glb else _obj)(split, path).items():
        write_bytes(path.with_name(name), data)


def _glb(mesh: Any, path: Path) -> dict[str, bytes]:
    return {path.name: mesh.export(file_type="glb", include_normals=True, tree_postprocessor=_name_targets)}


def _name_targets(tree: dict[str, Any]) -> None:
    """Say which parts of the buffer are vertices and which are indices, as glTF asks and trimesh leaves out."""
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            for accessor in primitive["attributes"].values():
                tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]["target"] = ARRAY
            tree["bufferViews"][tree["accessors"][primitive["indices"]]["bufferView"]]["target"] = ELEMENTS


def _obj(mesh: Any, path: Path) -> dict[str, bytes]:
    from trimesh.exchange.obj import export_obj

    text, others = export_obj(
        mesh, include_normals=True, include_texture=True, return_texture=True, mtl_name=f"{path.stem}.mtl", header=None
    )
    return {**others, path.name: text.encode()}
