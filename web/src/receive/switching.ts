// Goes from one track of pictures to another without a gap: what is shown goes on until the next track's pictures are decoded.

import type { VideoTrack } from "./catalog";
import type { DecodedPicture } from "./messages";
import { now } from "../clock";
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
  /** When it was given its first picture, and whether none of it was handed on. */
  begunAt: number | undefined;
  fresh: boolean;
}

/** How far behind what is shown a key frame may be that the next track begins with: what was shown already is only decoded. */
const OVERLAP_US = 1_000_000;
/** So far behind it may begin to be shown, and anyhow after so long, in milliseconds. */
const [NEAR_US, CATCH_UP_MS] = [100_000, 1000];
/** How long the first pictures of a track wait for the last ones of the track before, in milliseconds. */
const OWED_MS = 120;

/** Decodes the track that is shown and, for a moment, the one that is to follow it. */
export class Switching {
  /** Pictures that were decoded to be shown, and those that were received and never decoded. */
  readonly counts = { decoded: 0, skipped: 0 };
  private playing: Reception | undefined;
  private coming: Reception | undefined;
  /** The newest picture that was handed on. */
  private newestUs = -Infinity;
  /** First pictures of the track that comes, while the one before it still has earlier ones to give. */
  private held: DecoderPicture[] = [];
  private patience: ReturnType<typeof setTimeout> | undefined;
  /** Pictures that were handed on and not closed yet. */
  private outside = 0;

  constructor(private readonly listener: PictureListener) {}

  /** Coded pictures that wait for the decoder. */
  get waiting(): number {
    return this.playing?.video.waitingCount ?? 0;
  }

  /** Whether a track is to follow the one that is shown. */
  get changing(): boolean {
    return this.coming !== undefined;
  }

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
      this.settle();
      if (wanted) this.describe(playing!, wanted);
      else this.restart();
      return;
    }
    if (this.coming?.track.track === wanted.track) {
      this.describe(this.coming, wanted);
    } else {
      this.settle();
      this.coming = this.open(wanted);
    }
    if (playing && listed(playing.track.track) && this.newestUs > -Infinity) return;
    // What was shown does not go on: its time line may not either.
    this.newestUs = -Infinity;
    this.advance();
  }

  private open(track: VideoTrack): Reception {
    const reception: Reception = {
      track,
      begunAt: undefined,
      fresh: true,
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
    clearTimeout(this.patience);
    this.end(this.playing);
    this.playing = this.coming;
    this.coming = undefined;
    if (this.playing) this.listener.switched(this.playing.track);
    for (const picture of this.held.splice(0)) this.handOn(picture);
  }

  /** Nothing comes after what is shown. */
  private settle(): void {
    clearTimeout(this.patience);
    this.end(this.coming);
    this.coming = undefined;
    for (const { frame } of this.held.splice(0)) frame.close();
  }

  /** Takes a coded picture of a track. `afterGap`: what came before it is not what it refers to. */
  push(track: string, unit: Unit, afterGap: boolean): void {
    const reception = [this.playing, this.coming].find((each) => each?.track.track === track);
    if (!reception) return;
    const { ptsUs } = unit.stamp;
    // What comes next is of use from a key frame on, and what was before it up to there.
    if (reception === this.coming && reception.begunAt === undefined && !(unit.keyFrame && ptsUs > this.newestUs - OVERLAP_US)) return;
    if (reception === this.playing && ptsUs >= (this.held[0]?.stamp.ptsUs ?? Infinity)) return;
    reception.begunAt ??= now();
    reception.video.push(unit, afterGap);
  }

  private decoded(reception: Reception, picture: DecoderPicture): void {
    const { playing, coming, held } = this;
    if (reception === coming) {
      const behind = picture.stamp.ptsUs < this.newestUs - NEAR_US && now() - (coming.begunAt ?? 0) < CATCH_UP_MS;
      if (behind) return picture.frame.close();
      held.push(picture);
      if (held.length === 1) this.patience = setTimeout(() => this.advance(), OWED_MS);
      if (!playing || playing.video.idle) this.advance();
    } else if (reception === playing) {
      this.handOn(picture);
      if (held.length > 0 && playing.video.idle) this.advance();
    } else {
      picture.frame.close();
    }
  }

  private handOn(picture: DecoderPicture): void {
    const { playing, held } = this;
    const { ptsUs } = picture.stamp;
    // The track before may have come further.
    const again = playing!.fresh && ptsUs <= this.newestUs;
    if (again || ptsUs >= (held[0]?.stamp.ptsUs ?? Infinity)) return picture.frame.close();
    playing!.fresh = false;
    this.newestUs = ptsUs;
    this.outside += 1;
    this.counts.decoded += 1;
    this.listener.picture({ ...picture, track: playing!.track });
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
    clearTimeout(this.patience);
    for (const { frame } of this.held.splice(0)) frame.close();
    this.playing?.video.stop();
    this.coming?.video.stop();
    this.newestUs = -Infinity;
  }

  /** Another session: no track goes on. */
  restart(): void {
    this.settle();
    this.end(this.playing);
    this.playing = undefined;
    this.newestUs = -Infinity;
  }

  /** A track that this browser cannot decode. */
  refuse(track: string): void {
    if (this.coming?.track.track === track) {
      this.settle();
    } else if (this.playing?.track.track === track) {
      this.playing.video.stop(true);
    }
  }
}
