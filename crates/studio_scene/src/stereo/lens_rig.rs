//! Lenses that film a scene: pictures as the cameras of a rig would deliver them, exactly after their lens models.

use super::{
    plan::{CameraPlan, face_of},
    resample::LensMap,
};
use bevy::{
    math::{DVec2, DVec3, UVec2},
    prelude::*,
};
use studio_vision::rig::{PreparedLens, PreparedRig, Rig, RigError};

/// What the lenses of one of a rig's pictures see.
pub(super) struct FilmedPicture {
    pub map: LensMap,
}

/// The cameras of a rig, and a map for each of its pictures. Lenses in one place share their cameras; faces of cubes that no lens
/// looks through are left out.
pub(super) struct FilmedRig {
    pub plan: CameraPlan,
    pub pictures: Vec<FilmedPicture>,
}

/// The rig's frame (x right, y down, z ahead) in the scene's (X right, Y up, −Z ahead).
fn scene_from_rig(vector: DVec3) -> Vec3 {
    DVec3::new(vector.x, -vector.y, -vector.z).as_vec3()
}

impl FilmedRig {
    /// Works out which direction each pixel sees. `width_px` is the width of the first picture, zero for that in the rig; the
    /// others scale with it.
    pub fn new(rig: &Rig, width_px: u32, density: f32) -> Result<Self, RigError> {
        let prepared = PreparedRig::new(rig)?;
        let reference = prepared.pictures.first().map_or(1, |size| size.x);
        let scale = if width_px == 0 { 1.0 } else { f64::from(width_px) / f64::from(reference) };
        let mut centers: Vec<Vec3> = Vec::new();
        let mut cube_of_lens = Vec::new();
        for lens in &rig.lenses {
            let center = scene_from_rig(DVec3::from_array(lens.translation_m));
            let known = centers.iter().position(|known| known.distance(center) < 1e-6);
            cube_of_lens.push(known.unwrap_or_else(|| {
                centers.push(center);
                centers.len() - 1
            }));
        }
        let mut wanted = vec![[false; 6]; centers.len()];
        let pictures = prepared.pictures.iter().enumerate().map(|(index, size)| {
            let size = (size.as_dvec2() * scale).round().as_uvec2().clamp(UVec2::ONE, UVec2::splat(16_384));
            let map = lens_map(&prepared, index, size, &cube_of_lens, &mut wanted);
            FilmedPicture { map }
        });
        let pictures = pictures.collect();
        let finest = prepared.lenses.iter().map(|lens| lens.projector.px_per_deg()).fold(1.0, f64::max);
        let px_per_rad = (finest * scale * 1_f64.to_degrees()) as f32 * density;
        let plan = CameraPlan::cubes(&centers, px_per_rad, |center, face| {
            wanted.get(center).and_then(|faces| faces.get(face)).copied().unwrap_or_default()
        });
        Ok(Self { plan, pictures })
    }
}

fn lens_map(rig: &PreparedRig, picture: usize, size: UVec2, cube_of_lens: &[usize], wanted: &mut [[bool; 6]]) -> LensMap {
    let scale = size.as_dvec2() / rig.pictures.get(picture).map_or(size.as_dvec2(), |size| size.as_dvec2());
    let lenses: Vec<(&PreparedLens, usize)> = rig
        .lenses
        .iter()
        .zip(cube_of_lens)
        .filter(|(lens, _)| lens.picture == picture)
        .map(|(lens, cube)| (lens, *cube))
        .collect();
    let mut texels = vec![[0.0; 4]; (size.x as usize) * (size.y as usize)];
    for (index, texel) in texels.iter_mut().enumerate() {
        let at = DVec2::new((index % size.x as usize) as f64 + 0.5, (index / size.x as usize) as f64 + 0.5) / scale;
        let covers = |lens: &PreparedLens| {
            let (min, max) = (DVec2::from_array(lens.region.min), DVec2::from_array(lens.region.max));
            at.cmpge(min).all() && at.cmplt(max).all()
        };
        for (lens, cube) in lenses.iter().filter(|(lens, _)| covers(lens)) {
            // A pixel beyond the good part, so that interpolating there sees the scene too.
            let edge_px = lens.edge_deg(at) * lens.projector.px_per_deg() * scale.min_element();
            if edge_px < -1.5 {
                continue;
            }
            let Some(toward) = lens.direction(at) else { continue };
            let toward = scene_from_rig(toward).normalize_or_zero();
            if toward == Vec3::ZERO {
                continue;
            }
            if let Some(faces) = wanted.get_mut(*cube) {
                note_faces(toward, faces);
            }
            // What the stitch will undo: the darker edge and the correction of the lens's exposure (green stands for all).
            let brightness = 1.0 / (lens.vignetting_gain(at) * lens.color_gain[1]).max(1e-3);
            *texel = (toward * (1.0 + *cube as f32)).extend(brightness as f32).to_array();
        }
    }
    LensMap { size, texels }
}

/// The face that a direction goes through, and others nearby that a pixel's samples may reach.
fn note_faces(toward: Vec3, faces: &mut [bool; 6]) {
    let near = [Vec3::X, Vec3::NEG_X, Vec3::Y, Vec3::NEG_Y, Vec3::Z, Vec3::NEG_Z].map(|nudge| toward + nudge * 0.05);
    for direction in near.into_iter().chain([toward]) {
        if let Some(face) = faces.get_mut(face_of(direction)) {
            *face = true;
        }
    }
}
