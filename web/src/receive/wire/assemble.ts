// Motion fields from whatever tiles came: in order, and none waited for longer than a deadline. The same as
// `studio_stream::wire::assemble`.

import { sampleCoarse, type Coarse, type FieldHeader, type Tile } from "./tile";

/** Fields that are open at once; the oldest is handed out as it is when there would be more. */
const MAX_PENDING = 4;

/** A motion field: pairs of x and y in sixteenths of a pixel, row by row. */
export interface MotionField extends FieldHeader {
  vectors: Int16Array;
  /** Tiles it was sent in, and how many of them did not come in time. */
  tiles: number;
  lostTiles: number;
  /** Cells that nothing is known about; their motion is zero. */
  missingCells: number;
}

interface Pending {
  header: FieldHeader;
  since: number;
  vectors: Int16Array;
  known: Uint8Array;
  covered: number;
  tilesSeen: number;
  tiles: number;
  coarse?: Coarse;
}

function sameField(a: FieldHeader, b: FieldHeader): boolean {
  return (
    a.stamp.frameId === b.stamp.frameId &&
    a.stamp.ptsUs === b.stamp.ptsUs &&
    a.stamp.capturedAtUs === b.stamp.capturedAtUs &&
    a.previousFrameId === b.previousFrameId &&
    a.pictureWidth === b.pictureWidth &&
    a.pictureHeight === b.pictureHeight &&
    a.columns === b.columns &&
    a.rows === b.rows &&
    a.wraps === b.wraps
  );
}

function finish(pending: Pending): MotionField {
  const { header, vectors, known, coarse } = pending;
  let missingCells = 0;
  for (let index = 0; index < known.length && pending.covered < known.length; index += 1) {
    if (known[index] === 1) continue;
    if (coarse) {
      const [x, y] = sampleCoarse(coarse, index % header.columns, Math.floor(index / header.columns));
      vectors[index * 2] = x;
      vectors[index * 2 + 1] = y;
    } else {
      missingCells += 1;
    }
  }
  return { ...header, vectors, tiles: pending.tiles, lostTiles: Math.max(pending.tiles - pending.tilesSeen, 0), missingCells };
}

/** Puts fields together. Times are in milliseconds of one steady clock. */
export class MotionAssembler {
  private readonly pending = new Map<number, Pending>();
  private lastOut = -1;
  /** Tiles that came after their field was handed out, or that contradict it. */
  lateTiles = 0;

  constructor(private readonly deadlineMs: number) {}

  private open(header: FieldHeader, now: number): Pending | undefined {
    const frameId = header.stamp.frameId;
    if (frameId <= this.lastOut) return undefined;
    let pending = this.pending.get(frameId);
    if (!pending) {
      const cells = header.columns * header.rows;
      const [vectors, known] = [new Int16Array(cells * 2), new Uint8Array(cells)];
      pending = { header, since: now, vectors, known, covered: 0, tilesSeen: 0, tiles: 0 };
      this.pending.set(frameId, pending);
    }
    return sameField(pending.header, header) ? pending : undefined;
  }

  pushTile(tile: Tile, now: number): void {
    const pending = this.open(tile.header, now);
    if (!pending) {
      this.lateTiles += 1;
      return;
    }
    pending.tiles = Math.max(pending.tiles, tile.count);
    let fresh = false;
    for (let offset = 0; offset < tile.width * tile.height; offset += 1) {
      const x = tile.left + (offset % tile.width);
      const y = tile.top + Math.floor(offset / tile.width);
      const index = y * pending.header.columns + x;
      pending.vectors[index * 2] = tile.vectors[offset * 2]!;
      pending.vectors[index * 2 + 1] = tile.vectors[offset * 2 + 1]!;
      if (pending.known[index] === 0) {
        pending.known[index] = 1;
        pending.covered += 1;
        fresh = true;
      }
    }
    // A repeated tile covers nothing new and counts once.
    if (fresh) pending.tilesSeen += 1;
  }

  pushCoarse(coarse: Coarse, now: number): void {
    const pending = this.open(coarse.header, now);
    if (!pending) return;
    pending.tiles = Math.max(pending.tiles, coarse.tiles);
    pending.coarse = coarse;
  }

  private oldest(): Pending | undefined {
    let oldest: Pending | undefined;
    for (const pending of this.pending.values()) {
      if (!oldest || pending.header.stamp.frameId < oldest.header.stamp.frameId) oldest = pending;
    }
    return oldest;
  }

  /** When `poll` is worth calling again although nothing came. */
  nextDeadline(): number | undefined {
    const oldest = this.oldest();
    return oldest && oldest.since + this.deadlineMs;
  }

  /** The next field that is complete, or that is not waited for any longer. Call until there is none. */
  poll(now: number): MotionField | undefined {
    const first = this.oldest();
    if (!first) return undefined;
    const complete = (pending: Pending): boolean => pending.covered === pending.known.length;
    // A later field that is complete means that what this one lacks is lost: datagrams hardly overtake.
    const overtaken = [...this.pending.values()].some((pending) => pending !== first && complete(pending));
    const due = complete(first) || now >= first.since + this.deadlineMs || this.pending.size > MAX_PENDING || overtaken;
    if (!due) return undefined;
    this.lastOut = first.header.stamp.frameId;
    this.pending.delete(this.lastOut);
    return finish(first);
  }
}
