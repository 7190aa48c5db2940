// Citations by year as an interactive chart, in place of the drawing that the page comes with.

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function load(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

function layout(years, counts) {
  return {
    margin: { l: 44, r: 8, t: 8, b: 32 },
    bargap: 0.2,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("--quiet") },
    xaxis: { tickformat: "d", dtick: years.length < 12 ? 1 : undefined, fixedrange: false, gridcolor: colour("--line"), linecolor: colour("--edge") },
    yaxis: { tickformat: ",d", dtick: Math.max(...counts) < 6 ? 1 : undefined, rangemode: "tozero", fixedrange: true, gridcolor: colour("--line"), zerolinecolor: colour("--edge"), nticks: 6 },
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--edge"), font: { color: colour("--ink") } },
  };
}

async function draw(place) {
  const years = JSON.parse(place.dataset.years);
  const counts = JSON.parse(place.dataset.counts);
  await load(place.dataset.chart);
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", place.dataset.label);
  place.append(plot);
  const traces = () => [{
    type: "bar", x: years, y: counts, marker: { color: colour("--strong") }, hovertemplate: "%{x}: %{y:,d}<extra></extra>",
  }];
  await window.Plotly.newPlot(plot, traces(), layout(years, counts), { displayModeBar: false, responsive: true });
  place.querySelector("svg.bars")?.remove();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    window.Plotly.react(plot, traces(), layout(years, counts), { displayModeBar: false, responsive: true });
  });
}

// Four megabytes are for those who come to see the chart.
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    draw(entry.target).catch(() => {});
  }
});
document.querySelectorAll(".chart[data-chart]").forEach((place) => watcher.observe(place));
