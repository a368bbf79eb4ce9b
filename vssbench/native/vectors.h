/* Vectors of the machine's width in the compiler's own extension (GCC, clang): no header of any processor is needed. */
#ifndef VSSBENCH_VECTORS_H
#define VSSBENCH_VECTORS_H

#include <stdint.h>
#include <string.h>

/* LANES: floats of a vector. TAPS: taps whose sums stay in registers at once, beside those of ROWS query rows; AVX-512 and
 * 64-bit ARM have 32 vector registers, the others 16. */
#if defined(__AVX512F__)
#define LANES 16
#define TAPS 7
#elif defined(__AVX__)
#define LANES 8
#define TAPS 3
#elif defined(__aarch64__)
#define LANES 4
#define TAPS 7
#else
#define LANES 4
#define TAPS 3
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t vec_int __attribute__((vector_size(4 * LANES)));
typedef uint32_t vec_bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t vec_half __attribute__((vector_size(2 * LANES)));
typedef float vec_at __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *from) { return *(const vec_at *)from; }
INLINE void store(float *to, vec value) { *(vec_at *)to = value; }
INLINE vec all(float value) { return value - (vec){0}; }

INLINE vec larger(vec a, vec b) {
    vec_int first = a > b;
    return (vec)(((vec_int)a & first) | ((vec_int)b & ~first));
}

/* The first lanes of a vector, `count` of them at most. */
INLINE void write_lanes(float *to, vec value, int64_t count) {
    if (count >= LANES)
        store(to, value);
    else
        for (int64_t lane = 0; lane < count; lane++) to[lane] = value[lane];
}

/* The slot of row y in a ring of n; y may be negative, by less than a window. */
INLINE int64_t slot_of(int64_t y, int64_t n) { return (y % n + n) % n; }

INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* A brain float is the upper half of a float. */
INLINE float from_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* The first lanes of a vector as brain floats, rounded to the nearest, a tie to the even one. */
INLINE void write_bf16(uint16_t *to, vec value, int64_t count) {
    vec_bits bits = (vec_bits)value;
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    vec_half halves = __builtin_convertvector(bits, vec_half);
    memcpy(to, &halves, 2 * (count < LANES ? count : LANES));
}

/* The first and the second half of a and b interleaved: a0 b0 a1 b1 ... */
#if LANES == 16
#define LOWER 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOWER 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOWER 0, 4, 1, 5
#define UPPER 2, 6, 3, 7
#endif
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vec_int){__VA_ARGS__})
#endif

/* LANES pixels of `channels` values each become `channels` rows of LANES values, `stride` apart. */
INLINE void transpose(const float *pixels, long channels, float *planes, long stride) {
    long c = 0;
    for (; c + LANES <= channels; c += LANES) {
        vec a[LANES], b[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) a[i] = load(pixels + i * channels + c);
        /* log2(LANES) perfect shuffles of the rows */
#pragma GCC unroll 4
        for (int step = 1; step < LANES; step *= 2) {
#pragma GCC unroll 16
            for (int i = 0; i < LANES / 2; i++) {
                b[2 * i] = SHUFFLE(a[i], a[i + LANES / 2], LOWER);
                b[2 * i + 1] = SHUFFLE(a[i], a[i + LANES / 2], UPPER);
            }
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) a[i] = b[i];
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) store(planes + (c + i) * stride, a[i]);
    }
    for (; c < channels; c++)
        for (int i = 0; i < LANES; i++) planes[c * stride + i] = pixels[i * channels + c];
}

/* exp(x) for x <= 0, to 2 units in the last place; 2^n by its exponent bits, the rest by a polynomial. */
INLINE vec exponential(vec x) {
    const vec magic = all(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, kept in the lowest bits */
    x = larger(x, all(-87.0f));
    vec rounded = x * 1.44269504f + magic;
    vec n = rounded - magic;
    vec r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    vec_int power = (((vec_int)rounded - (vec_int)magic) + 127) << 23;
    return p * (vec)power;
}

#endif
