// A flat perspective view into a picture of the sphere, or into two for comparison.
//
// Entry point (compute, 8×8): sphere_view, one invocation a pixel of the view
// Bindings (group 0):
//   0  storage, read  formats, view and projection
//   1  sampler  linear; repeats across for a whole sphere
//   2..4  textures  the picture's planes; unused ones repeat the first
//   5..7  textures  the reference's planes, shown left of the split
//   8  storage texture  the view, rgba8unorm

struct PictureFormat {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
}

struct View {
    picture: PictureFormat,
    reference: PictureFormat,
    rotation: array<vec4<f32>, 3>,
    // Tangents of half the angles of view, split, the picture's own angle in radians.
    shape: vec4<f32>,
    // Offset and scale of the eye's part of the picture.
    eye: vec4<f32>,
    // 0 equirectangular, 1 half equirectangular, 2 fisheye, 3 cube map, 4 rectilinear.
    projection: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> view: View;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;
@group(0) @binding(5) var reference_0: texture_2d<f32>;
@group(0) @binding(6) var reference_1: texture_2d<f32>;
@group(0) @binding(7) var reference_2: texture_2d<f32>;
@group(0) @binding(8) var result: texture_storage_2d<rgba8unorm, write>;

const PI: f32 = 3.14159265358979;

fn color_of(format: PictureFormat, first: vec4<f32>, second: vec4<f32>, third: vec4<f32>) -> vec3<f32> {
    if format.plane_layout.x == 0u {
        return first.rgb;
    }
    let yuv = vec3(first.r, second.r, select(third.r, second.g, format.plane_layout.x == 1u));
    let rows = format.rgb_from_yuv;
    return vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
}

// Where a direction lies in the picture, and 1 in z if it lies in it at all. X is right, Y up, -Z ahead.
fn place(direction: vec3<f32>) -> vec3<f32> {
    let angle = view.shape.w;
    switch view.projection.x {
        case 0u, 1u: {
            let longitude = atan2(direction.x, -direction.z);
            let latitude = asin(clamp(direction.y, -1.0, 1.0));
            let inside = f32(abs(longitude) <= angle * 0.5);
            return vec3(0.5 + longitude / angle, 0.5 - latitude / PI, inside);
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
            let ahead = -direction.z;
            let half = tan(angle * 0.5);
            let size = vec2<f32>(textureDimensions(plane_0));
            let at = direction.xy / max(ahead, 1e-6) / half * vec2(1.0, size.x / size.y);
            return vec3(0.5 + 0.5 * at.x, 0.5 - 0.5 * at.y, f32(ahead > 0.0 && all(abs(at) <= vec2(1.0))));
        }
    }
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

@compute @workgroup_size(8, 8)
fn sphere_view(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    if any(id.xy >= size) {
        return;
    }
    let at = ((vec2<f32>(id.xy) + 0.5) / vec2<f32>(size) * 2.0 - 1.0) * vec2(1.0, -1.0);
    let flat = vec3(at * view.shape.xy, -1.0);
    let rows = view.rotation;
    let direction = normalize(rows[0].xyz * flat.x + rows[1].xyz * flat.y + rows[2].xyz * flat.z);
    let placed = place(direction);
    let uv = view.eye.xy + view.eye.zw * placed.xy;
    var color = vec3(0.0);
    let split_at = view.shape.z * 2.0 - 1.0;
    if at.x < split_at {
        let first = textureSampleLevel(reference_0, linear, uv, 0.0);
        let second = textureSampleLevel(reference_1, linear, uv, 0.0);
        let third = textureSampleLevel(reference_2, linear, uv, 0.0);
        color = color_of(view.reference, first, second, third);
    } else {
        let first = textureSampleLevel(plane_0, linear, uv, 0.0);
        let second = textureSampleLevel(plane_1, linear, uv, 0.0);
        let third = textureSampleLevel(plane_2, linear, uv, 0.0);
        color = color_of(view.picture, first, second, third);
    }
    // A thin line tells the two apart.
    let line = view.shape.z > 0.0 && abs(at.x - split_at) < 0.003;
    color = select(color * placed.z, vec3(1.0), line);
    textureStore(result, vec2<i32>(id.xy), vec4(clamp(color, vec3(0.0), vec3(1.0)), 1.0));
}
