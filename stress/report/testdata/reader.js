// Does with a page what a reader does, and tells its parent what is to be seen then.
addEventListener("load", () => {
  const told = {};
  try {
    const plots = [...document.querySelectorAll("svg.plot")];
    const svg = plots.find((one) => one.dataset.at.split(" ").length > 8 && one.closest("article") &&
      plots.some((other) => other !== one && other.closest("article") === one.closest("article") &&
        other.dataset.axis === one.dataset.axis));
    const figure = svg.closest("figure"), tip = figure.querySelector(".tip");
    const mates = plots.filter((other) => other !== svg && other.closest("article") === svg.closest("article") &&
      other.dataset.axis === svg.dataset.axis);
    const hair = (one) => one.querySelector(".crosshair").getAttribute("visibility") === "visible";
    const move = (kind, part) => {
      const box = svg.getBoundingClientRect(), unit = box.width / svg.viewBox.baseVal.width;
      const left = Number(svg.dataset.left), right = Number(svg.dataset.right);
      svg.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0, pointerType: "mouse",
        clientX: box.left + (left + part * (right - left)) * unit, clientY: box.top + box.height / 2 }));
    };
    const key = (e, name) => e.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
    const ticks = () => [...svg.querySelectorAll(".across .tick, .closer .tick")].filter((e) => e.checkVisibility())
      .map((e) => e.textContent);
    const rows = figure.querySelectorAll("tbody tr");

    told.before = tip.hidden && !hair(svg);
    move("pointermove", 0.5);
    told.tip = tip.checkVisibility() && tip.textContent;
    told.mates = mates.length > 0 && mates.every(hair);
    told.others = plots.filter((one) => one.closest("article") !== svg.closest("article")).some(hair);
    move("pointermove", 1);
    told.last = tip.textContent.includes(rows[rows.length - 1].cells[0].textContent);
    move("pointerleave", 0.5);
    told.left = tip.hidden && ![svg, ...mates].some(hair);

    const whole = ticks();
    move("pointerdown", 0.4);
    move("pointermove", 0.5);
    told.frame = svg.querySelector(".frame").getAttribute("visibility") === "visible";
    move("pointerup", 0.6);
    told.closer = svg.querySelector(".line").getAttribute("transform");
    told.ticks = ticks().length > 1 && ticks().join() !== whole.join();
    const line = svg.querySelector(".line").getBoundingClientRect(), frame = svg.getBoundingClientRect();
    told.wide = line.width / frame.width;
    move("pointermove", 0.5);
    told.same = tip.textContent; // in the middle of what is shown is what was there before
    svg.dispatchEvent(new MouseEvent("dblclick"));
    told.whole = !svg.querySelector(".line").hasAttribute("transform") && ticks().join() === whole.join();

    svg.focus();
    key(svg, "Escape");
    key(svg, "ArrowRight");
    told.first = tip.textContent.startsWith(`${rows[0].cells[0].textContent} `);
    key(svg, "ArrowRight");
    told.second = tip.textContent.startsWith(`${rows[1].cells[0].textContent} `);
    svg.blur();
    told.blurred = tip.hidden;

    const entry = document.querySelector(".legend [data-series]");
    const drawn = entry.closest("figure").querySelector(`path.line[data-series="${entry.dataset.series}"]`);
    entry.click();
    told.off = !drawn.checkVisibility() && entry.getAttribute("aria-pressed") === "false";
    key(entry, "Enter");
    told.on = drawn.checkVisibility() && entry.getAttribute("aria-pressed") === "true";

    const filter = document.getElementById("filter"), text = filter.querySelector("input");
    const select = filter.querySelector("select");
    const visible = () => [...document.querySelectorAll("table.checks tbody tr")].filter((row) => row.checkVisibility());
    told.filter = filter.checkVisibility();
    text.value = "Routing.LOST";
    text.dispatchEvent(new Event("input"));
    told.found = visible().map((row) => row.querySelector("code").textContent);
    told.count = filter.querySelector("output").textContent;
    text.value = "";
    select.value = "failed";
    select.dispatchEvent(new Event("change"));
    told.failed = visible().length > 0 && visible().every((row) => row.className === "failed");
  } catch (error) {
    told.error = String(error.stack || error);
  }
  parent.postMessage(JSON.stringify(told), "*");
});
