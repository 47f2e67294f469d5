//! A GPU without an app: for tests, benches and offline tools.

use bevy::render::settings::{RenderCreation, WgpuSettings};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Features the studio uses where the adapter has them.
const WANTED_FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS)
    .union(wgpu::Features::TEXTURE_FORMAT_16BIT_NORM)
    .union(wgpu::Features::FLOAT32_FILTERABLE)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES);

/// A device and its queue, opened without a window.
#[derive(Clone)]
pub struct HeadlessGpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// What kind of GPU it is.
    pub adapter: wgpu::AdapterInfo,
}

/// Why no GPU could be opened.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// No driver offers an adapter.
    #[error(
        "no Vulkan adapter: {0}. Install a driver (on Debian `apt install mesa-vulkan-drivers libvulkan1` brings a software one), \
         and look at VK_DRIVER_FILES and WGPU_ADAPTER_NAME if they are set"
    )]
    NoAdapter(String),
    /// The adapter refused to open.
    #[error("the adapter {name} did not open: {reason}")]
    NoDevice {
        /// The adapter's name.
        name: String,
        /// What the driver said.
        reason: String,
    },
    /// A picture is larger than the GPU's textures.
    #[error("{what} is {width}×{height}, but {adapter} holds at most {limit} pixels a side: choose a smaller size")]
    PictureTooLarge {
        /// What was to be made.
        what: String,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The adapter's name.
        adapter: String,
        /// The adapter's largest texture side in pixels.
        limit: u32,
    },
}

/// The ways to a GPU that the studio's shaders are made for: not OpenGL, though a library in the build can speak it. `WGPU_BACKEND` chooses
/// others.
pub fn backends() -> wgpu::Backends {
    wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY)
}

/// How Bevy's render plugin opens a GPU for the studio: the fastest of those [`backends`] know.
pub fn render_creation() -> RenderCreation {
    WgpuSettings { backends: Some(backends()), ..WgpuSettings::default() }.into()
}

impl HeadlessGpu {
    /// Opens the fastest adapter there is, with all of its limits. `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose
    /// another one.
    pub fn open() -> Result<Self, GpuError> {
        block_on(async {
            let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
            let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends: backends(), ..descriptor });
            let adapter = match wgpu::util::initialize_adapter_from_env(&instance, None).await {
                Ok(adapter) => adapter,
                Err(_) => instance
                    .request_adapter(&wgpu::RequestAdapterOptions {
                        power_preference: wgpu::PowerPreference::HighPerformance,
                        ..Default::default()
                    })
                    .await
                    .map_err(|error| GpuError::NoAdapter(error.to_string()))?,
            };
            let info = adapter.get_info();
            let (device, queue) = adapter
                .request_device(&wgpu::DeviceDescriptor {
                    label: Some("headless"),
                    required_features: adapter.features() & WANTED_FEATURES,
                    required_limits: adapter.limits(),
                    ..Default::default()
                })
                .await
                .map_err(|error| GpuError::NoDevice { name: info.name.clone(), reason: error.to_string() })?;
            Ok(Self { device, queue, adapter: info })
        })
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
