/* CReFF of AR-Seg (section 3.2, Eq. 3) on a tile, from the low-resolution feature and the keyframe's to the logits.
 *
 * A tile is a column of the image, walked through downwards. Rows that later rows still need (warped reference, keys, values,
 * upsampled feature) are kept in rings in the caller's scratch memory, which is made to fit the second-level cache. There they
 * lie channel by channel (row, channel, column), so that a vector holds neighbouring pixels: scores, softmax, weighted
 * sums and logits of LANES queries then need no sums across a vector. The features outside are channels-last.
 */
#include <math.h>

#include "attention.h"

#define CLASSES 4 /* logits at a time; the classifier is padded to a multiple */

typedef struct {
    const void *low;         /* (N, h, w, C), float or bfloat16 */
    const void *reference;   /* (N, H, W, C), the same type */
    const float *motion;     /* (N, 2, H, W) in reference pixels, or NULL for no warp */
    const float *depthwise;  /* (3, C, 10): of query, key and value, nine taps and the bias */
    const float *classifier; /* (C + 1, classes padded): the 1x1 convolution, its bias last; NULL: the feature is the result */
    float *out;              /* (N, H, W, classes or C) */
    int64_t channels, height, width, low_height, low_width, window, classes;
    int64_t bf16, paper, direct; /* flags */
    float scale;
} Fusion;

typedef struct {
    const Fusion *f;
    int64_t image, left, cols, radius, stride, slots;
    float *warped, *key, *value, *up, *query, *pixels, *line, *scores, *fused, *logits;
} Tile;

/* Columns of a row in the rings: an odd number of vectors, so that channels do not fall into the same sets of the cache. */
static int64_t row_stride(int64_t cols, int64_t window) {
    int64_t vectors = round_up(cols + window + 1, 16) / 16;
    return 16 * (vectors | 1);
}

static void lay_out(Tile *t, float *scratch, int64_t *size) {
    const Fusion *f = t->f;
    int64_t row = f->channels * t->stride, total = 0;
    float **parts[] = {&t->warped, &t->key,  &t->value,  &t->up,    &t->query,
                       &t->pixels, &t->line, &t->scores, &t->fused, &t->logits};
    int64_t sizes[] = {3 * row,          t->slots * row,         t->slots * row,
                       (ROWS + 2) * row, ROWS * row,             LANES * f->channels,
                       f->low_width * f->channels, ROWS * LANES * f->window * f->window, ROWS * LANES * f->channels,
                       ROWS * LANES * round_up(f->classes, CLASSES)};
    for (int i = 0; i < 10; i++) {
        *parts[i] = scratch + total;
        total += round_up(sizes[i], 16) + 16; /* loads may pass the end by less than a vector */
    }
    *size = total;
}

static Tile tile_of(const Fusion *f, int64_t image, int64_t left, int64_t cols) {
    Tile t = {.f = f, .image = image, .left = left, .cols = cols, .radius = f->window / 2};
    t.stride = row_stride(cols, f->window);
    t.slots = f->window + ROWS - 1;
    return t;
}

/* Floats of scratch memory that a tile of `cols` columns needs. */
int64_t creff_scratch(const Fusion *f, int64_t cols) {
    Tile t = tile_of(f, 0, 0, cols);
    int64_t size;
    lay_out(&t, (float *)0 + 16, &size);
    return size;
}

/* to = sum of `count` weighted pixels of the reference or of the low-resolution feature */
INLINE void mix(const void *from, int bf16, const int64_t *at, const float *weight, int count, int64_t channels, float *to) {
    if (bf16) {
        const uint16_t *p = from;
        for (int64_t c = 0; c < channels; c++) {
            float sum = 0;
            for (int i = 0; i < count; i++) sum += from_bf16(p[at[i] + c]) * weight[i];
            to[c] = sum;
        }
    } else {
        const float *p = from;
        for (int64_t c = 0; c < channels; c++) {
            float sum = 0;
            for (int i = 0; i < count; i++) sum += p[at[i] + c] * weight[i];
            to[c] = sum;
        }
    }
}

