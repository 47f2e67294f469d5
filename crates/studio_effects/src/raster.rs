//! Words as pixels.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use bevy::prelude::*;

/// Words with their look.
pub(crate) struct Words<'a> {
    pub text: &'a str,
    /// A TrueType or OpenType file.
    pub font: &'a [u8],
    pub line_px: f32,
    pub color: LinearRgba,
    pub outline_px: f32,
    pub outline_color: LinearRgba,
    pub box_color: LinearRgba,
    /// Where short lines stand beside longer ones: 0 left, 1 right.
    pub align: f32,
    /// The largest picture that is made; what lies beyond is cut off.
    pub most: UVec2,
}

/// A small picture: RGBA, gamma-coded, straight alpha, rows from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Width and height in pixels.
    pub size: UVec2,
    /// Four bytes a pixel.
    pub rgba: Vec<u8>,
}

/// Letters further from the left edge than this are not laid out: no picture is as wide.
const FAR: f32 = 20_000.0;

/// Draws words; none if there is nothing to be seen.
pub(crate) fn rasterise(words: &Words) -> Result<Option<Layer>, String> {
    let font = FontRef::try_from_slice(words.font).map_err(|error| error.to_string())?;
    let scale = PxScale::from(words.line_px);
    let scaled = font.as_scaled(scale);
    let (height, ascent) = (scaled.height().max(1.0), scaled.ascent());
    let mut lines: Vec<(Vec<Glyph>, f32)> = Vec::new();
    for line in words.text.lines() {
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        let mut before = None;
        for letter in line.chars().filter(|letter| !letter.is_control()) {
            let id = scaled.glyph_id(letter);
            if let Some(before) = before.replace(id) {
                x += scaled.kern(before, id);
            }
            if x < FAR {
                glyphs.push(id.with_scale_and_position(scale, point(x, 0.0)));
                x += scaled.h_advance(id);
            }
        }
        lines.push((glyphs, x));
    }
    let width = lines.iter().map(|(_, width)| *width).fold(0.0, f32::max);
    if width <= 0.0 || lines.iter().all(|(glyphs, _)| glyphs.is_empty()) {
        return Ok(None);
    }
    let boxed = words.box_color.alpha > 0.0;
    let padding = (words.outline_px.ceil() + 1.0 + if boxed { words.line_px * 0.25 } else { 0.0 }).ceil();
    let wanted = Vec2::new(width, height * lines.len() as f32) + 2.0 * padding;
    let size = wanted.ceil().as_uvec2().clamp(UVec2::ONE, words.most.max(UVec2::ONE));
    let mut coverage = vec![0.0_f32; (size.x * size.y) as usize];
    for (row, (glyphs, line_width)) in lines.into_iter().enumerate() {
        let start = Vec2::new(padding + (width - line_width) * words.align, padding + ascent + height * row as f32);
        if start.y - ascent > size.y as f32 {
            break;
        }
        for mut glyph in glyphs {
            glyph.position = point(glyph.position.x + start.x, start.y);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|x, y, amount| {
                let (x, y) = (bounds.min.x as i64 + i64::from(x), bounds.min.y as i64 + i64::from(y));
                if (0..i64::from(size.x)).contains(&x) && (0..i64::from(size.y)).contains(&y) {
                    let pixel = &mut coverage[(y * i64::from(size.x) + x) as usize];
                    *pixel = (*pixel + amount).min(1.0);
                }
            });
        }
    }
    let outline = grown(&coverage, size, words.outline_px);
    let code = |color: LinearRgba| {
        let coded = Srgba::from(color);
        [coded.red, coded.green, coded.blue, coded.alpha].map(|value| value.clamp(0.0, 1.0))
    };
    let (fill, edge, behind) = (code(words.color), code(words.outline_color), code(words.box_color));
    let mut rgba = Vec::with_capacity(coverage.len() * 4);
    for (inside, around) in coverage.iter().zip(&outline) {
        let edged = over([edge[0], edge[1], edge[2], edge[3] * around], behind);
        let pixel = over([fill[0], fill[1], fill[2], fill[3] * inside], edged);
        rgba.extend(pixel.map(|value| (value * 255.0).round() as u8));
    }
    Ok(Some(Layer { size, rgba }))
}

/// One colour over another, straight alpha.
fn over(top: [f32; 4], below: [f32; 4]) -> [f32; 4] {
    let alpha = top[3] + below[3] * (1.0 - top[3]);
    let mix = |channel: usize| (top[channel] * top[3] + below[channel] * below[3] * (1.0 - top[3])) / alpha.max(1e-6);
    [mix(0), mix(1), mix(2), alpha]
}

/// The coverage of the letters with an edge of `radius` pixels around them: the largest of a disc, separably for each of its
/// rows.
fn grown(coverage: &[f32], size: UVec2, radius: f32) -> Vec<f32> {
    if radius <= 0.0 {
        return vec![0.0; coverage.len()];
    }
    let (width, height) = (size.x as i32, size.y as i32);
    let reach = radius.ceil() as i32;
    let mut result = vec![0.0_f32; coverage.len()];
    for dy in -reach..=reach {
        // Half the disc's width in this row; its rim is soft over one pixel.
        let half = radius * radius - (dy * dy) as f32;
        let rim = (radius + 0.5 - (dy as f32).abs()).clamp(0.0, 1.0);
        let half = half.max(0.0).sqrt().round() as i32;
        for y in 0..height {
            let from = y + dy;
            if !(0..height).contains(&from) {
                continue;
            }
            let row = &coverage[(from * width) as usize..((from + 1) * width) as usize];
            let out = &mut result[(y * width) as usize..((y + 1) * width) as usize];
            widest(row, half, |x, value| out[x] = out[x].max(value * rim));
        }
    }
    result
}

/// The largest of each value's neighbours up to `half` away, in time that does not depend on it (a queue of falling values).
fn widest(row: &[f32], half: i32, mut put: impl FnMut(usize, f32)) {
    let half = half.max(0) as usize;
    let mut falling: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let mut next = 0;
    for x in 0..row.len() {
        while next < row.len() && next <= x + half {
            while falling.back().is_some_and(|last| row[*last] <= row[next]) {
                falling.pop_back();
            }
            falling.push_back(next);
            next += 1;
        }
        while falling.front().is_some_and(|first| first + half < x) {
            falling.pop_front();
        }
        if let Some(first) = falling.front() {
            put(x, row[*first]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_of_a_window_is_found() {
        let row = [0.0, 0.2, 0.9, 0.1, 0.0, 0.0, 0.5];
        let mut found = vec![0.0; row.len()];
        widest(&row, 1, |x, value| found[x] = value);
        assert_eq!(found, [0.2, 0.9, 0.9, 0.9, 0.1, 0.5, 0.5]);
        widest(&row, 0, |x, value| found[x] = value);
        assert_eq!(found, row);
    }
}
