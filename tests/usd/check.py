"""Opens a USD file with usd-core, runs all of its validators, and prints what it found as one JSON object.

    python check.py FILE [TIME]

The object: `problems` (what validators say, and warnings on the way), the stage's metadata, and `prims`, instances' contents included, each
with its type, world matrix (row vectors), world bounds, visibility, and what it is: mesh, material inputs, light, camera.
"""

import json
import sys

from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdLux, UsdShade, UsdUtils, UsdValidation


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, Sdf.AssetPath):
        return {"asset": value.path, "found": bool(value.resolvedPath)}
    if isinstance(value, (Gf.Quatf, Gf.Quatd, Gf.Quath)):
        return [*value.GetImaginary(), value.GetReal()]
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if hasattr(value, "__len__") and not isinstance(value, dict):
        return [plain(part) for part in value]
    return str(value)


def problems(path, stage):
    found = []
    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    for error in context.Validate(stage):
        # Profiles and the like have information that is no complaint.
        if error.GetType() == UsdValidation.ValidationErrorType.Info:
            continue
        found.append(error.GetErrorAsString())
    if path.endswith(".usdz"):
        found += package_problems(path)
    return found


def package_problems(path):
    """The rules of packages that validators do not see once a stage is open."""
    found = []
    archive = Sdf.ZipFile.Open(path)
    names = archive.GetFileNames()
    if not names or not names[0].endswith((".usd", ".usda", ".usdc")):
        found.append("the first file is not a layer")
    for name in names:
        info = archive.GetFileInfo(name)
        if info.compressionMethod != 0 or info.encrypted:
            found.append(f"{name} is compressed or encrypted")
        if info.dataOffset % 64:
            found.append(f"{name} begins at {info.dataOffset}, not at a multiple of 64")
    return found


def inputs_of(shader):
    """Inputs of a shader network, what they are connected to in place."""
    inputs = {}
    for shader_input in shader.GetInputs():
        sources, _ = shader_input.GetConnectedSources()
        if sources:
            source = sources[0]
            node = UsdShade.Shader(source.source.GetPrim())
            inputs[shader_input.GetBaseName()] = {
                "id": node.GetShaderId(),
                "output": source.sourceName,
                "inputs": inputs_of(node),
            }
        else:
            inputs[shader_input.GetBaseName()] = plain(shader_input.Get())
    return inputs


def attributes(prim, time):
    return {attribute.GetName(): plain(attribute.Get(time)) for attribute in prim.GetAttributes() if attribute.HasAuthoredValue()}


def describe(prim, time, xforms, boxes):
    told = {
        "path": str(prim.GetPath()),
        "type": prim.GetTypeName(),
        "kind": Usd.ModelAPI(prim).GetKind(),
        "instance": prim.IsInstance(),
        "schemas": list(prim.GetAppliedSchemas()),
        "display_name": prim.GetDisplayName(),
    }
    imageable = UsdGeom.Imageable(prim)
    if imageable:
        told["visible"] = imageable.ComputeVisibility(time) != UsdGeom.Tokens.invisible
        told["matrix"] = [number for row in xforms.GetLocalToWorldTransform(prim) for number in row]
        box = boxes.ComputeWorldBound(prim).ComputeAlignedRange()
        told["bounds"] = None if box.IsEmpty() else [*box.GetMin(), *box.GetMax()]
        bound, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
        told["material"] = str(bound.GetPath()) if bound else None
    if prim.IsA(UsdGeom.Mesh):
        mesh = UsdGeom.Mesh(prim)
        told["mesh"] = {
            "points": len(mesh.GetPointsAttr().Get(time) or []),
            "faces": len(mesh.GetFaceVertexCountsAttr().Get(time) or []),
            "double_sided": mesh.GetDoubleSidedAttr().Get(),
            "types": {attribute.GetName(): str(attribute.GetTypeName()) for attribute in prim.GetAuthoredAttributes()},
        }
        primvar = UsdGeom.PrimvarsAPI(prim).GetPrimvar("st")
        if primvar:
            told["mesh"]["st"] = plain(primvar.Get(time))
    elif prim.IsA(UsdGeom.Camera):
        camera = UsdGeom.Camera(prim).GetCamera(time)
        told["camera"] = attributes(prim, time)
        frustum = camera.frustum
        window = frustum.window
        told["window"] = [*window.min, *window.max]
    elif prim.HasAPI(UsdLux.LightAPI):
        told["light"] = attributes(prim, time)
    elif prim.IsA(UsdShade.Material):
        shader, _, _ = UsdShade.Material(prim).ComputeSurfaceSource()
        told["surface"] = {"id": shader.GetShaderId(), "inputs": inputs_of(shader)} if shader else None
    return told


def main(path, time):
    delegate = UsdUtils.CoalescingDiagnosticDelegate()
    stage = Usd.Stage.Open(path)
    found = problems(path, stage)
    if time is None:
        time = stage.GetStartTimeCode() if stage.HasAuthoredTimeCodeRange() else Usd.TimeCode.Default()
    xforms = UsdGeom.XformCache(time)
    boxes = UsdGeom.BBoxCache(time, [UsdGeom.Tokens.default_, UsdGeom.Tokens.render])
    prims = [describe(prim, time, xforms, boxes) for prim in stage.Traverse(Usd.TraverseInstanceProxies())]
    warnings = [str(item.commentary) for group in delegate.TakeCoalescedDiagnostics() for item in group.unsharedItems]
    default = stage.GetDefaultPrim()
    json.dump(
        {
            "problems": found + warnings,
            "default_prim": str(default.GetPath()) if default else None,
            "up_axis": UsdGeom.GetStageUpAxis(stage),
            "meters_per_unit": UsdGeom.GetStageMetersPerUnit(stage),
            "time_codes_per_second": stage.GetTimeCodesPerSecond(),
            "start": stage.GetStartTimeCode(),
            "end": stage.GetEndTimeCode(),
            "layers": len(stage.GetUsedLayers()),
            "prims": prims,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else None)
    except Tf.ErrorException as error:
        sys.exit(f"{sys.argv[1]}: {error}")
