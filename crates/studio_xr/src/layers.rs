//! Images as layers of the compositor, from the back to the front.

use crate::{
    error::{Called, XrError},
    images::XrImages,
    pose::posef,
    session::{XrFrame, XrSession},
    shape::{Shape, SphereAngles},
    veil::Veil,
};
use bevy::prelude::*;
use openxr::{
    CompositionLayerBase, CompositionLayerEquirect2KHR, CompositionLayerFlags, CompositionLayerProjection,
    CompositionLayerProjectionView, CompositionLayerQuad, EnvironmentBlendMode, Extent2Df, EyeVisibility, Vulkan,
};
use studio_frame::prelude::*;

/// The width of the panel's whole image where it hangs, in metres.
const PANEL_WIDTH_M: f32 = 1.1;
/// Where the panel hangs: so far away, and so far below the horizon.
const PANEL_DISTANCE_M: f32 = 1.4;
const PANEL_DOWN_DEG: f32 = 28.0;

/// What is seen beside the picture.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    pub scene: bool,
    /// The part of the panel's image that has words in it, in pixels; none where the panel is hidden.
    pub panel: Option<UVec2>,
    /// How dark the veil is, from 0 to 1.
    pub veil: f32,
}

/// Ends the frame with everything that is to be seen, from the back to the front. Returns the layers' names.
pub(crate) fn submit(
    session: &mut XrSession,
    frame: &XrFrame,
    kind: Option<(Shape, StereoLayout)>,
    blend: EnvironmentBlendMode,
    beside: Beside,
) -> Result<Vec<&'static str>, XrError> {
    let XrSession { eyes, content, scene, panel, veil, base, head, stream, ahead, .. } = session;
    let visible: &[(EyeVisibility, u32, &'static str, &'static str)] = match kind {
        Some((_, StereoLayout::Mono)) => &[(EyeVisibility::BOTH, 0, "equirect2", "quad")],
        _ => {
            &[(EyeVisibility::LEFT, 0, "equirect2 left", "quad left"), (EyeVisibility::RIGHT, 1, "equirect2 right", "quad right")]
        }
    };
    let (mut spheres, mut quads, mut views) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = Vec::new();
    let filled = content.as_ref().filter(|images| images.filled);
    match (kind.map(|(shape, _)| shape), filled) {
        (Some(Shape::Sphere(angles)), Some(images)) => {
            for (visibility, layer, name, _) in visible {
                spheres.push(sphere(angles, *ahead).space(base).eye_visibility(*visibility).sub_image(images.whole(*layer)));
                names.push(*name);
            }
        }
        (Some(Shape::Screen { size_m, distance_m }), Some(images)) => {
            let place = *ahead * Isometry3d::from_translation(Vec3::NEG_Z * distance_m);
            for (visibility, layer, _, name) in visible {
                let part = images.whole(*layer);
                quads.push(quad(base, part, place, size_m).eye_visibility(*visibility));
                names.push(*name);
            }
        }
        (Some(Shape::EyeViews), _) => {
            if let Some(images) = eyes.as_ref().filter(|images| images.filled) {
                views.extend(eye_layers(frame, images));
                names.push("projection");
            }
        }
        _ => {}
    }
    let alpha = CompositionLayerFlags::BLEND_TEXTURE_SOURCE_ALPHA | CompositionLayerFlags::UNPREMULTIPLIED_ALPHA;
    let scene = scene.as_ref().filter(|images| beside.scene && images.filled);
    let scene_views: Vec<_> = scene.into_iter().flat_map(|images| eye_layers(frame, images)).collect();
    if scene.is_some() {
        names.push("scene");
    }
    let panel = panel.as_ref().filter(|images| images.filled && frame.should_render).zip(beside.panel);
    if let Some((images, written)) = panel {
        let down = Quat::from_rotation_x(-PANEL_DOWN_DEG.to_radians());
        let place = *ahead * Isometry3d::from_rotation(down) * Isometry3d::from_translation(Vec3::NEG_Z * PANEL_DISTANCE_M);
        let size = written.as_vec2() * (PANEL_WIDTH_M / images.size.x as f32);
        let part = images.part(0, URect::from_corners(UVec2::ZERO, written));
        quads.push(quad(base, part, place, size).layer_flags(alpha));
        names.push("panel");
    }
    if let Some(images) = veil.as_ref().filter(|_| beside.veil > 0.0 && frame.should_render) {
        let place = Isometry3d::from_translation(Vec3::NEG_Z * Veil::DISTANCE_M);
        quads.push(quad(head, images.whole(0), place, Veil::SIZE_M).layer_flags(alpha));
        names.push("veil");
    }
    let projection = (!views.is_empty()).then(|| CompositionLayerProjection::new().space(base).views(&views));
    // What a camera renders before nothing is multiplied with its alpha already.
    let scene = (!scene_views.is_empty()).then(|| {
        let blended = CompositionLayerFlags::BLEND_TEXTURE_SOURCE_ALPHA;
        CompositionLayerProjection::new().space(base).views(&scene_views).layer_flags(blended)
    });
    let screens = quads.len() - usize::from(names.contains(&"panel")) - usize::from(names.contains(&"veil"));
    let mut layers: Vec<&CompositionLayerBase<'_, Vulkan>> = Vec::new();
    layers.extend(spheres.iter().map(|layer| &**layer));
    layers.extend(projection.iter().map(|layer| &**layer));
    let (screens, before) = quads.split_at(screens);
    layers.extend(screens.iter().map(|layer| &**layer));
    layers.extend(scene.iter().map(|layer| &**layer));
    layers.extend(before.iter().map(|layer| &**layer));
    stream.end(frame.time, blend, &layers).called("xrEndFrame")?;
    Ok(names)
}

