//! One layer of a composed stage.
//!
//! Every prim with its composed properties and metadata; the arcs that they came by are gone. Instances stay instances: what they share
//! becomes a class at the root of the layer that each of them references. Value clips become time samples.

use super::{LayerBuilder, WriteError};
use openusd::{
    sdf::{AssetPath, ChildrenKey, Data, FieldKey, Path, PathListOp, SpecType, Specifier, TokenListOp, Value, Variability},
    usd::{Attribute, Prim, Relationship, Stage, TimeCode},
};
use std::collections::BTreeSet;

/// A flattened stage.
#[derive(Clone, Debug)]
pub struct Flattened {
    /// The layer. Asset paths in it are resolved ones where there was something to resolve.
    pub layer: Data,
    /// Values that could not be read, as their path and why.
    pub left_out: Vec<(String, String)>,
}

/// How deep prims may lie; far beyond any real scene.
const MAX_DEPTH: usize = 512;

/// Fields that composition has worked in, and those that are written by other ways.
const WORKED_IN: [&str; 25] = [
    ChildrenKey::PrimChildren.as_str(),
    ChildrenKey::PropertyChildren.as_str(),
    ChildrenKey::VariantSetChildren.as_str(),
    ChildrenKey::VariantChildren.as_str(),
    FieldKey::Specifier.as_str(),
    FieldKey::TypeName.as_str(),
    FieldKey::ApiSchemas.as_str(),
    FieldKey::References.as_str(),
    FieldKey::Payload.as_str(),
    FieldKey::InheritPaths.as_str(),
    FieldKey::Specializes.as_str(),
    FieldKey::VariantSetNames.as_str(),
    FieldKey::VariantSelection.as_str(),
    FieldKey::Relocates.as_str(),
    FieldKey::LayerRelocates.as_str(),
    FieldKey::Clips.as_str(),
    FieldKey::ClipSets.as_str(),
    FieldKey::PrimOrder.as_str(),
    FieldKey::PropertyOrder.as_str(),
    FieldKey::Instanceable.as_str(),
    FieldKey::Active.as_str(),
    FieldKey::SubLayers.as_str(),
    FieldKey::SubLayerOffsets.as_str(),
    FieldKey::ExpressionVariables.as_str(),
    FieldKey::DefaultPrim.as_str(),
];

/// Fields of properties that are written by other ways.
const OF_PROPERTIES: [&str; 7] = [
    FieldKey::TypeName.as_str(),
    FieldKey::Variability.as_str(),
    FieldKey::Custom.as_str(),
    FieldKey::Default.as_str(),
    FieldKey::TimeSamples.as_str(),
    FieldKey::ConnectionPaths.as_str(),
    FieldKey::TargetPaths.as_str(),
];

/// Makes one layer of a composed stage.
///
/// # Errors
/// [`WriteError::Flatten`] if prims cannot be read at all; single values that cannot are in [`Flattened::left_out`].
pub fn flatten(stage: &Stage) -> Result<Flattened, WriteError> {
    let mut flattener =
        Flattener { stage, layer: LayerBuilder::new(), roots: Vec::new(), pending: Vec::new(), left_out: Vec::new() };
    flattener.metadata()?;
    let names: Vec<String> = flattener.read("/", stage.root_prims())?.iter().map(|name| name.as_str().to_owned()).collect();
    flattener.roots.clone_from(&names);
    for name in names {
        let path = format!("/{name}");
        flattener.subtree(&path, &path)?;
    }
    // Prototypes may hold instances of further ones.
    let mut done = 0;
    while let Some((source, target)) = flattener.pending.get(done).cloned() {
        done += 1;
        flattener.layer.prim(&target, Specifier::Class, "")?;
        for name in flattener.read(&source, stage.prim(source.as_str()).child_names())? {
            flattener.subtree(&format!("{source}/{}", name.as_str()), &format!("{target}/{}", name.as_str()))?;
        }
    }
    let Flattener { layer, left_out, .. } = flattener;
    Ok(Flattened { layer: layer.finish(), left_out })
}

struct Flattener<'a> {
    stage: &'a Stage,
    layer: LayerBuilder,
    roots: Vec<String>,
    /// What instances share, and where it is put. They are known only when an instance is met: stages compose lazily.
    pending: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
}

