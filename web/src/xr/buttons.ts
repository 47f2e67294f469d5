// Controllers of a headset: buttons and sticks of the layout `xr-standard` (WebXR Gamepads Module).

import type { PanelCommand } from "./panel";

/** A stick that is pushed so far counts; below the lower bound it is at rest again. */
const [PUSHED, AT_REST] = [0.7, 0.3];
/** The grip leaves the headset's view when it is held so long. */
const LEAVE_MS = 1000;
const [GRIP, STICK, FIRST, SECOND] = [1, 3, 4, 5];

/** What controllers ask for: a command, the panel, or a step to the left (-1) or right (1). */
export type Press = PanelCommand | "panel" | -1 | 1;

/** Reads controllers once a frame. */
export class Buttons {
  private readonly held = new Map<string, number>();
  private readonly pushed = new Set<string>();

  /** What is asked for since the last call. */
  poll(sources: Iterable<XRInputSource>, now: number): Press[] {
    const presses: Press[] = [];
    for (const { gamepad, handedness } of sources) {
      if (!gamepad) continue;
      const edge = (index: number, press: Press): void => {
        if (this.begins(`${handedness}.${index}`, gamepad.buttons[index]?.pressed === true)) presses.push(press);
      };
      edge(STICK, "mute");
      edge(FIRST, "pause");
      edge(SECOND, "panel");
      const [x = 0, y = 0] = gamepad.axes.slice(2, 4);
      for (const [name, value, press] of [["right", x, 1], ["left", -x, -1], ["up", -y, "louder"], ["down", y, "softer"]] as const) {
        const key = `${handedness}.${name}`;
        if (this.begins(key, value > (this.pushed.has(key) ? AT_REST : PUSHED))) presses.push(press);
      }
      const grip = `${handedness}.grip`;
      if (gamepad.buttons[GRIP]?.pressed !== true) this.held.delete(grip);
      else if (!this.held.has(grip)) this.held.set(grip, now);
      else if (now - this.held.get(grip)! > LEAVE_MS) presses.push("exit");
    }
    return presses;
  }

  /** Whether something that was not on is on now. */
  private begins(key: string, on: boolean): boolean {
    const before = this.pushed.has(key);
    if (on) this.pushed.add(key);
    else this.pushed.delete(key);
    return on && !before;
  }
}
