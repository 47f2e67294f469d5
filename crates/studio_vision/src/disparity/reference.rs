//! The disparity on the CPU: what the shaders must equal, number by number.

use super::plan::{DisparityPlan, EDGE, HOLE, ISLAND_STEP, REACH};

/// Packed pixels and what follows from them alone.
pub(super) struct Prepared {
    rgb: Vec<[i32; 3]>,
    luma: Vec<i32>,
    ranks: Vec<u64>,
}

/// A working size, with the picture's edges.
#[derive(Clone, Copy)]
struct Frame {
    width: i32,
    height: i32,
    wraps: bool,
}

impl Frame {
    fn column(self, x: i32) -> Option<i32> {
        let x = if self.wraps { x.rem_euclid(self.width) } else { x };
        (0..self.width).contains(&x).then_some(x)
    }

    fn clamped(self, x: i32, y: i32) -> usize {
        let x = self.column(x).unwrap_or(x.clamp(0, self.width - 1));
        (y.clamp(0, self.height - 1) * self.width + x) as usize
    }

    fn index(self, x: i32, y: i32) -> Option<usize> {
        ((0..self.width).contains(&x) && (0..self.height).contains(&y)).then(|| (y * self.width + x) as usize)
    }

    fn places(self) -> impl Iterator<Item = (i32, i32)> {
        (0..self.height).flat_map(move |y| (0..self.width).map(move |x| (x, y)))
    }
}

fn prepare(frame: Frame, rgba: &[u8]) -> Prepared {
    let rgb: Vec<[i32; 3]> = rgba.as_chunks::<4>().0.iter().map(|p| [p[0], p[1], p[2]].map(i32::from)).collect();
    let luma: Vec<i32> = rgb.iter().map(|[r, g, b]| (77 * r + 150 * g + 29 * b + 128) >> 8).collect();
    let rank = |(x, y): (i32, i32)| {
        let window = (-3..=3).flat_map(|j| (-4..=4).map(move |i| (i, j))).filter(|offset| *offset != (0, 0));
        let here = luma[frame.clamped(x, y)];
        window.fold(0_u64, |rank, (i, j)| (rank << 1) | u64::from(luma[frame.clamped(x + i, y + j)] < here))
    };
    let ranks = frame.places().map(rank).collect();
    Prepared { rgb, luma, ranks }
}

fn difference(a: [i32; 3], b: [i32; 3]) -> i32 {
    (0..3).map(|channel| (a[channel] - b[channel]).abs()).max().unwrap_or(0)
}

/// Arms to the left, right, up and down.
fn arms(frame: Frame, rgb: &[[i32; 3]]) -> Vec<[i32; 4]> {
    let arm = |x: i32, y: i32, dx: i32, dy: i32| {
        let here = rgb[(y * frame.width + x) as usize];
        let (mut before, mut length) = (here, 0);
        for step in 1..=REACH {
            let Some(index) = frame.index(x + dx * step, y + dy * step) else { break };
            let limit = if step > 8 { 6 } else { 15 };
            if difference(here, rgb[index]) >= limit || difference(before, rgb[index]) >= 15 {
                length = length.max(1);
                break;
            }
            length = step;
            before = rgb[index];
        }
        length
    };
    frame.places().map(|(x, y)| [arm(x, y, -1, 0), arm(x, y, 1, 0), arm(x, y, 0, -1), arm(x, y, 0, 1)]).collect()
}

fn average(frame: Frame, range: usize, arms: &[[i32; 4]], costs: &mut [u32]) {
    let mut sums = vec![0_u32; costs.len()];
    for index in 0..arms.len() {
        for i in -arms[index][0]..=arms[index][1] {
            let other = (index as i32 + i) as usize;
            for k in 0..range {
                sums[index * range + k] += costs[other * range + k];
            }
        }
    }
    for index in 0..arms.len() {
        let rows: Vec<usize> = (-arms[index][2]..=arms[index][3]).map(|j| (index as i32 + j * frame.width) as usize).collect();
        let count: u32 = rows.iter().map(|&row| (arms[row][0] + arms[row][1] + 1) as u32).sum();
        let share = (65536 + count / 2) / count;
        for k in 0..range {
            let sum: u32 = rows.iter().map(|&row| sums[row * range + k]).sum();
            costs[index * range + k] = (sum * share + 32768) >> 16;
        }
    }
}

