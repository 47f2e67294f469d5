use super::*;
use crate::{
    capture::Pattern,
    decode::{DecoderInput, DecoderOutput, DecoderSettings, VideoDecoder},
    testing::luma_psnr,
};
use std::sync::mpsc;
use studio_frame::mark::Mark;

const LONG: Duration = Duration::from_secs(20);
const SIZE: UVec2 = UVec2::new(640, 320);

fn input(format: PixelFormat) -> EncoderInput {
    let (projection, stereo) = (PictureProjection::Equirectangular, StereoLayout::Mono);
    EncoderInput { format, size: SIZE, color: ColorInfo::BT709, frame_rate_hz: 30.0, projection, stereo }
}

fn settings(codec: VideoCodec) -> EncoderSettings {
    EncoderSettings { codec, bitrate_bps: 8_000_000, key_frame_interval_frames: 10, ..default() }
}

/// A stamp such as a camera makes: numbers far from 0, times off the nominal grid.
fn stamp(index: u64) -> FrameStamp {
    let jitter_ns = index * index % 7 * 1_234_567;
    let pts = MediaTime(5_000_000_000 + index * 33_333_333 + jitter_ns);
    FrameStamp { frame_id: 1000 + index * 2, captured_at: UnixTime::from_micros(1_800_000_000_000_000 + index * 33_333), pts }
}

fn encoder(settings: EncoderSettings, policy: QueuePolicy) -> (VideoEncoder, mpsc::Receiver<EncoderOutput>) {
    let (sender, receiver) = mpsc::sync_channel(256);
    let encoder =
        VideoEncoder::new(settings, input(PixelFormat::Nv12), policy, move |output| sender.send(output).unwrap_or_default())
            .unwrap();
    (encoder, receiver)
}

fn decoder(info: &StreamInfo, policy: QueuePolicy) -> (VideoDecoder, mpsc::Receiver<DecoderOutput>) {
    let (sender, receiver) = mpsc::sync_channel(256);
    let settings = DecoderSettings { policy, ..default() };
    (VideoDecoder::new(info, settings, move |output| sender.send(output).unwrap_or_default()).unwrap(), receiver)
}

fn frames(count: u64) -> Vec<VideoFrame> {
    let pattern = Pattern::new(SIZE);
    (0..count).map(|index| pattern.draw(stamp(index)).unwrap()).collect()
}

fn encode(settings: EncoderSettings, frames: &[VideoFrame]) -> Vec<EncoderOutput> {
    let (encoder, outputs) = encoder(settings, QueuePolicy::Block);
    frames.iter().for_each(|frame| encoder.push(frame).unwrap());
    encoder.finish().unwrap();
    outputs.into_iter().collect()
}

fn bytes_of(outputs: &[EncoderOutput]) -> usize {
    outputs.iter().map(|output| output.unit.data.len()).sum()
}

/// Encodes and decodes frame by frame; nothing is put in before the picture before it is out.
fn round_trip(codec: VideoCodec, codec_string: &str) {
    let frames = frames(24);
    let (encoder, units) = encoder(settings(codec), QueuePolicy::Block);
    let mut decoder_and_pictures = None;
    let (mut encode_ms, mut decode_ms, mut worst_db) = (Vec::new(), Vec::new(), f64::MAX);
    for (index, frame) in frames.iter().enumerate() {
        encoder.push(frame).unwrap();
        let EncoderOutput { unit, info, took } =
            units.recv_timeout(LONG).expect("a unit comes out before the next frame goes in");
        assert_eq!(unit.stamp, frame.stamp);
        assert_eq!(unit.key_frame, index % 10 == 0, "key frame at {index}");
        assert_eq!(info.codec_string, codec_string);
        assert_eq!(info.color, ColorInfo::BT709);
        let (decoder, pictures) = decoder_and_pictures.get_or_insert_with(|| decoder(&info, QueuePolicy::Block));
        assert_eq!(decoder.push(&unit).unwrap(), DecoderInput::Taken);
        let DecoderOutput { frame: picture, took: took_back } =
            pictures.recv_timeout(LONG).expect("a picture comes out before the next unit goes in");
        assert_eq!((picture.stamp, picture.color, picture.size), (frame.stamp, ColorInfo::BT709, SIZE));
        assert_eq!(Mark::read_frame(&picture), Some(frame.stamp.into()), "the mark of frame {index}");
        worst_db = worst_db.min(luma_psnr(frame, &picture));
        encode_ms.push(took.as_secs_f32() * 1e3);
        decode_ms.push(took_back.as_secs_f32() * 1e3);
    }
    let median = |values: &mut Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    };
    eprintln!(
        "{codec:?} {}x{}: encode {:.2} ms, decode {:.2} ms (median), worst luma {worst_db:.1} dB",
        SIZE.x,
        SIZE.y,
        median(&mut encode_ms),
        median(&mut decode_ms)
    );
    assert!(worst_db > 35.0, "{worst_db} dB");
    assert_eq!(encoder.dropped(), 0);
    encoder.finish().unwrap();
}

