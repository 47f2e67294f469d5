//! QUIC's settings for live media.

use super::{congestion::LiveControlFactory, room};
use core::time::Duration;
use std::sync::Arc;
use wtransport::quinn;

/// How long a silent peer is waited for. Long enough for a Wi-Fi roam, short enough that a killed peer is noticed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a quiet connection says that it is alive; three may be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// The round trip assumed before one was measured. Lower than QUIC's third of a second: a lost first packet is sent again
/// sooner, so a viewer that calls while the publisher starts again gets through soon after.
const FIRST_RTT: Duration = Duration::from_millis(100);
/// Datagrams waiting to be sent: some frames' motion. The oldest give way.
const DATAGRAM_SEND_BYTES: usize = 128 * 1024;
/// Datagrams waiting to be read.
const DATAGRAM_RECEIVE_BYTES: usize = 512 * 1024;
/// One group in flight a stream: enough for 100 Mb/s at 150 ms.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// All streams of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Streams that a peer may have open at once, each way: groups of video and of coarse motion, and control.
const STREAMS: u32 = 256;

/// Packets may overtake each other by this many before the one behind counts as lost. QUIC's own 3 takes a path with some
/// milliseconds of jitter for one that loses every tenth packet. What was lost is told by time instead.
const REORDERED_PACKETS: u32 = 128;
/// A packet is lost when one that was sent later was acknowledged and so many round trips have passed; QUIC's own is 9/8, which
/// jitter of a fifth of the round trip exceeds.
const LOST_AFTER_ROUND_TRIPS: f32 = 1.4;

/// How long a peer may keep an acknowledgement back. QUIC's own 25 ms are most of a picture's time.
const ACK_DELAY: Duration = Duration::from_millis(5);

/// The QUIC settings that both ends use: keep-alive, idle timeout, bounded buffers, a congestion control that
/// takes chance losses and reordering for what they are.
pub fn transport_config() -> quinn::TransportConfig {
    let mut acks = quinn::AckFrequencyConfig::default();
    acks.max_ack_delay(Some(ACK_DELAY));
    let mut config = quinn::TransportConfig::default();
    config
        .max_idle_timeout(quinn::IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .initial_rtt(FIRST_RTT)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(room::MOST_BYTES)
        .ack_frequency_config(Some(acks))
        .packet_threshold(REORDERED_PACKETS)
        .time_threshold(LOST_AFTER_ROUND_TRIPS)
        .congestion_controller_factory(Arc::new(LiveControlFactory))
        .max_concurrent_uni_streams(STREAMS.into())
        .max_concurrent_bidi_streams(STREAMS.into())
        // Without this a low-rate stream would wait behind a busy one of the same priority.
        .send_fairness(true);
    config
}
