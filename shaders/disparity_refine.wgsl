// Removes islands of wrong disparities, fills holes from the background beside them, and smooths.
//
// Disparities are in sixteenths of a pixel; HOLE where there is none.
//
// Entry points
//   label_rows: one thread a row (in y): pixels that go on from their left neighbour get its label
//     @binding(0) the disparities, (2) the labels, (3) the sizes of what has a label
//   join_rows: one thread a pixel: joins what goes on from row to row; the label of all is that of the first pixel
//     @binding(0), (2)
//   count_pixels: one thread a pixel: sizes of what has the same label
//     @binding(0), (2), (3)
//   fill_holes: one thread a pixel: leaves islands out, and takes the farther of the next pixels to the left and right
//     @binding(0), (1) the filled disparities, (2), (3)
//   median: one thread a pixel: the median of 3 × 3
//     @binding(0), (1) the result
// Overrides: WIDTH, HEIGHT; STEP, the largest difference of neighbours that go on; LEAST, pixels of the smallest island that
// stays; FILLS, whether holes are filled; WRAPS, whether left and right edges meet; FAREST, what a row without any is filled with.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override STEP: i32 = 16;
override LEAST: u32 = 60u;
override FILLS: bool = true;
override WRAPS: bool = false;
override FAREST: i32 = 0;

@group(0) @binding(0) var<storage, read_write> disparities: array<i32>;
@group(0) @binding(1) var<storage, read_write> result: array<i32>;
@group(0) @binding(2) var<storage, read_write> labels: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> sizes: array<atomic<u32>>;

const HOLE: i32 = -1000000;

fn goes_on(a: i32, b: i32) -> bool {
    return a != HOLE && b != HOLE && abs(a - b) <= STEP;
}

@compute @workgroup_size(1, 32)
fn label_rows(@builtin(global_invocation_id) id: vec3u) {
    let y = i32(id.y);
    if y >= HEIGHT {
        return;
    }
    var label = 0u;
    var before = HOLE;
    for (var x = 0; x < WIDTH; x++) {
        let pixel = y * WIDTH + x;
        let here = disparities[pixel];
        if !goes_on(before, here) {
            label = u32(pixel);
        }
        atomicStore(&labels[pixel], label);
        atomicStore(&sizes[pixel], 0u);
        before = here;
    }
}

fn root_of(start: u32) -> u32 {
    var label = start;
    // Labels only ever lead to smaller ones, so this ends.
    loop {
        let next = atomicLoad(&labels[label]);
        if next == label {
            return label;
        }
        label = next;
    }
    return label;
}

// Komura, GPU-based cluster-labeling algorithm without the use of conventional iteration (2015).
@compute @workgroup_size(8, 8)
fn join_rows(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x);
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT || y == 0 {
        return;
    }
    let pixel = y * WIDTH + x;
    let here = disparities[pixel];
    let above = disparities[pixel - WIDTH];
    if !goes_on(here, above) {
        return;
    }
    if x > 0 {
        // The pixel to the left has joined the same two rows already.
        let left = disparities[pixel - 1];
        let left_above = disparities[pixel - WIDTH - 1];
        if goes_on(left, here) && goes_on(left_above, above) && goes_on(left, left_above) {
            return;
        }
    }
    var a = u32(pixel);
    var b = u32(pixel - WIDTH);
    loop {
        a = root_of(a);
        b = root_of(b);
        if a == b {
            return;
        }
        let greater = max(a, b);
        b = min(a, b);
        let found = atomicMin(&labels[greater], b);
        if found == greater {
            return;
        }
        a = found;
    }
}

@compute @workgroup_size(8, 8)
fn count_pixels(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let pixel = place.y * WIDTH + place.x;
    if disparities[pixel] != HOLE {
        let root = root_of(u32(pixel));
        atomicStore(&labels[pixel], root);
        atomicAdd(&sizes[root], 1u);
    }
}

fn kept(pixel: i32) -> i32 {
    let here = disparities[pixel];
    if here == HOLE || atomicLoad(&sizes[atomicLoad(&labels[pixel])]) < LEAST {
        return HOLE;
    }
    return here;
}

// The next disparity in a row, in one direction.
fn next(x: i32, y: i32, direction: i32) -> i32 {
    var at = x;
    for (var step = 1; step < WIDTH; step++) {
        at += direction;
        if WRAPS {
            at = at + select(0, WIDTH, at < 0) - select(0, WIDTH, at >= WIDTH);
        }
        if at < 0 || at >= WIDTH {
            return HOLE;
        }
        let there = kept(y * WIDTH + at);
        if there != HOLE {
            return there;
        }
    }
    return HOLE;
}

@compute @workgroup_size(8, 8)
fn fill_holes(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x);
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    var found = kept(y * WIDTH + x);
    if FILLS && found == HOLE {
        let before = next(x, y, -1);
        let after = next(x, y, 1);
        found = min(before, after);
        if found == HOLE {
            found = max(before, after);
        }
        if found == HOLE {
            found = FAREST;
        }
    }
    result[y * WIDTH + x] = found;
}

var<private> sorted: array<i32, 9>;

fn order(a: i32, b: i32) {
    let low = min(sorted[a], sorted[b]);
    sorted[b] = max(sorted[a], sorted[b]);
    sorted[a] = low;
}

// The median of nine in nineteen exchanges: Paeth, Median finding on a 3 × 3 grid (Graphics Gems, 1990).
@compute @workgroup_size(8, 8)
fn median(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let here = disparities[place.y * WIDTH + place.x];
    if here == HOLE {
        result[place.y * WIDTH + place.x] = HOLE;
        return;
    }
    for (var j = -1; j <= 1; j++) {
        for (var i = -1; i <= 1; i++) {
            let at = clamp(place + vec2i(i, j), vec2i(0), vec2i(WIDTH - 1, HEIGHT - 1));
            let there = disparities[at.y * WIDTH + at.x];
            sorted[(j + 1) * 3 + i + 1] = select(there, here, there == HOLE);
        }
    }
    order(1, 2); order(4, 5); order(7, 8);
    order(0, 1); order(3, 4); order(6, 7);
    order(1, 2); order(4, 5); order(7, 8);
    order(0, 3); order(5, 8); order(4, 7);
    order(3, 6); order(1, 4); order(2, 5);
    order(4, 7); order(4, 2); order(6, 4);
    order(4, 2);
    result[place.y * WIDTH + place.x] = sorted[4];
}
