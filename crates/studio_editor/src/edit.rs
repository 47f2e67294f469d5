//! Changes of a blueprint, each a function on plain data: what undo, scripts and tests work with.

use bevy::prelude::*;
use studio_graph::{
    blueprint::{
        Blueprint, BlueprintBookmark, BlueprintDriver, BlueprintExposed, BlueprintLink, BlueprintNode, BlueprintNote,
        BlueprintParameter, BlueprintRoute, Place, Setting,
        problem::{Problem, has_errors},
        read::{name_fault, read},
        write::write,
    },
    driver::Driver,
    link::LinkText,
};

/// A name that no node of the blueprint has yet: `base`, `base 2`, `base 3`, …
pub fn free_name(blueprint: &Blueprint, base: &str) -> String {
    let base: String = base.chars().filter(|letter| !matches!(letter, '.' | '"') && !letter.is_control()).take(80).collect();
    let base = base.replace("->", " ").trim().to_lowercase();
    let base = if base.is_empty() { "node".to_owned() } else { base };
    if blueprint.node(&base).is_none() {
        return base;
    }
    // A copy of "blend 2" is "blend 3", not "blend 2 2".
    let stem = base.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end();
    let stem = if stem.is_empty() { base.as_str() } else { stem };
    (2_u64..).map(|number| format!("{stem} {number}")).find(|name| blueprint.node(name).is_none()).unwrap_or(base)
}

/// Adds a node with default settings; its name is made of `label`. Returns the name.
pub fn add_node(blueprint: &mut Blueprint, kind: &str, label: &str, at: Vec2) -> String {
    let name = free_name(blueprint, label);
    blueprint.nodes.push(BlueprintNode { name: name.clone(), kind: kind.to_owned(), at: at.round(), ..default() });
    name
}

/// Removes nodes with everything that names them.
pub fn remove_nodes(blueprint: &mut Blueprint, names: &[String]) {
    let gone = |name: &str| names.iter().any(|gone| gone == name);
    blueprint.nodes.retain(|node| !gone(&node.name));
    blueprint.links.retain(|link| !gone(&link.link.from.0) && !gone(&link.link.to.0));
    blueprint.parameters.retain(|parameter| !gone(parameter.setting.split('.').next().unwrap_or_default()));
    forget_lost_routes(blueprint);
}

/// Removes nodes and joins what fed them to what they fed, where one link in and links out are of one kind.
pub fn dissolve_nodes(blueprint: &mut Blueprint, names: &[String]) {
    for name in names {
        let into = blueprint.links.iter().find(|link| link.link.to.0 == *name).map(|link| link.link.from.clone());
        let out: Vec<(String, String)> =
            blueprint.links.iter().filter(|link| link.link.from.0 == *name).map(|link| link.link.to.clone()).collect();
        remove_nodes(blueprint, core::slice::from_ref(name));
        for to in out {
            if let Some(from) = into.clone() {
                connect(blueprint, LinkText { from, to });
            }
        }
    }
}

/// Gives a node another name, everywhere it is named.
///
/// # Errors
/// Says why the name cannot be used.
pub fn rename_node(blueprint: &mut Blueprint, old: &str, new: &str) -> Result<(), String> {
    if old == new {
        return Ok(());
    }
    if let Some(fault) = name_fault(new) {
        return Err(format!("the name “{new}” {fault}"));
    }
    if blueprint.node(new).is_some() {
        return Err(format!("there is another node named “{new}”: names must differ"));
    }
    if let Some(node) = blueprint.node_mut(old) {
        node.name = new.to_owned();
    }
    let swap = |name: &mut String| {
        if name == old {
            *name = new.to_owned();
        }
    };
    let links = blueprint.links.iter_mut().map(|link| &mut link.link);
    for link in links.chain(blueprint.routes.iter_mut().map(|route| &mut route.link)) {
        swap(&mut link.from.0);
        swap(&mut link.to.0);
    }
    for parameter in &mut blueprint.parameters {
        if let Some((node, rest)) = parameter.setting.split_once('.')
            && node == old
        {
            parameter.setting = format!("{new}.{rest}");
        }
    }
    Ok(())
}

