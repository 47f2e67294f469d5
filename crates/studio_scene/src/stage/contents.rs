//! What a stage is made of, ready to be shown: the snapshot, and beside each prim what was made of it.

use super::{message::UsdChange, prepare::PrimContent, settings::UsdLoadSettings, surface::Surfaces};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use studio_usd::{
    host::StageHost,
    open::Issue,
    snapshot::{Prim, PrimData, StageSnapshot},
};

/// A prim in a snapshot: in the stage's own list or in that of a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The prototype, or `None` for the stage's own list.
    pub list: Option<usize>,
    /// Where in the list.
    pub prim: usize,
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

    /// The prim that a path means which is written in a list: absolute, or relative to a prototype's root as [`StageSnapshot::list_of`]
    /// has it. It may lead into an instance.
    pub(super) fn resolve(&self, snapshot: &StageSnapshot, from: Option<usize>, path: &str) -> Option<Place> {
        let (list, path) = snapshot.list_of(from, path)?;
        self.within(snapshot, list, path, 0)
    }

    /// The place of the material that a path means, if there is one.
    pub(super) fn material(&self, snapshot: &StageSnapshot, from: Option<usize>, path: &str) -> Option<Place> {
        let place = self.resolve(snapshot, from, path)?;
        let data = &prims(snapshot, place.list).get(place.prim)?.data;
        matches!(data, PrimData::Material(_)).then_some(place)
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

/// The prims of a list.
pub(super) fn prims(snapshot: &StageSnapshot, list: Option<usize>) -> &[Prim] {
    match list {
        None => &snapshot.prims,
        Some(prototype) => snapshot.prototypes.get(prototype).map_or(&[], |prototype| prototype.prims.as_slice()),
    }
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
    pub prototypes: Vec<Vec<Arc<PrimContent>>>,
    /// What was asked for at run time, in order.
    pub choices: Vec<UsdChange>,
    pub surfaces: Surfaces,
}

impl StageContents {
    pub(super) fn prim(&self, place: Place) -> Option<&Prim> {
        prims(&self.snapshot, place.list).get(place.prim)
    }

    /// What was made of a prim.
    pub(super) fn content(&self, of: Place) -> Option<&Arc<PrimContent>> {
        let list = of.list.map_or(Some(&self.stage), |prototype| self.prototypes.get(prototype))?;
        list.get(of.prim)
    }

    pub(super) fn resolve(&self, from: Option<usize>, path: &str) -> Option<Place> {
        self.index.resolve(&self.snapshot, from, path)
    }
}

/// An instance that prims are shown through.
#[derive(Debug)]
pub(super) struct Instance {
    /// Its path, through other instances.
    pub path: Arc<str>,
    /// The instance that it is shown through itself.
    pub outer: Option<Arc<Instance>>,
}

/// A prim as it is shown: once, or once for each instance it is in.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its path, through instances.
    pub path: Arc<str>,
    /// The node it is below.
    pub parent: Option<usize>,
    pub place: Place,
    /// The instance that it is shared through, if it is.
    pub instance: Option<Arc<Instance>>,
    /// Whether it is below a point instancer, so that it is copied rather than drawn.
    pub copied: bool,
}

impl Node {
    /// The path, as nodes have it, of a prim that is written in this node's list.
    pub(super) fn absolute(&self, path: &str) -> String {
        let mut instance = self.instance.as_ref();
        let mut rest = path;
        while let Some(up) = rest.strip_prefix("../") {
            instance = instance.and_then(|instance| instance.outer.as_ref());
            rest = up;
        }
        match rest.strip_prefix("./").or_else(|| (rest.len() < path.len()).then_some(rest)) {
            Some(relative) => format!("{}/{relative}", instance.map_or("", |instance| &*instance.path)),
            None => path.to_owned(),
        }
    }
}

/// All prims as they are shown, parents first; and whether there were more than may be.
pub(super) fn expand(contents: &StageContents, max_nodes: usize) -> (Vec<Node>, bool) {
    const MOST_NESTED: usize = 64;
    struct Open {
        place: Place,
        parent: Option<usize>,
        instance: Option<Arc<Instance>>,
        copied: bool,
        nested: usize,
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(contents.snapshot.prims.len());
    let open = |list, prim| Place { list, prim };
    let mut stack: Vec<Open> = Vec::new();
    for root in contents.index.roots(None).iter().rev() {
        stack.push(Open { place: open(None, *root), parent: None, instance: None, copied: false, nested: 0 });
    }
    while let Some(Open { place, parent, instance, copied, nested }) = stack.pop() {
        let Some(prim) = contents.prim(place) else { continue };
        if nodes.len() >= max_nodes {
            return (nodes, true);
        }
        let path: Arc<str> = match &instance {
            Some(instance) => format!("{}/{}", instance.path, prim.path).into(),
            None => prim.path.as_str().into(),
        };
        let node = nodes.len();
        nodes.push(Node { path: path.clone(), parent, place, instance: instance.clone(), copied });
        let copied = copied || matches!(prim.data, PrimData::PointInstancer(_));
        for child in contents.index.children(place).iter().rev() {
            let place = open(place.list, *child);
            stack.push(Open { place, parent: Some(node), instance: instance.clone(), copied, nested });
        }
        if let Some(prototype) = prim.prototype.filter(|_| nested < MOST_NESTED) {
            let instance = Some(Arc::new(Instance { path, outer: instance }));
            for root in contents.index.roots(Some(prototype)) {
                for child in contents.index.children(open(Some(prototype), *root)).iter().rev() {
                    let place = open(Some(prototype), *child);
                    let instance = instance.clone();
                    stack.push(Open { place, parent: Some(node), instance, copied, nested: nested + 1 });
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
