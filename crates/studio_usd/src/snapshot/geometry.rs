//! Geometry.

use super::{Bounds, Sampled, SkinBinding};
use glam::{DMat4, DQuat, DVec3, Quat, Vec2, Vec3, Vec4};
use std::collections::HashSet;

/// Polygons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Positions.
    pub points: Sampled<Vec<Vec3>>,
    /// Corners of each face.
    pub face_vertex_counts: Sampled<Vec<u32>>,
    /// Points of the corners, face by face.
    pub face_vertex_indices: Sampled<Vec<u32>>,
    /// Faces that are not there.
    pub hole_indices: Vec<u32>,
    /// Whether the front of a face is where its corners run clockwise.
    pub left_handed: bool,
    /// Whether both sides are seen.
    pub double_sided: bool,
    /// How the surface is refined.
    pub subdivision: Subdivision,
    /// Normals: `primvars:normals`, or else `normals`. They mean nothing where the surface is refined.
    pub normals: Option<Primvar<Vec3>>,
    /// Texture coordinates and the like: every `float2[]` and `texCoord2f[]` primvar, in order of name.
    pub uvs: Vec<Primvar<Vec2>>,
    /// `primvars:displayColor`.
    pub display_color: Option<Primvar<Vec3>>,
    /// `primvars:displayOpacity`.
    pub display_opacity: Option<Primvar<f32>>,
    /// Parts with materials of their own.
    pub subsets: Vec<GeomSubset>,
    /// How a skeleton and blend shapes move it.
    pub skin: Option<SkinBinding>,
    /// `extent`, if the file says it and it is two points.
    pub extent: Sampled<Vec<Vec3>>,
}

/// How a surface is refined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subdivision {
    /// The scheme.
    pub scheme: SubdivisionScheme,
    /// What happens at borders.
    pub interpolate_boundary: InterpolateBoundary,
    /// How values on corners of faces are refined at their own borders, as USD names it: `cornersPlus1`, `all`, `none`, …
    pub face_varying_linear_interpolation: String,
    /// `catmullClark` or `smooth`: how triangles are weighted.
    pub smooth_triangles: bool,
    /// Points that stay sharp.
    pub corner_indices: Vec<u32>,
    /// How sharp, 0 to 10; 10 is for ever.
    pub corner_sharpnesses: Vec<f32>,
    /// Points along the creases, one crease after another.
    pub crease_indices: Vec<u32>,
    /// Points in each crease.
    pub crease_lengths: Vec<u32>,
    /// How sharp: one for each crease, or one for each of its edges.
    pub crease_sharpnesses: Vec<f32>,
}

/// How a surface is refined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubdivisionScheme {
    /// Catmull and Clark's.
    #[default]
    CatmullClark,
    /// Loop's, for triangles.
    Loop,
    /// Faces are divided and stay flat.
    Bilinear,
    /// Not at all.
    None,
}

/// What happens at the borders of a refined surface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterpolateBoundary {
    /// Faces at the border are left out.
    None,
    /// Borders stay smooth, their ends too.
    EdgeOnly,
    /// Borders stay, and corners are sharp.
    #[default]
    EdgeAndCorner,
}

/// A value that comes with geometry.
#[derive(Clone, Debug, PartialEq)]
pub struct Primvar<T> {
    /// Its name without `primvars:`.
    pub name: String,
    /// What each element belongs to.
    pub interpolation: Interpolation,
    /// The values.
    pub values: Sampled<Vec<T>>,
    /// Which value each element has; `None` if they are in order.
    pub indices: Option<Sampled<Vec<u32>>>,
}

/// What each element of a primvar belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// One for all.
    #[default]
    Constant,
    /// One for each face (or curve segment).
    Uniform,
    /// One for each point, linear between.
    Varying,
    /// One for each point, refined with the surface.
    Vertex,
    /// One for each corner of each face.
    FaceVarying,
}

/// A part of a mesh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeomSubset {
    /// Its prim's path.
    pub path: String,
    /// `materialBind`, say.
    pub family: String,
    /// The faces in it.
    pub faces: Vec<u32>,
    /// The material bound to it, as [`Prim::material`](super::Prim::material) writes it.
    pub material: Option<String>,
}

/// A cube, a sphere, a cone and so on, about the origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Which one, and how large.
    pub kind: ShapeKind,
    /// The axis that cylinders, cones and capsules stand on and planes face.
    pub axis: Axis,
    /// Whether both sides are seen.
    pub double_sided: bool,
    /// `primvars:displayColor`, its first value.
    pub display_color: Option<Vec3>,
    /// `primvars:displayOpacity`, its first value.
    pub display_opacity: Option<f32>,
}

