"use strict";
// The gallery and the theme button. Text enters the page as text nodes only; nothing is fetched.
(() => {
  const BATCH = 12;
  const ANY = "*any*";
  const ROLES = { positive: "same label", negative: "other label", support: "support" };
  const $ = (id) => document.getElementById(id);

  function make(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "text") node.textContent = value;
      else if (name === "on") node.addEventListener(...value);
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

  if (!$("data")) return;
  const { episodes, pictures } = JSON.parse($("data").textContent);

  // ---- one episode -------------------------------------------------------------------------------------
  function picture(number, alt) {
    if (number < 0) return make("div", { class: "missing", role: "img", "aria-label": `${alt}, missing`, text: "picture missing" });
    return make("img", { src: `data:image/webp;base64,${pictures[number]}`, alt, decoding: "async" });
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

  function origin(episode) {
    const list = make("dl");
    const query = episode.turns[episode.turns.length - 1];
    for (const name of ["id", "source", "licence", "record", "task", "order", "seed"]) fact(list, name, episode[name]);
    fact(list, "lineage", episode.lineage.join(" → "));
    fact(list, "query", [query.demonstration, query.document].filter(Boolean).join(" from "));
    fact(list, "demonstrations", episode.turns.slice(0, -1).map((turn) => turn.demonstration).join(", "));
    return make("details", { class: "origin" }, make("summary", { text: "Where it comes from" }), list);
  }

  function card(episode) {
    const query = episode.turns[episode.turns.length - 1];
    const hidden = make("div", { class: "hidden-answer", id: `answer-${episode.number}` }, answerOf(query));
    const button = make("button", { type: "button", class: "reveal", "aria-controls": hidden.id });
    const concept = make("span", { class: "concept" }, make("bdi", { text: episode.concept }));
    const chips = [episode.format, plural(episode.turns.length - 1, "shot"), episode.selector].map((text) =>
      make("li", {}, make("bdi", { text: words(text) })));
    const node = make("article", { class: `card w${Math.min(episode.turns.length, 5)}`, tabindex: "0", "aria-label": `Episode ${episode.number}` },
      make("header", {}, make("h3", { text: `Episode ${episode.number}` }), concept, make("ul", { class: "chips" }, ...chips)),
      make("ol", { class: "turns" },
        ...episode.turns.slice(0, -1).map((turn, i) => turnNode(turn, i + 1, false, answerOf(turn))),
        turnNode(query, 0, true, make("div", { class: "guess" }, button, hidden))),
      origin(episode));
    node.reveal = (open) => {
      hidden.hidden = !open;
      button.textContent = open ? "Hide answer" : "Show answer";
      button.setAttribute("aria-expanded", String(open));
      node.classList.toggle("open", open);
    };
    button.addEventListener("click", () => node.reveal(hidden.hidden));
    node.reveal(allOpen);
    return node;
  }

  // ---- filters -----------------------------------------------------------------------------------------
  const fields = { format: (e) => e.format, shots: (e) => String(e.turns.length - 1), selector: (e) => e.selector };
  let allOpen = false;
  let matching = episodes;

  function fill(select, value) {
    const counts = new Map();
    for (const episode of episodes) counts.set(value(episode), (counts.get(value(episode)) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const choices = names.map((name) => make("option", { value: name, text: `${words(name)} (${counts.get(name)})` }));
    select.replaceChildren(make("option", { value: ANY, text: "any" }), ...choices);
  }

  const folded = (text) => text.normalize("NFKC").toLocaleLowerCase("en");

  function matches(episode) {
    const wanted = folded($("concept").value.trim());
    const chosen = Object.entries(fields).every(([id, value]) => $(id).value === ANY || $(id).value === value(episode));
    return chosen && folded(episode.concept).includes(wanted);
  }

  function showMore() {
    const shown = $("cards").childElementCount;
    const fresh = matching.slice(shown, shown + BATCH).map(card);
    $("cards").append(...fresh);
    const left = matching.length - $("cards").childElementCount;
    $("more").hidden = left === 0;
    $("more").textContent = `Show ${Math.min(BATCH, left)} more of ${left}`;
    return fresh[0];
  }

  function filter() {
    matching = episodes.filter(matches);
    $("cards").replaceChildren();
    $("cards").classList.toggle("searching", $("concept").value.trim() !== "");
    $("count").textContent = matching.length ? `${matching.length.toLocaleString("en")} of ${plural(episodes.length, "episode")}` : "No episode matches. Clear a filter.";
    showMore();
  }

  function revealAll(open) {
    allOpen = open;
    for (const node of $("cards").children) node.reveal(open);
    $("reveal-all").setAttribute("aria-pressed", String(open));
    $("reveal-all").textContent = open ? "Hide all answers" : "Show all answers";
  }

  // ---- keyboard ----------------------------------------------------------------------------------------
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
    if (event.key === "/") $("concept").focus();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "a" && here) here.reveal(!here.classList.contains("open"));
    else return;
    event.preventDefault();
  });

  for (const [id, value] of Object.entries(fields)) fill($(id), value);
  $("filters").hidden = false;
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("input", filter);
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("reveal-all").addEventListener("click", () => revealAll(!allOpen));
  $("more").addEventListener("click", () => showMore()?.focus());
  filter();
})();
