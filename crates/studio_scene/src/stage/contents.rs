//! What a stage is made of, ready to be shown: the snapshot, and beside each prim what was made of it.

use super::{message::UsdChange, prepare::PrimContent, settings::UsdLoadSettings, surface::Surfaces};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use studio_usd::{
    host::StageHost,
    open::Issue,
    snapshot::{Prim, PrimData, Purpose, StageSnapshot},
};

/// A prim in a snapshot: in the stage's own list or in that of a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The prototype, or `None` for the stage's own list.
    pub list: Option<usize>,
    /// Where in the list.
    pub prim: usize,
}

/// What prims of a prototype have from the instance that they are shown through, where they say nothing themselves. Visibility is not in
/// here: entities hand it down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Inherited {
    pub material: Option<Place>,
    pub purpose: Purpose,
}

/// A prim as one of its instances has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Use {
    pub place: Place,
    pub inherited: Inherited,
}

/// One list of prims: the stage's own or a prototype's.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Where each path is.
    by_path: HashMap<String, usize>,
    /// The children of each prim, in order.
    children: Vec<Vec<usize>>,
    /// Prims without a parent.
    roots: Vec<usize>,
}

impl List {
    fn of(prims: &[Prim]) -> Self {
        let mut list =
            Self { by_path: HashMap::with_capacity(prims.len()), children: vec![Vec::new(); prims.len()], roots: Vec::new() };
        for (index, prim) in prims.iter().enumerate() {
            list.by_path.insert(prim.path.clone(), index);
            // A parent comes first, so that what claims another one cannot make a circle.
            match prim.parent.filter(|parent| *parent < index).and_then(|parent| list.children.get_mut(parent)) {
                Some(children) => children.push(index),
                None => list.roots.push(index),
            }
        }
        list
    }
}

/// Where the prims of a snapshot are.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    stage: List,
    prototypes: Vec<List>,
}

impl PathIndex {
    pub(super) fn of(snapshot: &StageSnapshot) -> Self {
        Self {
            stage: List::of(&snapshot.prims),
            prototypes: snapshot.prototypes.iter().map(|prototype| List::of(&prototype.prims)).collect(),
        }
    }

    fn list(&self, list: Option<usize>) -> Option<&List> {
        list.map_or(Some(&self.stage), |prototype| self.prototypes.get(prototype))
    }

    /// The children of a prim within its list.
    pub(super) fn children(&self, place: Place) -> &[usize] {
        self.list(place.list).and_then(|list| list.children.get(place.prim)).map_or(&[], Vec::as_slice)
    }

    /// The prims of a list that have no parent.
    pub(super) fn roots(&self, list: Option<usize>) -> &[usize] {
        self.list(list).map_or(&[], |list| list.roots.as_slice())
    }

    /// The prim that a path means which is written in a list: absolute, or `./Looks/Red` relative to a prototype's root. An absolute path
    /// may lead into an instance.
    pub(super) fn resolve(&self, snapshot: &StageSnapshot, from: Option<usize>, path: &str) -> Option<Place> {
        match path.strip_prefix("./") {
            Some(relative) => self.within(snapshot, from, relative, 0),
            None => self.within(snapshot, None, path, 0),
        }
    }

    /// The place of the material that a path means, if there is one.
    pub(super) fn material(&self, snapshot: &StageSnapshot, from: Option<usize>, path: &str) -> Option<Place> {
        let place = self.resolve(snapshot, from, path)?;
        let data = &prims(snapshot, place.list).get(place.prim)?.data;
        matches!(data, PrimData::Material(_)).then_some(place)
    }

    /// The material of a prim, its own or the instance's.
    pub(super) fn material_of(&self, snapshot: &StageSnapshot, this: Use) -> Option<Place> {
        let list = prims(snapshot, this.place.list);
        let path = list.get(this.place.prim)?.material.as_deref();
        if let Some(inherited) = this.inherited.material
            && (path.is_none() || is_of_root(list, this.place.prim))
        {
            return Some(inherited);
        }
        self.material(snapshot, this.place.list, path?)
    }

    /// What an instance hands down to the prims of its prototype.
    pub(super) fn handed_down(&self, snapshot: &StageSnapshot, instance: Use) -> Inherited {
        let own = prims(snapshot, instance.place.list).get(instance.place.prim).map_or(Purpose::Default, |prim| prim.purpose);
        Inherited { material: self.material_of(snapshot, instance), purpose: instance.inherited.purpose_of(own) }
    }

