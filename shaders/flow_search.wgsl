// Patch search of the optical flow: inverse-search gradient descent on 8×8 patches, one level of the pyramid a dispatch.
//
// The motion m of a patch says that its content was at p - m in the previous frame.
//
// Entry points
//   search: one thread a patch, for software
//   search_together: LANES threads a patch, for GPUs in silicon. The coarse levels have few patches, so one thread each would leave most of
//     the GPU idle, waiting for one texel after the other. Finds what `search` finds, but for the order in which sums are added up.
//   Both:
//     @binding(0) this frame's level, @binding(1) the previous frame's level (quads, see flow_pyramid.wgsl)
//     @binding(2) the coarser level's patches: motion in xy (pixels of that level), cost in z (mean squared difference without its
//       mean), luma in w; one zero texel at the coarsest
//     @binding(3) this level's patches, in the same form
// Overrides: WRAPS, whether the left and right edges meet; COARSEST, whether no coarser level exists; CORNERS,
// whether nine coarser patches are tried or only five; STRIDE, pixels from patch to patch; STEPS, evaluations of the
// descent; ROW_SAMPLES, samples in a row of the patch (8 uses every pixel, 4 every second one as on a chequerboard); LANES, 4, 8, 16 or 32.

override WRAPS: bool = false;
override COARSEST: bool = false;
override CORNERS: bool = true;
override STRIDE: u32 = 4u;
override STEPS: i32 = 6;
override ROW_SAMPLES: i32 = 8;
override LANES: u32 = 8u;
// Coarser patches from one candidate to the next: four pixels, whatever the stride.
override REACH: i32 = 4 / i32(STRIDE);

@group(0) @binding(0) var current: texture_2d<f32>;
@group(0) @binding(1) var previous: texture_2d<f32>;
@group(0) @binding(2) var coarser: texture_2d<f32>;
@group(0) @binding(3) var patches: texture_storage_2d<rgba32float, write>;

const PATCH: i32 = 8;
const LOOK_STEPS: i32 = 6;
const LOOK_STEP_PX: f32 = 1.25;
// What a pixel of motion costs in that look-around: the noise of a quarter of a patch.
const FAR_COST: f32 = 16.0 * (1.0 / 255.0) * (1.0 / 255.0);
// Gradient energy of one sample that counts as noise: half a code value a pixel.
const NOISE: f32 = (0.5 / 255.0) * (0.5 / 255.0);

// Luma of the previous frame at a position in texel indices.
fn previous_at(position: vec2f, size: vec2f) -> f32 {
    let last = size - 1.0;
    var held = clamp(position, vec2f(0.0), last);
    if WRAPS {
        // Motions are shorter than the picture is wide, so once around is enough.
        held.x = position.x + select(0.0, size.x, position.x < 0.0) - select(0.0, size.x, position.x >= size.x);
        held.x = clamp(held.x, 0.0, size.x - 0.001);
    }
    let base = floor(held);
    let part = held - base;
    let quad = textureLoad(previous, vec2i(base), 0);
    let rows = mix(quad.xz, quad.yw, part.x);
    return mix(rows.x, rows.y, part.y);
}

fn current_quad(texel: vec2i, size: vec2i) -> vec4f {
    var held = clamp(texel, vec2i(0), size - 1);
    if WRAPS {
        held.x = texel.x + select(0, size.x, texel.x < 0) - select(0, size.x, texel.x >= size.x);
    }
    return textureLoad(current, held, 0);
}

// Luma and gradient at each sample of the patch.
var<private> samples: array<vec3f, 64>;

// Where sample `i` of row `j` lies in the patch.
fn offset_of(i: i32, j: i32) -> vec2i {
    if ROW_SAMPLES == 8 {
        return vec2i(i, j);
    }
    return vec2i(2 * i + (j & 1), j);
}

// Sum of squared differences without their mean over a quarter of the samples.
fn rough_cost(origin: vec2f, motion: vec2f, size: vec2f) -> f32 {
    var sum = 0.0;
    var sum_of_squares = 0.0;
    let step = ROW_SAMPLES / 4;
    for (var j = 0; j < PATCH; j += 2) {
        let row = (j >> 1u) & 1;
        for (var i = 0; i < 4; i++) {
            let index = min(i * step + row * (step - 1), ROW_SAMPLES - 1);
            let position = origin + vec2f(offset_of(index, j + row)) - motion;
            let difference = previous_at(position, size) - samples[(j + row) * ROW_SAMPLES + index].x;
            sum += difference;
            sum_of_squares += difference * difference;
        }
    }
    return sum_of_squares - sum * sum / 16.0;
}

