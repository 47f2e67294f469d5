//! Which cameras make a picture, and where in their pictures each direction lies.
//!
//! A picture of the sphere is put together from flat pictures. For one centre that is a **cube** of six. For
//! **omnidirectional stereo** (Ishiguro, Yamamoto and Tsuji, "Omni-directional stereo", PAMI 1992; Google, "Rendering
//! omni-directional stereo content", 2015) the eyes stand on a circle of the diameter of the distance between them, and look
//! along its tangents: at azimuth `φ` the left eye stands `ipd / 2` to the left of the middle, as seen when looking towards
//! `φ`. A point at azimuth `α` and horizontal distance `d` then appears at `φ = α ± asin(ipd / 2d)`, to the right for the left
//! eye. The circle is cut into strips; within a strip the eye stands still. That is exact in the strip's middle; at its edges the
//! eye stands `ipd / 2 · (1 − cos(strip / 2))` too far in, and `ipd / 2 · sin(strip / 2)` too far ahead or behind, so that what is
//! near and above or below the horizon steps up or down a little from strip to strip. More strips make both smaller.
//!
//! **Poles.** Straight up there is no left and right, so the distance between the eyes fades out towards the poles: [`base_share`] is the
//! "pole merge" of Blender's Cycles (its manual, "Cameras, Panoramic, Spherical Stereo"): full up to one elevation, nothing from another on,
//! and between them the cosine of a quarter turn. A flat picture has its eye in one place, so there are pictures for three circles: the full
//! one, one of `HALFWAY_SHARE` of its diameter, and the middle, where both eyes see the same. Each reaches as far as the next one's own
//! elevation, and between two of them both are mixed, so that the mean place of the eye is where the fade has it. Nothing jumps at any
//! elevation; what is near and seen at one where two pictures are mixed is a little doubled instead.

use super::{
    frustum::{EyeFrustum, OffAxisProjection, ShadowReach},
    rig::Eye,
};
use bevy::prelude::*;
use core::f32::consts::{PI, TAU};

/// Elevation in degrees up to which omnidirectional stereo has its full base.
pub const FULL_BASE_DEG: f32 = 50.0;
/// Elevation in degrees from which on it has none.
pub const NO_BASE_DEG: f32 = 75.0;
/// The share of the base that the pictures between have: that of the fade's middle.
pub(super) const HALFWAY_SHARE: f32 = core::f32::consts::FRAC_1_SQRT_2;
/// Elevation in degrees where the fade has that share.
const HALFWAY_DEG: f32 = (FULL_BASE_DEG + NO_BASE_DEG) / 2.0;

/// The share of the distance between the eyes that is left at an elevation in radians: 1 to 0.
pub fn base_share(elevation: f32) -> f32 {
    let (full, none) = (FULL_BASE_DEG.to_radians(), NO_BASE_DEG.to_radians());
    let along = ((elevation.abs() - full) / (none - full)).clamp(0.0, 1.0);
    // Not quite 0 at the end, else.
    if along >= 1.0 { 0.0 } else { (along * PI / 2.0).cos() }
}
/// Pixels around each flat picture that interpolation may reach into.
pub(super) const BORDER_PX: u32 = 2;
/// The most strips a circle may be cut into.
pub const MAX_STRIPS: u32 = 256;

/// A camera of a plan, in the rig's frame.
#[derive(Clone, Debug)]
pub(super) struct PlannedCamera {
    pub pose: Isometry3d,
    pub frustum: EyeFrustum,
    pub eye: Eye,
    /// Which array of pictures, and which picture of the array.
    pub array: usize,
    pub layer: u32,
    pub shadow_reach: ShadowReach,
    /// The camera, by its place in the plan, whose shadow maps are used.
    pub shares_with: Option<usize>,
}

impl PlannedCamera {
    pub fn projection(&self, near_m: f32, far_m: f32) -> OffAxisProjection {
        OffAxisProjection { shadow_reach: self.shadow_reach, ..OffAxisProjection::new(self.frustum, near_m, far_m) }
    }
}

