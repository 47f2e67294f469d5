// When a picture is shown, and which moment between two pictures.
//
// Each picture has a time on the stream's time line and a moment at which it was decoded. The difference of the two, less what
// it is at its best, is jitter: of the network, of the decoder, of this machine. Pictures are shown as late as nearly all of
// them are ready (the 95th percentile of some three seconds), no later. The delay rises at once and falls slowly. As both
// clocks are only ever compared over the last seconds, they may drift.

/** Pictures that the delay is learnt from. */
const WINDOW = 90;
/** The share of pictures that must be ready in time. */
const READY = 0.95;
/** How fast the delay falls, in milliseconds a picture. */
const FALL_MS = 1;
/** A picture that is off by more begins another time line. */
const JUMP_MS = 1500;
/** A picture that is ready so much sooner than the one before was sent with it: the sender's backlog is not over yet. */
const BACKLOG_MS = 4;
/** No jitter is followed beyond this: a stream that is later stalls. */
const MAX_JITTER_MS = 400;
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
    push(this.offsets, offset);
    const sorted = [...this.offsets].sort((a, b) => a - b);
    const best = sorted[0]!;
    const wanted = Math.min(sorted[Math.ceil(sorted.length * READY) - 1]!, best + MAX_JITTER_MS);
    this.delay = this.delay === undefined || wanted > this.delay ? wanted : Math.max(wanted, this.delay - FALL_MS);
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
