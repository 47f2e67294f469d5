//! From a composed stage to plain data: everything that a [`StageSnapshot`] describes.
//!
//! `openusd` composes, but knows no schemas: what an attribute is when nobody wrote it is said here, by the published schemas of `UsdGeom`,
//! `UsdShade`, `UsdLux` and `UsdSkel`. What has a wrong type or length is noted as an [`Issue`] and its fallback is used; the rest stays.

mod binding;
mod camera;
mod curves;
mod instances;
mod light;
mod material;
mod mesh;
mod mtlx;
mod network;
mod nurbs;
mod patch;
mod points;
mod primvars;
mod read;
mod rest;
mod shapes;
mod skel;
mod skin;
mod value;
mod walk;
mod xform;

pub use crate::open::{Issue, IssueSeverity};

use crate::snapshot::{
    AttributeValue, GeomSubset, Prim, PrimData, Purpose, Sampled, StageSnapshot, UpAxis, VariantSet, Xform, is_imageable,
};
use binding::Bindings;
use openusd::{
    sdf::{self, Value},
    usd::Stage,
};
use primvars::Inherited;
use read::{PrimReader, Reader, Scope};
use skin::SkelBelow;
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

/// How much is taken from a stage.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// No more prims than this, prototypes counted once.
    pub max_prims: usize,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self { max_prims: 4_000_000 }
    }
}

/// A stage as plain data, and what was wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Extracted {
    /// The data.
    pub snapshot: StageSnapshot,
    /// What was wrong, in the order it was met.
    pub issues: Vec<Issue>,
}

/// What prims hand down to those below them.
#[derive(Clone, Default)]
struct Below<'a> {
    primvars: Inherited<'a>,
    purpose: Option<Purpose>,
    bindings: Bindings,
    skel: SkelBelow,
}

/// Everything that a stage says.
pub fn extract(stage: &Stage, options: &ExtractOptions) -> Extracted {
    let trees = walk::walk(stage, options);
    // Walking has read all layers.
    let reader = Reader::new(stage);
    for (severity, path, message) in &trees.issues {
        reader.issue(*severity, path, message.clone());
    }
    let mut snapshot = stage_metadata(&reader);
    let (prims, prototypes) = instances::extract(&reader, &trees);
    snapshot.prims = prims;
    snapshot.prototypes = prototypes;
    Extracted { snapshot, issues: reader.into_issues() }
}

/// The transform of one prim, as it is composed now; `None` if there is no such prim, or if its type has none.
pub(crate) fn transform_of(stage: &Stage, prim: &sdf::Path) -> Option<Xform> {
    let reader = Reader::of_few(stage);
    let (type_name, prim) = one_prim(&reader, prim)?;
    is_xformable(&type_name).then(|| xform::xform(&prim))
}

/// What a prim says of itself that no other prim has a part in.
#[derive(Clone, Debug, PartialEq)]
pub struct PrimValues {
    /// As [`Prim::visible`].
    pub visible: Sampled<bool>,
    /// What it is, if it is a light or a camera.
    pub data: Option<PrimData>,
}

/// The values of one prim, as it is composed now; `None` if there is no such prim.
pub(crate) fn values_of(stage: &Stage, prim: &sdf::Path) -> Option<PrimValues> {
    let reader = Reader::of_few(stage);
    let (type_name, prim) = one_prim(&reader, prim)?;
    let data = match type_name.as_str() {
        "Camera" => Some(PrimData::Camera(camera::camera(&prim))),
        _ => light::light(&prim, &type_name, &api_schemas(&prim)).map(PrimData::Light),
    };
    Some(PrimValues { visible: visible(&prim, &type_name), data })
}

/// A prim of a stage that changes, and its type.
fn one_prim<'a>(reader: &'a Reader<'a>, prim: &sdf::Path) -> Option<(String, PrimReader<'a>)> {
    let found = reader.stage.prim(prim.clone());
    found.is_valid().ok().filter(|valid| *valid)?;
    let type_name = found.type_name().ok().flatten().map(String::from).unwrap_or_default();
    Some((type_name, PrimReader::new(reader, &Rc::new(Scope::default()), prim)))
}

