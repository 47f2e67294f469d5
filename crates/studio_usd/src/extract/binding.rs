//! Which material is bound to a prim (`UsdShade`'s rules): bindings of prims above hold for those below unless these have their own, or the
//! one above is stronger than its descendants; bindings of collections go before direct ones; those for one purpose before those for all.
//!
//! A binding counts whether or not `MaterialBindingAPI` is applied: many exporters leave it out.

use super::{
    IssueSeverity,
    read::{PrimReader, Scope},
    value,
};
use openusd::{
    sdf,
    usd::{Collection, MembershipQuery, is_collection_api_path},
};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// The purposes a binding may be for, the one for live pictures first; `""` is for all.
const PURPOSES: [&str; 3] = ["preview", "", "full"];

/// The bindings of a prim and of those above it.
#[derive(Clone, Default)]
pub(super) struct Bindings(Option<Rc<Level>>);

struct Level {
    bindings: Vec<Binding>,
    above: Bindings,
}

struct Binding {
    purpose: String,
    /// `None` for a direct binding.
    collection: Option<sdf::Path>,
    material: sdf::Path,
    is_stronger_than_descendants: bool,
}

/// Which collection has which prims, asked for once.
#[derive(Default)]
pub(super) struct Collections(RefCell<HashMap<sdf::Path, Option<Rc<MembershipQuery>>>>);

impl Bindings {
    /// What a prim with its own bindings has.
    pub fn with(&self, prim: &PrimReader<'_>) -> Self {
        let names = prim.names.iter().filter(|name| name.starts_with("material:binding"));
        let bindings: Vec<Binding> = names.filter_map(|name| binding(prim, name)).collect();
        if bindings.is_empty() { self.clone() } else { Self(Some(Rc::new(Level { bindings, above: self.clone() }))) }
    }

    /// The material bound to a prim that has these.
    pub fn material(&self, prim: &PrimReader<'_>) -> Option<sdf::Path> {
        PURPOSES.iter().find_map(|purpose| self.material_for(prim, purpose))
    }

    /// Adds to `said` all that makes a difference to the prims below an instance that has these. `below` is a path below the prototype's
    /// root, as the instance has it.
    pub fn describe(&self, prim: &PrimReader<'_>, scope: &Scope, below: &sdf::Path, said: &mut Vec<String>) {
        for purpose in PURPOSES {
            let (mut nearest, mut strongest) = (None, None);
            let mut level = self.0.as_ref();
            while let Some(here) = level {
                let of_purpose = here.bindings.iter().filter(|binding| binding.purpose == purpose);
                let mut bound = None;
                for binding in of_purpose {
                    let Some(collection) = &binding.collection else {
                        bound = bound.or(Some(binding));
                        continue;
                    };
                    let Some(query) = prim.reader.collections.query(prim, collection) else { continue };
                    let seen = scope.seen_from(collection, below);
                    let root = seen.parent().unwrap_or_default();
                    if query.rule_map().keys().any(|path| *path != root && path.has_prefix(&root)) {
                        // Some prims below are in it and some are not: that is true of this instance alone.
                        said.push(seen.to_string());
                    } else if query.is_path_included(&seen) && bound.is_none_or(|bound: &Binding| bound.collection.is_none()) {
                        bound = Some(binding);
                    }
                }
                if let Some(bound) = bound {
                    nearest = nearest.or(Some(bound));
                    strongest = Some(bound).filter(|bound| bound.is_stronger_than_descendants).or(strongest);
                }
                level = here.above.0.as_ref();
            }
            for binding in [nearest, strongest] {
                said.push(binding.map_or(String::new(), |binding| scope.write(&binding.material)));
            }
        }
    }

    fn material_for(&self, prim: &PrimReader<'_>, purpose: &str) -> Option<sdf::Path> {
        let mut winner: Option<&Binding> = None;
        let mut level = self.0.as_ref();
        while let Some(here) = level {
            let is_member = |binding: &&Binding| match &binding.collection {
                Some(collection) => binding.purpose == purpose && prim.reader.collections.contains(prim, collection),
                None => false,
            };
            let direct = |binding: &&Binding| binding.purpose == purpose && binding.collection.is_none();
            let here_bound = here.bindings.iter().find(is_member).or_else(|| here.bindings.iter().find(direct));
            if let Some(binding) = here_bound
                && (winner.is_none() || binding.is_stronger_than_descendants)
            {
                winner = Some(binding);
            }
            level = here.above.0.as_ref();
        }
        winner.map(|binding| binding.material.clone())
    }
}

/// A binding by its relationship: `material:binding[:PURPOSE]` or `material:binding:collection[:PURPOSE]:NAME`.
fn binding(prim: &PrimReader<'_>, name: &str) -> Option<Binding> {
    let parts: Vec<&str> = name.split(':').collect();
    let (purpose, is_collection) = match parts.as_slice() {
        ["material", "binding"] => ("", false),
        ["material", "binding", "collection", _] => ("", true),
        ["material", "binding", "collection", purpose, _] => (*purpose, true),
        ["material", "binding", purpose] => (*purpose, false),
        _ => return None,
    };
    let targets = prim.targets(name);
    let (collection, material) = match (is_collection, targets.as_slice()) {
        (_, []) => return None,
        (false, [material, ..]) => (None, material.clone()),
        (true, [collection, material]) => (Some(collection.clone()), material.clone()),
        (true, targets) => {
            prim.warn(format!("`{name}` should have two targets, not {}; it is left out", targets.len()));
            return None;
        }
    };
    let strength = prim.property_metadata(name, "bindMaterialAs").and_then(value::text);
    let is_stronger_than_descendants = strength.as_deref() == Some("strongerThanDescendants");
    Some(Binding { purpose: purpose.to_owned(), collection, material, is_stronger_than_descendants })
}

impl Collections {
    fn contains(&self, prim: &PrimReader<'_>, collection: &sdf::Path) -> bool {
        let seen = prim.scope.seen_from(collection, prim.path());
        self.query(prim, collection).is_some_and(|query| query.is_path_included(&seen))
    }

    fn query(&self, prim: &PrimReader<'_>, collection: &sdf::Path) -> Option<Rc<MembershipQuery>> {
        let known = self.0.borrow().get(collection).cloned();
        known.unwrap_or_else(|| {
            let query = membership(prim, collection).map(Rc::new);
            self.0.borrow_mut().insert(collection.clone(), query.clone());
            query
        })
    }
}

fn membership(prim: &PrimReader<'_>, path: &sdf::Path) -> Option<MembershipQuery> {
    let stage = prim.reader.stage;
    let warn = |message: String| prim.reader.issue(IssueSeverity::Warning, path, message);
    let Some((owner, name)) = is_collection_api_path(path) else {
        prim.warn(format!("a material is bound to {path}, which is no collection; the binding is left out"));
        return None;
    };
    let collection = Collection::new(owner, name);
    if collection.has_expression(stage).unwrap_or(false) {
        warn("collections by `membershipExpression` are not evaluated; materials bound to it are left out".to_owned());
        return None;
    }
    match collection.compute_membership_query(stage) {
        Ok(query) => Some(query),
        Err(error) => {
            warn(format!("this collection cannot be read ({error}); materials bound to it are left out"));
            None
        }
    }
}
