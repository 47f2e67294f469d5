//! Each effect on a real GPU against the same thing worked out on the CPU.

use bevy::{math::DVec3, prelude::*};
use bytes::Bytes;
use studio_effects::{
    blend::{Blend, BlendMode, LayerPlace},
    color::{ColorCorrection, white_balance},
    pass::{EffectParameters, EffectPass},
    switch::Transition,
    text::{TextAnchor, TextError, TextOverlay},
    transform::{Crop, Transform2d},
};
use studio_frame::prelude::*;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba};

const SIZE: UVec2 = UVec2::new(96, 64);
/// Codes that a channel may be off: rounding, and the sampler's own precision.
const TOLERANCE: f64 = 2.0;

fn gpu() -> HeadlessGpu {
    HeadlessGpu::open().expect("a Vulkan adapter (software will do)")
}

fn rgba(gpu: &HeadlessGpu, size: UVec2, pixel: impl Fn(u32, u32) -> [u8; 4]) -> (GpuPicture, Vec<u8>) {
    let data: Vec<u8> = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
    (upload(gpu, PixelFormat::Rgba8, size, data.clone()), data)
}

fn upload(gpu: &HeadlessGpu, format: PixelFormat, size: UVec2, data: Vec<u8>) -> GpuPicture {
    let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, ColorInfo::BT709, Bytes::from(data)).expect("whole");
    let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small picture");
    picture.upload(&gpu.queue, &frame);
    picture
}

/// Smooth colours, so that a sample between pixels is what lies between them.
fn rainbow(x: u32, y: u32) -> [u8; 4] {
    [(x * 255 / (SIZE.x - 1)) as u8, (y * 255 / (SIZE.y - 1)) as u8, (255 - x * 255 / (SIZE.x - 1)) as u8, 255]
}

fn draw<P: EffectParameters>(
    gpu: &HeadlessGpu,
    size: UVec2,
    parameters: &P,
    first: &GpuPicture,
    second: Option<&GpuPicture>,
    mask: Option<&GpuPicture>,
) -> Vec<u8> {
    let pass = EffectPass::<P>::new(&gpu.device, size).expect("small");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    pass.encode(&gpu.device, &gpu.queue, &mut encoder, parameters, first, second, mask);
    gpu.queue.submit([encoder.finish()]);
    read_rgba(&gpu.device, &gpu.queue, &pass.target().planes[0]).expect("read back")
}

fn assert_near(is: &[u8], wanted: impl Fn(u32, u32) -> [f64; 4], size: UVec2, what: &str) {
    for (at, pixel) in is.chunks_exact(4).enumerate() {
        let (x, y) = (at as u32 % size.x, at as u32 / size.x);
        let wanted = wanted(x, y);
        for channel in 0..4 {
            let far = (f64::from(pixel[channel]) - wanted[channel]).abs();
            assert!(
                far <= TOLERANCE,
                "{what}: at {x},{y} channel {channel} is {} and should be {:.1}",
                pixel[channel],
                wanted[channel]
            );
        }
    }
}

/// A sample between pixels, clamped at the edges.
fn sample(data: &[u8], size: UVec2, at: Vec2) -> [f64; 4] {
    let at = (at - 0.5).clamp(Vec2::ZERO, (size - UVec2::ONE).as_vec2());
    let (low, share) = (at.floor().as_uvec2(), (at - at.floor()).as_dvec2());
    let high = (low + UVec2::ONE).min(size - UVec2::ONE);
    let pixel = |x: u32, y: u32, channel: usize| f64::from(data[((y * size.x + x) * 4) as usize + channel]);
    core::array::from_fn(|channel| {
        let row = |y: u32| pixel(low.x, y, channel) * (1.0 - share.x) + pixel(high.x, y, channel) * share.x;
        row(low.y) * (1.0 - share.y) + row(high.y) * share.y
    })
}

