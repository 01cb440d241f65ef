/* Linear layers over 8- and 4-bit weights, in integers.
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
 * so that products and sums within a group are exact integers, whatever the instructions: those
 * of VNNI multiply unsigned bytes (weights) by signed ones (activations) and add four products
 * to an int32; vector_avx2.h says what is done without.
 */
#include "common.h"

enum { TILE = 32, GROUP = 32, ROWS = 128 };
/* Rows and halves of a tile that are computed together, as the registers allow. Up to a FEW rows,
 * where memory is what takes the time, halves of 8 bits come one by one, as they lie there. */
enum { AT_ONCE = 4, HALVES = VECTORS < 32 ? 1 : 2, FEW = 8 };
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
    vf a = load(x, 0, 1), b = load(x, 16, 1);
    /* Compared as integers, a NaN is the largest of all: it is not lost. */
    vi size = vi_max_unsigned(vi_and(vf_bits(a), vi_all(0x7fffffff)),
                                    vi_and(vf_bits(b), vi_all(0x7fffffff)));
    uint32_t most = vi_most_unsigned(size);
    float top;
    memcpy(&top, &most, 4);
    *scale = most >= 0x7f800000u ? __builtin_nanf("") : top / 127.0f;
    vf inverse = vf_all(top > 1e-30f && most < 0x7f800000u ? 127.0f / top : 0.0f);
    vi qa = vf_to_int(vf_mul(a, inverse));
    vi qb = vf_to_int(vf_mul(b, inverse));
    *sum = vi_sum(vi_add(qa, qb));
    vi_store8_signed(q, qa);
    vi_store8_signed(q + 16, qb);
}

/* Three bits of exponent and five of fraction, from 2^-7 to 2 - 2^-5. */
static inline vf scales_of(const uint8_t *codes) {
    vi bits = vi_load8(codes);
    bits = vi_or(vi_left(bits, 18), vi_all(120 << 23));
    return vf_from_bits(bits);
}

/* In sixteenths. */
static inline vf zeros_of(const uint8_t *codes) {
    vi whole = vi_load8(codes);
    return vf_mul(vf_from_int(whole), vf_all(1.0f / 16));
}

static inline vi four(const int8_t *q) {
    int32_t word;
    memcpy(&word, q, 4);
    return vi_all(word);
}

/* One group and `rows` rows from place `at`; rows and halves are known where this is inlined.
 * The products are added to acc[rows][32]. */
INLINE void group8(const uint8_t *w, const Steps *a, int64_t at, int rows, int halves, float *acc) {
    for (int half = 0; half < 2; half += halves) {
        vi d[AT_ONCE][HALVES];
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < halves; h++)
                d[r][h] = dot8_begin(a->sum[at + r]);
        for (int s = 0; s < 8; s++) {
            vi v[HALVES];
            for (int h = 0; h < halves; h++)
                v[h] = dot8_weights(w + 512 * (half + h) + 64 * s);
            for (int r = 0; r < rows; r++) {
                const vi x = four(a->q + (at + r) * GROUP + 4 * s);
                for (int h = 0; h < halves; h++)
                    d[r][h] = dot8(d[r][h], v[h], x);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < halves; h++) {
                float *to = acc + r * TILE + 16 * (half + h);
                const vf unit = vf_all(a->scale[at + r]);
                vf_store(to, vf_fma(unit, vf_from_int(d[r][h]), vf_load(to)));
            }
    }
}

/* A group of weights in 4 bits, one to a byte, with their scales and what these make of zeros. */
typedef struct {
    vi q[8][HALVES];
    vf size[HALVES], zero[HALVES];
} Opened;

INLINE Opened opened(const uint8_t *w, int half) {
    Opened o;
    for (int h = 0; h < HALVES; h++) {
        for (int s = 0; s < 4; s++) {
            const vi pairs = vi_load(w + 256 * (half + h) + 64 * s);
            o.q[s][h] = dot4_low(pairs);
            o.q[s + 4][h] = dot4_high(pairs);
        }
        const uint8_t *codes = w + WEIGHTS4 + 16 * (half + h);
        o.size[h] = scales_of(codes);
        o.zero[h] = vf_mul(o.size[h], zeros_of(codes + TILE));
    }
    return o;
}

