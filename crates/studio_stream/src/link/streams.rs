//! Streams of a WebTransport session in poll form.

use super::{
    error::{LinkError, from_http3, to_http3},
    progress::Progress,
};
use bytes::Bytes;
use core::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use parking_lot::Mutex;
use std::time::Instant;
use web_transport_trait::poll;
use wtransport::{RecvStream, SendStream, quinn};

/// What a peer does on a stream that it does not want more of.
type Stopped = Pin<Box<dyn Future<Output = Result<Option<quinn::VarInt>, quinn::StoppedError>> + Send>>;

/// The code for a stream that is dropped without a word.
const DROPPED: u32 = 0;

/// An outgoing stream. Dropped unfinished, it is reset.
pub struct LinkSend {
    stream: SendStream,
    // Never locked: the mutex only makes the boxed future `Sync`.
    stopped: Mutex<Option<Stopped>>,
    ended: bool,
    /// Followed on streams of media; what little goes over control streams says nothing.
    progress: Option<Progress>,
}

impl LinkSend {
    pub(super) fn new(stream: SendStream, progress: Option<Progress>) -> Self {
        Self { stream, stopped: Mutex::new(None), ended: false, progress }
    }
}

impl poll::SendStream for LinkSend {
    type Error = LinkError;

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, LinkError>> {
        let written = Pin::new(self.stream.quic_stream_mut()).poll_write(cx, buf);
        if let Some(progress) = &self.progress {
            progress.note(&written, Instant::now());
        }
        written.map_err(LinkError::from)
    }

    fn set_priority(&mut self, order: u8) {
        self.stream.set_priority(i32::from(order));
    }

    fn finish(&mut self) -> Result<(), LinkError> {
        self.ended = true;
        self.stream.quic_stream_mut().finish().map_err(|_| LinkError::StreamClosed)
    }

    fn reset(&mut self, code: u32) {
        self.ended = true;
        // An error says that the stream is closed already, which is what was asked for.
        let _ = self.stream.quic_stream_mut().reset(to_http3(code));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let stream = &self.stream;
        let stopped = self.stopped.get_mut().get_or_insert_with(|| Box::pin(stream.quic_stream().stopped()));
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
            let _ = self.stream.quic_stream_mut().reset(to_http3(DROPPED));
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
