// The coarse bands of a multi-band stitch: see crates/studio_vision/src/stitch/bands/mod.rs.
//
// Colours are multiplied by how far they count (alpha), so that what is missing weighs nothing when texels are put together.
//
// Entry points
//   halve: one thread a texel of the coarser level, for all lenses; kernel (1, 3, 3, 1) / 8 both ways
//     @binding(0) the finer level's layers, @binding(4) the coarser level's
//   continue_layers: one thread a texel of a level, for all lenses: what a lens does not see is continued from the coarser level
//     @binding(0) the level's layers, @binding(1) the coarser level's, continued, @binding(4) the level's, continued: the colour itself, and
//     whether there is one
//   blend: one thread a texel of a level
//     @binding(0) the level's layers, continued, @binding(1) the coarser level's, @binding(2) the level's weights, @binding(3) the blend of the
//     coarser level, @binding(5) the blend of the level
//   correct: one thread a texel of the finest level, for all lenses: what lacks each lens's picture there
//     @binding(1) the coarser level's layers, continued, @binding(3) its blend, @binding(4) the corrections
// Overrides: WRAPS, whether the left and right edges meet; COARSEST, whether there is no coarser level.

override WRAPS: bool = false;
override COARSEST: bool = false;

@group(0) @binding(0) var layers: texture_2d_array<f32>;
@group(0) @binding(1) var coarser_layers: texture_2d_array<f32>;
@group(0) @binding(2) var weights: texture_2d_array<f32>;
@group(0) @binding(3) var coarser_blend: texture_2d<f32>;
@group(0) @binding(4) var made: texture_storage_2d_array<rgba16float, write>;
@group(0) @binding(5) var blended: texture_storage_2d<rgba16float, write>;

// Less than this of a colour is none.
const NOTHING: f32 = 0.0005;

fn held(texel: vec2i, size: vec2i) -> vec2i {
    var inside = clamp(texel, vec2i(0), size - 1);
    if WRAPS {
        inside.x = (texel.x + size.x) % size.x;
    }
    return inside;
}

fn pure(color: vec4f) -> vec3f {
    return color.rgb / max(color.a, NOTHING);
}

@compute @workgroup_size(8, 8)
fn halve(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(layers));
    let first = 2 * vec2i(id.xy) - 1;
    if any(id.xy >= textureDimensions(made)) {
        return;
    }
    let share = array<f32, 4>(0.125, 0.375, 0.375, 0.125);
    for (var lens = 0u; lens < textureNumLayers(layers); lens++) {
        var sum = vec4f(0.0);
        for (var k = 0; k < 16; k++) {
            let offset = vec2i(k % 4, k / 4);
            sum += share[offset.x] * share[offset.y] * textureLoad(layers, held(first + offset, size), lens, 0);
        }
        textureStore(made, id.xy, lens, sum);
    }
}

// The four texels of the coarser level around a texel, and how far along it lies between them.
struct Around {
    texels: array<vec2i, 4>,
    shares: vec4f,
}

fn around(texel: vec2u, size: vec2i) -> Around {
    let place = (vec2f(texel) + 0.5) / 2.0 - 0.5;
    let low = vec2i(floor(place));
    let part = place - floor(place);
    let texels = array<vec2i, 4>(
        held(low, size), held(low + vec2i(1, 0), size), held(low + vec2i(0, 1), size), held(low + 1, size),
    );
    let rest = 1.0 - part;
    return Around(texels, vec4f(rest.x * rest.y, part.x * rest.y, rest.x * part.y, part.x * part.y));
}

fn coarser_layer(near: Around, lens: u32) -> vec4f {
    var sum = vec4f(0.0);
    for (var k = 0; k < 4; k++) {
        let texel = textureLoad(coarser_layers, near.texels[k], lens, 0);
        sum += near.shares[k] * texel.a * vec4f(texel.rgb, 1.0);
    }
    return vec4f(pure(sum), sum.a);
}

@compute @workgroup_size(8, 8)
fn continue_layers(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= textureDimensions(made)) {
        return;
    }
    let near = around(id.xy, vec2i(textureDimensions(coarser_layers)));
    for (var lens = 0u; lens < textureNumLayers(layers); lens++) {
        let here = textureLoad(layers, id.xy, lens, 0);
        var color = pure(here);
        var is_there = here.a > NOTHING;
        if !COARSEST {
            let coarse = coarser_layer(near, lens);
            if coarse.a > NOTHING {
                color = mix(coarse.rgb, color, saturate(here.a));
                is_there = true;
            }
        }
        textureStore(made, id.xy, lens, vec4f(color, select(0.0, 1.0, is_there)));
    }
}

// The coarser level's blend, without alpha where there is none.
fn coarser(near: Around) -> vec4f {
    var sum = vec4f(0.0);
    for (var k = 0; k < 4; k++) {
        sum += near.shares[k] * textureLoad(coarser_blend, near.texels[k], 0);
    }
    return vec4f(pure(sum), sum.a);
}

@compute @workgroup_size(8, 8)
fn blend(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= textureDimensions(blended)) {
        return;
    }
    let near = around(id.xy, vec2i(textureDimensions(coarser_layers)));
    var sum = vec3f(0.0);
    var counted = 0.0;
    for (var lens = 0u; lens < textureNumLayers(layers); lens++) {
        let here = textureLoad(layers, id.xy, lens, 0);
        let weight = textureLoad(weights, id.xy, lens, 0).x * here.a;
        var band = here.rgb;
        if !COARSEST {
            band -= coarser_layer(near, lens).rgb;
        }
        sum += weight * band;
        counted += weight;
    }
    var whole = sum / max(counted, NOTHING);
    if !COARSEST {
        whole += coarser(near).rgb;
    }
    textureStore(blended, id.xy, vec4f(whole * counted, counted));
}

@compute @workgroup_size(8, 8)
fn correct(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= textureDimensions(made)) {
        return;
    }
    let near = around(id.xy, vec2i(textureDimensions(coarser_layers)));
    let whole = coarser(near);
    for (var lens = 0u; lens < textureNumLayers(coarser_layers); lens++) {
        let own = coarser_layer(near, lens);
        let lacks = select(vec3f(0.0), whole.rgb - own.rgb, min(whole.a, own.a) > NOTHING);
        textureStore(made, id.xy, lens, vec4f(lacks, 1.0));
    }
}
