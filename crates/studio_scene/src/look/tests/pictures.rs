//! Pictures of the corpus, and broken ones.

use super::*;

fn corpus(path: &str) -> Option<Arc<[u8]>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/usd/usd-wg-assets/test_assets");
    match std::fs::read(root.join(path)) {
        Ok(bytes) => Some(bytes.into()),
        Err(_) => {
            eprintln!("skipped: shared/data/usd/usd-wg-assets/test_assets/{path} absent");
            None
        }
    }
}

#[test]
fn the_corpus_texture_transforms_show_their_own_field() {
    let Some(bytes) = corpus("TextureTransformTest/0/TextureTransformTest UV_244266e87c0f006acef7f70b1ae83a8f.png") else {
        return;
    };
    let baker = baker([("uv.png", bytes)], TextureOptions::default());
    // The meshes' coordinates are the upper left quarter; the fields are named by the transform that leads there.
    for (translation, expected, name) in [
        (Vec2::new(0.5, 0.0), Vec3::new(0.0, 0.5, 0.0), "Offset_U: green"),
        (Vec2::new(0.0, -0.5), Vec3::new(0.0, 0.0, 0.5), "Offset_V: blue"),
        (Vec2::new(0.5, -0.5), Vec3::new(0.0, 0.5, 0.5), "Offset_UV: cyan"),
    ] {
        let mut input = texture("uv.png", TextureChannels::Rgb);
        input.uv_transform.translation = translation;
        let material = made(PreviewSurface { diffuse_color: from_texture(input), ..Default::default() });
        let image = baker.bake(recipe(&material, TextureSlot::BaseColor)).image;
        // A corner of the field, clear of what is written in it: st (0.05, 0.95).
        let uv = material.material.uv_transform.transform_point2(Vec2::new(0.05, 0.05));
        let size = image.texture_descriptor.size;
        let (x, y) = ((uv.x * size.width as f32) as u32, (uv.y * size.height as f32) as u32);
        let texel = texels(&image)[(y * size.width + x) as usize];
        let color = Vec3::new(f32::from(texel[0]), f32::from(texel[1]), f32::from(texel[2])) / 255.0;
        let is_lit = color.cmpgt(Vec3::splat(0.4));
        assert_eq!(is_lit, expected.cmpgt(Vec3::splat(0.4)), "{name}: {color}");
    }
}

#[test]
fn the_lower_row_of_the_corpus_texture_transforms_points_its_arrows_at_the_marks() {
    // In the picture the arrow begins at the upper left corner and ends here, in st. What is seen there, and where, is the file's: a mark
    // "correct" stands at each place, from its panel's middle and in panels' hundredths (`Rotation___Correct` and its like).
    let tip = Vec2::new(0.7778, 0.2222);
    for (name, scale, rotation_deg, translation, mark) in [
        ("Rotation", 1.0, 22.5, Vec2::new(0.382_683_43, 0.076_120_496), Vec2::new(-7.905, -51.627)),
        ("Scale", 1.5, 0.0, Vec2::new(0.0, -0.5), Vec2::new(1.854, -1.854)),
        ("All", 1.5, 17.188_734, Vec2::new(0.243_280_34, -0.333_004_62), Vec2::new(-7.0, -25.0)),
    ] {
        let mut input = texture("arrow.png", TextureChannels::Rgb);
        input.uv_transform = UvTransform { scale: Vec2::splat(scale), rotation_deg, translation };
        let material = made(PreviewSurface { diffuse_color: from_texture(input), ..Default::default() });
        // Bevy's pictures begin at the top.
        let uv = |st: Vec2| Vec2::new(st.x, 1.0 - st.y);
        let shown = material.material.uv_transform.transform_point2(uv(mark / 100.0 + 0.5));
        assert!(shown.abs_diff_eq(uv(tip), 0.04), "{name}: at its mark it shows {shown}, not {}", uv(tip));
    }
}