#[test]
fn a_transform_moves_turns_and_mirrors_about_its_pivot() {
    let gpu = gpu();
    let (picture, data) = rgba(&gpu, SIZE, rainbow);
    let same = draw(&gpu, SIZE, &Transform2d::default().parameters(&picture).expect("right"), &picture, None, None);
    assert_near(&same, |x, y| rainbow(x, y).map(f64::from), SIZE, "the defaults");
    let half = Transform2d { size: SIZE / 2, ..Transform2d::default() };
    assert_eq!(half.output_size(SIZE), SIZE / 2);
    let turned = Transform2d {
        offset: Vec2::new(0.1, -0.05),
        scale: Vec2::new(-0.5, 0.75),
        rotation_deg: 30.0,
        pivot: Vec2::new(0.25, 0.5),
        ..Transform2d::default()
    };
    let drawn = draw(&gpu, SIZE, &turned.parameters(&picture).expect("right"), &picture, None, None);
    let (mut inside, mut outside) = (0, 0);
    for (at, pixel) in drawn.chunks_exact(4).enumerate() {
        // Forwards: scaled and turned about the pivot, then moved. Backwards from the output's pixel here.
        let size = SIZE.as_vec2();
        let point = Vec2::new((at as u32 % SIZE.x) as f32 + 0.5, (at as u32 / SIZE.x) as f32 + 0.5);
        let from_pivot = Vec2::from_angle(-30.0_f32.to_radians()).rotate(point - (turned.pivot + turned.offset) * size);
        let source = from_pivot / turned.scale + turned.pivot * size;
        let margin = (source / size - 0.5).abs().max_element() - 0.5;
        if margin < -0.02 {
            inside += 1;
            let wanted = sample(&data, SIZE, source);
            assert!(
                (0..4).all(|channel| (f64::from(pixel[channel]) - wanted[channel]).abs() <= TOLERANCE + 1.0),
                "{point}: {pixel:?} {wanted:?}"
            );
        } else if margin > 0.02 {
            outside += 1;
            assert_eq!(pixel, [0, 0, 0, 0], "outside of the picture there is nothing");
        }
    }
    assert!(inside > 500 && outside > 500, "{inside} inside, {outside} outside");
    for wrong in [
        Transform2d { scale: Vec2::new(0.0, 1.0), ..Transform2d::default() },
        Transform2d { rotation_deg: f32::NAN, ..Transform2d::default() },
    ] {
        let error = wrong.parameters(&picture).expect_err("it is wrong").to_string();
        assert!(error.contains("scale.x") || error.contains("rotation_deg"), "{error}");
    }
}

#[test]
fn a_crop_keeps_the_pixels_that_are_left() {
    let gpu = gpu();
    let (picture, data) = rgba(&gpu, SIZE, rainbow);
    let crop = Crop { left: 0.25, right: 0.25, top: 0.5, bottom: 0.0 };
    let size = crop.output_size(SIZE).expect("right");
    assert_eq!(size, UVec2::new(48, 32));
    let drawn = draw(&gpu, size, &crop.parameters(&picture).expect("right"), &picture, None, None);
    let wanted = |x: u32, y: u32| sample(&data, SIZE, Vec2::new((x + 24) as f32 + 0.5, (y + 32) as f32 + 0.5));
    assert_near(&drawn, wanted, size, "the crop");
    assert!(Crop { left: 0.6, right: 0.4, ..Crop::default() }.output_size(SIZE).is_err(), "nothing would be left");
    assert!(Crop { top: -0.1, ..Crop::default() }.output_size(SIZE).is_err());
}

/// The formulas of W3C Compositing and Blending Level 1, for one channel from 0 to 1.
fn mixed(mode: BlendMode, base: f64, layer: f64) -> f64 {
    match mode {
        BlendMode::Normal => layer,
        BlendMode::Add => (base + layer).min(1.0),
        BlendMode::Multiply => base * layer,
        BlendMode::Screen => 1.0 - (1.0 - base) * (1.0 - layer),
        BlendMode::Overlay if base <= 0.5 => 2.0 * base * layer,
        BlendMode::Overlay => 1.0 - 2.0 * (1.0 - base) * (1.0 - layer),
        BlendMode::Difference => (base - layer).abs(),
        BlendMode::Lighten => base.max(layer),
        BlendMode::Darken => base.min(layer),
    }
}

