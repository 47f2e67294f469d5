// The wire as the studio writes it: `test/vectors/wire.json` is written by `studio_stream`'s own tests, from its own code.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MotionAssembler } from "../../src/receive/wire/assemble";
import { WireError } from "../../src/receive/wire/reader";
import { decodeCoarse, decodeTile, sampleCoarse, type FieldHeader } from "../../src/receive/wire/tile";
import { decodeUnit, MAX_UNIT_BYTES } from "../../src/receive/wire/unit";

interface Stamp {
  frameId: number;
  capturedAtUs: number;
  ptsUs: number;
}

interface Vectors {
  units: { bytes: string; stamp: Stamp; sentAtUs: number; keyFrame: boolean; data: string }[];
  fields: {
    stamp: Stamp;
    previousFrameId: number;
    picture: [number, number];
    grid: [number, number];
    wraps: boolean;
    vectors: number[];
    tiles: string[];
    coarse: string;
    /** What `Coarse::sample` gives for each cell. */
    coarseVectors: number[];
  }[];
}

const vectors = JSON.parse(readFileSync("test/vectors/wire.json", "utf8")) as Vectors;
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));

test("access units are read as the studio writes them", () => {
  assert.ok(vectors.units.length >= 3);
  for (const sent of vectors.units) {
    const unit = decodeUnit(bytesOf(sent.bytes), MAX_UNIT_BYTES);
    assert.deepEqual(unit.stamp, sent.stamp);
    assert.equal(unit.sentAtUs, sent.sentAtUs);
    assert.equal(unit.keyFrame, sent.keyFrame);
    assert.deepEqual(unit.data, bytesOf(sent.data));
  }
});

test("motion fields come out of their tiles as they went in, in whatever order these come", () => {
  for (const sent of vectors.fields) {
    const assembler = new MotionAssembler(30);
    for (const bytes of [...sent.tiles].reverse()) assembler.pushTile(decodeTile(bytesOf(bytes)), 0);
    const field = assembler.poll(0);
    assert.ok(field);
    assert.deepEqual([...field.vectors], sent.vectors);
    const header: FieldHeader = field;
    assert.deepEqual(header.stamp, sent.stamp);
    assert.deepEqual([field.pictureWidth, field.pictureHeight, field.columns, field.rows], [...sent.picture, ...sent.grid]);
    assert.deepEqual([field.wraps, field.previousFrameId, field.tiles], [sent.wraps, sent.previousFrameId, sent.tiles.length]);
    assert.deepEqual([field.lostTiles, field.missingCells], [0, 0]);
  }
});

test("the coarse copy fills what was lost, as in the studio", () => {
  for (const sent of vectors.fields) {
    const coarse = decodeCoarse(bytesOf(sent.coarse));
    assert.equal(coarse.tiles, sent.tiles.length);
    const [columns, rows] = sent.grid;
    const sampled: number[] = [];
    for (let row = 0; row < rows; row += 1) for (let column = 0; column < columns; column += 1) sampled.push(...sampleCoarse(coarse, column, row));
    // Single and double precision round some halves differently.
    sampled.forEach((value, index) => assert.ok(Math.abs(value - sent.coarseVectors[index]!) <= 1, `cell ${index >> 1}: ${value}`));
    const assembler = new MotionAssembler(30);
    assembler.pushCoarse(coarse, 0);
    const lost = decodeTile(bytesOf(sent.tiles[0]!));
    for (const bytes of sent.tiles.slice(1)) assembler.pushTile(decodeTile(bytesOf(bytes)), 5);
    assert.equal(assembler.poll(29), undefined, "it waits until the deadline");
    assert.equal(assembler.nextDeadline(), 30);
    const field = assembler.poll(30);
    assert.equal(field?.lostTiles, 1);
    const at = (lost.top * columns + lost.left) * 2;
    assert.deepEqual([...field.vectors.slice(at, at + 2)], sampled.slice(at, at + 2));
    assembler.pushTile(lost, 31);
    assert.equal(assembler.lateTiles, 1);
  }
});

test("fields come in order, and one that a later one overtook is not waited for", () => {
  const [first, second] = vectors.fields;
  assert.ok(first && second && first.stamp.frameId < second.stamp.frameId && first.tiles.length > 1);
  const assembler = new MotionAssembler(1000);
  assembler.pushTile(decodeTile(bytesOf(first.tiles[0]!)), 0);
  for (const bytes of second.tiles) assembler.pushTile(decodeTile(bytesOf(bytes)), 0);
  const order = [assembler.poll(0), assembler.poll(0)].map((field) => [field?.stamp.frameId, (field?.missingCells ?? 0) > 0]);
  assert.deepEqual(order, [[first.stamp.frameId, true], [second.stamp.frameId, false]]);
});

test("damage is refused, and nothing else happens", () => {
  const readers: [string[], (bytes: Uint8Array) => unknown][] = [
    [vectors.units.map((unit) => unit.bytes), (bytes) => decodeUnit(bytes, MAX_UNIT_BYTES)],
    [vectors.fields.flatMap((field) => field.tiles), decodeTile],
    [vectors.fields.map((field) => field.coarse), decodeCoarse],
  ];
  // A small generator of our own, so that every run damages the same.
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let refused = 0;
  for (const [messages, read] of readers) {
    for (let round = 0; round < 3000; round += 1) {
      const bytes = bytesOf(messages[random(messages.length)]!);
      for (let hit = 0; hit <= random(3); hit += 1) bytes[random(bytes.length)] = random(256);
      try {
        read(random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
        refused += 1;
      }
    }
  }
  assert.ok(refused > 1000, `${refused} refused`);
  assert.throws(() => decodeUnit(bytesOf(vectors.units[1]!.bytes), 1), WireError, "a unit that is too large");
});
