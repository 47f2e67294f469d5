// The best disparity of each pixel, from the sums over all paths.
//
// Entry points, each one thread a pixel
//   select_right: the best of the right picture's pixels, from the same sums
//     @binding(0) the sums, 16 bits each, (1) whole disparities counted from FIRST, or NONE
//   select_left: the best of the left picture's pixels, between whole disparities, where it is the only good one and the right
//     picture's pixel agrees
//     @binding(0) the sums, (1) the right picture's disparities, (2) disparities in sixteenths of a pixel, or HOLE
// Overrides: WIDTH, HEIGHT; RANGE, the number of disparities; FIRST, the smallest; WRAPS, whether left and right edges meet;
// UNIQUENESS, by how many percent the best must be below the others; AGREEMENT, how many pixels left and right may differ, or -1.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override RANGE: i32 = 16;
override FIRST: i32 = 0;
override WRAPS: bool = false;
override UNIQUENESS: i32 = 5;
override AGREEMENT: i32 = 1;

@group(0) @binding(0) var<storage, read> sums: array<u32>;
@group(0) @binding(1) var<storage, read_write> right: array<i32>;
@group(0) @binding(2) var<storage, read_write> disparities: array<i32>;

const NONE: i32 = -1000000;
const HOLE: i32 = -1000000;
const FAR: i32 = 1000000;

fn sum_at(pixel: i32, k: i32) -> i32 {
    let word = sums[pixel * (RANGE / 2) + (k >> 1u)];
    return i32((word >> u32(16 * (k & 1))) & 0xffffu);
}

// A column of the other picture, or -1 outside of it.
fn column(x: i32) -> i32 {
    var at = x;
    if WRAPS {
        at = at + select(0, WIDTH, at < 0) - select(0, WIDTH, at >= WIDTH);
    }
    return select(-1, at, at >= 0 && at < WIDTH);
}

@compute @workgroup_size(8, 8)
fn select_right(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x);
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    var best = NONE;
    var least = FAR;
    for (var k = 0; k < RANGE; k++) {
        let other = column(x + FIRST + k);
        if other >= 0 {
            let sum = sum_at(y * WIDTH + other, k);
            if sum < least {
                least = sum;
                best = k;
            }
        }
    }
    right[y * WIDTH + x] = best;
}

@compute @workgroup_size(8, 8)
fn select_left(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x);
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    let pixel = y * WIDTH + x;
    // A word has the sums of two disparities.
    var best = 0;
    var least = FAR;
    for (var pair = 0; pair < RANGE / 2; pair++) {
        let word = sums[pixel * (RANGE / 2) + pair];
        let two = vec2i(i32(word & 0xffffu), i32(word >> 16u));
        let lesser = min(two.x, two.y);
        if lesser < least {
            least = lesser;
            best = 2 * pair + select(0, 1, two.y < two.x);
        }
    }
    disparities[pixel] = HOLE;
    // Beyond the right picture's edge, nothing can agree.
    if column(x - FIRST - best) < 0 {
        return;
    }
    if UNIQUENESS > 0 {
        var others = FAR;
        for (var pair = 0; pair < RANGE / 2; pair++) {
            let word = sums[pixel * (RANGE / 2) + pair];
            let two = vec2i(i32(word & 0xffffu), i32(word >> 16u));
            let beside = abs(vec2i(2 * pair, 2 * pair + 1) - best) <= vec2i(1);
            let counted = select(two, vec2i(FAR), beside);
            others = min(others, min(counted.x, counted.y));
        }
        if others * (100 - UNIQUENESS) < least * 100 {
            return;
        }
    }
    // A parabola through the best and its neighbours.
    var found = (FIRST + best) * 16;
    if best > 0 && best + 1 < RANGE {
        let before = sum_at(pixel, best - 1);
        let after = sum_at(pixel, best + 1);
        let bend = before + after - 2 * least;
        if bend > 0 {
            found += (before - after) * 8 / bend;
        }
    }
    if AGREEMENT >= 0 {
        let whole = (found + 8) >> 4u;
        let other = column(x - whole);
        if other < 0 || abs(FIRST + right[y * WIDTH + max(other, 0)] - whole) > AGREEMENT {
            return;
        }
    }
    disparities[pixel] = found;
}
