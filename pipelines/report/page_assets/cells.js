// The report page, part 1 of 3: the rows, and what their cells show. The parts are joined into one script.
// Names of files come from strangers: they enter the page as text nodes only, never as HTML.
import { jQuery as $ } from "itables";

const data = JSON.parse(document.getElementById("data").textContent);
const at = Object.fromEntries(data.fields.map((name, i) => [name, i]));
const VERDICTS = data.verdicts;

const by = id => document.getElementById(id);
const percent = share => (share === null ? "" : `${(100 * share).toFixed(share > 0 && share < 0.01 ? 1 : 0)} %`);
const count = number => number.toLocaleString("en");
const folderOf = row => data.folders[row[at.folder]];
const pathOf = row => data.root + folderOf(row) + row[at.name];
const errorOf = row => data.errors[row[at.error]];
const cameraOf = row => data.camera[row[at.camera]];
const lensOf = row => data.lens[row[at.lens]];

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// --- what a person decides: accepted, rejected or neither; stored in this browser --------------------------------

const STORE = "r2mrf choices"; // of all reports; the paths are absolute
let choices = new Map();
readChoices();

// Reads what is stored, which another page may have changed, and adds what earlier versions stored for each library.
function readChoices() {
  try {
    const former = Object.keys(localStorage).filter(name => name.startsWith(`${STORE} of `) && stored(name));
    choices = new Map([...former, STORE].flatMap(name => [...(stored(name) ?? [])]));
    if (former.length) localStorage.setItem(STORE, JSON.stringify([...choices]));
    former.forEach(name => localStorage.removeItem(name));
  } catch { /* no storage here: what this page knows stays */ }
}

// Returns what is stored under a name, or null if that is something else.
function stored(name) {
  try {
    return new Map(JSON.parse(localStorage.getItem(name) ?? "[]"));
  } catch {
    return null;
  }
}

const choiceOf = row => choices.get(pathOf(row)) ?? "";

let unsaved = false; // choices that this browser did not store, which reading would lose

function choose(row, choice) {
  if (!unsaved) readChoices();
  if (choice) choices.set(pathOf(row), choice);
  else choices.delete(pathOf(row));
  try {
    localStorage.setItem(STORE, JSON.stringify([...choices]));
    unsaved = false;
  } catch { // kept until the page is closed
    unsaved = true;
    by("keys").textContent = "This browser does not keep choices: save them as CSV before you close the page.";
  }
}

// Returns the address of a photo's file, or null. The table writes bytes that are not UTF-8 as \xNN.
function address(row) {
  const path = pathOf(row);
  if (!path.startsWith("/")) return null;
  return "file://" + path.split("/").map(encodeURIComponent).join("/").replace(/%5Cx([0-9a-f]{2})/g, "%$1");
}

// --- cells -------------------------------------------------------------------------------------------------

function picture(row) {
  const frame = element("button", { class: "picture", "aria-label": `Show ${row[at.name]} large` });
  const thumbnail = (name, kind) => element("img", { src: data.thumbnails + name, loading: "lazy", alt: "", class: kind });
  if (row[at.thumbnail]) frame.append(thumbnail(row[at.thumbnail], "photo"));
  if (row[at.thumbnail_map]) frame.append(thumbnail(row[at.thumbnail_map], "map"));
  if (row[at.crops]) frame.append(thumbnail(row[at.crops], "crop")); // its left end: the sharpest place, if known
  return frame;
}

// The largest view, in pixels of the long side, at which the sharpest place is in focus; 0 = none that was examined;
// null = not measured.
const sharpUpTo = row => (row[at.detailed] ? row[at.sharp_view] ?? 0 : null);
const isSharpAtFull = row => sharpUpTo(row) >= Math.max(row[at.width], row[at.height]);

function sharpness(row) {
  if (sharpUpTo(row) === null) return "";
  if (sharpUpTo(row) === 0) return "sharp at no size";
  return `sharp up to ${count(sharpUpTo(row))} pixels${isSharpAtFull(row) ? ", 1:1" : ""}`;
}

const blurOf = row => (row[at.sharpest_radius] === null ? "blurred too much to measure"
  : row[at.sharpest_radius] ? `blurred by ${row[at.sharpest_radius].toFixed(1)} pixels` : "in focus at 1:1");

function upTo(row) {
  if (sharpUpTo(row) === null) return element("span");
  const size = sharpUpTo(row) ? `${count(sharpUpTo(row))} px` : "no size";
  return element("span", { title: `${sharpness(row)}; the sharpest place is ${blurOf(row)}` }, size,
    element("small", {}, isSharpAtFull(row) ? " 1:1" : row[at.sharpest_radius] ? ` blur ${row[at.sharpest_radius].toFixed(1)}` : ""));
}