/// Pictures of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureArray {
    pub size: UVec2,
    pub layers: u32,
}

/// The cameras of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct CameraPlan {
    pub cameras: Vec<PlannedCamera>,
    pub arrays: Vec<PictureArray>,
    /// For the shader: the camera of each part of the sphere.
    pub table: Vec<Option<usize>>,
}

/// Adds cameras that share their shadow maps.
struct Sharing {
    leader: Option<usize>,
    reach: ShadowReach,
}

impl Sharing {
    fn around(pad_m: f32) -> Self {
        Self { leader: None, reach: ShadowReach::Around { pad_m } }
    }

    fn place(&mut self, cameras: &mut Vec<PlannedCamera>, mut camera: PlannedCamera) -> usize {
        let index = cameras.len();
        match self.leader {
            Some(leader) => camera.shares_with = Some(leader),
            None => {
                camera.shadow_reach = self.reach;
                self.leader = Some(index);
            }
        }
        cameras.push(camera);
        index
    }
}

/// The six directions of a cube and what is up in each picture: right, left, up, down, ahead, back.
const FACES: [(Vec3, Vec3); 6] = [
    (Vec3::X, Vec3::Y),
    (Vec3::NEG_X, Vec3::Y),
    (Vec3::Y, Vec3::Z),
    (Vec3::NEG_Y, Vec3::NEG_Z),
    (Vec3::NEG_Z, Vec3::Y),
    (Vec3::Z, Vec3::Y),
];

/// The face of a cube that a direction goes through.
pub(super) fn face_of(direction: Vec3) -> usize {
    let size = direction.abs();
    if size.x >= size.y && size.x >= size.z {
        usize::from(direction.x < 0.0)
    } else if size.y >= size.z {
        2 + usize::from(direction.y < 0.0)
    } else {
        4 + usize::from(direction.z > 0.0)
    }
}

/// The azimuth (to the right of −Z) and elevation of a direction.
pub(super) fn direction(azimuth: f32, elevation: f32) -> Vec3 {
    Vec3::new(elevation.cos() * azimuth.sin(), elevation.sin(), -elevation.cos() * azimuth.cos())
}

fn looking(toward: Vec3, up: Vec3) -> Quat {
    Transform::IDENTITY.looking_to(toward, up).rotation
}

impl CameraPlan {
    /// One flat picture.
    pub fn flat(frustum: EyeFrustum, size: UVec2) -> Self {
        let camera = PlannedCamera {
            pose: Isometry3d::IDENTITY,
            frustum,
            eye: Eye::Both,
            array: 0,
            layer: 0,
            shadow_reach: ShadowReach::Own,
            shares_with: None,
        };
        Self { cameras: vec![camera], arrays: vec![PictureArray { size, layers: 1 }], table: vec![Some(0)] }
    }

    /// The flat pictures of two eyes: frusta and offsets to the right of the left and the right one.
    pub fn stereo(eyes: [(EyeFrustum, f32); 2], size: UVec2) -> Self {
        let reach = ShadowReach::Pair { other: eyes[1].0, offset_m: eyes[1].1 - eyes[0].1 };
        let camera = |eye: Eye, (frustum, offset_m): (EyeFrustum, f32), layer: u32| PlannedCamera {
            pose: Isometry3d::from_translation(Vec3::X * offset_m),
            frustum,
            eye,
            array: 0,
            layer,
            shadow_reach: if layer == 0 { reach } else { ShadowReach::Own },
            shares_with: (layer > 0).then_some(0),
        };
        let cameras = vec![camera(Eye::Left, eyes[0], 0), camera(Eye::Right, eyes[1], 1)];
        Self { cameras, arrays: vec![PictureArray { size, layers: 2 }], table: vec![Some(0), Some(1)] }
    }

