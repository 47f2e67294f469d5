// Runs on the page before its own script: reads back what the page draws.

import type { Stats } from "../../src/figures";
import type { Drawn } from "../../src/player";
import { readMark } from "./mark";

/** What the eyes saw in one drawn picture. */
export interface Sight {
  frameId: number;
  track: string;
  previousFrameId: number | undefined;
  phase: number;
  ageMs: number;
  agesMs: Drawn["agesMs"];
  /** The frame number that is readable in the picture itself; nothing where it cannot be read. */
  mark: number | undefined;
  /** Age by the mark, in milliseconds. */
  markAgeMs: number | undefined;
  at: number;
  /** Whether the picture is white at a quarter of its height: the flash of a clap. */
  white: boolean;
}

/** A block of sound that the page had played. */
export interface Heard {
  /** When its first loud sample leaves the sound card, by the page's clock; its first sample where none is loud. */
  at: number;
  loud: boolean;
}

declare global {
  /** What the tests see with. */
  var eyes: {
    /** Reads the mark in each picture (or one of so many), which must be as large as it was sent, and keeps what is seen. */
    watch(every?: number): void;
    sights: Sight[];
    /** When the page could have drawn, by `performance.now()`, while it is watched. */
    turns: number[];
    heard: Heard[];
    /** The next picture that `wanted` says yes to, as RGBA from the top left. */
    picture(wanted?: "any" | "decoded" | "made"): Promise<{ width: number; height: number; rgba: number[]; detail: Drawn }>;
    /** Colours of the next picture at places in shares of its width and height, when all of the frame is drawn. */
    pixels(places: [number, number][]): Promise<number[][]>;
    /** Keeps the next decoded, made and decoded picture in a row, of which the second lies between the others. */
    triple(): Promise<{ width: number; height: number; pictures: number[][]; phases: number[] }>;
    stats(): Stats | undefined;
  };
}

/** Reads the canvas, or some of its rows from the top; only right after it was drawn. */
function read(top = 0, count?: number): { width: number; height: number; rgba: Uint8Array } {
  const canvas = document.getElementById("picture") as HTMLCanvasElement;
  const gl = canvas.getContext("webgl2")!;
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  const [width, height] = [canvas.width, count ?? canvas.height];
  const rows = new Uint8Array(width * height * 4);
  gl.readPixels(0, canvas.height - top - height, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rows);
  const rgba = new Uint8Array(rows.length);
  for (let y = 0; y < height; y += 1) rgba.set(rows.subarray((height - 1 - y) * width * 4, (height - y) * width * 4), y * width * 4);
  return { width, height, rgba };
}

function isWhite(): boolean {
  const { rgba } = read(Math.floor((document.getElementById("picture") as HTMLCanvasElement).height / 4), 1);
  return rgba.every((value) => value > 200);
}

const listeners = new Set<(drawn: Drawn) => void>();
const sights: Sight[] = [];
const turns: number[] = [];

const heard: Heard[] = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when = 0, ...rest) {
  const { contextTime, performanceTime } = (this.context as AudioContext).getOutputTimestamp();
  const samples = this.buffer!.getChannelData(0);
  const loud = samples.findIndex((value) => Math.abs(value) > 0.05);
  const at = performanceTime! + (when + Math.max(loud, 0) / this.buffer!.sampleRate - contextTime!) * 1000;
  heard.push({ at, loud: loud >= 0 });
  return start.call(this, when, ...rest);
};

globalThis.eyes = {
  sights,
  turns,
  heard,
  watch(every = 1) {
    let count = 0;
    const turn = (): void => {
      requestAnimationFrame(turn);
      turns.push(performance.now());
    };
    turn();
    listeners.add((drawn) => {
      count += 1;
      if (count % every !== 0) return;
      const { width, height } = document.getElementById("picture") as HTMLCanvasElement;
      const mark = readMark(width, height, (top, rows) => read(top, rows).rgba);
      sights.push({
        frameId: drawn.stamp.frameId,
        track: drawn.track,
        previousFrameId: drawn.previous?.frameId,
        phase: drawn.phase,
        ageMs: drawn.ageMs,
        agesMs: drawn.agesMs,
        mark: mark?.frameId,
        markAgeMs: mark && Date.now() - mark.capturedAtMs,
        at: performance.now(),
        white: isWhite(),
      });
    });
  },
  picture(wanted = "any") {
    return new Promise((resolve) => {
      const listen = (drawn: Drawn): void => {
        if ((wanted === "made") !== (drawn.previous !== undefined) && wanted !== "any") return;
        listeners.delete(listen);
        const { width, height, rgba } = read();
        resolve({ width, height, rgba: [...rgba], detail: drawn });
      };
      listeners.add(listen);
    });
  },
  pixels(places) {
    return new Promise((resolve) => {
      const listen = (): void => {
        listeners.delete(listen);
        // What else draws in this frame draws before: a headset's layers.
        queueMicrotask(() => {
          const { width, height, rgba } = read();
          resolve(places.map(([x, y]) => [...rgba.subarray((Math.floor(y * height) * width + Math.floor(x * width)) * 4).subarray(0, 3)]));
        });
      };
      listeners.add(listen);
    });
  },
  triple() {
    return new Promise((resolve) => {
      let kept: { id: number; phase: number; rgba: number[] }[] = [];
      const listen = (drawn: Drawn): void => {
        const seen = read();
        const made = drawn.previous !== undefined;
        const id = drawn.stamp.frameId;
        // A quick display draws several between two: one is enough.
        if (kept.length === 2 && made && drawn.previous!.frameId === kept[0]?.id) return;
        const wanted = [!made, made && drawn.previous!.frameId === kept[0]?.id, !made && id === kept[1]?.id][kept.length];
        if (!wanted) kept = [];
        if (wanted || !made) kept.push({ id, phase: drawn.phase, rgba: [...seen.rgba] });
        if (kept.length < 3) return;
        listeners.delete(listen);
        resolve({ width: seen.width, height: seen.height, pictures: kept.map(({ rgba }) => rgba), phases: kept.map(({ phase }) => phase) });
      };
      listeners.add(listen);
    });
  },
  stats: () => globalThis.neuralStudio?.stats(),
};

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("picture")?.addEventListener("drawn", (event) => {
    for (const listener of [...listeners]) listener((event as CustomEvent<Drawn>).detail);
  });
});
