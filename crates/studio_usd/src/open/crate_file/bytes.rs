//! Numbers at places of a file, and what is compressed there.

use super::{Checked, Refusal, broken, within};

/// A place in a file.
#[derive(Clone)]
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8], at: usize) -> Self {
        Self { all, at }
    }

    /// A place that the file names.
    pub(super) fn at(all: &'a [u8], at: u64) -> Checked<Self> {
        if at > all.len() as u64 {
            return broken("something is said to be beyond the end of the file");
        }
        Ok(Self { all, at: at as usize })
    }

    /// Where this is.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> u64 {
        self.all.len().saturating_sub(self.at) as u64
    }

    pub(super) fn take(&mut self, count: u64) -> Checked<&'a [u8]> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| self.all.get(self.at..end)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => broken("the file ends in the middle"),
        }
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| Refusal::Broken("the file ends in the middle".into()))
    }

    pub(super) fn u8(&mut self) -> Checked<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Checked<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Checked<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of elements that take so many bytes each, and are all in the rest of the file.
    pub(super) fn count(&mut self, bytes_each: u64) -> Checked<u64> {
        let count = self.u64()?;
        self.has(count, bytes_each)?;
        Ok(count)
    }

    /// Refuses elements that are not all in the rest of the file.
    pub(super) fn has(&self, count: u64, bytes_each: u64) -> Checked<()> {
        match count.checked_mul(bytes_each) {
            Some(bytes) if bytes <= self.rest() => Ok(()),
            _ => broken(format!("{count} elements are said to be where {} bytes are", self.rest())),
        }
    }

    /// Goes where an offset says that is counted from itself.
    pub(super) fn jump(&mut self) -> Checked<()> {
        let from = self.at as i64;
        let offset = i64::from_le_bytes(self.array()?);
        let to = from.checked_add(offset).and_then(|to| usize::try_from(to).ok()).filter(|to| *to <= self.all.len());
        self.at = match to {
            Some(to) if offset.checked_sub(8).is_some() => to,
            _ => return broken("an offset leads out of the file"),
        };
        Ok(())
    }

    /// What is compressed here, which comes to no more than `most` bytes.
    pub(super) fn decompress(&mut self, most: u64, budget: u64, spent: &mut u64) -> Checked<Vec<u8>> {
        let size = self.u64()?;
        let compressed = self.take(size)?;
        let Some((chunks, block)) = compressed.split_first() else { return broken("a compressed block is empty") };
        if *chunks != 0 {
            return broken("a block is compressed in several pieces, which cannot be read");
        }
        // A byte of LZ4 stands for 255 at most.
        let most = most.min((block.len() as u64).saturating_mul(255).saturating_add(64));
        *spent = spent.saturating_add(most);
        within(*spent, budget, "bytes once decompressed", "decompressed_bytes")?;
        let mut out = vec![0; most as usize];
        match lz4_flex::block::decompress_into(block, &mut out) {
            Ok(size) => {
                out.truncate(size);
                *spent = spent.saturating_sub(most - size as u64);
                Ok(out)
            }
            Err(_) => broken("a compressed block cannot be decompressed"),
        }
    }

    /// Integers of 32 bits, as the format compresses them.
    pub(super) fn integers(&mut self, count: u64, budget: u64, spent: &mut u64) -> Checked<Vec<u32>> {
        let coded = self.coded(count, 4, budget, spent)?;
        let fail = || Refusal::Broken("a list of integers is broken".into());
        let count = count as usize;
        let Some((common, rest)) = coded.split_first_chunk::<4>() else {
            return if count == 0 { Ok(Vec::new()) } else { Err(fail()) };
        };
        let common = i32::from_le_bytes(*common);
        let (codes, mut numbers) = rest.split_at_checked(count.div_ceil(4)).ok_or_else(fail)?;
        let mut out = Vec::with_capacity(count);
        let mut previous = 0_i32;
        // The reader decodes whole bytes of codes, also beyond the last number.
        for code in codes.iter().flat_map(|byte| (0..4).map(move |place| (byte >> (2 * place)) & 3)) {
            let size = [0, 1, 2, 4].get(usize::from(code)).copied().unwrap_or_default();
            let (number, behind) = numbers.split_at_checked(size).ok_or_else(fail)?;
            numbers = behind;
            let step = match number {
                [] => common,
                [a] => i32::from(*a as i8),
                [a, b] => i32::from(i16::from_le_bytes([*a, *b])),
                [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]),
                _ => return Err(fail()),
            };
            previous = previous.wrapping_add(step);
            if out.len() < count {
                out.push(previous as u32);
            }
        }
        Ok(out)
    }

    /// Compressed integers, still coded, with as many bytes as the decoder takes for granted.
    pub(super) fn coded(&mut self, count: u64, width: u64, budget: u64, spent: &mut u64) -> Checked<Vec<u8>> {
        let codes = count.div_ceil(4);
        // So much the reader makes room for, whatever the width.
        let room = if count == 0 { 0 } else { codes.saturating_add(count.saturating_mul(4)).saturating_add(4) };
        within(spent.saturating_add(room), budget, "bytes once decompressed", "decompressed_bytes")?;
        let coded = self.decompress(room, budget, spent)?;
        if count > 0 && (coded.len() as u64) < codes + width {
            return broken("a list of integers is shorter than it says");
        }
        Ok(coded)
    }
}
