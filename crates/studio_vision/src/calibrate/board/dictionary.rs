//! Dictionaries of `ArUco` markers.
//!
//! The patterns are those of OpenCV's predefined dictionaries (`cv2.aruco`, read from OpenCV 5.0; the smaller ones are the first markers of
//! the large one of their size): a row of `N` bits after the other, white is 1, the first bit is the highest of the first byte, and each
//! marker begins a byte.

use crate::calibrate::CalibrateError;
use std::{fmt, str::FromStr};

const PATTERNS: [&[u8]; 4] = [
    include_bytes!("dictionaries/4x4.bin"),
    include_bytes!("dictionaries/5x5.bin"),
    include_bytes!("dictionaries/6x6.bin"),
    include_bytes!("dictionaries/7x7.bin"),
];
/// How many markers the dictionaries of a size have.
pub(super) const COUNTS: [u32; 4] = [50, 100, 250, 1000];
/// Bits that can be wrong in a marker before it could be another one, by size and by number of markers.
const CORRECTABLE_BITS: [[u32; 4]; 4] = [[1, 1, 1, 0], [3, 3, 2, 2], [6, 5, 5, 4], [9, 8, 8, 6]];

/// A predefined dictionary of `ArUco` markers (Garrido-Jurado et al., “Automatic generation and detection of highly reliable fiducial markers
/// under occlusion”, Pattern Recognition 2014), by its name: `4x4_50` to `7x7_1000`, or as OpenCV writes it, `DICT_4X4_50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerDictionary {
    /// Which size: 0 is 4×4.
    size: usize,
    /// Which number of markers.
    count: usize,
}

impl MarkerDictionary {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PATTERNS.len()).flat_map(|size| (0..COUNTS.len()).map(move |count| Self { size, count }))
    }

    /// The smallest dictionary of a marker's size that has a number of markers.
    pub(super) fn of_size(self, markers: u32) -> Option<Self> {
        let count = COUNTS.iter().position(|count| *count >= markers)?;
        Some(Self { count, ..self })
    }

    /// Bits across and down a marker, without its black border.
    pub fn bits(self) -> u32 {
        self.size as u32 + 4
    }

    /// How many markers it has.
    pub fn count(self) -> u32 {
        COUNTS[self.count]
    }

    /// A marker's bits: row by row, the first is the highest of `bits()²`; white is 1. `None` for one that it does not have.
    pub fn pattern(self, id: u32) -> Option<u64> {
        let bits = self.bits() * self.bits();
        let bytes = bits.div_ceil(8) as usize;
        let start = id as usize * bytes;
        let pattern = PATTERNS[self.size].get(start..start + bytes).filter(|_| id < self.count())?;
        let whole = pattern.iter().fold(0_u64, |whole, byte| whole << 8 | u64::from(*byte));
        Some(whole >> (bytes as u32 * 8 - bits))
    }

    /// The marker that bits are of, and how many are wrong.
    pub(super) fn find(self, bits: u64) -> Option<(u32, u32)> {
        let wrong = |id: u32| Some((id, (self.pattern(id)? ^ bits).count_ones()));
        let best = (0..self.count()).filter_map(wrong).min_by_key(|(_, wrong)| *wrong)?;
        (best.1 <= CORRECTABLE_BITS[self.size][self.count]).then_some(best)
    }
}

impl FromStr for MarkerDictionary {
    type Err = CalibrateError;

    fn from_str(text: &str) -> Result<Self, CalibrateError> {
        let wanted = text.to_ascii_lowercase();
        let wanted = wanted.strip_prefix("dict_").unwrap_or(&wanted);
        Self::all().find(|dictionary| dictionary.to_string() == wanted).ok_or_else(|| {
            let names: Vec<String> = Self::all().map(|dictionary| dictionary.to_string()).collect();
            let reason = format!("`{text}` is not known: there are {}", names.join(", "));
            CalibrateError::Setting { setting: "dictionary", reason }
        })
    }
}

impl fmt::Display for MarkerDictionary {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{0}x{0}_{1}", self.bits(), self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_are_read_by_name_and_tell_their_markers_apart() {
        let small: MarkerDictionary = "DICT_4X4_50".parse().expect("known");
        assert_eq!((small.bits(), small.count(), small.to_string()), (4, 50, "4x4_50".to_owned()));
        // As OpenCV draws markers 0 and 3.
        assert_eq!((small.pattern(0), small.pattern(3)), (Some(0b1011_0101_0011_0010), Some(0b1001_1001_0100_0110)));
        assert_eq!(small.pattern(50), None);
        for dictionary in MarkerDictionary::all().filter(|dictionary| dictionary.count() <= 250) {
            let correctable = CORRECTABLE_BITS[dictionary.size][dictionary.count];
            let patterns: Vec<u64> = (0..dictionary.count()).filter_map(|id| dictionary.pattern(id)).collect();
            assert_eq!(patterns.len() as u32, dictionary.count());
            let nearest = (0..patterns.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
            let nearest = nearest.map(|(a, b)| (patterns[a] ^ patterns[b]).count_ones()).min().expect("two");
            assert!(nearest > 2 * correctable, "{dictionary}: {nearest}");
            assert_eq!(dictionary.find(patterns[7] ^ 1), Some((7, 1)), "{dictionary}");
        }
        assert!("5x5_51".parse::<MarkerDictionary>().expect_err("refused").to_string().contains("5x5_50, 5x5_100"));
    }
}