@compute @workgroup_size(8, 4)
fn search(@builtin(global_invocation_id) id: vec3u) {
    let patch_count = textureDimensions(patches);
    if any(id.xy >= patch_count) {
        return;
    }
    let level_size = vec2i(textureDimensions(current));
    let size = vec2f(level_size);
    let center = vec2i(id.xy * STRIDE + STRIDE / 2u);
    var corner = center - PATCH / 2;
    let inside = clamp(corner, vec2i(0), max(level_size - PATCH, vec2i(0)));
    corner = select(inside, vec2i(corner.x, inside.y), WRAPS);
    let origin = vec2f(corner);

    var gradient_sum = vec2f(0.0);
    var xx = 0.0;
    var xy = 0.0;
    var yy = 0.0;
    for (var j = 0; j < PATCH; j++) {
        for (var i = 0; i < ROW_SAMPLES; i++) {
            let texel = corner + offset_of(i, j);
            let here = current_quad(texel, level_size);
            let before = current_quad(texel - vec2i(1, 1), level_size);
            // Central differences: (x+1) - (x-1); the quad one up and left holds (x-1, y) and (x, y-1). Along the top row, which
            // has none above, x-1 is taken a row lower: a slip too small to see.
            let gradient = 0.5 * vec2f(here.y - before.z, here.z - before.y);
            samples[j * ROW_SAMPLES + i] = vec3f(here.x, gradient);
            gradient_sum += gradient;
            xx += gradient.x * gradient.x;
            xy += gradient.x * gradient.y;
            yy += gradient.y * gradient.y;
        }
    }
    let count = f32(PATCH * ROW_SAMPLES);
    xx += NOISE * count - gradient_sum.x * gradient_sum.x / count;
    yy += NOISE * count - gradient_sum.y * gradient_sum.y / count;
    xy -= gradient_sum.x * gradient_sum.y / count;
    let determinant = max(xx * yy - xy * xy, 1e-12);

    // The best of the coarser patches around, and of no motion, starts the descent.
    let coarse_count = vec2i(textureDimensions(coarser));
    let nearest = vec2i(id.xy / 2u);
    var motion = vec2f(0.0);
    var motion_cost = rough_cost(origin, motion, size);
    if COARSEST {
        // Nothing is known yet: look everywhere within a patch's length. Far motions must be worth their distance.
        for (var j = -LOOK_STEPS; j <= LOOK_STEPS; j++) {
            for (var i = -LOOK_STEPS; i <= LOOK_STEPS; i++) {
                let candidate = LOOK_STEP_PX * vec2f(f32(i), f32(j));
                let candidate_cost = rough_cost(origin, candidate, size) + FAR_COST * length(candidate);
                if candidate_cost < motion_cost {
                    motion = candidate;
                    motion_cost = candidate_cost;
                }
            }
        }
    } else {
        for (var j = -1; j <= 1; j++) {
            let reach = select(1 - abs(j), 1, CORNERS);
            for (var i = -reach; i <= reach; i++) {
                var cell = nearest + vec2i(i, j) * REACH;
                if WRAPS {
                    cell.x += select(0, coarse_count.x, cell.x < 0) - select(0, coarse_count.x, cell.x >= coarse_count.x);
                }
                cell = clamp(cell, vec2i(0), coarse_count - 1);
                let candidate = 2.0 * textureLoad(coarser, cell, 0).xy;
                let candidate_cost = rough_cost(origin, candidate, size);
                if candidate_cost < motion_cost {
                    motion = candidate;
                    motion_cost = candidate_cost;
                }
            }
        }
    }

    let start = motion;
    var best = motion;
    var best_cost = 1e9;
    for (var step = 0; step < STEPS; step++) {
        var sum = 0.0;
        var sum_of_squares = 0.0;
        var descent = vec2f(0.0);
        for (var j = 0; j < PATCH; j++) {
            for (var i = 0; i < ROW_SAMPLES; i++) {
                let sample = samples[j * ROW_SAMPLES + i];
                let position = origin + vec2f(offset_of(i, j)) - motion;
                let difference = previous_at(position, size) - sample.x;
                sum += difference;
                sum_of_squares += difference * difference;
                descent += difference * sample.yz;
            }
        }
        let cost = sum_of_squares - sum * sum / count;
        if cost >= best_cost {
            break;
        }
        best = motion;
        best_cost = cost;
        descent -= gradient_sum * (sum / count);
        let update = vec2f(yy * descent.x - xy * descent.y, xx * descent.y - xy * descent.x) / determinant;
        motion += update;
        // Farther than a patch from the start, the linear model means nothing any more.
        if dot(update, update) < 1e-4 || distance(motion, start) > f32(PATCH) {
            break;
        }
    }
    textureStore(patches, id.xy, vec4f(best, best_cost / count, dot(current_quad(center, level_size), vec4f(0.25))));
}

