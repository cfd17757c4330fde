// Loaded before wrangler (node --require): what its `kv` commands do not need, and what they miss on
// Node 18, Debian 12's own.
"use strict";

const buffer = require("node:buffer");
const Module = require("node:module");

// wrangler's HTTP client (undici 7) is written for Node 20.
globalThis.File ??= buffer.File;
String.prototype.toWellFormed ??= function toWellFormed() {
  return Buffer.from(String(this)).toString();
};

const standIns = {
  // The local runtime, 100 MB of native code: `--remote` never starts it.
  workerd: { default: "", compatibilityDate: "2026-01-01", version: "0" },
  // Here it only lays out warnings and errors; the words are wrangler's.
  esbuild: {
    version: "0",
    formatMessagesSync: (messages) =>
      messages.map(({ text, notes = [] }) => [text, ...notes.map((note) => note.text)].join("\n") + "\n"),
  },
};
const load = Module._load;
Module._load = function loadOrStandIn(name, ...rest) {
  return standIns[name] ?? load.call(this, name, ...rest);
};
