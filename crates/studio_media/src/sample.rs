//! GStreamer buffers as frames and frames as GStreamer buffers, without copying samples.

use bevy::math::UVec2;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoFormat, VideoTransferFunction, prelude::*};
use std::sync::Arc;
use studio_frame::prelude::*;

/// Why a buffer is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SampleError {
    #[error("a sample came without {0}")]
    Incomplete(&'static str),
    #[error("a picture came as {0}, which this program does not take")]
    Format(String),
    #[error("a picture's buffer cannot be read")]
    Map,
    #[error(transparent)]
    Picture(#[from] studio_frame::picture::PictureError),
}

/// The formats that frames come in, in order of preference.
pub(crate) const FORMATS: [VideoFormat; 4] = [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::P01010le, VideoFormat::Rgba];

/// The name of a pixel format in GStreamer.
pub(crate) const fn video_format(format: PixelFormat) -> VideoFormat {
    match format {
        PixelFormat::Nv12 => VideoFormat::Nv12,
        PixelFormat::I420 => VideoFormat::I420,
        PixelFormat::P010 => VideoFormat::P01010le,
        PixelFormat::Rgba8 => VideoFormat::Rgba,
    }
}

fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::P01010le => PixelFormat::P010,
        VideoFormat::Rgba => PixelFormat::Rgba8,
        _ => return None,
    })
}

/// What code values mean that nobody said anything about: R′G′B′ is sRGB, pictures up to 576 lines are BT.601, larger
/// ones BT.709.
pub(crate) fn default_color(format: PixelFormat, size: UVec2) -> ColorInfo {
    if !format.is_yuv() {
        ColorInfo { range: ColorRange::Full, transfer: TransferFunction::Srgb, ..ColorInfo::BT709 }
    } else if size.y <= 576 {
        ColorInfo { matrix: ColorMatrix::Bt601, primaries: ColorPrimaries::Smpte170m, ..ColorInfo::BT709 }
    } else {
        ColorInfo::BT709
    }
}

/// Reads GStreamer's colorimetry; what it leaves open is taken from `fallback`.
pub(crate) fn color_from_gst(colorimetry: &gst_video::VideoColorimetry, fallback: ColorInfo) -> ColorInfo {
    ColorInfo {
        matrix: match colorimetry.matrix() {
            VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => ColorMatrix::Bt601,
            VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m => ColorMatrix::Bt709,
            VideoColorMatrix::Bt2020 => ColorMatrix::Bt2020,
            _ => fallback.matrix,
        },
        range: match colorimetry.range() {
            VideoColorRange::Range0_255 => ColorRange::Full,
            VideoColorRange::Range16_235 => ColorRange::Limited,
            _ => fallback.range,
        },
        primaries: match colorimetry.primaries() {
            VideoColorPrimaries::Bt709 => ColorPrimaries::Bt709,
            VideoColorPrimaries::Smpte170m | VideoColorPrimaries::Smpte240m | VideoColorPrimaries::Bt470bg => {
                ColorPrimaries::Smpte170m
            }
            VideoColorPrimaries::Bt2020 => ColorPrimaries::Bt2020,
            VideoColorPrimaries::Smpteeg432 | VideoColorPrimaries::Smpterp431 => ColorPrimaries::DisplayP3,
            _ => fallback.primaries,
        },
        transfer: match colorimetry.transfer() {
            VideoTransferFunction::Srgb => TransferFunction::Srgb,
            VideoTransferFunction::Smpte2084 => TransferFunction::Pq,
            VideoTransferFunction::AribStdB67 => TransferFunction::Hlg,
            VideoTransferFunction::Unknown => fallback.transfer,
            _ => TransferFunction::Bt709,
        },
    }
}

