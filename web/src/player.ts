// Decides which picture is on, and draws it: the pace, the pictures that wait, their motion and the renderer, tied together.

import type { VideoTrack } from "./receive/catalog";
import type { DecodedPicture } from "./receive/messages";
import type { MotionField } from "./receive/wire/assemble";
import type { Stamp } from "./receive/wire/unit";
import { choose, Pace, type Choice } from "./pace";
import { Pictures, type Picture } from "./pictures";
import { Renderer, type EyeView, type Layout, type Shown } from "./render/renderer";

/** Motion fields that are kept: those of the pictures that wait, and some that came early. */
const FIELDS = 12;
/** Ages of shown pictures that are remembered. */
const AGES = 120;
/** Where the picture is divided when both kinds are compared. */
const SPLIT = 0.5;

/** What is shown between received pictures: nothing, made frames, or both beside one another. */
export type Between = "generated" | "none" | "compare";

/** What was drawn, told by the event `drawn` of the canvas right after it was drawn. */
export interface Drawn {
  /** The track that the picture came on. */
  track: string;
  /** The picture, or the later one of the two that it was made from. */
  stamp: Stamp;
  /** The picture before it, where this one is made. */
  previous?: Stamp;
  /** 1 for a picture as it came. */
  phase: number;
  /** How old it is, in milliseconds by both clocks. */
  ageMs: number;
  /** How old the picture was when it was sent, was here, was decoded. */
  agesMs: { sent: number; arrived: number; decoded: number };
}

/** What is drawn to. */
export interface Surface {
  views: readonly EyeView[];
  target: WebGLFramebuffer | null;
  /** Whether it must be drawn even if nothing changed, as a headset's views must. */
  force: boolean;
}

/** Shows decoded pictures at their moments. */
export class Player {
  readonly pictures: Pictures;
  readonly pace = new Pace();
  readonly counts = { shown: 0, repeated: 0 };
  /** How old pictures were when they were drawn as they came, the clocks' difference taken out, and when, by `performance.now()`. */
  readonly ages: { ageMs: number; at: number }[] = [];
  /** How far this machine's clock is ahead of the studio's, by the picture that is on. */
  clockAheadMs = 0;
  between: Between = "generated";
  /** When the first picture was drawn. */
  firstAt: number | undefined;
  private readonly fields = new Map<number, MotionField>();
  private shown: { picture: Picture; shown: Shown; phase: number } | undefined;
  private drawnKey = "";
  private held = false;

  /** `drawn` is called right after each picture that was not drawn before; `closed` with the number of pictures let go of. */
  constructor(
    readonly renderer: Renderer,
    private readonly drawn: (drawn: Drawn) => void,
    closed: (count: number) => void,
  ) {
    this.pictures = new Pictures(closed);
  }

  /** Takes a decoded picture. */
  push(decoded: DecodedPicture): void {
    // What was on its way when the picture was frozen.
    if (this.held) return this.pictures.refuse(decoded);
    const { stamp } = this.pictures.push(decoded);
    this.pace.ready(stamp.ptsUs / 1000, decoded.readyAt);
    // Who joins or falls behind gets many at once: those whose time is over make room at once.
    const [moment, { list }] = [this.pace.moment(performance.now(), 1), this.pictures];
    while (moment !== undefined && list.length > 1 && list[1]!.stamp.ptsUs / 1000 <= moment) this.pictures.release(1);
  }

  motion(field: MotionField): void {
    this.fields.set(field.stamp.frameId, field);
    if (this.fields.size > FIELDS) this.fields.delete(this.fields.keys().next().value!);
  }

  /** Another time line begins: what there is of the old one does not compare. */
  restart(): void {
    this.pace.restart();
    this.fields.clear();
    this.ages.length = 0;
  }

  /** Lets go of everything. */
  clear(): void {
    this.restart();
    this.pictures.clear();
    this.renderer.forget();
    this.shown = undefined;
  }

