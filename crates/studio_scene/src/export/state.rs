//! What of an entity may move.

use super::{ExportError, NotExported, UsdExport, camera::Film};
use crate::{
    look::{self, EyeOf, UsdCamera, UsdLight},
    stage::{UsdPrimInfo, UsdShearFrame},
};
use bevy::math::DMat4;
use bevy::{
    camera::Exposure,
    ecs::hierarchy::{ChildOf, Children},
    light::RectLight,
    mesh::morph::MorphWeights,
    prelude::*,
};
use std::collections::HashMap;
use studio_usd::snapshot::{self, LightKind, StereoRole};

/// Parents above an entity, at most.
pub(super) const MAX_DEPTH: usize = 512;

/// What of an entity may move, at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct EntityState {
    pub transform: Transform,
    /// Its transform where that cannot be told by moving, turning and scaling.
    pub sheared: Option<DMat4>,
    pub is_hidden: bool,
    pub light: Option<LightState>,
    pub camera: Option<CameraState>,
    pub weights: Vec<f32>,
}

/// A light of Bevy's.
#[derive(Clone, Debug)]
pub(super) enum LightState {
    Point(PointLight),
    Spot(SpotLight),
    Directional(DirectionalLight),
    Rect(RectLight),
    /// A light as USD has it, and the time code that its values are of.
    Usd(Box<(snapshot::Light, f64)>),
}

/// What a camera sees, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CameraState {
    pub clip_from_view: Mat4,
    pub near: f32,
    pub far: f32,
    /// At ISO 100, if the camera has one of its own.
    pub ev100: Option<f32>,
    /// Its film, where it is a camera of USD's.
    pub film: Option<Film>,
    /// Which eye it is for.
    pub stereo_role: StereoRole,
}

/// Entities as they were at some times.
#[derive(Clone, Debug, Default)]
pub(super) struct Recording {
    times: Vec<f64>,
    states: HashMap<Entity, (String, Vec<(f64, EntityState)>)>,
}

impl Recording {
    pub fn frame_count(&self) -> usize {
        self.times.len()
    }

    /// First and last time code.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((*self.times.first()?, *self.times.last()?))
    }

    pub fn record(&mut self, world: &World, export: &UsdExport, time: f64) -> Result<(), ExportError> {
        let last = self.times.last().copied().unwrap_or(f64::NEG_INFINITY);
        if !time.is_finite() || time <= last {
            return Err(ExportError::Time { time, last });
        }
        for entity in walk(world, export.root)? {
            let name = || (name_of(world, entity), Vec::new());
            self.states.entry(entity).or_insert_with(name).1.push((time, state(world, entity)));
        }
        self.times.push(time);
        Ok(())
    }

    /// An entity's states. Those it was not there for are hidden ones.
    pub fn states(&self, world: &World, entity: Entity) -> Vec<(f64, EntityState)> {
        let Some((_, recorded)) = self.states.get(&entity) else {
            let now = state(world, entity);
            let Some((first, _)) = self.range() else { return vec![(0.0, now)] };
            // It has come after the last frame.
            return vec![(first, EntityState { is_hidden: true, ..now })];
        };
        if recorded.len() == self.times.len() {
            return recorded.clone();
        }
        let mut recorded = recorded.iter().peekable();
        let mut last = recorded.peek().map(|(_, state)| state.clone()).unwrap_or_default();
        let mut states = Vec::with_capacity(self.times.len());
        for time in &self.times {
            match recorded.next_if(|(at, _)| at == time) {
                Some((_, state)) => {
                    last = state.clone();
                    states.push((*time, state.clone()));
                }
                None => states.push((*time, EntityState { is_hidden: true, ..last.clone() })),
            }
        }
        states
    }

    /// Those that were recorded and are no longer there.
    pub fn gone(&self, world: &World) -> Option<(Entity, String)> {
        let gone = self.states.iter().filter(|(entity, _)| world.get_entity(**entity).is_err());
        gone.map(|(entity, (name, _))| (*entity, format!(" ({name})"))).min()
    }
}

/// An entity's name, or what it is.
pub(super) fn name_of(world: &World, entity: Entity) -> String {
    if let Some(name) = world.get::<Name>(entity) {
        return name.as_str().to_owned();
    }
    let what = if world.get::<Mesh3d>(entity).is_some() {
        "Mesh"
    } else if world.get::<Camera>(entity).is_some() {
        "Camera"
    } else if light(world, entity).is_some() {
        "Light"
    } else {
        "Node"
    };
    what.to_owned()
}

/// What is exported, parents before children, siblings in order.
pub(super) fn walk(world: &World, root: Option<Entity>) -> Result<Vec<Entity>, ExportError> {
    let mut found = Vec::new();
    for root in roots(world, root)? {
        let mut open = vec![(root, 0)];
        while let Some((entity, depth)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(ExportError::TooDeep { entity, limit: MAX_DEPTH });
            }
            found.push(entity);
            open.extend(children(world, entity).into_iter().rev().map(|child| (child, depth + 1)));
        }
    }
    Ok(found)
}

/// Where the export begins.
pub(super) fn roots(world: &World, root: Option<Entity>) -> Result<Vec<Entity>, ExportError> {
    if let Some(root) = root {
        let there = world.get_entity(root).is_ok();
        return if there { Ok(vec![root]) } else { Err(ExportError::Despawned { entity: root, what: String::new() }) };
    }
    let Some(mut query) = world.try_query::<(Entity, &Transform)>() else { return Ok(Vec::new()) };
    let is_root = |entity: &Entity| {
        let parent = world.get::<ChildOf>(*entity).map(ChildOf::parent);
        parent.is_none_or(|parent| world.get::<Transform>(parent).is_none())
    };
    let mut roots: Vec<Entity> =
        query.iter(world).map(|(entity, _)| entity).filter(is_root).filter(|entity| is_exported(world, *entity)).collect();
    roots.sort();
    Ok(roots)
}

