//! What a layer refers to, without composing it.

use super::{Budget, Issue, IssueSeverity, UsdError, crate_file, package::Package, path, text};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// How a layer refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    /// `subLayers`.
    SubLayer,
    /// `references`.
    Reference,
    /// `payload`.
    Payload,
    /// `inherits`: always within the layer.
    Inherit,
    /// `specializes`: always within the layer.
    Specialize,
    /// A value clip.
    Clip,
    /// A value that names a file: a texture, a sound, a shader.
    Asset,
}

/// Something that a layer refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedReference {
    /// The path as written.
    pub written: String,
    /// The identifier of what it means; `None` if it leads out of the source, or is an expression.
    pub identifier: Option<String>,
    /// The path of the prim that says so, with the variants it is in; empty for the layer itself.
    pub prim: String,
    /// The line, from 1; `None` in binary layers.
    pub line: Option<u32>,
    /// How.
    pub kind: ReferenceKind,
}

/// An arc or a reference to a layer, as found in one layer.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// The path of the layer as written; empty for the same layer.
    pub(super) asset: String,
    /// The path of the prim as written; empty for the default prim.
    pub(super) target: String,
    pub(super) prim: String,
    pub(super) line: Option<u32>,
    pub(super) kind: ReferenceKind,
}

/// What the check of a layer found out on the way.
#[derive(Debug, Default)]
pub(super) struct LayerFacts {
    /// Everything that brings opinions from elsewhere.
    pub(super) references: Vec<Fact>,
    /// Values that name files: path, prim, line.
    pub(super) assets: Vec<(String, String, Option<u32>)>,
    /// The line that each prim and variant begins on.
    pub(super) lines: HashMap<String, u32>,
    /// How many prims and variants there are.
    pub(super) prims: usize,
    /// What people should know: line, message.
    pub(super) notes: Vec<(u32, String)>,
    /// The default prim, where the layer says.
    pub(super) default_prim: Option<String>,
}