    /// Cubes around centres, of faces that have `px_per_rad` pixels a radian in their middle. `wanted` says which faces of which
    /// centre are needed.
    pub fn cubes(centers: &[Vec3], px_per_rad: f32, wanted: impl Fn(usize, usize) -> bool) -> Self {
        let side = (2.0 * px_per_rad).ceil().max(4.0) as u32 + 2 * BORDER_PX;
        let size = UVec2::splat(side);
        let frustum = EyeFrustum::square(1.0).with_border(size, BORDER_PX);
        let spread = centers.iter().map(|center| center.length()).fold(0.0, f32::max);
        let (mut sharing, mut plan) = (Sharing::around(2.0 * spread), Self::default());
        for (index, center) in centers.iter().enumerate() {
            for (face, (toward, up)) in FACES.into_iter().enumerate() {
                if !wanted(index, face) {
                    plan.table.push(None);
                    continue;
                }
                let camera = PlannedCamera {
                    pose: Isometry3d::new(*center, looking(toward, up)),
                    frustum,
                    eye: Eye::Both,
                    array: 0,
                    layer: plan.cameras.len() as u32,
                    shadow_reach: ShadowReach::Own,
                    shares_with: None,
                };
                let camera = sharing.place(&mut plan.cameras, camera);
                plan.table.push(Some(camera));
            }
        }
        plan.arrays.push(PictureArray { size, layers: plan.cameras.len().max(1) as u32 });
        plan
    }

    /// The strips of omnidirectional stereo over `longitude` radians about straight ahead.
    pub fn strips(longitude: f32, strips: u32, ipd_m: f32, px_per_rad: f32) -> Self {
        let strips = strips.clamp(4, MAX_STRIPS);
        let width = longitude / strips as f32;
        let mut plan = Self::default();
        let [full, halfway, none] = [FULL_BASE_DEG, HALFWAY_DEG, NO_BASE_DEG].map(f32::to_radians);
        let bands = [(-halfway, halfway, 1.0, 0), (full, none, HALFWAY_SHARE, 1), (-none, -full, HALFWAY_SHARE, 1)];
        let mut sharings = [Sharing::around(ipd_m), Sharing::around(ipd_m), Sharing::around(ipd_m)];
        let mut tables: Vec<Vec<usize>> = Vec::new();
        let mut layers = [0; 2];
        let mut sizes = [UVec2::ONE; 2];
        for (low, high, share, array) in bands {
            let (frustum, size) = strip_frustum(width, low, high, px_per_rad);
            sizes[array] = size;
            let frustum = frustum.with_border(size, BORDER_PX);
            for eye in [Eye::Left, Eye::Right] {
                let mut table = Vec::new();
                for strip in 0..strips {
                    let azimuth = (strip as f32 + 0.5) * width - longitude / 2.0;
                    let right = Vec3::new(azimuth.cos(), 0.0, azimuth.sin());
                    let camera = PlannedCamera {
                        pose: Isometry3d::new(right * (ipd_m * eye.side() * share), strip_rotation(azimuth, low, high)),
                        frustum,
                        eye,
                        array,
                        layer: layers[array],
                        shadow_reach: ShadowReach::Own,
                        shares_with: None,
                    };
                    layers[array] += 1;
                    table.push(sharings[array].place(&mut plan.cameras, camera));
                }
                tables.push(table);
            }
        }
        let cap = EyeFrustum::square((PI / 2.0 - halfway).tan());
        let cap_px = (2.0 * cap.right * px_per_rad).ceil().max(4.0) as u32 + 2 * BORDER_PX;
        for (layer, (toward, up)) in [(0, FACES[2]), (1, FACES[3])] {
            let camera = PlannedCamera {
                pose: Isometry3d::from_rotation(looking(toward, up)),
                frustum: cap.with_border(UVec2::splat(cap_px), BORDER_PX),
                eye: Eye::Both,
                array: 2,
                layer,
                shadow_reach: ShadowReach::Own,
                shares_with: None,
            };
            tables.push(vec![sharings[2].place(&mut plan.cameras, camera)]);
        }
        plan.arrays = vec![
            PictureArray { size: sizes[0], layers: layers[0] },
            PictureArray { size: sizes[1], layers: layers[1] },
            PictureArray { size: UVec2::splat(cap_px), layers: 2 },
        ];
        // Middle left, middle right, upper left, upper right, lower left, lower right, then the two caps.
        plan.table = tables.into_iter().flatten().map(Some).collect();
        plan
    }

