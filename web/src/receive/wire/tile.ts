// Motion fields in datagrams, each a self-contained tile, and the coarse copy. The same as `studio_stream::wire::tile`.

import { decodeCells } from "./cells";
import { Reader, WireError } from "./reader";
import type { Stamp } from "./unit";

/** Cells of a field at most, as `MotionField::MAX_CELLS`. */
export const MAX_CELLS = 960 * 480;
/** Vectors are transmitted in so many parts of a pixel. */
export const UNITS_PER_PIXEL = 16;

const MAX_TILES = 4096;
const MAX_TILE_CELLS = 64 * 32;
const MAX_PICTURE_PX = 65_536;
const VERSION = 1;
const WRAPS = 1;
const TILE = 1;
const COARSE = 2;

/** What every part of a field says about it. */
export interface FieldHeader {
  /** The frame whose content moved. */
  stamp: Stamp;
  /** The frame that it moved from. */
  previousFrameId: number;
  /** Size of the picture that the vectors are measured in, in pixels. */
  pictureWidth: number;
  pictureHeight: number;
  /** The whole field's size in cells. */
  columns: number;
  rows: number;
  /** Whether the left and right edges meet. */
  wraps: boolean;
}

/** A rectangle of a field. */
export interface Tile {
  header: FieldHeader;
  index: number;
  count: number;
  left: number;
  top: number;
  width: number;
  height: number;
  /** Pairs of x and y in sixteenths of a pixel, row by row. */
  vectors: Int16Array;
}

/** A whole field at a fraction of its resolution. */
export interface Coarse {
  header: FieldHeader;
  /** Tiles that the full field has. */
  tiles: number;
  columns: number;
  rows: number;
  vectors: Int16Array;
}

function takeHeader(reader: Reader, kind: number): FieldHeader {
  const first = reader.u8();
  if (first >> 4 !== VERSION) throw new WireError(`wire version ${first >> 4} is not spoken here; load the page again`);
  if ((first & 0xf) !== kind) throw new WireError(`message kind ${first & 0xf} is not expected here`);
  const wraps = (reader.u8() & WRAPS) !== 0;
  const frameId = reader.varint();
  const previousFrameId = frameId - reader.varint();
  const stamp = { frameId, capturedAtUs: reader.microsFromNanos(), ptsUs: reader.microsFromNanos() };
  const picture = "the size of the picture";
  const [pictureWidth, pictureHeight] = [reader.varintUpTo(MAX_PICTURE_PX, picture), reader.varintUpTo(MAX_PICTURE_PX, picture)];
  if (pictureWidth === 0 || pictureHeight === 0) throw new WireError(`${picture} is out of range`);
  const grid = "the size of the motion grid";
  const [columns, rows] = [reader.varintUpTo(MAX_CELLS, grid), reader.varintUpTo(MAX_CELLS, grid)];
  if (columns * rows < 1 || columns * rows > MAX_CELLS) throw new WireError(`${grid} is out of range`);
  return { stamp, previousFrameId, pictureWidth, pictureHeight, columns, rows, wraps };
}

/** Reads a tile; throws `WireError` for anything else. */
export function decodeTile(bytes: Uint8Array): Tile {
  const reader = new Reader(bytes);
  const header = takeHeader(reader, TILE);
  const index = reader.varintUpTo(MAX_TILES, "the number of a tile");
  const count = reader.varintUpTo(MAX_TILES, "the number of tiles");
  if (index >= count) throw new WireError("the number of a tile is out of range");
  const what = "a tile's rectangle";
  const [left, top] = [reader.varintUpTo(header.columns, what), reader.varintUpTo(header.rows, what)];
  const [width, height] = [reader.varintUpTo(header.columns - left, what), reader.varintUpTo(header.rows - top, what)];
  if (width * height < 1 || width * height > MAX_TILE_CELLS) throw new WireError(`${what} is out of range`);
  return { header, index, count, left, top, width, height, vectors: decodeCells(reader.rest(), width * height, width) };
}

/** Reads a coarse copy; throws `WireError` for anything else. */
export function decodeCoarse(bytes: Uint8Array): Coarse {
  const reader = new Reader(bytes);
  const header = takeHeader(reader, COARSE);
  const tiles = reader.varintUpTo(MAX_TILES, "the number of tiles");
  const what = "the size of the coarse grid";
  const [columns, rows] = [reader.varintUpTo(header.columns, what), reader.varintUpTo(header.rows, what)];
  if (columns === 0 || rows === 0) throw new WireError(`${what} is out of range`);
  return { header, tiles, columns, rows, vectors: decodeCells(reader.rest(), columns * rows, columns) };
}

/** The motion at the centre of a cell of the full grid, bilinear, in sixteenths of a pixel. */
export function sampleCoarse(coarse: Coarse, column: number, row: number): [number, number] {
  const x = ((column + 0.5) / coarse.header.columns) * coarse.columns - 0.5;
  const y = ((row + 0.5) / coarse.header.rows) * coarse.rows - 0.5;
  const [baseX, baseY] = [Math.floor(x), Math.floor(y)];
  const cell = (dx: number, dy: number, component: number): number => {
    const at = baseX + dx;
    const columns = coarse.columns;
    const wrapped = coarse.header.wraps ? ((at % columns) + columns) % columns : Math.min(Math.max(at, 0), columns - 1);
    const clamped = Math.min(Math.max(baseY + dy, 0), coarse.rows - 1);
    return coarse.vectors[(clamped * columns + wrapped) * 2 + component]!;
  };
  const mix = (a: number, b: number, share: number): number => a + (b - a) * share;
  const at = (component: number): number => {
    const upper = mix(cell(0, 0, component), cell(1, 0, component), x - baseX);
    const lower = mix(cell(0, 1, component), cell(1, 1, component), x - baseX);
    const value = mix(upper, lower, y - baseY);
    // Halves away from zero, as Rust rounds.
    return Math.sign(value) * Math.round(Math.abs(value));
  };
  return [at(0), at(1)];
}
