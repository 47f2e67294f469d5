//! Materials and textures against numbers worked out by hand, and against broken files.

use super::{
    rendered::{png, texture},
    texture::{Channel, Encoding, Picture, PictureError, PictureLimits, linear_from_srgb, srgb_from_linear},
    *,
};
use bevy::{
    image::{ImageAddressMode, ImageSampler},
    mesh::UvChannel,
    pbr::StandardMaterial,
    render::render_resource::{Face, TextureFormat},
};
use half::f16;
use proptest::prelude::*;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use studio_usd::snapshot::{
    self, Input, InputSource, PreviewSurface, TextureChannels, TextureColorSpace, TextureInput, TextureWrap, UvTransform,
};

/// Pictures by name.
fn baker(pictures: impl IntoIterator<Item = (&'static str, Arc<[u8]>)>, options: TextureOptions) -> TextureBaker {
    let pictures: HashMap<String, Arc<[u8]>> = pictures.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    TextureBaker::new(Arc::new(move |name: &str| Ok(pictures.get(name).cloned())), options)
}

fn from_texture<T: Default>(texture: TextureInput) -> Input<T> {
    Input { value: T::default(), source: Some(InputSource::Texture(texture)) }
}

fn made(surface: PreviewSurface) -> MadeMaterial {
    let options = MaterialOptions {
        double_sided: false,
        uv_channel: &|name| match name {
            "st" => Some(UvChannel::Uv0),
            "st1" => Some(UvChannel::Uv1),
            _ => None,
        },
        has_primvar: &|name| name == "displayColor",
    };
    material(&snapshot::Material { surface: Some(surface), left_out: Vec::new() }, &options)
}

fn recipe(made: &MadeMaterial, slot: TextureSlot) -> &TextureRecipe {
    &made.textures.iter().find(|texture| texture.slot == slot).unwrap_or_else(|| panic!("no texture for {slot:?}")).recipe
}

/// The first level's texels, as they are.
fn texels(image: &Image) -> Vec<[u8; 4]> {
    let size = image.texture_descriptor.size;
    let bytes = image.data.as_ref().unwrap();
    bytes.chunks_exact(4).take((size.width * size.height) as usize).map(|texel| texel.try_into().unwrap()).collect()
}

fn sampler(image: &Image) -> (ImageAddressMode, ImageAddressMode) {
    match &image.sampler {
        ImageSampler::Descriptor(sampler) => (sampler.address_mode_u, sampler.address_mode_v),
        ImageSampler::Default => panic!("a sampler of its own"),
    }
}

#[test]
fn a_plain_surface_keeps_its_numbers() {
    let material = made(PreviewSurface {
        diffuse_color: Vec3::new(0.2, 0.4, 0.6).into(),
        emissive_color: Vec3::new(3.0, 0.0, 0.0).into(),
        metallic: 0.25.into(),
        roughness: 0.75.into(),
        clearcoat: 0.5.into(),
        clearcoat_roughness: 0.1.into(),
        ..Default::default()
    });
    assert!(material.textures.is_empty() && material.notes.is_empty() && material.vertex_color.is_empty());
    let StandardMaterial { base_color, emissive, emissive_exposure_weight, metallic, perceptual_roughness, reflectance, .. } =
        material.material.clone();
    assert_eq!(base_color, Color::linear_rgba(0.2, 0.4, 0.6, 1.0));
    assert_eq!((emissive, emissive_exposure_weight), (LinearRgba::rgb(3.0, 0.0, 0.0), 1.0));
    assert_eq!((metallic, perceptual_roughness), (0.25, 0.75));
    assert_eq!((material.material.clearcoat, material.material.clearcoat_perceptual_roughness), (0.5, 0.1));
    // An index of 1.5 reflects 4 % head on, which Bevy calls 0.5.
    assert!((reflectance - 0.5).abs() < 1e-6);
    assert!((0.16 * material::reflectance_of_ior(2.0).powi(2) - (1.0_f32 / 3.0).powi(2)).abs() < 1e-6);
    assert_eq!((material.material.cull_mode, material.material.alpha_mode), (Some(Face::Back), AlphaMode::Opaque));
}

#[test]
fn opacity_becomes_glass_or_presence_or_a_cut() {
    let surface =
        |opacity: f32| PreviewSurface { diffuse_color: Vec3::ONE.into(), opacity: opacity.into(), ..Default::default() };
    let glass = made(surface(0.25)).material;
    assert_eq!((glass.alpha_mode, glass.base_color), (AlphaMode::Premultiplied, Color::linear_rgba(0.25, 0.25, 0.25, 0.25)));
    let presence = made(PreviewSurface { opacity_is_presence: true, ..surface(0.25) }).material;
    assert_eq!((presence.alpha_mode, presence.base_color), (AlphaMode::Blend, Color::linear_rgba(1.0, 1.0, 1.0, 0.25)));
    assert_eq!(made(PreviewSurface { opacity_threshold: 0.5, ..surface(0.75) }).material.alpha_mode, AlphaMode::Opaque);
    assert_eq!(made(PreviewSurface { opacity_threshold: 0.5, ..surface(0.25) }).material.alpha_mode, AlphaMode::Mask(0.5));
    let leaf = PreviewSurface {
        opacity: from_texture(texture("leaf.png", TextureChannels::A)),
        opacity_threshold: 0.3,
        ..Default::default()
    };
    assert_eq!(made(leaf).material.alpha_mode, AlphaMode::Mask(0.3));
}

#[test]
fn a_blended_texture_that_is_opaque_after_all_is_not_blended() {
    let opaque = png(2, 2, |_, _| [9, 9, 9, 255]);
    let clear = png(2, 2, |x, _| [9, 9, 9, if x == 0 { 255 } else { 100 }]);
    let baker = baker([("opaque.png", opaque), ("clear.png", clear)], TextureOptions::default());
    for (name, expected) in [("opaque.png", AlphaMode::Opaque), ("clear.png", AlphaMode::Blend)] {
        let mut material =
            made(PreviewSurface { opacity: from_texture(texture(name, TextureChannels::A)), ..Default::default() });
        assert_eq!(material.material.alpha_mode, AlphaMode::Blend);
        let notes = material.finish(&mut TextureSet::default(), &baker, &mut |_, _| Handle::default());
        assert!(notes.is_empty());
        assert_eq!(material.material.alpha_mode, expected, "{name}");
    }
}

#[test]
fn metallic_roughness_and_occlusion_of_three_pictures_are_packed_texel_by_texel() {
    // Roughness is twice as large; metallic has scale and bias; occlusion is a green channel.
    let rough = png(4, 4, |x, y| [(x * 20 + y * 3) as u8, 0, 0, 255]);
    let metal = png(2, 2, |x, y| [0, 0, (x * 100 + y * 50) as u8, 255]);
    let hollow = png(4, 4, |x, y| [0, (200 - x * 10 - y) as u8, 0, 255]);
    let raw = |name: &str, channels| TextureInput { color_space: TextureColorSpace::Raw, ..texture(name, channels) };
    let mut metallic = raw("metal.png", TextureChannels::B);
    (metallic.scale, metallic.bias) = (Vec4::splat(0.5), Vec4::splat(0.25));
    let material = made(PreviewSurface {
        roughness: from_texture(raw("rough.png", TextureChannels::R)),
        metallic: from_texture(metallic),
        occlusion: from_texture(raw("hollow.png", TextureChannels::G)),
        ..Default::default()
    });
    assert_eq!(
        recipe(&material, TextureSlot::MetallicRoughness),
        recipe(&material, TextureSlot::Occlusion),
        "one image for both"
    );
    assert_eq!((material.material.metallic, material.material.perceptual_roughness), (1.0, 1.0));
    let baker = baker([("rough.png", rough), ("metal.png", metal), ("hollow.png", hollow)], TextureOptions::default());
    let baked = baker.bake(recipe(&material, TextureSlot::MetallicRoughness));
    assert_eq!(baked.notes, Vec::<String>::new());
    assert_eq!(baked.image.texture_descriptor.format, TextureFormat::Rgba8Unorm);
    let size = baked.image.texture_descriptor.size;
    assert_eq!((size.width, size.height, baked.image.texture_descriptor.mip_level_count), (4, 4, 3));
    for (index, [r, g, b, a]) in texels(&baked.image).into_iter().enumerate() {
        let (x, y) = (index as u32 % 4, index as u32 / 4);
        assert_eq!((u32::from(r), u32::from(g), a), (200 - x * 10 - y, x * 20 + y * 3, 255), "at {x}, {y}");
        // Linear between the four pixels of the smaller picture: a quarter, three quarters.
        let place = |at: u32| ((at as f32 + 0.5) / 2.0 - 0.5).clamp(0.0, 1.0);
        let number = (place(x) * 100.0 + place(y) * 50.0) / 255.0 * 0.5 + 0.25;
        assert!((f32::from(b) - number * 255.0).abs() <= 0.51, "at {x}, {y}: {b} rather than {}", number * 255.0);
    }
}

#[test]
fn a_picture_that_fits_is_used_as_it_is_and_its_scale_is_a_factor() {
    let picture = png(3, 2, |x, y| [x as u8 * 80, y as u8 * 90, 77, 255]);
    let scaled = TextureInput { scale: Vec4::new(0.5, 2.0, 1.0, 1.0), ..texture("a.png", TextureChannels::Rgb) };
    let material = made(PreviewSurface { diffuse_color: from_texture(scaled), ..Default::default() });
    assert_eq!(material.material.base_color, Color::linear_rgba(0.5, 2.0, 1.0, 1.0));
    let plain =
        made(PreviewSurface { diffuse_color: from_texture(texture("a.png", TextureChannels::Rgb)), ..Default::default() });
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    let source = move |_: &str| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Some(picture.clone()))
    };
    let baker = TextureBaker::new(Arc::new(source), TextureOptions::default());
    let mut set = TextureSet::default();
    let mut images = Vec::new();
    for mut material in [material, plain.clone(), plain] {
        assert!(
            material
                .finish(&mut set, &baker, &mut |_, image| {
                    images.push(image);
                    Handle::default()
                })
                .is_empty()
        );
    }
    // The fallback differs by the factor that is taken out of it; black is black, so it is one texture.
    assert_eq!((images.len(), set.len(), reads.load(Ordering::Relaxed)), (1, 1, 1));
    let image = images.first().unwrap();
    assert_eq!(image.texture_descriptor.format, TextureFormat::Rgba8UnormSrgb);
    assert_eq!(texels(image), (0..6).map(|i| [(i % 3) as u8 * 80, (i / 3) as u8 * 90, 77, 255]).collect::<Vec<_>>());
    assert_eq!(sampler(image), (ImageAddressMode::Repeat, ImageAddressMode::Repeat));
}

