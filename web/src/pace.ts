// When a picture is shown, and which moment between two pictures.
//
// Each picture has a time on the stream's time line and a moment at which it was decoded. The difference of the two, less what
// it is at its best, is jitter: of the network, of the decoder, of this machine. Pictures are shown as late as nearly all of
// the last three seconds' are ready, no later: as long as waiting longer lets enough more of them be in time to be worth it. Few
// that come very late hold up none of the others. The delay rises at once and falls slowly. As both clocks are only ever compared
// over the last seconds, they may drift.
//
// The studio's own viewer does the same (`studio_stream::playout`); `test/vectors/pace.json` holds both to it.

import { DECODED_AHEAD } from "./receive/video";

/** Pictures that the delay is learnt from. */
const WINDOW = 90;
/** The share of pictures that are ready in time: at least, and beyond which none is waited for. */
const [LEAST_READY, MOST_READY] = [0.75, 0.95];
/** What one more picture of a hundred in time is worth, in milliseconds of waiting for all. */
const WORTH_MS = 6;
/** How fast the delay falls, in milliseconds a picture, or as a share of what it is too much: nobody sees time run so little faster. */
const [FALL_MS, FALL_SHARE] = [1, 0.05];
/** A picture that is off by more begins another time line. */
const JUMP_MS = 1500;
/** A picture that is ready so much sooner than the one before was sent with it: the sender's backlog is not over yet. */
const BACKLOG_MS = 4;
/** A picture that is ready so much sooner than the fastest before it ends a backlog: what those told is of no use any more. */
const CAUGHT_UP_MS = 8;
/** No jitter is followed beyond this: a stream that is later stalls. */
const MAX_JITTER_MS = 400;
/** Nor beyond so many pictures: more are not decoded ahead of their time. */
const MAX_JITTER_PICTURES = DECODED_AHEAD - 2;
/** Frames drawn for one received, at most. */
const MAX_STEPS = 8;

/** What to draw: `current` as it is, or the picture at `phase` (more than 0, less than 1) between the two. */
export interface Choice {
  previous?: number;
  current: number;
  phase: number;
}

/** Learns a stream's rhythm. Times are in milliseconds, of the stream's own time line or of one steady local clock. */
export class Pace {
  private offsets: number[] = [];
  private intervals: number[] = [];
  private lastPts: number | undefined;
  private delay: number | undefined;
  /** Whether the pictures come as they are captured: who joins gets those since the last key frame at once. */
  private live = false;

  /** Forgets everything: another time line begins. */
  restart(): void {
    this.offsets = [];
    this.intervals = [];
    this.lastPts = undefined;
    this.delay = undefined;
    this.live = false;
  }

  /** Notes that the picture of `ptsMs` was ready to be shown at `nowMs`. */
  ready(ptsMs: number, nowMs: number): void {
    const offset = nowMs - ptsMs;
    if (this.delay !== undefined && Math.abs(offset - this.delay) > JUMP_MS) this.restart();
    if (this.lastPts !== undefined && ptsMs > this.lastPts) push(this.intervals, ptsMs - this.lastPts);
    this.lastPts = ptsMs;
    const before = this.offsets.at(-1);
    if (!this.live && before !== undefined) {
      this.live = offset > before - BACKLOG_MS;
      this.offsets = [];
      this.delay = undefined;
    }
    if (this.offsets.every((before) => offset < before - CAUGHT_UP_MS)) {
      this.offsets = [];
      this.delay = undefined;
    }
    push(this.offsets, offset);
    const sorted = [...this.offsets].sort((a, b) => a - b);
    const best = sorted[0]!;
    const wanted = Math.min(worthwhile(sorted), best + Math.min(MAX_JITTER_MS, MAX_JITTER_PICTURES * (this.intervalMs ?? Infinity)));
    this.delay = this.delay === undefined || wanted > this.delay ? wanted : Math.max(wanted, this.delay - Math.max(FALL_MS, (this.delay - wanted) * FALL_SHARE));
  }

  /** Time between two pictures: the median, so that lost ones do not count. */
  get intervalMs(): number | undefined {
    const sorted = [...this.intervals].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  /** How much pictures are held beyond the fastest of them, in milliseconds. */
  get jitterMs(): number {
    return this.delay === undefined ? 0 : this.delay - Math.min(...this.offsets);
  }

  /** Frames that the display shows for one of the stream, if frames are generated. */
  steps(displayMs: number): number {
    const interval = this.intervalMs;
    return interval === undefined ? 1 : Math.min(Math.max(Math.round(interval / displayMs), 1), MAX_STEPS);
  }

  /** The moment of the stream that is on at `nowMs`. With `steps` above 1 the pictures in between need the next one: it waits. */
  moment(nowMs: number, steps: number): number | undefined {
    if (this.delay === undefined) return undefined;
    const hold = steps > 1 ? (this.intervalMs ?? 0) * (1 - 1 / steps) : 0;
    return nowMs - this.delay - hold;
  }
}

/** The moment that it is worth to wait for, of those at which pictures were ready, earliest first. */
function worthwhile(ready: readonly number[]): number {
  const last = Math.ceil(ready.length * MOST_READY) - 1;
  let [chosen, least] = [ready[last]!, Infinity];
  for (let index = last; index >= Math.ceil(ready.length * LEAST_READY) - 1; index -= 1) {
    const cost = ready[index]! + (1 - (index + 1) / ready.length) * 100 * WORTH_MS;
    if (cost < least) [chosen, least] = [ready[index]!, cost];
  }
  return chosen;
}

function push(values: number[], value: number): void {
  values.push(value);
  if (values.length > WINDOW) values.shift();
}

/**
 * Which of the pictures, whose times `ptsMs` rise, to draw at a moment. The phases are multiples of 1 / `steps`, so that each
 * received picture is drawn once as it came. `mayGenerate` says whether there is motion from the first to the second.
 */
export function choose(ptsMs: readonly number[], moment: number, steps: number, mayGenerate: (previous: number, current: number) => boolean): Choice | undefined {
  let previous = -1;
  while (previous + 1 < ptsMs.length && ptsMs[previous + 1]! <= moment) previous += 1;
  if (previous < 0) return undefined;
  const current = previous + 1;
  if (steps > 1 && current < ptsMs.length) {
    const span = ptsMs[current]! - ptsMs[previous]!;
    const phase = Math.floor(((moment - ptsMs[previous]!) / span) * steps) / steps;
    if (phase > 0 && mayGenerate(previous, current)) return { previous, current, phase };
  }
  return { current: previous, phase: 1 };
}
