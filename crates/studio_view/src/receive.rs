//! The threads of a stream input: one feeds the decoder, one takes the motion, two the sound.

use crate::{
    handover::{DecoderGate, Retired},
    input::{StreamInput, StreamInputStats},
    playing::Decoded,
    sound::{self, PictureDelay},
    stats::ViewStats,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use studio_frame::{prelude::*, queue::ReceiveError};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_media::decode::{DecoderSettings, VideoDecoder};
use studio_stream::{
    catalog::VideoTrack,
    link::Conditions,
    subscribe::{ReceivedUnit, Reporter, StreamQuality, SubscribeError, Subscriber, SubscriberConfig, ViewerEvent},
    viewer_link::{ViewerLink, ViewerLinkError},
};

/// Decoded pictures on their way to the app at most: beyond that it is behind, and the newest win.
const PICTURES: usize = 8;
/// How often a thread looks whether it is to stop.
pub(crate) const LOOK_AROUND: Duration = Duration::from_millis(100);

/// Why nothing can be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveFailure {
    #[error(transparent)]
    Link(#[from] ViewerLinkError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error("a thread of the stream input cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// How a receiver fares.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReceiverState {
    /// What the stream is.
    pub info: StreamInfo,
    /// How the connection fares, for people.
    pub connection: String,
    /// What the sound is, or why there is none, for people.
    pub sound: String,
    /// What went wrong last, until pictures come again.
    pub error: Option<String>,
    /// Whether the server refused the viewer for good.
    pub refused: bool,
}

/// Receives and decodes a stream on threads of its own until it is dropped.
pub(crate) struct Receiver {
    frames: QueueReceiver<Decoded>,
    subscriber: Arc<Subscriber>,
    state: Arc<Mutex<ReceiverState>>,
    delay: PictureDelay,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The pins that a receiver fills by itself.
pub(crate) struct ReceiverPins {
    pub motion: PinMotion,
    pub packets: PacketBus,
    pub audio: AudioBus,
}

impl Receiver {
    pub fn start(
        settings: &StreamInput,
        pins: ReceiverPins,
        waker: StudioWaker,
        stats: ViewStats,
        ledger: LatencyLedger,
    ) -> Result<Self, ReceiveFailure> {
        let link: ViewerLink = settings.link.parse()?;
        let conditions = Conditions { datagram_loss: settings.datagram_loss, ..Conditions::default() };
        let (report, quality) = (settings.report, settings.quality.clone());
        let config = SubscriberConfig { conditions, report, quality, ..SubscriberConfig::default() };
        let subscriber = Arc::new(Subscriber::connect(link, config)?);
        let ReceiverPins { motion, packets, audio } = pins;
        let delay = PictureDelay::default();
        let (frames_in, frames) = queue(PICTURES, QueuePolicy::NewestWins);
        let state = Arc::new(Mutex::new(ReceiverState { connection: "connecting".to_owned(), ..ReceiverState::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let pump = Pump {
            subscriber: subscriber.clone(),
            state: state.clone(),
            gate: DecoderGate::new(frames_in),
            retired: Retired::default(),
            bus: packets,
            delay: delay.clone(),
            waker: waker.clone(),
            stats,
            ledger,
            decoder: None,
            session: None,
            key_frame_needed: false,
            dropped: 0,
        };
        let (held, sounding) = (delay.clone(), state.clone());
        let mut receiver = Self { frames, subscriber: subscriber.clone(), state, delay, stop: stop.clone(), threads: Vec::new() };
        receiver.threads.extend(sound::start(subscriber.clone(), audio, held, sounding, stop.clone())?);
        let stopped = stop.clone();
        receiver.threads.push(thread::Builder::new().name("stream input".to_owned()).spawn(move || pump.run(&stopped))?);
        let take_motion = move || {
            while !stop.load(Ordering::Acquire) {
                match subscriber.motion().recv_timeout(LOOK_AROUND) {
                    Ok(received) => {
                        motion.set(received.motion.field);
                        waker.wake();
                    }
                    Err(ReceiveError::Empty) => {}
                    Err(ReceiveError::Closed) => return,
                }
            }
        };
        receiver.threads.push(thread::Builder::new().name("stream motion".to_owned()).spawn(take_motion)?);
        Ok(receiver)
    }

    /// The decoded pictures.
    pub fn frames(&self) -> &QueueReceiver<Decoded> {
        &self.frames
    }

    /// Receives another rendition.
    pub fn set_quality(&self, quality: StreamQuality) {
        self.subscriber.set_quality(quality);
    }

    /// Says how many pixels across the view needs of the whole picture.
    pub fn set_view_width_px(&self, width_px: Option<f64>) {
        self.subscriber.set_view_width_px(width_px);
    }

    /// What the studio is told.
    pub fn reporter(&self) -> &Reporter {
        self.subscriber.reporter()
    }

    /// How it fares.
    pub fn state(&self) -> ReceiverState {
        self.state.lock().clone()
    }

    /// Where the age of the pictures is noted when they are shown.
    pub fn delay(&self) -> &PictureDelay {
        &self.delay
    }

    /// What was received.
    pub fn stats(&self) -> StreamInputStats {
        let received = self.subscriber.stats();
        let rendition = self.subscriber.rendition();
        let state = self.state.lock();
        StreamInputStats {
            connection: state.connection.clone(),
            refused: state.refused,
            access_units: received.access_units,
            bitrate_bps: received.bitrate_bps as f32,
            tiles: received.tiles,
            lost_tiles: received.lost_tiles,
            groups_skipped: received.groups_skipped,
            reconnects: received.reconnects,
            sound: state.sound.clone(),
            audio_units: received.audio_units,
            audio_units_lost: received.audio_units_dropped,
            target_delay_ms: 0.0,
            clock_offset_ms: received.clock.map(|clock| clock.offset_ms),
            clock_drift_ppm: received.clock.map_or(0.0, |clock| clock.drift_ppm),
            round_trip_ms: received.rtt.as_secs_f32() * 1000.0,
            key_frame_requests: self.subscriber.reporter().key_frame_requests(),
            rendition: rendition.map_or_else(String::new, |rendition| describe(&rendition.info)),
            renditions: names(&self.subscriber.renditions()),
        }
    }
}

/// A rendition, for people.
fn describe(info: &StreamInfo) -> String {
    let size = format!("{}×{}", info.size.x, info.size.y);
    if info.bitrate_bps == 0 { size } else { format!("{size}, {:.1} Mbit/s", f64::from(info.bitrate_bps) / 1e6) }
}

/// What renditions are asked for by, those of the highest bit rates first: their sizes or, where several are of one size, their
/// tracks.
fn names(renditions: &[VideoTrack]) -> Vec<String> {
    let mut order: Vec<&VideoTrack> = renditions.iter().collect();
    order.sort_by_key(|video| core::cmp::Reverse((video.info.bitrate_bps, video.info.size.x)));
    let alone = |video: &VideoTrack| order.iter().filter(|other| other.info.size == video.info.size).count() == 1;
    let name = |video: &&VideoTrack| {
        if alone(video) { format!("{}x{}", video.info.size.x, video.info.size.y) } else { video.track.clone() }
    };
    order.iter().map(name).collect()
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                bevy::log::error!("a thread of the stream input ended in a panic");
            }
        }
    }
}

struct OpenDecoder {
    decoder: VideoDecoder,
    info: Arc<StreamInfo>,
    turn: u64,
}

struct Pump {
    subscriber: Arc<Subscriber>,
    state: Arc<Mutex<ReceiverState>>,
    gate: DecoderGate,
    retired: Retired,
    bus: PacketBus,
    delay: PictureDelay,
    waker: StudioWaker,
    stats: ViewStats,
    ledger: LatencyLedger,
    decoder: Option<OpenDecoder>,
    session: Option<u64>,
    /// Whether nothing can be decoded before the next key frame.
    key_frame_needed: bool,
    /// Units that were lost between the network and here.
    dropped: u64,
}

impl Pump {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            while let Ok(event) = self.subscriber.events().try_recv() {
                self.note(event);
            }
            match self.subscriber.units().recv_timeout(LOOK_AROUND) {
                Ok(received) => self.take(received),
                Err(ReceiveError::Empty) => {}
                // The events behind the last unit say why there are no more.
                Err(ReceiveError::Closed) => thread::sleep(LOOK_AROUND),
            }
            let dropped = self.subscriber.units().dropped();
            if core::mem::replace(&mut self.dropped, dropped) < dropped {
                self.subscriber.reporter().request_key_frame();
            }
        }
    }

    fn note(&self, event: ViewerEvent) {
        let mut state = self.state.lock();
        match event {
            ViewerEvent::Connected { address, .. } => state.connection = format!("connected to {address}"),
            ViewerEvent::Described(info) => {
                state.info = StreamInfo::clone(&info);
                self.delay.expect();
            }
            // Told with the first unit, when its decoder is known too.
            ViewerEvent::AudioDescribed(_) => {}
            ViewerEvent::Disconnected { error, retry_in } => {
                state.connection = format!("{error}; trying again in {:.1} s", retry_in.as_secs_f32());
                state.error = Some(error.to_string());
            }
            ViewerEvent::Failed(error) => {
                state.connection = error.to_string();
                state.error = Some(error.to_string());
                state.refused = true;
            }
        }
        drop(state);
        self.waker.wake();
    }

    fn take(&mut self, received: ReceivedUnit) {
        let ReceivedUnit { unit, track, info, session, sent_at, arrived_at, after_gap, decode_only } = received;
        self.ledger.record(unit.stamp.frame_id, Stage::NETWORK, arrived_at.since(sent_at));
        if self.session != Some(session) {
            self.session = Some(session);
            self.close();
        }
        if self.key_frame_needed && !unit.key_frame {
            return;
        }
        self.key_frame_needed = false;
        // A new bit rate alone needs no new decoder.
        let same = |present: &StreamInfo| StreamInfo { bitrate_bps: info.bitrate_bps, ..present.clone() } == *info;
        if self.decoder.as_ref().is_none_or(|open| !same(&open.info)) {
            match self.open(&info) {
                Ok(opened) => {
                    // Another rendition: the pictures that the old decoder still has come first.
                    if let Some(old) = self.decoder.replace(opened) {
                        self.retired.finish(old.decoder, old.turn, &self.gate);
                    }
                }
                Err(error) => {
                    // Another key frame would not help a decoder that cannot be opened: the next one is tried when it comes.
                    self.key_frame_needed = true;
                    self.subscriber.cannot_decode(&track);
                    self.fail(error);
                    return;
                }
            }
        }
        self.bus.set_info(PacketInfo::Video(info));
        self.bus.publish(&unit);
        if decode_only {
            self.gate.decode_only(unit.stamp.frame_id);
        }
        let Some(open) = &self.decoder else { return };
        if after_gap {
            open.decoder.discontinuity();
        }
        match open.decoder.push(&unit) {
            Ok(_) => self.state.lock().error = None,
            Err(error) => {
                self.close();
                self.key_frame_needed = true;
                self.subscriber.reporter().request_key_frame();
                self.fail(error.to_string());
            }
        }
    }

    /// Ends decoding; what was not decoded yet is not shown.
    fn close(&mut self) {
        if let Some(open) = self.decoder.take() {
            drop(open.decoder);
            self.gate.over(open.turn);
        }
    }

    fn open(&self, info: &Arc<StreamInfo>) -> Result<OpenDecoder, String> {
        self.state.lock().info = StreamInfo::clone(info);
        let (gate, waker, stats, ledger) = (self.gate.clone(), self.waker.clone(), self.stats.clone(), self.ledger.clone());
        let session = self.session.unwrap_or(0);
        let turn = self.gate.next_turn();
        let show = move |output: studio_media::decode::DecoderOutput| {
            ledger.record(output.frame.stamp.frame_id, Stage::DECODE, output.took);
            stats.decoded(&output.frame);
            gate.send(turn, Decoded { frame: output.frame, session, ready_at: Instant::now() });
            waker.wake();
        };
        // The units that a late joiner gets at once must all go in; the subscriber skips when this falls behind for good.
        match VideoDecoder::new(info, DecoderSettings { policy: QueuePolicy::Block, ..DecoderSettings::default() }, show) {
            Ok(decoder) => Ok(OpenDecoder { decoder, info: info.clone(), turn }),
            Err(error) => {
                self.gate.over(turn);
                Err(error.to_string())
            }
        }
    }

    fn fail(&self, error: String) {
        self.state.lock().error = Some(error);
        self.waker.wake();
    }
}
