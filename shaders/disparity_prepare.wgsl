// What stereo matching reads: both pictures at the working size, their census transforms, and how far each pixel's surroundings
// look like it.
//
// Entry points, each one thread a pixel
//   prepare: a part of a picture, averaged down to the working size
//     @binding(0) the picture (RGBA), @binding(2) its part: offset and size in texels, @binding(1) the pixels
//   census: the order of each pixel's luma with its neighbours'
//     @binding(1) the pixels, @binding(3) 62 bits a pixel
//   arms: how far from each pixel its colour goes on, to the left, right, up and down
//     @binding(1) the pixels, @binding(4) four bytes a pixel
//   support: the number of pixels within those arms
//     @binding(4) the arms, @binding(5) 65536 / that number, rounded
// A pixel is packed as red, green, blue and luma, from the lowest byte to the highest.
// Overrides: WIDTH, HEIGHT, the working size in pixels; WRAPS, whether the left and right edges meet; REACH, the longest arm.

override WIDTH: i32 = 16;
override HEIGHT: i32 = 16;
override WRAPS: bool = false;
override REACH: i32 = 11;

struct Part {
    offset: vec2f,
    size: vec2f,
}

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> part: Part;
@group(0) @binding(3) var<storage, read_write> ranks: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> arms_of: array<u32>;
@group(0) @binding(5) var<storage, read_write> support_of: array<u32>;

// Most texels that are averaged in one direction.
const MOST_TEXELS: i32 = 8;
// Census window: 9 × 7.
const RANK_REACH: vec2i = vec2i(4, 3);
// An arm ends where a channel differs this much from the pixel or from the arm's pixel before, and beyond NEAR steps this much.
const ARM_DIFFERENCE: i32 = 15;
const FAR_DIFFERENCE: i32 = 6;
const NEAR: i32 = 8;

fn index_of(place: vec2i) -> i32 {
    var x = place.x;
    if WRAPS {
        x = x + select(0, WIDTH, x < 0) - select(0, WIDTH, x >= WIDTH);
    }
    return clamp(place.y, 0, HEIGHT - 1) * WIDTH + clamp(x, 0, WIDTH - 1);
}

@compute @workgroup_size(8, 8)
fn prepare(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let scale = part.size / vec2f(f32(WIDTH), f32(HEIGHT));
    let first = part.offset + vec2f(place) * scale;
    let last = vec2i(part.offset + part.size) - 1;
    let count = clamp(vec2i(round(scale)), vec2i(1), vec2i(MOST_TEXELS));
    var sum = vec3f(0.0);
    for (var j = 0; j < count.y; j++) {
        for (var i = 0; i < count.x; i++) {
            let at = vec2i(first + scale * (vec2f(f32(i), f32(j)) + 0.5) / vec2f(count));
            sum += textureLoad(picture, clamp(at, vec2i(part.offset), last), 0).rgb;
        }
    }
    let color = vec3u(round(sum * (255.0 / f32(count.x * count.y))));
    let luma = (77u * color.r + 150u * color.g + 29u * color.b + 128u) >> 8u;
    pixels[index_of(place)] = color.r | (color.g << 8u) | (color.b << 16u) | (luma << 24u);
}

@compute @workgroup_size(8, 8)
fn census(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let here = pixels[index_of(place)] >> 24u;
    var rank = vec2u(0u);
    for (var j = -RANK_REACH.y; j <= RANK_REACH.y; j++) {
        for (var i = -RANK_REACH.x; i <= RANK_REACH.x; i++) {
            if i != 0 || j != 0 {
                let darker = u32((pixels[index_of(place + vec2i(i, j))] >> 24u) < here);
                rank = vec2u((rank.x << 1u) | (rank.y >> 31u), (rank.y << 1u) | darker);
            }
        }
    }
    ranks[index_of(place)] = rank;
}

// The largest difference of two pixels in a channel.
fn difference(a: u32, b: u32) -> i32 {
    let channels = abs(vec3i(unpack4xU8(a).rgb) - vec3i(unpack4xU8(b).rgb));
    return max(max(channels.r, channels.g), channels.b);
}

fn arm(place: vec2i, direction: vec2i) -> u32 {
    let here = pixels[index_of(place)];
    var before = here;
    var length = 0;
    for (var step = 1; step <= REACH; step++) {
        let at = place + direction * step;
        if at.x < 0 || at.y < 0 || at.x >= WIDTH || at.y >= HEIGHT {
            break;
        }
        let there = pixels[index_of(at)];
        let from_here = difference(here, there);
        if from_here >= select(ARM_DIFFERENCE, FAR_DIFFERENCE, step > NEAR) || difference(before, there) >= ARM_DIFFERENCE {
            // The nearest neighbour always belongs to it: a lone pixel has nothing to average.
            length = max(length, 1);
            break;
        }
        length = step;
        before = there;
    }
    return u32(length);
}

@compute @workgroup_size(8, 8)
fn arms(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let across = arm(place, vec2i(-1, 0)) | (arm(place, vec2i(1, 0)) << 8u);
    let down = arm(place, vec2i(0, -1)) | (arm(place, vec2i(0, 1)) << 8u);
    arms_of[index_of(place)] = across | (down << 16u);
}

@compute @workgroup_size(8, 8)
fn support(@builtin(global_invocation_id) id: vec3u) {
    let place = vec2i(id.xy);
    if place.x >= WIDTH || place.y >= HEIGHT {
        return;
    }
    let index = index_of(place);
    let own = vec4i(unpack4xU8(arms_of[index]));
    var count = 0u;
    for (var j = -own.z; j <= own.w; j++) {
        let row = unpack4xU8(arms_of[index + j * WIDTH]);
        count += row.x + row.y + 1u;
    }
    support_of[index] = (65536u + count / 2u) / count;
}
