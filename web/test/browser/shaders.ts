// Runs on a page of its own: the synthesis on the vectors of the studio's CPU reference.

import { Synthesis } from "../../src/render/synthesis";
import { texture, wrapAcross } from "../../src/render/gl";

export interface Case {
  width: number;
  height: number;
  columns: number;
  rows: number;
  wraps: boolean;
  vectors: number[];
  previous: string;
  current: string;
  frames: { phase: number; rgb: string }[];
}

declare global {
  /** Makes each frame of a case; RGB as in the case. */
  var synthesize: (example: Case) => number[][];
}

const bytesOf = (hex: string): number[] => (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));

globalThis.synthesize = (example) => {
  const gl = document.createElement("canvas").getContext("webgl2")!;
  const synthesis = Synthesis.make(gl);
  if (!synthesis) throw new Error("no synthesis here");
  const { width, height, columns, rows, wraps } = example;
  const upload = (hex: string): WebGLTexture => {
    const rgba = Uint8Array.from({ length: width * height * 4 }, () => 255);
    bytesOf(hex).forEach((value, index) => (rgba[Math.floor(index / 3) * 4 + (index % 3)] = value));
    const made = texture(gl, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    wrapAcross(gl, made, wraps);
    return made;
  };
  const [previous, current] = [upload(example.previous), upload(example.current)];
  const grid = { columns, rows, pictureWidth: width, pictureHeight: height, wraps, vectors: Int16Array.from(example.vectors) };
  return example.frames.map(({ phase }) => {
    synthesis.make({ previous, current, width, height, phase }, grid);
    const rgba = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    return [...rgba].filter((_, index) => index % 4 < 3);
  });
};
