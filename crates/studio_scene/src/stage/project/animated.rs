//! What of a stage changes over time: lists, so that a frame never walks over all prims.

use super::{
    super::{contents::Place, drawn::Drawn},
    UsdStageEntities, bound,
};
use crate::look;
use bevy::prelude::*;
use std::{collections::HashMap, sync::Arc};
use studio_usd::snapshot::{Prim, PrimData, Sampled, SkelAnimation, Skeleton, XformOpValue};

/// What of a stage changes over time.
#[derive(Default)]
pub(in super::super) struct Animated {
    /// Prims whose transforms move, as places among those shown.
    pub transforms: Vec<usize>,
    /// Prims that come and go.
    pub visibility: Vec<usize>,
    pub lights: Vec<Entity>,
    pub cameras: Vec<Entity>,
    pub geometry: Vec<AnimatedGeometry>,
    pub skeletons: Vec<AnimatedSkeleton>,
    pub morphs: Vec<AnimatedMorph>,
    /// Point instancers, as places among those shown.
    pub instancers: Vec<usize>,
    /// First and last time code, if anything moves.
    pub range: Option<(f64, f64)>,
    /// The time that everything was last set to.
    pub time: Option<f64>,
}

/// Geometry that changes its shape: once for all entities that show it.
pub(in super::super) struct AnimatedGeometry {
    pub place: Place,
    pub drawn: Arc<Drawn>,
}

/// A skeleton that moves: once for each entity.
pub(in super::super) struct AnimatedSkeleton {
    pub joints: Vec<Entity>,
    pub skeleton: Arc<Skeleton>,
    pub animation: Option<Arc<SkelAnimation>>,
}

/// A mesh that blend shapes change: once for each entity.
pub(in super::super) struct AnimatedMorph {
    pub entity: Entity,
    pub drawn: Arc<Drawn>,
    pub part: usize,
    pub animation: Arc<SkelAnimation>,
}

impl Animated {
    pub(super) fn of(entities: &UsdStageEntities) -> Self {
        let contents = &entities.contents;
        let mut animated = Self::default();
        let mut range = Range::default();
        let mut geometry: HashMap<*const Drawn, (Place, Arc<Drawn>)> = HashMap::new();
        // Of a prim that leaves out its parents, the transform changes when theirs do.
        let mut moves = vec![false; entities.shown.len()];
        for (index, shown) in entities.shown.iter().enumerate() {
            let Some(prim) = contents.prim(shown.node.place) else { continue };
            let xform = prim.xform.as_ref();
            let own = xform.is_some_and(|xform| xform.is_animated());
            let parents = shown.node.parent.and_then(|parent| moves.get(parent)).copied().unwrap_or(false);
            let resets = xform.is_some_and(|xform| xform.resets_stack);
            if let Some(moves) = moves.get_mut(index) {
                *moves = own || (parents && !resets);
            }
            if own || (resets && parents) {
                animated.transforms.push(index);
                range.add_xform(prim);
            }
            if prim.visible.is_animated() {
                animated.visibility.push(index);
                range.add(&prim.visible);
            }
            match &prim.data {
                PrimData::Light(light) if look::light_is_animated(light) => {
                    animated.lights.push(shown.entity);
                    range.add(&light.intensity);
                    range.add(&light.exposure);
                    range.add(&light.color);
                    range.add(&light.color_temperature_k);
                }
                PrimData::Camera(camera) if look::camera_is_animated(camera) => {
                    animated.cameras.push(shown.entity);
                    for value in [
                        &camera.focal_length,
                        &camera.horizontal_aperture,
                        &camera.vertical_aperture,
                        &camera.horizontal_aperture_offset,
                        &camera.vertical_aperture_offset,
                        &camera.f_stop,
                        &camera.focus_distance,
                        &camera.exposure,
                    ] {
                        range.add(value);
                    }
                    range.add(&camera.clipping_range);
                }
                PrimData::PointInstancer(instancer) => {
                    let moves = instancer.positions.is_animated()
                        || instancer.orientations.is_animated()
                        || instancer.scales.is_animated()
                        || instancer.proto_indices.is_animated()
                        || instancer.invisible_ids.is_animated();
                    if moves {
                        animated.instancers.push(index);
                        range.add(&instancer.positions);
                        range.add(&instancer.orientations);
                        range.add(&instancer.scales);
                        range.add(&instancer.proto_indices);
                        range.add(&instancer.invisible_ids);
                    }
                    for copied in &shown.copies.skeletons {
                        animated.add_skeleton(entities, copied.place, &copied.joints, &mut range);
                    }
                }
                PrimData::Skeleton(_) => animated.add_skeleton(entities, shown.node.place, &shown.joints, &mut range),
                _ => {}
            }
            if let Some(drawn) = &shown.content.drawn {
                if drawn.is_animated {
                    geometry.entry(Arc::as_ptr(drawn)).or_insert_with(|| (shown.node.place, drawn.clone()));
                }
                animated.add_morphs(entities, index, prim, drawn, &mut range);
            }
        }
        for (place, drawn) in geometry.into_values() {
            if let Some(prim) = contents.prim(place) {
                range.add_geometry(&prim.data);
            }
            animated.geometry.push(AnimatedGeometry { place, drawn });
        }
        animated.geometry.sort_by_key(|geometry| (geometry.place.list, geometry.place.prim));
        let snapshot = &contents.snapshot;
        let is_animated = range.0.is_some() && !animated.is_empty();
        animated.range = range.0.filter(|_| is_animated).map(|samples| {
            let authored = (snapshot.start_time_code, snapshot.end_time_code);
            // A stage that names no range has that of its samples.
            if authored.1 > authored.0 { authored } else { samples }
        });
        animated
    }