static void mixed(const void *from, int bf16, const int64_t *at, const float *weight, int count, int64_t channels, float *to) {
    switch (count) { /* so that each has its own unrolled loop */
    case 0: memset(to, 0, channels * sizeof(float)); break;
    case 1: mix(from, bf16, at, weight, 1, channels, to); break;
    case 2: mix(from, bf16, at, weight, 2, channels, to); break;
    case 3: mix(from, bf16, at, weight, 3, channels, to); break;
    default: mix(from, bf16, at, weight, 4, channels, to);
    }
}

/* Whole and fractional part of where a pixel comes from; far outside every tap is outside. */
INLINE int64_t split(const Fusion *f, int64_t pixel, float motion, int64_t size, float *fraction) {
    float whole, from = motion;
    int64_t origin = pixel;
    if (f->paper) { /* the grid is normalised by size - 1, and sampled as if by size */
        float grid = 2 * ((float)pixel + motion) / (float)(size > 1 ? size - 1 : 1) - 1;
        from = (grid + 1) * ((float)size / 2) - 0.5f;
        origin = 0;
    }
    whole = floorf(from);
    *fraction = from - whole;
    float far = 4.0f * (float)(f->height > f->width ? f->height : f->width);
    return origin + (int64_t)fminf(fmaxf(whole, -far), far);
}

static void warp_pixel(const Tile *t, int64_t y, int64_t x, float *to) {
    const Fusion *f = t->f;
    int64_t at[4], top = y, left = x, plane = f->height * f->width, count = 0;
    float weight[4], fy = 0, fx = 0;
    if (f->motion) {
        const float *motion = f->motion + 2 * t->image * plane + y * f->width + x;
        left = split(f, x, motion[0], f->width, &fx);
        top = split(f, y, motion[plane], f->height, &fy);
    }
    for (int64_t dy = 0; dy < 2; dy++)
        for (int64_t dx = 0; dx < 2; dx++) {
            int64_t row = top + dy, column = left + dx;
            float w = (dy ? fy : 1 - fy) * (dx ? fx : 1 - fx);
            if (w == 0 || row < 0 || row >= f->height || column < 0 || column >= f->width) continue;
            at[count] = (t->image * plane + row * f->width + column) * f->channels;
            weight[count++] = w;
        }
    mixed(f->reference, (int)f->bf16, at, weight, (int)count, f->channels, to);
}

