// From the flow between two lenses to what each of them is bent by: see crates/studio_vision/src/stitch/align/mod.rs.
//
// Entry points
//   weigh: one thread a texel of a band: the flow times how far it counts
//     @binding(0) the flow (xy) with what differs along it (z) and without it (w), @binding(1) its confidence, @binding(2) how far both
//     lenses see the texel (z), @binding(3) what the second lens sees, @binding(4) `Follow`, @binding(5) flow (xy), weight (z) and gain (w)
//   smooth_across: one thread a texel
//     @binding(5) what is smoothed across, @binding(6) what `weigh` made
//   follow: one thread a texel: smooths down, and follows over time
//     @binding(4) `Follow`, @binding(5) the disparity (xy) and how far it is trusted (z), @binding(6) what `smooth_across` made,
//     @binding(7) the disparity of the frame before
//   bend: one thread a texel of a lens's grid that lies in the band
//     @binding(2) as for `weigh`, @binding(6) the disparity, @binding(8) where both lenses see a texel, in texture coordinates, @binding(9) the texels,
//     @binding(10) what is added to the lens's texture coordinates there
// Overrides: WRAPS, whether the band's ends meet.

override WRAPS: bool = false;

struct Follow {
    // The share of a small difference that is made up for in this frame.
    share: f32,
    // 1 where there was no frame before.
    is_first: f32,
    // 0 where nothing is to be bent.
    counts: f32,
    // The largest disparity in texels.
    bound_px: f32,
}

struct Bend {
    // The texel of the grid, 12 bits each; the lens from bit 24 on; bit 31 marks the second lens of the band.
    texel: u32,
    // Where it lies in the band, in texels.
    x: f32,
    y: f32,
    // The first lens's share of the place, 0 to 1: 1 where the second lens's picture ends.
    share: f32,
    // How much of the disparity counts there.
    weight: f32,
}

@group(0) @binding(0) var flow: texture_2d<f32>;
@group(0) @binding(1) var confidence: texture_2d<f32>;
@group(0) @binding(2) var traits: texture_2d<f32>;
@group(0) @binding(3) var picture: texture_2d<f32>;
@group(0) @binding(4) var<storage, read> now: Follow;
@group(0) @binding(5) var made: texture_storage_2d<rgba16float, write>;
@group(0) @binding(6) var source: texture_2d<f32>;
@group(0) @binding(7) var before: texture_2d<f32>;
@group(0) @binding(8) var places: texture_2d<f32>;
@group(0) @binding(9) var<storage, read> bends: array<Bend>;
@group(0) @binding(10) var displacements: texture_storage_2d_array<rgba16float, write>;

const LUMA = vec3f(0.2126, 0.7152, 0.0722);
// A slope of luma, a texel, that is as likely noise as texture.
const NOISE: f32 = 0.012;
// Of what differs without the flow, so much has to be left over by it.
const EXPLAINED: f32 = 0.85;
// A gain, in luma, from which on the flow is trusted in full.
const CLEAR_GAIN: f32 = 0.004;
// Texels that are smoothed over to each side, and the Gaussian's deviation.
const REACH: i32 = 6;
const DEVIATION: f32 = 2.5;
// Less weight than this around a texel says little.
const LITTLE: f32 = 0.03;
// A difference in texels that does not move anything, and one that is followed at once.
const STILL_PX: f32 = 0.2;
const AT_ONCE_PX: f32 = 2.0;
// The weight around a texel from which on what is far off is followed at once, begins and ends.
const WELL_KNOWN = vec2f(0.15, 0.4);
// The same as the first of trust.
const STILL_TRUST: f32 = 0.15;
// Steps to where the second lens sees a place.
const STEPS: i32 = 6;

fn held(texel: vec2i, size: vec2i) -> vec2i {
    var inside = clamp(texel, vec2i(0), size - 1);
    if WRAPS {
        inside.x = (texel.x % size.x + size.x) % size.x;
    }
    return inside;
}

fn luma_at(texel: vec2i, size: vec2i) -> f32 {
    return dot(LUMA, textureLoad(picture, held(texel, size), 0).rgb);
}

@compute @workgroup_size(8, 8)
fn weigh(@builtin(global_invocation_id) id: vec3u) {
    let size = vec2i(textureDimensions(flow));
    let texel = vec2i(id.xy);
    if any(texel >= size) {
        return;
    }
    let found = textureLoad(flow, texel, 0);
    let agreed = saturate(2.0 * textureLoad(confidence, texel, 0).x - 1.0);
    let slope = 0.5 * vec2f(
        luma_at(texel + vec2i(1, 0), size) - luma_at(texel - vec2i(1, 0), size),
        luma_at(texel + vec2i(0, 1), size) - luma_at(texel - vec2i(0, 1), size),
    );
    let detail = dot(slope, slope) / (dot(slope, slope) + NOISE * NOISE);
    let bounded = 1.0 - smoothstep(0.8, 1.0, length(found.xy) / now.bound_px);
    let weight = textureLoad(traits, texel, 0).z * agreed * detail * bounded;
    textureStore(made, texel, weight * vec4f(found.xy, 1.0, EXPLAINED * found.w - found.z));
}

