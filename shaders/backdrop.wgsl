// A picture of the sphere behind, and among, the objects of a scene.
//
// Entry points: cover (vertex, a triangle over the whole target), backdrop (fragment, writes depth)
// Bindings (group 0):
//   0  storage, read  the view, the picture's format and place
//   1  sampler  linear; repeats across for a whole sphere
//   2..4  textures  the picture's planes; unused ones repeat the first
//   5  texture  a picture of distances, in its first channel; without one, the first plane again

struct Backdrop {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
    // Rows of the rotation from the view to the world, and from the world to the picture.
    world_from_view: array<vec4<f32>, 3>,
    picture_from_world: array<vec4<f32>, 3>,
    // Tangents of the view's sides: left, right, down, up.
    frustum: vec4<f32>,
    // Where the eye stands, from the middle of the sphere, in metres; the near plane's distance.
    eye: vec4<f32>,
    // Offset and scale of the eye's part of the picture, and of that of distances.
    part: vec4<f32>,
    depth_part: vec4<f32>,
    // Radius of the sphere in metres, 0 for infinity; brightness; the picture's own angle in radians.
    shape: vec4<f32>,
    // 1 / distance = x + y · value, or, with z = 1, distance = x + y · value.
    depth: vec4<f32>,
    // Edges of a flat picture, to the left, right, up and down: tangents of the angles from straight ahead.
    tangents: vec4<f32>,
    // Projection: 0 equirectangular, 1 half equirectangular, 2 fisheye, 3 cube map, 4 flat; 1 with a picture of distances.
    kind: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> values: Backdrop;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;
@group(0) @binding(5) var distances: texture_2d<f32>;

const PI: f32 = 3.14159265358979;

struct Varying {
    @builtin(position) position: vec4<f32>,
    @location(0) at: vec2<f32>,
}

@vertex
fn cover(@builtin(vertex_index) index: u32) -> Varying {
    let corner = vec2(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    return Varying(vec4(corner, 0.0, 1.0), corner);
}

fn turned(rows: array<vec4<f32>, 3>, v: vec3<f32>) -> vec3<f32> {
    return vec3(dot(rows[0].xyz, v), dot(rows[1].xyz, v), dot(rows[2].xyz, v));
}

// Faces in three columns and two rows: right, left, up / down, front, back.
fn cube_place(direction: vec3<f32>) -> vec3<f32> {
    let size = abs(direction);
    var face = vec2(0.0);
    var at = vec2(0.0);
    if size.x >= size.y && size.x >= size.z {
        face = vec2(select(1.0, 0.0, direction.x > 0.0), 0.0);
        at = vec2(sign(direction.x) * direction.z, -direction.y) / size.x;
    } else if size.y >= size.z {
        face = select(vec2(0.0, 1.0), vec2(2.0, 0.0), direction.y > 0.0);
        at = vec2(direction.x, -sign(direction.y) * direction.z) / size.y;
    } else {
        face = vec2(select(2.0, 1.0, direction.z < 0.0), 1.0);
        at = vec2(-sign(direction.z) * direction.x, -direction.y) / size.z;
    }
    return vec3((face + at * 0.5 + 0.5) / vec2(3.0, 2.0), 1.0);
}

// Where a direction lies in the picture, and 1 in z if it lies in it at all. X is right, Y up, -Z ahead.
fn place(direction: vec3<f32>) -> vec3<f32> {
    let angle = values.shape.z;
    switch values.kind.x {
        case 0u, 1u: {
            let longitude = atan2(direction.x, -direction.z);
            let latitude = asin(clamp(direction.y, -1.0, 1.0));
            return vec3(0.5 + longitude / angle, 0.5 - latitude / PI, f32(abs(longitude) <= angle * 0.5));
        }
        case 2u: {
            let from_axis = acos(clamp(-direction.z, -1.0, 1.0));
            let across = max(length(direction.xy), 1e-9);
            let radius = from_axis / angle;
            return vec3(0.5 + radius * direction.x / across, 0.5 - radius * direction.y / across, f32(from_axis <= angle * 0.5));
        }
        case 3u: {
            return cube_place(direction);
        }
        default: {
            let at = direction.xy / max(-direction.z, 1e-6);
            let edges = values.tangents;
            let u = (at.x + edges.x) / (edges.x + edges.y);
            let v = (edges.z - at.y) / (edges.z + edges.w);
            return vec3(u, v, f32(direction.z < 0.0 && u >= 0.0 && u <= 1.0 && v >= 0.0 && v <= 1.0));
        }
    }
}

// The distance from the middle at which the picture's light comes from a direction; 0 is infinity.
fn radius_in(direction: vec3<f32>) -> f32 {
    if values.kind.y == 0u {
        return values.shape.x;
    }
    let uv = values.depth_part.xy + values.depth_part.zw * clamp(place(direction).xy, vec2(0.0), vec2(1.0));
    let size = vec2<i32>(textureDimensions(distances));
    let texel = clamp(vec2<i32>(uv * vec2<f32>(size)), vec2(0), size - 1);
    let value = values.depth.x + values.depth.y * textureLoad(distances, texel, 0).r;
    if values.depth.z == 1.0 {
        return max(value, 1e-3);
    }
    return select(1.0 / value, 0.0, value < 1e-5);
}

// How far along the ray, in view depth, it leaves a sphere; below zero if it misses it.
fn leaves(ray: vec3<f32>, radius: f32) -> f32 {
    let a = dot(ray, ray);
    let b = dot(values.eye.xyz, ray);
    let c = dot(values.eye.xyz, values.eye.xyz) - radius * radius;
    let root = b * b - a * c;
    if root < 0.0 {
        return -1.0;
    }
    return (sqrt(root) - b) / a;
}

fn light_of(coded: vec3<f32>) -> vec3<f32> {
    let bright = pow((max(coded, vec3(0.04045)) + 0.055) / 1.055, vec3(2.4));
    return select(bright, coded / 12.92, coded <= vec3(0.04045));
}

struct Shown {
    @location(0) color: vec4<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn backdrop(from_vertex: Varying) -> Shown {
    let along = from_vertex.at * 0.5 + 0.5;
    let sides = values.frustum;
    let ray = turned(values.world_from_view, vec3(mix(sides.x, sides.y, along.x), mix(sides.z, sides.w, along.y), -1.0));
    var direction = normalize(turned(values.picture_from_world, ray));
    var depth = 0.0;
    // The surface that the ray meets is as far as the picture says for the direction in which, from the middle, it lies.
    let steps = select(1u, 12u, values.kind.y == 1u);
    for (var step = 0u; step < steps; step++) {
        let radius = radius_in(direction);
        if radius <= 0.0 {
            direction = normalize(turned(values.picture_from_world, ray));
            depth = 0.0;
            break;
        }
        let distance = leaves(ray, radius);
        if distance <= 0.0 {
            discard;
        }
        direction = normalize(turned(values.picture_from_world, values.eye.xyz + ray * distance));
        depth = clamp(values.eye.w / distance, 0.0, 1.0);
    }
    let placed = place(direction);
    if placed.z < 0.5 {
        discard;
    }
    let uv = values.part.xy + values.part.zw * placed.xy;
    let first = textureSampleLevel(plane_0, linear, uv, 0.0);
    var coded = first.rgb;
    if values.plane_layout.x != 0u {
        let second = textureSampleLevel(plane_1, linear, uv, 0.0);
        let third = textureSampleLevel(plane_2, linear, uv, 0.0);
        let yuv = vec3(first.r, second.r, select(third.r, second.g, values.plane_layout.x == 1u));
        let rows = values.rgb_from_yuv;
        coded = vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
    }
    let light = light_of(clamp(coded, vec3(0.0), vec3(1.0))) * values.shape.y;
    return Shown(vec4(light, 1.0), depth);
}
