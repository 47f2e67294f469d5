//! The layers of a stage: read once, checked, counted against the budget, and handed to `openusd`.

use super::{
    Budget, LayerSource, UsdError, arcs,
    package::Package,
    path::{self, SESSION_LAYER},
    scan::{self, LayerFacts},
};
use openusd::ar::{Asset, ResolvedPath, Resolver};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Cursor, Read, Seek, SeekFrom},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

/// In front of identifiers that are whole already, so that they are not anchored again.
const WHOLE: char = '\u{1}';
/// In front of paths that lead nowhere.
const OUTSIDE: char = '\u{2}';

/// The layers of a stage.
pub(crate) struct LayerStore {
    source: Arc<dyn LayerSource>,
    budget: Budget,
    root: String,
    serial: u64,
    is_stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deadline: Option<Instant>,
    /// What is read in place of what the source has: unsaved edits, the session layer.
    overlays: HashMap<String, Arc<[u8]>>,
    packages: HashMap<String, Arc<Package>>,
    /// What was handed to `openusd`, until it is composed.
    checked: HashMap<String, Arc<[u8]>>,
    facts: BTreeMap<String, Arc<LayerFacts>>,
    failed: BTreeMap<String, UsdError>,
    pending: BTreeSet<String>,
    outside: BTreeSet<String>,
    total_bytes: u64,
    schedule: arcs::Schedule,
}

impl LayerStore {
    pub(crate) fn new(source: Arc<dyn LayerSource>, root: &str, budget: Budget) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Self { source, budget, root: root.to_owned(), serial, is_stopped: AtomicBool::new(false), state: Mutex::default() }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn source(&self) -> &Arc<dyn LayerSource> {
        &self.source
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is read: whoever composes ends at the next layer it needs.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Until when layers may be read; `None` for always.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.state().deadline = deadline;
    }

