// Runs on the page before its own script: a headset that is not there.

import { metaQuest3, XRDevice } from "iwer";

declare global {
  var headset: XRDevice;
}

globalThis.headset = new XRDevice(metaQuest3);
globalThis.headset.installRuntime({ forceInstall: true });
globalThis.headset.stereoEnabled = true;
