// What covers the tripod: a picture, or what lies around it.
//
// Entry points (compute, 8×8)
//   gather  one invocation a texel of the ring: what lies around the cone, by azimuth (across) and by angle from its edge outwards (down)
//     @binding(2) the picture of the sphere, @binding(4) the ring
//   soften  one a texel: the ring, blurred along the azimuth, the more the farther its row will lie inside of the cone
//     @binding(2) the ring, @binding(4) the ring, blurred
//   cover   one a pixel of the rows that the cone reaches
//     @binding(2) the ring, blurred, @binding(3) the patch's picture, @binding(4) the picture of the sphere
// Common bindings: 0 the cone, 1 sampler (linear, repeats across).

struct Cone {
    // Rows of the rotation from the view's frame to the level one: x right, y down, z ahead.
    rows: array<vec4<f32>, 3>,
    // Radius in radians, whether there is a picture, first row.
    shape: vec4<f32>,
}

@group(0) @binding(0) var<storage, read> cone: Cone;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var source: texture_2d<f32>;
@group(0) @binding(3) var patch_picture: texture_2d<f32>;
@group(0) @binding(4) var result: texture_storage_2d<rgba8unorm, write>;

const PI: f32 = 3.14159265358979;

@compute @workgroup_size(8, 8)
fn gather(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    if any(id.xy >= size) {
        return;
    }
    let at = (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size);
    let azimuth = (at.x - 0.5) * 2.0 * PI;
    // From the edge outwards as far as the cone is wide.
    let from_down = cone.shape.x * (1.0 + at.y);
    let level = vec3(sin(from_down) * sin(azimuth), cos(from_down), sin(from_down) * cos(azimuth));
    let view = level.x * cone.rows[0].xyz + level.y * cone.rows[1].xyz + level.z * cone.rows[2].xyz;
    let uv = vec2(atan2(view.x, view.z) / (2.0 * PI) + 0.5, atan2(view.y, length(view.xz)) / PI + 0.5);
    textureStore(result, id.xy, vec4(textureSampleLevel(source, linear, uv, 0.0).rgb, 1.0));
}

@compute @workgroup_size(8, 8)
fn soften(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    if any(id.xy >= size) {
        return;
    }
    let depth = (f32(id.y) + 0.5) / f32(size.y);
    // In the middle of the cone all azimuths meet: there everything is averaged.
    let reach = i32(0.5 * depth * f32(size.x));
    var sum = vec3(0.0);
    var weights = 0.0;
    let stride = max(reach / 24, 1);
    for (var offset = -reach; offset <= reach; offset += stride) {
        let weight = 1.0 - abs(f32(offset)) / f32(reach + 1);
        let column = (i32(id.x) + offset + i32(size.x)) % i32(size.x);
        sum += weight * textureLoad(source, vec2(column, i32(id.y)), 0).rgb;
        weights += weight;
    }
    textureStore(result, id.xy, vec4(sum / weights, 1.0));
}

@compute @workgroup_size(8, 8)
fn cover(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    let pixel = vec2(id.x, id.y + u32(cone.shape.z));
    if any(pixel >= size) {
        return;
    }
    let at = (vec2<f32>(pixel) + 0.5) / vec2<f32>(size) - 0.5;
    let longitude = at.x * 2.0 * PI;
    let latitude = at.y * PI;
    let view = vec3(cos(latitude) * sin(longitude), sin(latitude), cos(latitude) * cos(longitude));
    let level = vec3(dot(cone.rows[0].xyz, view), dot(cone.rows[1].xyz, view), dot(cone.rows[2].xyz, view));
    let from_down = atan2(length(level.xz), level.y);
    if from_down >= cone.shape.x {
        return;
    }
    let inside = from_down / cone.shape.x;
    let across = level.xz / max(length(level.xz), 1e-6);
    // Mirrored at the cone's edge; rows of the ring end at their texels' centres.
    let ring = vec2<f32>(textureDimensions(source));
    let depth = clamp(1.0 - inside, 0.5 / ring.y, 1.0 - 0.5 / ring.y);
    var color = textureSampleLevel(source, linear, vec2(atan2(across.x, across.y) / (2.0 * PI) + 0.5, depth), 0.0).rgb;
    if cone.shape.y > 0.5 {
        let uv = 0.5 + 0.5 * inside * vec2(across.x, -across.y);
        let half = 0.5 / vec2<f32>(textureDimensions(patch_picture));
        let shown = textureSampleLevel(patch_picture, linear, clamp(uv, half, 1.0 - half), 0.0);
        // The last hundredth softens the edge.
        color = mix(color, shown.rgb, shown.a * (1.0 - smoothstep(0.99, 1.0, inside)));
    }
    textureStore(result, pixel, vec4(color, 1.0));
}
