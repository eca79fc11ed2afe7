// Formulas in (JSON on standard input: [{tex, display}]), HTML out (a JSON list).
import { readFileSync } from "node:fs";
import katex from "katex";

const formulas = JSON.parse(readFileSync(0, "utf8"));
const made = formulas.map(({ tex, display }) =>
  katex.renderToString(tex, { displayMode: display, throwOnError: true, strict: "error" }));
process.stdout.write(JSON.stringify(made));
