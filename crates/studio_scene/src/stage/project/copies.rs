//! Point instancers: an entity for each copy, which shares meshes and materials with all others, so that Bevy draws them in batches.
//!
//! What a copy draws is flattened: one entity below the copy for each mesh of its prototype, or the copy itself where the prototype is one
//! mesh that is not moved. Instancers within prototypes are flattened as well.

use super::{
    super::{
        components::{UsdPointInstance, UsdShearFrame},
        contents::{Node, Place, StageContents},
        transform::{self, Local},
    },
    bound,
};
use bevy::{math::DMat4, prelude::*};
use std::sync::Arc;
use studio_usd::snapshot::{PointCopy, PointInstancer, PrimData, Skeleton};

/// Instancers within instancers.
const MOST_NESTED: usize = 8;
/// Prims within prototypes within instances.
const MOST_DEEP: usize = 512;

/// The copies of an instancer.
#[derive(Default)]
pub(in super::super) struct Copies {
    /// Their entities, copy by copy.
    pub entities: Vec<Entity>,
    /// Which copy each is: its index and its prototype.
    pub which: Vec<(usize, usize)>,
    /// All entities, with those below copies.
    pub cost: usize,
    /// Joints that were made for copies.
    pub skeletons: Vec<CopiedSkeleton>,
}

/// What one copy of a prototype is made of.
#[derive(Default)]
struct Template {
    drawn: Vec<TemplatePart>,
    skeletons: Vec<TemplateSkeleton>,
}

struct TemplatePart {
    copy_from_prim: DMat4,
    place: Place,
    /// The skeleton that holds it.
    skeleton: Option<Place>,
}

struct TemplateSkeleton {
    copy_from_prim: DMat4,
    place: Place,
    skeleton: Arc<Skeleton>,
}

/// A skeleton that was made for a copy.
pub(in super::super) struct CopiedSkeleton {
    pub place: Place,
    pub joints: Vec<Entity>,
}

/// Makes the copies of an instancer, of at most `max_entities`.
pub(in super::super) fn spawn(
    world: &mut World,
    contents: &StageContents,
    node: &Node,
    parent: Entity,
    instancer: &PointInstancer,
    time: f64,
    max_entities: usize,
) -> Copies {
    let templates: Vec<Template> = instancer
        .prototypes
        .iter()
        .map(|path| {
            let mut template = Template::default();
            if let Some(place) = contents.resolve(node.place.list, path) {
                collect(contents, place, DMat4::IDENTITY, time, 0, 0, &mut max_entities.clone(), &mut template);
            }
            template
        })
        .collect();
    let mut copies = Copies::default();
    for copy in instancer.copies(time) {
        let Some(template) = templates.get(copy.prototype) else { continue };
        let joints: usize = template.skeletons.iter().map(|skeleton| skeleton.skeleton.joints.len()).sum();
        let cost = 1 + template.drawn.len() + joints;
        if copies.cost + cost > max_entities {
            warn!(
                "{}: {}: copies beyond {} entities are left out; raise UsdSceneBudget::max_entities",
                contents.snapshot.root_layer, node.path, contents.settings.budget.max_entities
            );
            break;
        }
        copies.cost += cost;
        let entity = spawn_copy(world, contents, template, &copy, parent, &mut copies.skeletons);
        copies.entities.push(entity);
        copies.which.push((copy.index, copy.prototype));
    }
    copies
}

/// Moves the copies of an instancer to where they are at a time. `false` if there are others then.
pub(in super::super) fn move_copies(
    copies: &Copies,
    instancer: &PointInstancer,
    time: f64,
    transforms: &mut Query<&mut Transform>,
) -> bool {
    let now = instancer.copies(time);
    if now.len() != copies.which.len() || !now.iter().zip(&copies.which).all(|(now, which)| (now.index, now.prototype) == *which)
    {
        return false;
    }
    for (copy, entity) in now.iter().zip(&copies.entities) {
        if let Ok(mut transform) = transforms.get_mut(*entity) {
            transform.set_if_neq(placed(copy));
        }
    }
    true
}

fn placed(copy: &PointCopy) -> Transform {
    let placement = &copy.placement;
    Transform {
        translation: placement.position.as_vec3(),
        rotation: placement.orientation.as_quat(),
        scale: placement.scale.as_vec3(),
    }
}

