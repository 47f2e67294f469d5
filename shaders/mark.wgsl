// Draws the machine-readable mark: 64 × 2 black and white cells.
//
// Entry point (compute, 8×8): draw_mark, one invocation a pixel of the mark
// Bindings (group 0):
//   0  uniform  the cells' bits, most significant first, and where they lie
//   1  storage texture  the picture, rgba8unorm, written

struct Mark {
    bits: vec4<u32>,
    origin: vec2<u32>,
    cell_px: u32,
}

@group(0) @binding(0) var<uniform> mark: Mark;
@group(0) @binding(1) var picture: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(8, 8)
fn draw_mark(@builtin(global_invocation_id) id: vec3<u32>) {
    let cell = id.xy / mark.cell_px;
    if cell.x >= 64u || cell.y >= 2u {
        return;
    }
    let index = cell.y * 64u + cell.x;
    let word = mark.bits[index / 32u];
    let white = f32((word >> (31u - index % 32u)) & 1u);
    textureStore(picture, vec2<i32>(mark.origin + id.xy), vec4(vec3(white), 1.0));
}