/* As group8; `held` is the opened group where the registers have room for it, or NULL. */
INLINE void group4(const uint8_t *w, const Opened *held, const Steps *a, int64_t at, int rows,
                   float *acc) {
    for (int half = 0; half < 2; half += HALVES) {
        const Opened o = held ? *held : opened(w, half);
        vi d[AT_ONCE][HALVES];
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < HALVES; h++)
                d[r][h] = vi_zero();
        for (int s = 0; s < 8; s++)
            for (int r = 0; r < rows; r++) {
                const vi x = four(a->q + (at + r) * GROUP + 4 * s);
                for (int h = 0; h < HALVES; h++)
                    d[r][h] = dot4(d[r][h], o.q[s][h], x);
            }
        for (int r = 0; r < rows; r++) {
            /* The sum of x s (q - zero) over the group, in units of the row's scale. */
            const vf sum = vf_all((float)a->sum[at + r]), unit = vf_all(a->scale[at + r]);
            for (int h = 0; h < HALVES; h++) {
                const vf p = vf_fms(o.size[h], vf_from_int(dot4_end(d[r][h])), vf_mul(o.zero[h], sum));
                float *to = acc + r * TILE + 16 * (half + h);
                vf_store(to, vf_fma(unit, p, vf_load(to)));
            }
        }
    }
}

/* `bits` and `halves` are known where this is inlined. */
INLINE void group(int bits, int halves, const uint8_t *w, const Opened *held, const Steps *a,
                  int64_t at, int rows, float *acc) {
    if (bits == 8)
        group8(w, a, at, rows, halves, acc);
    else
        group4(w, held, a, at, rows, acc);
}

/* The products of `rows` rows with one tile are added up in acc[rows][32]. */
INLINE void tile(int bits, int halves, const uint8_t *w, int64_t groups, const Steps *a, int64_t all,
                 int64_t first, int64_t rows, float *acc) {
    const int64_t block = bits == 8 ? BLOCK8 : BLOCK4;
    for (int64_t g = 0; g < groups; g++, w += block) {
        for (int64_t i = 0; i < block; i += 64)
            _mm_prefetch((const char *)w + 4096 + i, _MM_HINT_T0);
        Opened whole;
        const Opened *held = NULL;
        if (bits == 4 && HALVES == 2) {
            whole = opened(w, 0);
            held = &whole;
        }
        const int64_t at = g * all + first;
        const int at_once = bits == 4 && HALVES == 2 ? 1 : AT_ONCE;
        int64_t r = 0;
        for (; r + at_once <= rows; r += at_once)
            group(bits, halves, w, held, a, at + r, at_once, acc + r * TILE);
        switch (rows - r) {
        case 3:
            group(bits, halves, w, held, a, at + r, 3, acc + r * TILE);
            break;
        case 2:
            group(bits, halves, w, held, a, at + r, 2, acc + r * TILE);
            break;
        case 1:
            group(bits, halves, w, held, a, at + r, 1, acc + r * TILE);
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
                const uint8_t *from = w + t * stride;
                memset(acc, 0, (size_t)many * TILE * sizeof(float));
                if (bits == 4)
                    tile(4, HALVES, from, groups, &a, rows, first, many, acc);
                else if (many <= FEW)
                    tile(8, 1, from, groups, &a, rows, first, many, acc);
                else
                    tile(8, HALVES, from, groups, &a, rows, first, many, acc);
                for (int64_t r = 0; r < many; r++)
                    for (int half = 0; half < TILE; half += 16) {
                        const int64_t o = t * TILE + half;
                        if (o >= n)
                            break;
                        vf v = vf_load(acc + r * TILE + half);
                        v = vf_mul(v, vf_load(scale + o));
                        uint16_t *to = y + (first + r) * n + o;
                        if (n - o >= 16) {
                            if (bias)
                                v = vf_add(v, vf_load(bias + o));
                            store(to, 0, v, 1);
                        } else {
                            uint16_t last[16];
                            if (bias)
                                v = vf_add(v, vf_load_first(bias + o, n - o, vf_zero()));
                            store(last, 0, v, 1);
                            memcpy(to, last, (size_t)(n - o) * 2);
                        }
                    }
            }
    }
    return 0;
}
