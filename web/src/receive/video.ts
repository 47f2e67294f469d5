// Decodes pictures by WebCodecs and hands them on.

import { now } from "../clock";
import type { VideoTrack } from "./catalog";
import type { DecodedPicture } from "./messages";
import type { Unit } from "./wire/unit";

/** Decoded pictures that wait or are still drawn from, beyond which no more are decoded: decoders have few to give. */
export const DECODED_AHEAD = 6;
/** A coded picture that has waited so long, in milliseconds, says that the decoder is behind: the next key frame ends the backlog. */
const MAX_WAIT_MS = 500;
/** Coded pictures that wait at most: a decoder that is further behind begins anew at the newest key frame. */
const MAX_WAITING = 240;
/** Pictures that a decoder has at once, at most: one that keeps more says nothing at all. */
const MAX_PENDING = 64;
/** Times of decoding that are remembered. */
const TIMES = 120;

/** The decoder's settings for a track; it starts at any key frame and hands pictures out at once. */
export function decoderConfig(track: VideoTrack): VideoDecoderConfig {
  return { codec: track.codec, codedWidth: track.width, codedHeight: track.height, optimizeForLatency: true };
}

/** A picture as it leaves the decoder. */
export type DecoderPicture = Omit<DecodedPicture, "track" | "clockAheadMs">;

/** Decodes one track at a time. */
export class Video {
  /** Pictures that were received and never decoded. */
  skipped = 0;
  /** What the decoder took for each of the last pictures, in milliseconds. */
  readonly decodeMs: number[] = [];
  private decoder: VideoDecoder | undefined;
  private config: VideoDecoderConfig | undefined;
  /** Coded pictures that wait, and those in the decoder by their time. */
  private waiting: { unit: Unit; arrivedAt: number }[] = [];
  private readonly pending = new Map<number, { unit: Unit; arrivedAt: number; since: number }>();

  /**
   * `decoded` is called with each picture, `swallowed` when the decoder kept one that was too damaged to itself, `failed` when it
   * gave up: then nothing is decoded until the next key frame.
   * `outside` says how many pictures are still drawn from.
   */
  constructor(
    private readonly decoded: (picture: DecoderPicture) => void,
    private readonly swallowed: () => void,
    private readonly failed: (error: Error) => void,
    private readonly outside: () => number,
  ) {}

  /** Coded pictures that wait for the decoder. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  /** Whether all that came is decoded. */
  get idle(): boolean {
    return this.waiting.length === 0 && this.pending.size === 0;
  }

  /** Sets the track. The same decoder goes on where it can. */
  configure(track: VideoTrack): void {
    const config = decoderConfig(track);
    if (this.decoder?.state === "configured" && JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.open();
  }

  private open(): void {
    this.close();
    if (!this.config) return;
    const decoder: VideoDecoder = new VideoDecoder({
      output: (frame) => (this.decoder === decoder ? this.output(frame) : frame.close()),
      error: (error) => {
        if (this.decoder === decoder) this.fail(error);
      },
    });
    this.decoder = decoder;
    try {
      decoder.configure(this.config);
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private close(): void {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = undefined;
    this.pending.clear();
    this.waiting = [];
  }

  private fail(error: Error): void {
    this.close();
    this.failed(error);
  }

  /** Takes a coded picture. `afterGap`: what came before it is not what it refers to. */
  push(unit: Unit, afterGap: boolean): void {
    if (this.decoder?.state !== "configured") {
      if (!unit.keyFrame) return;
      this.open();
    } else if (afterGap || (unit.keyFrame && now() - (this.waiting[0]?.arrivedAt ?? Infinity) > MAX_WAIT_MS)) {
      // What waits is of no use any more.
      this.skipped += this.waiting.length;
      this.open();
    }
    if (!this.decoder) return;
    if (this.waiting.length >= MAX_WAITING) {
      this.skipped += this.waiting.length;
      return this.fail(new Error(`the decoder is ${MAX_WAITING} pictures behind`));
    }
    this.waiting.push({ unit, arrivedAt: now() });
    this.feed();
  }

  /** Gives the decoder what it may have. */
  feed(): void {
    while (this.decoder?.state === "configured" && this.outside() + this.decoder.decodeQueueSize < DECODED_AHEAD) {
      const next = this.waiting.shift();
      if (!next) return;
      const { unit, arrivedAt } = next;
      // A decoder knows a picture by its time alone.
      const timestamp = unit.stamp.ptsUs;
      this.pending.set(timestamp, { unit, arrivedAt, since: now() });
      if (this.pending.size > MAX_PENDING) this.pending.delete(this.pending.keys().next().value!);
      try {
        this.decoder.decode(new EncodedVideoChunk({ type: unit.keyFrame ? "key" : "delta", timestamp, data: unit.data }));
      } catch (error) {
        return this.fail(error as Error);
      }
    }
  }

  private output(frame: VideoFrame): void {
    const pending = this.pending.get(frame.timestamp);
    if (!pending) return frame.close();
    this.pending.delete(frame.timestamp);
    // Pictures leave in their order: of those before this one nothing comes any more.
    const before = [...this.pending.keys()].filter((timestamp) => timestamp < frame.timestamp);
    for (const timestamp of before) this.pending.delete(timestamp);
    if (before.length > 0) this.swallowed();
    const decodeMs = now() - pending.since;
    this.decodeMs.push(decodeMs);
    if (this.decodeMs.length > TIMES) this.decodeMs.shift();
    const { unit, arrivedAt } = pending;
    this.decoded({ stamp: unit.stamp, frame, sentAtUs: unit.sentAtUs, arrivedAt, readyAt: arrivedAt + decodeMs });
    this.feed();
  }

  /** Ends decoding until the next key frame or, with `unable`, for good: this browser cannot. */
  stop(unable = false): void {
    if (unable) this.config = undefined;
    this.close();
  }
}