fn gather(frame: Frame, plan: &DisparityPlan, [dx, dy]: [i32; 2], luma: &[i32], costs: &[u32], sums: &mut [u32]) {
    let range = plan.range as usize;
    let [small, large, least_large] = plan.penalties.map(|penalty| penalty as i32);
    let mut path = vec![0_i32; costs.len()];
    let along =
        |backwards: bool, count: i32| -> Vec<i32> { if backwards { (0..count).rev().collect() } else { (0..count).collect() } };
    for y in along(dy < 0, frame.height) {
        for x in along(dx < 0, frame.width) {
            let index = (y * frame.width + x) as usize;
            let own = |k: usize| costs[index * range + k] as i32;
            let values: Vec<i32> = match frame.index(x - dx, y - dy) {
                None => (0..range).map(own).collect(),
                Some(from) => {
                    let before = &path[from * range..][..range];
                    let least = before.iter().copied().min().unwrap_or(0);
                    let edge = (luma[index] - luma[from]).abs();
                    let jump = least + (large * EDGE / EDGE.max(edge)).max(least_large);
                    let best = |k: usize| {
                        let beside = [k.checked_sub(1), Some(k + 1)].into_iter().flatten().filter_map(|k| before.get(k));
                        beside.map(|value| value + small).chain([before[k], jump]).min().unwrap_or(0)
                    };
                    (0..range).map(|k| own(k) + best(k) - least).collect()
                }
            };
            for (k, value) in values.into_iter().enumerate() {
                path[index * range + k] = value;
                sums[index * range + k] += value as u32;
            }
        }
    }
}

/// The first of the least.
fn least(candidates: impl Iterator<Item = (i32, i32)>) -> Option<(i32, i32)> {
    candidates.min_by_key(|&(k, sum)| (sum, k))
}

fn select(frame: Frame, plan: &DisparityPlan, sums: &[u32]) -> Vec<i32> {
    let range = plan.range as i32;
    let sum = |x: i32, y: i32, k: i32| sums[((y * frame.width + x) * range + k) as usize] as i32;
    let right = |(x, y): (i32, i32)| {
        least((0..range).filter_map(|k| Some((k, sum(frame.column(x + plan.first + k)?, y, k))))).map_or(HOLE, |best| best.0)
    };
    let right: Vec<i32> = frame.places().map(right).collect();
    let left = |(x, y): (i32, i32)| {
        let candidates = || (0..range).map(|k| (k, sum(x, y, k)));
        let (best, lowest) = least(candidates())?;
        frame.column(x - plan.first - best)?;
        let needed = 100 - plan.settings.uniqueness_percent as i32;
        if needed < 100 && candidates().any(|(k, sum)| (k - best).abs() > 1 && sum * needed < lowest * 100) {
            return None;
        }
        let mut found = (plan.first + best) * 16;
        if best > 0 && best + 1 < range {
            let (before, after) = (sum(x, y, best - 1), sum(x, y, best + 1));
            let bend = before + after - 2 * lowest;
            if bend > 0 {
                found += (before - after) * 8 / bend;
            }
        }
        if plan.settings.left_right_px >= 0 {
            let whole = (found + 8) >> 4;
            let other = frame.column(x - whole)?;
            if (plan.first + right[(y * frame.width + other) as usize] - whole).abs() > plan.settings.left_right_px {
                return None;
            }
        }
        Some(found)
    };
    frame.places().map(|place| left(place).unwrap_or(HOLE)).collect()
}

