/* Motion vectors of a compressed stream: from a decoder's records to a grid of cells, filled, composed, and applied to pictures.
 *
 * A grid holds one vector (x, y) in pixels for each cell of `cell` x `cell` pixels, row by row; beside it lies the display index
 * of the picture that each vector points into, NONE where a cell has none. Sums are taken in the order and precision of the numpy
 * forms in codec/motion.py and codec/prediction.py, so that results are the same to the last bit.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define NONE (-1)
#define FAR 1000000.0f /* pixels; no picture is as large */
#define RUN 32         /* numbers compared at once */
#define STRIP 256      /* cells whose places are found at once */

/* AVMotionVector of FFmpeg's libavutil/motion_vector.h */
typedef struct {
    int32_t source; /* below 0 the past, above 0 the future */
    uint8_t w, h;
    int16_t src_x, src_y, dst_x, dst_y; /* dst: the block's centre */
    uint64_t flags;
    int32_t motion_x, motion_y;
    uint16_t motion_scale;
} Record;

_Static_assert(sizeof(Record) == 40, "AVMotionVector has 40 bytes");

typedef struct {
    float x, y;
} Vector;

static int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

static int moves(Vector v) { return v.x != 0 || v.y != 0; }

/* A decoder's records on the grid, whose cells have 1 << shift pixels a side. names: what the past and the future picture are
 * called; vectors, references: (layers, rows, columns), to the past and, of 2 layers, to the future. */
void motion_rasterise(const Record *records, int64_t count, int64_t layers, int64_t rows, int64_t columns, int64_t shift,
                      const int32_t *names, Vector *vectors, int32_t *references) {
    int64_t cells = rows * columns, any_future = 0;
    memset(vectors, 0, layers * cells * sizeof(Vector));
    for (int64_t i = 0; i < layers * cells; i++) references[i] = NONE;
    for (const Record *r = records; r < records + count; r++) {
        /* src is cut to whole pixels: only motion / scale keeps the fractions */
        Vector vector = {(float)r->motion_x / (float)r->motion_scale, (float)r->motion_y / (float)r->motion_scale};
        int64_t future = r->source >= 0;
        if (future >= layers) continue;
        int64_t wide = r->w >> shift, high = r->h >> shift;
        int64_t left = (r->dst_x - r->w / 2) >> shift, top = (r->dst_y - r->h / 2) >> shift;
        int64_t right = clamp(left + (wide ? wide : 1), 0, columns), bottom = clamp(top + (high ? high : 1), 0, rows);
        any_future |= future;
        for (int64_t y = clamp(top, 0, rows); y < bottom; y++)
            for (int64_t x = clamp(left, 0, columns); x < right; x++) {
                vectors[future * cells + y * columns + x] = vector;
                references[future * cells + y * columns + x] = names[future];
            }
    }
    if (!any_future) return;
    /* FFmpeg lists both directions for every part of a macroblock whose parts use one each: the one unused is zero */
    for (int64_t i = 0; i < cells; i++) {
        if (references[i] == NONE || references[cells + i] == NONE) continue;
        int past = moves(vectors[i]), future = moves(vectors[cells + i]);
        if (future && !past) references[i] = NONE;
        if (past && !future) references[cells + i] = NONE;
    }
}

/* The distinct numbers among `count`, in the order in which they first appear; how many, or -1 where there are more than `most`. */
int64_t motion_distinct(const int32_t *numbers, int64_t count, int32_t *found, int64_t most) {
    int64_t known = 0;
    int32_t last = 0, other = 0; /* the two seen last */
    for (int64_t i = 0; i < count; i++) {
        if (known && i + RUN <= count) { /* many at once */
            int32_t differ = 0;
            for (int64_t j = 0; j < RUN; j++) differ |= (numbers[i + j] != last) & (numbers[i + j] != other);
            if (!differ) {
                i += RUN - 1;
                continue;
            }
        }
        if (known && (numbers[i] == last || numbers[i] == other)) continue;
        other = known ? last : numbers[i];
        last = numbers[i];
        int64_t place = 0;
        while (place < known && found[place] != last) place++;
        if (place < known) continue;
        if (known == most) return -1;
        found[known++] = last;
    }
    return known;
}

/* For each cell the nearest column of its row whose cell is valid, of two the left; NONE where the row has none. */
static void nearest_in_rows(const int32_t *references, int64_t rows, int64_t columns, int32_t *nearest) {
    for (int64_t y = 0; y < rows; y++) {
        const int32_t *row = references + y * columns;
        int32_t *near = nearest + y * columns, width = (int32_t)columns;
        for (int32_t x = 0; x < width; x++) near[x] = x;
        for (int32_t left = -1, x = 0; x < width; x++) {
            if (row[x] != NONE) {
                left = x;
                continue;
            }
            int32_t right = x;
            while (right < width && row[right] == NONE) right++;
            for (; x < right; x++) /* a run of holes between two valid cells, or up to the border */
                near[x] = left >= 0 && (right == width || x - left <= right - x) ? left : right < width ? right : NONE;
            left = right;
        }
    }
}

