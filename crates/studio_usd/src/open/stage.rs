//! Opening and composing a stage.

use super::{
    Issue, IssueSeverity, LayerSource, LayerStore, OpenOptions, Payloads, StoreResolver, UsdError, VariantChoice, path,
    path::SESSION_LAYER,
    scan::{Fact, LayerFacts, ReferenceKind, is_layer},
};
use openusd::{
    pcp, sdf,
    usd::{EditTarget, InitialLoadSet, LoadPolicy, Stage, StagePopulationMask},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

/// A composed stage, on the thread that opened it.
pub struct OpenedStage {
    /// The stage, for [`extract`](crate::extract::extract) and whoever needs more.
    pub stage: Stage,
    /// What opening it brought to light.
    pub report: OpenReport,
    pub(crate) store: Arc<LayerStore>,
}

/// What opening a stage brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The identifiers of all layers that took part, the root first. What is to be watched for changes.
    pub layers: Vec<String>,
    /// The identifiers of files that layers refer to and that are not there.
    pub missing: Vec<String>,
    /// Prims that were composed, without the insides of instances after the first.
    pub prims: usize,
    /// What is wrong, notable or left out.
    pub issues: Vec<Issue>,
}

/// Opens a stage and composes all of it on this thread.
///
/// A layer other than the root that may not be opened is left out and reported. What goes over a budget fails as a whole.
/// The time is looked at between layers and between prims; a caller that has to have its answer in time opens the stage by
/// [`StageHost::open`](crate::host::StageHost::open), which also brings a stack that is large enough.
///
/// # Errors
/// See [`UsdError`]. [`UsdError::LayersPending`] says what to fetch before trying again.
pub fn open_stage(source: Arc<dyn LayerSource>, root: &str, options: &OpenOptions) -> Result<OpenedStage, UsdError> {
    let store = store_for(source, root, options)?;
    open_with(&store, options)
}

/// The layers of a stage that is to be opened.
pub(crate) fn store_for(source: Arc<dyn LayerSource>, root: &str, options: &OpenOptions) -> Result<Arc<LayerStore>, UsdError> {
    let root = path::anchor(root, "").ok_or_else(|| UsdError::OutsideRoot { path: root.to_owned() })?;
    Ok(Arc::new(LayerStore::new(source, &root, options.budget.clone())))
}

/// Opens a stage of layers.
pub(crate) fn open_with(store: &Arc<LayerStore>, options: &OpenOptions) -> Result<OpenedStage, UsdError> {
    store.set_deadline(Some(Instant::now() + options.budget.open_time));
    let opened = super::catch(store.root(), || compose(store, options));
    store.set_deadline(None);
    opened
}

fn compose(store: &Arc<LayerStore>, options: &OpenOptions) -> Result<OpenedStage, UsdError> {
    let root = store.root().to_owned();
    let mask = options.mask.iter().map(|path| prim_path(path)).collect::<Result<Vec<_>, _>>()?;
    let mut builder = Stage::builder()
        .resolver(StoreResolver(store.clone()))
        .session_layer(SESSION_LAYER)
        .mute(options.muted_layers.iter().map(|layer| LayerStore::whole(layer)));
    if !mask.is_empty() {
        builder = builder.mask(StagePopulationMask::new(mask));
    }
    if options.load_payloads != Payloads::All {
        builder = builder.load(InitialLoadSet::LoadNone);
    }
    let fallbacks = options.variant_fallbacks.iter();
    builder =
        builder.variant_fallbacks(fallbacks.fold(pcp::VariantFallbackMap::new(), |map, (set, variants)| map.add(set, variants)));
    let stage = builder.open(&LayerStore::whole(&root)).map_err(|error| root_error(store, &format!("{error:#}")))?;
    for choice in &options.variants {
        choose_variant(&stage, choice)?;
    }
    if let Payloads::Of(paths) = &options.load_payloads {
        let paths = paths.iter().map(|path| prim_path(path).map(|path| (path, LoadPolicy::WithDescendants)));
        stage.load_and_unload(paths.collect::<Result<Vec<_>, _>>()?, Vec::<sdf::Path>::new());
    }
    let prims = walk(&stage, store)?;
    let report = report(&stage, store, prims)?;
    store.release();
    Ok(OpenedStage { stage, report, store: store.clone() })
}

