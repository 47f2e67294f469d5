//! A WebTransport session as a [`Link`](super::Link).

use super::{
    error::{LinkError, session_code},
    progress::Progress,
    room::SendRoom,
    streams::{LinkRecv, LinkSend, open_media},
};
use bytes::Bytes;
use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use web_transport_trait::{Stats, poll};
use wtransport::{
    Connection,
    error::{SendDatagramError, StreamOpeningError},
    quinn,
};

type Operation<T> = Mutex<Option<Pin<Box<dyn Future<Output = Result<T, LinkError>> + Send>>>>;

/// A WebTransport session on HTTP/3.
///
/// `wtransport` offers futures, the session above polls: each handle keeps the future of each pending operation, so a
/// clone starts with none of its own. The mutexes are never locked, they only make the futures `Sync`.
///
/// Accepting holds a lock inside `wtransport` for as long as the future lives: accept each kind of stream from one clone.
pub struct WebTransportLink {
    connection: Connection,
    protocol: Option<Arc<str>>,
    progress: Progress,
    room: SendRoom,
    accept_uni: Operation<LinkRecv>,
    accept_bi: Operation<(LinkSend, LinkRecv)>,
    open_uni: Operation<LinkSend>,
    open_bi: Operation<(LinkSend, LinkRecv)>,
    datagram: Operation<Bytes>,
    closed: Mutex<Option<Pin<Box<dyn Future<Output = LinkError> + Send>>>>,
}

impl WebTransportLink {
    /// Wraps an established session on which both ends agreed to speak `protocol`.
    pub fn new(connection: Connection, protocol: Option<&str>) -> Self {
        let room = SendRoom::new(connection.quic_connection().clone());
        Self::with_protocol(connection, protocol.map(Arc::from), Progress::default(), room)
    }

    fn with_protocol(connection: Connection, protocol: Option<Arc<str>>, progress: Progress, room: SendRoom) -> Self {
        Self {
            connection,
            protocol,
            progress,
            room,
            accept_uni: Operation::default(),
            accept_bi: Operation::default(),
            open_uni: Operation::default(),
            open_bi: Operation::default(),
            datagram: Operation::default(),
            closed: Mutex::default(),
        }
    }

    /// Whether the peer takes what it is sent.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The QUIC connection beneath, for its statistics.
    pub fn quic(&self) -> &quinn::Connection {
        self.connection.quic_connection()
    }
}

impl Clone for WebTransportLink {
    fn clone(&self) -> Self {
        Self::with_protocol(self.connection.clone(), self.protocol.clone(), self.progress.clone(), self.room.clone())
    }
}

/// Polls the operation in `slot`, starting one with `start` if none is pending.
fn step<T, F>(slot: &mut Operation<T>, cx: &mut Context<'_>, start: impl FnOnce() -> F) -> Poll<Result<T, LinkError>>
where
    F: Future<Output = Result<T, LinkError>> + Send + 'static,
{
    let slot = slot.get_mut();
    let result = ready!(slot.get_or_insert_with(|| Box::pin(start())).as_mut().poll(cx));
    *slot = None;
    Poll::Ready(result)
}

fn opening(error: StreamOpeningError, connection: &Connection) -> LinkError {
    match connection.quic_connection().close_reason() {
        Some(reason) => reason.into(),
        None => LinkError::Lost(error.to_string()),
    }
}

impl poll::Session for WebTransportLink {
    type SendStream = LinkSend;
    type RecvStream = LinkRecv;
    type Error = LinkError;

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<LinkRecv, LinkError>> {
        step(&mut self.accept_uni, cx, || {
            let connection = self.connection.clone();
            async move { Ok(LinkRecv::new(connection.accept_uni().await?)) }
        })
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<(LinkSend, LinkRecv), LinkError>> {
        step(&mut self.accept_bi, cx, || {
            let connection = self.connection.clone();
            async move {
                let (send, recv) = connection.accept_bi().await?;
                Ok((LinkSend::control(send), LinkRecv::new(recv)))
            }
        })
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<LinkSend, LinkError>> {
        let opened = step(&mut self.open_uni, cx, || {
            let (connection, progress, room) = (self.connection.clone(), self.progress.clone(), self.room.clone());
            async move { open_media(&connection, progress, room).await }
        });
        self.progress.note(&opened, Instant::now());
        opened
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<(LinkSend, LinkRecv), LinkError>> {
        step(&mut self.open_bi, cx, || {
            let connection = self.connection.clone();
            async move {
                let streams = connection.open_bi().await?.await;
                streams
                    .map(|(send, recv)| (LinkSend::control(send), LinkRecv::new(recv)))
                    .map_err(|error| opening(error, &connection))
            }
        })
    }

    /// Never waits: where there is no room, the oldest waiting datagram gives way, because the newest is worth most.
    fn poll_send_datagram(&mut self, _cx: &mut Context<'_>, payload: &[u8]) -> Poll<Result<(), LinkError>> {
        Poll::Ready(self.connection.send_datagram(payload).map_err(|error| match error {
            SendDatagramError::TooLarge => LinkError::DatagramTooLarge { size: payload.len(), max: self.max_datagram_size() },
            SendDatagramError::UnsupportedByPeer => LinkError::NoDatagrams,
            SendDatagramError::NotConnected => {
                self.quic().close_reason().map_or(LinkError::Lost(error.to_string()), LinkError::from)
            }
        }))
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, LinkError>> {
        step(&mut self.datagram, cx, || {
            let connection = self.connection.clone();
            async move { Ok(connection.receive_datagram().await?.payload()) }
        })
    }

    fn max_datagram_size(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or(0)
    }

    fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn close(&mut self, code: u32, reason: &str) {
        self.connection.close(session_code(code), reason.as_bytes());
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<LinkError> {
        let slot = self.closed.get_mut();
        let closed = slot.get_or_insert_with(|| {
            let connection = self.connection.clone();
            Box::pin(async move { connection.closed().await.into() })
        });
        let error = ready!(closed.as_mut().poll(cx));
        *slot = None;
        Poll::Ready(error)
    }

    fn stats(&self) -> impl Stats {
        LinkStats(self.quic().stats())
    }
}

struct LinkStats(quinn::ConnectionStats);

impl Stats for LinkStats {
    fn bytes_sent(&self) -> Option<u64> {
        Some(self.0.udp_tx.bytes)
    }

    fn bytes_received(&self) -> Option<u64> {
        Some(self.0.udp_rx.bytes)
    }

    fn bytes_lost(&self) -> Option<u64> {
        Some(self.0.path.lost_bytes)
    }

    fn packets_sent(&self) -> Option<u64> {
        Some(self.0.path.sent_packets)
    }

    fn packets_received(&self) -> Option<u64> {
        Some(self.0.udp_rx.datagrams)
    }

    fn packets_lost(&self) -> Option<u64> {
        Some(self.0.path.lost_packets)
    }

    fn rtt(&self) -> Option<Duration> {
        Some(self.0.path.rtt)
    }

    /// One congestion window a round trip, the rate at which the controller lets data out.
    fn estimated_send_rate(&self) -> Option<u64> {
        let rtt_s = self.0.path.rtt.as_secs_f64();
        (rtt_s > 0.0).then(|| (self.0.path.cwnd as f64 * 8.0 / rtt_s) as u64)
    }
}
