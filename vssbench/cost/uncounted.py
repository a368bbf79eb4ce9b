"""Operators that a count of multiply-accumulates leaves out: by rule, or because nobody knows how.

The convention ``macs`` counts products that are summed: convolutions, matrix products, attention,
samples of a warp. What it leaves out by rule is listed here by kind. Any other operator without a
formula is *uncounted* and is named wherever the count stands: its products, if it has any, are
missing.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vssbench.core.uncompiled import uncompiled
from vssbench.cost import formulas
from vssbench.cost.summed import SUMMED, Products

#: torch's operators by kind, named without the underscores around them; what torch itself tags as
#: pointwise is elementwise, what it marks as a view is a copy
_KINDS: dict[str, str] = {
    "batch norm": """batch_norm native_batch_norm native_batch_norm_legit batch_norm_elemt
        native_batch_norm_legit_no_training native_batch_norm_legit_functional batch_norm_stats
        batch_norm_with_update batch_norm_with_update_functional batch_norm_no_update
        batch_norm_impl_index cudnn_batch_norm miopen_batch_norm batch_norm_update_stats
        instance_norm""",
    "layer norm": "layer_norm native_layer_norm rms_norm fused_rms_norm",
    "group norm": "group_norm native_group_norm",
    "norm": """norm native_norm linalg_vector_norm linalg_norm frobenius_norm renorm std std_mean
        var var_mean weight_norm weight_norm_interface norm_except_dim cosine_similarity
        pairwise_distance dist""",
    "softmax": """softmax log_softmax safe_softmax masked_softmax special_softmax logsumexp
        special_log_softmax logcumsumexp log_sigmoid log_sigmoid_forward special_logsumexp""",
    "pooling": """mean nanmean adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
        adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d
        avg_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices
        max_pool2d_with_indices max_pool3d_with_indices fractional_max_pool2d
        fractional_max_pool3d max_unpool2d max_unpool3d""",
    "argmax": """argmax argmin argsort argwhere sort msort topk kthvalue mode median nanmedian
        quantile nanquantile searchsorted bucketize bincount histc histogram unique unique2
        unique_consecutive unique_dim unique_dim_consecutive nonzero nonzero_static multinomial""",
    "elementwise": """prelu prelu_kernel glu relu6 hardswish rrelu rrelu_with_noise
        rrelu_with_noise_functional threshold fill zero sum nansum amax amin max min aminmax all
        any prod cumsum cumprod cummax cummin cummax_helper cummin_helper count_nonzero
        diff trace cumulative_trapezoid trapezoid trapz segment_reduce vander linalg_vander complex
        polar add_relu square rsub floor_divide divide true_divide multiply
        subtract negative greater greater_equal less less_equal not_equal isclose
        allclose equal isin isreal dropout alpha_dropout feature_dropout
        feature_alpha_dropout native_dropout fused_dropout bernoulli scalar_tensor
        thnn_fused_lstm_cell thnn_fused_gru_cell masked_scale gradient fix arctan2
        absolute arccos arccosh arcsin arcsinh arctan arctanh
        is_all_true is_any_true __and__ __or__ __xor__ clip""",
    "copying": """cat concat concatenate stack hstack vstack dstack column_stack row_stack
        block_diag clone copy contiguous to to_copy type_as index index_select index_add index_copy
        index_fill index_put index_put_impl index_reduce unsafe_index unsafe_index_put
        unsafe_masked_index unsafe_masked_index_put_accumulate gather scatter scatter_add
        scatter_reduce masked_fill masked_select masked_scatter take take_along_dim put embedding
        embedding_renorm roll flip fliplr flipud rot90
        pad constant_pad_nd pad_enum pad_circular reflection_pad1d reflection_pad2d
        reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pixel_shuffle
        pixel_unshuffle channel_shuffle native_channel_shuffle im2col col2im repeat tile
        repeat_interleave one_hot tril triu diag diag_embed diagflat diagonal_scatter
        select_scatter slice_scatter as_strided_scatter fill_diagonal unsafe_view unsafe_split
        unsafe_split_with_sizes unsafe_chunk reshape_alias reshape_copy resize set
        lift lift_fresh lift_fresh_copy detach view_copy expand_copy permute_copy transpose_copy
        unfold_copy cartesian_prod combinations meshgrid pack_padded_sequence pad_packed_sequence
        pad_sequence empty empty_like empty_strided empty_permuted new_empty new_empty_strided
        zeros zeros_like new_zeros ones ones_like new_ones full full_like new_full arange range
        linspace logspace eye rand rand_like randn randn_like randint randint_like randperm random
        normal normal_functional uniform exponential poisson cauchy geometric log_normal
        binomial fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq resize_as chunk_cat
        requires_grad stride storage_offset sym_size sym_numel sym_stride result_type
        to_dense to_padded_tensor tril_indices triu_indices hann_window
        hamming_window blackman_window bartlett_window kaiser_window local_scalar_dense item
        numel dim size is_floating_point is_complex assert_async linalg_check_errors
        assert_tensor_metadata broadcast_tensors atleast_1d atleast_2d atleast_3d sum_to_size
        conj_physical""",
}  # fmt: skip
#: functions of a value, of which each is named ``special_`` as well
_SPECIAL = """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t
    chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx
    erfinv exp2 expit expm1 gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0
    i0e i1 i1e laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr logit modified_bessel_i0
    modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri polygamma psi
    round scaled_modified_bessel_k0 scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t
    shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
    sinc spherical_bessel_j0 xlog1py xlogy zeta"""
_BY_NAME = {
    **{f"special_{name}": "elementwise" for name in _SPECIAL.split()},
    **{name: kind for kind, names in _KINDS.items() for name in names.split()},
}
#: beginnings of names, of operators that come for each number of sides
_BEGINNINGS = {"upsample_": "resizing", "cast_": "copying"}
#: torch's elementary operations that are functions of a value or of two, sums, views or copies
_ELEMENTARY = """abs acos acosh asin asinh atan atanh cos cosh bessel_i0 bessel_i0e bessel_i1
    bessel_i1e bessel_j0 bessel_j1 bitwise_not cbrt ceil conj_physical digamma erf erf_inv erfc
    erfcx exp expm1 exp2 fill floor imag isfinite lgamma log log1p log2 log10 ndtri neg real
    reciprocal round sign signbit sin sinh spherical_bessel_j0 sqrt tan tanh trunc add atan2
    bitwise_and bitwise_or bitwise_xor complex div eq fmax fmin fmod frexp gcd ge gt hypot igamma
    igammac le lt maximum minimum mul ne nextafter pow remainder rsqrt shift_left
    shift_right_arithmetic shift_right_logical sub zeta as_strided broadcast_in_dim collapse_view
    conj expand_dims slice slice_in_dim split_dim squeeze transpose view_of view_of_dtype
    view_element_type as_strided_scatter collapse cat reshape rev where clone convert_element_type
    device_put item maximum_value minimum_value copy_strided copy_to resize amax amin prod sum
    xor_sum var empty_strided empty_permuted scalar_tensor iota normal _uniform_helper _make_token
    _sink_tokens"""
_PRIMS = frozenset(_ELEMENTARY.split())

formulas.register()


@lru_cache(maxsize=4096)
def kind_left_out(name: str) -> str | None:
    """Return the kind of an operator of torch's that the convention leaves out by rule, else None.

    ``name`` is with its namespace, as ``aten.relu_`` or ``aten::relu_``.
    """
    namespace, _, plain = name.replace("::", ".").partition(".")
    if namespace == "prims":
        return "elementwise" if plain.partition(".")[0] in _PRIMS else None
    if namespace != "aten":
        return None
    bare = plain.strip("_") if not plain.startswith("__") else plain
    if bare in _BY_NAME:
        return _BY_NAME[bare]
    beginning = next((kind for part, kind in _BEGINNINGS.items() if bare.startswith(part)), None)
    return beginning or _tagged(plain) or _tagged(bare)


class Calls:
    """Tells which operator each call of torch's dispatcher is."""

    def __init__(self) -> None:
        self._products = Products()

    def operator(self, func: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """Return the operator of a call, or the name of what several make together.

        A product of two tensors that has more values than either is an outer product, which torch
        has taken apart (``outer``, ``kron``) or which was written as a column times a row; products
        that are summed afterwards are :data:`vssbench.cost.summed.SUMMED`. They are matrix
        products, and no rule leaves those out.
        """
        packet = getattr(func, "_overloadpacket", func)
        if self._products.are_summed(func, args, kwargs, output):
            return SUMMED
        factors = args[:2]
        of_two = packet is torch.ops.aten.mul and all(isinstance(each, Tensor) for each in factors)
        if of_two and output.numel() > max(each.numel() for each in factors):
            return torch.ops.aten.outer
        return packet


def _tagged(plain: str) -> str | None:
    """Return the kind that torch's own marks of an operator tell."""
    packet = getattr(torch.ops.aten, plain, None)
    if packet is None:
        return None
    overloads = [getattr(packet, name) for name in packet.overloads()]
    if any(torch.Tag.pointwise in overload.tags for overload in overloads):
        return "elementwise"
    return "copying" if any(overload.is_view for overload in overloads) else None


@uncompiled
class Watch(TorchDispatchMode):
    """Inside ``with``, notes every operator that has no formula and is not left out by rule.

    It stands around a FlopCounterMode, which takes apart what torch can.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: Counter[Any] = Counter()
        self._known = Calls()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self.note(func, args, kwargs, output)
        return output

    def note(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Note a call of an operator."""
        self._calls[self._known.operator(func, args, kwargs, output)] += 1

    def names(self) -> tuple[str, ...]:
        """Return the names of what was noted, sorted."""
        return tuple(
            sorted(
                str(packet)
                for packet in self._calls
                if packet not in flop_registry and kind_left_out(str(packet)) is None
            )
        )


def remark(method: str, names: tuple[str, ...]) -> str:
    """Return the sentence that names what a method's count leaves out; empty where nothing is."""
    if not names:
        return ""
    their = "what they multiply" if len(names) > 1 else "what it multiplies"
    return (
        f"GMACs of {method} leave out {', '.join(names)}, for which no formula is known: {their} "
        "is missing from them"
    )
