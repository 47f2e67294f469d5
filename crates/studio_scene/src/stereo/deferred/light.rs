//! The compute pass that lights a G-buffer.
//!
//! Its resources and shader definitions are those of Bevy's own lighting pass for the same camera, so that both show the same. The
//! objects of a camera with something that is not known here (fog, ambient occlusion, a format that no shader stores) stay forward.

use super::LitByCompute;
use bevy::{
    core_pipeline::{
        Core3d, Core3dSystems,
        core_3d::main_opaque_pass_3d,
        deferred::copy_lighting_id::DeferredLightingIdDepthTexture,
        prepass::ViewPrepassTextures,
        tonemapping::{Tonemapping, TonemappingLuts, get_lut_bindings},
    },
    ecs::{query::QueryData, system::SystemParam},
    image::ToExtents as _,
    light::EnvironmentMapLight,
    pbr::{
        AreaLightLuts, GlobalClusterableObjectMeta, LightMeta, LightProbesBuffer, MeshPipelineKey, RenderViewLightProbes,
        ShadowSamplers, TONEMAPPING_LUT_SAMPLER_BINDING_INDEX, TONEMAPPING_LUT_TEXTURE_BINDING_INDEX, ViewClusterBindings,
        ViewKeyCache, ViewLightProbesUniformOffset, ViewLightsUniformOffset, ViewShadowBindings,
        deferred::{DeferredLightingLayout, SkipDeferredLighting, deferred_lighting},
    },
    platform::collections::HashMap,
    prelude::*,
    render::{
        Render, RenderApp, RenderSystems,
        camera::ExtractedCamera,
        diagnostic::RecordDiagnostics as _,
        globals::GlobalsBuffer,
        render_asset::RenderAssets,
        render_resource::{
            BindGroup, BindGroupEntry, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingResource, BindingType, Buffer,
            BufferInitDescriptor, BufferUsages, CachedComputePipelineId, ComputePassDescriptor, ComputePipelineDescriptor,
            IntoBinding as _, PipelineCache, ShaderStages, SpecializedRenderPipeline as _, TextureDescriptor, TextureDimension,
            TextureFormat, TextureSampleType, TextureUsages, TextureViewDimension,
        },
        renderer::{RenderContext, RenderDevice, ViewQuery},
        texture::{CachedTexture, ColorAttachment, FallbackImage, GpuImage, TextureCache},
        view::{ExtractedView, RetainedViewEntity, ViewDepthTexture, ViewTarget, ViewUniformOffset, ViewUniforms},
    },
    shader::ShaderDefVal,
};

/// Binding numbers of the view that Bevy's lighting functions do not use.
const UNUSED: [u32; 3] = [14, 24, 25];
/// Pixels along each side of a workgroup.
const WORKGROUP: u32 = 8;

#[derive(Resource)]
struct LightShader(Handle<Shader>);

/// A pipeline and its layouts: the view's, the light probes', and the pass's own.
#[derive(Clone)]
struct LightPipeline {
    id: CachedComputePipelineId,
    layouts: [BindGroupLayoutDescriptor; 3],
}

/// Pipelines by what Bevy's pipelines of the same camera are made for; none where objects stay forward.
#[derive(Resource, Default)]
pub(super) struct LightPipelines {
    made: HashMap<(u64, TextureFormat), Option<LightPipeline>>,
    views: HashMap<RetainedViewEntity, LightPipeline>,
}

impl LightPipelines {
    /// Whether the compute pass lights what a view sees.
    pub fn light(&self, view: &RetainedViewEntity) -> bool {
        self.views.contains_key(view)
    }
}

/// A camera's pass in this frame.
#[derive(Component)]
pub(in crate::stereo) struct LightPass {
    pipeline: CachedComputePipelineId,
    groups: [BindGroup; 3],
    offsets: [u32; 3],
    picture: CachedTexture,
    _background: Buffer,
}

