/** How the base map is drawn, by day and by night. All of it comes from this server; labels use the device's fonts. */

import type { FilterSpecification, StyleSpecification } from "maplibre-gl";
import { at } from "./home.js";

const DAY = { water: "#b9d6d9", land: "#f4efe2", coast: "#8fb8bd", border: "#c9b9a0", country: "#7b6a55", city: "#24414a", halo: "#f4efe2", dot: "#5c7076" };
const NIGHT = { water: "#0e2129", land: "#1d3137", coast: "#33535b", border: "#3d545a", country: "#8ea6a6", city: "#c9d8d3", halo: "#16282e", dot: "#7f989a" };

/** The smaller the scale, the fewer cities. */
const CITIES: FilterSpecification = ["<", ["get", "rank"], ["step", ["zoom"], 30, 4, 90, 5, 150, 6, 1_000]];

export function isNight(): boolean {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

export function baseStyle(): StyleSpecification {
  const colour = isNight() ? NIGHT : DAY;
  return {
    version: 8,
    sources: { basemap: { type: "vector", url: at("tiles/basemap.json") } },
    layers: [
      { id: "water", type: "background", paint: { "background-color": colour.water } },
      { id: "land", type: "fill", source: "basemap", "source-layer": "land", paint: { "fill-color": colour.land } },
      {
        id: "coast", type: "line", source: "basemap", "source-layer": "land",
        paint: { "line-color": colour.coast, "line-width": ["interpolate", ["linear"], ["zoom"], 0, 0.4, 6, 1.2] },
      },
      {
        id: "borders", type: "line", source: "basemap", "source-layer": "borders",
        paint: { "line-color": colour.border, "line-width": ["interpolate", ["linear"], ["zoom"], 0, 0.5, 8, 1.6], "line-dasharray": [3, 1.5] },
      },
      {
        id: "cities-dots", type: "circle", source: "basemap", "source-layer": "cities", minzoom: 3, filter: CITIES,
        paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, 1.2, 10, 3], "circle-color": colour.dot },
      },
      {
        id: "countries", type: "symbol", source: "basemap", "source-layer": "countries", maxzoom: 7,
        filter: [">=", ["zoom"], ["get", "min_zoom"]],
        layout: {
          "symbol-sort-key": ["-", ["get", "area"]],
          "text-field": ["get", "name"], "text-font": ["Georgia, serif"], "text-transform": "uppercase",
          "text-letter-spacing": 0.14, "text-max-width": 7, "text-padding": 6,
          "text-size": ["interpolate", ["linear"], ["zoom"], 1, 9, 6, 14],
        },
        paint: { "text-color": colour.country, "text-halo-color": colour.halo, "text-halo-width": 1.2 },
      },
      {
        id: "cities", type: "symbol", source: "basemap", "source-layer": "cities", minzoom: 3, filter: CITIES,
        layout: {
          "symbol-sort-key": ["get", "rank"],
          "text-field": ["get", "name"], "text-font": ["system-ui, sans-serif"], "text-variable-anchor": ["left", "right", "top", "bottom"],
          "text-radial-offset": 0.5, "text-justify": "auto", "text-padding": 4,
          "text-size": ["interpolate", ["linear"], ["zoom"], 3, 10, 10, 14],
        },
        paint: { "text-color": colour.city, "text-halo-color": colour.halo, "text-halo-width": 1.2 },
      },
    ],
  };
}
