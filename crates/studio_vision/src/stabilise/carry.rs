//! The motion of turned pictures, from that of the pictures that were turned.

use super::picture::{direction_of, place_of};
use bevy::math::{DQuat, DVec2};
use studio_frame::motion::{MotionField, MotionVector};

/// What the motion of an equirectangular picture becomes when it and the one before it are turned: nothing is looked for again. A cell of the
/// result shows a direction; where the picture as it came shows that, its motion says where the content was, and that is turned as the
/// picture before was. The rotations lead from the results' frames to the pictures'.
pub fn turned_motion(field: &MotionField, picture_from_result: DQuat, older_picture_from_result: DQuat) -> MotionField {
    let size = field.picture_size.as_dvec2();
    let cell = size / field.grid.as_dvec2();
    let older_result_from_picture = older_picture_from_result.inverse();
    let cells =
        (0..field.grid.y).flat_map(|row| (0..field.grid.x).map(move |column| DVec2::new(f64::from(column), f64::from(row))));
    let vectors = cells.map(|place| {
        let pixel = (place + 0.5) * cell;
        let shown = place_of(picture_from_result * direction_of(pixel, size), size);
        let motion = between_cells(field, shown / cell - 0.5);
        let was = place_of(older_result_from_picture * direction_of(shown - motion, size), size);
        let mut moved = pixel - was;
        moved.x -= (moved.x / size.x).round() * size.x;
        MotionVector::from_pixels(moved.as_vec2())
    });
    MotionField { vectors: vectors.collect(), ..field.clone() }
}

/// The motion between the four cells around a place, in pixels; rows end at the poles, columns go round.
fn between_cells(field: &MotionField, place: DVec2) -> DVec2 {
    let low = place.floor();
    let part = place - low;
    let (columns, rows) = (i64::from(field.grid.x), i64::from(field.grid.y));
    let at = |dx: i64, dy: i64| {
        let column = (low.x as i64 + dx).rem_euclid(columns) as u32;
        let row = (low.y as i64 + dy).clamp(0, rows - 1) as u32;
        field.at(column, row).to_pixels().as_dvec2()
    };
    at(0, 0).lerp(at(1, 0), part.x).lerp(at(0, 1).lerp(at(1, 1), part.x), part.y)
}
