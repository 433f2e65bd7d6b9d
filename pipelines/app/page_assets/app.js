// Shows one photo, its map at the chosen view, its overlay at the threshold, its blur radius, and the steps of its map.

const at = id => document.getElementById(id);
const TINT = [255, 120, 0], STRENGTH = 0.6; // as in r2mrf/imaging/maps.py
const UNKNOWN = 65535, UNKNOWN_COLOUR = [79, 122, 140];
const RAMP = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]]; // as in the legend

let photo = null; // facts about the open photo from the server, with its pixels, map and radius at the size shown
let waiting = 0;

// --- the server -----------------------------------------------------------------------------------------------------

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the server answered ${answer.status}`);
  }
  return answer;
}

const of = (what, query = {}) => `photos/${photo.name}/${what}?${new URLSearchParams(query)}`;

async function busy(text, work) {
  waiting += 1;
  Object.assign(at("busy"), { hidden: false, textContent: `${text} …` });
  const asked = photo;
  try {
    await work(() => photo === asked);
  } catch (error) {
    tell(error instanceof TypeError ? "the server does not answer: is `r2mrf app` still running?" : error.message);
  } finally {
    waiting -= 1;
    at("busy").hidden = waiting === 0;
  }
}

function tell(sentence) {
  Object.assign(at("error"), { hidden: !sentence, textContent: sentence });
}

// --- opening --------------------------------------------------------------------------------------------------------

async function open(file) {
  if (!file) return;
  tell("");
  await busy("opening the photo", async () => {
    const answer = await ask("photos", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    const opened = Object.assign(await answer.json(), { file: file.name || "photo" });
    photo = opened;
    const picture = new Image();
    picture.src = of("photo.jpg");
    await picture.decode();
    if (photo !== opened) return;
    document.body.classList.add("opened");
    document.querySelector("main").hidden = false;
    for (const canvas of document.querySelectorAll("#panels canvas"))
      Object.assign(canvas, { width: photo.shownWidth, height: photo.shownHeight });
    const surface = at("photo").getContext("2d", { willReadFrequently: true });
    surface.drawImage(picture, 0, 0, photo.shownWidth, photo.shownHeight);
    photo.pixels = surface.getImageData(0, 0, photo.shownWidth, photo.shownHeight).data;
    at("photo-name").textContent = `${photo.file}, ${photo.width}×${photo.height}`;
    Object.assign(at("view"), { max: photo.views.length - 1, value: 0 });
    at("steps").replaceChildren();
    for (const id of ["map", "overlay", "radius"]) at(id).classList.add("waiting");
  });
  if (!photo?.pixels) return;
  labelControls();
  await showMap();
  await showRadius();
  await showSteps();
}

// --- the map, by view and threshold ---------------------------------------------------------------------------------

const view = () => photo.views[at("view").value];
const threshold = () => at("threshold").value / 100;

function labelControls() {
  const chosen = view();
  at("view-name").textContent = chosen === "whole" ? "the whole photo in the network's square"
    : chosen === "full" ? `1:1, ${Math.max(photo.width, photo.height)} pixels` : `${chosen} pixels long`;
  at("threshold-name").textContent = threshold().toFixed(2);
  for (const link of document.querySelectorAll("a[data-file]")) {
    const { file } = link.dataset, [name, suffix] = file.split(".");
    link.href = of(file, file === "radius.png" ? {} : { view: chosen, threshold: threshold() });
    link.download = `${photo.file.replace(/\.[^.]*$/, "")}-${name}.${suffix}`;
  }
}

async function showMap() {
  const chosen = view();
  for (const id of ["map", "overlay"]) at(id).classList.add("waiting");
  await busy("computing the map", async still => {
    const answer = await ask(of("map", { view: chosen }));
    const map = new Uint8Array(await answer.arrayBuffer());
    if (!still() || chosen !== view()) return; // the slider has moved on
    photo.map = map;
    paint("map", (data, j, i) => data.fill(map[i], j, j + 3));
    showOverlay();
  });
}

function showOverlay() {
  const least = threshold() * 255;
  let blurred = 0;
  paint("overlay", (data, j, i) => {
    const share = photo.map[i] < least ? 0 : STRENGTH;
    if (share) blurred += 1;
    for (let c = 0; c < 3; c++) data[j + c] = photo.pixels[j + c] * (1 - share) + TINT[c] * share;
  });
  at("share").firstElementChild.textContent = `${Math.round((100 * blurred) / photo.map.length)} %`;
}

// --- the radius and the steps ---------------------------------------------------------------------------------------

async function showRadius() {
  await busy("measuring the blur", async still => {
    const answer = await ask(of("radius"));
    const radius = new Uint16Array(await answer.arrayBuffer());
    if (!still()) return;
    photo.radius = radius;
    let largest = 100; // hundredths of a pixel
    for (const value of radius) if (value !== UNKNOWN && value > largest) largest = value;
    paint("radius", (data, j, i) => data.set(radius[i] === UNKNOWN ? UNKNOWN_COLOUR : colourOf(radius[i] / largest), j));
    at("largest").textContent = `${(largest / 100).toFixed(1)} pixels`;
  });
}

async function showSteps() {
  await busy("computing the steps", async still => {
    let pictures;
    try {
      pictures = await (await ask(of("steps"))).json();
    } catch (error) { // without torch, the rest of the page still works
      if (still()) at("steps").textContent = error.message;
      return;
    }
    if (!still()) return;
    at("steps").replaceChildren(...pictures.map((source, t) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      caption.textContent = `t = ${t}`;
      figure.append(Object.assign(new Image(), { src: source, alt: `fused map after ${t} steps` }), caption);
      return figure;
    }));
  });
}

function colourOf(share) {
  const place = Math.min(share, 1) * (RAMP.length - 1), i = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[i].map((value, c) => value + (RAMP[i + 1][c] - value) * (place - i));
}

// Fills a canvas: `write(data, j, i)` sets the red, green and blue of pixel i, which begin at data[j].
function paint(id, write) {
  const surface = at(id).getContext("2d"), picture = surface.createImageData(photo.shownWidth, photo.shownHeight);
  for (let i = 0; i < photo.shownWidth * photo.shownHeight; i++) {
    write(picture.data, 4 * i, i);
    picture.data[4 * i + 3] = 255;
  }
  surface.putImageData(picture, 0, 0);
  at(id).classList.remove("waiting");
}

// --- what a person does ---------------------------------------------------------------------------------------------

function point(event) {
  const canvas = event.target.closest("#panels canvas");
  if (!canvas || !photo?.map) return;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * photo.shownWidth);
  const y = Math.floor(((event.clientY - box.top) / box.height) * photo.shownHeight);
  const i = Math.min(Math.max(y, 0), photo.shownHeight - 1) * photo.shownWidth + Math.min(Math.max(x, 0), photo.shownWidth - 1);
  const radius = photo.radius?.[i];
  const blur = radius === undefined ? "" : radius === UNKNOWN ? ", radius unknown"
    : radius === 0 ? ", sharp at 1:1" : `, blurred by ${(radius / 100).toFixed(1)} pixels`;
  at("point").textContent = `At ${Math.round((x / photo.shownWidth) * photo.width)}, ${Math.round((y / photo.shownHeight) * photo.height)}: out of focus with probability ${(photo.map[i] / 255).toFixed(2)}${blur}`;
}

let moved;
at("view").addEventListener("input", () => {
  labelControls();
  clearTimeout(moved);
  moved = setTimeout(showMap, 250); // when the slider rests
});
at("threshold").addEventListener("input", () => { labelControls(); if (photo.map) showOverlay(); });
at("file").addEventListener("change", event => open(event.target.files[0]));
at("panels").addEventListener("pointermove", point);
document.addEventListener("paste", event => open(event.clipboardData.files[0]));
document.addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("over"); });
document.addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("over"); });
document.addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("over");
  open(event.dataTransfer.files[0]);
});
