// Requests to the class service, and its stream of events.

const XSRF = document.querySelector('meta[name="xsrf"]').content;
const RETRY_MILLISECONDS = 3000;

/** Ask the service. Throws an Error with the service's own words. */
export async function ask(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    headers: { "X-XSRFToken": XSRF, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error ?? `The class service answered ${answer.status}.`);
  return found;
}

/**
 * Follow a stream. `handlers` take the data of each event by its name; `state` is told `live`, `lost`, or `out`,
 * the last when the service refuses: then only a new login helps. Returns what ends it.
 */
export function follow(path, handlers, state = () => {}) {
  let source, timer, ended = false;
  const open = () => {
    source = new EventSource(`api/${path}?_xsrf=${encodeURIComponent(XSRF)}`);
    source.addEventListener("open", () => state("live"));
    source.addEventListener("error", async () => {
      state("lost");
      if (source.readyState !== EventSource.CLOSED || ended) return;
      timer = setTimeout(open, RETRY_MILLISECONDS);
      try { await ask("GET", "class"); } catch (problem) { if (/log in|instructors/.test(problem.message)) state("out"); }
    });
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
  };
  open();
  return () => { ended = true; clearTimeout(timer); source.close(); };
}

/** The address of an exported file. */
export function exported(kind) {
  return `api/export/${kind}?_xsrf=${encodeURIComponent(XSRF)}`;
}
