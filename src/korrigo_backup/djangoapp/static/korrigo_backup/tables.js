// Shows a shadow at a side of a table that can be scrolled to there.
"use strict";

document.addEventListener("DOMContentLoaded", function () {
    for (const scroll of document.querySelectorAll(".korrigo-scroll")) {
        const frame = document.createElement("div");
        frame.className = "korrigo-frame";
        scroll.replaceWith(frame);
        frame.append(scroll);
        const mark = () => {
            const left = scroll.scrollLeft, rest = scroll.scrollWidth - scroll.clientWidth - left;
            frame.classList.toggle("korrigo-more-left", left > 1);
            frame.classList.toggle("korrigo-more-right", rest > 1);
        };
        scroll.addEventListener("scroll", mark, {passive: true});
        new ResizeObserver(mark).observe(scroll);
    }
});
