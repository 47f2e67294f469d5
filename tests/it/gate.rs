//! The picture in the viewer against the picture that was sent.

use crate::tap::{self, Kept, Pictures, Tap};
use bevy::prelude::*;
use neural_studio::prelude::*;
use std::time::{Duration, Instant};

const SIZE: UVec2 = UVec2::new(640, 320);
const FRAMES: usize = 24;
/// What every plane of every picture must reach, in dB.
const GATE_DB: f64 = 35.0;

/// What goes through the pipeline.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// The real clip, stitched.
    Clip,
    /// Colour bars, in which a wrong matrix shows most.
    Bars,
}

/// Streams over WebTransport on loopback, coded as `coded`; the viewer reads it as the stream says, or as `read_as`. Returns
/// what was sent and what the viewer has.
fn stream(content: Content, coded: ColorInfo, read_as: Option<ColorInfo>) -> (Vec<Kept>, Vec<Kept>) {
    let mut studio = tap::app();
    studio.insert_resource(StudioClock::Offline);
    let sent = tap::Shared::default();
    let world = studio.world_mut();
    let last = match content {
        Content::Clip => {
            let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
            let rig = Rig::read(format!("{assets}/rigs/gear360.rig.ron").as_ref()).expect("the shipped rig");
            let rig = world.resource_mut::<Assets<Rig>>().add(rig);
            let source = world
                .spawn(VideoFileInput { source: format!("{assets}/clips/gear360_sway.mp4"), repeat: true, ..default() })
                .id();
            let stitch = world
                .spawn(Stitch { rig, pictures: 1, settings: StitchSettings::equirectangular(SIZE.x, SIZE.y), ..default() })
                .id();
            world.flush();
            connect(world, source, "frame", stitch, "picture 1").expect("links");
            (stitch, "picture")
        }
        Content::Bars => {
            let source = world.spawn(TestPatternInput { size: SIZE, ..default() }).id();
            let convert = world.spawn(ColorConvert).id();
            world.flush();
            connect(world, source, "frame", convert, "frame").expect("links");
            (convert, "frame")
        }
    };
    let mark = world.spawn(LatencyMark::default()).id();
    let tap_node = world.spawn(Tap { pictures: sent.clone() }).id();
    let encoder = world.spawn(VideoEncoder { bitrate_bps: 12_000_000, color: coded, ..default() }).id();
    let output = world.spawn(WebTransportOutput { bind: "127.0.0.1:0".to_owned(), ..default() }).id();
    world.flush();
    for (from, out, to, input) in [
        (last.0, last.1, mark, "frame"),
        (mark, "frame", tap_node, "frame"),
        (mark, "frame", encoder, "frame"),
        (encoder, "packets", output, "packets"),
    ] {
        connect(world, from, out, to, input).expect("links");
    }

    let mut viewer = tap::app();
    let seen = tap::Shared::default();
    let start = Instant::now();
    let count = |pictures: &tap::Shared| pictures.lock().expect("unpoisoned").order.len();
    let newest = |pictures: &tap::Shared| pictures.lock().expect("unpoisoned").order.last().copied();
    let sent_last = |pictures: &tap::Shared| pictures.lock().expect("unpoisoned").taken;
    let (mut watching, mut settled, mut stuck_since) = (false, false, Instant::now());
    while !settled || count(&seen) < FRAMES {
        assert!(start.elapsed() < Duration::from_secs(90), "{content:?}: {} of {FRAMES} pictures came", count(&seen));
        // One picture under way at a time: a live viewer passes one over that the next is due with, and here every one is compared.
        let arrived = newest(&seen).is_some() && newest(&seen) == sent_last(&sent);
        if arrived && !settled {
            // Those of before, while the viewer joined, do not matter.
            settled = true;
            seen.lock().expect("unpoisoned").order.clear();
            sent.lock().expect("unpoisoned").order.clear();
        }
        let joining = !settled && (newest(&seen).is_none() || stuck_since.elapsed() > Duration::from_secs(2));
        if arrived || joining || newest(&seen) == sent_last(&sent) {
            stuck_since = Instant::now();
            studio.update();
        }
        let link = studio.world().get::<WebTransportStatus>(output).and_then(|status| status.viewer_link.clone());
        if let (false, Some(link)) = (watching, link) {
            let world = viewer.world_mut();
            let input = world.spawn(StreamInput { link, color: read_as, ..default() }).id();
            let convert = world.spawn(ColorConvert).id();
            let tap_node = world.spawn(Tap { pictures: seen.clone() }).id();
            world.flush();
            connect(world, input, "frame", convert, "frame").expect("links");
            connect(world, convert, "frame", tap_node, "frame").expect("links");
            watching = true;
        }
        viewer.update();
        std::thread::sleep(Duration::from_millis(2));
    }
    let Pictures { frames, order, .. } = core::mem::take(&mut *seen.lock().expect("unpoisoned"));
    assert!(order.windows(2).all(|pair| pair[1] > pair[0]), "{content:?}: the pictures came in this order: {order:?}");
    let gaps = order.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(gaps, 0, "{content:?}: pictures are missing: {order:?}");
    let sent = sent.lock().expect("unpoisoned");
    let sources = order.iter().map(|id| sent.frames[id].clone()).collect();
    (sources, order.iter().map(|id| frames[id].clone()).collect())
}

