// Where the viewer looks. X is right, Y up, -Z ahead; yaw to the right, pitch up, in degrees. As `SphereView` of the studio.

export const MIN_FOV_DEG = 20;
export const MAX_FOV_DEG = 150;
const START = { yawDeg: 0, pitchDeg: 0, fovDeg: 90 };

/** Columns of a rotation, as WebGL takes them. */
export type Mat3 = Float32Array;

export class Look {
  yawDeg = START.yawDeg;
  pitchDeg = START.pitchDeg;
  /** Horizontal angle of view. */
  fovDeg = START.fovDeg;
  /** How the device is turned, where it says so. The yaw is added to it. */
  device: Mat3 | undefined;

  turn(yawDeg: number, pitchDeg: number): void {
    this.yawDeg = ((((this.yawDeg + yawDeg + 180) % 360) + 360) % 360) - 180;
    this.pitchDeg = Math.min(Math.max(this.pitchDeg + pitchDeg, -90), 90);
  }

  zoom(deg: number): void {
    this.fovDeg = Math.min(Math.max(this.fovDeg + deg, MIN_FOV_DEG), MAX_FOV_DEG);
  }

  reset(): void {
    Object.assign(this, START);
  }

  /** From the view's space to the world's. */
  rotation(): Mat3 {
    const [y, p] = [(-this.yawDeg * Math.PI) / 180, (this.pitchDeg * Math.PI) / 180];
    const yaw = new Float32Array([Math.cos(y), 0, -Math.sin(y), 0, 1, 0, Math.sin(y), 0, Math.cos(y)]);
    if (this.device) return multiply(yaw, this.device);
    const pitch = new Float32Array([1, 0, 0, 0, Math.cos(p), Math.sin(p), 0, -Math.sin(p), Math.cos(p)]);
    return multiply(yaw, pitch);
  }
}

/** Where a view looks that is rotated so: yaw to the right, pitch up. */
export function directionOf(rotation: Mat3): { yawDeg: number; pitchDeg: number } {
  const [x, y, z] = [-rotation[6]!, -rotation[7]!, -rotation[8]!];
  const degrees = 180 / Math.PI;
  return { yawDeg: Math.atan2(x, -z) * degrees, pitchDeg: Math.asin(Math.min(Math.max(y, -1), 1)) * degrees };
}

/** The product of two rotations. */
export function multiply(a: Mat3, b: Mat3): Mat3 {
  const product = new Float32Array(9);
  for (let column = 0; column < 3; column += 1) {
    for (let row = 0; row < 3; row += 1) {
      let sum = 0;
      for (let index = 0; index < 3; index += 1) sum += a[index * 3 + row]! * b[column * 3 + index]!;
      product[column * 3 + row] = sum;
    }
  }
  return product;
}

/** The rotation of a device from the angles of `DeviceOrientationEvent` (W3C) and the screen's angle, all in degrees. */
export function deviceRotation(alphaDeg: number, betaDeg: number, gammaDeg: number, screenDeg: number): Mat3 {
  const about = (axis: 0 | 1 | 2, deg: number): Mat3 => {
    const [c, s] = [Math.cos((deg * Math.PI) / 180), Math.sin((deg * Math.PI) / 180)];
    const rows = [
      [1, 0, 0, 0, c, -s, 0, s, c],
      [c, 0, s, 0, 1, 0, -s, 0, c],
      [c, -s, 0, s, c, 0, 0, 0, 1],
    ][axis]!;
    const [a, b, d, e, f, g, h, i, j] = rows as [number, number, number, number, number, number, number, number, number];
    return new Float32Array([a, e, h, b, f, i, d, g, j]);
  };
  // Earth's frame has Z up: turned so that Y is up. The event's angles are intrinsic, Z X' Y''.
  const earth = multiply(multiply(about(2, alphaDeg), about(0, betaDeg)), about(1, gammaDeg));
  return multiply(multiply(about(0, -90), earth), about(2, -screenDeg));
}