#[test]
fn the_corpus_file_formats_all_show_one_picture() {
    let names = ["jpeg_cmyk_8-bit.jpg", "jpeg_rgb_8-bit.jpg", "png_rgb_8-bit.png", "png_rgb_16-bit.png", "png_rgb_32-bit.png"];
    let greys = ["jpeg_grayscale_8-bit.jpg", "png_grayscale_8-bit.png", "png_grayscale_16-bit.png"];
    let read = |name: &str| {
        let bytes = corpus(&format!("TextureFileFormatTests/{name}"))?;
        Some(Picture::decode(name, &bytes, &PictureLimits::default()).unwrap_or_else(|error| panic!("{error}")))
    };
    let Some(reference) = read("png_rgb_8-bit.png") else { return };
    let encoded = |picture: &Picture, x, y| picture.linear(x, y, false).truncate();
    let difference = |a: &Picture, b: &Picture| {
        let places = (4..252).step_by(8).flat_map(|x| (4..252).step_by(8).map(move |y| (x, y)));
        // Where the picture is opaque; JPEG has no alpha.
        let places: Vec<_> = places.filter(|(x, y)| reference.linear(*x, *y, false).w > 0.99).collect();
        assert!(places.len() > 100);
        let mut differences: Vec<f32> =
            places.iter().map(|(x, y)| (encoded(a, *x, *y) - encoded(b, *x, *y)).abs().max_element()).collect();
        // Each file has its own name written into the picture, so a tenth of the places differ altogether.
        differences.sort_unstable_by(f32::total_cmp);
        differences[differences.len() * 4 / 5]
    };
    for name in names {
        let picture = read(name).unwrap();
        assert_eq!((picture.width, picture.height), (256, 256));
        if name.contains("cmyk") {
            // Ink has another range than light. Without its profile each colour is (255 - ink) (255 - black) / 255.
            for (x, y, expected) in
                [(128, 128, [55, 255, 0]), (20, 20, [255, 66, 0]), (60, 128, [182, 204, 0]), (200, 128, [38, 254, 196])]
            {
                let color = encoded(&picture, x, y) * 255.0;
                assert!(
                    color.abs_diff_eq(Vec3::from(expected.map(|byte: u8| f32::from(byte))), 4.0),
                    "{name} at {x}, {y}: {color}"
                );
            }
            continue;
        }
        if name.contains("32-bit") {
            // It holds other numbers than its siblings; these are FFmpeg's.
            for (x, y, expected) in [(28, 84, [118, 96, 25]), (220, 204, [74, 98, 122]), (196, 36, [80, 110, 114])] {
                let color = encoded(&picture, x, y) * 255.0;
                let expected = Vec3::from(expected.map(|byte: u8| f32::from(byte)));
                assert!(color.abs_diff_eq(expected, 2.0), "{name} at {x}, {y}: {color}");
            }
            continue;
        }
        let error = difference(&picture, &reference);
        assert!(error < 0.03, "{name} differs by {error}");
    }
    let grey = read("png_grayscale_8-bit.png").unwrap();
    for name in greys {
        let picture = read(name).unwrap();
        assert_eq!(picture.own_channel(1), Some(0), "one grey for all colours");
        let error = difference(&picture, &grey);
        assert!(error < 0.03, "{name} differs by {error}");
    }
}

/// A picture as a file of a format: three columns (red, half green, blue) by two rows, the lower one dark.
fn six_pixels(format: image::ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let color = |x: u32, y: u32| {
        let mut color = [0.0_f32; 3];
        color[x as usize] = if x == 1 { 0.5 } else { 1.0 } * if y == 0 { 1.0 } else { 0.25 };
        color
    };
    match format {
        image::ImageFormat::Tga => {
            let bytes = |x, y| image::Rgb(color(x, y).map(|number| (number * 255.0).round() as u8));
            image::RgbImage::from_fn(3, 2, bytes).write_to(&mut file, format).unwrap();
        }
        _ => {
            // Brighter than white: floats keep that.
            let floats = |x, y| image::Rgb(color(x, y).map(|number| number * 8.0));
            image::Rgb32FImage::from_fn(3, 2, floats).write_to(&mut file, format).unwrap();
        }
    }
    file.into_inner()
}

