"""Colours and fonts of the page. No font is downloaded. Sizes and radii are those of `static/tokens.css`."""

import gradio as gr

INK = gr.themes.Color(
    c50="#eef1ff",
    c100="#dfe4ff",
    c200="#c3ccff",
    c300="#9dabff",
    c400="#7585fb",
    c500="#4c5ff0",
    c600="#3a49d6",
    c700="#2f3bad",
    c800="#293489",
    c900="#262f6c",
    c950="#171b3e",
    name="ink",
)
STONE = gr.themes.colors.stone
TEXT = gr.themes.sizes.Size(
    xxs="var(--text-tiny)",
    xs="var(--text-tiny)",
    sm="var(--text-small)",
    md="var(--text-body)",
    lg="var(--text-body)",
    xl="var(--text-heading)",
    xxl="var(--text-title)",
    name="text_page",
)
RADIUS = gr.themes.sizes.Size(
    xxs="var(--radius-mark)",
    xs="var(--radius-mark)",
    sm="var(--radius-small)",
    md="var(--radius-small)",
    lg="var(--radius-control)",
    xl="var(--radius-card)",
    xxl="var(--radius-card)",
    name="radius_page",
)


def theme() -> gr.themes.Base:
    """Return the theme; the styles in `static` have the rules that a theme cannot express."""
    return gr.themes.Base(
        primary_hue=INK,
        neutral_hue=STONE,
        text_size=TEXT,
        radius_size=RADIUS,
        font=["-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Liberation Sans", "sans-serif"],
        font_mono=["ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace"],
    ).set(
        body_background_fill="#f6f4ef",
        body_background_fill_dark="#121214",
        body_text_color="#1d1b18",
        body_text_color_dark="#f1efe9",
        body_text_color_subdued="#6d675e",
        body_text_color_subdued_dark="#a39d93",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1c1c1f",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1c1f",
        block_border_color="#e4dfd5",
        block_border_color_dark="#33322f",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        border_color_primary="#e4dfd5",
        border_color_primary_dark="#33322f",
        button_primary_background_fill="#2f3bad",
        button_primary_background_fill_hover="#3a49d6",
        button_primary_background_fill_dark="#4c5ff0",
        button_primary_background_fill_hover_dark="#7585fb",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1c1c1f",
        button_secondary_border_color="#e4dfd5",
        button_secondary_border_color_dark="#33322f",
        button_border_width="1px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1c1c1f",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_border_color="transparent",
        checkbox_label_border_color_dark="transparent",
    )
