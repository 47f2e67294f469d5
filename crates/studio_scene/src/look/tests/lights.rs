//! Skies and lights.

use super::*;

#[test]
fn directions_of_cube_maps_and_skies_agree_with_hydra() {
    use crate::look::dome::{cube_direction, lat_long_uv};
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
    use crate::look::light::notes;
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
