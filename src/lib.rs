//! Neural Studio: a live spatial broadcaster made of Bevy plugins.
//!
//! Add [`NeuralStudioPlugins`] to an app, spawn nodes, connect their pins:
//!
//! ```no_run
//! use bevy::prelude::*;
//! use neural_studio::prelude::*;
//!
//! fn main() -> AppExit {
//!     neural_studio::app(AppWindow::None).expect("a GPU").add_systems(Startup, set_up).run()
//! }
//!
//! fn set_up(mut commands: Commands) {
//!     let pattern = commands.spawn(TestPatternInput::default()).id();
//!     let window = commands.spawn(WindowOutput::default()).id();
//!     commands.connect(pattern, "frame", window, "frame");
//! }
//! ```

pub mod app;
pub mod quality;

pub use app::{AppWindow, app, app_from_args, app_with_headset};
pub use {
    studio_editor, studio_effects, studio_frame, studio_gpu, studio_graph, studio_media, studio_profile, studio_scene,
    studio_stream, studio_usd, studio_view, studio_vision, studio_xr,
};

use bevy::{app::PluginGroupBuilder, prelude::*};

/// Every stage of the studio. Add it after `DefaultPlugins`, or use [`app()`], which does.
///
/// | stage | plugin | what it adds |
/// |---|---|---|
/// | the graph | [`GraphPlugin`](studio_graph::GraphPlugin) | nodes, pins, links, compiled order, failures |
/// | GPU | [`StudioGpuPlugin`](studio_gpu::StudioGpuPlugin) | upload, the driver of GPU nodes, `ColorConvert`, `CameraMove`, `LatencyMark`, `Preview`, `WindowOutput` |
/// | media | [`StudioMediaPlugin`](studio_media::nodes::StudioMediaPlugin) | `CameraInput`, `VideoFileInput`, `StillInput`, `TestPatternInput`, `VideoEncoder`, `Recorder`, `AudioFileInput`, `MicrophoneInput`, `ToneInput`, `AudioEncoder`, `AudioOutput` |
/// | vision | [`StudioVisionPlugin`](studio_vision::nodes::StudioVisionPlugin) | `Stitch`, `Stabilise`, `OpticalFlow`, `Disparity`, `FrameSynthesis` |
/// | effects | [`StudioEffectsPlugin`](studio_effects::StudioEffectsPlugin) | `Transform2d`, `Crop`, `Blend`, `Switch`, `ColorCorrection`, `TextOverlay` |
/// | stages | [`UsdPlugin`](studio_scene::stage::UsdPlugin) | USD stages as entities: `UsdStageRoot` |
/// | | [`UsdSyncPlugin`](studio_scene::sync::UsdSyncPlugin) | stages, entities and graph in step; `UsdScene`, `SceneModel`, `SceneCamera`, `SceneLight` |
/// | | [`UsdExportPlugin`](studio_scene::export::UsdExportPlugin) | the message `ExportUsd` |
/// | scene | [`SceneViewPlugin`](studio_scene::stereo::SceneViewPlugin) | `SceneView`, `Backdrop`, `VideoScreen` |
/// | stream | [`StudioStreamPlugin`](studio_stream::nodes::StudioStreamPlugin) | `WebTransportOutput` |
/// | profiles | [`StudioProfilePlugin`](studio_profile::StudioProfilePlugin) | `VirtualCamera`, `EyeView`, headset profiles |
/// | view | [`StudioViewPlugin`](studio_view::StudioViewPlugin) | `StreamInput`, `SphereView` |
/// | headset | [`HeadsetOutputPlugin`](studio_xr::HeadsetOutputPlugin) | `HeadsetOutput`; the headset itself comes with [`app_with_headset`] |
///
/// Each can be left out or replaced: `NeuralStudioPlugins.build().disable::<StudioStreamPlugin>()`.
pub struct NeuralStudioPlugins;

impl PluginGroup for NeuralStudioPlugins {
    fn build(self) -> PluginGroupBuilder {
        PluginGroupBuilder::start::<Self>()
            .add(studio_graph::GraphPlugin)
            .add(studio_gpu::StudioGpuPlugin)
            .add(studio_media::nodes::StudioMediaPlugin)
            .add(studio_vision::nodes::StudioVisionPlugin)
            .add(studio_effects::StudioEffectsPlugin)
            .add(studio_scene::stage::UsdPlugin)
            .add(studio_scene::sync::UsdSyncPlugin)
            .add(studio_scene::export::UsdExportPlugin)
            .add(studio_scene::stereo::SceneViewPlugin)
            .add(studio_stream::nodes::StudioStreamPlugin)
            .add(studio_profile::StudioProfilePlugin)
            .add(studio_view::StudioViewPlugin)
            .add(studio_xr::HeadsetOutputPlugin)
    }
}

/// The types nearly every app needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{AppWindow, NeuralStudioPlugins, app};
    #[doc(hidden)]
    pub use studio_editor::prelude::*;
    #[doc(hidden)]
    pub use studio_effects::prelude::*;
    #[doc(hidden)]
    pub use studio_frame::prelude::*;
    #[doc(hidden)]
    pub use studio_gpu::prelude::*;
    #[doc(hidden)]
    pub use studio_graph::prelude::*;
    #[doc(hidden)]
    pub use studio_media::prelude::*;
    #[doc(hidden)]
    pub use studio_profile::prelude::*;
    #[doc(hidden)]
    pub use studio_scene::prelude::*;
    #[doc(hidden)]
    pub use studio_stream::nodes::*;
    #[doc(hidden)]
    pub use studio_view::prelude::*;
    #[doc(hidden)]
    pub use studio_vision::prelude::*;
    #[doc(hidden)]
    pub use studio_xr::prelude::*;
}
