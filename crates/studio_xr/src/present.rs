//! What is handed to the compositor at the end of a frame: pictures are drawn into images that it shares.

use crate::{
    error::XrError,
    headset::Core,
    images::{XrImages, copy},
    layers::{Beside, submit},
    log::{Event, FrameEvent},
    output::{HeadsetBackground, HeadsetLayers, HeadsetOutput, Shown},
    pose::yaw_pitch_deg,
    session::{XrFrame, XrSession},
    shape::{Shape, eye_part, eye_size, shape},
    veil::Veil,
};
use bevy::prelude::*;
use openxr::{EnvironmentBlendMode, Vulkan};
use std::time::Duration;
use studio_effects::text::{TextAnchor, TextOverlay};
use studio_frame::prelude::*;
use studio_gpu::{device::GpuError, prelude::*, rgba::RgbaPass};
use studio_profile::{
    camera::pass::{EyePictures, EyesPass},
    profile::ProfileProjection,
};

/// The panel's image, in pixels.
const PANEL_PX: UVec2 = UVec2::new(1024, 512);

/// What draws pictures into images.
pub(crate) struct Painter {
    eyes: EyesPass,
    convert: [RgbaPass; 2],
    scratch: [Option<GpuPicture>; 2],
    panel_part: UVec2,
    pub veil: Veil,
}

impl Painter {
    fn new(device: &wgpu::Device) -> Self {
        Self {
            eyes: EyesPass::new(device),
            convert: [RgbaPass::new(device), RgbaPass::new(device)],
            scratch: [None, None],
            panel_part: UVec2::ZERO,
            veil: Veil::default(),
        }
    }
}

/// A picture of this size to draw into, kept for the next time.
fn scratch<'a>(kept: &'a mut Option<GpuPicture>, device: &wgpu::Device, size: UVec2) -> Result<&'a GpuPicture, GpuError> {
    let picture = match kept.take().filter(|picture| picture.size == size) {
        Some(picture) => picture,
        None => GpuPicture::rgba(device, "headset", size)?,
    };
    Ok(kept.insert(picture))
}

/// Images for pictures of this size and number, kept or made anew.
fn images<'a>(
    kept: &'a mut Option<XrImages>,
    session: &openxr::Session<Vulkan>,
    device: &wgpu::Device,
    format: wgpu::TextureFormat,
    size: UVec2,
    layers: u32,
) -> Result<&'a mut XrImages, XrError> {
    let fitting = kept.take().filter(|images| images.fits(size, layers));
    let images = match fitting {
        Some(images) => images,
        None => {
            // What the GPU still writes into the images before must be over before they go.
            device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(2)) }).ok();
            XrImages::new(session, device, format, size, layers)?
        }
    };
    Ok(kept.insert(images))
}

/// Everything that drawing needs beside the headset.
pub(crate) struct Present<'a> {
    pub device: &'a wgpu::Device,
    pub queue: &'a wgpu::Queue,
    pub settings: &'a HeadsetOutput,
    pub shown: Option<&'a mut Shown>,
}

impl Core {
    /// Draws and ends the frame that is open, if one is. Returns whether a picture was seen for the first time.
    pub fn present(&mut self, present: Present) -> Option<FrameStamp> {
        let frame = self.session.as_mut()?.open.take()?;
        match self.draw(present, &frame) {
            Ok(seen) => seen,
            Err(error) => {
                self.lose(error);
                None
            }
        }
    }

