use super::*;
use proptest::prelude::*;

fn any_catalog() -> impl Strategy<Value = StreamCatalog> {
    let projection = prop_oneof![
        Just(PictureProjection::Equirectangular),
        Just(PictureProjection::HalfEquirectangular),
        Just(PictureProjection::CubeMap),
        (1.0_f32..360.0).prop_map(|fov_deg| PictureProjection::Fisheye { fov_deg }),
        (1.0_f32..179.0).prop_map(|fov_deg| PictureProjection::Rectilinear { fov_deg }),
    ];
    let codec = prop_oneof![
        Just((VideoCodec::H264, "avc1.42c01f")),
        Just((VideoCodec::H264, "")),
        Just((VideoCodec::H265, "hev1.1.6.L120.90")),
        Just((VideoCodec::Av1, "av01.0.08M.08")),
        Just((VideoCodec::Av1, "")),
    ];
    let stereo = prop_oneof![Just(StereoLayout::Mono), Just(StereoLayout::TopBottom), Just(StereoLayout::LeftRight)];
    let color = (
        prop_oneof![Just(ColorMatrix::Bt601), Just(ColorMatrix::Bt709), Just(ColorMatrix::Bt2020)],
        prop_oneof![Just(ColorRange::Limited), Just(ColorRange::Full)],
        prop_oneof![
            Just(ColorPrimaries::Bt709),
            Just(ColorPrimaries::Smpte170m),
            Just(ColorPrimaries::Bt2020),
            Just(ColorPrimaries::DisplayP3)
        ],
        prop_oneof![
            Just(TransferFunction::Bt709),
            Just(TransferFunction::Srgb),
            Just(TransferFunction::Pq),
            Just(TransferFunction::Hlg)
        ],
    )
        .prop_map(|(matrix, range, primaries, transfer)| ColorInfo { matrix, range, primaries, transfer });
    let info = (codec, projection, stereo, color, 1_u32..=MAX_SIDE_PX, 1_u32..=MAX_SIDE_PX, 1.0_f32..240.0, any::<u32>())
        .prop_map(|((codec, codec_string), projection, stereo, color, width, height, frame_rate_hz, bitrate_bps)| StreamInfo {
            codec,
            codec_string: codec_string.into(),
            size: UVec2::new(width, height),
            frame_rate_hz,
            color,
            projection,
            stereo,
            bitrate_bps,
        });
    let motion = (1_usize..MAX_TILE_TRACKS, 1_u32..900, 1_u32..400).prop_map(|(tracks, columns, rows)| MotionTracks {
        tiles: (0..tracks).map(|index| format!("motion.{index}")).collect(),
        coarse: "motion.coarse".into(),
        grid: UVec2::new(columns, rows),
        picture_size: UVec2::new(columns, rows) * 8,
    });
    let sound = (prop::bool::ANY, 8_000_u32..=384_000, 1_u16..=64, any::<u32>(), prop::collection::vec(any::<u8>(), 0..64))
        .prop_map(|(aac, rate_hz, channels, bitrate_bps, config)| AudioStreamInfo {
            codec: if aac { AudioCodec::Aac } else { AudioCodec::Opus },
            format: AudioFormat { rate_hz, channels },
            bitrate_bps,
            config: config.into(),
        });
    (any::<u64>(), prop::collection::vec(info, 0..5), prop::option::of(sound), prop::option::of(motion)).prop_map(
        |(session, infos, sound, motion)| StreamCatalog {
            session,
            renditions: renditions(&infos),
            audio: sound.map(|info| AudioTrack { track: "audio.0".into(), info }),
            motion,
        },
    )
}

/// Renditions that differ in what they may differ in. The names are in the order that they are read in.
fn renditions(infos: &[StreamInfo]) -> Vec<VideoTrack> {
    let shown = infos.first().map(|info| (info.projection, info.stereo, info.color)).unwrap_or_default();
    let alike = |info: &StreamInfo| StreamInfo { projection: shown.0, stereo: shown.1, color: shown.2, ..info.clone() };
    infos.iter().enumerate().map(|(at, info)| VideoTrack { track: format!("video.{at}"), info: alike(info) }).collect()
}

