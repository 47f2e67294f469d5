//! Poses of skeletons and weights of blend shapes at a time, from plain data.
//!
//! A skeleton's joints are entities below one that stands for the skeleton: `joint_transforms` gives each its `Transform` below its parent,
//! Bevy's transform propagation does the rest, and a mesh that is bound to it takes [`PartSkin`](crate::geometry::PartSkin). Blend shapes
//! are `MorphWeights`: [`morph_weights`] gives the weights in the order of the mesh's targets.

mod pose;
mod weights;

pub use pose::{Pose, inverse_bindposes, joint_local_transforms, joint_transforms, skeleton_space};
pub use weights::morph_weights;

#[cfg(test)]
mod tests;
