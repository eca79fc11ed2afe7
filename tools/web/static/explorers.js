// Explorers without Python. A page holds stills; where a still has data, this puts the live one over
// it as soon as it comes near the screen. The data are scripts of their own, so that a page opened
// from a file works like one from a server.
"use strict";

window.quantlab = (() => {
  const waiting = new Map(); // id -> the places on the page that show it

  /** Called by explorers/ID.js: mount the explorer that came. */
  async function data(id, kind, packed) {
    const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const content = await new Response(plain).json();
    for (const place of waiting.get(id) ?? []) mount(place, kind, content);
    waiting.delete(id);
  }

  function mount(place, kind, content) {
    const box = make("div", { class: `live ${kind === "bits" ? kind : "faces"}` });
    place.querySelector(".still").hidden = true;
    place.append(box);
    if (kind === "bits") mountBits(box, structuredClone(content), place.dataset.explorer);
    else mountFaces(box, content, kind === "computed" ? computing(content) : lookingUp(content));
    place.dispatchEvent(new CustomEvent("quantlab:mounted", { bubbles: true }));
  }

  /** The bit explorer computes by itself; a plain object stands in for the widget's model. */
  function mountBits(box, values, id) {
    const link = make("a", {}, "Link to this number");
    const model = {
      get: (name) => values[name],
      set: (name, value) => {
        values[name] = value;
        link.href = `?${toQuery(id, values._state)}`;
      },
      save_changes() {}, on() {}, off() {},
    };
    window.quantlab.bits({ model, el: box });
    model.set("_state", values._state);
    box.append(make("p", { class: "explorer-note bits-link" }, link));
    if (wanted.get("explorer") === id) putNumber(box, values);
  }

  const wanted = new URLSearchParams(location.search);
  const widths = ({ exponent_bits, mantissa_bits, specials, width, signed }) => (
    specials ? [exponent_bits, mantissa_bits, specials] : [width, signed]);

  /** What a link says of a number: the explorer, the format, what was asked for, and the bits. */
  function toQuery(explorer, { format, number, bits }) {
    const asked = number.length < 60 ? number : `0b${bits}`;
    return new URLSearchParams({ explorer, format: widths(format).join(" "), number: asked, bits });
  }

  /** Show the number of the link that led here: pick and type it, as a reader would. */
  function putNumber(box, values) {
    const put = (control, value) => {
      control.value = value;
      control.dispatchEvent(new Event("change"));
    };
    const sizes = (wanted.get("format") ?? "").split(" ");
    const near = values._formats.findIndex((format) => widths(format).length === sizes.length);
    if (near >= 0) put(box.querySelector(".ql-format"), near); // the same boxes beside the menu
    const boxes = box.querySelectorAll(".ql-widths :is(input, select)");
    sizes.forEach((size, place) => { if (boxes[place]) put(boxes[place], size); });
    const number = box.querySelector(".ql-number");
    put(number, wanted.get("number") ?? "");
    const bits = wanted.get("bits") ?? values._state.bits;
    if (bits !== values._state.bits) put(number, `0b${bits}`); // set by hand, or by another rule of rounding
  }

  // What an explorer shows, and the labels of its controls: two functions from the positions of the
  // controls, which they keep within what there is.

  /** Every face was made beforehand. */
  const lookingUp = ({ controls, tree, labels, faces, pieces }) => (positions) => {
    let node = tree;
    const shown = controls.map((_, level) => {
      const names = labels[node[0]];
      positions[level] = Math.min(positions[level], names.length - 1);
      node = node[positions[level] + 1];
      return names;
    });
    return { shown, html: faces[node].map((place) => pieces[place]).join("") };
  };

  /** faces.js makes the face; the position of an entry is its text, and a number can set how many steps there are. */
  const computing = (content) => {
    const shown = content.controls.map(({ labels }) => labels);
    const steps = content.controls.findIndex(({ kind }) => kind === "steps");
    return (positions) => {
      const values = content.controls.map(({ name, kind, values: known }, level) => (
        [name, kind === "entry" || kind === "steps" ? positions[level] : known[positions[level]]]));
      const { html, last } = window.quantlab.answer(content, Object.fromEntries(values));
      if (last !== undefined) {
        shown[steps] = Array.from({ length: last + 1 }, (_, step) => String(step));
        positions[steps] = Math.min(positions[steps], last);
      }
      return { shown, html };
    };
  };

  function mountFaces(box, { title, height, controls, fixed, thinned }, look) {
    const positions = controls.map((control) => control.start);
    const face = make("div", { class: "live-face scroll" });
    const said = make("div", { class: "unseen", "aria-live": "polite" });
    let [spoken, timer] = [null, 0];
    face.style.minHeight = height;
    let shown = []; // the labels of each control, as they are now
    const show = () => {
      const found = look(positions);
      shown = found.shown;
      face.innerHTML = found.html;
      parts.forEach((part, level) => part.show(shown[level], positions[level], Boolean(face.querySelector("[role=alert]"))));
      clearTimeout(timer);
      timer = setTimeout(() => {
        const words = inWords(face);
        if (spoken !== null && spoken !== words) said.textContent = words; // the first was not asked for
        spoken = words;
      }, 400);
    };
    const parts = controls.map((control, level) => {
      const move = (position) => { positions[level] = position; show(); };
      return drawers[control.kind](control.label, move, control);
    });
    const bar = make("div", { class: "live-controls" }, ...parts.map((part) => part.node));
    box.append(make("p", { class: "live-title" }, title), bar, face, said);
    if (fixed.length) {
      box.append(make("p", { class: "explorer-note" },
        `On this page “${fixed.join("”, “")}” stays where it is: run the notebook to move it.`));
    }
    if (thinned.length) {
      box.append(make("p", { class: "explorer-note" },
        `On this page “${thinned.join("”, “")}” takes larger steps: run the notebook for all of them.`));
    }
    dragging(face, (name, value) => {
      const level = controls.findIndex((control) => control.name === name);
      const distance = (label) => Math.abs(Number(label) - value);
      const nearest = shown[level].reduce((best, label, at, all) => (distance(label) < distance(all[best]) ? at : best), 0);
      if (nearest === positions[level]) return;
      positions[level] = nearest;
      show();
    });
    show();
  }

  /** The answer in words, as static/explorer.js in Jupyter: what is marked so, or what drawings say. */
  function inWords(face) {
    const answers = [...face.querySelectorAll("[data-said]")].map((node) => node.textContent);
    const labels = [...face.querySelectorAll("svg[role=img]")].map((node) => node.ariaLabel);
    return (answers.length ? answers : labels).join(". ");
  }

  /** What carries data-drag in a face moves the control of that name, as static/explorer.js does in Jupyter. */
  function dragging(face, move) {
    let held = null; // {name, offset from the pointer to the middle of the handle}
    face.addEventListener("pointerdown", (event) => {
      const handle = event.target.closest("[data-drag]");
      if (!handle || event.button !== 0) return;
      const box = handle.getBoundingClientRect();
      held = { name: handle.dataset.drag, offset: box.left + box.width / 2 - event.clientX };
      face.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    face.addEventListener("pointermove", (event) => {
      const handle = held && face.querySelector("[data-drag]");
      if (!handle) return;
      const svg = handle.closest("svg");
      const frame = svg.getBoundingClientRect();
      const x = ((event.clientX + held.offset - frame.left) / frame.width) * svg.viewBox.baseVal.width;
      move(held.name, (x - handle.dataset.zero) / handle.dataset.unit);
    });
    for (const end of ["pointerup", "pointercancel"]) face.addEventListener(end, () => { held = null; });
  }

  // Each draws one control and returns {node, show(labels, position, wrong)}; it calls move(position).
  const drawers = {
    /** A box for any number, with a menu of well-known ones above it where there are some. */
    entry(name, move, { picks, menu }) {
      const input = make("input", { type: "text", "aria-label": name, autocomplete: "off", spellcheck: "false", size: 12 });
      const select = make("select", { "aria-label": menu },
        ...picks.map(([label, number]) => make("option", { value: number }, label)), make("option", { value: "" }, "a size of your own"));
      input.addEventListener("change", () => move(input.value));
      select.addEventListener("change", () => { if (select.value) move(select.value); });
      const box = labelled(name, input);
      return {
        node: menu ? make("div", { class: "live-pair" }, labelled(menu, select), box) : box,
        show(_, text, wrong) {
          input.value = text;
          input.setAttribute("aria-invalid", String(wrong));
          select.value = picks.some(([, number]) => number === text.trim()) ? text.trim() : "";
        },
      };
    },
    menu(name, move) {
      const select = make("select", { "aria-label": name });
      select.addEventListener("change", () => move(select.selectedIndex));
      let shown = null;
      return {
        node: labelled(name, select),
        show(labels, position) {
          if (shown !== labels) select.replaceChildren(...labels.map((label) => make("option", {}, label)));
          shown = labels;
          select.selectedIndex = position;
        },
      };
    },
    buttons(name, move) {
      const group = `choice-${nextNumber()}`;
      const row = make("div", { class: "live-row" });
      let shown = null;
      return {
        node: make("fieldset", { class: "live-control" }, make("legend", {}, name || "setting"), row),
        show(labels, position) {
          if (shown !== labels) {
            row.replaceChildren(...labels.map((label, place) => {
              const input = make("input", { type: "radio", name: group });
              input.addEventListener("change", () => move(place));
              return make("label", { class: "choice" }, input, label);
            }));
          }
          shown = labels;
          row.querySelectorAll("input")[position].checked = true;
        },
      };
    },
    check(name, move) {
      const input = make("input", { type: "checkbox" });
      input.addEventListener("change", () => move(Number(input.checked)));
      return {
        node: make("div", { class: "live-control" }, make("label", { class: "choice" }, input, name)),
        show(labels, position) { input.checked = Boolean(position); },
      };
    },
    slider(name, move) {
      const slider = range(name, move);
      return { node: labelled(name, slider.row), show: slider.show };
    },
    steps(name, move) {
      const slider = range(name, move);
      const button = (text, target) => {
        const made = make("button", { type: "button", "aria-label": `${text} ${name}` }, text);
        made.addEventListener("click", () => move(target()));
        return made;
      };
      const at = () => Number(slider.input.value);
      const first = button("First", () => 0);
      const back = button("Back", () => at() - 1);
      const next = button("Next", () => at() + 1);
      const play = button("Play", at);
      let playing = 0;
      const stop = () => { clearInterval(playing); playing = 0; setPlaying(); };
      const setPlaying = () => {
        play.textContent = playing ? "Stop" : "Play";
        play.setAttribute("aria-label", `${play.textContent} ${name}`);
      };
      const forward = () => (at() < Number(slider.input.max) && play.isConnected ? move(at() + 1) : stop());
      play.addEventListener("click", () => {
        if (playing) { stop(); return; }
        if (at() === Number(slider.input.max)) move(0);
        playing = setInterval(forward, 1000);
        setPlaying();
      });
      slider.row.prepend(first, back, next, play);
      return {
        node: labelled(name, slider.row),
        show(labels, position) {
          slider.show(labels, position);
          first.disabled = back.disabled = position === 0;
          next.disabled = position === labels.length - 1;
        },
      };
    },
  };

  function range(name, move) {
    const input = make("input", { type: "range", min: 0, "aria-label": name });
    const output = make("output");
    input.addEventListener("input", () => move(Number(input.value)));
    return {
      input,
      row: make("div", { class: "live-row" }, input, output),
      show(labels, position) {
        input.max = labels.length - 1;
        input.value = position;
        input.setAttribute("aria-valuetext", labels[position]);
        output.textContent = labels[position];
      },
    };
  }

  const labelled = (name, ...nodes) =>
    make("div", { class: "live-control" }, make("span", { class: "name" }, name), ...nodes);

  let number = 0;
  const nextNumber = () => { number += 1; return number; };

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function start() {
    const near = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        fetchData(target);
      }
    }, { rootMargin: "600px" });
    document.querySelectorAll(".explorer[data-live]").forEach((place) => {
      near.observe(place);
      if (place.dataset.explorer === wanted.get("explorer")) place.scrollIntoView();
    });
  }

  function fetchData(place) {
    const id = place.dataset.explorer;
    if (waiting.has(id)) {
      waiting.get(id).push(place);
      return;
    }
    waiting.set(id, [place]);
    document.head.append(make("script", { src: `explorers/${id}.js` }));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  return { data };
})();
