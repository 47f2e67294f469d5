//! Live transport.
//!
//! The wire is Media over QUIC ([`moq_net`], its lite wire) with a [`hang`] catalog, carried by WebTransport. A publisher
//! serves viewers directly: one QUIC stream a group of pictures, each starting at a key frame, one a unit of sound, the
//! motion field in datagrams with a coarse reliable copy beside them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`link`] | the transport seam: WebTransport, and a lossy link for tests |
//! | [`identity`] | the server's certificate |
//! | [`viewer_link`] | the address a viewer opens, with token and certificate hash |
//! | [`clock`] | how far the publisher's clock is from the viewer's |
//! | [`catalog`] | what a stream holds: the hang catalog and the `immersive` section |
//! | [`wire`] | access units and motion tiles as bytes |
//! | [`nodes`] | the `WebTransportOutput` node |
//! | [`playout`] | the jitter buffer: when a picture is shown, and which moment between two |
//! | [`publish`] | [`Publisher`](publish::Publisher): serves a stream to viewers, and the page to browsers |
//! | [`qr`] | links as pictures for phones |
//! | [`report`] | what a viewer tells the studio of itself, and where it looks |
//! | [`subscribe`] | [`Subscriber`](subscribe::Subscriber): receives one, and reconnects |

pub mod catalog;
pub mod clock;
pub mod identity;
pub mod link;
pub mod nodes;
pub mod playout;
pub mod publish;
pub mod qr;
pub mod report;
pub mod subscribe;
#[cfg(test)]
mod vectors;
pub mod viewer_link;
pub mod wire;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        identity::{Identity, IdentityError},
        link::Conditions,
        publish::{PublishError, Publisher, PublisherConfig, PublisherStats, ViewerStatus},
        report::{GazeMap, ViewerId, ViewerKind, ViewerReport},
        subscribe::{
            ReceivedMotion, ReceivedSound, ReceivedUnit, Subscriber, SubscriberConfig, SubscriberStats, ViewerEvent,
            percentiles_ms,
        },
        viewer_link::{ViewerLink, ViewerLinkError},
    };
}
