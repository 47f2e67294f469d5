// Draws a stitch map tile by tile. A thread walks down a column of a tile: with the column fixed, the tile's biquadratic is a
// quadratic of the row.
//
// Entry points (compute, TILE · LANES threads a tile; tile = workgroup x + 65535 · workgroup y of the uniform's run):
// `fill` for tiles that one lens fills; `blend` for one lens's share of tiles that several fill: shares are added up in
// `sums`, and the last lens of a tile writes it out; `black` for tiles that no lens sees.
// Overrides: `LAYOUT` (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr); `TILE` side of a tile in pixels, a multiple
// of 8; `LANES` threads that share a column.
// Bindings (group 0): 0 sampler (linear, clamped); 1, 2, 3 the planes of the picture; 4 `RunUniform`, by dynamic offset; 5 the
// tiles; 6 the output; 7 the weights of `blend` tiles (R8); 8 the sums, two words a pixel.

override LAYOUT: u32 = 0u;
override TILE: u32 = 64u;
override LANES: u32 = 1u;

struct Lens {
    // Rows of the affine map from the picture's samples to R'G'B', with the lens's colour gains in it.
    rgb_from_samples: array<vec4<f32>, 3>,
    // Left, top, right, bottom of what may be read, in texture coordinates.
    region: vec4<f32>,
}

struct RunUniform {
    // One over width and height of the weight texture.
    weight_scale: vec2<f32>,
    // First tile of the run and how many there are.
    tiles: vec2<u32>,
    lenses: array<Lens, 16>,
}

struct Tile {
    // Left and top, width and height, in pixels, two to a word.
    rectangle: vec2<u32>,
    // Left and top texel of the tile's weights, two to a word.
    weight_origin: u32,
    // Bits 0 to 25: which tile of the sums; 26 to 29: the lens; 30 and 31 mark the tile's last and first lens.
    slot: u32,
    // Nine coefficients of the biquadratic for (u, v, gain), in the order 1, s, s², t, st, s²t, t², st², s²t².
    c: array<vec4<f32>, 7>,
}

const FIRST: u32 = 0x80000000u;
const LAST: u32 = 0x40000000u;
const SLOT: u32 = 0x03ffffffu;
const LENS_SHIFT: u32 = 26u;
const CELL_PX: f32 = 8.0;

@group(0) @binding(0) var linear_sampler: sampler;
@group(0) @binding(1) var plane_0: texture_2d<f32>;
@group(0) @binding(2) var plane_1: texture_2d<f32>;
@group(0) @binding(3) var plane_2: texture_2d<f32>;
@group(0) @binding(4) var<uniform> run: RunUniform;
@group(0) @binding(5) var<storage, read> tiles: array<Tile>;
@group(0) @binding(6) var output: texture_storage_2d<rgba8unorm, write>;
@group(0) @binding(7) var weights: texture_2d<f32>;
@group(0) @binding(8) var<storage, read_write> sums: array<vec2<u32>>;

fn unpack(pair: u32) -> vec2<u32> {
    return vec2(pair & 0xffffu, pair >> 16u);
}

// The column of a thread and the first row of it. Threads that run together lie in blocks of 8 × LANES pixels: what they read
// and write lies close together too.
fn place(thread: u32) -> vec2<u32> {
    return vec2(thread / (8u * LANES) * 8u + thread % 8u, thread / 8u % LANES);
}

// A column of a tile: the quadratic of the row for (u, v, gain).
struct Column {
    a: vec3<f32>,
    b: vec3<f32>,
    c: vec3<f32>,
}

fn column(tile: u32, x: u32) -> Column {
    let s = (f32(x) + 0.5) / f32(TILE);
    let c = tiles[tile].c;
    return Column(
        c[0].xyz + s * (vec3(c[0].w, c[1].xy) + s * vec3(c[1].zw, c[2].x)),
        c[2].yzw + s * (c[3].xyz + s * vec3(c[3].w, c[4].xy)),
        vec3(c[4].zw, c[5].x) + s * (c[5].yzw + s * c[6].xyz),
    );
}

