// One path of semi-global matching: costs gathered along one direction through the whole picture.
//
// A diagonal line that leaves the picture at a side goes on, as a new one, at the other side.
//
// Entry points
//   gather: a line of pixels is a row of CHUNKS threads with eight disparities each, which walk along it together
//     @binding(0) the costs, (1) the sums over all paths, (2) the left picture's pixels
//   gather_alone: the same with one thread a line, for software GPUs, where waiting for each other costs more than the work
//     @binding(0), (1), (2), (3) what the pixel before it gathered, by chunk and line
// Overrides: WIDTH, HEIGHT; CHUNKS, eighths of the range; LINES, lines of a workgroup; DX, DY, the direction; SMALL, LARGE,
// LEAST_LARGE, the penalties; EDGE, the difference of luma from which the large one shrinks; OPENS, whether it is the first path.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override CHUNKS: u32 = 2u;
override LINES: u32 = 1u;
override DX: i32 = 1;
override DY: i32 = 0;
override SMALL: i32 = 6;
override LARGE: i32 = 60;
override LEAST_LARGE: i32 = 12;
override EDGE: i32 = 15;
override OPENS: bool = false;

@group(0) @binding(0) var<storage, read> costs: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4u>;
@group(0) @binding(2) var<storage, read> pixels: array<u32>;
@group(0) @binding(3) var<storage, read_write> before: array<vec4u>;

const FAR: i32 = 1000000;
const MOST_THREADS: u32 = 64u;

// The large penalty between two pixels.
fn large_between(luma: i32, luma_before: i32) -> i32 {
    // A whole division: with the half, no rounding of the quotient reaches the next whole number.
    let shrunk = i32((f32(LARGE * EDGE) + 0.5) / f32(max(EDGE, abs(luma - luma_before))));
    return max(shrunk, LEAST_LARGE);
}

fn packed_sums(low: vec4i, high: vec4i) -> vec4u {
    return vec4u(vec4i(low.xz | (low.yw << vec2u(16u)), high.xz | (high.yw << vec2u(16u))));
}

// Of each thread: its first cost, its last and its least. Two of them, so that one barrier a step is enough.
var<workgroup> ends: array<vec3i, 128>;

@compute @workgroup_size(CHUNKS, LINES)
fn gather(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
    let lines = select(WIDTH, HEIGHT, DY == 0);
    let steps = select(HEIGHT, WIDTH, DY == 0);
    let line = i32(group.y * LINES + local.y);
    let exists = line < lines;
    let row = local.y * CHUNKS;
    var x = select(line, select(0, WIDTH - 1, DX < 0), DY == 0);
    var y = select(select(0, HEIGHT - 1, DY < 0), line, DY == 0);
    if !exists {
        x = 0;
        y = 0;
    }
    var low = vec4i(0);
    var high = vec4i(0);
    var luma_before = 0;
    var starts = true;
    for (var step = 0; step < steps; step++) {
        let half = u32(step & 1) * MOST_THREADS;
        let lesser = min(low, high);
        ends[half + row + local.x] = vec3i(low.x, high.w, min(min(lesser.x, lesser.y), min(lesser.z, lesser.w)));
        workgroupBarrier();
        var least = FAR;
        for (var chunk = 0u; chunk < CHUNKS; chunk++) {
            least = min(least, ends[half + row + chunk].z);
        }
        let below = select(ends[half + row + max(local.x, 1u) - 1u].y, FAR, local.x == 0u);
        let above = select(ends[half + row + min(local.x + 1u, CHUNKS - 1u)].x, FAR, local.x + 1u == CHUNKS);

        let pixel = y * WIDTH + x;
        let index = u32(pixel) * CHUNKS + local.x;
        let packed = costs[index];
        let luma = i32(pixels[pixel] >> 24u);
        let cost_low = vec4i(unpack4xU8(packed.x));
        let cost_high = vec4i(unpack4xU8(packed.y));
        if starts {
            low = cost_low;
            high = cost_high;
        } else {
            let jump = vec4i(least + large_between(luma, luma_before));
            let from_below = min(vec4i(below, low.xyz), vec4i(low.yzw, high.x)) + SMALL;
            let from_above = min(vec4i(low.w, high.xyz), vec4i(high.yzw, above)) + SMALL;
            low = cost_low + min(min(low, from_below), jump) - least;
            high = cost_high + min(min(high, from_above), jump) - least;
        }
        if exists {
            let words = packed_sums(low, high);
            if OPENS {
                sums[index] = words;
            } else {
                sums[index] += words;
            }
        }
        luma_before = luma;
        starts = false;
        if exists {
            x += DX;
            y += DY;
            if DY != 0 && (x < 0 || x >= WIDTH) {
                x = select(x, WIDTH - 1, x < 0);
                x = select(x, 0, x >= WIDTH);
                starts = true;
            }
        }
        // The last step leaves the picture; the loop ends then.
        y = clamp(y, 0, HEIGHT - 1);
        x = clamp(x, 0, WIDTH - 1);
    }
}

@compute @workgroup_size(8, 1)
fn gather_alone(@builtin(global_invocation_id) id: vec3u) {
    let lines = select(WIDTH, HEIGHT, DY == 0);
    let steps = select(HEIGHT, WIDTH, DY == 0);
    let line = i32(id.x);
    if line >= lines {
        return;
    }
    var x = select(line, select(0, WIDTH - 1, DX < 0), DY == 0);
    var y = select(select(0, HEIGHT - 1, DY < 0), line, DY == 0);
    var luma_before = 0;
    var least = 0;
    var starts = true;
    for (var step = 0; step < steps; step++) {
        let pixel = y * WIDTH + x;
        let luma = i32(pixels[pixel] >> 24u);
        let jump = vec4i(least + large_between(luma, luma_before));
        var least_here = vec4i(FAR);
        var below = FAR;
        var words = before[line];
        for (var chunk = 0; chunk < i32(CHUNKS); chunk++) {
            let index = pixel * i32(CHUNKS) + chunk;
            let slot = chunk * lines + line;
            let packed = costs[index];
            var low = vec4i(unpack4xU8(packed.x));
            var high = vec4i(unpack4xU8(packed.y));
            if !starts {
                let old_low = vec4i(vec4u(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u));
                let old_high = vec4i(vec4u(words.z & 0xffffu, words.z >> 16u, words.w & 0xffffu, words.w >> 16u));
                var above = FAR;
                if chunk + 1 < i32(CHUNKS) {
                    words = before[slot + lines];
                    above = i32(words.x & 0xffffu);
                }
                let from_low = min(vec4i(below, old_low.xyz), vec4i(old_low.yzw, old_high.x)) + SMALL;
                let from_high = min(vec4i(old_low.w, old_high.xyz), vec4i(old_high.yzw, above)) + SMALL;
                low += min(min(old_low, from_low), jump) - least;
                high += min(min(old_high, from_high), jump) - least;
                below = old_high.w;
            }
            least_here = min(least_here, min(low, high));
            let gathered = packed_sums(low, high);
            before[slot] = gathered;
            if OPENS {
                sums[index] = gathered;
            } else {
                sums[index] += gathered;
            }
        }
        least = min(min(least_here.x, least_here.y), min(least_here.z, least_here.w));
        luma_before = luma;
        starts = false;
        x += DX;
        y += DY;
        if DY != 0 && (x < 0 || x >= WIDTH) {
            x = select(0, WIDTH - 1, x < 0);
            starts = true;
        }
    }
}
