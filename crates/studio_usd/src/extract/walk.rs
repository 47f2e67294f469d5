//! Which prims there are: those that are active, defined, loaded and not classes; below instances, their prototypes once.

use super::{ExtractOptions, IssueSeverity};
use openusd::{
    sdf::{self, Specifier, Value},
    usd::Stage,
};
use std::collections::HashMap;

/// A prim of the tree.
pub(super) struct Found {
    pub path: sdf::Path,
    pub name: String,
    /// Place in the same list.
    pub parent: Option<usize>,
    pub has_payload: bool,
    pub is_loaded: bool,
    /// The prototype it is an instance of, as a place in [`Trees::prototypes`].
    pub prototype: Option<usize>,
}

/// A list of prims: the stage's own, or a prototype's.
#[derive(Default)]
pub(super) struct Tree {
    pub prims: Vec<Found>,
}

/// The trees of a stage, before anything else about its prims is read.
pub(super) struct Trees {
    pub stage: Tree,
    pub prototypes: Vec<Tree>,
    /// How many prims more there may be.
    pub left: usize,
    /// What went wrong: path and message. The reader of issues is not there yet.
    pub issues: Vec<(IssueSeverity, sdf::Path, String)>,
}

pub(super) fn walk(stage: &Stage, options: &ExtractOptions) -> Trees {
    let mut walker = Walker { stage, left: options.max_prims, prototypes: HashMap::new(), found: Vec::new(), issues: Vec::new() };
    let root = sdf::Path::abs_root();
    let mut trees = Trees { stage: walker.tree(&root, None), prototypes: Vec::new(), left: 0, issues: Vec::new() };
    // Prototypes have instances of others below them: they are found on the way.
    while let Some((path, instance)) = walker.found.get(trees.prototypes.len()).cloned() {
        let tree = walker.tree(&path, Some(instance));
        trees.prototypes.push(tree);
    }
    if walker.left == 0 {
        let message = format!("there are more than {} prims; the others are left out", options.max_prims);
        walker.issues.push((IssueSeverity::Error, root, message));
    }
    trees.left = walker.left;
    trees.issues = walker.issues;
    trees
}

struct Walker<'a> {
    stage: &'a Stage,
    left: usize,
    prototypes: HashMap<sdf::Path, usize>,
    /// Prototypes in order, each with an instance of it.
    found: Vec<(sdf::Path, sdf::Path)>,
    issues: Vec<(IssueSeverity, sdf::Path, String)>,
}

impl Walker<'_> {
    /// The prims below a root: the stage's, which is no prim itself, or a prototype's, which is the first.
    fn tree(&mut self, root: &sdf::Path, instance: Option<sdf::Path>) -> Tree {
        let mut tree = Tree::default();
        let mut parent = None;
        if let Some(instance) = instance {
            let found = Found {
                path: root.clone(),
                name: instance.name().unwrap_or_default().to_owned(),
                parent: None,
                has_payload: false,
                is_loaded: true,
                prototype: None,
            };
            tree.prims.push(found);
            parent = Some(0);
        }
        // Depth first with a list of what is still to do, so depth costs no stack.
        let mut open = self.children(root, parent);
        while let Some((path, parent)) = open.pop() {
            if self.left == 0 {
                break;
            }
            let Some(found) = self.look(path, parent) else { continue };
            self.left -= 1;
            let here = tree.prims.len();
            if found.is_loaded && found.prototype.is_none() {
                open.extend(self.children(&found.path, Some(here)));
            }
            tree.prims.push(found);
        }
        tree
    }

    /// The children of a prim, last first.
    fn children(&mut self, path: &sdf::Path, parent: Option<usize>) -> Vec<(sdf::Path, Option<usize>)> {
        let names = match path.is_abs_root() {
            true => self.stage.root_prims(),
            false => self.stage.prim(path.clone()).child_names(),
        };
        match names {
            Ok(names) => {
                let paths = names.iter().rev().filter_map(|name| path.append_path(name.as_str()).ok());
                paths.map(|path| (path, parent)).collect()
            }
            Err(error) => {
                let message = format!("its children cannot be composed ({error}); they are left out");
                self.issues.push((IssueSeverity::Error, path.clone(), message));
                Vec::new()
            }
        }
    }

    /// A prim, if it belongs to the stage as an audience sees it.
    fn look(&mut self, path: sdf::Path, parent: Option<usize>) -> Option<Found> {
        let prim = self.stage.prim(path.clone());
        let metadata = |key: &str| self.stage.attribute(path.clone()).get_metadata::<Value>(key).ok().flatten();
        if matches!(metadata("active"), Some(Value::Bool(false))) {
            return None;
        }
        // Classes are templates, and an `over` alone defines nothing.
        if !matches!(metadata("specifier"), Some(Value::Specifier(Specifier::Def))) {
            return None;
        }
        let has_payload = match metadata("payload") {
            Some(Value::Payload(payload)) => !payload.asset_path.is_empty() || !payload.prim_path.is_empty(),
            Some(Value::PayloadListOp(list)) => !list.flatten().is_empty(),
            _ => false,
        };
        let is_loaded = !has_payload || prim.is_loaded().unwrap_or(false);
        let is_instance = matches!(metadata("instanceable"), Some(Value::Bool(true))) && prim.is_instance().unwrap_or(false);
        let prototype = if is_instance { self.prototype(&path) } else { None };
        Some(Found { name: path.name().unwrap_or_default().to_owned(), path, parent, has_payload, is_loaded, prototype })
    }

    fn prototype(&mut self, instance: &sdf::Path) -> Option<usize> {
        let path = match self.stage.prim(instance.clone()).prototype() {
            Ok(path) => path?,
            Err(error) => {
                let message = format!("its prototype cannot be composed ({error}); it is no instance here");
                self.issues.push((IssueSeverity::Warning, instance.clone(), message));
                return None;
            }
        };
        if let Some(place) = self.prototypes.get(&path) {
            return Some(*place);
        }
        let place = self.found.len();
        self.prototypes.insert(path.clone(), place);
        self.found.push((path, instance.clone()));
        Some(place)
    }
}
