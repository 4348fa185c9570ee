// Builds the portal's front end: every top-level file of assets/css and assets/js is one bundle
// (parts that are only imported lie in subfolders), and assets/icons and assets/images go as they are.
// Output goes to static/, which git ignores and whitenoise serves.
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const source = path.join(root, "assets");
const target = path.join(root, "static");

async function bundles(folder, extension) {
  const full = path.join(source, folder);
  if (!existsSync(full)) return [];
  const entries = await readdir(full, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith(extension)).map((entry) => path.join(full, entry.name));
}

const entryPoints = [...(await bundles("css", ".css")), ...(await bundles("js", ".js"))];
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
if (entryPoints.length > 0) {
  await build({
    entryPoints,
    bundle: true,
    minify: true,
    sourcemap: false,
    format: "iife",
    target: ["es2022", "chrome110", "firefox115", "safari16"],
    loader: { ".woff2": "file", ".svg": "file", ".png": "file" },
    outdir: target,
    outbase: source,
    logLevel: "warning",
  });
}
for (const folder of ["icons", "images", "fonts"]) {
  if (existsSync(path.join(source, folder))) {
    await cp(path.join(source, folder), path.join(target, folder), { recursive: true });
  }
}
console.log(`static/: ${entryPoints.length} bundles`);
