// What a session counts.

/** What was received. */
export interface SessionCounts {
  bytes: number;
  datagrams: number;
  pictures: number;
  /** Pictures known to be missing, of those that would have been decoded. */
  picturesLost: number;
  groupsSkipped: number;
  /** Those of them that were left on purpose, to catch up. */
  passedOver: number;
  sounds: number;
  soundsLost: number;
  tiles: number;
  tilesLost: number;
  fields: number;
  garbage: number;
  connections: number;
}

export const noCounts = (): SessionCounts => ({
  bytes: 0, datagrams: 0, pictures: 0, picturesLost: 0, groupsSkipped: 0, passedOver: 0, sounds: 0, soundsLost: 0, tiles: 0, tilesLost: 0, fields: 0, garbage: 0,
  connections: 0,
});