    /// Pixels of all pictures together.
    pub fn pixels(&self) -> u64 {
        self.arrays.iter().map(|array| u64::from(array.size.x) * u64::from(array.size.y) * u64::from(array.layers)).sum()
    }
}

fn strip_rotation(azimuth: f32, low: f32, high: f32) -> Quat {
    looking(direction(azimuth, (low + high) / 2.0), Vec3::Y)
}

/// The frustum of a strip `width` radians wide between two elevations, and its size in pixels, border included.
fn strip_frustum(width: f32, low: f32, high: f32, px_per_rad: f32) -> (EyeFrustum, UVec2) {
    let to_view = strip_rotation(0.0, low, high).inverse();
    let steps = 16;
    let points = (0..=steps).flat_map(|step| {
        let elevation = low + (high - low) * step as f32 / steps as f32;
        [-0.5, 0.0, 0.5].map(|side| {
            let seen = to_view * direction(width * side, elevation);
            Vec2::new(seen.x, seen.y) / -seen.z
        })
    });
    let frustum = EyeFrustum::around(points).unwrap_or(EyeFrustum::square(1.0));
    let size = Vec2::new(frustum.right - frustum.left, frustum.up - frustum.down) * px_per_rad;
    (frustum, size.ceil().max(Vec2::splat(4.0)).as_uvec2() + 2 * BORDER_PX)
}

