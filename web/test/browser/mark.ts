// Reads the mark, which lies as `studio_frame::mark` says.

const SYNC = 0xa5c3;
const [COLUMNS, ROWS] = [64, 2];

function crc16(words: number[]): number {
  let crc = 0xffff;
  for (const word of words) {
    for (const shift of [24, 16, 8, 0]) {
      crc ^= ((word >>> shift) & 0xff) << 8;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
    }
  }
  return crc;
}

/** What a mark says; nothing where it cannot be read. `rows` gives RGBA of so many rows from the top: only those that it is in. */
export function readMark(width: number, height: number, rows: (top: number, count: number) => ArrayLike<number>): { frameId: number; capturedAtMs: number } | undefined {
  const cell = Math.max(Math.floor(width / 160 / 2) * 2, 4);
  const left = Math.floor((width - COLUMNS * cell) / 2 / 2) * 2;
  const rgba = rows(Math.floor((height - ROWS * cell - cell) / 2) * 2, ROWS * cell);
  const means = Array.from({ length: COLUMNS * ROWS }, (_, index) => {
    let [sum, count] = [0, 0];
    for (let y = cell >> 2; y < cell - (cell >> 2); y += 1) {
      for (let x = cell >> 2; x < cell - (cell >> 2); x += 1) {
        const at = ((Math.floor(index / COLUMNS) * cell + y) * width + left + (index % COLUMNS) * cell + x) * 4;
        sum += rgba[at + 1]!;
        count += 1;
      }
    }
    return sum / count;
  });
  const threshold = (Math.min(...means) + Math.max(...means)) / 2;
  const words = [0, 1, 2, 3].map((word) => means.slice(word * 32, word * 32 + 32).reduce((bits, mean) => ((bits << 1) | (mean > threshold ? 1 : 0)) >>> 0, 0));
  const payload = words.slice(1);
  if (words[0] !== ((SYNC << 16) | crc16(payload)) >>> 0) return undefined;
  return { frameId: payload[0]!, capturedAtMs: (payload[1]! * 2 ** 32 + payload[2]!) / 1000 };
}
