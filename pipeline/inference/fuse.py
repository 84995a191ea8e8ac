"""Layer fusion for inference: the same function as the trained network, with fewer passes over memory."""

import copy
from functools import cache
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

from pipeline.models.convolution import conv2d_im2col, suits_im2col


def fuse(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a fused copy of `model` in evaluation mode for `device`. `model` itself does not change.

    Batch norms are folded into the preceding convolutions (Jacob et al. 2017, arXiv:1712.05877, section 3.2). This also
    works across max pooling if all scales are positive, because the two then commute. On a CPU each ReLU is fused into
    the preceding convolution, which applies it while its results are in the cache, and convolutions on small maps use
    matrix products.
    """
    traced = fx.symbolic_trace(copy.deepcopy(model).eval())
    _fold_norms(traced)
    if device.type == "cpu":
        _fuse_convolutions(traced)
        _simplify_poolings(traced)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced.requires_grad_(False)


def _fold_norms(traced: fx.GraphModule) -> None:
    """Fold each batch norm into the preceding convolution, if there is one."""
    for node in list(traced.graph.nodes):
        norm = _module_of(traced, node)
        if isinstance(norm, nn.BatchNorm2d):
            source = _convolution_before(traced, node, across_pooling=bool((norm.weight > 0).all()))
            if source is not None:
                convolution = _module_of(traced, source)
                assert isinstance(convolution, nn.Conv2d)
                _replace(traced, source, fuse_conv_bn_eval(convolution, norm))
                _bypass(traced, node)


def _fuse_convolutions(traced: fx.GraphModule) -> None:
    """Replace each convolution, and the ReLU after it, by a FusedConvReLU."""
    for node in list(traced.graph.nodes):
        module = _module_of(traced, node)
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            _replace(traced, node, FusedConvReLU(module))
        elif isinstance(module, nn.ReLU):
            source = _convolution_before(traced, node, across_pooling=True)
            convolution = _module_of(traced, source) if source is not None else None
            if isinstance(convolution, FusedConvReLU):
                convolution.apply_relu = True
                _bypass(traced, node)


def _simplify_poolings(traced: fx.GraphModule) -> None:
    """Replace 2x2 max pooling by MaxPool2x2."""
    for node in list(traced.graph.nodes):
        pooling = _module_of(traced, node)
        if isinstance(pooling, nn.MaxPool2d) and _is_2x2(pooling):
            _replace(traced, node, MaxPool2x2())


class FusedConvReLU(nn.Module):
    """A convolution for inference, with bias and, if `apply_relu` is true, ReLU."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.apply_relu = False

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, outputs, H', W') for images, float (B, inputs, H, W)."""
        layer = self.convolution
        if suits_im2col(layer, images, largest=2):
            result = conv2d_im2col(layer, images)
            return result.relu_() if self.apply_relu else result
        if _has_fused_kernel(images.dtype):
            activation = "relu" if self.apply_relu else "none"
            geometry = layer.padding, layer.stride, layer.dilation, layer.groups
            fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
                images, layer.weight, layer.bias, *geometry, activation, [], ""
            )
            return fused
        result = cast(Tensor, layer(images))
        return result.relu_() if self.apply_relu else result


@cache
def _has_fused_kernel(dtype: torch.dtype) -> bool:
    """Return whether oneDNN computes a convolution with its ReLU; 16 bits require instructions for them."""
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    supported: bool = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }.get(dtype, lambda: True)()
    return supported


class MaxPool2x2(nn.Module):
    """2x2 max pooling without the indices of the maxima, which only training needs: a quarter of the time."""

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, channels, H // 2, W // 2) for images, float (B, channels, H, W)."""
        height, width = (length // 2 * 2 for length in images.shape[2:])
        rows = torch.maximum(images[:, :, 0:height:2], images[:, :, 1:height:2])
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def _is_2x2(pooling: nn.MaxPool2d) -> bool:
    """Return whether a pooling has size 2x2 and stride 2, without padding, dilation or indices."""
    plain = pooling.padding == 0 and pooling.dilation == 1 and not pooling.ceil_mode and not pooling.return_indices
    return plain and pooling.kernel_size == pooling.stride == 2


def _module_of(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None if it calls no module."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _convolution_before(traced: fx.GraphModule, node: fx.Node, *, across_pooling: bool) -> fx.Node | None:
    """Return the convolution, called once, that feeds only `node`, directly or through max pooling, or None."""
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
    """Replace the module that a node calls."""
    traced.set_submodule(str(node.target), module)


def _bypass(traced: fx.GraphModule, node: fx.Node) -> None:
    """Remove a node with one input from the graph."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    traced.graph.erase_node(node)
