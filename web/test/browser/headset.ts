// Runs on a page before its own script: a headset that is not there, with composition layers unless `noLayers` is set.

import { metaQuest3, XRDevice } from "iwer";
import WebXRLayersPolyfill from "webxr-layers-polyfill";

declare global {
  var headset: XRDevice;
  var noLayers: boolean | undefined;
}

globalThis.headset = new XRDevice(metaQuest3);
globalThis.headset.installRuntime({ forceInstall: true });
globalThis.headset.stereoEnabled = true;
if (!globalThis.noLayers) new WebXRLayersPolyfill();