#[test]
fn h264_there_and_back_keeps_stamps_order_and_picture() {
    round_trip(VideoCodec::H264, "avc1.42c01e");
}

#[test]
fn h265_there_and_back_keeps_stamps_order_and_picture() {
    round_trip(VideoCodec::H265, "hev1.1.6.L93.90");
}

#[test]
fn av1_there_and_back_keeps_stamps_order_and_picture() {
    round_trip(VideoCodec::Av1, "av01.0.01M.08");
}

#[test]
fn ten_bits_stay_ten_bits() {
    let planes = [(SIZE, 1), (SIZE / 2, 2)].map(|(size, channels): (UVec2, u32)| {
        let words = (0..size.y).flat_map(|y| (0..size.x * channels).map(move |x| (200 + (x + y) % 600) as u16));
        let data: Vec<u8> = words.flat_map(|value| (value << 6).to_le_bytes()).collect();
        Plane { data: data.into(), stride: (size.x * channels * 2) as usize }
    });
    let color =
        ColorInfo { matrix: ColorMatrix::Bt2020, primaries: ColorPrimaries::Bt2020, transfer: TransferFunction::Pq, ..default() };
    let frame = VideoFrame::new(stamp(0), PixelFormat::P010, SIZE, color, planes.to_vec()).unwrap();
    let (sender, units) = mpsc::sync_channel(256);
    let input = EncoderInput { color, ..input(PixelFormat::P010) };
    let encoder = VideoEncoder::new(settings(VideoCodec::H265), input, QueuePolicy::Block, move |output| {
        sender.send(output).unwrap_or_default()
    })
    .unwrap();
    encoder.push(&frame).unwrap();
    let output = units.recv_timeout(LONG).unwrap();
    assert!(output.info.codec_string.starts_with("hev1.2."), "Main 10: {}", output.info.codec_string);
    // What the stream says goes before what the catalog says.
    let (decoder, pictures) =
        decoder(&StreamInfo { color: ColorInfo::BT709, ..StreamInfo::clone(&output.info) }, QueuePolicy::Block);
    decoder.push(&output.unit).unwrap();
    let picture = pictures.recv_timeout(LONG).unwrap().frame;
    assert_eq!((picture.format, picture.color), (PixelFormat::P010, color));
}

#[test]
fn the_bit_rate_changes_while_running_without_a_lost_stamp() {
    let mut frames = frames(60);
    let mut seed = 1_u32;
    for frame in &mut frames {
        // Noise, so that there is more to code than the bit rate allows.
        let mut luma = frame.planes[0].data.to_vec();
        for value in &mut luma {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = value.saturating_add((seed >> 28) as u8);
        }
        frame.planes[0].data = luma.into();
    }
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let settings = EncoderSettings { bitrate_bps: 2_000_000, key_frame_interval_frames: 1000, ..settings(codec) };
        let (encoder, units) = encoder(settings.clone(), QueuePolicy::Block);
        frames[..30].iter().for_each(|frame| encoder.push(frame).unwrap());
        encoder.set_settings(EncoderSettings { bitrate_bps: 250_000, ..settings }).unwrap();
        frames[30..].iter().for_each(|frame| encoder.push(frame).unwrap());
        assert_eq!(encoder.stream_info().bitrate_bps, 250_000);
        encoder.finish().unwrap();
        let units: Vec<_> = units.into_iter().collect();
        assert!(units.iter().map(|output| output.unit.stamp).eq(frames.iter().map(|frame| frame.stamp)));
        let keys: Vec<_> = (0..60).filter(|index| units[*index].unit.key_frame).collect();
        // x264enc changes in place; x265enc starts its encoder anew inside of itself, with frames that it still held.
        let anew = codec == VideoCodec::H265 && keys.len() == 2 && keys[0] == 0 && (24..=30).contains(&keys[1]);
        assert!(keys == [0] || anew, "{codec:?}: key frames at {keys:?}");
        let (before, after) = (bytes_of(&units[10..30]), bytes_of(&units[40..60]));
        assert!(after * 3 < before, "{codec:?}: {before} bytes, then {after}");
    }
}

