"use strict";
// Everything that a prompt or a file name says becomes text, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const list = find("pictures"), filter = find("filter"), view = find("view");
const AT_ONCE = 200; // cards that are added when the end of the list comes into sight
const known = new Set(data.pictures.map((picture) => picture.src));
const FACTS = [["seed", "seed"], ["ratio", "aspect ratio"], ["version", "version"], ["model", "model"],
  ["job", "job"], ["credits", "credits"], ["made", "made"], ["name", "file"]];
let pictures = data.pictures, shown = [], drawn = 0, open = -1;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function factsOf(picture) {
  const facts = [];
  if (picture.seed !== undefined) facts.push("seed " + picture.seed);
  if (picture.ratio) facts.push(picture.ratio);
  if (picture.simulated) facts.push("simulated");
  return facts.join(" \u00b7 ") || picture.name;
}

function card(picture) {
  const item = element("li"), link = element("a"), image = element("img");
  link.href = picture.src;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(shown.indexOf(picture));
  });
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = picture.prompt || picture.name;
  if (picture.thumb) image.addEventListener("error", () => { image.src = picture.src; }, { once: true });
  image.src = picture.thumb || picture.src;
  link.append(image);
  item.append(link);
  if (picture.prompt) item.append(element("p", "prompt", picture.prompt));
  const line = element("div", "line");
  line.append(element("span", "facts", factsOf(picture)));
  if (picture.command) {
    const button = element("button", "copy", "Copy");
    button.title = "Copy the command";
    button.addEventListener("click", () => copy(picture));
    line.append(button);
  }
  item.append(line);
  return item;
}

function textOf(picture) {
  if (picture.text === undefined) {
    picture.text = [picture.prompt, picture.seed, picture.ratio, picture.version, picture.job, picture.name]
      .join("\n").toLowerCase();
  }
  return picture.text;
}

function matches(picture, words) {
  const text = textOf(picture);
  return words.every((word) => text.includes(word));
}

const wordsOf = () => filter.value.toLowerCase().split(/\s+/).filter(Boolean);

function tally(words) {
  const all = pictures.length.toLocaleString("en") + (pictures.length === 1 ? " image" : " images");
  find("count").textContent = words.length ? shown.length.toLocaleString("en") + " of " + all : all;
}

function draw() {
  const words = wordsOf();
  shown = words.length ? pictures.filter((picture) => matches(picture, words)) : pictures.slice();
  drawn = 0;
  list.replaceChildren();
  more();
  tally(words);
}

function more() {
  list.append(...shown.slice(drawn, drawn + AT_ONCE).map(card));
  drawn = Math.min(drawn + AT_ONCE, shown.length);
}

// Add pictures, newest first, above the others. The ones that are known stay as they are.
function add(found) {
  const fresh = found.filter((picture) => !known.has(picture.src)), words = wordsOf();
  for (const picture of fresh) known.add(picture.src);
  pictures = fresh.concat(pictures);
  const visible = fresh.filter((picture) => matches(picture, words));
  shown = visible.concat(shown);
  list.prepend(...visible.map(card));
  drawn += visible.length;
  if (open >= 0) open += visible.length;
  tally(words);
}

function show(number) {
  if (number < 0 || number >= shown.length) return;
  open = number;
  const picture = shown[open];
  find("large").src = picture.src;
  find("large").alt = picture.prompt || picture.name;
  find("prompt").textContent = picture.prompt || "";
  find("facts").replaceChildren(...FACTS.filter(([name]) => picture[name] !== undefined).flatMap(
    ([name, label]) => [element("dt", "", label), element("dd", "", String(picture[name]))]));
  find("copy").hidden = !picture.command;
  find("previous").disabled = open === 0;
  find("next").disabled = open === shown.length - 1;
  if (!view.open) view.showModal();
  remember();
}

let telling;
function tell(text) {
  (view.open ? view : document.body).append(find("told"));
  find("told").textContent = text;
  clearTimeout(telling);
  telling = setTimeout(() => { find("told").textContent = ""; }, 1500);
}

async function copy(picture) {
  try {
    await navigator.clipboard.writeText(picture.command);
  } catch {
    const field = element("textarea", "", picture.command);
    (view.open ? view : document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) return tell("The browser does not allow copying");
  }
  tell("Command copied");
}

// The filter and the open picture are in the address, so that they survive a reload.
function remember() {
  const parts = new URLSearchParams();
  if (filter.value) parts.set("filter", filter.value);
  if (view.open && shown[open]) parts.set("open", shown[open].src);
  history.replaceState(null, "", "#" + parts);
}

filter.addEventListener("input", () => { draw(); remember(); });
find("previous").addEventListener("click", () => show(open - 1));
find("next").addEventListener("click", () => show(open + 1));
find("copy").addEventListener("click", () => copy(shown[open]));
find("close").addEventListener("click", () => view.close());
view.addEventListener("close", () => {
  while (drawn <= open && drawn < shown.length) more();
  const item = list.children[open];
  find("large").removeAttribute("src");
  if (item) item.querySelector("a").focus();
  open = -1;
  remember();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (view.open) {
    if (event.key === "ArrowLeft") show(open - 1);
    else if (event.key === "ArrowRight") show(open + 1);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(shown.length - 1);
    else if (event.key === "c" && shown[open].command) copy(shown[open]);
    else return;
    event.preventDefault();
  } else if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
});
new IntersectionObserver((seen) => {
  if (seen.some((each) => each.isIntersecting) && drawn < shown.length) more();
}, { rootMargin: "1500px" }).observe(find("end"));

// While a batch runs, it writes new pictures to a small script beside this page, because a page from a disk may load
// a script but read no file. When the batch has ended the script is gone, and the page itself has everything.
function follow(name) {
  let seen = false, count = 0, wait = 1000;
  window.reve = (found) => {
    seen = true;
    const before = pictures.length;
    add(found);
    wait = pictures.length > before ? 1000 : Math.min(wait * 1.2, 10000);
  };
  const load = () => {
    const script = element("script");
    script.src = name + "?" + count++;
    script.onload = () => { script.remove(); setTimeout(load, wait); };
    script.onerror = () => { script.remove(); if (seen) location.reload(); };
    document.head.append(script);
  };
  load();
}

const address = new URLSearchParams(location.hash.slice(1));
find("title").textContent = document.title = data.title;
filter.value = address.get("filter") || "";
draw();
if (address.get("open")) show(shown.findIndex((picture) => picture.src === address.get("open")));
if (data.live) follow(data.live);
