/* From rows of float32 weights to the tiles that duibi.h describes.
 *
 * 4 bits: of several clipped ranges each group takes the one of least squared error, refined by
 * weighted least squares (for given q the best s and z are a line through the points (q, w);
 * llama.cpp's K formats search alike). Errors are weighted by the mean square of the inputs that
 * meet them, where it is known. 6 bits: of several scales around that of the largest weight, alike.
 */
#include "duibi.h"
#include "vector.h"
#include <math.h>

static const float MAX_SCALE = 2.0f - 1.0f / 32;
/* Candidates for either end of a range, and refinements of the best one. */
enum { CLIP_STEPS = 5, REFINEMENTS = 3 };

static uint8_t encode_scale(float s) {
    if (!(s > 1.0f / 128))
        return 0;
    if (s >= MAX_SCALE)
        return 255;
    /* In units of the fraction: a carry out of it increments the exponent. */
    int exponent;
    float fraction = frexpf(s, &exponent); /* [0.5, 1) */
    return (uint8_t)((exponent + 6) * 32 + (int)lrintf((fraction * 2 - 1) * 32));
}

static float decode_scale(uint8_t code) {
    uint32_t bits = ((uint32_t)code << 18) | (120u << 23);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

typedef struct {
    vi q0, q1;
    float error;
    uint8_t s, z;
} QuantisedGroup;

/* One group: 32 weights in units of the row's scale, and the weights of their errors. */
typedef struct {
    vf w0, w1, i0, i1;
} GroupWeights;

static void try_range(const GroupWeights *p, float s, float low, QuantisedGroup *best) {
    QuantisedGroup c;
    c.s = encode_scale(s);
    const float step = decode_scale(c.s);
    c.z = (uint8_t)fminf(255, fmaxf(0, rintf(-low / step * 16)));
    const vf zero = vf_set1(c.z / 16.0f), size = vf_set1(step);
    const vf inverse = vf_set1(1 / step);
    const vf top = vf_set1(15), bottom = vf_zero();
    vf q0 = vf_round(vf_fma(p->w0, inverse, zero));
    vf q1 = vf_round(vf_fma(p->w1, inverse, zero));
    q0 = vf_min(top, vf_max(bottom, q0));
    q1 = vf_min(top, vf_max(bottom, q1));
    vf e0 = vf_fms(vf_sub(q0, zero), size, p->w0);
    vf e1 = vf_fms(vf_sub(q1, zero), size, p->w1);
    e0 = vf_mul(vf_mul(e0, e0), p->i0);
    e1 = vf_fma(vf_mul(e1, e1), p->i1, e0);
    c.error = vf_reduce_add(e1);
    if (c.error < best->error) {
        c.q0 = vf_to_int(q0);
        c.q1 = vf_to_int(q1);
        *best = c;
    }
}

static void refine_range(const GroupWeights *p, QuantisedGroup *best) {
    const vf q0 = vf_from_int(best->q0), q1 = vf_from_int(best->q1);
    const vf iq0 = vf_mul(p->i0, q0), iq1 = vf_mul(p->i1, q1);
    const float all = vf_reduce_add(vf_add(p->i0, p->i1));
    const float q = vf_reduce_add(vf_add(iq0, iq1));
    const float qq = vf_reduce_add(vf_fma(iq0, q0, vf_mul(iq1, q1)));
    const float qw = vf_reduce_add(vf_fma(iq0, p->w0, vf_mul(iq1, p->w1)));
    const float w = vf_reduce_add(vf_fma(p->i0, p->w0, vf_mul(p->i1, p->w1)));
    const float spread = fmaf(all, qq, -(q * q));
    if (spread <= 1e-6f * all * qq)
        return;
    const float s = fmaf(all, qw, -(q * w)) / spread;
    if (s > 0)
        try_range(p, s, fmaf(-s, q, w) / all, best);
}

static void best_range(const float *w, const float *importance, float inverse,
                       QuantisedGroup *best) {
    const vf unit = vf_set1(inverse), one = vf_set1(1);
    GroupWeights p = {vf_mul(vf_load(w), unit), vf_mul(vf_load(w + 16), unit),
                      importance ? vf_load(importance) : one,
                      importance ? vf_load(importance + 16) : one};
    const float low = fminf(0, vf_reduce_min(vf_min(p.w0, p.w1)));
    const float high = fmaxf(0, vf_reduce_max(vf_max(p.w0, p.w1)));
    best->error = INFINITY;
    best->s = best->z = 0;
    best->q0 = best->q1 = vi_zero();
    for (int l = 0; l < CLIP_STEPS; l++)
        for (int h = 0; h < CLIP_STEPS; h++) {
            const float from = low * (1 - 0.08f * l), to = high * (1 - 0.08f * h);
            try_range(&p, (to - from) / 15, from, best);
        }
    for (int n = 0; n < REFINEMENTS; n++)
        refine_range(&p, best);
}

/* The largest range of a group of the row, 0 included. */
static float row_range(const float *w, int64_t k) {
    float widest = 0;
    for (int64_t i = 0; i < k; i += DUIBI_GROUP) {
        const vf a = vf_load(w + i), b = vf_load(w + i + 16);
        const float low = fminf(0, vf_reduce_min(vf_min(a, b)));
        const float high = fmaxf(0, vf_reduce_max(vf_max(a, b)));
        widest = fmaxf(widest, high - low);
    }
    return widest;
}

static float row_max_abs(const float *w, int64_t k) {
    vf most = vf_zero();
    for (int64_t i = 0; i < k; i += 16)
        most = vf_max(most, vf_abs(vf_load(w + i)));
    return vf_reduce_max(most);
}

/* Packs the group of output o of a tile. */
static void store_group4(const float *w, const float *importance, float inverse, int64_t o,
                         uint8_t *block) {
    QuantisedGroup best;
    best_range(w, importance, inverse, &best);
    int32_t q[DUIBI_GROUP];
    vi_store(q, best.q0);
    vi_store(q + 16, best.q1);
    uint8_t *to = block + (o / 16) * 256 + (o % 16) * 4;
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < 4; i++)
            to[s * 64 + i] = (uint8_t)(q[s * 4 + i] | q[(s + 4) * 4 + i] << 4);
    block[DUIBI_INT4_WEIGHTS + o] = best.s;
    block[DUIBI_INT4_WEIGHTS + DUIBI_TILE + o] = best.z;
}

