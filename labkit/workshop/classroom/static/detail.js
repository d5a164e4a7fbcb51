// The details of one learner: where they are, help, the view of their lab, and what was sent.

import { ask, follow } from "./api.js";
import { confirmed } from "./dialogs.js";
import { exam } from "./table.js";
import { badge, clock, element, foreign, lasting, mark } from "./words.js";

const find = (id) => document.getElementById(id);

export class Detail {
  /** `page` has `course`, `now()`, `learner(name)`, `notice(text, bad)`, and `closed()`. */
  constructor(page) {
    this.page = page;
    this.name = this.label = null;
    this.stop = null;
    find("detail-close").addEventListener("click", () => this.close());
    find("detail").addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
    find("watch").addEventListener("click", () => (this.stop ? this.unwatch() : this.watch()));
    find("help-hint").addEventListener("change", () => this.takeHint());
    find("help").addEventListener("submit", (event) => { event.preventDefault(); this.sendMessage(); });
    find("jump").addEventListener("submit", (event) => { event.preventDefault(); this.begin(); });
    find("reset").addEventListener("click", () => this.reset());
    find("forget").addEventListener("click", () => this.forget());
    find("look-picture").addEventListener("error", () => this.noPicture());
  }

  /** Show a learner, and move the focus to the name. */
  open(name) {
    if (name !== this.name) this.unwatch();
    this.name = name;
    this.hinted = undefined;
    find("detail").hidden = false;
    document.querySelector(".columns").classList.add("open");
    this.label = this.page.learner(name)?.label ?? name;
    find("detail-name").replaceChildren(foreign(this.label));
    find("help-text").value = "";
    find("jump-chapter").replaceChildren(...chapters(this.page.course));
    const at = this.page.learner(name)?.chapter;
    if (at) find("jump-chapter").value = at;
    this.refresh();
    this.history();
    find("detail-name").focus();
  }

  close() {
    if (this.name === null) return;
    const name = this.name;
    this.unwatch();
    this.name = null;
    find("detail").hidden = true;
    document.querySelector(".columns").classList.remove("open");
    this.page.closed(name);
  }

  /** The learner's row has changed, or time has passed. */
  refresh() {
    const learner = this.name === null ? null : this.page.learner(this.name);
    if (this.name !== null && !learner) { this.close(); return; }
    if (!learner) return;
    this.where(learner);
    this.hints(learner);
    this.marks(learner);
  }

  where(learner) {
    const part = this.page.course.find((found) => found.name === learner.chapter);
    const exercise = part?.exercises.find((found) => found.name === learner.exercise);
    const since = learner.since && (exercise || learner.place) ? ` for ${lasting(this.page.now() - learner.since)}` : "";
    const lines = [learner.label === learner.name ? null : element("p", { class: "note" }, "Login: ", foreign(learner.name)),
      element("p", {}, badge(learner.state, learner.word), learner.signs.length ? ` ${learner.signs.join(", ")}` : "")].filter(Boolean);
    if (learner.place) lines.push(element("p", {}, `Takes an exam: ${learner.place}${since}.`));
    else if (exercise) lines.push(element("p", {}, element("strong", {}, learner.exercise), `${since}: ${exercise.task}.`));
    else if (part) lines.push(element("p", {}, `Chapter ${part.title}: nothing is left to solve.`));
    else lines.push(element("p", {}, "No chapter was begun yet."));
    if (learner.verdict) lines.push(...said(learner.verdict));
    if (learner.last) lines.push(element("p", { class: "note" }, `Last record at ${clock(learner.last)}.`));
    update(find("detail-now"), lines);
  }

