// Bundles each test file for Node (which does not read TypeScript by itself here) and runs them all.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { emojiData } from "./emoji.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = `${here}node_modules/.cache/tests`;
const tests = readdirSync(`${here}test`).filter((name) => name.endsWith(".test.ts"));

rmSync(out, { recursive: true, force: true });
await esbuild.build({
  entryPoints: tests.map((name) => `${here}test/${name}`),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  plugins: [{ name: "external", setup: (build) => build.onResolve({ filter: /^[^.]/ }, ({ path, kind }) => (kind === "entry-point" || path.startsWith("emojibase-data") ? null : { path, external: true })) }, emojiData],
  jsx: "automatic",
  jsxImportSource: "preact",
  sourcemap: "inline",
  logLevel: "warning",
});

const compiled = tests.map((name) => `${out}/${name.replace(/\.ts$/, ".mjs")}`);
const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...compiled], { stdio: "inherit" });
process.exit(run.status ?? 1);