proptest! {
    #[test]
    fn catalogs_round_trip(catalog in any_catalog()) {
        let json = catalog.to_json().expect("in range");
        prop_assert!(json.len() < 4096);
        prop_assert_eq!(StreamCatalog::parse(&json).expect("what was written is read"), catalog);
    }

    #[test]
    fn damaged_catalogs_do_no_harm(catalog in any_catalog(), at: prop::sample::Index, byte: u8) {
        let mut json = catalog.to_json().expect("in range");
        let at = at.index(json.len());
        json[at] = byte;
        let _ = StreamCatalog::parse(&json);
        let _ = StreamCatalog::parse(&json[..at]);
    }
}

#[test]
fn other_players_can_read_it() {
    let info =
        StreamInfo { codec_string: "avc1.42c01f".into(), size: UVec2::new(1280, 640), frame_rate_hz: 30.0, ..Default::default() };
    let sound = AudioStreamInfo { bitrate_bps: 128_000, config: (&b"OpusHead"[..]).into(), ..Default::default() };
    let catalog = StreamCatalog {
        session: 1,
        renditions: vec![VideoTrack { track: "video.0".into(), info }],
        audio: Some(AudioTrack { track: "audio.0".into(), info: sound }),
        motion: None,
    };
    let plain: Catalog = Catalog::from_slice(&catalog.to_json().expect("in range")).expect("a hang catalog");
    let config = &plain.video.renditions["video.0"];
    assert_eq!((config.codec.kind(), &config.container, config.coded_width), (VideoCodecKind::H264, &Container::Loc, Some(1280)));
    let config = &plain.audio.renditions["audio.0"];
    assert_eq!((config.codec.to_string(), config.sample_rate, config.channel_count), ("opus".into(), 48_000, 2));
    assert_eq!(
        (config.bitrate, config.description.as_deref(), &config.container),
        (Some(128_000), Some(&b"OpusHead"[..]), &Container::Loc)
    );
}

