//! Polygons into triangles.

use super::polygons::area_normal;
use bevy::math::{DVec2, Vec3};

/// Tests of a corner against a triangle that one mesh may cost. Ear clipping takes time by the square of a face's concave corners: past
/// this, what is left of a face becomes a fan.
pub(crate) const EAR_TESTS: u64 = 1 << 28;

/// Cuts faces into triangles.
#[derive(Debug)]
pub(crate) struct Triangulator {
    tests_left: u64,
    /// Whether a face had to be cut into a fan.
    pub gave_up: bool,
    flat: Vec<DVec2>,
    next: Vec<u32>,
    previous: Vec<u32>,
    reflex: Vec<u32>,
    is_reflex: Vec<bool>,
}

impl Triangulator {
    pub fn new(tests: u64) -> Self {
        Self {
            tests_left: tests,
            gave_up: false,
            flat: Vec::new(),
            next: Vec::new(),
            previous: Vec::new(),
            reflex: Vec::new(),
            is_reflex: Vec::new(),
        }
    }

    /// Cuts a face into triangles of its corners, counted from 0, which run as the face does. All of a face's area is covered once if it
    /// does not cut itself. Triangles, quads and convex faces take time by their corners, others are clipped ear by ear (Meisters 1975) in
    /// the plane of the face.
    pub fn face(&mut self, corners: &[u32], points: &[Vec3], mut emit: impl FnMut([u32; 3])) {
        match corners.len() {
            0..3 => return,
            3 => return emit([0, 1, 2]),
            _ => {}
        }
        let normal = area_normal(corners, points);
        if !self.flatten(corners, points, normal) {
            return fan(corners.len(), emit);
        }
        if corners.len() == 4 {
            // One diagonal is always inside.
            let second = self.cross(0, 1, 2) <= 0.0 || self.cross(0, 2, 3) <= 0.0;
            if second && self.cross(1, 2, 3) > 0.0 && self.cross(1, 3, 0) > 0.0 {
                emit([1, 2, 3]);
                return emit([1, 3, 0]);
            }
            return fan(4, emit);
        }
        let count = corners.len() as u32;
        if (0..count).all(|corner| self.cross((corner + count - 1) % count, corner, (corner + 1) % count) > 0.0) {
            return fan(corners.len(), emit);
        }
        self.clip_ears(count, &mut emit);
    }

    /// Projects the corners along the axis that the normal is nearest to, so that they run counter-clockwise. `false` if the face has no
    /// area.
    fn flatten(&mut self, corners: &[u32], points: &[Vec3], normal: Vec3) -> bool {
        let normal = normal.as_dvec3();
        let size = normal.abs();
        if size.max_element() <= 0.0 || !size.is_finite() {
            return false;
        }
        let (first, second, along) = if size.x >= size.y && size.x >= size.z {
            (1, 2, normal.x)
        } else if size.y >= size.z {
            (2, 0, normal.y)
        } else {
            (0, 1, normal.z)
        };
        let (first, second) = if along > 0.0 { (first, second) } else { (second, first) };
        self.flat.clear();
        self.flat.extend(corners.iter().map(|corner| {
            let point = points.get(*corner as usize).copied().unwrap_or_default().as_dvec3();
            DVec2::new(point[first], point[second])
        }));
        true
    }

    fn at(&self, corner: u32) -> DVec2 {
        self.flat.get(corner as usize).copied().unwrap_or_default()
    }

    /// Twice the area of a triangle; positive if it runs counter-clockwise.
    fn cross(&self, a: u32, b: u32, c: u32) -> f64 {
        let a = self.at(a);
        (self.at(b) - a).perp_dot(self.at(c) - a)
    }