/* Row y of the warped reference, from column left - radius - 1 on, zero outside the image. */
static void warp_row(const Tile *t, int64_t y, float *to) {
    const Fusion *f = t->f;
    if (y < 0 || y >= f->height) {
        memset(to, 0, f->channels * t->stride * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < t->cols + f->window + 1; i += LANES) {
        for (int64_t lane = 0; lane < LANES; lane++) {
            int64_t x = t->left - t->radius - 1 + i + lane;
            float *pixel = t->pixels + lane * f->channels;
            if (x < 0 || x >= f->width)
                memset(pixel, 0, f->channels * sizeof(float));
            else
                warp_pixel(t, y, x, pixel);
        }
        transpose(t->pixels, f->channels, to + i, t->stride);
    }
}

/* Where a pixel of a row or column of `size` lies between `from` low-resolution ones, corners aligned. */
INLINE int64_t between(int64_t pixel, int64_t size, int64_t from, float *fraction) {
    float step = size > 1 ? (float)(from - 1) / (float)(size - 1) : 0;
    float place = step * (float)pixel;
    int64_t first = (int64_t)place;
    if (first > from - 1) first = from - 1;
    *fraction = place - (float)first;
    return first;
}

/* Row y of the upsampled low-resolution feature, from column left - 1 on, zero outside the image. */
static void upsample_row(const Tile *t, int64_t y, float *to) {
    const Fusion *f = t->f;
    int64_t channels = f->channels, last = f->low_width - 1;
    if (y < 0 || y >= f->height) {
        memset(to, 0, channels * t->stride * sizeof(float));
        return;
    }
    float fy, fx;
    int64_t top = between(y, f->height, f->low_height, &fy), bottom = top + (top < f->low_height - 1);
    int64_t width = t->cols + 2, right = t->left + width - 1;
    int64_t first = between(t->left > 0 ? t->left - 1 : 0, f->width, f->low_width, &fx);
    int64_t end = between(right < f->width ? right : f->width - 1, f->width, f->low_width, &fx) + 1;
    if (end > last) end = last;
    float weight[2] = {1 - fy, fy};
    int64_t at[2] = {((t->image * f->low_height + top) * f->low_width + first) * channels,
                     ((t->image * f->low_height + bottom) * f->low_width + first) * channels};
    mixed(f->low, (int)f->bf16, at, weight, 2, (end - first + 1) * channels, t->line);
    for (int64_t i = 0; i < width; i += LANES) {
        for (int64_t lane = 0; lane < LANES; lane++) {
            int64_t x = t->left - 1 + i + lane;
            float *pixel = t->pixels + lane * channels;
            if (x < 0 || x >= f->width || i + lane >= width) {
                memset(pixel, 0, channels * sizeof(float));
                continue;
            }
            int64_t column = between(x, f->width, f->low_width, &fx), next = column + (column < last);
            const int64_t sides[2] = {(column - first) * channels, (next - first) * channels};
            const float weights[2] = {1 - fx, fx};
            mix(t->line, 0, sides, weights, 2, channels, pixel);
        }
        transpose(t->pixels, channels, to + i, t->stride);
    }
}

INLINE vec nine(const float *w, const vec *x) {
    vec sum = all(w[9]);
    for (int i = 0; i < 9; i++) sum += x[i] * w[i];
    return sum;
}

/* Depthwise 3x3 convolutions of three rows into one or two; columns outside [first, end) become zero. */
INLINE void depthwise(const Tile *t, float *const rows[3], int count, const int *which, float *const *to, int64_t width,
                      int64_t first, int64_t end) {
    int64_t channels = t->f->channels, stride = t->stride;
    for (int64_t c = 0; c < channels; c++) {
        const float *w[2];
        for (int n = 0; n < count; n++) w[n] = t->f->depthwise + (which[n] * channels + c) * 10;
        for (int64_t i = 0; i < width; i += LANES) {
            vec x[9];
#pragma GCC unroll 9
            for (int tap = 0; tap < 9; tap++) x[tap] = load(rows[tap / 3] + c * stride + i + tap % 3);
            for (int n = 0; n < count; n++) store(to[n] + c * stride + i, nine(w[n], x));
        }
        for (int n = 0; n < count; n++) {
            for (int64_t i = 0; i < first; i++) to[n][c * stride + i] = 0;
            for (int64_t i = end; i < width; i++) to[n][c * stride + i] = 0;
        }
    }
}

/* Keys and values of image row y, from column left - radius on: zero outside the image, where scores are to be 0. */
static void key_value_row(const Tile *t, int64_t y, float *const rows[3], float *key, float *value) {
    const Fusion *f = t->f;
    int64_t width = round_up(t->cols + 2 * t->radius, LANES);
    if (y < 0 || y >= f->height) {
        memset(key, 0, f->channels * t->stride * sizeof(float));
        memset(value, 0, f->channels * t->stride * sizeof(float));
        return;
    }
    int64_t first = t->radius - t->left, end = f->width - t->left + t->radius;
    float *to[2] = {key, value};
    const int which[2] = {1, 2};
    depthwise(t, rows, 2, which, to, width, first > 0 ? first : 0, end < width ? end : width);
}

/* Over all key rows that ROWS query rows see: scores of `column`'s queries, or (weigh) their weighted sums of values. */
static void window_rows(const Tile *t, int64_t y, int64_t column, int weigh) {
    int64_t window = t->f->window, channels = t->f->channels, stride = t->stride, plane = window * window * LANES;
    int64_t base = y - t->radius;
    for (int64_t n = 0; n < window + ROWS - 1; n++) {
        /* the query row r sees this key row as the row n - r of its window */
        int64_t low = n - window + 1 > 0 ? n - window + 1 : 0, high = n < ROWS - 1 ? n : ROWS - 1, rows = high - low + 1;
        int64_t slot = slot_of(base + n, t->slots);
        float *scores = t->scores + low * plane + (n - low) * window * LANES;
        int64_t next = plane - window * LANES;
        for (int64_t j = 0; j < window;) {
            int64_t at = slot * channels * stride + column + j;
            float *s = scores + j * LANES;
            if (weigh) {
                BY_TAPS(gather, s, next, t->value + at, stride, channels, t->fused + low * LANES)
            } else {
                const float *query = t->query + low * channels * stride + column;
                BY_TAPS(score, query, t->key + at, channels * stride, stride, channels, s, next)
            }
        }
    }
}

/* The last 1x1 convolution on the fused feature of ROWS x LANES pixels. */
static void classify(const Tile *t) {
    const Fusion *f = t->f;
    int64_t padded = round_up(f->classes, CLASSES);
    for (int64_t n = 0; n < padded; n += CLASSES) {
        vec sum[CLASSES][ROWS];
        const float *bias = f->classifier + f->channels * padded + n;
#pragma GCC unroll 4
        for (int k = 0; k < CLASSES; k++)
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) sum[k][r] = all(bias[k]);
        for (int64_t c = 0; c < f->channels; c++) {
            const float *w = f->classifier + c * padded + n;
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) {
                vec x = load(t->fused + (c * ROWS + r) * LANES);
#pragma GCC unroll 4
                for (int k = 0; k < CLASSES; k++) sum[k][r] += x * w[k];
            }
        }
#pragma GCC unroll 4
        for (int k = 0; k < CLASSES; k++)
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) store(t->logits + ((n + k) * ROWS + r) * LANES, sum[k][r]);
    }
}