#[test]
fn blend_modes_are_those_of_the_specification() {
    use BlendMode as M;
    let gpu = gpu();
    let layer_pixel = |x: u32, y: u32| [200, (x * 2) as u8, (y * 4) as u8, if x < SIZE.x / 2 { 255 } else { 128 }];
    let (base, _) = rgba(&gpu, SIZE, rainbow);
    let (layer, _) = rgba(&gpu, SIZE, layer_pixel);
    let (mask, _) = rgba(&gpu, SIZE, |_, y| [if y < SIZE.y / 2 { 255 } else { 51 }; 4]);
    for mode in [M::Normal, M::Add, M::Multiply, M::Screen, M::Overlay, M::Difference, M::Lighten, M::Darken] {
        for with_mask in [false, true] {
            let blend = Blend { mode, opacity: 0.8, place: LayerPlace::Fill };
            let mask = with_mask.then_some(&mask);
            let parameters = blend.parameters(&base, &layer, mask).expect("right");
            let drawn = draw(&gpu, SIZE, &parameters, &base, Some(&layer), mask);
            let wanted = |x: u32, y: u32| {
                let (below, above) =
                    (rainbow(x, y).map(|code| f64::from(code) / 255.0), layer_pixel(x, y).map(|code| f64::from(code) / 255.0));
                let masked = if with_mask && y >= SIZE.y / 2 { 0.2 } else { 1.0 };
                let shown = above[3] * 0.8 * masked;
                core::array::from_fn(|channel| match channel {
                    3 => 255.0,
                    _ => (mixed(mode, below[channel], above[channel]) * shown + below[channel] * (1.0 - shown)) * 255.0,
                })
            };
            // Between the mask's halves the sampler mixes.
            let rows = |pixels: &[u8]| {
                pixels
                    .chunks_exact(SIZE.x as usize * 4)
                    .enumerate()
                    .filter(|(y, _)| *y != 31 && *y != 32)
                    .flat_map(|(_, row)| row.to_vec())
                    .collect::<Vec<u8>>()
            };
            let drawn = rows(&drawn);
            let skipped = |y: u32| if y >= 31 { y + 2 } else { y };
            assert_near(&drawn, |x, y| wanted(x, skipped(y)), SIZE - UVec2::new(0, 2), &format!("{mode:?}, mask {with_mask}"));
        }
    }
    let at = Blend { place: LayerPlace::At { origin: Vec2::new(0.5, 0.5), size: Vec2::splat(0.5) }, ..Blend::default() };
    let drawn = draw(&gpu, SIZE, &at.parameters(&base, &layer, None).expect("right"), &base, Some(&layer), None);
    let pixel = |x: u32, y: u32| &drawn[((y * SIZE.x + x) * 4) as usize..][..4];
    assert_eq!(pixel(10, 10), rainbow(10, 10), "beside the layer the base stays");
    assert_eq!(pixel(52, 40)[0], 200, "the layer lies in its corner");
    assert!(Blend { opacity: f32::NAN, ..Blend::default() }.parameters(&base, &layer, None).is_err());
}

#[test]
fn transitions_begin_with_one_picture_and_end_with_the_other() {
    let gpu = gpu();
    let (before, _) = rgba(&gpu, SIZE, |_, _| [200, 100, 0, 255]);
    let (after, _) = rgba(&gpu, SIZE, |_, _| [0, 100, 200, 255]);
    let drawn = |transition: Transition, progress: f32| {
        let parameters = transition.parameters(&before, &after, progress).expect("right");
        draw(&gpu, SIZE, &parameters, &before, Some(&after), None)
    };
    for transition in
        [Transition::Fade, Transition::Wipe { angle_deg: 0.0 }, Transition::Wipe { angle_deg: 217.0 }, Transition::DipToBlack]
    {
        assert_near(&drawn(transition, 0.0), |_, _| [200.0, 100.0, 0.0, 255.0], SIZE, "the beginning");
        assert_near(&drawn(transition, 1.0), |_, _| [0.0, 100.0, 200.0, 255.0], SIZE, "the end");
    }
    assert_near(&drawn(Transition::Fade, 0.25), |_, _| [150.0, 100.0, 50.0, 255.0], SIZE, "a quarter of a fade");
    assert_near(&drawn(Transition::DipToBlack, 0.5), |_, _| [0.0, 0.0, 0.0, 255.0], SIZE, "the dip");
    let wiped = drawn(Transition::Wipe { angle_deg: 0.0 }, 0.5);
    let red_at = |x: usize| wiped[(20 * SIZE.x as usize + x) * 4];
    assert_eq!((red_at(10), red_at(85)), (0, 200), "a wipe to the right has reached the left half");
    let down = drawn(Transition::Wipe { angle_deg: 90.0 }, 0.5);
    assert_eq!((down[4 * 5], down[((SIZE.y - 2) * SIZE.x * 4) as usize]), (0, 200), "90 degrees is down");
}

