// The panel in the headset: figures, and buttons for hands that have none. It stands where it was called, and does not follow
// the head.

import { Pass, texture } from "../render/gl";
import type { Command } from "../controls";
import type { EyeView } from "../render/renderer";
import { hit, placeOf, rotationOf, yawOf, type Board, type Vec3 } from "./pose";
import panelSource from "./panel.glsl";

/** Size of the panel's picture in pixels, and of the panel in metres. */
const [WIDTH_PX, HEIGHT_PX] = [640, 480];
const WIDTH_M = 0.8;
/** How far away it stands, and how far below the eyes its middle is, in metres. */
const [AWAY_M, BELOW_M] = [1.1, 0.2];
/** Height of the row of buttons. */
const BUTTONS_PX = 72;
/** How often the figures on it are renewed. */
const RENEW_MS = 500;

/** What a button of the panel asks for. */
export type PanelCommand = Command | "exit";

/** What is shown on the panel. */
export interface PanelContent {
  rows: readonly (readonly [string, string])[];
  paused: boolean;
}

/** A view of the headset, in its own space. */
export interface SpaceView extends EyeView {
  place: Vec3;
  /** From the view's space to the headset's. */
  spaceRotation: Float32Array;
}

const buttonsOf = (paused: boolean): [string, PanelCommand][] => [
  ["Ahead", "ahead"],
  [paused ? "Go on" : "Pause", "pause"],
  ["Softer", "softer"],
  ["Louder", "louder"],
  ["Leave", "exit"],
];

export class Panel {
  board: Board | undefined;
  /** Counts up with each change of the panel's picture. */
  version = 0;
  readonly canvas = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;
  private readonly pass: Pass;
  private readonly picture: WebGLTexture;
  private uploaded = -1;
  private renewedAt = -Infinity;
  private hovered: number | undefined;

  constructor(private readonly gl: WebGL2RenderingContext) {
    Object.assign(this.canvas, { width: WIDTH_PX, height: HEIGHT_PX });
    this.context = this.canvas.getContext("2d")!;
    this.pass = new Pass(gl, panelSource, ["board"]);
    this.picture = texture(gl, gl.LINEAR);
  }

  /** Puts the panel ahead of a head, or takes it away. */
  toggle(head: Float32Array): void {
    if (this.board) return this.hide();
    const [yaw, [x, y, z]] = [yawOf(rotationOf(head)), placeOf(head)];
    const centre: Vec3 = [x + Math.sin(yaw) * AWAY_M, y - BELOW_M, z - Math.cos(yaw) * AWAY_M];
    this.board = { centre, yaw, width: WIDTH_M, height: (WIDTH_M * HEIGHT_PX) / WIDTH_PX };
    this.renewedAt = -Infinity;
  }

  hide(): void {
    this.board = undefined;
    this.hovered = undefined;
  }

  /** Which button rays along -Z of `rays` point at; the first one counts. */
  point(rays: readonly Float32Array[]): void {
    const before = this.hovered;
    this.hovered = rays.map((ray) => this.buttonAt(ray)).find((button) => button !== undefined);
    if (before !== this.hovered) this.renewedAt = -Infinity;
  }

  private buttonAt(ray: Float32Array): number | undefined {
    const at = this.board && hit(ray, this.board);
    if (!at || at[1] * HEIGHT_PX < HEIGHT_PX - BUTTONS_PX) return undefined;
    return Math.min(Math.floor(at[0] * buttonsOf(false).length), buttonsOf(false).length - 1);
  }

  /** What pressing with a ray asks for: a button's command, nothing, or `false` where the ray misses the panel. */
  press(ray: Float32Array): PanelCommand | undefined | false {
    if (!this.board || !hit(ray, this.board)) return false;
    const button = this.buttonAt(ray);
    this.renewedAt = -Infinity;
    return button === undefined ? undefined : buttonsOf(false)[button]![1];
  }

  /** Draws the panel's picture anew where that is due. */
  renew(now: number, content: () => PanelContent): void {
    if (!this.board || now - this.renewedAt < RENEW_MS) return;
    this.renewedAt = now;
    this.version += 1;
    const { context } = this;
    const { rows, paused } = content();
    context.fillStyle = "#0e121a";
    context.fillRect(0, 0, WIDTH_PX, HEIGHT_PX);
    context.textBaseline = "middle";
    context.font = "21px system-ui, sans-serif";
    const step = Math.min((HEIGHT_PX - BUTTONS_PX - 24) / Math.max(rows.length, 1), 34);
    rows.forEach(([name, value], index) => {
      const y = 12 + step * (index + 0.5);
      context.fillStyle = "#9aa7b8";
      context.fillText(name, 24, y, 190);
      context.fillStyle = "#e8ecf2";
      context.fillText(value, 224, y, WIDTH_PX - 240);
    });
    const buttons = buttonsOf(paused);
    const width = WIDTH_PX / buttons.length;
    context.textAlign = "center";
    buttons.forEach(([label], index) => {
      context.fillStyle = index === this.hovered ? "#2b4a6b" : "#1b2330";
      context.fillRect(index * width + 4, HEIGHT_PX - BUTTONS_PX + 4, width - 8, BUTTONS_PX - 8);
      context.fillStyle = "#e8ecf2";
      context.fillText(label, (index + 0.5) * width, HEIGHT_PX - BUTTONS_PX / 2, width - 16);
    });
    context.textAlign = "start";
  }

  /** Uploads the panel's picture into a texture that has its size. */
  upload(into: WebGLTexture): void {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, into);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, this.canvas);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  }

  /** Draws the panel over what each view shows. */
  draw(views: readonly SpaceView[], target: WebGLFramebuffer | null): void {
    const { gl, board, pass } = this;
    if (!board) return;
    if (this.uploaded !== this.version) {
      if (this.uploaded < 0) {
        gl.bindTexture(gl.TEXTURE_2D, this.picture);
        gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, WIDTH_PX, HEIGHT_PX);
      }
      this.upload(this.picture);
      this.uploaded = this.version;
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    pass.use([this.picture]);
    gl.uniform3fv(pass.at("centre"), board.centre);
    gl.uniform2f(pass.at("facing"), Math.sin(board.yaw), Math.cos(board.yaw));
    gl.uniform2f(pass.at("half_size"), board.width / 2, board.height / 2);
    for (const view of views) {
      const { x, y, width, height } = view.viewport;
      gl.viewport(x, y, width, height);
      gl.uniformMatrix3fv(pass.at("rotation"), false, view.spaceRotation);
      gl.uniform3fv(pass.at("eye"), view.place);
      gl.uniform4fv(pass.at("view_edges"), view.edges);
      pass.draw();
    }
  }
}
