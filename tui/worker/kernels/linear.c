/* Linear layers over 8- and 4-bit weights, for CPUs with AVX-512 VNNI.
 *
 * Weights lie in tiles of 32 outputs; a tile is a run of blocks, one for each 32 inputs (a
 * group), in the order in which they are read, so that a pass over them is one stream:
 *
 *   8 bits: 2 halves x 8 steps x 16 outputs x 4 inputs, a byte each: q + 128.
 *   4 bits: 2 halves x 4 steps x 16 outputs x 4 inputs, a byte each: q of step s in its low
 *           half, of step s + 4 in its high half; then a byte of scale and a byte of zero
 *           for each of the 32 outputs (pack.c says what they mean).
 *
 * Activations get 8 bits and a scale for each row and group (as llama.cpp's Q8_0 has them),
 * so that products and sums within a group are exact integers: VPDPBUSD multiplies unsigned
 * bytes (weights) by signed ones (activations) and adds four products to an int32.
 */
#include "common.h"

enum { TILE = 32, GROUP = 32, ROWS = 128 };
enum { BLOCK8 = 1024, WEIGHTS4 = 512, BLOCK4 = WEIGHTS4 + 2 * TILE };

/* While it is not 0, products are left as they are: nobody wants what is being computed. */
volatile int duibi_stop = 0;

/* Activations in 8 bits, group by group: all rows of group 0, then of group 1, ... */
typedef struct {
    int8_t *q;    /* [groups][rows][32] */
    float *scale; /* [groups][rows] */
    int32_t *sum; /* [groups][rows]: of a group's q */
} Steps;

static void steps_of_group(const uint16_t *x, int8_t *q, float *scale, int32_t *sum) {
    __m512 a = load(x, 0, 1), b = load(x, 16, 1);
    /* Compared as integers, a NaN is the largest of all: it is not lost. */
    __m512i size = _mm512_max_epu32(_mm512_and_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)),
                                    _mm512_and_epi32(_mm512_castps_si512(b), _mm512_set1_epi32(0x7fffffff)));
    uint32_t most = _mm512_reduce_max_epu32(size);
    float top;
    memcpy(&top, &most, 4);
    *scale = most >= 0x7f800000u ? __builtin_nanf("") : top / 127.0f;
    __m512 inverse = _mm512_set1_ps(top > 1e-30f && most < 0x7f800000u ? 127.0f / top : 0.0f);
    __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
    __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    *sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
    _mm_storeu_si128((__m128i *)q, _mm512_cvtsepi32_epi8(qa));
    _mm_storeu_si128((__m128i *)(q + 16), _mm512_cvtsepi32_epi8(qb));
}

/* Three bits of exponent and five of fraction, from 2^-7 to 2 - 2^-5. */
static inline __m512 scales_of(const uint8_t *codes) {
    __m512i bits = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes));
    bits = _mm512_or_epi32(_mm512_slli_epi32(bits, 18), _mm512_set1_epi32(120 << 23));
    return _mm512_castsi512_ps(bits);
}

/* In sixteenths. */
static inline __m512 zeros_of(const uint8_t *codes) {
    __m512i whole = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(1.0f / 16));
}

static inline __m512i four(const int8_t *q) {
    int32_t word;
    memcpy(&word, q, 4);
    return _mm512_set1_epi32(word);
}

/* The products of `rows` rows with one tile are added up in acc[rows][32]. */
static inline void tile8(const uint8_t *w, int64_t groups, const Steps *a, int64_t all,
                         int64_t first, int64_t rows, float *acc) {
    for (int64_t g = 0; g < groups; g++, w += BLOCK8) {
        __m512i w0[8], w1[8];
        for (int s = 0; s < 8; s++) {
            w0[s] = _mm512_loadu_si512(w + 64 * s);
            w1[s] = _mm512_loadu_si512(w + 512 + 64 * s);
            _mm_prefetch((const char *)w + 4096 + 64 * s, _MM_HINT_T0);
            _mm_prefetch((const char *)w + 4096 + 512 + 64 * s, _MM_HINT_T0);
        }
        const int64_t at = g * all + first;
        for (int64_t r = 0; r < rows; r++) {
            const int8_t *q = a->q + (at + r) * GROUP;
            /* Weights are 128 too large, which makes them unsigned. */
            __m512i d0 = _mm512_set1_epi32(-128 * a->sum[at + r]), d1 = d0;
            for (int s = 0; s < 8; s++) {
                __m512i v = four(q + 4 * s);
                d0 = _mm512_dpbusd_epi32(d0, w0[s], v);
                d1 = _mm512_dpbusd_epi32(d1, w1[s], v);
            }
            __m512 unit = _mm512_set1_ps(a->scale[at + r]);
            float *to = acc + r * TILE;
            _mm512_storeu_ps(to, _mm512_fmadd_ps(unit, _mm512_cvtepi32_ps(d0), _mm512_loadu_ps(to)));
            _mm512_storeu_ps(to + 16, _mm512_fmadd_ps(unit, _mm512_cvtepi32_ps(d1), _mm512_loadu_ps(to + 16)));
        }
    }
}

