//! Pictures from the GPU against pictures from the CPU.

use super::{GPU, gear360, gear360_frame, stitch_on_gpu, turned, upload, upload_rgba};
use crate::{
    rig::{PreparedRig, Rig, YawPitchRoll},
    stitch::{
        StMap, StMapPass, StitchSampling, StitchSettings, StitchView,
        reference::{self, Image},
    },
};
use bevy::math::{DVec2, DVec3, UVec2, Vec3};
use core::f64::consts::{PI, TAU};
use studio_frame::{
    color::{ColorInfo, ColorMatrix, ColorRange},
    format::PixelFormat,
};
use studio_gpu::{device::HeadlessGpu, readback::read_rgba};

/// What a camera at the centre of a coloured sphere sees: the colour is the direction.
pub(in crate::stitch) fn coloured_sphere(rig: &Rig) -> Image {
    let prepared = PreparedRig::new(rig).expect("valid");
    Image::from_fn(prepared.pictures[0], |pixel| {
        let lens = usize::from(pixel.x >= f64::from(prepared.pictures[0].x) / 2.0);
        prepared.lenses[lens].direction(pixel).expect("a direction") * 0.5 + 0.5
    })
}

fn direction_of(color: DVec3) -> DVec3 {
    (color / 255.0 * 2.0 - 1.0).normalize()
}

#[test]
fn the_gpu_draws_what_the_cpu_computes() {
    let Some(frame) = gear360_frame() else { return };
    let (rig, input) = (gear360(), upload_rgba(&frame));
    let prepared = PreparedRig::new(&rig).expect("valid");
    for (view, size_px) in [
        (StitchView::Equirectangular, [1280, 640]),
        (StitchView::Fisheye { fov_deg: 180.0 }, [400, 400]),
        (StitchView::CubeMap, [384, 256]),
        (StitchView::Rectilinear { fov_deg: 90.0 }, [480, 270]),
        (StitchView::RigPicture { picture: 0 }, [640, 320]),
    ] {
        let settings = turned(StitchSettings { view, size_px, ..StitchSettings::default() }, 80.0, 5.0, -3.0);
        let (expected, faded) = reference::stitch(&prepared, &settings, core::slice::from_ref(&frame));
        let psnr = stitch_on_gpu(&rig, &settings, &[&input]).psnr_where(&expected, |x, y| !faded[(y * size_px[0] + x) as usize]);
        println!("{view:?} on {}: {psnr:.1} dB against double precision", GPU.adapter.name);
        assert!(psnr > 45.0, "{view:?}: {psnr:.1} dB");
    }
}

#[test]
fn each_view_looks_where_it_says() {
    let rig = Rig::dual_fisheye([1024, 512], 200.0);
    let input = upload_rgba(&coloured_sphere(&rig));
    let orientation = YawPitchRoll::new(40.0, 15.0, -10.0);
    let expect = |view: StitchView, size: UVec2, seen: &dyn Fn(DVec2) -> Option<DVec3>| {
        let settings = StitchSettings { view, size_px: size.to_array(), orientation, ..StitchSettings::default() };
        let picture = stitch_on_gpu(&rig, &settings, &[&input]);
        let mut worst = 0_f64;
        for index in 0..size.x * size.y {
            let (x, y) = (index % size.x, index / size.x);
            if let Some(ray) = seen(DVec2::new(f64::from(x) + 0.5, f64::from(y) + 0.5)) {
                worst =
                    worst.max(direction_of(picture.at(x, y)).angle_between(orientation.matrix() * ray.normalize()).to_degrees());
            }
        }
        assert!(worst < 1.5, "{view:?} looks {worst:.2}° beside");
    };
    let sphere = |lon: f64, lat: f64| DVec3::new(lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos());
    expect(StitchView::Equirectangular, UVec2::new(256, 128), &|p| {
        Some(sphere((p.x / 128.0 - 1.0) * PI, (0.5 - p.y / 128.0) * PI))
    });
    expect(StitchView::HalfEquirectangular, UVec2::new(128, 128), &|p| {
        Some(sphere((p.x / 128.0 - 0.5) * PI, (0.5 - p.y / 128.0) * PI))
    });
    let circle = |offset: DVec2, radius: f64, half_angle: f64| {
        let theta = offset.length() / radius * half_angle;
        (theta <= half_angle).then(|| (offset.normalize() * theta.sin()).extend(theta.cos()))
    };
    expect(StitchView::Fisheye { fov_deg: 180.0 }, UVec2::new(128, 128), &|p| circle(p - 64.0, 64.0, PI / 2.0));
    expect(StitchView::DualFisheye { fov_deg: 180.0 }, UVec2::new(256, 128), &|p| {
        let back = p.x > 128.0;
        let ray = circle(p - DVec2::new(if back { 192.0 } else { 64.0 }, 64.0), 64.0, PI / 2.0)?;
        Some(if back { DVec3::new(-ray.x, ray.y, -ray.z) } else { ray })
    });
    expect(StitchView::Rectilinear { fov_deg: 90.0 }, UVec2::new(128, 72), &|p| {
        Some(((p - DVec2::new(64.0, 36.0)) / 64.0).extend(1.0))
    });
    expect(StitchView::CubeMap, UVec2::new(192, 128), &|p| {
        let (face, at) = ((p / 64.0).floor(), (p / 64.0).fract() * 2.0 - 1.0);
        // Standing in the middle: what is on the face's middle, to its right, and below.
        Some(match (face.x as u32, face.y as u32) {
            (0, 0) => DVec3::new(1.0, at.y, -at.x),
            (1, 0) => DVec3::new(-1.0, at.y, at.x),
            (2, 0) => DVec3::new(at.x, -1.0, at.y),
            (0, 1) => DVec3::new(at.x, 1.0, -at.y),
            (1, 1) => DVec3::new(at.x, at.y, 1.0),
            _ => DVec3::new(-at.x, at.y, -1.0),
        })
    });
}

