//! Entities to prims.

use super::{
    ExportError, ExportOptions, UsdExport,
    animated::Animated,
    camera, light,
    material::{Looks, TEXTURES},
    mesh,
    picture::vec3f,
    skin::{self, Skin},
    state::{self, EntityState, Recording},
};
use crate::stage::{UsdPrim, UsdPrimInfo, UsdStageEntities, UsdStageSpace};
use bevy::{math::DMat4, mesh::skinning::SkinnedMesh, prelude::*};
use std::{collections::HashMap, fs, path::Path as FilePath, sync::Arc};
use studio_usd::snapshot::{Purpose, UpAxis};
use studio_usd::write::{
    LayerBuilder, LayerFormat, Package, UniqueNames, WriteError, gf, prim_name,
    sdf::{AbstractData, AssetPath, Data, Path, Specifier, Value},
    to_bytes, to_crate, write_atomically,
};

/// A picture that a scene needs.
#[derive(Clone, Debug)]
pub struct ExportedTexture {
    /// Its path as the layer has it: `textures/wood.png`.
    pub path: String,
    /// The PNG file.
    pub bytes: Arc<[u8]>,
}

/// A scene as a layer, with its textures.
#[derive(Clone, Debug)]
pub struct ExportedScene {
    /// The layer.
    pub layer: Data,
    /// Its textures.
    pub textures: Vec<ExportedTexture>,
    /// Where each entity is.
    pub paths: HashMap<Entity, String>,
    /// What has no counterpart in USD and was left out, in words.
    pub notes: Vec<String>,
}

impl ExportedScene {
    /// Writes it as its extension says: `.usda` and `.usdc` with the textures in a folder of the file's name beside it, `.usdz` with
    /// everything inside. A file that is there is replaced once the new one is complete.
    ///
    /// # Errors
    /// [`ExportError::Write`].
    pub fn write(&self, path: impl AsRef<FilePath>) -> Result<(), ExportError> {
        let path = path.as_ref();
        let bytes = match LayerFormat::of_path(path)? {
            LayerFormat::Usdz => self.to_package()?,
            format => {
                let folder = self.write_textures(path)?;
                to_bytes(&self.with_textures_in(&folder), format)?
            }
        };
        Ok(write_atomically(path, &bytes)?)
    }

    /// The scene with its textures as a `.usdz` package.
    ///
    /// # Errors
    /// [`WriteError`] if it is too large.
    pub fn to_package(&self) -> Result<Vec<u8>, WriteError> {
        let mut layer = self.layer.clone();
        let mut package = Package::new("scene.usdc", Vec::new())?;
        let mut places = HashMap::new();
        for texture in &self.textures {
            places.insert(texture.path.clone(), package.add(&texture.path, Arc::clone(&texture.bytes))?);
        }
        change_assets(&mut layer, &|path| places.get(path).cloned());
        package.set_layer(to_crate(&layer)?);
        package.to_bytes()
    }

    /// Textures go first: a layer that is there finds them.
    fn write_textures(&self, path: &FilePath) -> Result<String, ExportError> {
        let stem = path.file_stem().map(|stem| prim_name(&stem.to_string_lossy())).unwrap_or_default();
        let name = format!("{stem}_{TEXTURES}");
        if !self.textures.is_empty() {
            let folder = path.with_file_name(&name);
            fs::create_dir_all(&folder).map_err(|source| WriteError::Io { path: folder.clone(), source })?;
            for texture in &self.textures {
                write_atomically(
                    &folder.join(texture.path.trim_start_matches(TEXTURES).trim_start_matches('/')),
                    &texture.bytes,
                )?;
            }
        }
        Ok(name)
    }

    fn with_textures_in(&self, folder: &str) -> Data {
        let mut layer = self.layer.clone();
        change_assets(&mut layer, &|path| Some(format!("./{folder}{}", path.strip_prefix(TEXTURES)?)));
        layer
    }
}

fn change_assets(layer: &mut Data, change: &dyn Fn(&str) -> Option<String>) {
    for path in layer.spec_paths() {
        for (_, value) in layer.spec_mut(&path).into_iter().flat_map(|spec| &mut spec.fields) {
            if let Value::AssetPath(asset) = value
                && let Some(changed) = change(asset.as_str())
            {
                *asset = AssetPath::new(changed);
            }
        }
    }
}

