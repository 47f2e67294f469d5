//! Cubes, spheres and the other shapes.

use super::{
    Below,
    mesh::first,
    primvars::{primvar, token_or},
    read::PrimReader,
    value::{BOOL, F32S, F64, VEC3S},
};
use crate::snapshot::{Axis, Shape, ShapeKind};

/// A shape by its type, with its schema's fallbacks.
pub(super) fn shape<'a>(prim: &PrimReader<'a>, below: &Below<'a>, type_name: &str) -> Option<Shape> {
    let number = |name: &str, fallback: f64| prim.sampled_or(name, F64, fallback);
    let kind = match type_name {
        "Cube" => ShapeKind::Cube { size: number("size", 2.0) },
        "Sphere" => ShapeKind::Sphere { radius: number("radius", 1.0) },
        "Cylinder" => {
            let radius = number("radius", 1.0);
            ShapeKind::Cylinder { height: number("height", 2.0), radius_top: radius.clone(), radius }
        }
        "Cylinder_1" => ShapeKind::Cylinder {
            height: number("height", 2.0),
            radius: number("radiusBottom", 1.0),
            radius_top: number("radiusTop", 1.0),
        },
        "Cone" => ShapeKind::Cone { height: number("height", 2.0), radius: number("radius", 1.0) },
        "Capsule" => {
            let radius = number("radius", 0.5);
            ShapeKind::Capsule { height: number("height", 1.0), radius_top: radius.clone(), radius }
        }
        "Capsule_1" => ShapeKind::Capsule {
            height: number("height", 1.0),
            radius: number("radiusBottom", 0.5),
            radius_top: number("radiusTop", 0.5),
        },
        "Plane" => ShapeKind::Plane { width: number("width", 2.0), length: number("length", 2.0) },
        _ => return None,
    };
    let axis = match token_or(prim, "axis", "Z").as_str() {
        "X" => Axis::X,
        "Y" => Axis::Y,
        "Z" => Axis::Z,
        other => {
            prim.warn(format!("`axis` cannot be `{other}`; Z is used"));
            Axis::Z
        }
    };
    let color = primvar(prim, &below.primvars, "displayColor", VEC3S);
    let opacity = primvar(prim, &below.primvars, "displayOpacity", F32S);
    Some(Shape {
        kind,
        axis,
        // A plane has no inside.
        double_sided: prim.uniform_or("doubleSided", BOOL, type_name == "Plane"),
        display_color: color.and_then(|color| first(&color.values).and_then(|values| values.first().copied())),
        display_opacity: opacity.and_then(|opacity| first(&opacity.values).and_then(|values| values.first().copied())),
    })
}
