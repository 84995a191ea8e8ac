import torch

from pipeline.models.line import LINE_CLASSES, STRIDE, LineNetwork


def test_a_line_of_any_width_gives_one_frame_for_every_two_columns() -> None:
    model = LineNetwork().eval()
    for width in (4, 30, 60, 200):
        logits = model(torch.rand(2, 1, 28, width))
        assert logits.shape == (width // 4 * 4 // STRIDE, 2, LINE_CLASSES)


def test_a_frame_depends_only_on_the_columns_near_it() -> None:
    torch.manual_seed(0)
    model = LineNetwork().eval()
    line = torch.rand(1, 1, 28, 120)
    changed = line.clone()
    changed[..., 60:] = 0
    before, after = model(line), model(changed)
    assert torch.allclose(before[:15], after[:15], atol=1e-5)
    assert not torch.allclose(before[30:], after[30:], atol=1e-5)
