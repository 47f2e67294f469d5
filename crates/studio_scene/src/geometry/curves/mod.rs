//! Curves as tubes and ribbons.

mod sample;
mod sweep;

use super::{
    GeometryError, MeshOptions, MeshPart, VertexColors,
    balls::{HAIR, diagonal, moves},
    plain::Plain,
    primvar::{Elements, Finite},
};
use bevy::math::{Vec3, Vec4};
use sample::{Layout, Sample, Span};
use studio_usd::snapshot::{Curves, Interpolate, Interpolation, Primvar, display_rgba};

/// Makes the mesh of curves at a time: tubes as wide as the curves say, or flat ribbons where they have normals, all in one mesh. Linear
/// curves keep their corners; a piece of a cubic one has [`MeshOptions::curve_segments`] segments. Where the triangles would be more than
/// [`MeshOptions::max_triangles`], pieces get fewer segments and tubes fewer sides; if three sides are too many still, the last curves are
/// left out; notes say so.
///
/// Curves without widths are a four-hundredth of their box's diagonal wide.
///
/// # Errors
/// If the curves have more control points than there are, or a position is not a finite number. A curve with too few control points for
/// its kind is left out and noted.
pub fn curves_mesh(curves: &Curves, options: &MeshOptions) -> Result<MeshPart, GeometryError> {
    let mut notes = Vec::new();
    let points = curves.points.at(options.time).unwrap_or_default();
    if let Some(at) = points.iter().position(|point| !point.is_finite()) {
        return Err(GeometryError::NotFinite { what: "points".to_owned(), at });
    }
    let layout = Layout::new(curves, points.len(), &mut notes)?;
    let widths = Values::read(curves.widths.as_ref(), options.time, &layout, &mut notes);
    let normals = Values::read(curves.normals.as_ref(), options.time, &layout, &mut notes);
    let wants_colors = options.vertex_colors != VertexColors::Never;
    let color = Values::read(curves.display_color.as_ref().filter(|_| wants_colors), options.time, &layout, &mut notes);
    let opacity = Values::read(curves.display_opacity.as_ref().filter(|_| wants_colors), options.time, &layout, &mut notes);
    let (steps, sides, shown) = afford(&layout, normals.is_some(), options, &mut notes);
    let hair = diagonal(&points) * HAIR;

    let mut plain = Plain::default();
    for span in layout.spans.iter().take(shown) {
        let samples = layout.samples(span, steps);
        let rows: Vec<sweep::Row> = samples
            .iter()
            .map(|sample| sweep::Row {
                position: sample.mix(&points),
                radius: widths.as_ref().map_or(hair, |widths| widths.at(span, sample)).max(0.0) / 2.0,
                normal: normals.as_ref().map(|normals| normals.at(span, sample)),
                point: sample.nearest(),
            })
            .collect();
        let colors: Vec<Vec4> = if color.is_some() || opacity.is_some() {
            let rgba = |sample: &Sample| {
                let opacity = opacity.as_ref().map(|opacity| opacity.at(span, sample));
                display_rgba(color.as_ref().map(|color| color.at(span, sample)), opacity)
            };
            samples.iter().map(rgba).collect()
        } else {
            Vec::new()
        };
        if normals.is_some() {
            sweep::ribbon(&mut plain, &rows, &colors, layout.is_periodic);
        } else {
            sweep::tube(&mut plain, &rows, &colors, sides, layout.is_periodic);
        }
    }
    let is_animated = curves.points.is_animated()
        || moves(curves.widths.as_ref())
        || moves(curves.normals.as_ref())
        || moves(curves.display_color.as_ref())
        || moves(curves.display_opacity.as_ref());
    Ok(plain.part(options, normals.is_some(), is_animated, notes))
}

