// How far the flow can be trusted: whether the flow the other way leads back.
//
// Sundaram, Brox and Keutzer, Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow (ECCV 2010), call a motion m
// wrong or covered where |m + b|² ≥ 0.01 (|m|² + |b|²) + 0.5, with b the motion back from where m comes from. Here that bound is a half.
//
// Entry point
//   compare: one thread a pixel
//     @binding(0) the flow from the previous frame to this one: what is at p was at p - m (see flow_densify.wgsl)
//     @binding(1) the flow from this frame to the previous one, in the same form
//     @binding(2) the confidence in red, green and blue: 1 where both agree, 0 where they do not or the motion leads out of the picture
// Overrides: WRAPS, whether the left and right edges meet.

override WRAPS: bool = false;

@group(0) @binding(0) var flow: texture_2d<f32>;
@group(0) @binding(1) var back: texture_2d<f32>;
@group(0) @binding(2) var confidence: texture_storage_2d<rgba8unorm, write>;

fn back_texel(texel: vec2i, size: vec2i) -> vec2f {
    var held = clamp(texel, vec2i(0), size - 1);
    if WRAPS {
        held.x = (texel.x % size.x + size.x) % size.x;
    }
    return textureLoad(back, held, 0).xy;
}

// The motion back at a position in texel indices.
fn back_at(position: vec2f, size: vec2i) -> vec2f {
    let base = floor(position);
    let part = position - base;
    let texel = vec2i(base);
    let upper = mix(back_texel(texel, size), back_texel(texel + vec2i(1, 0), size), part.x);
    let lower = mix(back_texel(texel + vec2i(0, 1), size), back_texel(texel + vec2i(1, 1), size), part.x);
    return mix(upper, lower, part.y);
}

@compute @workgroup_size(8, 8)
fn compare(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(flow));
    if any(vec2i(id.xy) >= size) {
        return;
    }
    let motion = textureLoad(flow, id.xy, 0).xy;
    let source = vec2f(id.xy) - motion;
    let beyond = max(-0.5 - source, source - vec2f(size) + 0.5);
    let outside = select(max(beyond.x, beyond.y), beyond.y, WRAPS) > 0.0;
    let back_motion = back_at(source, size);
    let gap = motion + back_motion;
    let bound = 0.01 * (dot(motion, motion) + dot(back_motion, back_motion)) + 0.5;
    let agreement = saturate(1.0 - 0.5 * dot(gap, gap) / bound);
    let value = select(agreement, 0.0, outside);
    textureStore(confidence, id.xy, vec4f(value, value, value, 1.0));
}
