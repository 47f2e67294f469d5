// Immersive sessions in a headset: the same picture by the same projection once for each eye, or as a layer that the headset
// itself shows, where it has such.

import type { Command } from "../controls";
import { multiply, type Mat3 } from "../look";
import type { EyeView, Layout } from "../render/renderer";
import { Buttons } from "./buttons";
import { Layers, shapeOf } from "./layers";
import { Panel, type PanelCommand, type PanelContent, type SpaceView } from "./panel";
import { edgesOfProjection, placeOf, rotationOf, turned, yawOf } from "./pose";

/** A step to the side by the stick: quick, as slow turns make sick. */
const STEP = Math.PI / 6;

/** A frame to draw. */
export interface HeadsetFrame {
  views: readonly EyeView[];
  /** Where the head looks in the stream's world. */
  gaze: Mat3;
  target: WebGLFramebuffer | null;
  /** Whether the views are the picture itself, as it came, for a layer. */
  whole: boolean;
  /** Whether it must be drawn even if nothing changed. */
  force: boolean;
}

/** What a session shows and to whom it belongs. */
export interface HeadsetHost {
  /** Draws a frame. */
  frame(frame: HeadsetFrame): void;
  /** How the picture is laid out and its size in pixels; nothing while there is none, or where each eye's view must be drawn. */
  whole(): { layout: Layout; width: number; height: number } | undefined;
  command(command: Command): void;
  panel(): PanelContent;
  /** The session is over. */
  ended(): void;
}

/** Whether a headset can be worn here. */
export async function headsetThere(): Promise<boolean> {
  return (await navigator.xr?.isSessionSupported("immersive-vr").catch(() => false)) ?? false;
}

/** What goes on in a session. */
interface Running {
  session: XRSession;
  base: XRWebGLLayer;
  space: XRReferenceSpace;
  layers: Layers | undefined;
}

/** Runs an immersive session. */
export class Immersive {
  private session: XRSession | undefined;
  /** Where one looks in the headset's space, to the right, to see what is ahead in the stream. */
  private yaw = 0;
  private recentre = true;
  private panel: Panel | undefined;
  private buttons = new Buttons();
  private calls = 0;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly host: HeadsetHost,
  ) {}

  get running(): boolean {
    return this.session !== undefined;
  }

  /** Time between two frames of the headset in milliseconds, where it says so. */
  get displayMs(): number | undefined {
    return this.session?.frameRate ? 1000 / this.session.frameRate : undefined;
  }

  /** Begins a session; called from a click. Throws what the browser says. */
  async start(): Promise<void> {
    if (this.session || !navigator.xr) return;
    const session = await navigator.xr.requestSession("immersive-vr", { optionalFeatures: ["layers", "hand-tracking"] });
    this.session = session;
    session.addEventListener("end", () => {
      this.session = undefined;
      this.panel?.hide();
      this.host.ended();
    });
    try {
      await this.gl.makeXRCompatible();
      const base = new XRWebGLLayer(session, this.gl, { antialias: false, depth: false, alpha: false });
      await session.updateRenderState({ baseLayer: base });
      const space = await session.requestReferenceSpace("local");
      this.panel ??= new Panel(this.gl);
      this.buttons = new Buttons();
      this.recentre = true;
      const running = { session, base, space, layers: Layers.make(session, this.gl, space) };
      session.addEventListener("select", (event) => this.select(event, space));
      session.requestAnimationFrame((_, frame) => this.step(frame, running));
    } catch (error) {
      await session.end();
      throw error;
    }
  }

  /** What is looked at now is ahead. */
  ahead(): void {
    this.recentre = true;
  }

  /** Ends the session. */
  async end(): Promise<void> {
    await this.session?.end();
  }

  private obey(command: PanelCommand): void {
    if (command === "exit") void this.end();
    else this.host.command(command);
  }

  /** A trigger or a pinch: presses what it points at; else the left hand calls the panel, and the right one looks ahead. */
  private select({ frame, inputSource }: XRInputSourceEvent, space: XRReferenceSpace): void {
    const ray = frame.getPose(inputSource.targetRaySpace, space)?.transform.matrix;
    const pressed = ray && this.panel ? this.panel.press(ray) : false;
    if (pressed) return this.obey(pressed);
    if (pressed === undefined) return;
    if (inputSource.handedness === "left") this.calls += 1;
    else this.ahead();
  }

  private step(frame: XRFrame, running: Running): void {
    const { session, space, layers } = running;
    if (this.session !== session) return;
    session.requestAnimationFrame((_, next) => this.step(next, running));
    const pose = frame.getViewerPose(space);
    // While the headset is not found, the last picture stays.
    if (!pose) return;
    const head = pose.transform.matrix;
    this.input(frame, space, head);
    if (this.recentre) {
      this.yaw = yawOf(rotationOf(head));
      this.recentre = false;
    }
    const { panel } = this;
    panel?.renew(performance.now(), () => this.host.panel());
    const gaze = multiply(turned(this.yaw), rotationOf(head));
    if (layers && this.layered(layers, gaze, frame)) {
      if (panel) layers.board(panel.board, panel.canvas, panel.version, frame, (into) => panel.upload(into));
      return;
    }
    if (layers?.shown) {
      layers.leave();
      void session.updateRenderState({ baseLayer: running.base });
    }
    const views = viewsOf(pose, running.base, turned(this.yaw));
    this.host.frame({ views, gaze, target: running.base.framebuffer, whole: false, force: true });
    panel?.draw(views, running.base.framebuffer);
  }

  /** Shows the picture by a layer; `false` where there is none for it. */
  private layered(layers: Layers, gaze: Mat3, frame: XRFrame): boolean {
    const whole = this.host.whole();
    const shape = whole && shapeOf(whole.layout, whole.width, whole.height);
    if (!shape) return false;
    const { target, width, height, stale } = layers.target(shape, this.yaw, frame);
    const view: EyeView = { eye: "left", rotation: gaze, edges: [1, 1, 1, 1], viewport: { x: 0, y: 0, width, height } };
    this.host.frame({ views: [view], gaze, target, whole: true, force: stale });
    return true;
  }

  private input(frame: XRFrame, space: XRReferenceSpace, head: Float32Array): void {
    const { panel } = this;
    if (!panel || !this.session) return;
    for (; this.calls > 0; this.calls -= 1) panel.toggle(head);
    const sources = [...this.session.inputSources];
    for (const press of this.buttons.poll(sources, performance.now())) {
      if (press === "panel") panel.toggle(head);
      else if (typeof press === "number") this.yaw -= press * STEP;
      else this.obey(press);
    }
    if (!panel.board) return;
    panel.point(sources.flatMap((source) => frame.getPose(source.targetRaySpace, space)?.transform.matrix ?? []));
  }
}

function viewsOf(pose: XRViewerPose, base: XRWebGLLayer, forward: Mat3): SpaceView[] {
  return pose.views.flatMap((view): SpaceView[] => {
    const viewport = base.getViewport(view);
    if (!viewport) return [];
    const { x, y, width, height } = viewport;
    const { matrix } = view.transform;
    const spaceRotation = rotationOf(matrix);
    const edges = edgesOfProjection(view.projectionMatrix);
    const eye = view.eye === "right" ? "right" : "left";
    return [{ eye, rotation: multiply(forward, spaceRotation), edges, viewport: { x, y, width, height }, place: placeOf(matrix), spaceRotation }];
  });
}
