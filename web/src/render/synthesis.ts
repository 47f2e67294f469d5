// Frames that no camera took: the picture between two decoded pictures, from the motion between them. The studio's
// `studio_vision::synthesis` in its quality `Fast`, for RGB.

import { UNITS_PER_PIXEL } from "../receive/wire/tile";
import { Pass, Target, texture, wrapAcross } from "./gl";
import blendSource from "./blend.glsl";
import motionSource from "./motion.glsl";

/** What a frame is made from. The content at p in `current` was at p - motion(p) in `previous`. */
export interface SynthesisInputs {
  previous: WebGLTexture;
  current: WebGLTexture;
  width: number;
  height: number;
  /** More than 0 and less than 1: 0 is the previous picture, 1 the current one. */
  phase: number;
}

/** The part of a motion field that synthesis needs. */
export interface MotionGrid {
  columns: number;
  rows: number;
  pictureWidth: number;
  pictureHeight: number;
  wraps: boolean;
  /** Pairs of x and y in sixteenths of a pixel. */
  vectors: Int16Array;
}

/** Makes frames between two pictures. */
export class Synthesis {
  private readonly motion: Pass;
  private readonly blend: Pass;
  private readonly blocks: Target;
  private readonly made: Target;
  private readonly grid: WebGLTexture;
  private field: MotionGrid | undefined;

  /** Nothing where the GPU cannot draw into textures of floats. */
  static make(gl: WebGL2RenderingContext): Synthesis | undefined {
    return gl.getExtension("EXT_color_buffer_float") ? new Synthesis(gl) : undefined;
  }

  private constructor(private readonly gl: WebGL2RenderingContext) {
    this.motion = new Pass(gl, motionSource, ["previous", "current", "motion_grid"]);
    this.blend = new Pass(gl, blendSource, ["previous", "current", "motion_blocks"]);
    this.blocks = new Target(gl, gl.RG32F, gl.NEAREST);
    this.made = new Target(gl, gl.RGBA8, gl.LINEAR);
    this.grid = texture(gl, gl.LINEAR);
  }

  /** Uploads a field, unless it is the one that is there. */
  private upload(field: MotionGrid): void {
    if (this.field === field) return;
    const { gl } = this;
    const pixels = Float32Array.from(field.vectors, (value) => value / UNITS_PER_PIXEL);
    wrapAcross(gl, this.grid, field.wraps);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG16F, field.columns, field.rows, 0, gl.RG, gl.FLOAT, pixels);
    this.field = field;
  }

  /** Makes a frame; the texture holds it until the next one is made. Pictures must repeat across where the field wraps. */
  make(inputs: SynthesisInputs, field: MotionGrid): WebGLTexture {
    const { gl } = this;
    const { previous, current, width, height, phase } = inputs;
    this.upload(field);
    this.blocks.bind((width + 1) >> 1, (height + 1) >> 1);
    this.motion.use([previous, current, this.grid]);
    gl.uniform2f(this.motion.at("uv_per_motion"), 1 / field.pictureWidth, 1 / field.pictureHeight);
    gl.uniform1f(this.motion.at("phase"), phase);
    gl.uniform1i(this.motion.at("wraps"), field.wraps ? 1 : 0);
    gl.uniform2f(this.motion.at("size"), width, height);
    this.motion.draw();
    this.made.bind(width, height);
    this.blend.use([previous, current, this.blocks.texture]);
    gl.uniform1f(this.blend.at("phase"), phase);
    gl.uniform2f(this.blend.at("size"), width, height);
    this.blend.draw();
    return this.made.texture;
  }

  /** Whether pictures are to repeat across for this field. */
  static repeats(gl: WebGL2RenderingContext, pictures: readonly WebGLTexture[], wraps: boolean): void {
    for (const picture of pictures) wrapAcross(gl, picture, wraps);
  }
}
