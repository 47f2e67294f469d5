//! The graph as it is drawn: nodes with their pins, sizes and colours, links with their ends. Made anew when the document
//! changes.

use crate::{document::Document, session::Preferences};
use bevy::{platform::collections::HashMap, prelude::*};
use studio_graph::{
    blueprint::spawn::children,
    data_type::DataTypes,
    link::LinkText,
    pin::{Delivers, PassThrough},
    prelude::*,
    registry::kind_named,
};

/// Widths and heights on the canvas, in points at zoom 1.
pub mod measures {
    use bevy::math::Vec2;

    /// A node's width.
    pub const NODE_WIDTH: f32 = 180.0;
    /// Height of a node's title.
    pub const TITLE: f32 = 28.0;
    /// Height of a row of pins.
    pub const ROW: f32 = 22.0;
    /// What is left below the last row.
    pub const FOOT: f32 = 8.0;
    /// A node's small picture.
    pub const THUMBNAIL: Vec2 = Vec2::new(NODE_WIDTH - 16.0, 92.0);
    /// Radius of a pin.
    pub const PIN: f32 = 5.0;
}

/// A pin as it is drawn.
#[derive(Clone, Debug)]
pub struct ShownPin {
    /// Its entity.
    pub entity: Entity,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// The colour of its type's category, sRGB.
    pub color: [u8; 3],
    /// Whether a link ends or starts here.
    pub linked: bool,
}

/// A node as it is drawn.
#[derive(Clone, Debug)]
pub struct ShownNode {
    /// Its entity.
    pub entity: Entity,
    /// Its name.
    pub name: String,
    /// The name of its kind in files.
    pub kind: String,
    /// What people call its kind.
    pub label: String,
    /// The kind's category.
    pub category: String,
    /// Where it stands, in points of the canvas.
    pub rect: Rect,
    /// Its inputs.
    pub inputs: Vec<ShownPin>,
    /// Its outputs.
    pub outputs: Vec<ShownPin>,
    /// The output whose picture it shows.
    pub picture: Option<Entity>,
    /// Whether no plugin here brings its kind.
    pub placeholder: bool,
    /// Whether it is left out.
    pub bypass: bool,
    /// Whether it holds what it made last.
    pub freeze: bool,
    /// Whether only it and what feeds it run.
    pub solo: bool,
}

impl ShownNode {
    /// Where a pin is, in points of the canvas.
    pub fn pin_at(&self, direction: PinDirection, place: usize) -> Vec2 {
        let x = if direction == PinDirection::Input { self.rect.min.x } else { self.rect.max.x };
        Vec2::new(x, self.rect.min.y + measures::TITLE + measures::ROW * (place as f32 + 0.5))
    }

    /// Its pins of a direction.
    pub fn pins(&self, direction: PinDirection) -> &[ShownPin] {
        if direction == PinDirection::Input { &self.inputs } else { &self.outputs }
    }

    /// The place of a pin.
    pub fn pin_named(&self, direction: PinDirection, name: &str) -> Option<usize> {
        self.pins(direction).iter().position(|pin| pin.name == name)
    }

    /// Where its small picture is, in points of the canvas.
    pub fn picture_rect(&self) -> Option<Rect> {
        self.picture?;
        let min = Vec2::new(self.rect.min.x + 8.0, self.rect.max.y - measures::FOOT - measures::THUMBNAIL.y);
        Some(Rect::from_corners(min, min + measures::THUMBNAIL))
    }
}

/// A link as it is drawn.
#[derive(Clone, Debug)]
pub struct ShownLink {
    /// What it says.
    pub link: LinkText,
    /// Node and output that feed: places in [`ShownGraph::nodes`] and its outputs.
    pub from: (usize, usize),
    /// Node and input that are fed.
    pub to: (usize, usize),
    /// The points that its wire goes through.
    pub via: Vec<Vec2>,
    /// What becomes of the data on the way, if it becomes anything.
    pub conversion: Option<String>,
}

/// The graph as it is drawn.
#[derive(Resource, Default)]
pub struct ShownGraph {
    /// The nodes in the document's order.
    pub nodes: Vec<ShownNode>,
    /// The links in the document's order.
    pub links: Vec<ShownLink>,
    places: HashMap<String, usize>,
    made_of: Option<(u64, u64, bool, Entity)>,
}

/// The pin whose picture a pin delivers: its own, or that of what is handed on; none for the way into a subgraph.
pub(crate) fn delivered(world: &World, pin: Entity) -> Option<Entity> {
    const DEEPEST: usize = 64;
    let mut pin = pin;
    for _ in 0..DEEPEST {
        let node = world.get::<PinOf>(pin)?.0;
        match world.get::<Delivers>(pin) {
            Some(Delivers(input)) => pin = world.get::<FedBy>(*input)?.0,
            None if world.get::<PassThrough>(node).is_some() => return None,
            None => return Some(pin),
        }
    }
    None
}

