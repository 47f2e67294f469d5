// Decodes pictures by WebCodecs, and keeps the newest few for the renderer.

import type { VideoTrack } from "./catalog";
import type { Stamp, Unit } from "./wire/unit";

/** Decoded pictures that wait or are still drawn from, beyond which no more are decoded: decoders have few to give. */
const PICTURES = 5;
/** A coded picture that has waited so long, in milliseconds, says that the decoder is behind: the next key frame ends the backlog. */
const MAX_WAIT_MS = 500;
/** Coded pictures that wait at most: a decoder that is further behind begins anew at the newest key frame. */
const MAX_WAITING = 240;
/** Times of decoding that are remembered. */
const TIMES = 120;

/** A decoded picture. */
export interface Picture {
  stamp: Stamp;
  frame: VideoFrame;
  /** When it could be shown at the earliest: its arrival and the time of decoding, by `performance.now()`. */
  readyAt: number;
  /** Whether it was drawn as it came. */
  drawn: boolean;
}

/** The decoder's settings for a track; it starts at any key frame and hands pictures out at once. */
export function decoderConfig(track: VideoTrack): VideoDecoderConfig {
  return { codec: track.codec, codedWidth: track.width, codedHeight: track.height, optimizeForLatency: true };
}

/** Decodes one track at a time. */
export class Video {
  /** Decoded pictures, oldest first. */
  readonly pictures: Picture[] = [];
  decoded = 0;
  /** Pictures that were decoded and never drawn. */
  skipped = 0;
  /** What the decoder took for each of the last pictures, in milliseconds. */
  readonly decodeMs: number[] = [];
  private decoder: VideoDecoder | undefined;
  private config: VideoDecoderConfig | undefined;
  /** Coded pictures that wait, and those in the decoder by their time. */
  private waiting: { unit: Unit; arrivedAt: number }[] = [];
  private readonly pending = new Map<number, { stamp: Stamp; arrivedAt: number; since: number }>();

  /**
   * `decodedOne` is called with each picture, `failed` when the decoder gave up: then nothing is decoded until the next key
   * frame after a gap.
   */
  constructor(
    private readonly decodedOne: (picture: Picture) => void,
    private readonly failed: (error: Error) => void,
  ) {}

  /** Sets the track. The same decoder goes on where it can. */
  configure(track: VideoTrack): void {
    const config = decoderConfig(track);
    if (this.decoder?.state === "configured" && JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.open();
  }

  private open(): void {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.pending.clear();
    this.waiting = [];
    if (!this.config) return;
    const decoder: VideoDecoder = new VideoDecoder({
      output: (frame) => this.output(frame),
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

  private fail(error: Error): void {
    this.decoder = undefined;
    this.pending.clear();
    this.waiting = [];
    this.failed(error);
  }

  /** Takes a coded picture. */
  push(unit: Unit, afterGap: boolean): void {
    if (!this.decoder || this.decoder.state !== "configured") {
      if (!unit.keyFrame) return;
      this.open();
      if (!this.decoder) return;
    } else if (afterGap || (unit.keyFrame && performance.now() - (this.waiting[0]?.arrivedAt ?? Infinity) > MAX_WAIT_MS)) {
      // What waits is of no use any more.
      this.skipped += this.waiting.length;
      this.open();
      if (!this.decoder) return;
    }
    if (this.waiting.length >= MAX_WAITING) {
      this.skipped += this.waiting.length;
      this.decoder.close();
      return this.fail(new Error(`the decoder is ${MAX_WAITING} pictures behind`));
    }
    this.waiting.push({ unit, arrivedAt: performance.now() });
    this.feed();
  }

  /** Gives the decoder what it may have. */
  private feed(): void {
    while (this.decoder?.state === "configured" && this.pictures.length + this.decoder.decodeQueueSize < PICTURES) {
      const next = this.waiting.shift();
      if (!next) return;
      const { unit, arrivedAt } = next;
      // A decoder knows a picture by its time alone.
      const timestamp = unit.stamp.ptsUs;
      this.pending.set(timestamp, { stamp: unit.stamp, arrivedAt, since: performance.now() });
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
    const decodeMs = performance.now() - pending.since;
    this.decoded += 1;
    this.decodeMs.push(decodeMs);
    if (this.decodeMs.length > TIMES) this.decodeMs.shift();
    // Another time line began.
    const last = this.pictures.at(-1);
    if (last && last.stamp.ptsUs >= pending.stamp.ptsUs) this.clear();
    const picture = { stamp: pending.stamp, frame, readyAt: pending.arrivedAt + decodeMs, drawn: false };
    this.pictures.push(picture);
    this.decodedOne(picture);
    this.feed();
  }

  /** Lets go of the first `count` pictures. */
  release(count: number): void {
    for (const picture of this.pictures.splice(0, count)) {
      if (!picture.drawn) this.skipped += 1;
      picture.frame.close();
    }
    this.feed();
  }

  /** Lets go of all pictures. */
  clear(): void {
    for (const picture of this.pictures.splice(0)) picture.frame.close();
  }

  /** Ends decoding until the next key frame or, with `unable`, for good: this browser cannot. */
  stop(unable = false): void {
    if (unable) this.config = undefined;
    this.clear();
    this.pending.clear();
    this.waiting = [];
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = undefined;
  }
}
