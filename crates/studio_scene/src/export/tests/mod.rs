#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers;

use super::*;
use crate::look;
use bevy::{
    asset::RenderAssetUsages,
    camera::{CameraProjection, Exposure, SubCameraView},
    image::{ImageAddressMode, ImageSampler, ImageSamplerDescriptor},
    light::RectLight,
    math::{Affine2, Vec3A},
    mesh::{
        Indices, PrimitiveTopology, VertexAttributeValues,
        morph::{MorphAttributes, MorphWeights},
        skinning::{SkinnedMesh, SkinnedMeshInverseBindposes},
    },
    pbr::StandardMaterial,
};
use std::{f32::consts::PI, path::Path};
use studio_usd::{
    extract::{ExtractOptions, extract},
    snapshot::{self, InputSource, LightKind, PrimData, StageSnapshot},
};
use wgpu::{Extent3d, TextureDimension, TextureFormat};

use peers::{run, usd_python};

/// A projection that looks past the middle, as an eye's of a headset does.
#[derive(Clone, Debug)]
struct OffAxis {
    left: f32,
    right: f32,
    bottom: f32,
    top: f32,
}

impl CameraProjection for OffAxis {
    fn get_clip_from_view(&self) -> Mat4 {
        let (width, height) = (self.right - self.left, self.top - self.bottom);
        Mat4::from_cols(
            Vec4::new(2.0 / width, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 / height, 0.0, 0.0),
            Vec4::new((self.right + self.left) / width, (self.top + self.bottom) / height, 0.0, -1.0),
            Vec4::new(0.0, 0.0, 0.05, 0.0),
        )
    }
    fn get_clip_from_view_for_sub(&self, _sub_view: &SubCameraView) -> Mat4 {
        self.get_clip_from_view()
    }
    fn update(&mut self, _width: f32, _height: f32) {}
    fn far(&self) -> f32 {
        500.0
    }
    fn get_frustum_corners(&self, _z_near: f32, _z_far: f32) -> [Vec3A; 8] {
        [Vec3A::ZERO; 8]
    }
}

fn empty_world() -> World {
    let mut world = World::new();
    world.insert_resource(Assets::<Mesh>::default());
    world.insert_resource(Assets::<StandardMaterial>::default());
    world.insert_resource(Assets::<Image>::default());
    world
}

fn add<A: Asset>(world: &mut World, asset: A) -> Handle<A> {
    world.resource_mut::<Assets<A>>().add(asset)
}

fn picture(format: TextureFormat, texel: [u8; 4], mode: ImageAddressMode) -> Image {
    let size = Extent3d { width: 4, height: 2, depth_or_array_layers: 1 };
    let mut image = Image::new_fill(size, TextureDimension::D2, &texel, format, RenderAssetUsages::default());
    image.sampler = ImageSampler::Descriptor(ImageSamplerDescriptor {
        address_mode_u: mode,
        address_mode_v: ImageAddressMode::ClampToEdge,
        ..default()
    });
    image
}

fn quad() -> Mesh {
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_attribute(
            Mesh::ATTRIBUTE_POSITION,
            vec![[-2.0, 0.0, -1.0], [2.0, 0.0, -1.0], [2.0, 0.5, 1.0], [-2.0, 0.0, 1.0]],
        )
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, vec![[0.0, 1.0, 0.0]; 4])
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, vec![[0.0, 0.0], [1.0, 0.0], [1.0, 0.75], [0.0, 0.75]])
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, vec![[1.0, 0.5, 0.25, 1.0], [0.0, 1.0, 0.0, 0.5], [1.0; 4], [1.0; 4]])
        .with_inserted_indices(Indices::U16(vec![0, 2, 1, 0, 3, 2]))
}