#[test]
fn opacity_of_another_picture_goes_into_alpha() {
    let color = png(2, 1, |x, _| [200, x as u8 * 100, 0, 7]);
    let mask = png(2, 1, |x, _| [0, 10 + x as u8, 0, 255]);
    let material = made(PreviewSurface {
        diffuse_color: from_texture(texture("color.png", TextureChannels::Rgb)),
        opacity: from_texture(TextureInput { color_space: TextureColorSpace::Raw, ..texture("mask.png", TextureChannels::G) }),
        ..Default::default()
    });
    let baked = baker([("color.png", color), ("mask.png", mask)], TextureOptions::default())
        .bake(recipe(&material, TextureSlot::BaseColor));
    assert_eq!(texels(&baked.image), [[200, 0, 0, 10], [200, 100, 0, 11]]);
    assert!(!baked.facts.is_opaque);
}

#[test]
fn normals_keep_their_bytes_and_their_length() {
    let picture = png(2, 2, |x, _| if x == 0 { [255, 128, 128, 255] } else { [128, 128, 255, 255] });
    let mut normal = TextureInput { color_space: TextureColorSpace::Raw, ..texture("n.png", TextureChannels::Rgb) };
    (normal.scale, normal.bias) = (Vec4::splat(2.0), Vec4::splat(-1.0));
    let material = made(PreviewSurface { normal: Some(normal.clone()), ..Default::default() });
    assert!(material.notes.is_empty() && material.tangents_of == Some(UvChannel::Uv0) && !material.material.flip_normal_map_y);
    let baker = baker([("n.png", picture)], TextureOptions::default());
    let baked = baker.bake(recipe(&material, TextureSlot::Normal));
    assert_eq!(baked.image.texture_descriptor.format, TextureFormat::Rgba8Unorm);
    assert_eq!(texels(&baked.image), [[255, 128, 128, 255], [128, 128, 255, 255], [255, 128, 128, 255], [128, 128, 255, 255]]);
    // The mean of X and Z has the length 1 again: (1, 0, 1) / √2.
    let mean = baked.image.data.as_ref().unwrap().get(16..20).unwrap();
    assert!(mean.iter().zip([218, 128, 218, 255]).all(|(a, b)| a.abs_diff(b) <= 1), "{mean:?}");
    // Left out by many exporters.
    (normal.scale, normal.bias) = (Vec4::ONE, Vec4::ZERO);
    let lenient = made(PreviewSurface { normal: Some(normal), ..Default::default() });
    assert_eq!(recipe(&lenient, TextureSlot::Normal), recipe(&material, TextureSlot::Normal));
    assert!(lenient.notes.iter().any(|note| note.contains("n.png")), "{:?}", lenient.notes);
}

