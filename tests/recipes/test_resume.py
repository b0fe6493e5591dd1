"""An interrupted reconstruction ends in the very mesh of an uninterrupted one, to the byte, also after kill -9."""

import os
import signal
import subprocess
import sys
import time

import pytest
import trimesh

from zero3d.mesh_files import save_mesh

RECIPE = """
steps: 40
device: cpu
image: {folder}/ball.png
input: {{elevation_deg: 20, framing: keep, mask: alpha}}
cameras: {{type: sphere, resolution: 24}}
denoiser: {{type: oracle, mesh: {folder}/ball.glb, resolution: 24}}
representation: {{type: voxels, resolution: 20, box: 0.75, density_gain: 10, density_unit: voxel, shared_moment: true,
  carve: [0.1, 0.9], fill_hidden: true}}
renderer: {{type: volume, step_ratio: 1.0, jitter: true}}
optimizer: {{type: adam, lr: 0.1}}
guidance: {{sds: {{weighting: sigma, guidance_scale: 1}}}}
regularizers: {{input_view: {{weight: 500}}, near_view_consistency: {{weight: 1}}, depth_smoothness: {{weight: 0.1}}}}
export: {{mesh: {{type: marching_cubes, resolution: 32}}}}
checkpoint: {{every: 9}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch
    from PIL import Image

    from zero3d.geometry import orbit
    from zero3d.mesh_views import MeshScene
    from zero3d_procedural.rendering import straight_rgba

    folder = tmp_path_factory.mktemp("resume")
    ball = trimesh.creation.icosphere(3, 0.4)
    ball.visual = trimesh.visual.ColorVisuals(ball, vertex_colors=[200, 60, 40, 255])
    save_mesh(ball, folder / "ball.glb")
    view = MeshScene(ball).draw(orbit(20.0, torch.tensor([0.0]), 96))
    Image.fromarray(straight_rgba(view.image.numpy(), view.opacity.numpy())[0], "RGBA").save(folder / "ball.png")
    (folder / "ball.yaml").write_text(RECIPE.format(folder=folder), encoding="utf-8")
    command(folder, "run", "ball.yaml", "out=whole")
    return folder


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "zero3d.cli", *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        encoding="utf-8",
    )


def command(folder, *arguments):
    process = start(folder, *arguments)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    return told


def stop(folder, out, after, with_signal):
    process = start(folder, "run", "ball.yaml", f"out={out}")
    log = folder / out / "metrics.jsonl"
    while not (log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) >= after):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(with_signal)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


def mesh(folder, out):
    return (folder / out / "mesh.glb").read_bytes()


def test_the_same_recipe_gives_the_same_bytes(folder):
    command(folder, "run", "ball.yaml", "out=again")
    assert mesh(folder, "again") == mesh(folder, "whole")


def test_after_ctrl_c(folder):
    code, told = stop(folder, "interrupted", 5, signal.SIGINT)
    assert code == 130
    assert "zero3d resume interrupted" in told
    command(folder, "resume", "interrupted")
    assert mesh(folder, "interrupted") == mesh(folder, "whole")


def test_after_kill_9(folder):
    code, _ = stop(folder, "killed", 13, signal.SIGKILL)
    assert code == -signal.SIGKILL
    told = command(folder, "export", "killed")
    assert "watertight True" in told, "a run cut short can be exported"
    command(folder, "resume", "killed")
    assert mesh(folder, "killed") == mesh(folder, "whole")
