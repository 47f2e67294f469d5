//! The stream nodes.

use crate::{
    identity::Identity,
    publish::{MAX_RENDITIONS, PublishError, Publisher, PublisherConfig, PublisherStats, RateLimit, ViewerLog, ViewerStatus},
    report::GazeMap,
};
use bevy::prelude::*;
use parking_lot::Mutex;
use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_graph::prelude::*;

/// Serves what encoders make to viewers, over WebTransport: pictures, sound, or both. Video goes in one QUIC stream a group
/// of pictures, sound in one a unit, motion in datagrams. A viewer that falls behind is skipped ahead and slows nobody.
///
/// The same pictures may come in several renditions, each from an encoder of its own: `packets` takes the one that viewers begin
/// with, `packets 2` and further ones those at other sizes and bit rates. Each viewer receives one of them.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct WebTransportOutput {
    /// Address and port to serve on, such as `0.0.0.0:4433`; port 0 takes a free one.
    pub bind: String,
    /// The stream's name, the path of the viewers' link.
    pub name: String,
    /// The host that viewers know this machine by, for their link.
    pub host: String,
    /// The word that viewers must know; `None` lets everyone in.
    pub token: Option<String>,
    /// PEM files of the certificate and its key; empty for a self-signed one, whose hash goes into the viewers' link.
    pub certificate: Option<[String; 2]>,
    /// Viewers served at once, at least 1.
    #[reflect(@1..=100_000_u32)]
    pub max_sessions: u32,
    /// Whether browsers get the viewer's page, on the TCP port of the same number.
    pub page: bool,
    /// How many renditions of the pictures come in, 1 to 4: the node has an input for each.
    #[reflect(@1..=MAX_RENDITIONS as u32)]
    pub renditions: u32,
    /// Whether the encoders' bit rates follow what the viewers' paths and decoders can take.
    pub adaptation: BitrateAdaptation,
    /// No bit rate is lowered below this, in bits a second, whatever viewers say.
    #[reflect(@100_000..=1_000_000_000_u32)]
    pub min_bitrate_bps: u32,
}

/// Whether an encoder's bit rate follows its viewers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum BitrateAdaptation {
    /// The encoder's own setting counts. A viewer that cannot take it is skipped ahead.
    Off,
    /// As much as that viewer of a rendition can take that can take least, up to the encoder's own setting. The lowest rendition
    /// goes down to `min_bitrate_bps`, another one to what the next lower makes: who can take less has that one.
    #[default]
    FollowSlowest,
}

impl Default for WebTransportOutput {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:4433".to_owned(),
            name: "live".to_owned(),
            host: "127.0.0.1".to_owned(),
            token: None,
            certificate: None,
            max_sessions: 64,
            page: true,
            renditions: 1,
            adaptation: BitrateAdaptation::FollowSlowest,
            min_bitrate_bps: 1_000_000,
        }
    }
}

impl NodeKind for WebTransportOutput {
    const DISPLAY_NAME: &'static str = "WebTransport output";
    const CATEGORY: &'static str = "Output";

    fn pins(&self) -> Vec<PinSpec> {
        let renditions = self.renditions.clamp(1, MAX_RENDITIONS as u32) as usize;
        let pictures = PICTURE_PINS[..renditions].iter().map(|pin| PinSpec::input(*pin, DataType::PACKET));
        let others = [PinSpec::input("motion", DataType::MOTION_FIELD), PinSpec::input("audio", DataType::PACKET)];
        pictures.chain(others).collect()
    }
}

impl WebTransportOutput {
    /// Whether what listens with one of the settings may go on with the other.
    fn serves_as(&self, other: &Self) -> bool {
        let Self { renditions, adaptation, min_bitrate_bps, .. } = *other;
        Self { renditions, adaptation, min_bitrate_bps, ..self.clone() } == *other
    }
}

/// The inputs of the renditions.
const PICTURE_PINS: [&str; MAX_RENDITIONS] = ["packets", "packets 2", "packets 3", "packets 4"];