/// Makes a layer of a world.
pub(super) fn export(world: &World, export: &UsdExport, recording: &Recording) -> Result<ExportedScene, ExportError> {
    if let Some((entity, what)) = recording.gone(world) {
        return Err(ExportError::Despawned { entity, what });
    }
    let options = &export.options;
    let mut layer = LayerBuilder::new();
    // A stage that is exported by its root comes out as it is: its prims where they were, in its own axis and unit.
    let stage = export.root.and_then(|root| Some((world.get::<UsdStageSpace>(root)?, world.get::<UsdStageEntities>(root)?)));
    let root = match stage {
        Some((space, entities)) => {
            if let Some(name) = entities.default_prim() {
                layer.set_metadata("defaultPrim", Value::token(name.to_owned()));
            }
            layer.set_metadata("metersPerUnit", Value::Double(space.meters_per_unit));
            layer.set_metadata("upAxis", Value::token(if space.up_axis == UpAxis::Z { "Z" } else { "Y" }));
            String::new()
        }
        None => {
            layer.set_metadata("defaultPrim", Value::token(prim_name(&options.root_name)));
            layer.set_metadata("metersPerUnit", Value::Double(1.0));
            layer.set_metadata("upAxis", Value::token("Y"));
            format!("/{}", prim_name(&options.root_name))
        }
    };
    if let Some((first, last)) = recording.range() {
        layer.set_metadata("startTimeCode", Value::Double(first));
        layer.set_metadata("endTimeCode", Value::Double(last));
        layer.set_metadata("timeCodesPerSecond", Value::Double(options.time_codes_per_second));
        layer.set_metadata("framesPerSecond", Value::Double(options.time_codes_per_second));
    }
    if stage.is_none() {
        let prim = layer.define(&root, "Xform")?;
        if !options.kind.is_empty() {
            layer.set_prim_metadata(&prim, "kind", Value::token(options.kind.clone()))?;
        }
    }
    let mut exporter = Exporter {
        world,
        options,
        recording,
        layer,
        looks: Looks::default(),
        shapes: HashMap::new(),
        uses: HashMap::new(),
        shape_names: UniqueNames::default(),
        paths: HashMap::new(),
        materials: format!("{root}/Materials"),
        prototypes: format!("{root}/Prototypes"),
        root,
    };
    let entities = state::walk(world, export.root)?;
    exporter.count_uses(&entities);
    let roots = match export.root.filter(|_| stage.is_some()) {
        Some(root) => state::children(world, root),
        None => state::roots(world, export.root)?,
    };
    exporter.roots(&roots)?;
    let Exporter { layer, looks, paths, .. } = exporter;
    Ok(ExportedScene { layer: layer.finish(), textures: looks.textures, paths, notes: looks.notes })
}

/// What a mesh looks like apart from its material: both have to be the same for one prim to stand for two entities.
type ShapeKey = (AssetId<Mesh>, bool);

struct Exporter<'a> {
    world: &'a World,
    options: &'a ExportOptions,
    recording: &'a Recording,
    layer: LayerBuilder,
    looks: Looks,
    /// Where shapes are that several entities share.
    shapes: HashMap<ShapeKey, Path>,
    uses: HashMap<ShapeKey, usize>,
    shape_names: UniqueNames,
    paths: HashMap<Entity, String>,
    /// Where materials are.
    materials: String,
    /// Where shapes are that several entities share.
    prototypes: String,
    root: String,
}

/// What an entity is, beside its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Mesh,
    Light,
    Camera,
}