#[test]
fn outside_of_every_lens_is_black_and_opaque() {
    let mut rig = Rig::dual_fisheye([512, 256], 180.0);
    rig.lenses.truncate(1);
    let input = upload_rgba(&Image::from_fn(UVec2::new(512, 256), |_| DVec3::ONE));
    let picture = stitch_on_gpu(&rig, &StitchSettings::equirectangular(512, 256), &[&input]);
    assert_eq!(picture.at(256, 128), DVec3::splat(255.0), "ahead");
    assert_eq!(picture.at(5, 128), DVec3::ZERO, "behind");
    assert!(picture.rgba.iter().skip(3).step_by(4).all(|alpha| *alpha == 255));
}

#[test]
fn a_lens_never_shows_its_neighbours_half() {
    // The right half is red: none of it may bleed into a view of the left lens.
    let mut rig = Rig::dual_fisheye([512, 256], 190.0);
    rig.lenses.truncate(1);
    let picture = Image::from_fn(UVec2::new(512, 256), |p| if p.x < 256.0 { DVec3::new(0.0, 0.5, 1.0) } else { DVec3::X });
    for format in [PixelFormat::Rgba8, PixelFormat::Nv12] {
        let input = upload_as(&picture, format, ColorInfo::BT709);
        let out = stitch_on_gpu(&rig, &StitchSettings::equirectangular(512, 256), &[&input]);
        let reddest = out.rgba.chunks_exact(4).map(|pixel| pixel[0]).max().expect("pixels");
        assert!(reddest <= 2, "{format:?}: red {reddest}");
    }
}

/// Encodes a picture in a pixel format; chroma is the mean of four pixels.
fn upload_as(picture: &Image, format: PixelFormat, color: ColorInfo) -> studio_gpu::picture::GpuPicture {
    if format == PixelFormat::Rgba8 {
        return upload_rgba(picture);
    }
    let size = picture.size;
    let to_yuv = color.yuv_from_rgb(format.bit_depth());
    let max = f64::from((1_u32 << format.bit_depth()) - 1);
    let code = |value: f32| (f64::from(value) * max).round().clamp(0.0, max) as u16;
    let yuv = |x: u32, y: u32| to_yuv.apply((picture.at(x, y) / 255.0).as_vec3());
    let luma: Vec<u16> = (0..size.x * size.y).map(|index| code(yuv(index % size.x, index / size.x).x)).collect();
    let half = size / 2;
    let mean = |index: u32| {
        let (x, y) = (index % half.x * 2, index / half.x * 2);
        [(0, 0), (1, 0), (0, 1), (1, 1)].iter().map(|(dx, dy)| yuv(x + dx, y + dy)).sum::<Vec3>() / 4.0
    };
    let chroma: Vec<[u16; 2]> = (0..half.x * half.y).map(|index| [code(mean(index).y), code(mean(index).z)]).collect();
    let data: Vec<u8> = match format {
        PixelFormat::Nv12 => luma.into_iter().chain(chroma.into_iter().flatten()).map(|value| value as u8).collect(),
        PixelFormat::I420 => {
            let planes = chroma.iter().map(|pair| pair[0]).chain(chroma.iter().map(|pair| pair[1]));
            luma.iter().copied().chain(planes).map(|value| value as u8).collect()
        }
        _ => luma.into_iter().chain(chroma.into_iter().flatten()).flat_map(|value| (value << 6).to_le_bytes()).collect(),
    };
    upload(format, color, size, data)
}

