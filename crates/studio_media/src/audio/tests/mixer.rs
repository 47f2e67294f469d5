//! Mixing: what is heard when, how loud, and what a late or hostile input does.

use super::*;

const STUDIO: AudioFormat = AudioFormat::STUDIO;

fn block(captured_at: UnixTime, format: AudioFormat, samples: Vec<f32>) -> AudioBlock {
    let stamp = FrameStamp { captured_at, ..Default::default() };
    AudioBlock::new(stamp, format, samples).unwrap()
}

/// Mixes what sources deliver offline.
fn mix(sources: &[&(dyn AudioSource + Sync)], channels: &[MixerChannel], gain_db: f32) -> (Vec<AudioBlock>, AudioMeters) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let send = move |block| drop(sender.send(block));
    let mixer = Mixer::new(sources.len(), CaptureClock::Offline, Duration::from_millis(60), send).unwrap();
    mixer.set(channels, gain_db, false).unwrap();
    let captures: Vec<AudioCapture> = sources
        .iter()
        .zip(mixer.inputs())
        .map(|(source, input)| {
            let input = input.clone();
            source.start(CaptureClock::Offline, Box::new(move |block| input.push(&block).is_ok())).unwrap()
        })
        .collect();
    let ends = captures.into_iter().zip(mixer.inputs().to_vec()).map(|(capture, input)| {
        std::thread::spawn(move || {
            assert_eq!(capture.wait_ended(LONG), CaptureStatus::EndOfStream);
            input.end();
        })
    });
    let ends: Vec<_> = ends.collect();
    let mut blocks = Vec::new();
    while !mixer.has_ended() {
        blocks.extend(receiver.recv_timeout(Duration::from_millis(20)));
    }
    blocks.extend(receiver.try_iter());
    ends.into_iter().for_each(|end| end.join().unwrap());
    let meters = mixer.meters();
    assert_eq!(mixer.failure(), None);
    (blocks, meters)
}

#[test]
fn sounds_of_any_rate_add_up_at_their_gains() {
    let folder = tempfile::tempdir().unwrap();
    // 440 Hz at half of full scale, 44.1 kHz mono, two seconds.
    let file = AudioFileInput { source: wav(folder.path(), 44_100), ..Default::default() };
    let tone = ToneInput { level_dbfs: -20.0, duration_s: Some(1.0), ..Default::default() };
    let channels = [MixerChannel { gain_db: -6.0, ..Default::default() }, MixerChannel::default()];
    let (blocks, meters) = mix(&[&file, &tone], &channels, 3.0);
    let sound = left(&blocks);
    assert!(sound.len().abs_diff(96_000) < 960, "as long as the longest: {}", sound.len());
    let first = &sound[4800..43_200];
    assert!((level_db(first, 48_000.0, 440.0) + 9.02).abs() < 0.2, "{}", level_db(first, 48_000.0, 440.0));
    assert!((level_db(first, 48_000.0, 1000.0) + 17.0).abs() < 0.2, "{}", level_db(first, 48_000.0, 1000.0));
    assert!(level_db(&sound[57_600..91_200], 48_000.0, 1000.0) < -60.0, "the tone has ended");
    assert!((meters.inputs[0].level.rms_dbfs + 15.05).abs() < 0.5 && !meters.limited, "{meters:?}");
    let mute = MixerChannel { mute: true, ..Default::default() };
    let (blocks, _) = mix(&[&file, &tone], &[mute], 0.0);
    let sound = left(&blocks);
    assert!(level_db(&sound[4800..43_200], 48_000.0, 440.0) < -80.0 && level_db(&sound[4800..43_200], 48_000.0, 1000.0) > -20.2);
}

#[test]
fn a_delay_moves_an_input_and_no_sum_is_cut() {
    let clap = ToneInput { sound: Sound::Clap, duration_s: Some(1.5), level_dbfs: 0.0, ..Default::default() };
    let channels = [MixerChannel { delay_ms: 250.0, ..Default::default() }];
    let (blocks, _) = mix(&[&clap, &clap], &channels, 0.0);
    let sound = left(&blocks);
    let mut onsets: Vec<usize> = Vec::new();
    for (place, sample) in sound.iter().enumerate() {
        if sample.abs() > 0.2 && onsets.last().is_none_or(|last| place - last > 4800) {
            onsets.push(place);
        }
    }
    let expected = [0, 12_000, 48_000, 60_000];
    assert_eq!(onsets.len(), 4, "{onsets:?}");
    assert!(onsets.iter().zip(expected).all(|(onset, wanted)| onset.abs_diff(wanted) < 48), "{onsets:?}");
    let sine = ToneInput { level_dbfs: 0.0, duration_s: Some(0.5), ..Default::default() };
    let (blocks, meters) = mix(&[&sine, &sine], &[], 0.0);
    assert!(blocks.iter().flat_map(AudioBlock::samples).all(|sample| sample.abs() <= 1.0) && meters.limited);
}