fn smoothed(texel: vec2i, step: vec2i) -> vec4f {
    let size = vec2i(textureDimensions(source));
    var sum = vec4f(0.0);
    var counted = 0.0;
    for (var k = -REACH; k <= REACH; k++) {
        let share = exp(-0.5 * f32(k * k) / (DEVIATION * DEVIATION));
        sum += share * textureLoad(source, held(texel + k * step, size), 0);
        counted += share;
    }
    return sum / counted;
}

@compute @workgroup_size(8, 8)
fn smooth_across(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= textureDimensions(source)) {
        return;
    }
    textureStore(made, id.xy, smoothed(vec2i(id.xy), vec2i(1, 0)));
}

@compute @workgroup_size(8, 8)
fn follow(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= textureDimensions(source)) {
        return;
    }
    let sums = smoothed(vec2i(id.xy), vec2i(0, 1));
    let found = sums.xyw / (sums.z + LITTLE);
    let trusted = now.counts * smoothstep(0.0, CLEAR_GAIN, found.z);
    let last = textureLoad(before, id.xy, 0);
    // Small differences are noise; large ones are another scene, or something that moves.
    let off = found.xy - last.xy;
    let distance = length(off);
    let at_once = smoothstep(STILL_PX, AT_ONCE_PX, distance) * smoothstep(WELL_KNOWN.x, WELL_KNOWN.y, sums.z);
    let part = mix(now.share, 1.0, at_once) * max(0.0, 1.0 - STILL_PX / max(distance, 1e-4));
    let trust_off = trusted - last.z;
    let trust_part = now.share * max(0.0, 1.0 - STILL_TRUST / max(abs(trust_off), 1e-4));
    let disparity = mix(last.xy + part * off, found.xy, now.is_first);
    let trust = mix(last.z + trust_part * trust_off, trusted, now.is_first);
    textureStore(made, id.xy, vec4f(disparity, trust, 1.0));
}

// The four texels around a place and their shares.
struct Around {
    texels: array<vec2i, 4>,
    shares: vec4f,
}

fn around(place: vec2f, size: vec2i) -> Around {
    let low = floor(place - 0.5);
    let part = place - 0.5 - low;
    let rest = 1.0 - part;
    let first = vec2i(low);
    let texels = array<vec2i, 4>(
        held(first, size), held(first + vec2i(1, 0), size), held(first + vec2i(0, 1), size), held(first + 1, size),
    );
    return Around(texels, vec4f(rest.x * rest.y, part.x * rest.y, rest.x * part.y, part.x * part.y));
}

fn disparity_at(place: vec2f, size: vec2i) -> vec2f {
    let near = around(place, size);
    var sum = vec2f(0.0);
    for (var k = 0; k < 4; k++) {
        let texel = textureLoad(source, near.texels[k], 0);
        sum += near.shares[k] * texel.z * texel.xy;
    }
    return sum;
}

fn seen_at(place: vec2f, size: vec2i) -> f32 {
    let near = around(place, size);
    var sum = 0.0;
    for (var k = 0; k < 4; k++) {
        sum += near.shares[k] * textureLoad(traits, near.texels[k], 0).z;
    }
    return sum;
}

fn places_at(place: vec2f, size: vec2i) -> vec4f {
    let near = around(place, size);
    var sum = vec4f(0.0);
    for (var k = 0; k < 4; k++) {
        sum += near.shares[k] * textureLoad(places, near.texels[k], 0);
    }
    return sum;
}

@compute @workgroup_size(64)
fn bend(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= arrayLength(&bends) {
        return;
    }
    let size = vec2i(textureDimensions(source));
    let here = bends[id.x];
    let place = vec2f(here.x, here.y);
    // The disparity is known where the second lens sees it: that is where the second lens is bent from.
    var disparity = here.weight * disparity_at(place, size);
    for (var k = 0; k < STEPS; k++) {
        // By halves: where the disparity changes quickly, whole steps swing to and fro.
        disparity = 0.5 * (disparity + here.weight * disparity_at(place + here.share * disparity, size));
    }
    // Neither lens looks to where the other sees nothing.
    disparity *= min(
        seen_at(place - (1.0 - here.share) * disparity, size),
        seen_at(place + here.share * disparity, size),
    );
    let is_second = (here.texel & 0x80000000u) != 0u;
    let origin = place + select(here.share - 1.0, here.share, is_second) * disparity;
    let moved = places_at(origin, size) - places_at(place, size);
    let added = select(moved.xy, moved.zw, is_second);
    let texel = vec2u(here.texel & 0xfffu, (here.texel >> 12u) & 0xfffu);
    textureStore(displacements, texel, (here.texel >> 24u) & 0xfu, vec4f(added, 0.0, 0.0));
}