/// Writes colour metadata as GStreamer's colorimetry.
pub(crate) fn color_to_gst(color: ColorInfo, format: PixelFormat) -> gst_video::VideoColorimetry {
    let range = match color.range {
        ColorRange::Full => VideoColorRange::Range0_255,
        ColorRange::Limited => VideoColorRange::Range16_235,
    };
    let matrix = match color.matrix {
        _ if !format.is_yuv() => VideoColorMatrix::Rgb,
        ColorMatrix::Bt601 => VideoColorMatrix::Bt601,
        ColorMatrix::Bt709 => VideoColorMatrix::Bt709,
        ColorMatrix::Bt2020 => VideoColorMatrix::Bt2020,
    };
    let transfer = match color.transfer {
        TransferFunction::Bt709 => VideoTransferFunction::Bt709,
        TransferFunction::Srgb => VideoTransferFunction::Srgb,
        TransferFunction::Pq => VideoTransferFunction::Smpte2084,
        TransferFunction::Hlg => VideoTransferFunction::AribStdB67,
    };
    let primaries = match color.primaries {
        ColorPrimaries::Bt709 => VideoColorPrimaries::Bt709,
        ColorPrimaries::Smpte170m => VideoColorPrimaries::Smpte170m,
        ColorPrimaries::Bt2020 => VideoColorPrimaries::Bt2020,
        ColorPrimaries::DisplayP3 => VideoColorPrimaries::Smpteeg432,
    };
    gst_video::VideoColorimetry::new(range, matrix, transfer, primaries)
}

/// A frame rate as a fraction; rates near a multiple of 1000/1001 become exactly that.
pub(crate) fn rate_fraction(rate_hz: f32) -> gst::Fraction {
    let rate = f64::from(rate_hz);
    let ntsc = (rate * 1.001).round();
    if (rate - rate.round()).abs() > 1e-3 && (rate * 1.001 - ntsc).abs() < 1e-2 {
        return gst::Fraction::new(ntsc as i32 * 1000, 1001);
    }
    gst::Fraction::approximate_f64(rate).unwrap_or_else(|| gst::Fraction::new(rate.round() as i32, 1))
}

/// The caps of frames of one shape.
pub(crate) fn frame_caps(format: PixelFormat, size: UVec2, rate_hz: f32, color: ColorInfo) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", video_format(format).to_str())
        .field("width", size.x as i32)
        .field("height", size.y as i32)
        .field("framerate", rate_fraction(rate_hz))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .field("colorimetry", color_to_gst(color, format).to_string())
        .build()
}

/// One plane of a mapped buffer; the mapping lives as long as the last plane of it.
struct MappedPlane {
    frame: Arc<gst_video::VideoFrame<gst_video::video_frame::Readable>>,
    plane: u32,
}

impl AsRef<[u8]> for MappedPlane {
    fn as_ref(&self) -> &[u8] {
        // The plane was read once before it was wrapped.
        self.frame.plane_data(self.plane).unwrap_or_default()
    }
}

/// The shape of the pictures in a sample.
pub(crate) fn sample_info(sample: &gst::Sample) -> Result<gst_video::VideoInfo, SampleError> {
    let caps = sample.caps().ok_or(SampleError::Incomplete("caps"))?;
    gst_video::VideoInfo::from_caps(caps).map_err(|_| SampleError::Format(caps.to_string()))
}

/// Makes a frame whose planes are the sample's own memory.
///
/// `fallback` stands in for colour metadata that the stream does not have; without it the size decides.
pub(crate) fn frame_from_sample(
    sample: &gst::Sample,
    stamp: FrameStamp,
    fallback: Option<ColorInfo>,
) -> Result<VideoFrame, SampleError> {
    let info = sample_info(sample)?;
    let format = pixel_format(info.format()).ok_or_else(|| SampleError::Format(info.format().to_string()))?;
    let size = UVec2::new(info.width(), info.height());
    // `VideoInfo` fills in its own guess where the caps are silent, so ask the caps.
    let told = sample.caps().and_then(|caps| caps.structure(0)).is_some_and(|structure| structure.has_field("colorimetry"));
    let fallback = fallback.unwrap_or_else(|| default_color(format, size));
    let color = if told { color_from_gst(&info.colorimetry(), fallback) } else { fallback };
    let buffer = sample.buffer_owned().ok_or(SampleError::Incomplete("a buffer"))?;
    let frame = Arc::new(gst_video::VideoFrame::from_buffer_readable(buffer, &info).map_err(|_| SampleError::Map)?);
    let planes = (0..frame.n_planes())
        .map(|plane| {
            let stride = frame.plane_stride()[plane as usize].max(0) as usize;
            frame.plane_data(plane).map_err(|_| SampleError::Map)?;
            Ok(Plane { data: Bytes::from_owner(MappedPlane { frame: frame.clone(), plane }), stride })
        })
        .collect::<Result<Vec<_>, SampleError>>()?;
    Ok(VideoFrame::new(stamp, format, size, color, planes)?)
}

