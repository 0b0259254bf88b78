// A click enlarges an image. Arrow keys walk from figure to figure in the order of the table; Escape returns to its cell.
(function () {
  "use strict";
  const cells = Array.from(document.querySelectorAll(".cell"));
  const anchors = cells.map((cell) => cell.dataset.anchor);
  const columns = 5;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };

  function show(index) {
    const card = document.getElementById(anchors[index]);
    history.replaceState(null, "", "#" + anchors[index]);
    card.scrollIntoView({ block: "center" });
    card.focus({ preventScroll: true });
  }

  cells.forEach((cell, index) => {
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      show(index);
    });
  });

  const large = document.querySelector(".large");
  document.documentElement.classList.add("js");
  document.querySelectorAll(".card img, figure img").forEach((image) => {
    image.addEventListener("click", () => {
      large.querySelector("img").src = image.src;
      large.querySelector("p").textContent = image.alt;
      large.showModal();
    });
  });
  large.addEventListener("click", () => large.close());

  document.addEventListener("keydown", (event) => {
    if (large.open) return;
    const active = document.activeElement;
    const index = active ? anchors.indexOf(active.id) : -1;
    if (index < 0) return;
    if (event.key === "Escape") {
      document.getElementById("table").scrollIntoView();
      cells[index].focus({ preventScroll: true });
    } else if (event.key in steps) {
      const next = index + steps[event.key];
      const row = Math.floor(index / columns);
      const sideways = Math.abs(steps[event.key]) === 1;
      if (next < 0 || next >= cells.length) return;
      if (sideways && Math.floor(next / columns) !== row) return;
      event.preventDefault();
      show(next);
    }
  });
})();
