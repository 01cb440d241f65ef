/* From rows of float32 weights to the tiles that linear.c reads.
 *
 * 8 bits: w = scale[row] * (q - 128), symmetric, the largest of a row at 127 steps.
 *
 * 4 bits, in groups of 32 of a row: w = scale[row] * s * (q - z), q of 0 to 15; s has eight
 * bits as a small float (three of exponent, five of fraction, 2^-7 to 2 - 2^-5), z eight
 * bits in sixteenths of a step, 0 to 15.94. Of many clipped ranges each group takes the one
 * of least squared error, refined by weighted least squares (for given q the best s and z
 * are a line through the points (q, w); llama.cpp's K formats search alike). Errors weigh
 * as much as the inputs that meet them: by the mean square of the activations, where known.
 */
#include "vector.h"
#include <math.h>

enum { TILE = 32, GROUP = 32, BLOCK8 = 1024, WEIGHTS4 = 512, BLOCK4 = WEIGHTS4 + 2 * TILE };
static const float LARGEST = 2.0f - 1.0f / 32;
enum { SHRINKS = 5, REFINED = 3 };

static uint8_t code_of(float s) {
    if (!(s > 1.0f / 128))
        return 0;
    if (s >= LARGEST)
        return 255;
    /* In units of the fraction: a carry out of it goes on into the exponent. */
    int exponent;
    float fraction = frexpf(s, &exponent); /* [0.5, 1) */
    return (uint8_t)((exponent + 6) * 32 + (int)lrintf((fraction * 2 - 1) * 32));
}

static float value_of(uint8_t code) {
    uint32_t bits = ((uint32_t)code << 18) | (120u << 23);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

typedef struct {
    vi q0, q1;
    float error;
    uint8_t s, z;
} Choice;

/* One group: 32 weights in units of the row's scale, and what their errors weigh. */
typedef struct {
    vf w0, w1, i0, i1;
} Points;

static void attempt(const Points *p, float s, float low, Choice *best) {
    Choice c;
    c.s = code_of(s);
    const float step = value_of(c.s);
    c.z = (uint8_t)fminf(255, fmaxf(0, rintf(-low / step * 16)));
    const vf zero = vf_all(c.z / 16.0f), size = vf_all(step);
    const vf inverse = vf_all(1 / step);
    const vf top = vf_all(15), bottom = vf_zero();
    vf q0 = vf_round(vf_fma(p->w0, inverse, zero));
    vf q1 = vf_round(vf_fma(p->w1, inverse, zero));
    q0 = vf_min(top, vf_max(bottom, q0));
    q1 = vf_min(top, vf_max(bottom, q1));
    vf e0 = vf_fms(vf_sub(q0, zero), size, p->w0);
    vf e1 = vf_fms(vf_sub(q1, zero), size, p->w1);
    e0 = vf_mul(vf_mul(e0, e0), p->i0);
    e1 = vf_fma(vf_mul(e1, e1), p->i1, e0);
    c.error = vf_sum(e1);
    if (c.error < best->error) {
        c.q0 = vf_to_int(q0);
        c.q1 = vf_to_int(q1);
        *best = c;
    }
}

static void refine(const Points *p, Choice *best) {
    const vf q0 = vf_from_int(best->q0), q1 = vf_from_int(best->q1);
    const vf iq0 = vf_mul(p->i0, q0), iq1 = vf_mul(p->i1, q1);
    const float all = vf_sum(vf_add(p->i0, p->i1));
    const float q = vf_sum(vf_add(iq0, iq1));
    const float qq = vf_sum(vf_fma(iq0, q0, vf_mul(iq1, q1)));
    const float qw = vf_sum(vf_fma(iq0, p->w0, vf_mul(iq1, p->w1)));
    const float w =
        vf_sum(vf_fma(p->i0, p->w0, vf_mul(p->i1, p->w1)));
    const float spread = all * qq - q * q;
    if (spread <= 1e-6f * all * qq)
        return;
    const float s = (all * qw - q * w) / spread;
    if (s > 0)
        attempt(p, s, (w - s * q) / all, best);
}

static void choose4(const float *w, const float *importance, float inverse, Choice *best) {
    const vf unit = vf_all(inverse), one = vf_all(1);
    Points p = {vf_mul(vf_load(w), unit), vf_mul(vf_load(w + 16), unit),
                importance ? vf_load(importance) : one,
                importance ? vf_load(importance + 16) : one};
    const float low = fminf(0, vf_least(vf_min(p.w0, p.w1)));
    const float high = fmaxf(0, vf_most(vf_max(p.w0, p.w1)));
    best->error = INFINITY;
    best->s = best->z = 0;
    best->q0 = best->q1 = vi_zero();
    for (int l = 0; l < SHRINKS; l++)
        for (int h = 0; h < SHRINKS; h++) {
            const float from = low * (1 - 0.08f * l), to = high * (1 - 0.08f * h);
            attempt(&p, (to - from) / 15, from, best);
        }
    for (int n = 0; n < REFINED; n++)
        refine(&p, best);
}

/* From the lowest to the highest of a row, 0 among them. */
static float breadth(const float *w, int64_t k) {
    float widest = 0;
    for (int64_t i = 0; i < k; i += GROUP) {
        const vf a = vf_load(w + i), b = vf_load(w + i + 16);
        const float low = fminf(0, vf_least(vf_min(a, b)));
        const float high = fmaxf(0, vf_most(vf_max(a, b)));
        widest = fmaxf(widest, high - low);
    }
    return widest;
}

static float largest(const float *w, int64_t k) {
    vf most = vf_zero();
    for (int64_t i = 0; i < k; i += 16)
        most = vf_max(most, vf_abs(vf_load(w + i)));
    return vf_most(most);
}

/* A group of output o of a tile. */
static void put4(const float *w, const float *importance, float inverse, int64_t o, uint8_t *block) {
    Choice best;
    choose4(w, importance, inverse, &best);
    int32_t q[GROUP];
    vi_store(q, best.q0);
    vi_store(q + 16, best.q1);
    uint8_t *to = block + (o / 16) * 256 + (o % 16) * 4;
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < 4; i++)
            to[s * 64 + i] = (uint8_t)(q[s * 4 + i] | q[(s + 4) * 4 + i] << 4);
    block[WEIGHTS4 + o] = best.s;
    block[WEIGHTS4 + TILE + o] = best.z;
}

