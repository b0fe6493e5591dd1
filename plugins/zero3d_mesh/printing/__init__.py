"""Meshes for slicers: in millimetres, standing on the plate.

print_file  the exporter
threemf     a mesh with vertex colours as 3MF
"""