  hints(learner) {
    const part = this.page.course.find((found) => found.name === learner.chapter);
    const exercise = part?.exercises.find((found) => found.name === learner.exercise) ?? null;
    if (this.hinted === (exercise?.name ?? null)) return;
    this.hinted = exercise?.name ?? null;
    const ready = exercise?.hints ?? [];
    find("help-hint").replaceChildren(
      element("option", { value: "" }, ready.length ? `Choose a hint for ${exercise.name}` : "None for where the learner is"),
      ...ready.map((hint, index) => element("option", { value: hint }, `${index + 1}. ${hint}`)));
    find("help-hint").disabled = !ready.length;
  }

  takeHint() {
    const hint = find("help-hint").value;
    if (hint) find("help-text").value = `A hint for ${this.hinted}: ${hint}`;
  }

  marks(learner) {
    const now = this.page.now();
    const parts = this.page.course.filter((part) => part.exercises.some(({ name }) => learner.marks[name])
      || learner.quiz[part.key] || part.name === learner.chapter);
    const tables = parts.flatMap((part) => {
      const quiz = learner.quiz[part.key], predicted = learner.predictions[part.key];
      const extra = [
        quiz ? `quiz ${quiz[0]} of ${part.questions}` : "",
        predicted && predicted[1] ? `predictions ${predicted[0]} of ${predicted[1]}` : "",
      ].filter(Boolean).join(", ");
      const shown = part.exam ? part.exercises.filter(({ name }) => learner.marks[name]) : part.exercises;
      return [element("h4", {}, part.title), extra ? element("p", { class: "note" }, extra) : null,
        shown.length ? element("table", {}, element("thead", {}, element("tr", {},
          ...["Exercise", "Result", "Checks", "Hints"].map((text) => element("th", { scope: "col" }, text)))),
        element("tbody", {}, ...shown.map(({ name, task }) => {
          const found = learner.marks[name];
          return element("tr", {}, element("th", { scope: "row", title: task }, name),
            element("td", {}, mark(found, learner.exercise === name, now - learner.since)),
            element("td", {}, String(found?.checks ?? 0)), element("td", {}, String(found?.hints ?? 0)));
        }))) : null];
    });
    const exams = learner.exams.length ? [element("p", {}, `Last exam: ${exam(learner)} scenarios, at ${clock(learner.exams.at(-1).started)}.`)] : [];
    const all = [...tables, ...exams].filter(Boolean);
    update(find("done"), all.length ? all : [element("p", { class: "note" }, "Nothing yet.")]);
  }

  /** What was sent to the learner, and what became of it. */
  async history() {
    const name = this.name;
    if (name === null) return;
    try {
      const { sent } = await ask("GET", `learners/${encodeURIComponent(name)}`);
      if (name !== this.name) return;
      update(find("sent"), sent.length ? sent.map(item) : [element("li", { class: "note" }, "Nothing yet.")]);
    } catch (problem) { this.page.notice(problem.message, true); }
  }

  async deliver(path, body, text) {
    try {
      const { connected } = await ask("POST", path, { ...body, to: [this.name] });
      this.page.notice(connected.length ? text : `${text} It waits until the learner's place connects.`);
      this.history();
      return true;
    } catch (problem) { this.page.notice(problem.message, true); return false; }
  }

  async sendMessage() {
    const sent = await this.deliver("messages", { text: find("help-text").value }, `The message to ${this.label} was sent.`);
    if (sent) { find("help-text").value = ""; find("help-hint").value = ""; }
  }

  async begin() {
    const chapter = find("jump-chapter").selectedOptions[0];
    const agreed = await confirmed(`Begin chapter ${chapter.text} in the lab of ${this.label}?`,
      "The lab goes to the chapter's starting state. Services, networks, and volumes that the learner has created are removed; notebooks and progress stay.",
      "Begin the chapter");
    if (agreed) this.deliver("begin", { chapter: chapter.value }, `Chapter ${chapter.text} begins in the lab of ${this.label}.`);
  }

  async reset() {
    const agreed = await confirmed(`Reset the lab of ${this.label}?`,
      "The nodes become bare engines: no swarm, no services, no volumes. Notebooks and progress stay.", "Reset the lab");
    if (agreed) this.deliver("reset", {}, `The lab of ${this.label} is being reset.`);
  }

