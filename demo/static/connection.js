// The connection: notices that the server does not answer, says so, and tells when it answers again.

const RETRY = 1000; // in milliseconds
const EVENTS = "/gradio_api/run/";

// Calls `restored` when the server answers again after an event of the page got no answer. Meanwhile the page has the
// class "away", which dims what may be out of date. Gradio does not report failed events, therefore `fetch` is wrapped.
export function watchConnection(restored) {
  const send = window.fetch;
  const note = document.querySelector(".away-note");
  let away = false;

  function show(isAway) {
    away = isAway;
    document.body.classList.toggle("away", away);
    note.textContent = away ? "The server does not answer. Your drawing is kept, and is read as soon as it answers." : "";
  }

  async function retry() {
    const response = await send("healthz", { cache: "no-store" }).catch(() => null);
    if (!response?.ok) return setTimeout(retry, RETRY);
    show(false);
    restored();
  }

  function lose() {
    if (away) return;
    show(true);
    setTimeout(retry, RETRY);
  }

  window.fetch = async (...request) => {
    const url = String(request[0]?.url ?? request[0]);
    if (!url.includes(EVENTS)) return send(...request);
    try {
      const response = await send(...request);
      if (response.status >= 500) lose(); // a proxy's answer for a server that is away
      return response;
    } catch (error) {
      lose();
      throw error;
    }
  };
  addEventListener("offline", lose);
}
