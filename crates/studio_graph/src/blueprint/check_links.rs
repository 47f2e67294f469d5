//! What can be said of a blueprint's links: pins that are not there, types that do not fit, inputs fed twice, cycles.

use super::{
    Blueprint, Place,
    check::{CheckedLink, CheckedNode, Examiner},
    subgraph::Scope,
    target::Index,
};
use crate::{
    data_type::{Conversion, DataType},
    pin::{PinDirection, PinSpec},
};
use bevy::platform::collections::HashMap;

/// The most nodes of a cycle that a message names.
const MOST_NAMES: usize = 40;

impl Examiner<'_, '_> {
    pub(super) fn links(
        &mut self,
        blueprint: &Blueprint,
        nodes: &mut [CheckedNode],
        index: &Index,
        scope: &Scope,
    ) -> Vec<CheckedLink> {
        let mut fed: HashMap<(usize, &str), Place> = HashMap::default();
        let mut links = Vec::with_capacity(blueprint.links.len());
        for link in &blueprint.links {
            let mut end = |(node, pin): &(String, String), direction: PinDirection| {
                let Some(place) = index.node(node) else {
                    let like = self.guess(node, blueprint.nodes.iter().map(|node| node.name.as_str()));
                    let help = like.map_or_else(String::new, |like| format!("; did you mean “{like}”?"));
                    self.error(
                        scope,
                        link.place,
                        format!("the link {} names no node of this blueprint: “{node}”{help}", link.link),
                    );
                    return None;
                };
                let checked = &nodes[place];
                let found = checked.pins.iter().find(|spec| spec.direction == direction && spec.name == *pin).cloned();
                // What a placeholder's pins are is known from its links alone.
                if found.is_none() && !checked.open {
                    let (word, other) = match direction {
                        PinDirection::Input => ("input", "output"),
                        PinDirection::Output => ("output", "input"),
                    };
                    let present: Vec<&str> =
                        checked.pins.iter().filter(|spec| spec.direction == direction).map(|spec| spec.name.as_ref()).collect();
                    let help = if checked.pins.iter().any(|spec| spec.name == *pin) {
                        format!("“{pin}” is an {other}")
                    } else if present.is_empty() {
                        format!("it has no {word}s")
                    } else {
                        format!("it has: {}", present.join(", "))
                    };
                    let message = format!("the link {}: node “{node}” has no {word} “{pin}”; {help}", link.link);
                    self.error(scope, link.place, message);
                    return None;
                }
                Some((place, found.map(|spec| spec.data_type)))
            };
            let from = end(&link.link.from, PinDirection::Output);
            let to = end(&link.link.to, PinDirection::Input);
            let (Some((from, from_type)), Some((to, to_type))) = (from, to) else { continue };
            if let Some(before) = fed.insert((to, link.link.to.1.as_str()), link.place) {
                let message = format!(
                    "the link {}: the input is already fed by the link at line {}: an input takes one link",
                    link.link, before.line
                );
                self.error(scope, link.place, message);
                continue;
            }
            let conversion = match from_type.clone().zip(to_type.clone()) {
                None => Conversion::None,
                Some((from_type, to_type)) => match self.types.conversion(&from_type, &to_type) {
                    Some(conversion) => conversion,
                    None => {
                        let message = format!("the link {}: {} does not fit {}", link.link, from_type.name(), to_type.name());
                        self.error(scope, link.place, message);
                        continue;
                    }
                },
            };
            let (from_pin, to_pin) = (link.link.from.1.clone(), link.link.to.1.clone());
            // A placeholder gets the pins that its links name.
            let any = |data_type: &Option<DataType>| data_type.clone().unwrap_or(DataType::ANY);
            let (output, input) =
                (PinSpec::output(from_pin.clone(), any(&to_type)), PinSpec::input(to_pin.clone(), any(&from_type)));
            for (place, spec) in [(from, output), (to, input)] {
                let pins = &mut nodes[place];
                let present = pins.pins.iter().any(|pin| pin.direction == spec.direction && pin.name == spec.name);
                if pins.open && !present && pins.extra.len() >= Self::MOST_PINS {
                    let (name, most) = (&blueprint.nodes[place].name, Self::MOST_PINS);
                    self.error(
                        scope,
                        link.place,
                        format!("the link {}: a placeholder such as “{name}” may have {most} pins at most", link.link),
                    );
                } else if pins.open && !present {
                    pins.extra.push(spec.clone());
                    pins.pins.push(spec);
                }
            }
            links.push(CheckedLink { from: (from, from_pin), to: (to, to_pin), conversion });
        }
        links
    }

    /// Names the nodes of cycles: of one for each group of nodes that hang together in them.
    pub(super) fn cycles(&mut self, blueprint: &Blueprint, links: &[CheckedLink], scope: &Scope) {
        let count = blueprint.nodes.len();
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut missing = vec![0_usize; count];
        for link in links {
            next[link.from.0].push(link.to.0);
            missing[link.to.0] += 1;
        }
        // What hangs on no cycle falls away.
        let mut ready: Vec<usize> = (0..count).filter(|place| missing[*place] == 0).collect();
        let mut stuck = vec![true; count];
        while let Some(place) = ready.pop() {
            stuck[place] = false;
            for &reader in &next[place] {
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    ready.push(reader);
                }
            }
        }
        let mut feeder = vec![None; count];
        for link in links.iter().filter(|link| stuck[link.from.0] && stuck[link.to.0]) {
            feeder[link.to.0].get_or_insert((link.from.0, link));
        }
        let mut seen = vec![false; count];
        for start in (0..count).filter(|place| stuck[*place]) {
            let mut way: Vec<usize> = Vec::new();
            let mut at = start;
            while !seen[at] {
                seen[at] = true;
                way.push(at);
                let Some((from, _)) = feeder[at] else { break };
                at = from;
            }
            let Some(begin) = way.iter().position(|place| *place == at).filter(|_| feeder[at].is_some()) else { continue };
            let mut names: Vec<&str> = way[begin..].iter().rev().map(|place| blueprint.nodes[*place].name.as_str()).collect();
            names.extend(names.first().copied());
            if names.len() > MOST_NAMES {
                names.splice(MOST_NAMES / 2..names.len() - MOST_NAMES / 2, ["…"]);
            }
            self.error(
                scope,
                blueprint.nodes[at].place,
                format!("these nodes feed each other in a cycle: {}", names.join(" → ")),
            );
        }
    }
}