#[test]
fn colours_are_corrected_as_the_formulas_say() {
    let gpu = gpu();
    let (picture, _) = rgba(&gpu, SIZE, rainbow);
    let same = draw(&gpu, SIZE, &ColorCorrection::default().parameters(&picture).expect("right"), &picture, None, None);
    assert_near(&same, |x, y| rainbow(x, y).map(f64::from), SIZE, "the defaults");
    let settings = ColorCorrection {
        exposure_ev: -0.5,
        temperature_k: 5000.0,
        tint: 0.3,
        contrast: 1.2,
        slope: Vec3::new(1.1, 0.9, 1.0),
        offset: Vec3::new(0.05, 0.0, -0.05),
        power: Vec3::new(0.9, 1.0, 1.2),
        saturation: 0.7,
    };
    let drawn = draw(&gpu, SIZE, &settings.parameters(&picture).expect("right"), &picture, None, None);
    let decode = |code: f64| if code <= 0.04045 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) };
    let encode = |light: f64| {
        let light = light.clamp(0.0, 1.0);
        if light <= 0.0031308 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
    };
    let balance = white_balance(5000.0, f64::from(settings.tint)) * f64::from(settings.exposure_ev).exp2();
    let wanted = |x: u32, y: u32| {
        let code = rainbow(x, y).map(|code| f64::from(code) / 255.0);
        let light = balance * DVec3::new(decode(code[0]), decode(code[1]), decode(code[2]));
        let graded: [f64; 3] = core::array::from_fn(|channel| {
            let value = (encode(light[channel]) - 0.5) * f64::from(settings.contrast) + 0.5;
            let value = value * f64::from(settings.slope[channel]) + f64::from(settings.offset[channel]);
            value.clamp(0.0, 1.0).powf(f64::from(settings.power[channel]))
        });
        let luma = 0.2126 * graded[0] + 0.7152 * graded[1] + 0.0722 * graded[2];
        core::array::from_fn(|channel| match channel {
            3 => 255.0,
            _ => (luma + f64::from(settings.saturation) * (graded[channel] - luma)).clamp(0.0, 1.0) * 255.0,
        })
    };
    assert_near(&drawn, wanted, SIZE, "all at once");
    let wrong = ColorCorrection { power: Vec3::new(1.0, 0.0, 1.0), ..ColorCorrection::default() };
    assert!(wrong.parameters(&picture).expect_err("no power of 0").to_string().contains("power"));
}

#[test]
fn planes_of_a_camera_are_taken_as_they_come() {
    let gpu = gpu();
    // Grey in BT.709, limited range: luma 16 to 235, chroma 128.
    let mut data: Vec<u8> = (0..SIZE.x * SIZE.y).map(|at| 16 + (at % SIZE.x * 219 / (SIZE.x - 1)) as u8).collect();
    data.extend(vec![128; (SIZE.x * SIZE.y / 2) as usize]);
    let picture = upload(&gpu, PixelFormat::Nv12, SIZE, data);
    let drawn = draw(&gpu, SIZE, &Transform2d::default().parameters(&picture).expect("right"), &picture, None, None);
    let wanted = |x: u32, _| [f64::from(x * 219 / (SIZE.x - 1)) / 219.0 * 255.0; 3];
    assert_near(
        &drawn,
        |x, y| {
            let [r, g, b] = wanted(x, y);
            [r, g, b, 255.0]
        },
        SIZE,
        "NV12",
    );
}

#[test]
fn words_stand_where_they_should_in_their_colour() {
    let size = UVec2::new(640, 360);
    for (anchor, wanted) in [
        (TextAnchor::TopLeft, Vec2::new(0.0, 0.0)),
        (TextAnchor::Center, Vec2::new(0.5, 0.5)),
        (TextAnchor::BottomRight, Vec2::new(1.0, 1.0)),
    ] {
        let text = TextOverlay { text: "Words\nin two lines".into(), anchor, color: LinearRgba::GREEN, ..TextOverlay::default() };
        let (layer, place) = text.layer(size).expect("right").expect("there are words");
        let margin = text.margin * 360.0 / size.as_vec2();
        let inner = Rect::from_corners(margin, Vec2::ONE - margin);
        assert!(inner.contains(place.min + 0.001) && inner.contains(place.max - 0.001), "{anchor:?} at {place:?}");
        let at = (place.center() - inner.min - place.half_size()) / (inner.size() - place.size());
        assert!((at - wanted).abs().max_element() < 0.02, "{anchor:?} is at {at}");
        let green = layer.rgba.chunks_exact(4).filter(|pixel| pixel[1] > 200 && pixel[0] < 60 && pixel[3] > 200).count();
        let dark = layer.rgba.chunks_exact(4).filter(|pixel| pixel[1] < 60 && pixel[3] > 200).count();
        assert!(green > 300 && dark > 300, "{green} pixels of the letters, {dark} of their outline");
    }
    let none = TextOverlay { text: " \n\t".into(), ..TextOverlay::default() };
    assert!(none.layer(size).expect("right").is_none_or(|(layer, _)| layer.rgba.chunks_exact(4).all(|pixel| pixel[3] == 0)));
    let long = TextOverlay { text: "x".repeat(5000), ..TextOverlay::default() };
    assert_eq!(long.layer(size).expect_err("too long"), TextError::TooLong(5000));
    let wide = TextOverlay { text: "x".repeat(4096), size: 1.0, ..TextOverlay::default() };
    assert!(wide.layer(size).expect("cut off").is_some_and(|(layer, _)| layer.size.cmple(size).all()));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for font in [file, "no such file.ttf"] {
        let error = TextOverlay { font: font.into(), ..TextOverlay::default() }.layer(size).expect_err("no font").to_string();
        assert!(error.contains(font), "{error}");
    }
    assert!(TextOverlay { size: f32::NAN, ..TextOverlay::default() }.layer(size).is_err());
}
