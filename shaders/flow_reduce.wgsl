// From one motion a pixel to one a grid cell, ready to be read back and sent.
//
// Entry point
//   reduce: one thread a cell: the geometric median of up to 8×8 motions in the cell (Weiszfeld's iteration)
//     @binding(0) the dense flow (see flow_densify.wgsl)
//     @binding(1) scale and grid
//     @binding(2) header of four words and then the cells, row by row; two signed 16-bit numbers a cell, x in the low half,
//       in 1/16 pixel of the picture. Header: sums over the cells of the mean |difference| without and with motion, in
//       1/4096 of the code range; the number of cells; 0.
//     @binding(3) how far each motion can be trusted (see flow_confidence.wgsl); not read without CONFIDENT
// Overrides: CONFIDENT, whether that is known.

override CONFIDENT: bool = false;

struct Grid {
    // Pixels of the picture in one pixel of the flow.
    scale: vec2f,
    // Columns and rows.
    cells: vec2u,
}

struct Field {
    without_motion: atomic<u32>,
    with_motion: atomic<u32>,
    counted: atomic<u32>,
    unused: u32,
    vectors: array<u32>,
}

@group(0) @binding(0) var flow: texture_2d<f32>;
@group(0) @binding(1) var<uniform> grid: Grid;
@group(0) @binding(2) var<storage, read_write> field: Field;
@group(0) @binding(3) var confidence: texture_2d<f32>;

const SIDE: u32 = 8u;
const ROUNDS: i32 = 4;
const UNITS_PER_PIXEL: f32 = 16.0;
const RESIDUAL_UNITS: f32 = 4096.0;
// What a motion still counts that the way back contradicts: a cell of nothing else has one all the same.
const LEAST_CONFIDENCE: f32 = 0.02;

// Motion and weight of each sample of the cell.
var<private> samples: array<vec3f, 64>;

@compute @workgroup_size(8, 4)
fn reduce(@builtin(global_invocation_id) id: vec3u) {
    if any(id.xy >= grid.cells) {
        return;
    }
    let size = vec2f(textureDimensions(flow));
    let cell_size = size / vec2f(grid.cells);
    let taps = clamp(vec2u(cell_size), vec2u(1u), vec2u(SIDE));
    let origin = vec2f(id.xy) * cell_size;
    var median = vec2f(0.0);
    var weights = 0.0;
    var residual = vec2f(0.0);
    let count = taps.x * taps.y;
    for (var j = 0u; j < taps.y; j++) {
        for (var i = 0u; i < taps.x; i++) {
            let position = origin + (vec2f(f32(i), f32(j)) + 0.5) / vec2f(taps) * cell_size;
            let place = min(vec2u(position), vec2u(size) - 1u);
            let texel = textureLoad(flow, place, 0);
            // A motion that leaves much unexplained says less.
            var weight = 1.0 / (texel.z + 4.0 / 255.0);
            if CONFIDENT {
                weight *= max(textureLoad(confidence, place, 0).x, LEAST_CONFIDENCE);
            }
            samples[j * taps.x + i] = vec3f(texel.xy, weight);
            median += weight * texel.xy;
            weights += weight;
            residual += texel.wz;
        }
    }
    median /= weights;
    for (var round = 0; round < ROUNDS; round++) {
        var sum = vec2f(0.0);
        weights = 0.0;
        for (var k = 0u; k < count; k++) {
            let weight = samples[k].z / (distance(samples[k].xy, median) + 0.05);
            sum += weight * samples[k].xy;
            weights += weight;
        }
        median = sum / weights;
    }

    let vector = vec2i(clamp(round(median * grid.scale * UNITS_PER_PIXEL), vec2f(-32767.0), vec2f(32767.0)));
    field.vectors[id.y * grid.cells.x + id.x] = (u32(vector.x) & 0xffffu) | (u32(vector.y) << 16u);
    // Whole numbers add up to the same sum in any order.
    let units = vec2u(residual / f32(count) * RESIDUAL_UNITS + 0.5);
    atomicAdd(&field.without_motion, units.x);
    atomicAdd(&field.with_motion, units.y);
    atomicAdd(&field.counted, 1u);
}
