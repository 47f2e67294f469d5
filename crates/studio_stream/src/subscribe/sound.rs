//! Receives the sound of a session.

use super::{
    ReceivedSound,
    session::{NamedTrack, Receiving, follow_track},
};
use crate::{
    catalog::AudioTrack,
    wire::{
        WireError,
        unit::{MAX_AUDIO_UNIT_BYTES, MAX_HEADER_BYTES, WireUnit, decode_unit},
    },
};
use hang::catalog::PRIORITY;
use moq_net::{Error, broadcast, group, track};
use std::sync::Arc;
use studio_frame::prelude::*;
use tokio::sync::watch;

impl NamedTrack for AudioTrack {
    fn name(&self) -> &str {
        &self.track
    }
}

/// Receives the sound track that the catalog names, whichever that is at the time.
pub(super) async fn sounds(broadcast: broadcast::Consumer, wanted: watch::Receiver<Option<AudioTrack>>, to: Receiving) {
    follow_track(wanted, |name, described| receive_sound(broadcast.clone(), name, described, to.clone())).await;
}

async fn receive_sound(
    broadcast: broadcast::Consumer,
    name: String,
    described: watch::Receiver<Option<AudioTrack>>,
    to: Receiving,
) -> Result<(), Error> {
    // As with pictures, a late joiner starts with the newest; from then on what is too late is passed over.
    let wish = track::Subscription::default().with_priority(PRIORITY.audio);
    let subscriber = broadcast.track(&name)?.subscribe(wish.clone()).await?;
    let control = subscriber.control();
    let mut groups = subscriber.ordered();
    let mut info: Arc<AudioStreamInfo> = Arc::default();
    let (mut last_group, mut gap): (Option<u64>, bool) = (None, true);
    while let Some(mut group) = groups.next_group().await? {
        if last_group.is_none() {
            control.update(wish.clone().with_max_age(to.config.max_age))?;
        }
        let skipped = last_group.map_or(0, |last| group.sequence.saturating_sub(last + 1));
        last_group = Some(group.sequence);
        gap |= skipped > 0;
        to.outbox.meter.count(|stats| stats.audio_units_dropped += skipped);
        let unit = match read_unit(&mut group, &to).await {
            Ok(Some(unit)) => unit,
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(%error, sequence = group.sequence, "a unit of sound did not come");
                to.outbox.meter.count(|stats| stats.audio_units_dropped += 1);
                gap = true;
                continue;
            }
        };
        if let Some(audio) = described.borrow().as_ref().filter(|audio| audio.track == name && audio.info != *info) {
            info = Arc::new(audio.info.clone());
        }
        to.outbox.meter.count(|stats| stats.audio_units += 1);
        to.outbox.audio.send(ReceivedSound {
            info: info.clone(),
            session: to.session,
            after_gap: core::mem::take(&mut gap),
            ..unit
        });
    }
    Ok(())
}

/// The unit that a group holds; none if it holds nothing that is understood.
async fn read_unit(group: &mut group::Consumer, to: &Receiving) -> Result<Option<ReceivedSound>, Error> {
    let Some(mut frame) = group.next_frame().await? else { return Ok(None) };
    // Refused before it is read: pictures may be larger, sound may not.
    if frame.size > (MAX_AUDIO_UNIT_BYTES + MAX_HEADER_BYTES) as u64 {
        to.garbage(WireError::Range("the size of a unit of sound"));
        return Ok(None);
    }
    let frame = frame.read_all().await?;
    to.outbox.meter.arrived(frame.len());
    let fits = |unit: &WireUnit| unit.unit.data.len() <= MAX_AUDIO_UNIT_BYTES;
    let unit = decode_unit(&frame)
        .and_then(|unit| if fits(&unit) { Ok(unit) } else { Err(WireError::Range("the size of a unit of sound")) });
    match unit {
        Ok(unit) => Ok(Some(ReceivedSound {
            unit: unit.unit,
            info: Arc::default(),
            session: to.session,
            sent_at: unit.sent_at,
            arrived_at: UnixTime::now(),
            after_gap: false,
        })),
        Err(error) => {
            to.garbage(error);
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        subscribe::{
            SubscriberConfig,
            inbox::{Outbox, inbox},
            meter::Meter,
            report::Reporter,
        },
        wire::unit::encode_unit,
    };
    use bytes::Bytes;
    use core::time::Duration;
    use moq_net::{Timescale, Timestamp, origin};

    /// A publisher that sends anything but sound harms nobody, and the sound after it is heard.
    #[tokio::test]
    async fn what_is_no_sound_is_counted_and_passed_over() {
        let (origin, driver) = origin::Producer::new(origin::Config::default());
        tokio::spawn(moq_net::time::run(driver));
        let broadcast = origin.create_broadcast("live").expect("a broadcast");
        let info = track::Info::default().with_timescale(Timescale::MICRO).with_max_age(Duration::from_secs(2));
        let mut track = broadcast.create_track("audio.0", info).expect("a track");
        broadcast.announce(origin::Route::default()).expect("announced");
        let consumer = origin.consume().routed_broadcast("live").await.expect("there");
        let (events, _events) = queue(1, QueuePolicy::NewestWins);
        let (motion, _motion) = queue(1, QueuePolicy::NewestWins);
        let (audio, heard) = queue(4, QueuePolicy::NewestWins);
        let meter = Arc::new(Meter::default());
        let outbox = Arc::new(Outbox { events, units: inbox(1).0, audio, motion, meter: meter.clone() });
        let described = AudioTrack { track: "audio.0".into(), info: AudioStreamInfo { bitrate_bps: 7, ..Default::default() } };
        let (_catalog, wanted) = watch::channel(Some(described));
        let selection = Arc::default();
        let to = Receiving { session: 1, config: SubscriberConfig::default(), outbox, reporter: Reporter::new(), selection };
        let task = tokio::spawn(receive_sound(consumer, "audio.0".into(), wanted, to));
        let unit = AccessUnit { stamp: FrameStamp { frame_id: 5, ..Default::default() }, key_frame: true, data: Bytes::new() };
        let sized = |bytes: usize| encode_unit(&AccessUnit { data: vec![0; bytes].into(), ..unit.clone() }, UnixTime(1));
        let noise = Bytes::from_static(b"noise");
        let frames = [noise, sized(MAX_AUDIO_UNIT_BYTES + 1), sized(1_000_000), Bytes::new(), sized(MAX_AUDIO_UNIT_BYTES)];
        // In their own time: one that was overtaken is skipped, not read.
        for (at, frame) in (0..).zip(frames) {
            track.write_frame(Timestamp::from_micros(at * 20_000).expect("small"), frame).expect("written");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let got = heard.try_recv().expect("the last one");
        assert_eq!((got.unit.stamp.frame_id, got.info.bitrate_bps, heard.len()), (5, 7, 0));
        assert_eq!((meter.stats().garbage, meter.stats().audio_units), (4, 1));
        task.abort();
    }
}
