//! Adds boxes to the sample entry of a fragmented MP4 while it streams by (ISO/IEC 14496-12).
//!
//! In a fragmented file the `moov` box comes first and holds no offsets into the file, so growing it moves nothing that
//! matters but the index at the very end (`mfra`), which is left out: it is optional, and its offsets would be wrong.

/// The largest `moov` that is held in memory to be changed, in bytes.
const MAX_MOOV: u64 = 16 << 20;

/// Why a stream is not the MP4 it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BoxError {
    #[error("a {0} box says that it is {1} bytes long")]
    Size(String, u64),
    #[error("the MP4 header has no video sample entry")]
    NoSampleEntry,
}

/// Where the patcher is in the stream.
enum Place {
    /// In front of a box, whose header may be incomplete.
    Header,
    /// In a box that is passed on; `None`: to the end.
    Pass {
        left: Option<u64>,
        media: bool,
    },
    Skip {
        left: u64,
    },
    /// In the `moov` box, of so many bytes.
    Moov {
        size: usize,
    },
}

/// Takes the muxer's output in pieces of any size and gives what is to be written.
pub(super) struct Mp4Patcher {
    extra: Vec<u8>,
    place: Place,
    held: Vec<u8>,
    written: u64,
    whole: u64,
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// Size, kind and header length of the box at the start of `bytes`; `None` if its header is incomplete. A size of `None`
/// means up to the end.
fn read_header(bytes: &[u8]) -> Result<Option<(Option<u64>, [u8; 4], usize)>, BoxError> {
    let (Some(short), Some(kind)) = (be32(bytes), bytes.get(4..8).and_then(|kind| <[u8; 4]>::try_from(kind).ok())) else {
        return Ok(None);
    };
    let (size, header) = match short {
        0 => return Ok(Some((None, kind, 8))),
        1 => match bytes.get(8..16).and_then(|long| <[u8; 8]>::try_from(long).ok()) {
            Some(long) => (u64::from_be_bytes(long), 16),
            None => return Ok(None),
        },
        size => (u64::from(size), 8),
    };
    if size < header as u64 {
        return Err(BoxError::Size(name(kind), size));
    }
    Ok(Some((Some(size), kind, header)))
}

fn name(kind: [u8; 4]) -> String {
    kind.escape_ascii().to_string()
}

impl Mp4Patcher {
    /// `extra` is appended to each video sample entry.
    pub fn new(extra: Vec<u8>) -> Self {
        Self { extra, place: Place::Header, held: Vec::new(), written: 0, whole: 0 }
    }

