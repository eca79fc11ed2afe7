// Light or dark, before the first paint: what the reader chose here, else what their system says.
"use strict";
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme =
      localStorage.getItem("theme") ?? (system.matches ? "dark" : "light");
  };
  window.switchTheme = () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    apply();
  };
  system.addEventListener("change", apply);
  apply();
})();
