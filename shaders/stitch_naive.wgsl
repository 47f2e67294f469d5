// What a straightforward remap does, for the stitch bench to compare with: a map of 16-bit floats as large as the output for
// each of two lenses, an RGBA input, one thread a pixel.
//
// Entry points: `remap` (compute, 8 × 8); `copy` (compute, 256), which copies a buffer, for the memory's speed.
// Bindings (group 0): for `remap` 0 sampler (linear, clamped); 1 the input; 2, 3 a map for each lens, RGBA16F: texture
// coordinates, weight, unused; 4 the output; for `copy` 5 from, 6 to.

@group(0) @binding(0) var linear_sampler: sampler;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var map_0: texture_2d<f32>;
@group(0) @binding(3) var map_1: texture_2d<f32>;
@group(0) @binding(4) var output: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(8, 8)
fn remap(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = textureDimensions(output);
    if any(id.xy >= size) {
        return;
    }
    let a = textureLoad(map_0, id.xy, 0);
    let b = textureLoad(map_1, id.xy, 0);
    var color = vec3(0.0);
    if a.z > 0.0 {
        color += a.z * textureSampleLevel(picture, linear_sampler, a.xy, 0.0).rgb;
    }
    if b.z > 0.0 {
        color += b.z * textureSampleLevel(picture, linear_sampler, b.xy, 0.0).rgb;
    }
    textureStore(output, id.xy, vec4(color, 1.0));
}

@group(0) @binding(5) var<storage, read> copy_from: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> copy_to: array<vec4<u32>>;

@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var index = id.x; index < arrayLength(&copy_from); index += 256u * groups.x) {
        copy_to[index] = copy_from[index];
    }
}
