// Flat pictures that cameras of a scene rendered, put together to one picture: side by side, of the sphere, of strips of
// omnidirectional stereo, or through lenses.
//
// Entry point (compute, 8×8): resample, one invocation a pixel of the result
// Bindings (group 0):
//   0  storage, read  what picture to make
//   1  storage, read  the cameras; a part of the sphere without a camera has tangents of zero
//   2  sampler  linear, clamped
//   3..5  array textures  the cameras' pictures, decoded to light; unused ones repeat the first
//   6  texture  for lenses: the direction of each pixel, its length 1 + the number of its cube; in w how bright the lens is there
//   7  storage texture  the result, rgba8unorm, gamma-coded

struct Picture {
    // Width and height of the result, samples of a pixel across and down, kind: 0 flat, 1 cube, 2 strips, 3 lenses.
    size: vec4<u32>,
    // Stereo layout: 0 mono, 1 top and bottom, 2 side by side; strips.
    arrangement: vec4<u32>,
    // Longitude in radians; of strips, the elevations up to which the base is full and from which on there is none, and the share of the
    // base that the pictures between have.
    angles: vec4<f32>,
}

struct Camera {
    view_from_rig: array<vec4<f32>, 3>,
    // Tangents left, right, down, up.
    frustum: vec4<f32>,
    // Which array, which layer.
    place: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> picture: Picture;
@group(0) @binding(1) var<storage, read> cameras: array<Camera>;
@group(0) @binding(2) var linear: sampler;
@group(0) @binding(3) var pictures_0: texture_2d_array<f32>;
@group(0) @binding(4) var pictures_1: texture_2d_array<f32>;
@group(0) @binding(5) var pictures_2: texture_2d_array<f32>;
@group(0) @binding(6) var lenses: texture_2d<f32>;
@group(0) @binding(7) var result: texture_storage_2d<rgba8unorm, write>;

const PI: f32 = 3.14159265358979;

fn fetch(camera: Camera, uv: vec2<f32>) -> vec3<f32> {
    let layer = i32(camera.place.y);
    switch camera.place.x {
        case 0u: { return textureSampleLevel(pictures_0, linear, uv, layer, 0.0).rgb; }
        case 1u: { return textureSampleLevel(pictures_1, linear, uv, layer, 0.0).rgb; }
        default: { return textureSampleLevel(pictures_2, linear, uv, layer, 0.0).rgb; }
    }
}

// What a camera sees in a direction of the rig's frame.
fn look(index: u32, direction: vec3<f32>) -> vec3<f32> {
    let camera = cameras[index];
    let rows = camera.view_from_rig;
    let view = vec3(dot(rows[0].xyz, direction), dot(rows[1].xyz, direction), dot(rows[2].xyz, direction));
    let sides = camera.frustum;
    let at = view.xy / max(-view.z, 1e-6);
    let uv = vec2(at.x - sides.x, sides.w - at.y) / max(vec2(sides.y - sides.x, sides.w - sides.z), vec2(1e-6));
    return fetch(camera, uv);
}

// Right, left, up, down, ahead, back. X is right, Y up, -Z ahead.
fn face_of(direction: vec3<f32>) -> u32 {
    let size = abs(direction);
    if size.x >= size.y && size.x >= size.z {
        return select(0u, 1u, direction.x < 0.0);
    }
    if size.y >= size.z {
        return select(2u, 3u, direction.y < 0.0);
    }
    return select(4u, 5u, direction.z > 0.0);
}

// The camera of a band's strip that shows an azimuth to an eye. Bands: 0 the middle, 1 above, 2 below.
fn strip_of(band: u32, azimuth: f32, eye: u32) -> u32 {
    let strips = picture.arrangement.y;
    let along = (azimuth / picture.angles.x + 0.5) * f32(strips);
    let strip = min(u32(max(along, 0.0)), strips - 1u);
    return (band * 2u + eye) * strips + strip;
}

// The share of the distance between the eyes that is left at an elevation.
fn base_share(elevation: f32) -> f32 {
    let along = clamp((abs(elevation) - picture.angles.y) / (picture.angles.z - picture.angles.y), 0.0, 1.0);
    return select(cos(along * PI * 0.5), 0.0, along >= 1.0);
}

// Light of omnidirectional stereo: where the base fades, two bands are mixed so that the eye's mean place is where the fade has it.
fn strip_light(azimuth: f32, elevation: f32, direction: vec3<f32>, eye: u32) -> vec3<f32> {
    let share = base_share(elevation);
    if share >= 1.0 {
        return look(strip_of(0u, azimuth, eye), direction);
    }
    let cap = 6u * picture.arrangement.y + select(0u, 1u, elevation < 0.0);
    if share <= 0.0 {
        return look(cap, direction);
    }
    let between = picture.angles.w;
    let band = look(strip_of(select(1u, 2u, elevation < 0.0), azimuth, eye), direction);
    if share > between {
        return mix(band, look(strip_of(0u, azimuth, eye), direction), (share - between) / (1.0 - between));
    }
    return mix(look(cap, direction), band, share / between);
}

// Light at a point of an eye's picture, both from 0 to 1.
fn light_at(uv: vec2<f32>, eye: u32) -> vec3<f32> {
    if picture.size.w == 0u {
        return fetch(cameras[eye], uv);
    }
    let azimuth = (uv.x - 0.5) * picture.angles.x;
    let elevation = (0.5 - uv.y) * PI;
    let direction = vec3(cos(elevation) * sin(azimuth), sin(elevation), -cos(elevation) * cos(azimuth));
    if picture.size.w == 1u {
        return look(face_of(direction), direction);
    }
    return strip_light(azimuth, elevation, direction, eye);
}

fn gamma_coded(light: vec3<f32>) -> vec3<f32> {
    let bright = 1.055 * pow(max(light, vec3(0.0031308)), vec3(1.0 / 2.4)) - 0.055;
    return select(bright, light * 12.92, light <= vec3(0.0031308));
}

// Through a lens: the directions within a pixel are those between its neighbours'.
fn lens_light(id: vec2<u32>, samples: u32) -> vec3<f32> {
    let last = vec2<i32>(textureDimensions(lenses)) - 1;
    let here = vec2<i32>(id);
    let middle = textureLoad(lenses, here, 0);
    if middle.w <= 0.0 {
        return vec3(0.0);
    }
    let cube = u32(round(length(middle.xyz))) - 1u;
    let toward = normalize(middle.xyz);
    var across = vec3(0.0);
    var down = vec3(0.0);
    let right = textureLoad(lenses, min(here + vec2(1, 0), last), 0);
    let left = textureLoad(lenses, max(here - vec2(1, 0), vec2(0)), 0);
    let below = textureLoad(lenses, min(here + vec2(0, 1), last), 0);
    let above = textureLoad(lenses, max(here - vec2(0, 1), vec2(0)), 0);
    if right.w > 0.0 && left.w > 0.0 {
        across = (normalize(right.xyz) - normalize(left.xyz)) * 0.5;
    }
    if below.w > 0.0 && above.w > 0.0 {
        down = (normalize(below.xyz) - normalize(above.xyz)) * 0.5;
    }
    // At the edge between two lenses' pictures neighbours look elsewhere.
    if length(across) > 0.3 || length(down) > 0.3 {
        across = vec3(0.0);
        down = vec3(0.0);
    }
    var light = vec3(0.0);
    for (var y = 0u; y < samples; y++) {
        for (var x = 0u; x < samples; x++) {
            let offset = (vec2(f32(x), f32(y)) + 0.5) / f32(samples) - 0.5;
            let direction = normalize(toward + across * offset.x + down * offset.y);
            light += look(cube * 6u + face_of(direction), direction);
        }
    }
    return light / f32(samples * samples);
}

@compute @workgroup_size(8, 8)
fn resample(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = picture.size.xy;
    if any(id.xy >= size) {
        return;
    }
    let samples = picture.size.z;
    if picture.size.w == 3u {
        let brightness = textureLoad(lenses, vec2<i32>(id.xy), 0).w;
        let coded = gamma_coded(lens_light(id.xy, samples)) * max(brightness, 0.0);
        textureStore(result, vec2<i32>(id.xy), vec4(clamp(coded, vec3(0.0), vec3(1.0)), 1.0));
        return;
    }
    var part = size;
    var at = id.xy;
    var eye = 0u;
    if picture.arrangement.x == 1u {
        part.y = size.y / 2u;
        eye = min(at.y / part.y, 1u);
        at.y = min(at.y - eye * part.y, part.y - 1u);
    } else if picture.arrangement.x == 2u {
        part.x = size.x / 2u;
        eye = min(at.x / part.x, 1u);
        at.x = min(at.x - eye * part.x, part.x - 1u);
    }
    var light = vec3(0.0);
    for (var y = 0u; y < samples; y++) {
        for (var x = 0u; x < samples; x++) {
            let offset = (vec2(f32(x), f32(y)) + 0.5) / f32(samples);
            light += light_at((vec2<f32>(at) + offset) / vec2<f32>(part), eye);
        }
    }
    let coded = gamma_coded(light / f32(samples * samples));
    textureStore(result, vec2<i32>(id.xy), vec4(clamp(coded, vec3(0.0), vec3(1.0)), 1.0));
}
