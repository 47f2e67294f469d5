//! Layers and textures from Bevy's asset sources.

use bevy::{
    asset::{
        AssetPath, AssetServer, LoadContext,
        io::{AssetReaderError, AssetSourceId, Reader as _},
    },
    tasks::block_on,
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    task::{Poll, Waker},
};
use studio_usd::open::{LayerSource, UsdError};

type Answer = Result<Option<Arc<[u8]>>, UsdError>;

/// Where a stage's files come from: any asset source of Bevy's, such as a folder, memory, what is embedded in the program.
///
/// While the stage is loaded, what is read goes through the loader's [`LoadContext`], so that the stage is loaded again when a file changes
/// ([`serve`](Self::serve)). Later reads, for variants and payloads that come at run time, go to the asset source itself.
pub(super) struct AssetLayers {
    assets: AssetServer,
    source: AssetSourceId<'static>,
    /// The folder that the source is, if it is one.
    folder: Option<PathBuf>,
    /// What identifiers begin at: nothing, so the source's root; or the root layer's own folder, if the root layer has an absolute path.
    base: PathBuf,
    max_file_bytes: u64,
    relay: Mutex<Relay>,
}

#[derive(Default)]
struct Relay {
    asked: VecDeque<(String, mpsc::SyncSender<Answer>)>,
    waker: Option<Waker>,
    is_closed: bool,
}

impl AssetLayers {
    /// The source that a root layer is in, and the identifier of that layer. Nothing outside of the source is read, and of a root layer with
    /// an absolute path nothing outside of its folder.
    pub(super) fn new(
        assets: AssetServer,
        root: &AssetPath<'static>,
        folder: Option<PathBuf>,
        max_file_bytes: u64,
    ) -> (Self, String) {
        let file = root.path();
        let base = file.parent().filter(|_| file.is_absolute()).unwrap_or(Path::new("")).to_owned();
        let below = file.strip_prefix(&base).unwrap_or(file);
        let identifier = below.components().filter_map(|part| part.as_os_str().to_str()).collect::<Vec<_>>().join("/");
        let source = root.source().clone_owned();
        (Self { assets, source, folder, base, max_file_bytes, relay: Mutex::default() }, identifier)
    }

    fn relay(&self) -> MutexGuard<'_, Relay> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads files for another thread, until [`close`](Self::close). The root layer has been read already; `may_depend` says whether the stage
    /// may be loaded again when a file changes.
    pub(super) async fn serve(
        &self,
        context: &mut LoadContext<'_>,
        root: (&str, Vec<u8>),
        may_depend: impl Fn(&AssetPath<'static>) -> bool,
    ) {
        let (root, root_bytes) = (root.0, Arc::<[u8]>::from(root.1));
        // Where loading is given up, nobody is left waiting.
        let _closing = ClosedOnDrop(self);
        loop {
            let asked = std::future::poll_fn(|task| {
                let mut relay = self.relay();
                match relay.asked.pop_front() {
                    Some(asked) => Poll::Ready(Some(asked)),
                    None if relay.is_closed => Poll::Ready(None),
                    None => {
                        relay.waker = Some(task.waker().clone());
                        Poll::Pending
                    }
                }
            });
            let Some((identifier, answer)) = asked.await else { return };
            if identifier == root {
                let checked = self.check_size(root, root_bytes.len());
                answer.send(checked.map(|()| Some(root_bytes.clone()))).ok();
                continue;
            }
            let path = AssetPath::from_path_buf(self.base.join(&identifier)).with_source(self.source.clone());
            if !may_depend(&path) {
                answer.send(self.read_source(&identifier).await).ok();
                continue;
            }
            let bytes = match context.read_asset_bytes(path).await {
                Ok(bytes) => self.check_size(&identifier, bytes.len()).map(|()| Some(bytes.into())),
                Err(bevy::asset::ReadAssetBytesError::AssetReaderError(error)) => not_there(&identifier, error),
                Err(error) => Err(UsdError::Read { layer: identifier, message: error.to_string() }),
            };
            // Nobody waits any more if opening took too long.
            answer.send(bytes).ok();
        }
    }

    /// Says that no more is read through the loader.
    pub(super) fn close(&self) {
        let mut relay = self.relay();
        relay.is_closed = true;
        relay.asked.clear();
        if let Some(waker) = relay.waker.take() {
            waker.wake();
        }
    }

    fn check_size(&self, identifier: &str, bytes: usize) -> Result<(), UsdError> {
        if bytes as u64 <= self.max_file_bytes {
            return Ok(());
        }
        Err(UsdError::OverBudget {
            layer: identifier.to_owned(),
            line: None,
            what: "bytes of the file".to_owned(),
            found: bytes as u64,
            allowed: self.max_file_bytes,
            budget: "layer_bytes",
        })
    }

    async fn read_source(&self, identifier: &str) -> Answer {
        let fail = |message: String| UsdError::Read { layer: identifier.to_owned(), message };
        let source = self.assets.get_source(self.source.clone()).map_err(|error| fail(error.to_string()))?;
        let file = self.base.join(identifier);
        let mut reader = match source.reader().read(&file).await {
            Ok(reader) => reader,
            Err(error) => return not_there(identifier, error),
        };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.map_err(|error| fail(error.to_string()))?;
        self.check_size(identifier, bytes.len())?;
        Ok(Some(bytes.into()))
    }
}

fn not_there(identifier: &str, error: AssetReaderError) -> Answer {
    match error {
        AssetReaderError::NotFound(_) => Ok(None),
        error => Err(UsdError::Read { layer: identifier.to_owned(), message: error.to_string() }),
    }
}

impl LayerSource for AssetLayers {
    fn read(&self, identifier: &str) -> Answer {
        let (answer, answered) = mpsc::sync_channel(1);
        {
            let mut relay = self.relay();
            if relay.is_closed {
                drop(relay);
                return block_on(self.read_source(identifier));
            }
            relay.asked.push_back((identifier.to_owned(), answer));
            if let Some(waker) = relay.waker.take() {
                waker.wake();
            }
        }
        // The loader may be dropped, with the app.
        answered
            .recv()
            .unwrap_or_else(|_| Err(UsdError::Read { layer: identifier.to_owned(), message: "loading was given up".to_owned() }))
    }

    fn file(&self, identifier: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(&self.base).join(identifier))
    }
}

/// Closes a relay when dropped, whatever the reason.
pub(super) struct ClosedOnDrop<'a>(pub &'a AssetLayers);

impl Drop for ClosedOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
