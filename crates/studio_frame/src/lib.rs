//! The plain data that every stage of the studio agrees on.
//!
//! Nothing here renders, decodes or sends: this crate holds the words the other crates speak to each other in.
//!
//! | module | what it fixes |
//! |---|---|
//! | [`stamp`] | [`FrameStamp`](stamp::FrameStamp): made at capture, carried by everything derived from the frame |
//! | [`mod@format`] | pixel formats and the shape of their planes |
//! | [`audio`] | [`AudioBlock`](audio::AudioBlock): a stretch of sound |
//! | [`color`] | YUV matrices, ranges, primaries and transfers |
//! | [`picture`] | [`VideoFrame`](picture::VideoFrame): planes in system memory |
//! | [`projection`] | how a picture covers the sphere, and where the two eyes lie in it |
//! | [`motion`] | [`MotionField`](motion::MotionField): one motion vector a grid cell |
//! | [`packet`] | [`AccessUnit`](packet::AccessUnit): one coded picture |
//! | [`queue`] | bounded queues that say what they drop |
//! | [`ledger`] | where a frame's latency went, and how often it was copied |
//! | [`mark`] | the machine-readable time and frame number drawn into pictures |

pub mod audio;
pub mod color;
pub mod format;
pub mod ledger;
pub mod mark;
pub mod motion;
pub mod packet;
pub mod picture;
pub mod projection;
pub mod queue;
pub mod stamp;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        audio::{AudioBlock, AudioError, AudioFormat, AudioLevel},
        color::{ColorInfo, ColorMatrix, ColorPrimaries, ColorRange, TransferFunction},
        format::PixelFormat,
        ledger::{CopyCount, CopyCounters, LatencyLedger, Stage},
        motion::{MotionField, MotionVector},
        packet::{AccessUnit, AudioCodec, AudioStreamInfo, PacketInfo, StreamInfo, VideoCodec},
        picture::{Plane, VideoFrame},
        projection::{PictureProjection, StereoLayout},
        queue::{QueuePolicy, QueueReceiver, QueueSender, queue},
        stamp::{FrameStamp, MediaTime, UnixTime},
    };
}
