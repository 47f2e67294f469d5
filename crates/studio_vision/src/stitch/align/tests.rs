//! Alignment against what a camera in the middle of the rig would see.

use crate::{
    rig::{Orientation, PreparedLens, PreparedRig, Rig, YawPitchRoll},
    stitch::{
        StitchAlignment, StitchBlend, StitchPlan, StitchSeams, StitchSettings,
        reference::Image,
        tests::{
            GPU,
            feed::{Feed, ring},
            turned, upload_rgba,
        },
        watch::MARGIN_DEG,
    },
};
use bevy::math::{DVec2, DVec3, IVec3, UVec2};
use core::f64::consts::{PI, TAU};
use half::f16;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

const SIZE: UVec2 = UVec2::new(1024, 512);
const RIG_SIZE: UVec2 = UVec2::new(1024, 512);
const FOV_DEG: f64 = 204.0;
/// Half of what the two lenses are apart, in metres.
const APART_M: f64 = 0.03;
const FLOW: StitchAlignment = StitchAlignment::Flow { max_disparity_deg: 10.0 };

fn settings(alignment: StitchAlignment, blend: StitchBlend) -> StitchSettings {
    StitchSettings { alignment, blend, ..StitchSettings::equirectangular(SIZE.x, SIZE.y) }
}

fn rig() -> Rig {
    Rig::dual_fisheye(RIG_SIZE.to_array(), FOV_DEG)
}

/// Smooth random colours in space, a metre to a unit.
fn colour(at: DVec3) -> DVec3 {
    let octave = |scale: f64, seed: u32| {
        let place = at * scale;
        let base = place.floor();
        let part = place - base;
        let smooth = part * part * (3.0 - 2.0 * part);
        let value = |corner: u32| {
            let offset = UVec2::new(corner & 1, corner >> 1 & 1).extend(corner >> 2).as_ivec3();
            let IVec3 { x, y, z } = base.as_ivec3() + offset;
            let mut hash = (x as u32).wrapping_mul(0x9E37_79B1)
                ^ (y as u32).wrapping_mul(0x85EB_CA77)
                ^ (z as u32).wrapping_mul(0xC2B2_AE3D)
                ^ seed;
            hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
            hash = (hash ^ (hash >> 12)).wrapping_mul(0x297A_2D39);
            f64::from((hash ^ (hash >> 15)) & 0xffff) / 65535.0 - 0.5
        };
        (0..8)
            .map(|corner| {
                let share = |axis: usize| if corner >> axis & 1 == 1 { smooth[axis] } else { 1.0 - smooth[axis] };
                value(corner) * share(0) * share(1) * share(2)
            })
            .sum::<f64>()
    };
    let luma = 0.5 + 0.5 * octave(9.0, 1) + 0.3 * octave(23.0, 2) + 0.2 * octave(41.0, 3);
    DVec3::new(luma, luma + 0.1 * octave(5.0, 4), luma + 0.1 * octave(5.0, 5))
}

/// What is around the rig.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Walls so many metres from the middle of the rig.
    Room(f64),
    /// Walls far away, and a ball before them a metre from the middle, beside the first lens.
    Ball,
    /// The same colour everywhere, but for a slow change.
    Flat,
}

impl Scene {
    fn look(self, from: DVec3, direction: DVec3) -> DVec3 {
        let sphere = |middle: DVec3, radius: f64, far: bool| {
            let offset = from - middle;
            let (along, rest) = (offset.dot(direction), offset.length_squared() - radius * radius);
            let root = along * along - rest;
            (root >= 0.0).then(|| if far { root.sqrt() - along } else { -along - root.sqrt() }).filter(|distance| *distance > 0.0)
        };
        let room = |radius: f64| {
            let distance = sphere(DVec3::ZERO, radius, true).expect("inside");
            // Texture of the same size on walls near and far.
            colour((from + direction * distance) / radius)
        };
        match self {
            Self::Room(radius) => room(radius),
            Self::Ball => match sphere(DVec3::new(1.0, 0.0, 0.0), 0.2, false) {
                Some(distance) => colour(from + direction * distance + 7.3),
                None => room(100.0),
            },
            Self::Flat => DVec3::splat(0.45) + 0.05 * direction,
        }
    }

    /// What the two lenses film, with noise of so many code values.
    fn film(self, rig: &Rig, noise: f64, seed: u32) -> GpuPicture {
        let prepared = PreparedRig::new(rig).expect("valid");
        upload_rgba(&Image::from_fn(RIG_SIZE, |pixel| {
            let lens = usize::from(pixel.x > f64::from(RIG_SIZE.x) / 2.0);
            let number = (pixel.x as u32 * 7919 + pixel.y as u32 * 104_729 + seed * 1_299_709).wrapping_mul(2_654_435_761) >> 16;
            let grain = noise * (f64::from(number) / 65535.0 - 0.5) * 2.0 / 255.0;
            let direction = prepared.lenses[lens].direction(pixel);
            direction.map_or(DVec3::ZERO, |direction| self.look(stand(lens), direction) + grain)
        }))
    }

