//! Single bits, most significant first.

use super::WireError;

/// Appends bits to bytes.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `count` bits of `value`; at most 32.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        let mask = (1_u64 << count) - 1;
        self.pending = self.pending << count | u64::from(value) & mask;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.pending >> self.count) as u8);
        }
    }

    /// Fills the last byte with zeros and hands the bytes over.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes
    }

    /// Whole bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Takes bits from bytes.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// Takes `count` bits; at most 32.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, WireError> {
        while self.count < count {
            let (first, rest) = self.bytes.split_first().ok_or(WireError::Truncated)?;
            self.bytes = rest;
            self.pending = self.pending << 8 | u64::from(*first);
            self.count += 8;
        }
        self.count -= count;
        Ok((self.pending >> self.count & ((1_u64 << count) - 1)) as u32)
    }
}
