"""The layers of a network, and what each computes for one image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from pipeline.inference.activations import INPUT, Activations, Layer, Window
from pipeline.inference.fuse import FusedConvReLU, MaxPool2x2

Outputs = dict[fx.Node, NDArray[np.float32]]
"""The output of every node, float32 (C, H, W)."""
OTHER_MEMBERS = "members."
FIRST_MEMBER = "members.0."
POOLINGS = (nn.MaxPool2d, MaxPool2x2, nn.AdaptiveAvgPool2d)
FOLLOWERS: dict[type | None, str] = {nn.ReLU: "ReLU", nn.BatchNorm2d: "batch norm", nn.Dropout: ""}
"""Modules that change single values. They belong to the layer before them; one without a name does nothing here."""


@dataclass(frozen=True)
class _Step:
    """A layer in the graph of a network.

    Attributes:
        node: its operation.
        followers: the operations on single values after it.
        sources: nodes that compute its inputs.
    """

    node: fx.Node
    followers: tuple[fx.Node, ...]
    sources: tuple[fx.Node, ...]

    @property
    def last(self) -> fx.Node:
        """The node whose output is the layer's."""
        return self.followers[-1] if self.followers else self.node


class LayerGraph:
    """The layers of a network. Of an ensemble, those of its first member, and the mean of all members' logits.

    Args:
        model: a network from `fuse`.
    """

    def __init__(self, model: nn.Module) -> None:
        assert isinstance(model, fx.GraphModule)
        self.model = model

    @cached_property
    def steps(self) -> tuple[_Step, ...]:
        """The layers, in the order of computation."""
        found: list[_Step] = []
        ends: dict[fx.Node, fx.Node] = {}
        for node in self.model.graph.nodes:
            if self._kind(node):
                followers = tuple(self._followers(node))
                sources = tuple(self._origin(argument, ends) for argument in _inputs(node))
                step = _Step(node, followers, sources)
                found.append(step)
                ends |= dict.fromkeys((node, *followers), step.last)
        return tuple(step for step in found if not _is_other_member(step.node))

    @torch.inference_mode()
    def run(self, image: Tensor) -> Activations:
        """Return the activations for one normalised image, float32 (1, 1, S, S)."""
        recorder = _Recorder(self.model)
        recorder.run(image)
        arrays = {node: _array(output) for node, output in recorder.outputs.items()}
        places = {step.last: index for index, step in enumerate(self.steps)}
        layers: list[Layer] = []
        for step in self.steps:
            known = [source for source in step.sources if source in places or source.op == "placeholder"]
            sources = tuple(places.get(source, INPUT) for source in known)
            layers.append(self._layer(step, sources, layers, arrays))
        return Activations(_array(image)[0], tuple(layers))

    def _layer(self, step: _Step, sources: tuple[int, ...], layers: Sequence[Layer], arrays: Outputs) -> Layer:
        """Return a layer. `arrays` has the output of every node."""
        kind, module = self._kind(step.node), self._module(step.node)
        before = arrays[step.sources[0]]
        kernel, stride, padding = 1, 1, 0
        plain = module.convolution if isinstance(module, FusedConvReLU) else module
        if isinstance(plain, nn.Conv2d | nn.MaxPool2d):
            kernel, stride, padding = (_side(each) for each in (plain.kernel_size, plain.stride, plain.padding))
        elif isinstance(plain, MaxPool2x2):
            kernel = stride = 2
        elif isinstance(plain, nn.Linear | nn.AdaptiveAvgPool2d):  # one kernel, as large as the map
            kernel = before.shape[1]
        windows = [(Window(0, 1, 1) if source == INPUT else layers[source].window) for source in sources]
        window = windows[0]
        for other in windows[1:]:
            window = window.joined(other)
        stages = [(FOLLOWERS[type(self._module(node))], arrays[node]) for node in step.followers]
        if isinstance(module, FusedConvReLU) and module.apply_relu:
            stages.insert(0, ("ReLU", arrays[step.node]))
        return Layer(
            step.node.name if module is None else str(step.node.target),
            kind,
            arrays[step.last],
            sources,
            kernel,
            stride,
            padding,
            window.through(kernel, stride, padding),
            tuple(stage for stage in stages if stage[0]),
            plain if isinstance(plain, nn.Conv2d | nn.Linear) else None,
        )

    def _kind(self, node: fx.Node) -> str:
        """Return the kind of a layer, or "" for a node that is none."""
        module = self._module(node)
        if isinstance(module, nn.Conv2d | FusedConvReLU):
            return "convolution"
        if isinstance(module, nn.Linear):
            return "linear"
        if isinstance(module, POOLINGS):
            return "mean" if isinstance(module, nn.AdaptiveAvgPool2d) else "maximum"
        name = getattr(node.target, "__name__", node.target) if node.op.startswith("call_") else ""
        return {"add": "sum", "iadd": "sum", "cat": "concatenation", "mean": "ensemble"}.get(str(name), "")

    def _followers(self, node: fx.Node) -> Iterator[fx.Node]:
        """Yield the operations on single values that follow a node, while nothing else uses its output."""
        while len(node.users) == 1:
            (node,) = node.users
            if type(self._module(node)) not in FOLLOWERS:
                return
            yield node

    def _module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, or None if it calls no module."""
        return self.model.get_submodule(str(node.target)) if node.op == "call_module" else None

    @staticmethod
    def _origin(node: fx.Node, ends: dict[fx.Node, fx.Node]) -> fx.Node:
        """Return the end of the layer, or the input, from which a node comes: flattening changes only the shape."""
        while node not in ends and node.op != "placeholder":
            (node,) = (argument for argument in node.args[:1] if isinstance(argument, fx.Node))
        return ends.get(node, node)


class _Recorder(fx.Interpreter):
    """Runs a network and keeps a copy of every node's output, because later nodes may change it in place."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.outputs: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node and keep its output."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.outputs[n] = result.clone()
        return result


def _inputs(node: fx.Node) -> list[fx.Node]:
    """Return the nodes whose outputs a node uses; of the mean of an ensemble, the members' logits that it averages."""
    used = node.all_input_nodes
    return used[0].all_input_nodes if node.target == "mean" else used


def _is_other_member(node: fx.Node) -> bool:
    """Return whether a node belongs to a member of an ensemble other than the first."""
    return str(node.target).startswith(OTHER_MEMBERS) and not str(node.target).startswith(FIRST_MEMBER)


def _side(size: Any) -> int:
    """Return the side of a square size, given as one number or two."""
    return int(size[0] if isinstance(size, tuple) else size)


def _array(output: Tensor) -> NDArray[np.float32]:
    """Return the output of a node for one image as maps, float32 (C, H, W); single values become 1x1 maps."""
    values = output[0].float().cpu().numpy()
    return np.ascontiguousarray(values.reshape(*values.shape, *(3 - values.ndim) * [1]))