/// Why the root layer could not be opened.
fn root_error(store: &LayerStore, message: &str) -> UsdError {
    let pending = store.pending();
    if !pending.is_empty() {
        return UsdError::LayersPending { layers: pending };
    }
    let root = store.root();
    let failed = store.failed();
    if let Some(error) =
        failed.get(root).or_else(|| failed.iter().find(|(layer, _)| layer.starts_with(root)).map(|(_, error)| error))
    {
        return error.clone();
    }
    if let Some(path) = store.outside().first() {
        return UsdError::OutsideRoot { path: path.clone() };
    }
    match store.bytes(root) {
        Ok(None) => UsdError::NotFound { layer: root.to_owned() },
        _ if !is_layer(root) => {
            UsdError::parse(root, None, "this is no layer by its name; layers end in .usda, .usdc, .usd or .usdz")
        }
        _ => text_error(store, root, message),
    }
}

/// An error of `openusd`'s parser, which says no line itself, with the line.
fn text_error(store: &LayerStore, layer: &str, message: &str) -> UsdError {
    let line = store.bytes(layer).ok().flatten().and_then(|bytes| {
        let checked = super::text::check(layer, &bytes, store.budget()).ok()?;
        let text = std::str::from_utf8(checked.rewritten.as_deref().unwrap_or(&bytes)).ok()?.to_owned();
        let mut parser = openusd::usda::parser::Parser::new(&text);
        parser.parse().err()?;
        parser.last_error_highlight().map(|place| place.line as u32)
    });
    UsdError::parse(layer, line, message)
}

/// A path of a prim, checked.
pub(crate) fn prim_path(path: &str) -> Result<sdf::Path, UsdError> {
    let is_name = |name: &str| {
        name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_path = path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name));
    let fail =
        || UsdError::Edit { path: path.to_owned(), message: "this is no absolute path of a prim, such as /World/Car".into() };
    if is_path { sdf::path(path).map_err(|_| fail()) } else { Err(fail()) }
}

/// Chooses a variant in the session layer.
fn choose_variant(stage: &Stage, choice: &VariantChoice) -> Result<(), UsdError> {
    let before = stage.edit_target();
    let fail = |message: String| UsdError::Edit { path: choice.prim.clone(), message };
    stage.set_edit_target(EditTarget::for_layer(SESSION_LAYER)).map_err(|error| fail(error.to_string()))?;
    let chosen = author_variant(stage, choice);
    stage.set_edit_target(before).map_err(|error| fail(error.to_string()))?;
    chosen
}

/// Chooses a variant in the layer that edits go to.
fn author_variant(stage: &Stage, choice: &VariantChoice) -> Result<(), UsdError> {
    let path = prim_path(&choice.prim)?;
    let (set, variant) = (choice.set.clone(), choice.variant.clone());
    let author = || -> Result<(), openusd::usd::StageAuthoringError> {
        let prim = stage.override_prim(path)?;
        prim.update_metadata(sdf::FieldKey::VariantSelection.as_str(), |value| {
            let mut chosen = match value {
                Some(sdf::Value::VariantSelectionMap(chosen)) => chosen,
                _ => HashMap::new(),
            };
            chosen.insert(set, variant);
            sdf::Value::VariantSelectionMap(chosen)
        })?;
        Ok(())
    };
    author().map_err(|error| UsdError::Edit { path: choice.prim.clone(), message: error.to_string() })
}

/// Composes every prim, within the budget. Instances are composed once, through their prototypes.
pub(crate) fn walk(stage: &Stage, store: &LayerStore) -> Result<usize, UsdError> {
    let budget = store.budget();
    let failed = |message| UsdError::Compose { layer: store.root().to_owned(), message };
    let mut prims = 0;
    let mut pending = vec![(sdf::Path::abs_root(), 0_usize)];
    let mut prototypes = BTreeSet::new();
    loop {
        while let Some((path, depth)) = pending.pop() {
            store.check_time()?;
            if depth > 0 {
                prims += 1;
                let over = |what, found: usize, allowed: usize, budget| {
                    UsdError::over(store.root(), None, what, found as u64, allowed as u64, budget)
                };
                if prims > budget.prims {
                    return Err(over("prims of the composed stage", prims, budget.prims, "prims"));
                }
                if depth > budget.namespace_depth {
                    return Err(over(
                        "prims within prims of the composed stage",
                        depth,
                        budget.namespace_depth,
                        "namespace_depth",
                    ));
                }
                let prim = stage.prim(&path);
                if !prim.is_active().map_err(|error| failed(format!("{error:#}")))?
                    || !prim.is_prototype() && prim.is_instance().map_err(|error| failed(format!("{error:#}")))?
                {
                    continue;
                }
            }
            let children = stage.prim(&path).child_names().map_err(|error| failed(format!("{error:#}")))?;
            pending
                .extend(children.iter().filter_map(|name| path.append_path(name.as_str()).ok()).map(|child| (child, depth + 1)));
        }
        let new = stage.prototypes().into_iter().filter(|prototype| prototypes.insert(prototype.as_str().to_owned()));
        pending.extend(new.map(|prototype| (prototype, 1)));
        if pending.is_empty() {
            return Ok(prims);
        }
    }
}

