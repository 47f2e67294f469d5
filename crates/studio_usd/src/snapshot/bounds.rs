//! The box around a stage, as `UsdGeomBBoxCache` computes it: purposes `default` and `render`, what is visible, authored extents first,
//! and what is below a prim that has an extent is taken to be in it.

use super::{
    Attribute, AttributeValue, Bounds, Light, LightKind, PointInstancer, Prim, PrimData, Purpose, Sampled, Shape, Skeleton,
    StageSnapshot,
};
use glam::{DMat4, DQuat, DVec3, Vec3};
use std::collections::HashMap;

/// Prims looked at for one box at most: instances of instances can be more than there is time for.
const MAX_VISITS: usize = 20_000_000;

/// Prims looked at for the box of one skeleton's meshes at most.
const MAX_SKELETON_VISITS: usize = 1_000_000;

/// Instancers that copy instancers are followed this deep.
const MAX_NESTED_INSTANCERS: usize = 16;

impl Bounds {
    /// The box, if it is one: not inside out, and of numbers.
    fn checked(self) -> Option<Self> {
        (self.min.is_finite() && self.max.is_finite() && self.min.cmple(self.max).all()).then_some(self)
    }

    /// The box along the axes around this one after it was moved.
    #[must_use]
    pub fn transformed(self, matrix: DMat4) -> Self {
        // The sum of the extremes of each column is the extreme of the sums (Arvo, Transforming Axis-Aligned Bounding Boxes).
        let columns = [
            (matrix.x_axis, self.min.x, self.max.x),
            (matrix.y_axis, self.min.y, self.max.y),
            (matrix.z_axis, self.min.z, self.max.z),
        ];
        columns.into_iter().fold(Self::point(matrix.w_axis.truncate()), |bounds, (column, low, high)| {
            let (low, high) = (column.truncate() * low, column.truncate() * high);
            Self { min: bounds.min + low.min(high), max: bounds.max + low.max(high) }
        })
    }
}

fn join(one: Option<Bounds>, two: Option<Bounds>) -> Option<Bounds> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.union(two)),
        (one, two) => one.or(two),
    }
}

/// A prim: the list it is in (0 is the stage's, then the prototypes'), and its place.
type Place = (usize, usize);

struct Cache<'a> {
    snapshot: &'a StageSnapshot,
    lists: Vec<&'a [Prim]>,
    children: Vec<Vec<Vec<usize>>>,
    places: Vec<HashMap<&'a str, usize>>,
    time: f64,
    visits: usize,
    /// Extents of instancers that were computed.
    instancers: HashMap<Place, Option<Bounds>>,
    /// Instancers that are being computed: one that copies itself adds nothing.
    open: Vec<Place>,
}

impl StageSnapshot {
    /// The box around everything an audience sees at a time, in the stage's units and axes; `None` if there is nothing to see. The time
    /// may be [`f64::NEG_INFINITY`] for the first samples.
    pub fn world_bound(&self, time: f64) -> Option<Bounds> {
        let mut lists: Vec<&[Prim]> = vec![&self.prims];
        lists.extend(self.prototypes.iter().map(|prototype| prototype.prims.as_slice()));
        let mut cache = Cache {
            snapshot: self,
            children: lists.iter().map(|prims| children(prims)).collect(),
            places: lists
                .iter()
                .map(|prims| prims.iter().enumerate().map(|(place, prim)| (prim.path.as_str(), place)).collect())
                .collect(),
            lists,
            time,
            visits: 0,
            instancers: HashMap::new(),
            open: Vec::new(),
        };
        let roots = self.prims.iter().enumerate().filter(|(_, prim)| prim.parent.is_none()).map(|(place, _)| (0, place));
        roots.fold(None, |all, root| join(all, cache.around(root, true, &[Purpose::Default, Purpose::Render])))
    }
}

fn children(prims: &[Prim]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); prims.len()];
    for (place, prim) in prims.iter().enumerate() {
        if let Some(siblings) = prim.parent.and_then(|parent| children.get_mut(parent)) {
            siblings.push(place);
        }
    }
    children
}

