"""Elementary functions that LLVM can vectorise: exp, expm1, tanh, logistic, softplus, some with their slopes.

``math.exp`` is an opaque call into libm, and a loop with an opaque call runs one lane at a time.
The functions here are straight-line arithmetic, so that a loop over lanes (states) compiles to
SIMD instructions; on its own, on a single number, libm is faster.

exp: with k = round(x / ln 2) and r = x − k ln 2, |r| ≤ ln 2 / 2, exp(x) = 2^k exp(r).

* k comes from adding 1.5·2^52, which rounds to an integer and leaves it in the low bits;
* ln 2 is subtracted in two parts, the first with enough trailing zeros that k·LN2_HIGH is exact;
* exp(r) = 1 + r + r² q(r), with q the Chebyshev interpolant of (e^r − 1 − r)/r² on
  1.0001·[−ln 2 / 2, ln 2 / 2]: degree 9 (float64), 5 (float32); the tests recompute it;
* 2^k is added to the exponent bits.

NaN stays NaN. Inside logistic, tanh and softplus arguments are clamped to ±708 (float64) and ±87 (float32), where
2^k is a number; the exp of users' expressions (``full_exp``) has the whole range. Only the fast-math flag
``contract`` is set: re-association would undo both the rounding and the two-part subtraction.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

FAST = {"contract"}
# Without forceinline LLVM's size limit keeps the longer functions as calls, and a call is not vectorised.
_lane = njit(fastmath=FAST, error_model="numpy", forceinline=True)


def _bitcast(to: Any, llvm: Any) -> Any:
    """An intrinsic that reads the bits of its argument as the type ``to``."""

    @intrinsic
    def cast(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], llvm)

        return to(value), generate

    return cast


_as_float64 = _bitcast(types.float64, ir.DoubleType())
_as_int64 = _bitcast(types.int64, ir.IntType(64))
_as_float32 = _bitcast(types.float32, ir.FloatType())
_as_int32 = _bitcast(types.int32, ir.IntType(32))

_INV_LN2 = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 · 2^52

# q(r), lowest degree first.
EXP64 = (
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
)
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5, _Q6, _Q7, _Q8, _Q9 = EXP64


@_lane
def _reduced64(x, limit):  # type: ignore[no-untyped-def]
    """(e^r − 1, t) for x clamped to ±limit: k is in the low bits of t."""
    x = limit if x > limit else x
    x = -limit if x < -limit else x
    t = x * _INV_LN2 + _ROUND
    k = t - _ROUND
    r = x - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    # Estrin: shorter dependency chains than Horner
    r2 = r * r
    r4 = r2 * r2
    low = (_Q0 + _Q1 * r) + (_Q2 + _Q3 * r) * r2
    high = (_Q4 + _Q5 * r) + (_Q6 + _Q7 * r) * r2
    q = low + (high + (_Q8 + _Q9 * r) * r4) * r4
    return r + r2 * q, t


@_lane
def _exp64(x):  # type: ignore[no-untyped-def]
    p, t = _reduced64(x, 708.0)
    return _as_float64(_as_int64(1.0 + p) + (_as_int64(t) << 52))


@_lane
def _full_exp64(x):  # type: ignore[no-untyped-def]
    """exp with its whole range: inf above, and down through the subnormal numbers to 0."""
    p, t = _reduced64(x, 746.0)
    k = _as_int64(t) - _as_int64(_ROUND)
    half = k >> 1  # 2^k itself may not be a number: scale in two steps
    first = _as_float64(_as_int64(1.0) + (half << 52))
    return (1.0 + p) * first * _as_float64(_as_int64(1.0) + ((k - half) << 52))


@_lane
def _exp_and_expm1_64(x):  # type: ignore[no-untyped-def]
    p, t = _reduced64(x, 708.0)
    scale = _as_float64(_as_int64(1.0) + (_as_int64(t) << 52))
    return scale * (1.0 + p), scale * p + (scale - 1.0)


@_lane
def _expm1_64(x):  # type: ignore[no-untyped-def]
    return _exp_and_expm1_64(x)[1]


_INV_LN2_32 = np.float32(1.44269504)
_LN2_HIGH_32 = np.float32(0.693359375)
_LN2_LOW_32 = np.float32(-2.12194440e-4)
_ROUND_32 = np.float32(12582912.0)  # 1.5 · 2^23
EXP32 = tuple(
    np.float32(c)
    for c in (
        0.5,
        0.1666666716337204,
        0.04166646674275398,
        0.00833331048488617,
        0.0013933649752289057,
        0.00019890991097781807,
    )
)
_P0, _P1, _P2, _P3, _P4, _P5 = EXP32
_ONE_32 = np.float32(1.0)
_MAX_32 = np.float32(87.0)
_FULL_32 = np.float32(104.0)
_SHIFT_32 = np.int32(23)


@_lane
def _reduced32(x, limit):  # type: ignore[no-untyped-def]
    x = limit if x > limit else x
    x = -limit if x < -limit else x
    t = x * _INV_LN2_32 + _ROUND_32
    k = t - _ROUND_32
    r = x - k * _LN2_HIGH_32
    r = r - k * _LN2_LOW_32
    r2 = r * r
    q = (_P0 + _P1 * r) + ((_P2 + _P3 * r) + (_P4 + _P5 * r) * r2) * r2
    return r + r2 * q, t


@_lane
def _exp32(x):  # type: ignore[no-untyped-def]
    p, t = _reduced32(x, _MAX_32)
    # numba promotes int32 sums to int64; cast back before reading the bits
    return _as_float32(np.int32(_as_int32(_ONE_32 + p) + np.int32(_as_int32(t) << _SHIFT_32)))


@_lane
def _full_exp32(x):  # type: ignore[no-untyped-def]
    p, t = _reduced32(x, _FULL_32)
    k = np.int32(_as_int32(t) - _as_int32(_ROUND_32))
    half = np.int32(k >> np.int32(1))
    first = _as_float32(np.int32(_as_int32(_ONE_32) + np.int32(half << _SHIFT_32)))
    second = _as_float32(np.int32(_as_int32(_ONE_32) + np.int32(np.int32(k - half) << _SHIFT_32)))
    return (_ONE_32 + p) * first * second


@_lane
def _exp_and_expm1_32(x):  # type: ignore[no-untyped-def]
    p, t = _reduced32(x, _MAX_32)
    scale = _as_float32(np.int32(_as_int32(_ONE_32) + np.int32(_as_int32(t) << _SHIFT_32)))
    return scale * (_ONE_32 + p), scale * p + (scale - _ONE_32)


@_lane
def _expm1_32(x):  # type: ignore[no-untyped-def]
    return _exp_and_expm1_32(x)[1]


# artanh(s)/s as a polynomial in s² on [0, 1/9], lowest degree first.
ARTANH64 = (
    1.0,
    0.33333333333333076,
    0.20000000000092874,
    0.14285714272727057,
    0.11111112040373837,
    0.09090870416252403,
    0.07693307021152004,
    0.06650187016337313,
    0.06055084364034609,
    0.0416225325593041,
    0.08522081781390699,
)
_A0, _A1, _A2, _A3, _A4, _A5, _A6, _A7, _A8, _A9, _A10 = ARTANH64
ARTANH32 = tuple(
    np.float32(c)
    for c in (
        1.0,
        0.33333340287208557,
        0.1999935507774353,
        0.1431010365486145,
        0.10699280351400375,
        0.1219695433974266,
    )
)
_B0, _B1, _B2, _B3, _B4, _B5 = ARTANH32
_TWO_32 = np.float32(2.0)


@_lane
def _log1p64(u):  # type: ignore[no-untyped-def]
    """log(1 + u) for 0 ≤ u ≤ 1, as 2 artanh(u / (2 + u))."""
    s = u / (2.0 + u)
    v = s * s
    v2 = v * v
    v4 = v2 * v2
    low = (_A0 + _A1 * v) + (_A2 + _A3 * v) * v2
    middle = (_A4 + _A5 * v) + (_A6 + _A7 * v) * v2
    high = (_A8 + _A9 * v) + _A10 * v2
    return 2.0 * s * (low + (middle + high * v4) * v4)


@_lane
def _log1p32(u):  # type: ignore[no-untyped-def]
    s = u / (_TWO_32 + u)
    v = s * s
    v2 = v * v
    return _TWO_32 * s * ((_B0 + _B1 * v) + ((_B2 + _B3 * v) + (_B4 + _B5 * v) * v2) * v2)


@_lane
def _rough_log2_64(x):  # type: ignore[no-untyped-def]
    """log2 of a positive normal number to 0.09, read off its bits: enough to choose a step size."""
    return (_as_int64(x) - _as_int64(1.0)) * 2.220446049250313e-16


@_lane
def _rough_log2_32(x):  # type: ignore[no-untyped-def]
    return np.float32(_as_int32(x) - _as_int32(_ONE_32)) * np.float32(1.1920929e-07)


@_lane
def split(x):  # type: ignore[no-untyped-def]
    """(m, e) with x = m·2^e and 1 ≤ m < 2, for a positive normal number; m is NaN where x is NaN or infinite."""
    bits = _as_int64(x)
    mantissa = _as_float64((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    # masked before it is shifted: AVX2 cannot shift signed 64-bit numbers
    return mantissa + (x - x), ((bits & 0x7FF0000000000000) >> 52) - 1023


@_lane
def log(x):  # type: ignore[no-untyped-def]
    """log of a positive normal number to 2e-16, and of 0; near 1 the error is absolute, not relative."""
    mantissa, power = split(x)
    value = power * 0.6931471805599453 + _log1p64(mantissa - 1.0)
    return -np.inf if x == 0.0 else value


def _functions(
    real: Any, exp: Any, full_exp: Any, expm1: Any, exp_and_expm1: Any, log1p: Any, rough_log2: Any, tanh_limit: float
) -> SimpleNamespace:
    """The functions built on exp, expm1 and log1p, in one floating-point type.

    Those that end in ``_with_slope`` return a value and its derivative from one exponential of −|z|, so that the
    derivative keeps its digits where the value is saturated.
    """
    zero, one, two, four = real(0), real(1), real(2), real(4)
    limit = real(tanh_limit)  # tanh is ±1 to rounding beyond it

    @_lane
    def logistic(z):  # type: ignore[no-untyped-def]
        return one / (one + exp(-z))

    @_lane
    def tanh(z):  # type: ignore[no-untyped-def]
        # by expm1, not exp: 1 − 2/(e^{2z}+1) loses all digits of a small z
        z = limit if z > limit else z
        z = -limit if z < -limit else z
        e = expm1(two * z)
        return e / (e + two)

    @_lane
    def relu(z):  # type: ignore[no-untyped-def]
        return zero if z < zero else z  # this way round, NaN stays NaN

    @_lane
    def softplus(z):  # type: ignore[no-untyped-def]
        magnitude = -z if z < zero else z
        return relu(z) + log1p(exp(-magnitude))

    @_lane
    def logistic_with_slope(z):  # type: ignore[no-untyped-def]
        magnitude = -z if z < zero else z
        e = exp(-magnitude)
        r = one / (one + e)
        return (e * r if z < zero else r), e * r * r

    @_lane
    def tanh_with_slope(z):  # type: ignore[no-untyped-def]
        magnitude = -z if z < zero else z
        e, below = exp_and_expm1(-two * magnitude)
        r = one / (two + below)
        value = -below * r
        return (-value if z < zero else value), four * e * r * r

    @_lane
    def relu_with_slope(z):  # type: ignore[no-untyped-def]
        return relu(z), (one if z > zero else zero)

    @_lane
    def softplus_with_slope(z):  # type: ignore[no-untyped-def]
        magnitude = -z if z < zero else z
        e = exp(-magnitude)
        r = one / (one + e)
        return relu(z) + log1p(e), (e * r if z < zero else r)

    return SimpleNamespace(
        real=real,
        exp=exp,
        full_exp=full_exp,
        expm1=expm1,
        logistic=logistic,
        tanh=tanh,
        relu=relu,
        softplus=softplus,
        logistic_with_slope=logistic_with_slope,
        tanh_with_slope=tanh_with_slope,
        relu_with_slope=relu_with_slope,
        softplus_with_slope=softplus_with_slope,
        rough_log2=rough_log2,
    )


float64 = _functions(
    np.float64, _exp64, _full_exp64, _expm1_64, _exp_and_expm1_64, _log1p64, _rough_log2_64, tanh_limit=20.0
)
float32 = _functions(
    np.float32, _exp32, _full_exp32, _expm1_32, _exp_and_expm1_32, _log1p32, _rough_log2_32, tanh_limit=10.0
)
