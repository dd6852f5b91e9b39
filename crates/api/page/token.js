// The token that a person has, for areas that ask for one. It stays in this tab and never goes into an address that
// could be logged, except where a browser's WebSocket cannot send it otherwise.

const KEY = "sluicegate-token";

/** `/#token=TOKEN` opens the page with a token; a fragment is not sent to the server. */
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname + location.search);
}

fromAddress();

export const token = () => sessionStorage.getItem(KEY) ?? "";

export const remember = (given) => sessionStorage.setItem(KEY, given.trim());

/** Headers of a request. */
export const headers = () => (token() ? { Authorization: `Bearer ${token()}` } : {});
