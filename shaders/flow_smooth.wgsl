// Smooths the dense flow along the edges of the picture, not across them.
//
// Entry point
//   smooth_flow: one thread a pixel: the mean of thirteen motions around, weighted by likeness of luma and by how well each explains
//     its own pixel
//     @binding(0) this frame's level, @binding(1) the previous frame's level (quads, see flow_pyramid.wgsl)
//     @binding(2) the dense flow, @binding(3) the smoothed flow, in the same form (see flow_densify.wgsl)
// Overrides: WRAPS, whether the left and right edges meet; SPACING, pixels from one sample to the next.

override WRAPS: bool = false;
override SPACING: i32 = 4;

@group(0) @binding(0) var current: texture_2d<f32>;
@group(0) @binding(1) var previous: texture_2d<f32>;
@group(0) @binding(2) var flow: texture_2d<f32>;
@group(0) @binding(3) var smoothed: texture_storage_2d<rgba16float, write>;

// Differences of luma that count as another surface.
const LUMA_EDGE: f32 = 6.0 / 255.0;

// Luma of the previous frame at a position in texel indices.
fn previous_at(position: vec2f, size: vec2f) -> f32 {
    var held = clamp(position, vec2f(0.0), size - 1.0);
    if WRAPS {
        // No motion is longer than the picture is wide, so once around is enough.
        held.x = position.x + select(0.0, size.x, position.x < 0.0) - select(0.0, size.x, position.x >= size.x);
    }
    let base = floor(held);
    let part = held - base;
    let quad = textureLoad(previous, vec2i(base), 0);
    let rows = mix(quad.xz, quad.yw, part.x);
    return mix(rows.x, rows.y, part.y);
}

@compute @workgroup_size(8, 8)
fn smooth_flow(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(flow));
    let pixel = vec2i(id.xy);
    if any(pixel >= size) {
        return;
    }
    let luma = textureLoad(current, pixel, 0).x;
    var sum = vec2f(0.0);
    var weights = 0.0;
    for (var j = -2; j <= 2; j++) {
        for (var i = abs(j) - 2; i <= 2 - abs(j); i++) {
            let around = pixel + vec2i(i, j) * SPACING;
            var held = clamp(around, vec2i(0), size - 1);
            if WRAPS {
                held.x = around.x + select(0, size.x, around.x < 0) - select(0, size.x, around.x >= size.x);
            }
            let texel = textureLoad(flow, held, 0);
            let unlike = (textureLoad(current, held, 0).x - luma) / LUMA_EDGE;
            let weight = exp(-0.5 * unlike * unlike) / (1.0 + f32(i * i + j * j)) / (texel.z + 2.0 / 255.0);
            sum += weight * texel.xy;
            weights += weight;
        }
    }
    let motion = sum / weights;
    let after = abs(previous_at(vec2f(pixel) - motion, vec2f(size)) - luma);
    textureStore(smoothed, pixel, vec4f(motion, after, textureLoad(flow, pixel, 0).w));
}
