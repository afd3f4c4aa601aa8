/**
 * Who this is to a server that asks: the token in the address's fragment (`#token=…`), which browsers send to nobody. It is
 * taken out of the address, so that it is not passed on with a link, and kept for as long as the tab.
 */

const KEY = "watersmeet-demo.token";

export function tokenOfThisTab(): string | undefined {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) {
    sessionStorage.setItem(KEY, token);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY) ?? undefined;
}