/// Wraps a frame's planes as a buffer, one memory a plane.
pub(crate) fn buffer_from_frame(frame: &VideoFrame) -> Result<gst::Buffer, SampleError> {
    let mut buffer = gst::Buffer::new();
    let target = buffer.get_mut().ok_or(SampleError::Map)?;
    let mut offset = 0_usize;
    let (mut offsets, mut strides) = (Vec::new(), Vec::new());
    for plane in &frame.planes {
        offsets.push(offset);
        strides.push(plane.stride as i32);
        offset += plane.data.len();
        target.append_memory(gst::Memory::from_slice(plane.data.clone()));
    }
    let format = video_format(frame.format);
    gst_video::VideoMeta::add_full(
        target,
        gst_video::VideoFrameFlags::empty(),
        format,
        frame.size.x,
        frame.size.y,
        &offsets,
        &strides,
    )
    .map_err(|_| SampleError::Map)?;
    Ok(buffer)
}

/// Lets upstream hand over pictures whose rows are padded; without this answer it would copy each of them.
pub(crate) fn accept_padded_rows(sink: &gst::Element) {
    let Some(pad) = sink.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        if let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(|query| query.view_mut()) {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frame_rates_keep_their_meaning() {
        let parts = |rate| (rate_fraction(rate).numer(), rate_fraction(rate).denom());
        assert_eq!(parts(30.0), (30, 1));
        assert_eq!(parts(29.97), (30000, 1001));
        assert_eq!(parts(59.94), (60000, 1001));
        assert_eq!(parts(12.5), (25, 2));
    }

    proptest! {
        #[test]
        fn colour_metadata_survives_gstreamer(matrix in 0_usize..3, range in 0_usize..2, primaries in 0_usize..4, transfer in 0_usize..4) {
            crate::runtime::init().unwrap();
            let color = ColorInfo {
                matrix: [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020][matrix],
                range: [ColorRange::Limited, ColorRange::Full][range],
                primaries: [ColorPrimaries::Bt709, ColorPrimaries::Smpte170m, ColorPrimaries::Bt2020, ColorPrimaries::DisplayP3][primaries],
                transfer: [TransferFunction::Bt709, TransferFunction::Srgb, TransferFunction::Pq, TransferFunction::Hlg][transfer],
            };
            let text = color_to_gst(color, PixelFormat::Nv12).to_string();
            let read: gst_video::VideoColorimetry = text.parse().unwrap();
            prop_assert_eq!(color_from_gst(&read, ColorInfo::default()), color);
        }
    }

    #[test]
    fn a_frame_goes_into_a_buffer_and_out_again_without_a_copy() {
        crate::runtime::init().unwrap();
        let size = UVec2::new(18, 6);
        let luma = Bytes::from((0..32 * 6).map(|value| value as u8).collect::<Vec<_>>());
        let chroma = Bytes::from(vec![7_u8; 24 * 3]);
        let planes = vec![Plane { data: luma.clone(), stride: 32 }, Plane { data: chroma, stride: 24 }];
        let frame = VideoFrame::new(FrameStamp::default(), PixelFormat::Nv12, size, ColorInfo::BT709, planes).unwrap();
        let caps = frame_caps(PixelFormat::Nv12, size, 30.0, ColorInfo::BT709);
        let sample = gst::Sample::builder().buffer(&buffer_from_frame(&frame).unwrap()).caps(&caps).build();
        let back = frame_from_sample(&sample, FrameStamp::default(), None).unwrap();
        assert_eq!((back.size, back.color, back.planes[0].stride), (size, ColorInfo::BT709, 32));
        assert_eq!(back.row(0, 5), frame.row(0, 5));
        assert_eq!(back.planes[0].data.as_ptr(), luma.as_ptr(), "the luma plane was copied");
    }
}