#[test]
fn what_cannot_change_in_place_goes_on_at_a_key_frame() {
    let frames = frames(30);
    let (encoder, units) = encoder(settings(VideoCodec::H264), QueuePolicy::Block);
    frames[..15].iter().for_each(|frame| encoder.push(frame).unwrap());
    encoder
        .set_settings(EncoderSettings {
            preset: EncoderPreset::Quality,
            key_frame_interval_frames: 5,
            ..settings(VideoCodec::H264)
        })
        .unwrap();
    frames[15..25].iter().for_each(|frame| encoder.push(frame).unwrap());
    let refused = EncoderSettings { provider: "nosuchenc".into(), ..settings(VideoCodec::H264) };
    assert!(matches!(encoder.set_settings(refused), Err(EncodeError::UnknownProvider { .. })));
    encoder.set_settings(settings(VideoCodec::Av1)).unwrap();
    frames[25..].iter().for_each(|frame| encoder.push(frame).unwrap());
    assert_eq!(encoder.element(), "av1enc");
    encoder.finish().unwrap();
    let units: Vec<_> = units.into_iter().collect();
    assert!(units.iter().map(|output| output.unit.stamp).eq(frames.iter().map(|frame| frame.stamp)));
    let keys: Vec<_> = (0..30).filter(|index| units[*index].unit.key_frame).collect();
    assert_eq!(keys, [0, 10, 15, 20, 25]);
    assert!(units[29].info.codec_string.starts_with("av01"), "{}", units[29].info.codec_string);
}

#[test]
fn a_key_frame_comes_when_it_is_asked_for() {
    let frames = frames(12);
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        let (encoder, units) =
            encoder(EncoderSettings { key_frame_interval_frames: 1000, ..settings(codec) }, QueuePolicy::Block);
        let mut keys = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            if index == 7 {
                encoder.request_key_frame().unwrap();
            }
            encoder.push(frame).unwrap();
            if units.recv_timeout(LONG).unwrap().unit.key_frame {
                keys.push(index);
            }
        }
        assert_eq!(keys, [0, 7], "{codec:?}");
    }
}

#[test]
fn live_the_newest_frames_win_and_the_others_are_counted() {
    let frames = frames(40);
    let (release, gate) = mpsc::sync_channel::<()>(1);
    let (sender, units) = mpsc::sync_channel(256);
    let slow = move |output: EncoderOutput| {
        gate.recv().unwrap_or_default();
        sender.send(output.unit.stamp).unwrap_or_default();
    };
    let encoder = VideoEncoder::new(settings(VideoCodec::H264), input(PixelFormat::Nv12), QueuePolicy::NewestWins, slow).unwrap();
    frames.iter().for_each(|frame| encoder.push(frame).unwrap());
    drop(release);
    let mut stamps = Vec::new();
    while stamps.last() != Some(&frames[39].stamp) {
        stamps.push(units.recv_timeout(LONG).expect("the newest frame comes out"));
    }
    assert!(stamps.len() < 12, "{} of 40 frames came out of a blocked encoder", stamps.len());
    assert!(stamps.windows(2).all(|pair| pair[0].frame_id < pair[1].frame_id));
    assert_eq!(encoder.dropped() as usize, 40 - stamps.len());
}

