//! Textures: pictures from files to images on the GPU.
//!
//! A material says what it needs as [`TextureRecipe`]s. A [`TextureBaker`] makes them: it reads pictures through a [`TextureSource`], takes
//! them out of their colour space, applies scale and bias, puts channels of several pictures into one, and adds mipmaps. A [`TextureSet`]
//! keeps what was made, so that equal recipes share one image. Nothing here needs the main thread or a GPU.
//!
//! A picture that cannot be read is told in words, and the texture's fallback stands for it. A picture larger than
//! [`TextureOptions::max_side_px`], or more than fits into [`TextureOptions::budget_bytes`], is halved until it fits, with a note.

mod bake;
mod picture;
mod recipe;

pub use bake::{BakedTexture, TextureFacts};
pub use picture::{Picture, PictureData, PictureError, PictureLimits, linear_from_srgb, srgb_from_linear};
pub use recipe::{Channel, ChannelRead, Encoding, Number, TextureRecipe};

use bevy::{
    asset::RenderAssetUsages, image::Image, platform::collections::HashMap, prelude::Handle, tasks::AsyncComputeTaskPool,
};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Where pictures come from.
pub trait TextureSource: Send + Sync {
    /// The bytes behind a resolved identifier, such as `dir/wood.png` or `chair.usdz[wood.png]`; `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// Why they could not be read, in words.
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, String>;
}

impl<F> TextureSource for F
where
    F: Fn(&str) -> Result<Option<Arc<[u8]>>, String> + Send + Sync,
{
    fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, String> {
        self(identifier)
    }
}

/// How textures are made.
#[derive(Clone, Debug)]
pub struct TextureOptions {
    /// How large pictures may be; what is larger is not read.
    pub limits: PictureLimits,
    /// Largest side of a texture; larger pictures are halved.
    pub max_side_px: u32,
    /// Bytes of all textures of a baker together, mipmaps included; what comes when it is full is halved down to 64 pixels.
    pub budget_bytes: u64,
    /// Samples of anisotropic filtering, 1 to 16.
    pub anisotropy: u16,
    /// Whether the device can wrap to a black border (`wgpu::Features::ADDRESS_MODE_CLAMP_TO_BORDER`). Otherwise the texture's own edge is
    /// made black.
    pub border_color: bool,
    /// Whether images stay in memory after upload.
    pub usage: RenderAssetUsages,
}

impl Default for TextureOptions {
    fn default() -> Self {
        Self {
            limits: PictureLimits::default(),
            max_side_px: 4096,
            budget_bytes: 2 << 30,
            anisotropy: 8,
            border_color: false,
            usage: RenderAssetUsages::RENDER_WORLD,
        }
    }
}

/// Makes textures. Share one for everything that shares a budget.
pub struct TextureBaker {
    source: Arc<dyn TextureSource>,
    options: TextureOptions,
    used_bytes: AtomicU64,
    pictures: Mutex<Pictures>,
}

/// Decoded pictures, kept for the next recipe that reads them.
#[derive(Default)]
struct Pictures {
    by_identifier: HashMap<Arc<str>, Result<Arc<Picture>, PictureError>>,
    bytes: usize,
}

/// Decoded pictures are kept up to this many bytes.
const KEPT_BYTES: usize = 256 << 20;

impl TextureBaker {
    /// A baker with nothing made yet.
    pub fn new(source: Arc<dyn TextureSource>, options: TextureOptions) -> Self {
        Self { source, options, used_bytes: AtomicU64::new(0), pictures: Mutex::default() }
    }

    /// How it makes them.
    pub fn options(&self) -> &TextureOptions {
        &self.options
    }

    /// Bytes of all textures made so far.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Takes bytes of the budget, or says how many there are left.
    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.options.budget_bytes);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn take_anyway(&self, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A decoded picture.
    ///
    /// # Errors
    ///
    /// Why there is none; see [`PictureError`].
    pub fn picture(&self, identifier: &str, authored: &str) -> Result<Arc<Picture>, PictureError> {
        if identifier.is_empty() {
            return Err(PictureError::Missing(authored.to_owned()));
        }
        let kept = |pictures: &Mutex<Pictures>| {
            pictures.lock().unwrap_or_else(PoisonError::into_inner).by_identifier.get(identifier).cloned()
        };
        if let Some(picture) = kept(&self.pictures) {
            return picture;
        }
        let picture = match self.source.read(identifier) {
            Ok(Some(bytes)) => Picture::decode(identifier, &bytes, &self.options.limits).map(Arc::new),
            Ok(None) => Err(PictureError::Missing(identifier.to_owned())),
            Err(error) => Err(PictureError::Unreadable(identifier.to_owned(), error)),
        };
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        let size = picture.as_ref().map_or(0, |picture| picture.size_bytes());
        if pictures.bytes + size > KEPT_BYTES {
            pictures.by_identifier.clear();
            pictures.bytes = 0;
        }
        if size <= KEPT_BYTES {
            pictures.bytes += size;
            pictures.by_identifier.insert(identifier.into(), picture.clone());
        }
        picture
    }

    /// Makes a texture. It always gives one: see the module's words on pictures that cannot be read.
    pub fn bake(&self, recipe: &TextureRecipe) -> BakedTexture {
        bake::bake(self, recipe)
    }

    /// Makes several textures at once on the task pool for background work, or one after another where there is none.
    pub fn bake_all(&self, recipes: &[TextureRecipe]) -> Vec<BakedTexture> {
        match AsyncComputeTaskPool::try_get() {
            Some(pool) => pool.scope(|scope| {
                for recipe in recipes {
                    scope.spawn(async move { self.bake(recipe) });
                }
            }),
            None => recipes.iter().map(|recipe| self.bake(recipe)).collect(),
        }
    }
}

/// Textures made so far, by recipe.
#[derive(Clone, Debug, Default)]
pub struct TextureSet {
    made: HashMap<TextureRecipe, (Handle<Image>, TextureFacts)>,
    /// How many were ever made, for labels that stay different.
    count: usize,
}

impl TextureSet {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// A texture that is there.
    pub fn get(&self, recipe: &TextureRecipe) -> Option<&(Handle<Image>, TextureFacts)> {
        self.made.get(recipe)
    }

    /// Forgets those that do not pass.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&TextureRecipe) -> bool) {
        self.made.retain(|recipe, _| is_kept(recipe));
    }

    /// Makes what is not there yet of these recipes. `add` takes an image, with a label such as `Texture3`, and gives its handle:
    /// `Assets::add`, or `LoadContext::add_labeled_asset`. Returns what went wrong, in words.
    pub fn make(
        &mut self,
        recipes: impl IntoIterator<Item = TextureRecipe>,
        baker: &TextureBaker,
        add: &mut dyn FnMut(String, Image) -> Handle<Image>,
    ) -> Vec<String> {
        let mut wanted: Vec<TextureRecipe> = Vec::new();
        for recipe in recipes {
            if !self.made.contains_key(&recipe) && !wanted.contains(&recipe) {
                wanted.push(recipe);
            }
        }
        let baked = baker.bake_all(&wanted);
        let mut notes = Vec::new();
        for (recipe, baked) in wanted.into_iter().zip(baked) {
            notes.extend(baked.notes);
            let handle = add(format!("Texture{}", self.count), baked.image);
            self.count += 1;
            self.made.insert(recipe, (handle, baked.facts));
        }
        notes.sort();
        notes.dedup();
        notes
    }
}
