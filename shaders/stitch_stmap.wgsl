// Draws a picture through an STMap: each output pixel says which point of the input it shows.
//
// Entry point: `remap` (compute, 64 × 4).
// Overrides: `LAYOUT` (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr); `CUBIC`, whether the first plane is read by
// splines.
// Bindings (group 0): 0 sampler (linear, clamped); 1, 2, 3 the planes of the input; 4 `PictureFormat`; 5 the map, RG32F, as
// large as the output, texture coordinates from the top left, negative where there is no picture; 6 the output.

override LAYOUT: u32 = 0u;
override CUBIC: bool = false;

struct PictureFormat {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
}

@group(0) @binding(0) var linear_sampler: sampler;
@group(0) @binding(1) var plane_0: texture_2d<f32>;
@group(0) @binding(2) var plane_1: texture_2d<f32>;
@group(0) @binding(3) var plane_2: texture_2d<f32>;
@group(0) @binding(4) var<uniform> picture: PictureFormat;
@group(0) @binding(5) var map: texture_2d<f32>;
@group(0) @binding(6) var output: texture_storage_2d<rgba8unorm, write>;

// Reads a picture between its pixels by Catmull-Rom splines (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981,
// a = -1/2). The two inner rows and columns have positive weights and are read together, by a linear sampler between them: nine reads.
fn sample_cubic(picture: texture_2d<f32>, linear: sampler, uv: vec2<f32>, region: vec4<f32>) -> vec4<f32> {
    let size = vec2<f32>(textureDimensions(picture));
    let place = uv * size - 0.5;
    let whole = floor(place);
    let f = place - whole;
    let first = f * (-0.5 + f * (1.0 - 0.5 * f));
    let second = 1.0 + f * f * (1.5 * f - 2.5);
    let third = f * (0.5 + f * (2.0 - 1.5 * f));
    let fourth = f * f * (0.5 * f - 0.5);
    let inner = second + third;
    var at = array<vec2<f32>, 3>((whole - 0.5) / size, (whole + 0.5 + third / inner) / size, (whole + 2.5) / size);
    var weight = array<vec2<f32>, 3>(first, inner, fourth);
    var sum = vec4(0.0);
    for (var row = 0; row < 3; row++) {
        for (var column = 0; column < 3; column++) {
            let point = clamp(vec2(at[column].x, at[row].y), region.xy, region.zw);
            sum += weight[column].x * weight[row].y * textureSampleLevel(picture, linear, point, 0.0);
        }
    }
    return sum;
}

@compute @workgroup_size(64, 4)
fn remap(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= textureDimensions(output)) {
        return;
    }
    let uv = textureLoad(map, id.xy, 0).xy;
    var samples: vec4<f32>;
    if CUBIC {
        samples = sample_cubic(plane_0, linear_sampler, uv, vec4(0.0, 0.0, 1.0, 1.0));
    } else {
        samples = textureSampleLevel(plane_0, linear_sampler, uv, 0.0);
    }
    if LAYOUT == 1u {
        samples = vec4(samples.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy, 1.0);
    } else if LAYOUT == 2u {
        let cb = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
        let cr = textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x;
        samples = vec4(samples.x, cb, cr, 1.0);
    } else {
        samples.w = 1.0;
    }
    let rows = picture.rgb_from_yuv;
    let rgb = vec3(dot(rows[0], samples), dot(rows[1], samples), dot(rows[2], samples));
    textureStore(output, id.xy, vec4(select(rgb, vec3(0.0), uv.x < 0.0), 1.0));
}
