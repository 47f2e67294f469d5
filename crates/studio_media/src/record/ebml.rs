//! Adds elements to the video track of a Matroska stream while it streams by (RFC 8794, RFC 9559).
//!
//! Streamed Matroska holds no index, so growing its track description moves nothing that is pointed at.

/// The largest header that is held in memory to be changed, in bytes.
const MAX_HEAD: usize = 1 << 20;

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const VIDEO: u32 = 0xE0;
const CLUSTER: u32 = 0x1F43_B675;
pub(super) const STEREO_MODE: u32 = 0x53B8;
pub(super) const PROJECTION: u32 = 0x7670;
pub(super) const PROJECTION_TYPE: u32 = 0x7671;
pub(super) const PROJECTION_PRIVATE: u32 = 0x7672;
pub(super) const PROJECTION_POSE_YAW: u32 = 0x7673;
pub(super) const PROJECTION_POSE_PITCH: u32 = 0x7674;
pub(super) const PROJECTION_POSE_ROLL: u32 = 0x7675;

/// Why a stream is not the Matroska it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EbmlError {
    #[error("the Matroska element {0:X} at byte {1} has no possible size")]
    Size(u32, usize),
    #[error("the Matroska header has no video track")]
    NoTrack,
}

/// An element with a size of eight bytes, as every reader takes it.
pub(super) fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let first = id.leading_zeros() as usize / 8;
    let mut bytes = id.to_be_bytes()[first..].to_vec();
    bytes.extend_from_slice(&(1_u64 << 56 | content.len() as u64).to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

struct Header {
    id: u32,
    /// `None`: unknown, up to the end of the parent.
    size: Option<usize>,
    length: usize,
}

/// A variable-length number: its bytes, and its value without the length marker.
fn read_number(bytes: &[u8], longest: usize) -> Option<Result<(usize, u64), ()>> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > longest {
        return Some(Err(()));
    }
    let raw = bytes.get(..length)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some(Ok((length, raw)))
}

/// The header at `place`; `None` if it is incomplete.
fn read_header(bytes: &[u8], place: usize) -> Result<Option<Header>, EbmlError> {
    let wrong = |id| EbmlError::Size(id, place);
    let Some(id) = bytes.get(place..).and_then(|rest| read_number(rest, 4)) else { return Ok(None) };
    let (id_length, id) = id.map_err(|()| wrong(0))?;
    let id = id as u32;
    let Some(size) = bytes.get(place + id_length..).and_then(|rest| read_number(rest, 8)) else { return Ok(None) };
    let (size_length, raw) = size.map_err(|()| wrong(id))?;
    let mask = (1_u64 << (7 * size_length)) - 1;
    let size = match raw & mask {
        unknown if unknown == mask => None,
        known => Some(usize::try_from(known).map_err(|_| wrong(id))?),
    };
    Ok(Some(Header { id, size, length: id_length + size_length }))
}

/// Takes the muxer's output in pieces of any size and gives what is to be written.
pub(super) struct EbmlPatcher {
    extra: Vec<u8>,
    held: Vec<u8>,
    /// Up to where the held bytes are known to be whole elements in front of the tracks.
    scanned: usize,
    done: bool,
}

impl EbmlPatcher {
    /// `extra` is appended to each video track's `Video` element.
    pub fn new(extra: Vec<u8>) -> Self {
        Self { extra, held: Vec::new(), scanned: 0, done: false }
    }