/// One of everything.
fn sample() -> (World, Vec<Entity>) {
    let mut world = empty_world();
    let base = add(&mut world, picture(TextureFormat::Rgba8UnormSrgb, [200, 100, 50, 128], ImageAddressMode::Repeat));
    let same = add(&mut world, picture(TextureFormat::Rgba8UnormSrgb, [200, 100, 50, 128], ImageAddressMode::Repeat));
    let normal = add(&mut world, picture(TextureFormat::Rgba8Unorm, [128, 128, 255, 255], ImageAddressMode::MirrorRepeat));
    let rough = add(&mut world, picture(TextureFormat::Rgba8Unorm, [255, 90, 10, 255], ImageAddressMode::ClampToEdge));
    let textured = add(
        &mut world,
        StandardMaterial {
            base_color: Color::linear_rgba(0.5, 1.0, 1.0, 0.9),
            base_color_texture: Some(base),
            emissive: LinearRgba::rgb(3.0, 2.0, 1.0),
            emissive_texture: Some(same),
            normal_map_texture: Some(normal),
            metallic_roughness_texture: Some(rough.clone()),
            occlusion_texture: Some(rough),
            metallic: 0.75,
            perceptual_roughness: 0.5,
            alpha_mode: AlphaMode::Mask(0.4),
            double_sided: true,
            cull_mode: None,
            uv_transform: Affine2::from_scale_angle_translation(Vec2::new(2.0, 3.0), 0.25, Vec2::new(0.1, 0.2)),
            ..default()
        },
    );
    let plain = add(
        &mut world,
        StandardMaterial {
            base_color: Color::linear_rgba(0.1, 0.2, 0.3, 0.6),
            metallic: 1.0,
            perceptual_roughness: 0.25,
            reflectance: 0.75,
            clearcoat: 0.5,
            clearcoat_perceptual_roughness: 0.125,
            alpha_mode: AlphaMode::Blend,
            ..default()
        },
    );
    let ground = add(&mut world, quad());
    let cube = add(&mut world, Mesh::from(Cuboid::new(1.0, 2.0, 3.0)));
    let turned = Quat::from_euler(EulerRot::YXZ, 0.3, -0.7, 1.1);
    let at = |x: f32, y: f32, z: f32| Transform::from_xyz(x, y, z);
    let mut entities = vec![
        world
            .spawn((Name::new("Ground"), Mesh3d(ground), MeshMaterial3d(textured), at(0.0, -1.0, 0.0), Visibility::Inherited))
            .id(),
        world
            .spawn((
                Name::new("Stühle 1"),
                at(3.0, 2.0, 1.0).with_rotation(turned).with_scale(Vec3::new(1.0, 2.0, 0.5)),
                Visibility::Inherited,
            ))
            .id(),
    ];
    for (count, hidden) in [false, true, false].into_iter().enumerate() {
        let place = at(count as f32, 0.5, -4.0).with_rotation(Quat::from_rotation_y(count as f32 * 0.4));
        let visibility = if hidden { Visibility::Hidden } else { Visibility::Inherited };
        let parent = ChildOf(entities[1]);
        entities.push(
            world.spawn((Name::new("Cube"), Mesh3d(cube.clone()), MeshMaterial3d(plain.clone()), place, visibility, parent)).id(),
        );
    }
    let sun = DirectionalLight {
        illuminance: 10_000.0,
        color: Color::linear_rgb(1.0, 0.9, 0.8),
        shadow_maps_enabled: true,
        ..default()
    };
    let lamp = PointLight { intensity: 800.0, radius: 0.05, ..default() };
    let spot = SpotLight { intensity: 5000.0, inner_angle: 0.3, outer_angle: 0.5, radius: 0.0, ..default() };
    let panel = RectLight { intensity: 1200.0, width: 2.0, height: 0.5, ..default() };
    entities.push(world.spawn((Name::new("Sun"), sun, Transform::from_rotation(Quat::from_rotation_x(-1.0)))).id());
    entities.push(world.spawn((Name::new("Lamp"), lamp, at(0.0, 3.0, 0.0))).id());
    entities.push(world.spawn((Name::new("Spot"), spot, at(1.0, 3.0, 0.0))).id());
    entities.push(world.spawn((Name::new("Panel"), panel, at(2.0, 3.0, 0.0))).id());
    let perspective =
        Projection::Perspective(PerspectiveProjection { fov: 0.8, aspect_ratio: 1.5, near: 0.2, far: 200.0, ..default() });
    let mut flat = OrthographicProjection::default_3d();
    flat.area = Rect::new(-3.0, -1.0, 5.0, 3.0);
    flat.near = 0.5;
    flat.far = 50.0;
    let eye = Projection::custom(OffAxis { left: -0.9, right: 1.1, bottom: -1.0, top: 0.8 });
    entities
        .push(world.spawn((Name::new("View"), Camera::default(), Exposure { ev100: 7.0 }, perspective, at(0.0, 1.0, 9.0))).id());
    entities.push(world.spawn((Name::new("Plan"), Camera::default(), Projection::Orthographic(flat), at(0.0, 9.0, 0.0))).id());
    entities.push(world.spawn((Name::new("Eye"), Camera::default(), eye, at(0.03, 1.6, 0.0))).id());
    world.spawn((Name::new("Gizmo"), NotExported, at(0.0, 0.0, 0.0)));
    (world, entities)
}