/// What a [`WebTransportOutput`] does now.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct WebTransportStatus {
    /// The link for viewers, while it listens.
    pub viewer_link: Option<String>,
    /// The link that shows the stream in a browser, while the page is served.
    pub page_link: Option<String>,
    /// What happened so far.
    pub stats: PublisherStats,
    /// The viewers, as of some tenths of a second ago.
    pub viewers: Vec<ViewerStatus>,
    /// What each rendition's encoder is held to for the viewers' sake, in bits a second; none: its own setting counts.
    pub bitrate_limits_bps: [Option<u32>; MAX_RENDITIONS],
}

/// What the viewers of a [`WebTransportOutput`] say of themselves, while it listens. Clones ask the same publisher.
#[derive(Component, Clone)]
pub struct ViewerReports(Arc<Publisher>);

impl ViewerReports {
    /// Where viewers look now.
    pub fn gaze(&self) -> GazeMap {
        self.0.gaze()
    }

    /// All that they said so far.
    pub fn log(&self) -> ViewerLog {
        self.0.viewer_log()
    }
}

/// How often the viewers are looked at.
const VIEWERS_EVERY: Duration = Duration::from_millis(250);

/// An output that listens.
#[derive(Component)]
struct RunningOutput {
    publisher: Arc<Publisher>,
    settings: WebTransportOutput,
    pictures: [Option<SinkGuard>; MAX_RENDITIONS],
    sound: Option<SinkGuard>,
    motion_seen: u64,
    rates: [RateLimit; MAX_RENDITIONS],
    /// What each rendition's encoder makes where nothing limits it.
    own_bps: [Option<u32>; MAX_RENDITIONS],
    looked_at: Instant,
}

/// Adds the stream nodes: [`WebTransportOutput`].
pub struct StudioStreamPlugin;

impl Plugin for StudioStreamPlugin {
    fn build(&self, app: &mut App) {
        app.register_node::<WebTransportOutput>()
            .add_systems(Update, (start_outputs, ApplyDeferred, feed_outputs).chain().in_set(StudioSystems::Send));
    }
}

fn start(settings: &WebTransportOutput) -> Result<(Publisher, WebTransportStatus), OutputError> {
    let address: SocketAddr = settings
        .bind
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| OutputError::Address(settings.bind.clone()))?;
    let identity = match &settings.certificate {
        Some([certificate, key]) => Identity::from_pem_files(certificate, key),
        None => Identity::self_signed([settings.host.as_str()]),
    }
    .map_err(PublishError::from)?;
    let config = PublisherConfig {
        token: settings.token.clone(),
        max_sessions: settings.max_sessions as usize,
        page: settings.page,
        ..PublisherConfig::new(address, &settings.name, identity)
    };
    let publisher = Publisher::start(config)?;
    let viewer_link = publisher.viewer_link(&settings.host).map_err(PublishError::from)?.to_string();
    let page_link = publisher.page_link(&settings.host).map_err(PublishError::from)?;
    Ok((publisher, WebTransportStatus { viewer_link: Some(viewer_link), page_link, ..Default::default() }))
}

