//! Pictures and numbered sequences of pictures.

use super::{
    Capture, CaptureClock, CaptureError, CaptureSource, Flip, MAX_SIDE_PX, PictureSettings, Rotation, StillInput,
    file::check_file,
    supervisor::{Feed, FrameSink, SessionEnd, Shared, Supervisor},
};
use bevy::math::UVec2;
use bytes::Bytes;
use image::{ImageReader, Limits, RgbaImage, imageops};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::{prelude::*, queue::Sent};

const DEFAULT_RATE_HZ: f32 = 30.0;
/// The most memory that decoding one picture may take: 16384×16384 RGBA, twice.
const MAX_DECODE_BYTES: u64 = 2 << 30;

/// Splits `frame_%04d.png` into what is before and after the number, and the number's least digits.
fn split_number(name: &str) -> Option<(&str, &str, usize)> {
    let (before, rest) = name.split_once('%')?;
    let (digits, after) = rest.split_once('d')?;
    let width = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some((before, after, width))
}

/// Orders names as people count: `2` before `10`.
fn natural_key(name: &str) -> Vec<(u128, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let number_end = rest[text_end..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| text_end + end);
        let number = rest[text_end..number_end].parse().unwrap_or(u128::MAX);
        parts.push((number, rest[..text_end].to_owned()));
        rest = &rest[number_end..];
    }
    // Text first, then number: `a2` before `b1`.
    parts.into_iter().flat_map(|(number, text)| [(0, text), (number, String::new())]).collect()
}

fn matches_star(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches_star(after, &rest[at..]))),
    }
}

/// The files that a path, pattern or folder stands for, in order.
fn find_pictures(path: &str) -> Result<Vec<PathBuf>, CaptureError> {
    let path = Path::new(path);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, accepts): (&Path, Box<dyn Fn(&str) -> bool>) = if path.is_dir() {
        let is_picture = |name: &str| {
            let name = name.to_ascii_lowercase();
            [".png", ".jpg", ".jpeg"].iter().any(|ending| name.ends_with(ending))
        };
        (path, Box::new(is_picture))
    } else if path.exists() {
        check_file(path)?;
        return Ok(vec![path.into()]);
    } else if let Some((before, after, width)) = split_number(&name) {
        let fits = move |name: &str| {
            let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap_or_default();
            !number.is_empty() && number.len() >= width && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        (folder, Box::new(fits))
    } else if name.contains('*') {
        (folder, Box::new(|other: &str| matches_star(&name, other)))
    } else {
        check_file(path)?;
        return Ok(vec![path.into()]);
    };
    let entries =
        fs::read_dir(folder).map_err(|error| CaptureError::Unreadable { path: folder.into(), reason: error.to_string() })?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| accepts(name)).collect();
    if names.is_empty() {
        return Err(CaptureError::Setting(format!("{}: no picture fits; PNG and JPEG files are shown", path.display())));
    }
    names.sort_by_cached_key(|name| natural_key(name));
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Reads, turns, mirrors and scales one picture.
fn read_picture(path: &Path, picture: &PictureSettings) -> Result<RgbaImage, CaptureError> {
    check_file(path)?;
    let damaged = |reason: String| CaptureError::Damaged { source_name: path.display().to_string(), reason };
    let mut reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|error| damaged(error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => {
            CaptureError::Setting(format!("{} is larger than {MAX_SIDE_PX}×{MAX_SIDE_PX} pixels: scale it down", path.display()))
        }
        image::ImageError::Unsupported(_) => damaged(format!("{error}; PNG and JPEG are read")),
        _ => damaged(error.to_string()),
    })?;
    let mut pixels = decoded.into_rgba8();
    pixels = match picture.rotation {
        Rotation::None => pixels,
        Rotation::Deg90 => imageops::rotate90(&pixels),
        Rotation::Deg180 => imageops::rotate180(&pixels),
        Rotation::Deg270 => imageops::rotate270(&pixels),
    };
    match picture.flip {
        Flip::None => {}
        Flip::Horizontal => imageops::flip_horizontal_in_place(&mut pixels),
        Flip::Vertical => imageops::flip_vertical_in_place(&mut pixels),
    }
    Ok(match picture.size {
        Some(size) if size != UVec2::from(pixels.dimensions()) => {
            imageops::resize(&pixels, size.x, size.y, imageops::FilterType::Triangle)
        }
        _ => pixels,
    })
}

