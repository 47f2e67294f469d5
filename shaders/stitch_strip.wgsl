// What a lens sees of the band around a border of two lenses: see crates/studio_vision/src/stitch/align/mod.rs.
//
// Entry point
//   see: one thread a texel of the band, by a map of where the lens sees it
// Overrides: `LAYOUT` (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr).
// Bindings (group 0): 0 sampler (linear, clamped); 1, 2, 3 the planes of the picture; 4 `View`, by dynamic offset; 5 where the first lens (xy) and
// the second (zw) see a texel, in texture coordinates; 6 what undoes their vignettings (xy), and how far both see it (z); 7 what is seen.

override LAYOUT: u32 = 0u;

struct View {
    // Rows of the affine map from the picture's samples to R'G'B', with the lens's colour gains in it.
    rgb_from_samples: array<vec4f, 3>,
    // Left, top, right, bottom of what may be read, in texture coordinates.
    region: vec4f,
    // Which of the two lenses it is, and whether the band's ends meet.
    side_and_wraps: vec4u,
}

@group(0) @binding(0) var linear_sampler: sampler;
@group(0) @binding(1) var plane_0: texture_2d<f32>;
@group(0) @binding(2) var plane_1: texture_2d<f32>;
@group(0) @binding(3) var plane_2: texture_2d<f32>;
@group(0) @binding(4) var<uniform> view: View;
@group(0) @binding(5) var places: texture_2d<f32>;
@group(0) @binding(6) var traits: texture_2d<f32>;
@group(0) @binding(7) var strip: texture_storage_2d<rgba8unorm, write>;

// Samples a side of a texel; each sees two pixels of the lens's picture a side.
const TAPS: i32 = 3;
// What is shown of what not both lenses see: the same in both.
const GREY = vec3f(0.5);

fn place_at(texel: vec2i, size: vec2i) -> vec2f {
    var held = clamp(texel, vec2i(0), size - 1);
    if view.side_and_wraps.y == 1u {
        held.x = (texel.x + size.x) % size.x;
    }
    let both = textureLoad(places, held, 0);
    return select(both.xy, both.zw, view.side_and_wraps.x == 1u);
}

fn color_at(at: vec2f) -> vec3f {
    let uv = clamp(at, view.region.xy, view.region.zw);
    var samples = vec4f(textureSampleLevel(plane_0, linear_sampler, uv, 0.0).xyz, 1.0);
    if LAYOUT == 1u {
        samples = vec4f(samples.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy, 1.0);
    } else if LAYOUT == 2u {
        let cb = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
        samples = vec4f(samples.x, cb, textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x, 1.0);
    }
    return vec3f(
        dot(view.rgb_from_samples[0], samples), dot(view.rgb_from_samples[1], samples), dot(view.rgb_from_samples[2], samples),
    );
}

@compute @workgroup_size(8, 8)
fn see(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(strip));
    let texel = vec2i(id.xy);
    if any(texel >= size) {
        return;
    }
    let middle = place_at(texel, size);
    let across = 0.5 * (place_at(texel + vec2i(1, 0), size) - place_at(texel - vec2i(1, 0), size));
    let down = 0.5 * (place_at(texel + vec2i(0, 1), size) - place_at(texel - vec2i(0, 1), size));
    var sum = vec3f(0.0);
    for (var k = 0; k < TAPS * TAPS; k++) {
        let part = (vec2f(f32(k % TAPS), f32(k / TAPS)) + 0.5) / f32(TAPS) - 0.5;
        sum += saturate(color_at(middle + part.x * across + part.y * down));
    }
    let trait_here = textureLoad(traits, texel, 0);
    let gain = select(trait_here.x, trait_here.y, view.side_and_wraps.x == 1u);
    let color = mix(GREY, gain * sum / f32(TAPS * TAPS), trait_here.z);
    textureStore(strip, texel, vec4f(color, 1.0));
}
