use super::{
    LensHealth,
    solve::{Difference, around, solve_blocks, solve_lenses},
};
use crate::{
    rig::{Rig, Vignetting},
    stitch::{
        StitchBlend, StitchExposure, StitchPass, StitchSettings,
        tests::{
            GPU,
            feed::{Feed, SIDE_PX, SIZE, film, ring, truth},
        },
    },
};
use bevy::math::{DVec2, DVec3};
use std::time::Duration;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

fn settings(exposure: StitchExposure) -> StitchSettings {
    StitchSettings { exposure, ..StitchSettings::equirectangular(SIZE.x, SIZE.y) }
}

/// Half a stop up and down, white balance a tenth beside.
fn unequal(lens: usize, _: DVec2) -> DVec3 {
    let sign = if lens.is_multiple_of(2) { 1.0 } else { -1.0 };
    DVec3::new(0.1 * sign, 0.0, -0.1 * sign).exp() * f64::exp2(0.5 * sign)
}

fn equal(_: usize, _: DVec2) -> DVec3 {
    DVec3::ONE
}

#[test]
fn exposures_half_a_stop_apart_come_together() {
    let rig = ring(4, 140.0);
    // What a rig says that knows it all: darker pictures have coarser steps, which nothing brings back.
    let mut told = rig.clone();
    for (index, lens) in told.lenses.iter_mut().enumerate() {
        lens.exposure.white_balance = unequal(index, DVec2::ZERO).recip().to_array();
    }
    for blend in [StitchBlend::default(), StitchBlend::MultiBand { bands: 4 }] {
        let psnr = |rig: &Rig, exposure, factors: fn(usize, DVec2) -> DVec3| {
            let mut feed = Feed::new(rig, &StitchSettings { blend, ..settings(exposure) });
            let inputs = film(rig, 0.0, factors);
            (0..4).for_each(|_| feed.frame(&inputs));
            feed.psnr(0.0)
        };
        let [same, same_blocks] =
            [StitchExposure::Fixed, StitchExposure::Blocks { side: 6 }].map(|exposure| psnr(&rig, exposure, equal));
        let (fixed, told) = (psnr(&rig, StitchExposure::Fixed, unequal), psnr(&told, StitchExposure::Fixed, unequal));
        let [lens, blocks] =
            [StitchExposure::Lens, StitchExposure::Blocks { side: 6 }].map(|exposure| psnr(&rig, exposure, unequal));
        eprintln!(
            "{blend:?}: equal {same:.2} dB, with blocks {same_blocks:.2} dB; unequal {fixed:.2} dB, told {told:.2} dB, by lens {lens:.2} \
             dB, by block {blocks:.2} dB"
        );
        assert!(fixed < same - 6.0, "the test sees differences");
        assert!(lens > told - 0.3 && blocks > told - 0.3 && same_blocks > same - 0.3);
    }
}

#[test]
fn blocks_join_lenses_that_differ_within_themselves() {
    let rig = ring(4, 140.0);
    // One lens is brighter at the top than at the bottom, by half a stop.
    let slanted = |lens: usize, pixel: DVec2| {
        DVec3::splat(if lens == 1 { f64::exp2(0.5 * (pixel.y / f64::from(SIDE_PX) - 0.5)) } else { 1.0 })
    };
    // The step at its two seams, 45° and 135° to the right, in code values.
    let step = |exposure| {
        let mut feed = Feed::new(&rig, &StitchSettings { blend: StitchBlend::Nearest, ..settings(exposure) });
        let inputs = film(&rig, 0.0, slanted);
        (0..20).for_each(|_| feed.frame(&inputs));
        let (picture, truth) = (feed.picture(), truth(0.0));
        let error = |x: u32, y: u32| (picture.at(x, y) - truth.at(x, y)).element_sum() / 3.0;
        let rows = SIZE.y / 4..SIZE.y * 3 / 4;
        let at = |seam: u32, y: u32| (error(seam + 8, y) - error(seam - 8, y)).abs();
        let sum: f64 = rows.clone().map(|y| at(SIZE.x * 5 / 8, y) + at(SIZE.x * 7 / 8, y)).sum();
        sum / (2.0 * rows.len() as f64)
    };
    let [fixed, lens, blocks] = [StitchExposure::Fixed, StitchExposure::Lens, StitchExposure::Blocks { side: 6 }].map(step);
    eprintln!("mean step at the seams of a slanted lens: {fixed:.2}, by lens {lens:.2}, by block {blocks:.2} of 255");
    assert!(fixed > 2.0, "the test sees the step");
    assert!(blocks < 0.4 * lens && blocks < 0.4 * fixed);
}

