"""PyTorch's operators in NumPy, as far as the models of this library and others like them need them to score a pair.

Each takes what the operator of its name in ATen takes, https://pytorch.org/docs/stable/torch.compiler_ir.html. None
makes a result of more than `LARGEST` numbers: what calls them may come from other hands.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LARGEST = 1 << 26
"""Numbers in a result, at most."""

OPERATIONS: dict[str, Callable[..., Any]] = {}
"""By the operator's name with its overload, such as "add.Tensor"; a name that ends in "_" changes its first argument in
PyTorch, and gives a new one here."""


class TooLargeError(ValueError):
    """A result of more than `LARGEST` numbers."""


def _named(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(operation: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPERATIONS[name] = operation
        return operation

    return add


def _check(*counts: int) -> None:
    if math.prod(counts) > LARGEST:
        raise TooLargeError(f"a result of {math.prod(counts):,} numbers is too large")


def _elementwise(names: str, operation: Callable[..., Any]) -> None:
    """Registers an operation on arrays that are brought to one shape; its result keeps the type of the arrays."""

    def checked(*arguments: Any, **options: Any) -> Array:
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        _check(*np.broadcast_shapes(*(each.shape for each in arrays)))
        with np.errstate(all="ignore"):
            return np.asarray(operation(*arguments, **options))

    for name in names.split():
        OPERATIONS[name] = checked


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _clamp(x: Array, low: Any = None, high: Any = None) -> Array:
    return x if low is None and high is None else np.clip(x, low, high).astype(x.dtype)


_elementwise("add.Tensor add_.Tensor add.Scalar", lambda x, y, alpha=1: x + (y if alpha == 1 else alpha * y))
_elementwise("sub.Tensor sub_.Tensor sub.Scalar", lambda x, y, alpha=1: x - (y if alpha == 1 else alpha * y))
_elementwise("rsub.Scalar rsub.Tensor", lambda x, y, alpha=1: y - (x if alpha == 1 else alpha * x))
_elementwise("mul.Tensor mul_.Tensor mul.Scalar", lambda x, y: x * y)
_elementwise("div.Tensor div_.Tensor div.Scalar", lambda x, y: x / y)
_elementwise("pow.Tensor_Scalar", lambda x, y: x**y)
_elementwise("neg.default", np.negative)
_elementwise("abs.default", np.abs)
_elementwise("exp.default", np.exp)
_elementwise("expm1.default", np.expm1)
_elementwise("log.default", np.log)
_elementwise("log1p.default", np.log1p)
_elementwise("sqrt.default", np.sqrt)
_elementwise("rsqrt.default", lambda x: 1 / np.sqrt(x))
_elementwise("tanh.default", np.tanh)
_elementwise("sigmoid.default sigmoid_.default", _sigmoid)
_elementwise("relu.default relu_.default", lambda x: np.maximum(x, 0))
_elementwise("silu.default silu_.default", lambda x: x * _sigmoid(x))
_elementwise("hardtanh.default hardtanh_.default", lambda x, low=-1.0, high=1.0: _clamp(x, low, high))
_elementwise("hardsigmoid.default hardsigmoid_.default", lambda x: _clamp(x / 6 + 0.5, 0, 1))
_elementwise("hardswish.default hardswish_.default", lambda x: x * _clamp(x / 6 + 0.5, 0, 1))
_elementwise("leaky_relu.default leaky_relu_.default", lambda x, slope=0.01: np.where(x > 0, x, slope * x))
_elementwise("clamp.default clamp_.default", _clamp)
_elementwise("clamp_min.default clamp_min_.default", lambda x, low: _clamp(x, low))
_elementwise("clamp_max.default clamp_max_.default", lambda x, high: _clamp(x, None, high))
_elementwise("maximum.default", np.maximum)
_elementwise("minimum.default", np.minimum)


@_named("clone.default", "detach.default", "alias.default", "lift_fresh_copy.default")
def _same(x: Array) -> Array:
    return x


@_named("_to_copy.default")
def _to_copy(x: Array, *, dtype: Any = None) -> Array:
    return x if dtype is None else x.astype(dtype)


@_named("t.default")
def _t(x: Array) -> Array:
    return x.T


@_named("transpose.int")
def _transpose(x: Array, one: int, other: int) -> Array:
    return np.swapaxes(x, one, other)


@_named("permute.default")
def _permute(x: Array, dims: Sequence[int]) -> Array:
    return np.transpose(x, dims)


@_named("view.default", "_unsafe_view.default", "reshape.default")
def _view(x: Array, shape: Sequence[int]) -> Array:
    return x.reshape(shape)


@_named("expand.default")
def _expand(x: Array, shape: Sequence[int]) -> Array:
    known = (1,) * (len(shape) - x.ndim) + x.shape
    wanted = [own if side == -1 else side for side, own in zip(shape, known, strict=True)]
    _check(*wanted)
    return np.broadcast_to(x, wanted)


@_named("select.int")
def _select(x: Array, dim: int, index: int) -> Array:
    return np.asarray(np.take(x, index, axis=dim))


@_named("slice.Tensor")
def _slice(x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


@_named("squeeze.dim", "squeeze.dims")
def _squeeze(x: Array, dims: int | Sequence[int]) -> Array:
    chosen = [dims] if isinstance(dims, int) else dims
    return np.squeeze(x, tuple(dim for dim in chosen if x.shape[dim] == 1))


@_named("unsqueeze.default")
def _unsqueeze(x: Array, dim: int) -> Array:
    return np.expand_dims(x, dim)


@_named("split.Tensor")
def _split(x: Array, size: int, dim: int = 0) -> list[Array]:
    return np.split(x, range(size, x.shape[dim], size), dim)


@_named("split_with_sizes.default")
def _split_with_sizes(x: Array, sizes: Sequence[int], dim: int = 0) -> list[Array]:
    return np.split(x, np.cumsum(sizes)[:-1], dim)


@_named("unbind.int")
def _unbind(x: Array, dim: int = 0) -> list[Array]:
    return list(np.moveaxis(x, dim, 0))


@_named("roll.default")
def _roll(x: Array, shifts: Sequence[int], dims: Sequence[int]) -> Array:
    return np.roll(x, tuple(shifts), tuple(dims))


@_named("flip.default")
def _flip(x: Array, dims: Sequence[int]) -> Array:
    return np.flip(x, tuple(dims))


@_named("cat.default")
def _cat(arrays: Sequence[Array], dim: int = 0) -> Array:
    _check(sum(each.size for each in arrays))
    return np.concatenate(arrays, dim)


@_named("stack.default")
def _stack(arrays: Sequence[Array], dim: int = 0) -> Array:
    _check(sum(each.size for each in arrays))
    return np.stack(arrays, dim)


@_named("constant_pad_nd.default")
def _pad(x: Array, widths: Sequence[int], value: float = 0) -> Array:
    ends = [(widths[at], widths[at + 1]) for at in range(len(widths) - 2, -1, -2)]  # the last axis comes first
    ends = [(0, 0)] * (x.ndim - len(ends)) + ends
    _check(*(side + low + high for side, (low, high) in zip(x.shape, ends, strict=True)))
    kept = tuple(slice(max(-low, 0), side - max(-high, 0)) for side, (low, high) in zip(x.shape, ends, strict=True))
    return np.pad(x[kept], [(max(low, 0), max(high, 0)) for low, high in ends], constant_values=value)


def _axes(dims: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    return dims if isinstance(dims, int) else tuple(dims) if dims else None


@_named("mean.dim", "mean.default")
def _mean(x: Array, dims: Sequence[int] | None = None, keepdim: bool = False) -> Array:
    return np.asarray(x.mean(_axes(dims), keepdims=keepdim))


@_named("sum.dim_IntList", "sum.default")
def _sum(x: Array, dims: Sequence[int] | None = None, keepdim: bool = False) -> Array:
    return np.asarray(x.sum(_axes(dims), keepdims=keepdim))


@_named("amax.default")
def _amax(x: Array, dims: Sequence[int] = (), keepdim: bool = False) -> Array:
    return np.asarray(x.max(_axes(dims), keepdims=keepdim))


@_named("linalg_vector_norm.default")
def _norm(x: Array, order: float = 2, dims: Sequence[int] | None = None, keepdim: bool = False) -> Array:
    axes, size = _axes(dims), np.abs(x)
    if math.isinf(order):
        return np.asarray(size.max(axes, keepdims=keepdim))
    total = (size**order).sum(axes, keepdims=keepdim)
    return np.asarray(np.sqrt(total) if order == 2 else total ** (1 / order))


@_named("logsumexp.default")
def _logsumexp(x: Array, dims: Sequence[int], keepdim: bool = False) -> Array:
    axes = _axes(dims)
    top = x.max(axes, keepdims=True)
    found = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    return np.asarray(found if keepdim else np.squeeze(found, axes))


@_named("_log_softmax.default")
def _log_softmax(x: Array, dim: int, half_to_float: bool = False) -> Array:
    return np.asarray(x - _logsumexp(x, [dim], keepdim=True))


@_named("_softmax.default", "_safe_softmax.default")
def _softmax(x: Array, dim: int, half_to_float: bool = False) -> Array:
    return np.asarray(np.exp(_log_softmax(x, dim)))


@_named("mm.default", "bmm.default")
def _product(x: Array, y: Array) -> Array:
    _check(*x.shape[:-1], y.shape[-1])
    return x @ y


@_named("addmm.default")
def _addmm(bias: Array, x: Array, y: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    return np.asarray(beta * bias + alpha * _product(x, y))


@_named("_scaled_dot_product_flash_attention_for_cpu.default")
def _attention(query: Array, key: Array, value: Array, dropout: float = 0, causal: bool = False) -> list[Array]:
    if causal or dropout:
        raise NotImplementedError("attention that leaves something out")
    _check(*query.shape[:-1], key.shape[-2])
    logits = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    return [_softmax(logits, -1) @ value]


def _normal(x: Array, mean: Any, variance: Any, weight: Any, bias: Any, epsilon: float) -> Array:
    result: Array = (x - mean) / np.sqrt(variance + epsilon)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


@_named("native_batch_norm.default", "_native_batch_norm_legit.default")
def _batch_norm(
    x: Array, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, epsilon: float
) -> list[Array]:
    if training:
        raise NotImplementedError("batch norm over the batch")
    shape = (1, -1) + (1,) * (x.ndim - 2)
    centre, spread, scale, shift = (
        None if each is None else each.reshape(shape) for each in (mean, variance, weight, bias)
    )
    return [_normal(x, centre, spread, scale, shift, epsilon)]


@_named("_native_batch_norm_legit_no_training.default")
def _batch_norm_as_learned(
    x: Array, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, epsilon: float
) -> list[Array]:
    return [_batch_norm(x, weight, bias, mean, variance, False, momentum, epsilon)[0]]


@_named("native_layer_norm.default")
def _layer_norm(x: Array, shape: Sequence[int], weight: Any, bias: Any, epsilon: float) -> list[Array]:
    axes = tuple(range(-len(shape), 0))
    return [_normal(x, x.mean(axes, keepdims=True), x.var(axes, keepdims=True), weight, bias, epsilon)]


@_named("native_group_norm.default")
def _group_norm(
    x: Array, weight: Any, bias: Any, count: int, channels: int, places: int, groups: int, epsilon: float
) -> list[Array]:
    parts = x.reshape(count, groups, -1)
    found = _normal(parts, parts.mean(2, keepdims=True), parts.var(2, keepdims=True), None, None, epsilon)
    shape = (1, channels) + (1,) * (x.ndim - 2)
    found = found.reshape(x.shape)
    found = found if weight is None else found * weight.reshape(shape)
    return [found if bias is None else found + bias.reshape(shape)]


def _windows(x: Array, sides: Sequence[int], strides: Sequence[int], dilation: Sequence[int] = (1, 1)) -> Array:
    """Windows (N, C, rows, columns, height, width) of images (N, C, H, W), not copied."""
    reach = [(side - 1) * step + 1 for side, step in zip(sides, dilation, strict=True)]
    found = np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))
    return np.asarray(found[:, :, :: strides[0], :: strides[1], :: dilation[0], :: dilation[1]])


def _padded(x: Array, padding: Sequence[int], value: float = 0.0) -> Array:
    return _pad(x, [padding[1], padding[1], padding[0], padding[0]], value) if any(padding) else x


def _completed(
    x: Array, sides: Sequence[int], strides: Sequence[int], padding: Sequence[int], ceil_mode: bool, value: float
) -> Array:
    """Images (N, C, H, W), already padded, with what a last, incomplete window reaches beyond them, if it counts."""
    more = [0, 0]
    for axis in range(2 if ceil_mode else 0):
        length = x.shape[2 + axis]
        last = -(-(length - sides[axis]) // strides[axis]) * strides[axis]
        if last < length - padding[axis]:  # it has to begin within the image or the padding before it
            more[axis] = max(0, last + sides[axis] - length)
    return _pad(x, [0, more[1], 0, more[0]], value) if any(more) else x


@_named("convolution.default")
def _convolution(
    x: Array,
    weight: Array,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Array:
    if transposed or x.ndim != 4:
        raise NotImplementedError("a convolution of another kind")
    _check(*x.shape[:2], *(side + 2 * edge for side, edge in zip(x.shape[2:], padding, strict=True)))
    windows = _windows(_padded(x, padding), weight.shape[2:], stride, dilation)
    _check(*windows.shape)
    pairs = zip(np.split(windows, groups, 1), np.split(weight, groups), strict=True)
    parts = [np.tensordot(each, kernel, ((1, 4, 5), (1, 2, 3))) for each, kernel in pairs]
    found = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    return found if bias is None else found + bias.reshape(1, -1, 1, 1)


@_named("max_pool2d_with_indices.default")
def _max_pool(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> list[Array]:
    sides, strides, edges, steps = _both(kernel), _both(stride or kernel), _both(padding), _both(dilation)
    reach = [(side - 1) * step + 1 for side, step in zip(sides, steps, strict=True)]
    whole = _completed(_padded(x, edges, -math.inf), reach, strides, edges, ceil_mode, -math.inf)
    return [_windows(whole, sides, strides, steps).max((4, 5))]


@_named("avg_pool2d.default")
def _avg_pool(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Array:
    sides, strides, edges = _both(kernel), _both(stride or kernel), _both(padding)
    sums, counts = (
        _windows(_completed(each, sides, strides, edges, ceil_mode, 0), sides, strides).sum((4, 5))
        for each in (
            _padded(x, edges),
            _padded(np.ones((1, 1, *x.shape[2:]), x.dtype), edges, float(count_include_pad)),
        )
    )
    return np.asarray(sums / (divisor or counts))


def _both(sides: Sequence[int]) -> Sequence[int]:
    return sides if len(sides) == 2 else [sides[0], sides[0]]
