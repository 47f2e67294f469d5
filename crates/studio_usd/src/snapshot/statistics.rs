//! How much there is in a stage.

use super::{Prim, PrimData, Prototype, StageSnapshot};
use std::collections::BTreeMap;

/// How much there is in a stage, the prims below instances counted for each instance, as traversals with instance proxies count them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Prims.
    pub prims: u64,
    /// Prims of each type; `""` for those without one.
    pub types: BTreeMap<String, u64>,
    /// Instances, nested ones too.
    pub instances: u64,
    /// Points of meshes, as they are at first.
    pub mesh_points: u64,
    /// Attributes with time samples.
    pub animated_attributes: u64,
}

impl Statistics {
    fn add_prim(&mut self, prim: &Prim) {
        self.prims = self.prims.saturating_add(1);
        let of_type = self.types.entry(prim.type_name.clone()).or_default();
        *of_type = of_type.saturating_add(1);
        if let PrimData::Mesh(mesh) = &prim.data
            && prim.type_name == "Mesh"
        {
            let points = mesh.points.default.as_ref().or(mesh.points.samples.first().map(|(_, points)| points));
            self.mesh_points = self.mesh_points.saturating_add(points.map_or(0, Vec::len) as u64);
        }
        self.animated_attributes = self.animated_attributes.saturating_add(prim.animated_attributes.len() as u64);
    }

    fn add(&mut self, other: &Self) {
        self.prims = self.prims.saturating_add(other.prims);
        for (name, count) in &other.types {
            let of_type = self.types.entry(name.clone()).or_default();
            *of_type = of_type.saturating_add(*count);
        }
        self.instances = self.instances.saturating_add(other.instances);
        self.mesh_points = self.mesh_points.saturating_add(other.mesh_points);
        self.animated_attributes = self.animated_attributes.saturating_add(other.animated_attributes);
    }
}

impl StageSnapshot {
    /// Counts everything. Prototypes are counted once and added for each of their instances, so this takes no longer for many instances.
    pub fn statistics(&self) -> Statistics {
        let mut below: Vec<Option<Statistics>> = vec![None; self.prototypes.len()];
        // Prototypes within prototypes were found after those that hold them, mostly; where not, another round finds them.
        for _ in 0..=self.prototypes.len() {
            let mut is_done = true;
            for place in (0..self.prototypes.len()).rev() {
                if below.get(place).is_some_and(Option::is_some) {
                    continue;
                }
                let counted = self.prototypes.get(place).and_then(|prototype| count_below(prototype, &below));
                is_done &= counted.is_some();
                if let Some(slot) = below.get_mut(place) {
                    *slot = counted;
                }
            }
            if is_done {
                break;
            }
        }
        count(&self.prims, &below).unwrap_or_default()
    }
}

/// What is below a prototype's root; `None` while a prototype in it is not counted.
fn count_below(prototype: &Prototype, below: &[Option<Statistics>]) -> Option<Statistics> {
    count(prototype.prims.get(1..).unwrap_or_default(), below)
}

fn count(prims: &[Prim], below: &[Option<Statistics>]) -> Option<Statistics> {
    let mut all = Statistics::default();
    for prim in prims {
        all.add_prim(prim);
        if let Some(prototype) = prim.prototype {
            all.instances = all.instances.saturating_add(1);
            all.add(below.get(prototype)?.as_ref()?);
        }
    }
    Some(all)
}