/// Links an output to an input; a link that the input had is replaced.
pub fn connect(blueprint: &mut Blueprint, link: LinkText) {
    blueprint.links.retain(|present| present.link.to != link.to);
    blueprint.links.push(BlueprintLink { link, place: Place::default() });
    forget_lost_routes(blueprint);
}

/// Removes a link.
pub fn disconnect(blueprint: &mut Blueprint, link: &LinkText) {
    blueprint.links.retain(|present| present.link != *link);
    forget_lost_routes(blueprint);
}

/// Sets a setting to a value given as RON, or back to the kind's default.
pub fn set_setting(blueprint: &mut Blueprint, node: &str, field: &str, value: Option<String>) {
    let Some(node) = blueprint.node_mut(node) else { return };
    match (node.settings.iter().position(|setting| setting.field == field), value) {
        (Some(place), Some(value)) => node.settings[place].value = value,
        (None, Some(value)) => node.settings.push(Setting { field: field.to_owned(), value, place: Place::default() }),
        (Some(place), None) => drop(node.settings.remove(place)),
        (None, None) => {}
    }
}

/// Has a number driven, or no longer.
pub fn set_driver(blueprint: &mut Blueprint, node: &str, path: &str, driver: Option<Driver>) {
    let Some(node) = blueprint.node_mut(node) else { return };
    let place = node.drivers.iter().position(|driven| driven.path == path);
    match (place, driver) {
        (Some(place), Some(driver)) => node.drivers[place].driver = driver,
        (None, Some(driver)) => node.drivers.push(BlueprintDriver { path: path.to_owned(), driver, place: Place::default() }),
        (Some(place), None) => drop(node.drivers.remove(place)),
        (None, None) => {}
    }
}

/// Exposes a setting to the outside under a name of its own, or no longer. Returns whether it is exposed now.
pub fn toggle_parameter(blueprint: &mut Blueprint, node: &str, path: &str) -> bool {
    let setting = format!("{node}.{path}");
    let before = blueprint.parameters.len();
    blueprint.parameters.retain(|parameter| parameter.setting != setting);
    if blueprint.parameters.len() < before {
        return false;
    }
    let free = |name: &String| blueprint.parameters.iter().all(|parameter| parameter.name != *name);
    let base = path.replace('.', " ");
    let longer = format!("{node} {base}");
    let numbered = (2_u64..).map(|number| format!("{longer} {number}"));
    let name = [base, longer.clone()].into_iter().chain(numbered).find(free);
    blueprint.parameters.extend(name.map(|name| BlueprintParameter { name, setting, place: Place::default() }));
    true
}

/// Gives a link a way over the canvas; without points it goes straight.
pub fn set_route(blueprint: &mut Blueprint, link: &LinkText, via: Vec<Vec2>) {
    blueprint.routes.retain(|route| route.link != *link);
    if !via.is_empty() {
        blueprint.routes.push(BlueprintRoute { link: link.clone(), via: via.into_iter().map(Vec2::round).collect() });
    }
    forget_lost_routes(blueprint);
}

/// Puts a bookmark at a place of the canvas, replacing one of that name.
pub fn set_bookmark(blueprint: &mut Blueprint, name: &str, at: Vec2, zoom: f32) {
    blueprint.bookmarks.retain(|mark| mark.name != name);
    blueprint.bookmarks.push(BlueprintBookmark { name: name.to_owned(), at: at.round(), zoom });
    blueprint.bookmarks.sort_by(|one, other| one.name.cmp(&other.name));
}

/// Draws a frame with a title around a rectangle of the canvas.
pub fn add_note(blueprint: &mut Blueprint, text: &str, around: Rect) {
    blueprint.notes.push(BlueprintNote { text: text.to_owned(), at: around.min.round(), size: around.size().round() });
}

