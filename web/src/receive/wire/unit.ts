// One access unit in one frame: a Low Overhead Container (draft-ietf-moq-loc) with the studio's stamp as a property. The
// same as `studio_stream::wire::unit`.

import { Reader, WireError } from "./reader";

/** The largest picture that is accepted, in bytes. */
export const MAX_UNIT_BYTES = 16 * 1024 * 1024;
/** The largest unit of sound that is accepted, in bytes. */
export const MAX_AUDIO_UNIT_BYTES = 64 * 1024;

const STAMP = 0x4e53;
const VERSION = 1;
const KEY_FRAME = 1;

/** Where a frame comes from; it goes with everything made from the frame. */
export interface Stamp {
  /** Counts up within a session of the studio. */
  frameId: number;
  /** When it was captured, in microseconds since the Unix epoch, by the studio's clock. */
  capturedAtUs: number;
  /** When it is to be shown, in microseconds on the stream's own time line. */
  ptsUs: number;
}

/** A coded picture or piece of sound. */
export interface Unit {
  stamp: Stamp;
  /** When the studio handed it to the network, in microseconds since the Unix epoch. */
  sentAtUs: number;
  keyFrame: boolean;
  /** The coded bytes; a part of the frame, not a copy. */
  data: Uint8Array;
}

/** Reads an access unit; throws `WireError` for anything else. */
export function decodeUnit(frame: Uint8Array, maxBytes: number): Unit {
  const reader = new Reader(frame);
  const properties = new Reader(reader.bytes(reader.quicVarint()));
  const data = reader.rest();
  if (data.length > maxBytes) throw new WireError("the size of an access unit is out of range");
  let kind = 0;
  let stampBytes: Uint8Array | undefined;
  while (properties.left > 0) {
    // Types are written as the difference to the one before; odd ones have bytes, even ones a number.
    kind += properties.quicVarint();
    const value = properties.quicVarint();
    if (kind % 2 === 1) {
      const bytes = properties.bytes(value);
      if (kind === STAMP) stampBytes = bytes;
    }
  }
  if (!stampBytes) throw new WireError("the frame carries no stamp; it was not sent by a studio");
  const stamp = new Reader(stampBytes);
  const version = stamp.u8();
  if (version !== VERSION) throw new WireError(`wire version ${version} is not spoken here; load the page again`);
  const keyFrame = (stamp.u8() & KEY_FRAME) !== 0;
  const frameId = stamp.varint();
  const [capturedAtUs, ptsUs, sentAtUs] = [stamp.microsFromNanos(), stamp.microsFromNanos(), stamp.microsFromNanos()];
  return { stamp: { frameId, capturedAtUs, ptsUs }, sentAtUs, keyFrame, data };
}
