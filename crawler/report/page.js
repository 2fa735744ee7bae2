// Draws the plots from the numbers in the page, anew when the window, the colours or the paper change.
(function () {
  "use strict";
  const found = JSON.parse(document.getElementById("data").textContent);
  const plots = [];
  const sync = uPlot.sync("time");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const ms = (v) => v == null ? "" : v < 1000 ? +v.toPrecision(3) + " ms" : +(v / 1000).toPrecision(3) + " s";
  const plain = (v) => v == null ? "" : v >= 100 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(3));

  const said = (at) => new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ");
  const times = (u, at, _axis, _space, step) => at.map((v) => step >= 86400 ? said(v).slice(5, 10) : said(v).slice(11, step >= 60 ? 16 : 19));

  // 1, 2, 5, 10, 20, 50 ...: where a logarithmic axis is read.
  function decades(u, _axis, low, high) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    return found.filter((v) => v >= low && v <= high);
  }

  function axis(more) {
    return Object.assign({
      stroke: colour("quiet"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 },
    }, more);
  }

  function line(label, name, more) {
    return Object.assign({ label, stroke: colour(name), width: 1.5, points: { show: found.at.length < 40, size: 5 } }, more);
  }

  // Seconds in which calls were refused or put to rest: ticks at the foot of the plot.
  function marks(u) {
    const { left, top, width, height } = u.bbox, ctx = u.ctx, step = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const [column, name, row] of [["refused", "bad", 0], ["rests", "bad2", 1]]) {
      ctx.fillStyle = colour(name);
      const thick = Math.max(2 * step, width / found.at.length - 1);
      found[column].forEach((count, i) => {
        if (count) {
          const x = u.valToPos(found.at[i], "x", true);
          ctx.fillRect(x - thick / 2, top + height - (row + 1) * 7 * step, thick, 6 * step);
        }
      });
    }
    ctx.restore();
  }

  function time(id, height, data, series, axes, scales, hooks) {
    const at = document.getElementById(id);
    plots.push([at, height, new uPlot({
      width: at.clientWidth, height, hooks, axes, scales: Object.assign({ x: { time: true } }, scales),
      series: [{ label: "at", value: (u, v) => v == null ? "" : said(v) }].concat(series),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { sync: { key: sync.key }, points: { size: 6 } }, padding: [10, 12, 0, 4],
    }, data, at)]);
  }

  function calls() {
    const quiet = { show: false, points: { show: false } };
    time("calls", 260, [found.at, found.calls, found.ok, found.limit, found.refused, found.rests], [
      line("calls/s", "blue", { fill: colour("blue-soft"), value: (u, v) => plain(v) }),
      line("ok/s", "good", { value: (u, v) => plain(v) }),
      line("calls at once allowed", "violet", { scale: "limit", dash: [4, 4], width: 1.2, spanGaps: true,
                                                paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }),
      line("refused", "bad", { width: 0, scale: "none", points: quiet }),
      line("rests", "bad2", { width: 0, scale: "none", points: quiet }),
    ], [
      axis({ values: times }), axis({ size: 52, values: (u, values) => values.map(plain) }),
      axis({ side: 1, scale: "limit", size: 44, grid: { show: false }, stroke: colour("violet") }),
    ], { y: { range: (u, low, high) => [0, Math.max(high, 1) * 1.08] },
         limit: { range: (u, low, high) => [0, Math.max(high, 1) * 1.25] }, none: { range: () => [0, 1e9] } },
    { draw: [marks] });
  }

  function latency() {
    const value = (u, v) => ms(v);
    time("latency", 260, [found.at, found.p50, found.p95, found.p99], [
      line("p50", "good", { value, spanGaps: true }), line("p95", "blue", { value, spanGaps: true }),
      line("p99", "violet", { value, spanGaps: true, width: 1 }),
    ], [axis({ values: times }), axis({ size: 60, splits: decades, filter: (u, values) => values, values: (u, values) => values.map(ms) })],
    { y: { distr: 3, range: (u, low, high) => [Math.max(low || 1, 0.5) / 1.4, Math.max(high || 1, 1) * 1.4] } });
  }

  function distribution() {
    const at = document.getElementById("distribution");
    const index = found.bounds.map((_, i) => i);
    const every = Math.ceil(index.length / Math.max(2, Math.floor(at.clientWidth / 62)));
    plots.push([at, 200, new uPlot({
      width: at.clientWidth, height: 200, padding: [10, 12, 0, 4],
      scales: { x: { time: false, range: [-0.6, index.length - 0.4] }, y: { range: (u, low, high) => [0, Math.max(high, 1) * 1.08] } },
      series: [
        { label: "up to", value: (u, v) => v == null ? "" : ms(found.bounds[v]) },
        { label: "calls", stroke: colour("blue"), fill: colour("blue"), width: 0, points: { show: false },
          paths: uPlot.paths.bars({ size: [0.86, 60] }), value: (u, v) => plain(v) },
      ],
      axes: [
        axis({ grid: { show: false }, splits: () => index.filter((i) => i % every === 0), values: (u, v) => v.map((i) => ms(found.bounds[i])) }),
        axis({ size: 60, values: (u, values) => values.map(plain) }),
      ],
    }, [index, found.held], at)]);
  }

  function draw() {
    for (const [, , plot] of plots.splice(0)) plot.destroy();
    calls();
    latency();
    distribution();
  }

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => plots.forEach(([at, height, plot]) => plot.setSize({ width: at.clientWidth, height })), 100);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const pre = button.parentElement.querySelector("pre");
    const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    const select = () => { const range = document.createRange(); range.selectNodeContents(pre); const chosen = getSelection(); chosen.removeAllRanges(); chosen.addRange(range); };
    if (navigator.clipboard) navigator.clipboard.writeText(pre.textContent).then(done, select); else select();
  });

  draw();
  document.documentElement.dataset.drawn = String(plots.length);
})();
