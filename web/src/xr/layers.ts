// Composition layers (WebXR Layers API): the headset itself shows the picture on a sphere or on a plane. It is then sampled once,
// at the headset's own rate, and drawn by the page only when it changes.

import type { Layout } from "../render/renderer";
import { orientation, type Board, type Vec3 } from "./pose";

/** A flat picture without an angle of its own is so wide, in degrees, and a plane so far away, in metres. */
const [FLAT_DEG, AWAY_M] = [90, 2];

const STEREO: Record<Layout["stereo"], XRLayerLayout> = { mono: "mono", leftRight: "stereo-left-right", topBottom: "stereo-top-bottom" };

/** A picture as a layer: its shape and its size in pixels. */
export interface Shape {
  kind: "equirect" | "quad";
  /** What of the sphere it covers, or how wide a plane appears, in radians. */
  angle: number;
  stereo: Layout["stereo"];
  width: number;
  height: number;
}

/** The layer that shows a picture of this layout; nothing where only a view that is drawn for each eye does. */
export function shapeOf(layout: Layout, width: number, height: number): Shape | undefined {
  const { projection, stereo } = layout;
  const radians = Math.PI / 180;
  switch (projection.kind) {
    case "equirectangular":
      return { kind: "equirect", angle: 2 * Math.PI, stereo, width, height };
    case "halfEquirectangular":
      return { kind: "equirect", angle: Math.PI, stereo, width, height };
    case "rectilinear":
      return { kind: "quad", angle: projection.fovDeg * radians, stereo, width, height };
    case "flat":
      return { kind: "quad", angle: FLAT_DEG * radians, stereo, width, height };
    default:
      return undefined;
  }
}

/** Layers of one session, where its browser has them. */
export class Layers {
  private readonly binding: XRWebGLBinding;
  private readonly frame: WebGLFramebuffer;
  private picture: { layer: XREquirectLayer | XRQuadLayer; key: string } | undefined;
  private panel: { layer: XRQuadLayer; version: number } | undefined;
  private yaw = 0;

  /** Nothing where the browser has no layers. */
  static make(session: XRSession, gl: WebGL2RenderingContext, space: XRReferenceSpace): Layers | undefined {
    if (typeof XRWebGLBinding === "undefined" || !("createEquirectLayer" in XRWebGLBinding.prototype)) return undefined;
    try {
      return new Layers(session, gl, space);
    } catch {
      return undefined;
    }
  }

  private constructor(
    private readonly session: XRSession,
    private readonly gl: WebGL2RenderingContext,
    private readonly space: XRReferenceSpace,
  ) {
    this.binding = new XRWebGLBinding(session, gl);
    this.frame = gl.createFramebuffer();
  }

  /** Where to draw a picture of this shape, and whether it must be drawn now. Throws where the headset refuses such a layer. */
  target(shape: Shape, yaw: number, frame: XRFrame): { target: WebGLFramebuffer; width: number; height: number; stale: boolean } {
    const key = JSON.stringify(shape);
    const fresh = this.picture?.key !== key;
    if (fresh) {
      this.picture = { layer: this.make(shape), key };
      this.show();
    }
    const { layer } = this.picture!;
    if (fresh || yaw !== this.yaw) {
      this.yaw = yaw;
      layer.transform = new XRRigidTransform(place(shape.kind === "quad" ? ahead(yaw) : [0, 0, 0]), orientation(yaw));
    }
    const stale = fresh || layer.needsRedraw === true;
    const image = this.binding.getSubImage(layer, frame);
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, image.colorTexture, 0);
    return { target: this.frame, width: shape.width, height: shape.height, stale };
  }

  private make({ kind, angle, stereo, width, height }: Shape): XREquirectLayer | XRQuadLayer {
    const { space } = this;
    const [across, down] = [stereo === "leftRight" ? 2 : 1, stereo === "topBottom" ? 2 : 1];
    const init = {
      space, layout: STEREO[stereo], viewPixelWidth: width / across, viewPixelHeight: height / down, isStatic: false,
    };
    if (kind === "equirect") {
      const vertical = { upperVerticalAngle: Math.PI / 2, lowerVerticalAngle: -Math.PI / 2 };
      return this.binding.createEquirectLayer({ ...init, radius: 0, centralHorizontalAngle: angle, ...vertical });
    }
    // WebXR measures a plane's width and height from its middle.
    const half = Math.tan(angle / 2) * AWAY_M;
    return this.binding.createQuadLayer({ ...init, width: half, height: (half * height * across) / (width * down) });
  }

  /** Shows a board over the picture, or none; `upload` fills its texture. */
  board(board: Board | undefined, size: { width: number; height: number }, version: number, frame: XRFrame, upload: (into: WebGLTexture) => void): void {
    if (!board) {
      if (!this.panel) return;
      this.panel = undefined;
      return this.show();
    }
    if (!this.panel) {
      const init = { space: this.space, layout: "mono" as const, viewPixelWidth: size.width, viewPixelHeight: size.height };
      const layer = this.binding.createQuadLayer({ ...init, isStatic: false, width: board.width / 2, height: board.height / 2 });
      layer.transform = new XRRigidTransform(place(board.centre), orientation(board.yaw));
      this.panel = { layer, version: -1 };
      this.show();
    }
    const { layer, version: before } = this.panel;
    if (before === version && layer.needsRedraw !== true) return;
    upload(this.binding.getSubImage(layer, frame).colorTexture);
    this.panel.version = version;
  }

  /** Whether the picture is shown by a layer. */
  get shown(): boolean {
    return this.picture !== undefined;
  }

  /** The page draws each eye's view itself again. */
  leave(): void {
    this.picture = undefined;
    this.panel = undefined;
  }

  private show(): void {
    const layers: XRLayer[] = [];
    if (this.picture) layers.push(this.picture.layer);
    if (this.panel) layers.push(this.panel.layer);
    void this.session.updateRenderState({ layers });
  }
}

const place = ([x, y, z]: Vec3): DOMPointInit => ({ x, y, z, w: 1 });
const ahead = (yaw: number): Vec3 => [Math.sin(yaw) * AWAY_M, 0, -Math.cos(yaw) * AWAY_M];