/// The format in which the shader stores what is copied to a picture of a format.
fn stored_format(picture: TextureFormat) -> Option<TextureFormat> {
    match picture {
        TextureFormat::Rgba8UnormSrgb => Some(TextureFormat::Rgba8Unorm),
        TextureFormat::Rgba16Float => Some(TextureFormat::Rgba16Float),
        _ => None,
    }
}

fn for_compute(layout: &BindGroupLayoutDescriptor, keep: impl Fn(&BindGroupLayoutEntry) -> bool) -> BindGroupLayoutDescriptor {
    let entries = layout.entries.iter().filter(|entry| keep(entry));
    let entries = entries.map(|entry| BindGroupLayoutEntry { visibility: ShaderStages::COMPUTE, ..*entry });
    BindGroupLayoutDescriptor { label: "scene lighting".into(), entries: entries.collect() }
}

fn own_layout(format: TextureFormat) -> BindGroupLayoutDescriptor {
    let entry = |binding, ty| BindGroupLayoutEntry { binding, visibility: ShaderStages::COMPUTE, ty, count: None };
    let ids = BindingType::Texture {
        sample_type: TextureSampleType::Uint,
        view_dimension: TextureViewDimension::D2,
        multisampled: false,
    };
    let depth = BindingType::Texture {
        sample_type: TextureSampleType::Depth,
        view_dimension: TextureViewDimension::D2,
        multisampled: false,
    };
    let picture = BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::WriteOnly,
        format,
        view_dimension: TextureViewDimension::D2,
    };
    let background =
        BindingType::Buffer { ty: wgpu::BufferBindingType::Uniform, has_dynamic_offset: false, min_binding_size: None };
    BindGroupLayoutDescriptor {
        label: "scene lighting picture".into(),
        entries: vec![entry(0, ids), entry(1, picture), entry(2, background), entry(3, depth)],
    }
}

/// Finds the pipeline of each camera, before objects are queued.
pub(super) fn choose_pipelines(
    views: Query<&ExtractedView, With<LitByCompute>>,
    view_keys: Res<ViewKeyCache>,
    maker: PipelineMaker,
    mut pipelines: ResMut<LightPipelines>,
) {
    let LightPipelines { made, views: of_views } = &mut *pipelines;
    of_views.clear();
    for view in &views {
        let (Some(format), Some(key)) = (stored_format(view.target_format), view_keys.get(&view.retained_view_entity)) else {
            continue;
        };
        let pipeline = made.entry((key.bits(), format)).or_insert_with(|| maker.make(*key, format));
        if let Some(pipeline) = pipeline {
            of_views.insert(view.retained_view_entity, pipeline.clone());
        }
    }
}

/// What pipelines are made of.
#[derive(SystemParam)]
pub(super) struct PipelineMaker<'w> {
    cache: Res<'w, PipelineCache>,
    shader: Res<'w, LightShader>,
    lighting: Res<'w, DeferredLightingLayout>,
}

impl PipelineMaker<'_> {
    fn make(&self, key: MeshPipelineKey, format: TextureFormat) -> Option<LightPipeline> {
        let bevys = self.lighting.specialize(key);
        let mut definitions = bevys.fragment?.shader_defs;
        let defined =
            |name: &str| definitions.iter().any(|definition| matches!(definition, ShaderDefVal::Bool(of, _) if of == name));
        if defined("IRRADIANCE_VOLUME") || defined("SCREEN_SPACE_AMBIENT_OCCLUSION") {
            return None;
        }
        // Decals are in the G-buffer.
        definitions.retain(|definition| !matches!(definition, ShaderDefVal::Bool(of, _) if of == "CLUSTERED_DECALS_ARE_USABLE"));
        if format == TextureFormat::Rgba16Float {
            definitions.push("FLOAT_PICTURE".into());
        }
        let view = for_compute(bevys.layout.first()?, |entry| !UNUSED.contains(&entry.binding));
        let known = |binding| matches!(binding, 0..=3 | 5 | 6 | 8..=12 | 18 | 19 | 23 | 35 | 36);
        if !view.entries.iter().all(|entry| known(entry.binding)) {
            return None;
        }
        let probes = for_compute(bevys.layout.get(1)?, |entry| entry.binding <= 2);
        let layouts = [view, probes, own_layout(format)];
        let id = self.cache.queue_compute_pipeline(ComputePipelineDescriptor {
            label: Some("scene lighting".into()),
            layout: layouts.to_vec(),
            shader: self.shader.0.clone(),
            shader_defs: definitions,
            entry_point: Some("light".into()),
            ..default()
        });
        Some(LightPipeline { id, layouts })
    }
}

