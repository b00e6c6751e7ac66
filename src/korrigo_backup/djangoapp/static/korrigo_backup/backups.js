// Draws the sizes over time in the colours of the admin, and again when its theme changes.
"use strict";

document.addEventListener("DOMContentLoaded", function () {
    const data = document.getElementById("korrigo-charts-data");
    if (!data || !window.Chart) {
        return;
    }
    const language = document.documentElement.lang || undefined;
    const day = new Intl.DateTimeFormat(language, {day: "numeric", month: "short", year: "2-digit"});
    const moment = new Intl.DateTimeFormat(language, {dateStyle: "medium", timeStyle: "short"});
    const {charts: series, units} = JSON.parse(data.textContent);

    // In steps of 1024 and with the words of the table.
    function power(bytes) {
        return Math.min(Math.max(Math.floor(Math.log2(bytes || 1) / 10), 0), units.length - 1);
    }

    function size(bytes) {
        const step = power(bytes);
        const number = (bytes / 1024 ** step).toLocaleString(language, {maximumFractionDigits: step ? 1 : 0});
        return `${number} ${units[step]}`;
    }

    // About five lines, at round numbers of the unit.
    function distance(largest) {
        const unit = 1024 ** power(largest), wanted = largest / unit / 5;
        const ten = 10 ** Math.floor(Math.log10(wanted || 1));
        return [1, 2, 5, 10].find(factor => factor * ten >= wanted) * ten * unit;
    }

    function colour(name) {
        return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    }

    function paint(chart) {
        const line = colour("--link-fg"), text = colour("--body-quiet-color"), grid = colour("--hairline-color");
        Object.assign(chart.data.datasets[0], {borderColor: line, pointBackgroundColor: line, pointBorderColor: line});
        for (const axis of Object.values(chart.options.scales)) {
            axis.ticks.color = text;
            axis.grid.color = grid;
            axis.border = {color: grid};
        }
        chart.update("none");
    }

    function draw(one) {
        return new window.Chart(document.getElementById(one.id), {
            type: "line",
            data: {datasets: [{data: one.points, borderWidth: 2, pointRadius: one.points.length > 60 ? 0 : 2, pointHitRadius: 8}]},
            options: {
                animation: false,
                maintainAspectRatio: false,
                parsing: false,
                normalized: true,
                interaction: {mode: "nearest", axis: "x", intersect: false},
                plugins: {
                    colors: {enabled: false},
                    legend: {display: false},
                    tooltip: {
                        displayColors: false,
                        callbacks: {
                            title: items => moment.format(items[0].parsed.x),
                            label: item => size(item.parsed.y),
                        },
                    },
                },
                scales: {
                    x: {
                        type: "linear",
                        min: one.points[0].x,
                        max: one.points[one.points.length - 1].x,
                        ticks: {maxTicksLimit: 5, maxRotation: 0, callback: value => day.format(value)},
                        grid: {},
                    },
                    y: {
                        beginAtZero: true,
                        ticks: {
                            stepSize: distance(Math.max(...one.points.map(point => point.y))),
                            callback: value => size(value),
                        },
                        grid: {},
                    },
                },
            },
        });
    }

    const charts = series.map(draw);
    const repaint = () => charts.forEach(paint);
    repaint();
    new MutationObserver(repaint).observe(document.documentElement, {attributeFilter: ["data-theme"]});
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
});