/* The result of ROWS x LANES pixels, those inside the image and the tile, channels-last. */
static void finish(const Tile *t, int64_t y, int64_t x, int64_t rows) {
    const Fusion *f = t->f;
    int64_t outputs = f->classifier ? f->classes : f->channels, lanes = f->width - x < LANES ? f->width - x : LANES;
    const float *planes = f->classifier ? t->logits : t->fused;
    if (f->classifier) classify(t);
    for (int64_t r = 0; r < rows; r++) {
        float *out = f->out + ((t->image * f->height + y + r) * f->width + x) * outputs;
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t n = 0; n < outputs; n++) out[lane * outputs + n] = planes[(n * ROWS + r) * LANES + lane];
    }
}

/* Rows [first, first + rows) of columns [left, left + cols) of one image's result; cols is a multiple of LANES. */
void creff_tile(const Fusion *f, int64_t image, int64_t first, int64_t rows, int64_t left, int64_t cols, float *scratch) {
    Tile t = tile_of(f, image, left, cols);
    int64_t size, row = f->channels * t.stride, end = first + rows;
    lay_out(&t, scratch, &size);
    int64_t next_key = first - t.radius, next_warp = next_key - 1, next_up = first - 1;
    for (int64_t y = first; y < end; y += ROWS) {
        for (; next_key < y + ROWS + t.radius; next_key++) {
            for (; next_warp <= next_key + 1; next_warp++) warp_row(&t, next_warp, t.warped + slot_of(next_warp, 3) * row);
            float *above[3];
            for (int i = 0; i < 3; i++) above[i] = t.warped + slot_of(next_key - 1 + i, 3) * row;
            int64_t slot = slot_of(next_key, t.slots);
            key_value_row(&t, next_key, above, t.key + slot * row, t.value + slot * row);
        }
        for (; next_up <= y + ROWS; next_up++) upsample_row(&t, next_up, t.up + slot_of(next_up, ROWS + 2) * row);
        for (int64_t r = 0; r < ROWS; r++) {
            float *above[3], *query = t.query + r * row;
            for (int i = 0; i < 3; i++) above[i] = t.up + slot_of(y + r - 1 + i, ROWS + 2) * row;
            const int which = 0;
            depthwise(&t, above, 1, &which, &query, cols, 0, cols);
        }
        for (int64_t i = 0; i < cols && left + i < f->width; i += LANES) {
            window_rows(&t, y, i, 0);
            for (int64_t r = 0; r < ROWS; r++) {
                softmax(t.scores + r * f->window * f->window * LANES, f->window * f->window, f->scale);
                const float *up = t.up + slot_of(y + r, ROWS + 2) * row + i + 1;
                for (int64_t c = 0; c < f->channels; c++)
                    store(t.fused + (c * ROWS + r) * LANES, f->direct ? load(up + c * t.stride) : (vec){0});
            }
            window_rows(&t, y, i, 1);
            finish(&t, y, left + i, end - y < ROWS ? end - y : ROWS);
        }
    }
}
