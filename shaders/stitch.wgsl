// Draws a stitch map tile by tile. A thread walks down a column of a tile: with the column fixed, the tile's biquadratic is a
// quadratic of the row.
//
// Entry points (compute, TILE · LANES threads a tile; tile = workgroup x + 65535 · workgroup y of the uniform's run):
// `fill` for tiles that one lens fills; `blend` for one lens's share of tiles that several fill: shares are added up in
// `sums`, and the last lens of a tile writes it out; `black` for tiles that no lens sees. `layer` (64 threads, one a cell of 8×8 pixels)
// draws a lens's picture at an eighth of the size, for the coarse bands of a multi-band blend.
// Overrides: `LAYOUT` (0: RGBA; 1: luma and interleaved chroma; 2: luma, Cb, Cr); `TILE` side of a tile in pixels, a multiple
// of 8; `LANES` threads that share a column; `CORRECTED`, whether what the coarse bands say is added; `GRADED`, whether gains
// differ within a lens; `CUBIC`, whether the first plane is read by splines; `ALIGNED`,
// whether lenses are bent towards each other.
// Bindings (group 0): 0 sampler (linear, clamped); 1, 2, 3 the planes of the picture; 4 `RunUniform`, by dynamic offset; 5 the
// tiles; 6 the output; 7 the weights of `blend` tiles (R8); 8 the sums, two words a pixel; 9 what the coarse bands add to each lens, a texel for each
// cell, and 10 its sampler; 11 the tiles of `layer`; 12 what it draws: a layer for each lens, colours multiplied by how far the lens covers the cell; 13 gains on a grid over
// each lens's region, a layer for each lens, the outermost texels' centres on the region's edges; 14 what is added to texture coordinates, on such a grid.

override LAYOUT: u32 = 0u;
override TILE: u32 = 64u;
override LANES: u32 = 1u;
override CORRECTED: bool = false;
override GRADED: bool = false;
override CUBIC: bool = false;
override ALIGNED: bool = false;

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

struct LayerTile {
    // Left and top in cells, two to a word.
    origin: u32,
    lens: u32,
    // Side in cells.
    cells: u32,
    unused: u32,
    // Nine coefficients for (u, v, gain, coverage), in the order of a tile's.
    c: array<vec4<f32>, 9>,
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
@group(0) @binding(9) var correction: texture_2d_array<f32>;
@group(0) @binding(10) var correction_sampler: sampler;
@group(0) @binding(11) var<storage, read> layer_tiles: array<LayerTile>;
@group(0) @binding(12) var layers: texture_storage_2d_array<rgba16float, write>;
@group(0) @binding(13) var gains: texture_2d_array<f32>;
@group(0) @binding(14) var displacements: texture_2d_array<f32>;

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
    lens: u32,
}

fn source(lens: u32) -> Source {
    let rows = run.lenses[lens].rgb_from_samples;
    return Source(rows[0], rows[1], rows[2], run.lenses[lens].region, lens);
}

fn color(source: Source, column: Column, y: u32) -> vec3<f32> {
    let t = (f32(y) + 0.5) / f32(TILE);
    return color_at(source, column.a + t * (column.b + t * column.c));
}

// Where a point of a lens's region lies on a grid over it.
fn on_grid(source: Source, uv: vec2<f32>, side: f32) -> vec2<f32> {
    let place = (uv - source.region.xy) / (source.region.zw - source.region.xy);
    return (place * (side - 1.0) + 0.5) / side;
}

// Texture coordinates with what the lens is bent by.
fn aligned(source: Source, uv: vec2<f32>) -> vec2<f32> {
    if !ALIGNED {
        return uv;
    }
    let at = on_grid(source, uv, f32(textureDimensions(displacements).x));
    return uv + textureSampleLevel(displacements, linear_sampler, at, source.lens, 0.0).xy;
}

// Reads a picture between its pixels by Catmull-Rom splines (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981,
// a = -1/2). The two inner rows and columns have positive weights and are read together, by a linear sampler between them: nine reads.
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