    /// What a camera in the middle sees.
    fn truth(self, settings: &StitchSettings) -> Image {
        let turn = settings.orientation.matrix();
        Image::from_fn(SIZE, |point| self.look(DVec3::ZERO, turn * direction_of(point)))
    }
}

fn direction_of(point: DVec2) -> DVec3 {
    let (lon, lat) = ((point.x / f64::from(SIZE.x) - 0.5) * TAU, (0.5 - point.y / f64::from(SIZE.y)) * PI);
    DVec3::new(lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos())
}

/// Where a lens of the two stands.
fn stand(lens: usize) -> DVec3 {
    DVec3::Z * if lens == 0 { APART_M } else { -APART_M }
}

/// Which pixels two lenses see, and lie so many degrees inside of both at least.
fn overlap(rig: &Rig, settings: &StitchSettings, inside_deg: f64) -> impl Fn(u32, u32) -> bool {
    let (rig, turn) = (PreparedRig::new(rig).expect("valid"), settings.orientation.matrix());
    move |x, y| {
        let direction = turn * direction_of(UVec2::new(x, y).as_dvec2() + 0.5);
        let see = |lens: &&PreparedLens| lens.sample(direction, None).is_some_and(|at| at.edge_deg > inside_deg);
        rig.lenses.iter().filter(see).count() >= 2
    }
}

fn stitched(rig: &Rig, settings: &StitchSettings, scene: Scene) -> Image {
    let mut feed = Feed::new(rig, settings);
    let input = [scene.film(rig, 0.0, 0)];
    (0..3).for_each(|_| feed.frame(&input));
    feed.picture()
}

/// How much of the truth's fine contrast a picture has: ghosts and blur take it away.
fn contrast(picture: &Image, counts: impl Fn(u32, u32) -> bool) -> f64 {
    let pixels = (0..SIZE.element_product()).map(|index| UVec2::new(index % (SIZE.x - 2), index / SIZE.x));
    let steps = pixels.filter(|at| counts(at.x, at.y) && counts(at.x + 2, at.y));
    steps.map(|at| (picture.at(at.x + 2, at.y) - picture.at(at.x, at.y)).length_squared()).sum()
}

/// PSNR and the contrast against the truth's where both lenses see the scene, as the calibration says and aligned.
fn compare(rig: &Rig, settings: &StitchSettings, scene: Scene, inside_deg: f64) -> [(f64, f64); 2] {
    let truth = scene.truth(settings);
    let inside = overlap(rig, settings, inside_deg);
    let counts = |x: u32, y: u32| inside(x, y) && (!matches!(scene, Scene::Ball) || is_ball(settings, x, y));
    [StitchAlignment::Fixed, FLOW].map(|alignment| {
        let picture = stitched(rig, &StitchSettings { alignment, ..settings.clone() }, scene);
        (picture.psnr_where(&truth, counts), contrast(&picture, counts) / contrast(&truth, counts))
    })
}

/// Whether the middle of the rig sees the ball there, or its surroundings.
fn is_ball(settings: &StitchSettings, x: u32, y: u32) -> bool {
    let direction = settings.orientation.matrix() * direction_of(UVec2::new(x, y).as_dvec2() + 0.5);
    direction.angle_between(DVec3::X) < 0.25
}

const BLENDS: [StitchBlend; 3] =
    [StitchBlend::Nearest, StitchBlend::Feather { width_deg: 12.0 }, StitchBlend::MultiBand { bands: 4 }];

#[test]
fn what_is_near_meets_itself() {
    // All of the overlap, and a degree and a half around its middle, where lenses meet: elsewhere the picture is a lens's own, and not the middle's.
    for (scene, inside_deg, least_db) in
        [(Scene::Room(1.2), MARGIN_DEG, 2.5), (Scene::Room(1.2), 10.5, 9.0), (Scene::Ball, MARGIN_DEG, 1.0)]
    {
        for blend in BLENDS {
            let wanted = settings(StitchAlignment::Fixed, blend);
            let [(fixed, ghosts), (flow, clear)] = compare(&rig(), &wanted, scene, inside_deg);
            let what = format!("{scene:?}, {blend:?}, {inside_deg}° inside");
            println!("{what}: {fixed:.2} -> {flow:.2} dB, contrast {ghosts:.2} -> {clear:.2}");
            assert!(flow > fixed + least_db, "{what}: {fixed:.2} -> {flow:.2} dB");
            // Where both lenses show in equal parts, ghosts take half of the contrast.
            if inside_deg > 9.0 && matches!(blend, StitchBlend::Feather { .. }) {
                assert!(ghosts < 0.7 && clear > 0.9, "{what}: contrast {ghosts:.2} -> {clear:.2}");
            }
        }
    }
}

