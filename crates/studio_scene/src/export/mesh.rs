//! Meshes: Bevy's vertices to points, and what comes with them.
//!
//! A vertex of Bevy's is a point of USD's. Texture coordinates are `(u, 1 - v)`: Bevy's pictures begin at the upper left, USD's at the lower
//! left. Surfaces are not refined any more.

use super::{ExportError, picture::vec3f};
use bevy::{
    asset::RenderAssetUsages,
    mesh::{Indices, MeshAccessError, MeshVertexAttribute, PrimitiveTopology, VertexAttributeValues, morph::MorphAttributes},
    prelude::*,
};
use studio_usd::write::{
    LayerBuilder, UniqueNames, gf,
    sdf::{Path, Value},
};

/// A mesh, read and checked.
pub(super) struct Shape<'a> {
    points: &'a [[f32; 3]],
    normals: Option<&'a [[f32; 3]]>,
    uvs: [Option<&'a [[f32; 2]]>; 2],
    colors: Option<&'a [[f32; 4]]>,
    indices: Vec<i32>,
    /// One shape's vertices after another.
    pub morphs: Vec<(String, &'a [MorphAttributes])>,
}

/// Reads a mesh.
///
/// # Errors
/// [`ExportError::Mesh`] and [`ExportError::NotFinite`].
pub(super) fn read<'a>(mesh: &'a Mesh, entity: Entity, name: &str) -> Result<Shape<'a>, ExportError> {
    let wrong = |reason: String| ExportError::Mesh { entity, name: name.to_owned(), reason };
    let reader = Reader { mesh, wrong: &wrong };
    let points = reader.three(Mesh::ATTRIBUTE_POSITION)?.ok_or_else(|| wrong("it has no positions".to_owned()))?;
    let shape = Shape {
        points,
        normals: reader.three(Mesh::ATTRIBUTE_NORMAL)?,
        uvs: [reader.two(Mesh::ATTRIBUTE_UV_0)?, reader.two(Mesh::ATTRIBUTE_UV_1)?],
        colors: reader.four(Mesh::ATTRIBUTE_COLOR)?,
        indices: reader.triangles(points.len())?,
        morphs: reader.morphs(points.len())?,
    };
    let lengths =
        [shape.normals.map(<[_]>::len), shape.uvs[0].map(<[_]>::len), shape.uvs[1].map(<[_]>::len), shape.colors.map(<[_]>::len)];
    if lengths.iter().flatten().any(|length| *length != points.len()) {
        return Err(wrong("its attributes are of different lengths".to_owned()));
    }
    let is_finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
    let checks = [
        (is_finite(points.as_flattened()), "the positions"),
        (is_finite(shape.normals.unwrap_or_default().as_flattened()), "the normals"),
        (shape.uvs.iter().flatten().all(|uvs| is_finite(uvs.as_flattened())), "the texture coordinates"),
        (is_finite(shape.colors.unwrap_or_default().as_flattened()), "the vertex colours"),
    ];
    match checks.into_iter().find(|(is_finite, _)| !is_finite) {
        Some((_, what)) => Err(ExportError::NotFinite { entity, name: name.to_owned(), what }),
        None => Ok(shape),
    }
}

struct Reader<'a, 'b> {
    mesh: &'a Mesh,
    wrong: &'b dyn Fn(String) -> ExportError,
}

macro_rules! attribute {
    ($name:ident, $kind:ident, $element:ty) => {
        fn $name(&self, attribute: MeshVertexAttribute) -> Result<Option<&'a [$element]>, ExportError> {
            match self.mesh.try_attribute_option(attribute.id).map_err(|error| self.gone(&error))? {
                None => Ok(None),
                Some(VertexAttributeValues::$kind(values)) => Ok(Some(values)),
                Some(other) => {
                    let format = bevy::mesh::VertexFormat::from(other);
                    Err((self.wrong)(format!("{} is of the vertex format {format:?}, not {}", attribute.name, stringify!($kind))))
                }
            }
        }
    };
}

impl<'a> Reader<'a, '_> {
    attribute!(two, Float32x2, [f32; 2]);
    attribute!(three, Float32x3, [f32; 3]);
    attribute!(four, Float32x4, [f32; 4]);

    fn gone(&self, error: &MeshAccessError) -> ExportError {
        match error {
            MeshAccessError::ExtractedToRenderWorld => {
                let usages = RenderAssetUsages::default();
                (self.wrong)(format!("it is only on the GPU; load or make it with {usages:?}"))
            }
            MeshAccessError::NotFound => (self.wrong)("it has not what it says".to_owned()),
        }
    }

    fn triangles(&self, points: usize) -> Result<Vec<i32>, ExportError> {
        let indices: Vec<usize> = match self.mesh.try_indices_option().map_err(|error| self.gone(&error))? {
            Some(Indices::U16(indices)) => indices.iter().map(|index| usize::from(*index)).collect(),
            Some(Indices::U32(indices)) => indices.iter().map(|index| *index as usize).collect(),
            None => (0..points).collect(),
        };
        if indices.iter().any(|index| *index >= points) {
            return Err((self.wrong)(format!("an index is beyond its {points} vertices")));
        }
        if i32::try_from(points).is_err() {
            return Err((self.wrong)("it has more vertices than USD can count".to_owned()));
        }
        let indices: Vec<i32> = indices.into_iter().map(|index| index as i32).collect();
        match self.mesh.primitive_topology() {
            PrimitiveTopology::TriangleList if indices.len().is_multiple_of(3) => Ok(indices),
            PrimitiveTopology::TriangleList => {
                Err((self.wrong)("its indices are not triangles: their number is no multiple of 3".to_owned()))
            }
            PrimitiveTopology::TriangleStrip => Ok(indices
                .windows(3)
                .enumerate()
                .filter_map(|(at, corners)| {
                    <[i32; 3]>::try_from(corners).ok().map(|[a, b, c]| if at % 2 == 0 { [a, b, c] } else { [b, a, c] })
                })
                .flatten()
                .collect()),
            topology => Err((self.wrong)(format!("{topology:?} is not a surface; leave it out with `NotExported`"))),
        }
    }

    fn morphs(&self, points: usize) -> Result<Vec<(String, &'a [MorphAttributes])>, ExportError> {
        let Some(morphs) = self.mesh.morph_targets().filter(|_| points > 0) else { return Ok(Vec::new()) };
        let names = self.mesh.morph_target_names().unwrap_or_default();
        if !morphs.len().is_multiple_of(points) {
            return Err((self.wrong)("its morph targets have another number of vertices".to_owned()));
        }
        let mut unique = UniqueNames::default();
        let named = |(at, morph): (usize, &'a [MorphAttributes])| {
            let name = names.get(at).cloned().unwrap_or_else(|| format!("Shape{at}"));
            (unique.take(&name), morph)
        };
        Ok(morphs.chunks_exact(points).enumerate().map(named).collect())
    }
}

