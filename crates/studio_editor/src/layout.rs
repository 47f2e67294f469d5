//! Order on the canvas: aligning, distributing, and laying a graph out by itself.

use bevy::{platform::collections::HashMap, prelude::*};
use studio_graph::blueprint::Blueprint;

/// The canvas' grid, in points.
pub const GRID: f32 = 20.0;
const GAP: Vec2 = Vec2::new(80.0, 40.0);

/// The nearest point of the grid.
pub fn snapped(at: Vec2) -> Vec2 {
    (at / GRID).round() * GRID
}

/// Which edges or centres of nodes are brought into line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Left edges.
    Left,
    /// Right edges.
    Right,
    /// Upper edges.
    Top,
    /// Lower edges.
    Bottom,
    /// Centres, side by side.
    Row,
    /// Centres, one above the other.
    Column,
}

/// Where nodes stand once they are in line. `nodes` are names with rectangles.
pub fn align(nodes: &[(String, Rect)], alignment: Alignment) -> Vec<(String, Vec2)> {
    let Some(bounds) = nodes.iter().map(|(_, rect)| *rect).reduce(|all, rect| all.union(rect)) else { return Vec::new() };
    let place = |rect: &Rect| match alignment {
        Alignment::Left => Vec2::new(bounds.min.x, rect.min.y),
        Alignment::Right => Vec2::new(bounds.max.x - rect.width(), rect.min.y),
        Alignment::Top => Vec2::new(rect.min.x, bounds.min.y),
        Alignment::Bottom => Vec2::new(rect.min.x, bounds.max.y - rect.height()),
        Alignment::Row => Vec2::new(rect.min.x, bounds.center().y - rect.height() / 2.0),
        Alignment::Column => Vec2::new(bounds.center().x - rect.width() / 2.0, rect.min.y),
    };
    nodes.iter().map(|(name, rect)| (name.clone(), place(rect).round())).collect()
}

/// Where nodes stand once the gaps between them are equal, side by side or one above the other.
pub fn distribute(nodes: &[(String, Rect)], horizontally: bool) -> Vec<(String, Vec2)> {
    let axis = usize::from(!horizontally);
    let mut order: Vec<&(String, Rect)> = nodes.iter().collect();
    order.sort_by(|one, other| one.1.min[axis].total_cmp(&other.1.min[axis]));
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return Vec::new() };
    let used: f32 = order.iter().map(|(_, rect)| rect.size()[axis]).sum();
    let gap = (last.1.max[axis] - first.1.min[axis] - used) / (order.len().max(2) - 1) as f32;
    let mut next = first.1.min[axis];
    let mut placed = Vec::with_capacity(order.len());
    for (name, rect) in order {
        let mut at = rect.min;
        at[axis] = next;
        next += rect.size()[axis] + gap;
        placed.push((name.clone(), at.round()));
    }
    placed
}

/// Lays nodes out from left to right in layers, so that wires run forwards and cross little: longest-path layers, then
/// sweeps that put each node at the median of its neighbours (K. Sugiyama et al., 1981; E. Gansner et al., 1993).
///
/// Only `chosen` nodes move, or all if there are none. `size_of` gives a node's width and height in points.
pub fn arrange(blueprint: &Blueprint, chosen: &[String], size_of: impl Fn(&str) -> Vec2) -> Vec<(String, Vec2)> {
    const SWEEPS: usize = 8;
    let nodes: Vec<_> = blueprint.nodes.iter().filter(|node| chosen.is_empty() || chosen.contains(&node.name)).collect();
    let Some(start) = nodes.iter().map(|node| node.at).reduce(Vec2::min) else { return Vec::new() };
    let places: HashMap<&str, usize> = nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), place)).collect();
    let edges: Vec<(usize, usize)> = blueprint
        .links
        .iter()
        .filter_map(|link| Some((*places.get(link.link.from.0.as_str())?, *places.get(link.link.to.0.as_str())?)))
        .collect();
    let (mut before, mut after) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
    for &(from, to) in &edges {
        after[from].push(to);
        before[to].push(from);
    }
    let layers = layers(&before, &after);
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (place, layer) in layers.iter().enumerate() {
        order[*layer].push(place);
    }
    let mut rank = vec![0.0_f32; nodes.len()];
    let number = |order: &[usize], rank: &mut [f32]| order.iter().enumerate().for_each(|(at, place)| rank[*place] = at as f32);
    order.iter().for_each(|layer| number(layer, &mut rank));
    for sweep in 0..SWEEPS {
        let forwards = sweep % 2 == 0;
        let mut visit: Vec<usize> = (0..count).collect();
        if !forwards {
            visit.reverse();
        }
        for layer in visit {
            let median = |place: usize| {
                let neighbours = if forwards { &before[place] } else { &after[place] };
                let mut ranks: Vec<f32> = neighbours.iter().map(|neighbour| rank[*neighbour]).collect();
                ranks.sort_by(f32::total_cmp);
                ranks.get(ranks.len() / 2).copied().unwrap_or(rank[place])
            };
            let mut keyed: Vec<(f32, usize)> = order[layer].iter().map(|&place| (median(place), place)).collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            order[layer] = keyed.into_iter().map(|(_, place)| place).collect();
            number(&order[layer], &mut rank);
        }
    }
    let sizes: Vec<Vec2> = nodes.iter().map(|node| size_of(&node.name)).collect();
    let height = |layer: &[usize]| layer.iter().map(|place| sizes[*place].y + GAP.y).sum::<f32>() - GAP.y;
    let tallest = order.iter().map(|layer| height(layer)).fold(0.0, f32::max);
    let mut placed = Vec::with_capacity(nodes.len());
    let mut x = start.x;
    for layer in &order {
        let mut y = start.y + (tallest - height(layer)) / 2.0;
        for &place in layer {
            placed.push((nodes[place].name.clone(), snapped(Vec2::new(x, y))));
            y += sizes[place].y + GAP.y;
        }
        x += layer.iter().map(|place| sizes[*place].x).fold(0.0, f32::max) + GAP.x;
    }
    placed
}