    fn within(&self, snapshot: &StageSnapshot, list: Option<usize>, path: &str, depth: usize) -> Option<Place> {
        const MOST_NESTED: usize = 64;
        let by_path = &self.list(list)?.by_path;
        if let Some(prim) = by_path.get(path) {
            return Some(Place { list, prim: *prim });
        }
        // The nearest ancestor that is there may be an instance.
        let mut end = path.rfind('/')?;
        let prim = loop {
            let ancestor = path.get(..end)?;
            if let Some(prim) = by_path.get(ancestor) {
                break *prim;
            }
            end = path.get(..end).and_then(|path| path.rfind('/'))?;
        };
        let prototype = prims(snapshot, list).get(prim)?.prototype?;
        if depth >= MOST_NESTED {
            return None;
        }
        self.within(snapshot, Some(prototype), path.get(end + 1..)?, depth + 1)
    }
}

impl Inherited {
    /// The purpose of a prim that says this of itself.
    pub(super) fn purpose_of(&self, own: Purpose) -> Purpose {
        if own == Purpose::Default { self.purpose } else { own }
    }
}

/// Whether a prim of a prototype has its material from the prototype's root. The root is the instance's own place, and what is written there
/// is the instance's to change.
fn is_of_root(list: &[Prim], prim: usize) -> bool {
    let Some(root) = list.first() else { return false };
    let mut next = Some(prim).filter(|prim| list.get(*prim).is_some_and(|prim| prim.material == root.material));
    while let Some(at) = next.filter(|at| *at > 0) {
        let Some(prim) = list.get(at) else { return false };
        if prim.api_schemas.iter().any(|schema| schema == "MaterialBindingAPI") {
            return false;
        }
        // A parent comes first.
        next = prim.parent.filter(|parent| *parent < at);
    }
    next == Some(0)
}

/// The prims of a list.
pub(super) fn prims(snapshot: &StageSnapshot, list: Option<usize>) -> &[Prim] {
    match list {
        None => &snapshot.prims,
        Some(prototype) => snapshot.prototypes.get(prototype).map_or(&[], |prototype| prototype.prims.as_slice()),
    }
}

/// What was made of a prototype: once for all instances that hand down the same.
#[derive(Default)]
pub(super) struct Shared {
    /// What the first instance hands down.
    pub first: Inherited,
    /// Beside each prim.
    pub made: HashMap<Inherited, Vec<Arc<PrimContent>>>,
}

/// A stage, ready to be shown.
pub(super) struct StageContents {
    pub snapshot: Arc<StageSnapshot>,
    /// The live stage's revision that this is of, or a later one.
    pub revision: u64,
    /// The live stage, while it is there.
    pub host: Weak<StageHost>,
    pub issues: Vec<Issue>,
    pub settings: UsdLoadSettings,
    pub index: PathIndex,
    /// Beside each prim of the stage's own list.
    pub stage: Vec<Arc<PrimContent>>,
    /// Beside each prim of each prototype.
    pub prototypes: Vec<Shared>,
    /// What was asked for at run time, in order.
    pub choices: Vec<UsdChange>,
    pub surfaces: Surfaces,
}

impl StageContents {
    pub(super) fn prim(&self, place: Place) -> Option<&Prim> {
        prims(&self.snapshot, place.list).get(place.prim)
    }

    /// What was made of a prim. Where there are too many kinds of instances, those left over are shown as the first is.
    pub(super) fn content(&self, of: Use) -> Option<&Arc<PrimContent>> {
        self.content_made(of).or_else(|| {
            let inherited = self.prototypes.get(of.place.list?)?.first;
            self.content_made(Use { inherited, ..of })
        })
    }

    /// What was made of a prim for instances that hand down just this.
    pub(super) fn content_made(&self, of: Use) -> Option<&Arc<PrimContent>> {
        match of.place.list {
            None => self.stage.get(of.place.prim),
            Some(prototype) => self.prototypes.get(prototype)?.made.get(&of.inherited)?.get(of.place.prim),
        }
    }

    pub(super) fn resolve(&self, from: Option<usize>, path: &str) -> Option<Place> {
        self.index.resolve(&self.snapshot, from, path)
    }
}

