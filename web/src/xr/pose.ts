// Places and directions in a headset's space. Angles are in radians here, as WebXR's are.

import type { Mat3 } from "../look";
import type { Edges } from "../receive/catalog";

export type Vec3 = [number, number, number];

/** The rotation in a rigid transform's matrix, columns first. */
export function rotationOf(matrix: Float32Array): Mat3 {
  const at = (index: number): number => matrix[index]!;
  return new Float32Array([at(0), at(1), at(2), at(4), at(5), at(6), at(8), at(9), at(10)]);
}

/** The place in a rigid transform's matrix. */
export function placeOf(matrix: Float32Array): Vec3 {
  return [matrix[12]!, matrix[13]!, matrix[14]!];
}

/** The edges of a view, as tangents, from its projection matrix. */
export function edgesOfProjection(matrix: Float32Array): Edges {
  const [xScale, yScale, xShift, yShift] = [matrix[0]!, matrix[5]!, matrix[8]!, matrix[9]!];
  return [(1 - xShift) / xScale, (1 + xShift) / xScale, (1 + yShift) / yScale, (1 - yShift) / yScale];
}

/** From what is seen when looking to the right by `yaw` to what is ahead. */
export function turned(yaw: number): Mat3 {
  return new Float32Array([Math.cos(yaw), 0, -Math.sin(yaw), 0, 1, 0, Math.sin(yaw), 0, Math.cos(yaw)]);
}

/** How far to the right a rotation looks. */
export function yawOf(rotation: Mat3): number {
  return Math.atan2(-rotation[6]!, rotation[8]!);
}

/** The orientation of something that stands where one looks to the right by `yaw`, facing back. */
export function orientation(yaw: number): DOMPointInit {
  return { x: 0, y: Math.sin(-yaw / 2), z: 0, w: Math.cos(yaw / 2) };
}

/** An upright rectangle in space. */
export interface Board {
  centre: Vec3;
  /** Where one looks, to the right, to see it. */
  yaw: number;
  /** Size in metres. */
  width: number;
  height: number;
}

/** Where a ray along -Z of a pose meets a board, in shares of its width and height from its upper left; nothing where it does not. */
export function hit(matrix: Float32Array, board: Board): [number, number] | undefined {
  const [origin, rotation] = [placeOf(matrix), rotationOf(matrix)];
  const along: Vec3 = [-rotation[6]!, -rotation[7]!, -rotation[8]!];
  const [sin, cos] = [Math.sin(board.yaw), Math.cos(board.yaw)];
  // The board's normal looks back at the viewer.
  const dot = ([x, , z]: Vec3): number => -x * sin + z * cos;
  const off = board.centre.map((value, axis) => value - origin[axis]!) as Vec3;
  const facing = dot(along);
  const distance = Math.abs(facing) < 1e-6 ? -1 : dot(off) / facing;
  if (distance <= 0) return undefined;
  const on = along.map((value, axis) => value * distance - off[axis]!) as Vec3;
  const [u, v] = [0.5 + (on[0] * cos + on[2] * sin) / board.width, 0.5 - on[1] / board.height];
  return u >= 0 && u <= 1 && v >= 0 && v <= 1 ? [u, v] : undefined;
}