    fn draw(&mut self, present: Present, frame: &XrFrame) -> Result<Option<FrameStamp>, XrError> {
        let Present { device, queue, settings, mut shown } = present;
        let (Some(connection), Some(session)) = (&self.connection, &mut self.session) else { return Ok(None) };
        let painter = self.painter.get_or_insert_with(|| Painter::new(device));
        let blend = blend_mode(&connection.blend_modes, settings.background);
        if blend == EnvironmentBlendMode::OPAQUE && settings.background == HeadsetBackground::Passthrough {
            warn_once!("this headset cannot show the room: it is black beside the picture");
        }
        painter.veil.advance(frame.tracked, frame.period);
        let mut kind = None;
        if frame.should_render {
            if let Some(shown) = shown.as_deref_mut() {
                let eye_px = shown.frame.picture.size.as_vec2() * eye_part(shown.frame.stereo, 0).size();
                let equirect2 = connection.equirect2 && settings.layers == HeadsetLayers::Auto;
                let found = shape(shown.frame.projection, eye_px, equirect2, settings.screen_distance_m.clamp(0.5, 20.0));
                match found {
                    Shape::EyeViews => draw_eyes(device, queue, session, painter, frame, shown, connection.eye_size)?,
                    _ => hand_over(device, queue, session, painter, shown, connection.largest)?,
                }
                kind = Some((found, shown.frame.stereo));
            }
            if core::mem::take(&mut self.panel_changed) {
                write_panel(device, queue, session, painter, self.panel.as_deref())?;
            }
            if let Some(pictures) = &self.scene {
                let size = pictures[0].size;
                let scene = images(&mut session.scene, &session.session, device, session.format, size, 2)?;
                scene.fill(device, queue, |encoder, texture| {
                    for (eye, picture) in (0..).zip(pictures) {
                        copy(encoder, &picture.planes[0], UVec2::ZERO, texture, eye);
                    }
                })?;
            }
            let level = painter.veil.level();
            if painter.veil.take_change() {
                let veil = images(&mut session.veil, &session.session, device, session.format, Veil::SIZE, 1)?;
                let pixels = Veil::pixels(level);
                veil.fill(device, queue, |_, texture| write(queue, texture, &pixels, Veil::SIZE))?;
            }
        }
        let panel = self.panel.as_ref().map(|_| painter.panel_part).filter(|part| *part != UVec2::ZERO);
        let beside = Beside { scene: self.scene.take().is_some(), panel, veil: painter.veil.level() };
        let layers = submit(session, frame, kind, blend, beside)?;
        session.ask_for_next();
        Ok(self.note(frame, shown, layers))
    }

    /// Counts and logs what was seen.
    fn note(&mut self, frame: &XrFrame, shown: Option<&mut Shown>, layers: Vec<&'static str>) -> Option<FrameStamp> {
        let mut seen = None;
        let (mut picture, mut age_ms) = (None, None);
        if let Some(shown) = shown.filter(|_| frame.should_render) {
            let stamp = shown.frame.stamp;
            if core::mem::take(&mut shown.fresh) {
                self.status.fresh += 1;
                seen = Some(stamp);
            } else {
                self.status.repeated += 1;
            }
            let until = frame.display_at.saturating_duration_since(std::time::Instant::now());
            picture = Some(stamp.frame_id);
            age_ms = Some((UnixTime::now().since(stamp.captured_at) + until).as_secs_f32() * 1e3);
            self.status.age_ms = age_ms;
        }
        let (yaw, pitch) = yaw_pitch_deg(frame.head.rotation * Vec3::NEG_Z);
        self.log.write(Event::Frame(FrameEvent {
            number: frame.number,
            display_ns: frame.time.as_nanos(),
            period_ns: frame.period.as_nanos() as i64,
            should_render: frame.should_render,
            layers,
            eyes_m: frame.views.map(|view| view.eye.translation.into()),
            head_deg: [yaw, pitch],
            picture,
            fresh: seen.is_some(),
            age_ms,
        }));
        seen
    }
}

/// The way that the runtime mixes our layers with what is behind them.
fn blend_mode(offered: &[EnvironmentBlendMode], background: HeadsetBackground) -> EnvironmentBlendMode {
    let wanted: &[EnvironmentBlendMode] = match background {
        HeadsetBackground::Opaque => &[EnvironmentBlendMode::OPAQUE],
        HeadsetBackground::Passthrough => &[EnvironmentBlendMode::ALPHA_BLEND, EnvironmentBlendMode::ADDITIVE],
    };
    // Glasses that one looks through know no other than the first of their own.
    wanted.iter().find(|mode| offered.contains(mode)).or(offered.first()).copied().unwrap_or(EnvironmentBlendMode::OPAQUE)
}

