// Immersive sessions in a headset: the same picture by the same projection, once for each eye.

import type { Edges } from "./catalog";
import { multiply, type Mat3 } from "./look";
import type { EyeView } from "./render/renderer";

/** The rotation in a rigid transform's matrix, columns first. */
function rotationOf(matrix: Float32Array): Mat3 {
  const at = (index: number): number => matrix[index]!;
  return new Float32Array([at(0), at(1), at(2), at(4), at(5), at(6), at(8), at(9), at(10)]);
}

/** The edges of a view, as tangents, from its projection matrix. */
export function edgesOfProjection(matrix: Float32Array): Edges {
  const [xScale, yScale, xShift, yShift] = [matrix[0]!, matrix[5]!, matrix[8]!, matrix[9]!];
  return [(1 - xShift) / xScale, (1 + xShift) / xScale, (1 + yShift) / yScale, (1 - yShift) / yScale];
}

function turned(yaw: number): Mat3 {
  return new Float32Array([Math.cos(yaw), 0, -Math.sin(yaw), 0, 1, 0, Math.sin(yaw), 0, Math.cos(yaw)]);
}

/** Whether a headset can be worn here. */
export async function headsetThere(): Promise<boolean> {
  return (await navigator.xr?.isSessionSupported("immersive-vr").catch(() => false)) ?? false;
}

/** Runs an immersive session. */
export class Immersive {
  private session: XRSession | undefined;
  /** Turns what the headset looks at into what is ahead in the stream. */
  private ahead: Mat3 = turned(0);
  private recentre = true;

  /** `frame` is called for each frame of the headset; `ended` when the session is over. */
  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly frame: (views: readonly EyeView[], target: WebGLFramebuffer | null) => void,
    private readonly ended: () => void,
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
    const session = await navigator.xr.requestSession("immersive-vr");
    this.session = session;
    session.addEventListener("end", () => {
      this.session = undefined;
      this.ended();
    });
    // The controller's button, or a pinch: what is looked at now is ahead.
    session.addEventListener("select", () => (this.recentre = true));
    try {
      await this.gl.makeXRCompatible();
      const layer = new XRWebGLLayer(session, this.gl, { antialias: false, depth: false, alpha: false });
      await session.updateRenderState({ baseLayer: layer });
      const space = await session.requestReferenceSpace("local");
      this.recentre = true;
      session.requestAnimationFrame((_, frame) => this.step(frame, layer, space));
    } catch (error) {
      await session.end();
      throw error;
    }
  }

  async end(): Promise<void> {
    await this.session?.end();
  }

  private step(frame: XRFrame, layer: XRWebGLLayer, space: XRReferenceSpace): void {
    if (this.session !== frame.session) return;
    frame.session.requestAnimationFrame((_, next) => this.step(next, layer, space));
    const pose = frame.getViewerPose(space);
    // While the headset is not found, the last picture stays.
    if (!pose) return;
    if (this.recentre) {
      const head = rotationOf(pose.transform.matrix);
      this.ahead = turned(Math.atan2(-head[6]!, head[8]!));
      this.recentre = false;
    }
    const views = pose.views.flatMap((view): EyeView[] => {
      const viewport = layer.getViewport(view);
      if (!viewport) return [];
      const { x, y, width, height } = viewport;
      const rotation = multiply(this.ahead, rotationOf(view.transform.matrix));
      const edges = edgesOfProjection(view.projectionMatrix);
      return [{ eye: view.eye === "right" ? "right" : "left", rotation, edges, viewport: { x, y, width, height } }];
    });
    this.frame(views, layer.framebuffer);
  }
}
