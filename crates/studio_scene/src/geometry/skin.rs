//! Joints that hold a mesh.

use super::{
    MeshOptions, PartSkin,
    subdivide::{Blend, Refined},
};
use crate::skeleton::inverse_bindposes;
use bevy::{
    math::Mat4,
    mesh::{Mesh, VertexAttributeValues},
    pbr::MAX_JOINTS,
    platform::collections::HashMap,
};
use studio_usd::snapshot::{self, Interpolation, Skeleton, SkinBinding};

/// Joints of a point that are kept while a surface is refined.
const KEPT: usize = 8;

/// Joints of a vertex that Bevy has room for.
const SHOWN: usize = 4;

/// The joints that hold a point, at most [`KEPT`], and how much.
#[derive(Clone, Copy, Debug, Default)]
struct Holds {
    joints: [u16; KEPT],
    weights: [f32; KEPT],
}

impl Holds {
    /// Adds a joint. Where there is no room, the weakest goes.
    fn add(&mut self, joint: u16, weight: f32) {
        let mut slots = self.joints.iter_mut().zip(&mut self.weights);
        if let Some((_, held)) = slots.find(|(held, weight)| **weight > 0.0 && **held == joint) {
            *held += weight;
            return;
        }
        let weakest = self.joints.iter_mut().zip(&mut self.weights).min_by(|(_, one), (_, other)| one.total_cmp(other));
        if let Some((held, held_weight)) = weakest.filter(|(_, held)| **held < weight) {
            (*held, *held_weight) = (joint, weight);
        }
    }

    /// The joints in order, strongest first.
    fn sorted(&self) -> [(u16, f32); KEPT] {
        let mut pairs = std::array::from_fn(|at| (self.joints[at], self.weights[at]));
        pairs.sort_by(|(_, one): &(u16, f32), (_, other)| other.total_cmp(one));
        pairs
    }
}

impl Blend for Holds {
    fn add_weighted(&mut self, other: &Self, weight: f32) {
        for (joint, held) in other.joints.iter().zip(&other.weights) {
            if *held * weight > 0.0 {
                self.add(*joint, *held * weight);
            }
        }
    }
}

/// The joints that hold the points of a mesh, as its parts need them.
pub(crate) struct Skin {
    part: PartSkin,
    /// Per point, places in the part's joints and weights that add up to one.
    joints: Vec<[u16; SHOWN]>,
    weights: Vec<[f32; SHOWN]>,
}

impl Skin {
    /// Reads the binding of a mesh; `None` if it has none, or none that makes sense (which is noted).
    pub fn of(
        mesh: &snapshot::Mesh,
        options: &MeshOptions,
        refined: &Refined,
        points: usize,
        notes: &mut Vec<String>,
    ) -> Option<Self> {
        let (binding, skeleton) = (mesh.skin.as_ref()?, options.skeleton.as_ref()?);
        if binding.joint_indices.is_empty() {
            return None;
        }
        if binding.dual_quaternion {
            notes.push(
                "skel:skinningMethod is dualQuaternion; joints are blended linearly, so twisted limbs get thinner".to_owned(),
            );
        }
        let places = joint_places(binding, skeleton, notes)?;
        let holds = refined.refine(holds(binding, &places, points, notes)?);
        Some(Self::new(binding, skeleton, &holds, notes))
    }

    fn new(binding: &SkinBinding, skeleton: &Skeleton, holds: &[Holds], notes: &mut Vec<String>) -> Self {
        let mut is_used = vec![false; skeleton.joints.len()];
        let (mut cut, mut largest_loss) = (0, 0.0_f32);
        let mut shown = Vec::with_capacity(holds.len());
        for holds in holds {
            let sorted = holds.sorted();
            let (kept, lost) = sorted.split_at(SHOWN);
            let lost: f32 = lost.iter().map(|(_, weight)| weight).sum();
            let sum: f32 = kept.iter().map(|(_, weight)| weight).sum();
            if lost > 0.0 {
                cut += 1;
                largest_loss = largest_loss.max(lost / (lost + sum));
            }
            // A point that nothing holds follows the first joint, rather than falling to the origin.
            let scale = if sum > 0.0 { 1.0 / sum } else { 0.0 };
            let joints: [u16; SHOWN] =
                std::array::from_fn(|at| kept.get(at).filter(|(_, weight)| *weight > 0.0).map_or(0, |hold| hold.0));
            let mut weights: [f32; SHOWN] = std::array::from_fn(|at| kept.get(at).map_or(0.0, |hold| hold.1 * scale));
            if sum <= 0.0 {
                weights[0] = 1.0;
            }
            for (joint, weight) in joints.iter().zip(weights) {
                if let Some(used) = is_used.get_mut(*joint as usize).filter(|_| weight > 0.0) {
                    *used = true;
                }
            }
            shown.push((joints, weights));
        }
        if cut > 0 {
            let percent = largest_loss * 100.0;
            notes.push(format!(
                "{cut} points are held by more than {SHOWN} joints; the strongest {SHOWN} stay (at most {percent:.1} % of a hold is lost)"
            ));
        }
        let joints: Vec<u32> = (0_u32..).zip(&is_used).filter(|(_, used)| **used).map(|(joint, _)| joint).collect();
        if joints.len() > MAX_JOINTS {
            let count = joints.len();
            notes.push(format!("{count} joints hold the mesh; GPUs without storage buffers show only {MAX_JOINTS}"));
        }
        let mut place = vec![0; skeleton.joints.len()];
        for (at, joint) in joints.iter().enumerate() {
            if let Some(place) = place.get_mut(*joint as usize) {
                *place = at as u16;
            }
        }
        let (inverse_bindposes, problem) = inverse_bindposes(skeleton, &joints, binding.geom_bind_transform);
        notes.extend(problem);
        let local = |joint: u16| place.get(joint as usize).copied().unwrap_or_default();
        let (joints_of_points, weights) = shown.into_iter().map(|(joints, weights)| (joints.map(local), weights)).unzip();
        let inverse_bindposes: Vec<Mat4> = inverse_bindposes;
        Self { part: PartSkin { joints, inverse_bindposes }, joints: joints_of_points, weights }
    }