/// A decoded picture, ready to be shown again and again without a copy.
struct Shown {
    size: UVec2,
    data: Bytes,
}

impl From<RgbaImage> for Shown {
    fn from(pixels: RgbaImage) -> Self {
        Self { size: pixels.dimensions().into(), data: pixels.into_raw().into() }
    }
}

/// Delivers what `make` draws for frame 0, 1, … at a steady rate (live) or as fast as it is taken, until it gives none.
pub(crate) fn deliver_at_rate<T>(
    feed: &Feed<T>,
    rate_hz: f32,
    mut make: impl FnMut(u64, FrameStamp) -> Result<Option<T>, CaptureError>,
) -> Result<SessionEnd, CaptureError> {
    let place = |index: u64| Duration::from_secs_f64(index as f64 / f64::from(rate_hz));
    feed.set_frame_duration(place(1).as_nanos() as u64);
    let started = Instant::now();
    for index in 0.. {
        let due = started + place(index);
        if feed.clock == CaptureClock::Live && !feed.shared.sleep_until(due) || feed.shared.stopping() {
            break;
        }
        let stamp = feed.stamp(Some(place(index).as_nanos() as u64), due.elapsed());
        let Some(frame) = make(index, stamp)? else { return Ok(SessionEnd::Ended) };
        if !feed.deliver(frame) {
            break;
        }
    }
    Ok(SessionEnd::Stopped)
}

impl CaptureSource for StillInput {
    fn start(&self, clock: CaptureClock) -> Result<Capture, CaptureError> {
        if self.path.is_empty() {
            return Err(CaptureError::NothingChosen("picture"));
        }
        self.picture.check().map_err(CaptureError::Setting)?;
        let pictures = find_pictures(&self.path)?;
        let StillInput { picture, repeat, .. } = *self;
        let shared = Shared::new(&self.path);
        let (sender, frames) = clock.queue();
        let sink: FrameSink = Box::new(move |frame| sender.send(frame) != Sent::Closed);
        let color = ColorInfo { range: ColorRange::Full, transfer: TransferFunction::Srgb, ..ColorInfo::BT709 };
        let session = move |feed: &Arc<Feed>| {
            let mut shown: Option<Shown> = None;
            deliver_at_rate(feed, picture.rate_hz.unwrap_or(DEFAULT_RATE_HZ), |index, stamp| {
                let index = index as usize;
                if pictures.len() > 1 && index >= pictures.len() && !repeat {
                    return Ok(None);
                }
                if pictures.len() > 1 || shown.is_none() {
                    shown = Some(read_picture(&pictures[index % pictures.len()], &picture)?.into());
                }
                let frame = shown
                    .as_ref()
                    .map(|Shown { size, data }| VideoFrame::from_packed(stamp, PixelFormat::Rgba8, *size, color, data.clone()));
                frame.transpose().map_err(|error| CaptureError::Setting(error.to_string()))
            })
        };
        let supervisor = Supervisor::spawn(shared.clone(), clock, sink, Box::new(session))?;
        Ok(Capture::new(frames, shared, supervisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = vec!["b1.png", "a10.png", "a2.png"];
        names.sort_by_cached_key(|name| natural_key(name));
        assert_eq!(names, ["a2.png", "a10.png", "b1.png"]);
        assert!(matches_star("a*.p*g", "a10.png") && !matches_star("a*.png", "b.png"));
        assert_eq!(split_number("f_%04d.png"), Some(("f_", ".png", 4)));
    }
}
