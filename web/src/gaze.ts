// Where the viewer looks, some times a second, for the report to the studio.

import { directionOf, type Mat3 } from "./look";
import { MAX_GAZE, type Gaze } from "./receive/report";

/** Time between two places. */
const EVERY_MS = 100;

export class GazeLog {
  private places: Gaze[] = [];
  private notedAt = -Infinity;

  /** Notes where a view looks; called with every frame. */
  note(rotation: Mat3, at: number): void {
    if (at - this.notedAt < EVERY_MS) return;
    this.notedAt = at;
    this.places.push({ at, ...directionOf(rotation) });
    if (this.places.length > MAX_GAZE) this.places.shift();
  }

  /** What was noted since the last call. */
  take(): Gaze[] {
    const taken = this.places;
    this.places = [];
    return taken;
  }
}
