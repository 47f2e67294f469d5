use super::SeamOffsets;
use crate::{
    rig::{Crop, PreparedRig, Rig},
    stitch::{
        StitchBlend, StitchMap, StitchSeams, StitchSettings,
        reference::Image,
        tests::{
            feed::{Feed, world},
            gear360, upload_rgba,
        },
    },
};
use bevy::math::{DVec2, DVec3, UVec2};
use core::f64::consts::{PI, TAU};
use studio_gpu::picture::GpuPicture;

const SIZE: UVec2 = UVec2::new(1280, 640);
const RIG_SIZE: UVec2 = UVec2::new(960, 480);
const FOV_DEG: f64 = 200.0;
/// Half of what the two lenses are apart, in metres.
const APART_M: f64 = 0.03;
/// A ball at arm's length.
const BALL_M: f64 = 0.05;
const DISTANCE_M: f64 = 1.0;

fn settings(seams: StitchSeams, blend: StitchBlend) -> StitchSettings {
    StitchSettings { seams, blend, ..StitchSettings::equirectangular(SIZE.x, SIZE.y) }
}

fn at_degrees(degrees: f64) -> DVec3 {
    let (sin, cos) = degrees.to_radians().sin_cos();
    DVec3::new(sin, 0.0, cos)
}

/// Where a lens of the two stands.
fn stand(lens: usize) -> DVec3 {
    DVec3::Z * if lens == 0 { APART_M } else { -APART_M }
}

/// What is seen from a place in a direction: a striped ball, so many degrees to the right, before the world. Whether it is the ball.
fn look(from: DVec3, direction: DVec3, ball_deg: f64) -> (DVec3, bool) {
    let middle = at_degrees(ball_deg) * DISTANCE_M - from;
    let nearest = direction * middle.dot(direction);
    let beside = nearest - middle;
    if middle.dot(direction) > 0.0 && beside.length() < BALL_M {
        let stripe = 0.5 + 0.5 * ((beside.y + beside.x - beside.z) * 90.0).sin();
        return (DVec3::new(0.1, 0.15, 0.5).lerp(DVec3::new(0.85, 0.7, 0.2), stripe), true);
    }
    (world(direction, 0.0), false)
}

/// What the two lenses film, with noise of so many code values.
fn film(rig: &Rig, ball_deg: f64, noise: f64, seed: u32) -> GpuPicture {
    let prepared = PreparedRig::new(rig).expect("valid");
    upload_rgba(&Image::from_fn(RIG_SIZE, |pixel| {
        let lens = usize::from(pixel.x > f64::from(RIG_SIZE.x) / 2.0);
        let number = (pixel.x as u32 * 7919 + pixel.y as u32 * 104_729 + seed * 1_299_709).wrapping_mul(2_654_435_761) >> 16;
        let grain = noise * (f64::from(number) / 65535.0 - 0.5) * 2.0 / 255.0;
        let direction = prepared.lenses.get(lens).and_then(|lens| lens.direction(pixel));
        direction.map_or(DVec3::ZERO, |direction| look(stand(lens), direction, ball_deg).0 + grain)
    }))
}

/// What one of the lenses sees on the whole sphere, and where it sees the ball.
fn seen_by(lens: usize, ball_deg: f64) -> (Image, Vec<bool>) {
    let direction = |point: DVec2| {
        let (lon, lat) = ((point.x / f64::from(SIZE.x) - 0.5) * TAU, (0.5 - point.y / f64::from(SIZE.y)) * PI);
        DVec3::new(lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos())
    };
    let is_ball = (0..SIZE.element_product())
        .map(|index| look(stand(lens), direction(UVec2::new(index % SIZE.x, index / SIZE.x).as_dvec2() + 0.5), ball_deg).1);
    (Image::from_fn(SIZE, |point| look(stand(lens), direction(point), ball_deg).0), is_ball.collect())
}