    fn is_empty(&self) -> bool {
        self.transforms.is_empty()
            && self.visibility.is_empty()
            && self.lights.is_empty()
            && self.cameras.is_empty()
            && self.geometry.is_empty()
            && self.skeletons.is_empty()
            && self.morphs.is_empty()
            && self.instancers.is_empty()
    }

    fn add_skeleton(&mut self, entities: &UsdStageEntities, place: Place, joints: &[Entity], range: &mut Range) {
        let contents = &entities.contents;
        let Some(skeleton) = bound::skeleton_of(contents, place) else { return };
        let animation = skeleton.animation.as_deref().and_then(|path| contents.resolve(place.list, path));
        let animation = animation.and_then(|place| animation_of(contents.prim(place)?));
        if let Some(animation) = &animation {
            range.add(&animation.translations);
            range.add(&animation.rotations);
            range.add(&animation.scales);
        }
        if !joints.is_empty() {
            self.skeletons.push(AnimatedSkeleton { joints: joints.to_vec(), skeleton, animation });
        }
    }

    fn add_morphs(&mut self, entities: &UsdStageEntities, index: usize, prim: &Prim, drawn: &Arc<Drawn>, range: &mut Range) {
        let contents = &entities.contents;
        let PrimData::Mesh(mesh) = &prim.data else { return };
        let Some(skin) = mesh.skin.as_ref().filter(|skin| !skin.blend_shapes.is_empty()) else { return };
        let Some(shown) = entities.shown.get(index) else { return };
        let list = shown.node.place.list;
        let skeleton = skin.skeleton.as_deref().and_then(|path| contents.resolve(list, path));
        let Some(animation) = skeleton.and_then(|place| {
            let skeleton = bound::skeleton_of(contents, place)?;
            let animation = contents.resolve(place.list, skeleton.animation.as_deref()?)?;
            animation_of(contents.prim(animation)?)
        }) else {
            return;
        };
        range.add(&animation.blend_shape_weights);
        for (part, entity) in shown.parts.iter().copied().enumerate() {
            if drawn.parts.get(part).is_some_and(|part| !part.info.morph_targets.is_empty()) {
                self.morphs.push(AnimatedMorph { entity, drawn: drawn.clone(), part, animation: animation.clone() });
            }
        }
    }
}

fn animation_of(prim: &Prim) -> Option<Arc<SkelAnimation>> {
    match &prim.data {
        PrimData::SkelAnimation(animation) => Some(animation.clone()),
        _ => None,
    }
}

/// First and last time of samples.
#[derive(Default)]
struct Range(Option<(f64, f64)>);

impl Range {
    fn add<T>(&mut self, value: &Sampled<T>) {
        if !value.is_animated() {
            return;
        }
        for (time, _) in value.samples.first().into_iter().chain(value.samples.last()) {
            if time.is_finite() {
                let (first, last) = self.0.unwrap_or((*time, *time));
                self.0 = Some((first.min(*time), last.max(*time)));
            }
        }
    }

    fn add_xform(&mut self, prim: &Prim) {
        for op in prim.xform.iter().flat_map(|xform| &xform.ops) {
            match &op.value {
                XformOpValue::Translate(value) | XformOpValue::Scale(value) | XformOpValue::Rotate { degrees: value, .. } => {
                    self.add(value)
                }
                XformOpValue::Orient(value) => self.add(value),
                XformOpValue::Transform(value) => self.add(value),
            }
        }
    }

    fn add_geometry(&mut self, data: &PrimData) {
        use studio_usd::snapshot::ShapeKind as Kind;
        match data {
            PrimData::Mesh(mesh) => {
                self.add(&mesh.points);
                self.add(&mesh.face_vertex_counts);
                self.add(&mesh.face_vertex_indices);
                if let Some(color) = &mesh.display_color {
                    self.add(&color.values);
                }
                if let Some(normals) = &mesh.normals {
                    self.add(&normals.values);
                }
            }
            PrimData::Curves(curves) => {
                self.add(&curves.points);
                if let Some(widths) = &curves.widths {
                    self.add(&widths.values);
                }
            }
            PrimData::Points(points) => {
                self.add(&points.points);
                if let Some(widths) = &points.widths {
                    self.add(&widths.values);
                }
            }
            PrimData::Shape(shape) => match &shape.kind {
                Kind::Cube { size } => self.add(size),
                Kind::Sphere { radius } => self.add(radius),
                Kind::Cylinder { height, radius, radius_top } | Kind::Capsule { height, radius, radius_top } => {
                    [height, radius, radius_top].into_iter().for_each(|value| self.add(value));
                }
                Kind::Cone { height, radius } => [height, radius].into_iter().for_each(|value| self.add(value)),
                Kind::Plane { width, length } => [width, length].into_iter().for_each(|value| self.add(value)),
            },
            _ => {}
        }
    }
}