// The colour at texture coordinates, times the gain in z.
fn color_at(source: Source, point: vec3<f32>) -> vec3<f32> {
    let uv = clamp(aligned(source, point.xy), source.region.xy, source.region.zw);
    var samples: vec4<f32>;
    if CUBIC {
        samples = sample_cubic(plane_0, linear_sampler, uv, source.region);
    } else {
        samples = textureSampleLevel(plane_0, linear_sampler, uv, 0.0);
    }
    if LAYOUT == 1u {
        samples = vec4(samples.x, textureSampleLevel(plane_1, linear_sampler, uv, 0.0).xy, 1.0);
    } else if LAYOUT == 2u {
        let cb = textureSampleLevel(plane_1, linear_sampler, uv, 0.0).x;
        let cr = textureSampleLevel(plane_2, linear_sampler, uv, 0.0).x;
        samples = vec4(samples.x, cb, cr, 1.0);
    } else {
        samples.w = 1.0;
    }
    let color = vec3(dot(source.red, samples), dot(source.green, samples), dot(source.blue, samples)) * point.z;
    if !GRADED {
        return color;
    }
    let at = on_grid(source, uv, f32(textureDimensions(gains).x));
    return color * textureSampleLevel(gains, linear_sampler, at, source.lens, 0.0).rgb;
}

// A lens's colour at a pixel with what the coarse bands add.
fn corrected(color: vec3<f32>, pixel: vec2<u32>, lens: u32) -> vec3<f32> {
    if !CORRECTED {
        return color;
    }
    let at = (vec2<f32>(pixel) + 0.5) / (CELL_PX * vec2<f32>(textureDimensions(correction)));
    return color + textureSampleLevel(correction, correction_sampler, at, lens, 0.0).rgb;
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
    let lens = (tiles[tile].slot >> LENS_SHIFT) & 15u;
    let constant = source(lens);
    for (var y = local.y; y < size.y; y += LANES) {
        let pixel = origin + vec2(local.x, y);
        textureStore(output, pixel, vec4(corrected(color(constant, quadratic, y), pixel, lens), 1.0));
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
    let lens = (tiles[tile].slot >> LENS_SHIFT) & 15u;
    let constant = source(lens);
    for (var y = local.y; y < size.y; y += LANES) {
        let weight_y = weight_origin.y + (f32(y) + 0.5) / CELL_PX;
        let weight = textureSampleLevel(weights, linear_sampler, vec2(weight_x, weight_y) * run.weight_scale, 0.0).x;
        var sum = corrected(saturate(color(constant, quadratic, y)), origin + vec2(local.x, y), lens) * weight;
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

@compute @workgroup_size(64)
fn layer(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let cells = TILE / 8u;
    let index = (group.x + 65535u * group.y) * 64u + thread;
    if index >= run.tiles.y * cells * cells {
        return;
    }
    let tile = run.tiles.x + index / (cells * cells);
    let cell = vec2(index % cells, index / cells % cells);
    let texel = unpack(layer_tiles[tile].origin) + cell;
    let lens = layer_tiles[tile].lens;
    if any(texel >= textureDimensions(layers)) {
        return;
    }
    let c = layer_tiles[tile].c;
    let constant = source(lens);
    var sum = vec3(0.0);
    var coverage = 0.0;
    // Sixteen samples, each of which the sampler takes from four pixels, see all of the cell.
    for (var k = 0u; k < 16u; k++) {
        let at = (vec2<f32>(cell) + (vec2(f32(k % 4u), f32(k / 4u)) + 0.5) / 4.0) / f32(cells);
        let s = at.x;
        let t = at.y;
        let point = c[0] + s * (c[1] + s * c[2]) + t * (c[3] + s * (c[4] + s * c[5]) + t * (c[6] + s * (c[7] + s * c[8])));
        let seen = saturate(point.w);
        sum += seen * saturate(color_at(constant, point.xyz));
        coverage += seen;
    }
    textureStore(layers, texel, lens, vec4(sum, coverage) / 16.0);
}
