"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");

function element(parent, tag, content, className) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (content !== undefined && content !== null) made.textContent = content;
    if (parent) parent.append(made);
    return made;
}
function number(value) {
    if (value === null || value === undefined) return "not a number";
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}
const percent = (share) => (share === null ? "–" : (100 * share).toFixed(1) + " %");
const section = (title, text) => {
    element(main, "h2", title);
    if (text) element(main, "p", text, "quiet");
};
// Columns: [title, is a number, row -> text or a function that fills the cell].
function table(parent, columns, rows) {
    const made = element(element(parent, "div", null, "scroll"), "table");
    const head = element(element(made, "thead"), "tr");
    for (const [title, isNumber] of columns) element(head, "th", title, isNumber ? "number" : "");
    const body = element(made, "tbody");
    for (const row of rows) {
        const line = element(body, "tr");
        for (const [, isNumber, content] of columns) {
            const value = content(row), cell = element(line, "td", typeof value === "function" ? null : value, isNumber ? "number" : "");
            if (typeof value === "function") value(cell);
            if (cell.textContent.length > 28) cell.classList.add("long");
        }
    }
    return made;
}

// --- charts ----------------------------------------------------------------------------------------------------------
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const charts = [];  // made again when the colour scheme changes
function chart(parent, title, configuration) {
    const card = element(parent, "div", null, "card");
    element(card, "h3", title);
    const canvas = element(element(card, "div", null, "chart"), "canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title);
    charts.push({canvas, configuration, made: null});
}
function draw() {
    Chart.defaults.color = colour("quiet");
    Chart.defaults.borderColor = colour("line");
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    for (const each of charts) {
        if (each.made) each.made.destroy();
        each.made = new Chart(each.canvas, each.configuration());
    }
}
const axisTitle = (text) => ({display: true, text, color: colour("quiet")});
// Logarithmic where values are positive and far apart.
const logarithmicTicks = (value) => ([1, 3].includes(Number((value / 10 ** Math.floor(Math.log10(value) + 1e-9)).toPrecision(3))) ? scientific(value) : null);
const scientific = (value) => (value !== 0 && (value < 1e-2 || value >= 1e4) ? value.toExponential(value === Number(value.toPrecision(1)) ? 0 : 1) : String(value));
const scale = (values, ratio) => (spread(values, ratio) ? {type: "logarithmic", ticks: {callback: logarithmicTicks}} : {type: "linear", grace: "8%"});
const spread = (values, ratio) => values.every((v) => v > 0) && Math.max(...values) > ratio * Math.min(...values);

// A band behind the epochs of each phase, with its name where there is room.
const phaseBands = {
    id: "phases",
    beforeDatasetsDraw(chart) {
        const {ctx, chartArea: area, scales: {x}} = chart, phases = report.curves.phases;
        if (phases.length < 2) return;
        ctx.save();
        ctx.font = "11px " + Chart.defaults.font.family;
        ctx.textBaseline = "top";
        phases.forEach((phase, i) => {
            const left = Math.max(x.getPixelForValue(phase.first - 0.5), area.left), right = Math.min(x.getPixelForValue(phase.last + 0.5), area.right);
            if (i % 2 === 1) {
                ctx.fillStyle = colour("band");
                ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
            }
            ctx.fillStyle = colour("quiet");
            if (ctx.measureText(phase.name).width + 8 <= right - left) ctx.fillText(phase.name, left + 4, area.top + 3);
        });
        ctx.restore();
    },
};
function epochScale() {
    const epochs = report.curves.rows.map((row) => row.epoch), first = Math.min(...epochs), last = Math.max(...epochs);
    return {type: "linear", min: first === last ? first - 1 : first, max: first === last ? last + 1 : last, title: axisTitle("epoch"), ticks: {precision: 0, maxRotation: 0}};
}
const few = () => (report.curves.rows.length < 30 ? 2.5 : 0);
const tooltip = () => ({
    callbacks: {
        title: (items) => {
            const row = report.curves.rows[items[0].dataIndex];
            return "epoch " + row.epoch + (report.curves.phases.length > 1 ? ", phase " + row.phase : "");
        },
        label: (item) => item.dataset.label + ": " + number(item.parsed.y),
    },
});
function curve(parent, sample) {
    const rows = report.curves.rows;
    const points = (split) => rows.map((row) => ({x: row.epoch, y: row[split] && sample in row[split] ? row[split][sample] : null}));
    const lines = [["training", points("train"), "train"], ["validation", points("validation"), "validation"]].filter(([, line]) => line.some((p) => p.y !== null));
    if (lines.length === 0) return;
    const values = lines.flatMap(([, line]) => line.map((p) => p.y)).filter((y) => y !== null);
    chart(parent, sample, () => ({
        type: "line",
        data: {datasets: lines.map(([label, data, name]) => ({label, data, borderColor: colour(name), backgroundColor: colour(name), borderWidth: 2, pointRadius: few(), pointHitRadius: 8}))},
        options: {
            interaction: {mode: "index", intersect: false},
            scales: {x: epochScale(), y: scale(values, 50)},
            plugins: {legend: {labels: {boxWidth: 14, boxHeight: 2}}, tooltip: tooltip()},
        },
        plugins: [phaseBands],
    }));
}
function rateCurve(parent) {
    const rows = report.curves.rows, rates = rows.map((row) => row.rate).filter((rate) => rate !== null);
    if (rates.length === 0) return;
    chart(parent, "learning rate, of the last step of each epoch", () => ({
        type: "line",
        data: {datasets: [{label: "rate", data: rows.map((row) => ({x: row.epoch, y: row.rate})), borderColor: colour("rate"), backgroundColor: colour("rate"), borderWidth: 2, pointRadius: few(), pointHitRadius: 8}]},
        options: {
            interaction: {mode: "index", intersect: false},
            scales: {x: epochScale(), y: scale(rates, 5)},
            plugins: {legend: {display: false}, tooltip: tooltip()},
        },
        plugins: [phaseBands],
    }));
}

// --- sections --------------------------------------------------------------------------------------------------------
function heading() {
    document.title = report.model + ", " + report.run;
    element(main, "h1", report.model);
    if (report.doc) element(main, "p", report.doc);
    element(main, "p", `${report.records.toLocaleString("en")} records of the split ${report.split}, by the checkpoint ${report.run}/${report.checkpoint}: epoch ${report.epoch}, step ${report.step.toLocaleString("en")}.`, "quiet");
    const figures = element(main, "div", null, "figures");
    const figure = (value, text) => {
        const card = element(figures, "div", null, "card figure");
        element(card, "b", value);
        element(card, "span", text);
    };
    for (const {name, value} of report.metrics) figure(number(value), report.split + " " + name);
    if (report.best) figure(number(report.best.value), `best ${report.curves.rows.some((row) => row.validation) ? "validation " : ""}${report.best.metric}, epoch ${report.best.epoch}`);
    figure(report.parameters.toLocaleString("en"), "parameters");
    figure(report.seconds, "spent training");
}
function curves() {
    section("Curves");
    if (report.curves.rows.length === 0) return element(main, "p", "This run has no metrics of epochs.", "quiet");
    const grid = element(main, "div", null, "grid");
    for (const sample of report.curves.samples) curve(grid, sample);
    rateCurve(grid);
}
function confusion(parent, classes) {
    const {names, pairs} = classes, card = element(parent, "div", null, "card");
    if (names.length > 12) card.style.gridColumn = "1 / -1";
    element(card, "h3", "Confusion matrix");
    element(card, "p", "A row for each class, a column for what it was taken for; colour is the share of the row.", "quiet");
    const counts = names.map(() => names.map(() => 0));
    for (const [truth, taken, count] of pairs) counts[truth][taken] = count;
    const made = element(element(card, "div", null, "scroll"), "table", null, "confusion");
    made.id = "confusion";
    const head = element(element(made, "thead"), "tr"), tall = names.some((name) => name.length > 4);
    element(head, "th");
    for (const name of names) element(element(head, "th", null, tall ? "tall" : ""), "span", name);
    const body = element(made, "tbody");
    names.forEach((name, truth) => {
        const row = element(body, "tr"), total = counts[truth].reduce((a, b) => a + b, 0);
        element(row, "th", name);
        names.forEach((other, taken) => {
            const count = counts[truth][taken], cell = element(row, "td", count > 0 ? count : "");
            cell.title = `${name} taken for ${other}: ${count} of ${total}`;
            if (count > 0) cell.style.background = `rgba(var(--${truth === taken ? "right" : "wrong"}), ${(0.08 + 0.6 * count / total).toFixed(3)})`;
        });
    });
}
function classes({names, pairs, table: rows}) {
    const mostInMatrix = 40, mostConfusions = 12;
    section("Classes", "Precision: of what was taken for the class, the share that is. Recall: of the class, the share that was found. F1: their harmonic mean.");
    const grid = element(main, "div", null, "grid");
    if (names.length <= mostInMatrix) confusion(grid, report.classes);
    const bar = (row) => (cell) => {
        element(cell, "span", null, "bar").style.width = Math.round(70 * (row.f1 || 0)) + "px";
        cell.append(percent(row.f1));
    };
    table(element(grid, "div", null, "card"), [["class", false, (r) => r.name], ["records", true, (r) => r.count.toLocaleString("en")], ["precision", true, (r) => percent(r.precision)],
        ["recall", true, (r) => percent(r.recall)], ["F1", true, bar]], rows).id = "classes";
    const confused = pairs.filter(([truth, taken]) => truth !== taken).sort((a, b) => b[2] - a[2]).slice(0, mostConfusions);
    if (confused.length === 0) return;
    const card = element(grid, "div", null, "card");
    element(card, "h3", "Confused most often");
    table(card, [["class", false, ([truth]) => names[truth]], ["taken for", false, ([, taken]) => names[taken]], ["times", true, ([, , count]) => count.toLocaleString("en")],
        ["of the class", true, ([truth, , count]) => percent(count / rows[truth].count)]], confused).id = "confused";
}
function gallery(title, text, mistakes) {
    if (mistakes.length === 0) return;
    section(title, text);
    if (mistakes.every((each) => each.picture)) {
        const grid = element(main, "div", null, "gallery");
        for (const each of mistakes) {
            const card = element(grid, "div", null, "card mistake"), picture = element(card, "img");
            picture.src = each.picture;
            picture.alt = each.name;
            if (each.truth !== undefined) {
                element(card, "span", each.prediction, "as");
                card.append(" " + percent(each.confidence));
                element(card, "br");
                card.append("is ");
                element(card, "span", each.truth, "is");
                card.append(" " + percent(each.probability));
            } else if (each.target !== undefined) {
                card.append(`${number(each.value)} for ${number(each.target)}`);
            }
            if (each.loss !== undefined) element(card, "div", "loss " + number(each.loss));
            element(card, "div", each.name);
        }
        return;
    }
    const columns = [["record", false, (r) => r.name]];
    mistakes[0].inputs.forEach(([name, value], i) => columns.push([name, typeof value === "number", (r) => (typeof r.inputs[i][1] === "number" ? number(r.inputs[i][1]) : r.inputs[i][1])]));
    if (mistakes[0].truth !== undefined)
        columns.push(["is", false, (r) => r.truth], ["taken for", false, (r) => r.prediction], ["with", true, (r) => percent(r.confidence)], ["for what it is", true, (r) => percent(r.probability)]);
    if (mistakes[0].target !== undefined)
        columns.push([report.values.target, true, (r) => number(r.target)], [report.values.output, true, (r) => number(r.value)], ["residual", true, (r) => number(r.value - r.target)]);
    if (mistakes[0].loss !== undefined) columns.push(["loss", true, (r) => number(r.loss)]);
    table(element(main, "div", null, "card"), columns, mistakes).classList.add("worst");
}
function residuals(values) {
    section("Residuals", `Residual: ${values.output} less ${values.target}.`);
    const grid = element(main, "div", null, "grid");
    chart(grid, "Residuals", () => ({
        type: "bar",
        data: {labels: values.histogram.map((bin) => Number(((bin.from + bin.to) / 2).toPrecision(2))), datasets: [{label: "records", data: values.histogram.map((bin) => bin.count), backgroundColor: colour("train"), categoryPercentage: 1, barPercentage: 0.94}]},
        options: {
            scales: {x: {title: axisTitle("residual"), grid: {display: false}, ticks: {maxRotation: 0, autoSkipPadding: 14}}, y: {title: axisTitle("records"), ticks: {precision: 0}}},
            plugins: {legend: {display: false}, tooltip: {callbacks: {title: (items) => { const bin = values.histogram[items[0].dataIndex]; return number(bin.from) + " to " + number(bin.to); }}}},
        },
    }));
    chart(grid, `${values.output} by ${values.target}` + (values.points.length < report.records ? `, ${values.points.length.toLocaleString("en")} records of ${report.records.toLocaleString("en")}` : ""), () => {
        const all = values.points.flat().filter((v) => v !== null), low = Math.min(...all), high = Math.max(...all);
        return {
            type: "scatter",
            data: {
                datasets: [
                    {label: "records", data: values.points.map(([x, y]) => ({x, y})), backgroundColor: colour("train") + "66", pointRadius: 2.5},
                    {label: "equal", type: "line", data: [{x: low, y: low}, {x: high, y: high}], borderColor: colour("validation"), borderWidth: 1.5, pointRadius: 0},
                ],
            },
            options: {scales: {x: {title: axisTitle(values.target)}, y: {title: axisTitle(values.output)}}, plugins: {legend: {display: false}, tooltip: {callbacks: {label: (item) => `${number(item.parsed.x)}: ${number(item.parsed.y)}`}}}},
        };
    });
    const card = element(grid, "div", null, "card");
    element(card, "h3", "Summary");
    table(card, [["", false, ([name]) => name], ["", true, ([, value]) => number(value)]], values.summary).id = "residuals";
}
function settings() {
    section("Settings");
    const grid = element(main, "div", null, "grid");
    const card = (title) => {
        const made = element(grid, "div", null, "card");
        element(made, "h3", title);
        return made;
    };
    table(card("Run"), [["", false, ([name]) => name], ["", false, ([, value]) => value]], report.settings).id = "settings";
    if (report.hypers.length > 0)
        table(card("Hyper-parameters"), [["name", false, (h) => h.name], ["value", true, (h) => (cell) => { element(cell, h.given ? "b" : "span", h.value); }], ["default", true, (h) => h.default], ["", false, (h) => h.doc]], report.hypers).id = "hypers";
    table(card("Data"), [["split", false, (s) => s.name], ["is read by", false, (s) => (cell) => { element(cell, "code", s.call); }]], report.splits).id = "splits";
    if (report.layers.length === 0) return;
    const details = element(main, "details");
    element(details, "summary", "Layers");
    table(element(details, "div", null, "card"), [["layer", false, (l) => l.path], ["output", false, (l) => l.output], ["parameters", true, (l) => l.parameters.toLocaleString("en")]], report.layers);
}

heading();
curves();
if (report.classes) classes(report.classes);
if (report.values) residuals(report.values);
for (const {title, text, records} of report.worst) gallery(title, text, records);
settings();
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
