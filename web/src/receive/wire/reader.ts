// Integers from bytes that a stranger sent. The same as `studio_stream::wire::Reader`.

/** Why bytes were not understood. */
export class WireError extends Error {}

/** Reads little-endian integers, LEB128 and QUIC variable-length integers. */
export class Reader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly data: Uint8Array) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  /** Bytes that are left. */
  get left(): number {
    return this.data.length - this.at;
  }

  bytes(count: number): Uint8Array {
    if (count > this.left) throw new WireError("the message is cut short");
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  u8(): number {
    return this.bytes(1)[0]!;
  }

  /** 64 bits of nanoseconds as microseconds, which a number holds for some centuries. */
  microsFromNanos(): number {
    const at = this.at;
    this.bytes(8);
    return Number(this.view.getBigUint64(at, true) / 1000n);
  }

  /** A LEB128 integer of at most 64 bits; above 2^53 the last digits are lost. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = this.u8();
      const bits = byte & 0x7f;
      if (shift === 63 && bits > 1) break;
      value += bits * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new WireError("a variable-length integer is out of range");
  }

  /** A LEB128 integer from 0 to `max`. */
  varintUpTo(max: number, what: string): number {
    const value = this.varint();
    if (value > max) throw new WireError(`${what} is out of range`);
    return value;
  }

  /** A QUIC variable-length integer (RFC 9000 §16). */
  quicVarint(): number {
    const first = this.u8();
    const rest = this.bytes((1 << (first >> 6)) - 1);
    return rest.reduce((value, byte) => value * 256 + byte, first & 0x3f);
  }
}
