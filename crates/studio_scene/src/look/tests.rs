//! Materials and textures against numbers worked out by hand, and against broken files.
#![allow(clippy::unwrap_used, reason = "tests")]

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

mod lights;
mod pictures;

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

proptest! {
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