#[test]
fn tga_goes_by_its_name_and_has_its_rows_from_the_top() {
    let limits = PictureLimits::default();
    let file = six_pixels(image::ImageFormat::Tga);
    // In a package too, and however it is written.
    for name in ["wood.tga", "kit.usdz[mat/WOOD.TGA]"] {
        let picture = Picture::decode(name, &file, &limits).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((picture.width, picture.height, picture.channels), (3, 2, 3));
        assert!(picture.is_srgb_by_itself());
        let at = |x, y| picture.linear(x, y, false).truncate();
        assert!(at(0, 0).abs_diff_eq(Vec3::X, 1e-6) && at(2, 1).abs_diff_eq(Vec3::Z * 0.25, 0.01), "{} {}", at(0, 0), at(2, 1));
    }
    // The bit of the header that says where the rows begin: without it they come from the bottom, as most programs write them.
    let mut upward = file.clone();
    upward[17] ^= 0x20;
    let picture = Picture::decode("wood.tga", &upward, &limits).unwrap();
    assert!(picture.linear(0, 1, false).truncate().abs_diff_eq(Vec3::X, 1e-6));
    // What says something else by its content is that, and by another name it is nothing.
    let whole = png(2, 2, |_, _| [255, 0, 0, 255]);
    assert_eq!(Picture::decode("really.tga", &whole, &limits).unwrap().width, 2);
    assert!(matches!(Picture::decode("wood.bin", &file, &limits), Err(PictureError::Format(..))));
    // A header that promises 65,535 pixels a side, half a file, and noise.
    let mut huge = file.clone();
    huge[12..16].copy_from_slice(&[255; 4]);
    assert!(matches!(Picture::decode("huge.tga", &huge, &limits), Err(PictureError::TooLarge { .. })));
    assert!(matches!(Picture::decode("half.tga", &file[..file.len() / 2], &limits), Err(PictureError::Broken(..))));
    for seed in 0..2000_u32 {
        let noise: Vec<u8> =
            (0..64_u32).map(|at| (seed.wrapping_mul(2_654_435_761).wrapping_add(at * 40_503) >> 13) as u8).collect();
        let _ = Picture::decode("noise.tga", &noise, &PictureLimits { side_px: 256, decoded_bytes: 1 << 20, ..limits });
    }
}

