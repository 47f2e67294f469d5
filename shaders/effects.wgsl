// Picture effects: one picture made of one or two others.
//
// Entry points (compute, 8×8; one invocation a pixel of the output):
//   transform   an affine map of one picture; what lies outside of it is transparent black
//   correct     exposure and white balance in linear light, contrast, ASC CDL, saturation
//   blend       a layer over a base with a mode, an opacity and a mask
//   transition  from one picture to another: fade, wipe, dip to black
// Bindings (group 0; each entry point has those that it uses):
//   0  storage, read  the entry point's parameters
//   1  sampler, linear, clamped
//   2..4  textures  planes of the first picture (base, from); unused ones repeat the first
//   5..7  textures  planes of the second picture (layer, to)
//   8  texture  first plane of the mask; the base's where there is none
//   9  storage texture  the output, rgba8unorm, gamma-coded R'G'B' with straight alpha

struct PictureFormat {
    rgb_from_yuv: array<vec4<f32>, 3>,
    plane_layout: vec4<u32>,
}

struct Transform {
    picture: PictureFormat,
    // Texture coordinates of an output point: dot of a row with (x, y, 1), x and y in pixels.
    u_row: vec4<f32>,
    v_row: vec4<f32>,
}

struct Correction {
    picture: PictureFormat,
    // Rows of the map of linear light.
    linear_rows: array<vec4<f32>, 3>,
    // w: contrast.
    slope: vec4<f32>,
    // w: saturation.
    offset: vec4<f32>,
    power: vec4<f32>,
}

struct Blend {
    base: PictureFormat,
    layer: PictureFormat,
    // Origin and size of the layer in shares of the base.
    place: vec4<f32>,
    // Opacity, whether there is a mask (1 or 0), and scale and offset that make the mask's samples 0 to 1.
    strength: vec4<f32>,
    // 0 normal, 1 add, 2 multiply, 3 screen, 4 overlay, 5 difference, 6 lighten, 7 darken.
    mode: vec4<u32>,
}

struct Transition {
    before: PictureFormat,
    after: PictureFormat,
    // Progress 0 to 1, softness of a wipe's edge, and the direction in which a wipe goes.
    shape: vec4<f32>,
    // 0 fade, 1 wipe, 2 dip to black.
    kind: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> transform_values: Transform;
@group(0) @binding(0) var<storage, read> correction: Correction;
@group(0) @binding(0) var<storage, read> blending: Blend;
@group(0) @binding(0) var<storage, read> changing: Transition;
@group(0) @binding(1) var linear: sampler;
@group(0) @binding(2) var first_0: texture_2d<f32>;
@group(0) @binding(3) var first_1: texture_2d<f32>;
@group(0) @binding(4) var first_2: texture_2d<f32>;
@group(0) @binding(5) var second_0: texture_2d<f32>;
@group(0) @binding(6) var second_1: texture_2d<f32>;
@group(0) @binding(7) var second_2: texture_2d<f32>;
@group(0) @binding(8) var mask: texture_2d<f32>;
@group(0) @binding(9) var output: texture_storage_2d<rgba8unorm, write>;

fn sample(format: PictureFormat, plane_0: texture_2d<f32>, plane_1: texture_2d<f32>, plane_2: texture_2d<f32>, at: vec2<f32>) -> vec4<f32> {
    let a = textureSampleLevel(plane_0, linear, at, 0.0);
    let b = textureSampleLevel(plane_1, linear, at, 0.0);
    let c = textureSampleLevel(plane_2, linear, at, 0.0);
    let yuv = vec3(a.r, b.r, select(c.r, b.g, format.plane_layout.x == 1u));
    let rows = format.rgb_from_yuv;
    let rgb = vec3(dot(rows[0].xyz, yuv) + rows[0].w, dot(rows[1].xyz, yuv) + rows[1].w, dot(rows[2].xyz, yuv) + rows[2].w);
    return select(vec4(clamp(rgb, vec3(0.0), vec3(1.0)), 1.0), a, format.plane_layout.x == 0u);
}

fn first(format: PictureFormat, at: vec2<f32>) -> vec4<f32> {
    return sample(format, first_0, first_1, first_2, at);
}

fn second(format: PictureFormat, at: vec2<f32>) -> vec4<f32> {
    return sample(format, second_0, second_1, second_2, at);
}

@compute @workgroup_size(8, 8)
fn transform(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= textureDimensions(output)) {
        return;
    }
    let point = vec3(vec2<f32>(id.xy) + 0.5, 1.0);
    let at = vec2(dot(transform_values.u_row.xyz, point), dot(transform_values.v_row.xyz, point));
    let inside = all(at >= vec2(0.0)) && all(at <= vec2(1.0));
    textureStore(output, id.xy, select(vec4(0.0), first(transform_values.picture, at), inside));
}

