// An equirectangular picture, turned.
//
// Entry point (compute, 8×8): turn, one invocation a pixel of the result
// Bindings (group 0):
//   0  storage, read  the picture's format and the rotation
//   1  sampler  linear, repeats across
//   2..4  textures  the picture's planes; unused ones repeat the first
//   5  storage texture  the result, rgba8unorm
// Override: LAYOUT (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr).

override LAYOUT: u32 = 0u;

struct PictureFormat {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
}

struct Turn {
    picture: PictureFormat,
    // Rows of the rotation from the result's frame to the picture's: x right, y down, z ahead.
    rows: array<vec4<f32>, 3>,
}

@group(0) @binding(0) var<storage, read> parameters: Turn;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;
@group(0) @binding(5) var result: texture_storage_2d<rgba8unorm, write>;

const PI: f32 = 3.14159265358979;

@compute @workgroup_size(8, 8)
fn turn(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(result);
    // What a layout has no use for is named all the same: every layout binds the same resources.
    let unused = min(textureDimensions(plane_1).x, textureDimensions(plane_2).x);
    if any(id.xy >= size) || unused == 0u {
        return;
    }
    let at = (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size) - 0.5;
    let longitude = at.x * 2.0 * PI;
    let latitude = at.y * PI;
    let seen = vec3(cos(latitude) * sin(longitude), sin(latitude), cos(latitude) * cos(longitude));
    let rows = parameters.rows;
    let direction = vec3(dot(rows[0].xyz, seen), dot(rows[1].xyz, seen), dot(rows[2].xyz, seen));
    let uv = vec2(
        atan2(direction.x, direction.z) / (2.0 * PI) + 0.5,
        // The sampler repeats across only; half a pixel from the poles it must not reach over them.
        clamp(atan2(direction.y, length(direction.xz)) / PI + 0.5, 0.0, 1.0),
    );
    var samples = textureSampleLevel(plane_0, linear, uv, 0.0);
    if LAYOUT == 1u {
        samples = vec4(samples.x, textureSampleLevel(plane_1, linear, uv, 0.0).xy, 1.0);
    } else if LAYOUT == 2u {
        samples = vec4(samples.x, textureSampleLevel(plane_1, linear, uv, 0.0).x, textureSampleLevel(plane_2, linear, uv, 0.0).x, 1.0);
    } else {
        samples.w = 1.0;
    }
    let to = parameters.picture.rgb_from_yuv;
    let color = vec3(dot(to[0], samples), dot(to[1], samples), dot(to[2], samples));
    textureStore(result, id.xy, vec4(saturate(color), 1.0));
}
