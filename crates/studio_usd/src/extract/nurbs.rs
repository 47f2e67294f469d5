//! NURBS by their basis functions: which control points a place depends on, and how much (Piegl and Tiller, The NURBS Book, 2.2).

/// Higher orders than this are not evaluated: the cost grows with their square.
const MAX_ORDER: usize = 32;

/// Straight pieces in each span between different knots.
const PIECES_A_SPAN: usize = 8;

/// One direction of a curve or patch.
pub(super) struct Direction<'a> {
    pub order: usize,
    pub knots: &'a [f64],
    pub control_points: usize,
    /// The part of the parameter that is drawn; `None` for all of it.
    pub range: Option<(f64, f64)>,
}

/// A place on a curve, as the control points it depends on: the first one, and the weights of it and those that follow.
pub(super) struct Place {
    pub first: usize,
    pub weights: Vec<f64>,
}

impl Direction<'_> {
    /// Whether the numbers hold together, or else why not.
    pub fn check(&self) -> Result<(), String> {
        if self.order < 2 || self.order > MAX_ORDER {
            return Err(format!("its order is {}, not from 2 to {MAX_ORDER}", self.order));
        }
        if self.control_points < self.order {
            return Err(format!("it has {} control points, fewer than its order {}", self.control_points, self.order));
        }
        if self.knots.len() != self.control_points + self.order {
            return Err(format!("it has {} knots, not {}", self.knots.len(), self.control_points + self.order));
        }
        if !self.knots.iter().all(|knot| knot.is_finite()) || !self.knots.is_sorted() {
            return Err("its knots go down".to_owned());
        }
        Ok(())
    }

    /// At most this many numbers are in all places together.
    pub fn cost(&self) -> usize {
        self.knots.len().saturating_mul(PIECES_A_SPAN).saturating_mul(self.order)
    }

    /// Places along the direction: the ends of each span, and some between. The direction has been checked.
    pub fn places(&self) -> Vec<Place> {
        let knot = |place: usize| self.knots.get(place).copied().unwrap_or_default();
        let (mut low, mut high) = (knot(self.order - 1), knot(self.control_points));
        if let Some((from, to)) = self.range.filter(|(from, to)| from < to) {
            low = low.max(from);
            high = high.min(to);
        }
        let mut parameters: Vec<f64> = Vec::new();
        let inner = self.knots.iter().copied().filter(|knot| *knot > low && *knot < high);
        let mut ends: Vec<f64> = std::iter::once(low).chain(inner).chain([high]).collect();
        ends.dedup();
        for pair in ends.windows(2) {
            let [from, to] = pair else { continue };
            // Straight spans need nothing between.
            let pieces = if self.order == 2 { 1 } else { PIECES_A_SPAN };
            parameters.extend((0..pieces).map(|piece| from + (to - from) * piece as f64 / pieces as f64));
        }
        parameters.push(high);
        parameters.into_iter().map(|parameter| self.place(parameter)).collect()
    }

    fn place(&self, parameter: f64) -> Place {
        let knot = |place: usize| self.knots.get(place).copied().unwrap_or_default();
        let degree = self.order - 1;
        // The span that the parameter is in; at the end, the last one that is not empty.
        let mut span =
            self.knots.partition_point(|knot| *knot <= parameter).saturating_sub(1).clamp(degree, self.control_points - 1);
        while span > degree && knot(span) == knot(span + 1) {
            span -= 1;
        }
        let mut weights = vec![0.0; self.order];
        if let Some(first) = weights.first_mut() {
            *first = 1.0;
        }
        for step in 1..=degree {
            let mut saved = 0.0;
            for (before, weight) in weights.iter_mut().enumerate().take(step) {
                let (left, right) = (knot(span + 1 + before - step), knot(span + 1 + before));
                let part = if right > left { *weight / (right - left) } else { 0.0 };
                *weight = saved + (right - parameter) * part;
                saved = (parameter - left) * part;
            }
            if let Some(last) = weights.get_mut(step) {
                *last = saved;
            }
        }
        Place { first: span - degree, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(direction: &Direction<'_>, control: &[f64]) -> Vec<f64> {
        let at =
            |place: &Place| place.weights.iter().enumerate().map(|(index, weight)| weight * control[place.first + index]).sum();
        direction.places().iter().map(at).collect()
    }

    #[test]
    fn a_clamped_cubic_of_four_points_is_their_bezier_curve() {
        let knots = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let direction = Direction { order: 4, knots: &knots, control_points: 4, range: None };
        direction.check().unwrap();
        let values = evaluate(&direction, &[0.0, 3.0, 3.0, 6.0]);
        for (index, value) in values.iter().enumerate() {
            let t = index as f64 / PIECES_A_SPAN as f64;
            let bezier = 9.0 * t * (1.0 - t) * (1.0 - t) + 9.0 * t * t * (1.0 - t) + 6.0 * t * t * t;
            assert!((value - bezier).abs() < 1e-12, "{value} {bezier}");
        }
    }

    #[test]
    fn weights_add_up_to_one_everywhere_for_any_knots() {
        let knots = [0.0, 0.0, 1.0, 1.5, 1.5, 4.0, 7.0, 7.0];
        let direction = Direction { order: 3, knots: &knots, control_points: 5, range: None };
        direction.check().unwrap();
        for place in direction.places() {
            assert!((place.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(place.first + place.weights.len() <= 5);
        }
    }

    #[test]
    fn knots_that_do_not_fit_are_refused() {
        let direction = |order, knots, control_points| Direction { order, knots, control_points, range: None }.check();
        assert!(direction(4, &[0.0; 7], 4).unwrap_err().contains("7 knots, not 8"));
        assert!(direction(1, &[0.0; 5], 4).is_err());
        assert!(direction(2, &[0.0, 1.0, 0.5, 2.0], 2).is_err());
    }
}