#[test]
fn yuv_pictures_stitch_like_rgb_ones() {
    let rig = Rig::dual_fisheye([512, 256], 195.0);
    let picture = coloured_sphere(&rig);
    let settings = StitchSettings::equirectangular(512, 256);
    let expected = stitch_on_gpu(&rig, &settings, &[&upload_rgba(&picture)]);
    for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            for format in [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::P010] {
                let color = ColorInfo { matrix, range, ..ColorInfo::default() };
                let psnr = stitch_on_gpu(&rig, &settings, &[&upload_as(&picture, format, color)]).psnr(&expected);
                assert!(psnr > 42.0, "{format:?} {matrix:?} {range:?}: {psnr:.1} dB");
            }
        }
    }
    // The gate trips on a wrong matrix: that is what it is for.
    let read_wrong = |wrong: ColorInfo| {
        let mut input = upload_as(&picture, PixelFormat::Nv12, ColorInfo::BT709);
        input.color = wrong;
        stitch_on_gpu(&rig, &settings, &[&input]).psnr(&expected)
    };
    assert!(read_wrong(ColorInfo { matrix: ColorMatrix::Bt601, ..ColorInfo::BT709 }) < 35.0);
    assert!(read_wrong(ColorInfo { range: ColorRange::Full, ..ColorInfo::BT709 }) < 35.0);
}

#[test]
fn pictures_of_another_size_and_turns_frame_by_frame() {
    let rig = Rig::dual_fisheye([1024, 512], 195.0);
    let half = Rig::dual_fisheye([512, 256], 195.0);
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let settings = StitchSettings::equirectangular(256, 128);
    let mut pass = crate::stitch::StitchPass::new(device, queue, &rig, &settings).expect("valid");
    let (input, output) = (upload_rgba(&coloured_sphere(&half)), pass.output_picture(device, "test").expect("fits"));
    for yaw_deg in [0.0, 90.0, -45.0] {
        pass.set_orientation(device, queue, YawPitchRoll::new(yaw_deg, 0.0, 0.0)).expect("finite");
        let mut encoder = device.create_command_encoder(&Default::default());
        pass.encode(device, queue, &mut encoder, &[&input], &output, None).expect("the shape is the rig's");
        queue.submit([encoder.finish()]);
        let picture = Image { size: output.size, rgba: read_rgba(device, queue, &output.planes[0]).expect("readable") };
        let ahead = direction_of(picture.at(128, 64));
        let expected = YawPitchRoll::new(yaw_deg, 0.0, 0.0).matrix() * DVec3::Z;
        assert!(ahead.angle_between(expected).to_degrees() < 2.0, "{yaw_deg}°: {ahead}");
    }
}

#[test]
fn a_turned_camera_films_what_a_turned_view_shows() {
    // The way the demo's clip is made: filming with a turned camera, then stitching, shows the same as turning the stitch.
    let Some(frame) = gear360_frame() else { return };
    let (rig, input) = (gear360(), upload_rgba(&frame));
    let camera =
        StitchSettings { view: StitchView::RigPicture { picture: 0 }, size_px: frame.size.to_array(), ..Default::default() };
    let filmed = upload_rgba(&stitch_on_gpu(&rig, &turned(camera, 25.0, 4.0, -3.0), &[&input]));
    let view = StitchSettings::equirectangular(960, 480);
    let stitched = stitch_on_gpu(&rig, &view, &[&filmed]);
    let psnr = stitched.psnr(&stitch_on_gpu(&rig, &turned(view, 25.0, 4.0, -3.0), &[&input]));
    println!("filmed by a turned camera and stitched, against a turned stitch: {psnr:.1} dB");
    assert!(psnr > 28.0, "{psnr:.1} dB");
}