// What does not change from row to row. Read once, before the loop: compilers do not dare to.
struct Source {
    red: vec4<f32>,
    green: vec4<f32>,
    blue: vec4<f32>,
    region: vec4<f32>,
}

fn source(tile: u32) -> Source {
    let lens = (tiles[tile].slot >> LENS_SHIFT) & 15u;
    let rows = run.lenses[lens].rgb_from_samples;
    return Source(rows[0], rows[1], rows[2], run.lenses[lens].region);
}

fn color(source: Source, column: Column, y: u32) -> vec3<f32> {
    let t = (f32(y) + 0.5) / f32(TILE);
    let point = column.a + t * (column.b + t * column.c);
    let uv = clamp(point.xy, source.region.xy, source.region.zw);
    var samples = textureSampleLevel(plane_0, linear_sampler, uv, 0.0);
    if LAYOUT == 1u {
        samples = vec4(samples.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy, 1.0);
    } else if LAYOUT == 2u {
        let cb = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
        let cr = textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x;
        samples = vec4(samples.x, cb, cr, 1.0);
    } else {
        samples.w = 1.0;
    }
    return vec3(dot(source.red, samples), dot(source.green, samples), dot(source.blue, samples)) * point.z;
}

@compute @workgroup_size(TILE * LANES)
fn fill(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let local = place(thread);
    let index = group.x + 65535u * group.y;
    if index >= run.tiles.y {
        return;
    }
    let tile = run.tiles.x + index;
    let origin = unpack(tiles[tile].rectangle.x);
    let size = unpack(tiles[tile].rectangle.y);
    if local.x >= size.x {
        return;
    }
    let quadratic = column(tile, local.x);
    let constant = source(tile);
    for (var y = local.y; y < size.y; y += LANES) {
        textureStore(output, origin + vec2(local.x, y), vec4(color(constant, quadratic, y), 1.0));
    }
}

@compute @workgroup_size(TILE * LANES)
fn blend(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let local = place(thread);
    let index = group.x + 65535u * group.y;
    if index >= run.tiles.y {
        return;
    }
    let tile = run.tiles.x + index;
    let origin = unpack(tiles[tile].rectangle.x);
    let size = unpack(tiles[tile].rectangle.y);
    if local.x >= size.x {
        return;
    }
    let slot = tiles[tile].slot;
    let first_sum = (slot & SLOT) * TILE * TILE + local.x;
    // Weights lie on the corners of cells: the texel's centre is the corner.
    let weight_origin = vec2<f32>(unpack(tiles[tile].weight_origin)) + 0.5;
    let weight_x = weight_origin.x + (f32(local.x) + 0.5) / CELL_PX;
    let quadratic = column(tile, local.x);
    let constant = source(tile);
    for (var y = local.y; y < size.y; y += LANES) {
        let weight_y = weight_origin.y + (f32(y) + 0.5) / CELL_PX;
        let weight = textureSampleLevel(weights, linear_sampler, vec2(weight_x, weight_y) * run.weight_scale, 0.0).x;
        var sum = saturate(color(constant, quadratic, y)) * weight;
        let at = first_sum + y * TILE;
        if (slot & FIRST) == 0u {
            let before = sums[at];
            sum += vec3(unpack2x16unorm(before.x), unpack2x16unorm(before.y).x);
        }
        if (slot & LAST) == 0u {
            sums[at] = vec2(pack2x16unorm(sum.xy), pack2x16unorm(vec2(sum.z, 0.0)));
        } else {
            textureStore(output, origin + vec2(local.x, y), vec4(sum, 1.0));
        }
    }
}

@compute @workgroup_size(TILE * LANES)
fn black(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let local = place(thread);
    let index = group.x + 65535u * group.y;
    if index >= run.tiles.y {
        return;
    }
    let tile = run.tiles.x + index;
    let origin = unpack(tiles[tile].rectangle.x);
    let size = unpack(tiles[tile].rectangle.y);
    if local.x >= size.x {
        return;
    }
    for (var y = local.y; y < size.y; y += LANES) {
        textureStore(output, origin + vec2(local.x, y), vec4(0.0, 0.0, 0.0, 1.0));
    }
}