impl Exporter<'_> {
    fn count_uses(&mut self, entities: &[Entity]) {
        for entity in entities {
            if let Some(key) = self.shape_key(*entity) {
                *self.uses.entry(key).or_default() += 1;
            }
        }
    }

    fn shape_key(&self, entity: Entity) -> Option<ShapeKey> {
        Some((self.world.get::<Mesh3d>(entity)?.0.id(), self.is_double_sided(entity)))
    }

    fn is_double_sided(&self, entity: Entity) -> bool {
        let materials = self.world.get_resource::<Assets<StandardMaterial>>();
        let material =
            self.world.get::<MeshMaterial3d<StandardMaterial>>(entity).and_then(|material| materials?.get(&material.0));
        material.is_some_and(|material| material.double_sided || material.cull_mode.is_none())
    }

    fn roots(&mut self, roots: &[Entity]) -> Result<(), ExportError> {
        let mut names = UniqueNames::default();
        // These hold what is shared. Prims keep their names.
        let world = self.world;
        let is_prim = |path: &str| roots.iter().any(|root| world.get::<UsdPrim>(*root).is_some_and(|prim| &*prim.path == path));
        for path in [&mut self.materials, &mut self.prototypes] {
            while is_prim(path) {
                path.push('_');
            }
            names.reserve(path.rsplit('/').next().unwrap_or_default());
        }
        let mut open = self.named(roots, &self.root.clone(), &mut names);
        open.reverse();
        while let Some((entity, path)) = open.pop() {
            let mut names = UniqueNames::default();
            let children = state::children(self.world, entity);
            self.entity(entity, &path, !children.is_empty(), &mut names)?;
            let mut below = self.named(&children, &path, &mut names);
            below.reverse();
            open.append(&mut below);
        }
        Ok(())
    }

    fn named(&self, entities: &[Entity], parent: &str, names: &mut UniqueNames) -> Vec<(Entity, String)> {
        // Prims first, so that no other entity has their names.
        let mut own: HashMap<Entity, String> = HashMap::new();
        for entity in entities {
            if let Some(prim) = self.world.get::<UsdPrim>(*entity) {
                own.insert(*entity, names.take(prim.path.rsplit('/').next().unwrap_or_default()));
            }
        }
        let mut name = |entity: &Entity| own.remove(entity).unwrap_or_else(|| names.take(&state::name_of(self.world, *entity)));
        entities.iter().map(|entity| (*entity, format!("{parent}/{}", name(entity)))).collect()
    }

    fn is_prim(&self, entity: Entity) -> bool {
        self.world.get::<UsdPrim>(entity).is_some()
    }

    /// Writes an entity. What it is goes onto its own prim if that is one thing and there is nothing below, otherwise below it.
    fn entity(&mut self, entity: Entity, path: &str, has_children: bool, names: &mut UniqueNames) -> Result<(), ExportError> {
        let name = state::name_of(self.world, entity);
        let states = self.recording.states(self.world, entity);
        let animated = Animated(&states);
        if states.iter().any(|(_, state)| !state.transform.is_finite()) {
            return Err(ExportError::NotFinite { entity, name, what: "the transform" });
        }
        self.paths.insert(entity, path.to_owned());
        let parts = self.parts(entity, &states);
        let info = self.world.get::<UsdPrimInfo>(entity);
        if let [part] = parts.as_slice()
            && (!has_children || self.is_prim(entity))
        {
            let prim = self.part(entity, &name, *part, path, &animated)?;
            self.describe(&prim, info)?;
            return self.place(&prim, &name, &animated);
        }
        let stays = |(_, state): &(f64, EntityState)| state.transform == Transform::IDENTITY && state.sheared.is_none();
        let is_scope = parts.is_empty() && info.is_some_and(|info| info.type_name == "Scope") && states.iter().all(stays);
        let prim = self.layer.define(path, if is_scope { "Scope" } else { "Xform" })?;
        self.describe(&prim, info)?;
        self.place(&prim, &name, &animated)?;
        for part in parts {
            let label = match part {
                Part::Mesh => "Mesh",
                Part::Light => "Light",
                Part::Camera => "Camera",
            };
            self.part(entity, &name, part, &format!("{path}/{}", names.take(label)), &animated)?;
        }
        Ok(())
    }

    /// What a prim was for.
    fn describe(&mut self, prim: &Path, info: Option<&UsdPrimInfo>) -> Result<(), ExportError> {
        let Some(info) = info else { return Ok(()) };
        if !info.kind.is_empty() {
            self.layer.set_prim_metadata(prim, "kind", Value::token(info.kind.clone()))?;
        }
        let purpose = match info.purpose {
            Purpose::Default => return Ok(()),
            Purpose::Render => "render",
            Purpose::Proxy => "proxy",
            Purpose::Guide => "guide",
        };
        self.layer.uniform(prim, "purpose", "token", Value::token(purpose))?;
        Ok(())
    }

    fn parts(&self, entity: Entity, states: &[(f64, EntityState)]) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.world.get::<Mesh3d>(entity).is_some() {
            parts.push(Part::Mesh);
        }
        if self.options.lights && states.iter().any(|(_, state)| state.light.is_some()) {
            parts.push(Part::Light);
        }
        if self.options.cameras && states.iter().any(|(_, state)| state.camera.is_some()) {
            parts.push(Part::Camera);
        }
        parts
    }

    /// Transform, visibility, the name as people gave it.
    fn place(&mut self, prim: &Path, name: &str, states: &Animated<'_>) -> Result<(), ExportError> {
        let layer = &mut self.layer;
        if prim.name() != Some(name) {
            layer.set_prim_metadata(prim, "displayName", Value::String(name.to_owned()))?;
        }
        let mut order = Vec::new();
        if states.0.iter().any(|(_, state)| state.sheared.is_some()) {
            let value = |state: &EntityState| {
                let matrix = state.sheared.unwrap_or_else(|| state.transform.to_matrix().as_dmat4());
                Some(Value::Matrix4d(gf::Matrix4d(DMat4::to_cols_array(&matrix))))
            };
            states.put(layer, prim, "xformOp:transform", "matrix4d", value)?;
            order.push("xformOp:transform");
        }
        let is_plain = order.is_empty();
        let moves = |is: &dyn Fn(&Transform) -> bool| is_plain && states.0.iter().any(|(_, state)| is(&state.transform));
        if moves(&|transform| transform.translation != Vec3::ZERO) {
            let value = |state: &EntityState| {
                let place = state.transform.translation.as_dvec3();
                Some(Value::Vec3d(gf::vec3d(place.x, place.y, place.z)))
            };
            states.put(layer, prim, "xformOp:translate", "double3", value)?;
            order.push("xformOp:translate");
        }
        if moves(&|transform| transform.rotation != Quat::IDENTITY) {
            let value = |state: &EntityState| {
                let turn = state.transform.rotation.normalize();
                Some(Value::Quatf(gf::Quatf { w: turn.w, x: turn.x, y: turn.y, z: turn.z }))
            };
            states.put(layer, prim, "xformOp:orient", "quatf", value)?;
            order.push("xformOp:orient");
        }
        if moves(&|transform| transform.scale != Vec3::ONE) {
            states.put(layer, prim, "xformOp:scale", "float3", |state| Some(Value::Vec3f(vec3f(state.transform.scale))))?;
            order.push("xformOp:scale");
        }
        if !order.is_empty() {
            layer.uniform(prim, "xformOpOrder", "token[]", Value::token_vec(order))?;
        }
        if states.0.iter().any(|(_, state)| state.is_hidden) {
            let value = |state: &EntityState| Some(Value::token(if state.is_hidden { "invisible" } else { "inherited" }));
            states.put(layer, prim, "visibility", "token", value)?;
        }
        Ok(())
    }

    fn part(&mut self, entity: Entity, name: &str, part: Part, path: &str, states: &Animated<'_>) -> Result<Path, ExportError> {
        match part {
            Part::Mesh => self.mesh(entity, name, path, states),
            Part::Light => {
                let light = states.0.iter().find_map(|(_, state)| state.light.as_ref());
                let prim = self.layer.define(path, light.map_or("SphereLight", light::type_name))?;
                if let Some(picture) = light.and_then(light::picture) {
                    self.looks
                        .notes
                        .push(format!("{path}: the light's picture `{picture}` is named, not copied: put it beside the file"));
                }
                light::write(&mut self.layer, &prim, states, entity, name)?;
                Ok(prim)
            }
            Part::Camera => {
                let prim = self.layer.define(path, "Camera")?;
                camera::write(&mut self.layer, &prim, states, entity, name)?;
                Ok(prim)
            }
        }
    }

    fn mesh(&mut self, entity: Entity, name: &str, path: &str, states: &Animated<'_>) -> Result<Path, ExportError> {
        let wrong = |reason: &str| ExportError::Mesh { entity, name: name.to_owned(), reason: reason.to_owned() };
        let handle = self.world.get::<Mesh3d>(entity).map(|mesh| &mesh.0).ok_or_else(|| wrong("it is gone"))?;
        let meshes = self.world.get_resource::<Assets<Mesh>>();
        let mesh = meshes.and_then(|meshes| meshes.get(handle)).ok_or_else(|| wrong("it is not loaded yet; wait until it is"))?;
        let key = (handle.id(), self.is_double_sided(entity));
        let is_shared = self.options.instances
            && self.uses.get(&key).is_some_and(|uses| *uses > 1)
            && !mesh.has_morph_targets()
            && self.world.get::<SkinnedMesh>(entity).is_none();
        let prim = if is_shared {
            let prototype = self.prototype(key, mesh, entity, name)?;
            if self.is_prim(entity) {
                // As an instance it would have another prim below it.
                let prim = self.layer.define(path, "Mesh")?;
                self.layer.reference(&prim, &prototype.append_path("Mesh").map_err(|error| wrong(&error.to_string()))?, false)?;
                prim
            } else {
                let prim = self.layer.define(path, "Xform")?;
                self.layer.reference(&prim, &prototype, true)?;
                prim
            }
        } else {
            let shape = mesh::read(mesh, entity, name)?;
            let skin = Skin::read(self.world, self.recording, mesh, entity, name)?;
            self.alone(&shape, skin.as_ref(), path, key.1, states)?
        };
        if let Some(material) = self.world.get::<MeshMaterial3d<StandardMaterial>>(entity) {
            let scope = self.materials.clone();
            if let Some(material) = self.looks.material(self.world, &mut self.layer, &scope, &material.0, name)? {
                self.layer.relationship(&prim, "material:binding", vec![material])?;
                self.layer.apply_schema(&prim, "MaterialBindingAPI")?;
            }
        }
        Ok(prim)
    }

    /// A mesh of its own. One with a skin or blend shapes stands below a `SkelRoot` with its skeleton and the animation that drives both.
    fn alone(
        &mut self,
        shape: &mesh::Shape<'_>,
        skin: Option<&Skin<'_>>,
        path: &str,
        double_sided: bool,
        states: &Animated<'_>,
    ) -> Result<Path, ExportError> {
        if shape.morphs.is_empty() && skin.is_none() {
            let prim = self.layer.define(path, "Mesh")?;
            shape.write(&mut self.layer, &prim, double_sided)?;
            return Ok(prim);
        }
        let root = self.layer.define(path, "SkelRoot")?;
        let prim = self.layer.define(&format!("{path}/Mesh"), "Mesh")?;
        shape.write(&mut self.layer, &prim, double_sided)?;
        let names = shape.write_morphs(&mut self.layer, &prim)?;
        let skeleton = self.layer.define(&format!("{path}/Skeleton"), "Skeleton")?;
        let animation = self.layer.define(&format!("{path}/Animation"), "SkelAnimation")?;
        match skin {
            Some(skin) => skin.write(&mut self.layer, &prim, &skeleton, &animation)?,
            // Blend shapes are driven through a skeleton, even one whose joint holds nothing.
            None => skin::write_no_joints(&mut self.layer, &skeleton)?,
        }
        if !names.is_empty() {
            let count = names.len();
            self.layer.uniform(&animation, "blendShapes", "token[]", Value::token_vec(names))?;
            states.put(&mut self.layer, &animation, "blendShapeWeights", "float[]", |state| {
                let mut weights = state.weights.clone();
                weights.resize(count, 0.0);
                Some(Value::FloatVec(weights))
            })?;
        }
        self.layer.relationship(&skeleton, "skel:animationSource", vec![animation])?;
        self.layer.apply_schema(&skeleton, "SkelBindingAPI")?;
        self.layer.relationship(&prim, "skel:skeleton", vec![skeleton])?;
        self.layer.apply_schema(&prim, "SkelBindingAPI")?;
        Ok(root)
    }

    fn prototype(&mut self, key: ShapeKey, mesh: &Mesh, entity: Entity, name: &str) -> Result<Path, ExportError> {
        if let Some(path) = self.shapes.get(&key) {
            return Ok(path.clone());
        }
        let shape = mesh::read(mesh, entity, name)?;
        let scope = self.prototypes.clone();
        if !self.layer.has_prim(&scope) {
            self.layer.prim(&scope, Specifier::Class, "Scope")?;
        }
        let path = self.layer.define(&format!("{scope}/{}", self.shape_names.take(name)), "Xform")?;
        let prim = self.layer.define(&format!("{}/Mesh", path.as_str()), "Mesh")?;
        shape.write(&mut self.layer, &prim, key.1)?;
        self.shapes.insert(key, path.clone());
        Ok(path)
    }
}
