// The table of learners. Rows are kept and only cells that differ are replaced, so that focus stays where it is.

import { badge, element, foreign, lasting, mark, nothing, verdict } from "./words.js";

const names = new Intl.Collator([], { numeric: true });

export class Table {
  /** `open` is called with a learner's name. */
  constructor(grid, open) {
    this.grid = grid;
    this.open = open;
    this.rows = new Map();
  }

  /** Show learners. `view` is a chapter, or null for all; `order` is `stuck` or `name`; `opened` a name. */
  show(learners, { course, view, order, opened, now }) {
    this.head(course, view);
    const columns = view ? exercises(view) : chapters(course);
    for (const learner of learners) this.row(learner, columns, course, now, learner.name === opened);
    const there = new Set(learners.map((learner) => learner.name));
    for (const [name, row] of this.rows) {
      if (!there.has(name)) { row.remove(); this.rows.delete(name); }
    }
    this.sort(learners, order);
    this.foot(learners, columns);
  }

  head(course, view) {
    const columns = view ? exercises(view) : chapters(course);
    const head = element("tr", {},
      ...["Learner", "State", "Working on", "For", "Last check", "Hints"].map(title),
      ...columns.map((column) => element("th", { scope: "col", title: column.task },
        column.name, element("span", { class: "hidden" }, column.task ? `: ${column.task}` : ""))),
      title("Exam"));
    replace(this.grid.tHead, [head]);
    const of = view ? `the exercises of chapter ${view.title}` : "how many exercises of each chapter are solved";
    replace(this.grid.caption, [`Learners, what they're working on, and ${of}`]);
  }

  row(learner, columns, course, now, opened) {
    let row = this.rows.get(learner.name);
    if (!row) {
      const button = element("button", { type: "button", class: "name", onclick: () => this.open(learner.name) },
        foreign(learner.label));
      row = element("tr", {}, element("th", { scope: "row" }, button));
      this.rows.set(learner.name, row);
      this.grid.tBodies[0].append(row);
    }
    row.dataset.state = learner.state;
    row.toggleAttribute("data-open", opened);
    row.querySelector("button").setAttribute("aria-expanded", opened ? "true" : "false");
    const cells = [
      element("td", { class: "how" }, badge(learner.state, learner.word), signs(learner)),
      element("td", { class: "doing" }, ...doing(learner, course)),
      element("td", { class: "narrow" }, learner.since && (learner.exercise || learner.place) ? lasting(now - learner.since) : "–"),
      element("td", { class: "said" }, element("span", {}, learner.verdict ? foreign(verdict(learner.verdict)) : "–")),
      element("td", { class: "narrow" }, learner.hints ? String(learner.hints) : "–"),
      ...columns.map((column) => element("td", { class: "cell" }, column.cell(learner, now))),
      element("td", { class: "narrow" }, exam(learner)),
    ];
    const old = [...row.cells].slice(1);
    if (old.length !== cells.length) {
      old.forEach((cell) => cell.remove());
      row.append(...cells);
    } else {
      cells.forEach((cell, index) => { if (!old[index].isEqualNode(cell)) old[index].replaceWith(cell); });
    }
  }

  sort(learners, order) {
    const sorted = learners.toSorted((one, other) => (order === "name" ? 0 : one.rank - other.rank
      || (one.since ?? 0) - (other.since ?? 0)) || names.compare(one.label, other.label));
    const body = this.grid.tBodies[0];
    const wanted = sorted.map((learner) => this.rows.get(learner.name));
    if (wanted.every((row, index) => row === body.rows[index])) return;
    const focused = document.activeElement;
    body.append(...wanted);
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
  }

  foot(learners, columns) {
    const counts = columns.map((column) => element("td", { class: "cell" }, column.total(learners)));
    const row = element("tr", {}, element("th", { scope: "row" }, "Solved by"),
      element("td", { colspan: 5 }), ...counts, element("td", {}));
    replace(this.grid.tFoot, [row]);
  }
}

function title(text) {
  return element("th", { scope: "col" }, text);
}

/** The columns of one chapter. The exam draws its scenarios, so they have no column each. */
function exercises(view) {
  const solved = (learner, name) => Boolean(learner.marks[name]) && learner.marks[name].solved !== null;
  const each = view.exam
    ? [{ name: "Scenarios", task: "solved in practice or in an exam", ...progress(view) }]
    : view.exercises.map(({ name, task }) => ({
      name, task,
      cell: (learner, now) => mark(learner.marks[name], learner.exercise === name, now - learner.since),
      total: (learners) => `${learners.filter((learner) => solved(learner, name)).length} of ${learners.length}`,
    }));
  const quiz = {
    name: "Quiz", task: "",
    cell: (learner) => { const found = learner.quiz[view.key]; return found ? `${found[0]} of ${view.questions}` : "–"; },
    total: () => "",
  };
  return [...each, quiz];
}

function chapters(course) {
  return course.map((part) => ({ name: `${part.title.slice(0, 2)} ${part.key}`, task: part.title.slice(3), ...progress(part) }));
}

function progress(part) {
  const done = (learner) => part.exercises.filter(({ name }) => learner.marks[name]?.solved != null).length;
  return {
    cell: (learner) => {
      const count = done(learner), all = part.exercises.length;
      if (!count) return nothing("none");
      return element("span", { class: "mark", "data-mark": count === all ? "solved" : "here" },
        count === all ? `✓ ${count} of ${all}` : `${count} of ${all}`);
    },
    total: (learners) => `${learners.filter((learner) => done(learner) === part.exercises.length).length} of ${learners.length}`,
  };
}

function signs(learner) {
  if (!learner.signs.length) return null;
  return element("p", { class: "signs" }, learner.signs.join(", "));
}

function doing(learner, course) {
  if (learner.place) return [`Exam, ${learner.place}`];
  const part = course.find((found) => found.name === learner.chapter);
  if (!part) return ["–"];
  const exercise = part.exercises.find((found) => found.name === learner.exercise);
  if (!exercise) return [part.title];
  return [learner.exercise, element("span", { class: "task" }, exercise.task)];
}

/** The last exam in a few words. */
export function exam(learner) {
  const last = learner.exams.at(-1);
  if (!last) return "–";
  return `${last.score} of ${last.scenarios}${last.over ? "" : ", under way"}`;
}

function replace(parent, children) {
  const box = element("div", {}, ...children);
  const same = parent.childNodes.length === box.childNodes.length
    && [...parent.childNodes].every((child, index) => child.isEqualNode(box.childNodes[index]));
  if (!same) parent.replaceChildren(...children);
}