    /// Bytes given out up to the end of the last whole fragment (or of the header).
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Takes the next bytes and appends what is to be written to `out`.
    pub fn push(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), BoxError> {
        let before = out.len();
        while !data.is_empty() {
            match &mut self.place {
                Place::Header => {
                    let (byte, rest) = data.split_at(1);
                    self.held.extend_from_slice(byte);
                    data = rest;
                    if let Some((size, kind, header)) = read_header(&self.held)? {
                        self.enter(size, kind, header, out)?;
                    }
                }
                Place::Pass { left, media } => {
                    let take = left.map_or(data.len(), |left| data.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    out.extend_from_slice(&data[..take]);
                    data = &data[take..];
                    if let Some(left) = left {
                        *left -= take as u64;
                        if *left == 0 {
                            if *media {
                                self.whole = self.written + (out.len() - before) as u64;
                            }
                            self.place = Place::Header;
                        }
                    }
                }
                Place::Skip { left } => {
                    let take = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    data = &data[take..];
                    *left -= take as u64;
                    if *left == 0 {
                        self.place = Place::Header;
                    }
                }
                Place::Moov { size } => {
                    let take = data.len().min(*size - self.held.len());
                    self.held.extend_from_slice(&data[..take]);
                    data = &data[take..];
                    if self.held.len() == *size {
                        out.extend(extend_sample_entries(&self.held, &self.extra)?);
                        self.whole = self.written + (out.len() - before) as u64;
                        self.held.clear();
                        self.place = Place::Header;
                    }
                }
            }
        }
        self.written += (out.len() - before) as u64;
        Ok(())
    }

    fn enter(&mut self, size: Option<u64>, kind: [u8; 4], header: usize, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let left = size.map(|size| size - header as u64);
        self.place = match (&kind, size) {
            (b"moov", Some(size)) if size <= MAX_MOOV => {
                if size as usize > header {
                    self.place = Place::Moov { size: size as usize };
                    return Ok(());
                }
                return Err(BoxError::NoSampleEntry);
            }
            (b"moov", size) => return Err(BoxError::Size(name(kind), size.unwrap_or(u64::MAX))),
            (b"mfra", Some(_)) => Place::Skip { left: left.unwrap_or_default() },
            _ => {
                out.extend_from_slice(&self.held);
                Place::Pass { left, media: &kind == b"mdat" }
            }
        };
        self.held.clear();
        if matches!(self.place, Place::Pass { left: Some(0), .. } | Place::Skip { left: 0 }) {
            self.place = Place::Header;
        }
        Ok(())
    }
}

/// Where the sample entries are.
const PATH: [&[u8; 4]; 5] = [b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
const VIDEO_ENTRIES: [&[u8; 4]; 7] = [b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp09", b"mp4v"];
/// Fields of a visual sample entry in front of its boxes.
const VISUAL_FIELDS: usize = 78;

/// A copy of a `moov` box whose video sample entries end in `extra`.
pub(super) fn extend_sample_entries(moov: &[u8], extra: &[u8]) -> Result<Vec<u8>, BoxError> {
    let (_, _, header) = read_header(moov)?.ok_or(BoxError::NoSampleEntry)?;
    let mut found = false;
    let children = extend_children(&moov[header..], &PATH, extra, &mut found)?;
    if !found {
        return Err(BoxError::NoSampleEntry);
    }
    Ok(boxed(*b"moov", &children))
}

fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    // A moov is far below 4 GiB.
    let mut bytes = (content.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(content);
    bytes
}

fn extend_children(mut children: &[u8], path: &[&[u8; 4]], extra: &[u8], found: &mut bool) -> Result<Vec<u8>, BoxError> {
    let mut out = Vec::with_capacity(children.len() + extra.len());
    while !children.is_empty() {
        let Some((size, kind, header)) = read_header(children)? else {
            // A few bytes that are no box, as some writers leave at the end of a container.
            out.extend_from_slice(children);
            break;
        };
        let size = size.unwrap_or(children.len() as u64);
        let wrong = || BoxError::Size(name(kind), size);
        let end = usize::try_from(size).ok().filter(|end| *end <= children.len()).ok_or_else(wrong)?;
        let content = &children[header..end];
        match path {
            [next, rest @ ..] if kind == **next => {
                let inner = if rest.is_empty() {
                    // A version, flags and the number of entries.
                    let fields = content.get(..8).ok_or_else(wrong)?;
                    [fields, &extend_children(&content[8..], &[], extra, found)?].concat()
                } else {
                    extend_children(content, rest, extra, found)?
                };
                out.extend(boxed(kind, &inner));
            }
            [] if VIDEO_ENTRIES.contains(&&kind) && content.len() >= VISUAL_FIELDS => {
                *found = true;
                out.extend(boxed(kind, &[content, extra].concat()));
            }
            _ => out.extend_from_slice(&children[..end]),
        }
        children = &children[end..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moov() -> Vec<u8> {
        let entry = boxed(*b"avc1", &[&[7; VISUAL_FIELDS][..], &boxed(*b"avcC", &[1, 2, 3])].concat());
        let stsd = boxed(*b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat());
        let stbl = boxed(*b"stbl", &[stsd, boxed(*b"stts", &[0; 8])].concat());
        let mdia = boxed(*b"mdia", &[boxed(*b"mdhd", &[0; 24]), boxed(*b"minf", &stbl)].concat());
        boxed(*b"moov", &[boxed(*b"mvhd", &[0; 100]), boxed(*b"trak", &mdia), boxed(*b"mvex", &[0; 8])].concat())
    }

    fn file() -> Vec<u8> {
        let fragment = [boxed(*b"moof", &[5; 40]), boxed(*b"mdat", &[9; 300])].concat();
        [boxed(*b"ftyp", b"iso5"), moov(), fragment.clone(), fragment, boxed(*b"mfra", &[1; 30])].concat()
    }

    fn patch(data: &[u8], piece: usize) -> Result<(Vec<u8>, u64), BoxError> {
        let mut patcher = Mp4Patcher::new(boxed(*b"st3d", &[0; 5]));
        let mut out = Vec::new();
        for part in data.chunks(piece.max(1)) {
            patcher.push(part, &mut out)?;
        }
        Ok((out, patcher.whole()))
    }

    #[test]
    fn the_entry_grows_and_the_rest_stays() {
        let (out, whole) = patch(&file(), 7).unwrap();
        assert_eq!(out.len(), file().len() + 13 - 38, "one box more, the index left out");
        assert_eq!(whole, out.len() as u64);
        let at = |kind: &[u8]| out.windows(4).position(|window| window == kind).unwrap();
        assert!(at(b"avcC") < at(b"st3d") && at(b"st3d") < at(b"stts"));
        // Extending what is extended finds the same structure: all sizes fit.
        let start = at(b"moov") - 4;
        let size = be32(&out[start..]).unwrap() as usize;
        assert!(extend_sample_entries(&out[start..start + size], &[]).is_ok_and(|again| again == out[start..start + size]));
    }

    #[test]
    fn whole_ends_at_the_last_whole_fragment() {
        let data = file();
        let cut = data.len() - 38 - 100;
        let (out, whole) = patch(&data[..cut], 64).unwrap();
        assert_eq!(whole as usize, out.len() - 208 - 48);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(piece in 1_usize..200) {
            prop_assert_eq!(patch(&file(), piece).unwrap(), patch(&file(), usize::MAX).unwrap());
        }

        #[test]
        fn changed_bytes_give_an_error_or_an_output_but_never_break(
            changes in proptest::collection::vec((0_usize..600, any::<u8>()), 1..8), piece in 1_usize..100,
        ) {
            let mut data = file();
            for (place, value) in changes {
                let place = place % data.len();
                data[place] = value;
            }
            if let Ok((out, whole)) = patch(&data, piece) {
                prop_assert!(out.len() <= data.len() + 7 * 13 && whole <= out.len() as u64);
            }
        }

        #[test]
        fn any_bytes_give_an_error_or_an_output_but_never_break(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = patch(&data, 16);
            let _ = extend_sample_entries(&data, &[1]);
        }
    }
}
