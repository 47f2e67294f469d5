#version 300 es
// An upright board in a headset's space: where each pixel's ray meets it, the board's own picture.
precision highp float;

uniform sampler2D board;
// From the view's space to the headset's.
uniform mat3 rotation;
// Where the eye is.
uniform vec3 eye;
// Edges of the view, as tangents: left, right, up, down.
uniform vec4 view_edges;
uniform vec3 centre;
// Sine and cosine of where one looks to see it.
uniform vec2 facing;
// Half its width and height in metres.
uniform vec2 half_size;

in vec2 at;
out vec4 color;

void main() {
    vec2 on = mix(vec2(-view_edges.x, -view_edges.w), vec2(view_edges.y, view_edges.z), 0.5 + 0.5 * at);
    vec3 along = rotation * vec3(on, -1.0);
    vec3 normal = vec3(-facing.x, 0.0, facing.y);
    float distance = dot(centre - eye, normal) / dot(along, normal);
    vec3 place = eye + along * distance - centre;
    vec2 share = vec2(dot(place, vec3(facing.y, 0.0, facing.x)), place.y) / half_size;
    if (distance <= 0.0 || any(greaterThan(abs(share), vec2(1.0)))) {
        discard;
    }
    color = vec4(texture(board, 0.5 + 0.5 * share).rgb, 1.0);
}