/// Which shape, and how large.
#[derive(Clone, Debug, PartialEq)]
pub enum ShapeKind {
    /// All edges are of this length.
    Cube {
        /// Length of an edge.
        size: Sampled<f64>,
    },
    /// A ball.
    Sphere {
        /// Its radius.
        radius: Sampled<f64>,
    },
    /// A cylinder; of `Cylinder_1` too, where both radii are the same or not.
    Cylinder {
        /// From end to end.
        height: Sampled<f64>,
        /// At the bottom.
        radius: Sampled<f64>,
        /// At the top.
        radius_top: Sampled<f64>,
    },
    /// A cone: its tip points along the axis.
    Cone {
        /// From bottom to tip.
        height: Sampled<f64>,
        /// At the bottom.
        radius: Sampled<f64>,
    },
    /// A cylinder with half balls at its ends; `height` is without them.
    Capsule {
        /// Of the cylinder.
        height: Sampled<f64>,
        /// At the bottom.
        radius: Sampled<f64>,
        /// At the top.
        radius_top: Sampled<f64>,
    },
    /// A rectangle.
    Plane {
        /// Along X (or along Z if the axis is X).
        width: Sampled<f64>,
        /// Along the other.
        length: Sampled<f64>,
    },
}

/// An axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// X.
    X,
    /// Y.
    Y,
    /// Z.
    #[default]
    Z,
}

/// Curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Control points, curve by curve.
    pub points: Sampled<Vec<Vec3>>,
    /// Control points in each curve.
    pub curve_vertex_counts: Vec<u32>,
    /// Straight or cubic.
    pub cubic: bool,
    /// Of cubic curves.
    pub basis: CurveBasis,
    /// What happens at the ends.
    pub wrap: CurveWrap,
    /// Widths (diameters).
    pub widths: Option<Primvar<f32>>,
    /// Normals, if they are ribbons.
    pub normals: Option<Primvar<Vec3>>,
    /// `primvars:displayColor`.
    pub display_color: Option<Primvar<Vec3>>,
    /// `primvars:displayOpacity`.
    pub display_opacity: Option<Primvar<f32>>,
    /// `extent`.
    pub extent: Sampled<Vec<Vec3>>,
}

/// What cubic curves are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CurveBasis {
    /// Bézier.
    #[default]
    Bezier,
    /// B-spline.
    Bspline,
    /// Catmull and Rom's.
    CatmullRom,
}

/// What happens at the ends of a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CurveWrap {
    /// The control points say it.
    #[default]
    Nonperiodic,
    /// The end meets the beginning.
    Periodic,
    /// The curve reaches its first and last control point.
    Pinned,
}

/// Points with a width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Positions.
    pub points: Sampled<Vec<Vec3>>,
    /// Widths (diameters).
    pub widths: Option<Primvar<f32>>,
    /// Colours.
    pub display_color: Option<Primvar<Vec3>>,
    /// Opacities.
    pub display_opacity: Option<Primvar<f32>>,
    /// `extent`.
    pub extent: Sampled<Vec<Vec3>>,
}

/// Copies of a few prims at many places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointInstancer {
    /// The paths of the prims that are copied, as `proto_indices` counts them. Within a prototype, as [`Prim::material`](super::Prim).
    pub prototypes: Vec<String>,
    /// Which prim each copy is of.
    pub proto_indices: Sampled<Vec<u32>>,
    /// Where each copy is.
    pub positions: Sampled<Vec<Vec3>>,
    /// How each is turned.
    pub orientations: Sampled<Vec<Quat>>,
    /// How each is scaled.
    pub scales: Sampled<Vec<Vec3>>,
    /// The identity of each copy; empty if they are counted.
    pub ids: Vec<i64>,
    /// Copies (by identity) that are not there.
    pub invisible_ids: Sampled<Vec<i64>>,
    /// Copies (by identity) that are not there at any time.
    pub inactive_ids: Vec<i64>,
    /// `extent`.
    pub extent: Sampled<Vec<Vec3>>,
}

/// A pose: what a copy is placed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Where.
    pub position: DVec3,
    /// How it is turned.
    pub orientation: DQuat,
    /// How it is scaled.
    pub scale: DVec3,
}

