//! Elements of EBML (RFC 8794), as Matroska (RFC 9559) is made of.

pub(super) const STEREO_MODE: u32 = 0x53B8;
pub(super) const PROJECTION: u32 = 0x7670;
pub(super) const PROJECTION_TYPE: u32 = 0x7671;
pub(super) const PROJECTION_PRIVATE: u32 = 0x7672;
pub(super) const PROJECTION_POSE_YAW: u32 = 0x7673;
pub(super) const PROJECTION_POSE_PITCH: u32 = 0x7674;
pub(super) const PROJECTION_POSE_ROLL: u32 = 0x7675;

/// An element's number without its leading zeros.
pub(super) fn id_bytes(id: u32) -> Vec<u8> {
    let first = id.leading_zeros() as usize / 8;
    id.to_be_bytes()[first..].to_vec()
}

/// An element with a size of eight bytes, as every reader takes it.
pub(super) fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = id_bytes(id);
    bytes.extend_from_slice(&(1_u64 << 56 | content.len() as u64).to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// An element that holds a whole number.
pub(super) fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_their_number_their_size_and_their_content() {
        assert_eq!(element(0xAE, b"ab"), [&[0xAE, 1, 0, 0, 0, 0, 0, 0, 2][..], b"ab"].concat());
        assert_eq!(number(STEREO_MODE, 3)[..10], [0x53, 0xB8, 1, 0, 0, 0, 0, 0, 0, 8]);
    }
}
