//! How a picture covers the sphere.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// How the pixels of a picture lie on the sphere around the viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
pub enum PictureProjection {
    /// The whole sphere, longitude across (centre is straight ahead, right is east), latitude down from the zenith.
    #[default]
    Equirectangular,
    /// The front half of the sphere, 180° by 180°, in longitude and latitude.
    HalfEquirectangular,
    /// A circular equidistant fisheye looking straight ahead.
    Fisheye {
        /// Full angle of the image circle, which touches the picture's edges, in degrees.
        fov_deg: f32,
    },
    /// Six faces in three columns and two rows: right, left, up / down, front, back.
    CubeMap,
    /// A flat perspective view.
    Rectilinear {
        /// Full horizontal angle of view in degrees, below 180.
        fov_deg: f32,
    },
    /// A flat perspective view for each eye whose middle need not be straight ahead, as headsets see it.
    OffAxis {
        /// The left eye's edges (or those of the one picture), to the left, right, up and down: tangents of the angles from
        /// straight ahead, counted outwards, above 0.
        left: [f32; 4],
        /// The right eye's edges, in the same order.
        right: [f32; 4],
    },
}

/// Where the pictures of the two eyes lie in one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum StereoLayout {
    /// One picture for both eyes.
    #[default]
    Mono,
    /// Left eye above, right eye below.
    TopBottom,
    /// Left eye left, right eye right.
    LeftRight,
}
