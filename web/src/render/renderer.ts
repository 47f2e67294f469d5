// Draws decoded pictures, and those between them, as the viewer looks at them.

import type { Mat3 } from "../look";
import type { Picture } from "../pictures";
import type { Edges, Projection, Stereo } from "../receive/catalog";
import type { MotionField } from "../receive/wire/assemble";
import { Pass, RenderError, texture, wrapAcross } from "./gl";
import { Synthesis } from "./synthesis";
import viewSource from "./view.glsl";

/** Pictures kept on the GPU: the two that a frame is made from, and the next. */
const UPLOADED = 3;
const NUMBERS: Record<Projection["kind"] | "flat", number> = {
  equirectangular: 0,
  halfEquirectangular: 1,
  fisheye: 2,
  cubeMap: 3,
  rectilinear: 4,
  offAxis: 5,
  flat: 6,
};

/** How a picture is laid out: as the catalog says, or as the viewer chose. */
export interface Layout {
  projection: Projection | { kind: "flat" };
  stereo: Stereo;
}

/** What one eye sees. */
export interface EyeView {
  eye: "left" | "right";
  /** From the view's space to the world's. */
  rotation: Mat3;
  /** Tangents: left, right, up, down. */
  edges: Edges;
  /** Part of the target, in pixels from the lower left. */
  viewport: { x: number; y: number; width: number; height: number };
}

/** Which picture to draw. */
export interface Shown {
  current: Picture;
  /** The picture before it, the motion between the two and the moment, for one that is made. */
  between?: { previous: Picture; field: MotionField; phase: number };
}

interface Uploaded {
  picture: Picture | undefined;
  texture: WebGLTexture;
  width: number;
  height: number;
}

/** Draws into a canvas, or into whatever framebuffer is bound. */
export class Renderer {
  /** Pictures uploaded, pictures made, views drawn. */
  readonly counts = { uploaded: 0, generated: 0, drawn: 0 };
  private readonly view: Pass;
  private synthesis: Synthesis | undefined;
  private readonly ring: Uploaded[];
  private turn = 0;

  constructor(readonly gl: WebGL2RenderingContext) {
    this.view = new Pass(gl, viewSource, ["picture"]);
    // Drivers finish a shader when it is drawn with: not only when the first picture is there.
    this.view.use([]);
    gl.viewport(0, 0, 1, 1);
    this.view.draw();
    this.synthesis = Synthesis.make(gl);
    this.ring = Array.from({ length: UPLOADED }, () => ({ picture: undefined, texture: texture(gl, gl.LINEAR), width: 0, height: 0 }));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  }

  /** Whether frames can be made here. */
  get canGenerate(): boolean {
    return this.synthesis !== undefined;
  }

