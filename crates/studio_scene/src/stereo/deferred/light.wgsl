// Lights the surfaces of a G-buffer, a pixel an invocation, as Bevy's own deferred lighting does in a fragment shader.

#import bevy_pbr::{
    pbr_types::STANDARD_MATERIAL_FLAGS_UNLIT_BIT,
    pbr_functions,
    pbr_deferred_functions::pbr_input_from_deferred_gbuffer,
    mesh_view_bindings::deferred_prepass_texture,
}

struct Background {
    // As it is stored: the pixels that no object covers.
    color: vec4<f32>,
}

@group(2) @binding(0) var lighting_ids: texture_2d<u32>;
#ifdef FLOAT_PICTURE
@group(2) @binding(1) var picture: texture_storage_2d<rgba16float, write>;
#else
@group(2) @binding(1) var picture: texture_storage_2d<rgba8unorm, write>;
#endif
@group(2) @binding(2) var<uniform> background: Background;
@group(2) @binding(3) var depths: texture_depth_2d;

// IEC 61966-2-1: the picture is copied to one that stores its colours so.
fn stored(light: vec4<f32>) -> vec4<f32> {
#ifdef FLOAT_PICTURE
    return light;
#else
    let clamped = saturate(light.rgb);
    let coded = select(1.055 * pow(clamped, vec3(1.0 / 2.4)) - 0.055, clamped * 12.92, clamped <= vec3(0.0031308));
    return vec4(coded, light.a);
#endif
}

@compute @workgroup_size(8, 8)
fn light(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = vec2<i32>(id.xy);
    if any(id.xy >= textureDimensions(picture)) {
        return;
    }
    if textureLoad(lighting_ids, at, 0).r == 0u {
        textureStore(picture, at, background.color);
        return;
    }
    let gbuffer = textureLoad(deferred_prepass_texture, at, 0);
    let place = vec4(vec2<f32>(id.xy) + 0.5, textureLoad(depths, at, 0), 1.0);
    let surface = pbr_input_from_deferred_gbuffer(place, gbuffer);
    var color = surface.material.base_color;
    if (surface.material.flags & STANDARD_MATERIAL_FLAGS_UNLIT_BIT) == 0u {
        color = pbr_functions::apply_pbr_lighting(surface);
    }
    textureStore(picture, at, stored(pbr_functions::main_pass_post_lighting_processing(surface, color)));
}
