// Bundles the UI into dist/: hashed files beside a manifest.json that names them for the server.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { emojiData } from "./emoji.mjs";

const watch = process.argv.includes("--watch");
const dist = new URL("dist/", import.meta.url);

// Everything a first visit loads must fit into this many bytes when compressed.
const compressedBytesMax = 150 * 1024;

/** The notices that the licences of everything bundled ask to pass on. */
async function notices(inputs) {
  const packages = new Set(inputs.flatMap((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []));
  const parts = [...packages].sort().map(async (name) => {
    const folder = new URL(`node_modules/${name}/`, import.meta.url);
    const { version, license } = JSON.parse(await readFile(new URL("package.json", folder), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(new URL(file, folder), "utf8") : "";
    return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(parts)).join(`\n${"-".repeat(80)}\n\n`);
}

/** The files that a first visit loads: the entries, and what they import at once. */
function firstLoaded(outputs) {
  const found = new Set(Object.keys(outputs).filter((path) => /^dist\/(app|style)-/.test(path)));
  for (const path of found) for (const { kind, path: imported } of outputs[path].imports) if (kind !== "dynamic-import") found.add(imported);
  return new Set([...found].map((path) => basename(path)));
}

const manifest = {
  name: "manifest",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length > 0) return;
      const outputs = Object.entries(result.metafile.outputs);
      const find = (entry) => basename(outputs.find(([, output]) => output.entryPoint === entry)[0]);

      const iconSource = await readFile(new URL("src/icon.svg", import.meta.url));
      const iconHash = createHash("sha256").update(iconSource).digest("hex").slice(0, 8).toUpperCase();
      const names = { js: find("src/main.tsx"), css: find("src/styles/app.css"), icon: `icon-${iconHash}.svg` };

      await rm(dist, { recursive: true, force: true });
      await mkdir(dist, { recursive: true });
      const files = result.outputFiles.map((file) => [basename(file.path), file.contents]);
      for (const [name, contents] of [...files, [names.icon, iconSource]]) {
        await writeFile(new URL(name, dist), contents);
        if (watch) continue;
        // Compressed once and best here, so that the server need not.
        await writeFile(new URL(`${name}.br`, dist), brotliCompressSync(contents));
        await writeFile(new URL(`${name}.gz`, dist), gzipSync(contents, { level: 9 }));
      }
      await writeFile(new URL("licences.txt", dist), await notices(Object.keys(result.metafile.inputs)));
      await writeFile(new URL("manifest.json", dist), `${JSON.stringify(names, null, 2)}\n`);

      const sizeOf = ([, contents]) => gzipSync(contents, { level: 9 }).length;
      const first = firstLoaded(result.metafile.outputs);
      const [compressed, later] = [true, false].map((atOnce) =>
        files.filter(([name]) => !name.endsWith(".map") && first.has(name) === atOnce).reduce((sum, file) => sum + sizeOf(file), 0),
      );
      const sizes = [compressed, later].map((bytes) => (bytes / 1024).toFixed(1));
      console.log(`built ${names.js} and ${names.css}: ${sizes[0]} KiB compressed, and ${sizes[1]} KiB that are loaded when needed`);
      if (compressed > compressedBytesMax) throw new Error(`over the limit of ${compressedBytesMax / 1024} KiB`);
    });
  },
};

const context = await esbuild.context({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: { app: "src/main.tsx", style: "src/styles/app.css" },
  bundle: true,
  format: "esm",
  splitting: true,
  chunkNames: "[name]-[hash]",
  target: ["es2022", "chrome109", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  legalComments: "none",
  entryNames: "[name]-[hash]",
  outdir: "dist",
  write: false,
  metafile: true,
  logLevel: "warning",
  plugins: [emojiData, manifest],
});

if (watch) {
  await context.watch();
} else {
  await context.rebuild();
  await context.dispose();
}