impl ShownGraph {
    /// The document's revision that is shown.
    pub fn revision(&self) -> u64 {
        self.made_of.map_or(0, |(revision, ..)| revision)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&ShownNode> {
        self.nodes.get(*self.places.get(name)?)
    }

    /// The place of a node.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The size of a node in points, also of one that is not there yet.
    pub fn size_of(&self, name: &str) -> Vec2 {
        self.node(name).map_or(Vec2::new(measures::NODE_WIDTH, 80.0), |node| node.rect.size())
    }

    /// What surrounds all nodes.
    pub fn bounds(&self) -> Option<Rect> {
        self.nodes.iter().map(|node| node.rect).reduce(|all, rect| all.union(rect))
    }

    /// Brings it up to date with the document and the graph's pins.
    pub fn refresh(&mut self, world: &World, document: &Document, preferences: &Preferences) {
        let compiled = world.resource::<CompiledGraph>().generation;
        let made_of = (document.revision(), compiled, preferences.thumbnails, document.root());
        if self.made_of.replace(made_of) == Some(made_of) {
            return;
        }
        let registry = world.resource::<AppTypeRegistry>().read();
        let types = world.resource::<DataTypes>();
        let root = document.scope_root(world);
        let entities: HashMap<&str, Entity> = root
            .map(|root| children(world, root))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|node| Some((world.get::<Name>(node)?.as_str(), node)))
            .collect();
        self.nodes.clear();
        self.places.clear();
        for node in &document.graph().nodes {
            let Some(&entity) = entities.get(node.name.as_str()) else { continue };
            let kind = kind_named(&registry, &node.kind);
            let pins = |direction: PinDirection| -> Vec<ShownPin> {
                let pins = world.get::<Pins>(entity).into_iter().flat_map(|pins| pins.iter());
                pins.filter_map(|pin| Some((pin, world.get::<Pin>(pin)?)))
                    .filter(|(_, pin)| pin.direction == direction)
                    .map(|(entity, pin)| ShownPin {
                        entity,
                        name: pin.name.to_string(),
                        color: types.category(&pin.data_type).color_srgb(),
                        data_type: pin.data_type.clone(),
                        linked: world.get::<FedBy>(entity).is_some() || world.get::<Feeds>(entity).is_some(),
                    })
                    .collect()
            };
            let (inputs, outputs) = (pins(PinDirection::Input), pins(PinDirection::Output));
            let shows = outputs.iter().find(|pin| pin.data_type == DataType::VIDEO_FRAME).map(|pin| pin.entity);
            // An interface hands on what is seen elsewhere; a subgraph shows what its output delivers.
            let picture = shows.filter(|_| preferences.thumbnails).and_then(|pin| delivered(world, pin));
            let rows = inputs.len().max(outputs.len()) as f32;
            let below = if picture.is_some() { measures::THUMBNAIL.y + 4.0 } else { 0.0 };
            let size = Vec2::new(measures::NODE_WIDTH, measures::TITLE + rows * measures::ROW + below + measures::FOOT);
            self.places.insert(node.name.clone(), self.nodes.len());
            self.nodes.push(ShownNode {
                entity,
                name: node.name.clone(),
                kind: node.kind.clone(),
                label: kind.map_or_else(|| node.kind.clone(), |kind| kind.node.display_name.to_owned()),
                category: kind.map_or_else(|| "unknown".to_owned(), |kind| kind.node.category.to_owned()),
                rect: Rect::from_corners(node.at, node.at + size),
                inputs,
                outputs,
                picture,
                placeholder: kind.is_none(),
                bypass: node.bypass,
                freeze: node.freeze,
                solo: world.get::<Solo>(entity).is_some(),
            });
        }
        let blueprint = document.graph();
        let routes: HashMap<String, &Vec<Vec2>> =
            blueprint.routes.iter().map(|route| (route.link.to_string(), &route.via)).collect();
        self.links.clear();
        for link in &blueprint.links {
            let end = |(node, pin): &(String, String), direction| {
                let place = self.place(node)?;
                Some((place, self.nodes[place].pin_named(direction, pin)?))
            };
            let from = end(&link.link.from, PinDirection::Output);
            let (Some(from), Some(to)) = (from, end(&link.link.to, PinDirection::Input)) else { continue };
            let input = self.nodes[to.0].inputs[to.1].entity;
            let conversion = match world.get::<Conversion>(input) {
                Some(Conversion::Implicit(how)) => Some(how.to_string()),
                _ => None,
            };
            let via = if routes.is_empty() { None } else { routes.get(&link.link.to_string()) };
            self.links.push(ShownLink {
                link: link.link.clone(),
                from,
                to,
                via: via.map(|via| (*via).clone()).unwrap_or_default(),
                conversion,
            });
        }
    }
}