static inline void tile4(const uint8_t *w, int64_t groups, const Steps *a, int64_t all,
                         int64_t first, int64_t rows, float *acc) {
    const __m512i low = _mm512_set1_epi8(15);
    for (int64_t g = 0; g < groups; g++, w += BLOCK4) {
        __m512i w0[8], w1[8];
        for (int s = 0; s < 4; s++) {
            __m512i x = _mm512_loadu_si512(w + 64 * s), y = _mm512_loadu_si512(w + 256 + 64 * s);
            w0[s] = _mm512_and_si512(x, low);
            w0[s + 4] = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
            w1[s] = _mm512_and_si512(y, low);
            w1[s + 4] = _mm512_and_si512(_mm512_srli_epi16(y, 4), low);
        }
        for (int s = 0; s < BLOCK4 / 64; s++)
            _mm_prefetch((const char *)w + 4096 + 64 * s, _MM_HINT_T0);
        const uint8_t *codes = w + WEIGHTS4;
        __m512 s0 = scales_of(codes), s1 = scales_of(codes + 16);
        __m512 z0 = _mm512_mul_ps(s0, zeros_of(codes + TILE));
        __m512 z1 = _mm512_mul_ps(s1, zeros_of(codes + TILE + 16));
        const int64_t at = g * all + first;
        for (int64_t r = 0; r < rows; r++) {
            const int8_t *q = a->q + (at + r) * GROUP;
            __m512i d0 = _mm512_setzero_si512(), d1 = d0;
            for (int s = 0; s < 8; s++) {
                __m512i v = four(q + 4 * s);
                d0 = _mm512_dpbusd_epi32(d0, w0[s], v);
                d1 = _mm512_dpbusd_epi32(d1, w1[s], v);
            }
            /* The sum of x s (q - zero) over the group, in units of the row's scale. */
            __m512 unit = _mm512_set1_ps(a->scale[at + r]);
            __m512 sum = _mm512_set1_ps((float)a->sum[at + r]);
            __m512 p0 = _mm512_fmsub_ps(s0, _mm512_cvtepi32_ps(d0), _mm512_mul_ps(z0, sum));
            __m512 p1 = _mm512_fmsub_ps(s1, _mm512_cvtepi32_ps(d1), _mm512_mul_ps(z1, sum));
            float *to = acc + r * TILE;
            _mm512_storeu_ps(to, _mm512_fmadd_ps(unit, p0, _mm512_loadu_ps(to)));
            _mm512_storeu_ps(to + 16, _mm512_fmadd_ps(unit, p1, _mm512_loadu_ps(to + 16)));
        }
    }
}

/* y[rows][n] = x[rows][k] W^T + bias, x and y in bfloat16.
 *
 * bits: 8 or 4. w: the tiles of n outputs, filled up to a whole tile. scale: float[tiles * 32],
 * one for each output. bias: float[n] or NULL. k is a multiple of 32.
 * Returns 0, or 1 where there was no memory.
 */
int duibi_linear(int bits, const uint16_t *x, int64_t rows, int64_t k, int64_t n, const uint8_t *w,
                 const float *scale, const float *bias, uint16_t *y) {
    const int64_t groups = k / GROUP, tiles = (n + TILE - 1) / TILE;
    const int64_t stride = groups * (bits == 8 ? BLOCK8 : BLOCK4);
    int8_t *room = scratch((size_t)(rows * groups) * (GROUP + 8));
    if (!room)
        return 1;
    Steps a = {room, (float *)(room + rows * k), NULL};
    a.sum = (int32_t *)(a.scale + rows * groups);
    const int alone = rows == 1;
    if (alone)
        for (int64_t g = 0; g < groups; g++)
            steps_of_group(x + g * GROUP, a.q + g * GROUP, a.scale + g, a.sum + g);
#pragma omp parallel
    {
        float acc[ROWS * TILE] __attribute__((aligned(64)));
        if (!alone) {
#pragma omp for schedule(static)
            for (int64_t r = 0; r < rows; r++)
                for (int64_t g = 0; g < groups; g++) {
                    int64_t at = g * rows + r;
                    steps_of_group(x + r * k + g * GROUP, a.q + at * GROUP, a.scale + at, a.sum + at);
                }
        }
#pragma omp for schedule(static) collapse(2)
        for (int64_t first = 0; first < rows; first += ROWS)
            for (int64_t t = 0; t < tiles; t++) {
                if (duibi_stop)
                    continue;
                const int64_t many = rows - first < ROWS ? rows - first : ROWS;
                const uint8_t *tile = w + t * stride;
                memset(acc, 0, (size_t)many * TILE * sizeof(float));
                if (bits == 8)
                    tile8(tile, groups, &a, rows, first, many, acc);
                else
                    tile4(tile, groups, &a, rows, first, many, acc);
                for (int64_t r = 0; r < many; r++)
                    for (int half = 0; half < TILE; half += 16) {
                        const int64_t o = t * TILE + half;
                        if (o >= n)
                            break;
                        __m512 v = _mm512_load_ps(acc + r * TILE + half);
                        v = _mm512_mul_ps(v, _mm512_loadu_ps(scale + o));
                        uint16_t *to = y + (first + r) * n + o;
                        if (n - o >= 16) {
                            if (bias)
                                v = _mm512_add_ps(v, _mm512_loadu_ps(bias + o));
                            store(to, 0, v, 1);
                        } else {
                            const __mmask16 part = (__mmask16)((1u << (n - o)) - 1);
                            uint16_t last[16];
                            if (bias)
                                v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(part, bias + o));
                            store(last, 0, v, 1);
                            memcpy(to, last, (size_t)(n - o) * 2);
                        }
                    }
            }
    }
    return 0;
}
