//! The headset, whether it is there or not: connecting, losing, connecting again.

use crate::{
    actions::Wish,
    error::{Called, XrError},
    log::{Event, XrLog},
    present::Painter,
    runtime::{self, Connection, SharedGpu, VulkanBinding},
    session::{Reaction, XrFrame, XrSession},
};
use bevy::{prelude::*, render::RenderPlugin};
use openxr::{EventDataBuffer, ReferenceSpaceType};
use parking_lot::Mutex;
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_gpu::prelude::*;
use studio_graph::wake::StudioWaker;
use studio_view::command::ViewerCommand;

/// Where the viewer's space begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadsetSpace {
    /// At the head, where the headset's software says that ahead is: for looking around while seated.
    #[default]
    Local,
    /// On the floor, in the middle of the room that was measured.
    Stage,
}

/// How the headset is used.
#[derive(Clone, Debug, Default)]
pub struct HeadsetOptions {
    /// Where the viewer's space begins.
    pub space: HeadsetSpace,
    /// Writes what the runtime says and gets into this file, one JSON object a line.
    pub log: Option<PathBuf>,
}

/// Whether there is a picture in the headset.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HeadsetPhase {
    /// There is none, and there will be none in this run of the program.
    #[default]
    Off,
    /// There is none now; it is tried again.
    Waiting,
    /// The runtime is there; the session is in this state (`READY`, `VISIBLE`, `FOCUSED`, …).
    On(String),
    /// The user ended it.
    Ended,
}

/// The headset as apps and displays see it.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct HeadsetStatus {
    /// Whether there is a picture in the headset.
    pub phase: HeadsetPhase,
    /// Why there is none, for people.
    pub error: Option<String>,
    /// The runtime's name and version.
    pub runtime: String,
    /// The headset's name.
    pub headset: String,
    /// Frames a second of the display.
    pub display_hz: f32,
    /// Frames that the runtime called for, in this session.
    pub frames: u64,
    /// Frames that showed a picture for the first time.
    pub fresh: u64,
    /// Frames that showed the picture of the frame before.
    pub repeated: u64,
    /// How old the picture was when it was seen, in milliseconds.
    pub age_ms: Option<f32>,
    /// Times that the headset was lost and found again.
    pub found_again: u64,
}

/// How long to wait before the headset is looked for again.
const RETRY: Duration = Duration::from_secs(2);
/// A silent runtime is worth a word after this long.
const SILENT: Duration = Duration::from_secs(5);

/// Everything about the headset. One lock: the main world looks at it before an update, the render world after.
pub(crate) struct Core {
    options: HeadsetOptions,
    pub log: XrLog,
    binding: Option<VulkanBinding>,
    pub connection: Option<Connection>,
    pub session: Option<XrSession>,
    pub painter: Option<Painter>,
    pub status: HeadsetStatus,
    pub tracked: bool,
    retry_at: Option<Instant>,
    silent: bool,
    leaving: bool,
    /// What the panel beside the picture says; `None` hides it.
    pub panel: Option<String>,
    pub panel_changed: bool,
    /// Whether a button asked for the panel to be shown or hidden since this was looked at.
    pub panel_wished: bool,
    /// What the cameras of a scene have rendered for the frame that is open.
    pub scene: Option<[Arc<GpuPicture>; 2]>,
    /// What the controllers told the viewer since this was looked at.
    pub told: Vec<ViewerCommand>,
}

impl Core {
    fn new(options: HeadsetOptions, log: XrLog) -> Self {
        Self {
            options,
            log,
            binding: None,
            connection: None,
            session: None,
            painter: None,
            status: HeadsetStatus::default(),
            tracked: true,
            retry_at: None,
            silent: false,
            leaving: false,
            panel: None,
            panel_changed: false,
            panel_wished: false,
            scene: None,
            told: Vec::new(),
        }
    }

    fn connected(&mut self, connection: Connection) {
        self.log.write(Event::Connected {
            runtime: connection.runtime.clone(),
            headset: connection.headset.clone(),
            equirect2: connection.equirect2,
            gaze: connection.gaze,
            blend_modes: connection.blend_modes.iter().map(|mode| format!("{mode:?}")).collect(),
            eye_px: connection.eye_size.to_array(),
        });
        info!("headset: {} by {}", connection.headset, connection.runtime);
        self.status.runtime.clone_from(&connection.runtime);
        self.status.headset.clone_from(&connection.headset);
        self.status.error = None;
        self.connection = Some(connection);
    }

