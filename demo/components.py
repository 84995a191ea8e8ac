"""Components of the page that its own scripts bring to life. A script is loaded when a visitor first uses it."""

import gradio as gr

from demo.static_files import import_module

_BOXES = """\
element.onclick = ({target}) => target.closest("button") && trigger("click");
watch("value", () => {
  const canvas = element.closest(".column").querySelector(".paper canvas");
  canvas?.pad.showBoxes(element.querySelector(".split")?.cloneNode(true));
});"""
_GAME = f"""\
element.querySelector("button").addEventListener("click", async () => {{
  const {{ play }} = await {import_module("fool.js")};
  play(element.closest(".tabitem"), element);
}});"""
_INSIDE = f"""\
const tab = element.closest(".tabitem");
tab.addEventListener("click", async ({{ target }}) => {{
  const pressed = target.closest("[data-inside]");
  if (!pressed) return;
  const {{ lookInside }} = await {import_module("inside.js")};
  lookInside(tab, element.firstElementChild, pressed);
}});"""
_TAKE = f"""\
const tab = element.closest(".tabitem");
const load = () => {import_module("take.js")};
element.addEventListener("click", async ({{ target }}) => {{
  const name = target.closest("[data-take]")?.dataset.take;
  if (name) (await load()).take(tab, element, name);
}});
if (!navigator.clipboard?.write) element.querySelector("[data-take=copy]").hidden = true;
if (element.querySelector("[data-take=link]") && location.hash) load().then(({{ openLink }}) => openLink(tab));
if (sessionStorage.getItem("digits")) load().then(({{ showKept }}) => showKept(element));"""
_TAKE_TEMPLATE = """\
<div class="take">
  <div class="buttons" role="group" aria-label="Take away">
    {link}
    <button type="button" data-take="copy">Copy picture</button>
    <button type="button" data-take="save">Save picture</button>
    <button type="button" data-take="keep" title="Keep these digits in this tab, to download them">Keep digits</button>
  </div>
  <p class="kept buttons" hidden><span></span>
    <button type="button" data-take="csv">CSV</button>
    <button type="button" data-take="png">PNGs</button>
  </p>
  <p class="note" role="status"></p>
</div>"""
_LINK_BUTTON = '<button type="button" data-take="link">Copy link</button>'


def boxes() -> gr.HTML:
    """Return the boxes of a picture. Those of a drawing are shown over the pad; a button in them reports a click."""
    return gr.HTML(js_on_load=_BOXES, apply_default_css=False)


def game() -> gr.HTML:
    """Return the game below the pad: prompts of hard writing, with the answer live."""
    button = '<button type="button" class="fool">Can you fool it?</button>'
    return gr.HTML(html_template=button, js_on_load=_GAME, apply_default_css=False)


def take_away(*, with_link: bool) -> gr.HTML:
    """Return the buttons that save or copy the result and the digits, and a link to the drawing if `with_link`."""
    template = _TAKE_TEMPLATE.format(link=_LINK_BUTTON if with_link else "")
    return gr.HTML(html_template=template, js_on_load=_TAKE, apply_default_css=False)


def inside_panel() -> gr.HTML:
    """Return the panel that shows a network from inside. It stays empty until a visitor looks inside."""
    section = '<section class="inside" aria-label="Inside the network" hidden></section>'
    return gr.HTML(html_template=section, js_on_load=_INSIDE, apply_default_css=False, elem_classes="inside-host")
