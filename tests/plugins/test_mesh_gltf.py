"""What is exported passes the Khronos glTF validator (tests/gltf/README.md tells how to install it)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import trimesh

from tests.plugins.mesh_fields import Field, ball, export, ring, subject
from zero3d.mesh_files import save_mesh
from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig

HERE = Path(__file__).parent.parent / "gltf"
installed = shutil.which("node") and (HERE / "node_modules" / "gltf-validator").is_dir()


@pytest.mark.skipif(not installed, reason="needs Node and: npm install --prefix tests/gltf")
def test_khronos_validator_finds_nothing(tmp_path):
    export(Field(ring), tmp_path / "torus.glb", threshold=50.0, resolution=32)
    export(Field(lambda p: ball(p, 0.5), lambda p: p), tmp_path / "coloured.glb", threshold=50.0, resolution=33)
    save_mesh(trimesh.creation.box(), tmp_path / "bare.glb")
    textured = TexturedMeshConfig(threshold=50.0, resolution=32, texture=128)
    TexturedMesh(textured).export(subject(Field(ring)), tmp_path / "textured.glb")
    files = sorted(map(str, tmp_path.glob("*.glb")))
    command = ["node", str(HERE / "validate.cjs"), *files]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    reports = [json.loads(line) for line in printed.splitlines()]
    assert [report["uri"] for report in reports] == files
    for report in reports:
        assert report["issues"]["messages"] == []
        assert report["info"]["totalTriangleCount"] > 0


@pytest.mark.skipif(not installed, reason="needs Node and: npm install --prefix tests/gltf")
def test_the_validator_does_find_faults(tmp_path):
    save_mesh(trimesh.creation.box(), tmp_path / "box.glb")
    data = (tmp_path / "box.glb").read_bytes().replace(b'"VEC3"', b'"VEC9"', 1)
    (tmp_path / "broken.glb").write_bytes(data)
    command = ["node", str(HERE / "validate.cjs"), str(tmp_path / "broken.glb")]
    (report,) = map(
        json.loads,
        subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout.splitlines(),
    )
    assert report["issues"]["numErrors"] > 0