impl Flattener<'_> {
    fn read<T, E: std::fmt::Display>(&self, path: &str, result: Result<T, E>) -> Result<T, WriteError> {
        result.map_err(|error| WriteError::Flatten { path: path.to_owned(), reason: format!("{error:#}") })
    }

    fn metadata(&mut self) -> Result<(), WriteError> {
        let root = Path::abs_root();
        let fields = self.stage.root_layer().data().list_fields(&root).unwrap_or_default();
        for field in fields.iter().filter(|field| !WORKED_IN.contains(&field.as_str())) {
            if let Some(value) = self.read("/", self.stage.stage_metadata(field))? {
                self.layer.set_metadata(field, anchored(value));
            }
        }
        if let Some(name) = self.stage.default_prim() {
            self.layer.set_metadata(FieldKey::DefaultPrim.as_str(), Value::Token(name));
        }
        Ok(())
    }

    fn subtree(&mut self, source: &str, target: &str) -> Result<(), WriteError> {
        let mut open = vec![(source.to_owned(), target.to_owned(), 1)];
        while let Some((source, target, depth)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(WriteError::Flatten { path: source, reason: format!("prims lie deeper than {MAX_DEPTH}") });
            }
            if !self.prim(&source, &target)? {
                continue;
            }
            let names = self.read(&source, self.stage.prim(source.as_str()).child_names())?;
            for name in names.iter().rev() {
                open.push((format!("{source}/{}", name.as_str()), format!("{target}/{}", name.as_str()), depth + 1));
            }
        }
        Ok(())
    }

    /// Writes a prim, and says whether its children are to be written below it.
    fn prim(&mut self, source: &str, target: &str) -> Result<bool, WriteError> {
        let prim = self.stage.prim(source);
        let specifier = self.read(source, prim.specifier())?.unwrap_or(Specifier::Over);
        let type_name = self.read(source, prim.type_name())?.unwrap_or_default();
        let path = self.layer.prim(target, specifier, type_name.as_str())?;
        let schemas = self.read(source, prim.api_schemas())?;
        if !schemas.is_empty() {
            let schemas = Value::TokenListOp(TokenListOp::prepended(schemas));
            self.layer.set_prim_metadata(&path, FieldKey::ApiSchemas.as_str(), schemas)?;
        }
        let stack = self.read(source, prim.prim_stack())?;
        for field in self.fields_of(&stack, &WORKED_IN) {
            if let Some(value) = self.field(source, &field) {
                self.layer.set_prim_metadata(&path, &field, anchored(value))?;
            }
        }
        if matches!(self.field(source, FieldKey::Active.as_str()), Some(Value::Bool(false))) {
            self.layer.set_prim_metadata(&path, FieldKey::Active.as_str(), Value::Bool(false))?;
            return Ok(false);
        }
        self.properties(&prim, source, &path)?;
        match self.read(source, prim.prototype())? {
            Some(prototype) => self.instance(&path, prototype.as_str()),
            None => Ok(true),
        }
    }

    fn instance(&mut self, path: &Path, prototype: &str) -> Result<bool, WriteError> {
        let known = self.pending.iter().find(|(known, _)| known == prototype).map(|(_, target)| target.clone());
        let target = known.unwrap_or_else(|| {
            let target = self.free_root();
            self.pending.push((prototype.to_owned(), target.clone()));
            target
        });
        let target = Path::new(&target).map_err(|error| WriteError::Path { path: target.clone(), reason: error.to_string() })?;
        self.layer.reference(path, &target, true)?;
        Ok(false)
    }

    /// A path that no root prim has.
    fn free_root(&mut self) -> String {
        let mut number = self.pending.len();
        loop {
            number += 1;
            let name = format!("Flattened_Prototype_{number}");
            if !self.roots.contains(&name) {
                let path = format!("/{name}");
                self.roots.push(name);
                return path;
            }
        }
    }

    fn properties(&mut self, prim: &Prim, source: &str, path: &Path) -> Result<(), WriteError> {
        for attribute in self.read(source, prim.attributes())? {
            let name = attribute.path().property_suffix().trim_start_matches('.').to_owned();
            match self.attribute(&attribute) {
                Ok(fields) => self.layer.put_fields(path, &name, SpecType::Attribute, fields)?,
                Err(reason) => self.left_out.push((attribute.path().as_str().to_owned(), reason)),
            }
        }
        for relationship in self.read(source, prim.relationships())? {
            let name = relationship.path().property_suffix().trim_start_matches('.').to_owned();
            match self.relationship(&relationship) {
                Ok(fields) => self.layer.put_fields(path, &name, SpecType::Relationship, fields)?,
                Err(reason) => self.left_out.push((relationship.path().as_str().to_owned(), reason)),
            }
        }
        Ok(())
    }

    fn attribute(&self, attribute: &Attribute) -> Result<Vec<(String, Value)>, String> {
        let path = attribute.path().as_str();
        let type_name = attribute.type_name().map_err(said)?.ok_or("nothing says its type")?;
        let mut fields = vec![(FieldKey::TypeName.as_str().to_owned(), Value::Token(type_name))];
        if attribute.variability().map_err(said)? == Some(Variability::Uniform) {
            fields.push((FieldKey::Variability.as_str().to_owned(), Value::Variability(Variability::Uniform)));
        }
        if attribute.is_custom().map_err(said)? {
            fields.push((FieldKey::Custom.as_str().to_owned(), Value::Bool(true)));
        }
        if let Some(value) = attribute.get::<Value>().map_err(said)? {
            fields.push((FieldKey::Default.as_str().to_owned(), anchored(value)));
        }
        let samples = self.samples(attribute)?;
        if !samples.is_empty() {
            fields.push((FieldKey::TimeSamples.as_str().to_owned(), Value::TimeSamples(samples)));
        }
        let connections = attribute.connections().map_err(said)?;
        if !connections.is_empty() {
            let connections = connections.iter().map(|target| self.moved(target));
            fields.push((FieldKey::ConnectionPaths.as_str().to_owned(), Value::PathListOp(PathListOp::explicit(connections))));
        }
        self.more(path, &attribute.property_stack().map_err(said)?, &mut fields);
        Ok(fields)
    }

    /// Samples as they are in a layer, or, where they come out of clips, as they are at each of their times.
    fn samples(&self, attribute: &Attribute) -> Result<Vec<(f64, Value)>, String> {
        let times = attribute.time_sample_times().map_err(said)?;
        if times.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(samples) = attribute.time_samples().map_err(said)?
            && samples.iter().map(|(time, _)| *time).eq(times.iter().copied())
        {
            return Ok(samples.into_iter().map(|(time, value)| (time, anchored(value))).collect());
        }
        let at = |time: f64| {
            let value = attribute.get_at::<Value>(TimeCode::new(time)).map_err(said)?;
            Ok((time, value.map_or(Value::ValueBlock, anchored)))
        };
        times.into_iter().map(at).collect()
    }

    fn relationship(&self, relationship: &Relationship) -> Result<Vec<(String, Value)>, String> {
        let path = relationship.path().as_str();
        let mut fields = Vec::new();
        if matches!(self.field(path, FieldKey::Variability.as_str()), Some(Value::Variability(Variability::Uniform))) {
            fields.push((FieldKey::Variability.as_str().to_owned(), Value::Variability(Variability::Uniform)));
        }
        if relationship.is_custom().map_err(said)? {
            fields.push((FieldKey::Custom.as_str().to_owned(), Value::Bool(true)));
        }
        let targets: Vec<Path> = relationship.targets().map_err(said)?.iter().map(|target| self.moved(target)).collect();
        fields.push((FieldKey::TargetPaths.as_str().to_owned(), Value::PathListOp(PathListOp::explicit(targets))));
        self.more(path, &relationship.property_stack().map_err(said)?, &mut fields);
        Ok(fields)
    }

    /// The rest of a property's metadata.
    fn more(&self, path: &str, stack: &[(String, Path)], fields: &mut Vec<(String, Value)>) {
        for field in self.fields_of(stack, &OF_PROPERTIES) {
            if let Some(value) = self.field(path, &field) {
                fields.push((field, anchored(value)));
            }
        }
    }

    /// Every field that any layer of a stack has, but some.
    fn fields_of(&self, stack: &[(String, Path)], but: &[&str]) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        for (layer, path) in stack {
            if let Some(layer) = self.stage.layer(layer) {
                fields.extend(layer.data().list_fields(path).unwrap_or_default());
            }
        }
        fields.retain(|field| !but.contains(&field.as_str()));
        fields
    }

    /// A composed field. The handle of an attribute reads any field of any path.
    fn field(&self, path: &str, field: &str) -> Option<Value> {
        self.stage.attribute(path).get_metadata::<Value>(field).ok().flatten()
    }

    /// Where the prim or property at a path has been put.
    fn moved(&self, path: &Path) -> Path {
        let text = path.as_str();
        for (source, target) in &self.pending {
            if let Some(rest) = text.strip_prefix(source.as_str())
                && (rest.is_empty() || rest.starts_with(['/', '.']))
            {
                return Path::new(&format!("{target}{rest}")).unwrap_or_else(|_| path.clone());
            }
        }
        path.clone()
    }
}

fn said(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}

/// A value that means the same from any layer: asset paths are resolved ones.
fn anchored(value: Value) -> Value {
    let asset = |asset: AssetPath| match asset.resolved_path().map(str::to_owned) {
        Some(resolved) if !resolved.is_empty() => AssetPath::with_resolved_path(resolved.clone(), resolved),
        _ => AssetPath::new(asset.asset_path()),
    };
    match value {
        Value::AssetPath(path) => Value::AssetPath(asset(path)),
        Value::AssetPathVec(paths) => Value::AssetPathVec(paths.into_iter().map(asset).collect()),
        Value::TimeSamples(samples) => {
            Value::TimeSamples(samples.into_iter().map(|(time, value)| (time, anchored(value))).collect())
        }
        Value::Dictionary(values) => Value::Dictionary(values.into_iter().map(|(key, value)| (key, anchored(value))).collect()),
        value => value,
    }
}
