//! Blend shapes as morph targets.

use super::{
    MeshOptions, MorphTarget,
    update::{MovedPoints, NormalRule, Surface},
};
use bevy::{
    math::Vec3,
    mesh::{
        Mesh,
        morph::{MAX_MORPH_WEIGHTS, MorphAttributes},
    },
};
use studio_usd::snapshot::{self, BlendShape};

/// Vertices times targets that one part may have: each is 48 bytes.
const MAX_MORPH_VERTICES: usize = 1 << 23;

/// A target: how far each point and each normal moves.
struct Offsets {
    target: MorphTarget,
    points: Vec<Vec3>,
    /// For each point, face or value of the file's normals; empty if normals stay.
    normals: Vec<Vec3>,
}

/// The targets of a mesh.
pub(crate) struct Morphs {
    targets: Vec<Offsets>,
    normals_by_point: bool,
}

impl Morphs {
    /// Reads the blend shapes of a mesh at its points. What does not fit is noted and left out.
    pub fn of(mesh: &snapshot::Mesh, options: &MeshOptions, surface: &Surface, points: &[Vec3], notes: &mut Vec<String>) -> Self {
        // Offsets of the file's normals are by point.
        let by_point = surface.normals != NormalRule::Flat;
        let mut morphs = Self { targets: Vec::new(), normals_by_point: by_point };
        let Some(binding) = &mesh.skin else { return morphs };
        if options.blend_shapes.is_empty() || binding.blend_shapes.is_empty() {
            return morphs;
        }
        let rest = surface.moved(points.to_vec());
        let mut left_out = 0;
        let shapes = binding.blend_shapes.iter().zip(&options.blend_shapes).enumerate();
        for (number, ((name, path), shape)) in shapes {
            let Some(shape) = shape else {
                notes.push(format!("the blend shape {name:?} is left out: there is no prim at {path}"));
                continue;
            };
            let main = (name.clone(), None, &shape.offsets, &shape.normal_offsets);
            let between = shape.inbetweens.iter().enumerate();
            let between =
                between.map(|(at, (inner, _, offsets, normals))| (format!("{name}:{inner}"), Some(at), offsets, normals));
            for (name, inbetween, offsets, normals) in std::iter::once(main).chain(between) {
                if morphs.targets.len() == MAX_MORPH_WEIGHTS
                    || (morphs.targets.len() + 1).saturating_mul(rest.points.len()) > MAX_MORPH_VERTICES
                {
                    left_out += 1;
                    continue;
                }
                let target = MorphTarget { name, blend_shape: number, inbetween };
                match dense(shape, offsets, points.len()) {
                    Ok(offsets) => {
                        let normals = dense(shape, normals, points.len()).unwrap_or_default();
                        morphs.targets.push(Offsets::new(target, offsets, normals, surface, points, &rest));
                    }
                    Err(reason) => notes.push(format!("the blend shape {:?} is left out: {reason}", target.name)),
                }
            }
        }
        if left_out > 0 {
            notes.push(format!(
                "{left_out} blend shapes and inbetweens are left out: {MAX_MORPH_WEIGHTS} a mesh, and {MAX_MORPH_VERTICES} vertices \
                 together, is the most"
            ));
        }
        morphs
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Adds the targets to a part's mesh.
    pub fn insert(
        &self,
        mesh: &mut Mesh,
        point_of_vertex: &[u32],
        normal_of_vertex: &[u32],
        notes: &mut Vec<String>,
    ) -> Vec<MorphTarget> {
        if self.targets.is_empty() {
            return Vec::new();
        }
        if self.targets.len().saturating_mul(point_of_vertex.len()) > 4 * MAX_MORPH_VERTICES {
            notes.push("blend shapes are left out: its points have too many vertices".to_owned());
            return Vec::new();
        }
        let mut attributes = Vec::with_capacity(self.targets.len() * point_of_vertex.len());
        let at = |values: &[Vec3], place: u32| values.get(place as usize).copied().unwrap_or_default();
        for offsets in &self.targets {
            attributes.extend(point_of_vertex.iter().zip(normal_of_vertex).map(|(point, normal)| {
                let normal = at(&offsets.normals, if self.normals_by_point { *point } else { *normal });
                MorphAttributes::new(at(&offsets.points, *point), normal, Vec3::ZERO)
            }));
        }
        mesh.set_morph_targets(attributes);
        mesh.set_morph_target_names(self.targets.iter().map(|offsets| offsets.target.name.clone()).collect());
        self.targets.iter().map(|offsets| offsets.target.clone()).collect()
    }
}

impl Offsets {
    fn new(
        target: MorphTarget,
        offsets: Vec<Vec3>,
        normal_offsets: Vec<Vec3>,
        surface: &Surface,
        points: &[Vec3],
        rest: &MovedPoints,
    ) -> Self {
        let normals = match surface.normals {
            NormalRule::Authored => normal_offsets,
            // Computed normals are those of the blended shape.
            NormalRule::Smooth | NormalRule::Flat => {
                let blended = points.iter().zip(&offsets).map(|(point, offset)| *point + *offset).collect();
                let blended = surface.moved(blended);
                blended.normals().iter().zip(rest.normals()).map(|(blended, rest)| *blended - *rest).collect()
            }
        };
        Self { target, points: surface.refined.refine(offsets), normals }
    }
}

/// One offset for each point.
fn dense(shape: &BlendShape, offsets: &[Vec3], points: usize) -> Result<Vec<Vec3>, String> {
    if let Some(at) = offsets.iter().position(|offset| !offset.is_finite()) {
        return Err(format!("offsets[{at}] is not a finite number"));
    }
    if shape.point_indices.is_empty() {
        if offsets.len() > points {
            return Err(format!("it has {} offsets for {points} points", offsets.len()));
        }
        let mut dense = offsets.to_vec();
        dense.resize(points, Vec3::ZERO);
        return Ok(dense);
    }
    if offsets.len() != shape.point_indices.len() && !offsets.is_empty() {
        return Err(format!("it has {} offsets for {} pointIndices", offsets.len(), shape.point_indices.len()));
    }
    let mut dense = vec![Vec3::ZERO; points];
    for (at, (index, offset)) in shape.point_indices.iter().zip(offsets).enumerate() {
        match dense.get_mut(*index as usize) {
            Some(slot) => *slot = *offset,
            None => return Err(format!("pointIndices[{at}] is {index}, but there are only {points} points")),
        }
    }
    Ok(dense)
}
