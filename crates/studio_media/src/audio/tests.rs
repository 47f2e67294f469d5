use super::*;
use crate::testing::{make_clip, run_pipeline};
use std::{f32::consts::TAU, path::Path, sync::mpsc, time::Duration};

mod mixer;

const LONG: Duration = Duration::from_secs(20);

/// Everything that a source delivers offline, and its last status.
fn drain(source: &impl AudioSource) -> (Vec<AudioBlock>, CaptureStatus) {
    let (sender, receiver) = mpsc::sync_channel(10_000);
    let capture = source.start(CaptureClock::Offline, Box::new(move |block| sender.try_send(block).is_ok())).unwrap();
    let status = capture.wait_ended(LONG);
    drop(capture);
    (receiver.iter().collect(), status)
}

/// The left channel of blocks that follow each other without a gap.
fn left(blocks: &[AudioBlock]) -> Vec<f32> {
    for pair in blocks.windows(2) {
        assert!(pair[0].end().0.abs_diff(pair[1].stamp.pts.0) < 1_000_000, "{:?} then {:?}", pair[0].stamp, pair[1].stamp);
    }
    let channels = usize::from(blocks[0].format().channels);
    blocks.iter().flat_map(|block| block.samples().iter().step_by(channels).copied()).collect()
}

/// Level of one frequency in dB relative to a full-scale sine (Goertzel's sum, written out).
fn level_db(samples: &[f32], rate_hz: f32, frequency_hz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (place, sample) in samples.iter().enumerate() {
        let angle = TAU * (frequency_hz * place as f32 / rate_hz).fract();
        re += sample * angle.cos();
        im += sample * angle.sin();
    }
    20.0 * (2.0 * (re * re + im * im).sqrt() / samples.len() as f32).max(1e-9).log10()
}

fn wav(folder: &Path, rate_hz: u32) -> String {
    let path = folder.join("sine.wav");
    run_pipeline(&format!(
        "audiotestsrc freq=440 volume=0.5 samplesperbuffer={} num-buffers=20 ! audio/x-raw,rate={rate_hz},channels=1 ! wavenc \
         ! filesink location={}",
        rate_hz / 10,
        path.display()
    ));
    path.display().to_string()
}

#[test]
fn a_tone_is_what_it_says_and_a_clap_begins_each_second() {
    let tone = ToneInput { level_dbfs: -6.0, duration_s: Some(1.0), ..Default::default() };
    let (blocks, status) = drain(&tone);
    assert_eq!(status, CaptureStatus::EndOfStream);
    let sound = left(&blocks);
    assert_eq!(sound.len(), 48_000);
    assert!((level_db(&sound, 48_000.0, 1000.0) + 6.0).abs() < 0.1 && level_db(&sound, 48_000.0, 1500.0) < -60.0);

    let (blocks, _) = drain(&ToneInput { sound: Sound::Clap, duration_s: Some(2.5), ..Default::default() });
    let loud: Vec<u64> = blocks.iter().filter(|block| block.level().peak_dbfs > -20.0).map(|block| block.stamp.pts.0).collect();
    assert_eq!(loud, [0, 1_000_000_000, 2_000_000_000]);
    let (blocks, _) = drain(&ToneInput { sound: Sound::Silence, duration_s: Some(0.1), ..Default::default() });
    assert!(blocks.iter().all(|block| block.level() == AudioLevel::default()));
}

