declare module "webxr-layers-polyfill" {
  /** Gives sessions composition layers, drawn in the page's own context. */
  export default class WebXRLayersPolyfill {}
}
