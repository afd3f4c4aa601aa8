// What a browser downloads: `npm run sizes`. The glue counts as it is; a bundler makes it smaller.
import { readFile, readdir } from "node:fs/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";

const root = new URL("..", import.meta.url);
const files = ["wasm/watersmeet_wasm_bg.wasm", "wasm/watersmeet_wasm.js"];
for (const name of await readdir(new URL("dist", root))) {
  if (name.endsWith(".js")) files.push(`dist/${name}`);
}

const total = [0, 0, 0];
const print = (name, sizes) =>
  console.log(name.padEnd(32), ...sizes.map((size) => `${(size / 1024).toFixed(1)} kB`.padStart(10)));
console.log("".padEnd(32), ..."raw gzip brotli".split(" ").map((word) => word.padStart(10)));
for (const name of files) {
  const bytes = await readFile(new URL(name, root));
  const sizes = [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];
  sizes.forEach((size, index) => (total[index] += size));
  print(name, sizes);
}
print("all", total);
