//! Streams of a WebTransport session in poll form.

use super::{
    error::{LinkError, from_http3, to_http3},
    progress::Progress,
    room::SendRoom,
};
use bytes::Bytes;
use core::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use parking_lot::Mutex;
use std::time::Instant;
use web_transport_trait::poll;
use wtransport::{Connection, RecvStream, SendStream, quinn};

/// What a peer does on a stream that it does not want more of.
type Stopped = Pin<Box<dyn Future<Output = Result<Option<quinn::VarInt>, quinn::StoppedError>> + Send>>;

/// The code for a stream that is dropped without a word.
const DROPPED: u32 = 0;

/// Streams of control go before those of media, whose priorities are 0 to 255: an answer that waits behind a backlog of pictures keeps
/// the viewer from what would shorten it.
const CONTROL_PRIORITY: i32 = 256;
const MEDIA_PRIORITY: i32 = 255;

/// An outgoing stream of QUIC's, in the wrapping that it came in.
enum Outgoing {
    /// Opened here, see [`open_media`].
    Plain(quinn::SendStream),
    /// Opened by `wtransport`.
    Wrapped(SendStream),
}

impl Outgoing {
    fn quic(&self) -> &quinn::SendStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Wrapped(stream) => stream.quic_stream(),
        }
    }

    fn quic_mut(&mut self) -> &mut quinn::SendStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Wrapped(stream) => stream.quic_stream_mut(),
        }
    }
}

/// Opens a stream of media of a WebTransport session, first among its kind until it is told otherwise.
///
/// `wtransport` writes a stream's header before a priority can be set. QUIC queues the stream with the priority that it has at
/// its first byte and looks at another one only once that byte is gone: on a narrow path, a new group would wait until all older
/// ones are sent.
pub(super) async fn open_media(connection: &Connection, progress: Progress, room: SendRoom) -> Result<LinkSend, LinkError> {
    let mut stream = connection.quic_connection().open_uni().await?;
    // An error says that the stream is closed, and so does the next step.
    let _ = stream.set_priority(MEDIA_PRIORITY);
    stream.write_all(&uni_header(connection.session_id().into_u64())).await?;
    Ok(LinkSend::new(Outgoing::Plain(stream), Some((progress, room))))
}

/// What a stream in one direction begins with (draft-ietf-webtrans-http3 §4.2): its type, 0x54, and the session's number, each of
/// a variable length (RFC 9000 §16).
fn uni_header(session: u64) -> Vec<u8> {
    let mut header = vec![0x40, 0x54];
    let bytes = session.to_be_bytes();
    match session {
        ..0x40 => header.push(bytes[7]),
        0x40..0x4000 => header.extend([bytes[6] | 0x40, bytes[7]]),
        0x4000..0x4000_0000 => header.extend([bytes[4] | 0x80, bytes[5], bytes[6], bytes[7]]),
        _ => {
            header.extend(bytes);
            header[2] |= 0xc0;
        }
    }
    header
}

/// An outgoing stream. Dropped unfinished, it is reset.
pub struct LinkSend {
    stream: Outgoing,
    // Never locked: the mutex only makes the boxed future `Sync`.
    stopped: Mutex<Option<Stopped>>,
    ended: bool,
    /// Followed on streams of media; what little goes over control streams says nothing.
    path: Option<(Progress, SendRoom)>,
}

impl LinkSend {
    /// A stream of control, which `wtransport` opened.
    pub(super) fn control(stream: SendStream) -> Self {
        stream.set_priority(CONTROL_PRIORITY);
        Self::new(Outgoing::Wrapped(stream), None)
    }

    fn new(stream: Outgoing, path: Option<(Progress, SendRoom)>) -> Self {
        Self { stream, stopped: Mutex::new(None), ended: false, path }
    }
}

