// Blocks of motion vectors as bits: the median edge predictor of JPEG-LS (ITU-T T.87 §A.4.1) and Golomb–Rice codes. The same
// as `studio_stream::wire::cells`.

import { WireError } from "./reader";

const AS_PREDICTED = 15;
const ESCAPE = 20;
const PLAIN_BITS = 17;

/** Takes bits from bytes, most significant first. */
class BitReader {
  private at = 0;
  private pending = 0;
  private count = 0;

  constructor(private readonly data: Uint8Array) {}

  private bit(): number {
    if (this.count === 0) {
      if (this.at >= this.data.length) throw new WireError("the message is cut short");
      this.pending = this.data[this.at++]!;
      this.count = 8;
    }
    this.count -= 1;
    return (this.pending >> this.count) & 1;
  }

  /** At most 31 bits. */
  take(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index += 1) value = (value << 1) | this.bit();
    return value;
  }
}

function predicted(values: Int16Array, stride: number, offset: number, index: number, width: number): number {
  const at = (cell: number): number => values[cell * stride + offset]!;
  if (index === 0) return 0;
  if (index < width) return at(index - 1);
  if (index % width === 0) return at(index - width);
  const [left, above, corner] = [at(index - 1), at(index - width), at(index - width - 1)];
  if (corner >= Math.max(left, above)) return Math.min(left, above);
  if (corner <= Math.min(left, above)) return Math.max(left, above);
  return left + above - corner;
}

/** Reads `count` cells, `width` a row: pairs of x and y in sixteenths of a pixel. The caller bounds `count`. */
export function decodeCells(bytes: Uint8Array, count: number, width: number): Int16Array {
  const bits = new BitReader(bytes);
  const cells = new Int16Array(count * 2);
  for (const component of [0, 1]) {
    const parameter = bits.take(4);
    for (let index = 0; index < count; index += 1) {
      let residual = 0;
      if (parameter !== AS_PREDICTED) {
        let quotient = 0;
        while (quotient < ESCAPE && bits.take(1) === 1) quotient += 1;
        residual = quotient < ESCAPE ? (quotient << parameter) | bits.take(parameter) : bits.take(PLAIN_BITS);
      }
      const signed = (residual >>> 1) ^ -(residual & 1);
      const value = predicted(cells, 2, component, index, width) + signed;
      if (value < -32768 || value > 32767) throw new WireError("a motion vector is out of range");
      cells[index * 2 + component] = value;
    }
  }
  return cells;
}