/// An entity's children that are exported, in order.
pub(super) fn children(world: &World, entity: Entity) -> Vec<Entity> {
    let all = world.get::<Children>(entity).map(|children| children.iter()).into_iter().flatten();
    let mut found = Vec::new();
    for child in all.filter(|child| world.get::<Transform>(*child).is_some() && is_exported(world, *child)) {
        // What is between a sheared prim and its parent is part of its transform.
        match (world.get::<UsdShearFrame>(child), world.get::<Children>(child)) {
            (Some(_), Some(framed)) => found.extend(framed.iter().filter(|framed| is_exported(world, *framed))),
            _ => found.push(child),
        }
    }
    found
}

fn is_exported(world: &World, entity: Entity) -> bool {
    // Materials are written with what shows them, and an eye is its camera prim's.
    let is_look = world
        .get::<UsdPrimInfo>(entity)
        .is_some_and(|info| matches!(info.type_name.as_str(), "Material" | "Shader" | "NodeGraph"));
    world.get::<NotExported>(entity).is_none() && world.get::<EyeOf>(entity).is_none() && !is_look
}

fn light(world: &World, entity: Entity) -> Option<LightState> {
    if let Some(light) = world.get::<UsdLight>(entity) {
        return Some(LightState::Usd(Box::new((light.light.clone(), light.options.time))));
    }
    if let Some(dome) = world.get::<look::DomeLight>(entity) {
        return Some(LightState::Usd(Box::new((dome_light(dome), 0.0))));
    }
    if let Some(light) = world.get::<PointLight>(entity) {
        return Some(LightState::Point(*light));
    }
    if let Some(light) = world.get::<SpotLight>(entity) {
        return Some(LightState::Spot(*light));
    }
    if let Some(light) = world.get::<DirectionalLight>(entity) {
        return Some(LightState::Directional(*light));
    }
    world.get::<RectLight>(entity).map(|light| LightState::Rect(*light))
}

/// A sky as USD has it.
fn dome_light(dome: &look::DomeLight) -> snapshot::Light {
    snapshot::Light {
        kind: LightKind::Dome {
            texture: dome.texture.clone(),
            texture_format: dome.texture_format.clone(),
            pole_is_stage_up: dome.pole_is_z,
        },
        intensity: dome.nits.into(),
        exposure: 0.0_f32.into(),
        color: dome.color.into(),
        enable_color_temperature: false,
        color_temperature_k: 6500.0_f32.into(),
        normalize: false,
        diffuse: 1.0,
        specular: 1.0,
        casts_shadows: true,
        shaping: None,
    }
}

fn camera(world: &World, entity: Entity) -> Option<CameraState> {
    if let Some(UsdCamera { camera, time, .. }) = world.get::<UsdCamera>(entity) {
        let film = Film::of(camera, *time);
        return Some(CameraState {
            clip_from_view: Mat4::IDENTITY,
            near: film.clipping.x,
            far: film.clipping.y,
            ev100: Some(look::exposure(camera.exposure.at(*time).unwrap_or(0.0)).ev100),
            film: Some(film),
            stereo_role: camera.stereo_role,
        });
    }
    world.get::<Camera>(entity)?;
    let projection = world.get::<Projection>(entity)?;
    let clip_from_view = projection.get_clip_from_view();
    let (near, far) = match projection {
        Projection::Perspective(projection) => (projection.near, projection.far),
        Projection::Orthographic(projection) => (projection.near, projection.far),
        // Depth is 1 at the near plane: of perspective `near / distance`, of parallel lines linear.
        Projection::Custom(custom) => {
            let (scale, offset) = (clip_from_view.z_axis.z, clip_from_view.w_axis.z);
            if clip_from_view.z_axis.w != 0.0 {
                (offset / (1.0 + scale), custom.far())
            } else {
                ((offset - 1.0) / scale, custom.far())
            }
        }
    };
    let ev100 = world.get::<Exposure>(entity).map(|exposure| exposure.ev100);
    Some(CameraState { clip_from_view, near, far, ev100, film: None, stereo_role: StereoRole::Mono })
}

/// The transform of a sheared prim: that of the entity above it, and its own.
fn sheared(world: &World, entity: Entity) -> Option<DMat4> {
    let frame =
        world.get::<ChildOf>(entity).map(ChildOf::parent).filter(|parent| world.get::<UsdShearFrame>(*parent).is_some())?;
    let matrix = |entity: Entity| world.get::<Transform>(entity).map(|transform| transform.to_matrix().as_dmat4());
    Some(matrix(frame)? * matrix(entity)?)
}

/// An entity as it is.
pub(super) fn state(world: &World, entity: Entity) -> EntityState {
    EntityState {
        transform: world.get::<Transform>(entity).copied().unwrap_or_default(),
        sheared: sheared(world, entity),
        is_hidden: world.get::<Visibility>(entity) == Some(&Visibility::Hidden),
        light: light(world, entity),
        camera: camera(world, entity),
        weights: world.get::<MorphWeights>(entity).map(|weights| weights.weights().to_vec()).unwrap_or_default(),
    }
}
