//! Cameras: film back, off-axis projection, exposure.
//!
//! A camera prim becomes two entities. The prim's own entity keeps the lens ([`UsdCamera`]), in stage units. A child, the eye ([`EyeOf`]),
//! is what Bevy renders with: it undoes every scale above it, so that its space is metres whatever the stage's unit is. Bevy's shadow
//! cascades, clusters and depth effects count distances in the camera's own space, and so do stereo rigs.
//!
//! Source of the numbers: `UsdGeomCamera` and `GfCamera::GetFrustum` of OpenUSD. Film sizes are in tenths of a unit, so the window of a
//! perspective camera at distance 1 is `aperture / focal length`, and that of an orthographic camera is `aperture / 10` units.

use super::{StageView, finite_or};
use bevy::{
    camera::{CameraProjection, Exposure, Hdr, SubCameraView},
    core_pipeline::tonemapping::Tonemapping,
    math::Vec3A,
    prelude::*,
};
use studio_usd::snapshot;

/// What happens where the picture has other proportions than the film. The window keeps its middle in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum ApertureFit {
    /// All of the film is seen, and something beyond it on two sides. This is what Hydra does.
    #[default]
    Fit,
    /// Nothing beyond the film is seen; two of its sides are cut.
    Crop,
    /// The film's width is kept.
    Horizontal,
    /// The film's height is kept.
    Vertical,
    /// The picture is stretched.
    Stretch,
}

/// The projection of a USD camera: off-axis, perspective or orthographic, with infinite reversed depth where it is perspective.
#[derive(Clone, Debug, PartialEq)]
pub struct UsdProjection {
    /// Whether lines stay parallel.
    pub orthographic: bool,
    /// What the film sees: of a perspective camera at distance 1, of an orthographic one in metres. Y is up.
    pub window: Rect,
    /// What happens where the picture has other proportions.
    pub fit: ApertureFit,
    /// Width of the picture by its height; Bevy keeps it up to date.
    pub aspect_ratio: f32,
    /// Nearest distance, metres.
    pub near: f32,
    /// Farthest distance, metres; perspective depth goes on to infinity, but what is farther is culled.
    pub far: f32,
}

impl UsdProjection {
    /// What is seen: the window, made to fit the picture.
    pub fn fitted_window(&self) -> Rect {
        fit_window(self.window, self.aspect_ratio, self.fit)
    }

    fn matrix(&self, window: Rect) -> Mat4 {
        let (min, max) = (window.min, window.max);
        if self.orthographic {
            // Near and far are swapped: Bevy's depth is 1 at the near plane.
            return Mat4::orthographic_rh(min.x, max.x, min.y, max.y, self.far, self.near);
        }
        let scale = 2.0 / (max - min);
        let offset = (max + min) / (max - min);
        Mat4::from_cols(
            Vec4::new(scale.x, 0.0, 0.0, 0.0),
            Vec4::new(0.0, scale.y, 0.0, 0.0),
            Vec4::new(offset.x, offset.y, 0.0, -1.0),
            Vec4::new(0.0, 0.0, self.near, 0.0),
        )
    }
}

/// A window with the proportions of a picture, as the fit says, about the same middle (`CameraUtilConformedWindow`).
pub fn fit_window(window: Rect, aspect_ratio: f32, fit: ApertureFit) -> Rect {
    let size = window.size();
    let is_wider = size.x > size.y * aspect_ratio;
    let keeps_width = match fit {
        ApertureFit::Stretch => return window,
        ApertureFit::Horizontal => true,
        ApertureFit::Vertical => false,
        ApertureFit::Fit => is_wider,
        ApertureFit::Crop => !is_wider,
    };
    let fitted = if keeps_width { Vec2::new(size.x, size.x / aspect_ratio) } else { Vec2::new(size.y * aspect_ratio, size.y) };
    Rect::from_center_size(window.center(), fitted)
}

impl CameraProjection for UsdProjection {
    fn get_clip_from_view(&self) -> Mat4 {
        self.matrix(self.fitted_window())
    }

