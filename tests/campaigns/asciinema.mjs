// What asciinema's own player (npm: asciinema-player) makes of a cast, as JSON on stdout.
//   node asciinema.mjs FOLDER_WITH_NODE_MODULES FILE.cast SPEED
// Its reader of asciicasts is not exported: a copy of its core is written that exports it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, file, speed] = process.argv.slice(2);
const dist = new URL("node_modules/asciinema-player/dist/", pathToFileURL(`${folder}/`));
const core = readdirSync(dist).find((name) => /^core-.*\.js$/.test(name) && !/open/.test(name));
const source = readFileSync(new URL(core, dist), "utf8");
const reader = /\["asciicast", ([\w$]+)\]/.exec(source)[1];
const opened = new URL("core-open.js", dist);
writeFileSync(opened, source.replace(/export \{ Core as C \}/, `export { Core as C, ${reader} as asciicast }`));
const { C: Core, asciicast } = await import(opened);

const text = readFileSync(file, "utf8");
const read = await asciicast(new Response(text));
const events = [...read.events];

const quiet = { log() {}, debug() {}, info() {}, warn() {}, error: console.error };
const player = new Core(
  { data: text, parser: "asciicast", minFrameTime: 0.0001 },
  { logger: quiet, speed: Number(speed), idleTimeLimit: undefined, markers: undefined, preload: true },
);
const played = [];
const markers = [];
let began;
const ended = new Promise((resolve, reject) => {
  player.addEventListener("output", (data) => played.push([performance.now() - began, data]));
  player.addEventListener("marker", (marker) => markers.push(marker.label));
  player.addEventListener("ended", resolve);
  player.addEventListener("error", reject);
});
const ready = player.init();
player.terminalReady();
await ready;
began = performance.now();
await player.play();
await ended;
const duration = player.getDuration();
process.stdout.write(JSON.stringify({ cols: read.cols, rows: read.rows, events, played, markers, duration }), () => process.exit(0));
