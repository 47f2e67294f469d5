//! The encoders of different makers, and how each is told the same things.

use super::{EncodeError, EncoderPreset, EncoderSettings};
use crate::runtime;
use bevy::math::UVec2;
use gstreamer as gst;
use gstreamer::prelude::*;
use studio_frame::packet::VideoCodec;

/// One encoder element and its spelling of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider {
    pub element: &'static str,
    codec: VideoCodec,
    bitrate: &'static str,
    /// Bits a second in one unit of the bit rate property.
    bitrate_unit_bps: u32,
    key_interval: &'static str,
    /// Low delay, no reordering.
    fixed: &'static [(&'static str, &'static str)],
    /// Property and its value for speed, balanced and quality.
    preset: Option<(&'static str, [&'static str; 3])>,
    /// Whether it makes a key frame when it is asked to.
    pub forces_key_frames: bool,
}

const KBPS: u32 = 1000;

const fn provider(codec: VideoCodec, element: &'static str, fixed: &'static [(&'static str, &'static str)]) -> Provider {
    Provider {
        element,
        codec,
        bitrate: "bitrate",
        bitrate_unit_bps: KBPS,
        key_interval: "key-int-max",
        fixed,
        preset: None,
        forces_key_frames: true,
    }
}

const NVENC: &[(&str, &str)] =
    &[("zerolatency", "true"), ("rc-mode", "cbr"), ("bframes", "0"), ("rc-lookahead", "0"), ("repeat-sequence-header", "true")];
const VA: &[(&str, &str)] = &[("rate-control", "cbr"), ("b-frames", "0"), ("ref-frames", "1")];
const VAAPI: &[(&str, &str)] = &[("rate-control", "cbr"), ("max-bframes", "0")];
const QSV: &[(&str, &str)] = &[("low-latency", "true"), ("b-frames", "0"), ("rate-control", "cbr")];
const AMF: &[(&str, &str)] = &[("usage", "ultra-low-latency"), ("rate-control", "cbr"), ("b-frames", "0")];
const MF: &[(&str, &str)] = &[("low-latency", "true"), ("rc-mode", "cbr"), ("bframes", "0")];
const VT: &[(&str, &str)] = &[("realtime", "true"), ("allow-frame-reordering", "false")];
const NV_PRESET: Option<(&str, [&str; 3])> = Some(("preset", ["low-latency-hp", "low-latency", "low-latency-hq"]));
const X26X_PRESET: Option<(&str, [&str; 3])> = Some(("speed-preset", ["ultrafast", "superfast", "veryfast"]));

/// In the order in which `auto` tries them: hardware first.
const PROVIDERS: &[Provider] = {
    use VideoCodec::{Av1, H264, H265};
    &[
        Provider { key_interval: "gop-size", preset: NV_PRESET, ..provider(H264, "nvh264enc", NVENC) },
        provider(H264, "vah264enc", VA),
        provider(H264, "vah264lpenc", VA),
        Provider { key_interval: "gop-size", ..provider(H264, "qsvh264enc", QSV) },
        Provider { key_interval: "gop-size", ..provider(H264, "amfh264enc", AMF) },
        Provider { key_interval: "gop-size", ..provider(H264, "mfh264enc", MF) },
        Provider { key_interval: "max-keyframe-interval", ..provider(H264, "vtenc_h264_hw", VT) },
        Provider { key_interval: "keyframe-period", ..provider(H264, "vaapih264enc", VAAPI) },
        Provider { bitrate: "", key_interval: "", ..provider(H264, "v4l2h264enc", &[]) },
        Provider {
            preset: X26X_PRESET,
            ..provider(
                H264,
                "x264enc",
                &[
                    ("tune", "zerolatency"),
                    ("bframes", "0"),
                    ("aud", "true"),
                    ("option-string", "scenecut=0"),
                    ("vbv-buf-capacity", "250"),
                ],
            )
        },
        Provider {
            bitrate_unit_bps: 1,
            key_interval: "gop-size",
            preset: Some(("complexity", ["low", "medium", "high"])),
            ..provider(
                H264,
                "openh264enc",
                &[("rate-control", "bitrate"), ("usage-type", "camera"), ("scene-change-detection", "false")],
            )
        },
        Provider { key_interval: "gop-size", preset: NV_PRESET, ..provider(H265, "nvh265enc", NVENC) },
        provider(H265, "vah265enc", VA),
        Provider { key_interval: "gop-size", ..provider(H265, "qsvh265enc", QSV) },
        Provider { key_interval: "gop-size", ..provider(H265, "amfh265enc", AMF) },
        Provider { key_interval: "gop-size", ..provider(H265, "mfh265enc", MF) },
        Provider { key_interval: "max-keyframe-interval", ..provider(H265, "vtenc_h265_hw", VT) },
        Provider { key_interval: "keyframe-period", ..provider(H265, "vaapih265enc", VAAPI) },
        Provider {
            preset: X26X_PRESET,
            ..provider(
                H265,
                "x265enc",
                &[("tune", "zerolatency"), ("option-string", "bframes=0:scenecut=0:open-gop=0:repeat-headers=1:info=0")],
            )
        },
        Provider { key_interval: "gop-size", preset: NV_PRESET, ..provider(Av1, "nvav1enc", NVENC) },
        provider(Av1, "vaav1enc", VA),
        Provider { key_interval: "gop-size", ..provider(Av1, "qsvav1enc", QSV) },
        Provider { key_interval: "gop-size", ..provider(Av1, "amfav1enc", AMF) },
        Provider {
            bitrate: "target-bitrate",
            key_interval: "keyframe-max-dist",
            forces_key_frames: false,
            preset: Some(("cpu-used", ["10", "9", "8"])),
            ..provider(
                Av1,
                "av1enc",
                &[
                    ("usage-profile", "realtime"),
                    ("end-usage", "cbr"),
                    ("lag-in-frames", "0"),
                    ("row-mt", "true"),
                    // The element's own limits are 0 and 0, with which libaom's rate control aborts the program.
                    ("max-quantizer", "56"),
                    ("min-quantizer", "4"),
                    ("buf-sz", "500"),
                    ("buf-initial-sz", "300"),
                    ("buf-optimal-sz", "400"),
                ],
            )
        },
    ]
};

