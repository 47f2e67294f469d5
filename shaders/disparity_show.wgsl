// What disparities mean: distances in metres, a picture of them, and a coloured one for people.
//
// Entry point
//   show: one thread a pixel of the pictures
//     @binding(0) the disparities, in sixteenths of a pixel
//     @binding(1) for each pixel, its place in the matched picture (in shares of it), outside of 0 to 1 where it has none
//     @binding(2) distances along the rays in metres, 0 where nothing is known or it is infinitely far
//     @binding(3) the picture of distances: near_m / distance
//     @binding(4) the coloured picture: red is nearest, blue farthest, black unknown
//     @binding(5) the numbers below
// Overrides: WIDTH, HEIGHT, the size of the matched picture; MAPPED, whether places are given; RAYS, how its rays leave: 0 flat, 1
// omnidirectional, 2 on its side.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override MAPPED: bool = false;
override RAYS: u32 = 0u;

struct Meaning {
    // Flat: tangents of the edges, to the left, right, up and down. Omnidirectional: angle across in x.
    edges: vec4f,
    // Baseline and the distance of white, in metres; the first disparity and their number.
    scale: vec4f,
}

@group(0) @binding(0) var<storage, read> disparities: array<i32>;
@group(0) @binding(1) var places: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> distances: array<f32>;
@group(0) @binding(3) var picture: texture_storage_2d<rgba8unorm, write>;
@group(0) @binding(4) var colored: texture_storage_2d<rgba8unorm, write>;
@group(0) @binding(5) var<storage, read> meaning: Meaning;

const HOLE: i32 = -1000000;
const PI: f32 = 3.14159265358979;

// The distance along the ray of a place of the matched picture, for a disparity in shares of its width; 0 is infinity.
fn distance_of(place: vec2f, disparity: f32) -> f32 {
    let baseline = meaning.scale.x;
    if disparity <= 0.0 {
        return 0.0;
    }
    if RAYS == 0u {
        let edges = meaning.edges;
        let across = edges.x + edges.y;
        let ray = vec3f(place * vec2f(across, edges.z + edges.w) - edges.xz, 1.0);
        return length(ray) * baseline / (across * disparity);
    }
    if RAYS == 1u {
        // Rays touch a circle of half the baseline; the horizontal distance is the same at every latitude.
        let angle = min(disparity * meaning.edges.x, PI);
        let latitude = PI * (0.5 - place.y);
        return 0.5 * baseline / (sin(0.5 * angle) * max(cos(latitude), 1e-3));
    }
    let left = PI * (1.0 - place.x);
    let right = left + PI * disparity;
    return select(baseline * sin(right) / sin(right - left), 0.0, right >= PI);
}

// From blue over cyan, green and yellow to red.
fn color_of(nearness: f32) -> vec3f {
    let hue = clamp(nearness, 0.0, 1.0) * 4.0;
    return clamp(vec3f(hue - 2.0, 2.0 - abs(hue - 2.0), 2.0 - hue), vec3f(0.0), vec3f(1.0));
}

@compute @workgroup_size(8, 8)
fn show(@builtin(global_invocation_id) id: vec3u) {
    let size = textureDimensions(picture);
    if any(id.xy >= size) {
        return;
    }
    var place = (vec2f(id.xy) + 0.5) / vec2f(size);
    if MAPPED {
        place = textureLoad(places, id.xy, 0).xy;
    }
    var distance = 0.0;
    var color = vec3f(0.0);
    if all(place >= vec2f(0.0)) && all(place <= vec2f(1.0)) {
        let at = min(vec2i(place * vec2f(f32(WIDTH), f32(HEIGHT))), vec2i(WIDTH, HEIGHT) - 1);
        let found = disparities[at.y * WIDTH + at.x];
        if found != HOLE {
            let pixels = f32(found) / 16.0;
            distance = distance_of(place, pixels / f32(WIDTH));
            color = color_of((pixels - meaning.scale.z) / max(meaning.scale.w - 1.0, 1.0));
        }
    }
    distances[id.y * size.x + id.x] = distance;
    let nearness = select(clamp(meaning.scale.y / max(distance, 1e-6), 0.0, 1.0), 0.0, distance == 0.0);
    textureStore(picture, id.xy, vec4f(vec3f(nearness), 1.0));
    textureStore(colored, id.xy, vec4f(color, 1.0));
}
