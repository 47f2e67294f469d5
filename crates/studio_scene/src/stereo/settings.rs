//! The `SceneView` node's settings.

use super::{camera::SceneLook, plan::MAX_STRIPS};
use bevy::prelude::*;
use studio_frame::prelude::*;
use studio_graph::prelude::*;
use studio_vision::rig::{MAX_LENSES, Rig};

/// How two flat pictures go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum StereoPacking {
    /// Left and right halves of one picture.
    #[default]
    SideBySide,
    /// Upper and lower halves of one picture, the left eye above.
    TopBottom,
    /// One picture for each eye, on outputs of their own.
    TwoPictures,
}

/// What kind of picture of the scene is made.
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
pub enum SceneProjection {
    /// A flat picture, as the camera sees it.
    #[default]
    Flat,
    /// Flat pictures of two eyes.
    StereoFlat {
        /// How they go out.
        packing: StereoPacking,
    },
    /// The whole sphere around the camera, longitude across and latitude down: twice as wide as high.
    Equirect360Mono,
    /// The whole sphere for two eyes (omnidirectional stereo), the left eye above: as wide as high.
    Equirect360Stereo,
    /// The front half of the sphere for two eyes, side by side, each a square in longitude and latitude: twice as wide as high.
    Vr180Stereo,
    /// What the lenses of a rig would film, each exactly after its lens model: what the stitch of the same rig takes.
    Lenses {
        /// The rig.
        rig: Handle<Rig>,
        /// How many pictures the rig delivers, 1 to 16: the node has an output for each.
        pictures: u32,
    },
}

/// Films the scene: a picture as a camera in it sees it, flat, for two eyes, of all around, or through the lenses of a rig.
/// Without a link it makes pictures at its own rate; with one, a picture for each that comes in, with its time stamp: link
/// the video that the scene shows, so that latency stays true.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct SceneView {
    /// Where to look from: the name of an entity, or its path through the scene such as `/World/Camera`. Empty: the first
    /// camera of the scene, or, where there is none, the origin. A camera that is linked comes first.
    pub camera: String,
    /// What kind of picture.
    pub projection: SceneProjection,
    /// Width and height of the whole picture in pixels, both eyes' parts included. Lenses have the shape of their rig's
    /// pictures, as wide as this says.
    pub size: UVec2,
    /// Pictures a second where nothing is linked, 1 to 240.
    #[reflect(@1.0..=240.0_f32)]
    pub fps: f32,
    /// Distance between the eyes in metres, 0 to 1; a stereo rig on the camera has its own.
    #[reflect(@0.0..=1.0_f32)]
    pub ipd_m: f32,
    /// Distance in metres at which flat stereo has no parallax, 0 to 1000; 0 is infinitely far. A stereo rig has its own.
    #[reflect(@0.0..=1000.0_f32)]
    pub convergence_m: f32,
    /// Into how many strips the circle is cut for stereo of the sphere, 4 to 256: more are truer near by, and each strip is six
    /// cameras.
    #[reflect(@4..=MAX_STRIPS)]
    pub strips: u32,
    /// Samples of each pixel, across and down, that pictures of the sphere and of lenses take from the cameras' pictures, 1 to 8.
    #[reflect(@1..=8_u32)]
    pub samples: u32,
    /// How fine the cameras' pictures are, in their middle, measured by the pixels of the picture that goes out, 0.25 to 4.
    #[reflect(@0.25..=4.0_f32)]
    pub density: f32,
    /// What is nearer than this, in metres, is cut off; 0.001 to 10.
    #[reflect(@0.001..=10.0_f32)]
    pub near_m: f32,
    /// How the pictures look.
    pub look: SceneLook,
}

impl Default for SceneView {
    fn default() -> Self {
        Self {
            camera: String::new(),
            projection: SceneProjection::Flat,
            size: UVec2::new(1920, 1080),
            fps: 30.0,
            ipd_m: 0.063,
            convergence_m: 0.0,
            strips: 32,
            samples: 2,
            density: 1.25,
            near_m: 0.05,
            look: SceneLook::default(),
        }
    }
}

impl NodeKind for SceneView {
    const DISPLAY_NAME: &'static str = "Scene view";
    const CATEGORY: &'static str = "Scene";

    fn pins(&self) -> Vec<PinSpec> {
        let output = |name: String| PinSpec::output(name, DataType::VIDEO_FRAME);
        let outputs: Vec<PinSpec> = match &self.projection {
            SceneProjection::StereoFlat { packing: StereoPacking::TwoPictures } => {
                vec![output("left".to_owned()), output("right".to_owned())]
            }
            SceneProjection::Lenses { pictures, .. } => {
                (1..=(*pictures).clamp(1, MAX_LENSES as u32)).map(|number| output(format!("picture {number}"))).collect()
            }
            _ => vec![output("frame".to_owned())],
        };
        let inputs = [PinSpec::input("pace", DataType::VIDEO_FRAME), PinSpec::input("camera", DataType::CAMERA)];
        inputs.into_iter().chain(outputs).collect()
    }
}

impl SceneView {
    /// What the pictures that go out say of themselves; `fov_deg` is the horizontal angle of a flat one.
    pub(super) fn shape(&self, fov_deg: f32) -> (PictureProjection, StereoLayout) {
        let flat = PictureProjection::Rectilinear { fov_deg };
        match &self.projection {
            SceneProjection::Flat | SceneProjection::Lenses { .. } => (flat, StereoLayout::Mono),
            SceneProjection::StereoFlat { packing } => {
                let layout = match packing {
                    StereoPacking::SideBySide => StereoLayout::LeftRight,
                    StereoPacking::TopBottom => StereoLayout::TopBottom,
                    StereoPacking::TwoPictures => StereoLayout::Mono,
                };
                (flat, layout)
            }
            SceneProjection::Equirect360Mono => (PictureProjection::Equirectangular, StereoLayout::Mono),
            SceneProjection::Equirect360Stereo => (PictureProjection::Equirectangular, StereoLayout::TopBottom),
            SceneProjection::Vr180Stereo => (PictureProjection::HalfEquirectangular, StereoLayout::LeftRight),
        }
    }
}
