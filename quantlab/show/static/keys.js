/**
 * Keep plain keys in `place`: JupyterLab takes them for commands on the cell unless the very element
 * that has the focus says no. With Ctrl, Meta or Alt held it may: saving stays possible.
 */
export function keepKeys(place) {
  const mark = ({ target, ctrlKey, metaKey, altKey }) =>
    target.toggleAttribute("data-lm-suppress-shortcuts", !(ctrlKey || metaKey || altKey));
  for (const kind of ["focusin", "keydown", "keyup"]) place.addEventListener(kind, mark);
}
