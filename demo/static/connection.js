// The connection: notices that the server does not answer, says so, and repeats what it has not answered.

const RETRY = 1000; // in milliseconds
const EVENTS = "/gradio_api/run/";
const UPLOADS = "gradio_api/upload";
const PROXY_ERRORS = [502, 503, 504];

// Calls `restored` when the server answers again. Meanwhile the page has the class "away", which dims what may be out of
// date. Gradio would drop a failed event and those after it, therefore `fetch` repeats it until it is answered. An upload
// that is not answered is rejected, as by `fetch` itself; `restored` repeats it.
export function watchConnection(restored) {
  const send = window.fetch;
  const note = document.querySelector(".away-note");
  let waiting = null; // a promise that is kept when the server answers again

  function show(away) {
    document.body.classList.toggle("away", away);
    note.textContent = away ? "The server does not answer. What you drew or sent is kept, and is read as soon as it answers." : "";
  }

  async function wait() {
    show(true);
    let response;
    do {
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      response = await send("healthz", { cache: "no-store" }).catch(() => null);
    } while (!response?.ok);
    show(false);
    waiting = null;
    restored();
  }

  window.fetch = async (...request) => {
    const address = String(request[0]?.url ?? request[0]);
    const uploads = address.includes(UPLOADS);
    if (!uploads && !address.includes(EVENTS)) return send(...request);
    for (;;) {
      const response = await send(...request).catch((error) => {
        if (error.name === "AbortError") throw error;
      });
      if (response && !PROXY_ERRORS.includes(response.status)) return response;
      waiting ??= wait();
      if (uploads) throw new TypeError("The server does not answer.");
      await waiting;
    }
  };
  addEventListener("offline", () => (waiting ??= wait()));
}
