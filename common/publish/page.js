// What a page offers beside what it shows without script: zoom, two pictures under one slider, a sample's picture in the
// table, tables that sort.
"use strict";
(() => {
  const make = (name, attributes, ...inside) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  };

  // zoom: a click, Enter or the space bar on a picture opens it in a dialog; Escape closes that
  const large = make("img", {alt: ""});
  const caption = make("p", {});
  const factor = make("output", {});
  let times = 1;
  const show = (next) => {
    times = Math.min(8, Math.max(0.25, next));
    large.style.width = `${large.naturalWidth * times}px`;
    factor.textContent = `${Math.round(times * 100)} %`;
  };
  const button = (text, label, act) => {
    const made = make("button", {type: "button", "aria-label": label}, text);
    made.addEventListener("click", act);
    return made;
  };
  const dialog = make("dialog", {"aria-label": "Picture, enlarged"});
  dialog.append(make("div", {class: "bar"}, button("−", "smaller", () => show(times / 2)), factor,
                     button("+", "larger", () => show(times * 2)), button("Close", "close", () => dialog.close())),
                make("div", {class: "view", tabindex: "0"}, large), caption);
  document.body.append(dialog);
  const open = (image) => {
    large.src = image.src;
    large.alt = image.alt;
    caption.textContent = image.alt;
    dialog.showModal();
    const room = dialog.querySelector(".view").clientWidth;
    large.decode().then(() => show(large.naturalWidth * 2 <= room ? 2 : large.naturalWidth <= room ? 1 : 0.5));
  };
  for (const image of document.querySelectorAll(".panels img")) {
    (image.closest("a") || image).removeAttribute("href");
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.classList.add("zoom");
    image.addEventListener("click", () => open(image));
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        open(image);
      }
    });
  }

  // slider: what went in over what came out, as far as the slider says
  for (const panels of document.querySelectorAll(".panels")) {
    const pair = [...panels.querySelectorAll("figure[data-compare]")];
    if (pair.length < 2) continue;
    const [under, over] = [pair[pair.length - 1], pair[0]].map((figure) => figure.querySelector("img"));
    const names = [over, under].map((image) => image.closest("figure").dataset.compare);
    const bottom = make("img", {src: under.src, alt: ""});
    const top = make("img", {src: over.src, alt: "", class: "top"});
    const slider = make("input", {type: "range", min: "0", max: "100", value: "50",
                                  "aria-label": `left of here ${names[0]}, right of it ${names[1]}`});
    const stack = make("div", {class: "stack2"}, bottom, top);
    const move = () => { stack.style.setProperty("--at", `${slider.value}%`); };
    slider.addEventListener("input", move);
    move();
    const holder = make("figure", {class: "compare"}, stack, slider,
                        make("figcaption", {}, `${names[0]} | ${names[1]}`));
    holder.style.maxWidth = `${Math.max(under.width, under.naturalWidth, 288)}px`;
    panels.before(make("details", {class: "slide"}, make("summary", {}, `Compare ${names[0]} and ${names[1]} by a slider`), holder));
  }

  // pictures beside the page: a sample's name opens its own below it, which is read then and not before
  for (const link of document.querySelectorAll("a.beside")) {
    const labels = link.closest("table").dataset.labels;
    const name = link.textContent;
    let figure = null;
    const by = make("button", {type: "button", "aria-expanded": "false"}, name);
    by.addEventListener("click", () => {
      if (!figure) {
        const image = make("img", {alt: `${name}: ${labels}`});
        figure = make("figure", {role: "status", hidden: ""}, image, make("figcaption", {}, labels));
        image.addEventListener("error", () => {
          figure.replaceChildren(`There is no ${link.getAttribute("href")} beside this page.`);
        });
        by.after(figure);
        image.src = link.href;
      }
      figure.hidden = !figure.hidden;
      by.setAttribute("aria-expanded", String(!figure.hidden));
    });
    link.closest("td").dataset.value = name;
    link.replaceWith(by);
  }

  // sort: the heads of a table of samples become buttons
  for (const table of document.querySelectorAll("table.samples")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const by = button(head.textContent, `sort by ${head.textContent}`, () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].dataset.value || row.cells[column].textContent;
        const rows = [...table.tBodies[0].rows].sort((one, other) =>
          value(one).localeCompare(value(other), "en", {numeric: true}));
        if (column > 0) rows.sort((one, other) => Number(value(one)) - Number(value(other)));
        table.tBodies[0].append(...(down ? rows.reverse() : rows));
      });
      head.replaceChildren(by);
    });
  }
})();
