// Makes the picture between two decoded pictures, or just after them, from the motion between them.
//
// Entry point
//   synthesize: one thread a pixel
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
// Override: SHARP, whether luma (or RGB) is sampled with Catmull-Rom's cubic, which keeps what bilinear samples blur away.

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
}

@group(0) @binding(0) var previous_0: texture_2d<f32>;
@group(0) @binding(1) var previous_1: texture_2d<f32>;
@group(0) @binding(2) var previous_2: texture_2d<f32>;
@group(0) @binding(3) var current_0: texture_2d<f32>;
@group(0) @binding(4) var current_1: texture_2d<f32>;
@group(0) @binding(5) var current_2: texture_2d<f32>;
@group(0) @binding(6) var motion_grid: texture_2d<f32>;
@group(0) @binding(7) var linear_sampler: sampler;
@group(0) @binding(8) var<uniform> synthesis: Synthesis;
@group(0) @binding(9) var made: texture_storage_2d<rgba8unorm, write>;

// Differences of luma between the two pictures: up to the first they agree, from the second on they show different things.
const AGREE: f32 = 5.0 / 255.0;
const DISAGREE: f32 = 48.0 / 255.0;
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

// R′G′B′ at a position (0..1), of what the first plane says there and what the others say.
fn rgb_of(first_plane: vec3f, plane_1: texture_2d<f32>, plane_2: texture_2d<f32>, format: PictureFormat, uv: vec2f) -> vec3f {
    var code = first_plane;
    if format.planes.x == 1u {
        code = vec3f(code.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy);
    } else if format.planes.x == 2u {
        code.y = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
        code.z = textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x;
    }
    let value = vec4f(code, 1.0);
    let rows = format.rgb_from_yuv;
    return clamp(vec3f(dot(rows[0], value), dot(rows[1], value), dot(rows[2], value)), vec3f(0.0), vec3f(1.0));
}

fn previous_rgb(first_plane: vec3f, uv: vec2f) -> vec3f {
    return rgb_of(first_plane, previous_1, previous_2, synthesis.previous, uv);
}

fn current_rgb(first_plane: vec3f, uv: vec2f) -> vec3f {
    return rgb_of(first_plane, current_1, current_2, synthesis.current, uv);
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

// What the picture that is made shows at one place.
struct Sample {
    // First planes of the two pictures.
    before: vec3f,
    after: vec3f,
    // How much they differ in luma.
    difference: f32,
}

fn sample_along(motion: vec2f, uv: vec2f) -> Sample {
    var result: Sample;
    result.before = textureSampleLevel(previous_0, linear_sampler, uv - synthesis.phase * motion, 0.0).rgb;
    result.after = textureSampleLevel(current_0, linear_sampler, uv + (1.0 - synthesis.phase) * motion, 0.0).rgb;
    let before = luma_of(result.before, synthesis.previous.planes.x);
    result.difference = abs(before - luma_of(result.after, synthesis.current.planes.x));
    return result;
}

@compute @workgroup_size(8, 8)
fn synthesize(@builtin(global_invocation_id) id: vec3u) {
    let size = textureDimensions(made);
    if any(id.xy >= size) {
        return;
    }
    let uv = (vec2f(id.xy) + 0.5) / vec2f(size);
    let phase = synthesis.phase;
    let rest = 1.0 - phase;
    var motion = motion_at(uv);
    motion = motion_at(uv + rest * motion);
    motion = motion_at(uv + rest * motion);
    if phase >= 1.0 {
        let place = uv + rest * motion;
        var code = textureSampleLevel(current_0, linear_sampler, place, 0.0).rgb;
        if SHARP && phase != 1.0 && !is_still(motion) {
            code = cubic(current_0, place);
        }
        textureStore(made, id.xy, vec4f(current_rgb(code, place), 1.0));
        return;
    }

    var best = sample_along(motion, uv);
    if best.difference > AGREE {
        // The motion between the cells explains this pixel badly: near an edge of a moving thing one of the cells around, or
        // no motion, may do better. Each must win clearly, or noise would choose.
        let place = uv + rest * motion;
        let half_cell = 0.5 / vec2f(textureDimensions(motion_grid));
        for (var k = 0; k < 5; k++) {
            var candidate = vec2f(0.0);
            if k < 4 {
                candidate = cell_motion(place + half_cell * (2.0 * vec2f(f32(k & 1), f32(k >> 1u)) - 1.0));
            }
            let with_candidate = sample_along(candidate, uv);
            if with_candidate.difference < best.difference - 0.5 * AGREE {
                best = with_candidate;
                motion = candidate;
            }
        }
    }
    let from_previous = uv - phase * motion;
    let from_current = uv + rest * motion;
    if SHARP && phase > 0.0 && !is_still(motion) {
        best.before = cubic(previous_0, from_previous);
        best.after = cubic(current_0, from_current);
    }
    // Where both show different things, one of them is covered: the nearer picture alone is sharp, a mean would be a ghost.
    let nearer = select(0.0, 1.0, phase >= 0.5);
    let share = mix(phase, nearer, smoothstep(AGREE, DISAGREE, best.difference));
    let color = mix(previous_rgb(best.before, from_previous), current_rgb(best.after, from_current), share);
    textureStore(made, id.xy, vec4f(color, 1.0));
}
