#version 300 es
// The first pass of frame synthesis: which motion explains a block of 2×2 pixels. With `blend.glsl` it is what `synthesis.wgsl`
// does in its quality `Fast`; see there. One fragment a block; the result is motion as a share of the picture.
precision highp float;

uniform sampler2D previous;
uniform sampler2D current;
// One texel a cell: motion in pixels of the picture it was measured in.
uniform sampler2D motion_grid;
// From motion in the grid to shares of the picture's width and height.
uniform vec2 uv_per_motion;
// 0 at the previous picture, 1 at the current one.
uniform float phase;
// Whether the left and right edges meet.
uniform bool wraps;
// Size of the picture in pixels.
uniform vec2 size;

out vec4 motion_out;

const float AGREE = 5.0 / 255.0;
const vec3 LUMA = vec3(0.2126, 0.7152, 0.0722);

vec2 motion_at(vec2 uv) {
    return texture(motion_grid, uv).xy * uv_per_motion;
}

vec2 cell_motion(vec2 uv) {
    ivec2 count = textureSize(motion_grid, 0);
    ivec2 cell = ivec2(floor(uv * vec2(count)));
    if (wraps) {
        cell.x += (cell.x < 0 ? count.x : 0) - (cell.x >= count.x ? count.x : 0);
    }
    return texelFetch(motion_grid, clamp(cell, ivec2(0), count - 1), 0).xy * uv_per_motion;
}

// Mean difference in luma of the block's four pixels along a motion.
float difference_along(vec2 motion, vec2 first) {
    float sum = 0.0;
    for (int k = 0; k < 4; k++) {
        vec2 uv = first + vec2(float(k & 1), float(k >> 1)) / size;
        vec3 before = texture(previous, uv - phase * motion).rgb;
        vec3 after = texture(current, uv + (1.0 - phase) * motion).rgb;
        sum += 0.25 * abs(dot(before, LUMA) - dot(after, LUMA));
    }
    return sum;
}

void main() {
    vec2 origin = floor(gl_FragCoord.xy) * 2.0;
    vec2 first = (origin + 0.5) / size;
    vec2 center = (origin + 1.0) / size;
    float rest = 1.0 - phase;
    vec2 motion = motion_at(center);
    motion = motion_at(center + rest * motion);
    motion = motion_at(center + rest * motion);
    float difference = difference_along(motion, first);
    if (difference > AGREE) {
        // Near an edge of a moving thing one of the cells around, or no motion, may explain it better; it must win clearly.
        vec2 place = center + rest * motion;
        vec2 half_cell = 0.5 / vec2(textureSize(motion_grid, 0));
        for (int k = 0; k < 5; k++) {
            vec2 candidate = vec2(0.0);
            if (k < 4) {
                candidate = cell_motion(place + half_cell * (2.0 * vec2(float(k & 1), float(k >> 1)) - 1.0));
            }
            float with_candidate = difference_along(candidate, first);
            if (with_candidate < difference - 0.5 * AGREE) {
                difference = with_candidate;
                motion = candidate;
            }
        }
    }
    motion_out = vec4(motion, 0.0, 1.0);
}
