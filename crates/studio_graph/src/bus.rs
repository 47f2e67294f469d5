//! Packets, sound and motion on a pin: one source, any number of readers, each on its own terms.

use bevy::prelude::*;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use studio_frame::prelude::*;

/// What flows over a [`Bus`], one item after the other.
pub trait BusItem: Send + Sync + 'static {
    /// What a reader must know before the first item.
    type Info: Clone + Send + Sync + 'static;

    /// Bytes of the item, for the statistics.
    fn bytes(&self) -> usize;
}

impl BusItem for AccessUnit {
    type Info = PacketInfo;

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

impl BusItem for AudioBlock {
    type Info = AudioFormat;

    fn bytes(&self) -> usize {
        size_of_val(self.samples())
    }
}

/// Takes items on their source's own thread, in order, as soon as they exist.
pub type BusSink<T> = Arc<dyn Fn(&<T as BusItem>::Info, &T) + Send + Sync>;
type KeyFrameRequest = Arc<dyn Fn() + Send + Sync>;

struct BusState<T: BusItem> {
    sinks: Vec<(Entity, BusSink<T>)>,
    info: Option<T::Info>,
    request_key_frame: Option<KeyFrameRequest>,
    /// The most that each reader's way on can take, in bits a second.
    limits_bps: Vec<(Entity, u32)>,
    stats: BusStats,
}

/// What went over a bus so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStats {
    /// Items published: access units, blocks of sound.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Items that were not made because newer ones came.
    pub dropped: u64,
}

/// Keeps a sink on its bus; dropping it takes the sink off.
pub struct SinkGuard<T: BusItem = AccessUnit> {
    bus: Bus<T>,
    node: Entity,
}

impl<T: BusItem> SinkGuard<T> {
    /// Whether the sink is on this bus.
    pub fn is_on(&self, bus: &Bus<T>) -> bool {
        Arc::ptr_eq(&self.bus.0, &bus.0)
    }
}

impl<T: BusItem> Drop for SinkGuard<T> {
    fn drop(&mut self) {
        let mut bus = self.bus.0.lock();
        bus.sinks.retain(|(owner, _)| *owner != self.node);
        bus.limits_bps.retain(|(owner, _)| *owner != self.node);
    }
}

/// What an output pin delivers item by item: one source, any number of readers, each on its own terms.
///
/// The source publishes; readers register a sink. A sink must not block, unless it has to take every item (a recorder, or
/// any reader offline): then it holds the source back, which is what "block" means. Clones share the bus.
#[derive(Component)]
pub struct Bus<T: BusItem>(Arc<Mutex<BusState<T>>>);

/// The access units on an output pin of type [`DataType::PACKET`](crate::pin::DataType::PACKET).
pub type PacketBus = Bus<AccessUnit>;

/// The sound on an output pin of type [`DataType::AUDIO_BUFFER`](crate::pin::DataType::AUDIO_BUFFER).
pub type AudioBus = Bus<AudioBlock>;