impl Provider {
    /// Chooses by name, or for `auto` the first one whose element exists and can be readied.
    pub fn choose(settings: &EncoderSettings, size: UVec2) -> Result<(&'static Self, gst::Element), EncodeError> {
        let of_codec = || PROVIDERS.iter().filter(|provider| provider.codec == settings.codec);
        let wanted = settings.provider.trim();
        if !wanted.is_empty() && wanted != "auto" {
            let provider =
                of_codec().find(|provider| provider.element == wanted).ok_or_else(|| EncodeError::UnknownProvider {
                    wanted: wanted.into(),
                    codec: settings.codec,
                    known: of_codec().map(|provider| provider.element).collect::<Vec<_>>().join(", "),
                })?;
            return Ok((provider, provider.make(settings, size)?));
        }
        for provider in of_codec().filter(|provider| runtime::has(provider.element)) {
            let element = provider.make(settings, size)?;
            // Its driver or device may be absent although the plugin is there.
            if element.set_state(gst::State::Ready).is_ok() {
                return Ok((provider, element));
            }
            tracing::info!("{} is installed but does not start; another encoder is tried", provider.element);
            if element.set_state(gst::State::Null).is_err() {
                tracing::debug!("{} did not stop cleanly", provider.element);
            }
        }
        let software = of_codec().next_back().map_or("x264enc", |provider| provider.element);
        Err(runtime::missing(software).into())
    }

    fn make(&self, settings: &EncoderSettings, size: UVec2) -> Result<gst::Element, EncodeError> {
        let element = runtime::make(self.element)?;
        for (name, value) in self.fixed {
            runtime::set_if_present(&element, name, value);
        }
        if let Some((name, values)) = self.preset {
            let place = match settings.preset {
                EncoderPreset::Speed => 0,
                EncoderPreset::Balanced => 1,
                EncoderPreset::Quality => 2,
            };
            runtime::set_if_present(&element, name, values[place]);
        }
        if self.element == "av1enc" {
            // Tiles of at least 512 pixels let several cores work on one picture.
            let columns = (size.x / 512).max(1).ilog2().min(3);
            runtime::set_if_present(&element, "tile-columns", &columns.to_string());
            runtime::set_if_present(
                &element,
                "threads",
                &std::thread::available_parallelism().map_or(2, usize::from).to_string(),
            );
        }
        runtime::set_if_present(&element, self.key_interval, &settings.key_frame_interval_frames.to_string());
        self.set_bitrate(&element, settings.bitrate_bps);
        Ok(element)
    }

    fn set_bitrate(&self, element: &gst::Element, bitrate_bps: u32) {
        if self.element == "v4l2h264enc" {
            let controls = format!("controls,video_bitrate={bitrate_bps},repeat_sequence_header=1,video_b_frames=0");
            runtime::set_if_present(element, "extra-controls", &controls);
            return;
        }
        runtime::set_if_present(element, self.bitrate, &(bitrate_bps / self.bitrate_unit_bps).max(1).to_string());
    }

    /// Changes the bit rate of a running element; `false` if it cannot.
    pub fn change_bitrate(&self, element: &gst::Element, bitrate_bps: u32) -> bool {
        let can = runtime::is_live_changeable(element, self.bitrate);
        if can {
            self.set_bitrate(element, bitrate_bps);
        }
        can
    }
}
