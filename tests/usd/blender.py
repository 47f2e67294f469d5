"""Imports a USD file into Blender, prints its objects as one line of JSON, and exports them again.

    python blender.py FILE OUT

Objects: name, type, world matrix by columns; those that stand for instances too. Needs `bpy` (4.5).
"""

import json
import sys

import bpy


def columns(matrix):
    return [matrix[row][column] for column in range(4) for row in range(4)]


def main(path, out):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.usd_import(filepath=path, import_lights=True, import_cameras=True, import_materials=True, import_visible_only=False)
    objects = []
    for item in bpy.context.scene.objects:
        objects.append({"name": item.name, "path": item.name.split(".")[0], "type": item.type, "matrix": columns(item.matrix_world)})
    bpy.ops.wm.usd_export(filepath=out)
    print(json.dumps({"version": bpy.app.version_string, "objects": objects}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
