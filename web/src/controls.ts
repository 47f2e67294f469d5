// Looking around: mouse, touch, wheel, keys, and how the device is held.

import { deviceRotation, type Look } from "./look";

/** Degrees a second at which keys turn the view. */
const TURN_DEG_PER_S = 75;
/** Degrees that a key turns the view by where the viewer wants no gliding. */
const STEP_DEG = 15;
/** Degrees of the angle of view for one line of the wheel. */
const ZOOM_DEG = 3;

/** What a key asks for besides looking. */
export type Command = "between" | "hud" | "fullscreen" | "mute" | "louder" | "softer" | "pause" | "ahead" | "settings";

const COMMANDS: Record<string, Command> = {
  KeyG: "between",
  KeyH: "hud",
  KeyF: "fullscreen",
  KeyM: "mute",
  KeyR: "ahead",
  KeyV: "settings",
  Space: "pause",
  PageUp: "louder",
  PageDown: "softer",
};

const HELD: Record<string, [yaw: number, pitch: number, zoom: number]> = {
  ArrowRight: [1, 0, 0],
  KeyD: [1, 0, 0],
  ArrowLeft: [-1, 0, 0],
  KeyA: [-1, 0, 0],
  ArrowUp: [0, 1, 0],
  KeyW: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  KeyS: [0, -1, 0],
  Minus: [0, 0, 1],
  NumpadSubtract: [0, 0, 1],
  Equal: [0, 0, -1],
  NumpadAdd: [0, 0, -1],
};

/** Whether the viewer asks for as little motion as can be. */
export function calm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** How the device is turned: whether it can be followed, and whether it is. */
export type DeviceState = "absent" | "off" | "on";

/** Turns a look by what the viewer does on an element. */
export class Controls {
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly held = new Set<string>();
  private device: DeviceState = "DeviceOrientationEvent" in globalThis && navigator.maxTouchPoints > 0 ? "off" : "absent";
  /** The device's yaw when following began: there is ahead. */
  private deviceYaw: number | undefined;

  constructor(
    private readonly element: HTMLElement,
    private readonly look: Look,
    private readonly command: (command: Command) => void,
  ) {
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
      element.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("dblclick", () => this.command("fullscreen"));
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("keyup", (event) => this.held.delete(event.code));
    addEventListener("blur", () => this.held.clear());
  }

  private down(event: PointerEvent): void {
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  private move(event: PointerEvent): void {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const before = this.spread();
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
    // The picture follows the pointer: a drag over the whole width turns by the angle of view. Two fingers share it.
    const scale = this.look.fovDeg / Math.max(this.element.clientWidth, 1) / this.pointers.size;
    this.look.turn(-dx * scale, this.device === "on" ? 0 : dy * scale);
    const after = this.spread();
    // Spread as far apart as the tangents of half the angle of view.
    if (before > 0 && after > 0) {
      const half = Math.atan((Math.tan((this.look.fovDeg * Math.PI) / 360) * before) / after);
      this.look.zoom((half * 360) / Math.PI - this.look.fovDeg);
    }
  }

  /** Distance of two fingers. */
  private spread(): number {
    const [first, second] = [...this.pointers.values()];
    return first && second ? Math.hypot(first.x - second.x, first.y - second.y) : 0;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY / 3 : event.deltaY / 100;
    this.look.zoom(Math.min(Math.max(lines, -5), 5) * ZOOM_DEG);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement) return;
    // Where it presses a button.
    if (event.code === "Space" && event.target instanceof HTMLButtonElement) return;
    const command = COMMANDS[event.code];
    const turn = HELD[event.code];
    if (turn && calm()) {
      if (!event.repeat) this.step(turn);
    } else if (turn) this.held.add(event.code);
    else if (command && !event.repeat) this.command(command);
    else return;
    event.preventDefault();
  }

  /** Turns at once, for who wants no gliding. */
  private step([yaw, pitch, zoom]: [yaw: number, pitch: number, zoom: number]): void {
    this.look.turn(yaw * STEP_DEG, pitch * STEP_DEG);
    this.look.zoom((zoom * STEP_DEG) / 2);
  }

  /** Turns by the keys that are held for `seconds`. */
  tick(seconds: number): void {
    const step = TURN_DEG_PER_S * Math.min(seconds, 0.1);
    for (const code of this.held) {
      const [yaw, pitch, zoom] = HELD[code]!;
      this.look.turn(yaw * step, pitch * step);
      this.look.zoom(zoom * step);
    }
  }

  /** Looks ahead again. */
  ahead(): void {
    this.look.reset();
    this.deviceYaw = undefined;
  }

  get deviceState(): DeviceState {
    return this.device;
  }

  /** Begins or ends to follow how the device is held. Called from a click: some browsers ask the viewer. */
  async followDevice(follow: boolean): Promise<void> {
    if (this.device === "absent") return;
    if (!follow) {
      removeEventListener("deviceorientation", this.oriented);
      this.device = "off";
      this.look.device = undefined;
      return;
    }
    const asks = DeviceOrientationEvent as unknown as { requestPermission?: () => Promise<string> };
    if (asks.requestPermission && (await asks.requestPermission()) !== "granted") return;
    this.deviceYaw = undefined;
    addEventListener("deviceorientation", this.oriented);
    this.device = "on";
  }

  private readonly oriented = (event: DeviceOrientationEvent): void => {
    const { alpha, beta, gamma } = event;
    if (alpha === null || beta === null || gamma === null) return;
    const rotation = deviceRotation(alpha, beta, gamma, screen.orientation?.angle ?? 0);
    if (this.deviceYaw === undefined) {
      // Where the device looks now is ahead.
      this.deviceYaw = (Math.atan2(-rotation[6]!, rotation[8]!) * 180) / Math.PI;
      this.look.pitchDeg = 0;
      this.look.yawDeg = 0;
      this.look.turn(-this.deviceYaw, 0);
    }
    this.look.device = rotation;
  };
}
