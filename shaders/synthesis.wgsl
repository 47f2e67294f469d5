// Makes the picture between two decoded pictures, or just after them, from the motion between them.
//
// Entry point
//   synthesize: one thread a block of 2×2 pixels, which share one motion
//     @binding(0..2) planes of the previous picture, @binding(3..5) planes of the current one (a picture with fewer planes binds
//       its first one instead)
//     @binding(6) the motion grid, one texel a cell: motion in pixels of the picture it was measured in
//     @binding(7) a linear sampler that repeats across where the pictures wrap
//     @binding(8) Synthesis
//     @binding(9) the picture that is made, rgba8unorm
//
// The content at p in the current picture was at p - m(p) in the previous one. At phase t (0 = previous, 1 = current) it is at
// x = p - (1 - t) m(p), so the picture between shows previous(x - t m) and current(x + (1 - t) m). m belongs to p, which is
// unknown; two rounds of p = x + (1 - t) m(p) find it. Beyond t = 1 only the current picture is used.
//
// Override: SHARP, whether luma (or RGB) is sampled with Catmull-Rom's cubic, which keeps what bilinear samples blur away, and
// chroma at every pixel instead of once a block; and whether the motions of sixteen cells around are tried instead of four.

override SHARP: bool = true;

struct PictureFormat {
    // Rows of the affine map to R′G′B′.
    rgb_from_yuv: array<vec4f, 3>,
    // x: 0 = RGBA, 1 = luma and interleaved chroma, 2 = three planes.
    planes: vec4u,
}

struct Synthesis {
    previous: PictureFormat,
    current: PictureFormat,
    // From motion in the grid to shares of the picture's width and height.
    uv_per_motion: vec2f,
    // 0 at the previous picture, 1 at the current one.
    phase: f32,
    // 1 where the left and right edges meet.
    wraps: u32,
    // The part to make: its first pixel (even) and its size; it may run over the right edge.
    region_origin: vec2u,
    region_size: vec2u,
}

@group(0) @binding(0) var previous_0: texture_2d<f32>;
@group(0) @binding(1) var previous_1: texture_2d<f32>;
@group(0) @binding(2) var previous_2: texture_2d<f32>;
@group(0) @binding(3) var current_0: texture_2d<f32>;
@group(0) @binding(4) var current_1: texture_2d<f32>;
@group(0) @binding(5) var current_2: texture_2d<f32>;
@group(0) @binding(6) var motion_grid: texture_2d<f32>;
@group(0) @binding(7) var linear_sampler: sampler;
@group(0) @binding(8) var<storage, read> synthesis: Synthesis;
@group(0) @binding(9) var made: texture_storage_2d<rgba8unorm, write>;

// Differences of luma between the two pictures: up to the first they agree, from the second on they show different things.
const AGREE: f32 = 5.0 / 255.0;
override DISAGREE: f32 = select(48.0, 96.0, SHARP) / 255.0;
// How many of the cells around a place are tried for its motion, and how many of them are the nearest: others must win more clearly.
override CELLS: i32 = select(NEAREST, 16, SHARP);
const NEAREST: i32 = 4;
// Where they lie from the place, in half cells, the nearest first.
const AROUND = array<vec2f, 16>(
    vec2f(-1.0, -1.0), vec2f(1.0, -1.0), vec2f(-1.0, 1.0), vec2f(1.0, 1.0),
    vec2f(-1.0, -3.0), vec2f(1.0, -3.0), vec2f(-3.0, -1.0), vec2f(3.0, -1.0),
    vec2f(-3.0, 1.0), vec2f(3.0, 1.0), vec2f(-1.0, 3.0), vec2f(1.0, 3.0),
    vec2f(-3.0, -3.0), vec2f(3.0, -3.0), vec2f(-3.0, 3.0), vec2f(3.0, 3.0),
);
// Half of what the transmitted vectors can tell.
const STILL_PX: f32 = 1.0 / 32.0;
const LUMA = vec3f(0.2126, 0.7152, 0.0722);

fn luma_of(first_plane: vec3f, planes: u32) -> f32 {
    return select(first_plane.x, dot(first_plane, LUMA), planes == 0u);
}

