//! Prototypes as their instances show them.
//!
//! Prims of an instance inherit from above it as all others do: primvars, material bindings, purpose, skeletons. OpenUSD answers for each
//! instance proxy by the path through its instances (`UsdPrim::IsInstanceProxy`, `UsdGeomPrimvarsAPI::FindPrimvarWithInheritance`,
//! `UsdShadeMaterialBindingAPI::ComputeBoundMaterial`, `UsdSkelCache`). Here a prototype is read once for all instances that hand down the
//! same, and once more for each thing else that any hands down; what comes out the same shares its data.

use super::{
    Below, IssueSeverity,
    read::{InstanceRoot, PrimReader, Reader, Scope},
    walk::Trees,
};
use crate::snapshot::{Prim, PrimData, Prototype};
use openusd::sdf;
use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

/// No more values than this are held because instances hand down different things to the same meshes, curves or points.
const MAX_REPEATED_VALUES: usize = 100_000_000;

/// A prototype that is to be read for an instance.
struct Wanted<'a> {
    tree: usize,
    outer: Option<usize>,
    scope: Rc<Scope>,
    below: Below<'a>,
}

/// A prototype as it was read first, when it is read again.
pub(super) struct Before<'p> {
    pub prims: &'p [Prim],
    /// Whether other primvars are handed down to it now.
    other_primvars: bool,
}

impl Before<'_> {
    /// Whether what a prim is has to be read again, because it may depend on what is handed down.
    pub fn is_other(&self, known: &Prim, prim: &PrimReader<'_>, own: &Below<'_>) -> bool {
        let written = |path: &Option<sdf::Path>| path.as_ref().map(|path| prim.scope.write(path));
        match &known.data {
            PrimData::Mesh(mesh) => {
                let is_other_skeleton = || mesh.skin.as_ref().is_some_and(|skin| skin.skeleton != written(&own.skel.skeleton));
                self.other_primvars || is_other_skeleton()
            }
            PrimData::Shape(_) | PrimData::Curves(_) | PrimData::Points(_) => self.other_primvars,
            PrimData::Skeleton(skeleton) => skeleton.animation != written(&own.skel.animation),
            _ => false,
        }
    }

    /// Lets prims that turned out to be the same share their data again.
    pub fn share(&self, prims: &mut [Prim], read_again: &[usize]) {
        for place in read_again {
            if let (Some(prim), Some(known)) = (prims.get_mut(*place), self.prims.get(*place))
                && prim.data == known.data
            {
                prim.data = known.data.clone();
            }
        }
    }

    /// The values that are held twice now.
    fn repeated_values(&self, prims: &[Prim]) -> usize {
        let pairs = prims.iter().zip(self.prims);
        let repeated = pairs.map(|(prim, known)| match (&prim.data, &known.data) {
            (PrimData::Mesh(mesh), PrimData::Mesh(known)) if !Arc::ptr_eq(mesh, known) => {
                values(&mesh.points) + values(&mesh.face_vertex_indices)
            }
            (PrimData::Curves(curves), PrimData::Curves(known)) if !Arc::ptr_eq(curves, known) => values(&curves.points),
            (PrimData::Points(points), PrimData::Points(known)) if !Arc::ptr_eq(points, known) => values(&points.points),
            _ => 0,
        });
        repeated.sum()
    }
}

fn values<T>(sampled: &crate::snapshot::Sampled<Vec<T>>) -> usize {
    sampled.default.iter().chain(sampled.samples.iter().map(|(_, values)| values)).map(Vec::len).sum()
}

/// Which prototypes there are, and which have still to be read.
struct Instances<'a> {
    /// By the tree and by what is handed down to it.
    known: HashMap<(usize, String), usize>,
    /// The first prototype of each tree.
    firsts: HashMap<usize, usize>,
    open: VecDeque<Wanted<'a>>,
    count: usize,
    /// How many prims more there may be.
    left: usize,
    /// Whether instances were left as another shows their prototype.
    is_cut: bool,
}

