//! Which edits of a stage are shown by a look at single prims, and which take more.

use super::history::{Done, LayerEdits};
use crate::open::is_list_of_specs;
use openusd::{
    sdf::{self, SpecType, Value},
    usd::{Edit, FieldValue, Stage},
};
use std::collections::{BTreeSet, HashSet};

impl Done {
    /// Notes which prims were moved or have other values, and whether that is all.
    pub(super) fn find_in_place(&mut self, stage: &Stage, sources: &HashSet<String>) {
        let (mut moved, mut revalued) = (BTreeSet::new(), BTreeSet::new());
        let mut is_in_place = !self.is_final;
        // In other layers, paths are those layers' own.
        let local = stage.layer_stack();
        for LayerEdits { layer, edits } in &self.inverse {
            is_in_place &= local.contains(layer);
            let data = stage.layer(layer);
            for edit in edits {
                let path = edit.path();
                is_in_place &= match path.as_str().split_once('.') {
                    Some((prim, property)) if property.starts_with("xformOp") => {
                        moved.insert(prim.to_owned());
                        true
                    }
                    Some((prim, property))
                        if is_value(edit, data.as_ref().map(|layer| layer.data())) && is_read_alone(stage, prim, property) =>
                    {
                        revalued.insert(prim.to_owned());
                        true
                    }
                    Some(_) => false,
                    None => match edit {
                        // What would be taken out was made: it may be an `over` that values can be in.
                        Edit::RemoveSpec { path } => data.as_ref().is_some_and(|layer| is_bare(layer.data(), path)),
                        Edit::Create { spec_type: SpecType::Prim, fields, .. } => fields.iter().all(is_over),
                        _ => false,
                    },
                };
            }
        }
        // Prims that have what was edited by an arc changed as well.
        is_in_place &= !moved.iter().chain(&revalued).any(|prim| is_source(sources, prim));
        self.change.is_in_place = is_in_place && !(moved.is_empty() && revalued.is_empty());
        self.change.moved = moved.into_iter().collect();
        self.change.revalued = revalued.into_iter().collect();
    }
}

/// Whether an edit changes what an attribute is, and not what is connected to it or known of it.
fn is_value(edit: &Edit, layer: Option<&dyn sdf::AbstractData>) -> bool {
    const VALUES: [&str; 2] = ["default", "timeSamples"];
    const DECLARED: [&str; 5] = ["default", "timeSamples", "typeName", "variability", "custom"];
    match edit {
        Edit::SetField { field, .. } | Edit::EraseField { field, .. } => VALUES.contains(&field.as_str()),
        Edit::Create { fields, .. } => fields.iter().all(|field| DECLARED.contains(&field.field.as_str())),
        // It was made, and is what it says now.
        Edit::RemoveSpec { path } => layer
            .and_then(|layer| layer.list_fields(path))
            .is_some_and(|fields| fields.iter().all(|name| DECLARED.contains(&name.as_str()))),
    }
}

/// Whether all that depends on a property is found by [`StageHost::values`](super::StageHost::values) of its prim.
fn is_read_alone(stage: &Stage, prim: &str, property: &str) -> bool {
    if property == "visibility" {
        return true;
    }
    let Ok(path) = sdf::path(prim) else { return false };
    let type_name = stage.prim(path).type_name().ok().flatten().map(String::from).unwrap_or_default();
    // Pictures of lights are read from files, and what names no light may be one by its schemas.
    let is_light = type_name.ends_with("Light") || type_name.starts_with("DomeLight");
    let of_light = is_light && (property.starts_with("inputs:") || !property.contains(':')) && !property.contains("texture:");
    of_light || (type_name == "Camera" && !property.contains(':'))
}

/// Whether a spec of a prim says nothing but that there is one.
fn is_bare(data: &dyn sdf::AbstractData, path: &sdf::Path) -> bool {
    let fields = data.list_fields(path).unwrap_or_default();
    let mut said = fields.iter().filter(|field| !is_list_of_specs(field));
    said.all(|field| {
        let value = data.try_field(path, field).ok().flatten();
        field == "specifier" && matches!(value.as_deref(), Some(Value::Specifier(sdf::Specifier::Over)))
    })
}

fn is_over(field: &FieldValue) -> bool {
    field.field.as_str() == "specifier" && matches!(field.value, Value::Specifier(sdf::Specifier::Over))
}

/// Whether a prim, or one above it, is brought in elsewhere.
fn is_source(sources: &HashSet<String>, prim: &str) -> bool {
    let mut path = prim;
    loop {
        if sources.contains(path) {
            return true;
        }
        match path.rfind('/') {
            None | Some(0) => return false,
            Some(end) => path = path.get(..end).unwrap_or_default(),
        }
    }
}

/// The prims of the stage's own layers that arcs bring in elsewhere; rather some more than there are than one less.
pub(super) fn arc_sources(stage: &Stage) -> HashSet<String> {
    let local = stage.layer_stack();
    let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let local_files: HashSet<String> = local.iter().map(|layer| file(layer)).collect();
    let default_prim = stage.default_prim().map(|name| format!("/{}", String::from(name).trim_start_matches('/')));
    let mut sources = HashSet::new();
    for identifier in stage.layer_identifiers() {
        let Some(layer) = stage.layer(&identifier) else { continue };
        let (data, is_local) = (layer.data(), local.contains(&identifier));
        // A class of the stage's own layers holds for all that inherit it by its path, whichever layer they are in; a reference without a
        // file is to a prim of its own layer, one with a file to a prim of that.
        let is_ours = |asset: &str| if asset.is_empty() { is_local } else { local_files.contains(&file(asset)) };
        for path in data.spec_paths().into_iter().filter(|path| !path.is_property_path()) {
            for field in ["references", "payload", "inheritPaths", "specializes"] {
                if !data.has_field(&path, field) {
                    continue;
                }
                let value = data.try_field(&path, field).ok().flatten();
                let arcs: Vec<(String, sdf::Path)> = match value.as_deref() {
                    Some(Value::ReferenceListOp(list)) => {
                        list.flatten().into_iter().map(|arc| (arc.asset_path.clone(), arc.prim_path.clone())).collect()
                    }
                    Some(Value::PayloadListOp(list)) => {
                        list.flatten().into_iter().map(|arc| (arc.asset_path.clone(), arc.prim_path.clone())).collect()
                    }
                    Some(Value::Payload(arc)) => vec![(arc.asset_path.clone(), arc.prim_path.clone())],
                    Some(Value::PathListOp(list)) => {
                        sources.extend(list.flatten().iter().map(ToString::to_string));
                        continue;
                    }
                    _ => continue,
                };
                for (_, target) in arcs.iter().filter(|(asset, _)| is_ours(asset)) {
                    // Without a path, the default prim is meant.
                    sources.extend(if target.is_empty() { default_prim.clone() } else { Some(target.to_string()) });
                }
            }
        }
    }
    sources
}
