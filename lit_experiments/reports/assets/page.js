"use strict";
// Tables: sort by a click on a head, filter by what is typed. Charts: drawn by Vega-Lite in the colours of the page.
(function () {
  function value(row, index) {
    const cell = row.cells[index];
    const number = cell.dataset.value;
    return number === undefined ? cell.textContent : number === "" ? null : Number(number);
  }
  function compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [value(a, index), value(b, index)];
        return x === null || y === null || !down ? compare(x, y) : -compare(x, y);
      });
      table.tBodies[0].append(...rows);
    }));
  }
  for (const input of document.querySelectorAll("input.filter")) {
    const table = document.getElementById(input.dataset.table);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }
  const looks = document.getElementById("looks");
  if (!looks || !window.vegaEmbed) return;
  const configurations = JSON.parse(looks.textContent);
  const ROOM = 90; // pixels of an axis with its title: a chart that does not fit a narrow page is made narrower
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function draw() {
    for (const place of document.querySelectorAll(".chart")) {
      const spec = JSON.parse(place.nextElementSibling.textContent);
      spec.description = place.getAttribute("aria-label"); // Vega puts its own words there otherwise
      if (spec.width > place.clientWidth - ROOM) {
        Object.assign(spec, { width: place.clientWidth, autosize: { type: "fit", contains: "padding" } });
      }
      const config = configurations[dark.matches ? "dark" : "light"];
      vegaEmbed(place, spec, { config, actions: false, renderer: "svg" });
    }
  }
  dark.addEventListener("change", draw);
  draw();
})();