/// What there is to report of a stage.
pub(crate) fn report(stage: &Stage, store: &LayerStore, prims: usize) -> Result<OpenReport, UsdError> {
    let failed = store.failed();
    let fatal = failed.values().find(|error| matches!(error, UsdError::OverBudget { .. } | UsdError::TimedOut { .. }));
    if let Some(error) = fatal {
        return Err(error.clone());
    }
    let pending = store.pending();
    if !pending.is_empty() {
        return Err(UsdError::LayersPending { layers: pending });
    }
    let facts = store.facts();
    let context = Context { store, facts: &facts, failed: &failed };
    let mut missing = BTreeSet::new();
    let mut issues: Vec<Issue> = stage.composition_errors().iter().map(|error| context.issue(error, &mut missing)).collect();
    issues.extend(context.nowhere(stage, &issues));
    issues.extend(facts.iter().filter(|(layer, _)| *layer != SESSION_LAYER).flat_map(|(layer, facts)| facts.issues(layer)));
    issues
        .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| (&a.layer, a.line, &a.prim).cmp(&(&b.layer, b.line, &b.prim))));
    issues.dedup();
    let mut layers = stage.layer_identifiers();
    layers.retain(|layer| layer != SESSION_LAYER);
    layers.sort_by_key(|layer| layer != store.root());
    Ok(OpenReport { layers, missing: missing.into_iter().collect(), prims, issues })
}

/// What is known about layers where an error of the composer names them.
struct Context<'a> {
    store: &'a LayerStore,
    facts: &'a BTreeMap<String, Arc<LayerFacts>>,
    failed: &'a BTreeMap<String, UsdError>,
}

