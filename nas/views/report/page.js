"use strict";
const plots = [...document.querySelectorAll("[data-figure]")];
const settings = { responsive: true, displayModeBar: false, scrollZoom: false };
for (const plot of plots) {
  const figure = JSON.parse(document.getElementById("data-" + plot.dataset.figure).textContent);
  Plotly.newPlot(plot, figure.data, figure.layout, settings);
}
// paper is narrower than the window: figures are laid out again for it
const PAPER = 660;
addEventListener("beforeprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: Math.min(PAPER, plot.clientWidth), autosize: false });
});
addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
});