/// Whether a prim is visible by its own opinion.
fn visible(prim: &PrimReader<'_>, type_name: &str) -> Sampled<bool> {
    match !type_name.is_empty() && is_imageable(type_name) {
        true => prim.sampled_or("visibility", value::TOKEN, "inherited".to_owned()).map(|token| token != "invisible"),
        false => true.into(),
    }
}

fn api_schemas(prim: &PrimReader<'_>) -> Vec<String> {
    let schemas = if prim.has_field("apiSchemas") { prim.prim.api_schemas().unwrap_or_default() } else { Vec::new() };
    schemas.into_iter().map(Into::into).collect()
}

fn stage_metadata(reader: &Reader<'_>) -> StageSnapshot {
    let stage = reader.stage;
    let root = sdf::Path::abs_root();
    let metadata = |key: &str| stage.stage_metadata(key).ok().flatten();
    let number = |key: &str| metadata(key).and_then(value::f64).filter(|number| number.is_finite());
    let up_axis = match metadata("upAxis").and_then(value::text).as_deref() {
        None | Some("Y") => UpAxis::Y,
        Some("Z") => UpAxis::Z,
        Some(other) => {
            reader.issue(IssueSeverity::Warning, &root, format!("`upAxis` cannot be `{other}`; Y is used"));
            UpAxis::Y
        }
    };
    let frames_per_second = number("framesPerSecond");
    let root_layer = stage.root_layer().identifier().to_owned();
    let mut layers = stage.layer_identifiers();
    let session_layer = stage.session_layer().map(|layer| layer.identifier().to_owned());
    layers.retain(|layer| *layer != root_layer && Some(layer) != session_layer.as_ref());
    layers.insert(0, root_layer.clone());
    StageSnapshot {
        root_layer,
        layers,
        up_axis,
        meters_per_unit: number("metersPerUnit").unwrap_or(0.01),
        time_codes_per_second: number("timeCodesPerSecond").or(frames_per_second).unwrap_or(24.0),
        frames_per_second: frames_per_second.unwrap_or(24.0),
        start_time_code: number("startTimeCode").unwrap_or(0.0),
        end_time_code: number("endTimeCode").unwrap_or(0.0),
        default_prim: default_prim(reader),
        metadata: layer_metadata(stage),
        prims: Vec::new(),
        prototypes: Vec::new(),
    }
}

/// The default prim, if there is such a prim.
fn default_prim(reader: &Reader<'_>) -> Option<String> {
    let name = String::from(reader.stage.default_prim()?);
    let path = if name.starts_with('/') { name.clone() } else { format!("/{name}") };
    let is_there = sdf::Path::new(&path).is_ok_and(|path| reader.stage.prim(path).is_valid().unwrap_or(false));
    if !is_there {
        let message = format!("`defaultPrim` is `{name}`, but there is no such prim; the stage has no default prim");
        reader.issue(IssueSeverity::Warning, &sdf::Path::abs_root(), message);
    }
    is_there.then_some(name)
}

/// What the root layer says of itself.
fn layer_metadata(stage: &Stage) -> BTreeMap<String, AttributeValue> {
    let mut metadata = BTreeMap::new();
    if let Ok(Some(Value::Dictionary(entries))) = stage.custom_layer_data() {
        read::flatten("customLayerData", entries, &mut |name, value| {
            metadata.extend(value::any(value).map(|value| (name, value)));
        });
    }
    for key in ["upAxis", "documentation", "comment", "framePrecision"] {
        let value = stage.stage_metadata(key).ok().flatten().and_then(value::any);
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    }
    metadata
}

/// A prim's path as [`Prim::path`] has it.
fn prim_path(scope: &Scope, path: &sdf::Path) -> String {
    let written = scope.write(path);
    if scope.prototype.is_none() { written } else { written.trim_start_matches('.').trim_start_matches('/').to_owned() }
}

