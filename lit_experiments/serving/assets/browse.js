"use strict";
// Choices apply at once, and the focus stays where it was; the left and right arrow go to the page before and after.
(function () {
  document.documentElement.classList.add("scripted");
  const focus = sessionStorage.getItem("focus");
  sessionStorage.removeItem("focus");
  if (focus) document.getElementById(focus)?.focus({ preventScroll: false });
  for (const control of document.querySelectorAll("[form=view]")) {
    control.addEventListener("change", () => {
      sessionStorage.setItem("focus", control.id);
      document.getElementById("view").requestSubmit();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea, .grid, .chart")) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`a[rel=${rel}]`);
    if (!link) return;
    event.preventDefault();
    link.click();
  });
})();
