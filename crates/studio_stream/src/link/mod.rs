//! The transport seam: what moves bytes between a publisher and a viewer.
//!
//! Media over QUIC needs streams that can be opened, prioritised and reset, and datagrams. Everything above this module
//! is written against [`Link`], so what lies below can be exchanged:
//!
//! | link | what it is |
//! |---|---|
//! | [`WebTransportLink`] | a WebTransport session on HTTP/3, by `wtransport` |
//! | [`Conditioned`] | any other link, made lossy and slow on purpose |
//! | [`UdpRelay`] | below all of them: a path that loses, delays and narrows packets on purpose |
//!
//! A relay, QUIC without HTTP or an in-memory pair join by implementing the poll half of `web_transport_trait`.

mod conditioned;
mod congestion;
mod error;
mod negotiate;
mod progress;
mod relay;
mod room;
mod streams;
mod tuning;
mod webtransport;

use moq_net::transport::poll::Boxable;

pub use conditioned::{Conditioned, ConditionedRecv, Conditions, ConditionsError};
pub use error::LinkError;
pub use negotiate::{OFFERED_PROTOCOLS_HEADER, PROTOCOLS, SELECTED_PROTOCOL_HEADER, offer, select};
pub use progress::Progress;
pub use relay::{PathConditions, RelayStats, UdpRelay};
pub use streams::{LinkRecv, LinkSend};
pub use tuning::transport_config;
pub use webtransport::WebTransportLink;

/// A transport session that Media over QUIC can run on: streams, datagrams, priorities, and safe to use from any thread.
///
/// Implemented by itself for everything that implements [`web_transport_trait::poll::Session`] with these bounds.
pub trait Link: Boxable<SendStream: Send + Sync, RecvStream: Send + Sync, Error: Send> + Send + Sync {}

impl<L: Boxable<SendStream: Send + Sync, RecvStream: Send + Sync, Error: Send> + Send + Sync> Link for L {}