function photoName(row) {
  const link = element("a", { title: pathOf(row) }, row[at.name]);
  if (address(row)) link.setAttribute("href", address(row));
  const beside = [];
  if (row[at.partner]) beside.push(element("small", { title: row[at.partner] }, ` + ${row[at.partner].split(".").pop()}`));
  if (row[at.copies] > 1) beside.push(element("small", { title: "photos with this content" }, ` × ${row[at.copies]}`));
  return element("bdi", {}, link, ...beside);
}

// 0.004 s is shown as 1/250.
function exposure(row) {
  const seconds = row[at.shutter];
  if (seconds === null) return "";
  return seconds < 0.3 ? `1/${Math.round(1 / seconds)}` : `${+seconds.toFixed(1)} s`;
}

function share(value) {
  if (value === null) return element("span");
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", value);
  return element("span", { class: "share" }, percent(value), bar);
}

const isSharpest = row => row[at.sharpest];

function burst(row) {
  if (!row[at.burst]) return element("span");
  const text = `${row[at.burst]}: ${isSharpest(row) ? "sharpest of" : "one of"} ${row[at.burst_size]}`;
  return element("span", { class: isSharpest(row) ? "sharpest" : "" }, text);
}

// Makes a column from the value by which it is sorted and searched, and from what it shows. The library treats searched
// text as HTML if it contains an &, so that text is escaped.
function column(title, value, show, options = {}) {
  const escaped = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const render = (_, type, row) => {
    if (type === "display") return show(row);
    return type === "filter" ? escaped(value(row)) : value(row);
  };
  const kind = { type: "num", searchable: false, className: `of-${title.toLowerCase().replaceAll(" ", "-")}` };
  return { title, data: null, render, ...kind, ...options };
}

const text = { type: "string", searchable: true };
const spanOf = value => row => element("span", {}, value(row));
const megapixels = row => (row[at.width] === null ? null : row[at.width] * row[at.height]);
const size = row => (row[at.width] === null ? "" : `${row[at.width]} × ${row[at.height]}`);
const has = name => data.rows.some(row => row[at[name]] !== null);
const columns = [
  column("Photo", () => "", picture, { orderable: false }),
  column("Name", row => row[at.name].toLowerCase(), photoName, text),
  column("Folder", folderOf, row => element("bdi", { title: pathOf(row) }, folderOf(row) || "·"), text),
  column("Verdict", row => VERDICTS.indexOf(row[at.verdict]),
    row => element("span", { class: `verdict ${row[at.verdict]}` }, row[at.verdict])),
  column("Blurred", row => row[at.blur_fraction], row => share(row[at.blur_fraction])),
  column("Centre blurred", row => row[at.center_blur], row => share(row[at.center_blur])),
  column("In focus", row => row[at.focus_area], row => share(row[at.focus_area])),
  column("Confidence", row => row[at.confidence], spanOf(row => percent(row[at.confidence]))),
  column("Sharp up to", sharpUpTo, upTo, { visible: data.rows.some(row => row[at.detailed]) }),
  column("Size", megapixels, spanOf(size)),
  column("Taken", row => row[at.taken] ?? "", spanOf(row => (row[at.taken] ?? "").slice(0, 19).replace("T", " ")),
    { ...text, visible: has("taken") }),
  column("Camera", cameraOf, spanOf(cameraOf), { ...text, visible: data.camera.some(Boolean) }),
  column("Lens", lensOf, spanOf(lensOf), { ...text, visible: data.lens.some(Boolean) }),
  column("ISO", row => row[at.iso], spanOf(row => row[at.iso] ?? ""), { visible: has("iso") }),
  column("Shutter", row => row[at.shutter], spanOf(exposure), { visible: has("shutter") }),
  column("Aperture", row => row[at.aperture], spanOf(row => row[at.aperture] ? `f/${row[at.aperture]}` : ""),
    { visible: has("aperture") }),
  column("Focal length", row => row[at.focal_length], spanOf(row => row[at.focal_length] ? `${row[at.focal_length]} mm` : ""),
    { visible: has("focal_length") }),
  // within a burst the sharpest comes first
  column("Burst", row => (row[at.burst] ?? 1e9) + (row[at.burst] ? row[at.burst_rank] / (row[at.burst_size] + 1) : 0), burst),
  column("Choice", choiceOf, row => element("span", { class: choiceOf(row) }, choiceOf(row)), { type: "string" }),
  column("Error", errorOf, row => element("bdi", {}, errorOf(row)), { ...text, visible: data.errors.some(Boolean) }),
  column("Failed", row => Number(row[at.verdict] === "failed"), () => "", { visible: false }),
];
