"""A triangle mesh with vertex colours as 3MF: the same arrays give the same bytes.

trimesh's own writer needs lxml, gives every file other identifiers, and leaves the colours out.
"""

from __future__ import annotations

import io
import zipfile

import numpy

TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>
"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
<Relationship Target="/3D/3dmodel.model" Id="model" \
Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>
"""
MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<model unit="millimeter" xml:lang="en-US" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02" \
xmlns:m="http://schemas.microsoft.com/3dmanufacturing/material/2015/02">
<metadata name="Application">zero3d</metadata>
<resources>
<m:colorgroup id="1">
{colours}
</m:colorgroup>
<object id="2" type="model" pid="1" pindex="0"><mesh>
<vertices>
{vertices}
</vertices>
<triangles>
{triangles}
</triangles>
</mesh></object>
</resources>
<build><item objectid="2"/></build>
</model>
"""
NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a ZIP file can hold."""


def threemf_bytes(vertices: numpy.ndarray, faces: numpy.ndarray, colours: numpy.ndarray) -> bytes:
    """One object in one file: 3MF's core specification 1.3, and the colour groups of its materials extension 1.2.

    Args:
        vertices: (V, 3) millimetres.
        faces: (F, 3), counter-clockwise seen from outside.
        colours: (V, 3) uint8 sRGB, interpolated over each triangle.
    """
    known, which = numpy.unique(colours, axis=0, return_inverse=True)
    shades = numpy.asarray(which).reshape(-1)[faces]  # numpy 2.0 alone keeps a second axis
    model = MODEL.format(
        colours="\n".join('<m:color color="#{:02X}{:02X}{:02X}"/>'.format(*row) for row in known.tolist()),
        vertices="\n".join('<vertex x="{:.7g}" y="{:.7g}" z="{:.7g}"/>'.format(*row) for row in vertices.tolist()),
        triangles="\n".join(
            '<triangle v1="{}" v2="{}" v3="{}" pid="1" p1="{}" p2="{}" p3="{}"/>'.format(*row)
            for row in numpy.concatenate([faces, shades], axis=1).tolist()
        ),
    )
    parts = {"[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS, "3D/3dmodel.model": model}
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, NO_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, text.encode())
    return whole.getvalue()