    /// Adds the joints to a part's mesh.
    pub fn insert(&self, mesh: &mut Mesh, point_of_vertex: &[u32]) -> PartSkin {
        let joints = point_of_vertex.iter().map(|point| self.joints.get(*point as usize).copied().unwrap_or_default());
        let weights =
            point_of_vertex.iter().map(|point| self.weights.get(*point as usize).copied().unwrap_or([1.0, 0.0, 0.0, 0.0]));
        mesh.insert_attribute(Mesh::ATTRIBUTE_JOINT_INDEX, VertexAttributeValues::Uint16x4(joints.collect()));
        mesh.insert_attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT, VertexAttributeValues::Float32x4(weights.collect()));
        // Bounds that follow the joints; a mesh without any is culled by where it was bound.
        if mesh.generate_skinned_mesh_bounds().is_err() {
            mesh.set_skinned_mesh_bounds(None);
        }
        self.part.clone()
    }
}

/// The places in the skeleton of the joints that the binding counts; `None` for those that the skeleton lacks.
fn joint_places(binding: &SkinBinding, skeleton: &Skeleton, notes: &mut Vec<String>) -> Option<Vec<Option<u16>>> {
    let count = skeleton.joints.len();
    if count == 0 || count > usize::from(u16::MAX) {
        notes.push(format!("the mesh is not skinned: its skeleton has {count} joints, 1 to {} can be used", u16::MAX));
        return None;
    }
    if binding.joints.is_empty() {
        return Some((0..count as u16).map(Some).collect());
    }
    let by_name: HashMap<&str, u16> = skeleton.joints.iter().zip(0..).map(|(name, place)| (name.as_str(), place)).collect();
    let places: Vec<Option<u16>> = binding.joints.iter().map(|name| by_name.get(name.as_str()).copied()).collect();
    if let Some((name, _)) = binding.joints.iter().zip(&places).find(|(_, place)| place.is_none()) {
        let missing = places.iter().filter(|place| place.is_none()).count();
        notes.push(format!("{missing} of skel:joints are not in the skeleton, the first is {name:?}; they hold nothing"));
    }
    Some(places)
}

/// What holds each point.
fn holds(binding: &SkinBinding, places: &[Option<u16>], points: usize, notes: &mut Vec<String>) -> Option<Vec<Holds>> {
    let width = binding.influences_per_point;
    let rows = if binding.interpolation == Interpolation::Constant { 1 } else { points };
    let (indices, weights) = (&binding.joint_indices, &binding.joint_weights);
    let needed = rows.saturating_mul(width);
    if width == 0 || indices.len() < needed || weights.len() < needed {
        notes.push(format!(
            "the mesh is not skinned: primvars:skel:jointIndices has {} and jointWeights {} values where {rows} times elementSize \
             ({width}) are needed",
            indices.len(),
            weights.len()
        ));
        return None;
    }
    let mut wrong = 0;
    let mut rows: Vec<Holds> = indices
        .chunks_exact(width)
        .zip(weights.chunks_exact(width))
        .take(rows)
        .map(|(indices, weights)| {
            let mut holds = Holds::default();
            for (index, weight) in indices.iter().zip(weights).filter(|(_, weight)| **weight > 0.0 && weight.is_finite()) {
                match places.get(*index as usize) {
                    Some(Some(joint)) => holds.add(*joint, *weight),
                    Some(None) => {}
                    None => wrong += 1,
                }
            }
            holds
        })
        .collect();
    if wrong > 0 {
        notes.push(format!("{wrong} of primvars:skel:jointIndices are no joints of the {}; they hold nothing", places.len()));
    }
    if binding.interpolation == Interpolation::Constant {
        let only = rows.first().copied().unwrap_or_default();
        rows = vec![only; points];
    }
    Some(rows)
}
