// Decoded pictures that wait for their moment, or are drawn from.

import type { DecodedPicture } from "./receive/messages";

/** A decoded picture. */
export interface Picture extends DecodedPicture {
  /** Whether it was drawn as it came. */
  drawn: boolean;
}

/** The newest few, oldest first. */
export class Pictures {
  readonly list: Picture[] = [];
  /** Pictures that were decoded and never drawn. */
  skipped = 0;

  /** `closed` is told how many were let go of. */
  constructor(private readonly closed: (count: number) => void) {}

  push(picture: DecodedPicture): Picture {
    const last = this.list.at(-1);
    // Another time line began.
    if (last && last.stamp.ptsUs >= picture.stamp.ptsUs) this.clear();
    const added = { ...picture, drawn: false };
    this.list.push(added);
    return added;
  }

  /** Lets go of a picture that is not wanted. */
  refuse(picture: DecodedPicture): void {
    picture.frame.close();
    this.closed(1);
  }

  /** Lets go of the first `count`. */
  release(count: number): void {
    if (count <= 0) return;
    const gone = this.list.splice(0, count);
    for (const picture of gone) {
      if (!picture.drawn) this.skipped += 1;
      picture.frame.close();
    }
    this.closed(gone.length);
  }

  /** Lets go of all. */
  clear(): void {
    const gone = this.list.splice(0);
    for (const picture of gone) picture.frame.close();
    if (gone.length > 0) this.closed(gone.length);
  }
}