/// Has a setting fed by an input pin of its own, or no longer.
pub fn toggle_exposed(blueprint: &mut Blueprint, node: &str, path: &str) {
    let Some(node) = blueprint.node_mut(node) else { return };
    let before = node.exposed.len();
    node.exposed.retain(|exposed| exposed.path != path);
    if node.exposed.len() == before {
        node.exposed.push(BlueprintExposed { path: path.to_owned(), place: Place::default() });
        return;
    }
    let end = (node.name.clone(), path.to_owned());
    blueprint.links.retain(|link| link.link.to != end);
    forget_lost_routes(blueprint);
}

/// Puts what lies in a subgraph in the place of the node that stands for it. Returns the names of what came out.
pub fn take_apart(blueprint: &mut Blueprint, inner: &Blueprint, name: &str) -> Vec<String> {
    let Some(node) = blueprint.node(name).cloned() else { return Vec::new() };
    let is_interface = |node: &&BlueprintNode| node.kind == "SubgraphInput" || node.kind == "SubgraphOutput";
    let pin_of = |node: &BlueprintNode| {
        let named = node.settings.iter().find(|setting| setting.field == "name");
        let named = named.and_then(|setting| ron::from_str::<String>(&setting.value).ok()).filter(|name| !name.is_empty());
        named.unwrap_or_else(|| node.name.clone())
    };
    let corner = inner.nodes.iter().filter(|node| !is_interface(node)).map(|node| node.at).reduce(Vec2::min).unwrap_or_default();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for of_inner in inner.nodes.iter().filter(|node| !is_interface(node)) {
        let new = free_name(blueprint, &of_inner.name);
        let mut copy = BlueprintNode { name: new.clone(), at: of_inner.at - corner + node.at, ..of_inner.clone() };
        copy.bypass |= node.bypass;
        copy.freeze |= node.freeze;
        blueprint.nodes.push(copy);
        names.push((of_inner.name.clone(), new));
    }
    for value in &node.values {
        let parameter = inner.parameters.iter().find(|parameter| parameter.name == value.field);
        let setting = parameter.map_or(value.field.as_str(), |parameter| parameter.setting.as_str());
        if let Some((of_inner, field)) = setting.split_once('.')
            && let Some((_, new)) = names.iter().find(|(old, _)| old == of_inner)
            && !field.contains('.')
        {
            values.push((new.clone(), field.to_owned(), value.value.clone()));
        }
    }
    for (node, field, value) in values {
        set_setting(blueprint, &node, &field, Some(value));
    }
    let inner_node = |name: &str| inner.nodes.iter().find(|node| node.name == name);
    let new_name = |old: &str| names.iter().find(|(before, _)| before == old).map(|(_, new)| new.clone());
    // Where what comes out of an inner end comes from, seen from outside: through the interface, from what feeds the node.
    let outer_links: Vec<LinkText> = blueprint.links.iter().map(|link| link.link.clone()).collect();
    let source = |(of, pin): &(String, String)| match inner_node(of).filter(|node| is_interface(node)) {
        Some(input) => outer_links.iter().find(|link| link.to == (name.to_owned(), pin_of(input))).map(|link| link.from.clone()),
        None => Some((new_name(of)?, pin.clone())),
    };
    let mut made = Vec::new();
    for link in inner.links.iter().map(|link| &link.link) {
        let Some(from) = source(&link.from) else { continue };
        match inner_node(&link.to.0).filter(|node| is_interface(node)) {
            Some(output) => {
                let end = (name.to_owned(), pin_of(output));
                let fed = outer_links.iter().filter(|outer| outer.from == end);
                made.extend(fed.map(|outer| LinkText { from: from.clone(), to: outer.to.clone() }));
            }
            None => made.extend(new_name(&link.to.0).map(|to| LinkText { from, to: (to, link.to.1.clone()) })),
        }
    }
    remove_nodes(blueprint, &[name.to_owned()]);
    for link in made {
        connect(blueprint, link);
    }
    names.into_iter().map(|(_, new)| new).collect()
}