#[test]
fn the_shipped_calibration_joins_the_real_lenses() {
    let Some(frame) = gear360_frame() else { return };
    let seam_error = |rig: &Rig| {
        let rig = PreparedRig::new(rig).expect("valid");
        let scale = frame.size.as_dvec2() / rig.pictures[0].as_dvec2();
        let mut differences = Vec::new();
        for step in 0..7200 {
            // Around the seam, up to two degrees to both sides.
            let (around, beside) = (f64::from(step) / 7200.0 * TAU, (f64::from(step % 5) - 2.0).to_radians());
            let direction = DVec3::new(around.cos() * beside.cos(), around.sin() * beside.cos(), beside.sin());
            let colors = [0, 1].map(|lens| {
                let sample = rig.lenses[lens].sample(direction, None).expect("seen");
                let color = frame.sample(sample.pixel * scale) * rig.lenses[lens].vignetting_gain(sample.pixel);
                (sample.edge_deg > 0.0).then_some(color.min(DVec3::splat(255.0)))
            });
            if let [Some(a), Some(b)] = colors {
                differences.push((a - b).abs().element_sum() / 3.0);
            }
        }
        differences.sort_by(f64::total_cmp);
        (differences[differences.len() / 2], differences.iter().sum::<f64>() / differences.len() as f64)
    };
    let (median, mean) = seam_error(&gear360());
    let mut beside = gear360();
    let crate::rig::Orientation::Angles(angles) = &mut beside.lenses[1].orientation else { panic!("angles") };
    angles.roll_deg += 2.0;
    let (_, mean_beside) = seam_error(&beside);
    println!(
        "difference of the two lenses at the seam, of 255: median {median:.1}, mean {mean:.1}; turned by 2°: mean {mean_beside:.1}"
    );
    // The mean is people within arm's reach, whom no calibration joins.
    assert!(median < 8.0 && mean < 25.0);
    assert!(mean_beside > 1.15 * mean, "a wrong calibration is told apart");
}

#[test]
fn an_stmap_moves_every_pixel_where_it_says() {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let source = Image::from_fn(UVec2::new(64, 32), |p| DVec3::new(p.x / 64.0, p.y / 32.0, 0.25));
    // Mirrored left to right, with a hole in one corner; written as compositing tools write it, from the bottom.
    let png = {
        let picture = image::ImageBuffer::from_fn(64, 32, |x, y| {
            let (s, t) = ((63.5 - f64::from(x)) / 64.0, 1.0 - (f64::from(y) + 0.5) / 32.0);
            image::Rgba([
                (s * 65535.0).round() as u16,
                (t * 65535.0).round() as u16,
                0,
                if x < 4 && y < 4 { 0 } else { u16::MAX },
            ])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::DynamicImage::ImageRgba16(picture).write_to(&mut bytes, image::ImageFormat::Png).expect("written");
        bytes.into_inner()
    };
    let map = StMap::from_png("mirror.png", &png).expect("readable");
    let formats = [PixelFormat::Rgba8, PixelFormat::Nv12];
    for (format, sampling) in
        formats.into_iter().flat_map(|format| [(format, StitchSampling::Linear), (format, StitchSampling::Cubic)])
    {
        let mut pass = StMapPass::new(device, queue, &map, sampling).expect("fits");
        let output = pass.output_picture(device, "test").expect("fits");
        let mut encoder = device.create_command_encoder(&Default::default());
        pass.encode(device, queue, &mut encoder, &upload_as(&source, format, ColorInfo::BT709), &output, None).expect("fits");
        queue.submit([encoder.finish()]);
        let picture = Image { size: output.size, rgba: read_rgba(device, queue, &output.planes[0]).expect("readable") };
        let worst = (0..64 * 32)
            .map(|index| (index % 64, index / 64))
            .filter(|(x, y)| *x > 4 || *y > 4)
            .map(|(x, y)| (picture.at(x, y) - source.at(63 - x, y)).abs().max_element())
            .fold(0.0, f64::max);
        assert!(worst <= 6.0, "{format:?}, {sampling:?}: {worst}");
        assert_eq!(picture.at(1, 1), DVec3::ZERO, "the hole");
    }
}
