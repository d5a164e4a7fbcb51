// The class page: follows the class, shows it, and announces what matters.

import { ask, exported, follow } from "./api.js";
import { chapters, Detail } from "./detail.js";
import { confirmed, opened } from "./dialogs.js";
import { Table } from "./table.js";
import { theme } from "./theme.js";
import { counted, element, SIGNS } from "./words.js";

const TICK_MILLISECONDS = 10_000;
const ANNOUNCE_MILLISECONDS = 2000;
const NOTICE_MILLISECONDS = 10_000;
const SAID_AT_ONCE = 4;

const find = (id) => document.getElementById(id);

const page = {
  course: [],
  learners: new Map(),
  ahead: 0, // seconds by which the service's clock is ahead of the browser's
  now: () => Date.now() / 1000 + page.ahead,
  learner: (name) => page.learners.get(name),
  notice,
  closed(name) {
    show();
    table.rows.get(name)?.querySelector("button").focus();
  },
};
const table = new Table(find("grid"), (name) => { detail.open(name); show(); });
const detail = new Detail(page);
const waiting = []; // what is to be announced

function start(data) {
  page.ahead = data.now - Date.now() / 1000;
  page.course = data.course;
  page.learners = new Map(data.learners.map((learner) => [learner.name, learner]));
  const chosen = find("view").value;
  find("view").replaceChildren(element("option", { value: "most" }, "the chapter where most are"),
    element("option", { value: "all" }, "all chapters"), ...chapters(page.course));
  find("view").value = chosen || "most";
  find("begin-chapter").replaceChildren(...chapters(page.course));
  find("rule-head").textContent = data.rule[0];
  find("rule").replaceChildren(...data.rule.slice(1).map((sign) => element("li", {}, sign)));
  find("rule-order").textContent = data.order;
  const kept = `What learners did and what was sent to them is kept until ${counted(data.keep_days, "day")} after their place was last connected, and is then deleted.`;
  find("keep").textContent = `${kept} The views of labs that you watch are never kept.`;
  find("detail-keep").textContent = kept;
  show();
  detail.refresh();
}

function change(data) {
  page.ahead = data.now - Date.now() / 1000;
  for (const learner of data.learners) {
    announceChange(page.learners.get(learner.name), learner);
    page.learners.set(learner.name, learner);
  }
  show();
  for (const learner of data.learners) flash(learner.name);
  detail.refresh();
}

function gone({ name }) {
  page.learners.delete(name);
  show();
  detail.refresh();
}

function outcome({ name, ok, text }) {
  const who = page.learner(name)?.label ?? name;
  const said = ok ? "done" : "failed";
  announce(`What was asked of the lab of ${who} is ${said}${text ? `: ${text}` : ""}.`);
  if (!ok) notice(`The lab of ${who} couldn't do what was asked: ${text || "no reason was given"}`, true);
  if (name === detail.name) detail.history();
}

function announceChange(before, now) {
  if (now.state !== "absent" && (!before || before.state === "absent")) announce(`${now.label} has arrived.`);
  else if (!before) return;
  else if (before.state !== now.state && ["stuck", "unsure"].includes(now.state)) {
    announce(`${now.label}: ${now.word}, ${now.signs.join(", ")}.`);
  } else if (now.verdict?.ok && now.verdict.moment !== before.verdict?.moment) {
    announce(`${now.label} has solved ${now.verdict.exercise}.`);
  }
}

function announce(text) {
  waiting.push(text);
}

function say() {
  if (!waiting.length) return;
  const some = waiting.splice(0);
  const more = some.length - SAID_AT_ONCE;
  const text = some.slice(0, SAID_AT_ONCE).join(" ") + (more > 0 ? ` And ${counted(more, "more change")}.` : "");
  find("announcer").replaceChildren(element("p", {}, text));
}

let hiding;
function notice(text, bad = false) {
  find("notice").textContent = text;
  find("notice").hidden = false;
  find("notice").toggleAttribute("data-bad", bad);
  clearTimeout(hiding);
  if (!bad) hiding = setTimeout(() => { find("notice").hidden = true; }, NOTICE_MILLISECONDS);
}

