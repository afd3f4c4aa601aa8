import { defineConfig } from "vite";

// `npm run dev` serves the app and asks a `watersmeet serve` on its usual port for the rest.
const server = process.env["WATERSMEET_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  // Relative, so that the app may be served below a path.
  base: "./",
  build: { target: "es2022", chunkSizeWarningLimit: 1_500, modulePreload: { polyfill: false } },
  server: {
    proxy: { "/tiles": server, "/sync": { target: server, ws: true } },
    fs: { allow: [".."] },
  },
});
