// Goes from one track of pictures to another without a gap: what is shown goes on until the next track's pictures are decoded.

import type { VideoTrack } from "./catalog";
import type { DecodedPicture } from "./messages";
import { percentile } from "../rates";
import { Video, type DecoderPicture } from "./video";
import type { Unit } from "./wire/unit";

/** Who takes the pictures. */
export interface PictureListener {
  picture(picture: Omit<DecodedPicture, "clockAheadMs">): void;
  /** Pictures of this track follow from now on. */
  switched(track: VideoTrack): void;
  /** A track's decoder kept a picture to itself: later ones refer to it. */
  swallowed(track: VideoTrack): void;
  /** A track's decoder gave up; it begins anew at the next key frame. */
  failed(track: VideoTrack, error: Error): void;
}

/** A track and its decoder. */
interface Reception {
  track: VideoTrack;
  readonly video: Video;
}

/** Decodes the track that is shown and, for a moment, the one that is to follow it. */
export class Switching {
  /** Pictures that were decoded to be shown, and those that were received and never decoded. */
  readonly counts = { decoded: 0, skipped: 0 };
  private playing: Reception | undefined;
  private coming: Reception | undefined;
  /** The newest picture that was handed on, and the one up to which the track before had come. */
  private newestUs = -Infinity;
  private floorUs = -Infinity;
  /** Pictures that were handed on and not closed yet. */
  private outside = 0;

  constructor(private readonly listener: PictureListener) {}

  /** The track whose pictures are handed on. */
  get track(): VideoTrack | undefined {
    return this.playing?.track;
  }

  /** What the decoder took for pictures lately, in milliseconds: the middle, and 19 of 20. */
  get decodeMs(): { p50: number | undefined; p95: number | undefined } {
    const times = this.playing?.video.decodeMs ?? [];
    return { p50: percentile(times, 0.5), p95: percentile(times, 0.95) };
  }

  /** Decodes `wanted` from now on, or as soon as it can follow the one that is shown, where that is still `listed`. */
  follow(wanted: VideoTrack | undefined, listed: (track: string) => boolean): void {
    const { playing } = this;
    if (!wanted || playing?.track.track === wanted.track) {
      this.end(this.coming);
      this.coming = undefined;
      if (wanted) this.describe(playing!, wanted);
      else this.restart();
      return;
    }
    if (this.coming?.track.track === wanted.track) {
      this.describe(this.coming, wanted);
    } else {
      this.end(this.coming);
      this.coming = this.open(wanted);
    }
    if (playing && listed(playing.track.track) && this.newestUs > -Infinity) return;
    this.floorUs = -Infinity;
    this.advance();
  }

  private open(track: VideoTrack): Reception {
    const reception: Reception = {
      track,
      video: new Video(
        (picture) => this.decoded(reception, picture),
        () => this.listener.swallowed(reception.track),
        (error) => this.listener.failed(reception.track, error),
        () => this.outside,
      ),
    };
    reception.video.configure(track);
    return reception;
  }

  private describe(reception: Reception, track: VideoTrack): void {
    reception.track = track;
    reception.video.configure(track);
  }

  private end(reception: Reception | undefined): void {
    if (!reception) return;
    reception.video.stop(true);
    this.counts.skipped += reception.video.skipped;
  }

  /** The track that comes is the one that is shown. */
  private advance(): void {
    this.end(this.playing);
    this.playing = this.coming;
    this.coming = undefined;
    if (this.playing) this.listener.switched(this.playing.track);
  }

  /** Takes a coded picture of a track. `afterGap`: what came before it is not what it refers to. */
  push(track: string, unit: Unit, afterGap: boolean): void {
    const reception = [this.playing, this.coming].find((each) => each?.track.track === track);
    reception?.video.push(unit, afterGap);
  }

  private decoded(reception: Reception, picture: DecoderPicture): void {
    const { ptsUs } = picture.stamp;
    if (reception === this.coming && (ptsUs > this.newestUs || reception.video.idle)) {
      this.floorUs = this.newestUs;
      this.advance();
    }
    // What the track before has shown already is only what the later ones refer to.
    if (reception !== this.playing || ptsUs <= this.floorUs) return picture.frame.close();
    this.floorUs = -Infinity;
    this.newestUs = ptsUs;
    this.outside += 1;
    this.counts.decoded += 1;
    this.listener.picture({ ...picture, track: reception.track });
  }

  /** Notes that so many pictures were closed where they were handed to. */
  released(count: number): void {
    this.outside = Math.max(this.outside - count, 0);
    this.playing?.video.feed();
    this.coming?.video.feed();
  }

  /** Pictures that were received and never decoded. */
  get skipped(): number {
    return this.counts.skipped + (this.playing?.video.skipped ?? 0) + (this.coming?.video.skipped ?? 0);
  }

  /** Ends decoding until the next key frame. */
  stop(): void {
    this.playing?.video.stop();
    this.coming?.video.stop();
    [this.newestUs, this.floorUs] = [-Infinity, -Infinity];
  }

  /** Another session: no track goes on. */
  restart(): void {
    this.end(this.playing);
    this.end(this.coming);
    this.playing = this.coming = undefined;
    [this.newestUs, this.floorUs] = [-Infinity, -Infinity];
  }

  /** A track that this browser cannot decode. */
  refuse(track: string): void {
    if (this.coming?.track.track === track) {
      this.end(this.coming);
      this.coming = undefined;
    } else if (this.playing?.track.track === track) {
      this.playing.video.stop(true);
    }
  }
}