/// What the passes are made of.
#[derive(SystemParam)]
struct Resources<'w> {
    device: Res<'w, RenderDevice>,
    cache: Res<'w, PipelineCache>,
    views: Res<'w, ViewUniforms>,
    lights: Res<'w, LightMeta>,
    samplers: Res<'w, ShadowSamplers>,
    clusters: Res<'w, GlobalClusterableObjectMeta>,
    globals: Res<'w, GlobalsBuffer>,
    probes: Res<'w, LightProbesBuffer>,
    images: Res<'w, RenderAssets<GpuImage>>,
    fallback: Res<'w, FallbackImage>,
    tonemapping: Res<'w, TonemappingLuts>,
    area_lights: Res<'w, AreaLightLuts>,
}

/// What a camera's pass is made of.
type LitView<'a> = (
    Entity,
    &'a ExtractedView,
    &'a ExtractedCamera,
    &'a Tonemapping,
    (&'a ViewPrepassTextures, &'a ViewDepthTexture, &'a ViewShadowBindings, &'a ViewClusterBindings),
    (&'a ViewUniformOffset, &'a ViewLightsUniformOffset, &'a ViewLightProbesUniformOffset),
    Option<&'a RenderViewLightProbes<EnvironmentMapLight>>,
);

type LitItem<'w, 's> = <LitView<'static> as QueryData>::Item<'w, 's>;

