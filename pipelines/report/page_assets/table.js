// The report page, part 2 of 3: one table of all photos, its filters, and the overview above it.

const BINS = 50;
const chosen = { verdicts: new Set(), folder: "", bursts: "all", choices: "all", copies: "once", camera: "", lens: "" };

const table = $("#photos").DataTable({
  data: data.rows,
  columns,
  order: [],
  orderFixed: { pre: [[columns.length - 1, "asc"]] }, // failed photos come last in any order
  autoWidth: false,
  deferRender: true,
  pageLength: 60,
  layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" },
  language: { info: "_START_ to _END_ of _TOTAL_", infoEmpty: "No photo", infoFiltered: "(_MAX_ in all)",
    emptyTable: "No photo", zeroRecords: "No photo matches" },
  createdRow: (node, row) => mark(node, row),
});

function mark(node, row) {
  node.classList.toggle("failed", row[at.verdict] === "failed");
  for (const choice of ["accepted", "rejected"]) node.classList.toggle(choice, choiceOf(row) === choice);
}

// --- filters -----------------------------------------------------------------------------------------------

function isChosen(row) {
  if (chosen.verdicts.size && !chosen.verdicts.has(row[at.verdict])) return false;
  if (!folderOf(row).startsWith(chosen.folder)) return false;
  if (chosen.choices !== "all" && choiceOf(row) !== chosen.choices) return false;
  if (chosen.camera !== "" && row[at.camera] !== Number(chosen.camera)) return false;
  if (chosen.lens !== "" && row[at.lens] !== Number(chosen.lens)) return false;
  if (chosen.copies === "once" && row[at.copy] > 1) return false;
  if (chosen.copies === "copies" && row[at.copies] === 1) return false;
  if (chosen.bursts === "all") return true;
  return row[at.burst] !== null && (chosen.bursts === "bursts" || isSharpest(row) === (chosen.bursts === "sharpest"));
}

const shown = order => table.rows({ search: "applied", order }).data().toArray(); // order: index | applied
table.search.fixed("chosen", (_, row) => isChosen(row));
if (data.rows.some(row => row[at.copy] > 1)) table.draw(); // until now, copies were shown, too

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

function addVerdicts() {
  const totals = Object.fromEntries(VERDICTS.map(verdict => [verdict, 0]));
  for (const row of data.rows) totals[row[at.verdict]]++;
  for (const verdict of VERDICTS) {
    const part = totals[verdict] / data.rows.length;
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", part);
    const button = element("button", { class: verdict, "aria-pressed": "false" },
      element("b", {}, count(totals[verdict])), element("span", {}, verdict), element("i", {}, percent(part)), bar);
    button.addEventListener("click", () => {
      if (!chosen.verdicts.delete(verdict)) chosen.verdicts.add(verdict);
      press(button, chosen.verdicts.has(verdict));
      table.draw();
    });
    by("verdicts").append(button);
  }
}

function addFolders() {
  const photos = { "": data.rows.length };
  for (const row of data.rows) {
    const parts = folderOf(row).split("/").slice(0, -1);
    for (let i = 1; i <= parts.length; i++) {
      const folder = parts.slice(0, i).join("/") + "/";
      photos[folder] = (photos[folder] ?? 0) + 1;
    }
  }
  for (const folder of Object.keys(photos).sort()) {
    const label = `${folder || "All folders"} (${count(photos[folder])})`;
    by("folder").append(element("option", { value: folder }, label));
  }
}

// Fills the choice of cameras or lenses, with the number of photos of each.
function addNames(field, all) {
  const photos = new Map();
  for (const row of data.rows) photos.set(row[at[field]], (photos.get(row[at[field]]) ?? 0) + 1);
  by(field).append(element("option", { value: "" }, all));
  data[field].forEach((name, number) => {
    const label = `${name || "unknown"} (${count(photos.get(number) ?? 0)})`;
    by(field).append(element("option", { value: number }, label));
  });
  by(field).hidden = !data[field].some(Boolean);
}

function addLeftOut() {
  for (const [reason, number] of Object.entries(data.left_out).sort((a, b) => b[1] - a[1])) {
    by("left-out").querySelector("ul").append(element("li", {}, element("b", {}, count(number)), " ", reason));
  }
  by("left-out").hidden = Object.keys(data.left_out).length === 0;
}

function addFailures() {
  const reasons = new Map();
  for (const row of data.rows.filter(row => row[at.verdict] === "failed")) {
    const reason = row[at.reason];
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  for (const [reason, number] of [...reasons].sort((a, b) => b[1] - a[1])) {
    const button = element("button", {}, element("b", {}, count(number)), " ", data.reasons[reason] ?? reason);
    button.addEventListener("click", () => {
      by("search").value = `${reason}:`;
      table.search(by("search").value).draw();
    });
    by("failures").querySelector("ul").append(element("li", {}, button));
  }
  by("failures").hidden = reasons.size === 0;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawHistogram() {
  const bins = Array(BINS).fill(0);
  for (const row of shown("index")) if (row[at.blur_fraction] !== null) bins[Math.min(Math.floor(row[at.blur_fraction] * BINS), BINS - 1)]++;
  const [width, height, top] = [500, 120, Math.max(...bins, 1)];
  const [sharp, blurred] = data.thresholds;
  const side = middle => (middle < sharp ? "sharp" : middle > blurred ? "blurred" : "partial");
  const bars = bins.map((n, i) => {
    const tall = n && Math.max((n / top) * height, 1.5); // even a single photo is visible
    const bar = { x: (i * width) / BINS + 1, y: height - tall, width: width / BINS - 2, height: tall };
    const range = `${percent(i / BINS)} to ${percent((i + 1) / BINS)}: ${count(n)}`;
    return svg("rect", { ...bar, rx: 1, class: side((i + 0.5) / BINS) }, svg("title", {}, range));
  });
  const lines = data.thresholds.map(x => svg("line", { x1: x * width, x2: x * width, y1: 0, y2: height }));
  const labels = [0, 0.25, 0.5, 0.75, 1].map((x, i) => svg("text", {
    x: x * width, y: height + 16, "text-anchor": ["start", "middle", "middle", "middle", "end"][i],
  }, percent(x)));
  by("histogram").setAttribute("viewBox", `0 0 ${width} ${height + 20}`);
  by("histogram").replaceChildren(...bars, ...lines, ...labels);
}