    fn clip_ears(&mut self, count: u32, emit: &mut impl FnMut([u32; 3])) {
        self.next.clear();
        self.next.extend((0..count).map(|corner| (corner + 1) % count));
        self.previous.clear();
        self.previous.extend((0..count).map(|corner| (corner + count - 1) % count));
        self.is_reflex.clear();
        self.reflex.clear();
        for corner in 0..count {
            let reflex = self.cross((corner + count - 1) % count, corner, (corner + 1) % count) <= 0.0;
            self.is_reflex.push(reflex);
            if reflex {
                self.reflex.push(corner);
            }
        }
        let mut left = count;
        let mut corner = 0;
        // Corners looked at since the last ear. After a whole round without one, corners may touch the ear, and after another any corner
        // that points outwards is one: the face then cuts itself.
        let mut looked = 0;
        while left > 3 {
            let (before, after) = (self.link(&self.previous, corner), self.link(&self.next, corner));
            let ear = if looked >= 3 * left {
                true
            } else if self.cross(before, corner, after) <= 0.0 {
                false
            } else if looked >= 2 * left {
                true
            } else {
                !self.holds_a_corner([before, corner, after], looked < left)
            };
            if self.tests_left == 0 {
                self.gave_up = true;
                break;
            }
            if !ear {
                looked += 1;
                corner = after;
                continue;
            }
            emit([before, corner, after]);
            left -= 1;
            looked = 0;
            self.set_link(before, after);
            if let Some(reflex) = self.is_reflex.get_mut(corner as usize) {
                *reflex = false;
            }
            for changed in [before, after] {
                let (one, other) = (self.link(&self.previous, changed), self.link(&self.next, changed));
                let reflex = self.cross(one, changed, other) <= 0.0;
                if let Some(was) = self.is_reflex.get_mut(changed as usize) {
                    // A corner that was not reflex can only become so in a face that cuts itself; such a face needs no care.
                    *was = *was && reflex;
                }
            }
            // Corners stay in the list for a while after they have become convex.
            if self.reflex.len() > 16 && left.is_multiple_of(64) {
                let is_reflex = &self.is_reflex;
                self.reflex.retain(|corner| is_reflex.get(*corner as usize).copied().unwrap_or(false));
            }
            // Every other corner, for triangles that are less thin.
            corner = self.link(&self.next, after);
        }
        // The last triangle, or a fan of what is left.
        let first = corner;
        let mut second = self.link(&self.next, first);
        for _ in 2..left {
            let third = self.link(&self.next, second);
            emit([first, second, third]);
            second = third;
        }
    }

    fn link(&self, links: &[u32], corner: u32) -> u32 {
        links.get(corner as usize).copied().unwrap_or_default()
    }

    fn set_link(&mut self, before: u32, after: u32) {
        if let Some(next) = self.next.get_mut(before as usize) {
            *next = after;
        }
        if let Some(previous) = self.previous.get_mut(after as usize) {
            *previous = before;
        }
    }

    /// Whether a corner that is not convex lies in a triangle: on its edge too, if `closed`. Corners at the triangle's own places do not
    /// count: faces with holes are often cut open along a line that runs there and back.
    fn holds_a_corner(&mut self, [a, b, c]: [u32; 3], closed: bool) -> bool {
        let places = [a, b, c].map(|corner| self.at(corner));
        let mut tests = 0;
        let found = self.reflex.iter().any(|corner| {
            tests += 1;
            if [a, b, c].contains(corner) || !self.is_reflex.get(*corner as usize).copied().unwrap_or(false) {
                return false;
            }
            let point = self.at(*corner);
            if places.contains(&point) {
                return false;
            }
            let side = |from: DVec2, to: DVec2| (to - from).perp_dot(point - from);
            let sides = [side(places[0], places[1]), side(places[1], places[2]), side(places[2], places[0])];
            if closed { sides.iter().all(|side| *side >= 0.0) } else { sides.iter().all(|side| *side > 0.0) }
        });
        self.tests_left = self.tests_left.saturating_sub(tests + 1);
        found
    }
}

/// Triangles around the first corner.
fn fan(count: usize, mut emit: impl FnMut([u32; 3])) {
    for corner in 2..count as u32 {
        emit([0, corner - 1, corner]);
    }
}