/// Both eyes' parts of a projection layer, from where they were drawn.
fn eye_layers<'a>(frame: &XrFrame, images: &'a XrImages) -> [CompositionLayerProjectionView<'a, Vulkan>; 2] {
    [0, 1].map(|eye| {
        let view = &frame.views[eye];
        CompositionLayerProjectionView::new().pose(posef(view.eye)).fov(view.fov).sub_image(images.whole(eye as u32))
    })
}

/// A part of a sphere, before it has a space and a picture.
fn sphere<'a>(angles: SphereAngles, ahead: Isometry3d) -> CompositionLayerEquirect2KHR<'a, Vulkan> {
    CompositionLayerEquirect2KHR::new()
        // A sphere of no radius is infinitely large: it turns with the head and does not move with it.
        .pose(posef(Isometry3d::from_rotation(ahead.rotation)))
        .radius(0.0)
        .central_horizontal_angle(angles.central_horizontal)
        .upper_vertical_angle(angles.upper_vertical)
        .lower_vertical_angle(angles.lower_vertical)
}

fn quad<'a>(
    space: &'a openxr::Space,
    part: openxr::SwapchainSubImage<'a, Vulkan>,
    place: Isometry3d,
    size_m: Vec2,
) -> CompositionLayerQuad<'a, Vulkan> {
    CompositionLayerQuad::new()
        .space(space)
        .eye_visibility(EyeVisibility::BOTH)
        .sub_image(part)
        .pose(posef(place))
        .size(Extent2Df { width: size_m.x, height: size_m.y })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::shape;
    use core::f32::consts::{FRAC_PI_2, FRAC_PI_4, PI};

    /// A layer's pose (rotation, place), radius, and angles across, up and down.
    fn values(projection: PictureProjection, ahead: Isometry3d) -> (Quat, Vec3, [f32; 4]) {
        let Shape::Sphere(angles) = shape(projection, Vec2::new(2.0, 1.0), true, 2.5) else { panic!("no sphere") };
        let layer = sphere(angles, ahead).into_raw();
        let pose = crate::pose::isometry(layer.pose);
        let numbers = [layer.radius, layer.central_horizontal_angle, layer.upper_vertical_angle, layer.lower_vertical_angle];
        (pose.rotation, pose.translation.into(), numbers)
    }

    /// The first case is the conformance suite's full sphere at infinity in the local space; the others are what recentring and half a
    /// sphere make of it.
    #[test]
    fn spheres_have_the_values_that_the_conformance_suite_has() {
        let turned = Isometry3d::new(Vec3::new(0.3, 1.6, -1.5), Quat::from_rotation_y(FRAC_PI_4));
        let (whole, half) = (PictureProjection::Equirectangular, PictureProjection::HalfEquirectangular);
        let golden = [
            (whole, Isometry3d::IDENTITY, [0.0, 2.0 * PI, FRAC_PI_2, -FRAC_PI_2]),
            (whole, turned, [0.0, 2.0 * PI, FRAC_PI_2, -FRAC_PI_2]),
            (half, Isometry3d::IDENTITY, [0.0, PI, FRAC_PI_2, -FRAC_PI_2]),
            (half, turned, [0.0, PI, FRAC_PI_2, -FRAC_PI_2]),
        ];
        for (projection, ahead, numbers) in golden {
            let (rotation, place, seen) = values(projection, ahead);
            assert_eq!(seen, numbers, "{projection:?}");
            assert!(rotation.abs_diff_eq(ahead.rotation, 1e-6) && place == Vec3::ZERO, "{rotation} {place}");
        }
    }
}
