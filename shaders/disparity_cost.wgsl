// Matching costs of stereo: how little each pixel of the left picture looks like each candidate in the right one.
//
// Eight disparities of a pixel lie together: eight bytes of costs, eight 16-bit words of sums.
// A thread has eight disparities of a pixel: x is the pixel times CHUNKS plus the chunk, y the row.
//
// Entry points
//   match_cost: absolute differences of the colours and Hamming distance of the census transforms, both truncated
//     @binding(0), (1) the left and right pixels, (2), (3) their census transforms, (4) the costs
//   sum_across: each pixel's costs added along its arms to the left and right
//     @binding(4) the costs, (5) the sums, (6) the arms
//   average_down: those sums added along the arms up and down, divided by the number of pixels
//     @binding(4) the costs, (5) the sums, (6) the arms, (7) 65536 / number of pixels
// Overrides: WIDTH, HEIGHT; CHUNKS, eighths of the range; FIRST, the smallest disparity; WRAPS, whether left and right edges meet.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override CHUNKS: i32 = 2;
override FIRST: i32 = 0;
override WRAPS: bool = false;

@group(0) @binding(0) var<storage, read> left: array<u32>;
@group(0) @binding(1) var<storage, read> right: array<u32>;
@group(0) @binding(2) var<storage, read> left_ranks: array<vec2u>;
@group(0) @binding(3) var<storage, read> right_ranks: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> costs: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4u>;
@group(0) @binding(6) var<storage, read> arms_of: array<u32>;
@group(0) @binding(7) var<storage, read> support_of: array<u32>;

// Where the colours' part of the cost, a sum over three channels, and that of the census transform (two a bit) end.
const MOST_COLOR: i32 = 40;
const MOST_RANK: i32 = 60;
// The cost of a candidate outside of the right picture: neither good nor bad, so that beside the edge the surroundings decide.
const OUTSIDE: u32 = 50u;

// What a pixel of the left picture is compared by.
struct Sought {
    color: vec3i,
    rank: vec2u,
}

fn cost_of(sought: Sought, x: i32, y: i32, disparity: i32) -> u32 {
    var other = x - disparity;
    if WRAPS {
        other = other + select(0, WIDTH, other < 0) - select(0, WIDTH, other >= WIDTH);
    }
    if other < 0 || other >= WIDTH {
        return OUTSIDE;
    }
    let there = y * WIDTH + other;
    let channels = abs(sought.color - vec3i(unpack4xU8(right[there]).rgb));
    let bits = countOneBits(sought.rank ^ right_ranks[there]);
    let color = min(channels.r + channels.g + channels.b, MOST_COLOR);
    return u32(color + min(2 * i32(bits.x + bits.y), MOST_RANK));
}

@compute @workgroup_size(64, 1)
fn match_cost(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x) / CHUNKS;
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    let first = FIRST + 8 * (i32(id.x) % CHUNKS);
    let here = y * WIDTH + x;
    let sought = Sought(vec3i(unpack4xU8(left[here]).rgb), left_ranks[here]);
    var packed = vec2u(0u);
    for (var k = 0; k < 4; k++) {
        packed.x |= cost_of(sought, x, y, first + k) << u32(8 * k);
        packed.y |= cost_of(sought, x, y, first + 4 + k) << u32(8 * k);
    }
    costs[y * WIDTH * CHUNKS + i32(id.x)] = packed;
}

@compute @workgroup_size(64, 1)
fn sum_across(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x) / CHUNKS;
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    let index = y * WIDTH * CHUNKS + i32(id.x);
    let own = vec4i(unpack4xU8(arms_of[y * WIDTH + x]));
    var even = vec2u(0u);
    var odd = vec2u(0u);
    for (var i = -own.x; i <= own.y; i++) {
        let packed = costs[index + i * CHUNKS];
        even += packed & vec2u(0x00ff00ffu);
        odd += (packed >> vec2u(8u)) & vec2u(0x00ff00ffu);
    }
    let low = (even & vec2u(0xffffu)) | (odd << vec2u(16u));
    let high = (even >> vec2u(16u)) | (odd & vec2u(0xffff0000u));
    sums[index] = vec4u(low.x, high.x, low.y, high.y);
}

@compute @workgroup_size(64, 1)
fn average_down(@builtin(global_invocation_id) id: vec3u) {
    let x = i32(id.x) / CHUNKS;
    let y = i32(id.y);
    if x >= WIDTH || y >= HEIGHT {
        return;
    }
    let index = y * WIDTH * CHUNKS + i32(id.x);
    let own = vec4i(unpack4xU8(arms_of[y * WIDTH + x]));
    // At most 23 × 23 pixels of 100: sixteen bits hold it.
    var sum = vec4u(0u);
    for (var j = -own.z; j <= own.w; j++) {
        sum += sums[index + j * WIDTH * CHUNKS];
    }
    let share = support_of[y * WIDTH + x];
    let low = ((sum & vec4u(0xffffu)) * share + 32768u) >> vec4u(16u);
    let high = ((sum >> vec4u(16u)) * share + 32768u) >> vec4u(16u);
    let pairs = low | (high << vec4u(8u));
    costs[index] = vec2u(pairs.x | (pairs.y << 16u), pairs.z | (pairs.w << 16u));
}
