// Looking around by gamepad, with the buttons that the desktop's viewer has.

import type { Command } from "./controls";
import type { Look } from "./look";

/** Degrees a second at which a stick that is pushed all the way turns the view. */
const TURN_DEG_PER_S = 75;
/** A stick that is pushed less is at rest. */
const DEAD_ZONE = 0.12;

/** Buttons of the standard layout (W3C Gamepad). */
const BUTTONS: Record<number, Command> = {
  0: "between",
  1: "pause",
  2: "mute",
  9: "hud",
  11: "ahead",
  12: "louder",
  13: "softer",
};
const [LEFT_TRIGGER, RIGHT_TRIGGER] = [6, 7];

/** Reads all gamepads, once a frame. */
export class Gamepads {
  private pressed = new Set<string>();

  constructor(
    private readonly look: Look,
    private readonly command: (command: Command) => void,
  ) {}

  /** Whether there is one. */
  get there(): boolean {
    return pads().length > 0;
  }

  /** Turns by what is pushed for `seconds`. */
  tick(seconds: number): void {
    const step = TURN_DEG_PER_S * Math.min(seconds, 0.1);
    const pressed = new Set<string>();
    for (const pad of pads()) {
      // The right stick, or the only one.
      const [x = 0, y = 0] = pad.axes.length >= 4 ? pad.axes.slice(2, 4) : pad.axes;
      if (Math.hypot(x, y) > DEAD_ZONE) this.look.turn(x * step, -y * step);
      const trigger = (index: number): number => pad.buttons[index]?.value ?? 0;
      const zoom = trigger(LEFT_TRIGGER) - trigger(RIGHT_TRIGGER);
      if (zoom !== 0) this.look.zoom(zoom * step);
      pad.buttons.forEach((button, index) => {
        const command = BUTTONS[index];
        if (!button.pressed || !command) return;
        const key = `${pad.index}.${index}`;
        pressed.add(key);
        if (!this.pressed.has(key)) this.command(command);
      });
    }
    this.pressed = pressed;
  }
}

/** Gamepads that are used on the page; a headset's controllers are not. */
function pads(): Gamepad[] {
  // Pages without the permission throw.
  try {
    return navigator.getGamepads().filter((pad): pad is Gamepad => pad !== null && pad.connected && pad.mapping !== ("xr-standard" as GamepadMappingType));
  } catch {
    return [];
  }
}
