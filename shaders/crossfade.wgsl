// One picture fades into another.
//
// Entry point (compute, 8×8): crossfade, one invocation a pixel
// Bindings (group 0):
//   0  storage, read  x: the newer picture's part, 0 to 1
//   1, 2  textures  the older and the newer picture
//   3  storage texture  the result, rgba8unorm

@group(0) @binding(0) var<storage, read> part: vec4<f32>;
@group(0) @binding(1) var older: texture_2d<f32>;
@group(0) @binding(2) var newer: texture_2d<f32>;
@group(0) @binding(3) var result: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(8, 8)
fn crossfade(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= textureDimensions(result)) {
        return;
    }
    let mixed = mix(textureLoad(older, id.xy, 0).rgb, textureLoad(newer, id.xy, 0).rgb, part.x);
    textureStore(result, id.xy, vec4(mixed, 1.0));
}