    fn get_clip_from_view_for_sub(&self, sub_view: &SubCameraView) -> Mat4 {
        let full = sub_view.full_size.as_vec2().max(Vec2::ONE);
        let window = fit_window(self.window, full.x / full.y, self.fit);
        let from = sub_view.offset / full;
        let to = (sub_view.offset + sub_view.size.as_vec2().max(Vec2::ONE)) / full;
        // Pixels count from the top.
        let part = Rect {
            min: Vec2::new(window.min.x + window.width() * from.x, window.max.y - window.height() * to.y),
            max: Vec2::new(window.min.x + window.width() * to.x, window.max.y - window.height() * from.y),
        };
        self.matrix(part)
    }

    fn update(&mut self, width: f32, height: f32) {
        if width > 0.0 && height > 0.0 {
            self.aspect_ratio = width / height;
        }
    }

    fn far(&self) -> f32 {
        self.far
    }

    fn get_frustum_corners(&self, z_near: f32, z_far: f32) -> [Vec3A; 8] {
        let window = self.fitted_window();
        let (min, max) = (window.min, window.max);
        let at = |z: f32| {
            let scale = if self.orthographic { 1.0 } else { z.abs() };
            let corner = |x: f32, y: f32| Vec3A::new(x * scale, y * scale, z);
            [corner(max.x, min.y), corner(max.x, max.y), corner(min.x, max.y), corner(min.x, min.y)]
        };
        let ([a, b, c, d], [e, f, g, h]) = (at(z_near), at(z_far));
        [a, b, c, d, e, f, g, h]
    }
}

/// How a camera is made.
#[derive(Clone, Debug)]
pub struct CameraOptions {
    /// Time code.
    pub time: f64,
    /// The length of a stage unit in metres.
    pub meters_per_unit: f64,
    /// What happens where the picture has other proportions than the film.
    pub fit: ApertureFit,
    /// Whether it renders at once.
    pub is_active: bool,
    /// Whether the picture keeps values above 1 until it is tone mapped.
    pub hdr: bool,
    /// How values above 1 come into range. `None` is what usdview shows.
    pub tonemapping: Tonemapping,
}

impl Default for CameraOptions {
    fn default() -> Self {
        Self {
            time: 0.0,
            meters_per_unit: 1.0,
            fit: ApertureFit::default(),
            is_active: false,
            hdr: true,
            tonemapping: Tonemapping::None,
        }
    }
}

/// A camera prim's lens. Change it, or its time, and its eye follows.
#[derive(Component, Clone, Debug)]
pub struct UsdCamera {
    /// As the stage has it.
    pub camera: snapshot::Camera,
    /// Time code that its values are taken at.
    pub time: f64,
    /// The length of a stage unit in metres.
    pub meters_per_unit: f64,
    /// What happens where the picture has other proportions than the film.
    pub fit: ApertureFit,
}

/// An eye's prim: the entity with [`UsdCamera`]. The eye has `Camera3d`, [`Projection`], [`Exposure`], [`LensFocus`], [`StereoEye`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Eyes)]
pub struct EyeOf(pub Entity);

/// The eyes of a camera prim: one, as [`insert_camera`] makes it.
#[derive(Component, Clone, Debug, Default)]
#[relationship_target(relationship = EyeOf, linked_spawn)]
pub struct Eyes(Vec<Entity>);

/// Where a lens is focused, for depth of field.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
#[reflect(Component)]
pub struct LensFocus {
    /// f-number; 0 means that everything is in focus.
    pub f_stop: f32,
    /// Distance in focus, metres.
    pub focus_distance_m: f32,
    /// Focal length, metres.
    pub focal_length_m: f32,
    /// Height of the film, metres.
    pub film_height_m: f32,
    /// When the shutter opens and closes, in time codes about the frame's.
    pub shutter: (f64, f64),
}

/// Which eye a camera stands for.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Component)]
pub enum StereoEye {
    /// Both.
    #[default]
    Mono,
    /// The left one.
    Left,
    /// The right one.
    Right,
}