    /// Whether it is time to end.
    pub(crate) fn check_time(&self) -> Result<(), UsdError> {
        let deadline = self.state().deadline;
        if self.is_stopped.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(UsdError::TimedOut { layer: self.root.clone(), seconds: self.budget.open_time.as_secs_f64() });
        }
        Ok(())
    }

    /// What is read in place of what the source has; `None` for the source's own again.
    pub(crate) fn set_overlay(&self, identifier: &str, bytes: Option<Arc<[u8]>>) {
        let mut state = self.state();
        state.checked.remove(identifier);
        state.failed.remove(identifier);
        match bytes {
            Some(bytes) => state.overlays.insert(identifier.to_owned(), bytes),
            None => state.overlays.remove(identifier),
        };
    }

    /// Drops what `openusd` has a copy of by now.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.checked.clear();
        state.packages.clear();
        state.total_bytes = 0;
    }

    /// What the check of each layer found.
    pub(super) fn facts(&self) -> BTreeMap<String, Arc<LayerFacts>> {
        self.state().facts.clone()
    }

    /// The layers that could not be read, with why.
    pub(super) fn failed(&self) -> BTreeMap<String, UsdError> {
        self.state().failed.clone()
    }

    /// The layers that are not here yet.
    pub(super) fn pending(&self) -> Vec<String> {
        self.state().pending.iter().cloned().collect()
    }

    /// The paths that lead out of the source.
    pub(super) fn outside(&self) -> Vec<String> {
        self.state().outside.iter().cloned().collect()
    }

    /// The bytes of a file, or of a file in a package.
    pub(crate) fn bytes(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError> {
        if let Some(bytes) = self.state().overlays.get(identifier) {
            return Ok(Some(bytes.clone()));
        }
        if identifier == SESSION_LAYER {
            return Ok(Some(Arc::from(b"#usda 1.0\n".as_slice())));
        }
        if let Some((outer, name)) = split_innermost(identifier) {
            let Some(package) = self.package(&outer)? else { return Ok(None) };
            return Ok(package.entry(&name).map(Arc::from));
        }
        let bytes = self.source.read(identifier)?;
        if let Some(bytes) = &bytes {
            let length = bytes.len() as u64;
            if length > self.budget.layer_bytes {
                return Err(UsdError::over(identifier, None, "bytes of a layer", length, self.budget.layer_bytes, "layer_bytes"));
            }
            let total = {
                let mut state = self.state();
                state.total_bytes += length;
                state.total_bytes
            };
            if total > self.budget.total_bytes {
                return Err(UsdError::over(
                    identifier,
                    None,
                    "bytes of all layers",
                    total,
                    self.budget.total_bytes,
                    "total_bytes",
                ));
            }
        }
        Ok(bytes)
    }

    fn package(&self, identifier: &str) -> Result<Option<Arc<Package>>, UsdError> {
        if let Some(package) = self.state().packages.get(identifier) {
            return Ok(Some(package.clone()));
        }
        let depth = path::package_depth(identifier) + 1;
        if depth > self.budget.package_depth {
            return Err(UsdError::over(
                identifier,
                None,
                "packages within packages",
                depth as u64,
                self.budget.package_depth as u64,
                "package_depth",
            ));
        }
        if !path::is_package(identifier) {
            return Err(UsdError::parse(identifier, None, "files in a package are asked for here, and this is none (`.usdz`)"));
        }
        let Some(bytes) = self.bytes(identifier)? else { return Ok(None) };
        let package = Arc::new(Package::read(identifier, bytes, &self.budget)?);
        self.state().packages.insert(identifier.to_owned(), package.clone());
        Ok(Some(package))
    }

    /// The layer that stands for an identifier: itself, or the first one of a package.
    pub(crate) fn layer_of(&self, identifier: &str) -> Result<Option<String>, UsdError> {
        let mut identifier = identifier.to_owned();
        while path::is_package(&identifier) {
            let Some(package) = self.package(&identifier)? else { return Ok(None) };
            identifier = path::nest(&identifier, package.default_layer(&identifier)?);
        }
        Ok(Some(identifier))
    }

    /// The checked bytes of a layer.
    fn checked(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError> {
        if let Some(bytes) = self.state().checked.get(identifier) {
            return Ok(Some(bytes.clone()));
        }
        let Some(bytes) = self.bytes(identifier)? else { return Ok(None) };
        let (rewritten, facts) = scan::check(&bytes, identifier, &self.budget)?;
        let bytes = rewritten.unwrap_or(bytes);
        let mut state = self.state();
        let state = &mut *state;
        state.facts.insert(identifier.to_owned(), Arc::new(facts));
        if state.facts.len() > self.budget.layers {
            return Err(UsdError::over(
                identifier,
                None,
                "layers",
                state.facts.len() as u64,
                self.budget.layers as u64,
                "layers",
            ));
        }
        arcs::check(identifier, &state.facts, &mut state.schedule, &self.budget)?;
        state.checked.insert(identifier.to_owned(), bytes.clone());
        Ok(Some(bytes))
    }

    fn note(&self, identifier: &str, error: UsdError) {
        let mut state = self.state();
        match error {
            UsdError::LayersPending { layers } => state.pending.extend(layers),
            UsdError::OutsideRoot { path } => _ = state.outside.insert(path),
            error => _ = state.failed.entry(identifier.to_owned()).or_insert(error),
        }
    }

    /// The identifier to give to `openusd` where it would anchor a whole one to the root layer.
    pub(crate) fn whole(identifier: &str) -> String {
        format!("{WHOLE}{identifier}")
    }
}

/// `a.usdz[b.usdz[c]]` as `a.usdz[b.usdz]` and `c`.
fn split_innermost(identifier: &str) -> Option<(String, String)> {
    let (package, inside) = path::package_of(identifier)?;
    match split_innermost(inside) {
        Some((inner, name)) => Some((path::nest(package, &inner), name)),
        None => Some((package.to_owned(), inside.to_owned())),
    }
}

/// What `openusd` asks for layers.
pub(crate) struct StoreResolver(pub(crate) Arc<LayerStore>);

impl Resolver for StoreResolver {
    fn create_identifier(&self, asset_path: &str, anchor: Option<&ResolvedPath>) -> String {
        if asset_path.is_empty() || asset_path == SESSION_LAYER {
            return asset_path.to_owned();
        }
        if let Some(whole) = asset_path.strip_prefix(WHOLE) {
            return whole.to_owned();
        }
        let anchor = anchor.map(ToString::to_string).unwrap_or_default();
        // The session layer lies beside the root layer.
        let anchor = if anchor == SESSION_LAYER { &self.0.root } else { &anchor };
        path::anchor(asset_path, anchor).unwrap_or_else(|| format!("{OUTSIDE}{asset_path}"))
    }

    fn resolve(&self, asset_path: &str) -> Option<ResolvedPath> {
        if let Some(path) = asset_path.strip_prefix(OUTSIDE) {
            self.0.note(path, UsdError::OutsideRoot { path: path.to_owned() });
            return None;
        }
        if let Err(error) = self.0.check_time() {
            self.0.note(asset_path, error);
            return None;
        }
        if !scan::is_layer(asset_path) {
            let package = path::package_of(asset_path).map_or(asset_path, |(package, _)| package);
            // Whether a texture is there does not hold up the stage: whoever needs it will see.
            let is_there = match self.0.source.exists(package) {
                Ok(true) if package != asset_path => self.0.bytes(asset_path).is_ok_and(|bytes| bytes.is_some()),
                Ok(is_there) => is_there,
                Err(UsdError::LayersPending { .. }) => true,
                Err(_) => false,
            };
            return is_there.then(|| ResolvedPath::new(asset_path));
        }
        match self.0.layer_of(asset_path) {
            Ok(Some(layer)) if layer != *asset_path => return Some(ResolvedPath::new(layer)),
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => {
                // It is there; opening it says what is wrong.
                let is_pending = matches!(error, UsdError::LayersPending { .. });
                self.0.note(asset_path, error);
                return (!is_pending).then(|| ResolvedPath::new(asset_path));
            }
        }
        match self.0.checked(asset_path) {
            Ok(Some(_)) => Some(ResolvedPath::new(asset_path)),
            Ok(None) => None,
            Err(error) => {
                let is_there = !matches!(error, UsdError::LayersPending { .. } | UsdError::OutsideRoot { .. });
                self.0.note(asset_path, error);
                is_there.then(|| ResolvedPath::new(asset_path))
            }
        }
    }

    fn resolve_for_new_asset(&self, asset_path: &str) -> Option<ResolvedPath> {
        Some(ResolvedPath::new(asset_path))
    }

    fn open_asset(&self, resolved_path: &ResolvedPath) -> io::Result<Box<dyn Asset>> {
        let identifier = resolved_path.to_string();
        if let Some(error) = self.0.state().failed.get(&identifier) {
            return Err(io::Error::other(error.clone()));
        }
        let bytes = self.0.check_time().and_then(|()| self.0.checked(&identifier));
        match bytes {
            Ok(Some(bytes)) => Ok(Box::new(Bytes(Cursor::new(bytes)))),
            Ok(None) => Err(io::Error::other(UsdError::NotFound { layer: identifier })),
            Err(error) => {
                self.0.note(&identifier, error.clone());
                Err(io::Error::other(error))
            }
        }
    }

    fn get_modification_timestamp(&self, _asset_path: &str, _resolved_path: &ResolvedPath) -> Option<SystemTime> {
        None
    }

    fn identity(&self) -> String {
        format!("studio_usd {}", self.0.serial)
    }
}

/// Bytes that are shared.
struct Bytes(Cursor<Arc<[u8]>>);

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Asset for Bytes {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.get_ref().len() as u64)
    }
}
