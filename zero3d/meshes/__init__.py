"""Reading other programs' mesh files: what trimesh, which parses them, leaves out or gets wrong without a word.

reading     any file into a trimesh.Scene that can be drawn and measured, with notes on what is missing
neighbours  the files that a mesh file names: textures, materials, buffers
gltf        a glTF document: its tree, its buffers, its accessors as arrays
plain       a glTF document in plainer words: floats, no compression, no skins, textures where trimesh looks for them
compression Draco and meshopt
"""
