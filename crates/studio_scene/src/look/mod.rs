//! Materials, textures, lights and cameras: from a stage's plain data to Bevy's components.
//!
//! - [`material`](fn@material): `UsdPreviewSurface` to [`StandardMaterial`], with textures made by [`texture`].
//! - [`insert_light`]: `UsdLux` to Bevy's lights in photometric units; [`dome`]: skies.
//! - [`insert_camera`]: film back, focus, exposure.
//!
//! [`LookPlugin`] keeps lights, eyes and skies as their prims' components say.

pub mod camera;
pub mod default_light;
pub mod dome;
pub mod light;
pub mod material;
pub mod photometry;
#[cfg(test)]
mod rendered;
#[cfg(test)]
mod tests;
pub mod texture;

pub use camera::{
    ApertureFit, CameraOptions, EyeOf, Eyes, LensFocus, StereoEye, UsdCamera, UsdProjection, camera_is_animated, exposure,
    insert_camera, remove_camera,
};
pub use default_light::{DefaultLighting, Headlight};
pub use dome::{BakedDome, DomeLight, DomeMaps, DomeOptions, StageView, bake_dome};
pub use light::{AreaLights, LightOptions, MadeLight, UsdLight, dome_light, insert_light, light_is_animated, remove_light};
pub use material::{
    MadeMaterial, MaterialOptions, MaterialTexture, TextureSlot, VertexColor, display_material, material, uv_primvars,
};
pub use texture::{TextureBaker, TextureOptions, TextureRecipe, TextureSet, TextureSource};

use bevy::{
    camera::{CameraUpdateSystems, visibility::VisibilitySystems},
    prelude::*,
    transform::TransformSystems,
};

/// Keeps Bevy's lights, cameras and skies as the components of their prims say: [`UsdLight`], [`UsdCamera`], [`DomeLight`]. What does not
/// change costs a look at its change ticks.
pub struct LookPlugin;

impl Plugin for LookPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<DefaultLighting>();
        let updates = (
            light::update_lights,
            camera::update_eyes.before(CameraUpdateSystems),
            default_light::update_headlight,
            dome::update_skies,
        );
        app.add_systems(PostUpdate, updates.chain().after(TransformSystems::Propagate).before(VisibilitySystems::UpdateFrusta));
    }
}

/// A number if there is one that is finite.
fn finite_or(value: Option<f32>, otherwise: f32) -> f32 {
    value.filter(|value| value.is_finite()).unwrap_or(otherwise)
}