/// Why an output does not listen.
#[derive(Debug, thiserror::Error)]
enum OutputError {
    #[error("`{0}` is not an address to serve on: give address and port, such as 0.0.0.0:4433")]
    Address(String),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

fn start_outputs(
    mut outputs: Query<(Entity, &WebTransportOutput, &mut NodeStatus, Option<&mut RunningOutput>)>,
    mut commands: Commands,
) {
    for (node, settings, mut status, mut running) in &mut outputs {
        if let Some(running) = &mut running
            && running.settings.serves_as(settings)
        {
            if running.settings != *settings {
                running.settings = settings.clone();
            }
            continue;
        }
        if running.is_some() {
            // Gone before its successor wants the same port.
            commands.entity(node).remove::<(RunningOutput, WebTransportStatus, ViewerReports)>();
            *status = NodeStatus::Idle;
            continue;
        }
        if !status.may_run(Instant::now()) {
            continue;
        }
        match start(settings) {
            Ok((publisher, status)) => {
                info!("watch at {}", status.page_link.as_ref().or(status.viewer_link.as_ref()).map_or("", String::as_str));
                let (publisher, settings) = (Arc::new(publisher), settings.clone());
                let viewers = ViewerReports(publisher.clone());
                let running = RunningOutput {
                    publisher,
                    settings,
                    pictures: Default::default(),
                    sound: None,
                    motion_seen: 0,
                    rates: Default::default(),
                    own_bps: Default::default(),
                    looked_at: Instant::now(),
                };
                commands.entity(node).insert((running, status, viewers));
            }
            Err(error) => {
                let error = error.to_string();
                if status.error() != Some(&error) {
                    error!("{}: {error}", WebTransportOutput::DISPLAY_NAME);
                }
                status.fail(error);
            }
        }
    }
}

fn feed_outputs(
    mut outputs: Query<(Entity, &mut RunningOutput, &mut WebTransportStatus, &mut NodeStatus)>,
    links: GraphLinks,
    buses: Query<&PacketBus>,
    motions: Query<&PinMotion>,
    reports: Res<FailureReport>,
    ledger: Res<LatencyLedger>,
) {
    for (node, mut running, mut shown, mut status) in &mut outputs {
        let RunningOutput { publisher, pictures, sound, .. } = &mut *running;
        let source = |pin: &str| links.source(node, pin).and_then(|pin| buses.get(pin).ok());
        for (rendition, (guard, pin)) in pictures.iter_mut().zip(PICTURE_PINS).enumerate() {
            let was_fed = guard.is_some();
            follow_source(guard, source(pin), |bus| {
                let described = Mutex::new(None);
                let sink = PictureSink {
                    node,
                    rendition,
                    publisher: publisher.clone(),
                    bus: bus.clone(),
                    reports: reports.clone(),
                    ledger: ledger.clone(),
                    described,
                };
                bus.add_sink(node, move |info, unit| sink.take(info, unit))
            });
            if was_fed
                && guard.is_none()
                && let Err(error) = publisher.remove_rendition(rendition)
            {
                reports.failure(node, error);
            }
        }
        follow_source(sound, source("audio"), |bus| bus.add_sink(node, sound_sink(node, publisher.clone(), reports.clone())));
        if let Some((field, generation)) = links.source(node, "motion").and_then(|pin| motions.get(pin).ok()?.newest())
            && generation != running.motion_seen
        {
            running.motion_seen = generation;
            running.publisher.send_motion(&field);
        }
        let stats = running.publisher.stats();
        if stats.access_units + stats.audio_units > shown.stats.access_units + shown.stats.audio_units {
            status.count_frame();
        }
        shown.stats = stats;
        if running.looked_at.elapsed() >= VIEWERS_EVERY {
            running.looked_at = Instant::now();
            shown.viewers = running.publisher.viewers();
            let fed = PICTURE_PINS.map(|pin| links.source(node, pin).and_then(|pin| buses.get(pin).ok()));
            shown.bitrate_limits_bps = running.follow_viewers(node, fed);
        }
    }
}

impl RunningOutput {
    /// Has the encoders keep to what their renditions' viewers can take. Returns what that is.
    fn follow_viewers(&mut self, node: Entity, fed: [Option<&PacketBus>; MAX_RENDITIONS]) -> [Option<u32>; MAX_RENDITIONS] {
        let WebTransportOutput { adaptation, min_bitrate_bps, .. } = self.settings;
        let present_bps = fed.map(|bus| bus?.info().as_ref().and_then(PacketInfo::video).map(|info| info.bitrate_bps));
        for ((own_bps, rate), present_bps) in self.own_bps.iter_mut().zip(&self.rates).zip(present_bps) {
            *own_bps = if rate.limit_bps().is_some() && present_bps.is_some() { *own_bps } else { present_bps };
        }
        core::array::from_fn(|rendition| {
            let bus = fed[rendition]?;
            let limit_bps = match (adaptation, present_bps[rendition]) {
                (BitrateAdaptation::FollowSlowest, Some(present_bps)) => {
                    let floor_bps = floor_bps(rendition, self.own_bps, min_bitrate_bps);
                    let wanted_bps = self.publisher.wanted_bitrate_bps(rendition);
                    self.rates[rendition].follow(wanted_bps, present_bps, floor_bps, Instant::now())
                }
                _ => None,
            };
            bus.limit_bitrate(node, limit_bps);
            limit_bps
        })
    }
}

/// Below what a rendition is not lowered: what the next lower one makes or, where there is none, `min_bitrate_bps`.
fn floor_bps(rendition: usize, own_bps: [Option<u32>; MAX_RENDITIONS], min_bitrate_bps: u32) -> u32 {
    let lower = own_bps.iter().flatten().filter(|bps| Some(**bps) < own_bps[rendition]).max();
    lower.copied().unwrap_or(0).max(min_bitrate_bps)
}

/// Keeps the sink on the bus that feeds the pin now.
fn follow_source(sink: &mut Option<SinkGuard>, bus: Option<&PacketBus>, listen: impl FnOnce(&PacketBus) -> SinkGuard) {
    match bus {
        Some(bus) if sink.as_ref().is_none_or(|sink| !sink.is_on(bus)) => *sink = Some(listen(bus)),
        None if sink.is_some() => *sink = None,
        _ => {}
    }
}

/// Publishes each unit of sound on the encoder's own thread.
fn sound_sink(
    node: Entity,
    publisher: Arc<Publisher>,
    reports: FailureReport,
) -> impl Fn(&PacketInfo, &AccessUnit) + Send + Sync {
    move |info, unit| {
        let Some(info) = info.audio() else {
            reports.failure(node, "pictures come in at `audio`: connect them to `packets`");
            return;
        };
        let described = publisher.set_audio_info(AudioStreamInfo::clone(info));
        if let Err(error) = described.and_then(|()| publisher.send_audio(unit)) {
            reports.failure(node, error);
        }
    }
}

/// Publishes each access unit of a rendition on its encoder's own thread, and passes the viewers' wishes for key frames on.
struct PictureSink {
    node: Entity,
    rendition: usize,
    publisher: Arc<Publisher>,
    bus: PacketBus,
    reports: FailureReport,
    ledger: LatencyLedger,
    described: Mutex<Option<Arc<StreamInfo>>>,
}

impl PictureSink {
    fn take(&self, info: &PacketInfo, unit: &AccessUnit) {
        let Self { node, rendition, publisher, bus, reports, ledger, described } = self;
        let (start, rendition) = (Instant::now(), *rendition);
        let Some(info) = info.video() else {
            let pin = PICTURE_PINS[rendition];
            reports.failure(*node, format!("sound comes in at `{pin}`: connect it to `audio`"));
            return;
        };
        let mut described = described.lock();
        // The catalog follows at key frames only: there alone may a decoder have to be opened anew.
        let describe = unit.key_frame && described.as_ref() != Some(info);
        let outcome = if describe { publisher.set_stream_info(rendition, StreamInfo::clone(info)) } else { Ok(()) };
        if describe {
            *described = outcome.is_ok().then(|| info.clone());
        }
        let outcome = outcome.and_then(|()| match &*described {
            Some(_) => publisher.send_access_unit(rendition, unit),
            None => Ok(()),
        });
        if let Err(error) = outcome {
            reports.failure(*node, error);
        }
        if publisher.take_key_frame_request(rendition) {
            bus.request_key_frame();
        }
        ledger.record(unit.stamp.frame_id, Stage::SEND, start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rendition_has_an_input_and_none_goes_below_the_next_lower_one() {
        let pins = |renditions| {
            let pins = WebTransportOutput { renditions, ..default() }.pins();
            pins.iter().map(|pin| pin.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(pins(1), ["packets", "motion", "audio"]);
        assert_eq!(pins(3), ["packets", "packets 2", "packets 3", "motion", "audio"]);
        assert_eq!((pins(0), pins(900).len()), (pins(1), 6));
        let present = [Some(8_000_000), Some(1_000_000), Some(3_000_000), None];
        let floors: Vec<u32> = (0..4).map(|rendition| floor_bps(rendition, present, 500_000)).collect();
        assert_eq!(floors, [3_000_000, 500_000, 1_000_000, 500_000]);
    }
}