    /// Lets go of what an error has made void.
    pub fn lose(&mut self, error: XrError) {
        let again = !error.is_final();
        if self.status.error.as_deref() != Some(&error.to_string()) {
            self.log.write(Event::Lost { error: error.to_string(), again });
            warn!("{error}{}", if again { "; it is looked for again" } else { "" });
        }
        self.session = None;
        self.painter = None;
        if error.ends_connection() {
            self.connection = None;
        }
        if error.is_final() {
            self.binding = None;
        }
        self.status.error = Some(error.to_string());
        self.status.phase = if again { HeadsetPhase::Waiting } else { HeadsetPhase::Off };
        self.retry_at = again.then(|| Instant::now() + RETRY);
    }

    /// The device that the renderer works with is not the runtime's any more.
    pub fn lose_gpu(&mut self) {
        if self.binding.is_some() {
            self.lose(XrError::GpuLost);
        }
    }

    /// Connects, follows the session and begins a frame if one is called for.
    pub fn update(&mut self, waker: &StudioWaker) -> Option<XrFrame> {
        let binding = self.binding?;
        if let Err(error) = self.connect(&binding, waker).and_then(|()| self.follow()) {
            self.lose(error);
        }
        if let Some(retry_at) = self.retry_at {
            waker.wake_at(retry_at);
        }
        let frame = self.session.as_ref().and_then(|session| session.open.clone())?;
        if frame.tracked != self.tracked {
            self.tracked = frame.tracked;
            self.log.write(Event::Tracking { tracked: frame.tracked });
        }
        Some(frame)
    }

    fn connect(&mut self, binding: &VulkanBinding, waker: &StudioWaker) -> Result<(), XrError> {
        if self.session.is_some() || self.leaving || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        if self.connection.is_none() {
            let connection = Connection::again(binding)?;
            self.status.found_again += 1;
            self.connected(connection);
        }
        let Some(connection) = &self.connection else { return Ok(()) };
        let base = match self.options.space {
            HeadsetSpace::Local => ReferenceSpaceType::LOCAL,
            HeadsetSpace::Stage => ReferenceSpaceType::STAGE,
        };
        self.session = Some(XrSession::start(connection, binding, base, waker)?);
        self.panel_changed = self.panel.is_some();
        self.retry_at = None;
        Ok(())
    }

    /// Takes the runtime's events, then a frame.
    fn follow(&mut self) -> Result<(), XrError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let instance = connection.instance.clone();
        let mut buffer = EventDataBuffer::new();
        while let Some(event) = instance.poll_event(&mut buffer).called("xrPollEvent")? {
            match event {
                openxr::Event::SessionStateChanged(change) => {
                    let Some(session) = self.session.as_mut().filter(|own| own.session.as_raw() == change.session()) else {
                        continue;
                    };
                    let reaction = session.enter(change.state(), &self.log)?;
                    self.status.phase = HeadsetPhase::On(format!("{:?}", change.state()));
                    match reaction {
                        Reaction::Leave => self.end(),
                        Reaction::Lose => return Err(XrError::SessionLossPending),
                        Reaction::Nothing | Reaction::Begin | Reaction::End => {}
                    }
                }
                openxr::Event::InstanceLossPending(_) => return Err(XrError::InstanceLossPending),
                openxr::Event::ReferenceSpaceChangePending(change) => {
                    // The headset's own recentring goes before ours.
                    if let Some(session) = self.session.as_mut().filter(|own| own.session.as_raw() == change.session()) {
                        session.ahead = Isometry3d::IDENTITY;
                        session.recentre = change.reference_space_type() == ReferenceSpaceType::STAGE;
                    }
                }
                openxr::Event::InteractionProfileChanged(_) => {
                    if let Some([left, right]) = self.session.as_ref().map(XrSession::controllers) {
                        self.log.write(Event::Controllers { left, right });
                    }
                }
                openxr::Event::EventsLost(lost) => warn!("{} events of the headset's runtime were lost", lost.lost_event_count()),
                _ => {}
            }
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        for wish in session.wishes()? {
            self.log.write(Event::Wish { wish: format!("{wish:?}") });
            match wish {
                Wish::Viewer(command) => self.told.push(command),
                Wish::Recentre => session.recentre = true,
                Wish::Panel => self.panel_wished = !self.panel_wished,
                Wish::Leave => session.session.request_exit().called("xrRequestExitSession")?,
            }
        }
        let clock = connection_clock(self.connection.as_ref());
        session.begin_frame(clock)?;
        let silent = session.silence() > SILENT;
        if silent && !self.silent {
            warn!("the headset's runtime has not called for a frame for {} s", SILENT.as_secs());
        }
        self.silent = silent;
        self.status.frames = session.frames();
        if let Some(frame) = &session.open {
            self.status.display_hz = 1.0 / frame.period.as_secs_f32();
        }
        Ok(())
    }