fn forget_lost_routes(blueprint: &mut Blueprint) {
    let Blueprint { routes, links, .. } = blueprint;
    routes.retain(|route| links.iter().any(|link| link.link == route.link));
}

/// Nodes and the links between them as text: a small blueprint of their own.
pub fn copy(blueprint: &Blueprint, names: &[String]) -> String {
    let taken = |name: &str| names.iter().any(|taken| taken == name);
    let mut part = Blueprint {
        nodes: blueprint.nodes.iter().filter(|node| taken(&node.name)).cloned().collect(),
        links: blueprint.links.iter().filter(|link| taken(&link.link.from.0) && taken(&link.link.to.0)).cloned().collect(),
        routes: blueprint.routes.clone(),
        ..default()
    };
    forget_lost_routes(&mut part);
    write(&part)
}

/// Adds the nodes of a text made with [`copy`], the middle of them at `at`. Returns their names.
///
/// # Errors
/// What is wrong with the text.
pub fn paste(blueprint: &mut Blueprint, text: &str, at: Vec2) -> Result<Vec<String>, Vec<Problem>> {
    let (part, problems) = read(text);
    if has_errors(&problems) {
        return Err(problems);
    }
    let Some(first) = part.nodes.first() else { return Ok(Vec::new()) };
    let bounds = part.nodes.iter().fold(Rect::from_corners(first.at, first.at), |bounds, node| bounds.union_point(node.at));
    let shift = (at - bounds.center()).round();
    let mut names: Vec<(String, String)> = Vec::with_capacity(part.nodes.len());
    for mut node in part.nodes {
        let name = free_name(blueprint, &node.name);
        names.push((core::mem::replace(&mut node.name, name.clone()), name));
        node.at += shift;
        blueprint.nodes.push(node);
    }
    let renamed = |old: &str| names.iter().find(|(before, _)| before == old).map(|(_, after)| after.clone());
    let moved = |link: &LinkText| {
        let end = |(node, pin): &(String, String)| Some((renamed(node)?, pin.clone()));
        Some(LinkText { from: end(&link.from)?, to: end(&link.to)? })
    };
    for link in &part.links {
        blueprint.links.extend(moved(&link.link).map(|link| BlueprintLink { link, place: Place::default() }));
    }
    for route in part.routes {
        let via = route.via.iter().map(|point| *point + shift).collect();
        blueprint.routes.extend(moved(&route.link).map(|link| BlueprintRoute { link, via }));
    }
    Ok(names.into_iter().map(|(_, after)| after).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Blueprint {
        let mut blueprint = Blueprint::default();
        for (number, kind) in ["Camera", "Stitch", "Window"].into_iter().enumerate() {
            add_node(&mut blueprint, kind, kind, Vec2::new(200.0 * number as f32, 0.0));
        }
        connect(&mut blueprint, "camera.frame -> stitch.picture 1".parse().expect("a link"));
        connect(&mut blueprint, "stitch.picture -> window.frame".parse().expect("a link"));
        blueprint
    }

    #[test]
    fn names_stay_unique_and_short() {
        let mut blueprint = chain();
        assert_eq!(add_node(&mut blueprint, "Stitch", "Stitch", Vec2::ZERO), "stitch 2");
        assert_eq!(free_name(&blueprint, "stitch 2"), "stitch 3");
        assert_eq!(free_name(&blueprint, "a.b -> \"c\""), "ab   c");
        assert_eq!(free_name(&blueprint, " "), "node");
    }

    #[test]
    fn what_names_a_node_goes_with_it() {
        let mut blueprint = chain();
        toggle_parameter(&mut blueprint, "stitch", "feather_px");
        let link = blueprint.links[0].link.clone();
        set_route(&mut blueprint, &link, vec![Vec2::new(90.0, 40.0)]);
        rename_node(&mut blueprint, "stitch", "sphere").expect("it is free");
        assert_eq!(blueprint.links[0].link.to_string(), "camera.frame -> sphere.picture 1");
        assert_eq!(blueprint.routes[0].link, blueprint.links[0].link);
        assert_eq!(blueprint.parameters[0].setting, "sphere.feather_px");
        assert!(rename_node(&mut blueprint, "sphere", "camera").is_err());
        assert!(rename_node(&mut blueprint, "sphere", "a.b").is_err());
        remove_nodes(&mut blueprint, &["sphere".to_owned()]);
        assert!(blueprint.links.is_empty() && blueprint.routes.is_empty() && blueprint.parameters.is_empty());
    }

    #[test]
    fn what_is_dissolved_is_bridged() {
        let mut blueprint = chain();
        dissolve_nodes(&mut blueprint, &["stitch".to_owned()]);
        assert_eq!(blueprint.links.len(), 1);
        assert_eq!(blueprint.links[0].link.to_string(), "camera.frame -> window.frame");
    }

    #[test]
    fn an_input_keeps_one_link() {
        let mut blueprint = chain();
        add_node(&mut blueprint, "Camera", "Camera", Vec2::ZERO);
        connect(&mut blueprint, "camera 2.frame -> stitch.picture 1".parse().expect("a link"));
        assert_eq!(blueprint.links.iter().filter(|link| link.link.to.0 == "stitch").count(), 1);
    }

    #[test]
    fn nodes_are_copied_as_text_with_the_links_between_them() {
        let mut blueprint = chain();
        set_setting(&mut blueprint, "stitch", "size", Some("(64, 32)".to_owned()));
        let text = copy(&blueprint, &["camera".to_owned(), "stitch".to_owned()]);
        let names = paste(&mut blueprint, &text, Vec2::new(100.0, 300.0)).expect("it was just copied");
        assert_eq!(names, ["camera 2", "stitch 2"]);
        assert!(blueprint.links.iter().any(|link| link.link.to_string() == "camera 2.frame -> stitch 2.picture 1"));
        assert_eq!(blueprint.node("stitch 2").map(|node| (node.at, node.settings.len())), Some((Vec2::new(200.0, 300.0), 1)));
        assert!(paste(&mut blueprint, "no blueprint", Vec2::ZERO).is_err());
    }

    #[test]
    fn a_subgraph_taken_apart_is_linked_as_it_was() {
        let text = r#"(version: 1, nodes: {
            "camera": (kind: "Camera"), "window": (kind: "Window"),
            "group": (kind: "Subgraph", settings: (definition: "inner"), values: {"strength": 3}),
        }, links: ["camera.frame -> group.in", "group.out -> window.frame"], subgraphs: { "inner": (nodes: {
            "in": (kind: "SubgraphInput"), "blur": (kind: "Blur"), "window": (kind: "Glow"), "out": (kind: "SubgraphOutput"),
        }, links: ["in.value -> blur.frame", "blur.frame -> window.frame", "window.frame -> out.value"],
        parameters: {"strength": "blur.radius_px"}) })"#;
        let (mut blueprint, problems) = read(text);
        assert_eq!(problems, []);
        let inner = blueprint.subgraphs[0].graph.clone();
        assert_eq!(take_apart(&mut blueprint, &inner, "group"), ["blur", "window 2"]);
        let links: Vec<String> = blueprint.links.iter().map(|link| link.link.to_string()).collect();
        assert_eq!(links, ["camera.frame -> blur.frame", "blur.frame -> window 2.frame", "window 2.frame -> window.frame"]);
        assert_eq!(blueprint.node("blur").map(|node| node.settings[0].value.as_str()), Some("3"));
        assert!(blueprint.node("group").is_none());
    }

    #[test]
    fn exposing_twice_hides_again() {
        let mut blueprint = chain();
        assert!(toggle_parameter(&mut blueprint, "stitch", "size.x"));
        assert!(toggle_parameter(&mut blueprint, "window", "size.x"));
        assert_eq!(blueprint.parameters[1].name, "window size x");
        assert!(!toggle_parameter(&mut blueprint, "stitch", "size.x"));
        assert_eq!(blueprint.parameters.len(), 1);
    }
}
