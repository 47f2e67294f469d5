//! Values that may move.

use super::{ExportError, state::EntityState};
use studio_usd::write::{
    LayerBuilder, WriteError,
    sdf::{Path, Value},
};

/// An entity's states over time, at least one.
pub(super) struct Animated<'a>(pub &'a [(f64, EntityState)]);

impl Animated<'_> {
    /// Writes an attribute: its value if that never changes, else samples. A value that stays for a while has a sample at each end.
    pub fn put(
        &self,
        layer: &mut LayerBuilder,
        prim: &Path,
        name: &str,
        type_name: &str,
        value: impl Fn(&EntityState) -> Option<Value>,
    ) -> Result<Option<Path>, ExportError> {
        let values: Vec<(f64, Value)> = self.0.iter().filter_map(|(time, state)| Some((*time, value(state)?))).collect();
        put_values(layer, prim, name, type_name, values).map_err(ExportError::from)
    }
}

fn put_values(
    layer: &mut LayerBuilder,
    prim: &Path,
    name: &str,
    type_name: &str,
    values: Vec<(f64, Value)>,
) -> Result<Option<Path>, WriteError> {
    let Some((_, first)) = values.first() else { return Ok(None) };
    if values.iter().all(|(_, value)| value == first) {
        let first = first.clone();
        return layer.attribute(prim, name, type_name, first).map(Some);
    }
    let is_needed = |at: usize| {
        let value = |at: usize| values.get(at).map(|(_, value)| value);
        at == 0 || at + 1 == values.len() || value(at - 1) != value(at) || value(at) != value(at + 1)
    };
    let needed = values.iter().enumerate().filter(|(at, _)| is_needed(*at)).map(|(_, sample)| sample.clone()).collect();
    layer.samples(prim, name, type_name, needed).map(Some)
}
