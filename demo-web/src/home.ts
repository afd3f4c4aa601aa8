/** Where this app is: its own folder on its server, which may be below a path. Nothing that it asks for is elsewhere. */

// The app's script is one folder below it, as built (assets/) and as developed (src/); the page itself may have been asked
// for by any path. (Said in two steps, or a bundler would take it for a file of its own.)
const script = import.meta.url;
const home = new URL("..", script);

/** The address of something of this server, such as `sync`. */
export function at(path: string): string {
  return new URL(path, home).href;
}

/** A name that apps elsewhere on the same host do not take for theirs, as they share what a browser keeps. */
export function own(name: string): string {
  return home.pathname === "/" ? name : `${name} ${home.pathname}`;
}
