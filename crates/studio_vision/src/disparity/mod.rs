//! Disparity and depth from two pictures, on the GPU.
//!
//! [`DisparityPass`] matches a rectified pair by semi-global matching: Hirschmüller, *Stereo Processing by Semiglobal Matching and
//! Mutual Information* (PAMI 2008), on costs as in Mei et al., *On Building an Accurate Stereo Matching System on Graphics
//! Hardware* (GPUCV 2011). A pixel's cost at a disparity is how much its colour differs from the other picture's (truncated), and
//! in how many places their census transforms differ (Zabih and Woodfill, *Non-parametric Local Transforms for Computing
//! Visual Correspondence*, ECCV 1994; 9 × 7 pixels). Costs are averaged over a cross of like colour around each pixel, then
//! gathered along four or eight paths. The least sum is taken, placed between whole disparities by a parabola, and dropped where it
//! is not unique or the right picture's pixel disagrees; small islands go; holes are filled from the farther side, as
//! what one eye cannot see lies behind; a median smooths. All of it in whole numbers: every GPU gives the same disparities.
//!
//! [`DepthPass`] puts the rest around it: it rectifies by a calibration ([`Rectification`]), lays pictures of the sphere on their side
//! so that both eyes see a point in one row, and turns disparities into metres.

mod calibration;
mod depth;
mod network;
mod pass;
mod plan;
mod rectify;
#[cfg(test)]
mod reference;
mod settings;
mod sphere;
#[cfg(test)]
mod tests;

pub use calibration::read_stereo_rig;
pub use depth::{DepthPass, DepthSettings, EyePart, StereoCameras};
pub use network::NetworkDepth;
pub use pass::DisparityPass;
pub use plan::DisparityPlan;
pub use rectify::Rectification;
pub use settings::{DisparityError, DisparityPaths, DisparityQuality, DisparitySettings};

/// What a disparity buffer holds where there is no disparity.
pub const NO_DISPARITY: i32 = plan::HOLE;
