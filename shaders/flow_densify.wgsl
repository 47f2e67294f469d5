// From patches to one motion a pixel.
//
// Entry point
//   densify: one thread a pixel: the mean of the four patches around, weighted by nearness and by how well each one's motion
//     explains this pixel
//     @binding(0) this frame's level, @binding(1) the previous frame's level (quads, see flow_pyramid.wgsl)
//     @binding(2) the level's patches (motion in xy)
//     @binding(3) the dense flow: motion in xy (pixels of this level), |difference| with motion in z, without motion in w
// Overrides: WRAPS, whether the left and right edges meet; STRIDE, pixels from patch to patch.

override WRAPS: bool = false;
override STRIDE: u32 = 4u;

@group(0) @binding(0) var current: texture_2d<f32>;
@group(0) @binding(1) var previous: texture_2d<f32>;
@group(0) @binding(2) var patches: texture_2d<f32>;
@group(0) @binding(3) var flow: texture_storage_2d<rgba16float, write>;

// Luma of the previous frame at a position in texel indices.
fn previous_at(position: vec2f, size: vec2f) -> f32 {
    var held = clamp(position, vec2f(0.0), size - 1.0);
    if WRAPS {
        held.x = min(position.x - size.x * floor(position.x / size.x), size.x - 0.001);
    }
    let base = floor(held);
    let part = held - base;
    let quad = textureLoad(previous, vec2i(base), 0);
    let rows = mix(quad.xz, quad.yw, part.x);
    return mix(rows.x, rows.y, part.y);
}

@compute @workgroup_size(8, 8)
fn densify(@builtin(global_invocation_id) id: vec3u) {
    let size = textureDimensions(flow);
    if any(id.xy >= size) {
        return;
    }
    let level_size = vec2f(size);
    let pixel = vec2f(id.xy);
    let luma = textureLoad(current, id.xy, 0).x;
    let count = vec2i(textureDimensions(patches));
    let in_patches = (pixel + 0.5) / f32(STRIDE) - 0.5;
    let nearest = floor(in_patches);
    let part = in_patches - nearest;
    var sum = vec2f(0.0);
    var weights = 0.0;
    for (var k = 0; k < 4; k++) {
        let side = vec2i(k & 1, k >> 1u);
        var cell = vec2i(nearest) + side;
        if WRAPS {
            cell.x = (cell.x + count.x) % count.x;
        }
        cell = clamp(cell, vec2i(0), count - 1);
        let motion = textureLoad(patches, cell, 0).xy;
        let difference = abs(previous_at(pixel - motion, level_size) - luma);
        let near = mix(1.0 - part, part, vec2f(side));
        // One code value is noise; beyond it, a patch counts by the inverse of what it leaves unexplained.
        let weight = (0.05 + near.x * near.y) / max(difference, 1.0 / 255.0);
        sum += weight * motion;
        weights += weight;
    }
    let motion = sum / weights;
    let after = abs(previous_at(pixel - motion, level_size) - luma);
    let before = abs(textureLoad(previous, id.xy, 0).x - luma);
    textureStore(flow, id.xy, vec4f(motion, after, before));
}
