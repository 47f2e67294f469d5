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
// Override: WRAPS, whether the left and right edges meet.

override WRAPS: bool = false;

@group(0) @binding(0) var source: texture_2d<f32>;
@group(0) @binding(1) var linear_sampler: sampler;
@group(0) @binding(2) var level: texture_storage_2d<rgba8unorm, write>;

const COLUMNS: u32 = 2u;
const ROWS: u32 = 8u;

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
fn held(texel: vec2u, size: vec2u) -> vec2f {
    let x = select(min(texel.x, size.x - 1u), texel.x % size.x, WRAPS);
    return vec2f(f32(x), f32(min(texel.y, size.y - 1u)));
}

fn make_strip(strip: vec2u, weights: vec3f) {
    let size = textureDimensions(level);
    let origin = strip * vec2u(COLUMNS, ROWS);
    if any(origin >= size) {
        return;
    }
    let level_size = vec2f(size);
    // A bilinear sample covers two pixels a side.
    let taps = vec2i(clamp(ceil(vec2f(textureDimensions(source)) / level_size * 0.5 - 0.01), vec2f(1.0), vec2f(16.0)));
    var above = vec3f(0.0);
    for (var row = 0u; row <= ROWS; row++) {
        var here: vec3f;
        here.x = dot(weights, area_mean(held(origin + vec2u(0u, row), size), level_size, taps));
        here.y = dot(weights, area_mean(held(origin + vec2u(1u, row), size), level_size, taps));
        here.z = dot(weights, area_mean(held(origin + vec2u(2u, row), size), level_size, taps));
        let y = origin.y + row;
        if row > 0u && y - 1u < size.y {
            textureStore(level, vec2u(origin.x, y - 1u), vec4f(above.xy, here.xy));
            if origin.x + 1u < size.x {
                textureStore(level, vec2u(origin.x + 1u, y - 1u), vec4f(above.yz, here.yz));
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
    let size = textureDimensions(level);
    if any(id.xy >= size) {
        return;
    }
    textureStore(level, id.xy, vec4f(
        quad_mean(held(id.xy, size)),
        quad_mean(held(id.xy + vec2u(1u, 0u), size)),
        quad_mean(held(id.xy + vec2u(0u, 1u), size)),
        quad_mean(held(id.xy + vec2u(1u, 1u), size)),
    ));
}
