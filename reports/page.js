"use strict";
// What the page does besides being read. Without it everything is still there to read.
const PER_PAGE = 100;
const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- light and dark
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const theme = make("button", { type: "button", className: "theme" });
function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
}
function nameTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`);
}
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
prefersDark.addEventListener("change", nameTheme);
nameTheme();
document.querySelector("header").append(theme);

// ---- copying and saving what is behind a table
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
function save(name, text) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
function button(label, act) {
  const made = make("button", { type: "button", textContent: label });
  made.addEventListener("click", act);
  return made;
}
function copying(label, text) {
  const made = button(`Copy ${label}`, async () => {
    await copy(text);
    made.textContent = "Copied";
    setTimeout(() => { made.textContent = `Copy ${label}`; }, 1500);
  });
  return made;
}
for (const [name, texts] of Object.entries(data.tables)) {
  const figure = document.getElementById(`table-${name}`);
  const tools = make("div", { className: "tools" });
  if (texts.latex) tools.append(copying("LaTeX", texts.latex));
  tools.append(copying("CSV", texts.csv));
  tools.append(button("Save CSV", () => save(`${name}.csv`, texts.csv)));
  figure.append(tools);
}

// ---- the tables of runs: search, sort, page by page
const words = new Intl.Collator("en", { numeric: true });
function number(text) {
  const found = /^[+-]?[\d,]*\.?\d+(e[+-]?\d+)?/i.exec(text);
  return found ? Number(found[0].replaceAll(",", "")) : NaN;
}
function compare(a, b) {
  const x = number(a), y = number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? words.compare(a, b) : x - y;
}
// A column is sorted by number only where it holds nothing else: "12ab" is a name.
function isNumeric(rows, column) {
  return rows.every((row) => row[column] === "–" || /^[+-]?[\d,.]+(e[+-]?\d+)?$/i.test(row[column]));
}
function runTable(figure, rows) {
  const body = figure.querySelector("tbody");
  const heads = [...figure.querySelectorAll("thead th")];
  const kinds = heads.map((head) => head.className);
  rows ??= [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  const haystacks = rows.map((row) => row.join("\t").toLowerCase());
  const numeric = heads.map((_, column) => isNumeric(rows, column));
  let shown = rows.map((_, i) => i), start = 0, sorted = -1, falling = false;

  const search = make("input", { type: "search", placeholder: "Search: arm, status, seed …" });
  search.setAttribute("aria-label", "Search the runs");
  const status = make("span");
  status.setAttribute("role", "status");
  const back = button("Previous", () => { start -= PER_PAGE; draw(); });
  const on = button("Next", () => { start += PER_PAGE; draw(); });
  const tools = make("div", { className: "tools" }, search, status);
  if (rows.length > PER_PAGE) tools.append(back, on);
  figure.querySelector(".scroll").before(tools);
  figure.querySelector(".part")?.remove();

  function draw() {
    const page = shown.slice(start, start + PER_PAGE);
    body.replaceChildren(...page.map((i) => make("tr", {}, ...rows[i].map((text, column) => {
      const cell = make(column ? "td" : "th", { className: kinds[column], textContent: text });
      if (!column) cell.scope = "row";
      return cell;
    }))));
    const last = start + page.length;
    const part = page.length < shown.length ? `${start + 1} to ${last} of ` : "";
    status.textContent = shown.length === rows.length
      ? `${part}${rows.length} runs` : `${part}${shown.length} of ${rows.length} runs`;
    back.disabled = start === 0;
    on.disabled = last >= shown.length;
  }
  function choose() {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    haystacks.forEach((text, i) => { if (terms.every((t) => text.includes(t))) shown.push(i); });
    if (sorted >= 0) {
      const order = numeric[sorted] ? compare : words.compare;
      const none = (i) => rows[i][sorted] === "–";
      shown.sort((a, b) => none(a) - none(b)
        || (falling ? -1 : 1) * order(rows[a][sorted], rows[b][sorted]) || a - b);
    }
    start = 0;
    draw();
  }
  heads.forEach((head, column) => {
    const by = button(head.textContent, () => {
      falling = sorted === column && !falling;
      sorted = column;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      choose();
    });
    head.replaceChildren(by);
  });
  search.addEventListener("input", choose);
  draw();
}
for (const figure of document.querySelectorAll("figure.runs")) {
  runTable(figure, data.runs[figure.id.slice("table-".length)]);
}

// ---- a folded part that is linked to, or printed, opens
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.closest("details")?.setAttribute("open", "");
}
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((each) => each.setAttribute("open", ""));
});
openTarget();