impl From<snapshot::StereoRole> for StereoEye {
    fn from(role: snapshot::StereoRole) -> Self {
        match role {
            snapshot::StereoRole::Mono => Self::Mono,
            snapshot::StereoRole::Left => Self::Left,
            snapshot::StereoRole::Right => Self::Right,
        }
    }
}

impl UsdCamera {
    /// Whether any of its values changes over time.
    pub fn is_animated(&self) -> bool {
        camera_is_animated(&self.camera)
    }

    /// Takes the values of another time; nothing is marked as changed where nothing moves.
    pub fn set_time(camera: &mut Mut<Self>, time: f64) {
        if camera.time != time && camera.is_animated() {
            camera.time = time;
        }
    }

    /// The projection, where a unit of the prim's own space is so many metres long.
    pub fn projection(&self, meters_per_local_unit: f32) -> UsdProjection {
        projection(&self.camera, self.time, meters_per_local_unit, self.fit)
    }

    /// The lens' focus, where a unit of the prim's own space is so many metres long.
    pub fn focus(&self, meters_per_local_unit: f32) -> LensFocus {
        let (camera, time) = (&self.camera, self.time);
        let meters = |value: Option<f32>| finite_or(value, 0.0).max(0.0) * meters_per_local_unit;
        LensFocus {
            f_stop: finite_or(camera.f_stop.at(time), 0.0).max(0.0),
            focus_distance_m: meters(camera.focus_distance.at(time)),
            focal_length_m: meters(camera.focal_length.at(time)) * 0.1,
            film_height_m: meters(camera.vertical_aperture.at(time)) * 0.1,
            shutter: camera.shutter,
        }
    }
}

/// Whether any value of a camera changes over time.
pub fn camera_is_animated(camera: &snapshot::Camera) -> bool {
    [
        &camera.focal_length,
        &camera.horizontal_aperture,
        &camera.vertical_aperture,
        &camera.horizontal_aperture_offset,
        &camera.vertical_aperture_offset,
        &camera.f_stop,
        &camera.focus_distance,
        &camera.exposure,
    ]
    .iter()
    .any(|value| value.is_animated())
        || camera.clipping_range.is_animated()
}

/// Smallest and largest film and focal length, in tenths of a unit: files may say 0, or less, or anything.
const TENTHS: std::ops::RangeInclusive<f32> = 1e-4..=1e9;
/// Farthest distances and offsets, in units.
const FARTHEST: f32 = 1e12;

/// The projection of a camera at a time, where a unit of its own space is so many metres long. Sizes that make no sense (zero, negative, not
/// a number) give way to the schema's fallback (50, 20.955 and 15.2908 tenths of a unit), ranges to 1 to 1,000,000 units.
pub fn projection(camera: &snapshot::Camera, time: f64, meters_per_local_unit: f32, fit: ApertureFit) -> UsdProjection {
    let tenths = |value: Option<f32>, fallback: f32| value.filter(|v| TENTHS.contains(v)).unwrap_or(fallback);
    let film = Vec2::new(tenths(camera.horizontal_aperture.at(time), 20.955), tenths(camera.vertical_aperture.at(time), 15.2908));
    let offset = Vec2::new(
        finite_or(camera.horizontal_aperture_offset.at(time), 0.0),
        finite_or(camera.vertical_aperture_offset.at(time), 0.0),
    );
    let offset = offset.clamp(-film * 1e3, film * 1e3);
    let scale =
        if camera.orthographic { 0.1 * meters_per_local_unit } else { tenths(camera.focal_length.at(time), 50.0).recip() };
    let range = camera.clipping_range.at(time).filter(|range| range.is_finite()).unwrap_or(Vec2::new(1.0, 1_000_000.0));
    let range = range.clamp(Vec2::splat(-FARTHEST), Vec2::splat(FARTHEST));
    let mut near = range.x * meters_per_local_unit;
    if !camera.orthographic && near <= 0.0 {
        near = 1e-3 * meters_per_local_unit;
    }
    let far = range.y * meters_per_local_unit;
    UsdProjection {
        orthographic: camera.orthographic,
        window: Rect::from_center_size(offset * scale, film * scale),
        fit,
        aspect_ratio: film.x / film.y,
        near,
        far: if far > near { far } else { near + near.abs().max(1_000_000.0 * meters_per_local_unit) },
    }
}

