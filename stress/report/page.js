// What a reader may do with the page: see the values under the pointer, compare them over
// all charts of a scenario, look closer, hide lines, and filter the checks. Without it,
// everything is on the page all the same.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const make = (parent, name, attributes) => {
    const e = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    return parent.appendChild(e);
  };

  // chart is a plot over a continuous axis.
  const chart = (svg) => {
    const data = svg.dataset;
    const left = Number(data.left), right = Number(data.right), low = Number(data.low), high = Number(data.high);
    const log = data.log === "true";
    const figure = svg.closest("figure");
    const names = [...figure.querySelectorAll("thead th")].map((th) => th.textContent);
    const rows = [...figure.querySelectorAll("tbody tr")].map((tr, i) => ({
      at: data.at.split(" ")[i],
      cells: [...tr.children].map((cell) => cell.textContent),
    })).filter((row) => row.at !== "-").map((row) => ({ ...row, at: Number(row.at) }));

    // What is in the chart is moved and stretched along its axis.
    let stretch = 1, shift = 0;
    const place = (x) => x * stretch + shift;
    const within = (x) => x >= left - 0.5 && x <= right + 0.5;
    const value = (x) => {
      const part = ((x - shift) / stretch - left) / (right - left);
      return log ? low * (high / low) ** part : low + part * (high - low);
    };
    const position = (v) => {
      const part = log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
      return place(left + part * (right - left));
    };

    const clip = `${figure.id}-clip`;
    make(make(svg, "clipPath", { id: clip }), "rect", { x: left - 5, y: -20, width: right - left + 10, height: 400 });
    const layers = [...svg.querySelectorAll(".inside")];
    const stretched = layers.flatMap((g) => [...g.querySelectorAll(".line, .area, .post, .band")]);
    const moved = layers.flatMap((g) => [...g.querySelectorAll("text, circle")]).map((e) => {
      const key = e.tagName === "circle" ? "cx" : "x";
      return { e, key, at: Number(e.getAttribute(key)) };
    });
    const goals = layers.flatMap((g) => [...g.querySelectorAll(".goal")]).map((e) => {
      const [x, y] = e.getAttribute("transform").match(/[-\d.]+/g).map(Number);
      return { e, x, y };
    });
    const across = svg.querySelector(".across");
    const closer = make(svg, "g", { class: "closer" });
    const hair = make(svg, "path", { class: "crosshair", visibility: "hidden" });
    const frame = make(svg, "rect", { class: "frame", y: data.top, height: data.bottom - data.top, visibility: "hidden" });
    const tip = document.createElement("p");
    tip.className = "tip";
    tip.hidden = true;
    tip.setAttribute("role", "status");
    figure.append(tip);

    const shown = () => rows.filter((row) => within(place(row.at)));
    const nearest = (x) => shown().reduce((best, row) =>
      !best || Math.abs(place(row.at) - x) < Math.abs(place(best.at) - x) ? row : best, undefined);

    const draw = () => {
      const whole = stretch === 1;
      for (const g of layers) {
        if (whole) g.removeAttribute("clip-path");
        else g.setAttribute("clip-path", `url(#${clip})`);
      }
      for (const e of stretched) {
        if (whole) e.removeAttribute("transform");
        else e.setAttribute("transform", `matrix(${stretch} 0 0 1 ${shift} 0)`);
      }
      for (const { e, key, at } of moved) {
        e.setAttribute(key, place(at));
        e.style.display = within(place(at)) ? "" : "none";
      }
      for (const { e, x, y } of goals) e.setAttribute("transform", `translate(${place(x)} ${y})`);
      across.style.display = whole ? "" : "none";
      closer.replaceChildren();
      if (whole) return;
      let free = -Infinity; // where the next label may begin
      for (const part of [0, 0.25, 0.5, 0.75, 1]) {
        const row = nearest(left + part * (right - left));
        const x = row && place(row.at);
        if (!row || x - 24 < free) continue;
        free = x + 30;
        make(closer, "path", { class: "grid", d: `M${x} ${data.top}V${data.bottom}` });
        const anchor = x > right - 24 ? "end" : "middle";
        make(closer, "text", { class: "tick", x, y: data.bottom, dy: 17, "text-anchor": anchor }).textContent = row.cells[0];
      }
    };

    const pixel = (event) => {
      const box = svg.getBoundingClientRect();
      return (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    };
    const point = (row) => {
      hair.setAttribute("visibility", row ? "visible" : "hidden");
      if (row) hair.setAttribute("d", `M${place(row.at)} ${data.top}V${data.bottom}`);
    };
    const tell = (row) => {
      tip.hidden = !row;
      if (!row) return;
      const hidden = new Set([...svg.querySelectorAll(".line.off")].map((e) => Number(e.dataset.series)));
      tip.textContent = `${row.cells[0]} ${names[0]}: ` + row.cells.slice(1)
        .map((cell, i) => cell === "" || hidden.has(i) ? "" : `${names[i + 1]} ${cell}`).filter(Boolean).join(", ");
    };
    const self = {
      svg, axis: data.axis, card: svg.closest("article"), last: undefined,
      point: (v) => point(v === undefined ? undefined : nearest(position(v))),
      clear: () => { self.last = undefined; point(undefined); tell(undefined); },
      look: (row) => {
        self.last = row;
        point(row);
        tell(row);
        const v = row && value(place(row.at));
        for (const other of charts) {
          if (other !== self && other.card === self.card && other.axis === self.axis) other.point(v);
        }
      },
      zoom: (from, to) => {
        stretch *= (right - left) / (to - from);
        shift = left - (from - shift) * ((right - left) / (to - from));
        draw();
      },
      whole: () => { stretch = 1; shift = 0; draw(); },
    };

    let began;
    const drag = (x) => {
      const from = Math.max(left, Math.min(began, x)), to = Math.min(right, Math.max(began, x));
      frame.setAttribute("x", from);
      frame.setAttribute("width", Math.max(to - from, 0));
      return { from, to };
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && event.pointerType === "mouse") began = pixel(event);
    });
    svg.addEventListener("pointermove", (event) => {
      const x = pixel(event);
      self.look(nearest(x));
      if (began === undefined) return;
      drag(x);
      frame.setAttribute("visibility", "visible");
    });
    svg.addEventListener("pointerup", (event) => {
      if (began === undefined) return;
      const { from, to } = drag(pixel(event));
      began = undefined;
      frame.setAttribute("visibility", "hidden");
      if (to - from > 8) self.zoom(from, to);
    });
    svg.addEventListener("pointerleave", () => {
      began = undefined;
      frame.setAttribute("visibility", "hidden");
      for (const other of charts) other.clear();
    });
    svg.addEventListener("dblclick", self.whole);
    svg.addEventListener("keydown", (event) => {
      const all = shown(), at = all.indexOf(self.last);
      switch (event.key) {
        case "ArrowLeft": self.look(all[Math.max(at - 1, 0)]); break;
        case "ArrowRight": self.look(all[Math.min(at + 1, all.length - 1)]); break;
        case "Escape": self.whole(); for (const other of charts) other.clear(); break;
        default: return;
      }
      event.preventDefault();
    });
    svg.addEventListener("blur", () => { for (const other of charts) other.clear(); });
    svg.tabIndex = 0;
    return self;
  };
  const charts = [...document.querySelectorAll("svg.plot")].map(chart);

  // A line is hidden and shown by its entry in the legend.
  for (const entry of document.querySelectorAll(".legend [data-series]")) {
    const svg = entry.closest("figure").querySelector("svg.plot");
    if (!svg) continue;
    const series = svg.querySelectorAll(`[data-series="${entry.dataset.series}"]`);
    const toggle = () => {
      const off = entry.getAttribute("aria-pressed") === "true";
      entry.setAttribute("aria-pressed", String(!off));
      for (const e of series) e.classList.toggle("off", off);
    };
    entry.setAttribute("role", "button");
    entry.setAttribute("aria-pressed", "true");
    entry.tabIndex = 0;
    entry.addEventListener("click", toggle);
    entry.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }

  // The filter hides rows of all tables of checks, and opens what holds the others.
  const filter = document.getElementById("filter");
  if (filter) {
    filter.hidden = false;
    const text = filter.querySelector("input"), verdict = filter.querySelector("select");
    const count = filter.querySelector("output");
    const apply = () => {
      const wanted = text.value.trim().toLowerCase(), kind = verdict.value;
      let shown = 0, all = 0;
      for (const table of document.querySelectorAll("table.checks")) {
        let some = 0;
        for (const row of table.tBodies[0].rows) {
          const match = (kind === "" || row.className === kind) && row.textContent.toLowerCase().includes(wanted);
          row.hidden = !match;
          all++;
          if (match) some++;
        }
        shown += some;
        const details = table.closest("details");
        if (details && (wanted || kind)) details.open = some > 0;
      }
      count.textContent = wanted || kind ? `${shown} of ${all}` : "";
    };
    text.addEventListener("input", apply);
    verdict.addEventListener("change", apply);
  }
})();
