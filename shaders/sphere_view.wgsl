// A flat perspective view into a picture of the sphere, or into two for comparison; and both eyes' pictures for a headset.
//
// Entry points (compute, 8×8): sphere_view, one invocation a pixel of the view; eye_views, one a pixel of both eyes' picture
// Bindings (group 0):
//   0  storage, read  formats, view and projection (sphere_view)
//   1  sampler  linear; repeats across for a whole sphere
//   2..4  textures  the picture's planes; unused ones repeat the first
//   5..7  textures  the reference's planes, shown left of the split
//   8  storage texture  the view, rgba8unorm
//   9  storage, read  format, both eyes' parts and views (eye_views)
// Overrides: PICTURE and RESULT (eye_views), the projections of the picture and of the result: 0 equirectangular, 1 half equirectangular,
// 2 fisheye, 3 cube map, 4 rectilinear, 5 off axis; PLANES and REFERENCE_PLANES (sphere_view), the layouts of the pictures' planes:
// 0 RGBA, 1 luma and both chromas, 2 three planes.

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
    // Edges of the picture's view: tangents to the left, right, up and down.
    edges: vec4<f32>,
}

struct Eyes {
    picture: PictureFormat,
    // Columns of each eye's rotation, three for the left and three for the right.
    rotations: array<vec4<f32>, 6>,
    // Offset and scale of each eye's part of the picture.
    parts: array<vec4<f32>, 2>,
    // Edges of each eye's view in the picture: tangents to the left, right, up and down.
    picture_edges: array<vec4<f32>, 2>,
    // The same of each eye's view in the result.
    edges: array<vec4<f32>, 2>,
    // The picture's own angle in radians.
    angle: vec4<f32>,
    // Where the result's eyes lie (0 one picture, 1 above each other, 2 side by side), and samples across a pixel.
    shape: vec4<u32>,
}

override PICTURE: u32 = 0u;
override RESULT: u32 = 0u;
override PLANES: u32 = 0u;
override REFERENCE_PLANES: u32 = 0u;

@group(0) @binding(0) var<storage, read> view: View;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;
@group(0) @binding(5) var reference_0: texture_2d<f32>;
@group(0) @binding(6) var reference_1: texture_2d<f32>;
@group(0) @binding(7) var reference_2: texture_2d<f32>;
@group(0) @binding(8) var result: texture_storage_2d<rgba8unorm, write>;
@group(0) @binding(9) var<storage, read> eyes: Eyes;

const PI: f32 = 3.14159265358979;

// The colour at a place of a picture with such a layout of planes. Planes that it does not have are not sampled.
fn color_at(
    format: PictureFormat,
    planes: u32,
    first: texture_2d<f32>,
    second: texture_2d<f32>,
    third: texture_2d<f32>,
    uv: vec2<f32>,
) -> vec3<f32> {
    let a = textureSampleLevel(first, linear, uv, 0.0);
    if planes == 0u {
        return a.rgb;
    }
    var yuv = vec3(a.r, textureSampleLevel(second, linear, uv, 0.0).rg);
    if planes != 1u {
        yuv.z = textureSampleLevel(third, linear, uv, 0.0).r;
    }
    let rows = format.rgb_from_yuv;
    return vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
}

