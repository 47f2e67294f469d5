#version 300 es
// A flat perspective view into a picture of the sphere: the fragment stage of `sphere_view.wgsl`.
precision highp float;
precision highp int;

uniform sampler2D picture;
// From the view's space to the world's.
uniform mat3 rotation;
// Edges of the view, as tangents: left, right, up, down.
uniform vec4 view_edges;
// Offset and scale of the eye's part of the picture.
uniform vec4 eye;
// The picture's own angle in radians, and its width over its height.
uniform vec2 shape;
// Edges of the picture's own view, where it is off its axis.
uniform vec4 picture_edges;
// 0 equirectangular, 1 half equirectangular, 2 fisheye, 3 cube map, 4 rectilinear, 5 off axis, 6 flat: as it is.
uniform int projection;

in vec2 at;
out vec4 color;

const float PI = 3.14159265358979;

vec3 cube_place(vec3 direction) {
    vec3 size = abs(direction);
    vec2 face;
    vec2 on;
    if (size.x >= size.y && size.x >= size.z) {
        face = vec2(direction.x > 0.0 ? 0.0 : 1.0, 0.0);
        on = vec2(sign(direction.x) * direction.z, -direction.y) / size.x;
    } else if (size.y >= size.z) {
        face = direction.y > 0.0 ? vec2(2.0, 0.0) : vec2(0.0, 1.0);
        on = vec2(direction.x, -sign(direction.y) * direction.z) / size.y;
    } else {
        face = vec2(direction.z < 0.0 ? 1.0 : 2.0, 1.0);
        on = vec2(-sign(direction.z) * direction.x, -direction.y) / size.z;
    }
    // Not beyond the face's outermost samples: its neighbours in the picture are not its neighbours on the cube.
    vec2 half_px = 0.5 / (vec2(textureSize(picture, 0)) * eye.zw / vec2(3.0, 2.0));
    return vec3((face + clamp(on * 0.5 + 0.5, half_px, 1.0 - half_px)) / vec2(3.0, 2.0), 1.0);
}

// Where a direction lies in the picture, and 1 in z if it lies in it at all.
vec3 place(vec3 direction) {
    float angle = shape.x;
    if (projection <= 1) {
        float longitude = atan(direction.x, -direction.z);
        float latitude = asin(clamp(direction.y, -1.0, 1.0));
        return vec3(0.5 + longitude / angle, 0.5 - latitude / PI, abs(longitude) <= angle * 0.5 ? 1.0 : 0.0);
    }
    if (projection == 2) {
        float from_axis = acos(clamp(-direction.z, -1.0, 1.0));
        float radius = from_axis / angle / max(length(direction.xy), 1e-9);
        return vec3(0.5 + radius * direction.x, 0.5 - radius * direction.y, from_axis <= angle * 0.5 ? 1.0 : 0.0);
    }
    if (projection == 3) {
        return cube_place(direction);
    }
    float ahead = -direction.z;
    vec2 on = direction.xy / max(ahead, 1e-6);
    vec2 uv = vec2(on.x + picture_edges.x, picture_edges.z - on.y) / (picture_edges.xz + picture_edges.yw);
    if (projection == 4) {
        on = on / tan(angle * 0.5) * vec2(1.0, shape.y);
        uv = vec2(0.5 + 0.5 * on.x, 0.5 - 0.5 * on.y);
    }
    bool inside = ahead > 0.0 && all(greaterThanEqual(uv, vec2(0.0))) && all(lessThanEqual(uv, vec2(1.0)));
    return vec3(uv, inside ? 1.0 : 0.0);
}

void main() {
    vec2 share = 0.5 + 0.5 * at;
    vec2 on = mix(vec2(-view_edges.x, -view_edges.w), vec2(view_edges.y, view_edges.z), share);
    vec3 placed;
    if (projection == 6) {
        // `view_edges` are then the view's edges in shares of the picture's, so that it fits.
        vec2 uv = vec2(0.5 + 0.5 * on.x, 0.5 - 0.5 * on.y);
        bool inside = all(greaterThanEqual(uv, vec2(0.0))) && all(lessThanEqual(uv, vec2(1.0)));
        placed = vec3(uv, inside ? 1.0 : 0.0);
    } else {
        placed = place(normalize(rotation * vec3(on, -1.0)));
    }
    // The other eye's picture must not bleed in; a whole sphere goes on at its other side.
    vec2 half_px = 0.5 / (vec2(textureSize(picture, 0)) * eye.zw);
    bool wraps = projection == 0 && eye.z == 1.0;
    vec2 uv = vec2(wraps ? placed.x : clamp(placed.x, half_px.x, 1.0 - half_px.x), clamp(placed.y, half_px.y, 1.0 - half_px.y));
    color = vec4(placed.z > 0.0 ? texture(picture, eye.xy + eye.zw * uv).rgb : vec3(0.0), 1.0);
}