#[test]
fn a_scene_without_parallax_stays_as_it_is() {
    for scene in [Scene::Room(1e4), Scene::Flat] {
        for blend in BLENDS {
            let [(fixed, _), (flow, _)] = compare(&rig(), &settings(StitchAlignment::Fixed, blend), scene, MARGIN_DEG);
            println!("{scene:?}, {blend:?}: {fixed:.2} -> {flow:.2} dB");
            assert!(flow > fixed - 0.1, "{scene:?}, {blend:?}: {fixed:.2} -> {flow:.2} dB");
        }
    }
}

#[test]
fn turned_views_seams_and_exposures_go_together_with_it() {
    // The overlap's ring through both poles, and across the picture's edges; a map that is replaced while the flow goes on.
    let wanted = turned(settings(StitchAlignment::Fixed, StitchBlend::default()), 80.0, 70.0, 20.0);
    let adaptive = StitchSettings { seams: StitchSeams::Adaptive, ..wanted.clone() };
    for wanted in [wanted, adaptive] {
        let [(fixed, _), (flow, _)] = compare(&rig(), &wanted, Scene::Room(1.2), MARGIN_DEG);
        println!("turned, {:?}: {fixed:.2} -> {flow:.2} dB", wanted.seams);
        assert!(flow > fixed + 1.0, "{:?}: {fixed:.2} -> {flow:.2} dB", wanted.seams);
    }
}

#[test]
fn a_still_scene_with_noise_holds_still() {
    let mut feed = Feed::new(&rig(), &settings(FLOW, StitchBlend::default()));
    let mut last: Option<Vec<f32>> = None;
    let (mut farthest, mut moves, mut jumps) = (0.0_f32, 0.0_f32, 0.0_f32);
    // Two code values of noise.
    for frame in 0..16 {
        feed.frame(&[Scene::Room(1.2).film(&rig(), 2.0, frame)]);
        let now: Vec<f32> = displacements(&feed).into_iter().map(|share| share * RIG_SIZE.x as f32).collect();
        if frame > 4
            && let Some(last) = &last
        {
            let bent = now.iter().zip(last).filter(|(now, _)| **now != 0.0);
            let mut moved: Vec<f32> = bent.map(|(now, last)| (now - last).abs()).collect();
            moved.sort_by(f32::total_cmp);
            moves = moves.max(moved[moved.len() * 998 / 1000]);
            jumps = jumps.max(moved[moved.len() - 1]);
        }
        farthest = now.iter().map(|px| px.abs()).fold(farthest, f32::max);
        last = Some(now);
    }
    println!("bent by {farthest:.2} px at most; 998 of 1000 texels move by {moves:.3} px at most, the rest by {jumps:.2} px");
    assert!(farthest > 3.0, "it is bent");
    assert!(moves < 0.1, "{moves:.3} px");
}

/// What is added to texture coordinates, as the GPU has it.
fn displacements(feed: &Feed) -> Vec<f32> {
    let aligner = feed.pass.aligner().expect("aligned");
    let texture = aligner.displacements().texture();
    let mut all = Vec::new();
    for layer in 0..texture.depth_or_array_layers() {
        all.extend(read_layer(texture, layer));
    }
    all
}

