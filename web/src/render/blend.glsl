#version 300 es
// The second pass of frame synthesis: both pictures along each block's motion, blended; the nearer one alone where they disagree.
precision highp float;

uniform sampler2D previous;
uniform sampler2D current;
// One texel a block of 2×2 pixels, from `motion.glsl`.
uniform sampler2D motion_blocks;
uniform float phase;
uniform vec2 size;

out vec4 color;

const float AGREE = 5.0 / 255.0;
const float DISAGREE = 48.0 / 255.0;
const vec3 LUMA = vec3(0.2126, 0.7152, 0.0722);

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    vec2 motion = texelFetch(motion_blocks, pixel / 2, 0).xy;
    vec2 uv = gl_FragCoord.xy / size;
    vec3 before = texture(previous, uv - phase * motion).rgb;
    vec3 after = texture(current, uv + (1.0 - phase) * motion).rgb;
    float doubt = smoothstep(AGREE, DISAGREE, abs(dot(before, LUMA) - dot(after, LUMA)));
    float nearer = phase >= 0.5 ? 1.0 : 0.0;
    color = vec4(mix(before, after, mix(phase, nearer, doubt)), 1.0);
}
