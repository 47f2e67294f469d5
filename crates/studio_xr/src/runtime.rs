//! The connection to the OpenXR runtime, and the GPU device that both share.

use crate::error::{Called, XrError};
use bevy::{
    math::UVec2,
    prelude::*,
    render::{
        RenderPlugin,
        renderer::{RenderAdapter, RenderAdapterInfo, RenderDevice, RenderInstance, RenderQueue, WgpuWrapper},
        settings::RenderCreation,
    },
};
use bevy_mod_openxr::{
    graphics::GraphicsExt,
    types::{AppInfo, Version, WgpuGraphics},
};
use openxr::{EnvironmentBlendMode, ViewConfigurationType, sys};
use std::{path::Path, sync::Arc};

/// The views of a headset for two eyes. Runtimes with more views offer this one too.
pub(crate) const STEREO: ViewConfigurationType = ViewConfigurationType::PRIMARY_STEREO;

/// The Vulkan device as the runtime wants to have it named.
#[derive(Clone, Copy)]
pub(crate) struct VulkanBinding(openxr::vulkan::SessionCreateInfo);

// SAFETY: these are Vulkan handles and numbers, not memory that we read; the runtime may be given them from any thread.
#[allow(unsafe_code, reason = "handles are pointers to the compiler")]
unsafe impl Send for VulkanBinding {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "handles are pointers to the compiler")]
unsafe impl Sync for VulkanBinding {}

/// A connection to a runtime that has a headset.
pub(crate) struct Connection {
    pub instance: openxr::Instance,
    pub system: openxr::SystemId,
    /// The runtime's name and version.
    pub runtime: String,
    /// The headset's name.
    pub headset: String,
    /// Whether equirectangular pictures can be handed to the compositor as they are.
    pub equirect2: bool,
    /// Whether runtime's times can be told from the system's clock.
    pub clock: bool,
    /// Whether the eyes may be followed.
    pub gaze: bool,
    pub blend_modes: Vec<EnvironmentBlendMode>,
    /// The size of an eye's view that the runtime recommends, in pixels.
    pub eye_size: UVec2,
    /// The largest image that the compositor takes, in pixels.
    pub largest: UVec2,
}

impl Connection {
    fn open() -> Result<Self, XrError> {
        let entry = load()?;
        let available = entry.enumerate_extensions().map_err(|result| XrError::NoRuntime(result.to_string()))?;
        let mut extensions = openxr::ExtensionSet::default();
        extensions.khr_vulkan_enable2 = available.khr_vulkan_enable2;
        extensions.khr_composition_layer_equirect2 = available.khr_composition_layer_equirect2;
        extensions.khr_convert_timespec_time = cfg!(unix) && available.khr_convert_timespec_time;
        extensions.ext_eye_gaze_interaction = available.ext_eye_gaze_interaction;
        let about = openxr::ApplicationInfo {
            application_name: "Neural Studio",
            application_version: 1,
            engine_name: "Bevy",
            engine_version: Version::BEVY.to_u32(),
            // Every runtime has 1.0; nothing here needs more.
            api_version: openxr::Version::new(1, 0, 34),
        };
        let instance =
            entry.create_instance(&about, &extensions, &[]).map_err(|result| XrError::NoRuntime(result.to_string()))?;
        let properties = instance.properties().called("xrGetInstanceProperties")?;
        let runtime = format!("{} {}", properties.runtime_name, properties.runtime_version);
        if !extensions.khr_vulkan_enable2 {
            return Err(XrError::Lacks { runtime, what: "XR_KHR_vulkan_enable2".to_owned() });
        }
        let system = instance.system(openxr::FormFactor::HEAD_MOUNTED_DISPLAY).map_err(|result| match result {
            sys::Result::ERROR_FORM_FACTOR_UNAVAILABLE | sys::Result::ERROR_FORM_FACTOR_UNSUPPORTED => {
                XrError::NoHeadset(runtime.clone())
            }
            result => XrError::Call { call: "xrGetSystem", result },
        })?;
        let about = instance.system_properties(system).called("xrGetSystemProperties")?;
        let views = instance
            .enumerate_view_configuration_views(system, STEREO)
            .map_err(|_| XrError::Lacks { runtime: runtime.clone(), what: "views for two eyes".to_owned() })?;
        let blend_modes =
            instance.enumerate_environment_blend_modes(system, STEREO).called("xrEnumerateEnvironmentBlendModes")?;
        let side = |of: fn(&openxr::ViewConfigurationView) -> u32| views.iter().map(of).max().unwrap_or(0).clamp(16, 16_384);
        let graphics = about.graphics_properties;
        Ok(Self {
            runtime,
            headset: if about.system_name.is_empty() { "a headset".to_owned() } else { about.system_name },
            equirect2: extensions.khr_composition_layer_equirect2,
            clock: extensions.khr_convert_timespec_time,
            gaze: extensions.ext_eye_gaze_interaction,
            blend_modes,
            eye_size: UVec2::new(side(|view| view.recommended_image_rect_width), side(|view| view.recommended_image_rect_height)),
            largest: UVec2::new(graphics.max_swapchain_image_width, graphics.max_swapchain_image_height).max(UVec2::splat(16)),
            instance,
            system,
        })
    }

