//! The shape of wires.

use super::Screen;
use bevy::prelude::*;
use bevy_egui::egui;

/// A wire as cubic Bézier pieces on the screen: it leaves outputs to the right and reaches inputs from the left.
pub(super) fn pieces(screen: &Screen, from: Vec2, via: &[Vec2], to: Vec2) -> Vec<[egui::Pos2; 4]> {
    let points: Vec<egui::Pos2> =
        core::iter::once(from).chain(via.iter().copied()).chain([to]).map(|at| screen.to_screen(at)).collect();
    let last = points.len() - 1;
    // Through a waypoint the wire runs the way from its neighbour before to that behind.
    let tangent = |place: usize| -> egui::Vec2 {
        if place == 0 || place == last {
            return egui::vec2(1.0, 0.0);
        }
        let way = points[place + 1] - points[place - 1];
        if way.length() > 1.0 { way.normalized() } else { egui::vec2(1.0, 0.0) }
    };
    points
        .windows(2)
        .enumerate()
        .map(|(place, ends)| {
            let [start, end] = [ends[0], ends[1]];
            let across = (end.x - start.x).abs();
            let reach = if last == 1 && end.x < start.x {
                (across * 0.5).clamp(40.0 * screen.view.zoom, 200.0 * screen.view.zoom)
            } else {
                ((end - start).length() * 0.4).min(140.0 * screen.view.zoom)
            };
            [start, start + tangent(place) * reach, end - tangent(place + 1) * reach, end]
        })
        .collect()
}

/// A point of a piece; `share` from 0 to 1.
pub(super) fn point(piece: &[egui::Pos2; 4], share: f32) -> egui::Pos2 {
    let rest = 1.0 - share;
    let [a, b, c, d] = piece.map(|at| at.to_vec2());
    (a * rest.powi(3) + b * (3.0 * rest * rest * share) + c * (3.0 * rest * share * share) + d * share.powi(3)).to_pos2()
}

/// How far a point of the screen is from a wire, and which piece is nearest.
pub(super) fn distance(pieces: &[[egui::Pos2; 4]], at: egui::Pos2) -> (f32, usize) {
    const STEPS: usize = 24;
    let mut nearest = (f32::INFINITY, 0);
    for (place, piece) in pieces.iter().enumerate() {
        let mut before = piece[0];
        for step in 1..=STEPS {
            let next = point(piece, step as f32 / STEPS as f32);
            let way = next - before;
            let share = if way.length_sq() > 0.0 { ((at - before).dot(way) / way.length_sq()).clamp(0.0, 1.0) } else { 0.0 };
            let far = (before + way * share).distance(at);
            if far < nearest.0 {
                nearest = (far, place);
            }
            before = next;
        }
    }
    nearest
}

/// What surrounds a wire.
pub(super) fn bounds(pieces: &[[egui::Pos2; 4]]) -> egui::Rect {
    pieces.iter().flatten().fold(egui::Rect::NOTHING, |mut bounds, at| {
        bounds.extend_with(*at);
        bounds
    })
}