/* Flat index of the valid cell nearest to (y, x), of equals the first by row: rows further and further away, until none can be
 * nearer. */
static int64_t nearest_cell(const int32_t *nearest, int64_t rows, int64_t columns, int64_t y, int64_t x) {
    int64_t best = INT64_MAX, from = -1;
    for (int64_t away = 0; away < rows && away * away <= best; away++)
        for (int64_t side = away ? -1 : 1; side <= 1; side += 2) {
            int64_t row = y + side * away;
            if (row < 0 || row >= rows || nearest[row * columns + x] == NONE) continue;
            int64_t along = nearest[row * columns + x] - x, distance = along * along + away * away;
            int64_t at = row * columns + nearest[row * columns + x];
            if (distance < best || (distance == best && at < from)) best = distance, from = at;
        }
    return from;
}

/* One vector a cell: of several layers the one into the picture nearest to `index`; holes take the nearest cell's, or zero from
 * the picture `past`. vectors, references: (layers, rows, columns); nearest: scratch, one number a cell, NULL for zero. */
void motion_settle(const Vector *vectors, const int32_t *references, int64_t layers, int64_t rows, int64_t columns, int32_t index,
                   int32_t past, int32_t *nearest, Vector *settled, int32_t *names) {
    int64_t cells = rows * columns, valid = 0;
    memcpy(settled, vectors, cells * sizeof(Vector));
    memcpy(names, references, cells * sizeof(int32_t));
    for (int64_t layer = 1; layer < layers; layer++)
        for (int64_t i = 0; i < cells; i++) {
            int64_t other = references[layer * cells + i], away = other - index, now = (int64_t)names[i] - index;
            if (other == NONE || (names[i] != NONE && (away < 0 ? -away : away) >= (now < 0 ? -now : now))) continue;
            settled[i] = vectors[layer * cells + i];
            names[i] = (int32_t)other;
        }
    for (int64_t i = 0; i < cells; i++) valid += names[i] != NONE;
    if (valid == cells) return;
    int filled = nearest && valid;
    if (filled) nearest_in_rows(names, rows, columns, nearest);
    for (int64_t y = 0, i = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++, i++) {
            if (names[i] != NONE) continue;
            /* cells already filled are in nobody's way: nearest tells which had vectors */
            int64_t from = filled ? nearest_cell(nearest, rows, columns, y, x) : 0;
            settled[i] = filled ? settled[from] : (Vector){0, 0};
            names[i] = filled ? names[from] : past;
        }
}

/* Place of `name` among `names`, which hold it; `last` is where the search begins. */
static int64_t place_of(int32_t name, const int32_t *names, int64_t last) {
    if (names[last] == name) return last;
    for (last = 0; names[last] != name;) last++;
    return last;
}

static float within(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

/* Where the cells of a row read a field: the corner of four neighbours, and how far on they are. */
typedef struct {
    int32_t corner[STRIP];
    float across[STRIP], down[STRIP];
} Places;

/* Between cell centres. On the last row or column the neighbour would lie outside: the one before it, at weight 1, says the same. */
static void place_between(const Vector *step, int64_t y, int64_t x, int64_t count, int64_t rows, int64_t columns, float scale,
                          Places *to) {
    float last_x = (float)(columns - 1), last_y = (float)(rows - 1);
    int32_t most_x = columns > 1 ? (int32_t)columns - 2 : 0, most_y = rows > 1 ? (int32_t)rows - 2 : 0, first = (int32_t)x;
    for (int32_t i = 0; i < count; i++) {
        float at_x = within((float)(first + i) + step[i].x * scale, 0, last_x);
        float at_y = within((float)y + step[i].y * scale, 0, last_y);
        int32_t left = (int32_t)at_x, top = (int32_t)at_y;
        left = left < most_x ? left : most_x;
        top = top < most_y ? top : most_y;
        to->across[i] = at_x - (float)left;
        to->down[i] = at_y - (float)top;
        to->corner[i] = top * (int32_t)columns + left;
    }
}

static Vector mix(Vector a, Vector b, float weight) {
    return (Vector){(1 - weight) * a.x + weight * b.x, (1 - weight) * a.y + weight * b.y};
}

/* The cell in which the middle pixel of cell `at` ends, moved by whole pixels. */
static int64_t landing(int64_t at, float step, int64_t cell, int64_t size) {
    double to = floor((double)at + 0.5 + (double)(step / (float)cell));
    return (int64_t)(to < 0 ? 0 : to > (double)(size - 1) ? (double)(size - 1) : to);
}

static void compose_between(const Vector *step, const int32_t *references, int64_t rows, int64_t columns, float scale,
                            const int32_t *names, const Vector *const *fields, Vector *result) {
    Places places;
    int64_t place = 0, right = columns > 1, below = rows > 1 ? columns : 0;
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x += STRIP) {
            int64_t from = y * columns + x, count = columns - x < STRIP ? columns - x : STRIP;
            place_between(step + from, y, x, count, rows, columns, scale, &places);
            for (int64_t i = 0; i < count; i++) {
                place = place_of(references[from + i], names, place);
                const Vector *corner = fields[place] + places.corner[i];
                Vector upper = mix(corner[0], corner[right], places.across[i]);
                Vector lower = mix(corner[below], corner[below + right], places.across[i]);
                Vector rest = mix(upper, lower, places.down[i]);
                result[from + i] = (Vector){step[from + i].x + rest.x, step[from + i].y + rest.y};
            }
        }
}

