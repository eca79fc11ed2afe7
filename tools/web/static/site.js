// The website's own behaviour: the theme, the search, and boxes that scroll can be reached by key.
"use strict";

document.querySelector("#theme").addEventListener("click", window.switchTheme);

// What answers a prediction is closed until it is asked for, one by one or all at once.
const answers = [...document.querySelectorAll("details.answer")];
const openAll = document.querySelector("#answers");

function setAnswers(open) {
  for (const answer of answers) answer.open = open;
}

function noteAnswers() {
  const all = answers.every((answer) => answer.open);
  openAll.setAttribute("aria-pressed", String(all));
  openAll.firstChild.data = all ? "Close all answers " : "Open all answers ";
}

if (openAll) {
  openAll.addEventListener("click", () => setAnswers(openAll.getAttribute("aria-pressed") !== "true"));
  for (const answer of answers) answer.addEventListener("toggle", noteAnswers);
}

// A box that scrolls sideways must take the focus, or the keyboard could not scroll it.
const reachable = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
const watchScrolling = () => document.querySelectorAll(".scroll, .katex-display").forEach((box) => reachable.observe(box));
watchScrolling();
document.addEventListener("quantlab:mounted", watchScrolling);

// ---- search: the index is made when it is first asked for

const dialog = document.querySelector(".search");
const box = dialog.querySelector("input");
const list = dialog.querySelector("ol");
const said = dialog.querySelector("[role=status]");
const SHOWN = 12;
let search = null;

function load(src) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src, onload: resolve, onerror: reject });
    document.head.append(script);
  });
}

async function makeSearch() {
  await Promise.all([load("assets/minisearch.js"), load("assets/sections.js")]);
  const index = new window.MiniSearch({
    fields: ["section", "defined", "text", "page"],
    storeFields: ["section", "text", "page", "url"],
    searchOptions: { boost: { section: 4, defined: 4, page: 2 }, prefix: true, fuzzy: 0.15, combineWith: "AND" },
  });
  index.addAll(window.quantlab.sections);
  return index;
}

async function openSearch() {
  dialog.showModal();
  box.select();
  search ??= await makeSearch();
  show();
}

function show() {
  const words = box.value.trim();
  const found = words && search ? search.search(words) : [];
  list.replaceChildren(...found.slice(0, SHOWN).map(entry));
  const first = found.length > SHOWN ? `, the first ${SHOWN} are shown` : "";
  said.textContent = words ? `${found.length || "no"} section${found.length === 1 ? "" : "s"} found${first}` : "";
}

function entry({ section, page, url, text, terms }) {
  const link = Object.assign(document.createElement("a"), { href: url });
  const where = document.createElement("small");
  const piece = document.createElement("small");
  where.textContent = page;
  piece.append(...excerpt(text, terms));
  link.append(section, where, piece);
  link.addEventListener("click", () => dialog.close());
  const item = document.createElement("li");
  item.append(link);
  return item;
}

/** The text around the first word that was found, that word marked. */
function excerpt(text, terms) {
  const places = terms.map((term) => [text.toLowerCase().indexOf(term), term]).filter(([at]) => at >= 0);
  const [at, term] = places.sort((a, b) => a[0] - b[0])[0] ?? [0, ""];
  const from = at < 60 ? 0 : text.indexOf(" ", at - 50) + 1;
  const mark = document.createElement("mark");
  mark.textContent = text.slice(at, at + term.length);
  return [(from ? "… " : "") + text.slice(from, at), mark, `${text.slice(at + term.length, from + 150)} …`];
}

document.querySelector("#search").addEventListener("click", openSearch);
box.addEventListener("input", show);
dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  list.querySelector("a")?.click();
});
dialog.querySelector("button").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("keydown", (event) => {
  const typing = /^(input|textarea|select)$/i.test(document.activeElement.tagName);
  if (typing || dialog.open || event.target.closest(".explorer")) return;
  if (event.key === "/") {
    event.preventDefault();
    openSearch();
  }
  if (event.key.toLowerCase() === "o" && openAll && !event.ctrlKey && !event.metaKey && !event.altKey) openAll.click();
});