#[test]
fn a_thing_that_moves_through_the_overlap_is_not_cut() {
    let rig = Rig::dual_fisheye(RIG_SIZE.to_array(), FOV_DEG);
    // From the front lens alone through both to the back lens alone, a degree a frame.
    let path: Vec<f64> = (0..30).map(|frame| 75.0 + f64::from(frame)).collect();
    let truths: Vec<_> = path.iter().map(|ball_deg| [0, 1].map(|lens| seen_by(lens, *ball_deg))).collect();
    let inputs: Vec<_> = path.iter().map(|ball_deg| film(&rig, *ball_deg, 0.0, 0)).collect();
    // For each frame, how near the ball and its surroundings are to what either lens sees of it.
    let psnrs = |seams, blend| -> Vec<f64> {
        let mut feed = Feed::new(&rig, &settings(seams, blend));
        let psnr = |(input, truth): (&GpuPicture, &[(Image, Vec<bool>); 2])| {
            feed.frame(core::slice::from_ref(input));
            let picture = feed.picture();
            let ball = |x: u32, y: u32| truth.iter().any(|(_, is_ball)| is_ball[(y * SIZE.x + x) as usize]);
            truth.iter().map(|(truth, _)| picture.psnr_where(truth, ball)).fold(f64::MIN, f64::max)
        };
        inputs.iter().zip(&truths).map(psnr).collect()
    };
    for blend in [StitchBlend::Nearest, StitchBlend::MultiBand { bands: 3 }] {
        let [fixed, adaptive] = [StitchSeams::Fixed, StitchSeams::Adaptive].map(|seams| psnrs(seams, blend));
        // In the first frames one lens alone sees it.
        let cut = |psnrs: &[f64]| psnrs.iter().filter(|psnr| **psnr < fixed[0] - 4.0).count();
        let worst = |psnrs: &[f64]| psnrs.iter().copied().fold(f64::MAX, f64::min);
        let rounded = |psnrs: &[f64]| psnrs.iter().map(|psnr| psnr.round() as i32).collect::<Vec<_>>();
        println!("{blend:?}: fixed at worst {:.1} dB {:?}", worst(&fixed), rounded(&fixed));
        println!("{blend:?}: adaptive at worst {:.1} dB {:?}", worst(&adaptive), rounded(&adaptive));
        assert!(cut(&fixed) >= 6, "the test sees cuts");
        assert!(cut(&adaptive) <= cut(&fixed) / 2, "{} frames cut of {}", cut(&adaptive), cut(&fixed));
        assert!(worst(&adaptive) > worst(&fixed) + 3.0);
    }
}

#[test]
fn seams_of_a_still_scene_hold_still() {
    let rig = Rig::dual_fisheye(RIG_SIZE.to_array(), FOV_DEG);
    let mut feed = Feed::new(&rig, &settings(StitchSeams::Adaptive, StitchBlend::Nearest));
    let seams = |feed: &Feed| -> Vec<f32> {
        feed.pass.watch().and_then(|watch| watch.seams()).expect("seams").iter().flat_map(|seam| seam.degrees.to_vec()).collect()
    };
    let mut first = None;
    // A ball beside the middle, and two code values of noise.
    for frame in 0..60 {
        feed.frame(&[film(&rig, 93.0, 2.0, frame)]);
        if frame >= 1 {
            let now = seams(&feed);
            let first = first.get_or_insert_with(|| now.clone());
            assert_eq!(now, *first, "frame {frame}");
        }
    }
    let seams = first.expect("found");
    assert!(seams.iter().any(|offset| offset.abs() > 1.0), "it goes around the ball");
}

#[test]
fn weights_of_adaptive_maps_add_up_wherever_seams_run() {
    for (rig, blend) in [(gear360(), StitchBlend::MultiBand { bands: 4 }), (gear360(), StitchBlend::default())] {
        let rig = PreparedRig::new(&rig).expect("valid");
        let mut map = StitchMap::new(&rig, &settings(StitchSeams::Adaptive, blend)).expect("valid");
        assert_eq!(map.drawn_px(), u64::from(SIZE.element_product()));
        for degrees in [0.0, 4.0, -6.0] {
            let offsets = vec![degrees; 512];
            let seams = map.seams.as_mut().expect("adaptive");
            seams.weigh(&[SeamOffsets { lenses: [0, 1], degrees: &offsets }]);
            map.weights.clone_from(&seams.weights);
            if let Some(cells) = &seams.cells {
                let cell = |index: usize| cells.lenses.iter().map(|lens| lens[index]).sum::<f32>();
                assert!((0..cells.lenses[0].len()).all(|index| (cell(index) - 1.0).abs() < 0.01), "{degrees}°");
            }
            let mut sums = vec![0.0; SIZE.element_product() as usize];
            map.visit_weights(|x, y, weight| sums[(y * SIZE.x + x) as usize] += weight);
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 0.01), "{degrees}°");
        }
    }
}

#[test]
fn a_rig_with_gaps_and_one_with_a_single_lens_have_seams_where_they_can() {
    // No overlap at all, and lenses whose pictures are cut to a corner.
    let mut apart = Rig::dual_fisheye(RIG_SIZE.to_array(), 170.0);
    let mut feed = Feed::new(&apart, &settings(StitchSeams::Adaptive, StitchBlend::default()));
    (0..3).for_each(|frame| feed.frame(&[film(&apart, 90.0, 0.0, frame)]));
    apart.lenses.truncate(1);
    apart.lenses[0].crop = Crop::Circle { center_px: [240.0; 2], radius_px: 30.0 };
    let mut feed = Feed::new(&apart, &settings(StitchSeams::Adaptive, StitchBlend::default()));
    (0..3).for_each(|frame| feed.frame(&[film(&apart, 90.0, 0.0, frame)]));
    let picture = feed.picture();
    assert!(picture.at(SIZE.x / 2, SIZE.y / 2) != DVec3::ZERO && picture.at(3, SIZE.y / 2) == DVec3::ZERO);
}
