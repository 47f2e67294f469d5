use super::*;
use crate::rig::{PreparedRig, YawPitchRoll};
use crate::stitch::{
    StitchBlend, StitchMap, StitchPass, StitchSettings,
    reference::Image,
    tests::{GPU, coloured_sphere, gear360, gear360_frame, stitch_on_gpu, turned, upload_rgba},
};
use bevy::math::DVec3;
use studio_gpu::{device::HeadlessGpu, readback::read_rgba};

const SIZE: UVec2 = UVec2::new(1024, 512);

fn settings(blend: StitchBlend) -> StitchSettings {
    StitchSettings { blend, ..StitchSettings::equirectangular(SIZE.x, SIZE.y) }
}

fn bands(bands: u32) -> StitchSettings {
    settings(StitchBlend::MultiBand { bands })
}

/// What the two lenses of the rig see when each sees one grey.
fn two_greys() -> Image {
    Image::from_fn(UVec2::new(960, 480), |pixel| DVec3::splat(if pixel.x < 480.0 { 0.4 } else { 0.6 }))
}

/// The greys of a row of the stitch, without the rig's gains.
fn row(settings: &StitchSettings, y: u32) -> Vec<f64> {
    let mut rig = gear360();
    for lens in &mut rig.lenses {
        (lens.exposure, lens.vignetting) = (Default::default(), None);
    }
    let stitched = stitch_on_gpu(&rig, settings, &[&upload_rgba(&two_greys())]);
    (0..SIZE.x).map(|x| stitched.at(x, y).x).collect()
}

/// Pixels of a row that are neither of the two greys.
fn blended_px(row: &[f64]) -> usize {
    row.iter().filter(|grey| **grey > 0.4 * 255.0 + 3.0 && **grey < 0.6 * 255.0 - 3.0).count()
}

#[test]
fn a_step_of_brightness_fades_the_wider_the_more_bands() {
    let widths: Vec<usize> =
        [settings(StitchBlend::Nearest), bands(2), bands(3), bands(4)].iter().map(|it| blended_px(&row(it, 256))).collect();
    eprintln!("blended pixels of a row: {widths:?}");
    assert!(widths.windows(2).all(|pair| pair[1] as f64 > 1.4 * pair[0] as f64), "{widths:?}");
    for greys in [row(&bands(4), 256), row(&turned(bands(4), 90.0, 0.0, 0.0), 256), row(&turned(bands(4), 84.0, 10.0, 5.0), 200)]
    {
        // Neither darker nor brighter than both, no step, and no step either where the picture's edges meet.
        assert!(greys.iter().all(|grey| (100.5..=154.5).contains(grey)), "{greys:?}");
        let steps = greys.iter().zip(greys.iter().cycle().skip(1)).map(|(a, b)| (a - b).abs());
        let steepest = steps.fold(0.0, f64::max);
        assert!(steepest < 1.5, "a step of {steepest} code values");
    }
}

#[test]
fn where_lenses_agree_nothing_changes() {
    let (rig, Some(frame)) = (gear360(), gear360_frame()) else { return };
    let input = upload_rgba(&frame);
    let [plain, blended] = [settings(StitchBlend::Nearest), bands(4)].map(|settings| stitch_on_gpu(&rig, &settings, &[&input]));
    // Straight ahead and behind one lens alone counts.
    let ahead = |x: u32, _: u32| x.abs_diff(SIZE.x / 2) < 80 || x.abs_diff(SIZE.x / 2) > SIZE.x / 2 - 80;
    let alone = |x: u32, y: u32| ahead(x, y) && y.abs_diff(SIZE.y / 2) < 60;
    assert!(plain.psnr_where(&blended, alone) > 60.0, "{} dB", plain.psnr_where(&blended, alone));
    // A sphere whose colours both lenses see alike, but for what their pictures' resolution makes of them.
    let mut rig = rig;
    for lens in &mut rig.lenses {
        (lens.exposure, lens.vignetting) = (Default::default(), None);
    }
    let sphere = upload_rgba(&coloured_sphere(&rig));
    let [plain, blended] = [settings(StitchBlend::Nearest), bands(4)].map(|settings| stitch_on_gpu(&rig, &settings, &[&sphere]));
    let psnr = plain.psnr(&blended);
    eprintln!("what both lenses see alike: {psnr:.1} dB between the plain and the multi-band stitch");
    assert!(psnr > 46.0, "{psnr} dB");
}

#[test]
fn weights_of_all_levels_add_up_and_only_surroundings_of_seams_are_drawn() {
    let rig = PreparedRig::new(&gear360()).expect("the shipped rig");
    let map = StitchMap::new(&rig, &bands(4)).expect("valid");
    let bands = map.bands.expect("coarse bands");
    assert_eq!(bands.sizes, [(128, 64), (64, 32), (32, 16), (16, 8)].map(|(x, y)| UVec2::new(x, y)));
    assert!(bands.wraps);
    for (size, weights) in bands.sizes.iter().zip(&bands.weights) {
        let texels = size.element_product() as usize;
        for texel in 0..texels {
            let sum: f32 = weights.iter().skip(texel).step_by(texels).sum();
            assert!((sum - 1.0).abs() < 0.01, "weights of {sum} at {texel} of {size}");
        }
    }
    let drawn: u32 = bands.tiles.iter().map(|tile| tile.cells * tile.cells).sum();
    let cells = bands.sizes[0].element_product() * bands.lenses;
    assert!(drawn < cells * 3 / 4, "{drawn} of {cells} cells are drawn");
}

#[test]
fn a_view_that_turned_before_is_like_one_that_did_not() {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let (rig, input) = (gear360(), upload_rgba(&two_greys()));
    let new = || StitchPass::new(device, queue, &rig, &bands(4)).expect("valid");
    let turn = |pass: &mut StitchPass, yaw_deg: f64| {
        pass.set_orientation(device, queue, YawPitchRoll::new(yaw_deg, 20.0, 0.0)).expect("finite");
        let output = pass.output_picture(device, "turned").expect("fits");
        let mut encoder = device.create_command_encoder(&Default::default());
        pass.encode(device, queue, &mut encoder, &[&input], &output, None).expect("pictures fit");
        queue.submit([encoder.finish()]);
        read_rgba(device, queue, &output.planes[0]).expect("readable")
    };
    let mut turning = new();
    for yaw_deg in [10.0, 40.0, 130.0] {
        assert!(turn(&mut turning, yaw_deg) == turn(&mut new(), yaw_deg), "at {yaw_deg} degrees");
    }
}