  async forget() {
    const { name, label } = this;
    const agreed = await confirmed(`Delete everything about ${label}?`,
      "This service forgets what the learner did and what was sent to them. The learner's own progress file isn't touched. A place that is still running shows up again, with what happens from then on.",
      "Delete");
    if (!agreed) return;
    try {
      await ask("DELETE", `learners/${encodeURIComponent(name)}`);
      this.page.notice(`Everything about ${label} was deleted.`);
    } catch (problem) { this.page.notice(problem.message, true); }
  }

  watch() {
    find("watch").setAttribute("aria-pressed", "true");
    find("watch").textContent = "Stop watching";
    find("look").hidden = false;
    find("look-board").hidden = true;
    find("look-commands").replaceChildren();
    find("look-state").textContent = "Waiting for the learner's place …";
    this.stop = follow(`learners/${encodeURIComponent(this.name)}/view`, { view: (view) => this.look(view) });
  }

  unwatch() {
    this.stop?.();
    this.stop = null;
    find("watch").setAttribute("aria-pressed", "false");
    find("watch").textContent = "Watch";
    find("look").hidden = true;
    find("look-picture").removeAttribute("src");
  }

  /** Show a view. The board is an image, in which nothing runs and which loads nothing. */
  look(view) {
    find("look-state").textContent = `Live, last changed at ${clock(Date.now() / 1000)}.`;
    find("look-board").hidden = !view.board;
    if (view.board) {
      const named = /<svg[^>]*\sxmlns=/.test(view.board);
      const board = named ? view.board : view.board.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
      find("look-picture").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(board)}`;
      find("look-picture").alt = view.text || "The learner's board";
      find("look-text").textContent = view.text;
    }
    update(find("look-commands"), view.commands.length
      ? view.commands.toReversed().map((command) => element("li", {}, element("span", { class: "note" },
        foreign(command.node), command.moment ? `, ${clock(command.moment)}` : "", ended(command.code)),
      element("code", {}, command.command)))
      : [element("li", { class: "note" }, "None yet.")]);
  }

  noPicture() {
    if (!find("look-picture").hasAttribute("src")) return;
    find("look-board").hidden = true;
    find("look-state").textContent = "The board can't be shown: what the learner's place sent isn't a picture.";
  }
}

/** A chapter for each option. */
export function chapters(course) {
  return course.map((part) => element("option", { value: part.name }, part.title));
}

function ended(code) {
  if (code === null || code === undefined) return "";
  return code === 0 ? ", ✓ done" : `, ✗ exit code ${code}`;
}

function said(verdict) {
  const head = element("p", {}, `Last check, at ${clock(verdict.moment)}: ${verdict.exercise} ${verdict.ok ? "is solved" : "was refused"}.`);
  if (verdict.ok || !verdict.points.length) return [head];
  return [head, element("ul", { class: "points" }, ...verdict.points.map((point) => element("li", {}, foreign(point))))];
}

function item(sent) {
  const what = { message: () => `“${sent.data.text}”`, begin: () => `Begin ${sent.data.chapter}`, reset: () => "Reset the lab" };
  const state = sent.ended ? `${sent.ok ? "✓ done" : "✗ failed"}${sent.text ? `: ${sent.text}` : ""}`
    : sent.delivered ? `arrived at ${clock(sent.delivered)}` : "waits for the learner's place";
  return element("li", {}, element("div", {}, foreign((what[sent.event] ?? (() => sent.event))())),
    element("div", { class: "note" }, `${clock(sent.sent)}, `, foreign(state)));
}

function update(parent, children) {
  const same = parent.childNodes.length === children.length
    && children.every((child, index) => child.isEqualNode(parent.childNodes[index]));
  if (!same) parent.replaceChildren(...children);
}

