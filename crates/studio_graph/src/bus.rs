//! Coded pictures on a pin: one encoder, any number of readers, each on its own terms.

use bevy::prelude::*;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use studio_frame::prelude::*;

/// Takes access units on the encoder's own thread, in order, as soon as they exist.
pub type PacketSink = Arc<dyn Fn(&StreamInfo, &AccessUnit) + Send + Sync>;
type KeyFrameRequest = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Bus {
    sinks: Vec<(Entity, PacketSink)>,
    info: Option<Arc<StreamInfo>>,
    request_key_frame: Option<KeyFrameRequest>,
    stats: PacketStats,
}

/// What went over a bus so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketStats {
    /// Access units published.
    pub access_units: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were not encoded because newer ones came.
    pub frames_dropped: u64,
}

/// Keeps a sink on its bus; dropping it takes the sink off.
pub struct SinkGuard {
    bus: PacketBus,
    node: Entity,
}

impl SinkGuard {
    /// Whether the sink is on this bus.
    pub fn is_on(&self, bus: &PacketBus) -> bool {
        Arc::ptr_eq(&self.bus.0, &bus.0)
    }
}

impl Drop for SinkGuard {
    fn drop(&mut self) {
        self.bus.0.lock().sinks.retain(|(owner, _)| *owner != self.node);
    }
}

/// The access units on an output pin of type [`DataType::PACKET`](crate::pin::DataType::PACKET).
///
/// The encoder publishes; outputs and recorders register a sink. A sink must not block, unless it has to take every
/// access unit (a recorder): then it holds the encoder back, which is what "block" means. Clones share the bus.
#[derive(Component, Clone, Default)]
pub struct PacketBus(Arc<Mutex<Bus>>);

impl PacketBus {
    /// Registers the sink of a node, replacing the one it had, and asks for a key frame to start it with.
    #[must_use = "the sink is taken off when the guard is dropped"]
    pub fn add_sink(&self, node: Entity, sink: impl Fn(&StreamInfo, &AccessUnit) + Send + Sync + 'static) -> SinkGuard {
        {
            let mut bus = self.0.lock();
            bus.sinks.retain(|(owner, _)| *owner != node);
            bus.sinks.push((node, Arc::new(sink)));
        }
        self.request_key_frame();
        SinkGuard { bus: self.clone(), node }
    }

    /// Tells what the stream is. Called by the encoder before its first access unit and whenever that changes.
    pub fn set_info(&self, info: Arc<StreamInfo>) {
        self.0.lock().info = Some(info);
    }

    /// What the stream is, once the encoder knows.
    pub fn info(&self) -> Option<StreamInfo> {
        self.0.lock().info.as_deref().cloned()
    }

    /// Says how key frames are asked for.
    pub fn on_key_frame_request(&self, request: impl Fn() + Send + Sync + 'static) {
        self.0.lock().request_key_frame = Some(Arc::new(request));
    }

    /// Asks the encoder for a key frame.
    pub fn request_key_frame(&self) {
        let request = self.0.lock().request_key_frame.clone();
        if let Some(request) = request {
            request();
        }
    }

    /// Hands an access unit to every sink.
    pub fn publish(&self, unit: &AccessUnit) {
        let (sinks, info) = {
            let mut bus = self.0.lock();
            bus.stats.access_units += 1;
            bus.stats.bytes += unit.data.len() as u64;
            (bus.sinks.clone(), bus.info.clone())
        };
        let Some(info) = info else { return };
        for (_, sink) in &sinks {
            sink(&info, unit);
        }
    }

    /// Notes a frame that was not encoded because a newer one came.
    pub fn count_dropped(&self) {
        self.0.lock().stats.frames_dropped += 1;
    }

    /// What went over the bus so far.
    pub fn stats(&self) -> PacketStats {
        self.0.lock().stats
    }
}

/// The motion fields on an output pin of type [`DataType::MOTION_FIELD`](crate::pin::DataType::MOTION_FIELD): written once
/// a frame by the flow node, read by everything that needs motion. Clones share them.
///
/// The latest few are kept, because a picture and its field may reach a reader at different times.
#[derive(Component, Clone, Default)]
pub struct PinMotion(Arc<Mutex<MotionSlot>>);

#[derive(Default)]
struct MotionSlot {
    fields: VecDeque<MotionField>,
    generation: u64,
}

impl PinMotion {
    const KEPT: usize = 8;

    /// The newest field and its generation; the generation grows with every field.
    pub fn newest(&self) -> Option<(MotionField, u64)> {
        let slot = self.0.lock();
        slot.fields.back().cloned().map(|field| (field, slot.generation))
    }

    /// The field of a frame, if it is among the latest.
    pub fn of_frame(&self, frame_id: u64) -> Option<MotionField> {
        self.0.lock().fields.iter().rev().find(|field| field.stamp.frame_id == frame_id).cloned()
    }

    /// Grows with every field; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Puts a field on the pin.
    pub fn set(&self, field: MotionField) {
        let mut slot = self.0.lock();
        if slot.fields.len() == Self::KEPT {
            slot.fields.pop_front();
        }
        slot.fields.push_back(field);
        slot.generation += 1;
    }
}

/// Gives pins of packets and motion their component.
pub(crate) fn give_bus_to_pin(added: On<Add, crate::pin::Pin>, pins: Query<&crate::pin::Pin>, mut commands: Commands) {
    use crate::pin::{DataType, PinDirection};
    let Ok(pin) = pins.get(added.entity) else { return };
    if pin.direction == PinDirection::Input {
        return;
    }
    if pin.data_type == DataType::PACKET {
        commands.entity(added.entity).insert(PacketBus::default());
    } else if pin.data_type == DataType::MOTION_FIELD {
        commands.entity(added.entity).insert(PinMotion::default());
    }
}
