// Reads a picture between its pixels by Catmull-Rom splines (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981,
// a = -1/2). The two inner rows and columns have positive weights and are read together, by a linear sampler between them: nine reads.
//
// Follows a shader that reads pictures; has no entry point.

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