/// Every prim of a tree. Those of a prototype have what its root hands down, and `before` is the prototype as it was read for another
/// instance. `instance` says which prototype an instance has.
fn prims<'a>(
    reader: &'a Reader<'a>,
    tree: &walk::Tree,
    scope: &Rc<Scope>,
    root: Option<&Below<'a>>,
    before: Option<&instances::Before<'_>>,
    mut instance: impl FnMut(usize, &PrimReader<'a>, &Below<'a>) -> Option<usize>,
) -> Vec<Prim> {
    let at_root = Below::default();
    let mut below: Vec<Below<'a>> = Vec::with_capacity(tree.prims.len());
    let mut prims: Vec<Prim> = Vec::with_capacity(tree.prims.len());
    let mut subsets: BTreeMap<usize, Vec<GeomSubset>> = BTreeMap::new();
    let mut read_again = Vec::new();
    for (place, found) in tree.prims.iter().enumerate() {
        let prim = Rc::new(PrimReader::new(reader, scope, &found.path));
        let above = found.parent.and_then(|parent| below.get(parent)).unwrap_or(&at_root).clone();
        let type_name = prim.prim.type_name().ok().flatten().map(String::from).unwrap_or_default();
        let own = match root.filter(|_| place == 0) {
            // The root is the instance's own place, and what is said there the instance's.
            Some(root) => root.clone(),
            None => Below {
                primvars: above.primvars.with(&prim),
                purpose: authored_purpose(&prim, &type_name).or(above.purpose),
                bindings: above.bindings.with(&prim),
                skel: above.skel.with(&prim),
            },
        };
        let known = before.and_then(|before| Some((before, before.prims.get(place)?)));
        let mut extracted = match known {
            Some((before, known)) => {
                let mut extracted = Prim {
                    purpose: own.purpose.unwrap_or_default(),
                    material: material_of(&prim, &type_name, &own),
                    ..known.clone()
                };
                if before.is_other(known, &prim, &own) {
                    extracted.data = data(&prim, &type_name, &known.api_schemas, &above, &own);
                    read_again.push(place);
                }
                extracted
            }
            None => extract_prim(&prim, found, type_name, &above, &own),
        };
        extracted.prototype = found.prototype.and_then(|tree| instance(tree, &prim, &own));
        if extracted.type_name == "GeomSubset"
            && let Some(parent) = found.parent
        {
            let subset = mesh::subset(&prim, extracted.material.clone());
            subsets.entry(parent).or_default().extend(subset);
        }
        below.push(own);
        prims.push(extracted);
    }
    for (parent, subsets) in subsets {
        if let Some(PrimData::Mesh(mesh)) = prims.get_mut(parent).map(|prim| &mut prim.data)
            && mesh.subsets != subsets
        {
            Arc::make_mut(mesh).subsets = subsets;
            read_again.push(parent);
        }
    }
    if let Some(before) = before {
        before.share(&mut prims, &read_again);
    }
    prims
}

/// The material bound to a prim, if it is one that may show it.
fn material_of(prim: &PrimReader<'_>, type_name: &str, own: &Below<'_>) -> Option<String> {
    // A subset is no place in the scene, but has a look.
    let has_look = type_name.is_empty() || is_imageable(type_name) || type_name == "GeomSubset";
    has_look.then(|| own.bindings.material(prim)).flatten().map(|path| prim.scope.write(&path))
}

fn extract_prim<'a>(prim: &PrimReader<'a>, found: &walk::Found, type_name: String, above: &Below<'a>, own: &Below<'a>) -> Prim {
    let visible = visible(prim, &type_name);
    let api_schemas = api_schemas(prim);
    let data = data(prim, &type_name, &api_schemas, above, own);
    let xform = is_xformable(&type_name).then(|| xform::xform(prim));
    let material = material_of(prim, &type_name, own);
    let (attributes, relationships) = rest::properties(prim);
    Prim {
        path: prim_path(&prim.scope, prim.path()),
        name: found.name.clone(),
        parent: found.parent,
        api_schemas,
        kind: prim.metadata("kind").and_then(value::text).unwrap_or_default(),
        purpose: own.purpose.unwrap_or_default(),
        visible,
        xform,
        prototype: None,
        variant_sets: variant_sets(prim),
        has_payload: found.has_payload,
        is_loaded: found.is_loaded,
        material,
        data,
        attributes,
        relationships,
        animated_attributes: prim.animated(),
        metadata: rest::metadata(prim),
        type_name,
    }
}

