"""A data set in the published layout, made of coloured discs, and shards of it."""

import json
import tarfile

import numpy
from PIL import Image


def world_to_camera(place):
    """(3, 4) of a camera at `place` that looks at the origin, z up, looking along -z: rows are its axes."""
    back = place / numpy.linalg.norm(place)
    right = numpy.cross([0, 0, 1], back)
    right /= numpy.linalg.norm(right)
    rotation = numpy.stack([right, numpy.cross(back, right), back])
    return numpy.concatenate([rotation, -rotation @ place[:, None]], axis=1)


def place_of(uid, view):
    """Where view `view` of object number `uid` is seen from."""
    polar, azimuth, distance = 0.6 + 0.1 * view, 0.7 * view + uid, 1.5 + 0.05 * view
    ring = numpy.sin(polar)
    return distance * numpy.array([ring * numpy.cos(azimuth), ring * numpy.sin(azimuth), numpy.cos(polar)])


def make_folder(root, objects=12, views=4, size=16):
    """Object i is called object-i; its colour tells i, its red the view: (10 view, 2 i, 200)."""
    names = []
    y, x = numpy.mgrid[:size, :size] - (size - 1) / 2
    disc = (x**2 + y**2 < (0.35 * size) ** 2).astype(numpy.uint8)
    for uid in range(objects):
        folder = root / f"object-{uid}"
        folder.mkdir(parents=True)
        for view in range(views):
            rgba = numpy.zeros((size, size, 4), numpy.uint8)
            rgba[disc > 0] = (10 * view, 2 * uid, 200, 255)
            Image.fromarray(rgba, "RGBA").save(folder / f"{view:03d}.png")
            numpy.save(folder / f"{view:03d}.npy", world_to_camera(place_of(uid, view)))
        names.append(folder.name)
    (root / "valid_paths.json").write_text(json.dumps(names), encoding="utf-8")
    return root


def make_shards(root, folder, shards, dotted=False):
    """The objects of make_folder in `shards` tar files; `dotted`: webdataset's names, UID.000.png."""
    root.mkdir()
    names = json.loads((folder / "valid_paths.json").read_text(encoding="utf-8"))
    for shard in range(shards):
        with tarfile.open(root / f"shard-{shard:02d}.tar", "w") as tar:
            for name in names[shard::shards]:
                for file in sorted((folder / name).iterdir()):
                    tar.add(file, f"{name}{'.' if dotted else '/'}{file.name}")
    return root


def identities(batch):
    """(object, view) of each input picture, and those of the targets, read from the colours."""

    def of(rgba):
        middle = rgba.shape[1] // 2
        pixel = (rgba[:, middle, middle] * 255).round().long()
        return [(int(green) // 2, int(red) // 10) for red, green in pixel[:, :2]]

    return of(batch.input_rgba), of(batch.target_rgba)