/// From an entity's space to the world's.
fn world_from(world: &World, entity: Entity) -> Mat4 {
    let own = world.get::<Transform>(entity).unwrap().to_matrix();
    match world.get::<ChildOf>(entity) {
        Some(parent) => world_from(world, parent.parent()) * own,
        None => own,
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1.0)
}

fn read_back(scene: &ExportedScene, folder: &Path, name: &str) -> StageSnapshot {
    let file = folder.join(name);
    scene.write(&file).unwrap();
    let stage = openusd_stage(&file);
    let extracted = extract(&stage, &ExtractOptions::default());
    assert!(extracted.issues.is_empty(), "{:?}", extracted.issues);
    extracted.snapshot
}

fn openusd_stage(file: &Path) -> studio_usd::write::usd::Stage {
    studio_usd::write::usd::Stage::open(file.to_str().unwrap()).unwrap()
}

#[test]
fn what_we_export_is_what_we_read() {
    let (world, entities) = sample();
    let scene = UsdExport::scene().export(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["scene.usda", "scene.usdc", "scene.usdz"] {
        let stage = read_back(&scene, folder.path(), name);
        assert_eq!(
            (stage.meters_per_unit, stage.up_axis, stage.default_prim.as_deref()),
            (1.0, snapshot::UpAxis::Y, Some("World"))
        );
        for entity in &entities {
            let prim = stage.prim(&scene.paths[entity]).unwrap();
            let ours = world.get::<Transform>(*entity).unwrap().to_matrix();
            let theirs = prim.xform.as_ref().unwrap().parent_from_prim(0.0);
            assert!(ours.as_dmat4().abs_diff_eq(theirs, 1e-5), "{}: {ours} {theirs}", prim.path);
            assert_eq!(prim.visible.at(0.0) == Some(false), world.get::<Visibility>(*entity) == Some(&Visibility::Hidden));
        }
        let PrimData::Light(lamp) = &stage.prim("/World/Lamp").unwrap().data else { panic!() };
        assert!(lamp.normalize && matches!(lamp.kind, LightKind::Sphere { radius, treat_as_point: false } if radius == 0.05));
        assert!((lamp.intensity.at(0.0).unwrap() * PI - 800.0).abs() < 1e-2);
        let PrimData::Light(spot) = &stage.prim("/World/Spot").unwrap().data else { panic!() };
        assert!((spot.shaping.as_ref().unwrap().cone_angle_deg.to_radians() - 0.5).abs() < 1e-5);
        let PrimData::Mesh(ground) = &stage.prim("/World/Ground").unwrap().data else { panic!() };
        assert_eq!(ground.uvs[0].values.at(0.0).unwrap()[2], Vec2::new(1.0, 0.25));
        assert!(ground.double_sided);
        let PrimData::Material(material) = &stage.prim("/World/Materials/Ground_Material").unwrap().data else { panic!() };
        let Some(InputSource::Texture(texture)) = &material.surface.as_ref().unwrap().diffuse_color.source else { panic!() };
        assert!(!texture.resolved.is_empty(), "{texture:?}");
        // Flipped twice, it is what the material had.
        let t = texture.uv_transform;
        let authored = Affine2::from_scale_angle_translation(t.scale, t.rotation_deg.to_radians(), t.translation);
        let ours = StandardMaterial::FLIP_VERTICAL * authored * StandardMaterial::FLIP_VERTICAL;
        assert!(ours.abs_diff_eq(Affine2::from_scale_angle_translation(Vec2::new(2.0, 3.0), 0.25, Vec2::new(0.1, 0.2)), 1e-4));
        let cubes = ["Cube", "Cube_1", "Cube_2"].map(|name| stage.prim(&format!("/World/St_hle_1/{name}")).unwrap().prototype);
        assert!(cubes[0].is_some() && cubes.iter().all(|prototype| *prototype == cubes[0]), "{cubes:?}");
    }
}

#[test]
fn a_shared_mesh_is_written_once() {
    let size = |count: usize, instances: bool| {
        let mut world = empty_world();
        let ball = add(&mut world, Sphere::new(1.0).mesh().ico(5).unwrap());
        for _ in 0..count {
            world.spawn((Mesh3d(ball.clone()), Transform::default()));
        }
        let options = ExportOptions { instances, ..default() };
        UsdExport::scene().with_options(options).export(&world).unwrap().to_package().unwrap().len()
    };
    let (one, ten, copies) = (size(1, true), size(10, true), size(10, false));
    assert!(ten < one * 11 / 10 && copies > one * 8, "{one} {ten} {copies}");
}

#[test]
fn baked_movement_is_sampled() {
    let mut world = empty_world();
    let cube = add(&mut world, Mesh::from(Cuboid::default()));
    let still = world.spawn((Name::new("Still"), Mesh3d(cube.clone()), Transform::from_xyz(1.0, 0.0, 0.0))).id();
    let moving = world.spawn((Name::new("Moving"), Mesh3d(cube.clone()), Transform::default())).id();
    let lamp = world.spawn((Name::new("Lamp"), PointLight::default(), Transform::default())).id();
    let mut late = None;
    let mut bake = UsdBake::new(UsdExport::scene());
    for frame in 0..10_u8 {
        let time = f32::from(frame);
        world.get_mut::<Transform>(moving).unwrap().translation.x = time.min(6.0);
        world.get_mut::<Transform>(moving).unwrap().rotation = Quat::from_rotation_y(time * 0.5);
        world.get_mut::<PointLight>(lamp).unwrap().intensity = 100.0 * time;
        if frame == 5 {
            late = Some(world.spawn((Name::new("Late"), Mesh3d(cube.clone()), Transform::default())).id());
        }
        bake.record(&world, f64::from(frame)).unwrap();
    }
    assert!(matches!(bake.record(&world, 9.0), Err(ExportError::Time { .. })));
    assert_eq!(bake.frame_count(), 10);
    let scene = bake.finish(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = read_back(&scene, folder.path(), "bake.usdc");
    assert_eq!((stage.start_time_code, stage.end_time_code, stage.time_codes_per_second), (0.0, 9.0, 24.0));
    let matrix = |entity: Entity, time: f64| {
        stage.prim(&scene.paths[&entity]).unwrap().xform.clone().unwrap_or_default().parent_from_prim(time)
    };
    for time in [0.0, 3.0, 3.5, 9.0] {
        let x = (time as f32).min(6.0);
        let expected = Transform::from_xyz(x, 0.0, 0.0).with_rotation(Quat::from_rotation_y(time as f32 * 0.5)).to_matrix();
        assert!(matrix(moving, time).abs_diff_eq(expected.as_dmat4(), 1e-4), "{time}");
    }
    assert!(!stage.prim(&scene.paths[&still]).unwrap().xform.as_ref().unwrap().is_animated());
    let PrimData::Light(light) = &stage.prim(&scene.paths[&lamp]).unwrap().data else { panic!() };
    assert!((light.intensity.at(4.5).unwrap() * PI - 450.0).abs() < 0.1);
    let visible = &stage.prim(&scene.paths[&late.unwrap()]).unwrap().visible;
    assert_eq!((visible.held_at(4.0), visible.held_at(5.0)), (Some(&false), Some(&true)));

    world.despawn(moving);
    let error = bake.finish(&world).unwrap_err().to_string();
    assert!(error.contains("Moving") && error.contains(&moving.to_string()), "{error}");
}

#[test]
fn morph_targets_become_blend_shapes() {
    let mut world = empty_world();
    let mut mesh = quad();
    let morph = |y: f32| MorphAttributes { position: Vec3::new(0.0, y, 0.0), ..default() };
    let still = MorphAttributes::default();
    mesh.set_morph_targets(vec![morph(1.0), still, still, still, still, morph(2.0), still, still]);
    mesh.set_morph_target_names(vec!["smile".to_owned(), "frown".to_owned()]);
    let mesh = add(&mut world, mesh);
    let weights = MorphWeights::new(vec![0.25, 0.5], Some(mesh.clone())).unwrap();
    world.spawn((Name::new("Face"), Mesh3d(mesh), Transform::default(), weights));
    let scene = UsdExport::scene().export(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = read_back(&scene, folder.path(), "face.usda");
    let PrimData::Mesh(face) = &stage.prim("/World/Face/Mesh").unwrap().data else { panic!() };
    let shapes = &face.skin.as_ref().unwrap().blend_shapes;
    assert_eq!(shapes[1], ("frown".to_owned(), "/World/Face/Mesh/frown".to_owned()));
    let PrimData::BlendShape(frown) = &stage.prim("/World/Face/Mesh/frown").unwrap().data else { panic!() };
    assert_eq!((&frown.point_indices[..], &frown.offsets[..]), (&[1][..], &[Vec3::new(0.0, 2.0, 0.0)][..]));
    let PrimData::SkelAnimation(animation) = &stage.prim("/World/Face/Animation").unwrap().data else { panic!() };
    assert_eq!(animation.blend_shape_weights.at(0.0).unwrap(), [0.25, 0.5]);
    if let Some(python) = usd_python() {
        assert_eq!(run(&python, "check.py", &[&folder.path().join("face.usda")])["problems"], serde_json::json!([]));
    }
}

#[test]
fn skinned_meshes_stand_where_their_joints_put_them() {
    let mut world = empty_world();
    let mesh = quad()
        .with_inserted_attribute(Mesh::ATTRIBUTE_JOINT_INDEX, VertexAttributeValues::Uint16x4(vec![[0, 1, 0, 0]; 4]))
        .with_inserted_attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT, vec![[0.25, 0.75, 0.0, 0.0]; 4]);
    let mesh = add(&mut world, mesh);
    world.insert_resource(Assets::<SkinnedMeshInverseBindposes>::default());
    let binds = [Mat4::IDENTITY, Mat4::from_translation(Vec3::new(0.0, -1.0, 0.0))];
    let inverse_bindposes = add(&mut world, SkinnedMeshInverseBindposes::from(binds.to_vec()));
    let hip = world.spawn((Name::new("Hip"), Transform::from_xyz(2.0, 0.0, 0.0))).id();
    let knee = world.spawn((Name::new("Knee"), Transform::from_xyz(0.0, 1.0, 0.0), ChildOf(hip))).id();
    let skin = SkinnedMesh { inverse_bindposes, joints: vec![hip, knee] };
    // The mesh's own place does not count.
    world.spawn((Name::new("Leg"), Mesh3d(mesh), Transform::from_xyz(7.0, 7.0, 7.0), skin));
    let mut bake = UsdBake::new(UsdExport::scene());
    for frame in 0..3_u8 {
        world.get_mut::<Transform>(knee).unwrap().rotation = Quat::from_rotation_z(f32::from(frame) * 0.5);
        bake.record(&world, f64::from(frame)).unwrap();
    }
    let scene = bake.finish(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = read_back(&scene, folder.path(), "leg.usdc");
    let PrimData::Skeleton(skeleton) = &stage.prim("/World/Leg/Skeleton").unwrap().data else { panic!() };
    let PrimData::SkelAnimation(animation) = &stage.prim("/World/Leg/Animation").unwrap().data else { panic!() };
    let PrimData::Mesh(leg) = &stage.prim("/World/Leg/Mesh").unwrap().data else { panic!() };
    let skin = leg.skin.as_ref().unwrap();
    let root = stage.prim("/World/Leg").unwrap().xform.as_ref().unwrap().parent_from_prim(0.0).as_mat4();
    for frame in [0.0, 2.0] {
        let joint = |joint: usize| {
            let (turn, place) = (animation.rotations.at(frame).unwrap()[joint], animation.translations.at(frame).unwrap()[joint]);
            Mat4::from_rotation_translation(turn, place) * skeleton.bind_transforms[joint].as_mat4().inverse()
        };
        let point = Vec3::new(2.0, 0.5, 1.0);
        let theirs = root.transform_point3(
            joint(0).transform_point3(point) * skin.joint_weights[0] + joint(1).transform_point3(point) * skin.joint_weights[1],
        );
        let turned = Transform::from_xyz(0.0, 1.0, 0.0).with_rotation(Quat::from_rotation_z(frame as f32 * 0.5)).to_matrix();
        let hip = Mat4::from_translation(Vec3::X * 2.0);
        let ours = hip.transform_point3(point) * 0.25 + (hip * turned * binds[1]).transform_point3(point) * 0.75;
        assert!(ours.abs_diff_eq(theirs, 1e-4), "{frame}: {ours} {theirs}");
    }
    assert_eq!((skin.influences_per_point, skin.joint_indices.len()), (4, 16));
    if let Some(python) = usd_python() {
        assert_eq!(run(&python, "check.py", &[&folder.path().join("leg.usdc")])["problems"], serde_json::json!([]));
    }
}

fn error_of(mesh: Mesh) -> String {
    let mut world = empty_world();
    let mesh = add(&mut world, mesh);
    let entity = world.spawn((Name::new("Bad"), Mesh3d(mesh), Transform::default())).id();
    let error = UsdExport::scene().export(&world).unwrap_err().to_string();
    assert!(error.contains("Bad") && error.contains(&entity.to_string()), "{error}");
    error
}

#[test]
fn a_mesh_that_cannot_be_written_is_named_with_the_reason() {
    let empty = || Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default());
    assert!(error_of(empty()).contains("no positions"));
    let with = |points: Vec<[f32; 3]>| empty().with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, points);
    assert!(error_of(with(vec![[0.0, f32::NAN, 0.0]; 3])).contains("not finite"));
    assert!(error_of(with(vec![[0.0; 3]; 3]).with_inserted_indices(Indices::U32(vec![0, 1, 7]))).contains("index"));
    assert!(error_of(with(vec![[0.0; 3]; 4])).contains("multiple of 3"));
    let lines = Mesh::new(PrimitiveTopology::LineList, RenderAssetUsages::default());
    assert!(error_of(lines.with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, vec![[0.0; 3]; 2])).contains("LineList"));
    let mut gone = quad();
    gone.take_gpu_data().unwrap();
    assert!(error_of(gone).contains("only on the GPU"));
}

