//! What goes wrong on a link, and how stream codes are written in HTTP/3.

use wtransport::{VarInt, error::ConnectionError, quinn};

/// What ended a link, or one operation on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// One side closed the session with a code.
    #[error("the session was closed: {reason} (code {code})")]
    Closed {
        /// The application's code.
        code: u32,
        /// The application's words.
        reason: String,
    },
    /// The connection broke or timed out.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The peer abandoned sending on this stream.
    #[error("the peer reset the stream (code {0})")]
    Reset(u32),
    /// The peer does not want more of this stream.
    #[error("the peer stopped the stream (code {0})")]
    Stopped(u32),
    /// The stream was finished or reset here.
    #[error("the stream is closed")]
    StreamClosed,
    /// A datagram is larger than the path carries.
    #[error("a datagram of {size} bytes is larger than the path carries ({max} bytes)")]
    DatagramTooLarge {
        /// Bytes of the datagram.
        size: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// The peer takes no datagrams.
    #[error("the peer does not take datagrams")]
    NoDatagrams,
}

impl web_transport_trait::Error for LinkError {
    fn session_error(&self) -> Option<(u32, String)> {
        match self {
            Self::Closed { code, reason } => Some((*code, reason.clone())),
            _ => None,
        }
    }

    fn stream_error(&self) -> Option<u32> {
        match self {
            Self::Reset(code) | Self::Stopped(code) => Some(*code),
            _ => None,
        }
    }
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::Closed {
                // Session codes are 32 bits; what is larger is not an application's and means nothing to us.
                code: u32::try_from(close.code().into_inner()).unwrap_or(u32::MAX),
                reason: String::from_utf8_lossy(close.reason()).into_owned(),
            },
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<quinn::ConnectionError> for LinkError {
    fn from(error: quinn::ConnectionError) -> Self {
        ConnectionError::from(error).into()
    }
}

impl From<quinn::WriteError> for LinkError {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => Self::Stopped(from_http3(code)),
            quinn::WriteError::ConnectionLost(error) => error.into(),
            quinn::WriteError::ClosedStream => Self::StreamClosed,
            quinn::WriteError::ZeroRttRejected => Self::Lost(error.to_string()),
        }
    }
}

impl From<quinn::ReadError> for LinkError {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::Reset(code) => Self::Reset(from_http3(code)),
            quinn::ReadError::ConnectionLost(error) => error.into(),
            quinn::ReadError::ClosedStream => Self::StreamClosed,
            quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => Self::Lost(error.to_string()),
        }
    }
}

/// The first of the HTTP/3 codes that stand for WebTransport stream codes.
const FIRST_HTTP3_CODE: u64 = 0x52e4_a40f_a8db;

/// Writes a stream code in HTTP/3's space, jumping over its reserved code points
/// (draft-ietf-webtrans-http3 §4.3, "Resetting Data Streams").
pub(super) fn to_http3(code: u32) -> quinn::VarInt {
    let code = u64::from(code);
    // At most 0x52e4_a40f_a8db + 2^32 · 31/30, well below 2^62.
    quinn::VarInt::from_u64(FIRST_HTTP3_CODE + code + code / 0x1e).unwrap_or(quinn::VarInt::MAX)
}

/// Reads a stream code from HTTP/3's space; codes outside of it (a peer without the mapping) are taken as they are.
pub(super) fn from_http3(code: quinn::VarInt) -> u32 {
    let code = code.into_inner();
    let shifted = code.checked_sub(FIRST_HTTP3_CODE).map_or(code, |shifted| shifted - shifted / 0x1f);
    u32::try_from(shifted).unwrap_or(u32::MAX)
}

/// A session code as `wtransport` takes it.
pub(super) fn session_code(code: u32) -> VarInt {
    VarInt::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stream_codes_survive_http3_and_miss_its_reserved_points(code: u32) {
            let mapped = to_http3(code);
            prop_assert_eq!(from_http3(mapped), code);
            // RFC 9114 §8.1 reserves 0x1f · N + 0x21 for greasing.
            prop_assert_ne!((mapped.into_inner() - 0x21) % 0x1f, 0);
        }
    }

    #[test]
    fn codes_outside_of_the_mapping_are_kept() {
        assert_eq!(from_http3(quinn::VarInt::from_u32(7)), 7);
        assert_eq!(from_http3(quinn::VarInt::MAX), u32::MAX);
    }
}