#[test]
fn a_missing_picture_is_told_and_its_fallback_stands() {
    let missing = TextureInput { fallback: Vec4::new(1.0, 0.5, 0.25, 1.0), ..texture("gone.png", TextureChannels::Rgb) };
    let material = made(PreviewSurface { diffuse_color: from_texture(missing), ..Default::default() });
    let baked = baker([], TextureOptions::default()).bake(recipe(&material, TextureSlot::BaseColor));
    assert_eq!(baked.notes.len(), 1);
    assert!(baked.notes.iter().all(|note| note.contains("gone.png") && note.contains("not found")), "{:?}", baked.notes);
    let expected = [1.0, 0.5, 0.25].map(|linear| (srgb_from_linear(linear) * 255.0 + 0.5) as u8);
    assert_eq!(texels(&baked.image), [[expected[0], expected[1], expected[2], 255]]);
}

#[test]
fn colour_space_is_worked_out_and_numbers_beyond_one_stay() {
    let picture = png(1, 1, |_, _| [128, 128, 128, 255]);
    let options = TextureOptions::default();
    let baker = baker([("a.png", picture)], options);
    // Numbers of an sRGB picture are taken out of sRGB.
    let rough = |color_space| {
        let input = TextureInput { color_space, ..texture("a.png", TextureChannels::R) };
        let material = made(PreviewSurface { roughness: from_texture(input), ..Default::default() });
        texels(&baker.bake(recipe(&material, TextureSlot::MetallicRoughness)).image)[0][1]
    };
    assert_eq!(rough(TextureColorSpace::Raw), 128);
    let linear = (linear_from_srgb(128.0 / 255.0) * 255.0 + 0.5) as u8;
    assert_eq!((rough(TextureColorSpace::Srgb), rough(TextureColorSpace::Auto)), (linear, linear));
    // A raw colour is kept in sRGB bytes, which hold the same colour.
    let raw = TextureInput { color_space: TextureColorSpace::Raw, ..texture("a.png", TextureChannels::Rgb) };
    let material = made(PreviewSurface { diffuse_color: from_texture(raw), ..Default::default() });
    assert_eq!(texels(&baker.bake(recipe(&material, TextureSlot::BaseColor)).image)[0][0], 188);
    // A bias cannot be a factor, and what is beyond 1 needs more than bytes.
    let glow =
        TextureInput { bias: Vec4::splat(4.0), color_space: TextureColorSpace::Raw, ..texture("a.png", TextureChannels::Rgb) };
    let material = made(PreviewSurface { emissive_color: from_texture(glow), ..Default::default() });
    let baked = baker.bake(recipe(&material, TextureSlot::Emissive));
    assert_eq!(baked.image.texture_descriptor.format, TextureFormat::Rgba16Float);
    let bytes = baked.image.data.unwrap();
    let red = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    assert!((red - (128.0 / 255.0 + 4.0)).abs() < 2e-3, "{red}");
}