    /// Connects anew for a device that is there already.
    ///
    /// The device was made through an instance of the same runtime that is gone now. The runtime needs no more of it than that
    /// it is on the headset's GPU, so what was made on it stays.
    pub fn again(binding: &VulkanBinding) -> Result<Self, XrError> {
        let connection = Self::open()?;
        let (instance, system) = (&connection.instance, connection.system);
        // A runtime may refuse a session before it was asked for its requirements.
        instance.graphics_requirements::<openxr::Vulkan>(system).called("xrGetVulkanGraphicsRequirements2KHR")?;
        // SAFETY: the Vulkan instance lives as long as the device, which the renderer holds.
        #[allow(unsafe_code, reason = "a Vulkan handle crosses the interface")]
        let gpu =
            unsafe { instance.vulkan_graphics_device(system, binding.0.instance) }.called("xrGetVulkanGraphicsDevice2KHR")?;
        if gpu == binding.0.physical_device { Ok(connection) } else { Err(XrError::OtherGpu) }
    }

    /// Makes a session with its frame waiter and frame stream.
    pub fn session(
        &self,
        binding: &VulkanBinding,
    ) -> Result<(openxr::Session<openxr::Vulkan>, openxr::FrameWaiter, openxr::FrameStream<openxr::Vulkan>), XrError> {
        // SAFETY: the handles are those of the renderer's device, which outlives every session; its queue is used by the render
        // schedule alone, and so are the calls of OpenXR that use it.
        #[allow(unsafe_code, reason = "Vulkan handles cross the interface")]
        unsafe { self.instance.create_session::<openxr::Vulkan>(self.system, &binding.0) }.called("xrCreateSession")
    }
}

/// Finds the loader: by the name without a number, as developers have it, or with one, as packages install it.
fn load() -> Result<openxr::Entry, XrError> {
    // SAFETY: the library is the system's OpenXR loader, whose initialisation has no conditions.
    #[allow(unsafe_code, reason = "a library is loaded")]
    unsafe {
        openxr::Entry::load().or_else(|error| {
            if !cfg!(target_os = "linux") {
                return Err(error);
            }
            openxr::Entry::load_from(Path::new("libopenxr_loader.so.1")).map_err(|_| error)
        })
    }
    .map_err(|error| XrError::NoLoader(error.to_string()))
}

/// A device of the headset's GPU, made through the runtime, in parts as Bevy takes it.
pub(crate) struct SharedGpu {
    pub binding: VulkanBinding,
    pub creation: RenderCreation,
    pub adapter: wgpu::AdapterInfo,
}

/// Connects to the runtime and opens the headset's GPU through it.
pub(crate) fn open() -> Result<(Connection, SharedGpu), XrError> {
    let connection = Connection::open()?;
    let about = AppInfo { name: "Neural Studio".into(), version: Version(0, 1, 0) };
    let (WgpuGraphics(device, queue, info, adapter, instance), binding) =
        <openxr::Vulkan as GraphicsExt>::init_graphics(&about, &connection.instance, connection.system, None)
            .map_err(|error| XrError::NoGraphics(error.to_string()))?;
    let creation = RenderCreation::manual(
        RenderDevice::from(device),
        RenderQueue(Arc::new(WgpuWrapper::new(queue))),
        RenderAdapterInfo(WgpuWrapper::new(info.clone())),
        RenderAdapter(Arc::new(WgpuWrapper::new(adapter))),
        RenderInstance(Arc::new(WgpuWrapper::new(instance))),
    );
    Ok((connection, SharedGpu { binding: VulkanBinding(binding), creation, adapter: info }))
}

/// Bevy's render plugin on a device that is there, or on one that it finds.
pub(crate) fn render_plugin(creation: Option<RenderCreation>) -> RenderPlugin {
    let render_creation = creation.unwrap_or_else(studio_gpu::device::render_creation);
    RenderPlugin { render_creation, synchronous_pipeline_compilation: true, ..default() }
}