fn spawn_copy(
    world: &mut World,
    contents: &StageContents,
    template: &Template,
    copy: &PointCopy,
    parent: Entity,
    copied_skeletons: &mut Vec<CopiedSkeleton>,
) -> Entity {
    let instance = UsdPointInstance { index: copy.index, id: copy.id, prototype: copy.prototype };
    let entity = world.spawn((instance, placed(copy), ChildOf(parent))).id();
    let joints: Vec<Vec<Entity>> = template
        .skeletons
        .iter()
        .map(|skeleton| {
            let anchor = spawn_below(world, entity, &skeleton.copy_from_prim);
            bound::spawn_joints(world, anchor, &skeleton.skeleton)
        })
        .collect();
    let is_plain = template.drawn.len() == 1 && template.skeletons.is_empty();
    for part in &template.drawn {
        let Some(content) = contents.content(part.place) else { continue };
        let Some(drawn) = &content.drawn else { continue };
        let skeleton = template.skeletons.iter().position(|skeleton| Some(skeleton.place) == part.skeleton);
        let joints = skeleton.and_then(|skeleton| joints.get(skeleton)).map_or(&[][..], Vec::as_slice);
        let base = if is_plain && part.copy_from_prim == DMat4::IDENTITY {
            entity
        } else {
            spawn_below(world, entity, &part.copy_from_prim)
        };
        for index in 0..drawn.parts.len() {
            let target =
                if index == 0 { base } else { world.spawn((Transform::IDENTITY, Visibility::Inherited, ChildOf(base))).id() };
            bound::insert_part(world, target, content, drawn, index, joints);
        }
    }
    for (skeleton, joints) in template.skeletons.iter().zip(joints) {
        copied_skeletons.push(CopiedSkeleton { place: skeleton.place, joints });
    }
    entity
}

fn spawn_below(world: &mut World, parent: Entity, matrix: &DMat4) -> Entity {
    match transform::decompose(matrix, false) {
        Local::Plain(transform) => world.spawn((transform, Visibility::Inherited, ChildOf(parent))).id(),
        Local::Sheared { frame, inner } => {
            let frame = world.spawn((UsdShearFrame, frame, ChildOf(parent))).id();
            world.spawn((inner, Visibility::Inherited, ChildOf(frame))).id()
        }
    }
}

/// Adds what a prim and all below it draw.
fn collect(
    contents: &StageContents,
    place: Place,
    copy_from_parent: DMat4,
    time: f64,
    depth: usize,
    nested: usize,
    budget: &mut usize,
    template: &mut Template,
) {
    let Some(prim) = contents.prim(place) else { return };
    if depth > MOST_DEEP || *budget == 0 || prim.visible.held_at(time) == Some(&false) {
        return;
    }
    let own = prim.xform.as_ref().map_or(DMat4::IDENTITY, |xform| xform.parent_from_prim(time));
    let copy_from_prim = copy_from_parent * own;
    match &prim.data {
        PrimData::Skeleton(skeleton) => {
            template.skeletons.push(TemplateSkeleton { copy_from_prim, place, skeleton: skeleton.clone() });
        }
        PrimData::PointInstancer(instancer) if nested < MOST_NESTED => {
            for copy in instancer.copies(time) {
                let Some(prototype) = instancer.prototypes.get(copy.prototype) else { continue };
                let Some(prototype) = contents.resolve(place.list, prototype) else { continue };
                let matrix = copy_from_prim * placed(&copy).to_matrix().as_dmat4();
                collect(contents, prototype, matrix, time, depth + 1, nested + 1, budget, template);
            }
            return;
        }
        _ => {}
    }
    if contents.content(place).is_some_and(|content| content.drawn.is_some()) {
        *budget = budget.saturating_sub(1);
        let skeleton = match &prim.data {
            PrimData::Mesh(mesh) => mesh.skin.as_ref().and_then(|skin| contents.resolve(place.list, skin.skeleton.as_deref()?)),
            _ => None,
        };
        template.drawn.push(TemplatePart { copy_from_prim, place, skeleton });
    }
    for child in contents.index.children(place) {
        let child = Place { list: place.list, prim: *child };
        collect(contents, child, copy_from_prim, time, depth + 1, nested, budget, template);
    }
    if let Some(prototype) = prim.prototype {
        for root in contents.index.roots(Some(prototype)) {
            for child in contents.index.children(Place { list: Some(prototype), prim: *root }) {
                let child = Place { list: Some(prototype), prim: *child };
                collect(contents, child, copy_from_prim, time, depth + 1, nested, budget, template);
            }
        }
    }
}
