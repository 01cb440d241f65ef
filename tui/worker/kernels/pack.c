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
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

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
    __m512i q0, q1;
    float error;
    uint8_t s, z;
} Choice;

/* One group: 32 weights in units of the row's scale, and what their errors weigh. */
typedef struct {
    __m512 w0, w1, i0, i1;
} Points;

static void attempt(const Points *p, float s, float low, Choice *best) {
    Choice c;
    c.s = code_of(s);
    const float step = value_of(c.s);
    c.z = (uint8_t)fminf(255, fmaxf(0, rintf(-low / step * 16)));
    const __m512 zero = _mm512_set1_ps(c.z / 16.0f), size = _mm512_set1_ps(step);
    const __m512 inverse = _mm512_set1_ps(1 / step);
    const __m512 top = _mm512_set1_ps(15), bottom = _mm512_setzero_ps();
    __m512 q0 = _mm512_roundscale_ps(_mm512_fmadd_ps(p->w0, inverse, zero), 8);
    __m512 q1 = _mm512_roundscale_ps(_mm512_fmadd_ps(p->w1, inverse, zero), 8);
    q0 = _mm512_min_ps(top, _mm512_max_ps(bottom, q0));
    q1 = _mm512_min_ps(top, _mm512_max_ps(bottom, q1));
    __m512 e0 = _mm512_fmsub_ps(_mm512_sub_ps(q0, zero), size, p->w0);
    __m512 e1 = _mm512_fmsub_ps(_mm512_sub_ps(q1, zero), size, p->w1);
    e0 = _mm512_mul_ps(_mm512_mul_ps(e0, e0), p->i0);
    e1 = _mm512_fmadd_ps(_mm512_mul_ps(e1, e1), p->i1, e0);
    c.error = _mm512_reduce_add_ps(e1);
    if (c.error < best->error) {
        c.q0 = _mm512_cvtps_epi32(q0);
        c.q1 = _mm512_cvtps_epi32(q1);
        *best = c;
    }
}

static void refine(const Points *p, Choice *best) {
    const __m512 q0 = _mm512_cvtepi32_ps(best->q0), q1 = _mm512_cvtepi32_ps(best->q1);
    const __m512 iq0 = _mm512_mul_ps(p->i0, q0), iq1 = _mm512_mul_ps(p->i1, q1);
    const float all = _mm512_reduce_add_ps(_mm512_add_ps(p->i0, p->i1));
    const float q = _mm512_reduce_add_ps(_mm512_add_ps(iq0, iq1));
    const float qq = _mm512_reduce_add_ps(_mm512_fmadd_ps(iq0, q0, _mm512_mul_ps(iq1, q1)));
    const float qw = _mm512_reduce_add_ps(_mm512_fmadd_ps(iq0, p->w0, _mm512_mul_ps(iq1, p->w1)));
    const float w =
        _mm512_reduce_add_ps(_mm512_fmadd_ps(p->i0, p->w0, _mm512_mul_ps(p->i1, p->w1)));
    const float spread = all * qq - q * q;
    if (spread <= 1e-6f * all * qq)
        return;
    const float s = (all * qw - q * w) / spread;
    if (s > 0)
        attempt(p, s, (w - s * q) / all, best);
}

static void choose4(const float *w, const float *importance, float inverse, Choice *best) {
    const __m512 unit = _mm512_set1_ps(inverse), one = _mm512_set1_ps(1);
    Points p = {_mm512_mul_ps(_mm512_loadu_ps(w), unit), _mm512_mul_ps(_mm512_loadu_ps(w + 16), unit),
                importance ? _mm512_loadu_ps(importance) : one,
                importance ? _mm512_loadu_ps(importance + 16) : one};
    const float low = fminf(0, _mm512_reduce_min_ps(_mm512_min_ps(p.w0, p.w1)));
    const float high = fmaxf(0, _mm512_reduce_max_ps(_mm512_max_ps(p.w0, p.w1)));
    best->error = INFINITY;
    best->s = best->z = 0;
    best->q0 = best->q1 = _mm512_setzero_si512();
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
        const __m512 a = _mm512_loadu_ps(w + i), b = _mm512_loadu_ps(w + i + 16);
        const float low = fminf(0, _mm512_reduce_min_ps(_mm512_min_ps(a, b)));
        const float high = fmaxf(0, _mm512_reduce_max_ps(_mm512_max_ps(a, b)));
        widest = fmaxf(widest, high - low);
    }
    return widest;
}

static float largest(const float *w, int64_t k) {
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(w + i)));
    return _mm512_reduce_max_ps(most);
}

/* A group of output o of a tile. */
static void put4(const float *w, const float *importance, float inverse, int64_t o, uint8_t *block) {
    Choice best;
    choose4(w, importance, inverse, &best);
    int32_t q[GROUP];
    _mm512_storeu_si512(q, best.q0);
    _mm512_storeu_si512(q + 16, best.q1);
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
        const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(w + half), _mm512_set1_ps(inverse));
        const __m512i n = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(128));
        _mm_storeu_si128((__m128i *)(q + half), _mm512_cvtepi32_epi8(n));
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