// Catmull-Rom's cubic in five linear samples: the two middle taps of each axis share one, and the corners, whose weights are
// small, are left out.
fn cubic(plane: texture_2d<f32>, uv: vec2f) -> vec3f {
    let size = vec2f(textureDimensions(plane));
    let place = uv * size;
    let center = floor(place - 0.5) + 0.5;
    let part = place - center;
    let w0 = part * (-0.5 + part * (1.0 - 0.5 * part));
    let w1 = 1.0 + part * part * (-2.5 + 1.5 * part);
    let w2 = part * (0.5 + part * (2.0 - 1.5 * part));
    let w3 = part * part * (-0.5 + 0.5 * part);
    let middle = w1 + w2;
    let at_middle = (center + w2 / middle) / size;
    let at_first = (center - 1.0) / size;
    let at_last = (center + 2.0) / size;
    let sum = textureSampleLevel(plane, linear_sampler, at_middle, 0.0).rgb * (middle.x * middle.y)
        + textureSampleLevel(plane, linear_sampler, vec2f(at_first.x, at_middle.y), 0.0).rgb * (w0.x * middle.y)
        + textureSampleLevel(plane, linear_sampler, vec2f(at_last.x, at_middle.y), 0.0).rgb * (w3.x * middle.y)
        + textureSampleLevel(plane, linear_sampler, vec2f(at_middle.x, at_first.y), 0.0).rgb * (middle.x * w0.y)
        + textureSampleLevel(plane, linear_sampler, vec2f(at_middle.x, at_last.y), 0.0).rgb * (middle.x * w3.y);
    return sum / (middle.x * middle.y + (w0.x + w3.x) * middle.y + middle.x * (w0.y + w3.y));
}

// Cb and Cr at a position (0..1); nothing for RGBA.
fn chroma_at(plane_1: texture_2d<f32>, plane_2: texture_2d<f32>, planes: u32, uv: vec2f) -> vec2f {
    if planes == 0u {
        return vec2f(0.0);
    }
    let first = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy;
    if planes == 1u {
        return first;
    }
    return vec2f(first.x, textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x);
}

fn to_rgb(first_plane: vec3f, chroma: vec2f, format: PictureFormat) -> vec3f {
    let code = vec4f(select(vec3f(first_plane.x, chroma), first_plane, format.planes.x == 0u), 1.0);
    let rgb = vec3f(dot(format.rgb_from_yuv[0], code), dot(format.rgb_from_yuv[1], code), dot(format.rgb_from_yuv[2], code));
    return clamp(rgb, vec3f(0.0), vec3f(1.0));
}

// Whether a motion is too small to see, so that a plain sample serves.
fn is_still(motion: vec2f) -> bool {
    return all(abs(motion) * vec2f(textureDimensions(made)) < vec2f(STILL_PX));
}

// Motion at a position (0..1), bilinear between the centres of the cells, as a share of the picture.
fn motion_at(uv: vec2f) -> vec2f {
    return textureSampleLevel(motion_grid, linear_sampler, uv, 0.0).xy * synthesis.uv_per_motion;
}

// Motion of the cell nearest to a position (0..1), as a share of the picture.
fn cell_motion(uv: vec2f) -> vec2f {
    let count = vec2i(textureDimensions(motion_grid));
    var cell = vec2i(floor(uv * vec2f(count)));
    if synthesis.wraps != 0u {
        cell.x += select(0, count.x, cell.x < 0) - select(0, count.x, cell.x >= count.x);
    }
    return textureLoad(motion_grid, clamp(cell, vec2i(0), count - 1), 0).xy * synthesis.uv_per_motion;
}

// First planes of the two pictures at the four pixels of the block, and their mean difference in luma.
struct Block {
    before: array<vec3f, 4>,
    after: array<vec3f, 4>,
    difference: f32,
}

// Pixel `k` of the block whose first pixel lies at `uv`.
fn pixel_uv(uv: vec2f, k: u32) -> vec2f {
    return uv + vec2f(f32(k & 1u), f32(k >> 1u)) / vec2f(textureDimensions(made));
}