#[test]
fn a_file_is_played_between_its_points_with_gain_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = wav(folder.path(), 44_100);
    let (blocks, status) = drain(&AudioFileInput { source: source.clone(), gain_db: -6.0, ..Default::default() });
    assert_eq!(status, CaptureStatus::EndOfStream);
    let sound = left(&blocks);
    assert_eq!((blocks[0].format(), sound.len()), (AudioFormat { rate_hz: 44_100, channels: 1 }, 88_200));
    assert!((level_db(&sound, 44_100.0, 440.0) + 12.04).abs() < 0.1);

    let part = AudioFileInput { source, start_s: 0.5, end_s: Some(1.25), ..Default::default() };
    assert!(left(&drain(&part).0).len().abs_diff(33_075) < 100);

    let (sender, receiver) = mpsc::sync_channel(0);
    let again = AudioFileInput { repeat: true, ..part };
    let capture = again.start(CaptureClock::Offline, Box::new(move |block| sender.send(block).is_ok())).unwrap();
    let played: Vec<AudioBlock> = receiver.iter().take(30).collect();
    drop(receiver);
    drop(capture);
    assert!(played.windows(2).all(|pair| pair[1].stamp.pts > pair[0].stamp.pts), "time goes on across the loop");
}

#[test]
fn what_is_no_sound_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = |source: &dyn AudioSource| {
        let capture = match source.start(CaptureClock::Offline, Box::new(|_| true)) {
            Ok(capture) => capture,
            Err(error) => return error,
        };
        match capture.wait_ended(LONG) {
            CaptureStatus::Failed { error, .. } => error,
            other => panic!("no error but {other:?}"),
        }
    };
    let clip = make_clip(folder.path(), "mute.mp4", 10, 320, 160).display().to_string();
    let file = |source: &str| AudioFileInput { source: source.into(), ..Default::default() };
    assert_eq!(error(&file(&clip)), CaptureError::NoSound(clip.clone()));
    assert!(matches!(error(&file("/no/such.wav")), CaptureError::Missing { .. }));
    assert!(matches!(error(&AudioFileInput { gain_db: 99.0, ..file(&clip) }), CaptureError::Setting(_)));
    assert!(matches!(error(&ToneInput { frequency_hz: f32::NAN, ..Default::default() }), CaptureError::Setting(_)));
    let microphone = MicrophoneInput { device: "no such device".into(), ..Default::default() };
    assert!(matches!(error(&microphone), CaptureError::NoMicrophone { .. }));
}

/// There is no microphone on a machine that runs tests: a live test source goes the same way.
#[test]
fn a_microphone_delivers_as_it_comes() {
    let device = "gst:audiotestsrc is-live=true freq=500 volume=0.25 ! audio/x-raw,rate=48000,channels=1".into();
    let (sender, receiver) = mpsc::sync_channel(1000);
    let microphone = MicrophoneInput { device, gain_db: 6.0 };
    let capture = microphone.start(CaptureClock::Live, Box::new(move |block| sender.try_send(block).is_ok())).unwrap();
    let blocks: Vec<AudioBlock> = (0..20).map(|_| receiver.recv_timeout(LONG).unwrap()).collect();
    drop(capture);
    assert!((level_db(&left(&blocks), 48_000.0, 500.0) + 6.04).abs() < 0.3);
    let age = UnixTime::now().since(blocks[0].stamp.captured_at);
    assert!(age < Duration::from_secs(10), "captured {age:?} ago");
}

/// Encodes blocks; what the stream is, and its access units.
fn encode(blocks: &[AudioBlock], codec: AudioCodec, provider: &str) -> (Arc<AudioStreamInfo>, Vec<AccessUnit>) {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let settings = AudioEncoderSettings { codec, provider: provider.into(), ..Default::default() };
    let encoder = AudioEncoder::new(&settings, AudioFormat::STUDIO, QueuePolicy::Block, move |info, unit| {
        sender.send((info.clone(), unit)).unwrap();
    })
    .unwrap();
    blocks.iter().for_each(|block| encoder.push(block).unwrap());
    encoder.finish().unwrap();
    let (infos, units): (Vec<_>, Vec<_>) = receiver.iter().unzip();
    (infos[0].clone(), units)
}

