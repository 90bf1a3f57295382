// Looks at a page as a browser has laid it out, and tells its parent.
(() => {
  const errors = [];
  addEventListener("error", (e) => errors.push(String(e.message || e.target)), true);
  addEventListener("securitypolicyviolation", (e) => errors.push("blocked: " + e.violatedDirective));

  const name = (e) => {
    const text = (e.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${e.tagName.toLowerCase()} class="${e.getAttribute("class") || ""}"> ${text}`;
  };
  const seen = (e) => {
    const box = e.getBoundingClientRect();
    return box.width > 1.5 && box.height > 1.5 && getComputedStyle(e).visibility === "visible" && e.checkVisibility();
  };
  const scrolls = (e) => {
    for (; e; e = e.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
    }
    return false;
  };

  const color = (text) => {
    const n = text.match(/[\d.]+/g).map(Number);
    return { r: n[0], g: n[1], b: n[2], a: n.length > 3 ? n[3] : 1 };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a),
    g: top.g * top.a + below.g * (1 - top.a),
    b: top.b * top.a + below.b * (1 - top.a),
    a: 1,
  });
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const c = color(getComputedStyle(e).backgroundColor);
      if (c.a > 0) layers.push(c);
      if (c.a === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const luminance = (c) => {
    const part = (x) => ((x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(c.r) + 0.7152 * part(c.g) + 0.0722 * part(c.b);
  };
  // The contrast of WCAG 2, 1.4.3.
  const contrast = (e) => {
    const style = getComputedStyle(e);
    const below = behind(e);
    const a = luminance(over(color(e instanceof SVGElement ? style.fill : style.color), below));
    const b = luminance(below);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const enough = (e) => {
    const style = getComputedStyle(e);
    const size = parseFloat(style.fontSize);
    return size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  };

  const look = () => {
    const all = [...document.querySelectorAll("body *")];
    const wide = document.documentElement.clientWidth;
    const texts = all.filter((e) => seen(e) && !e.classList.contains("read") &&
      [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
    const drawings = [...document.querySelectorAll("svg.drawing")];
    const touching = [];
    let smallest = 99;
    for (const svg of drawings) {
      const frame = svg.getBoundingClientRect();
      const scale = frame.width / svg.viewBox.baseVal.width;
      const labels = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
      labels.forEach((one, i) => {
        const a = one.getBoundingClientRect();
        smallest = Math.min(smallest, parseFloat(getComputedStyle(one).fontSize) * scale);
        if (a.left < frame.left - 3 || a.right > frame.right + 3 || a.bottom > frame.bottom + 3) {
          touching.push(`${name(one)} leaves ${name(svg.closest("figure").querySelector("figcaption"))}`);
        }
        for (const other of labels.slice(i + 1)) {
          const b = other.getBoundingClientRect();
          if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4) {
            touching.push(`${name(one)} touches ${name(other)}`);
          }
        }
      });
    }
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    const named = (e) => {
      const by = (e.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
      return e.getAttribute("aria-label") || (by.length > 0 &&
        by.every((id) => document.getElementById(id)?.textContent.trim()));
    };
    return {
      errors,
      dark: matchMedia("(prefers-color-scheme: dark)").matches,
      background: getComputedStyle(document.body).backgroundColor,
      width: wide,
      overflow: document.documentElement.scrollWidth > wide ? document.documentElement.scrollWidth : 0,
      outside: all.filter((e) => seen(e) &&
        e.getBoundingClientRect().right > wide + 1 && !scrolls(e.parentElement)).map(name).slice(0, 5),
      charts: drawings.length,
      undrawn: drawings.filter((svg) => {
        const marks = [...svg.querySelectorAll("path.line, rect.bar, path.mark, circle.value")];
        return !seen(svg) || !marks.some((m) => {
          const box = m.getBBox();
          return box.width + box.height > 1;
        });
      }).map((svg) => name(svg.closest("figure") || svg)),
      smallest,
      touching: touching.slice(0, 8),
      faint: texts.filter((e) => contrast(e) < enough(e)).map((e) => `${name(e)} ${contrast(e).toFixed(2)}`).slice(0, 8),
      texts: texts.length,
      tableless: drawings.filter((svg) => !svg.closest("figure")?.querySelector("details tbody td")).map(name),
      nameless: [...document.querySelectorAll("svg.drawing, [role=region]")].filter((e) => !named(e)).map(name),
      unreachable: [...document.querySelectorAll(".scroll, pre")].filter((e) =>
        e.scrollWidth > e.clientWidth && e.tabIndex !== 0).map(name),
      cut: wide < 1280 ? [] : [...document.querySelectorAll(".scroll, pre")].filter((e) =>
        e.scrollWidth > e.clientWidth + 1).map(name),
      twice: ids.filter((id, i) => ids.indexOf(id) !== i),
      deadLinks: [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))
        .filter((href) => !href.startsWith("evidence/") &&
          (!href.startsWith("#") || !document.getElementById(href.slice(1)))),
      fetched: performance.getEntriesByType("resource").map((e) => e.name),
    };
  };
  addEventListener("load", () => {
    document.querySelectorAll("details").forEach((d) => { d.open = true; });
    parent.postMessage(JSON.stringify(look()), "*");
  });
})();
