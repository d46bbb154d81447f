"""What the operations of a traced graph are: layers with weights, norms, activations, additions."""

import operator
from typing import Any

import torch
from torch import fx


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


WEIGHT_LAYERS = words(
    "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d linear addmm mm "
    "matmul bmm baddbmm einsum embedding bilinear"
)
NORMS = words(
    "batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm native_batch_norm native_layer_norm "
    "native_group_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _fused_rms_norm"
)
ACTIVATIONS = words(
    "relu relu6 gelu silu mish tanh sigmoid leaky_relu elu selu celu prelu _prelu_kernel rrelu_with_noise hardtanh "
    "hardswish hardsigmoid softplus softsign clamp clamp_min sin"
)
SCALINGS = frozenset(["mul", "div"])
ADDITIONS = frozenset(["add", "sub"])
# what takes a weighted mean over the state itself, as no skip path does
MIXING = frozenset(["softmax", "_softmax", "scaled_dot_product_attention"])
RANDOM = words("rand randn rand_like randn_like randint randint_like bernoulli multinomial normal")


def name_of(node: fx.Node) -> str:
    """The operation without its overload: ``add`` of ``aten.add.Tensor``; empty for what is no operation."""
    if node.op != "call_function":
        return ""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name.partition("::")[2])
    return str(getattr(target, "__name__", ""))


def is_structural(node: fx.Node) -> bool:
    """Whether it only takes a tensor out of a tuple."""
    return node.target is operator.getitem


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """An argument of an operation, wherever it was given."""
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)


def acts_at_random(node: fx.Node) -> str | None:
    """What a layer does only while it trains, in words; None where there is nothing of the kind."""
    name = name_of(node)
    if name in RANDOM:
        return f"random numbers ({name})"
    if "dropout" in name and argument(node, 2, "train", True) is True:
        return "active dropout"
    if name == "scaled_dot_product_attention" and argument(node, 4, "dropout_p", 0.0) != 0:
        return "active dropout of attention"
    if name in ("batch_norm", "instance_norm") and argument(node, 5, "training", False) is True:
        # of instance norm the argument says whether statistics of the input are used, as they always are
        return "batch norm over the batch" if name == "batch_norm" else None
    if name in ("native_batch_norm", "_native_batch_norm_legit") and True in node.args[4:7]:
        return "batch norm over the batch"
    return None