// Threads of a workgroup that works on patches together.
const THREADS: u32 = 64u;

// Samples of a patch that each thread keeps to itself; at most sixteen, as four threads share a patch at least.
override KEPT: u32 = u32(8 * ROW_SAMPLES) / LANES;
// Luma at each sample of the workgroup's patches.
override SHARED: u32 = 64u * 64u / LANES;
var<workgroup> shared_luma: array<f32, SHARED>;
// What each thread has to say.
var<workgroup> said: array<vec4f, 64>;

// The sum over the threads of a patch.
fn summed(thread: u32, value: vec4f) -> vec4f {
    // Everyone has read what was said before.
    workgroupBarrier();
    said[thread] = value;
    workgroupBarrier();
    let first = thread - thread % LANES;
    var sum = vec4f(0.0);
    for (var lane = 0u; lane < LANES; lane++) {
        sum += said[first + lane];
    }
    return sum;
}

// `rough_cost` with shared samples, from `base` on.
fn shared_rough_cost(base: u32, origin: vec2f, motion: vec2f, size: vec2f) -> f32 {
    var sum = 0.0;
    var sum_of_squares = 0.0;
    let step = ROW_SAMPLES / 4;
    for (var j = 0; j < PATCH; j += 2) {
        let row = (j >> 1u) & 1;
        for (var i = 0; i < 4; i++) {
            let index = min(i * step + row * (step - 1), ROW_SAMPLES - 1);
            let position = origin + vec2f(offset_of(index, j + row)) - motion;
            let difference = previous_at(position, size) - shared_luma[base + u32((j + row) * ROW_SAMPLES + index)];
            sum += difference;
            sum_of_squares += difference * difference;
        }
    }
    return sum_of_squares - sum * sum / 16.0;
}

// How many motions may start the descent, that of no motion, the first, included.
fn candidate_count() -> u32 {
    if COARSEST {
        return 1u + u32((2 * LOOK_STEPS + 1) * (2 * LOOK_STEPS + 1));
    }
    return select(6u, 10u, CORNERS);
}

// A motion that may start the descent, and what it costs beside what it leaves unexplained.
fn candidate(number: u32, nearest: vec2i) -> vec3f {
    if number == 0u {
        return vec3f(0.0);
    }
    let place = i32(number) - 1;
    if COARSEST {
        let width = 2 * LOOK_STEPS + 1;
        let motion = LOOK_STEP_PX * vec2f(vec2i(place % width, place / width) - LOOK_STEPS);
        return vec3f(motion, FAR_COST * length(motion));
    }
    var offset = vec2i(place % 3, place / 3) - 1;
    if !CORNERS {
        offset = vec2i(select(0, place - 2, abs(place - 2) == 1), select(0, sign(place - 2), abs(place - 2) == 2));
    }
    let coarse_count = vec2i(textureDimensions(coarser));
    var cell = nearest + offset * REACH;
    if WRAPS {
        cell.x += select(0, coarse_count.x, cell.x < 0) - select(0, coarse_count.x, cell.x >= coarse_count.x);
    }
    return vec3f(2.0 * textureLoad(coarser, clamp(cell, vec2i(0), coarse_count - 1), 0).xy, 0.0);
}

