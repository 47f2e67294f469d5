//! The bound on how many places give one prim opinions.
//!
//! References of references double with each step where two prims refer to the same two: thirty lines ask for a thousand million places. So the
//! places are counted over what the layers say, before anything is composed. Of the variants of a set the one with the most counts.

use super::{
    Budget, UsdError, path,
    scan::{Fact, LayerFacts, ReferenceKind},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// The layers of a stage, as far as they are read.
type Layers = BTreeMap<String, Arc<LayerFacts>>;

/// Up to so many arcs they are counted with each layer that is read, above with each fiftieth part more.
const ALWAYS: usize = 5_000;

/// When to count again.
#[derive(Default)]
pub(super) struct Schedule {
    arcs: usize,
    counted: usize,
}

/// Counts the places behind each prim, if enough layers came since it was done last.
///
/// # Errors
/// [`UsdError::OverBudget`] if there are too many, or arcs of arcs go too deep.
pub(super) fn check(added: &str, layers: &Layers, schedule: &mut Schedule, budget: &Budget) -> Result<(), UsdError> {
    let Some(facts) = layers.get(added) else { return Ok(()) };
    schedule.arcs += facts.references.len();
    if facts.references.is_empty() || schedule.arcs > ALWAYS && schedule.arcs < schedule.counted + schedule.counted / 50 {
        return Ok(());
    }
    schedule.counted = schedule.arcs;
    let mut counter = Counter { layers, budget, arcs: HashMap::new(), sublayers: HashMap::new(), places: HashMap::new() };
    for (layer, facts) in layers {
        for fact in &facts.references {
            if fact.kind == ReferenceKind::SubLayer {
                if let Some(sublayer) = path::anchor(&fact.asset, layer).filter(|sublayer| layers.contains_key(sublayer)) {
                    counter.sublayers.entry(layer.clone()).or_default().push((fact, sublayer));
                }
                continue;
            }
            counter.arcs.entry((layer.clone(), prim_of(&fact.prim))).or_default().push(fact);
        }
    }
    let prims: Vec<_> = counter.arcs.keys().cloned().collect();
    prims.iter().try_for_each(|prim| counter.count(prim))
}

/// A prim of a layer.
type Place = (String, String);

struct Counter<'a> {
    layers: &'a Layers,
    budget: &'a Budget,
    arcs: HashMap<Place, Vec<&'a Fact>>,
    /// The sublayers of each layer that are read.
    sublayers: HashMap<String, Vec<(&'a Fact, String)>>,
    /// Places behind a prim, itself included, and how deep they go.
    places: HashMap<Place, (u64, u64)>,
}

impl Counter<'_> {
    /// Counts with a stack of its own, for depth is what it bounds.
    fn count(&mut self, first: &Place) -> Result<(), UsdError> {
        let mut open = HashSet::new();
        let mut stack = vec![(first.clone(), false)];
        while let Some((place, is_ready)) = stack.pop() {
            if self.places.contains_key(&place) {
                continue;
            }
            let targets = self.targets(&place);
            if !is_ready {
                if !open.insert(place.clone()) {
                    // An arc back to where it came from; the composer drops it.
                    continue;
                }
                stack.push((place, true));
                let next = targets.iter().map(|(_, target)| target).filter(|target| {
                    !open.contains(*target) && (self.arcs.contains_key(*target) || self.sublayers.contains_key(&target.0))
                });
                stack.extend(next.map(|target| (target.clone(), false)));
                continue;
            }
            let mut sets: HashMap<&str, HashMap<&str, u64>> = HashMap::new();
            let mut deepest = 0;
            for (fact, target) in &targets {
                let (count, depth) =
                    self.places.get(target).copied().unwrap_or((u64::from(fact.kind != ReferenceKind::SubLayer), 0));
                deepest = deepest.max(depth + 1);
                let variant = fact.prim.rsplit_once('{').map_or("", |(_, variant)| variant);
                let set = variant.split_once('=').map_or("", |(set, _)| set);
                let sum = sets.entry(set).or_default().entry(fact.prim.as_str()).or_default();
                *sum = sum.saturating_add(count);
            }
            let most = sets.values().map(|variants| variants.values().copied().max().unwrap_or_default());
            let count = most.fold(1_u64, u64::saturating_add);
            let over = |what: &str, found: u64, allowed: usize, budget: &'static str| {
                let line = targets.first().and_then(|(fact, _)| fact.line);
                let what = format!("<{}>: {what}", place.1);
                UsdError::over(&place.0, line, &what, found, allowed as u64, budget)
            };
            if count > self.budget.arcs_per_prim as u64 {
                return Err(over("places that give it opinions", count, self.budget.arcs_per_prim, "arcs_per_prim"));
            }
            if deepest > self.budget.arc_depth as u64 {
                return Err(over("references of references", deepest, self.budget.arc_depth, "arc_depth"));
            }
            drop(targets);
            self.places.insert(place, (count, deepest));
        }
        Ok(())
    }

    /// Where the arcs of a prim lead.
    fn targets(&self, place: &Place) -> Vec<(&Fact, Place)> {
        let arcs = self.arcs.get(place).map(Vec::as_slice).unwrap_or_default();
        // What a sublayer says of the prim counts as well.
        let sublayers = self.sublayers.get(&place.0).into_iter().flatten();
        let sublayers = sublayers.map(|(fact, layer)| (*fact, (layer.clone(), place.1.clone())));
        let targets = arcs.iter().filter(|fact| {
            matches!(
                fact.kind,
                ReferenceKind::Reference | ReferenceKind::Payload | ReferenceKind::Inherit | ReferenceKind::Specialize
            )
        });
        targets
            .filter_map(|fact| {
                let layer = if fact.asset.is_empty() { place.0.clone() } else { path::anchor(&fact.asset, &place.0)? };
                // The layer of a package has a longer name. One that is not read yet counts for itself.
                let of_package = || self.layers.range(layer.clone()..).next().filter(|(other, _)| other.starts_with(&layer));
                let layer = match self.layers.contains_key(&layer) {
                    true => layer,
                    false => of_package().map_or(layer.clone(), |(other, _)| other.clone()),
                };
                let default_prim = || self.layers.get(&layer).and_then(|facts| facts.default_prim.clone()).unwrap_or_default();
                let target = match fact.target.as_str() {
                    "" => format!("/{}", default_prim()),
                    target if target.starts_with('/') => target.to_owned(),
                    target => format!("{}/{target}", place.1),
                };
                Some((*fact, (layer, target)))
            })
            .chain(sublayers)
            .collect()
    }
}

/// The path without variants.
fn prim_of(path: &str) -> String {
    if !path.contains('{') {
        return path.to_owned();
    }
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((_, behind)) = after.split_once('}') else { break };
        if !behind.is_empty() && !behind.starts_with(['/', '{']) {
            out.push('/');
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}