  /** Freezes the picture that is on, or lets it go. */
  hold(held: boolean): void {
    if (this.held === held) return;
    this.held = held;
    if (!held) this.clear();
  }

  /** The next frame is drawn even if nothing has changed. */
  redraw(): void {
    this.drawnKey = "";
  }

  /** Whether frames are made: there must be motion to make them from. */
  private generates(hasMotion: boolean): boolean {
    return hasMotion && this.between !== "none" && this.renderer.canGenerate;
  }

  /** Draws what is on now, laid out as its track is. `displayMs` is the time between two frames of the display. */
  frame(hasMotion: boolean, layoutOf: (track: VideoTrack) => Layout, displayMs: number, { views, target, force }: Surface): void {
    if (this.renderer.gl.isContextLost()) return;
    const steps = this.generates(hasMotion) ? this.pace.steps(displayMs) : 1;
    const next = this.held ? undefined : this.next(steps);
    const now = next ?? this.shown;
    if (!now) return;
    const isNew = this.shown?.picture !== now.picture || this.shown.phase !== now.phase;
    const split = this.between === "compare" ? SPLIT : 0;
    const layout = layoutOf(now.picture.track);
    const key = JSON.stringify([layout, split, views.map(({ rotation, edges }) => [...rotation, ...edges])]);
    if (!isNew) this.counts.repeated += 1;
    // Nothing moved: what was drawn stays.
    if (!isNew && key === this.drawnKey && !force) return;
    const made = this.renderer.draw(now.shown, layout, views, target, split);
    this.drawnKey = key;
    if (!isNew || !next) return;
    this.shown = now;
    this.counts.shown += 1;
    this.firstAt ??= performance.now();
    const { stamp, sentAtUs, arrivedAt, readyAt, clockAheadMs } = now.picture;
    this.clockAheadMs = clockAheadMs;
    const capturedAt = stamp.capturedAtUs / 1000 - performance.timeOrigin;
    const ageMs = performance.now() - capturedAt;
    const agesMs = { sent: (sentAtUs - stamp.capturedAtUs) / 1000, arrived: arrivedAt - capturedAt, decoded: readyAt - capturedAt };
    if (!made) {
      this.ages.push({ ageMs: ageMs - clockAheadMs, at: performance.now() });
      if (this.ages.length > AGES) this.ages.shift();
      now.picture.drawn = true;
    }
    const { between } = now.shown;
    this.drawn({ track: now.picture.track.track, stamp, phase: now.phase, ageMs, agesMs, ...(made && between ? { previous: between.previous.stamp } : {}) });
    // What lies before the two that are drawn from is not needed again.
    this.pictures.release(next.needed);
  }

  /** What is on now, and how many pictures lie before what it is drawn from. */
  private next(steps: number): { picture: Picture; shown: Shown; phase: number; needed: number } | undefined {
    // Frame callbacks are told the frame's time, which may be older than a picture that is decoded meanwhile.
    const moment = this.pace.moment(performance.now(), steps);
    if (moment === undefined) return undefined;
    const { list } = this.pictures;
    const times = list.map((picture) => picture.stamp.ptsUs / 1000);
    const fieldOf = (previous: number, current: number): MotionField | undefined => {
      const field = this.fields.get(list[current]!.stamp.frameId);
      // Pictures of two tracks may be laid out differently.
      const alike = list[current]!.track.track === list[previous]!.track.track;
      return alike && field?.previousFrameId === list[previous]!.stamp.frameId ? field : undefined;
    };
    const choice: Choice | undefined = choose(times, moment, steps, (previous, current) => fieldOf(previous, current) !== undefined);
    if (!choice) return undefined;
    const picture = list[choice.current]!;
    const shown: Shown = { current: picture };
    if (choice.previous !== undefined) {
      const [previous, field] = [list[choice.previous]!, fieldOf(choice.previous, choice.current)];
      if (field) shown.between = { previous, field, phase: choice.phase };
    }
    return { picture, shown, phase: shown.between?.phase ?? 1, needed: choice.previous ?? choice.current };
  }
}