impl Resources<'_> {
    fn view_group(&self, layout: &BindGroupLayoutDescriptor, view: &LitItem) -> Option<BindGroup> {
        let (_, _, _, tonemapping, (prepass, _, shadows, clusters), ..) = view;
        let lut = get_lut_bindings(&self.images, &self.tonemapping, tonemapping, &self.fallback);
        let area = self.images.get(&self.area_lights.image);
        let area = area.map_or((&self.fallback.d2_array.texture_view, &self.fallback.d2_array.sampler), |image| {
            (&image.texture_view, &image.sampler)
        });
        let resource = |binding: u32| {
            Some(match binding {
                0 => self.views.uniforms.binding()?,
                1 => self.lights.view_gpu_lights.binding()?,
                2 => (&shadows.point_light_depth_texture_view).into_binding(),
                3 => (&self.samplers.point_light_comparison_sampler).into_binding(),
                5 => (&shadows.directional_light_depth_texture_view).into_binding(),
                6 => (&self.samplers.directional_light_comparison_sampler).into_binding(),
                8 => self.clusters.gpu_clustered_lights.binding()?,
                9 => clusters.clusterable_object_index_lists_binding()?,
                10 => clusters.offsets_and_counts_binding()?,
                11 => self.globals.buffer.binding()?,
                12 => self.probes.binding()?,
                TONEMAPPING_LUT_TEXTURE_BINDING_INDEX => lut.0.into_binding(),
                TONEMAPPING_LUT_SAMPLER_BINDING_INDEX => lut.1.into_binding(),
                23 => prepass.deferred_view()?.into_binding(),
                35 => area.0.into_binding(),
                36 => area.1.into_binding(),
                _ => return None,
            })
        };
        let entries: Option<Vec<BindGroupEntry>> = layout
            .entries
            .iter()
            .map(|entry| Some(BindGroupEntry { binding: entry.binding, resource: resource(entry.binding)? }))
            .collect();
        Some(self.device.create_bind_group("scene lighting", &self.cache.get_bind_group_layout(layout), &entries?))
    }

    /// The environment maps that light the view, as many as the layout has room for.
    fn probes_group(
        &self,
        layout: &BindGroupLayoutDescriptor,
        probes: Option<&RenderViewLightProbes<EnvironmentMapLight>>,
    ) -> BindGroup {
        let maps = probes.map_or(&[][..], |probes| &probes.binding_index_to_textures);
        let image = |id: AssetId<Image>| self.images.get(id).unwrap_or(&self.fallback.cube);
        let room = layout.entries.first().and_then(|entry| entry.count).map_or(1, |count| count.get() as usize);
        let none = &*self.fallback.cube.texture_view;
        let views = |ids: Vec<AssetId<Image>>| {
            let mut views: Vec<&wgpu::TextureView> = ids.into_iter().map(|id| &*image(id).texture_view).collect();
            views.resize(room, none);
            views
        };
        let diffuse = views(maps.iter().map(|map| map.diffuse).collect());
        let specular = views(maps.iter().map(|map| map.specular).collect());
        let sampler = maps.first().map_or(&self.fallback.cube.sampler, |map| &image(map.diffuse).sampler);
        let entries: Vec<BindGroupEntry> = layout
            .entries
            .iter()
            .map(|entry| {
                let views = if entry.binding == 0 { &diffuse } else { &specular };
                let resource = match (entry.binding, entry.count) {
                    (2, _) => BindingResource::Sampler(sampler),
                    (_, Some(_)) => BindingResource::TextureViewArray(views),
                    (_, None) => BindingResource::TextureView(views.first().copied().unwrap_or(none)),
                };
                BindGroupEntry { binding: entry.binding, resource }
            })
            .collect();
        self.device.create_bind_group("scene light probes", &self.cache.get_bind_group_layout(layout), &entries)
    }
}

/// Makes each camera's pass, and leaves out Bevy's own.
fn prepare_passes(
    resources: Resources,
    views: Query<LitView, With<LitByCompute>>,
    pipelines: Res<LightPipelines>,
    mut textures: ResMut<TextureCache>,
    mut commands: Commands,
) {
    for view in &views {
        let (entity, extracted, camera, _, (prepass, depth, ..), (view_offset, lights_offset, probes_offset), probes) = &view;
        let pass = stored_format(extracted.target_format).and_then(|format| {
            let pipeline = pipelines.views.get(&extracted.retained_view_entity)?;
            // Until the shader is compiled, nothing is lit, as nothing is drawn before its own shaders are.
            resources.cache.get_compute_pipeline(pipeline.id)?;
            let [view_layout, probes_layout, own_layout] = &pipeline.layouts;
            let picture = textures.get(
                &resources.device,
                TextureDescriptor {
                    label: Some("scene lit"),
                    size: camera.physical_target_size?.to_extents(),
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: TextureDimension::D2,
                    format,
                    usage: TextureUsages::STORAGE_BINDING | TextureUsages::COPY_SRC,
                    view_formats: &[],
                },
            );
            let ids = prepass.deferred_lighting_pass_id.as_ref()?;
            let color = match camera.clear_color {
                ClearColorConfig::Custom(color) => color,
                ClearColorConfig::Default | ClearColorConfig::None => Color::BLACK,
            };
            let color = if format == TextureFormat::Rgba16Float {
                color.to_linear().to_f32_array()
            } else {
                color.to_srgba().to_f32_array()
            };
            let background = resources.device.create_buffer_with_data(&BufferInitDescriptor {
                label: Some("scene background"),
                contents: bytemuck::bytes_of(&color),
                usage: BufferUsages::UNIFORM,
            });
            let own = resources.device.create_bind_group(
                "scene lighting picture",
                &resources.cache.get_bind_group_layout(own_layout),
                &[
                    BindGroupEntry { binding: 0, resource: (&ids.texture.default_view).into_binding() },
                    BindGroupEntry { binding: 1, resource: (&picture.default_view).into_binding() },
                    BindGroupEntry { binding: 2, resource: background.as_entire_binding() },
                    BindGroupEntry { binding: 3, resource: depth.view().into_binding() },
                ],
            );
            let groups = [resources.view_group(view_layout, &view)?, resources.probes_group(probes_layout, *probes), own];
            let offsets = [view_offset.offset, lights_offset.offset, ***probes_offset];
            Some(LightPass { pipeline: pipeline.id, groups, offsets, picture, _background: background })
        });
        let mut camera = commands.entity(*entity);
        camera.insert(SkipDeferredLighting).remove::<DeferredLightingIdDepthTexture>();
        match pass {
            Some(pass) => camera.insert(pass),
            None => camera.remove::<LightPass>(),
        };
    }
}

