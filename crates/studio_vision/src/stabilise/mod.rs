//! Stabilisation of the sphere: where the rig looked from moment to moment, and how its picture is turned against that.
//!
//! A turn of the camera is one rotation of the whole sphere, so that nothing is cropped and nothing but the rotation has to be known:
//!
//! 1. **Where the rig looked** is a [`RotationTrack`]: from an [`ImuLog`] by a complementary filter ([`attitude`]), or from the motion
//!    between stitched pictures ([`camera_rotation`]), added up.
//! 2. **Where the picture shall look** is the same path, smoothed: [`Smoothing`].
//! 3. **The correction** between the two goes into the map of a stitch, which costs no further resample, or turns a picture that is
//!    stitched already ([`TurnPass`]).
//!
//! Frames of reference are those of rigs: x right, y down, z ahead. The world's y points down along gravity.

mod attitude;
mod carry;
mod level;
mod log;
mod picture;
mod rows;
mod settings;
mod smooth;
mod sync;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod track;
mod turn;

pub use attitude::{ComplementaryFilter, attitude};
pub use carry::turned_motion;
pub use level::{Level, level_from_gravity, level_from_horizon};
pub use log::{Axes, ImuLog, ImuLogError, ImuSample};
pub use picture::{FrameRotation, camera_rotation};
pub use rows::{ReadoutDirection, RowMotion};
pub use settings::{ImuMounting, ImuTrack, Stabiliser};
pub use smooth::{CausalSmoother, Smoothing, smoothed};
pub use sync::{TimeOffset, estimate_offset};
pub use track::RotationTrack;
pub use turn::TurnPass;
