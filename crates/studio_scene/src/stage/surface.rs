//! Materials and their textures, made once for all geometry that shows them.

use super::contents::StageContents;
use crate::{
    geometry::MeshPart,
    look::{
        self, DomeLight, DomeMaps, DomeOptions, MadeMaterial, MaterialOptions, TextureBaker, TextureOptions, TextureSet,
        TextureSource,
        texture::{Channel, TextureRecipe},
    },
};
use bevy::{
    asset::AssetServer,
    mesh::UvChannel,
    platform::collections::{HashMap, HashSet},
    prelude::*,
};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use studio_usd::snapshot::{InputSource, Material};

/// A material, as one kind of mesh needs it.
#[derive(Debug)]
pub(super) struct Surface {
    made: Mutex<Option<MadeMaterial>>,
    handle: OnceLock<Handle<StandardMaterial>>,
    from: SurfaceInputs,
    recipes: Vec<TextureRecipe>,
    notes: Vec<String>,
}

/// All that a surface is made from, but for its textures.
#[derive(Clone, Debug, PartialEq)]
struct SurfaceInputs {
    material: Option<Arc<Material>>,
    double_sided: bool,
    has_colors: bool,
    is_translucent: bool,
    uv_sets: Vec<String>,
}

impl SurfaceInputs {
    fn make(&self) -> MadeMaterial {
        let Some(material) = &self.material else {
            return look::display_material(self.has_colors, self.is_translucent, self.double_sided);
        };
        let uv_channel = |name: &str| match self.uv_sets.iter().position(|set| set == name)? {
            0 => Some(UvChannel::Uv0),
            1 => Some(UvChannel::Uv1),
            _ => None,
        };
        let has_primvar = |name: &str| self.has_colors && matches!(name, "displayColor" | "displayOpacity");
        look::material(
            material,
            &MaterialOptions { double_sided: self.double_sided, uv_channel: &uv_channel, has_primvar: &has_primvar },
        )
    }
}

impl Surface {
    /// The material among Bevy's assets.
    pub(super) fn handle(&self, world: &mut World) -> Handle<StandardMaterial> {
        let take = || self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.handle
            .get_or_init(|| match take() {
                Some(made) => world.resource_mut::<Assets<StandardMaterial>>().add(made.material),
                None => Handle::default(),
            })
            .clone()
    }
}

/// What materials read of a mesh.
#[derive(Default)]
pub(super) struct Needs {
    pub uv_sets: Vec<String>,
    pub tangents: bool,
    pub display_color: bool,
}

/// Makes the surfaces of a stage.
pub(super) struct SurfaceMaker {
    assets: AssetServer,
    baker: TextureBaker,
    pictures: Arc<Pictures>,
    before: Vec<Arc<Surface>>,
    made: HashMap<(usize, bool, bool, bool, Vec<String>), Arc<Surface>>,
    textures: TextureSet,
}

/// Reads pictures, and knows what was read.
struct Pictures {
    source: Arc<dyn TextureSource>,
    hashes: Mutex<HashMap<String, u64>>,
}

impl TextureSource for Pictures {
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, String> {
        let bytes = self.source.read(identifier)?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(identifier.to_owned(), hasher.finish());
        Ok(bytes)
    }
}

/// What a stage keeps of its surfaces, for when it is loaded again.
#[derive(Default)]
pub(super) struct Surfaces {
    all: Vec<Arc<Surface>>,
    textures: TextureSet,
    hashes: HashMap<String, u64>,
}

