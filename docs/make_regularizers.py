"""Draw docs/gallery/regularizers/*.jpg: one field without and with each of some regularizers.

    python docs/make_regularizers.py [NAME ...] [NAME=WEIGHT ...] [--out FOLDER]

The field is nano's recipe on examples/mug.png from noise, small and short (`SMALL`), the regularizer the one thing that
differs. Weights are those of `SHOWN`: strong enough that so few steps show what the term does;
they are stated beside the picture.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.plugins import load_plugins
from zero3d.run import Session, run
from zero3d_report.drawing.drawn import Drawn, drawn

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "gallery" / "regularizers"
PICTURE = ROOT / "examples" / "mug.png"
SMALL = (
    "start=null",
    "steps=60",
    "optimizer.lr={0%: 0.1, 60%: 0.05, 100%: 0.005}",
    "representation.density_rate=1",
    "representation.resolution=40",
    "cameras.resolution=40",
    "input.elevation_deg=20",
    "regularizers.opaque=null",
    "observers={}",
    "export={}",
    "device=cpu",
)
RAYS = ("renderer.type=volume",)
"""For terms that read the weights along each ray, which `fused` does not give."""
FOG = ("representation.density_shift=-1", "steps=40")
"""Begins in fog and ends before all of it is carved away: what terms on opacity are for."""
SHOWN: dict[str, tuple[float, str, tuple[str, ...]]] = {
    "opaque": (200, "opacity", FOG),
    "sparsity": (200, "opacity", FOG),
    "area_tv": (2000, "normals", ()),
    "normal_tv": (3000, "normals", ()),
    "density_tv": (20, "normals", ()),
    "emptiness": (2000, "opacity", (*FOG, *RAYS)),
    "distortion": (3000, "opacity", (*FOG, *RAYS)),
}
"""Weight, what its picture shows, and what else the run needs."""
SIDE = 128
LOOKS_DEG = (60.0, 200.0)
DISTANCE = 1.5
MOST_BYTES = 40_000


def fitted(extra: tuple[str, ...], folder: Path) -> Session:
    return run("nano", load_plugins(), [f"image={PICTURE}", f"out={folder}", *SMALL, *extra], tell=lambda line: None)


def panels(session: Session, what: str) -> list[Tensor]:
    """(SIDE, SIDE, 3) of the field from two sides."""
    cameras = orbit(15.0, torch.tensor(LOOKS_DEG), SIDE, DISTANCE)
    field = session.subject().representation
    views = [cameras[i : i + 1] for i in range(len(LOOKS_DEG))]
    return [picture(drawn(session.engine.draw(one), one, field), what) for one in views]


def picture(seen: Drawn, what: str) -> Tensor:
    if what == "opacity":
        return 1 - seen.opacity.expand(-1, -1, 3)
    if what == "normals":
        return torch.where(seen.opacity > 0.5, 0.5 + 0.5 * seen.normals, torch.ones(3))
    raise ValueError(what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="which (all); NAME=WEIGHT tries another weight")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = dict(word.split("=") if "=" in word else (word, SHOWN[word][0]) for word in arguments.names or SHOWN)
    listed = arguments.out / "shown.json"
    made = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else {}
    bare: dict[tuple[str, ...], Session] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, weight in weights.items():
            _, what, extra = SHOWN[name]
            if extra not in bare:
                bare[extra] = fitted(extra, Path(folder) / f"bare-{len(bare)}")
            term = f"regularizers.{name}={{weight: {weight}}}"
            termed = fitted((*extra, term), Path(folder) / name)
            gap = torch.ones(SIDE, 8, 3)
            sheet = torch.cat([*panels(bare[extra], what), gap, *panels(termed, what)], dim=1)
            path = arguments.out / f"{name}.jpg"
            pixels = numpy.round(255 * sheet.clamp(0, 1).numpy()).astype(numpy.uint8)
            Image.fromarray(pixels).save(path, quality=88, optimize=True)
            if path.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{path}: over {MOST_BYTES} bytes")
            made[name] = {"weight": float(weight), "shows": what, "fog": FOG[0] in extra}
            listed.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            print(f"{path}: weight {weight}, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
