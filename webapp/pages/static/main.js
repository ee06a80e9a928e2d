// What makes the pages quicker; each of them works without. One module a concern.
import { startBusy } from "./busy.js";
import { startCopy } from "./copy.js";
import { startDialogs } from "./dialogs.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startLoading } from "./load.js";
import { startChoices } from "./choices.js";
import { startThemeSwitch } from "./theme-switch.js";
import { localTimes } from "./times.js";
import { startUploads } from "./upload.js";

function start(root) {
  localTimes(root);
  startCopy(root);
  startLoading(root, start);
}

start(document);
startBusy();
startChoices();
startDialogs();
startKeys();
startLive(start);
startThemeSwitch();
startUploads();
document.querySelector("[data-focus]")?.focus();