#[test]
fn an_entity_that_is_gone_or_placed_nowhere_is_named() {
    let mut world = empty_world();
    let entity = world.spawn(Transform::from_xyz(f32::INFINITY, 0.0, 0.0)).id();
    let error = UsdExport::scene().export(&world).unwrap_err().to_string();
    assert!(error.contains("transform") && error.contains(&entity.to_string()), "{error}");
    world.despawn(entity);
    let error = UsdExport::subtree(entity).export(&world).unwrap_err().to_string();
    assert!(error.contains("no longer there"), "{error}");
    let scene = UsdExport::scene().export(&world).unwrap();
    let error = scene.write("/no/such/folder/scene.usda").unwrap_err().to_string();
    assert!(error.contains("/no/such/folder/scene.usda"), "{error}");
    assert!(scene.write("scene.obj").unwrap_err().to_string().contains("scene.obj"));
}

#[test]
fn an_app_exports_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scene.usdz");
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), UsdExportPlugin));
    app.insert_resource(Assets::<Mesh>::default());
    let entity = app.world_mut().spawn((Name::new("Chair"), Transform::default())).id();
    app.world_mut().write_message(ExportUsd::subtree(entity, &file));
    app.world_mut().write_message(ExportUsd::scene(folder.path().join("scene.obj")));
    let mut done = Vec::new();
    for _ in 0..2000 {
        app.update();
        done.extend(app.world_mut().resource_mut::<Messages<UsdExported>>().drain());
        if done.len() == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let result = |path: &Path| done.iter().find(|done| done.path == path).unwrap().result.clone();
    assert_eq!(result(&file), Ok(Vec::new()));
    assert!(result(&folder.path().join("scene.obj")).unwrap_err().contains("scene.obj"));
    assert!(std::fs::read(&file).unwrap().starts_with(b"PK"));
}