#[test]
fn wrap_modes_reach_the_sampler_and_black_is_a_border_or_a_black_edge() {
    let picture = png(64, 64, |_, _| [255; 4]);
    let bake = |wrap_s, wrap_t, border_color| {
        let input = TextureInput { wrap_s, wrap_t, ..texture("a.png", TextureChannels::Rgb) };
        let material = made(PreviewSurface { diffuse_color: from_texture(input), ..Default::default() });
        baker([("a.png", picture.clone())], TextureOptions { border_color, ..TextureOptions::default() })
            .bake(recipe(&material, TextureSlot::BaseColor))
            .image
    };
    let mirrored = bake(TextureWrap::Mirror, TextureWrap::Clamp, false);
    assert_eq!(sampler(&mirrored), (ImageAddressMode::MirrorRepeat, ImageAddressMode::ClampToEdge));
    let border = bake(TextureWrap::Black, TextureWrap::UseMetadata, true);
    assert_eq!(sampler(&border), (ImageAddressMode::ClampToBorder, ImageAddressMode::ClampToBorder));
    assert_eq!(texels(&border)[0], [255; 4]);
    let edge = bake(TextureWrap::Black, TextureWrap::Repeat, false);
    assert_eq!(sampler(&edge), (ImageAddressMode::ClampToEdge, ImageAddressMode::Repeat));
    assert_eq!((texels(&edge)[0], texels(&edge)[1], texels(&edge)[63]), ([0; 4], [255; 4], [0; 4]));
}

