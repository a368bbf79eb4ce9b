/* Bilinear upsampling by two (corners not aligned), 3x3 convolution with zero padding, bias and PReLU, on a tile.
 *
 * A 1x1 convolution and a bilinear upsampling commute. The nine taps are applied as 1x1 convolutions at low resolution, one
 * matrix product with a quarter of the multiplications; then each tap's product is upsampled, shifted and summed, along rows
 * first. What is exact inside is exact at the borders: the upsampling repeats the border, the convolution sees zeros outside.
 */
#include "vectors.h"

#define PANEL 32 /* columns of the matrix that a product's inner loop makes at once */
#define VECTORS (PANEL / LANES)
#define BLOCK (LANES == 16 ? 12 : 3) /* and its rows: the sums of PANEL x BLOCK fill the registers */

typedef struct {
    const float *in;      /* (N, h, w, inputs) */
    const float *weights; /* (groups, 9 * group / PANEL, inputs, PANEL): columns are (tap, channel of the group) */
    const float *bias;    /* (groups * group) */
    const float *slope;   /* (groups * group): of PReLU; 0 is ReLU, 1 nothing */
    void *out;            /* (N, 2 h, 2 w, outputs), float or bfloat16 */
    int64_t height, width, inputs, outputs, group, bf16;
} Upsampling;

/* Floats of scratch memory for a tile of `cols` low-resolution columns: the products of one row, sums of three rows. */
int64_t upsampled_conv_scratch(const Upsampling *u, int64_t cols) { return 9 * (cols + 2) * u->group + 18 * cols * u->group; }

/* `rows` rows of a (rows, inputs) matrix times one panel. */
INLINE void product(int rows, const float *a, const float *panel, int64_t inputs, float *to, int64_t to_row) {
    vec sum[12][VECTORS];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sum[r][v] = (vec){0};
    for (int64_t k = 0; k < inputs; k++) {
        vec b[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) b[v] = load(panel + k * PANEL + v * LANES);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            vec x = all(a[r * inputs + k]);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[r][v] += x * b[v];
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) store(to + r * to_row + v * LANES, sum[r][v]);
}

/* (pixels, inputs) times one group's matrix: (pixels, 9 * group). */
static void products(const Upsampling *u, const float *a, int64_t pixels, const float *weights, float *to) {
    int64_t columns = 9 * u->group, inputs = u->inputs;
    for (int64_t panel = 0; panel < columns / PANEL; panel++) {
        const float *b = weights + panel * inputs * PANEL;
        int64_t p = 0;
        float *c = to + panel * PANEL;
        for (; p + BLOCK <= pixels; p += BLOCK) product(BLOCK, a + p * inputs, b, inputs, c + p * columns, columns);
        for (; p + 6 <= pixels; p += 6) product(6, a + p * inputs, b, inputs, c + p * columns, columns);
        for (; p + 2 <= pixels; p += 2) product(2, a + p * inputs, b, inputs, c + p * columns, columns);
        for (; p < pixels; p++) product(1, a + p * inputs, b, inputs, c + p * columns, columns);
    }
}

/* The six places from which the two upsampled neighbours' sums come, along one axis: taps -1, 0, 1 at (i-1, i), (i-1, i, i+1)
 * and (i, i+1). `before` and `after` are 0 where the tap's upsampled pixel lies outside the image. */
INLINE void pair(const float *const minus[3], const float *const zero[3], const float *const plus[3], float before, float after,
                 int64_t c, vec *even, vec *odd) {
    vec m0 = load(minus[0] + c), m1 = load(minus[1] + c);
    vec z0 = load(zero[0] + c), z1 = load(zero[1] + c), z2 = load(zero[2] + c);
    vec p1 = load(plus[1] + c), p2 = load(plus[2] + c);
    *even = (m0 * 0.75f + m1 * 0.25f) * before + (z0 * 0.25f + z1 * 0.75f) + (p1 * 0.75f + p2 * 0.25f);
    *odd = (m0 * 0.25f + m1 * 0.75f) + (z1 * 0.75f + z2 * 0.25f) + (p1 * 0.25f + p2 * 0.75f) * after;
}

