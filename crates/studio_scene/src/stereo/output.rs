//! Finished pictures that are copied to where they belong.
//!
//! A camera of Bevy renders into a texture of its own and draws that, pixel by pixel, into its target. Where both have the same
//! size and format that is a copy, and graphics processors copy faster than they draw.

use super::rig::RigCamera;
use bevy::{
    camera::CameraOutputMode,
    core_pipeline::{
        Core3d, Core3dSystems,
        upscaling::{ViewUpscalingPipeline, upscaling},
    },
    prelude::*,
    render::{
        Extract, ExtractSchedule, RenderApp,
        camera::ExtractedCamera,
        renderer::{RenderContext, RenderGraph, RenderGraphSystems, ViewQuery},
        sync_world::RenderEntity,
        view::ViewTarget,
    },
};

/// In the render world: the cameras of rigs.
#[derive(Resource, Default)]
struct RigViews(Vec<Entity>);

/// On a view in the render world: its picture is copied.
#[derive(Component)]
struct CopiesPicture;

fn extract_rig_views(cameras: Extract<Query<RenderEntity, With<RigCamera>>>, mut views: ResMut<RigViews>) {
    views.0.clear();
    views.0.extend(cameras.iter());
}

/// Whether drawing a camera's picture into its target would store the same bytes there, pixel for pixel.
fn is_a_copy(camera: &ExtractedCamera, target: &ViewTarget) -> bool {
    let whole = camera.viewport.is_none() && matches!(camera.output_mode, CameraOutputMode::Write { blend_state: None, .. });
    let (Some(view), from) = (target.out_texture(), target.main_texture()) else { return false };
    let into = view.texture();
    let alike = target.out_texture_view_format() == Some(target.main_texture_format())
        && into.format().remove_srgb_suffix() == from.format().remove_srgb_suffix()
        && into.size() == from.size()
        && into.mip_level_count() == 1
        && into.sample_count() == 1;
    whole && alike && into.usage().contains(wgpu::TextureUsages::COPY_DST) && from.usage().contains(wgpu::TextureUsages::COPY_SRC)
}

/// Decides for each camera of a rig, once its target is known.
fn choose(world: &mut World) {
    let views = world.resource::<RigViews>().0.clone();
    for view in views {
        let Ok(mut view) = world.get_entity_mut(view) else { continue };
        let copies = match (view.get::<ExtractedCamera>(), view.get::<ViewTarget>()) {
            (Some(camera), Some(target)) => is_a_copy(camera, target),
            _ => false,
        };
        if copies {
            view.remove::<ViewUpscalingPipeline>();
            view.insert(CopiesPicture);
        } else {
            view.remove::<CopiesPicture>();
        }
    }
}

fn copy_picture(view: ViewQuery<&ViewTarget, With<CopiesPicture>>, mut ctx: RenderContext) {
    let target = view.into_inner();
    let Some(out) = target.out_texture() else { return };
    // Asked for once, so that a camera that comes after this one does not clear the picture.
    _ = target.out_texture_color_attachment(None);
    let (from, into) = (target.main_texture(), out.texture());
    ctx.command_encoder().copy_texture_to_texture(from.as_image_copy(), into.as_image_copy(), from.size());
}

pub(super) fn plugin(app: &mut App) {
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app
        .init_resource::<RigViews>()
        .add_systems(ExtractSchedule, extract_rig_views)
        .add_systems(RenderGraph, choose.in_set(RenderGraphSystems::Begin))
        .add_systems(Core3d, copy_picture.after(Core3dSystems::PostProcess).before(upscaling));
}
