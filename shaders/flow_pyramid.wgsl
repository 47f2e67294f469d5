// Luma pyramid of the optical flow.
//
// A level is an rgba8unorm texture of *quads*: texel (x, y) holds the luma at (x, y), (x+1, y), (x, y+1), (x+1, y+1), so one
// load brings all that a bilinear sample needs, on any hardware and without a sampler.
//
// Entry points
//   luma_rgba, luma_plane: a picture -> level 0, area-filtered; one thread makes 2 columns by 8 rows
//     @binding(0) the picture's first plane, @binding(1) a linear sampler (repeats across where the picture wraps),
//     @binding(2) level 0
//   halve: a level -> the next, half as large; one thread a texel
//     @binding(0) the finer level, @binding(2) the coarser level
// Overrides: WRAPS, whether the left and right edges meet; SOFTEN, whether level 0 is smoothed by a Gaussian of half a texel, which
// takes noise and aliasing out of gradients.

override WRAPS: bool = false;
override SOFTEN: bool = false;

@group(0) @binding(0) var source: texture_2d<f32>;
@group(0) @binding(1) var linear_sampler: sampler;
@group(0) @binding(2) var level: texture_storage_2d<rgba8unorm, write>;

const COLUMNS: u32 = 2u;
const ROWS: u32 = 8u;
// What a neighbour counts in the softening: a variance of 2·SIDE = (0.5 texels)².
const SIDE: f32 = 0.125;

// BT.709 weights: the flow wants contrast, not colorimetry, so one set serves every R′G′B′.
const LUMA = vec3f(0.2126, 0.7152, 0.0722);

// Mean colour of the picture under texel `texel` of level 0.
fn area_mean(texel: vec2f, level_size: vec2f, taps: vec2i) -> vec3f {
    let uv_per_texel = 1.0 / level_size;
    let uv_per_tap = uv_per_texel / vec2f(taps);
    let first = texel * uv_per_texel + 0.5 * uv_per_tap;
    var sum = vec3f(0.0);
    for (var j = 0; j < taps.y; j++) {
        for (var i = 0; i < taps.x; i++) {
            sum += textureSampleLevel(source, linear_sampler, first + vec2f(f32(i), f32(j)) * uv_per_tap, 0.0).rgb;
        }
    }
    return sum / f32(taps.x * taps.y);
}

// Texel index held inside of the level: around the seam where the picture wraps, else at the edge.
fn held(texel: vec2i, size: vec2i) -> vec2f {
    let x = select(clamp(texel.x, 0, size.x - 1), (texel.x + size.x) % size.x, WRAPS);
    return vec2f(f32(x), f32(clamp(texel.y, 0, size.y - 1)));
}

// Luma of three texels from `first` to the right, softened across.
fn luma_row(first: vec2i, size: vec2i, taps: vec2i, weights: vec3f) -> vec3f {
    var row: vec3f;
    row.x = dot(weights, area_mean(held(first, size), vec2f(size), taps));
    row.y = dot(weights, area_mean(held(first + vec2i(1, 0), size), vec2f(size), taps));
    row.z = dot(weights, area_mean(held(first + vec2i(2, 0), size), vec2f(size), taps));
    if SOFTEN {
        let left = dot(weights, area_mean(held(first - vec2i(1, 0), size), vec2f(size), taps));
        let right = dot(weights, area_mean(held(first + vec2i(3, 0), size), vec2f(size), taps));
        row = SIDE * (vec3f(left, row.xy) + vec3f(row.yz, right)) + (1.0 - 2.0 * SIDE) * row;
    }
    return row;
}

fn make_strip(strip: vec2u, weights: vec3f) {
    let size = vec2i(textureDimensions(level));
    let origin = vec2i(strip * vec2u(COLUMNS, ROWS));
    if any(origin >= size) {
        return;
    }
    // A bilinear sample covers two pixels a side.
    let taps = vec2i(clamp(ceil(vec2f(textureDimensions(source)) / vec2f(size) * 0.5 - 0.01), vec2f(1.0), vec2f(16.0)));
    // The row before, as it is written, and two rows that wait to be softened downwards.
    var above = vec3f(0.0);
    var last = vec3f(0.0);
    var last_but_one = vec3f(0.0);
    if SOFTEN {
        last_but_one = luma_row(origin - vec2i(0, 1), size, taps, weights);
        last = luma_row(origin, size, taps, weights);
    }
    for (var row = 0; row <= i32(ROWS); row++) {
        var here = luma_row(origin + vec2i(0, row + i32(SOFTEN)), size, taps, weights);
        if SOFTEN {
            let below = here;
            here = SIDE * (last_but_one + below) + (1.0 - 2.0 * SIDE) * last;
            last_but_one = last;
            last = below;
        }
        let y = origin.y + row - 1;
        if row > 0 && y < size.y {
            textureStore(level, vec2i(origin.x, y), vec4f(above.xy, here.xy));
            if origin.x + 1 < size.x {
                textureStore(level, vec2i(origin.x + 1, y), vec4f(above.yz, here.yz));
            }
        }
        above = here;
    }
}

@compute @workgroup_size(8, 8)
fn luma_rgba(@builtin(global_invocation_id) id: vec3u) {
    make_strip(id.xy, LUMA);
}

@compute @workgroup_size(8, 8)
fn luma_plane(@builtin(global_invocation_id) id: vec3u) {
    make_strip(id.xy, vec3f(1.0, 0.0, 0.0));
}

// Mean of the four pixels under texel `texel` of the coarser level: one quad of the finer one.
fn quad_mean(texel: vec2f) -> f32 {
    return dot(textureLoad(source, vec2u(texel) * 2u, 0), vec4f(0.25));
}

@compute @workgroup_size(8, 8)
fn halve(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(level));
    let texel = vec2i(id.xy);
    if any(texel >= size) {
        return;
    }
    textureStore(level, texel, vec4f(
        quad_mean(held(texel, size)),
        quad_mean(held(texel + vec2i(1, 0), size)),
        quad_mean(held(texel + vec2i(0, 1), size)),
        quad_mean(held(texel + vec2i(1, 1), size)),
    ));
}