impl poll::SendStream for LinkSend {
    type Error = LinkError;

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, LinkError>> {
        let now = Instant::now();
        if let Some((_, room)) = &self.path {
            room.follow(now);
        }
        let written = Pin::new(self.stream.quic_mut()).poll_write(cx, buf);
        if let Some((progress, _)) = &self.path {
            progress.note(&written, now);
        }
        written.map_err(LinkError::from)
    }

    fn set_priority(&mut self, order: u8) {
        // An error says that the stream is closed already: it needs none.
        let _ = self.stream.quic_mut().set_priority(i32::from(order));
    }

    fn finish(&mut self) -> Result<(), LinkError> {
        self.ended = true;
        self.stream.quic_mut().finish().map_err(|_| LinkError::StreamClosed)
    }

    fn reset(&mut self, code: u32) {
        self.ended = true;
        // An error says that the stream is closed already, which is what was asked for.
        let _ = self.stream.quic_mut().reset(to_http3(code));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let stream = &self.stream;
        let stopped = self.stopped.get_mut().get_or_insert_with(|| Box::pin(stream.quic().stopped()));
        Poll::Ready(match ready!(stopped.as_mut().poll(cx)) {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(LinkError::Stopped(from_http3(code))),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(error.into()),
            Err(error @ quinn::StoppedError::ZeroRttRejected) => Err(LinkError::Lost(error.to_string())),
        })
    }
}

impl Drop for LinkSend {
    fn drop(&mut self) {
        if !self.ended {
            // QUIC's own drop would finish the stream and make half a message look whole.
            let _ = self.stream.quic_mut().reset(to_http3(DROPPED));
        }
    }
}

/// An incoming stream. Dropped before its end, the peer is told to stop.
pub struct LinkRecv {
    stream: RecvStream,
    ended: bool,
}

impl LinkRecv {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, ended: false }
    }
}

impl poll::RecvStream for LinkRecv {
    type Error = LinkError;

    fn poll_read(&mut self, cx: &mut Context<'_>, dst: &mut [u8]) -> Poll<Result<Option<usize>, LinkError>> {
        if dst.is_empty() {
            return Poll::Ready(Ok(Some(0)));
        }
        // The future holds no state of its own, so it may be made anew at each poll.
        let read = ready!(pin!(self.stream.quic_stream_mut().read(dst)).poll(cx));
        self.ended |= !matches!(read, Ok(Some(_)));
        Poll::Ready(read.map_err(LinkError::from))
    }

    fn poll_read_chunk(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, LinkError>> {
        if max == 0 {
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        // Hands over QUIC's own buffer instead of copying out of it.
        let chunk = ready!(pin!(self.stream.quic_stream_mut().read_chunk(max, true)).poll(cx));
        self.ended |= !matches!(chunk, Ok(Some(_)));
        Poll::Ready(chunk.map(|chunk| chunk.map(|chunk| chunk.bytes)).map_err(LinkError::from))
    }

    fn stop(&mut self, code: u32) {
        self.ended = true;
        // An error says that the stream is closed already.
        let _ = self.stream.quic_stream_mut().stop(to_http3(code));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(match ready!(pin!(self.stream.quic_stream_mut().received_reset()).poll(cx)) {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(LinkError::Reset(from_http3(code))),
            Err(quinn::ResetError::ConnectionLost(error)) => Err(error.into()),
            Err(error @ quinn::ResetError::ZeroRttRejected) => Err(LinkError::Lost(error.to_string())),
        })
    }
}

impl Drop for LinkRecv {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.stream.quic_stream_mut().stop(to_http3(DROPPED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_numbered_in_the_lengths_of_the_specification() {
        // RFC 9000 §A.1 has these numbers, the first apart, as its examples.
        for (session, bytes) in [
            (0, &[0][..]),
            (37, &[0x25]),
            (15_293, &[0x7b, 0xbd]),
            (494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]),
            (151_288_809_941_952_652, &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
        ] {
            assert_eq!(uni_header(session), [&[0x40, 0x54], bytes].concat());
        }
    }
}
