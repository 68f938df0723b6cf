"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
  function bytes(value) {
    if (value == null) return "–";
    let unit = 0;
    while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
    return value.toFixed(unit ? 1 : 0) + " " + UNITS[unit];
  }
  const sync = uPlot.sync("time");
  // Vertical lines at moments, under the curves.
  function marks(list) {
    return {
      hooks: {
        drawAxes: (u) => {
          const ctx = u.ctx;
          ctx.save();
          for (const mark of list) {
            ctx.strokeStyle = mark.color;
            ctx.setLineDash(mark.dash || []);
            for (const at of mark.at) {
              const x = Math.round(u.valToPos(at, "x", true)) + 0.5;
              if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
              ctx.beginPath();
              ctx.moveTo(x, u.bbox.top);
              ctx.lineTo(x, u.bbox.top + u.bbox.height);
              ctx.stroke();
            }
          }
          ctx.restore();
        },
      },
    };
  }
  function draw(id, height, columns, series, list, bands) {
    const place = document.getElementById(id);
    if (!place || columns[0].length === 0) return;
    const width = () => Math.max(320, place.clientWidth);
    const plot = new uPlot({
      width: width(),
      height: height,
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false } },
      scales: { x: { time: true }, y: { range: (u, min, max) => [0, (max || 1) * 1.05] } },
      axes: [{}, { size: 80, values: (u, ticks) => ticks.map(bytes) }],
      series: [{}].concat(series),
      bands: bands || [],
      plugins: [marks(list)],
    }, columns, place);
    window.addEventListener("resize", () => plot.setSize({ width: width(), height: height }));
  }
  const line = (label, color, width) => ({
    label: label, stroke: color, width: width, spanGaps: true, value: (u, v) => bytes(v),
  });
  draw("memory", 320,
    [data.at, data.rss, data.rss_max, data.private, data.pss],
    [line("RSS", "#1f77b4", 2), line("highest RSS", "#1f77b466", 1), line("private", "#2ca02c", 1),
     line("PSS", "#9467bd", 1)],
    data.marks);
  const colors = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2",
    "#bcbd22", "#17becf", "#7f7f7f"];
  // Each curve is the sum of its type and of all below it; what lies between two is one type.
  const sums = data.types.map((type) => type.bytes.slice());
  for (let nth = sums.length - 2; nth >= 0; nth -= 1) {
    sums[nth] = sums[nth].map((value, at) => value + sums[nth + 1][at]);
  }
  draw("types", 320, [data.census_at].concat(sums),
    data.types.map((type, nth) => ({
      label: type.name, stroke: colors[nth % colors.length], width: 1,
      fill: colors[nth % colors.length] + "99",
      value: (u, v, series, at) => (at == null ? "–" : bytes(type.bytes[at])),
    })),
    data.marks,
    sums.slice(1).map((_, nth) => ({ series: [nth + 1, nth + 2] })));
})();