/// A prim as it is shown: once, or once for each instance it is in.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its path, through instances.
    pub path: Arc<str>,
    /// The node it is below.
    pub parent: Option<usize>,
    pub place: Place,
    /// What it has from the instance that it is shared through.
    pub inherited: Inherited,
    /// The path of the instance that it is shared through, if it is.
    pub instance: Option<Arc<str>>,
    /// Whether it is below a point instancer, so that it is copied rather than drawn.
    pub copied: bool,
}

impl Node {
    /// Which content is its own.
    pub(super) const fn of(&self) -> Use {
        Use { place: self.place, inherited: self.inherited }
    }

    /// The path, as nodes have it, of a prim that is written in this node's list.
    pub(super) fn absolute(&self, path: &str) -> String {
        match (path.strip_prefix("./"), &self.instance) {
            (Some(relative), Some(instance)) => format!("{instance}/{relative}"),
            (Some(relative), None) => format!("/{relative}"),
            (None, _) => path.to_owned(),
        }
    }
}

/// All prims as they are shown, parents first; and whether there were more than may be.
pub(super) fn expand(contents: &StageContents, max_nodes: usize) -> (Vec<Node>, bool) {
    const MOST_NESTED: usize = 64;
    struct Open {
        place: Place,
        parent: Option<usize>,
        prefix: Option<Arc<str>>,
        inherited: Inherited,
        copied: bool,
        nested: usize,
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(contents.snapshot.prims.len());
    let open = |list, prim| Place { list, prim };
    let mut stack: Vec<Open> = Vec::new();
    for root in contents.index.roots(None).iter().rev() {
        let inherited = Inherited::default();
        stack.push(Open { place: open(None, *root), parent: None, prefix: None, inherited, copied: false, nested: 0 });
    }
    while let Some(Open { place, parent, prefix, inherited, copied, nested }) = stack.pop() {
        let Some(prim) = contents.prim(place) else { continue };
        if nodes.len() >= max_nodes {
            return (nodes, true);
        }
        let path: Arc<str> = match &prefix {
            Some(prefix) => format!("{prefix}/{}", prim.path).into(),
            None => prim.path.as_str().into(),
        };
        let node = nodes.len();
        nodes.push(Node { path: path.clone(), parent, place, inherited, instance: prefix.clone(), copied });
        let copied = copied || matches!(prim.data, PrimData::PointInstancer(_));
        for child in contents.index.children(place).iter().rev() {
            let place = open(place.list, *child);
            stack.push(Open { place, parent: Some(node), prefix: prefix.clone(), inherited, copied, nested });
        }
        if let Some(prototype) = prim.prototype.filter(|_| nested < MOST_NESTED) {
            let inherited = contents.index.handed_down(&contents.snapshot, Use { place, inherited });
            for root in contents.index.roots(Some(prototype)) {
                for child in contents.index.children(open(Some(prototype), *root)).iter().rev() {
                    let place = open(Some(prototype), *child);
                    let (parent, prefix) = (Some(node), Some(path.clone()));
                    stack.push(Open { place, parent, prefix, inherited, copied, nested: nested + 1 });
                }
            }
        }
    }
    (nodes, false)
}

/// Whether two prims say the same. Where they are in their lists does not count.
pub(super) fn same_prim(a: &Prim, b: &Prim) -> bool {
    let Prim {
        path,
        name,
        parent: _,
        type_name,
        api_schemas,
        kind,
        purpose,
        visible,
        xform,
        prototype,
        variant_sets,
        has_payload,
        is_loaded,
        material,
        data,
        attributes,
        relationships,
        animated_attributes,
        metadata,
    } = a;
    *path == b.path
        && *name == b.name
        && *type_name == b.type_name
        && *api_schemas == b.api_schemas
        && *kind == b.kind
        && *purpose == b.purpose
        && *visible == b.visible
        && *xform == b.xform
        && prototype.is_some() == b.prototype.is_some()
        && *variant_sets == b.variant_sets
        && *has_payload == b.has_payload
        && *is_loaded == b.is_loaded
        && *material == b.material
        && *data == b.data
        && *attributes == b.attributes
        && *relationships == b.relationships
        && *animated_attributes == b.animated_attributes
        && *metadata == b.metadata
}
