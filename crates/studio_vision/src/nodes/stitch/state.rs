//! What a stitch keeps from picture to picture, and how it goes over to another calibration.

use super::{
    Stitch, StitchNodeError,
    motion::{ImuMotion, Moment},
};
use crate::{
    rig::{Rig, YawPitchRoll},
    stabilise::Level,
    stitch::{
        CrossfadePass, LensHealth, NadirFill, NadirPass, StMap, StMapPass, StitchError, StitchMeasurement, StitchPass,
        StitchPlan, StitchSettings, StitchView, between,
    },
};
use bevy::{
    math::{DMat3, UVec2},
    prelude::*,
    tasks::{AsyncComputeTaskPool, Task, TaskPool, futures::check_ready},
};
use std::{
    io::Read as _,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;

/// A map that takes longer is worked out beside the pictures, not between them.
const QUICK: Duration = Duration::from_millis(4);

/// What turns pictures into one: a map worked out from a rig, or one that was given.
pub(super) enum StitchState {
    Rig(Box<RigStitch>),
    Map { pass: Box<StMapPass>, path: String, output: Arc<GpuPicture> },
}

impl StitchState {
    pub fn fits(&self, wanted: &Stitch) -> bool {
        match self {
            Self::Rig(stitch) => wanted.st_map.is_empty() && stitch.settings.size_px == wanted.settings.size_px,
            Self::Map { path, pass, .. } => *path == wanted.st_map && pass.sampling() == wanted.settings.sampling,
        }
    }

    pub fn make(gpu: &GpuContext, wanted: &Stitch, rig: Option<&Arc<Rig>>) -> Result<Self> {
        let (device, queue) = (gpu.device(), gpu.queue());
        if wanted.st_map.is_empty() {
            let rig = rig.ok_or(StitchNodeError::NoRig)?;
            return Ok(Self::Rig(Box::new(RigStitch::new(device, queue, wanted, rig)?)));
        }
        let path = wanted.st_map.clone();
        let bytes =
            std::fs::read(&path).map_err(|error| StitchNodeError::StMapFile { path: path.clone(), reason: error.to_string() })?;
        let pass = Box::new(StMapPass::new(device, queue, &StMap::from_bytes(&path, &bytes)?, wanted.settings.sampling)?);
        let output = Arc::new(pass.output_picture(device, "stitch")?);
        Ok(Self::Map { pass, path, output })
    }
}

/// What a map is made for.
#[derive(Clone, Debug, PartialEq)]
struct Aim {
    rig: Arc<Rig>,
    settings: StitchSettings,
    moment: Moment,
}

impl Aim {
    fn plan(&self, tile_px: Option<u32>) -> Result<StitchPlan, StitchError> {
        StitchPlan::new(&self.rig, &self.settings, self.moment.rows.as_ref(), tile_px)
    }
}

/// On the way from one calibration to another.
struct Glide {
    from: Arc<Rig>,
    start_s: f64,
}

/// A stitch of another kind of rig that fades out.
struct Fade {
    pass: Box<StitchPass>,
    output: Arc<GpuPicture>,
    mixed: Arc<GpuPicture>,
    crossfade: CrossfadePass,
    start_s: f64,
    part: f32,
}

/// A stitch by a rig.
pub(super) struct RigStitch {
    pass: Box<StitchPass>,
    output: Arc<GpuPicture>,
    /// The settings that the node has.
    settings: StitchSettings,
    /// The calibration that the node has.
    target: Arc<Rig>,
    /// What the pass's map was made for.
    shown: Aim,
    glide: Option<Glide>,
    fade: Option<Fade>,
    /// A map that is being worked out.
    making: Option<Task<(Aim, Result<StitchPlan, StitchError>, Duration)>>,
    /// How long the last map took.
    took: Duration,
    motion: Option<ImuMotion>,
    nadir: Option<Nadir>,
    /// From the picture's frame to the level one, for the nadir.
    level_from_view: DMat3,
    /// How the lenses fare, as people were told.
    health: Vec<LensHealth>,
    /// Whether the last picture was measured.
    measured: bool,
}

struct Nadir {
    pass: NadirPass,
    path: String,
    radius_deg: f32,
}

impl RigStitch {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, wanted: &Stitch, rig: &Arc<Rig>) -> Result<Self> {
        let start = Instant::now();
        let settings = turned(wanted, &Moment::default())?;
        let pass = Box::new(StitchPass::new(device, queue, rig, &settings)?);
        let output = Arc::new(pass.output_picture(device, "stitch")?);
        Ok(Self {
            pass,
            output,
            settings: wanted.settings.clone(),
            target: rig.clone(),
            shown: Aim { rig: rig.clone(), settings, moment: Moment::default() },
            glide: None,
            fade: None,
            making: None,
            took: start.elapsed(),
            motion: None,
            nadir: None,
            level_from_view: DMat3::IDENTITY,
            health: Vec::new(),
            measured: false,
        })
    }

    /// Brings the map to what the node wants at a moment: its settings, the rig's turns, and the calibration that it has or glides to.
    pub fn follow(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        wanted: &Stitch,
        rig: Option<&Arc<Rig>>,
        stamp: FrameStamp,
        live: bool,
    ) -> Result {
        let now_s = stamp.pts.as_duration().as_secs_f64();
        let glide_s = f64::from(wanted.recalibrate_s.clamp(0.0, 30.0));
        if let Some(rig) = rig.filter(|rig| !Arc::ptr_eq(rig, &self.target)) {
            self.recalibrate(device, queue, wanted, rig, now_s, glide_s)?;
        }
        ImuMotion::keep(&mut self.motion, wanted)?;
        let moment = self.motion.as_mut().map(|motion| motion.at(wanted, stamp)).unwrap_or_default();
        let settings = turned(wanted, &moment)?;
        self.level_from_view = wanted.settings.orientation.matrix();
        self.settings.clone_from(&wanted.settings);
        self.keep_nadir(device, queue, wanted)?;
        if let Some(fade) = &mut self.fade {
            fade.part = share(now_s, fade.start_s, glide_s) as f32;
            if fade.part >= 1.0 {
                self.fade = None;
            }
        }
        let glide = self.glide.as_ref().map(|glide| (glide.from.clone(), share(now_s, glide.start_s, glide_s)));
        let rig = match &glide {
            Some((from, part)) if *part < 1.0 => between(from, &self.target, *part).map_or(self.target.clone(), Arc::new),
            _ => self.target.clone(),
        };
        let mut aim = Aim { rig, settings, moment };
        // What follows the camera or the user belongs to this very picture; a calibration may come some pictures later.
        let exact = aim.settings != self.shown.settings || aim.moment != self.shown.moment;
        let beside = live && self.glide.is_some() && self.took > QUICK && !exact;
        if beside {
            self.take_made(device, queue)?;
            if self.making.is_none() && aim != self.shown {
                self.make_beside(aim);
            }
        } else if aim != self.shown {
            self.making = None;
            let start = Instant::now();
            let mut plan = aim.plan(self.tile_px(&aim));
            if plan.is_err() && self.glide.take().is_some() {
                // What lies between two good calibrations may be none.
                aim.rig = self.target.clone();
                plan = aim.plan(None);
            }
            let plan = plan?;
            self.took = start.elapsed();
            self.pass.set_plan(device, queue, plan)?;
            self.shown = aim;
        }
        if glide.is_some_and(|(_, part)| part >= 1.0) && self.shown.rig == self.target {
            self.glide = None;
        }
        Ok(())
    }

    /// Begins to go over to another calibration: lens by lens where it is of the same kind, else picture by picture.
    fn recalibrate(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        wanted: &Stitch,
        rig: &Arc<Rig>,
        now_s: f64,
        glide_s: f64,
    ) -> Result {
        self.making = None;
        if between(&self.shown.rig, rig, 0.0).is_some() {
            self.glide = Some(Glide { from: self.shown.rig.clone(), start_s: now_s });
        } else {
            let next = Self::new(device, queue, wanted, rig)?;
            let fits = self.pass.picture_count() == next.pass.picture_count();
            let before = core::mem::replace(self, next);
            self.motion = before.motion;
            self.nadir = before.nadir;
            if fits && glide_s > 0.0 {
                self.fade = Some(Fade {
                    mixed: Arc::new(self.pass.output_picture(device, "stitch fade")?),
                    pass: before.pass,
                    output: before.output,
                    crossfade: CrossfadePass::new(device),
                    start_s: now_s,
                    part: 0.0,
                });
            }
        }
        self.target = rig.clone();
        info!("the rig “{}” is calibrated anew: its picture goes over to it in {glide_s} s", rig.name);
        Ok(())
    }

    /// The size of tiles that will do for another map; `None` where it has to be found: for another view, and for the calibration that stays.
    fn tile_px(&self, aim: &Aim) -> Option<u32> {
        let same_view = aim.settings.view == self.shown.settings.view && aim.settings.blend == self.shown.settings.blend;
        let arrives = aim.rig == self.target && self.shown.rig != self.target;
        (same_view && !arrives).then(|| self.pass.tile_px())
    }

    fn make_beside(&mut self, aim: Aim) {
        let tile_px = self.tile_px(&aim);
        self.making = Some(AsyncComputeTaskPool::get_or_init(TaskPool::default).spawn(async move {
            let start = Instant::now();
            let plan = aim.plan(tile_px);
            (aim, plan, start.elapsed())
        }));
    }

    fn take_made(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result {
        let Some(made) = self.making.as_mut().and_then(check_ready) else { return Ok(()) };
        self.making = None;
        let (aim, plan, took) = made;
        self.took = took;
        match plan {
            Ok(plan) => {
                self.pass.set_plan(device, queue, plan)?;
                self.shown = aim;
            }
            // What lies between two good calibrations may be none: then the new one at once.
            Err(_) => self.glide = None,
        }
        Ok(())
    }

    fn keep_nadir(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, wanted: &Stitch) -> Result {
        let Some(radius_deg) = wanted.nadir.radius_deg() else {
            self.nadir = None;
            return Ok(());
        };
        wanted.nadir.validate()?;
        if wanted.settings.view != StitchView::Equirectangular {
            let reason = "covers whole spheres only: choose the view Equirectangular, or None".to_owned();
            return Err(StitchNodeError::Setting { setting: "nadir", reason }.into());
        }
        let wants_picture = matches!(wanted.nadir, NadirFill::Picture { .. });
        let path = if wants_picture { wanted.nadir_picture.as_str() } else { "" };
        match &mut self.nadir {
            Some(nadir) if nadir.path == path => nadir.radius_deg = radius_deg,
            _ => {
                let picture = if wants_picture { Some(read_picture(path)?) } else { None };
                let picture = picture.as_ref().map(|picture| (UVec2::from(picture.dimensions()), picture.as_raw().as_slice()));
                self.nadir = Some(Nadir { pass: NadirPass::new(device, queue, picture)?, path: path.to_owned(), radius_deg });
            }
        }
        Ok(())
    }

    /// Whether a measurement of the last picture is under way.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// What to warn of now, if that changed: of lenses that deliver nothing worth showing.
    pub fn news_of_lenses(&mut self) -> Option<Option<String>> {
        let health = self.pass.lens_health();
        if self.health == health {
            return None;
        }
        self.health = health.to_vec();
        Some(words_of(&self.target, &self.health))
    }

    /// Records the picture, and what lies over it; and a measurement of the lenses' exposures, to be delivered once the commands are submitted.
    pub fn draw(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        pictures: &[&GpuPicture],
        stamp: FrameStamp,
    ) -> Result<(Arc<GpuPicture>, Option<StitchMeasurement>)> {
        let measurement = self.pass.measure(device, queue, encoder, pictures, stamp.pts.as_duration())?;
        self.pass.encode(device, queue, encoder, pictures, &self.output, None)?;
        self.measured = measurement.is_some();
        let mut output = &self.output;
        if let Some(Fade { pass, output: before, mixed, crossfade, part, .. }) = &mut self.fade {
            // A rig whose pictures these never were has nothing to fade from.
            if pass.encode(device, queue, encoder, pictures, before, None).is_ok() {
                crossfade.encode(device, queue, encoder, [before, &self.output], mixed, *part);
                output = mixed;
            }
        }
        if let Some(Nadir { pass, radius_deg, .. }) = &self.nadir {
            pass.encode(device, queue, encoder, output, self.level_from_view, *radius_deg);
        }
        Ok((output.clone(), measurement))
    }
}

/// What to say of lenses that deliver nothing worth showing; none if all do.
fn words_of(rig: &Rig, health: &[LensHealth]) -> Option<String> {
    let bad = rig.lenses.iter().zip(health).filter(|(_, health)| **health != LensHealth::Good);
    let words: Vec<String> = bad.map(|(lens, health)| format!("the lens “{}” {}", lens.name, health.words())).collect();
    (!words.is_empty()).then(|| format!("{}. Its neighbours fill what they see of it.", words.join("; ")))
}

/// The settings of a map whose view is turned as the rig hangs and against how it moves.
fn turned(wanted: &Stitch, moment: &Moment) -> Result<StitchSettings, StitchNodeError> {
    if wanted.level == Level::default() && moment.rig_from_stable.is_none() {
        return Ok(wanted.settings.clone());
    }
    let level = wanted.level.orientation().map_err(|reason| StitchNodeError::Setting { setting: "level", reason })?;
    let rig_from_stable = moment.rig_from_stable.unwrap_or(DMat3::IDENTITY);
    let rig_from_view = rig_from_stable * level.matrix() * wanted.settings.orientation.matrix();
    Ok(StitchSettings { orientation: YawPitchRoll::from_matrix(rig_from_view), ..wanted.settings.clone() })
}

/// How far a change is, 0 to 1, slow at its ends.
fn share(now_s: f64, start_s: f64, duration_s: f64) -> f64 {
    // Time that steps back, after a seek, ends it.
    if duration_s <= 0.0 || now_s < start_s {
        return 1.0;
    }
    let part = ((now_s - start_s) / duration_s).min(1.0);
    part * part * (3.0 - 2.0 * part)
}

/// The largest picture that covers a nadir, in bytes of its file and in pixels a side.
const LARGEST_FILE: u64 = 64 << 20;
const LARGEST_SIDE: u32 = 8192;

fn read_picture(path: &str) -> Result<image::RgbaImage, StitchNodeError> {
    let fail = |reason: String| StitchNodeError::NadirPicture { path: path.to_owned(), reason };
    if path.is_empty() {
        return Err(StitchNodeError::Setting {
            setting: "nadir_picture",
            reason: "is empty: name a PNG or JPEG, or choose Blur".to_owned(),
        });
    }
    let kind = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !kind.is_file() {
        return Err(fail("it is no regular file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(fail(format!("it is larger than {} MiB", LARGEST_FILE >> 20)));
    }
    let mut reader =
        image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().map_err(|error| fail(error.to_string()))?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST_SIDE), Some(LARGEST_SIDE));
    reader.limits(limits);
    Ok(reader.decode().map_err(|error| fail(error.to_string()))?.into_rgba8())
}
