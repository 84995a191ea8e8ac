"""A trained network rewritten for answering: the same function, in fewer passes over memory."""

import copy
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

from pipeline.models.convolution import conv2d_im2col, small


def fuse(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a network that computes what `model` does in evaluation, for `device`; `model` itself stays as it is.

    Batch norms are folded into the convolutions before them (Jacob et al. 2017, arXiv:1712.05877, section 3.2), also
    across a max pooling where no scale is negative, for then the two commute. On a CPU a rectifier is applied by the
    convolution before it, while its results are still in the cache, and small maps are products of matrices.
    """
    traced = fx.symbolic_trace(copy.deepcopy(model).eval())
    _fold_norms(traced)
    if device.type == "cpu":
        _finish_convolutions(traced)
        _simplify_poolings(traced)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced.requires_grad_(False)


def _fold_norms(traced: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution before it, where there is one."""
    for node in list(traced.graph.nodes):
        norm = _module_of(traced, node)
        if isinstance(norm, nn.BatchNorm2d):
            source = _convolution_before(traced, node, across_pooling=bool((norm.weight > 0).all()))
            if source is not None:
                convolution = _module_of(traced, source)
                assert isinstance(convolution, nn.Conv2d)
                _replace(traced, source, fuse_conv_bn_eval(convolution, norm))
                _bypass(traced, node)


def _finish_convolutions(traced: fx.GraphModule) -> None:
    """Let each convolution apply the rectifier after it, and multiply matrices where its map is small."""
    for node in list(traced.graph.nodes):
        module = _module_of(traced, node)
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            _replace(traced, node, FusedConvReLU(module))
        elif isinstance(module, nn.ReLU):
            source = _convolution_before(traced, node, across_pooling=True)
            convolution = _module_of(traced, source) if source is not None else None
            if isinstance(convolution, FusedConvReLU):
                convolution.rectified = True
                _bypass(traced, node)


def _simplify_poolings(traced: fx.GraphModule) -> None:
    """Leave out what only training needs of a max pooling by two."""
    for node in list(traced.graph.nodes):
        pooling = _module_of(traced, node)
        if isinstance(pooling, nn.MaxPool2d) and _halves(pooling):
            _replace(traced, node, MaxPool2x2())


class FusedConvReLU(nn.Module):
    """A convolution that will not be trained any more, with its bias and, where one follows, its rectifier."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.rectified = False

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, outputs, H', W') of float (B, inputs, H, W)."""
        layer = self.convolution
        if small(layer, images, largest=2):
            result = conv2d_im2col(layer, images)
            return result.relu_() if self.rectified else result
        if hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
            after = "relu" if self.rectified else "none"
            geometry = layer.padding, layer.stride, layer.dilation, layer.groups
            fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
                images, layer.weight, layer.bias, *geometry, after, [], ""
            )
            return fused
        result = cast(Tensor, layer(images))
        return result.relu_() if self.rectified else result


class MaxPool2x2(nn.Module):
    """Max pooling by two, without the places of the maxima, which only training needs: a quarter of the time."""

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, channels, H // 2, W // 2) of float (B, channels, H, W)."""
        height, width = (length // 2 * 2 for length in images.shape[2:])
        rows = torch.maximum(images[:, :, 0:height:2], images[:, :, 1:height:2])
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def _halves(pooling: nn.MaxPool2d) -> bool:
    """Tell whether a pooling takes each pixel once, two by two."""
    plain = pooling.padding == 0 and pooling.dilation == 1 and not pooling.ceil_mode and not pooling.return_indices
    return plain and pooling.kernel_size == pooling.stride == 2


def _module_of(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None where it calls something else."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _convolution_before(traced: fx.GraphModule, node: fx.Node, *, across_pooling: bool) -> fx.Node | None:
    """Return the convolution, called once, whose result goes to `node` alone, if need be by way of a max pooling."""
    source = node.args[0] if node.args else None
    if across_pooling and isinstance(source, fx.Node) and isinstance(_module_of(traced, source), nn.MaxPool2d):
        if len(source.users) > 1:
            return None
        source = source.args[0]
    if not isinstance(source, fx.Node) or len(source.users) > 1:
        return None
    calls = sum(other.target == source.target for other in traced.graph.nodes)
    return source if calls == 1 and isinstance(_module_of(traced, source), nn.Conv2d | FusedConvReLU) else None


def _replace(traced: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    """Let a node call another module."""
    traced.set_submodule(str(node.target), module)


def _bypass(traced: fx.GraphModule, node: fx.Node) -> None:
    """Take a node of one input out of the graph."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    traced.graph.erase_node(node)
