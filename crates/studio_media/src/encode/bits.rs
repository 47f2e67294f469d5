//! Reading the bits of parameter sets.

/// Reads big-endian bits; past the end every read gives `None`.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    place: usize,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, place: 0 }
    }

    /// The next `count` bits, at most 32.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0_u32, |value, _| {
            let byte = *self.data.get(self.place / 8)?;
            let bit = byte >> (7 - self.place % 8) & 1;
            self.place += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    pub fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    pub fn skip(&mut self, count: u32) -> Option<()> {
        self.place += count as usize;
        (self.place <= self.data.len() * 8).then_some(())
    }

    /// AV1's variable-length code (AV1 specification §4.10.3), skipped.
    pub fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros >= 32 {
                return Some(());
            }
        }
        self.skip(zeros)
    }
}

/// The NAL units of an Annex B byte stream, without start codes.
pub(super) fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next_code = |from: usize| (from..stream.len().saturating_sub(2)).find(|&at| stream[at..at + 3] == [0, 0, 1]);
    let mut start = next_code(0).map(|at| at + 3);
    std::iter::from_fn(move || {
        let from = start?;
        let next = next_code(from);
        start = next.map(|at| at + 3);
        Some(&stream[from..next.unwrap_or(stream.len())])
    })
}

/// A NAL unit's payload without its emulation prevention bytes; at most the first `limit` bytes.
pub(super) fn unescape(nal: &[u8], limit: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(limit.min(nal.len()));
    let mut zeros = 0;
    for &byte in nal {
        if payload.len() == limit {
            break;
        }
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}
