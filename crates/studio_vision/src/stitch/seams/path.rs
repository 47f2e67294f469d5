//! The cheapest way around a border of two lenses.
//!
//! As in Efros and Freeman, *Image Quilting for Texture Synthesis and Transfer* (SIGGRAPH 2001): dynamic programming over a band of cells
//! finds the way from one end to the other along which two pictures differ least. The band closes here, and its way is to hold still.

/// Cost of a step from one row to the next, which keeps the way short.
const STEP: f32 = 0.004;
/// The most rows that a way goes up or down from column to column.
const STEEPEST: usize = 2;
/// What a cell costs that the way already runs through, as a share: another way has to be clearly better.
const STAY: f32 = 0.6;

/// The cheapest way: a row for each column, none where no cell of a column can be crossed. `costs` are those of all cells, column after
/// column, infinite where only one lens sees; `before` is the way so far.
pub(super) fn cheapest(costs: &[f32], rows: usize, before: Option<&[Option<usize>]>) -> Vec<Option<usize>> {
    let columns = costs.len() / rows;
    let cost = |column: usize, row: usize| {
        let cost = costs[column % columns * rows + row];
        match before.and_then(|before| before[column % columns]) {
            Some(held) if held == row => cost * STAY,
            _ => cost,
        }
    };
    // Twice around: what is in the middle has forgotten where it began and does not know where it ends.
    let turns = 2 * columns;
    let mut sums = vec![f32::INFINITY; turns * rows];
    let mut from = vec![usize::MAX; turns * rows];
    for column in 0..turns {
        let is_open = column > 0 && sums[(column - 1) * rows..column * rows].iter().any(|sum| sum.is_finite());
        for row in 0..rows {
            let here = cost(column, row);
            let at = column * rows + row;
            if !here.is_finite() {
                continue;
            }
            sums[at] = here;
            if !is_open {
                continue;
            }
            let near = row.saturating_sub(STEEPEST)..(row + STEEPEST + 1).min(rows);
            let step = |last: usize| sums[(column - 1) * rows + last] + STEP * row.abs_diff(last) as f32;
            if let Some(last) = near.min_by(|a, b| step(*a).total_cmp(&step(*b))).filter(|last| step(*last).is_finite()) {
                sums[at] = here + step(last);
                from[at] = last;
            } else {
                // Nothing near leads on: better begin anew than not at all.
                sums[at] = here + 1.0;
            }
        }
    }
    let best = |column: usize| {
        let row = (0..rows).min_by(|a, b| sums[column * rows + a].total_cmp(&sums[column * rows + b]));
        row.filter(|row| sums[column * rows + row].is_finite())
    };
    let mut way = vec![None; columns];
    let mut row = None;
    for column in (0..turns).rev() {
        row = match row.map(|row: usize| from[(column + 1) * rows + row]) {
            Some(last) if last != usize::MAX => Some(last),
            _ => best(column),
        };
        if (columns / 2..columns / 2 + columns).contains(&column) {
            way[column % columns] = row;
        }
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 24;
    const ROWS: usize = 9;

    fn costs(cost: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..COLUMNS * ROWS).map(|index| cost(index / ROWS, index % ROWS)).collect()
    }

    #[test]
    fn the_way_goes_around_what_costs_and_closes() {
        // A valley in the middle, with a lump on it that leaves room below.
        let lump = |column: usize, row: usize| (10..14).contains(&column) && (2..9).contains(&row);
        let costs = costs(|column, row| 0.01 + 0.01 * row.abs_diff(4) as f32 + if lump(column, row) { 1.0 } else { 0.0 });
        let way: Vec<usize> = cheapest(&costs, ROWS, None).into_iter().map(|row| row.expect("a way")).collect();
        assert!((10..14).all(|column| way[column] < 2), "{way:?}");
        assert_eq!(way[0], 4);
        assert!((0..COLUMNS).all(|column| way[column].abs_diff(way[(column + 1) % COLUMNS]) <= STEEPEST), "{way:?}");
    }

    #[test]
    fn the_way_holds_still_until_another_is_clearly_better() {
        let valley = |middle: usize, noise: f32| {
            costs(move |column, row| {
                0.02 + 0.02 * row.abs_diff(middle) as f32 + noise * ((column * 7 + row * 5) % 11) as f32 / 11.0
            })
        };
        let first = cheapest(&valley(4, 0.0), ROWS, None);
        assert_eq!(cheapest(&valley(4, 0.012), ROWS, Some(&first)), first, "noise moves nothing");
        assert_ne!(cheapest(&valley(7, 0.0), ROWS, Some(&first)), first, "a better way is taken");
    }

    #[test]
    fn columns_that_only_one_lens_sees_have_no_way() {
        let gap = |column: usize| column < 6;
        let way = cheapest(&costs(|column, _| if gap(column) { f32::INFINITY } else { 0.1 }), ROWS, None);
        assert!((0..COLUMNS).all(|column| way[column].is_none() == gap(column)), "{way:?}");
        assert!(cheapest(&costs(|_, _| f32::INFINITY), ROWS, None).iter().all(Option::is_none));
    }
}