/// Leaves out the clearing of G-buffers: what no object covers is known by its lighting number, and clearing 16 bytes a pixel takes
/// longer than lighting.
fn keep_gbuffers(mut views: Query<&mut ViewPrepassTextures, With<LightPass>>) {
    for mut textures in &mut views {
        if let Some(gbuffer) = &textures.deferred {
            let kept = ColorAttachment::new(gbuffer.texture.clone(), None, None, None);
            textures.deferred = Some(kept);
        }
    }
}

/// Cameras that are lit so no longer.
fn forget_passes(views: Query<Entity, (With<LightPass>, Without<LitByCompute>)>, mut commands: Commands) {
    for view in &views {
        commands.entity(view).remove::<(LightPass, SkipDeferredLighting)>();
    }
}

fn light(view: ViewQuery<(&LightPass, &ViewTarget)>, cache: Res<PipelineCache>, mut ctx: RenderContext) {
    let (pass, target) = view.into_inner();
    let Some(pipeline) = cache.get_compute_pipeline(pass.pipeline) else { return };
    let diagnostics = ctx.diagnostic_recorder();
    let diagnostics = diagnostics.as_deref();
    let size = pass.picture.texture.size();
    let mut compute = ctx
        .command_encoder()
        .begin_compute_pass(&ComputePassDescriptor { label: Some("scene_lighting"), timestamp_writes: None });
    let span = diagnostics.pass_span(&mut compute, "scene_lighting");
    compute.set_pipeline(pipeline);
    compute.set_bind_group(0, &pass.groups[0], &pass.offsets);
    compute.set_bind_group(1, &pass.groups[1], &[]);
    compute.set_bind_group(2, &pass.groups[2], &[]);
    compute.dispatch_workgroups(size.width.div_ceil(WORKGROUP), size.height.div_ceil(WORKGROUP), 1);
    span.end(&mut compute);
    drop(compute);
    // The first to ask for the attachment would clear it, and it has its picture already.
    _ = target.get_color_attachment();
    ctx.command_encoder().copy_texture_to_texture(
        pass.picture.texture.as_image_copy(),
        target.main_texture().as_image_copy(),
        size,
    );
}

pub(super) fn plugin(app: &mut App) {
    let shader = Shader::from_wgsl(include_str!("light.wgsl"), "studio_scene/stereo/deferred/light.wgsl");
    let Some(mut shaders) = app.world_mut().get_resource_mut::<Assets<Shader>>() else { return };
    let shader = shaders.add(shader);
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app
        .insert_resource(LightShader(shader))
        .init_resource::<LightPipelines>()
        .add_systems(Render, (forget_passes, prepare_passes, keep_gbuffers).chain().in_set(RenderSystems::PrepareBindGroups))
        .add_systems(Core3d, light.after(deferred_lighting).before(main_opaque_pass_3d).in_set(Core3dSystems::MainPass));
}