#[test]
fn both_codecs_keep_the_sound_and_its_time() {
    for codec in [AudioCodec::Opus, AudioCodec::Aac] {
        let (blocks, _) = drain(&ToneInput { duration_s: Some(1.0), ..Default::default() });
        let (info, units) = encode(&blocks, codec, "auto");
        let first = &units[0];
        assert_eq!((info.codec, info.format), (codec, AudioFormat::STUDIO));
        assert!(!info.config.is_empty() && first.key_frame);
        assert!(first.stamp.pts.0 < 22_000_000, "{codec:?} begins at {:?}", first.stamp.pts);
        assert!(units.windows(2).all(|pair| pair[1].stamp.pts > pair[0].stamp.pts));
        let end = units[units.len() - 1].stamp.pts.0;
        // voaacenc keeps what it looks ahead, 33 ms, to itself at the end.
        assert!((900_000_000..1_100_000_000).contains(&end), "{codec:?} ends at {end}");
        let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
        assert!(bytes > 1000 && bytes < 40_000, "{codec:?}: {bytes} bytes");
    }
    let error = AudioEncoder::new(
        &AudioEncoderSettings { provider: "nothing".into(), ..Default::default() },
        AudioFormat::STUDIO,
        QueuePolicy::Block,
        |_, _| {},
    );
    assert!(matches!(error.err(), Some(crate::encode::EncodeError::UnknownAudioProvider { .. })));
}

/// Decodes access units, from number `first` on.
fn decode(info: &AudioStreamInfo, units: &[AccessUnit], first: usize) -> Vec<AudioBlock> {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let decoder = AudioDecoder::new(info, QueuePolicy::Block, move |block| sender.send(block).unwrap()).unwrap();
    units[first..].iter().for_each(|unit| decoder.push(unit).unwrap());
    decoder.finish();
    receiver.iter().collect()
}

/// When samples of the left channel first exceed `threshold`, in seconds of the time line, for each second.
fn onsets(blocks: &[AudioBlock], threshold: f32) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    for block in blocks {
        let start = block.stamp.pts.0 as f64 / 1e9;
        for (place, frame) in block.samples().chunks(usize::from(block.format().channels)).enumerate() {
            let time = start + place as f64 / f64::from(block.format().rate_hz);
            if frame[0].abs() > threshold && found.last().is_none_or(|last| time - last > 0.5) {
                found.push(time);
            }
        }
    }
    found
}

#[test]
fn decoding_starts_anywhere_and_goes_on_after_damage() {
    for codec in [AudioCodec::Opus, AudioCodec::Aac] {
        let (blocks, _) = drain(&ToneInput { duration_s: Some(1.0), ..Default::default() });
        let (info, units) = encode(&blocks, codec, "auto");
        for first in [0, 1, 20] {
            let heard = decode(&info, &units, first);
            assert_eq!(heard.len(), units.len() - first, "{codec:?}: a block for each unit");
            assert_eq!(heard[0].stamp, units[first].stamp);
            assert!((level_db(&left(&heard[2..heard.len() - 3]), 48_000.0, 1000.0) + 12.0).abs() < 0.5, "{codec:?} from {first}");
        }
        let mut damaged = units.clone();
        for place in [5, 6, 7, 20] {
            damaged[place].data = vec![0xff_u8; 40 + place].into();
        }
        damaged[30].data = Default::default();
        let heard = decode(&info, &damaged, 0);
        assert_eq!(heard.last().map(|block| block.stamp), units.last().map(|unit| unit.stamp), "{codec:?}");
    }
}

#[test]
fn sound_that_cannot_be_decoded_is_told() {
    let refused = |info: AudioStreamInfo| AudioDecoder::new(&info, QueuePolicy::Block, |_| {}).err().unwrap().to_string();
    let eight = AudioFormat { channels: 8, ..AudioFormat::STUDIO };
    assert!(refused(AudioStreamInfo { format: eight, ..Default::default() }).contains("8 channels"));
    assert!(refused(AudioStreamInfo::default()).contains("OpusHead"));
    assert!(refused(AudioStreamInfo { codec: AudioCodec::Aac, ..Default::default() }).contains("AudioSpecificConfig"));
    let never = AudioFormat { rate_hz: 1, channels: 2 };
    assert!(refused(AudioStreamInfo { format: never, ..Default::default() }).contains("rate"));
}