fn read_layer(texture: &wgpu::Texture, layer: u32) -> Vec<f32> {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let (width, height) = (texture.width(), texture.height());
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("displacements"),
        size: u64::from(8 * width * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(8 * width), rows_per_image: Some(height) };
    let source = wgpu::TexelCopyTextureInfo { origin: wgpu::Origin3d { x: 0, y: 0, z: layer }, ..texture.as_image_copy() };
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    encoder.copy_texture_to_buffer(source, wgpu::TexelCopyBufferInfo { buffer: &buffer, layout }, size);
    queue.submit([encoder.finish()]);
    buffer.slice(..).map_async(wgpu::MapMode::Read, |result| result.expect("maps"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("device lives");
    let bytes = buffer.slice(..).get_mapped_range();
    let halves = bytes.as_chunks::<8>().0.iter().flat_map(|texel| [[texel[0], texel[1]], [texel[2], texel[3]]]);
    halves.map(|half| f16::from_le_bytes(half).to_f32()).collect()
}

#[test]
fn cameras_in_a_ring_meet_their_neighbours() {
    // Five cameras, seven centimetres from the middle of a room: borders that go only part of the way around, and places that three see.
    let (rig, scene) = (ring(5, 125.0), Scene::Room(1.5));
    let prepared = PreparedRig::new(&rig).expect("valid");
    let picture = |lens: &PreparedLens| {
        let stand = lens.direction(lens.projector.center()).expect("ahead") * 0.07;
        let seen = |pixel| lens.direction(pixel).map_or(DVec3::ZERO, |direction| scene.look(stand, direction));
        upload_rgba(&Image::from_fn(prepared.pictures[0], seen))
    };
    let inputs: Vec<GpuPicture> = prepared.lenses.iter().map(picture).collect();
    let wanted = settings(StitchAlignment::Fixed, StitchBlend::default());
    let (truth, inside) = (scene.truth(&wanted), overlap(&rig, &wanted, MARGIN_DEG));
    let counts = |x: u32, y: u32| inside(x, y) && (SIZE.y / 4..SIZE.y * 3 / 4).contains(&y);
    let [fixed, flow] = [StitchAlignment::Fixed, FLOW].map(|alignment| {
        let mut feed = Feed::new(&rig, &StitchSettings { alignment, ..wanted.clone() });
        (0..3).for_each(|_| feed.frame(&inputs));
        feed.picture().psnr_where(&truth, counts)
    });
    println!("a ring: {fixed:.2} -> {flow:.2} dB");
    assert!(flow > fixed + 1.0, "{fixed:.2} -> {flow:.2} dB");
}

#[test]
fn another_calibration_begins_anew() {
    let wanted = settings(FLOW, StitchBlend::default());
    let mut feed = Feed::new(&rig(), &wanted);
    let input = [Scene::Room(1.2).film(&rig(), 0.0, 0)];
    let farthest_px =
        |feed: &Feed| displacements(feed).iter().fold(0.0_f32, |most, share| most.max(share.abs())) * RIG_SIZE.x as f32;
    (0..3).for_each(|_| feed.frame(&input));
    assert!(farthest_px(&feed) > 3.0);
    let mut other = rig();
    other.lenses[1].orientation = Orientation::Angles(YawPitchRoll::new(180.5, 0.0, 0.0));
    let plan = StitchPlan::new(&other, &wanted, None, None).expect("valid");
    feed.pass.set_plan(&GPU.device, &GPU.queue, plan).expect("fits");
    (0..14).for_each(|_| feed.frame(&input));
    let while_it_changes = farthest_px(&feed);
    (0..6).for_each(|_| feed.frame(&input));
    println!("bent by {while_it_changes:.2} px while the calibration changes, then by {:.2} px", farthest_px(&feed));
    assert!(while_it_changes < 0.3 * farthest_px(&feed));
    assert!(farthest_px(&feed) > 3.0);
}

#[test]
fn blueprints_of_before_load_and_numbers_are_checked() {
    let before: StitchSettings = ron::from_str("(size_px: (1024, 512), seams: Adaptive)").expect("as it was");
    assert_eq!(before.alignment, StitchAlignment::Fixed);
    for max_disparity_deg in [0.0, -1.0, 46.0, f32::NAN] {
        let alignment = StitchAlignment::Flow { max_disparity_deg };
        let error = StitchSettings { alignment, ..before.clone() }.validate().expect_err("out of range").to_string();
        assert!(error.contains("alignment.max_disparity_deg"), "{error}");
    }
}

#[test]
fn lenses_that_do_not_see_the_same_are_let_be() {
    let scene = Scene::Room(1.2);
    let film = scene.film(&rig(), 0.0, 0);
    let black = {
        let image = Image::from_fn(RIG_SIZE, |pixel| {
            let prepared = PreparedRig::new(&rig()).expect("valid");
            let lens = usize::from(pixel.x > f64::from(RIG_SIZE.x) / 2.0);
            if lens == 1 {
                return DVec3::ZERO;
            }
            prepared.lenses[0].direction(pixel).map_or(DVec3::ZERO, |direction| scene.look(stand(0), direction))
        });
        upload_rgba(&image)
    };
    let mut swapped = rig();
    let [first, second] = [swapped.lenses[0].orientation, swapped.lenses[1].orientation];
    (swapped.lenses[0].orientation, swapped.lenses[1].orientation) = (second, first);
    for (what, rig, input) in [("black", rig(), black), ("swapped", swapped, film)] {
        let wanted = settings(StitchAlignment::Fixed, StitchBlend::default());
        let truth = scene.truth(&wanted);
        let inside = overlap(&rig, &wanted, MARGIN_DEG);
        let input = [input];
        let [fixed, flow] = [StitchAlignment::Fixed, FLOW].map(|alignment| {
            let mut feed = Feed::new(&rig, &StitchSettings { alignment, ..wanted.clone() });
            (0..8).for_each(|_| feed.frame(&input));
            feed.picture().psnr_where(&truth, &inside)
        });
        println!("{what}: {fixed:.2} -> {flow:.2} dB");
        assert!(flow > fixed - 0.1, "{what}: {fixed:.2} -> {flow:.2} dB");
    }
}