INLINE int64_t clamped(int64_t i, int64_t size) { return i < 0 ? 0 : i < size ? i : size - 1; }

/* Low-resolution row i upsampled and summed along x: for each of the three vertical taps, 2 * cols pixels of `group`. */
static void sum_columns(const Upsampling *u, const float *made, int64_t start, int64_t left, int64_t cols, float *to) {
    int64_t group = u->group;
    for (int64_t dy = 0; dy < 3; dy++)
        for (int64_t j = left; j < left + cols; j++) {
            const float *taps[3][3];
            for (int64_t dx = 0; dx < 3; dx++)
                for (int64_t n = 0; n < 3; n++)
                    taps[dx][n] = made + (clamped(j - 1 + n, u->width) - start) * 9 * group + (3 * dy + dx) * group;
            float *pixel = to + (dy * 2 * cols + 2 * (j - left)) * group;
            for (int64_t c = 0; c < group; c += LANES) {
                vec even, odd;
                pair(taps[0], taps[1], taps[2], j > 0, j < u->width - 1, c, &even, &odd);
                store(pixel + c, even);
                store(pixel + group + c, odd);
            }
        }
}

INLINE vec activated(vec x, vec slope) {
    vec zero = {0}, positive = larger(x, zero);
    return positive + (x - positive) * slope;
}

INLINE void write_output(const Upsampling *u, int64_t at, vec value, int64_t lanes) {
    if (u->bf16)
        write_bf16((uint16_t *)u->out + at, value, lanes);
    else
        write_lanes((float *)u->out + at, value, lanes);
}

/* Rows 2 i and 2 i + 1 of the result from the sums of rows i - 1, i, i + 1. */
static void sum_rows(const Upsampling *u, int64_t image, int64_t number, int64_t i, int64_t left, int64_t cols,
                     const float *rings) {
    int64_t group = u->group, ring = 6 * cols * group, first = number * group;
    const float *rows[3];
    for (int64_t n = 0; n < 3; n++) rows[n] = rings + slot_of(clamped(i - 1 + n, u->height), 3) * ring;
    for (int64_t x = 0; x < 2 * cols; x++) {
        const float *taps[3][3];
        for (int64_t dy = 0; dy < 3; dy++)
            for (int64_t n = 0; n < 3; n++) taps[dy][n] = rows[n] + (dy * 2 * cols + x) * group;
        int64_t at = (((image * u->height + i) * 2 * 2 * u->width) + 2 * left + x) * u->outputs + first;
        for (int64_t c = 0; c < group; c += LANES) {
            vec even, odd, bias = load(u->bias + first + c), slope = load(u->slope + first + c);
            int64_t lanes = u->outputs - first - c;
            if (lanes <= 0) break;
            pair(taps[0], taps[1], taps[2], i > 0, i < u->height - 1, c, &even, &odd);
            write_output(u, at + c, activated(even + bias, slope), lanes);
            write_output(u, at + 2 * u->width * u->outputs + c, activated(odd + bias, slope), lanes);
        }
    }
}

/* The result of low-resolution rows [first, first + rows) and columns [left, left + cols), for one group of channels. */
void upsampled_conv_tile(const Upsampling *u, int64_t image, int64_t number, int64_t first, int64_t rows, int64_t left,
                         int64_t cols, float *scratch) {
    float *made = scratch, *rings = scratch + 9 * (cols + 2) * u->group;
    int64_t start = clamped(left - 1, u->width), end = clamped(left + cols, u->width) + 1;
    const float *weights = u->weights + number * 9 * u->group * u->inputs;
    int64_t next = clamped(first - 1, u->height);
    for (int64_t i = first; i < first + rows; i++) {
        for (; next <= clamped(i + 1, u->height); next++) {
            const float *a = u->in + ((image * u->height + next) * u->width + start) * u->inputs;
            products(u, a, end - start, weights, made);
            sum_columns(u, made, start, left, cols, rings + slot_of(next, 3) * 6 * cols * u->group);
        }
        sum_rows(u, image, number, i, left, cols, rings);
    }
}