#[test]
fn what_we_export_looks_the_same_when_we_read_it() {
    let (world, _) = sample();
    let scene = UsdExport::scene().export(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stage = read_back(&scene, folder.path(), "scene.usdc");
    let made = |name: &str| {
        let PrimData::Light(light) = &stage.prim(&format!("/World/{name}")).unwrap().data else { panic!() };
        look::light::light(light, &look::LightOptions::default(), Vec3::ONE)
    };
    let near = |a: f32, b: f32| assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{a} {b}");
    let look::MadeLight::Point(lamp) = made("Lamp") else { panic!() };
    near(lamp.intensity, 800.0);
    near(lamp.radius, 0.05);
    assert!(!lamp.shadow_maps_enabled);
    let look::MadeLight::Spot(spot) = made("Spot") else { panic!() };
    near(spot.intensity, 5000.0);
    near(spot.inner_angle, 0.3);
    near(spot.outer_angle, 0.5);
    let look::MadeLight::Rect(panel) = made("Panel") else { panic!() };
    near(panel.intensity, 1200.0);
    near(panel.width * panel.height, 1.0);
    let look::MadeLight::Directional(sun) = made("Sun") else { panic!() };
    near(sun.illuminance, 10_000.0);
    near(sun.color.to_linear().green, 0.9);
    assert!(sun.shadow_maps_enabled);

    let PrimData::Material(material) = &stage.prim("/World/Materials/Cube_Material").unwrap().data else { panic!() };
    let options = look::MaterialOptions { double_sided: false, uv_channel: &|_| None, has_primvar: &|_| false };
    let made = look::material(material, &options).material;
    let color = made.base_color.to_linear();
    assert!(color.to_vec4().abs_diff_eq(Vec4::new(0.1, 0.2, 0.3, 0.6), 1e-5), "{color:?}");
    near(made.metallic, 1.0);
    near(made.perceptual_roughness, 0.25);
    near(made.clearcoat, 0.5);
    near(made.reflectance, 0.75);

    let PrimData::Camera(view) = &stage.prim("/World/View").unwrap().data else { panic!() };
    near(look::exposure(view.exposure.at(0.0).unwrap()).ev100, 7.0);
    let PrimData::Camera(eye) = &stage.prim("/World/Eye").unwrap().data else { panic!() };
    let window = look::camera::projection(eye, 0.0, 1.0, look::ApertureFit::Fit).window;
    assert!(
        window.min.abs_diff_eq(Vec2::new(-0.9, -1.0), 1e-5) && window.max.abs_diff_eq(Vec2::new(1.1, 0.8), 1e-5),
        "{window:?}"
    );
    assert!(matches!(made.alpha_mode, AlphaMode::Blend), "{:?}", made.alpha_mode);
}