impl SurfaceMaker {
    /// Takes over what was made before of pictures that did not change.
    pub(super) fn new(
        assets: AssetServer,
        source: Arc<dyn TextureSource>,
        budget_bytes: u64,
        previous: Option<&StageContents>,
    ) -> Self {
        let pictures = Arc::new(Pictures { source, hashes: Mutex::default() });
        let options = TextureOptions { budget_bytes, ..default() };
        let mut textures = TextureSet::default();
        let mut before = Vec::new();
        if let Some(previous) = previous.map(|previous| &previous.surfaces) {
            let is_same = |(identifier, hash): &(&String, &u64)| {
                pictures.read(identifier).ok();
                pictures.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(*identifier) == Some(*hash)
            };
            let same: HashSet<&str> = previous.hashes.iter().filter(is_same).map(|(identifier, _)| identifier.as_str()).collect();
            let is_kept = |recipe: &TextureRecipe| {
                recipe.channels.iter().all(|channel| match channel {
                    Channel::Picture(read) => read.identifier.is_empty() || same.contains(&*read.identifier),
                    Channel::Constant(_) => true,
                })
            };
            textures = previous.textures.clone();
            textures.retain(is_kept);
            before = previous.all.iter().filter(|surface| surface.recipes.iter().all(is_kept)).cloned().collect();
        }
        let baker = TextureBaker::new(pictures.clone(), options);
        Self { assets, baker, pictures, before, made: HashMap::new(), textures }
    }

    /// What materials read of a mesh that shows them.
    pub(super) fn needs<'a>(&self, materials: impl IntoIterator<Item = &'a Material>) -> Needs {
        let mut needs = Needs::default();
        for material in materials {
            for name in look::uv_primvars(material) {
                if !needs.uv_sets.contains(&name) {
                    needs.uv_sets.push(name);
                }
            }
            let Some(surface) = &material.surface else {
                needs.display_color = true;
                continue;
            };
            needs.tangents |= surface.normal.is_some();
            let reads = |source: &Option<InputSource>| matches!(source, Some(InputSource::Primvar { .. }));
            needs.display_color |= reads(&surface.diffuse_color.source) || reads(&surface.opacity.source);
        }
        needs
    }

    /// The surface of a part of a mesh, and what could not be shown of it. Its textures come with [`make_textures`](Self::make_textures).
    pub(super) fn surface(&mut self, material: Option<&Arc<Material>>, part: &MeshPart) -> (Arc<Surface>, Vec<String>) {
        let from = SurfaceInputs {
            material: material.cloned(),
            double_sided: part.double_sided,
            has_colors: part.has_colors,
            is_translucent: part.is_translucent,
            uv_sets: if material.is_some() { part.uv_sets.clone() } else { Vec::new() },
        };
        let identity = material.map_or(0, |material| Arc::as_ptr(material) as usize);
        let key = (identity, from.double_sided, from.has_colors, from.is_translucent, from.uv_sets.clone());
        let surface = self.made.entry(key).or_insert_with(|| {
            if let Some(before) = self.before.iter().find(|before| before.from == from) {
                return before.clone();
            }
            let made = from.make();
            let (recipes, notes) = (made.recipes().collect(), made.notes.clone());
            Arc::new(Surface { made: Mutex::new(Some(made)), handle: OnceLock::new(), from, recipes, notes })
        });
        (surface.clone(), surface.notes.clone())
    }

    /// Makes the textures of all surfaces. Returns what went wrong.
    pub(super) fn make_textures(&mut self) -> Vec<String> {
        let recipes: Vec<TextureRecipe> = self.made.values().flat_map(|surface| surface.recipes.iter().cloned()).collect();
        let assets = self.assets.clone();
        let notes = self.textures.make(recipes, &self.baker, &mut |_label, image| assets.add(image));
        for surface in self.made.values() {
            if let Some(made) = surface.made.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                made.put_textures(&self.textures);
            }
        }
        notes
    }

    /// The maps of a sky.
    pub(super) fn dome(&self, dome: &DomeLight) -> Result<DomeMaps, String> {
        let baked = look::bake_dome(&self.baker, dome, &DomeOptions::default())?;
        let assets = self.assets.clone();
        Ok(baked.into_maps("Dome", &mut |_label, image| assets.add(image)))
    }

    /// Whether a picture is what it was when `previous` was made.
    pub(super) fn is_same_picture(&self, previous: &StageContents, identifier: &str) -> bool {
        let now = self.pictures.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(identifier).copied();
        now.is_some() && now == previous.surfaces.hashes.get(identifier).copied()
    }

    /// What is kept for the next time.
    pub(super) fn finish(self) -> Surfaces {
        let hashes = std::mem::take(&mut *self.pictures.hashes.lock().unwrap_or_else(PoisonError::into_inner));
        Surfaces { all: self.made.into_values().collect(), textures: self.textures, hashes }
    }
}