#[test]
fn a_player_keeps_time_and_tells_why_it_does_not_play() {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let tone = ToneInput { duration_s: Some(0.5), ..Default::default() };
    let capture = tone.start(CaptureClock::Live, Box::new(move |block| sender.try_send(block).is_ok())).unwrap();
    let settings = OutputSettings { provider: "fakesink".into(), device: String::new(), delay_ms: 20.0 };
    let player = AudioPlayer::start(settings.clone(), 1.0).unwrap();
    receiver.iter().take(50).for_each(|block| player.play(&block));
    drop(capture);
    // Blocks that come while the sink opens are old when it has.
    let patience = Instant::now() + LONG;
    while player.stats().blocks < 25 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    let stats = player.stats();
    assert!((25..=50).contains(&stats.blocks) && stats.dropped == 0 && player.failure().is_none(), "{stats:?}");

    let block = AudioBlock::new(FrameStamp::default(), AudioFormat::STUDIO, vec![0.0; 960]).unwrap();
    let why = |provider: &str| {
        let player = AudioPlayer::start(OutputSettings { provider: provider.into(), ..settings.clone() }, 1.0).unwrap();
        player.play(&block);
        std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(5));
            player.failure()
        })
        .take(4000)
        .find_map(|failure| failure)
        .unwrap()
    };
    // Where there is a card, it plays; elsewhere this says so.
    let player = AudioPlayer::start(OutputSettings { provider: "auto".into(), ..settings.clone() }, 0.0).unwrap();
    player.play(&block);
    while player.stats().blocks == 0 && player.failure().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(player.failure(), None | Some(OutputError::NoCard)), "{:?}", player.failure());
    assert!(matches!(why("no such sink"), OutputError::Runtime(_)));
    assert!(matches!(why("videotestsrc"), OutputError::Runtime(_)));
    let late = AudioPlayer::start(OutputSettings { delay_ms: f32::NAN, ..settings.clone() }, 1.0);
    assert!(matches!(late.err(), Some(OutputError::Setting(_))));
}

#[test]
fn a_clap_is_heard_when_its_flash_is_seen() {
    use crate::capture::{CaptureSource, TestPatternInput};
    let pattern = TestPatternInput { size: (256, 128).into(), frames: Some(70), flash: true, ..Default::default() };
    let capture = pattern.start(CaptureClock::Offline).unwrap();
    let frames = std::iter::from_fn(|| capture.frames().recv_timeout(LONG).ok());
    let flashes: Vec<f64> = frames
        .filter(|frame| frame.row(0, 127).iter().all(|luma| *luma == 235))
        .map(|frame| frame.stamp.pts.0 as f64 / 1e9)
        .collect();
    assert_eq!(flashes.len(), 3, "{flashes:?}");
    let (blocks, _) = drain(&ToneInput { sound: Sound::Clap, duration_s: Some(2.4), ..Default::default() });
    for (codec, provider) in [(AudioCodec::Opus, "auto"), (AudioCodec::Aac, "auto"), (AudioCodec::Aac, "avenc_aac")] {
        let (info, units) = encode(&blocks, codec, provider);
        let (claps, element) = (onsets(&decode(&info, &units, 0), 0.1), provider);
        // AAC may lose the very first sound of a time line; see the encoder.
        assert!(claps.len() >= flashes.len() - 1, "{element}: {claps:?}");
        let late_ms: Vec<f64> = claps.iter().map(|clap| (clap - flashes[clap.round() as usize]) * 1e3).collect();
        eprintln!("{codec:?} by {element}: claps come {late_ms:.2?} ms after their flashes");
        assert!(late_ms.iter().all(|late| late.abs() < 20.0), "{element}: {late_ms:?}");
    }
}