#[test]
fn what_was_captured_together_sounds_together_and_nobody_waits_for_the_late() {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let send = move |block| drop(sender.try_send(block));
    let mixer = Mixer::new(3, CaptureClock::Live, Duration::from_millis(60), send).unwrap();
    let start = UnixTime(UnixTime::now().0 + 100_000_000);
    let began = Instant::now();
    // Two microphones hear the same click 500 ms from now; the second hands over blocks of another length, 40 ms later. The
    // third is linked and says nothing.
    let feed = |input: Arc<MixerInput>, block_ms: u64, late_ms: u64| {
        std::thread::spawn(move || {
            for number in 0..1000 / block_ms {
                let at = number * block_ms;
                let frames = (block_ms * 48) as usize;
                let samples = (0..frames * 2).map(|place| {
                    let frame = at as usize * 48 + place / 2;
                    if (24_000..24_048).contains(&frame) { 0.4 } else { 0.0 }
                });
                let due = Duration::from_millis(100 + at + block_ms + late_ms);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                input.push(&block(UnixTime(start.0 + at * 1_000_000), STUDIO, samples.collect())).unwrap();
            }
        })
    };
    let threads = [feed(mixer.inputs()[0].clone(), 10, 0), feed(mixer.inputs()[1].clone(), 20, 30)];
    let mut click = Vec::new();
    let mut delays = Vec::new();
    while began.elapsed() < Duration::from_millis(1300) {
        let Ok(mixed) = receiver.recv_timeout(Duration::from_millis(500)) else { panic!("the mixer waits for the silent input") };
        delays.push(UnixTime::now().since(mixed.stamp.captured_at).as_secs_f64() * 1e3);
        for (place, frame) in mixed.samples().chunks(2).enumerate() {
            if frame[0].abs() > 0.1 {
                click.push((mixed.stamp.captured_at.0 + place as u64 * 20_833, frame[0]));
            }
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let both: Vec<_> = click.iter().filter(|(_, level)| (level - 0.8).abs() < 0.02).collect();
    let off_ms = (click[0].0 as f64 - (start.0 + 500_000_000) as f64) / 1e6;
    delays.sort_by(f64::total_cmp);
    eprintln!(
        "mixed {:.1} ms after capture (p50); the click {off_ms:.2} ms off; {} of 48 samples from both",
        delays[delays.len() / 2],
        both.len()
    );
    assert!(off_ms.abs() < 5.0, "{off_ms}");
    assert!(both.len() >= 24, "the two clicks lie {} samples apart", 48 - both.len());
    // A block of two seconds ago is left out, and the meter says by how much it was late.
    let old = UnixTime(UnixTime::now().0 - 2_000_000_000);
    mixer.inputs()[2].push(&block(old, STUDIO, vec![0.5; 960])).unwrap();
    let late_ms = mixer.meters().inputs[2].late_ms;
    assert!((1800.0..2100.0).contains(&late_ms), "{late_ms}");
}

#[test]
fn hostile_blocks_and_settings_are_refused_and_hold_nothing_up() {
    let started = |inputs, latency_ms| {
        Mixer::new(inputs, CaptureClock::Live, Duration::from_millis(latency_ms), |_| {})
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert!(started(0, 60).unwrap_err().contains("1 to 16") && started(17, 60).is_err() && started(2, 5000).is_err());
    let (sender, receiver) = mpsc::sync_channel(1000);
    let mixer = Mixer::new(2, CaptureClock::Live, Duration::from_millis(60), move |block| drop(sender.try_send(block))).unwrap();
    let error = mixer.set(&[MixerChannel { gain_db: f32::NAN, ..Default::default() }], 0.0, false).unwrap_err();
    assert!(error.to_string().contains("input 1"), "{error}");
    let many = AudioFormat { rate_hz: 48_000, channels: 64 };
    assert_eq!(
        mixer.inputs()[0].push(&block(UnixTime::now(), many, vec![0.0; 640])),
        Err(MixError::Audio(AudioError::Layout(64)))
    );
    for captured_at in [UnixTime(0), UnixTime(u64::MAX)] {
        mixer.inputs()[0].push(&block(captured_at, STUDIO, vec![0.5; 960])).unwrap();
    }
    // Rates and layouts that change from block to block.
    for (rate_hz, channels) in [(8000, 1), (384_000, 6), (44_100, 8), (48_000, 2)] {
        let format = AudioFormat { rate_hz, channels };
        let samples = vec![0.1; usize::from(channels) * rate_hz as usize / 50];
        mixer.inputs()[1].push(&block(UnixTime::now(), format, samples)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    // The input of the wrong clocks is heard again once they are right.
    for number in 0..30 {
        mixer.inputs()[0].push(&block(UnixTime::now(), STUDIO, vec![0.5; 960])).unwrap();
        std::thread::sleep(Duration::from_millis(if number == 0 { 0 } else { 10 }));
    }
    assert!(mixer.meters().inputs[0].level.peak_dbfs > -7.0, "{:?}", mixer.meters());
    let heard = (0..20).filter_map(|_| receiver.recv_timeout(Duration::from_secs(1)).ok()).count();
    assert_eq!((heard, mixer.failure()), (20, None));
}
