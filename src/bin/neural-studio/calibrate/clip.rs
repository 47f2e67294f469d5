//! Pictures of a board out of a clip.

use crate::{Failure, report::say};
use neural_studio::{
    studio_frame::{prelude::*, queue::ReceiveError},
    studio_media::prelude::*,
    studio_vision::calibrate::{GrayPicture, SharpFrames},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How often it is said how far reading has come.
const PROGRESS: Duration = Duration::from_secs(2);
/// How long a decoder may take for a picture.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a file is named like a video.
pub(super) fn is_clip(path: &Path) -> bool {
    let endings = ["mp4", "mov", "m4v", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mxf", "mpg", "mpeg"];
    path.extension().is_some_and(|ending| endings.contains(&ending.to_string_lossy().to_ascii_lowercase().as_str()))
}

/// The sharpest pictures all along a clip.
pub(super) fn read(path: &Path) -> Result<Vec<GrayPicture>, Failure> {
    let name = path.display().to_string();
    let source = path.to_str().ok_or_else(|| format!("{name}: the name is no UTF-8: rename the clip"))?;
    let capture = VideoFileInput { source: source.to_owned(), ..VideoFileInput::default() }.start(CaptureClock::Offline)?;
    let mut sharp = SharpFrames::default();
    let mut told = Instant::now();
    loop {
        let frame = match capture.frames().recv_timeout(PATIENCE) {
            Ok(frame) => frame,
            Err(ReceiveError::Closed) => break,
            Err(ReceiveError::Empty) => match capture.status() {
                CaptureStatus::Failed { error, .. } => return Err(error.into()),
                _ => return Err(format!("{name}: no picture came for {} s", PATIENCE.as_secs()).into()),
            },
        };
        let at_s = frame.stamp.captured_at.as_micros() as f64 / 1e6;
        sharp.push(GrayPicture::new(&format!("{name} at {at_s:.2} s"), &gray(&frame)?.into())?);
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            let all = capture.duration().map_or_else(String::new, |all| format!(" of {:.1}", all.as_secs_f64()));
            say(&format!("reading {name}: {at_s:.1}{all} s"));
        }
    }
    let frames = sharp.frames();
    match capture.status() {
        CaptureStatus::Failed { error, .. } if frames == 0 => return Err(error.into()),
        CaptureStatus::Failed { error, .. } => say(&format!("warning: {error}")),
        _ => {}
    }
    let pictures = sharp.finish();
    say(&format!("{name}: the {} sharpest of {frames} frames, spread over the clip", pictures.len()));
    Ok(pictures)
}

/// Luma, 8 bits: code values as they are, as corners need no more.
fn gray(frame: &VideoFrame) -> Result<image::GrayImage, Failure> {
    let mut luma = Vec::with_capacity(frame.size.x as usize * frame.size.y as usize);
    for y in 0..frame.size.y {
        let row = frame.row(0, y);
        match frame.format {
            PixelFormat::Nv12 | PixelFormat::I420 => luma.extend_from_slice(row),
            // Ten bits in the upper part of two bytes, low byte first.
            PixelFormat::P010 => luma.extend(row.chunks_exact(2).map(|sample| sample[1])),
            PixelFormat::Rgba8 => luma.extend(row.chunks_exact(4).map(|pixel| {
                let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
                ((54 * r + 183 * g + 19 * b) >> 8) as u8
            })),
        }
    }
    image::GrayImage::from_raw(frame.size.x, frame.size.y, luma).ok_or_else(|| "a picture of the clip is incomplete".into())
}
