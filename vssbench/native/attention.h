/* The inner loops of local attention: LANES queries side by side in each of ROWS rows, features channel by channel. */
#ifndef VSSBENCH_ATTENTION_H
#define VSSBENCH_ATTENTION_H

#include "vectors.h"

#define ROWS 3 /* query rows at a time: a vector of keys or values serves all of them */

/* Scores of `rows` query rows against `taps` neighbouring keys of one row. */
INLINE void score(int rows, int taps, const float *query, const float *key, int64_t row, int64_t stride, int64_t channels,
                  float *to, int64_t to_row) {
    vec sum[ROWS][TAPS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < taps; j++) sum[r][j] = (vec){0};
    for (int64_t c = 0; c < channels; c++) {
        vec q[ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) q[r] = load(query + r * row + c * stride);
#pragma GCC unroll 8
        for (int j = 0; j < taps; j++) {
            vec k = load(key + c * stride + j);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) sum[r][j] += q[r] * k;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < taps; j++) store(to + r * to_row + j * LANES, sum[r][j]);
}

/* Adds `taps` neighbouring values of one row, by weight, to `rows` query rows of the result. */
INLINE void gather(int rows, int taps, const float *weights, int64_t weights_row, const float *value, int64_t stride,
                   int64_t channels, float *fused) {
    vec w[ROWS][TAPS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int j = 0; j < taps; j++) w[r][j] = load(weights + r * weights_row + j * LANES);
    for (int64_t c = 0; c < channels; c++) {
        vec sum[ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) sum[r] = load(fused + (c * ROWS + r) * LANES);
#pragma GCC unroll 8
        for (int j = 0; j < taps; j++) {
            vec v = load(value + c * stride + j);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) sum[r] += w[r][j] * v;
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) store(fused + (c * ROWS + r) * LANES, sum[r]);
    }
}

#define BY_ROWS(function, taps, ...)                                                                                           \
    switch (rows) {                                                                                                            \
    case 1: function(1, taps, __VA_ARGS__); break;                                                                             \
    case 2: function(2, taps, __VA_ARGS__); break;                                                                             \
    default: function(3, taps, __VA_ARGS__);                                                                                   \
    }

/* The largest groups of taps that fit the registers, then three, then one by one. */
#define BY_TAPS(function, ...)                                                                                                 \
    if (window - j >= TAPS) {                                                                                                  \
        BY_ROWS(function, TAPS, __VA_ARGS__)                                                                                   \
        j += TAPS;                                                                                                             \
    } else if (window - j >= 3) {                                                                                              \
        BY_ROWS(function, 3, __VA_ARGS__)                                                                                      \
        j += 3;                                                                                                                \
    } else {                                                                                                                   \
        BY_ROWS(function, 1, __VA_ARGS__)                                                                                      \
        j += 1;                                                                                                                \
    }

/* Of LANES queries by themselves: scores times `scale` become weights. */
static void softmax(float *scores, int64_t taps, float scale) {
    vec most = load(scores) * scale, sum = {0};
    for (int64_t i = 0; i < taps; i++) {
        vec s = load(scores + i * LANES) * scale;
        store(scores + i * LANES, s);
        most = larger(s, most);
    }
    for (int64_t i = 0; i < taps; i++) {
        vec e = exponential(load(scores + i * LANES) - most);
        store(scores + i * LANES, e);
        sum += e;
    }
    vec inverse = 1.0f / sum;
    for (int64_t i = 0; i < taps; i++) store(scores + i * LANES, load(scores + i * LANES) * inverse);
}

#endif