/// Segments a piece, sides of a tube, and how many curves there is room for.
fn afford(layout: &Layout, are_ribbons: bool, options: &MeshOptions, notes: &mut Vec<String>) -> (u32, u32, usize) {
    let pieces: u64 = layout.spans.iter().map(|span| span.pieces as u64).sum();
    let most = options.max_triangles.max(1) as u64;
    let mut sides = if are_ribbons { 1 } else { u64::from(options.tube_sides.clamp(3, 64)) };
    let mut steps = if layout.is_cubic { u64::from(options.curve_segments.clamp(1, 64)) } else { 1 };
    let wanted = (steps, sides);
    // Both ends of a tube are closed.
    let cost = |steps: u64, sides: u64| {
        let ends = if are_ribbons { 0 } else { 2 * sides * layout.spans.len() as u64 };
        2 * sides * steps * pieces + ends
    };
    while cost(steps, sides) > most && (steps > 1 || sides > 3) {
        if steps > 2 || sides <= 3 {
            steps = (steps / 2).max(1);
        } else {
            sides = (sides - 1).max(3);
        }
        if are_ribbons && steps == 1 {
            break;
        }
    }
    let mut shown = layout.spans.len();
    if cost(steps, sides) > most {
        let mut sum = 0;
        shown = layout
            .spans
            .iter()
            .take_while(|span| {
                sum += 2 * sides * (steps * span.pieces as u64 + 1);
                sum <= most
            })
            .count();
        notes.push(format!("{shown} of {} curves are shown: {most} triangles is the most", layout.spans.len()));
    } else if (steps, sides) != wanted {
        notes.push(format!("curves are drawn with {steps} segments a piece and {sides} sides: {most} triangles is the most"));
    }
    (steps as u32, sides as u32, shown)
}

/// Values along curves, one for each element, without indices.
struct Values<T> {
    interpolation: Interpolation,
    values: Vec<T>,
    /// Whether `Uniform` values are one for each piece rather than one for each curve.
    by_piece: bool,
}

impl<T: Interpolate + Finite + Default + Copy + sample::Mix> Values<T> {
    fn read(primvar: Option<&Primvar<T>>, time: f64, layout: &Layout, notes: &mut Vec<String>) -> Option<Self> {
        let primvar = primvar?;
        let elements = Elements { faces: layout.spans.len() + layout.left_out, points: layout.points, corners: layout.varying };
        // What is linear between the ends of pieces has as many values as there are ends, not points.
        let checked = match primvar.interpolation {
            Interpolation::Varying => Primvar { interpolation: Interpolation::FaceVarying, ..primvar.clone() },
            _ => primvar.clone(),
        };
        let channel = super::primvar::resolve_or_note(Some(&checked), time, elements, notes)?;
        let interpolation = channel.interpolation;
        let values = channel.flattened();
        let by_piece = interpolation == Interpolation::Uniform && values.len() >= layout.pieces && layout.pieces > elements.faces;
        Some(Self { interpolation, values, by_piece })
    }

    fn at(&self, span: &Span, sample: &Sample) -> T {
        let value = |at: usize| self.values.get(at).copied().unwrap_or_default();
        match self.interpolation {
            Interpolation::Constant => value(0),
            Interpolation::Uniform if self.by_piece => value(span.first_piece + sample.piece),
            Interpolation::Uniform => value(span.curve),
            Interpolation::Vertex => sample.mix(&self.values),
            Interpolation::Varying | Interpolation::FaceVarying => {
                let next = if span.varying == span.pieces { (sample.piece + 1) % span.varying.max(1) } else { sample.piece + 1 };
                value(span.first_varying + sample.piece)
                    .interpolate(&value(span.first_varying + next), f64::from(sample.fraction))
            }
        }
    }
}

/// A vector of a length, or the direction given.
fn unit(vector: Vec3, otherwise: Vec3) -> Vec3 {
    let largest = vector.abs().max_element();
    if largest > 0.0 && largest.is_finite() { (vector / largest).normalize_or(otherwise) } else { otherwise }
}