/// How many nodes lie before each on the longest way; nodes on a cycle stay in the first layer.
fn layers(before: &[Vec<usize>], after: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..missing.len()).filter(|place| missing[*place] == 0).collect();
    let mut layers = vec![0; missing.len()];
    while let Some(place) = ready.pop() {
        for &to in &after[place] {
            layers[to] = layers[to].max(layers[place] + 1);
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.push(to);
            }
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::{add_node, connect};

    fn rects() -> Vec<(String, Rect)> {
        let rect = |x: f32, y: f32, width: f32| Rect::from_corners(Vec2::new(x, y), Vec2::new(x + width, y + 50.0));
        vec![("a".into(), rect(0.0, 0.0, 100.0)), ("b".into(), rect(300.0, 40.0, 50.0)), ("c".into(), rect(130.0, 90.0, 100.0))]
    }

    #[test]
    fn nodes_come_into_line() {
        let left = align(&rects(), Alignment::Left);
        assert!(left.iter().all(|(_, at)| at.x == 0.0));
        let right = align(&rects(), Alignment::Right);
        assert_eq!(right.iter().map(|(_, at)| at.x).collect::<Vec<_>>(), [250.0, 300.0, 250.0]);
        let row = align(&rects(), Alignment::Row);
        assert!(row.iter().all(|(_, at)| at.y == 45.0));
    }

    #[test]
    fn gaps_become_equal() {
        let placed = distribute(&rects(), true);
        // 350 points wide, 250 of them nodes: two gaps of 50.
        assert_eq!(
            placed.iter().map(|(name, at)| (name.as_str(), at.x)).collect::<Vec<_>>(),
            [("a", 0.0), ("c", 150.0), ("b", 300.0)]
        );
    }

    #[test]
    fn a_graph_is_laid_out_forwards_without_overlap() {
        let mut blueprint = Blueprint::default();
        for number in 0..12 {
            add_node(&mut blueprint, "K", &format!("n{number}"), Vec2::splat(500.0));
        }
        for (from, to) in [(0, 3), (1, 3), (2, 4), (3, 5), (4, 5), (5, 6), (0, 6), (6, 7), (6, 8), (8, 9)] {
            connect(&mut blueprint, format!("n{from}.out -> n{to}.in {from}").parse().expect("a link"));
        }
        let size = Vec2::new(180.0, 90.0);
        let placed: HashMap<String, Vec2> = arrange(&blueprint, &[], |_| size).into_iter().collect();
        for link in &blueprint.links {
            assert!(placed[&link.link.from.0].x + size.x < placed[&link.link.to.0].x, "{} runs backwards", link.link);
        }
        let all: Vec<Rect> = placed.values().map(|at| Rect::from_corners(*at, *at + size)).collect();
        for (number, one) in all.iter().enumerate() {
            assert!(all[number + 1..].iter().all(|other| one.intersect(*other).is_empty()));
        }
    }
}