/// The stage's own prims, and its prototypes.
pub(super) fn extract<'a>(reader: &'a Reader<'a>, trees: &Trees) -> (Vec<Prim>, Vec<Prototype>) {
    let mut instances = Instances {
        known: HashMap::new(),
        firsts: HashMap::new(),
        open: VecDeque::new(),
        count: 0,
        left: trees.left,
        is_cut: false,
    };
    let at_stage = Rc::new(Scope::default());
    let prims = super::prims(reader, &trees.stage, &at_stage, None, None, |tree, prim, own| {
        instances.prototype(trees, tree, prim, own, None)
    });
    let mut prototypes: Vec<Prototype> = Vec::new();
    let mut digests = Vec::new();
    let mut values_left = MAX_REPEATED_VALUES;
    while let Some(wanted) = instances.open.pop_front() {
        let here = prototypes.len();
        let Some(tree) = trees.prototypes.get(wanted.tree) else { break };
        let digest = wanted.below.primvars.digest();
        digests.push(digest);
        let base = instances.firsts.get(&wanted.tree).copied().filter(|first| *first != here);
        let is_other = base.and_then(|base| digests.get(base)).is_some_and(|first| *first != digest);
        instances.is_cut |= is_other && values_left == 0;
        // Beyond the bound, values stay those of the first.
        let before = base.and_then(|base| prototypes.get(base));
        let before = before.map(|first| Before { prims: &first.prims, other_primvars: is_other && values_left > 0 });
        // What is wrong with it was noted when it was read first.
        reader.be_quiet(before.is_some());
        let prims = super::prims(reader, tree, &wanted.scope, Some(&wanted.below), before.as_ref(), |tree, prim, own| {
            instances.prototype(trees, tree, prim, own, Some(here))
        });
        values_left = values_left.saturating_sub(before.as_ref().map_or(0, |before| before.repeated_values(&prims)));
        prototypes.push(Prototype { prims, base, outer: wanted.outer });
    }
    reader.be_quiet(false);
    if instances.is_cut {
        let message = "instances hand down more different primvars, materials or skeletons than there is room for; some are shown as others \
                       of their prototype are";
        reader.issue(IssueSeverity::Warning, &sdf::Path::abs_root(), message.to_owned());
    }
    (prims, prototypes)
}

impl<'a> Instances<'a> {
    /// The prototype of an instance as it shows it. It is in the prototype `outer` itself, or in the stage.
    fn prototype(
        &mut self,
        trees: &Trees,
        tree: usize,
        prim: &PrimReader<'a>,
        own: &Below<'a>,
        outer: Option<usize>,
    ) -> Option<usize> {
        let root = trees.prototypes.get(tree)?;
        let prototype = root.prims.first()?.path.clone();
        let root_of = InstanceRoot { prototype: prototype.clone(), instance: prim.path().clone(), outer: Rc::clone(&prim.scope) };
        let scope = Rc::new(Scope { prototype: Some(root_of) });
        let key = (tree, key(prim, own, &scope, &prototype, outer));
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        // Every prototype is read once, whatever the bound.
        if let Some(first) = self.firsts.get(&tree).copied() {
            if root.prims.len() > self.left {
                self.is_cut = true;
                return Some(first);
            }
            self.left -= root.prims.len();
        }
        let here = self.count;
        self.count += 1;
        self.known.insert(key, here);
        self.firsts.entry(tree).or_insert(here);
        self.open.push_back(Wanted { tree, outer, scope, below: own.clone() });
        Some(here)
    }
}

/// All that makes a difference to the prims below an instance.
fn key<'a>(prim: &PrimReader<'a>, own: &Below<'a>, scope: &Scope, prototype: &sdf::Path, outer: Option<usize>) -> String {
    let path = |path: &Option<sdf::Path>| path.as_ref().map_or(String::new(), |path| scope.write(path));
    let mut said = vec![path(&own.skel.skeleton), path(&own.skel.animation)];
    if let Ok(below) = prototype.append_path("below") {
        own.bindings.describe(prim, scope, &below, &mut said);
    }
    // What lies in the prototype around this one is found through it.
    let outer = outer.filter(|_| said.iter().any(|path| path.starts_with("..")));
    format!("{:?} {:x} {outer:?} {}", own.purpose, own.primvars.digest(), said.join("\n"))
}