/// A copy that a point instancer makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointCopy {
    /// Its place in the instancer's arrays.
    pub index: usize,
    /// Which prim it is of, as a place in [`PointInstancer::prototypes`].
    pub prototype: usize,
    /// Its identity: from `ids`, or its index.
    pub id: i64,
    /// Where it is, in the instancer's space. The prototype's own transform comes first.
    pub placement: Placement,
}

impl Placement {
    /// The matrix from the copied prim's parent to the instancer.
    pub fn matrix(&self) -> DMat4 {
        DMat4::from_scale_rotation_translation(self.scale, self.orientation, self.position)
    }
}

impl PointInstancer {
    /// The copies that are seen at a time, in order. Inactive and invisible ones are left out, and so are those without a position, of a
    /// prototype that is not there, or at a place that is no number. Orientations and scales that are not there for all are as if there
    /// were none.
    pub fn copies(&self, time: f64) -> Vec<PointCopy> {
        let positions = self.positions.at(time).unwrap_or_default();
        let prototypes = self.proto_indices.held_at(time).map(Vec::as_slice).unwrap_or_default();
        let count = positions.len().min(prototypes.len());
        let orientations = self.orientations.at(time).filter(|values| values.len() >= count);
        let scales = self.scales.at(time).filter(|values| values.len() >= count);
        let invisible = self.invisible_ids.held_at(time).into_iter().flatten();
        let hidden: HashSet<i64> = invisible.chain(&self.inactive_ids).copied().collect();
        let copy = |(index, (position, prototype)): (usize, (&Vec3, &u32))| {
            let id = self.ids.get(index).copied().unwrap_or(index as i64);
            let prototype = *prototype as usize;
            if hidden.contains(&id) || prototype >= self.prototypes.len() {
                return None;
            }
            let orientation =
                orientations.as_ref().and_then(|values| values.get(index)).map_or(DQuat::IDENTITY, |value| value.as_dquat());
            let turned = orientation.length_squared() > 0.0 && orientation.is_finite();
            let orientation = if turned { orientation.normalize() } else { DQuat::IDENTITY };
            let scale = scales.as_ref().and_then(|values| values.get(index)).map_or(DVec3::ONE, |value| value.as_dvec3());
            let placement = Placement { position: position.as_dvec3(), orientation, scale };
            (placement.position.is_finite() && scale.is_finite()).then_some(PointCopy { index, prototype, id, placement })
        };
        positions.iter().zip(prototypes).enumerate().filter_map(copy).collect()
    }
}

impl Shape {
    /// The box around it at a time, in its own space.
    pub fn bounds(&self, time: f64) -> Bounds {
        let at = |value: &Sampled<f64>| value.at(time).unwrap_or_default().abs();
        // Along the axis up and down, and to the sides.
        let (low, high, side) = match &self.kind {
            ShapeKind::Cube { size } => return Bounds { min: DVec3::splat(-at(size) / 2.0), max: DVec3::splat(at(size) / 2.0) },
            ShapeKind::Sphere { radius } => return Bounds { min: DVec3::splat(-at(radius)), max: DVec3::splat(at(radius)) },
            ShapeKind::Cylinder { height, radius, radius_top } => {
                (at(height) / 2.0, at(height) / 2.0, at(radius).max(at(radius_top)))
            }
            ShapeKind::Cone { height, radius } => (at(height) / 2.0, at(height) / 2.0, at(radius)),
            ShapeKind::Capsule { height, radius, radius_top } => {
                let (low, high, side) = Self::capsule_reach(at(height), at(radius), at(radius_top));
                (at(height) / 2.0 + low, at(height) / 2.0 + high, side)
            }
            ShapeKind::Plane { width, length } => {
                let (width, length) = (at(width) / 2.0, at(length) / 2.0);
                let half = match self.axis {
                    Axis::X => DVec3::new(0.0, length, width),
                    Axis::Y => DVec3::new(width, 0.0, length),
                    Axis::Z => DVec3::new(width, length, 0.0),
                };
                return Bounds { min: -half, max: half };
            }
        };
        let up = match self.axis {
            Axis::X => DVec3::X,
            Axis::Y => DVec3::Y,
            Axis::Z => DVec3::Z,
        };
        let around = (DVec3::ONE - up) * side;
        Bounds { min: -around - up * low, max: around + up * high }
    }
}

/// A colour with its opacity, as shapes, points and curves without a material show it.
pub fn display_rgba(color: Option<Vec3>, opacity: Option<f32>) -> Vec4 {
    color.unwrap_or(Vec3::splat(0.5)).extend(opacity.unwrap_or(1.0))
}
