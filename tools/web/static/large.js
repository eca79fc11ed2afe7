// On a phone a figure opens at the size that it was drawn for: to be moved, and enlarged by two fingers.
"use strict";

(() => {
  if (!matchMedia("(max-width: 700px)").matches) return; // as in base.css
  const large = document.createElement("dialog");
  large.className = "large";
  large.setAttribute("aria-label", "The figure, large");
  large.innerHTML = '<button type="button">Close</button><div class="scroll" tabindex="0"></div>';
  large.querySelector("button").addEventListener("click", () => large.close());
  document.body.append(large);

  for (const img of document.querySelectorAll(".output.picture img")) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "enlarge" });
    button.setAttribute("aria-label", `Show large: ${img.alt}`);
    button.addEventListener("click", () => {
      const copy = img.cloneNode();
      copy.style.width = `${img.getAttribute("width")}px`;
      large.querySelector("div").replaceChildren(copy);
      large.showModal();
    });
    img.replaceWith(button);
    button.append(img);
  }
})();
