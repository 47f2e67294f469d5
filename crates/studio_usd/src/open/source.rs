//! Where layers come from.

use super::{UsdError, path};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

/// Where the bytes of layers, packages and textures come from.
///
/// Identifiers are paths with `/` between their parts, from the root of the source, without `.`, `..`, a leading `/` or a scheme. A source is
/// asked for whole packages only, never for what is inside of one.
pub trait LayerSource: Send + Sync {
    /// The bytes of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// [`UsdError::Read`] if it is there and cannot be read; [`UsdError::LayersPending`] if it is not known yet whether it is there, and
    /// opening should be tried again when it is.
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError>;

    /// Whether there is such a file.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn exists(&self, identifier: &str) -> Result<bool, UsdError> {
        self.read(identifier).map(|bytes| bytes.is_some())
    }

    /// The file that a layer is saved to; `None` if the source has no files.
    fn file(&self, identifier: &str) -> Option<PathBuf> {
        let _ = identifier;
        None
    }
}

/// A folder. Nothing outside of it is read, whatever a layer or a symbolic link says.
#[derive(Clone, Debug)]
pub struct FolderSource {
    root: PathBuf,
    largest_bytes: u64,
}

impl FolderSource {
    /// The folder at `root`.
    ///
    /// # Errors
    /// [`UsdError::Read`] if there is no such folder.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, UsdError> {
        let root = root.as_ref();
        let canonical = root
            .canonicalize()
            .and_then(|root| if root.is_dir() { Ok(root) } else { Err(std::io::ErrorKind::NotADirectory.into()) });
        match canonical {
            Ok(root) => Ok(Self { root, largest_bytes: super::Budget::default().layer_bytes }),
            Err(error) => Err(UsdError::Read { layer: root.display().to_string(), message: error.to_string() }),
        }
    }

    /// The folder that a file is in, and the file's identifier there.
    ///
    /// # Errors
    /// [`UsdError::Read`] if there is no such file.
    pub fn of_file(file: impl AsRef<Path>) -> Result<(Self, String), UsdError> {
        let file = file.as_ref();
        let fail = |message: &str| UsdError::Read { layer: file.display().to_string(), message: message.to_owned() };
        let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| fail("is not the name of a file"))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok((Self::new(folder)?, name.to_owned()))
    }

    /// Files of more than this are not read.
    pub fn with_largest_bytes(mut self, largest_bytes: u64) -> Self {
        self.largest_bytes = largest_bytes;
        self
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl LayerSource for FolderSource {
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError> {
        let Some(identifier) = path::join("", identifier) else {
            return Err(UsdError::OutsideRoot { path: identifier.to_owned() });
        };
        let fail = |error: std::io::Error| UsdError::Read { layer: identifier.clone(), message: error.to_string() };
        let Ok(file) = self.root.join(&identifier).canonicalize() else { return Ok(None) };
        if !file.starts_with(&self.root) {
            return Err(UsdError::OutsideRoot { path: identifier });
        }
        if !file.is_file() {
            return Ok(None);
        }
        let opened = fs::File::open(&file).map_err(fail)?;
        let length = opened.metadata().map_err(fail)?.len();
        if length > self.largest_bytes {
            return Err(UsdError::over(&identifier, None, "bytes of the file", length, self.largest_bytes, "layer_bytes"));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        // The file may grow while it is read.
        opened.take(self.largest_bytes).read_to_end(&mut bytes).map_err(fail)?;
        Ok(Some(bytes.into()))
    }

    fn exists(&self, identifier: &str) -> Result<bool, UsdError> {
        let Some(identifier) = path::join("", identifier) else {
            return Err(UsdError::OutsideRoot { path: identifier.to_owned() });
        };
        Ok(self.root.join(&identifier).canonicalize().is_ok_and(|file| file.starts_with(&self.root) && file.is_file()))
    }

    fn file(&self, identifier: &str) -> Option<PathBuf> {
        if path::package_of(identifier).is_some() {
            return None;
        }
        let file = self.root.join(path::join("", identifier)?);
        let folder = file.parent()?.canonicalize().ok()?;
        if !folder.starts_with(&self.root) {
            return None;
        }
        // A link is followed, as far as it stays inside; saving beside it would leave the layer as it was.
        match file.canonicalize() {
            Ok(file) => file.starts_with(&self.root).then_some(file),
            Err(_) => Some(folder.join(file.file_name()?)),
        }
    }
}

/// Files in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemorySource {
    inner: Arc<RwLock<Memory>>,
}

#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Arc<[u8]>>,
    absent: BTreeSet<String>,
    is_complete: bool,
}

impl MemorySource {
    /// With these files, and no others.
    pub fn new<N: Into<String>, B: Into<Arc<[u8]>>>(files: impl IntoIterator<Item = (N, B)>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| (name.into(), bytes.into())).collect();
        Self { inner: Arc::new(RwLock::new(Memory { files, absent: BTreeSet::new(), is_complete: true })) }
    }

    /// Empty, and to be filled: what is neither there nor [known to be absent](Self::set_absent) is pending, so opening says
    /// [`UsdError::LayersPending`] with what is still to fetch.
    pub fn pending() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&self, identifier: impl Into<String>, bytes: impl Into<Arc<[u8]>>) {
        let (identifier, bytes) = (identifier.into(), bytes.into());
        self.write(|memory| {
            memory.absent.remove(&identifier);
            memory.files.insert(identifier, bytes);
        });
    }

    /// Says that there is no such file.
    pub fn set_absent(&self, identifier: impl Into<String>) {
        let identifier = identifier.into();
        self.write(|memory| {
            memory.files.remove(&identifier);
            memory.absent.insert(identifier);
        });
    }

    /// Whether it is known if the file is there.
    pub fn knows(&self, identifier: &str) -> bool {
        let memory = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        memory.is_complete || memory.files.contains_key(identifier) || memory.absent.contains(identifier)
    }

    /// The identifiers of all files.
    pub fn identifiers(&self) -> Vec<String> {
        let memory = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        memory.files.keys().cloned().collect()
    }

    fn write(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl LayerSource for MemorySource {
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError> {
        let memory = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match memory.files.get(identifier) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None if memory.is_complete || memory.absent.contains(identifier) => Ok(None),
            None => Err(UsdError::LayersPending { layers: vec![identifier.to_owned()] }),
        }
    }
}
