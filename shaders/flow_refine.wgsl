// Refines the dense flow: smooth along the edges of the picture and not across them, and true to both frames.
//
// Two terms take turns, as in Zach, Pock and Bischof, A Duality Based Approach for Realtime TV-L1 Optical Flow (DAGM 2007). The smooth
// term is the weighted median of the motions around (Sun, Roth and Black, CVPR 2010), its weights falling with difference of luma and with
// what a motion leaves unexplained. The data term is a robust step of Lucas and Kanade's over 3×3 pixels from there (Bruhn, Weickert and
// Schnörr, Lucas/Kanade Meets Horn/Schunck, IJCV 2005).
//
// Entry point
//   refine: one thread a pixel
//     @binding(0) this frame's level, @binding(1) the previous frame's level (quads, see flow_pyramid.wgsl)
//     @binding(2) the dense flow, @binding(3) the refined flow, in the same form (see flow_densify.wgsl)
// Overrides: WRAPS, whether the left and right edges meet; SPACING, pixels from one motion to the next.

override WRAPS: bool = false;
override SPACING: i32 = 1;

@group(0) @binding(0) var current: texture_2d<f32>;
@group(0) @binding(1) var previous: texture_2d<f32>;
@group(0) @binding(2) var flow: texture_2d<f32>;
@group(0) @binding(3) var refined: texture_storage_2d<rgba16float, write>;

const ROUNDS: i32 = 2;
const MOST: i32 = 21;
// Differences of luma that count as another surface.
const LUMA_EDGE: f32 = 12.0 / 255.0;
// What is left unexplained by noise alone.
const NOISE: f32 = 2.0 / 255.0;
// Motions nearer than this, in pixels, count alike.
const ALIKE_PX: f32 = 0.1;
// Differences below this are noise to the data term, those far above it outliers.
const OUTLIER: f32 = 1.0 / 255.0;
// Smoothness against data.
const STIFFNESS: f32 = 5.0;
// The data term's longest step: the linear model holds no farther.
const LONGEST_STEP_PX: f32 = 1.0;

fn held(texel: vec2i, size: vec2i) -> vec2i {
    var inside = clamp(texel, vec2i(0), size - 1);
    if WRAPS {
        inside.x = texel.x + select(0, size.x, texel.x < 0) - select(0, size.x, texel.x >= size.x);
    }
    return inside;
}

// Luma of the previous frame at a position in texel indices.
fn previous_at(position: vec2f, size: vec2f) -> f32 {
    var inside = clamp(position, vec2f(0.0), size - 1.0);
    if WRAPS {
        // No motion is longer than the picture is wide, so once around is enough.
        inside.x = position.x + select(0.0, size.x, position.x < 0.0) - select(0.0, size.x, position.x >= size.x);
    }
    let base = floor(inside);
    let part = inside - base;
    let quad = textureLoad(previous, vec2i(base), 0);
    let rows = mix(quad.xz, quad.yw, part.x);
    return mix(rows.x, rows.y, part.y);
}

var<private> samples: array<vec3f, 21>;

@compute @workgroup_size(8, 8)
fn refine(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(flow));
    let pixel = vec2i(id.xy);
    if any(pixel >= size) {
        return;
    }
    let luma = textureLoad(current, pixel, 0).x;
    let here = textureLoad(flow, pixel, 0);
    var taken = 0;
    for (var j = -2; j <= 2; j++) {
        let reach = select(2, 1, abs(j) == 2);
        for (var i = -reach; i <= reach; i++) {
            let around = held(pixel + vec2i(i, j) * SPACING, size);
            let texel = textureLoad(flow, around, 0);
            let unlike = (textureLoad(current, around, 0).x - luma) / LUMA_EDGE;
            let weight = exp(-0.5 * unlike * unlike) / (1.0 + 0.5 * f32(i * i + j * j)) / (texel.z + NOISE);
            samples[taken] = vec3f(texel.xy, weight);
            taken++;
        }
    }
    var motion = here.xy;
    for (var round = 0; round < ROUNDS; round++) {
        var sum = vec2f(0.0);
        var weights = 0.0;
        for (var k = 0; k < MOST; k++) {
            let apart = samples[k].xy - motion;
            let weight = samples[k].z * inverseSqrt(dot(apart, apart) + ALIKE_PX * ALIKE_PX);
            sum += weight * samples[k].xy;
            weights += weight;
        }
        motion = sum / weights;
    }

    // How the luma around differs from that of the previous frame, and how a longer motion would change that.
    var xx = STIFFNESS;
    var xy = 0.0;
    var yy = STIFFNESS;
    var pull = vec2f(0.0);
    for (var j = -1; j <= 1; j++) {
        for (var i = -1; i <= 1; i++) {
            let around = pixel + vec2i(i, j);
            let quad = textureLoad(current, held(around, size), 0);
            let before = textureLoad(current, held(around - 1, size), 0);
            let gradient = 0.5 * vec2f(quad.y - before.z, quad.z - before.y);
            let difference = previous_at(vec2f(around) - motion, vec2f(size)) - quad.x;
            let weight = inverseSqrt(difference * difference + OUTLIER * OUTLIER) / f32(1 + i * i + j * j);
            xx += weight * gradient.x * gradient.x;
            xy += weight * gradient.x * gradient.y;
            yy += weight * gradient.y * gradient.y;
            pull += weight * difference * gradient;
        }
    }
    let step = vec2f(yy * pull.x - xy * pull.y, xx * pull.y - xy * pull.x) / (xx * yy - xy * xy);
    motion += step * min(1.0, LONGEST_STEP_PX / max(length(step), 1e-6));
    let after = abs(previous_at(vec2f(pixel) - motion, vec2f(size)) - luma);
    textureStore(refined, pixel, vec4f(motion, after, here.w));
}