impl<'a> Cache<'a> {
    fn prim(&self, (list, place): Place) -> Option<&'a Prim> {
        self.lists.get(list)?.get(place)
    }

    /// The children of a prim; those of an instance are its prototype's.
    fn children(&self, place: Place) -> impl Iterator<Item = Place> {
        // The prototype's root stands for the instance.
        let (list, place) = self.prim(place).and_then(|prim| prim.prototype).map_or(place, |prototype| (prototype + 1, 0));
        let children = self.children.get(list).and_then(|children| children.get(place)).cloned().unwrap_or_default();
        children.into_iter().map(move |child| (list, child))
    }

    /// The prim at a path that is written in a list.
    fn find(&self, list: usize, path: &str) -> Option<Place> {
        let (list, path) = self.snapshot.list_of(list.checked_sub(1), path)?;
        let list = list.map_or(0, |prototype| prototype + 1);
        Some((list, *self.places.get(list)?.get(path)?))
    }

    /// The prims that an instancer copies.
    fn prototypes(&self, list: usize, instancer: &PointInstancer) -> Vec<Option<Place>> {
        instancer.prototypes.iter().map(|path| self.find(list, path)).collect()
    }

    /// The box around a prim and all below it; with its own transform, or in its own space.
    fn around(&mut self, place: Place, with_own: bool, purposes: &[Purpose]) -> Option<Bounds> {
        let mut all: Option<Bounds> = None;
        // A list instead of calls, so depth costs no stack.
        let mut open = vec![(place, DMat4::IDENTITY, with_own)];
        while let Some((place, above, with_own)) = open.pop() {
            self.visits += 1;
            if self.visits > MAX_VISITS {
                tracing::warn!("the box around the stage leaves out what is beyond {MAX_VISITS} prims");
                break;
            }
            let Some(prim) = self.prim(place) else { continue };
            if !prim.is_imageable() || !prim.visible.at(self.time).unwrap_or(true) {
                continue;
            }
            let matrix = match &prim.xform {
                Some(xform) if with_own && xform.resets_stack => xform.parent_from_prim(self.time),
                Some(xform) if with_own => above * xform.parent_from_prim(self.time),
                _ => above,
            };
            if is_leaf(prim) {
                if purposes.contains(&prim.purpose) {
                    let extent = authored_extent(prim, self.time).or_else(|| self.computed_extent(prim, place));
                    all = join(all, extent.and_then(Bounds::checked).map(|extent| extent.transformed(matrix)));
                }
            } else {
                open.extend(self.children(place).map(|child| (child, matrix, true)));
            }
        }
        all
    }

    /// The extent that a prim's schema computes where the file says none.
    fn computed_extent(&mut self, prim: &Prim, place: Place) -> Option<Bounds> {
        let time = self.time;
        match &prim.data {
            PrimData::Mesh(mesh) => around(&mesh.points.at(time)?, |_| 0.0),
            PrimData::Shape(shape) => Some(shape.bounds(time)),
            PrimData::Curves(curves) => {
                let widths = curves.widths.as_ref().and_then(|widths| widths.values.at(time)).unwrap_or_default();
                let widest = widths.into_iter().fold(0.0, f32::max);
                around(&curves.points.at(time)?, |_| widest)
            }
            PrimData::Points(points) => {
                let positions = points.points.at(time)?;
                let widths = points.widths.as_ref().and_then(|widths| widths.values.at(time)).unwrap_or_default();
                // USD has no extent for points with another number of widths.
                if !widths.is_empty() && widths.len() != positions.len() {
                    return None;
                }
                around(&positions, |index| widths.get(index).copied().unwrap_or(0.0))
            }
            PrimData::PointInstancer(instancer) => self.instancer_extent(instancer, place),
            PrimData::Light(light) => light_extent(light, prim),
            PrimData::Skeleton(skeleton) => joints_extent(&self.pose(skeleton, place.0)),
            _ if prim.type_name == "SkelRoot" => self.skel_root_extent(place),
            _ => None,
        }
    }

    fn instancer_extent(&mut self, instancer: &PointInstancer, place: Place) -> Option<Bounds> {
        if let Some(extent) = self.instancers.get(&place) {
            return *extent;
        }
        if self.open.contains(&place) || self.open.len() >= MAX_NESTED_INSTANCERS {
            return None;
        }
        self.open.push(place);
        let mut prototypes: Vec<Option<(Bounds, DMat4)>> = Vec::new();
        for prototype in self.prototypes(place.0, instancer) {
            let found = prototype.and_then(|prototype| {
                let bounds = self.around(prototype, false, &[Purpose::Default, Purpose::Render, Purpose::Proxy])?;
                let xform = self.prim(prototype)?.xform.as_ref().map(|xform| xform.parent_from_prim(self.time));
                Some((bounds, xform.unwrap_or_default()))
            });
            prototypes.push(found);
        }
        self.open.pop();
        let copies = instancer.copies(self.time).into_iter().filter_map(|copy| {
            let (bounds, xform) = prototypes.get(copy.prototype)?.as_ref()?;
            Some(bounds.transformed(copy.placement.matrix() * *xform))
        });
        let extent = copies.reduce(Bounds::union);
        self.instancers.insert(place, extent);
        extent
    }

    /// The joints' places in the skeleton's space: as animated, or as at rest.
    fn pose(&self, skeleton: &Skeleton, list: usize) -> Vec<DMat4> {
        let animation = skeleton.animation.as_ref().and_then(|path| self.prim(self.find(list, path)?));
        let animation = match animation.map(|prim| &prim.data) {
            Some(PrimData::SkelAnimation(animation)) => Some(animation),
            _ => None,
        };
        skeleton.joint_matrices(animation.map(|animation| (animation.as_ref(), self.time)))
    }

    /// The joints of all skeletons below, widened by how far skinned meshes reach beyond the joints they are bound to.
    fn skel_root_extent(&self, place: Place) -> Option<Bounds> {
        let mut all: Option<Bounds> = None;
        let mut open: Vec<(Place, DMat4)> = self.children(place).map(|child| (child, DMat4::IDENTITY)).collect();
        let mut padding = 0.0_f64;
        let mut visits = 0;
        while let Some((here, above)) = open.pop() {
            visits += 1;
            let Some(prim) = self.prim(here).filter(|_| visits <= MAX_SKELETON_VISITS) else { break };
            let matrix = above * prim.xform.as_ref().map(|xform| xform.parent_from_prim(self.time)).unwrap_or_default();
            if let PrimData::Skeleton(skeleton) = &prim.data {
                let joints: Vec<DMat4> = self.pose(skeleton, here.0).into_iter().map(|joint| matrix * joint).collect();
                if let Some(joints) = joints_extent(&joints) {
                    all = Some(all.map_or(joints, |all| all.union(joints)));
                }
                padding = padding.max(self.padding(skeleton, place));
            }
            open.extend(self.children(here).map(|child| (child, matrix)));
        }
        all.map(|all| Bounds { min: all.min - padding, max: all.max + padding })
    }

    /// How far the extents of the meshes of a skeleton reach beyond its joints, both as they were bound.
    fn padding(&self, skeleton: &Skeleton, root: Place) -> f64 {
        let Some(joints) = joints_extent(&skeleton.bind_transforms) else { return 0.0 };
        let mut padding = 0.0_f64;
        let mut open: Vec<Place> = self.children(root).collect();
        let mut visits = 0;
        while let Some(here) = open.pop() {
            visits += 1;
            let Some(prim) = self.prim(here).filter(|_| visits <= MAX_SKELETON_VISITS) else { break };
            if let PrimData::Mesh(mesh) = &prim.data
                && let Some(skin) = &mesh.skin
                && let Some(extent) = extent_of(&mesh.extent, self.time).and_then(Bounds::checked)
            {
                let extent = extent.transformed(skin.geom_bind_transform);
                let beyond = (joints.min - extent.min).max(extent.max - joints.max);
                padding = padding.max(beyond.max_element());
            }
            open.extend(self.children(here));
        }
        padding
    }
}