impl Shape<'_> {
    /// Writes the geometry. Colours only where they are all there is: a material of USD's does not multiply by them.
    pub fn write(&self, layer: &mut LayerBuilder, prim: &Path, double_sided: bool) -> Result<(), ExportError> {
        let triples = |triples: &[[f32; 3]]| Value::Vec3fVec(triples.iter().map(|[x, y, z]| gf::vec3f(*x, *y, *z)).collect());
        layer.attribute(prim, "points", "point3f[]", triples(self.points))?;
        layer.attribute(prim, "faceVertexCounts", "int[]", Value::IntVec(vec![3; self.indices.len() / 3]))?;
        layer.attribute(prim, "faceVertexIndices", "int[]", Value::IntVec(self.indices.clone()))?;
        layer.uniform(prim, "subdivisionScheme", "token", Value::token("none"))?;
        if double_sided {
            layer.uniform(prim, "doubleSided", "bool", Value::Bool(true))?;
        }
        let corner = |least: bool| {
            let points = self.points.iter().map(|point| Vec3::from_array(*point));
            points.reduce(|a, b| if least { a.min(b) } else { a.max(b) }).unwrap_or_default()
        };
        layer.attribute(prim, "extent", "float3[]", Value::Vec3fVec(vec![vec3f(corner(true)), vec3f(corner(false))]))?;
        if let Some(normals) = self.normals {
            let path = layer.attribute(prim, "normals", "normal3f[]", triples(normals))?;
            layer.set_property_metadata(&path, "interpolation", Value::token("vertex"))?;
        }
        for (uvs, name) in self.uvs.iter().zip(["primvars:st", "primvars:st1"]) {
            if let Some(uvs) = uvs {
                let value = Value::Vec2fVec(uvs.iter().map(|[u, v]| gf::vec2f(*u, 1.0 - v)).collect());
                let path = layer.attribute(prim, name, "texCoord2f[]", value)?;
                layer.set_property_metadata(&path, "interpolation", Value::token("vertex"))?;
            }
        }
        if let Some(colors) = self.colors {
            let value = Value::Vec3fVec(colors.iter().map(|[r, g, b, _]| gf::vec3f(*r, *g, *b)).collect());
            let path = layer.attribute(prim, "primvars:displayColor", "color3f[]", value)?;
            layer.set_property_metadata(&path, "interpolation", Value::token("vertex"))?;
            if colors.iter().any(|[.., alpha]| *alpha != 1.0) {
                let value = Value::FloatVec(colors.iter().map(|[.., alpha]| *alpha).collect());
                let path = layer.attribute(prim, "primvars:displayOpacity", "float[]", value)?;
                layer.set_property_metadata(&path, "interpolation", Value::token("vertex"))?;
            }
        }
        Ok(())
    }

    /// Writes the morph targets as blend shapes below the mesh; returns their names.
    pub fn write_morphs(&self, layer: &mut LayerBuilder, prim: &Path) -> Result<Vec<String>, ExportError> {
        let mut targets = Vec::new();
        for (name, vertices) in &self.morphs {
            let path = layer.define(&format!("{}/{name}", prim.as_str()), "BlendShape")?;
            let moved: Vec<(i32, &MorphAttributes)> = (0_i32..)
                .zip(vertices.iter())
                .filter(|(_, vertex)| vertex.position != Vec3::ZERO || vertex.normal != Vec3::ZERO)
                .collect();
            let offsets =
                |of: fn(&MorphAttributes) -> Vec3| Value::Vec3fVec(moved.iter().map(|(_, vertex)| vec3f(of(vertex))).collect());
            layer.uniform(&path, "offsets", "vector3f[]", offsets(|vertex| vertex.position))?;
            layer.uniform(&path, "normalOffsets", "vector3f[]", offsets(|vertex| vertex.normal))?;
            layer.uniform(&path, "pointIndices", "int[]", Value::IntVec(moved.iter().map(|(point, _)| *point).collect()))?;
            targets.push(path);
        }
        let names: Vec<String> = self.morphs.iter().map(|(name, _)| name.clone()).collect();
        if !names.is_empty() {
            layer.uniform(prim, "skel:blendShapes", "token[]", Value::token_vec(names.clone()))?;
            layer.relationship(prim, "skel:blendShapeTargets", targets)?;
            layer.apply_schema(prim, "SkelBindingAPI")?;
        }
        Ok(names)
    }
}