@compute @workgroup_size(64)
fn search_together(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let patch_count = textureDimensions(patches);
    let lane = thread % LANES;
    let place = vec2u(group.x * (THREADS / LANES) + thread / LANES, group.y);
    // Threads beyond the last patch work on it too, as nobody may leave before the last barrier.
    let id = min(place, patch_count - 1u);
    let level_size = vec2i(textureDimensions(current));
    let size = vec2f(level_size);
    let center = vec2i(id * STRIDE + STRIDE / 2u);
    var corner = center - PATCH / 2;
    let inside = clamp(corner, vec2i(0), max(level_size - PATCH, vec2i(0)));
    corner = select(inside, vec2i(corner.x, inside.y), WRAPS);
    let origin = vec2f(corner);
    let sample_count = u32(PATCH * ROW_SAMPLES);
    let base = thread / LANES * 64u;

    var energy = vec4f(0.0);
    var gradient_sum = vec2f(0.0);
    for (var kept = 0u; kept < KEPT; kept++) {
        let k = lane + kept * LANES;
        let texel = corner + offset_of(i32(k) % ROW_SAMPLES, i32(k) / ROW_SAMPLES);
        let here = current_quad(texel, level_size);
        let before = current_quad(texel - vec2i(1, 1), level_size);
        let gradient = 0.5 * vec2f(here.y - before.z, here.z - before.y);
        shared_luma[base + k] = here.x;
        samples[kept] = vec3f(here.x, gradient);
        gradient_sum += gradient;
        energy += vec4f(gradient.x * gradient.x, gradient.x * gradient.y, gradient.y * gradient.y, 0.0);
    }
    energy = summed(thread, energy);
    gradient_sum = summed(thread, vec4f(gradient_sum, 0.0, 0.0)).xy;
    let count = f32(sample_count);
    let xx = energy.x + NOISE * count - gradient_sum.x * gradient_sum.x / count;
    let yy = energy.z + NOISE * count - gradient_sum.y * gradient_sum.y / count;
    let xy = energy.y - gradient_sum.x * gradient_sum.y / count;
    let determinant = max(xx * yy - xy * xy, 1e-12);

    // Each thread tries some of the motions; the first of the best starts the descent.
    var chosen = vec4f(0.0, 0.0, 1e9, 0.0);
    for (var number = lane; number < candidate_count(); number += LANES) {
        let tried = candidate(number, vec2i(id / 2u));
        let cost = shared_rough_cost(base, origin, tried.xy, size) + tried.z;
        if cost < chosen.z {
            chosen = vec4f(tried.xy, cost, f32(number));
        }
    }
    workgroupBarrier();
    said[thread] = chosen;
    workgroupBarrier();
    for (var other = 0u; other < LANES; other++) {
        let found = said[thread - lane + other];
        if found.z < chosen.z || (found.z == chosen.z && found.w < chosen.w) {
            chosen = found;
        }
    }

    let start = chosen.xy;
    var motion = start;
    var best = start;
    var best_cost = 1e9;
    var descends = true;
    for (var step = 0; step < STEPS; step++) {
        // Sum, sum of squares, descent.
        var sums = vec4f(0.0);
        for (var kept = 0u; kept < KEPT; kept++) {
            let k = lane + kept * LANES;
            let position = origin + vec2f(offset_of(i32(k) % ROW_SAMPLES, i32(k) / ROW_SAMPLES)) - motion;
            let difference = previous_at(position, size) - samples[kept].x;
            sums += difference * vec4f(1.0, difference, samples[kept].yz);
        }
        sums = summed(thread, sums);
        let cost = sums.y - sums.x * sums.x / count;
        descends = descends && cost < best_cost;
        if descends {
            best = motion;
            best_cost = cost;
            let descent = sums.zw - gradient_sum * (sums.x / count);
            let update = vec2f(yy * descent.x - xy * descent.y, xx * descent.y - xy * descent.x) / determinant;
            motion += update;
            descends = dot(update, update) >= 1e-4 && distance(motion, start) <= f32(PATCH);
        }
    }
    if lane == 0u && all(place == id) {
        textureStore(patches, id, vec4f(best, best_cost / count, dot(current_quad(center, level_size), vec4f(0.25))));
    }
}
