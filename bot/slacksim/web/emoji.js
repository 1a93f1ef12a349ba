// Emoji by Slack's names. The ones a bot for operations lives on are drawn here, so that
// they look alike where no emoji font is installed; the rest are characters.

const disc = (fill) => `<circle cx="10" cy="10" r="8.5" fill="${fill}"/>`;
const box = (fill, path) => `<rect x="1" y="1" width="18" height="18" rx="4" fill="${fill}"/><path d="${path}" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/>`;
const stroke = (path, width = 2) => `<path d="${path}" fill="none" stroke="currentColor" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"/>`;
const filled = (fill, path) => `<rect x="1" y="1" width="18" height="18" rx="4" fill="${fill}"/><path d="${path}" fill="#fff"/>`;

const drawn = {
  white_check_mark: box("#2f9e55", "M5.5 10.5l3.2 3.2 6-7"),
  x: `<path d="M4.5 4.5l11 11M15.5 4.5l-11 11" fill="none" stroke="#d63b33" stroke-width="3.6" stroke-linecap="round"/>`,
  eyes: `<g fill="#fff" stroke="#555" stroke-width="1"><ellipse cx="5.8" cy="10" rx="4.3" ry="6.5"/><ellipse cx="14.2" cy="10" rx="4.3" ry="6.5"/></g><g fill="#333"><circle cx="7" cy="11" r="2.2"/><circle cx="15.4" cy="11" r="2.2"/></g>`,
  warning: `<path d="M10 2l8.5 15.5h-17z" fill="#f2b01e" stroke="#f2b01e" stroke-width="2" stroke-linejoin="round"/><path d="M10 7v5.5M10 15.3v.2" stroke="#3a2a00" stroke-width="2" stroke-linecap="round"/>`,
  hourglass_flowing_sand: `<path d="M5 2h10M5 18h10" stroke="#8a6d3b" stroke-width="2.4" stroke-linecap="round"/><path d="M6 3.5c0 4 3 4.5 3 6.5s-3 2.5-3 6.5h8c0-4-3-4.5-3-6.5s3-2.5 3-6.5z" fill="#dbeaf7" stroke="#8a6d3b" stroke-width="1.2"/><path d="M7 16c.3-2 1.8-2.6 3-3.6 1.2 1 2.7 1.6 3 3.6zM8 6.5h4L10 9z" fill="#e0a030"/>`,
  large_green_circle: disc("#2fa35a"), large_yellow_circle: disc("#e6b422"), large_orange_circle: disc("#e58226"),
  red_circle: disc("#d63b33"), large_blue_circle: disc("#3b7dd8"), white_circle: `<circle cx="10" cy="10" r="7.5" fill="#fff" stroke="#999" stroke-width="2"/>`,
  lock: `<rect x="4" y="9" width="12" height="9" rx="2" fill="#d9a52b"/><path d="M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9" fill="none" stroke="#8b8b94" stroke-width="2.2"/>`,
  key: stroke("M7 10m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0M11 10h7v3.5M15 10v2.5", 2.2),
  arrow_forward: filled("#3b7dd8", "M7 5l8 5-8 5z"), double_vertical_bar: filled("#3b7dd8", "M6 5h3v10H6zM11 5h3v10h-3z"),
  black_square_for_stop: filled("#3b7dd8", "M6 6h8v8H6z"), information_source: box("#3b7dd8", "M10 9v5.5M10 5.6v.1"),
  rotating_light: `<path d="M4.5 15V11a5.5 5.5 0 0 1 11 0v4z" fill="#d63b33"/><rect x="3" y="15" width="14" height="3" rx="1" fill="#666"/><path d="M10 1v2M3 4l1.5 1.5M17 4l-1.5 1.5" stroke="#d63b33" stroke-width="1.6" stroke-linecap="round"/>`,
  no_entry: `<circle cx="10" cy="10" r="8.5" fill="#d63b33"/><path d="M5.5 10h9" stroke="#fff" stroke-width="3"/>`,
  leftwards_arrow_with_hook: box("#3b7dd8", "M8 6L5 9l3 3M5.5 9h6a3 3 0 0 1 0 6H10"),
  arrows_counterclockwise: box("#3b7dd8", "M14.5 8A5 5 0 0 0 6 7.5L5 9M5 6v3h3M5.5 12a5 5 0 0 0 8.5.5l1-1.5M15 14v-3h-3"),
};
drawn.hourglass = drawn.hourglass_flowing_sand;
drawn.pause_button = drawn.double_vertical_bar;
drawn.no_entry_sign = drawn.octagonal_sign = drawn.no_entry;
drawn.heavy_check_mark = stroke("M3.5 10.5l4.5 4.5 9-10.5", 3);

const characters = {
  ballot_box_with_check: "☑️", question: "❓", exclamation: "❗", stopwatch: "⏱️", alarm_clock: "⏰", clock3: "🕒", rocket: "🚀",
  tada: "🎉", unlock: "🔓", closed_lock_with_key: "🔐", mag: "🔍", memo: "📝", bulb: "💡", bell: "🔔", black_circle: "⚫",
  arrow_right: "➡️", arrow_up: "⬆️", arrow_down: "⬇️", rewind: "⏪", recycle: "♻️", construction: "🚧", hammer_and_wrench: "🛠️",
  wrench: "🔧", gear: "⚙️", package: "📦", floppy_disk: "💾", link: "🔗", thread: "🧵", "+1": "👍", thumbsup: "👍", "-1": "👎",
  thumbsdown: "👎", wave: "👋", raised_hand: "✋", handshake: "🤝", robot_face: "🤖", busts_in_silhouette: "👥",
  bust_in_silhouette: "👤", chart_with_upwards_trend: "📈", bar_chart: "📊", fire: "🔥", boom: "💥", zzz: "💤", wastebasket: "🗑️", ghost: "👻",
};

// drawing returns the drawn symbol of that name as an SVG element. Names are ours, never from messages.
export function drawing(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "drawn");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = drawn[name];
  return svg;
}

// emoji returns a node for a name with or without skin tone, or null for names not known.
export function emoji(full) {
  const name = full.split("::")[0];
  if (!Object.hasOwn(drawn, name) && !Object.hasOwn(characters, name)) return null;
  const span = document.createElement("span");
  span.className = "emoji";
  span.setAttribute("role", "img");
  span.setAttribute("aria-label", name.replaceAll("_", " "));
  span.append(Object.hasOwn(drawn, name) ? drawing(name) : characters[name]);
  return span;
}