    /// Takes the next bytes and appends what is to be written to `out`.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EbmlError> {
        if self.done {
            out.extend_from_slice(data);
            return Ok(());
        }
        self.held.extend_from_slice(data);
        while let Some(Header { id, size, length }) = read_header(&self.held, self.scanned)? {
            if id == SEGMENT {
                self.scanned += length;
                continue;
            }
            if id == CLUSTER {
                return Err(EbmlError::NoTrack);
            }
            let end = size.and_then(|size| (self.scanned + length).checked_add(size)).filter(|end| *end <= MAX_HEAD);
            let end = end.ok_or(EbmlError::Size(id, self.scanned))?;
            if self.held.len() < end {
                return Ok(());
            }
            if id == TRACKS {
                let tracks = extend(&self.held[self.scanned + length..end], &[TRACK_ENTRY, VIDEO], &self.extra)?;
                out.extend_from_slice(&self.held[..self.scanned]);
                out.extend(element(TRACKS, &tracks.ok_or(EbmlError::NoTrack)?));
                out.extend_from_slice(&self.held[end..]);
                self.held = Vec::new();
                self.done = true;
                return Ok(());
            }
            self.scanned = end;
        }
        if self.held.len() > MAX_HEAD { Err(EbmlError::NoTrack) } else { Ok(()) }
    }
}

/// The children with `extra` appended inside of each element of `path`; `None` if there is none.
fn extend(children: &[u8], path: &[u32], extra: &[u8]) -> Result<Option<Vec<u8>>, EbmlError> {
    let Some((&wanted, rest)) = path.split_first() else { return Ok(Some([children, extra].concat())) };
    let mut out = Vec::with_capacity(children.len() + extra.len() + 16);
    let mut found = false;
    let mut place = 0;
    while place < children.len() {
        let Some(Header { id, size, length }) = read_header(children, place)? else { return Err(EbmlError::Size(0, place)) };
        let end = size.and_then(|size| (place + length).checked_add(size)).filter(|end| *end <= children.len());
        let end = end.ok_or(EbmlError::Size(id, place))?;
        let replaced = if id == wanted { extend(&children[place + length..end], rest, extra)? } else { None };
        match replaced {
            Some(content) => {
                found = true;
                out.extend(element(id, &content));
            }
            None => out.extend_from_slice(&children[place..end]),
        }
        place = end;
    }
    Ok(found.then_some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let video = element(VIDEO, &[element(0xB0, &[2, 128]), element(0xBA, &[1, 64])].concat());
        let tracks = element(TRACKS, &element(TRACK_ENTRY, &[element(0xD7, &[1]), video, element(0x86, b"V_AV1")].concat()));
        // The segment's size is unknown, as in a stream.
        let segment = [0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        let head = [&element(0x1A45_DFA3, b"header")[..], &segment, &element(0x1549_A966, b"info"), &tracks].concat();
        [head, element(CLUSTER, &[3; 100])].concat()
    }

    fn patch(data: &[u8], piece: usize) -> Result<Vec<u8>, EbmlError> {
        let mut patcher = EbmlPatcher::new(element(STEREO_MODE, &[1]));
        let mut out = Vec::new();
        for part in data.chunks(piece.max(1)) {
            patcher.push(part, &mut out)?;
        }
        Ok(out)
    }

    #[test]
    fn the_video_element_grows_and_the_rest_stays() {
        let out = patch(&file(), 5).unwrap();
        assert_eq!(out.len(), file().len() + 11);
        assert_eq!(out[out.len() - 100..], [3; 100]);
        assert_eq!(patch(&out, 9).unwrap().len(), out.len() + 11, "what came out is whole");
    }

    #[test]
    fn without_a_track_there_is_an_error() {
        let cluster_first = [element(0x1A45_DFA3, b"header"), element(CLUSTER, &[])].concat();
        assert_eq!(patch(&cluster_first, 64), Err(EbmlError::NoTrack));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(piece in 1_usize..200) {
            prop_assert_eq!(patch(&file(), piece).unwrap(), patch(&file(), usize::MAX).unwrap());
        }

        #[test]
        fn changed_bytes_give_an_error_or_an_output_but_never_break(
            changes in proptest::collection::vec((0_usize..250, any::<u8>()), 1..8), piece in 1_usize..100,
        ) {
            let mut data = file();
            for (place, value) in changes {
                let place = place % data.len();
                data[place] = value;
            }
            let _ = patch(&data, piece);
        }

        #[test]
        fn any_bytes_give_an_error_or_an_output_but_never_break(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = patch(&data, 16);
        }
    }
}
