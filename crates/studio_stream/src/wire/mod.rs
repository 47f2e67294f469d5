//! What lies in the frames and datagrams.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@unit`] | one access unit in one frame: a Low Overhead Container with our stamp as a property |
//! | [`tile`] | motion fields as self-contained tiles, and the coarse copy |
//! | [`assemble`] | motion fields from whatever tiles came |
//!
//! Everything here reads bytes from strangers: lengths are checked before anything is allocated, and garbage is an error.

pub mod assemble;
mod bits;
mod cells;
pub mod tile;
pub mod unit;

/// Why bytes were not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end in the middle of something.
    #[error("the message is cut short")]
    Truncated,
    /// A wire version that is not spoken here.
    #[error("wire version {0} is not spoken here; both ends need the same release of the studio")]
    Version(u8),
    /// A message of another kind.
    #[error("message kind {0} is not expected here")]
    Kind(u8),
    /// A value outside of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// The frame carries no stamp of ours.
    #[error("the frame carries no stamp; it was not sent by a studio")]
    NoStamp,
}

/// Reads little-endian integers and LEB128 variable-length integers from a slice.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.bytes(1)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        let bytes = self.bytes(8)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A LEB128 integer; the one spelling with ten bytes that would lose bits is refused.
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(WireError::Range("a variable-length integer"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Range("a variable-length integer"))
    }

    /// A LEB128 integer between 0 and `max`.
    pub(crate) fn varint_max(&mut self, what: &'static str, max: u32) -> Result<u32, WireError> {
        u32::try_from(self.varint()?).ok().filter(|value| *value <= max).ok_or(WireError::Range(what))
    }

    /// A QUIC variable-length integer (RFC 9000 §16).
    pub(crate) fn quic_varint(&mut self) -> Result<u64, WireError> {
        let first = self.u8()?;
        let rest = self.bytes((1 << (first >> 6)) - 1)?;
        Ok(rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
    }
}

/// Appends a LEB128 integer.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a QUIC variable-length integer (RFC 9000 §16); values from 2⁶² on do not exist and are cut to 2⁶² − 1.
pub(crate) fn put_quic_varint(out: &mut Vec<u8>, value: u64) {
    let value = value.min((1 << 62) - 1);
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend((value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend((value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend((value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_quic_varint(&mut out, value >> 2);
            let mut reader = Reader(&out);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.quic_varint(), Ok(value >> 2));
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn garbage_integers_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = Reader(&bytes).varint();
            let _ = Reader(&bytes).quic_varint();
        }
    }
}
