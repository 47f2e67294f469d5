// Planes of any format, or a part of them, to RGBA.
//
// Entry point (compute, 8×8): convert, one invocation a pixel
// Bindings (group 0):
//   0  storage, read  how to read the picture's planes, and which part of them
//   1  sampler  linear, clamped
//   2..4  textures  the planes; unused ones repeat the first
//   5  storage texture  the result, rgba8unorm, gamma-coded like the source

struct PictureFormat {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
    // Origin and size of the part that is shown, in shares of the picture.
    part: vec4<f32>,
}

@group(0) @binding(0) var<storage, read> format: PictureFormat;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;
@group(0) @binding(5) var result: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(8, 8)
fn convert(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    if any(id.xy >= size) {
        return;
    }
    let uv = format.part.xy + format.part.zw * (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size);
    let first = textureSampleLevel(plane_0, linear, uv, 0.0);
    var rgb = first.rgb;
    if format.plane_layout.x != 0u {
        let second = textureSampleLevel(plane_1, linear, uv, 0.0);
        let third = textureSampleLevel(plane_2, linear, uv, 0.0);
        let yuv = vec3(first.r, second.r, select(third.r, second.g, format.plane_layout.x == 1u));
        let rows = format.rgb_from_yuv;
        rgb = vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
    }
    textureStore(result, vec2<i32>(id.xy), vec4(clamp(rgb, vec3(0.0), vec3(1.0)), 1.0));
}