#[test]
fn vignetting_of_the_rig_is_undone_where_lenses_darken_so() {
    let mut rig = ring(4, 140.0);
    let vignetting = Vignetting { coefficients: [-0.25, -0.2, 0.05], radius_px: f64::from(SIDE_PX) / 2.0 };
    let middle = DVec2::splat(f64::from(SIDE_PX) / 2.0);
    let darkened = film(&rig, 0.0, |_, pixel| DVec3::splat(vignetting.light(pixel.distance(middle).min(middle.x)).max(0.1)));
    let plain = film(&rig, 0.0, equal);
    let psnr = |rig: &Rig, inputs: &[GpuPicture]| {
        let mut feed = Feed::new(rig, &settings(StitchExposure::Lens));
        (0..3).for_each(|_| feed.frame(inputs));
        feed.psnr(0.0)
    };
    let (same, off) = (psnr(&rig, &plain), psnr(&rig, &darkened));
    rig.lenses.iter_mut().for_each(|lens| lens.vignetting = Some(vignetting));
    let undone = psnr(&rig, &darkened);
    eprintln!("lenses that do not darken {same:.2} dB, that do {off:.2} dB, undone {undone:.2} dB");
    // Dark corners have coarser steps than the pictures that do not darken.
    assert!(off < same - 6.0 && undone > same - 1.0);
}

#[test]
fn a_change_of_exposure_is_followed_smoothly_and_a_cut_is_not() {
    let rig = ring(4, 140.0);
    let mut feed = Feed::new(&rig, &settings(StitchExposure::Lens));
    let gain = |feed: &Feed| feed.pass.watch().expect("compensated").of_lens(0).x;
    // Everything moves on, so that nothing seems frozen.
    (0..5).for_each(|frame| feed.frame(&film(&rig, 0.02 * f64::from(frame), equal)));
    assert!((gain(&feed) - 1.0).abs() < 0.01);
    let brighter = |lens: usize, _: DVec2| DVec3::splat(if lens == 0 { f64::exp2(0.4) } else { 1.0 });
    let mut gains = vec![gain(&feed)];
    for frame in 5..45 {
        feed.frame(&film(&rig, 0.02 * f64::from(frame), brighter));
        gains.push(gain(&feed));
    }
    let steepest = gains.windows(2).map(|pair| (pair[1] / pair[0] - 1.0).abs()).fold(0.0, f32::max);
    let (after_a_second, last) = (gains[10], gains[40]);
    eprintln!("steepest step {steepest:.4}, after 1 s {after_a_second:.3}, after 4 s {last:.3}");
    assert!(steepest < 0.02, "no step shows");
    assert!(after_a_second > last + 0.01 && after_a_second < 0.97, "under way after the time constant");
    // Three quarters of the difference are lens 0's, as the mean of all stays: 2^(−0.4 · ¾ / 2.2).
    assert!((last - f32::exp2(-0.3 / 2.2)).abs() < 0.01, "{last}");
    // Another scene at the same moment as another exposure: held for the measurement that sees the cut.
    let elsewhere = |lens: usize, _: DVec2| DVec3::splat(if lens == 0 { 0.3 } else { 0.4 });
    let dark = film(&rig, 3.0, elsewhere);
    feed.frame(&dark);
    // What was measured before the cut still counts.
    let before = gain(&feed);
    feed.frame(&dark);
    assert_eq!(gain(&feed), before);
}

