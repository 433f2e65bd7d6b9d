// The report page, part 3 of 3: what buttons and keys do.

function saveCsv() {
  const figures = ["verdict", "blur_fraction", "focus_area", "center_blur", "confidence", "sharpest_radius",
    "sharp_view", "width", "height", "burst", "sharpest", "taken", "iso", "shutter", "aperture", "focal_length", "partner"];
  const names = ["path", ...figures, "camera", "lens", "choice", "error"];
  const cells = row => [pathOf(row), ...figures.map(name => row[at[name]]), cameraOf(row), lensOf(row), choiceOf(row),
    errorOf(row)];
  const quoted = cell => (/[",\r\n]/.test(cell ?? "") ? `"${cell.replaceAll('"', '""')}"` : String(cell ?? ""));
  const lines = [names, ...shown("applied").map(cells)].map(line => line.map(quoted).join(",") + "\r\n");
  const url = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
  element("a", { href: url, download: "photos.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function toggle(name) {
  press(by(name), document.body.classList.toggle(name));
}

// --- one photo, large --------------------------------------------------------------------------------------

const large = { rows: [], index: 0 };

function open(row) {
  large.rows = shown("applied");
  show(large.rows.indexOf(row));
  by("large").showModal();
}

// Shows the photo itself if it is still there, else its thumbnail.
function show(index) {
  if (index < 0 || index >= large.rows.length) return;
  large.index = index;
  const row = large.rows[index];
  const thumbnail = row[at.thumbnail] ? data.thumbnails + row[at.thumbnail] : "";
  const photo = element("img", { src: address(row) ?? thumbnail, alt: "" });
  photo.addEventListener("error", () => { if (thumbnail) photo.src = thumbnail; }, { once: true });
  const frame = element("span", { class: "picture" }, photo);
  frame.style.setProperty("--aspect", row[at.width] ? row[at.width] / row[at.height] : 1.5);
  if (row[at.thumbnail_map]) frame.append(element("img", { src: data.thumbnails + row[at.thumbnail_map], alt: "", class: "map" }));
  const close = loupe(row);
  frame.append(...close.map(crop => crop.mark));
  const facts = [row[at.verdict], row[at.blur_fraction] !== null && `${percent(row[at.blur_fraction])} out of focus`, sharpness(row), size(row),
    burst(row).textContent && `burst ${burst(row).textContent}`, choiceOf(row), errorOf(row)];
  const caption = element("p", {}, photoName(row), " · ", facts.filter(Boolean).join(" · "));
  by("large").className = choiceOf(row);
  const aside = element("aside", { "aria-label": "The photo at 1:1" }, ...close.map(crop => crop.figure));
  by("large").replaceChildren(element("div", {}, frame, ...(close.length ? [aside] : [])), caption);
}

// --- the loupe: crops at 1:1, side by side in one file, and their positions in the photo ----------------------------

function loupe(row) {
  if (!row[at.crops]) return [];
  const [width, height] = [row[at.width], row[at.height]];
  const [wide, tall] = [width, height].map(length => Math.min(data.crop, length));
  const titles = [["focus", "Middle of the region in focus", ""]];
  if (row[at.detailed]) titles.unshift(["sharpest", "Sharpest place", blurOf(row)]);
  return row[at.crop_corners].map(([left, top], i) => {
    const [name, title, text] = titles[i];
    const image = element("img", { src: data.thumbnails + row[at.crops], alt: `${title} at 1:1` });
    Object.assign(image.style, { width: `${wide}px`, height: `${tall}px`, objectPosition: `${-i * wide}px 0` });
    const figure = element("figure", { class: `crop-of-${name}` }, image,
      element("figcaption", {}, element("b", {}, title), text && ` ${text}`));
    image.addEventListener("error", () => figure.remove(), { once: true });
    const mark = element("span", { class: `mark crop-of-${name}` });
    const share = { left: left / width, width: wide / width, top: top / height, height: tall / height };
    for (const [side, part] of Object.entries(share)) mark.style[side] = `${100 * part}%`;
    return { figure, mark };
  });
}

// --- accept and reject: the large photo, or the one under the pointer or with the focus --------------------------

let pointed = null;
by("photos").addEventListener("pointerover", event => { pointed = event.target.closest("tbody tr") ?? pointed; });

function decide(choice) {
  if (by("large").open) {
    const row = large.rows[large.index];
    keep(table.row((_, other) => other === row), choice);
    if (large.index + 1 < large.rows.length) show(large.index + 1);
    else show(large.index);
    return;
  }
  const node = document.activeElement?.closest("#photos tbody tr") ?? pointed;
  if (node?.isConnected && table.row(node).data()) keep(table.row(node), choice);
}

function keep(entry, choice) {
  choose(entry.data(), choice);
  entry.invalidate();
  if (entry.node()) mark(entry.node(), entry.data());
  table.draw("page");
}

const keys = {
  g: () => toggle("gallery"),
  m: () => toggle("maps"),
  l: () => toggle("loupe"),
  "/": () => by("search").focus(),
  a: () => decide("accepted"),
  x: () => decide("rejected"),
  u: () => decide(""),
  ArrowLeft: () => turn(-1),
  ArrowRight: () => turn(1),
};

function turn(step) {
  if (by("large").open) show(large.index + step);
  else table.page(step < 0 ? "previous" : "next").draw("page");
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

let typing;
by("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => table.search(by("search").value).draw(), 150);
});
for (const name of ["folder", "bursts", "choices", "copies", "camera", "lens"]) {
  by(name).addEventListener("change", () => {
    chosen[name] = by(name).value;
    if (chosen.bursts === "bursts") table.order([[columns.findIndex(column => column.title === "Burst"), "asc"]]);
    table.draw();
  });
}
for (const name of ["gallery", "maps", "loupe"]) by(name).addEventListener("click", () => toggle(name));
by("csv").addEventListener("click", saveCsv);
by("photos").addEventListener("click", event => {
  const picture = event.target.closest(".picture");
  if (picture) open(table.row(picture.closest("tr")).data());
});
by("large").addEventListener("click", event => { if (!event.target.closest("a")) by("large").close(); });
table.on("search", drawHistogram);

addVerdicts();
addFolders();
addFailures();
addLeftOut();
addNames("camera", "All cameras");
addNames("lens", "All lenses");
drawHistogram();
by("copies").hidden = !data.rows.some(row => row[at.copies] > 1);
by("maps").hidden = !data.rows.some(row => row[at.thumbnail_map]);
by("loupe").hidden = !data.rows.some(row => row[at.crops]);
by("bursts").hidden = !data.rows.some(row => row[at.burst]);
const [sharp, blurred] = data.thresholds.map(percent);
by("about").append(`${count(data.rows.length)} photos in `, element("bdi", {}, data.root),
  ` · sharp: less than ${sharp} out of focus · blurred: more than ${blurred} · model ${data.model}`);