impl LayerFacts {
    /// The line of a prim, or of the nearest above it that the layer has.
    pub(super) fn line_of(&self, prim: &str) -> Option<u32> {
        let mut path = prim.split_once('.').map_or(prim, |(prim, _)| prim);
        while !path.is_empty() {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        None
    }

    /// The line on which a layer is referred to, best within a prim.
    pub(super) fn line_of_reference(&self, asset: &str, prim: &str) -> Option<u32> {
        let of_asset = || self.references.iter().filter(|fact| fact.asset == asset);
        of_asset().find(|fact| fact.prim == prim).or_else(|| of_asset().next()).and_then(|fact| fact.line)
    }

    /// The notes as issues.
    pub(super) fn issues(&self, layer: &str) -> impl Iterator<Item = Issue> {
        self.notes.iter().map(move |(line, message)| Issue {
            severity: IssueSeverity::Note,
            layer: layer.to_owned(),
            line: Some(*line).filter(|line| *line > 0),
            prim: String::new(),
            message: message.clone(),
        })
    }

    pub(super) fn scanned(&self, layer: &str) -> Vec<ScannedReference> {
        let identifier = |written: &str| if written.starts_with('`') { None } else { path::anchor(written, layer) };
        let arcs = self.references.iter().filter(|fact| !fact.asset.is_empty()).map(|fact| ScannedReference {
            written: fact.asset.clone(),
            identifier: identifier(&fact.asset),
            prim: fact.prim.clone(),
            line: fact.line,
            kind: fact.kind,
        });
        let assets = self.assets.iter().map(|(asset, prim, line)| {
            let identifier = identifier(asset);
            let kind = if identifier.as_deref().is_some_and(is_layer) { ReferenceKind::Clip } else { ReferenceKind::Asset };
            ScannedReference { written: asset.clone(), identifier, prim: prim.clone(), line: *line, kind }
        });
        arcs.chain(assets).collect()
    }
}

/// Whether an identifier is a layer's, by its extension.
pub(crate) fn is_layer(identifier: &str) -> bool {
    ["usda", "usdc", "usd", "usdz"].iter().any(|known| path::extension(identifier).eq_ignore_ascii_case(known))
}

/// Everything that a layer, or what is in a package, refers to; also in variants that are not chosen.
///
/// # Errors
/// [`UsdError::Parse`] and [`UsdError::OverBudget`] if it may not be opened.
pub fn scan_layer(bytes: &[u8], identifier: &str, budget: &Budget) -> Result<Vec<ScannedReference>, UsdError> {
    if path::is_package(identifier) {
        let package = Package::read(identifier, Arc::from(bytes), budget)?;
        let mut scanned = Vec::new();
        for name in package.names().filter(|name| is_layer(name) && !path::is_package(name)) {
            let inside = path::nest(identifier, name);
            if let Some(bytes) = package.entry(name) {
                scanned.extend(check(bytes, &inside, budget)?.1.scanned(&inside));
            }
        }
        return Ok(scanned);
    }
    Ok(check(bytes, identifier, budget)?.1.scanned(identifier))
}

/// The identifiers of the layers and packages that a layer refers to: sublayers, references, payloads and value clips, also by templates and in
/// variants that are not chosen. Each once; what is in the same package is left out, for it is here already.
///
/// # Errors
/// See [`scan_layer`].
pub fn scan_references(bytes: &[u8], identifier: &str) -> Result<Vec<String>, UsdError> {
    scan(bytes, identifier, |reference| reference.kind != ReferenceKind::Asset)
}

/// The identifiers of the other files that a layer names: textures, sounds, shaders. Each once; what is in the same package is left out.
///
/// # Errors
/// See [`scan_layer`].
pub fn scan_assets(bytes: &[u8], identifier: &str) -> Result<Vec<String>, UsdError> {
    scan(bytes, identifier, |reference| reference.kind == ReferenceKind::Asset)
}

fn scan(bytes: &[u8], identifier: &str, is_wanted: impl Fn(&ScannedReference) -> bool) -> Result<Vec<String>, UsdError> {
    let own = path::package_of(identifier).map_or(identifier, |(package, _)| package);
    let scanned = scan_layer(bytes, identifier, &Budget::default())?;
    let files = scanned.into_iter().filter(is_wanted).filter_map(|reference| reference.identifier);
    let files =
        files.map(|identifier| path::package_of(&identifier).map_or(identifier.clone(), |(package, _)| package.to_owned()));
    Ok(files.filter(|file| file != own).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Checks a layer that is no package: what `openusd` may parse, if that is not the bytes themselves, and what it refers to.
pub(super) fn check(bytes: &[u8], identifier: &str, budget: &Budget) -> Result<(Option<Arc<[u8]>>, LayerFacts), UsdError> {
    let is_binary = bytes.starts_with(crate_file::MAGIC);
    let extension = path::extension(identifier);
    if extension.eq_ignore_ascii_case("usdc") && !is_binary {
        return Err(UsdError::parse(identifier, None, "this is no binary layer; if it is text, name it `.usda` or `.usd`"));
    }
    if extension.eq_ignore_ascii_case("usda") && is_binary {
        return Err(UsdError::parse(identifier, None, "this is a binary layer; name it `.usdc` or `.usd`"));
    }
    if is_binary {
        return crate_file::check(identifier, bytes, budget);
    }
    let checked = text::check(identifier, bytes, budget)?;
    Ok((checked.rewritten, checked.facts))
}

/// The layers that a template of value clips names: `#` stands for a digit of the time, `.` between them for the fraction
/// (*USD Core Specification* 1.0, §12.3.4).
pub(super) fn template_clips(template: &str, start: f64, end: f64, stride: f64) -> Vec<String> {
    /// What a year of daily clips, or an hour of one a second, comes to.
    const MOST: f64 = 100_000.0;
    let Some(first) = template.find('#') else { return Vec::new() };
    let rest = template.get(first..).unwrap_or_default();
    let length = rest.find(|c| c != '#' && c != '.').unwrap_or(rest.len());
    let pattern = rest.get(..length).unwrap_or_default().trim_end_matches('.');
    let (whole, fraction) = pattern.split_once('.').map_or((pattern.len(), 0), |(whole, fraction)| (whole.len(), fraction.len()));
    let count = ((end - start) / stride + 1.0).floor();
    if !(start.is_finite() && end.is_finite() && stride > 0.0 && (1.0..=MOST).contains(&count)) {
        return Vec::new();
    }
    let tail = rest.get(pattern.len()..).unwrap_or_default();
    let head = template.get(..first).unwrap_or_default();
    let name = |time: f64| {
        if fraction == 0 {
            return format!("{head}{:0whole$}{tail}", time.round() as i64);
        }
        format!("{head}{time:0width$.fraction$}{tail}", width = whole + 1 + fraction)
    };
    (0..count as u64).map(|step| name(start + step as f64 * stride)).collect()
}