/* Motion to the keyframe: each cell's step, and what the field of the picture that it points into says there. references: the
 * step's; names: the pictures whose fields (rows, columns) follow, in the same order. */
void motion_compose(const Vector *step, const int32_t *references, int64_t rows, int64_t columns, int64_t cell, int64_t whole,
                    const int32_t *names, const Vector *const *fields, Vector *result) {
    if (!whole) {
        compose_between(step, references, rows, columns, 1 / (float)cell, names, fields, result);
        return;
    }
    int64_t place = 0;
    for (int64_t y = 0, i = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++, i++) {
            Vector v = {rintf(step[i].x), rintf(step[i].y)};
            place = place_of(references[i], names, place);
            Vector rest = fields[place][landing(y, v.y, cell, rows) * columns + landing(x, v.x, cell, columns)];
            result[i] = (Vector){v.x + rest.x, v.y + rest.y};
        }
}

typedef struct {
    const uint8_t *image;
    int64_t height, width;
    int64_t left, top; /* whole part of the vector */
    float across, down;
} Source;

/* `count` pixels of row y from column x on, all of whose neighbours lie inside. */
static void run_inside(const Source *s, int64_t y, int64_t x, int64_t count, float *to) {
    const uint8_t *upper = s->image + ((y + s->top) * s->width + x + s->left) * 3, *lower = upper + 3 * s->width;
    float across = s->across, down = s->down, left = 1 - across, up = 1 - down;
    for (int64_t i = 0; i < 3 * count; i++) {
        float above = (float)upper[i] * left + (float)upper[i + 3] * across;
        float below = (float)lower[i] * left + (float)lower[i + 3] * across;
        to[i] = above * up + below * down;
    }
}

static void pixel_anywhere(const Source *s, int64_t y, int64_t x, float *to) {
    int64_t left = clamp(x + s->left, 0, s->width - 1), right = clamp(x + s->left + 1, 0, s->width - 1);
    int64_t top = clamp(y + s->top, 0, s->height - 1), bottom = clamp(y + s->top + 1, 0, s->height - 1);
    const uint8_t *upper = s->image + 3 * top * s->width, *lower = s->image + 3 * bottom * s->width;
    for (int64_t c = 0; c < 3; c++) {
        float above = (float)upper[3 * left + c] * (1 - s->across) + (float)upper[3 * right + c] * s->across;
        float below = (float)lower[3 * left + c] * (1 - s->across) + (float)lower[3 * right + c] * s->across;
        to[c] = above * (1 - s->down) + below * s->down;
    }
}

static void predict_cell(const Source *s, int64_t y0, int64_t y1, int64_t x0, int64_t x1, float *out) {
    int inside_x = x0 + s->left >= 0 && x1 + s->left < s->width;
    for (int64_t y = y0; y < y1; y++) {
        float *to = out + 3 * (y * s->width + x0);
        if (inside_x && y + s->top >= 0 && y + s->top + 1 < s->height)
            run_inside(s, y, x0, x1 - x0, to);
        else
            for (int64_t x = x0; x < x1; x++, to += 3) pixel_anywhere(s, y, x, to);
    }
}

/* RGB images (height, width, 3) read at p + vector, bilinear: each cell of (rows, columns) from the picture that it points into. */
void motion_predict(const Vector *step, const int32_t *references, int64_t rows, int64_t columns, int64_t cell,
                    const int32_t *names, const uint8_t *const *images, int64_t height, int64_t width, float *out) {
    int64_t place = 0;
    for (int64_t row = 0, i = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++, i++) {
            float x = within(step[i].x, -FAR, FAR), y = within(step[i].y, -FAR, FAR), left = floorf(x), top = floorf(y);
            place = place_of(references[i], names, place);
            Source s = {images[place], height, width, (int64_t)left, (int64_t)top, x - left, y - top};
            int64_t bottom = (row + 1) * cell, right = (column + 1) * cell;
            predict_cell(&s, row * cell, bottom < height ? bottom : height, column * cell, right < width ? right : width, out);
        }
}
