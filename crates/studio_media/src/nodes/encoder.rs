//! The `VideoEncoder` node.

use crate::encode::{self, EncodeError, EncoderInput, EncoderPreset, EncoderSettings};
use bevy::prelude::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use studio_frame::{ledger::CopyKind, prelude::*};
use studio_gpu::{
    driver::GpuNodes,
    prelude::*,
    readback::ReadbackRing,
    yuv::{YuvLayout, YuvPass},
};
use studio_graph::prelude::*;

/// Encodes the pictures that come in. They are turned into luma and chroma on the GPU and read back through a ring; coded
/// pictures leave on the encoder's own thread as soon as they exist. Every setting may change while it runs.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct VideoEncoder {
    /// Coding standard.
    pub codec: VideoCodec,
    /// `auto` (hardware if present, else software) or the name of a GStreamer element such as `x264enc`.
    pub provider: String,
    /// Target bit rate in bits a second.
    #[reflect(@10_000..=1_000_000_000_u32)]
    pub bitrate_bps: u32,
    /// At most this many frames from one key frame to the next.
    #[reflect(@1..=100_000_u32)]
    pub key_frame_interval_frames: u32,
    /// Speed against quality.
    pub preset: EncoderPreset,
    /// Whether samples have ten bits instead of eight.
    pub ten_bit: bool,
    /// Nominal frames a second, for the rate control.
    #[reflect(@1.0..=1000.0_f32)]
    pub frame_rate_hz: f32,
    /// What the code values of the coded picture mean.
    pub color: ColorInfo,
}

impl Default for VideoEncoder {
    fn default() -> Self {
        let EncoderSettings { codec, provider, bitrate_bps, key_frame_interval_frames, preset } = EncoderSettings::default();
        Self {
            codec,
            provider,
            bitrate_bps,
            key_frame_interval_frames,
            preset,
            ten_bit: false,
            frame_rate_hz: 30.0,
            color: ColorInfo::BT709,
        }
    }
}

impl NodeKind for VideoEncoder {
    const DISPLAY_NAME: &'static str = "Video encoder";
    const CATEGORY: &'static str = "Encode";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("motion", DataType::MOTION_FIELD),
            PinSpec::output("packets", DataType::PACKET),
        ]
    }
}

impl VideoEncoder {
    fn settings(&self) -> EncoderSettings {
        EncoderSettings {
            codec: self.codec,
            provider: self.provider.clone(),
            bitrate_bps: self.bitrate_bps,
            key_frame_interval_frames: self.key_frame_interval_frames,
            preset: self.preset,
        }
    }

    fn input_for(&self, frame: &GpuFrame) -> EncoderInput {
        EncoderInput {
            format: if self.ten_bit { PixelFormat::P010 } else { PixelFormat::Nv12 },
            size: frame.picture.size / 2 * 2,
            color: self.color,
            frame_rate_hz: self.frame_rate_hz,
            projection: frame.projection,
            stereo: frame.stereo,
        }
    }
}

/// A picture whose planes the encoder does not take.
#[derive(Debug, thiserror::Error)]
#[error("the encoder takes RGBA pictures, not a source's {0:?} planes: put a “Colour convert” node before it")]
struct NotRgba(PixelFormat);

/// No limit lowers the bit rate below this.
const LEAST_BPS: u32 = 100_000;
/// Pictures under way from the GPU at most.
const RING: usize = 3;

/// The encoders that are open. An encoder has threads and buffers, so it goes as soon as its node does.
#[derive(Resource, Default)]
pub(super) struct EncoderStates(NodeStates<EncoderState>);

pub(super) fn close_encoders(nodes: Res<GpuNodes>, mut states: ResMut<EncoderStates>) {
    if nodes.is_changed() {
        states.0.retain(|node| nodes.contains(node));
    }
}

pub(super) struct EncoderState {
    yuv: YuvPass,
    ring: ReadbackRing,
    encoder: Arc<encode::VideoEncoder>,
    key_frame_wanted: Arc<AtomicBool>,
    settings: EncoderSettings,
    input: EncoderInput,
    clock: StudioClock,
}

impl EncoderState {
    fn open(gpu: &GpuContext, settings: EncoderSettings, input: EncoderInput, bus: &PacketBus) -> Result<Self, EncodeError> {
        let clock = *gpu.clock;
        let (target, ledger) = (bus.clone(), gpu.ledger.clone());
        let encoder = encode::VideoEncoder::new(settings.clone(), input, clock.queue_policy(), move |output| {
            ledger.record(output.unit.stamp.frame_id, Stage::ENCODE, output.took);
            target.set_info(PacketInfo::Video(output.info));
            target.publish(&output.unit);
        })?;
        let encoder = Arc::new(encoder);
        // Asked for from any thread, also from the encoder's own; told to the encoder with the next picture.
        let key_frame_wanted = Arc::new(AtomicBool::new(false));
        let wanted = key_frame_wanted.clone();
        bus.on_key_frame_request(move || wanted.store(true, Ordering::Release));
        let yuv = YuvPass::new(gpu.device(), gpu.queue(), input.format, input.size, input.color);
        let ring = ReadbackRing::new(gpu.device(), "encoder", yuv.bytes(), RING);
        Ok(Self { yuv, ring, encoder, key_frame_wanted, settings, input, clock })
    }
}

