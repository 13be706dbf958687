// The gallery of episodes; kit.js stands before it.
(() => {
  if (!kit.data) return;
  const { $, make, words, plural, answerOf, turnNode } = kit;
  const episodes = kit.data.episodes;
  let allOpen = false;

  function origin(episode) {
    const query = episode.turns[episode.turns.length - 1];
    const facts = ["id", "source", "licence", "record", "task", "order", "seed"].map((name) => [name, episode[name]]);
    facts.push(["lineage", episode.lineage.join(" → ")]);
    facts.push(["query", [query.demonstration, query.document].filter(Boolean).join(" from ")]);
    facts.push(["demonstrations", episode.turns.slice(0, -1).map((turn) => turn.demonstration).join(", ")]);
    return kit.origin(facts);
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

  function revealAll(open) {
    allOpen = open;
    for (const node of $("cards").children) node.reveal(open);
    $("reveal-all").setAttribute("aria-pressed", String(open));
    $("reveal-all").textContent = open ? "Hide all answers" : "Show all answers";
  }

  $("reveal-all").addEventListener("click", () => revealAll(!allOpen));
  kit.gallery({
    items: episodes, card, noun: "episode", search: "concept", text: (episode) => episode.concept,
    fields: { format: (e) => e.format, shots: (e) => String(e.turns.length - 1), selector: (e) => e.selector },
    keys: { a: (node) => node.reveal(!node.classList.contains("open")) },
  });
})();
