//! One access unit in one frame.
//!
//! The frame is a Low Overhead Container (draft-ietf-moq-loc): a length-prefixed block of properties, then the coded
//! bytes as they are. Property 0x06 is the presentation time in microseconds, which any player of such streams
//! understands; an odd property of ours carries the rest of the stamp, which others skip.

use super::{Reader, WireError, put_quic_varint, put_varint};
use bytes::{Bytes, BytesMut};
use studio_frame::prelude::*;

/// The largest access unit that is sent or accepted, in bytes.
pub const MAX_UNIT_BYTES: usize = 16 * 1024 * 1024;
/// The largest access unit of sound that is sent or accepted, in bytes: the longest packet of Opus (RFC 6716 §3.2.1) takes
/// 61,440, a unit of AAC with 64 channels 49,152.
pub const MAX_AUDIO_UNIT_BYTES: usize = 64 * 1024;
/// A frame's header takes no more than this.
pub(crate) const MAX_HEADER_BYTES: usize = 64;

const TIMESTAMP: u64 = 0x06;
/// "NS" in ASCII; odd, so that its value is a byte string.
const STAMP: u64 = 0x4e53;
const VERSION: u8 = 1;
const KEY_FRAME: u8 = 1;

/// An access unit as it came off the wire.
#[derive(Clone, Debug)]
pub struct WireUnit {
    /// The access unit.
    pub unit: AccessUnit,
    /// When the sender handed it to the transport.
    pub sent_at: UnixTime,
}

/// Writes an access unit as a frame.
pub fn encode_unit(unit: &AccessUnit, sent_at: UnixTime) -> Bytes {
    let mut stamp = Vec::with_capacity(40);
    stamp.extend([VERSION, if unit.key_frame { KEY_FRAME } else { 0 }]);
    put_varint(&mut stamp, unit.stamp.frame_id);
    for nanos in [unit.stamp.captured_at.0, unit.stamp.pts.0, sent_at.0] {
        stamp.extend(nanos.to_le_bytes());
    }
    let mut properties = Vec::with_capacity(64);
    put_quic_varint(&mut properties, TIMESTAMP);
    put_quic_varint(&mut properties, unit.stamp.pts.as_micros());
    // Property types are written as the difference to the one before.
    put_quic_varint(&mut properties, STAMP - TIMESTAMP);
    put_quic_varint(&mut properties, stamp.len() as u64);
    properties.extend(stamp);
    let mut length = Vec::with_capacity(2);
    put_quic_varint(&mut length, properties.len() as u64);
    let mut frame = BytesMut::with_capacity(length.len() + properties.len() + unit.data.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&properties);
    frame.extend_from_slice(&unit.data);
    frame.freeze()
}

/// Reads an access unit from a frame; the coded bytes are shared with it, not copied.
pub fn decode_unit(frame: &Bytes) -> Result<WireUnit, WireError> {
    let mut reader = Reader(frame);
    let length = usize::try_from(reader.quic_varint()?).map_err(|_| WireError::Truncated)?;
    let mut properties = Reader(reader.bytes(length)?);
    let data = frame.slice(frame.len() - reader.0.len()..);
    if data.len() > MAX_UNIT_BYTES {
        return Err(WireError::Range("the size of an access unit"));
    }
    let mut kind = 0_u64;
    let mut stamp = None;
    while !properties.0.is_empty() {
        kind = kind.checked_add(properties.quic_varint()?).ok_or(WireError::Range("a property's type"))?;
        let value = properties.quic_varint()?;
        if kind % 2 == 1 {
            let bytes = properties.bytes(usize::try_from(value).map_err(|_| WireError::Truncated)?)?;
            if kind == STAMP {
                stamp = Some(bytes);
            }
        }
    }
    let mut stamp = Reader(stamp.ok_or(WireError::NoStamp)?);
    match stamp.u8()? {
        VERSION => {}
        other => return Err(WireError::Version(other)),
    }
    let key_frame = stamp.u8()? & KEY_FRAME != 0;
    let frame_id = stamp.varint()?;
    let (captured_at, pts, sent_at) = (UnixTime(stamp.u64()?), MediaTime(stamp.u64()?), UnixTime(stamp.u64()?));
    Ok(WireUnit { unit: AccessUnit { stamp: FrameStamp { frame_id, captured_at, pts }, key_frame, data }, sent_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn access_units_round_trip(
            frame_id: u64, captured: u64, pts: u64, sent: u64, key_frame: bool,
            data in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let stamp = FrameStamp { frame_id, captured_at: UnixTime(captured), pts: MediaTime(pts) };
            let unit = AccessUnit { stamp, key_frame, data: data.into() };
            let frame = encode_unit(&unit, UnixTime(sent));
            prop_assert!(frame.len() <= unit.data.len() + MAX_HEADER_BYTES, "the header is small");
            let back = decode_unit(&frame).expect("what was written is read");
            prop_assert_eq!(back.unit.stamp, unit.stamp);
            prop_assert_eq!(back.unit.key_frame, unit.key_frame);
            prop_assert_eq!(back.unit.data, unit.data);
            prop_assert_eq!(back.sent_at, UnixTime(sent));
        }

        #[test]
        fn garbage_is_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // Almost no garbage holds the property; what does may be read, but never panics.
            let _ = decode_unit(&bytes.into());
        }

        #[test]
        fn cut_headers_are_refused(cut in 0_usize..40) {
            let unit = AccessUnit { stamp: FrameStamp::default(), key_frame: true, data: Bytes::new() };
            let frame = encode_unit(&unit, UnixTime(1));
            prop_assume!(cut < frame.len());
            prop_assert!(decode_unit(&frame.slice(..cut)).is_err());
        }
    }

    #[test]
    fn a_frame_of_another_sender_is_named_as_such() {
        // A container with only a presentation time, as other players' publishers write it.
        assert_eq!(decode_unit(&Bytes::from_static(&[2, 6, 33, 0, 1, 2])).expect_err("no stamp"), WireError::NoStamp);
    }
}
