// From RGBA to the planes that encoders take, in a buffer of 32-bit words.
//
// Entry point: planes_from_rgb (compute, 8×8; one invocation converts 4×2 pixels).
// Override TEN_BITS: false makes NV12 (8-bit luma, then interleaved 8-bit Cb and Cr), true P010 (10-bit samples in the high
// bits of 16-bit words, laid out alike).
// Bindings (group 0):
//   0  uniform  the colour map and the shape of the planes
//   1  texture  the picture, gamma-coded R'G'B'
//   2  storage  the planes; rows start at multiples of `luma_words`

override TEN_BITS: bool = false;

struct Planes {
    yuv_from_rgb: array<vec4<f32>, 3>,
    size: vec2<u32>,
    luma_words: u32,
    chroma_start: u32,
}

@group(0) @binding(0) var<uniform> planes: Planes;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> words: array<u32>;

fn rgb_at(x: u32, y: u32) -> vec3<f32> {
    let last = planes.size - vec2(1u);
    return textureLoad(picture, vec2<i32>(min(vec2(x, y), last)), 0).rgb;
}

fn channel(index: u32, rgb: vec3<f32>) -> f32 {
    let row = planes.yuv_from_rgb[index];
    return clamp(dot(row.xyz, rgb) + row.w, 0.0, 1.0);
}

fn mean_of(a: vec3<f32>, b: vec3<f32>, c: vec3<f32>, d: vec3<f32>) -> vec3<f32> {
    return (a + b + c + d) * 0.25;
}

fn pack_10(samples: vec2<f32>) -> u32 {
    let codes = vec2<u32>(samples * 1023.0 + 0.5);
    return (codes.x << 6u) | (codes.y << 22u);
}

// Writes the four samples of an invocation's place in a row.
fn write(row_start: u32, place: u32, samples: vec4<f32>) {
    if TEN_BITS {
        words[row_start + place * 2u] = pack_10(samples.xy);
        words[row_start + place * 2u + 1u] = pack_10(samples.zw);
    } else {
        words[row_start + place] = pack4x8unorm(samples);
    }
}

@compute @workgroup_size(8, 8)
fn planes_from_rgb(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    let y = id.y * 2u;
    if x >= planes.size.x || y >= planes.size.y {
        return;
    }
    var rgb: array<vec3<f32>, 8>;
    for (var i = 0u; i < 8u; i++) {
        rgb[i] = rgb_at(x + (i & 3u), y + (i >> 2u));
    }
    for (var row = 0u; row < 2u; row++) {
        let first = row * 4u;
        let luma = vec4(channel(0u, rgb[first]), channel(0u, rgb[first + 1u]), channel(0u, rgb[first + 2u]), channel(0u, rgb[first + 3u]));
        write((y + row) * planes.luma_words, id.x, luma);
    }
    let left = mean_of(rgb[0], rgb[1], rgb[4], rgb[5]);
    let right = mean_of(rgb[2], rgb[3], rgb[6], rgb[7]);
    let chroma = vec4(channel(1u, left), channel(2u, left), channel(1u, right), channel(2u, right));
    write(planes.chroma_start + id.y * planes.luma_words, id.x, chroma);
}