// The curve of IEC 61966-2-1 (sRGB) and its inverse.
fn decode(code: vec3<f32>) -> vec3<f32> {
    return select(pow((code + 0.055) / 1.055, vec3(2.4)), code / 12.92, code <= vec3(0.04045));
}

fn encode(light: vec3<f32>) -> vec3<f32> {
    let held = clamp(light, vec3(0.0), vec3(1.0));
    return select(1.055 * pow(held, vec3(1.0 / 2.4)) - 0.055, held * 12.92, held <= vec3(0.0031308));
}

@compute @workgroup_size(8, 8)
fn correct(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(output);
    if any(id.xy >= size) {
        return;
    }
    let picture = first(correction.picture, (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size));
    let light = decode(picture.rgb);
    let rows = correction.linear_rows;
    var color = encode(vec3(dot(rows[0].xyz, light), dot(rows[1].xyz, light), dot(rows[2].xyz, light)));
    color = (color - 0.5) * correction.slope.w + 0.5;
    color = pow(clamp(color * correction.slope.xyz + correction.offset.xyz, vec3(0.0), vec3(1.0)), correction.power.xyz);
    let luma = dot(color, vec3(0.2126, 0.7152, 0.0722));
    color = luma + correction.offset.w * (color - luma);
    textureStore(output, id.xy, vec4(clamp(color, vec3(0.0), vec3(1.0)), picture.a));
}

// Blend modes of W3C Compositing and Blending Level 1; add is its plus-lighter without alpha.
fn mixed(mode: u32, base: vec3<f32>, layer: vec3<f32>) -> vec3<f32> {
    switch mode {
        case 1u: {
            return min(base + layer, vec3(1.0));
        }
        case 2u: {
            return base * layer;
        }
        case 3u: {
            return base + layer - base * layer;
        }
        case 4u: {
            let low = 2.0 * base * layer;
            let double = 2.0 * base - 1.0;
            return select(layer + double - layer * double, low, base <= vec3(0.5));
        }
        case 5u: {
            return abs(base - layer);
        }
        case 6u: {
            return max(base, layer);
        }
        case 7u: {
            return min(base, layer);
        }
        default: {
            return layer;
        }
    }
}

@compute @workgroup_size(8, 8)
fn blend(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(output);
    if any(id.xy >= size) {
        return;
    }
    let at = (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size);
    let base = first(blending.base, at);
    let in_layer = (at - blending.place.xy) / blending.place.zw;
    let inside = all(in_layer >= vec2(0.0)) && all(in_layer <= vec2(1.0));
    let layer = second(blending.layer, in_layer);
    let masked = clamp(textureSampleLevel(mask, linear, at, 0.0).r * blending.strength.z + blending.strength.w, 0.0, 1.0);
    let shown = select(0.0, layer.a * blending.strength.x * mix(1.0, masked, blending.strength.y), inside);
    // Formula of simple alpha compositing with a blend mode, sections 5 and 10 of the specification.
    let source = mix(layer.rgb, mixed(blending.mode.x, base.rgb, layer.rgb), base.a);
    let alpha = shown + base.a * (1.0 - shown);
    let color = (source * shown + base.rgb * base.a * (1.0 - shown)) / max(alpha, 1e-6);
    textureStore(output, id.xy, vec4(color, alpha));
}

@compute @workgroup_size(8, 8)
fn transition(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(output);
    if any(id.xy >= size) {
        return;
    }
    let at = (vec2<f32>(id.xy) + 0.5) / vec2<f32>(size);
    let before = first(changing.before, at);
    let after = second(changing.after, at);
    let progress = changing.shape.x;
    let softness = changing.shape.y;
    let direction = changing.shape.zw;
    let way = dot(at - 0.5, direction) / (abs(direction.x) + abs(direction.y)) + 0.5;
    let wiped = clamp((progress * (1.0 + softness) - way) / softness, 0.0, 1.0);
    let share = select(progress, wiped, changing.kind.x == 1u);
    let dip = vec2(max(1.0 - 2.0 * progress, 0.0), max(2.0 * progress - 1.0, 0.0));
    let dipped = vec4(before.rgb * dip.x + after.rgb * dip.y, mix(before.a, after.a, progress));
    textureStore(output, id.xy, select(mix(before, after, share), dipped, changing.kind.x == 2u));
}