/// PSNR of each plane (Y′, Cb, Cr by BT.709), in dB.
fn psnr_per_plane(source: &Kept, viewer: &Kept) -> [f64; 3] {
    assert_eq!(source.size, viewer.size);
    let map = ColorInfo::BT709.yuv_from_rgb(8);
    let yuv = |pixel: &[u8]| map.apply(Vec3::new(f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2])) / 255.0) * 255.0;
    let mut squares = [0_f64; 3];
    for (was, is) in source.rgba.chunks_exact(4).zip(viewer.rgba.chunks_exact(4)) {
        let difference = (yuv(was) - yuv(is)).to_array();
        squares.iter_mut().zip(difference).for_each(|(sum, value)| *sum += f64::from(value * value));
    }
    squares.map(|sum| 10.0 * (255.0_f64.powi(2) / (sum / f64::from(source.size.element_product())).max(1e-9)).log10())
}

/// The gate: stamps equal, and every plane of every picture at least [`GATE_DB`]. Returns the worst planes.
fn gate(sources: &[Kept], viewers: &[Kept]) -> (bool, [f64; 3]) {
    let stamps_equal = sources.iter().zip(viewers).all(|(source, viewer)| {
        // The wire carries microseconds.
        let micros = |stamp: FrameStamp| (stamp.frame_id, stamp.captured_at.as_micros(), stamp.pts.as_micros());
        micros(source.stamp) == micros(viewer.stamp)
    });
    let worst = sources
        .iter()
        .zip(viewers)
        .map(|(source, viewer)| psnr_per_plane(source, viewer))
        .fold([f64::MAX; 3], |worst, planes| core::array::from_fn(|plane| worst[plane].min(planes[plane])));
    (stamps_equal && worst.iter().all(|plane| *plane >= GATE_DB), worst)
}

fn red_and_blue_swapped(pictures: &[Kept]) -> Vec<Kept> {
    let mut pictures = pictures.to_vec();
    pictures.iter_mut().for_each(|picture| picture.rgba.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2)));
    pictures
}

fn told(name: &str, (open, worst): (bool, [f64; 3])) -> bool {
    println!("{name}: Y {:.1} Cb {:.1} Cr {:.1} dB, gate {}", worst[0], worst[1], worst[2], if open { "open" } else { "shut" });
    open
}

#[test]
fn the_viewer_shows_what_was_sent_and_the_gate_shuts_on_faults() {
    let _alone = crate::alone();
    for content in [Content::Clip, Content::Bars] {
        let (sources, viewers) = stream(content, ColorInfo::BT709, None);
        assert!(told(&format!("{content:?} as sent"), gate(&sources, &viewers)), "{content:?} is not what was sent");
        assert!(!told(&format!("{content:?} red and blue swapped"), gate(&sources, &red_and_blue_swapped(&viewers))));
        if matches!(content, Content::Clip) {
            let late: Vec<Kept> = viewers[..viewers.len() - 1]
                .iter()
                .zip(&viewers[1..])
                .map(|(late, due)| Kept { stamp: due.stamp, ..late.clone() })
                .collect();
            assert!(!told("Clip one frame late", gate(&sources[1..], &late)));
        }
        let full = ColorInfo { range: ColorRange::Full, ..ColorInfo::BT709 };
        let (sources, viewers) = stream(content, full, Some(ColorInfo::BT709));
        assert!(!told(&format!("{content:?} full range read as limited"), gate(&sources, &viewers)));
    }
    let bt601 = ColorInfo { matrix: ColorMatrix::Bt601, ..ColorInfo::BT709 };
    let (sources, viewers) = stream(Content::Bars, bt601, None);
    assert!(told("Bars BT.601 read as what they say", gate(&sources, &viewers)));
    let (sources, viewers) = stream(Content::Bars, bt601, Some(ColorInfo::BT709));
    assert!(!told("Bars BT.601 read as BT.709", gate(&sources, &viewers)));
}