#[test]
fn transforms_of_coordinates_are_applied_before_the_flip() {
    // Where a point of the file's coordinates is read in Bevy's, for a mesh whose coordinates are flipped.
    let read =
        |transform: UvTransform, st: Vec2| material::bevy_uv_transform(&transform).transform_point2(Vec2::new(st.x, 1.0 - st.y));
    assert!(read(UvTransform::default(), Vec2::new(0.2, 0.9)).abs_diff_eq(Vec2::new(0.2, 0.1), 1e-6));
    // Scaled, turned counter-clockwise, moved: (1, 0) → (2, 0) → (0, 2) → (0.5, 2.25).
    let all = UvTransform { scale: Vec2::new(2.0, 3.0), rotation_deg: 90.0, translation: Vec2::new(0.5, 0.25) };
    assert!(read(all, Vec2::X).abs_diff_eq(Vec2::new(0.5, 1.0 - 2.25), 1e-5));
    // (0, 1) → (0, 3) → (-3, 0) → (-2.5, 0.25).
    assert!(read(all, Vec2::Y).abs_diff_eq(Vec2::new(-2.5, 0.75), 1e-5));
}

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
        places.iter().map(|(x, y)| (encoded(a, *x, *y) - encoded(b, *x, *y)).abs().max_element()).sum::<f32>()
            / places.len() as f32
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

