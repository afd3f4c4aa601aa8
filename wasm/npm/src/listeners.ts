/** Takes a listener back. */
export type Unsubscribe = () => void;

/** Who is to be told. One listener's error neither stops the others nor whoever tells them. */
export class Listeners<T> {
  readonly #listeners = new Set<(event: T) => void>();

  add(listener: (event: T) => void): Unsubscribe {
    // Wrapped, so that one function added twice is told twice and taken back once.
    const own = (event: T) => listener(event);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  tell(event: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
