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

    /// The prim that a path means which is written in a list: absolute, or `./Looks/Red` relative to a prototype's root. An absolute path
    /// may lead into an instance.
    pub(super) fn resolve(&self, snapshot: &StageSnapshot, from: Option<usize>, path: &str) -> Option<Place> {
        match path.strip_prefix("./") {
            Some(relative) => self.within(snapshot, from, relative, 0),
            None => self.within(snapshot, None, path, 0),
        }
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
            let Some(ancestor) = path.get(..end) else { return None };
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

    pub(super) fn content(&self, place: Place) -> Option<&Arc<PrimContent>> {
        match place.list {
            None => self.stage.get(place.prim),
            Some(prototype) => self.prototypes.get(prototype)?.get(place.prim),
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
    /// The path of the instance that it is shared through, if it is.
    pub instance: Option<Arc<str>>,
    /// Whether it is below a point instancer, so that it is copied rather than drawn.
    pub copied: bool,
}

impl Node {
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
        copied: bool,
        nested: usize,
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(contents.snapshot.prims.len());
    let open = |list, prim| Place { list, prim };
    let mut stack: Vec<Open> = Vec::new();
    for root in contents.index.roots(None).iter().rev() {
        stack.push(Open { place: open(None, *root), parent: None, prefix: None, copied: false, nested: 0 });
    }
    while let Some(Open { place, parent, prefix, copied, nested }) = stack.pop() {
        let Some(prim) = contents.prim(place) else { continue };
        if nodes.len() >= max_nodes {
            return (nodes, true);
        }
        let path: Arc<str> = match &prefix {
            Some(prefix) => format!("{prefix}/{}", prim.path).into(),
            None => prim.path.as_str().into(),
        };
        let node = nodes.len();
        nodes.push(Node { path: path.clone(), parent, place, instance: prefix.clone(), copied });
        let copied = copied || matches!(prim.data, PrimData::PointInstancer(_));
        for child in contents.index.children(place).iter().rev() {
            let place = open(place.list, *child);
            stack.push(Open { place, parent: Some(node), prefix: prefix.clone(), copied, nested });
        }
        if let Some(prototype) = prim.prototype.filter(|_| nested < MOST_NESTED) {
            for root in contents.index.roots(Some(prototype)) {
                for child in contents.index.children(open(Some(prototype), *root)).iter().rev() {
                    let place = open(Some(prototype), *child);
                    stack.push(Open { place, parent: Some(node), prefix: Some(path.clone()), copied, nested: nested + 1 });
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
