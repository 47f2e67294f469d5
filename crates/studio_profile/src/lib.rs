//! Headset profiles, and virtual cameras: one graph seen through many profiles at once.
//!
//! | module | what it does |
//! |---|---|
//! | [`profile`] | [`HeadsetProfile`](profile::HeadsetProfile): what is known of a headset, each value with its source |
//! | [`mod@read`] | profiles from files, the studio's own form and the one of other tools |
//! | [`library`] | the profiles there are: those that come with the program and the user's own; assets, hot reload |
//! | [`eye`] | fields of view, their tangents and projections |
//! | [`level`] | what levels of H.264, H.265 and AV1 allow |
//! | [`plan`] | which stream a headset gets |
//! | [`camera`] | virtual cameras: one graph seen through many profiles at once |

pub mod camera;
pub mod eye;
pub mod level;
pub mod library;
pub mod plan;
pub mod profile;
pub mod read;

use bevy::prelude::*;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        StudioProfilePlugin,
        camera::{CameraStatus, EyeView, VirtualCamera},
        eye::{EyeFov, EyeTangents},
        library::HeadsetLibrary,
        plan::{PlanRequest, StreamPlan},
        profile::{HeadsetProfile, Origin, ProfileProjection, Sourced},
    };
}

/// Adds the library of headset profiles, and the nodes [`VirtualCamera`](camera::VirtualCamera) and
/// [`EyeView`](camera::EyeView). Needs the plugins of the graph, the GPU, media and streams before it.
pub struct StudioProfilePlugin;

impl Plugin for StudioProfilePlugin {
    fn build(&self, app: &mut App) {
        library::plugin(app);
        camera::plugin(app);
    }
}