pub(super) fn run_video_encoder(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<VideoEncoder>>,
    reports: Res<FailureReport>,
    mut states: ResMut<EncoderStates>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?;
    if frame.picture.format.is_yuv() {
        return Err(NotRgba(frame.picture.format).into());
    }
    let bus = run.packet_output("packets")?;
    let wanted = settings.of(run.node);
    let (settings, input) = (wanted.settings(), wanted.input_for(frame));
    let clock = *gpu.clock;
    let works = |state: &EncoderState| state.input == input && state.clock == clock && state.encoder.failure().is_none();
    let state = states.0.get_or_make(&gpu, run.node, works, || Ok(EncoderState::open(&gpu, settings.clone(), input, &bus)?))?;
    // What a reader's way on cannot take need not be made. Below what encoders are made for nothing would be seen any more.
    let limit_bps = bus.bitrate_limit().map_or(settings.bitrate_bps, |limit_bps| limit_bps.max(LEAST_BPS));
    let settings = EncoderSettings { bitrate_bps: settings.bitrate_bps.min(limit_bps), ..settings };
    if state.settings != settings {
        // Noted first: settings that the encoder refuses are reported once, and it goes on with the old ones.
        state.settings = settings.clone();
        state.encoder.set_settings(settings)?;
    }
    let slot = match clock {
        StudioClock::Live => state.ring.acquire(),
        StudioClock::Offline => Some(state.ring.wait(gpu.device())?),
    };
    let Some(slot) = slot else {
        bus.count_dropped();
        return Ok(());
    };
    let (device, _, commands) = gpu.device_and_encoder();
    state.yuv.encode(device, commands, &frame.picture, slot.buffer());
    let delivery = Delivery {
        encoder: state.encoder.clone(),
        key_frame_wanted: state.key_frame_wanted.clone(),
        layout: state.yuv.layout(),
        stamp: frame.stamp,
        ledger: gpu.ledger.clone(),
        copies: gpu.copies.clone(),
        reports: reports.clone(),
        node: run.node,
    };
    gpu.after_submit(move || {
        let submitted = Instant::now();
        slot.deliver(move |planes| match planes {
            Ok(planes) => delivery.push(planes, submitted),
            Err(error) => delivery.reports.failure(delivery.node, error),
        });
    });
    Ok(())
}

/// What goes with a picture on its way from the GPU to the encoder.
struct Delivery {
    encoder: Arc<encode::VideoEncoder>,
    key_frame_wanted: Arc<AtomicBool>,
    layout: YuvLayout,
    stamp: FrameStamp,
    ledger: LatencyLedger,
    copies: CopyCounters,
    reports: FailureReport,
    node: Entity,
}

impl Delivery {
    fn push(&self, planes: bytes::Bytes, submitted: Instant) {
        self.ledger.record(self.stamp.frame_id, Stage::READBACK, submitted.elapsed());
        self.copies.count(self.stamp.frame_id, CopyKind::Readback, planes.len());
        if self.key_frame_wanted.swap(false, Ordering::AcqRel)
            && let Err(error) = self.encoder.request_key_frame()
        {
            warn!("{}: {error}", VideoEncoder::DISPLAY_NAME);
        }
        let pushed = self
            .layout
            .frame(self.stamp, planes)
            .map_err(|error| error.to_string())
            .and_then(|frame| self.encoder.push(&frame).map_err(|error| error.to_string()));
        if let Err(error) = pushed {
            self.reports.failure(self.node, error);
        }
    }
}

/// A cut starts a new group of pictures: nothing after it is coded from what lay before.
pub(super) fn follow_motion(
    encoders: Query<Entity, With<VideoEncoder>>,
    links: GraphLinks,
    motions: Query<&PinMotion>,
    buses: Query<&PacketBus>,
    mut seen: Local<bevy::ecs::entity::EntityHashMap<u64>>,
) {
    seen.retain(|node, _| encoders.contains(*node));
    for node in &encoders {
        let Some((field, generation)) = links.source(node, "motion").and_then(|pin| motions.get(pin).ok()?.newest()) else {
            continue;
        };
        let newer = seen.insert(node, generation) != Some(generation);
        if newer
            && field.starts_scene()
            && field.stamp.frame_id > 0
            && let Some(bus) = links.output(node, "packets").and_then(|pin| buses.get(pin).ok())
        {
            bus.request_key_frame();
        }
    }
}
