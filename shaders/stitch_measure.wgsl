// Measures the colours of patches that two lenses see, for the exposure compensation of a stitch.
//
// Entry point: `measure` (compute, 64 threads, one a patch).
// Override: `LAYOUT` (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr).
// Bindings (group 0): 0 sampler (linear, clamped); 1, 2, 3 the planes of the picture; 4 `PictureRun`, by dynamic offset; 5 the patches; 6 what is
// found, three words a patch: 16-bit floats of the mean red, green and blue light, of the share of the patch that is neither black nor
// clipped, of the standard deviation of its gamma-coded luma, and a zero.

override LAYOUT: u32 = 0u;

struct PictureRun {
    rgb_from_yuv: array<vec4<f32>, 3>,
    // First patch of the picture, how many there are, and two zeros.
    patches: vec4<u32>,
}

// Texture coordinates of the middle, and what half of the sides are there.
struct Patch {
    uv: vec2<f32>,
    along: vec2<f32>,
    across: vec2<f32>,
}

// Code values that say nothing of the light: noise below, clipped above.
const DARKEST: f32 = 0.04;
const BRIGHTEST: f32 = 0.97;
// Gamma-coded to light, as everywhere in the stitch.
const GAMMA: f32 = 2.2;

@group(0) @binding(0) var linear_sampler: sampler;
@group(0) @binding(1) var plane_0: texture_2d<f32>;
@group(0) @binding(2) var plane_1: texture_2d<f32>;
@group(0) @binding(3) var plane_2: texture_2d<f32>;
@group(0) @binding(4) var<uniform> run: PictureRun;
@group(0) @binding(5) var<storage, read> patches: array<Patch>;
@group(0) @binding(6) var<storage, read_write> found: array<u32>;

@compute @workgroup_size(64)
fn measure(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= run.patches.y {
        return;
    }
    let index = run.patches.x + id.x;
    let patch_ = patches[index];
    let rows = run.rgb_from_yuv;
    var light = vec3(0.0);
    var usable = 0.0;
    var luma = vec2(0.0);
    for (var k = 0u; k < 16u; k++) {
        let at = (vec2(f32(k % 4u), f32(k / 4u)) - 1.5) / 2.0;
        let uv = patch_.uv + at.x * patch_.along + at.y * patch_.across;
        var samples = textureSampleLevel(plane_0, linear_sampler, uv, 0.0);
        if LAYOUT == 1u {
            samples = vec4(samples.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy, 1.0);
        } else if LAYOUT == 2u {
            let cb = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
            let cr = textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x;
            samples = vec4(samples.x, cb, cr, 1.0);
        } else {
            samples.w = 1.0;
        }
        let rgb = saturate(vec3(dot(rows[0], samples), dot(rows[1], samples), dot(rows[2], samples)));
        let brightest = max(rgb.r, max(rgb.g, rgb.b));
        usable += select(0.0, 1.0, brightest > DARKEST && brightest < BRIGHTEST);
        light += pow(rgb, vec3(GAMMA));
        let grey = (rgb.r + rgb.g + rgb.b) / 3.0;
        luma += vec2(grey, grey * grey);
    }
    light /= 16.0;
    luma /= 16.0;
    found[3u * index] = pack2x16float(light.rg);
    found[3u * index + 1u] = pack2x16float(vec2(light.b, usable / 16.0));
    found[3u * index + 2u] = pack2x16float(vec2(sqrt(max(luma.y - luma.x * luma.x, 0.0)), 0.0));
}