#[test]
fn wrong_frames_and_settings_are_refused_by_name() {
    let (encoder, _units) = encoder(settings(VideoCodec::H264), QueuePolicy::Block);
    let other = Pattern::new(UVec2::new(320, 160)).draw(stamp(0)).unwrap();
    assert!(matches!(encoder.push(&other), Err(EncodeError::OtherFrame { .. })));
    let error = |settings, input| VideoEncoder::new(settings, input, QueuePolicy::Block, |_| ()).err().unwrap().to_string();
    let nv12 = input(PixelFormat::Nv12);
    assert!(error(EncoderSettings { bitrate_bps: 0, ..default() }, nv12).contains("bit rate 0"));
    assert!(error(EncoderSettings { key_frame_interval_frames: 0, ..default() }, nv12).contains("key frame interval"));
    assert!(error(default(), EncoderInput { size: UVec2::new(641, 320), ..nv12 }).contains("641×320"));
    assert!(error(default(), EncoderInput { frame_rate_hz: f32::NAN, ..nv12 }).contains("frame rate"));
    let unknown = error(EncoderSettings { provider: "superenc".into(), ..default() }, nv12);
    assert!(unknown.contains("superenc") && unknown.contains("x264enc"), "{unknown}");
}

#[test]
fn a_decoder_goes_on_at_the_next_key_frame_after_loss_and_damage() {
    let units: Vec<_> =
        encode(settings(VideoCodec::H264), &frames(40)).into_iter().map(|output| (output.info, output.unit)).collect();
    let (decoder, pictures) = decoder(&units[0].0, QueuePolicy::Block);
    // Starts in the middle: nothing until the key frame at 10.
    for (_, unit) in &units[5..15] {
        decoder.push(unit).unwrap();
    }
    assert_eq!(decoder.skipped(), 5);
    // Units lost: nothing until the key frame at 20.
    decoder.discontinuity();
    assert_eq!(decoder.push(&units[17].1).unwrap(), DecoderInput::WaitsForKeyFrame);
    assert!(decoder.needs_key_frame());
    decoder.push(&units[20].1).unwrap();
    // Rubbish in place of a unit.
    let rubbish = AccessUnit { data: vec![0xA5; 500].into(), ..units[21].1.clone() };
    decoder.push(&rubbish).unwrap();
    for (_, unit) in &units[22..40] {
        decoder.push(unit).unwrap();
    }
    decoder.finish();
    let stamps: Vec<_> = pictures.into_iter().map(|output| output.frame.stamp).collect();
    let index_of = |stamp: &FrameStamp| units.iter().position(|(_, unit)| unit.stamp == *stamp).unwrap();
    let shown: Vec<_> = stamps.iter().map(index_of).collect();
    assert!(shown.starts_with(&[10, 11, 12, 13, 14, 20]), "{shown:?}");
    assert!(shown.ends_with(&(30..40).collect::<Vec<_>>()), "{shown:?}");
    assert!(shown.is_sorted());
}

#[test]
fn garbage_neither_breaks_nor_hangs_a_decoder() {
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        let info = StreamInfo { codec, size: SIZE, frame_rate_hz: 30.0, ..default() };
        let (decoder, pictures) = decoder(&info, QueuePolicy::NewestWins);
        let mut state = 1_u32;
        for index in 0..30 {
            let data: Vec<u8> = (0..400)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            decoder.push(&AccessUnit { stamp: stamp(index), key_frame: true, data: data.into() }).unwrap();
        }
        decoder.push(&AccessUnit { stamp: stamp(31), key_frame: true, data: Vec::new().into() }).unwrap();
        // And it still decodes what is right, once it has noticed what was wrong.
        let unit = encode(settings(codec), &frames(1)).swap_remove(0).unit;
        let decoded = (0..100).any(|_| {
            decoder.push(&unit).unwrap();
            pictures.recv_timeout(Duration::from_millis(50)).is_ok_and(|output| output.frame.stamp == unit.stamp)
        });
        assert!(decoded, "{codec:?}");
    }
    let huge = StreamInfo { size: UVec2::splat(1 << 20), ..default() };
    assert!(VideoDecoder::new(&huge, DecoderSettings::default(), |_| ()).is_err());
}