#[test]
fn openexr_is_linear_and_keeps_what_is_brighter_than_white() {
    let file = six_pixels(image::ImageFormat::OpenExr);
    let picture = Picture::decode("sky.exr", &file, &PictureLimits::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((picture.width, picture.height), (3, 2));
    assert!(!picture.is_srgb_by_itself());
    let at = |x, y| picture.linear(x, y, picture.is_srgb_by_itself()).truncate();
    assert!(at(0, 0).abs_diff_eq(Vec3::X * 8.0, 1e-3) && at(1, 1).abs_diff_eq(Vec3::Y, 1e-3), "{} {}", at(0, 0), at(1, 1));
    let error = Picture::decode("half.exr", &file[..file.len() / 2], &PictureLimits::default()).unwrap_err();
    assert!(error.to_string().contains("half.exr"), "{error}");
    let small = PictureLimits { side_px: 2, ..PictureLimits::default() };
    assert!(matches!(Picture::decode("wide.exr", &file, &small), Err(PictureError::TooLarge { .. })));
    // The corner of the picture that is shown lies beyond any memory.
    let mut huge = file;
    let window = huge.windows(13).position(|name| name == b"displayWindow").unwrap() + b"displayWindow\0box2i\0".len() + 4 + 8;
    huge[window..window + 8].copy_from_slice(&[0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0xff, 0x3f]);
    let error = Picture::decode("huge.exr", &huge, &PictureLimits::default()).unwrap_err();
    assert!(matches!(error, PictureError::TooLarge { .. } | PictureError::Broken(..)), "{error}");
}

#[test]
fn other_formats_and_broken_pictures_are_told_by_name() {
    let decode = |name: &str, bytes: &[u8]| Picture::decode(name, bytes, &PictureLimits::default()).unwrap_err();
    let gif = decode("sky.gif", b"GIF89a and more");
    assert!(matches!(&gif, PictureError::Format(name, _) if name == "sky.gif") && gif.to_string().contains("PNG"), "{gif}");
    let unknown = decode("kit.usdz[mat/wood.tx]", b"nothing known");
    assert!(unknown.to_string().contains("`tx`"), "{unknown}");
    let whole = png(8, 8, |x, y| [x as u8, y as u8, 0, 255]);
    assert!(matches!(decode("half.png", &whole[..whole.len() / 2]), PictureError::Broken(..)));
    assert!(matches!(decode("empty.png", &[]), PictureError::Broken(..)));
    // A header that promises more than there may be.
    let mut huge = whole.to_vec();
    huge[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    let error = decode("huge.png", &huge);
    assert!(matches!(error, PictureError::TooLarge { .. } | PictureError::Broken(..)), "{error}");
    let small = PictureLimits { side_px: 4, ..PictureLimits::default() };
    let error = Picture::decode("wide.png", &whole, &small).unwrap_err();
    assert!(matches!(error, PictureError::TooLarge { .. }) && error.to_string().contains("wide.png"), "{error}");
}

#[test]
fn radiance_pictures_keep_what_is_brighter_than_white() {
    // One texel of 128, 64, 32 / 256 times 2^(131 - 128).
    let bytes = [&b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n"[..], &[128, 64, 32, 131]].concat();
    let picture = Picture::decode("sun.hdr", &bytes, &PictureLimits::default()).unwrap();
    assert!(!picture.is_srgb_by_itself());
    assert!(picture.linear(0, 0, false).abs_diff_eq(Vec4::new(4.0, 2.0, 1.0, 1.0), 0.05), "{}", picture.linear(0, 0, false));
}

#[test]
fn large_textures_are_halved_to_the_limits_with_a_note() {
    let picture = png(256, 128, |x, _| [if x < 128 { 0 } else { 255 }; 4]);
    let material =
        made(PreviewSurface { diffuse_color: from_texture(texture("big.png", TextureChannels::Rgb)), ..Default::default() });
    let bake =
        |options: TextureOptions| baker([("big.png", picture.clone())], options).bake(recipe(&material, TextureSlot::BaseColor));
    let side = bake(TextureOptions { max_side_px: 64, ..TextureOptions::default() });
    let size = side.image.texture_descriptor.size;
    assert_eq!((size.width, size.height, side.image.texture_descriptor.mip_level_count), (64, 32, 7));
    assert!(side.notes.iter().any(|note| note.contains("big.png") && note.contains("64 × 32")), "{:?}", side.notes);
    let texels = texels(&side.image);
    assert_eq!((texels[0][0], texels[63][0]), (0, 255));
    // 256 × 128 with its mipmaps is 170 KiB; 50 are left.
    let budget = bake(TextureOptions { budget_bytes: 50_000, ..TextureOptions::default() });
    assert_eq!(budget.image.texture_descriptor.size.width, 128);
    let bytes = budget.image.data.as_ref().unwrap().len();
    assert!(bytes <= 50_000, "{bytes}");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_a_picture_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..4_usize) {
        let head: &[u8] = [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"#?RADIANCE\n"][kind];
        let bytes = [head, &bytes].concat();
        let limits = PictureLimits { side_px: 512, decoded_bytes: 1 << 20, ..PictureLimits::default() };
        if let Ok(picture) = Picture::decode("fuzz", &bytes, &limits) {
            prop_assert!(picture.size_bytes() as u64 <= limits.decoded_bytes);
        }
    }

    #[test]
    fn a_damaged_png_never_breaks_a_texture(at in 8_usize..200, with: u8, length in 8_usize..400) {
        let mut bytes = png(16, 16, |x, y| [x as u8 * 16, y as u8 * 16, 3, 255]).to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        bytes.truncate(length);
        let baker = baker([("a.png", bytes.into())], TextureOptions::default());
        let channel = |component| Channel::read(&texture("a.png", TextureChannels::Rgb), component);
        let recipe = TextureRecipe {
            channels: [channel(0), channel(1), channel(2), Channel::constant(1.0)],
            encoding: Encoding::Color,
            wrap: [TextureWrap::UseMetadata; 2],
        };
        let baked = baker.bake(&recipe);
        prop_assert!(baked.notes.len() <= 1 && baked.image.data.is_some());
    }
}
