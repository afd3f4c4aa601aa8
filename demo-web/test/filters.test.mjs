// What passes a filter, by MapLibre itself: the table that ours is held to in tiles/tests/filters.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { featureFilter } from "@maplibre/maplibre-gl-style-spec";

const table = new URL("../../tiles/tests/filters.json", import.meta.url);
const { features, filters } = JSON.parse(readFileSync(table, "utf8"));

test("filters let the same features pass as MapLibre's", (context) => {
  // What has no value is told there, once for each filter.
  context.mock.method(console, "warn", () => {});
  assert.ok(filters.length > 70);
  for (const { filter, passes } of filters) {
    const compiled = featureFilter(filter, "layers[0].filter");
    const names = features.filter((feature) => compiled.filter({ zoom: 0 }, feature)).map(({ name }) => name);
    assert.deepEqual(names, passes, JSON.stringify(filter));
  }
});