// Where a direction lies in a picture, and 1 in z if it lies in it at all. X is right, Y up, -Z ahead. `angle` is the
// picture's own in radians, `aspect` its width over its height.
fn place(direction: vec3<f32>, projection: u32, angle: f32, edges: vec4<f32>, aspect: f32) -> vec3<f32> {
    switch projection {
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
        case 5u: {
            let ahead = -direction.z;
            let at = direction.xy / max(ahead, 1e-6);
            let uv = vec2(at.x + edges.x, edges.z - at.y) / (edges.xz + edges.yw);
            return vec3(uv, f32(ahead > 0.0 && all(uv >= vec2(0.0)) && all(uv <= vec2(1.0))));
        }
        default: {
            let ahead = -direction.z;
            let half = tan(angle * 0.5);
            let at = direction.xy / max(ahead, 1e-6) / half * vec2(1.0, aspect);
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
    let part = vec2<f32>(textureDimensions(plane_0)) * view.eye.zw;
    let placed = place(direction, PICTURE, view.shape.w, view.edges, part.x / part.y);
    let uv = view.eye.xy + view.eye.zw * placed.xy;
    var color = vec3(0.0);
    let split_at = view.shape.z * 2.0 - 1.0;
    if at.x < split_at {
        color = color_at(view.reference, REFERENCE_PLANES, reference_0, reference_1, reference_2, uv);
    } else {
        color = color_at(view.picture, PLANES, plane_0, plane_1, plane_2, uv);
    }
    // A thin line tells the two apart.
    let line = view.shape.z > 0.0 && abs(at.x - split_at) < 0.003;
    color = select(color * placed.z, vec3(1.0), line);
    textureStore(result, vec2<i32>(id.xy), vec4(clamp(color, vec3(0.0), vec3(1.0)), 1.0));
}

// The direction, not of length 1, at a place (0 to 1 to the right and down) of one eye's picture.
fn direction_at(at: vec2<f32>, projection: u32, edges: vec4<f32>) -> vec3<f32> {
    switch projection {
        case 0u, 1u: {
            let longitude = (at.x - 0.5) * select(PI, 2.0 * PI, projection == 0u);
            let latitude = (0.5 - at.y) * PI;
            return vec3(sin(longitude) * cos(latitude), sin(latitude), -cos(longitude) * cos(latitude));
        }
        case 3u: {
            let cell = min(at * vec2(3.0, 2.0), vec2(2.99999, 1.99999));
            let face = vec2<u32>(cell);
            let p = fract(cell) * 2.0 - 1.0;
            switch face.y * 3u + face.x {
                case 0u: { return vec3(1.0, -p.y, p.x); }
                case 1u: { return vec3(-1.0, -p.y, -p.x); }
                case 2u: { return vec3(p.x, 1.0, -p.y); }
                case 3u: { return vec3(p.x, -1.0, p.y); }
                case 4u: { return vec3(p.x, -p.y, -1.0); }
                default: { return vec3(-p.x, -p.y, 1.0); }
            }
        }
        default: {
            return vec3(at.x * (edges.x + edges.y) - edges.x, edges.z - at.y * (edges.z + edges.w), -1.0);
        }
    }
}

@compute @workgroup_size(8, 8)
fn eye_views(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    if any(id.xy >= size) {
        return;
    }
    var eye_size = size;
    var eye = 0u;
    var corner = vec2(0u);
    if eyes.shape.x == 1u {
        eye_size.y = size.y / 2u;
        eye = min(id.y / eye_size.y, 1u);
        corner.y = eye * eye_size.y;
    } else if eyes.shape.x == 2u {
        eye_size.x = size.x / 2u;
        eye = min(id.x / eye_size.x, 1u);
        corner.x = eye * eye_size.x;
    }
    let part = eyes.parts[eye];
    let picture_size = vec2<f32>(textureDimensions(plane_0));
    let part_px = picture_size * part.zw;
    // Half a pixel inside of the part, so that the other eye does not shine in; where the picture goes round, it joins itself.
    var margin = vec2(0.5) / part_px;
    if PICTURE == 0u && part.z == 1.0 {
        margin.x = 0.0;
    }
    let first = eye * 3u;
    let samples = eyes.shape.y;
    var sum = vec3(0.0);
    for (var y = 0u; y < samples; y++) {
        for (var x = 0u; x < samples; x++) {
            let inner = (vec2<f32>(vec2(x, y)) + 0.5) / f32(samples);
            let at = (vec2<f32>(id.xy - corner) + inner) / vec2<f32>(eye_size);
            let seen = direction_at(at, RESULT, eyes.edges[eye]);
            let turned = eyes.rotations[first].xyz * seen.x + eyes.rotations[first + 1u].xyz * seen.y
                + eyes.rotations[first + 2u].xyz * seen.z;
            let direction = normalize(turned);
            let placed = place(direction, PICTURE, eyes.angle.x, eyes.picture_edges[eye], part_px.x / part_px.y);
            let uv = part.xy + part.zw * clamp(placed.xy, margin, 1.0 - margin);
            sum += clamp(color_at(eyes.picture, PLANES, plane_0, plane_1, plane_2, uv), vec3(0.0), vec3(1.0)) * placed.z;
        }
    }
    textureStore(result, vec2<i32>(id.xy), vec4(sum / f32(samples * samples), 1.0));
}
