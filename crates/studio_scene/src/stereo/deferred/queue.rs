//! Which objects are drawn into the G-buffer.

use super::{
    LitByCompute,
    light::{LightPipelines, choose_pipelines},
};
use bevy::{
    core_pipeline::{
        core_3d::Opaque3d,
        deferred::Opaque3dDeferred,
        prepass::{OpaqueNoLightmap3dBatchSetKey, OpaqueNoLightmap3dBinKey},
    },
    ecs::system::{SystemParam, SystemState},
    material::{
        MaterialProperties, RenderPhaseType,
        key::{ErasedMaterialPipelineKey, ErasedMeshPipelineKey},
    },
    mesh::MeshVertexBufferLayoutRef,
    pbr::{
        DeferredOpaqueDrawFunction, MeshPipelineKey, PendingPrepassMeshMaterialQueues, PreparedMaterial, RenderMaterialInstances,
        RenderMeshInstances, SpecializedPrepassMaterialPipelineCache, StandardMaterialKey, ViewKeyPrepassCache,
        alpha_mode_pipeline_key, queue_material_meshes, queue_prepass_material_meshes,
    },
    platform::collections::HashSet,
    prelude::*,
    render::{
        Extract, ExtractSchedule, Render, RenderApp, RenderSystems,
        batching::gpu_preprocessing::GpuPreprocessingSupport,
        camera::DirtySpecializations,
        erased_render_asset::ErasedRenderAssets,
        mesh::{RenderMesh, allocator::MeshAllocator},
        render_asset::RenderAssets,
        render_phase::{BinnedRenderPhaseType, InputUniformIndex, ViewBinnedRenderPhases},
        render_resource::CachedRenderPipelineId,
        sync_world::MainEntity,
        view::{ExtractedView, RenderVisibleEntities, RetainedViewEntity},
    },
};
use std::{any::TypeId, sync::Arc};

/// Standard materials that a G-buffer cannot hold.
#[derive(Resource, Default)]
struct ForwardOnly(HashSet<AssetId<StandardMaterial>>);

/// Notes what materials ask for: the G-buffer has a reflectance without a tint.
fn note_forward_only(
    mut events: MessageReader<AssetEvent<StandardMaterial>>,
    materials: Res<Assets<StandardMaterial>>,
    mut forward_only: ResMut<ForwardOnly>,
) {
    for event in events.read() {
        let (AssetEvent::Added { id } | AssetEvent::Modified { id } | AssetEvent::Removed { id }) = event else { continue };
        let tinted = materials.get(*id).is_some_and(|material| material.specular_tint != Color::WHITE);
        if tinted {
            forward_only.0.insert(*id);
        } else if forward_only.0.contains(id) {
            forward_only.0.remove(id);
        }
    }
}

fn extract_forward_only(main: Extract<Res<ForwardOnly>>, mut forward_only: ResMut<ForwardOnly>) {
    if main.is_changed() {
        forward_only.0.clone_from(&main.0);
    }
}

/// An object that moves to the deferred phase.
struct Moving {
    view: RetainedViewEntity,
    entity: (Entity, MainEntity),
    mesh_key: MeshPipelineKey,
    layout: MeshVertexBufferLayoutRef,
    properties: Arc<MaterialProperties>,
    batch_set: OpaqueNoLightmap3dBatchSetKey,
    bin: OpaqueNoLightmap3dBinKey,
    index: InputUniformIndex,
    phase_type: BinnedRenderPhaseType,
}

/// Whether a G-buffer holds all that such a material shows.
fn is_plain(key: StandardMaterialKey) -> bool {
    !key.intersects(
        StandardMaterialKey::ANISOTROPY
            | StandardMaterialKey::CLEARCOAT_NORMAL_MAP
            | StandardMaterialKey::DIFFUSE_TRANSMISSION
            | StandardMaterialKey::SPECULAR_TRANSMISSION,
    )
}

