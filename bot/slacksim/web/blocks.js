// Block Kit blocks to DOM nodes: what an app's message may contain.
import { el, mrkdwn, inline } from "./mrkdwn.js";
import { emoji } from "./emoji.js";

// blocks renders a message's blocks. ctx: {names, press(actionID, element)}.
export const blocks = (list, ctx) => list.map((b) => (kinds[b.type] ?? unknown)(b, ctx));

const text = (t, ctx) => (t.type === "mrkdwn" ? mrkdwn(t.text, ctx.names) : plain(t.text));

// plain is plain_text: only emoji names mean anything.
const plain = (s) => {
  const out = document.createDocumentFragment();
  s.split(/:([a-z0-9_+-]+):/).forEach((part, i) => out.append(i % 2 ? (emoji(part) ?? `:${part}:`) : part));
  return out;
};

const kinds = {
  section: (b, ctx) =>
    el("div", { class: "section" },
      el("div", { class: "grow" },
        b.text && el("div", {}, text(b.text, ctx)),
        b.fields && el("div", { class: "fields" }, b.fields.map((f) => el("div", {}, text(f, ctx))))),
      b.accessory && element(b.accessory, ctx)),
  header: (b) => el("h3", {}, plain(b.text.text)),
  divider: () => el("hr"),
  context: (b, ctx) =>
    el("div", { class: "context" }, b.elements.map((e) => el("span", {}, e.type === "image" ? e.alt_text : text(e, ctx)))),
  actions: (b, ctx) => el("div", { class: "actions" }, b.elements.map((e) => element(e, ctx))),
  image: (b) => el("div", { class: "context" }, `Image: ${b.alt_text}`),
  markdown: (b, ctx) => el("div", { class: "markdown" }, markdown(b.text, ctx)),
  rich_text: (b, ctx) => el("div", {}, b.elements.map((e) => rich(e, ctx))),
  table: (b, ctx) =>
    el("div", { class: "scroll" },
      el("table", {}, b.rows.map((r, i) =>
        el("tr", {}, r.map((c) => el(i === 0 ? "th" : "td", {}, c.type === "rich_text" ? c.elements.map((e) => rich(e, ctx)) : c.text)))))),
  plan: (b, ctx) =>
    el("details", { class: "plan", open: true },
      el("summary", {}, b.title),
      el("ol", {}, (b.tasks ?? []).map((t) => el("li", {}, task(t, ctx))))),
  task_card: (b, ctx) => task(b, ctx),
};

const unknown = (b) => el("pre", {}, JSON.stringify(b, null, 1));

function element(e, ctx) {
  if (e.type === "image") return el("span", { class: "context" }, e.alt_text);
  if (e.type !== "button") return el("button", { type: "button", class: "btn", disabled: true }, plain(e.placeholder?.text ?? e.type));
  if (e.url) return el("a", { class: "btn", href: e.url, target: "_blank", rel: "noreferrer" }, plain(e.text.text));
  const button = el("button", {
    type: "button", class: "btn " + (e.style ?? ""), "aria-label": e.accessibility_label,
    dataset: { focus: "action:" + e.action_id, action: e.action_id },
    onclick: () => (e.confirm ? confirmThen(e.confirm, () => ctx.press(e.action_id, button)) : ctx.press(e.action_id, button)),
  }, plain(e.text.text));
  return button;
}

// confirmThen asks as a button's confirm object says.
function confirmThen(c, then) {
  const dialog = el("dialog", { class: "confirm" },
    el("form", { method: "dialog" },
      el("h3", {}, c.title.text),
      el("p", {}, c.text.text),
      el("div", { class: "actions" },
        el("button", { class: "btn " + (c.style ?? "primary"), value: "yes" }, c.confirm?.text ?? "Yes"),
        el("button", { class: "btn", value: "no" }, c.deny?.text ?? "Cancel"))));
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes") then();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}

const states = { pending: "○", in_progress: "◐", complete: "✓", error: "✕" };

function task(t, ctx) {
  const state = t.status ?? "pending";
  return el("div", { class: "task " + state },
    el("span", { class: "mark", role: "img", "aria-label": state.replace("_", " ") }, states[state]),
    el("div", { class: "grow" }, t.title,
      t.details && el("div", { class: "context" }, t.details.elements.map((e) => rich(e, ctx))),
      t.output && el("div", { class: "context" }, t.output.elements.map((e) => rich(e, ctx)))));
}

function rich(e, ctx) {
  const inner = (e.elements ?? []).map((x) => richInline(x, ctx));
  switch (e.type) {
    case "rich_text_list":
      return el(e.style === "ordered" ? "ol" : "ul", {}, e.elements.map((x) => el("li", {}, rich(x, ctx))));
    case "rich_text_preformatted":
      return el("pre", {}, inner);
    case "rich_text_quote":
      return el("blockquote", {}, inner);
  }
  return el("div", {}, inner);
}

function richInline(x, ctx) {
  let node;
  switch (x.type) {
    case "link":
      node = el("a", { href: /^https?:/.test(x.url) ? x.url : "#", target: "_blank", rel: "noreferrer" }, x.text ?? x.url);
      break;
    case "emoji":
      return emoji(x.name) ?? `:${x.name}:`;
    case "user":
      return el("span", { class: "mention" }, "@" + (ctx.names.users[x.user_id] ?? x.user_id));
    case "channel":
      return el("span", { class: "mention" }, "#" + (ctx.names.channels[x.channel_id] ?? x.channel_id));
    default:
      node = document.createTextNode(x.text ?? "");
  }
  for (const [style, tag] of [["code", "code"], ["bold", "b"], ["italic", "i"], ["strike", "s"]]) {
    if (x.style?.[style]) node = el(tag, {}, node);
  }
  return node;
}

// markdown handles headings, lists, bold and code of markdown blocks.
function markdown(s, ctx) {
  return s.split("\n").map((line) => {
    const escaped = line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replace(/\*\*(.+?)\*\*/g, "*$1*");
    const heading = escaped.match(/^#{1,6} (.*)/);
    if (heading) return el("h3", {}, ...inline(heading[1], ctx.names));
    const item = escaped.match(/^[-*] (.*)/);
    return el("div", { class: item ? "item" : "" }, ...inline(item ? "• " + item[1] : escaped, ctx.names));
  });
}