fn luma_difference(before: vec3f, after: vec3f) -> f32 {
    return abs(luma_of(before, synthesis.previous.planes.x) - luma_of(after, synthesis.current.planes.x));
}

fn sample_along(motion: vec2f, uv: vec2f) -> Block {
    var block: Block;
    for (var k = 0u; k < 4u; k++) {
        let place = pixel_uv(uv, k);
        block.before[k] = textureSampleLevel(previous_0, linear_sampler, place - synthesis.phase * motion, 0.0).rgb;
        block.after[k] = textureSampleLevel(current_0, linear_sampler, place + (1.0 - synthesis.phase) * motion, 0.0).rgb;
        block.difference += 0.25 * luma_difference(block.before[k], block.after[k]);
    }
    return block;
}

@compute @workgroup_size(8, 8)
fn synthesize(@builtin(global_invocation_id) id: vec3u) {
    let size = textureDimensions(made);
    let within = id.xy * 2u;
    if any(within >= synthesis.region_size) {
        return;
    }
    let run = synthesis.region_origin + within;
    let origin = vec2u(run.x % size.x, run.y);
    if any(origin >= size) {
        return;
    }
    let uv = (vec2f(origin) + 0.5) / vec2f(size);
    let center = (vec2f(origin) + 1.0) / vec2f(size);
    let phase = synthesis.phase;
    let rest = 1.0 - phase;
    var motion = motion_at(center);
    motion = motion_at(center + rest * motion);
    motion = motion_at(center + rest * motion);

    // Beyond the current picture the previous one has no say.
    let ahead = phase >= 1.0;
    var block = sample_along(motion, uv);
    if block.difference > AGREE && !ahead {
        // The motion between the cells explains these pixels badly: near an edge of a moving thing one of the cells around, or
        // no motion, may do better. Each must win clearly, or noise would choose.
        var place = center + rest * motion;
        place.y = clamp(place.y, 0.0, 1.0);
        if synthesis.wraps == 0u {
            place.x = clamp(place.x, 0.0, 1.0);
        }
        let half_cell = 0.5 / vec2f(textureDimensions(motion_grid));
        for (var k = 0; k <= CELLS; k++) {
            var candidate = vec2f(0.0);
            if k < CELLS {
                candidate = cell_motion(place + half_cell * AROUND[k]);
            }
            let with_candidate = sample_along(candidate, uv);
            let margin = select(0.5, 1.0, k >= NEAREST && k < CELLS) * AGREE;
            if with_candidate.difference < block.difference - margin {
                block = with_candidate;
                motion = candidate;
            }
        }
    }

    // A picture on which the moment falls is shown as it is.
    let sharpen = SHARP && phase != 0.0 && phase != 1.0 && !is_still(motion);
    let nearer = select(0.0, 1.0, phase >= 0.5);
    var chroma_before = chroma_at(previous_1, previous_2, synthesis.previous.planes.x, center - phase * motion);
    var chroma_after = chroma_at(current_1, current_2, synthesis.current.planes.x, center + rest * motion);
    for (var k = 0u; k < 4u; k++) {
        let pixel = origin + vec2u(k & 1u, k >> 1u);
        if any(pixel >= size) {
            continue;
        }
        var before = block.before[k];
        var after = block.after[k];
        // Where both show different things, one of them is covered: the nearer picture alone is sharp, a mean would be a ghost.
        let doubt = smoothstep(AGREE, DISAGREE, luma_difference(before, after));
        let share = select(mix(phase, nearer, doubt), 1.0, ahead);
        let from_previous = pixel_uv(uv, k) - phase * motion;
        let from_current = pixel_uv(uv, k) + rest * motion;
        if sharpen {
            before = cubic(previous_0, from_previous);
            after = cubic(current_0, from_current);
        }
        if SHARP {
            chroma_before = chroma_at(previous_1, previous_2, synthesis.previous.planes.x, from_previous);
            chroma_after = chroma_at(current_1, current_2, synthesis.current.planes.x, from_current);
        }
        let color = mix(to_rgb(before, chroma_before, synthesis.previous), to_rgb(after, chroma_after, synthesis.current), share);
        textureStore(made, pixel, vec4f(color, 1.0));
    }
}
