// Elements and words. Text goes in as text nodes only: whatever a learner sends is never read as HTML.

export const SIGNS = {
  stuck: "▲", unsure: "◆", working: "●", done: "✓", quiet: "○", new: "–", away: "○", absent: "○",
};

/** An element with attributes (`on…` are listeners) and children; strings become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Text that somebody else wrote, kept apart from the direction of the text around it. */
export function foreign(text) {
  return element("bdi", {}, String(text));
}

/** `12 min`, `1 h 05 min`. */
export function lasting(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** The time of day of a moment, with the date when it isn't today. */
export function clock(moment) {
  const date = new Date(moment * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A state as a badge: a sign, a color, and a word. */
export function badge(state, word) {
  return element("span", { class: "badge", "data-state": state },
    element("span", { "aria-hidden": "true" }, SIGNS[state] ?? ""), word);
}

/** What a learner did at an exercise, in a sign and two words. */
export function mark(found, here, seconds) {
  const [kind, text] = told(found, here, seconds);
  if (kind === "open") return nothing("not yet");
  return element("span", { class: "mark", "data-mark": kind }, text);
}

function told(found, here, seconds) {
  if (found && found.solved !== null) return found.solution ? ["shown", "◐ solution"] : ["solved", "✓ solved"];
  if (here) return ["here", `▶ ${lasting(seconds)}`];
  if (found && found.checks) return ["refused", `✗ ${counted(found.checks, "check")}`];
  if (found) return ["here", "… begun"];
  return ["open", ""];
}

/** A dot for the eye, and words for a screen reader. */
export function nothing(words) {
  return element("span", { class: "mark", "data-mark": "open" },
    element("span", { "aria-hidden": "true" }, "·"), element("span", { class: "hidden" }, words));
}

/** What the last check said, in one line of words. */
export function verdict(found) {
  if (!found) return "";
  const points = found.points.join("; ");
  return `${found.ok ? "✓" : "✗"} ${found.exercise}: ${found.ok ? "solved" : points || "not solved yet"}`;
}
