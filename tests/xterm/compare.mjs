// node compare.mjs FRAMES.jsonl UNICODE NODE_MODULES
//
// Feeds the same frames, written in two ways, to two terminals of xterm.js whose widths of
// characters are those of UNICODE ("6", its default, or "11"). Each line of FRAMES is
// {columns, rows, ours, stock, wanted}; where `wanted` (rows of cells, "" behind a wide
// character) is given, it counts the cells that stand elsewhere. Prints one JSON object.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [file, unicode, modules] = process.argv.slice(2);
const require = createRequire(resolve(modules, "x.js"));
const { Terminal } = require("@xterm/headless");
const { Unicode11Addon } = require("@xterm/addon-unicode11");

function open(columns, rows) {
  const terminal = new Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 0 });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = unicode;
  // As duibi's driver has it: what does not fit in a line does not wrap.
  return write(terminal, "\x1b[?7l").then(() => terminal);
}

const write = (terminal, text) => new Promise((done) => terminal.write(text, done));

function row(terminal, y) {
  const line = terminal.buffer.active.getLine(y);
  return Array.from({ length: terminal.cols }, (_, x) => {
    const cell = line.getCell(x);
    const text = cell.getWidth() === 0 ? "" : cell.getChars() || " ";
    const front = text.trim() ? `${cell.getFgColorMode()}:${cell.getFgColor()}` : "";
    const style = [cell.isBold(), cell.isItalic(), cell.isUnderline(), cell.isInverse()];
    return [text, front, cell.getBgColorMode(), cell.getBgColor(), ...style].join("\0");
  });
}

function misplaced(terminal, wanted) {
  let count = 0;
  wanted.forEach((cells, y) => {
    const line = terminal.buffer.active.getLine(y);
    cells.forEach((text, x) => {
      if (text && (line.getCell(x).getChars() || " ") !== text) count += 1;
    });
  });
  return count;
}

const said = { frames: 0, different: 0, first: null, ours: 0, stock: 0, cells: 0 };
let pair = [];
for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
  const { columns, rows, ours, stock, wanted } = JSON.parse(line);
  if (!pair.length || pair[0].cols !== columns || pair[0].rows !== rows)
    pair = [await open(columns, rows), await open(columns, rows)];
  await write(pair[0], ours);
  await write(pair[1], stock);
  said.frames += 1;
  for (let y = 0; y < rows; y += 1) {
    const [mine, theirs] = pair.map((terminal) => row(terminal, y));
    const x = mine.findIndex((cell, at) => cell !== theirs[at]);
    if (x < 0) continue;
    said.different += 1;
    said.first ??= { frame: said.frames, x, y, ours: mine[x], stock: theirs[x] };
    break;
  }
  if (wanted) {
    said.cells += wanted.flat().length;
    said.ours += misplaced(pair[0], wanted);
    said.stock += misplaced(pair[1], wanted);
  }
}
console.log(JSON.stringify(said));