  /** Puts a picture onto the GPU, once. The frame goes from the decoder to the texture without a copy of ours. */
  private upload(picture: Picture, keep?: Uploaded): Uploaded {
    const there = this.ring.find((slot) => slot.picture === picture);
    if (there) return there;
    const { gl } = this;
    let slot = this.ring[this.turn % UPLOADED]!;
    if (slot === keep) slot = this.ring[++this.turn % UPLOADED]!;
    this.turn += 1;
    const { displayWidth: width, displayHeight: height } = picture.frame;
    gl.bindTexture(gl.TEXTURE_2D, slot.texture);
    // In the same storage where the size is the same.
    if (slot.width === width && slot.height === height) {
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, picture.frame);
    } else {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, picture.frame);
    }
    Object.assign(slot, { picture, width, height });
    this.counts.uploaded += 1;
    return slot;
  }

  /** Forgets the pictures: the frames behind them are gone. */
  forget(): void {
    for (const slot of this.ring) slot.picture = undefined;
  }

  /**
   * Draws a picture for each view, and says whether it was made. `target` is the framebuffer, nothing for the canvas. Left of
   * `split`, a share of each view's width, is the received picture that is on without made ones.
   */
  draw(shown: Shown, layout: Layout, views: readonly EyeView[], target: WebGLFramebuffer | null, split = 0): boolean {
    const { gl } = this;
    const current = this.upload(shown.current);
    const { width, height } = current;
    let source = current.texture;
    let received = source;
    const { between } = shown;
    const whole = layout.projection.kind === "equirectangular";
    if (between && this.synthesis) {
      const previous = this.upload(between.previous, current);
      if (previous.width === width && previous.height === height) {
        Synthesis.repeats(gl, [previous.texture, current.texture], between.field.wraps);
        const inputs = { previous: previous.texture, current: current.texture, width, height, phase: between.phase };
        try {
          source = this.synthesis.make(inputs, between.field);
          received = previous.texture;
          this.counts.generated += 1;
        } catch (error) {
          if (!(error instanceof RenderError)) throw error;
          console.warn("no frames are made here", error);
          this.synthesis = undefined;
        }
      }
    }
    for (const each of new Set([source, received])) wrapAcross(gl, each, whole && layout.stereo !== "leftRight");
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    this.view.use([source]);
    for (const view of views) this.drawEye(view, layout, width, height);
    if (split > 0) this.drawSplit(received, layout, views, width, height, split);
    this.counts.drawn += 1;
    return source !== current.texture;
  }

  /** Draws the received picture over the left of each view, and a thin line that tells the two apart. */
  private drawSplit(received: WebGLTexture, layout: Layout, views: readonly EyeView[], width: number, height: number, split: number): void {
    const { gl } = this;
    gl.enable(gl.SCISSOR_TEST);
    this.view.use([received]);
    for (const view of views) {
      const { x, y, width: across, height: up } = view.viewport;
      const left = Math.round(across * split);
      gl.scissor(x, y, left, up);
      this.drawEye(view, layout, width, height);
      gl.scissor(x + left - 1, y, 2, up);
      gl.clearColor(1, 1, 1, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
    }
    gl.disable(gl.SCISSOR_TEST);
  }

  private drawEye(view: EyeView, layout: Layout, width: number, height: number): void {
    const { gl } = this;
    const { projection, stereo } = layout;
    const second = view.eye === "right" ? 0.5 : 0;
    const parts: Record<Stereo, Edges> = { mono: [0, 0, 1, 1], topBottom: [0, second, 1, 0.5], leftRight: [second, 0, 0.5, 1] };
    const part = parts[stereo];
    const aspect = (width * part[2]) / (height * part[3]);
    const angles = { equirectangular: 360, halfEquirectangular: 180, cubeMap: 360, offAxis: 180, flat: 180 };
    const angleDeg = "fovDeg" in projection ? projection.fovDeg : angles[projection.kind];
    const edges = projection.kind === "offAxis" ? projection[view.eye] : [1, 1, 1, 1];
    const { x, y, width: across, height: up } = view.viewport;
    gl.viewport(x, y, across, up);
    gl.uniformMatrix3fv(this.view.at("rotation"), false, view.rotation);
    gl.uniform4fv(this.view.at("view_edges"), projection.kind === "flat" ? fitted(across / up, aspect) : view.edges);
    gl.uniform4fv(this.view.at("eye"), part);
    gl.uniform2f(this.view.at("shape"), (angleDeg * Math.PI) / 180, aspect);
    gl.uniform4fv(this.view.at("picture_edges"), edges);
    gl.uniform1i(this.view.at("projection"), NUMBERS[projection.kind]);
    this.view.draw();
  }
}

/** The edges of a view in shares of a picture that just fits into it. */
function fitted(view: number, picture: number): Edges {
  const [across, up] = view > picture ? [view / picture, 1] : [1, picture / view];
  return [across, across, up, up];
}

/** The edges of a symmetrical view of a horizontal angle. */
export function edgesOf(fovDeg: number, aspect: number): Edges {
  const across = Math.tan((fovDeg * Math.PI) / 360);
  return [across, across, across / aspect, across / aspect];
}

/** Pixels across that a view needs of a whole picture, for it to be as sharp as the view. */
export function widthFor(view: EyeView, layout: Layout): number {
  const { projection, stereo } = layout;
  const eyes = stereo === "leftRight" ? 2 : 1;
  const [left, right] = view.edges;
  const viewDeg = ((Math.atan(left) + Math.atan(right)) * 180) / Math.PI;
  const angles = { equirectangular: 360, halfEquirectangular: 180, cubeMap: 270, offAxis: viewDeg, flat: viewDeg };
  const pictureDeg = "fovDeg" in projection ? projection.fovDeg : angles[projection.kind];
  return (view.viewport.width * eyes * pictureDeg) / viewDeg;
}