fn remove_islands(frame: Frame, least: u32, disparities: &mut [i32]) {
    let mut seen = vec![false; disparities.len()];
    for start in 0..disparities.len() {
        if seen[start] || disparities[start] == HOLE {
            continue;
        }
        seen[start] = true;
        let mut island = vec![start];
        let mut next = 0;
        while let Some(&pixel) = island.get(next) {
            next += 1;
            let (x, y) = (pixel as i32 % frame.width, pixel as i32 / frame.width);
            for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
                if let Some(other) = frame.index(x + dx, y + dy)
                    && !seen[other]
                    && disparities[other] != HOLE
                    && (disparities[other] - disparities[pixel]).abs() <= ISLAND_STEP
                {
                    seen[other] = true;
                    island.push(other);
                }
            }
        }
        if (island.len() as u32) < least {
            island.into_iter().for_each(|pixel| disparities[pixel] = HOLE);
        }
    }
}

fn fill(frame: Frame, farthest: i32, disparities: &mut [i32]) {
    let kept = disparities.to_vec();
    for (x, y) in frame.places() {
        let index = (y * frame.width + x) as usize;
        if kept[index] != HOLE {
            continue;
        }
        let next = |direction: i32| {
            let columns = (1..frame.width).map_while(|step| frame.column(x + direction * step));
            columns.map(|column| kept[(y * frame.width + column) as usize]).find(|value| *value != HOLE)
        };
        disparities[index] = [next(-1), next(1)].into_iter().flatten().min().unwrap_or(farthest);
    }
}

fn median(frame: Frame, disparities: &[i32]) -> Vec<i32> {
    let of = |(x, y): (i32, i32)| {
        let here = disparities[frame.clamped(x, y)];
        let mut window: Vec<i32> = (-1..=1)
            .flat_map(|j| (-1..=1).map(move |i| (i, j)))
            .map(|(i, j)| {
                let (x, y) = ((x + i).clamp(0, frame.width - 1), (y + j).clamp(0, frame.height - 1));
                disparities[(y * frame.width + x) as usize]
            })
            .map(|value| if value == HOLE { here } else { value })
            .collect();
        window.sort_unstable();
        if here == HOLE { HOLE } else { window[4] }
    };
    frame.places().map(of).collect()
}

/// Disparities in sixteenths of a pixel of two RGBA pictures of the plan's working size.
pub(super) fn disparities(plan: &DisparityPlan, left: &[u8], right: &[u8]) -> Vec<i32> {
    let frame = Frame { width: plan.size.x as i32, height: plan.size.y as i32, wraps: plan.settings.wraps };
    let (left, right) = (prepare(frame, left), prepare(frame, right));
    let range = plan.range as i32;
    let mut costs: Vec<u32> = Vec::with_capacity(left.rgb.len() * plan.range as usize);
    for (x, y) in frame.places() {
        let here = (y * frame.width + x) as usize;
        costs.extend((0..range).map(|k| {
            let Some(column) = frame.column(x - plan.first - k) else { return 50 };
            let there = (y * frame.width + column) as usize;
            let color: i32 = (0..3).map(|channel| (left.rgb[here][channel] - right.rgb[there][channel]).abs()).sum();
            let bits = (left.ranks[here] ^ right.ranks[there]).count_ones();
            color.min(40) as u32 + (2 * bits).min(60)
        }));
    }
    let arms = arms(frame, &left.rgb);
    for _ in 0..plan.averagings {
        average(frame, plan.range as usize, &arms, &mut costs);
    }
    let mut sums = vec![0; costs.len()];
    for direction in plan.directions {
        gather(frame, plan, *direction, &left.luma, &costs, &mut sums);
    }
    let mut disparities = select(frame, plan, &sums);
    remove_islands(frame, plan.settings.speckle_px, &mut disparities);
    if plan.settings.fill_holes {
        fill(frame, plan.first * 16, &mut disparities);
    }
    median(frame, &disparities)
}
