//! The graph as a file that people read, write and compare: `.blueprint.ron`.
//!
//! ```ron
//! (
//!     version: 1,
//!     name: "A clip, stitched",
//!     nodes: {
//!         "clip": (kind: "VideoFileInput", at: (0, 0), settings: (source: "clip.mp4")),
//!         "stitch": (kind: "Stitch", at: (240, 0), settings: (rig: "rig.rig.ron")),
//!         "window": (kind: "WindowOutput", at: (480, 0), bypass: true),
//!     },
//!     links: [
//!         "clip.frame -> stitch.picture 1",
//!         "stitch.picture -> window.frame",
//!     ],
//! )
//! ```
//!
//! Only settings that differ from the kind's defaults are written. [`read`](read::read) finds every fault of a text at once,
//! [`check`](check::check) everything that the registry can tell, [`spawn`](spawn::spawn) makes entities of it, and
//! [`capture`](capture::capture) turns entities back into a [`Blueprint`], which [`write`](write::write) writes.

pub mod asset;
pub mod capture;
pub mod check;
mod check_links;
pub mod dot;
pub mod file;
mod follow;
pub mod group;
pub mod overrides;
pub mod parts;
pub mod problem;
pub mod read;
pub mod settings;
pub mod spawn;
pub mod subgraph;
pub(crate) mod target;
pub mod write;

#[cfg(test)]
mod tests;

pub use problem::{Place, Problem, Severity};
pub use spawn::{BlueprintInstance, Placeholder};
pub use subgraph::{Subgraph, SubgraphInput, SubgraphOutput};

use crate::{driver::Driver, flow::JoinPolicy, link::LinkText};
use bevy::prelude::*;

/// A graph as it stands in a file.
#[derive(Asset, TypePath, Clone, Debug, Default, PartialEq)]
pub struct Blueprint {
    /// What people call it.
    pub name: String,
    /// The nodes, in the file's order.
    pub nodes: Vec<BlueprintNode>,
    /// The links, in the file's order.
    pub links: Vec<BlueprintLink>,
    /// Notes on the canvas.
    pub notes: Vec<BlueprintNote>,
    /// Settings that are meant to be changed from outside, under names of their own.
    pub parameters: Vec<BlueprintParameter>,
    /// Links that take a way of their own over the canvas.
    pub routes: Vec<BlueprintRoute>,
    /// Places of the canvas to come back to.
    pub bookmarks: Vec<BlueprintBookmark>,
    /// Graphs that nodes of kind [`Subgraph`] stand for, here and in each other.
    pub subgraphs: Vec<BlueprintSubgraph>,
}

/// The way of a link over the canvas.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueprintRoute {
    /// The link.
    pub link: LinkText,
    /// The points that its wire goes through, in order, in points of the canvas.
    pub via: Vec<Vec2>,
}

/// A place of the canvas to come back to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintBookmark {
    /// Its name, unique among the bookmarks.
    pub name: String,
    /// What lies in the middle of the view, in points of the canvas.
    pub at: Vec2,
    /// How large the canvas is drawn; 1 is its own size.
    pub zoom: f32,
}

/// A graph in a file that nodes of kind [`Subgraph`] stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintSubgraph {
    /// Its name, unique among the file's subgraphs.
    pub name: String,
    /// Its nodes, links, notes and parameters. It has no subgraphs of its own: those of the file are there for all.
    pub graph: Blueprint,
    /// Where it stands in the file.
    pub place: Place,
}

/// A setting that is meant to be changed from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintParameter {
    /// Its name, unique among the parameters.
    pub name: String,
    /// The setting: `node.field`, or `node.field.part` for a part of one.
    pub setting: String,
    /// Where it stands in the file.
    pub place: Place,
}

/// A node in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintNode {
    /// Name, unique in the blueprint.
    pub name: String,
    /// Name of the kind, as [`KindEntry::name`](crate::registry::KindEntry::name) gives it.
    pub kind: String,
    /// Where the node stands on the canvas, in points; x to the right, y down.
    pub at: Vec2,
    /// The settings that differ from the defaults. Of two for one field, the later one goes on top of the earlier.
    pub settings: Vec<Setting>,
    /// For a subgraph: values that are its own, by the name of one of its parameters, or by the setting in it
    /// (`blur.radius_px`, `inner/blur.radius_px`).
    pub values: Vec<Setting>,
    /// Numbers of it that move by themselves.
    pub drivers: Vec<BlueprintDriver>,
    /// Settings of it that have a pin, so that a link can feed them.
    pub exposed: Vec<BlueprintExposed>,
    /// Whether it is left out: see [`Bypass`](crate::flow::Bypass).
    pub bypass: bool,
    /// Whether it holds what it made last: see [`Freeze`](crate::flow::Freeze).
    pub freeze: bool,
    /// How it waits for its inputs.
    pub join: JoinPolicy,
    /// Where it stands in the file.
    pub place: Place,
}

/// A number that moves by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueprintDriver {
    /// The number: `field`, or `field.part`.
    pub path: String,
    /// What moves it.
    pub driver: Driver,
    /// Where it stands in the file.
    pub place: Place,
}

/// A setting that has a pin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintExposed {
    /// The setting: `field`, or `field.part`; the pin's name too.
    pub path: String,
    /// Where it stands in the file.
    pub place: Place,
}

/// One setting in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The field of the kind's component.
    pub field: String,
    /// Its value as RON text, as it stands in the file: settings of kinds that nobody registered survive that way.
    pub value: String,
    /// Where the value stands in the file.
    pub place: Place,
}

/// A link in a file: `node.pin -> node.pin`.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueprintLink {
    /// What it says.
    pub link: LinkText,
    /// Where it stands in the file.
    pub place: Place,
}

/// A note on the canvas, or a frame around nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlueprintNote {
    /// The words.
    pub text: String,
    /// Its upper left corner on the canvas, in points.
    pub at: Vec2,
    /// Its width and height in points.
    pub size: Vec2,
}

impl Blueprint {
    /// What blueprints' file names end with.
    pub const EXTENSION: &'static str = "blueprint.ron";
    /// The version that is written.
    pub const VERSION: u32 = 1;
    /// The most bytes that a file may have.
    pub const MAX_BYTES: usize = 32 << 20;
    /// The most nodes that a blueprint may have.
    pub const MAX_NODES: usize = 100_000;
    /// The most links that a blueprint may have.
    pub const MAX_LINKS: usize = 400_000;
    /// The most subgraphs that a file may define.
    pub const MAX_SUBGRAPHS: usize = 10_000;
    /// How deep subgraphs may lie in subgraphs.
    pub const MAX_DEPTH: usize = 16;
    /// The most letters of a node's name.
    pub const MAX_NAME_LETTERS: usize = 100;

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&BlueprintNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The subgraph of this name.
    pub fn subgraph(&self, name: &str) -> Option<&BlueprintSubgraph> {
        self.subgraphs.iter().find(|subgraph| subgraph.name == name)
    }

    /// The node of this name, to be changed.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut BlueprintNode> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }
}

pub(crate) fn plugin(app: &mut App) {
    app.register_type::<crate::flow::Bypass>()
        .register_type::<crate::flow::Freeze>()
        .register_type::<crate::flow::Solo>()
        .register_type::<JoinPolicy>();
    subgraph::register(app);
    asset::add_asset(app);
}
