/** The map: this server's base map, moved by hand, by wheel and by keyboard. */

import { AttributionControl, Map, NavigationControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";
import { baseStyle } from "./style.js";

setWorkerUrl(workerUrl);

const ZOOM_MAX = 14;

interface View {
  center: [number, number];
  zoom: number;
}

/** Makes the map in `container`, where it was left the last time. */
export function createMap(container: HTMLElement, name: string): Map {
  const key = `watersmeet-demo.view.${name}`;
  const map = new Map({
    container,
    style: baseStyle(),
    ...view(key),
    maxZoom: ZOOM_MAX,
    minZoom: 1,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    attributionControl: false,
    fadeDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new AttributionControl({ compact: false, customAttribution: "Natural Earth" }), "bottom-right");
  map.on("moveend", () => {
    const { lng, lat } = map.getCenter();
    remember(key, { center: [lng, lat], zoom: map.getZoom() });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map.setStyle(baseStyle()));
  return map;
}

function view(key: string): View {
  try {
    const { center, zoom } = JSON.parse(localStorage.getItem(key) ?? "") as View;
    if (center.every(Number.isFinite) && Number.isFinite(zoom)) return { center, zoom };
  } catch {
    // The first visit to this map.
  }
  return { center: [10, 48], zoom: matchMedia("(max-width: 720px)").matches ? 2.4 : 3.6 };
}

function remember(key: string, view: View): void {
  try {
    localStorage.setItem(key, JSON.stringify(view));
  } catch {
    // Then the map opens where it always does.
  }
}
