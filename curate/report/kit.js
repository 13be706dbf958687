"use strict";
// What the scripts of pages share: nodes, the theme button, turns of an episode, and a gallery with filters and keys.
// Text enters a page as text nodes only; nothing is fetched.
const kit = (() => {
  const ANY = "*any*";
  const ROLES = { positive: "same label", negative: "other label", support: "support" };
  const $ = (id) => document.getElementById(id);
  const data = $("data") ? JSON.parse($("data").textContent) : null;

  function make(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "text") node.textContent = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  const words = (name) => name.replaceAll("_", " ");
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  // ---- theme -------------------------------------------------------------------------------------------
  const THEMES = [["", "Auto", "as the system"], ["light", "Light", "light"], ["dark", "Dark", "dark"]];
  let theme = 0;
  $("theme").addEventListener("click", () => {
    theme = (theme + 1) % THEMES.length;
    const [value, label, said] = THEMES[theme];
    if (value) document.documentElement.dataset.theme = value;
    else delete document.documentElement.dataset.theme;
    $("theme").textContent = `◐ ${label}`;
    $("theme").setAttribute("aria-label", `Colours: ${said}. Change`);
  });

  // ---- one turn of an episode --------------------------------------------------------------------------
  function picture(number, alt) {
    if (number < 0) return make("div", { class: "missing", role: "img", "aria-label": `${alt}, missing`, text: "picture missing" });
    return make("img", { src: `data:image/webp;base64,${data.pictures[number]}`, alt, decoding: "async" });
  }

  function saying(kind, text, who) {
    return make("div", { class: `says ${kind}` }, make("span", { class: "unseen", text: `${who}: ` }), make("bdi", { class: "text", text }));
  }

  function answerOf(turn) {
    const said = saying("answer", turn.answer || "(empty)", "answer");
    if (turn.label && turn.label !== turn.answer) said.append(make("span", { class: "label" }, "means ", make("bdi", { text: turn.label })));
    return said;
  }

  function similarity(turn) {
    if (turn.similarity === null) return null;
    const meter = make("span", { class: "similarity", title: "cosine to the query" });
    meter.append(make("span", { class: "cos", "aria-hidden": "true", text: "cos " }), turn.similarity.toFixed(2));
    return meter;
  }

  function turnNode(turn, place, isQuery, answer) {
    const name = isQuery ? "Query" : `Demonstration ${place}`;
    const head = make("div", { class: "turnhead" }, make("span", { class: "place", text: isQuery ? "Query" : String(place) }));
    if (!isQuery) head.append(make("span", { class: `role ${turn.role in ROLES ? turn.role : ""}`, text: ROLES[turn.role] ?? turn.role }));
    const near = similarity(turn);
    if (near) head.append(near);
    const shown = turn.pictures.map((number, i) => picture(number, `${name}, picture ${i + 1}`));
    const pics = make("div", { class: shown.length > 1 ? "pics many" : "pics" }, ...shown);
    const talk = make("div", { class: "talk" }, turn.question ? saying("question", turn.question, "question") : null, answer);
    return make("li", { class: isQuery ? "turn query" : "turn", "aria-label": name }, head, shown.length ? pics : null, talk);
  }

  function fact(list, name, value) {
    if (value === "" || value === undefined) return;
    list.append(make("dt", { text: name }), make("dd", {}, make("bdi", { text: String(value) })));
  }

  function origin(facts) {
    const list = make("dl");
    for (const [name, value] of facts) fact(list, name, value);
    return make("details", { class: "origin" }, make("summary", { text: "Where it comes from" }), list);
  }

  // ---- a gallery ---------------------------------------------------------------------------------------
  // fields: select id -> the item's value, or a list of its values. search: id of the text field. text: what is searched.
  function gallery({ items, card, noun, fields, search, text, batch = 12, orders = {}, keys = {} }) {
    let matching = items;
    const folded = (said) => said.normalize("NFKC").toLocaleLowerCase("en");
    const valuesOf = (id, item) => [fields[id](item)].flat();

    function fill(id) {
      const counts = new Map((orders[id] ?? []).map((name) => [name, 0]));
      for (const item of items) for (const value of valuesOf(id, item)) counts.set(value, (counts.get(value) ?? 0) + 1);
      const names = [...counts.keys()].filter((name) => counts.get(name));
      if (!orders[id]) names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const choices = names.map((name) => make("option", { value: name, text: `${words(name)} (${counts.get(name)})` }));
      $(id).replaceChildren(make("option", { value: ANY, text: "any" }), ...choices);
    }

    function matches(item) {
      const chosen = Object.keys(fields).every((id) => $(id).value === ANY || valuesOf(id, item).includes($(id).value));
      return chosen && folded(text(item)).includes(folded($(search).value.trim()));
    }

    function showMore() {
      const shown = $("cards").childElementCount;
      const fresh = matching.slice(shown, shown + batch).map(card);
      $("cards").append(...fresh);
      const left = matching.length - $("cards").childElementCount;
      $("more").hidden = left === 0;
      $("more").textContent = `Show ${Math.min(batch, left)} more of ${left}`;
      return fresh[0];
    }

    function filter() {
      matching = items.filter(matches);
      $("cards").replaceChildren();
      $("cards").classList.toggle("searching", $(search).value.trim() !== "");
      $("count").textContent = matching.length ? `${matching.length.toLocaleString("en")} of ${plural(items.length, noun)}` : `No ${noun} matches. Clear a filter.`;
      showMore();
    }

    function step(by) {
      const here = document.activeElement?.closest(".card");
      const first = $("cards").firstElementChild;
      let next = here ? (by > 0 ? here.nextElementSibling : here.previousElementSibling) : first;
      if (here && !next && by > 0 && !$("more").hidden) next = showMore();
      if (!next) return;
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "start" });
    }

    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, select, textarea")) return;
      const here = document.activeElement?.closest(".card");
      if (event.key === "/") $(search).focus();
      else if (event.key === "j") step(1);
      else if (event.key === "k") step(-1);
      else if (event.key in keys && here) keys[event.key](here);
      else return;
      event.preventDefault();
    });

    for (const id of Object.keys(fields)) fill(id);
    $("filters").hidden = false;
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("filters").addEventListener("input", filter);
    $("filters").addEventListener("reset", () => setTimeout(filter));
    $("more").addEventListener("click", () => showMore()?.focus());
    filter();
  }

  return { $, data, make, words, plural, saying, answerOf, turnNode, origin, gallery };
})();
