// Shows a picture in a window: RGBA as it is, luma and chroma planes turned into colours on the way.
//
// Entry points: cover (vertex, a triangle over the whole target), present (fragment)
// Bindings (group 0):
//   0  storage, read  how to read the picture's planes, and how it fits the window
//   1  sampler  linear, clamped
//   2..4  textures  the planes; unused ones repeat the first

struct Present {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
    scale: vec2<f32>,
    to_linear: f32,
}

@group(0) @binding(0) var<storage, read> values: Present;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var plane_0: texture_2d<f32>;
@group(0) @binding(3) var plane_1: texture_2d<f32>;
@group(0) @binding(4) var plane_2: texture_2d<f32>;

struct Varying {
    @builtin(position) position: vec4<f32>,
    @location(0) at: vec2<f32>,
}

@vertex
fn cover(@builtin(vertex_index) index: u32) -> Varying {
    let corner = vec2(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    return Varying(vec4(corner, 0.0, 1.0), corner);
}

fn color_at(uv: vec2<f32>) -> vec3<f32> {
    let first = textureSampleLevel(plane_0, linear, uv, 0.0);
    if values.plane_layout.x == 0u {
        return first.rgb;
    }
    var yuv = vec3(first.r, 0.0, 0.0);
    let second = textureSampleLevel(plane_1, linear, uv, 0.0);
    if values.plane_layout.x == 1u {
        yuv = vec3(first.r, second.rg);
    } else {
        yuv = vec3(first.r, second.r, textureSampleLevel(plane_2, linear, uv, 0.0).r);
    }
    let rows = values.rgb_from_yuv;
    return vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
}

@fragment
fn present(surface: Varying) -> @location(0) vec4<f32> {
    let uv = surface.at * values.scale * vec2(0.5, -0.5) + 0.5;
    if any(uv < vec2(0.0)) || any(uv > vec2(1.0)) {
        return vec4(0.0, 0.0, 0.0, 1.0);
    }
    let coded = clamp(color_at(uv), vec3(0.0), vec3(1.0));
    if values.to_linear == 0.0 {
        return vec4(coded, 1.0);
    }
    // IEC 61966-2-1: the target encodes what it is given, so that the picture's own code values come out.
    let low = coded / 12.92;
    let high = pow((coded + 0.055) / 1.055, vec3(2.4));
    return vec4(select(high, low, coded <= vec3(0.04045)), 1.0);
}
