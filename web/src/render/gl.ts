// The few things of WebGL 2 that every pass needs.

/** The page cannot draw, and why. */
export class RenderError extends Error {}

const CORNERS = `#version 300 es
// One triangle over all of the target.
out vec2 at;
void main() {
    at = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    gl_Position = vec4(at, 0.0, 1.0);
}`;

function compile(gl: WebGL2RenderingContext, kind: number, source: string): WebGLShader {
  const shader = gl.createShader(kind);
  if (!shader) throw new RenderError("The GPU was lost.");
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  return shader;
}

/** A fragment shader over a whole target. It is compiled in the background, and waited for when it is used first. */
export class Pass {
  private readonly program: WebGLProgram;
  private readonly pixel: WebGLShader;
  private linked = false;
  private readonly locations = new Map<string, WebGLUniformLocation | null>();

  constructor(
    private readonly gl: WebGL2RenderingContext,
    fragment: string,
    private readonly samplers: readonly string[],
  ) {
    this.pixel = compile(gl, gl.FRAGMENT_SHADER, fragment);
    this.program = gl.createProgram();
    gl.attachShader(this.program, compile(gl, gl.VERTEX_SHADER, CORNERS));
    gl.attachShader(this.program, this.pixel);
    gl.linkProgram(this.program);
  }

  private link(): void {
    const { gl } = this;
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new RenderError(`A shader does not compile: ${gl.getShaderInfoLog(this.pixel) ?? ""}${gl.getProgramInfoLog(this.program) ?? ""}`);
    }
    gl.useProgram(this.program);
    this.samplers.forEach((name, unit) => gl.uniform1i(this.at(name), unit));
    this.linked = true;
  }

  /** Where a uniform is; nothing if the shader does without it. */
  at(name: string): WebGLUniformLocation | null {
    let location = this.locations.get(name);
    if (location === undefined) {
      location = this.gl.getUniformLocation(this.program, name);
      this.locations.set(name, location);
    }
    return location;
  }

  /** Makes this the pass that `draw` runs, reading from `textures` in the order of its samplers. Throws `RenderError` the first time. */
  use(textures: readonly WebGLTexture[]): void {
    const { gl } = this;
    if (!this.linked) this.link();
    gl.useProgram(this.program);
    this.samplers.forEach((_, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, textures[unit] ?? null);
    });
  }

  draw(): void {
    this.gl.drawArrays(this.gl.TRIANGLES, 0, 3);
  }
}

/** A texture that is read linearly, and only repeats where it is told to. */
export function texture(gl: WebGL2RenderingContext, filter: number): WebGLTexture {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return made;
}

/** Sets whether a texture goes on at its other side. */
export function wrapAcross(gl: WebGL2RenderingContext, target: WebGLTexture, wraps: boolean): void {
  gl.bindTexture(gl.TEXTURE_2D, target);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, wraps ? gl.REPEAT : gl.CLAMP_TO_EDGE);
}

/** A texture that a pass draws into. */
export class Target {
  readonly texture: WebGLTexture;
  private readonly frame: WebGLFramebuffer;
  private width = 0;
  private height = 0;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly format: number,
    filter: number,
  ) {
    this.texture = texture(gl, filter);
    this.frame = gl.createFramebuffer();
  }

  /** Makes this what is drawn into. */
  bind(width: number, height: number): void {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    if (width !== this.width || height !== this.height) {
      gl.bindTexture(gl.TEXTURE_2D, this.texture);
      const type = this.format === gl.RG32F ? gl.FLOAT : gl.UNSIGNED_BYTE;
      gl.texImage2D(gl.TEXTURE_2D, 0, this.format, width, height, 0, this.format === gl.RG32F ? gl.RG : gl.RGBA, type, null);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0);
      [this.width, this.height] = [width, height];
    }
    gl.viewport(0, 0, width, height);
  }
}
