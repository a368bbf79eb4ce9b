"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byRun = new Map(data.runs.map((run) => [run.run, run]));
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const narrow = matchMedia("(max-width: 69.99rem)");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const touch = matchMedia("(pointer: coarse)");

  // ---- the choice: which runs are shown
  const form = one("#choice"), words = one("#words");
  const texts = new Map(all("table.results tbody tr").map((line) => [Number(line.dataset.run), ""]));
  for (const place of all("[data-run]")) {
    const run = Number(place.dataset.run);
    if (texts.has(run) && (place.matches("tr") || place.matches("details"))) {
      texts.set(run, texts.get(run) + " " + place.textContent.toLowerCase());
    }
  }
  let visible = new Set(texts.keys());

  function chosen() {
    const wanted = data.facets.map(() => new Set());
    for (const box of all("input[data-facet]:checked", form)) {
      wanted[Number(box.dataset.facet)].add(Number(box.value));
    }
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    return new Set([...texts.keys()].filter((run) =>
      data.facets.every((facet, at) => !wanted[at].size || wanted[at].has(facet.places[run])) &&
      asked.every((word) => texts.get(run).includes(word))));
  }

  function choose() {
    visible = chosen();
    for (const place of all("[data-run]")) place.hidden = !visible.has(Number(place.dataset.run));
    const conditions = new Set(data.runs.filter((run) => visible.has(run.run))
      .map((run) => run.condition));
    let left = 0;
    for (const place of all("article[data-condition]")) {
      place.hidden = !conditions.has(Number(place.dataset.condition));
      left += place.hidden ? 0 : 1;
    }
    one(".none").hidden = left > 0;
    one("#count").textContent = visible.size === data.total
      ? `${data.total} runs` : `${visible.size} of ${data.total} runs`;
    drawAll();
  }
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(choose));
  if (narrow.matches) one("#filters").open = false;
  narrow.addEventListener("change", () => { one("#filters").open = !narrow.matches; });

  // ---- tables: a heading sorts
  function order(one, other) {
    if (one === "" || other === "") return (one === "") - (other === "");
    const numbers = [Number(one), Number(other)];
    if (numbers.every((value) => !Number.isNaN(value))) return numbers[0] - numbers[1];
    return one.localeCompare(other);
  }
  for (const table of all("table[data-sheet]")) {
    const headings = all("thead th", table), body = table.tBodies[0];
    headings.forEach((heading, at) => one("button", heading).addEventListener("click", () => {
      const first = heading.classList.contains("number") ? "descending" : "ascending";
      const second = first === "descending" ? "ascending" : "descending";
      const way = heading.getAttribute("aria-sort") === first ? second : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const value = (line) => line.cells[at].dataset.value;
      const sorted = [...body.rows].sort((a, b) => {
        const missing = value(a) === "" || value(b) === "";
        return (missing ? 1 : sign) * order(value(a), value(b));
      });
      body.append(...sorted);
    }));
  }

  function show(run) {
    const line = one(`table.results tr[data-run="${run}"]`);
    all(".found").forEach((other) => other.classList.remove("found"));
    line.classList.add("found");
    line.scrollIntoView({ block: "center", behavior: calm.matches ? "auto" : "smooth" });
  }

  // ---- plots
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x",
    "star", "triangle-left"];
  const SHAPES = ["M13 3a4 4 0 1 0 .01 0z", "M9 3h8v8h-8z", "M13 2.5l5 9h-10z",
    "M13 2l5 5-5 5-5-5z", "M8 3h10l-5 9z", "M11 2h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "M9 4l2-2 2 2 2-2 2 2-2 3 2 3-2 2-2-2-2 2-2-2 2-3z",
    "M13 1l1.7 4.2 4.3.3-3.3 2.9 1.1 4.3-3.8-2.4-3.8 2.4 1.1-4.3-3.3-2.9 4.3-.3z",
    "M17 2v10l-9-5z"];
  const DASHES = ["solid", "dash", "dashdot", "dot"];
  const PANELS = 6, TOP = 8, COLOURS = 8, SHADED = 3;
  const AXES = data.axes;
  // what one machine measures is not ranked with what another does
  const MEASURED = ["latency", "energy"];
  const NAMES = data.names;
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const look = (place) => ({
    colour: colour(`s${place % COLOURS}`), variable: `var(--s${place % COLOURS})`,
    symbol: SYMBOLS[place % SYMBOLS.length], shape: SHAPES[place % SHAPES.length],
    dash: DASHES[Math.floor(place / COLOURS) % DASHES.length],
  });
  // plotly reads its texts as HTML
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;")
    .replace(/>/g, "&gt;");
  const round = (value) => value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  const score = (value, bounds) => value.toFixed(2) + " %" +
    (bounds ? ` [${bounds[0].toFixed(2)}, ${bounds[1].toFixed(2)}]` : "");

  function layout(xtitle, log) {
    const ink = colour("ink"), rule = colour("rule"), faint = colour("faint");
    const axis = { gridcolor: rule, linecolor: rule, zeroline: false, tickcolor: rule,
      tickfont: { color: faint, size: 11 }, automargin: true };
    return {
      font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      margin: { l: 48, r: 12, t: TOP, b: 44 }, hovermode: "closest",
      dragmode: touch.matches ? false : "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: ink },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: rule, font: { color: ink, size: 12 },
        align: "left", namelength: -1 },
      xaxis: { ...axis, title: { text: xtitle, font: { size: 12, color: faint } },
        type: log ? "log" : "linear", ...(log ? { dtick: "D2" } : { rangemode: "tozero" }) },
      yaxis: { ...axis, title: { text: "mIoU, %", font: { size: 12, color: faint } } },
    };
  }

  function front(points) {
    const sorted = [...points].sort((a, b) => a.x - b.x || b.run.miou - a.run.miou);
    const best = [];
    for (const point of sorted) {
      if (!best.length || point.run.miou > best[best.length - 1].run.miou) best.push(point);
    }
    return best;
  }

  const bars = () => one("#bars").checked;

  function costPlot(runs) {
    const key = one("#axis").value;
    const points = runs.filter((run) => run[key] !== null).map((run) => ({ run, x: run[key] }));
    if (!points.length) return null;
    const traces = [];
    const machine = (run) => MEASURED.includes(key) ? run.machine : "";
    for (const its of new Set(points.map((p) => machine(p.run)))) {
      const best = front(points.filter((p) => machine(p.run) === its));
      traces.push({ x: best.map((p) => p.x), y: best.map((p) => p.run.miou), mode: "lines",
        line: { shape: "hv", color: colour("faint"), width: 1 }, hoverinfo: "skip" });
    }
    for (const { run, x } of points) {
      const its = look(run.look), bounds = bars() && run.bounds;
      const note = machine(run) ? "<br>" + plain(machine(run)) : "";
      traces.push({
        x: [x], y: [run.miou], mode: "markers", customdata: [run.run],
        marker: { color: its.colour, symbol: its.symbol, size: 10,
          line: { width: 1, color: colour("surface") } },
        error_y: bounds ? { type: "data", symmetric: false, array: [bounds[1] - run.miou],
          arrayminus: [run.miou - bounds[0]], color: its.colour, thickness: 1.2, width: 3 } : {},
        text: [`<b>${plain(NAMES[run.look])}</b><br>${score(run.miou, run.bounds)}` +
          `<br>${round(x)} ${AXES[key]}${note}`],
        hovertemplate: "%{text}<extra></extra>",
      });
    }
    const lacking = runs.filter((run) => run[key] === null).map((run) => NAMES[run.look]);
    const said = lacking.length ? `Not drawn (no ${AXES[key]}): ${lacking.join(", ")}.` : "";
    return { traces, layout: layout(AXES[key], one("#log").checked), said };
  }

  function distancePlot(runs) {
    const traces = [];
    const shades = bars() && runs.length <= SHADED;
    for (const run of runs) {
      const its = look(run.look);
      const places = run.curve.map((value, at) => at).filter((at) => run.curve[at] !== null);
      const bounded = places.filter((at) => run.curve_bounds[at]);
      if (shades && bounded.length > 1) {
        const low = bounded.map((at) => run.curve_bounds[at][0]);
        const high = bounded.map((at) => run.curve_bounds[at][1]);
        traces.push({ x: [...bounded, ...[...bounded].reverse()],
          y: [...high, ...low.reverse()], mode: "lines", fill: "toself", hoverinfo: "skip",
          line: { width: 0 }, fillcolor: its.colour.replace("rgb(", "rgba(").replace(")", ",0.13)") });
      }
      traces.push({
        x: places, y: places.map((at) => run.curve[at]), mode: "lines+markers",
        customdata: places.map(() => run.run),
        line: { color: its.colour, width: 1.8, dash: its.dash },
        marker: { symbol: its.symbol, size: 6, color: its.colour },
        text: places.map((at) => `<b>${plain(NAMES[run.look])}</b><br>` +
          `${score(run.curve[at], run.curve_bounds[at])}<br>distance ${at}`),
        hovertemplate: "%{text}<extra></extra>",
      });
    }
    const its = layout("frames since the keyframe", false);
    const longest = Math.max(...runs.map((run) => run.curve.length));
    its.xaxis.rangemode = "normal";
    its.xaxis.dtick = Math.max(1, Math.ceil(longest / 12));
    return { traces, layout: its };
  }

  const KINDS = { cost: costPlot, distance: distancePlot };
  const config = { displaylogo: false, displayModeBar: touch.matches ? false : "hover", responsive: true,
    showTips: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const panels = [];

  function draw(panel) {
    panel.stale = false;
    const runs = data.runs.filter((run) => run.condition === panel.condition &&
      visible.has(run.run));
    const made = KINDS[panel.kind](runs);
    panel.chart.hidden = made === null;
    panel.empty.hidden = made !== null;
    panel.lacking.textContent = made === null ? "" : made.said || "";
    if (made === null) return;
    Plotly.react(panel.chart, made.traces, made.layout, config);
    panel.chart.dataset.drawn = String(runs.length);
    if (!panel.listens) {
      panel.listens = true;
      panel.chart.on("plotly_click", (event) => show(event.points[0].customdata));
    }
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const panel = panels.find((each) => each.box === entry.target);
      panel.near = entry.isIntersecting;
      if (panel.near && panel.stale && !panel.box.hidden && window.Plotly) draw(panel);
    }
  }, { rootMargin: "300px" });

  function drawAll() {
    for (const kind of Object.keys(KINDS)) {
      const its = panels.filter((panel) => panel.kind === kind);
      const filled = its.filter((panel) => data.runs.some((run) =>
        run.condition === panel.condition && visible.has(run.run)));
      const section = one(`[data-plot="${kind}"]`).closest("section");
      const more = one(".more", section), cut = section.dataset.all ? Infinity : PANELS;
      for (const panel of its) panel.box.hidden = !filled.slice(0, cut).includes(panel);
      more.hidden = filled.length <= cut;
      one("button", more).textContent = `Show all ${filled.length} conditions`;
    }
    for (const panel of panels) {
      panel.stale = true;
      if (panel.near && !panel.box.hidden && window.Plotly) draw(panel);
    }
    const met = new Set(data.runs.filter((run) => visible.has(run.run)).map((run) => run.look));
    for (const item of all(".legend li")) item.hidden = !met.has(Number(item.dataset.look));
  }

  function makePanels() {
    const used = [...new Set(data.runs.map((run) => run.condition))].sort((a, b) => a - b);
    for (const place of all("[data-plot]")) {
      for (const condition of used) {
        const box = document.createElement("div"), chart = document.createElement("div");
        const title = document.createElement("h3"), empty = document.createElement("p");
        const lacking = document.createElement("p");
        title.textContent = data.conditions[condition] || "All runs";
        empty.textContent = "Nothing was measured for this axis.";
        box.className = "panel"; chart.className = "chart"; empty.className = "empty";
        lacking.className = "lacking";
        empty.hidden = true;
        box.append(title, chart, empty, lacking);
        place.append(box);
        panels.push({ kind: place.dataset.plot, condition, box, chart, empty, lacking, stale: true,
          near: false, listens: false });
        watcher.observe(box);
      }
      const section = place.closest("section");
      one(".more button", section).addEventListener("click", () => {
        section.dataset.all = "1";
        drawAll();
      });
    }
    for (const list of all(".legend")) {
      NAMES.forEach((name, place) => {
        const item = document.createElement("li"), text = document.createElement("span");
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
        svg.setAttribute("viewBox", "0 0 26 14");
        svg.setAttribute("aria-hidden", "true");
        mark.setAttribute("d", look(place).shape);
        mark.style.fill = look(place).variable;
        svg.append(mark);
        text.textContent = name;
        item.dataset.look = place;
        item.append(svg, text);
        list.append(item);
      });
    }
  }
  makePanels();
  for (const name of ["axis", "log", "bars"]) one(`#${name}`).addEventListener("change", drawAll);

  // ---- light and dark
  const theme = one("#theme"), themes = ["", "light", "dark"];
  const named = ["as the system", "light", "dark"];
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const next = (themes.indexOf(document.documentElement.dataset.theme || "") + 1) % 3;
    document.documentElement.dataset.theme = themes[next];
    theme.textContent = `Colours: ${named[next]}`;
    drawAll();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // ---- loops of frames
  for (const loop of all("[data-loop]")) {
    const pictures = all("img", loop), controls = one(".controls", loop);
    const slider = one("input", controls), button = one("button", controls);
    const sources = pictures.map((picture) => picture.dataset.frames.split(" "));
    let clock = null;
    const turn = (at) => {
      slider.value = at;
      one("output", controls).textContent = `distance ${at}`;
      pictures.forEach((picture, place) => { picture.src = sources[place][at]; });
    };
    const play = (on) => {
      clearInterval(clock);
      clock = on ? setInterval(() => turn((Number(slider.value) + 1) % sources[0].length), 250)
        : null;
      button.textContent = on ? "Pause" : "Play";
    };
    controls.hidden = false;
    button.addEventListener("click", () => play(clock === null));
    slider.addEventListener("input", () => { play(false); turn(Number(slider.value)); });
    let started = calm.matches;
    new IntersectionObserver((entries) => {
      if (entries[0].isIntersecting && !started) { started = true; play(true); }
      else if (!entries[0].isIntersecting && clock !== null) { play(false); started = false; }
    }).observe(loop);
  }

  choose();
  addEventListener("DOMContentLoaded", drawAll);
})();
