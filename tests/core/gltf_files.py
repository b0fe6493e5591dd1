"""Writing glTF files piece by piece, for tests of reading them."""

import json
import struct

import numpy

KINDS = {"f4": 5126, "u4": 5125, "u2": 5123, "u1": 5121, "i2": 5122, "i1": 5120}


class Glb:
    """Collects arrays; `tree` is the document to fill in."""

    def __init__(self):
        self.tree = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.tree |= {"accessors": [], "bufferViews": []}
        self.body = b""

    def view(self, data, **more):
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more})
        self.body += data + b"\0" * (-len(data) % 4)
        return len(self.tree["bufferViews"]) - 1

    def array(self, values, kind="f4", **more):
        """The index of an accessor of (N,) or (N, C) values."""
        values = numpy.ascontiguousarray(values, f"<{kind}")
        width = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}[values.shape[1:]]
        said = {"bufferView": self.view(values.tobytes()), "componentType": KINDS[kind], "count": len(values)}
        self.tree["accessors"].append({**said, "type": width, **more})
        return len(self.tree["accessors"]) - 1

    def picture(self, pixels):
        """A material whose base colour is this (H, W, 3) uint8 picture; its index."""
        import io

        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        self.tree["images"] = [{"bufferView": self.view(file.getvalue()), "mimeType": "image/png"}]
        self.tree["textures"] = [{"source": 0}]
        self.tree["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0}}]
        return 0

    def write(self, path):
        self.tree["buffers"] = [{"byteLength": len(self.body)}]
        text = json.dumps(self.tree).encode()
        text += b" " * (-len(text) % 4)
        chunks = (
            struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.body), b"BIN\0") + self.body
        )
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path


def read_glb(path):
    """The tree and the binary part."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def quad(uv=((0, 1), (1, 1), (1, 0), (0, 0)), **uv_options):
    """A square that faces the input camera (+z in the file), lower left corner first, textured upright."""
    glb = Glb()
    corners = [[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]]
    attributes = {"POSITION": glb.array(corners), "TEXCOORD_0": glb.array(uv, **uv_options)}
    part = {"attributes": attributes, "indices": glb.array([0, 1, 2, 0, 2, 3], "u2"), "material": 0}
    glb.tree["meshes"] = [{"primitives": [part]}]
    return glb