/// What Bevy has queued.
#[derive(SystemParam)]
struct Queued<'w, 's> {
    views: Query<'w, 's, (&'static ExtractedView, &'static RenderVisibleEntities, &'static Msaa), With<LitByCompute>>,
    specialized: Res<'w, SpecializedPrepassMaterialPipelineCache>,
    pending: Res<'w, PendingPrepassMeshMaterialQueues>,
    dirty: Res<'w, DirtySpecializations>,
    view_keys: Res<'w, ViewKeyPrepassCache>,
    instances: Res<'w, RenderMaterialInstances>,
    materials: Res<'w, ErasedRenderAssets<PreparedMaterial>>,
    mesh_instances: Res<'w, RenderMeshInstances>,
    meshes: Res<'w, RenderAssets<RenderMesh>>,
    allocator: Res<'w, MeshAllocator>,
    preprocessing: Res<'w, GpuPreprocessingSupport>,
    forward_only: Res<'w, ForwardOnly>,
    pipelines: Res<'w, LightPipelines>,
}

impl Queued<'_, '_> {
    /// What Bevy has queued anew for one object, if it can move.
    fn moving(&self, view: &ExtractedView, msaa: &Msaa, entity: (Entity, MainEntity)) -> Option<Moving> {
        let retained = view.retained_view_entity;
        self.specialized.get(&retained)?.get(&entity.1)?;
        let material_id = self.instances.instances.get(&entity.1)?.asset_id;
        let standard = material_id.type_id() == TypeId::of::<StandardMaterial>();
        if !standard || self.forward_only.0.contains(&material_id.typed::<StandardMaterial>()) {
            return None;
        }
        let material = self.materials.get(material_id)?;
        let properties = &material.properties;
        let opaque = matches!(properties.render_phase_type, RenderPhaseType::Opaque);
        if !opaque || !is_plain(properties.material_key.to_key()) {
            return None;
        }
        let instance = self.mesh_instances.render_mesh_queue_data(entity.1)?;
        if instance.shared.lightmap_slab_index().is_some() {
            return None;
        }
        let mesh_id = instance.mesh_asset_id();
        let mesh = self.meshes.get(mesh_id)?;
        let draw_function = properties.get_draw_function(DeferredOpaqueDrawFunction)?;
        let mesh_key = *self.view_keys.get(&retained)?
            | MeshPipelineKey::from_bits_retain(mesh.key_bits.bits())
            | alpha_mode_pipeline_key(properties.alpha_mode, msaa)
            | MeshPipelineKey::DEFERRED_PREPASS;
        Some(Moving {
            view: retained,
            entity,
            mesh_key,
            layout: mesh.layout.clone(),
            properties: properties.clone(),
            batch_set: OpaqueNoLightmap3dBatchSetKey {
                draw_function,
                // Known once the pipeline is.
                pipeline: CachedRenderPipelineId::INVALID,
                material_bind_group_index: Some(material.binding.group.0),
                slabs: self.allocator.mesh_slabs(&mesh_id)?,
            },
            bin: OpaqueNoLightmap3dBinKey { asset_id: mesh_id.into() },
            index: instance.current_uniform_index,
            phase_type: BinnedRenderPhaseType::mesh(instance.should_batch(), &self.preprocessing),
        })
    }
}

/// Moves what Bevy queued in this frame from the forward phase to the deferred one.
fn move_to_deferred(world: &mut World, state: &mut SystemState<Queued>) {
    let mut moving = Vec::new();
    {
        let Ok(queued) = state.get(world) else { return };
        for (view, visible, msaa) in &queued.views {
            let retained = view.retained_view_entity;
            if !queued.pipelines.light(&retained) {
                continue;
            }
            let (Some(visible), Some(pending)) = (visible.get::<Mesh3d>(), queued.pending.get(&retained)) else { continue };
            let fresh = queued.dirty.iter_to_queue(retained, visible, &pending.prev_frame);
            moving.extend(fresh.filter_map(|(entity, main)| queued.moving(view, msaa, (*entity, *main))));
        }
    }
    for mut item in moving {
        let Some(specialize) = item.properties.prepass_specialize else { continue };
        let key = ErasedMaterialPipelineKey {
            type_id: TypeId::of::<StandardMaterial>(),
            mesh_key: ErasedMeshPipelineKey::new(item.mesh_key),
            material_key: item.properties.material_key.clone(),
        };
        match specialize(world, key, &item.layout, &item.properties) {
            Ok(pipeline) => item.batch_set.pipeline = pipeline,
            Err(error) => {
                error!("an object stays forward: {error}");
                continue;
            }
        }
        let Some(phase) = world.resource_mut::<ViewBinnedRenderPhases<Opaque3dDeferred>>().into_inner().get_mut(&item.view)
        else {
            continue;
        };
        phase.add(item.batch_set, item.bin, item.entity, item.index, item.phase_type);
        if let Some(phase) = world.resource_mut::<ViewBinnedRenderPhases<Opaque3d>>().into_inner().get_mut(&item.view) {
            phase.remove(item.entity.1);
        }
    }
}

pub(super) fn plugin(app: &mut App) {
    app.init_resource::<ForwardOnly>().add_systems(Last, note_forward_only);
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app.init_resource::<ForwardOnly>().add_systems(ExtractSchedule, extract_forward_only).add_systems(
        Render,
        (choose_pipelines, move_to_deferred.after(queue_prepass_material_meshes).after(queue_material_meshes))
            .chain()
            .in_set(RenderSystems::QueueMeshes),
    );
}