impl Context<'_> {
    fn facts_of(&self, layer: &str) -> Option<&LayerFacts> {
        let of_package =
            || self.facts.iter().find(|(other, _)| other.strip_prefix(layer).is_some_and(|rest| rest.starts_with('[')));
        self.facts.get(layer).or_else(|| of_package().map(|(_, facts)| facts)).map(|facts| &**facts)
    }

    fn line(&self, layer: &str, prim: &str) -> Option<u32> {
        self.facts_of(layer).and_then(|facts| facts.line_of(prim))
    }

    /// Which layer says so, and where: the composer names the first layer of a stack, and a sublayer of it may have said it.
    fn author(&self, asset: &str, layer: &str, prim: &str) -> (String, Option<u32>) {
        let says = |facts: &LayerFacts| {
            facts.references.iter().any(|fact| fact.asset == asset && (prim.is_empty() || fact.prim == prim))
        };
        if let Some(facts) = self.facts_of(layer).filter(|facts| says(facts)) {
            return (layer.to_owned(), facts.line_of_reference(asset, prim));
        }
        match self.facts.iter().find(|(_, facts)| says(facts)) {
            Some((layer, facts)) => (layer.clone(), facts.line_of_reference(asset, prim)),
            None => (
                layer.to_owned(),
                self.facts_of(layer).and_then(|facts| facts.line_of_reference(asset, prim)).or_else(|| self.line(layer, prim)),
            ),
        }
    }

    /// A file that a layer refers to and that is not there.
    fn unresolved(&self, asset: &str, layer: &str, prim: &str, what: &str, missing: &mut BTreeSet<String>) -> Issue {
        let written = asset.trim_start_matches(|c: char| c.is_control());
        let (layer, line) = self.author(written, layer, prim);
        let identifier = if asset == written { path::anchor(written, &layer) } else { None };
        let message = match identifier {
            None => format!(
                "{what} @{written}@ leads out of the folder or package that layers are read from; open the stage with a folder that holds all of it"
            ),
            Some(identifier) => {
                let message = format!("{what} @{written}@ is not there; put it at {identifier}, or take it out");
                missing.insert(identifier);
                message
            }
        };
        Issue { severity: IssueSeverity::Error, layer, line, prim: prim.to_owned(), message }
    }

    /// A layer that is there and cannot be read: told about itself, for that is what has to be mended.
    fn malformed(&self, asset: &str, layer: &str, prim: &str, reason: &str) -> Issue {
        let identifier = path::anchor(asset, layer).unwrap_or_else(|| asset.to_owned());
        let known = self.failed.get(&identifier).or_else(|| self.failed.get(asset));
        let error = match known {
            Some(error) => error.clone(),
            None if !is_layer(&identifier) => {
                let message = format!("@{asset}@ is no layer that can be read; layers end in .usda, .usdc, .usd or .usdz");
                let line = self.facts_of(layer).and_then(|facts| facts.line_of_reference(asset, prim));
                return Issue { severity: IssueSeverity::Error, layer: layer.to_owned(), line, prim: prim.to_owned(), message };
            }
            None => text_error(self.store, &identifier, reason),
        };
        let (layer, line) = (error.layer().to_owned(), error.line());
        let message = match error {
            UsdError::Parse { message, .. } => format!("left out, for {message}"),
            error => format!("left out, for {error}"),
        };
        Issue { severity: IssueSeverity::Error, layer, line, prim: prim.to_owned(), message }
    }

    fn issue(&self, error: &pcp::Error, missing: &mut BTreeSet<String>) -> Issue {
        use pcp::Error as E;
        let known = |layer: &str, prim: &sdf::Path| {
            let (layer, prim) = (layer.to_owned(), prim.as_str().to_owned());
            Issue { severity: IssueSeverity::Error, line: self.line(&layer, &prim), layer, prim, message: error.to_string() }
        };
        match error {
            E::UnresolvedLayer { asset_path, arc, introduced_by, site_path } => {
                self.unresolved(asset_path, introduced_by, site_path.as_str(), &format!("{arc:?}").to_lowercase(), missing)
            }
            E::UnresolvedSublayer { asset_path, introduced_by } => {
                self.unresolved(asset_path, introduced_by, "", "sublayer", missing)
            }
            E::MalformedLayer { asset_path, introduced_by, site_path, reason, .. } => {
                self.malformed(asset_path, introduced_by, site_path.as_str(), reason)
            }
            E::MalformedSublayer { asset_path, introduced_by, reason } => self.malformed(asset_path, introduced_by, "", reason),
            E::MutedAssetPath { introduced_by, site_path, .. } => {
                Issue { severity: IssueSeverity::Note, ..known(introduced_by, site_path) }
            }
            E::UnresolvedPrimPath { introduced_by, site_path, .. } => known(introduced_by, site_path),
            E::InvalidExpression { source_layer, site_path, .. } => known(source_layer, site_path),
            E::ArcCycle(chain) => known(&chain.root_layer, &chain.composing),
            E::InvalidExternalTargetPath { layer, property, .. } | E::InvalidInstanceTargetPath { layer, property, .. } => {
                Issue { severity: IssueSeverity::Warning, ..known(layer, property) }
            }
            E::InconsistentPropertyType { conflicting_layer, conflicting_path, .. } => known(conflicting_layer, conflicting_path),
            E::SublayerCycle { root_layer, .. } => known(root_layer, &sdf::Path::abs_root()),
            E::InvalidRelocate { layer, source_path, .. } | E::ConflictingRelocation { layer, source_path, .. } => {
                known(layer, source_path)
            }
            E::MissingDefaultPrim { site_path, .. }
            | E::InvalidDefaultPrim { site_path, .. }
            | E::InvalidPrimPath { site_path, .. } => known(&self.layer_with(site_path.as_str()), site_path),
            _ => known(self.store.root(), &sdf::Path::abs_root()),
        }
    }

    /// References within the stage to prims that are not there, which the composer takes for empty ones.
    fn nowhere(&self, stage: &Stage, known: &[Issue]) -> Vec<Issue> {
        if !stage.mask().is_all() {
            // What is masked is not there either.
            return Vec::new();
        }
        let stack = stage.layer_stack();
        let facts = stack.iter().filter_map(|layer| Some((layer, self.facts_of(layer)?)));
        let arcs = facts.flat_map(|(layer, facts)| facts.references.iter().map(move |fact| (layer, fact)));
        let arcs = arcs.filter(|(_, fact)| {
            let is_arc = matches!(fact.kind, ReferenceKind::Reference | ReferenceKind::Payload);
            is_arc && fact.asset.is_empty() && fact.target.starts_with('/') && !fact.prim.contains('{')
        });
        let is_missing = |fact: &Fact| {
            let is_there = stage.prim(fact.target.as_str()).is_valid().unwrap_or(true);
            !is_there && !known.iter().any(|issue| issue.prim == fact.prim)
        };
        arcs.filter(|(_, fact)| is_missing(fact))
            .map(|(layer, fact)| Issue {
                severity: IssueSeverity::Error,
                layer: layer.clone(),
                line: fact.line,
                prim: fact.prim.clone(),
                message: format!("refers to <{}>, and there is no such prim; make it, or take the reference out", fact.target),
            })
            .collect()
    }

    /// The first layer that says something about a prim, the root before others.
    fn layer_with(&self, prim: &str) -> String {
        let root = self.store.root();
        if self.facts_of(root).is_some_and(|facts| facts.lines.contains_key(prim)) {
            return root.to_owned();
        }
        let of = self.facts.iter().find(|(_, facts)| facts.lines.contains_key(prim));
        of.map_or_else(|| root.to_owned(), |(layer, _)| layer.clone())
    }
}