    /// The user is done with it.
    fn end(&mut self) {
        let HeadsetStatus { frames, fresh, repeated, .. } = self.status;
        self.log.write(Event::Ended { frames, with_picture: fresh + repeated, repeated });
        self.session = None;
        self.painter = None;
        self.connection = None;
        self.binding = None;
        self.retry_at = None;
        self.status.phase = HeadsetPhase::Ended;
    }
}

fn connection_clock(connection: Option<&Connection>) -> impl FnOnce() -> Option<openxr::Time> {
    let instance = connection.filter(|connection| connection.clock).map(|connection| connection.instance.clone());
    move || instance?.now().ok()
}

/// The headset: opened before the app, because both must be on the same GPU.
///
/// Clones are the same headset.
#[derive(Resource, Clone)]
pub struct Headset(pub(crate) Arc<Mutex<Core>>, Arc<Mutex<Option<SharedGpu>>>);

impl Headset {
    /// Looks for a headset. Where there is none, the status says why, and an app goes on without.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn open(options: HeadsetOptions) -> io::Result<Self> {
        let log = match &options.log {
            Some(path) => XrLog::create(path)?,
            None => XrLog::none(),
        };
        let mut core = Core::new(options, log);
        let mut gpu = None;
        match runtime::open() {
            Ok((connection, shared)) => {
                core.binding = Some(shared.binding);
                core.status.phase = HeadsetPhase::Waiting;
                core.connected(connection);
                gpu = Some(shared);
            }
            Err(error) => {
                core.log.write(Event::Lost { error: error.to_string(), again: false });
                core.status.error = Some(error.to_string());
            }
        }
        Ok(Self(Arc::new(Mutex::new(core)), Arc::new(Mutex::new(gpu))))
    }

    /// What is known of it now.
    pub fn status(&self) -> HeadsetStatus {
        self.0.lock().status.clone()
    }

    /// The adapter of the headset's GPU, if there is a headset.
    pub fn adapter(&self) -> Option<wgpu::AdapterInfo> {
        self.1.lock().as_ref().map(|gpu| gpu.adapter.clone())
    }

    /// Bevy's render plugin on the headset's GPU, or on any where there is no headset: to be set in `DefaultPlugins`.
    pub fn render_plugin(&self) -> RenderPlugin {
        runtime::render_plugin(self.1.lock().take().map(|gpu| gpu.creation))
    }

    /// Ends the session as its user would: the runtime is asked, and stops it in its own time. Without a session it ends at once.
    pub fn leave(&self) {
        let mut core = self.0.lock();
        core.leaving = true;
        let asked = core.session.as_ref().filter(|session| session.is_running()).map(|session| session.session.request_exit());
        if !matches!(asked, Some(Ok(()))) && core.binding.is_some() {
            core.end();
        }
    }

    /// Turns the picture's middle to where the head looks, in the next frame.
    pub fn recentre(&self) {
        let mut core = self.0.lock();
        let Core { session, log, .. } = &mut *core;
        if let Some(session) = session {
            session.recentre = true;
            let yaw_deg = session.open.as_ref().map(|frame| crate::pose::yaw_pitch_deg(frame.head.rotation * Vec3::NEG_Z).0);
            log.write(Event::Recentred { yaw_deg: yaw_deg.unwrap_or_default() });
        }
    }

    /// The size of an eye's view in pixels, while there is a headset.
    pub(crate) fn eye_size(&self) -> Option<UVec2> {
        self.0.lock().connection.as_ref().map(|connection| connection.eye_size)
    }

    /// Shows what cameras at the eyes render in this update.
    pub(crate) fn show_scene(&self, pictures: Option<[Arc<GpuPicture>; 2]>) {
        self.0.lock().scene = pictures;
    }

    /// Shows words on a panel beside the picture; `None` takes the panel away.
    pub fn show_panel(&self, words: Option<String>) {
        let mut core = self.0.lock();
        if core.panel != words {
            core.panel = words;
            core.panel_changed = true;
        }
    }
}