/** The chapter whose exercises are shown; null for all chapters. */
function view() {
  const chosen = find("view").value;
  if (chosen === "all") return null;
  if (chosen !== "most") return page.course.find((part) => part.name === chosen);
  const counts = new Map();
  for (const { chapter } of page.learners.values()) if (chapter) counts.set(chapter, (counts.get(chapter) ?? 0) + 1);
  const [most] = [...counts].toSorted((one, other) => other[1] - one[1])[0] ?? [];
  return page.course.find((part) => part.name === most) ?? page.course[0];
}

function show() {
  const learners = [...page.learners.values()];
  find("empty").hidden = learners.length > 0;
  find("scroll").hidden = find("grid").hidden = learners.length === 0;
  if (page.course.length) {
    table.show(learners, { course: page.course, view: view(), order: find("order").value, opened: detail.name, now: page.now() });
  }
  const states = new Map();
  for (const { state, word } of learners.toSorted((one, other) => one.rank - other.rank)) {
    states.set(state, { word, count: (states.get(state)?.count ?? 0) + 1 });
  }
  find("summary").replaceChildren(counted(learners.length, "learner"),
    ...[...states].map(([state, { word, count }]) => element("span", { class: "badge", "data-state": state },
      element("span", { "aria-hidden": "true" }, SIGNS[state]), `${count} ${word}`)));
  document.title = `${states.has("stuck") ? `(${states.get("stuck").count} stuck) ` : ""}Class · Swarm Lab`;
}

function flash(name) {
  const row = table.rows.get(name);
  if (!row) return;
  row.classList.remove("fresh");
  void row.offsetWidth; // so that the animation starts again
  row.classList.add("fresh");
}

function connection(state) {
  const words = {
    live: "Live: changes appear by themselves.",
    lost: "The connection to the class service is lost. Trying again …",
    out: "Your login has ended. Reload the page to log in again.",
  };
  find("connection").textContent = words[state];
  find("connection").dataset.state = state === "live" ? "live" : "lost";
}

async function toAll(path, body, text) {
  try {
    const { sent, connected } = await ask("POST", path, body);
    const all = Object.keys(sent).length, away = all - connected.length;
    notice(`${text} ${counted(all, "learner")}.${away ? ` ${away} of them will get it when their place connects.` : ""}`);
    return true;
  } catch (problem) { notice(problem.message, true); return false; }
}

find("open-message").addEventListener("click", async () => {
  if (await opened("message-dialog") !== "send") return;
  if (await toAll("messages", { text: find("message-text").value }, "The message was sent to")) find("message-text").value = "";
});
find("open-begin").addEventListener("click", async () => {
  if (await opened("begin-dialog") !== "send") return;
  const chapter = find("begin-chapter").selectedOptions[0];
  toAll("begin", { chapter: chapter.value }, `Chapter ${chapter.text} begins for`);
});
find("open-about").addEventListener("click", () => opened("about-dialog"));
find("open-data").addEventListener("click", () => opened("data-dialog"));
find("forget-all").addEventListener("click", async () => {
  find("data-dialog").close();
  const agreed = await confirmed("Delete everything about everyone?",
    "This service forgets what all learners did and everything that was sent to them. Export first if you need it: this can't be undone.",
    "Delete everything");
  if (!agreed) return;
  try { await ask("DELETE", "learners"); notice("Everything was deleted."); } catch (problem) { notice(problem.message, true); }
});
for (const kind of ["csv", "json"]) find(`export-${kind}`).href = exported(kind);
for (const id of ["view", "order"]) find(id).addEventListener("change", show);

theme(find("theme"));
follow("stream", { class: start, learners: change, gone, outcome }, connection);
setInterval(() => { show(); detail.refresh(); }, TICK_MILLISECONDS);
setInterval(say, ANNOUNCE_MILLISECONDS);
