"""Run by an interpreter that has `bpy` (it need not have zero3d): JSON orders on stdin, JSON answers on stdout.

First answer: {"ready": Blender's version}. Order: {"mesh": FILE, "out": FOLDER, "poses": camera-to-world matrices,
"size", "fov", "light": {"energy", "location"}, "y_up", "samples", "device"}; answer {"done": count of NNN.png written}
or {"error": one line}. The scene is the published one: Blender's startup scene without its cube, so with its point
light and grey world; one huge area light; transparent film; Cycles with denoising; the Filmic view transform.
"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
os.dup2(2, 1)  # Blender prints on file descriptor 1 as it likes

import bpy  # noqa: E402
import numpy  # noqa: E402
from mathutils import Matrix, Vector  # noqa: E402


def clear_scene():
    bpy.ops.wm.read_factory_settings()
    for thing in list(bpy.data.objects):
        if thing.type not in ("CAMERA", "LIGHT"):
            bpy.data.objects.remove(thing)


def set_up(order):
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = order["size"]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.view_settings.view_transform = "Filmic"  # the default of Blender 3.2, which drew the published data
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising = order["samples"], True
    cycles.diffuse_bounces = cycles.glossy_bounces = 1
    cycles.transparent_max_bounces = cycles.transmission_bounces = 3
    cycles.filter_width = 0.01
    if order["device"] != "cpu":
        preferences = bpy.context.preferences.addons["cycles"].preferences
        preferences.compute_device_type = order["device"].upper()
        preferences.refresh_devices()
        if not any(device.type == order["device"].upper() for device in preferences.devices):
            raise RuntimeError(f"Blender sees no {order['device']} device")
        for device in preferences.devices:
            device.use = device.type == order["device"].upper()
        cycles.device = "GPU"
    camera = scene.camera
    camera.data.lens_unit, camera.data.angle = "FOV", order["fov"]
    bpy.ops.object.light_add(type="AREA")
    lamp = bpy.context.object
    lamp.data.energy, lamp.location, lamp.scale = order["light"]["energy"], order["light"]["location"], (100, 100, 100)
    return scene, camera


def read_mesh(path, y_up):
    axes = {"forward_axis": "NEGATIVE_Z", "up_axis": "Y"} if y_up else {"forward_axis": "Y", "up_axis": "Z"}
    kind = path.rsplit(".", 1)[-1].lower()
    if kind in ("glb", "gltf"):
        bpy.ops.import_scene.gltf(filepath=path, merge_vertices=True)
    else:
        {"obj": bpy.ops.wm.obj_import, "ply": bpy.ops.wm.ply_import, "stl": bpy.ops.wm.stl_import}[kind](
            filepath=path, **axes
        )
    for thing in bpy.data.objects:
        thing.animation_data_clear()  # an action would undo the normalisation
        if thing.type == "MESH" and not thing.data.materials and thing.data.color_attributes:
            thing.data.materials.append(vertex_colours(thing.data.color_attributes[0].name))


def vertex_colours(name):
    material = bpy.data.materials.new("vertex colours")
    material.use_nodes = True
    colour = material.node_tree.nodes.new("ShaderNodeVertexColor")
    colour.layer_name = name
    material.node_tree.links.new(
        colour.outputs["Color"], material.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    )
    return material


def bounds():
    """Of all vertices as they are drawn, in the world."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    low, high = numpy.full(3, numpy.inf), numpy.full(3, -numpy.inf)
    for thing in bpy.context.scene.objects:
        if thing.type != "MESH":
            continue
        drawn = thing.evaluated_get(graph)
        mesh = drawn.to_mesh()
        flat = numpy.empty(3 * len(mesh.vertices))
        mesh.vertices.foreach_get("co", flat)
        matrix = numpy.array(drawn.matrix_world)
        points = flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
        points = points[numpy.isfinite(points).all(axis=1)]
        if len(mesh.polygons) and len(points):
            low, high = numpy.minimum(low, points.min(axis=0)), numpy.maximum(high, points.max(axis=0))
        drawn.to_mesh_clear()
    if not (low <= high).all():
        raise ValueError("holds no triangles with finite corners")
    if not 0 < float((high - low).max()) < numpy.inf:
        raise ValueError("has no extent")
    return low, high


def normalise():
    low, high = bounds()
    change = Matrix.Scale(1 / float((high - low).max()), 4) @ Matrix.Translation(Vector(-(low + high) / 2))
    for thing in bpy.context.scene.objects:
        if thing.parent is None and thing.type not in ("CAMERA", "LIGHT"):
            thing.matrix_world = change @ thing.matrix_world
    bpy.context.view_layer.update()


def draw(order):
    clear_scene()
    before = set(bpy.data.objects)
    read_mesh(order["mesh"], order["y_up"])
    for thing in set(bpy.data.objects) - before:
        if thing.type in ("CAMERA", "LIGHT"):  # the file's own
            bpy.data.objects.remove(thing)
    normalise()
    scene, camera = set_up(order)
    for index, pose in enumerate(order["poses"]):
        camera.matrix_world = Matrix(pose)
        scene.render.filepath = os.path.join(order["out"], f"{index:03d}.png")
        bpy.ops.render.render(write_still=True)
    return len(order["poses"])


def main():
    print(json.dumps({"ready": bpy.app.version_string}), file=answers)
    for line in sys.stdin:
        try:
            answer = {"done": draw(json.loads(line))}
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Location:")]
            answer = {
                "error": f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"
            }  # the end of a traceback
        print(json.dumps(answer), file=answers)


main()
