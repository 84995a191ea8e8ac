"""Layout and events of the page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo import components, usage, views
from demo.digits import digits
from demo.document import INVITATION, TITLE, render
from demo.handlers import TO_UPLOAD, Handlers, Shown
from demo.inside import Inside
from demo.predictors import PredictorPool
from demo.static_files import import_module

PAD_SCRIPT = f"{import_module('page.js')}.then(({{ adoptPad }}) => adoptPad(element, props, trigger));"
PHOTO_SCRIPT = f"{import_module('page.js')}.then(({{ adoptPhoto }}) => adoptPhoto(element, props, trigger, watch));"
FRAMES_HEADER = """\
<h2>What the network sees</h2>
<button type="button" class="open-inside" data-inside>Look inside</button>"""

# Events bypass Gradio's queue, which is slower, and its conversions, because `schema` has checked their values.
EVENT: dict[str, Any] = {"queue": False, "preprocess": False, "show_progress": "hidden"}
PRIVATE_EVENT = EVENT | {"api_visibility": "private"}


@dataclass(frozen=True)
class InputPanel:
    """The components of the Draw tab or the Upload tab."""

    source: gr.HTML
    boxes: gr.HTML
    number: gr.HTML
    cards: gr.HTML
    show_saliency: gr.Checkbox
    correct_number: gr.Textbox
    save: gr.Button
    save_status: gr.HTML


def build_page(pool: PredictorPool, corrections: Path | None, login: bool = False) -> gr.Blocks:
    """Return the page.

    Args:
        pool: the predictors.
        corrections: the folder for corrections, or None to hide the correction form.
        login: whether the page requires a login, which the code examples then show.
    """
    python = usage.PYTHON_WITH_LOGIN if login else usage.PYTHON
    curl = usage.CURL_WITH_LOGIN if login else usage.CURL
    handlers = Handlers(pool, corrections)
    first = pool.first.folder.name

    blocks = gr.Blocks(title=TITLE, analytics_enabled=False)
    with blocks:
        with gr.Tabs():
            with gr.Tab("Draw"):
                pad = _input_panel(_drawing_pad, INVITATION, corrections, draws=True)
            with gr.Tab("Upload"):
                photo = _input_panel(_picture_box, TO_UPLOAD, corrections, draws=False)
            with gr.Tab("Models") as runs:
                run = gr.Dropdown([first], value=first, label="Model in use", elem_id="run")
                table = gr.HTML(apply_default_css=False, elem_id="runs")
                figures = gr.HTML(apply_default_css=False, elem_id="figures")
            with gr.Tab("Use it from code"):
                gr.HTML(html_template=usage.TEMPLATE, python=python, curl=curl, apply_default_css=False)
        # Hidden components of the endpoint.
        picture = gr.Image(type="filepath", image_mode=None, visible=False)
        response = gr.JSON(visible=False)
        trigger = gr.Button(visible=False)
        # Hidden components of what the page's scripts request themselves: the layers of a network, and files of digits.
        frame, name, text = (gr.Textbox(visible=False) for _ in range(3))
        place, frames, labels = (gr.JSON(visible=False) for _ in range(3))

    blocks.queue(max_size=64, api_open=False)
    with blocks:
        _connect_panel(pad, run, pad.source.input, handlers.draw, handlers.correct_drawing)
        _connect_panel(photo, run, photo.source.input, handlers.upload, handlers.correct_upload)
        photo.boxes.click(None, None, [photo.source], js="() => null")
        runs.select(handlers.runs, None, [run, table], **PRIVATE_EVENT)
        gr.on([runs.select, run.change], handlers.figures, [run], [figures], **PRIVATE_EVENT)
        trigger.click(handlers.read, [picture], [response], api_name="read", **EVENT)
        trigger.click(Inside(pool).inside, [frame, name, place], [text], api_name="inside", **PRIVATE_EVENT)
        trigger.click(digits, [frames, labels, name], [text], api_name="digits", **PRIVATE_EVENT)
    return blocks


def _connect_panel(
    panel: InputPanel, run: gr.Dropdown, changed: Any, read: Callable[..., Shown], correct: Callable[..., str]
) -> None:
    """Read the input when it, the run or the checkbox changes; save corrections."""
    gr.on(
        [changed, panel.show_saliency.change, run.change],
        read,
        [panel.source, run, panel.show_saliency],
        [panel.number, panel.cards, panel.boxes, panel.save_status],
        trigger_mode="always_last",
        **PRIVATE_EVENT,
    )
    gr.on(
        [panel.save.click, panel.correct_number.submit],
        correct,
        [panel.source, panel.correct_number, run],
        [panel.save_status],
        **PRIVATE_EVENT,
    )


def _input_panel(
    source: Callable[[], gr.HTML], invitation: str, corrections: Path | None, *, draws: bool
) -> InputPanel:
    """Lay out the input on the left, the number, the correction form and the cards on the right; return them."""
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=3, min_width=300, elem_classes="working"):
            component = source()
            boxes = components.boxes()
            if draws:
                components.game()
            components.take_away(with_link=draws)
        with gr.Column(scale=2, min_width=260):
            number = gr.HTML(
                views.empty(invitation),
                html_template='<div aria-live="polite" aria-atomic="true">${value}</div>',
                apply_default_css=False,
                elem_classes="reading",
            )
            with gr.Row(visible=corrections is not None, elem_classes="correction"):
                correct_number = gr.Textbox(
                    label="Correct number",
                    placeholder="Not right? Type the number",
                    show_label=False,
                    container=False,
                    max_lines=1,
                    scale=3,
                    min_width=0,
                )
                save = gr.Button("Save", scale=1, min_width=0)
            save_status = gr.HTML(
                html_template='<div aria-live="polite">${value ?? ""}</div>',
                visible=corrections is not None,
                apply_default_css=False,
            )
            with gr.Row(elem_classes="seen"):
                gr.HTML(FRAMES_HEADER, apply_default_css=False)
                show_saliency = gr.Checkbox(
                    label="Show saliency map", container=False, min_width=0, elem_classes="look"
                )
            cards = gr.HTML(apply_default_css=False)
    components.inside_panel()
    return InputPanel(component, boxes, number, cards, show_saliency, correct_number, save, save_status)


def _drawing_pad() -> gr.HTML:
    """Return the place of the pad, whose value is the drawing, a PNG as a data URL, and which reports every change.

    Gradio's Sketchpad reports a stroke only when it ends, needs WebGL, and loses its brush when it is cleared.
    """
    return gr.HTML(html_template="<div></div>", js_on_load=PAD_SCRIPT, apply_default_css=False, elem_id="pad")


def _picture_box() -> gr.HTML:
    """Return the place of a picture, whose value is that of an upload, and which reports every change."""
    template = render("photo.html").decode()
    return gr.HTML(html_template=template, js_on_load=PHOTO_SCRIPT, apply_default_css=False, elem_id="photo")
