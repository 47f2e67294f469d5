//! USD scenes as files that have a blueprint in them: `run`, `check`, the editor's Open and Save take them as they take `.blueprint.ron` files.

use super::blueprint::{BLUEPRINT_SCOPE, blueprint_in, store_blueprint};
use bevy::prelude::*;
use std::{path::Path, sync::Arc};
use studio_graph::blueprint::{
    Blueprint, Problem,
    file::{BlueprintFormat, BlueprintFormats, write_whole},
};
use studio_usd::{
    extract::ExtractOptions,
    host::{EditLayer, StageHost},
    open::{FolderSource, OpenOptions, Payloads, UsdError},
};

pub(super) fn add(app: &mut App) {
    app.world_mut().get_resource_or_init::<BlueprintFormats>().add(BlueprintFormat {
        name: "USD scene",
        extensions: &["usda", "usdc", "usd", "usdz"],
        read,
        write,
    });
}

/// Opens no more of a scene than its blueprint.
fn open(file: &Path) -> Result<StageHost, UsdError> {
    let (source, layer) = FolderSource::of_file(file)?;
    let options = OpenOptions { load_payloads: Payloads::None, mask: vec![BLUEPRINT_SCOPE.to_owned()], ..OpenOptions::default() };
    StageHost::open(Arc::new(source), &layer, &options)
}

fn read(file: &Path) -> Result<(Blueprint, Vec<Problem>), String> {
    let host = open(file).map_err(|error| error.to_string())?;
    let stage = host.extract(&ExtractOptions::default()).map_err(|error| error.to_string())?.snapshot;
    blueprint_in(&stage, BLUEPRINT_SCOPE).ok_or_else(|| {
        format!(
            "the scene has no blueprint at {BLUEPRINT_SCOPE}; `neural-studio usd blueprint SCENE --store FILE` puts one there"
        )
    })
}

fn write(file: &Path, blueprint: &Blueprint) -> Result<(), String> {
    if !file.exists() {
        let is_text = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("usda"));
        if !is_text {
            return Err("there is no such scene; a new one is made as .usda".to_owned());
        }
        write_whole(file, "#usda 1.0\n").map_err(|error| error.to_string())?;
    }
    let host = open(file).map_err(|error| error.to_string())?;
    let stored = store_blueprint(&host, &EditLayer::Root, BLUEPRINT_SCOPE, blueprint);
    stored.and_then(|_| host.save()).map(drop).map_err(|error| error.to_string())
}