/// What a prim is, by its type.
fn data<'a>(prim: &PrimReader<'a>, type_name: &str, api_schemas: &[String], above: &Below<'a>, own: &Below<'a>) -> PrimData {
    match type_name {
        "" if api_schemas.is_empty() => PrimData::Group,
        "Xform" | "Scope" | "SkelRoot" | "GeomSubset" => PrimData::Group,
        "Mesh" => PrimData::Mesh(Arc::new(mesh::mesh(prim, above, own))),
        "TetMesh" => PrimData::Mesh(Arc::new(mesh::tet_mesh(prim, above, own))),
        "NurbsPatch" => patch::nurbs_patch(prim, above).map_or(PrimData::Unknown, |mesh| PrimData::Mesh(Arc::new(mesh))),
        "BasisCurves" => PrimData::Curves(Arc::new(curves::basis_curves(prim, above))),
        "HermiteCurves" => PrimData::Curves(Arc::new(curves::hermite_curves(prim, above))),
        "NurbsCurves" => PrimData::Curves(Arc::new(curves::nurbs_curves(prim, above))),
        "Points" => PrimData::Points(Arc::new(points::points(prim, above))),
        "PointInstancer" => PrimData::PointInstancer(Arc::new(points::instancer(prim))),
        "Camera" => PrimData::Camera(camera::camera(prim)),
        "Material" => PrimData::Material(Arc::new(material::material(prim))),
        "Skeleton" => PrimData::Skeleton(Arc::new(skel::skeleton(prim, &own.skel))),
        "SkelAnimation" => PrimData::SkelAnimation(Arc::new(skel::animation(prim))),
        "BlendShape" => PrimData::BlendShape(Arc::new(skel::blend_shape(prim))),
        _ => {
            let light = light::light(prim, type_name, api_schemas).map(PrimData::Light);
            let shape = || shapes::shape(prim, above, type_name).map(PrimData::Shape);
            let rest = if type_name.is_empty() { PrimData::Group } else { PrimData::Unknown };
            light.or_else(shape).unwrap_or(rest)
        }
    }
}

/// Whether a type has a transform. Unknown types are taken to have one.
fn is_xformable(type_name: &str) -> bool {
    !type_name.is_empty() && is_imageable(type_name) && type_name != "Scope"
}

fn authored_purpose(prim: &PrimReader<'_>, type_name: &str) -> Option<Purpose> {
    if type_name.is_empty() || !is_imageable(type_name) {
        return None;
    }
    match prim.uniform("purpose", value::TOKEN)?.as_str() {
        "default" => Some(Purpose::Default),
        "render" => Some(Purpose::Render),
        "proxy" => Some(Purpose::Proxy),
        "guide" => Some(Purpose::Guide),
        other => {
            prim.warn(format!("`purpose` cannot be `{other}`; it is shown to nobody, as a guide"));
            Some(Purpose::Guide)
        }
    }
}

/// The variant sets, with what they offer and what is chosen.
fn variant_sets(prim: &PrimReader<'_>) -> Vec<VariantSet> {
    if !prim.has_field("variantSetChildren") {
        return Vec::new();
    }
    let stage = prim.reader.stage;
    let selections = prim.prim.variant_sets().get_all_variant_selections().unwrap_or_default();
    let mut sets: Vec<VariantSet> = Vec::new();
    for (layer, path) in &prim.sites {
        let Some(layer) = stage.layer(layer) else { continue };
        let data = layer.data();
        let children = |path: &sdf::Path, key: &str| match data.try_field(path, key).ok().flatten().as_deref() {
            Some(Value::TokenVec(names)) => names.iter().map(|name| name.to_string()).collect(),
            Some(Value::StringVec(names)) => names.clone(),
            _ => Vec::new(),
        };
        for name in children(path, "variantSetChildren") {
            let place = sets.iter().position(|set| set.name == name).unwrap_or_else(|| {
                let selection = selections.iter().find(|(set, _)| *set == name);
                let selection = selection.map(|(_, selection)| selection.clone()).unwrap_or_default();
                sets.push(VariantSet { name: name.clone(), variants: Vec::new(), selection });
                sets.len() - 1
            });
            let Some(set) = sets.get_mut(place) else { continue };
            for variant in children(&path.append_variant_selection(&name, ""), "variantChildren") {
                if !set.variants.contains(&variant) {
                    set.variants.push(variant);
                }
            }
        }
    }
    sets
}

#[cfg(test)]
mod tests;