#[test]
fn hostile_values_are_refused() {
    let text = |immersive: &str, video: &str| format!(r#"{{"video":{{"renditions":{{{video}}}}},"immersive":{immersive}}}"#);
    let head = r#""version":1,"session":"0f""#;
    let refused = |json: String| StreamCatalog::parse(json.as_bytes()).expect_err(&json);
    assert!(matches!(refused(r#"{"video":{"renditions":{}}}"#.into()), CatalogError::NotImmersive));
    assert!(matches!(refused(text(r#"{"version":9,"session":"0"}"#, "")), CatalogError::Version(9)));
    let motion = |grid: &str, tiles: &str| {
        text(&format!(r#"{{{head},"motion":{{"tiles":[{tiles}],"coarse":"c","grid":{grid},"picture":[8,8]}}}}"#), "")
    };
    assert!(matches!(refused(motion("[4294967295,4294967295]", r#""t""#)), CatalogError::Range(_)));
    assert!(matches!(refused(motion("[1,1]", "")), CatalogError::Range(_)));
    assert!(matches!(refused(motion("[1,1]", r#""../x""#)), CatalogError::Range(_)));
    let video = |size: &str, fov: &str| {
        let color = r#"{"matrix":"bt709","fullRange":false,"primaries":"bt709","transfer":"bt709"}"#;
        let ours = format!(
            r#""video":{{"track":"v","codec":"","projection":{{"kind":"fisheye","fovDeg":{fov}}},"stereo":"mono","color":{color}}}"#
        );
        text(&format!("{{{head},{ours}}}"), &format!(r#""v":{{"codec":"h264","codedWidth":{size},"codedHeight":1}}"#))
    };
    assert!(StreamCatalog::parse(video("1", "190").as_bytes()).is_ok());
    assert!(matches!(refused(video("4000000", "190")), CatalogError::Range(_)));
    assert!(matches!(refused(video("1", "1e30")), CatalogError::Range(_)));
    let audio = |codec: &str, rate: &str, channels: &str, description: &str| {
        let config =
            format!(r#""codec":"{codec}","sampleRate":{rate},"numberOfChannels":{channels},"description":"{description}""#);
        format!(r#"{{"audio":{{"renditions":{{"a":{{{config}}}}}}},"immersive":{{{head},"audio":{{"track":"a"}}}}}}"#)
    };
    let heard = StreamCatalog::parse(audio("mp4a.40.2", "44100", "1", "1208").as_bytes()).expect("sound").audio.expect("sound");
    assert_eq!((heard.info.codec, &heard.info.config[..]), (AudioCodec::Aac, &[0x12, 8][..]));
    assert!(matches!(refused(audio("opus", "4294967295", "2", "")), CatalogError::Range(_)));
    assert!(matches!(refused(audio("opus", "48000", "70000", "")), CatalogError::Range(_)));
    assert!(matches!(refused(audio("opus", "48000", "0", "")), CatalogError::Range(_)));
    assert!(matches!(refused(audio("opus", "48000", "2", &"00".repeat(2000))), CatalogError::Range(_)));
    assert!(matches!(refused(audio("ac-3", "48000", "2", "")), CatalogError::Codec(_)));
    assert!(matches!(refused(audio("mp4a.40.5", "48000", "2", "")), CatalogError::Codec(_)));
    assert!(matches!(refused(format!(r#"{{"immersive":{{{head},"audio":{{"track":"b"}}}}}}"#)), CatalogError::Range(_)));
    assert!(matches!(StreamCatalog::parse(&vec![b' '; MAX_CATALOG_BYTES + 1]), Err(CatalogError::TooLarge(_))));
}

#[test]
fn renditions_of_strangers_are_read_as_far_as_they_can_be_shown() {
    let small = StreamInfo {
        codec_string: "avc1.42c01e".into(),
        size: UVec2::new(640, 320),
        bitrate_bps: 1_000_000,
        ..Default::default()
    };
    let large = StreamInfo {
        codec_string: "av01.0.08M.08".into(),
        codec: VideoCodec::Av1,
        size: UVec2::new(3840, 1920),
        ..Default::default()
    };
    let tracks = [("video.1", large), ("video.0", small)].map(|(track, info)| VideoTrack { track: track.into(), info });
    let catalog = StreamCatalog { session: 1, renditions: tracks.to_vec(), ..Default::default() };
    let json = String::from_utf8(catalog.to_json().expect("in range")).expect("text");
    let read = StreamCatalog::parse(json.as_bytes()).expect("read");
    assert_eq!(read.renditions, catalog.renditions, "the preferred one first, each spelled as it was");
    let other = json.replace("avc1.42c01e", "vp09.00.10.08");
    let read = StreamCatalog::parse(other.as_bytes()).expect("the other one can be shown");
    assert_eq!(read.renditions.iter().map(|track| track.track.as_str()).collect::<Vec<_>>(), ["video.1"]);
    assert!(matches!(
        StreamCatalog::parse(json.replace("av01.0.08M.08", "vp09.00.10.08").as_bytes()),
        Err(CatalogError::Codec(_))
    ));
    assert!(matches!(StreamCatalog::parse(json.replace("640", "64000000").as_bytes()), Err(CatalogError::Range(_))));
    let many: String = (0..64).map(|at| format!(r#""v{at}":{{"codec":"h264","codedWidth":2,"codedHeight":2}},"#)).collect();
    let many = json.replacen(r#""video.0":{"#, &format!(r#"{many}"video.0":{{"#), 1);
    assert!(matches!(StreamCatalog::parse(many.as_bytes()), Err(CatalogError::Format(_))));
}