impl<T: BusItem> Clone for Bus<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: BusItem> Default for Bus<T> {
    fn default() -> Self {
        let state = BusState {
            sinks: Vec::new(),
            info: None,
            request_key_frame: None,
            limits_bps: Vec::new(),
            stats: BusStats::default(),
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl<T: BusItem> Bus<T> {
    /// Registers the sink of a node, replacing the one it had, and asks for a key frame to start it with.
    #[must_use = "the sink is taken off when the guard is dropped"]
    pub fn add_sink(&self, node: Entity, sink: impl Fn(&T::Info, &T) + Send + Sync + 'static) -> SinkGuard<T> {
        {
            let mut bus = self.0.lock();
            bus.sinks.retain(|(owner, _)| *owner != node);
            bus.sinks.push((node, Arc::new(sink)));
        }
        self.request_key_frame();
        SinkGuard { bus: self.clone(), node }
    }

    /// Tells what flows here. Called by the source before its first item and whenever that changes.
    pub fn set_info(&self, info: T::Info) {
        self.0.lock().info = Some(info);
    }

    /// What flows here, once the source knows.
    pub fn info(&self) -> Option<T::Info> {
        self.0.lock().info.clone()
    }

    /// Says how items that reading can start at are asked for; sources of which every item is one need not.
    pub fn on_key_frame_request(&self, request: impl Fn() + Send + Sync + 'static) {
        self.0.lock().request_key_frame = Some(Arc::new(request));
    }

    /// Asks the source for an item that reading can start at.
    pub fn request_key_frame(&self) {
        let request = self.0.lock().request_key_frame.clone();
        if let Some(request) = request {
            request();
        }
    }

    /// Says how much a reader's way on can take, in bits a second; `None` takes it back, and so does taking the reader's sink off.
    /// An encoder keeps below the lowest.
    pub fn limit_bitrate(&self, node: Entity, limit_bps: Option<u32>) {
        let mut bus = self.0.lock();
        bus.limits_bps.retain(|(owner, _)| *owner != node);
        bus.limits_bps.extend(limit_bps.map(|limit_bps| (node, limit_bps)));
    }

    /// The lowest of what the readers' ways on can take, in bits a second; none if nobody says.
    pub fn bitrate_limit(&self) -> Option<u32> {
        self.0.lock().limits_bps.iter().map(|(_, limit_bps)| *limit_bps).min()
    }

    /// Hands an item to every sink.
    pub fn publish(&self, item: &T) {
        let (sinks, info) = {
            let mut bus = self.0.lock();
            bus.stats.items += 1;
            bus.stats.bytes += item.bytes() as u64;
            (bus.sinks.clone(), bus.info.clone())
        };
        let Some(info) = info else { return };
        for (_, sink) in &sinks {
            sink(&info, item);
        }
    }

    /// Notes an item that was not made because a newer one came.
    pub fn count_dropped(&self) {
        self.0.lock().stats.dropped += 1;
    }

    /// What went over the bus so far.
    pub fn stats(&self) -> BusStats {
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

/// Gives pins of packets, sound and motion their component.
pub(crate) fn give_bus_to_pin(added: On<Add, crate::pin::Pin>, pins: Query<&crate::pin::Pin>, mut commands: Commands) {
    use crate::pin::{DataType, PinDirection};
    let Ok(pin) = pins.get(added.entity) else { return };
    if pin.direction == PinDirection::Input {
        return;
    }
    if pin.data_type == DataType::PACKET {
        commands.entity(added.entity).insert(PacketBus::default());
    } else if pin.data_type == DataType::AUDIO_BUFFER {
        commands.entity(added.entity).insert(AudioBus::default());
    } else if pin.data_type == DataType::MOTION_FIELD {
        commands.entity(added.entity).insert(PinMotion::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn sound_reaches_every_sink_until_its_guard_is_dropped() {
        let (bus, heard) = (AudioBus::default(), Arc::new(AtomicUsize::new(0)));
        let sink = |heard: &Arc<AtomicUsize>| {
            let heard = heard.clone();
            move |format: &AudioFormat, block: &AudioBlock| {
                assert_eq!(*format, block.format());
                heard.fetch_add(block.frames(), Ordering::Relaxed);
            }
        };
        let block = AudioBlock::new(FrameStamp::default(), AudioFormat::STUDIO, vec![0.0; 20]).expect("whole frames");
        let first = bus.add_sink(Entity::from_raw_u32(1).expect("an id"), sink(&heard));
        let second = bus.add_sink(Entity::from_raw_u32(2).expect("an id"), sink(&heard));
        bus.publish(&block);
        assert_eq!(heard.load(Ordering::Relaxed), 0, "nothing before the source said what flows");
        bus.set_info(block.format());
        bus.publish(&block);
        assert!(first.is_on(&bus) && second.is_on(&bus));
        drop(second);
        bus.publish(&block);
        assert_eq!(heard.load(Ordering::Relaxed), 30);
        assert_eq!(bus.stats(), BusStats { items: 3, bytes: 240, dropped: 0 });
    }
}
