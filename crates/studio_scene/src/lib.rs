//! USD stages as entities and back, and stereo rendering of them.

pub mod export;
pub mod geometry;
pub mod look;
pub mod skeleton;
pub mod stage;
pub mod stereo;
pub mod sync;

/// The types nearly every app with a scene needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        export::{ExportOptions, ExportUsd, UsdBake, UsdExport, UsdExported},
        stage::{
            UsdChange, UsdLoadSettings, UsdPlugin, UsdPrim, UsdRequest, UsdStage, UsdStageEntities, UsdStageReady, UsdStageRoot,
            UsdStageStatus, UsdTime,
        },
        stereo::{Backdrop, SceneLook, SceneProjection, SceneSamples, SceneView, StereoPacking, StereoRig, VideoScreen},
        sync::{
            UsdShare, UsdSync, UsdSyncPlugin,
            nodes::{SceneCamera, SceneLight, SceneModel, UsdScene},
        },
    };
}