/* Codes of a scale that are tried: up to so many smaller ones than the largest weight's, where the
 * errors have weights, and one that is larger. Without weights a smaller scale costs more than it
 * spares: the largest weights are those of inputs that matter. */
enum { SMALLER_SCALES = 8, LARGER_SCALES = 1 };

static void store_group6(const float *w, const float *importance, float inverse, int64_t o,
                         uint8_t *block) {
    const vf unit = vf_set1(inverse), one = vf_set1(1);
    const vf w0 = vf_mul(vf_load(w), unit), w1 = vf_mul(vf_load(w + 16), unit);
    const vf i0 = importance ? vf_load(importance) : one;
    const vf i1 = importance ? vf_load(importance + 16) : one;
    const vf top = vf_set1(31), bottom = vf_set1(-32);
    const int widest = encode_scale(vf_reduce_max(vf_max(vf_abs(w0), vf_abs(w1))) / 31);
    float least = INFINITY;
    int32_t q[DUIBI_GROUP];
    vi_store(q, vi_zero());
    vi_store(q + 16, vi_zero());
    int best = widest;
    const int from = importance ? widest - SMALLER_SCALES : widest;
    for (int code = from < 0 ? 0 : from; code <= widest + LARGER_SCALES && code < 256; code++) {
        const float step = decode_scale((uint8_t)code);
        const vf each = vf_set1(1 / step), size = vf_set1(step);
        const vf q0 = vf_min(top, vf_max(bottom, vf_round(vf_mul(w0, each))));
        const vf q1 = vf_min(top, vf_max(bottom, vf_round(vf_mul(w1, each))));
        const vf e0 = vf_fms(q0, size, w0), e1 = vf_fms(q1, size, w1);
        const float error =
            vf_reduce_add(vf_fma(vf_mul(e1, e1), i1, vf_mul(vf_mul(e0, e0), i0)));
        if (error < least) {
            least = error;
            best = code;
            vi_store(q, vf_to_int(q0));
            vi_store(q + 16, vf_to_int(q1));
        }
    }
    uint8_t *low = block + (o / 16) * 256 + (o % 16) * 4;
    uint8_t *high = block + DUIBI_INT4_WEIGHTS + (o / 16) * 128 + (o % 16) * 4;
    for (int i = 0; i < DUIBI_GROUP; i++) {
        const int s = i / 4, value = q[i] + 32;
        low[s % 4 * 64 + i % 4] |= (uint8_t)((value & 15) << s / 4 * 4);
        high[s % 2 * 64 + i % 4] |= (uint8_t)(value >> 4 << s / 2 * 2);
    }
    block[DUIBI_INT6_WEIGHTS + o] = (uint8_t)best;
}

static void store_group8(const float *w, float inverse, int64_t o, uint8_t *block) {
    uint8_t q[DUIBI_GROUP], *to = block + (o / 16) * 512 + (o % 16) * 4;
    for (int offset = 0; offset < DUIBI_GROUP; offset += 16) {
        const vf v = vf_mul(vf_load(w + offset), vf_set1(inverse));
        const vi n = vi_add(vf_to_int(v), vi_set1(128));
        vi_store8(q + offset, n);
    }
    for (int s = 0; s < 8; s++)
        memcpy(to + s * 64, q + s * 4, 4);
}

void duibi_pack_quantised(int bits, const float *w, const float *importance, int64_t rows,
                          int64_t inputs, uint8_t *tiles, float *scale) {
    const int64_t groups = inputs / DUIBI_GROUP, tile_count = (rows + DUIBI_TILE - 1) / DUIBI_TILE;
    const int64_t block = duibi_block_bytes(bits);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < tile_count; t++) {
        uint8_t *tile = tiles + t * groups * block;
        memset(tile, bits == 8 ? 128 : 0, (size_t)(groups * block));
        for (int64_t o = 0; o < DUIBI_TILE; o++) {
            const int64_t row = t * DUIBI_TILE + o;
            scale[row] = 0;
            if (row >= rows)
                continue;
            const float *from = w + row * inputs;
            const float size = bits == 4 ? row_range(from, inputs) : row_max_abs(from, inputs);
            if (!(size > 1e-30f))
                continue;
            scale[row] = bits == 8 ? size / 127 : size / (bits == 6 ? 31 : 15) / MAX_SCALE;
            for (int64_t g = 0; g < groups; g++, from += DUIBI_GROUP) {
                const float *weighs = importance ? importance + g * DUIBI_GROUP : NULL;
                uint8_t *to = tile + g * block;
                if (bits == 8)
                    store_group8(from, 127 / size, o, to);
                else if (bits == 6)
                    store_group6(from, weighs, 1 / scale[row], o, to);
                else
                    store_group4(from, weighs, 1 / scale[row], o, to);
            }
        }
    }
}
