// The gallery of answers; kit.js stands before it.
(() => {
  if (!kit.data) return;
  const { make, words, plural, answerOf, turnNode } = kit;

  function verdict(answer) {
    const share = answer.share === null ? "" : ` ${Math.round(100 * answer.share)} %`;
    const said = make("span", { class: "what" }, make("bdi", { text: answer.said || "(nothing)" }));
    if (answer.means) said.append(make("span", { class: "label" }, " ", make("bdi", { text: answer.means })));
    return make("li", { class: answer.right ? "right" : "wrong" },
      make("span", { class: "tick", role: "img", "aria-label": answer.right ? "right" : "wrong", text: answer.right ? "✓" : "✗" }),
      make("span", { class: "who" }, make("span", { class: `swatch m${answer.series}`, "aria-hidden": "true" }), make("bdi", { text: answer.model })),
      said, make("span", { class: "sure", title: "probability among the choices", text: share }));
  }

  function answers(item, query) {
    const also = item.accepted.filter((text) => text !== query.answer);
    const right = make("div", { class: "guess" }, answerOf(query));
    if (also.length) right.append(make("p", { class: "small" }, "also right: ", make("bdi", { text: also.join(", ") })));
    right.append(make("ul", { class: "verdicts", "aria-label": "What the models answered" }, ...item.answers.map(verdict)));
    return right;
  }

  function card(item) {
    const query = item.turns[item.turns.length - 1];
    const shown = item.turns.slice(0, -1).map((turn, i) => turnNode(turn, i + 1, false, answerOf(turn)));
    const chips = [item.bench, plural(Number(item.shots), "shot")].map((text) => make("li", {}, make("bdi", { text: words(text) })));
    const facts = ["id", "source", "licence", "record"].map((name) => [name, item[name]]);
    facts.push(["query", [query.demonstration, query.document].filter(Boolean).join(" from ")]);
    return make("article", { class: item.turns.length > 1 ? `card w${Math.min(item.turns.length, 5)}` : "card w2 solo", tabindex: "0", "aria-label": `Item ${item.number}` },
      make("header", {}, make("h3", { text: `Item ${item.number}` }), make("span", { class: "concept" }, make("bdi", { text: item.concept })),
        make("ul", { class: "chips" }, ...chips)),
      make("ol", { class: "turns" }, ...shown, turnNode(query, 0, true, answers(item, query))),
      kit.origin(facts));
  }

  kit.gallery({
    items: kit.data.cards, card, noun: "item", search: "concept", text: (item) => item.concept, orders: { outcome: kit.data.outcomes },
    fields: { bench: (item) => item.bench, number: (item) => item.shots, outcome: (item) => item.outcomes },
  });
})();
