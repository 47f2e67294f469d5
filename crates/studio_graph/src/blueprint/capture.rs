//! From entities back to a blueprint.

use super::{
    Blueprint, BlueprintDriver, BlueprintExposed, BlueprintInstance, BlueprintLink, BlueprintNode, Place, Placeholder,
    settings::settings_text,
    spawn::{CanvasPosition, children},
    subgraph::SubgraphValues,
};
use crate::{
    driver::Drivers,
    flow::{Bypass, Freeze, JoinPolicy},
    link::LinkText,
    pin::{FedBy, Pin, PinDirection, PinOf, Pins},
    registry::kinds,
    value::{ExposedSettings, without_fed},
};
use bevy::{ecs::reflect::ReflectComponent, prelude::*};

/// Why a graph cannot be turned into a blueprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the node “{node}”: {reason}")]
pub struct CaptureError {
    /// The node's name.
    pub node: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a blueprint off its entities: settings, links, canvas positions and notes as they are now. What lies in subgraphs is
/// as its definition says, with the values of the node that stands for it.
///
/// # Errors
/// [`CaptureError`] if a setting cannot be written, such as an asset that was made in memory and has no file.
pub fn capture(world: &World, root: Entity) -> Result<Blueprint, CaptureError> {
    let registry = world.resource::<AppTypeRegistry>().read();
    let instance = world.get::<BlueprintInstance>(root).cloned().unwrap_or_default();
    let kinds = kinds(&registry);
    let BlueprintInstance { name, notes, parameters, routes, bookmarks, subgraphs, .. } = instance.clone();
    let mut blueprint = Blueprint { name, notes, parameters, routes, bookmarks, subgraphs, ..default() };
    for entity in children(world, root) {
        let name = world.get::<Name>(entity).map(ToString::to_string).unwrap_or_default();
        let node = world.entity(entity);
        let of_kind = kinds.iter().find_map(|kind| {
            let component = kind.registration.data::<ReflectComponent>()?;
            Some((kind, component.reflect(node)?))
        });
        let (kind, settings) = match (of_kind, world.get::<Placeholder>(entity)) {
            (Some((kind, settings)), _) => {
                let resting = without_fed(world, entity, settings);
                let settings = resting.as_deref().unwrap_or(settings);
                let settings = settings_text(&registry, *kind, settings, instance.base.as_deref());
                (kind.name.to_owned(), settings.map_err(|reason| CaptureError { node: name.clone(), reason })?)
            }
            (None, Some(placeholder)) => (placeholder.kind.clone(), placeholder.settings.clone()),
            (None, None) => continue,
        };
        blueprint.links.extend(links_into(world, entity, root, &name));
        blueprint.nodes.push(BlueprintNode {
            name,
            kind,
            at: node.get::<CanvasPosition>().copied().unwrap_or_default().0,
            settings,
            values: node.get::<SubgraphValues>().cloned().unwrap_or_default().0,
            exposed: node
                .get::<ExposedSettings>()
                .into_iter()
                .flat_map(|exposed| &exposed.0)
                .map(|path| BlueprintExposed { path: path.clone(), place: Place::default() })
                .collect(),
            drivers: node
                .get::<Drivers>()
                .into_iter()
                .flat_map(Drivers::iter)
                .map(|(path, driver)| BlueprintDriver { path: path.to_owned(), driver: driver.clone(), place: Place::default() })
                .collect(),
            bypass: node.contains::<Bypass>(),
            freeze: node.contains::<Freeze>(),
            join: node.get::<JoinPolicy>().copied().unwrap_or_default(),
            place: Place::default(),
        });
    }
    blueprint.routes.retain(|route| blueprint.links.iter().any(|link| link.link == route.link));
    Ok(blueprint)
}

/// The links that feed a node from nodes of the same blueprint, in the order of its pins.
fn links_into(world: &World, node: Entity, root: Entity, name: &str) -> Vec<BlueprintLink> {
    let pins = world.get::<Pins>(node).into_iter().flat_map(|pins| pins.iter());
    let inputs = pins.filter_map(|pin| Some((world.get::<Pin>(pin)?, world.get::<FedBy>(pin)?)));
    inputs
        .filter(|(pin, _)| pin.direction == PinDirection::Input)
        .filter_map(|(pin, link)| {
            let owner = world.get::<PinOf>(link.0)?.0;
            let inside = world.get::<super::spawn::InBlueprint>(owner).is_some_and(|of| of.0 == root);
            let output = world.get::<Pin>(link.0).filter(|_| inside)?;
            let from = (world.get::<Name>(owner)?.to_string(), output.name.to_string());
            Some(BlueprintLink { link: LinkText { from, to: (name.to_owned(), pin.name.to_string()) }, place: Place::default() })
        })
        .collect()
}