/// Pixels a radian of a picture that is `width_px` wide for `longitude` radians.
pub(super) fn px_per_rad(width_px: u32, longitude: f32) -> f32 {
    width_px as f32 / longitude.clamp(1e-3, TAU)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::{camera::CameraProjection as _, math::Vec3A};

    /// Where a camera of a plan sees a direction from its own place: within −1 to 1 in its picture.
    fn seen(camera: &PlannedCamera, toward: Vec3) -> Vec3 {
        let view = camera.pose.rotation.inverse() * toward;
        camera.projection(0.1, 100.0).get_clip_from_view().project_point3(view)
    }

    #[test]
    fn the_faces_of_a_cube_leave_no_direction_out() {
        let plan = CameraPlan::cubes(&[Vec3::ZERO], 40.0, |_, _| true);
        for step in 0..4000_u32 {
            let angle = step as f32 * 2.399_963;
            let y = 1.0 - 2.0 * (step as f32 + 0.5) / 4000.0;
            let toward = Vec3::new((1.0 - y * y).sqrt() * angle.cos(), y, (1.0 - y * y).sqrt() * angle.sin());
            let camera = &plan.cameras[plan.table[face_of(toward)].expect("all faces")];
            let at = seen(camera, toward);
            assert!(at.x.abs() < 1.0 && at.y.abs() < 1.0 && at.z > 0.0, "{toward} is at {at}");
        }
    }

    /// The pictures that an elevation is mixed from: band (3 is the caps), share of the base, weight. As the shader has it.
    fn mixed(elevation: f32) -> [(usize, f32, f32); 2] {
        let share = base_share(elevation);
        let band = if elevation > 0.0 { 1 } else { 2 };
        match share > HALFWAY_SHARE {
            true => {
                let weight = (share - HALFWAY_SHARE) / (1.0 - HALFWAY_SHARE);
                [(0, 1.0, weight), (band, HALFWAY_SHARE, 1.0 - weight)]
            }
            false => {
                let weight = share / HALFWAY_SHARE;
                [(band, HALFWAY_SHARE, weight), (3, 0.0, 1.0 - weight)]
            }
        }
    }

    #[test]
    fn strips_leave_no_direction_out_and_their_eyes_stand_on_the_circle() {
        let (strips, ipd) = (12, 0.064);
        let plan = CameraPlan::strips(TAU, strips, ipd, 50.0);
        assert_eq!(plan.cameras.len(), 6 * 12 + 2);
        for azimuth_step in 0..360_u32 {
            for elevation_deg in
                [-89.0, -74.9_f32, -63.0, -62.0, -51.0, -20.0, 0.0, 35.0, 49.9, 50.1, 62.4, 62.6, 74.9, 75.1, 90.0]
            {
                let (azimuth, elevation) = ((azimuth_step as f32 + 0.25).to_radians() - PI, elevation_deg.to_radians());
                let strip = ((azimuth + PI) / TAU * strips as f32) as usize;
                for (band, share, _) in mixed(elevation).into_iter().filter(|(_, _, weight)| *weight > 0.0) {
                    for (eye, side) in [(0, -0.5), (1, 0.5)] {
                        let index = match band {
                            3 => 6 * strips as usize + usize::from(elevation < 0.0),
                            band => (band * 2 + eye) * strips as usize + strip,
                        };
                        let camera = &plan.cameras[plan.table[index].expect("all strips")];
                        let at = seen(camera, direction(azimuth, elevation));
                        assert!(at.x.abs() < 1.0 && at.y.abs() < 1.0 && at.z > 0.0, "{azimuth} {elevation_deg} is at {at}");
                        let lateral = camera.pose.translation.dot(Vec3A::new(azimuth.cos(), 0.0, azimuth.sin()));
                        let most = ipd / 2.0 * share * (1.0 - (PI / strips as f32).cos()) + 1e-6;
                        assert!((lateral - ipd * side * share).abs() <= most, "the eye is {lateral} m to the side");
                    }
                }
            }
        }
    }

    #[test]
    fn the_base_fades_to_nothing_without_a_step() {
        assert_eq!([0.0, 49.9, -49.9].map(|deg: f32| base_share(deg.to_radians())), [1.0; 3]);
        assert_eq!([75.0, -75.1, 90.0].map(|deg: f32| base_share(deg.to_radians())), [0.0; 3]);
        // Cycles: cos(π / 2 · (elevation − 50°) / (75° − 50°)).
        assert!((base_share(60_f32.to_radians()) - (0.4 * PI / 2.0).cos()).abs() < 1e-5);
        let place = |step: u32| {
            let mixed = mixed((step as f32 * 0.01).to_radians());
            assert!(mixed.iter().all(|(_, _, weight)| (0.0..=1.0).contains(weight)), "{mixed:?}");
            mixed.iter().map(|(_, share, weight)| share * weight).sum::<f32>()
        };
        for step in 0..9000 {
            let (here, above) = (place(step), place(step + 1));
            assert!((here - base_share((step as f32 * 0.01).to_radians())).abs() < 1e-5, "the eye is where the fade has it");
            // The fade's steepest slope, π / 2 in 25°, for a hundredth of a degree.
            assert!(above <= here + 1e-6 && here - above <= PI / 2.0 / 25.0 * 0.01 + 1e-5, "{here} and {above} at {step}");
        }
    }

    #[test]
    fn every_camera_but_the_first_of_an_array_shares_its_shadow_maps() {
        let plan = CameraPlan::strips(PI, 8, 0.06, 30.0);
        assert_eq!(plan.cameras.iter().filter(|camera| camera.shares_with.is_none()).count(), 3);
        let cubes = CameraPlan::cubes(&[Vec3::ZERO, Vec3::X], 30.0, |center, face| center == 0 || face == 4);
        assert_eq!((cubes.cameras.len(), cubes.table.len()), (7, 12));
        assert_eq!(cubes.cameras.iter().filter(|camera| camera.shares_with.is_none()).count(), 1);
    }
}
