//! Cameras: any projection to a film back.
//!
//! Film sizes are in tenths of a unit, so what is seen at distance 1 is `aperture / focal length`, and with parallel lines `aperture / 10`
//! units (`GfCamera::GetFrustum`). The film is taken to be 24 mm high, as in a full-frame camera; only ratios are seen.

use super::{
    ExportError,
    animated::Animated,
    state::{CameraState, EntityState},
};
use bevy::prelude::*;
use studio_usd::{
    snapshot::{self, StereoRole},
    write::{
        LayerBuilder, gf,
        sdf::{Path, Value},
    },
};

/// 24 mm in tenths of a metre.
const FILM_HEIGHT: f32 = 0.24;

/// A film back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Film {
    pub is_orthographic: bool,
    pub focal_length: f32,
    pub aperture: Vec2,
    pub offset: Vec2,
    pub clipping: Vec2,
    /// 0 where everything is in focus.
    pub f_stop: f32,
    pub focus_distance: f32,
}

impl Film {
    /// The film back that sees what a projection does; `None` if it is not one that a camera can have.
    pub fn new(camera: &CameraState) -> Option<Self> {
        if let Some(film) = camera.film {
            return Some(film).filter(Self::is_finite);
        }
        let matrix = camera.clip_from_view;
        let scale = Vec2::new(matrix.x_axis.x, matrix.y_axis.y);
        // A camera of USD's is neither turned nor sheared.
        let has_turned = matrix.x_axis.y != 0.0 || matrix.y_axis.x != 0.0;
        if !matrix.is_finite() || has_turned || scale.min_element() <= 0.0 {
            return None;
        }
        let window = 2.0 / scale;
        let clipping = Vec2::new(camera.near, camera.far);
        let film = if matrix.z_axis.w != 0.0 {
            let focal_length = FILM_HEIGHT / window.y;
            let middle = matrix.z_axis.truncate().truncate() * window / 2.0;
            Self {
                is_orthographic: false,
                focal_length,
                aperture: window * focal_length,
                offset: middle * focal_length,
                clipping,
                f_stop: 0.0,
                focus_distance: 0.0,
            }
        } else {
            let middle = -matrix.w_axis.truncate().truncate() * window / 2.0;
            Self {
                is_orthographic: true,
                focal_length: 0.5,
                aperture: window * 10.0,
                offset: middle * 10.0,
                clipping,
                f_stop: 0.0,
                focus_distance: 0.0,
            }
        };
        Some(film).filter(Self::is_finite)
    }

    /// The film of a camera of USD's, as it is at a time; fallbacks are the schema's.
    pub fn of(camera: &snapshot::Camera, time: f64) -> Self {
        Self {
            is_orthographic: camera.orthographic,
            focal_length: camera.focal_length.at(time).unwrap_or(50.0),
            aperture: Vec2::new(
                camera.horizontal_aperture.at(time).unwrap_or(20.955),
                camera.vertical_aperture.at(time).unwrap_or(15.2908),
            ),
            offset: Vec2::new(
                camera.horizontal_aperture_offset.at(time).unwrap_or(0.0),
                camera.vertical_aperture_offset.at(time).unwrap_or(0.0),
            ),
            clipping: camera.clipping_range.at(time).unwrap_or(Vec2::new(1.0, 1_000_000.0)),
            f_stop: camera.f_stop.at(time).unwrap_or(0.0),
            focus_distance: camera.focus_distance.at(time).unwrap_or(0.0),
        }
    }

    fn is_finite(&self) -> bool {
        let numbers = [self.focal_length, self.f_stop, self.focus_distance];
        numbers.iter().all(|number| number.is_finite())
            && self.aperture.is_finite()
            && self.offset.is_finite()
            && self.clipping.is_finite()
    }
}

/// Writes a camera's attributes.
pub(super) fn write(
    layer: &mut LayerBuilder,
    prim: &Path,
    states: &Animated<'_>,
    entity: Entity,
    name: &str,
) -> Result<(), ExportError> {
    let cameras = states.0.iter().filter_map(|(_, state)| state.camera);
    if cameras.into_iter().any(|camera| Film::new(&camera).is_none()) {
        return Err(ExportError::NotFinite { entity, name: name.to_owned(), what: "the projection" });
    }
    let film = |state: &EntityState| state.camera.as_ref().and_then(Film::new);
    let mut put = |name: &str, type_name: &str, value: &dyn Fn(Film) -> Value| {
        states.put(layer, prim, name, type_name, |state| film(state).map(value)).map(|_| ())
    };
    put("projection", "token", &|film| Value::token(if film.is_orthographic { "orthographic" } else { "perspective" }))?;
    put("focalLength", "float", &|film| Value::Float(film.focal_length))?;
    put("horizontalAperture", "float", &|film| Value::Float(film.aperture.x))?;
    put("verticalAperture", "float", &|film| Value::Float(film.aperture.y))?;
    put("horizontalApertureOffset", "float", &|film| Value::Float(film.offset.x))?;
    put("verticalApertureOffset", "float", &|film| Value::Float(film.offset.y))?;
    put("clippingRange", "float2", &|film| Value::Vec2f(gf::vec2f(film.clipping.x, film.clipping.y)))?;
    put("fStop", "float", &|film| Value::Float(film.f_stop))?;
    put("focusDistance", "float", &|film| Value::Float(film.focus_distance))?;
    let role = states.0.iter().find_map(|(_, state)| state.camera).map(|camera| camera.stereo_role).unwrap_or_default();
    if role != StereoRole::Mono {
        let role = if role == StereoRole::Left { "left" } else { "right" };
        layer.uniform(prim, "stereoRole", "token", Value::token(role))?;
    }
    // Bevy multiplies luminance by `1 / (1.2 * 2^EV100)`, USD by `2^exposure`.
    let stops = |state: &EntityState| state.camera.and_then(|camera| camera.ev100).filter(|ev100| ev100.is_finite());
    states.put(layer, prim, "exposure", "float", |state| stops(state).map(|ev100| Value::Float(-ev100 - 1.2_f32.log2())))?;
    Ok(())
}