#[test]
fn other_formats_and_broken_pictures_are_told_by_name() {
    let decode = |name: &str, bytes: &[u8]| Picture::decode(name, bytes, &PictureLimits::default()).unwrap_err();
    let exr = decode("sky.exr", &[0x76, 0x2f, 0x31, 0x01, 2, 0, 0, 0]);
    assert!(matches!(&exr, PictureError::Format(name, _) if name == "sky.exr") && exr.to_string().contains("PNG"), "{exr}");
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

#[test]
fn what_bevy_cannot_show_is_told() {
    let other_set = TextureInput { uv_primvar: "st1".to_owned(), ..texture("b.png", TextureChannels::R) };
    let moved = TextureInput {
        uv_transform: UvTransform { scale: Vec2::splat(2.0), ..UvTransform::default() },
        ..texture("c.png", TextureChannels::Rgb)
    };
    let unknown = TextureInput { uv_primvar: "map9".to_owned(), ..texture("d.png", TextureChannels::R) };
    let material = made(PreviewSurface {
        diffuse_color: from_texture(texture("a.png", TextureChannels::Rgb)),
        roughness: from_texture(other_set),
        emissive_color: from_texture(moved),
        occlusion: from_texture(unknown),
        displacement: 1.0.into(),
        ..Default::default()
    });
    assert_eq!(material.material.base_color_channel, UvChannel::Uv0);
    assert_eq!(material.material.metallic_roughness_channel, UvChannel::Uv1);
    for expected in ["`c.png` differs", "`map9`", "displacement"] {
        assert!(material.notes.iter().any(|note| note.contains(expected)), "{expected}: {:?}", material.notes);
    }
    assert_eq!(uv_primvars(&snapshot::Material { surface: None, left_out: Vec::new() }), Vec::<String>::new());
}

#[test]
fn display_colours_come_from_vertices_where_there_are_some() {
    let read = |name: &str| {
        let source = Some(InputSource::Primvar { name: name.to_owned(), fallback: Vec4::new(0.5, 0.25, 0.0, 1.0) });
        made(PreviewSurface { diffuse_color: Input { value: Vec3::ZERO, source }, ..Default::default() })
    };
    let there = read("displayColor");
    assert_eq!(
        (there.vertex_color.color.as_deref(), there.material.base_color),
        (Some("displayColor"), Color::linear_rgb(1.0, 1.0, 1.0))
    );
    let absent = read("paint");
    assert_eq!((absent.vertex_color.color, absent.material.base_color), (None, Color::linear_rgb(0.5, 0.25, 0.0)));
}

#[test]
fn specular_colours_are_reflections_seen_head_on() {
    let surface =
        |color: Vec3| PreviewSurface { use_specular_workflow: true, specular_color: color.into(), ..Default::default() };
    let gold = made(surface(Vec3::new(1.0, 0.64, 0.16))).material;
    let tint = gold.specular_tint.to_linear();
    let f0 = Vec3::new(tint.red, tint.green, tint.blue).map(|tint| 0.16 * (tint * gold.reflectance).powi(2));
    assert!(f0.abs_diff_eq(Vec3::new(1.0, 0.64, 0.16), 1e-5) && gold.metallic == 0.0);
    assert_eq!(made(surface(Vec3::ZERO)).material.reflectance, 0.0);
    let picture = png(4, 4, |x, _| if x < 2 { [255; 4] } else { [0, 0, 0, 255] });
    let mut mean = made(PreviewSurface {
        use_specular_workflow: true,
        specular_color: from_texture(texture("s.png", TextureChannels::Rgb)),
        ..Default::default()
    });
    mean.finish(&mut TextureSet::default(), &baker([("s.png", picture)], TextureOptions::default()), &mut |_, _| {
        Handle::default()
    });
    assert!((0.16 * mean.material.reflectance.powi(2) - 0.5).abs() < 0.01, "{}", mean.material.reflectance);
}

#[test]
fn directions_of_cube_maps_and_skies_agree_with_hydra() {
    use super::dome::{cube_direction, lat_long_uv};
    // The middle of each face. Bevy looks +Z up at -Z.
    for (face, expected) in [Vec3::X, Vec3::NEG_X, Vec3::Y, Vec3::NEG_Y, Vec3::NEG_Z, Vec3::Z].into_iter().enumerate() {
        assert_eq!(cube_direction(face as u32, 0.0, 0.0), expected);
    }
    // Seen from inside, a face's right and upper sides: of what is ahead (-Z), right is +X and up is +Y.
    let corner = cube_direction(4, 0.5, -0.5);
    assert!(corner.x > 0.0 && corner.y > 0.0 && corner.z < 0.0);
    for (direction, uv) in
        [(Vec3::Z, (0.5, 0.5)), (Vec3::X, (0.25, 0.5)), (Vec3::NEG_X, (0.75, 0.5)), (Vec3::new(0.0, 1.0, 1e-6), (0.5, 0.0))]
    {
        assert!(lat_long_uv(direction).abs_diff_eq(Vec2::from(uv), 1e-3), "{direction}");
    }
}

#[test]
fn an_even_sky_stays_even_and_a_bright_half_lights_its_side() {
    let halves = |cube: &Image, texel: usize| {
        let bytes = cube.data.as_ref().unwrap();
        f16::from_le_bytes([bytes[texel * 8], bytes[texel * 8 + 1]]).to_f32()
    };
    let dome = |texture: &str| DomeLight {
        nits: 1.0,
        color: Vec3::splat(2.0),
        texture: texture.to_owned(),
        texture_format: "latlong".to_owned(),
        pole_is_z: false,
    };
    let baker = baker(
        [
            ("even.png", png(64, 32, |_, _| [255; 4])),
            ("half.png", png(64, 32, |_, y| if y < 16 { [255; 4] } else { [0, 0, 0, 255] })),
        ],
        TextureOptions::default(),
    );
    let options = DomeOptions { max_face_px: 16, specular_px: 16, samples: 32 };
    let even = bake_dome(&baker, &dome("even.png"), &options).unwrap();
    for cube in [&even.sky, &even.diffuse, &even.specular] {
        let count = cube.data.as_ref().unwrap().len() / 8;
        assert!((0..count).all(|texel| (halves(cube, texel) - 2.0).abs() < 0.02), "even light of twice 1");
    }
    assert_eq!(even.specular.texture_descriptor.mip_level_count, 3);
    assert_eq!(even.specular.data.as_ref().unwrap().len(), 6 * (256 + 64 + 16) * 8);
    // Light from above: what looks up gathers 1, to the side a half, down nothing (but for the ripples of nine terms).
    let half = bake_dome(&baker, &dome("half.png"), &options).unwrap();
    let side = 16 * 16;
    let middle = 8 * 16 + 8;
    let gathered = [2, 0, 3].map(|face| halves(&half.diffuse, face * side + middle) / 2.0);
    assert!((gathered[0] - 1.0).abs() < 0.05 && (gathered[1] - 0.5).abs() < 0.1 && gathered[2] < 0.05, "{gathered:?}");
    let mut mirrored = dome("half.png");
    mirrored.texture_format = "mirroredBall".to_owned();
    assert!(bake_dome(&baker, &mirrored, &options).unwrap_err().contains("mirroredBall"));
    assert!(bake_dome(&baker, &dome("gone.exr"), &options).unwrap_err().contains("gone.exr"));
}

#[test]
fn every_kind_of_light_is_one_of_bevys_or_told() {
    use super::light::notes;
    use snapshot::LightKind;
    let options = LightOptions::default();
    let make = |kind: LightKind| {
        let light = rendered::light(kind, 1.0);
        (light::light(&light, &options, Vec3::ONE), notes(&light, &options))
    };
    let (ball, told) = make(LightKind::Sphere { radius: 1.0, treat_as_point: true });
    assert!(matches!(ball, MadeLight::Point(light) if light.radius == 0.0) && told.is_empty());
    let (tube, told) = make(LightKind::Cylinder { length: 1.0, radius: 0.5, treat_as_line: false });
    assert!(matches!(tube, MadeLight::Point(_)) && told.len() == 1);
    let (other, told) = make(LightKind::Other);
    assert!(matches!(other, MadeLight::None) && told.len() == 1);
    let shaped = |kind, focus| snapshot::Light {
        shaping: Some(snapshot::LightShaping { cone_angle_deg: 90.0, cone_softness: 0.0, focus, ies_file: "a.ies".to_owned() }),
        ..rendered::light(kind, 1.0)
    };
    // cos² is what Bevy's widest soft cone does.
    let focused = shaped(LightKind::Sphere { radius: 1.0, treat_as_point: false }, 2.0);
    let MadeLight::Spot(spot) = light::light(&focused, &options, Vec3::ONE) else { panic!("a spot light") };
    assert!((spot.outer_angle - std::f32::consts::FRAC_PI_2).abs() < 1e-3 && spot.inner_angle == 0.0);
    assert!(notes(&focused, &options).iter().any(|note| note.contains("a.ies")));
    // Half as bright at the angle where cos⁸ is.
    let narrow = shaped(LightKind::Disk { radius: 1.0 }, 8.0);
    let MadeLight::Spot(spot) = light::light(&narrow, &options, Vec3::ONE) else { panic!("a spot light") };
    let cos = 0.5_f32.powf(1.0 / 8.0);
    let fade = ((cos - spot.outer_angle.cos()) / (1.0 - spot.outer_angle.cos())).powi(2);
    assert!((fade - 0.5).abs() < 1e-3, "{fade}");
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

    #[test]
    fn materials_of_any_numbers_are_finite(color: [f32; 3], opacity: f32, ior: f32, roughness: f32, threshold: f32, scale: f32) {
        let made = made(PreviewSurface {
            diffuse_color: Vec3::from(color).into(),
            emissive_color: Vec3::from(color).into(),
            specular_color: Vec3::from(color).into(),
            use_specular_workflow: scale > 0.0,
            opacity: opacity.into(),
            ior,
            roughness: roughness.into(),
            opacity_threshold: threshold,
            metallic: from_texture(TextureInput {
                uv_transform: UvTransform { scale: Vec2::splat(scale), rotation_deg: scale, translation: Vec2::splat(ior) },
                scale: Vec4::splat(scale),
                ..texture("a.png", TextureChannels::R)
            }),
            ..Default::default()
        });
        let material = &made.material;
        prop_assert!(LinearRgba::from(material.base_color).to_f32_array().iter().all(|v| v.is_finite()));
        prop_assert!(material.emissive.to_f32_array().iter().all(|v| !v.is_nan()));
        prop_assert!(material.reflectance.is_finite() && material.ior.is_finite() && material.perceptual_roughness.is_finite());
        prop_assert!(material.metallic.is_finite());
    }
}
