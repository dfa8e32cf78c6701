// Everything works without this script; it spares people from loading a page again.
(() => {
  "use strict";

  // The progress of a run: the server sends the part of the page anew whenever something has changed.
  const live = document.querySelector("[data-live]");
  if (live !== null && "EventSource" in window) {
    const said = document.getElementById("said");
    const source = new EventSource(live.dataset.live);
    source.addEventListener("message", (event) => {
      const news = JSON.parse(event.data);
      live.innerHTML = news.html;
      // Said aloud only when the words are others than before.
      if (said !== null && said.textContent !== news.said) {
        said.textContent = news.said;
      }
      if (news.ended) {
        source.close();
        // With its end a run gets buttons, reasons and a place in the chart.
        window.location.reload();
      }
    });
    window.addEventListener("pagehide", () => source.close());
  }
})();
