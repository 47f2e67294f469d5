//! Time stamps in the frame's own commands: what the GPU took, without waiting for the CPU to record them.

use bevy::{
    core_pipeline::{Core3d, mip_generation::experimental::depth::early_downsample_depth, schedule::camera_driver},
    pbr::{EARLY_SHADOW_PASS, LightEntity, early_prepass_build_indirect_parameters, per_view_shadow_pass, shared_shadow_pass},
    prelude::*,
    render::{
        RenderApp, RenderStartup,
        renderer::{RenderContext, RenderDevice, RenderGraph, RenderGraphSystems, RenderQueue, ViewQuery},
    },
};
use std::sync::{Arc, Mutex};

const STAMPS: u32 = 64;

/// Intervals of a frame: a name and its milliseconds.
pub type Intervals = Vec<(&'static str, f64)>;

/// Where the newest frame's intervals are, in both worlds.
#[derive(Resource, Clone, Default)]
pub struct Stamped(Arc<Mutex<Vec<(&'static str, bool)>>>, Arc<Mutex<Option<(wgpu::Buffer, f64)>>>);

impl Stamped {
    /// The intervals of the frame that was rendered last; waits for the GPU. Empty where the GPU has no time stamps.
    pub fn read(&self, device: &wgpu::Device) -> Option<Intervals> {
        let (buffer, ns_per_tick) = self.1.lock().ok()?.clone()?;
        buffer.map_async(wgpu::MapMode::Read, .., |_| {});
        device.poll(wgpu::PollType::wait_indefinitely()).ok()?;
        let view = buffer.get_mapped_range(..);
        let ticks: Vec<u64> = view.chunks_exact(8).filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))).collect();
        drop(view);
        buffer.unmap();
        let labels = self.0.lock().ok()?;
        let mut open: Vec<(&str, u64)> = Vec::new();
        let mut intervals = Intervals::new();
        for ((name, begins), tick) in labels.iter().zip(ticks) {
            if *begins {
                open.push((name, tick));
            } else if let Some(at) = open.iter().rposition(|(open, _)| open == name) {
                let (_, began) = open.remove(at);
                intervals.push((name, tick.saturating_sub(began) as f64 * ns_per_tick / 1e6));
            }
        }
        Some(intervals)
    }
}

#[derive(Resource)]
struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read: wgpu::Buffer,
}

pub fn plugin(app: &mut App) {
    let stamped = Stamped::default();
    app.insert_resource(stamped.clone());
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app
        .insert_resource(stamped)
        .add_systems(RenderStartup, make)
        .add_systems(
            RenderGraph,
            (frame_begins.before(camera_driver), frame_ends.after(camera_driver)).in_set(RenderGraphSystems::Render),
        )
        .add_systems(
            Core3d,
            (
                shadows_begin
                    .after(early_prepass_build_indirect_parameters)
                    .before(per_view_shadow_pass::<EARLY_SHADOW_PASS>)
                    .before(shared_shadow_pass::<EARLY_SHADOW_PASS>),
                shadows_end
                    .after(per_view_shadow_pass::<EARLY_SHADOW_PASS>)
                    .after(shared_shadow_pass::<EARLY_SHADOW_PASS>)
                    .before(early_downsample_depth),
            ),
        );
}

fn make(mut commands: Commands, device: Res<RenderDevice>, queue: Res<RenderQueue>, stamped: Res<Stamped>) {
    let device = device.wgpu_device();
    let needed = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
    if !device.features().contains(needed) {
        return;
    }
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(STAMPS) * 8,
            usage,
            mapped_at_creation: false,
        })
    };
    let read = buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
    if let Ok(mut place) = stamped.1.lock() {
        *place = Some((read.clone(), f64::from(queue.get_timestamp_period())));
    }
    commands.insert_resource(Stamps {
        set: device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: STAMPS }),
        resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
        read,
    });
}

fn stamp(stamps: Option<&Stamps>, stamped: &Stamped, ctx: &mut RenderContext, name: &'static str, begins: bool) {
    let (Some(stamps), Ok(mut labels)) = (stamps, stamped.0.lock()) else { return };
    let index = labels.len() as u32;
    if index < STAMPS {
        labels.push((name, begins));
        ctx.command_encoder().write_timestamp(&stamps.set, index);
    }
}

fn frame_begins(stamps: Option<Res<Stamps>>, stamped: Res<Stamped>, mut ctx: RenderContext) {
    if let Ok(mut labels) = stamped.0.lock() {
        labels.clear();
    }
    stamp(stamps.as_deref(), &stamped, &mut ctx, "frame", true);
}

fn frame_ends(stamps: Option<Res<Stamps>>, stamped: Res<Stamped>, mut ctx: RenderContext) {
    stamp(stamps.as_deref(), &stamped, &mut ctx, "frame", false);
    let (Some(stamps), Ok(labels)) = (stamps, stamped.0.lock()) else { return };
    let count = (labels.len() as u32).min(STAMPS);
    let encoder = ctx.command_encoder();
    encoder.resolve_query_set(&stamps.set, 0..count, &stamps.resolved, 0);
    encoder.copy_buffer_to_buffer(&stamps.resolved, 0, &stamps.read, 0, u64::from(count) * 8);
}

/// The lamps' shadows have views of their own; a sun's are a camera's.
fn shadows_of(light: Option<&LightEntity>) -> &'static str {
    match light {
        Some(LightEntity::Point { .. }) => "point shadows",
        Some(LightEntity::Spot { .. }) => "spot shadows",
        _ => "sun shadows",
    }
}

fn shadows_begin(
    view: ViewQuery<Option<&LightEntity>>,
    stamps: Option<Res<Stamps>>,
    stamped: Res<Stamped>,
    mut ctx: RenderContext,
) {
    stamp(stamps.as_deref(), &stamped, &mut ctx, shadows_of(view.into_inner()), true);
}

fn shadows_end(
    view: ViewQuery<Option<&LightEntity>>,
    stamps: Option<Res<Stamps>>,
    stamped: Res<Stamped>,
    mut ctx: RenderContext,
) {
    stamp(stamps.as_deref(), &stamped, &mut ctx, shadows_of(view.into_inner()), false);
}