static void put8(const float *w, float inverse, int64_t o, uint8_t *block) {
    uint8_t q[GROUP], *to = block + (o / 16) * 512 + (o % 16) * 4;
    for (int half = 0; half < GROUP; half += 16) {
        const vf v = vf_mul(vf_load(w + half), vf_all(inverse));
        const vi n = vi_add(vf_to_int(v), vi_all(128));
        vi_store8(q + half, n);
    }
    for (int s = 0; s < 8; s++)
        memcpy(to + s * 64, q + s * 4, 4);
}

/* bits: 8 or 4. w: float[rows][k], rows at most what the tiles have room for, the others become
 * zeros. importance: float[k] or NULL, of no use to 8 bits. out: the tiles. scale: float[tiles *
 * 32]. */
void duibi_pack(int bits, const float *w, const float *importance, int64_t rows, int64_t k,
                uint8_t *out, float *scale) {
    const int64_t groups = k / GROUP, tiles = (rows + TILE - 1) / TILE;
    const int64_t size = bits == 8 ? BLOCK8 : BLOCK4;
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < tiles; t++) {
        uint8_t *tile = out + t * groups * size;
        memset(tile, bits == 8 ? 128 : 0, (size_t)(groups * size));
        for (int64_t o = 0; o < TILE; o++) {
            const int64_t row = t * TILE + o;
            scale[row] = 0;
            if (row >= rows)
                continue;
            const float *from = w + row * k;
            const float top = bits == 8 ? largest(from, k) : breadth(from, k);
            if (!(top > 1e-30f))
                continue;
            scale[row] = bits == 8 ? top / 127 : top / 15 / LARGEST;
            for (int64_t g = 0; g < groups; g++, from += GROUP)
                if (bits == 8)
                    put8(from, 127 / top, o, tile + g * size);
                else
                    put4(from, importance ? importance + g * GROUP : NULL, 1 / scale[row], o,
                         tile + g * size);
        }
    }
}