/// Whether a prim's extent stands for everything below it (USD's `Boundable`).
fn is_leaf(prim: &Prim) -> bool {
    match &prim.data {
        PrimData::Mesh(_)
        | PrimData::Shape(_)
        | PrimData::Curves(_)
        | PrimData::Points(_)
        | PrimData::PointInstancer(_)
        | PrimData::Skeleton(_) => true,
        PrimData::Light(_) => {
            !matches!(prim.type_name.as_str(), "DistantLight" | "DomeLight" | "DomeLight_1" | "GeometryLight" | "PluginLight")
        }
        _ => matches!(prim.type_name.as_str(), "SkelRoot" | "Volume" | "NurbsPatch"),
    }
}

fn extent_of(extent: &Sampled<Vec<Vec3>>, time: f64) -> Option<Bounds> {
    match extent.at(time)?.as_slice() {
        [min, max] => Some(Bounds { min: min.as_dvec3(), max: max.as_dvec3() }),
        _ => None,
    }
}

/// The extent that the file says.
fn authored_extent(prim: &Prim, time: f64) -> Option<Bounds> {
    match &prim.data {
        PrimData::Mesh(mesh) => extent_of(&mesh.extent, time),
        PrimData::Curves(curves) => extent_of(&curves.extent, time),
        PrimData::Points(points) => extent_of(&points.extent, time),
        PrimData::PointInstancer(instancer) => extent_of(&instancer.extent, time),
        _ => match attribute(prim, "extent")?.value.held_at(time)? {
            AttributeValue::Array { width: 3, numbers } => match numbers.as_slice() {
                [a, b, c, d, e, f] => Some(Bounds { min: DVec3::new(*a, *b, *c), max: DVec3::new(*d, *e, *f) }),
                _ => None,
            },
            _ => None,
        },
    }
}

fn attribute<'a>(prim: &'a Prim, name: &str) -> Option<&'a Attribute> {
    prim.attributes.iter().find(|attribute| attribute.name == name)
}