#[test]
fn a_lens_that_drops_out_is_replaced_and_comes_back() {
    let rig = ring(4, 200.0);
    let dead = 1;
    let cases = [
        (Some(DVec3::ZERO), LensHealth::Black, 8),
        (Some(DVec3::splat(40.0)), LensHealth::Overexposed, 8),
        (None, LensHealth::Frozen, 36),
    ];
    for (color, expected, frames) in cases {
        let mut feed = Feed::new(&rig, &settings(StitchExposure::Lens));
        let moment = |frame: i32| 0.002 * f64::from(frame);
        (0..5).for_each(|frame| feed.frame(&film(&rig, moment(frame), unequal)));
        let gains = |feed: &Feed| [0, 2, 3].map(|lens| feed.pass.watch().expect("compensated").of_lens(lens));
        let before = gains(&feed);
        let stuck = film(&rig, moment(4), |lens, pixel| color.unwrap_or_else(|| unequal(lens, pixel)));
        let mut stuck = Some(stuck.into_iter().nth(dead).expect("a picture"));
        for frame in 5..5 + frames {
            let mut inputs = film(&rig, moment(frame), unequal);
            core::mem::swap(&mut inputs[dead], stuck.as_mut().expect("kept"));
            feed.frame(&inputs);
            core::mem::swap(&mut inputs[dead], stuck.as_mut().expect("kept"));
        }
        assert_eq!(feed.pass.lens_health()[dead], expected);
        assert_eq!(feed.pass.lens_health().iter().filter(|health| **health == LensHealth::Good).count(), 3);
        let worst = gains(&feed).iter().zip(before).map(|(now, before)| (*now - before).abs().max_element()).fold(0.0, f32::max);
        assert!(worst < 0.01, "the others' gains moved by {worst}");
        // Lenses of 200° around leave no hole where one is missing.
        let psnr = feed.psnr(moment(4 + frames));
        eprintln!("{expected:?}: {psnr:.1} dB without the lens, others' gains moved by {worst:.4}");
        assert!(psnr > 34.0, "{psnr} dB");
        (0..8).for_each(|frame| feed.frame(&film(&rig, moment(100 + frame), unequal)));
        assert_eq!(feed.pass.lens_health()[dead], LensHealth::Good, "it is back");
    }
}

#[test]
fn nothing_is_measured_twice_at_once_or_where_exposures_are_fixed() {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let rig = ring(3, 180.0);
    let inputs = film(&rig, 0.0, equal);
    let inputs: Vec<&GpuPicture> = inputs.iter().collect();
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut measure = |exposure, moments: &[u64]| -> Vec<bool> {
        let mut pass = StitchPass::new(device, queue, &rig, &settings(exposure)).expect("valid");
        let at =
            |ms: &u64| pass.measure(device, queue, &mut encoder, &inputs, Duration::from_millis(*ms)).expect("fits").is_some();
        moments.iter().map(at).collect()
    };
    assert_eq!(measure(StitchExposure::Fixed, &[0, 500]), [false, false]);
    assert_eq!(measure(StitchExposure::Lens, &[0, 33, 66, 100, 133, 0]), [true, false, false, true, false, true]);
}

/// What lenses with these gains say of places, a third of it nonsense.
fn differences(gains: &[f64], within: impl Fn(usize, DVec2) -> f64) -> Vec<Difference> {
    let place =
        |index: usize, shift: f64| DVec2::new((0.37 * index as f64 + shift).fract(), (0.61 * index as f64 + shift).fract());
    (0..1200)
        .map(|index| {
            let lenses = [index % gains.len(), (index + 1) % gains.len()];
            let places = [place(index, 0.1), place(index, 0.6)];
            let total = |side: usize| gains[lenses[side]] + within(lenses[side], places[side]);
            let nonsense = if index % 7 < 2 { 0.8 } else { 0.0 };
            Difference { lenses, places, log_gain: total(0) - total(1) + nonsense }
        })
        .collect()
}

#[test]
fn the_solution_does_not_believe_nonsense() {
    let gains = [0.3, -0.1, 0.05, -0.25];
    let found = solve_lenses(&differences(&gains, |_, _| 0.0), &[0.0; 4], &[0.0; 4]);
    for (found, gain) in found.iter().zip(gains) {
        assert!((found - gain).abs() < 0.01, "{found} for {gain}");
    }
    // A fifth lens that nothing is known of keeps what it has.
    let found = solve_lenses(&differences(&gains, |_, _| 0.0), &[0.3, -0.1, 0.05, -0.25, 0.7], &[0.3, -0.1, 0.05, -0.25, 0.7]);
    assert_eq!(found[4], 0.7);
}

#[test]
fn blocks_find_a_slope_within_a_lens() {
    let slope = |lens: usize, place: DVec2| if lens == 0 { 0.2 * (place.x - 0.5) } else { 0.0 };
    let clean: Vec<_> =
        differences(&[0.0; 3], slope).into_iter().enumerate().filter(|(index, _)| index % 7 >= 2).map(|(_, it)| it).collect();
    let side = 4;
    let mut blocks = vec![0.0; 3 * side * side];
    (0..10).for_each(|_| solve_blocks(&clean, &[0.0; 3], side, &mut blocks));
    let at = |lens: usize, place: DVec2| {
        around(place, side).iter().map(|(node, share)| share * blocks[lens * side * side + node]).sum::<f64>()
    };
    let rise = at(0, DVec2::new(0.9, 0.5)) - at(0, DVec2::new(0.1, 0.5));
    assert!((0.11..0.17).contains(&rise), "{rise} of 0.16");
}
