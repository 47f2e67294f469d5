//! Blueprints as assets: loaded through the asset server, followed when they change.

use super::{Blueprint, BlueprintInstance, Problem, overrides::BlueprintOverrides, problem, read::read, spawn};
use crate::schedule::StudioSystems;
use bevy::{
    asset::{AssetLoader, LoadContext, io::Reader},
    ecs::entity::EntityHashMap,
    prelude::*,
};
use std::path::PathBuf;

/// Spawns the blueprint's nodes when it is loaded, and changes them when it changes. Put it on an entity of its own.
#[derive(Component, Clone, Debug, Default)]
#[require(BlueprintInstance)]
pub struct BlueprintRoot(pub Handle<Blueprint>);

/// What came of a blueprint on its way to entities.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
pub enum BlueprintState {
    /// Its nodes are there. The warnings are for people.
    Spawned(Vec<Problem>),
    /// It has errors; what ran before runs on.
    Refused(Vec<Problem>),
}

/// Folder of the asset server's files: input files of blueprints that it loads are looked for there.
#[derive(Resource, Clone, Debug, Default)]
pub struct BlueprintFolder(pub Option<PathBuf>);

/// Why a file is no blueprint.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintLoadError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is too large.
    #[error("it has more than {} bytes", Blueprint::MAX_BYTES)]
    TooLarge,
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NoText,
    /// It has faults.
    #[error("{}", problem::list(.0))]
    Faults(Vec<Problem>),
}

/// Loads `.blueprint.ron` files. What only the registry can tell is checked when the nodes are spawned.
#[derive(TypePath, Default)]
pub struct BlueprintLoader;

impl AssetLoader for BlueprintLoader {
    type Asset = Blueprint;
    type Settings = ();
    type Error = BlueprintLoadError;

    async fn load(&self, reader: &mut dyn Reader, _: &(), _: &mut LoadContext<'_>) -> Result<Blueprint, BlueprintLoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        if bytes.len() > Blueprint::MAX_BYTES {
            return Err(BlueprintLoadError::TooLarge);
        }
        let text = String::from_utf8(bytes).map_err(|_| BlueprintLoadError::NoText)?;
        let (blueprint, problems) = read(&text);
        if problem::has_errors(&problems) { Err(BlueprintLoadError::Faults(problems)) } else { Ok(blueprint) }
    }

    fn extensions(&self) -> &[&str] {
        &[Blueprint::EXTENSION]
    }
}

pub(super) fn add_asset(app: &mut App) {
    app.init_resource::<BlueprintFolder>().init_resource::<super::file::BlueprintFormats>().add_systems(
        Update,
        super::follow::follow_subgraphs
            .run_if(any_with_component::<super::Subgraph>.or_else(any_with_component::<spawn::BlueprintFiles>))
            .before(StudioSystems::Compile),
    );
    if app.world().contains_resource::<AssetServer>() {
        app.init_asset::<Blueprint>()
            .init_asset_loader::<BlueprintLoader>()
            .add_systems(Update, follow_blueprints.before(StudioSystems::Compile));
    }
}

/// Spawns what was loaded and applies what changed.
fn follow_blueprints(
    world: &mut World,
    mut roots: Local<Option<QueryState<(Entity, &'static BlueprintRoot)>>>,
    mut applied: Local<EntityHashMap<AssetId<Blueprint>>>,
    mut cursor: Local<bevy::ecs::message::MessageCursor<AssetEvent<Blueprint>>>,
) {
    let changed: Vec<AssetId<Blueprint>> = cursor
        .read(world.resource::<Messages<AssetEvent<Blueprint>>>())
        .filter_map(|event| match event {
            AssetEvent::Modified { id } => Some(*id),
            _ => None,
        })
        .collect();
    let roots = roots.get_or_insert_with(|| QueryState::new(world));
    let known: Vec<(Entity, AssetId<Blueprint>)> = roots.iter(world).map(|(root, handle)| (root, handle.0.id())).collect();
    applied.retain(|root, _| known.iter().any(|(known, _)| known == root));
    for (root, id) in known {
        if applied.get(&root) == Some(&id) && !changed.contains(&id) {
            continue;
        }
        let Some(mut blueprint) = world.resource::<Assets<Blueprint>>().get(id).cloned() else { continue };
        applied.insert(root, id);
        let overrides = world.get::<BlueprintOverrides>(root).cloned().unwrap_or_default();
        let registry = world.resource::<AppTypeRegistry>().clone();
        for given in &overrides.0 {
            if let Err(error) = given.apply(&mut blueprint, &registry.read()) {
                error!("{error}");
            }
        }
        let folder = world.resource::<BlueprintFolder>().0.clone();
        if let Some(mut instance) = world.get_mut::<BlueprintInstance>(root) {
            instance.base = folder;
        }
        let state = match spawn::apply(world, root, &blueprint) {
            Ok(warnings) => {
                if !warnings.is_empty() {
                    warn!("the blueprint “{}”:\n{}", blueprint.name, problem::list(&warnings));
                }
                BlueprintState::Spawned(warnings)
            }
            Err(problems) => {
                error!("the blueprint “{}” is refused; what ran before runs on:\n{}", blueprint.name, problem::list(&problems));
                BlueprintState::Refused(problems)
            }
        };
        world.entity_mut(root).insert(state);
    }
}
