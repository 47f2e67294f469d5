// Makes the motions of neighbouring patches agree, but not across the edges of the picture.
//
// A patch alone finds a match also where its content is covered in the other frame, or has no texture. The weighted median of the
// motions around (Sun, Roth and Black, Secrets of Optical Flow Estimation and Their Principles, CVPR 2010) keeps the surface's own motion
// there, and so do all finer levels, which start from it. Motions are medians in the plane: Weiszfeld's iteration.
//
// Entry point
//   filter_patches: one thread a patch: the weighted geometric median of the 21 patches around
//     @binding(0) the patches (see flow_search.wgsl), @binding(1) the filtered ones, in the same form
// Overrides: WRAPS, whether the left and right edges meet; OWN, what a patch's own motion counts against that of one beside it. More of
// it keeps what is found in small things that move by themselves, less fills better what is covered or has no texture.

override WRAPS: bool = false;
override OWN: f32 = 1.0;

@group(0) @binding(0) var patches: texture_2d<f32>;
@group(0) @binding(1) var filtered: texture_storage_2d<rgba32float, write>;

const ROUNDS: i32 = 3;
const MOST: i32 = 21;
// Differences of luma that count as another surface.
const LUMA_EDGE: f32 = 12.0 / 255.0;
// What any two patches have in common, so that a patch unlike all others takes their motion rather than none.
const UNLIKE: f32 = 0.001;
// Mean squared difference that is noise: two code values.
const NOISE: f32 = (2.0 / 255.0) * (2.0 / 255.0);
// Motions nearer than this, in pixels, count alike.
const ALIKE_PX: f32 = 0.1;

var<private> samples: array<vec3f, 21>;

@compute @workgroup_size(8, 4)
fn filter_patches(@builtin(global_invocation_id) id: vec3u) {
    let count = vec2i(textureDimensions(filtered));
    let patch_cell = vec2i(id.xy);
    if any(patch_cell >= count) {
        return;
    }
    let here = textureLoad(patches, patch_cell, 0);
    var sum = vec2f(0.0);
    var weights = 0.0;
    var taken = 0;
    for (var j = -2; j <= 2; j++) {
        let reach = select(2, 1, abs(j) == 2);
        for (var i = -reach; i <= reach; i++) {
            var cell = patch_cell + vec2i(i, j);
            if WRAPS {
                cell.x += select(0, count.x, cell.x < 0) - select(0, count.x, cell.x >= count.x);
            }
            let texel = textureLoad(patches, clamp(cell, vec2i(0), count - 1), 0);
            let unlike = (texel.w - here.w) / LUMA_EDGE;
            let error = texel.z + NOISE;
            let near = select(1.0 / (1.0 + 0.5 * f32(i * i + j * j)), OWN, i == 0 && j == 0);
            // A motion that leaves much unexplained says little.
            let weight = near * (exp(-0.5 * unlike * unlike) + UNLIKE) * inverseSqrt(error * error * error) * NOISE * sqrt(NOISE);
            samples[taken] = vec3f(texel.xy, weight);
            taken++;
            sum += weight * texel.xy;
            weights += weight;
        }
    }
    var median = sum / weights;
    for (var round = 0; round < ROUNDS; round++) {
        sum = vec2f(0.0);
        weights = 0.0;
        for (var k = 0; k < MOST; k++) {
            let apart = samples[k].xy - median;
            let weight = samples[k].z * inverseSqrt(dot(apart, apart) + ALIKE_PX * ALIKE_PX);
            sum += weight * samples[k].xy;
            weights += weight;
        }
        median = sum / weights;
    }
    textureStore(filtered, id.xy, vec4f(median, here.zw));
}