/// Hands the picture over as it is, each eye's part into a layer of its own. A picture that is there already stays.
fn hand_over(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    session: &mut XrSession,
    painter: &mut Painter,
    shown: &Shown,
    largest: UVec2,
) -> Result<(), XrError> {
    let frame = &shown.frame;
    let size = eye_size(frame.picture.size, frame.stereo, largest);
    let eyes = if frame.stereo == StereoLayout::Mono { 1 } else { 2 };
    let XrSession { content, session, format, .. } = session;
    let content = images(content, session, device, *format, size, eyes as u32)?;
    if content.filled && !shown.fresh {
        return Ok(());
    }
    let mut pictures = Vec::with_capacity(2);
    for kept in painter.scratch.iter_mut().take(eyes) {
        pictures.push(scratch(kept, device, size).map_err(|error| XrError::NoGraphics(error.to_string()))?);
    }
    let convert = &painter.convert;
    content.fill(device, queue, |encoder, texture| {
        for (eye, picture) in pictures.iter().enumerate() {
            convert[eye].encode(device, queue, encoder, &frame.picture, picture, eye_part(frame.stereo, eye));
            copy(encoder, &picture.planes[0], UVec2::ZERO, texture, eye as u32);
        }
    })
}

/// Draws what each eye sees of the picture.
fn draw_eyes(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    session: &mut XrSession,
    painter: &mut Painter,
    frame: &XrFrame,
    shown: &Shown,
    size: UVec2,
) -> Result<(), XrError> {
    let ahead = session.ahead.rotation.inverse();
    let XrSession { eyes, session, format, .. } = session;
    let eyes = images(eyes, session, device, *format, size, 2)?;
    let Painter { eyes: pass, scratch: [kept, _], .. } = painter;
    let both = scratch(kept, device, size * UVec2::new(2, 1)).map_err(|error| XrError::NoGraphics(error.to_string()))?;
    let pictures = EyePictures {
        rotations: frame.views.map(|view| ahead * view.eye.rotation),
        edges: frame.views.map(|view| view.tangents),
        projection: ProfileProjection::Rectilinear,
        stereo: StereoLayout::LeftRight,
    };
    eyes.fill(device, queue, |encoder, texture| {
        pass.encode_eyes(device, queue, encoder, &pictures, &shown.frame, both);
        for eye in 0..2 {
            copy(encoder, &both.planes[0], UVec2::new(eye * size.x, 0), texture, eye);
        }
    })
}

fn write(queue: &wgpu::Queue, texture: &wgpu::Texture, rgba: &[u8], size: UVec2) {
    queue.write_texture(
        texture.as_image_copy(),
        rgba,
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(size.x * 4), rows_per_image: None },
        wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 },
    );
}

fn write_panel(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    session: &mut XrSession,
    painter: &mut Painter,
    words: Option<&str>,
) -> Result<(), XrError> {
    let overlay = TextOverlay {
        text: words.unwrap_or_default().chars().take(TextOverlay::MAX_LETTERS).collect(),
        size: 0.06,
        color: LinearRgba::WHITE,
        box_color: LinearRgba::new(0.0, 0.0, 0.0, 0.7),
        anchor: TextAnchor::TopLeft,
        margin: 0.0,
        ..default()
    };
    painter.panel_part = UVec2::ZERO;
    // The font is the one that is built in: what can fail is a setting, and those are ours.
    let Ok(Some((layer, _))) = overlay.layer(PANEL_PX) else { return Ok(()) };
    let XrSession { panel, session, format, .. } = session;
    let panel = images(panel, session, device, *format, PANEL_PX, 1)?;
    panel.fill(device, queue, |_, texture| write(queue, texture, &layer.rgba, layer.size))?;
    painter.panel_part = layer.size;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_seen_only_where_it_is_wanted_and_offered() {
        use EnvironmentBlendMode as Mode;
        let both = [Mode::OPAQUE, Mode::ALPHA_BLEND];
        assert_eq!(blend_mode(&both, HeadsetBackground::Opaque), Mode::OPAQUE);
        assert_eq!(blend_mode(&both, HeadsetBackground::Passthrough), Mode::ALPHA_BLEND);
        assert_eq!(blend_mode(&[Mode::OPAQUE], HeadsetBackground::Passthrough), Mode::OPAQUE);
        assert_eq!(blend_mode(&[Mode::ADDITIVE], HeadsetBackground::Opaque), Mode::ADDITIVE);
    }
}
