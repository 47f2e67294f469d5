//! When a picture is shown, and which moment between two pictures: the jitter buffer of every viewer.
//!
//! Each picture has a time on the stream's time line and a moment at which it was ready to be shown: received and decoded. The
//! difference of the two, less what it is at its best, is jitter: of the network, of the decoder, of this machine. Pictures are
//! shown as late as nearly all of them are ready (the 95th percentile of the last 90), no later, or as late as the program
//! wants. The delay rises at once and falls by 1 ms a picture. Both clocks are only ever compared over the last seconds, so they
//! may drift apart.
//!
//! [`Pace`] learns the rhythm and [`choose`] picks from the pictures that there are; [`Playout`] is both, with the pictures. All
//! of it is arithmetic on times that the caller gives, so a window asks for now, and a headset for the moment at which its
//! display will shine.
//!
//! The browser's page does the same in `web/src/pace.ts`. `web/test/vectors/pace.json`, written by the tests of this module, holds
//! both to it.
//!
//! The idea of playing out at a percentile of the delays seen, up fast and down slowly, is that of adaptive playout for packet
//! audio (Ramjee, Kurose, Towsley, Schulzrinne: *Adaptive playout mechanisms for packetized audio applications in wide-area
//! networks*, INFOCOM 1994; percentiles: Moon, Kurose, Towsley, *Multimedia Systems* 6, 1998).

mod buffer;
mod pace;
#[cfg(test)]
mod vectors;

pub use buffer::{Chosen, Playout};
pub use pace::{Choice, MAX_JITTER_MS, Pace, choose};