/// The box around balls at points.
fn around(points: &[Vec3], width: impl Fn(usize) -> f32) -> Option<Bounds> {
    let boxes = points.iter().enumerate().map(|(index, point)| {
        let half = Vec3::splat(width(index) / 2.0);
        Bounds { min: (*point - half).as_dvec3(), max: (*point + half).as_dvec3() }
    });
    boxes.reduce(Bounds::union)
}

fn joints_extent(joints: &[DMat4]) -> Option<Bounds> {
    joints.iter().map(|joint| Bounds::point(joint.w_axis.truncate())).reduce(Bounds::union)
}

fn light_extent(light: &Light, prim: &Prim) -> Option<Bounds> {
    let number = |name: &str| match attribute(prim, name).and_then(|attribute| attribute.value.default.as_ref()) {
        Some(AttributeValue::Double(number)) => *number,
        _ => 1.0,
    };
    let half = match &light.kind {
        LightKind::Sphere { radius, .. } => Vec3::splat(*radius).as_dvec3(),
        LightKind::Disk { radius } => Vec3::new(*radius, *radius, 0.0).as_dvec3(),
        LightKind::Rect { width, height, .. } => Vec3::new(width / 2.0, height / 2.0, 0.0).as_dvec3(),
        LightKind::Cylinder { length, radius, .. } => Vec3::new(length / 2.0, *radius, *radius).as_dvec3(),
        LightKind::Other if prim.type_name == "PortalLight" => {
            DVec3::new(number("inputs:width") / 2.0, number("inputs:height") / 2.0, 0.0)
        }
        _ => return None,
    };
    Some(Bounds { min: -half, max: half })
}

impl Prim {
    /// Whether its type has a place in pictures: unlike materials, shaders and animations, and unlike no type at all.
    pub fn is_imageable(&self) -> bool {
        is_imageable(&self.type_name)
    }
}

/// Whether a type is known not to be seen. Types that nothing here knows are taken to be seen: nobody says that they are not.
pub(crate) fn is_imageable(type_name: &str) -> bool {
    const UNSEEN: [&str; 11] = [
        "Material",
        "Shader",
        "NodeGraph",
        "GeomSubset",
        "SkelAnimation",
        "BlendShape",
        "RenderSettings",
        "RenderProduct",
        "RenderVar",
        "RenderPass",
        "Backdrop",
    ];
    !UNSEEN.contains(&type_name)
}

impl Shape {
    /// How far the caps of a capsule whose ends differ reach: the balls are placed so that the cylinder between meets them smoothly.
    pub(super) fn capsule_reach(height: f64, radius: f64, radius_top: f64) -> (f64, f64, f64) {
        let slope = if height == 0.0 { 0.0 } else { (radius_top - radius) / height };
        let slant = (1.0 + slope * slope).sqrt();
        (radius * (slant - slope), radius_top * (slant + slope), radius.max(radius_top) * slant)
    }
}

impl Skeleton {
    /// The joints' matrices to the skeleton's space: those of an animation at a time, and where it has no joint, the rest pose.
    pub fn joint_matrices(&self, animation: Option<(&super::SkelAnimation, f64)>) -> Vec<DMat4> {
        let mut local = self.rest_transforms.clone();
        local.resize(self.joints.len(), DMat4::IDENTITY);
        if let Some((animation, time)) = animation {
            let places: HashMap<&str, usize> =
                self.joints.iter().enumerate().map(|(place, joint)| (joint.as_str(), place)).collect();
            let translations = animation.translations.at(time).unwrap_or_default();
            let rotations = animation.rotations.at(time).unwrap_or_default();
            let scales = animation.scales.at(time).unwrap_or_default();
            for (index, joint) in animation.joints.iter().enumerate() {
                let Some(local) = places.get(joint.as_str()).and_then(|place| local.get_mut(*place)) else { continue };
                // An animation says all three of a joint, or nothing.
                if let (Some(translation), Some(rotation), Some(scale)) =
                    (translations.get(index), rotations.get(index), scales.get(index))
                {
                    let rotation = rotation.as_dquat().normalize();
                    let rotation = if rotation.is_finite() { rotation } else { DQuat::IDENTITY };
                    *local = DMat4::from_scale_rotation_translation(scale.as_dvec3(), rotation, translation.as_dvec3());
                }
            }
        }
        let mut absolute: Vec<DMat4> = Vec::with_capacity(local.len());
        for (place, local) in local.into_iter().enumerate() {
            let parent = self.parents.get(place).copied().flatten().and_then(|parent| absolute.get(parent)).copied();
            absolute.push(parent.unwrap_or(DMat4::IDENTITY) * local);
        }
        absolute
    }
}