/// The exposure of a USD camera: a surface of 1 nit becomes a pixel of value 1, times two to the power of `stops`.
///
/// `UsdGeomCamera::ComputeLinearExposureScale` multiplies luminance by `2^exposure` (its other factors are 1 by the schema's fallbacks);
/// Bevy multiplies by `1 / (1.2 * 2^EV100)` (Lagarde and de Rousiers, "Moving Frostbite to Physically Based Rendering", 2014, §5.1), so
/// `EV100 = -exposure - log2(1.2)`.
pub fn exposure(stops: f32) -> Exposure {
    let stops = if stops.is_finite() { stops.clamp(-100.0, 100.0) } else { 0.0 };
    Exposure { ev100: -stops - 1.2_f32.log2() }
}

/// Makes an entity a camera: it gets [`UsdCamera`] and one eye (see [`EyeOf`]), in place of an eye that it had.
pub fn insert_camera(entity: &mut EntityCommands, camera: &snapshot::Camera, options: &CameraOptions) {
    let lens =
        UsdCamera { camera: camera.clone(), time: options.time, meters_per_unit: options.meters_per_unit, fit: options.fit };
    let scale = options.meters_per_unit as f32;
    let eye = (
        EyeOf(entity.id()),
        ChildOf(entity.id()),
        Camera3d::default(),
        Camera { is_active: options.is_active, ..default() },
        Projection::custom(lens.projection(scale)),
        exposure(finite_or(camera.exposure.at(options.time), 0.0)),
        lens.focus(scale),
        StereoEye::from(camera.stereo_role),
        Transform::from_scale(Vec3::splat(if scale > 0.0 { scale.recip() } else { 1.0 })),
        StageView,
        options.tonemapping,
    );
    entity.despawn_related::<Eyes>().insert(lens);
    let hdr = options.hdr;
    let mut commands = entity.commands();
    let mut eye = commands.spawn(eye);
    if hdr {
        eye.insert(Hdr);
    }
}

/// Undoes [`insert_camera`].
pub fn remove_camera(entity: &mut EntityCommands) {
    entity.despawn_related::<Eyes>().remove::<UsdCamera>();
}

/// Keeps eyes as their prims say: projection, exposure, focus, and free of scale.
pub(super) fn update_eyes(
    prims: Query<(Ref<UsdCamera>, Ref<GlobalTransform>, &Eyes)>,
    mut eyes: Query<(&mut Projection, &mut Exposure, &mut LensFocus, &mut Transform)>,
) {
    for (lens, global, prim_eyes) in &prims {
        if !lens.is_changed() && !global.is_changed() {
            continue;
        }
        let axes = global.affine().matrix3;
        let scale = Vec3::new(axes.x_axis.length(), axes.y_axis.length(), axes.z_axis.length());
        let along = if scale.z > 0.0 && scale.z.is_finite() { scale.z } else { lens.meters_per_unit as f32 };
        for eye in prim_eyes.iter() {
            let Ok((mut projection, mut exposure_now, mut focus, mut transform)) = eyes.get_mut(eye) else { continue };
            let mut wanted = lens.projection(along);
            let unscaled = scale.map(|s| if s > 0.0 && s.is_finite() { s.recip() } else { 1.0 });
            if !transform.scale.abs_diff_eq(unscaled, unscaled.max_element() * 1e-5) {
                transform.scale = unscaled;
            }
            let now = match &*projection {
                Projection::Custom(custom) => custom.get::<UsdProjection>(),
                _ => None,
            };
            if let Some(now) = now {
                wanted.aspect_ratio = now.aspect_ratio;
            }
            if now != Some(&wanted) {
                *projection = Projection::custom(wanted);
            }
            let ev100 = exposure(finite_or(lens.camera.exposure.at(lens.time), 0.0)).ev100;
            if exposure_now.ev100 != ev100 {
                exposure_now.ev100 = ev100;
            }
            focus.set_if_neq(lens.focus(along));
        }
    }
}

#[cfg(test)]
mod tests;
