/* Linear layers over bfloat16 weights as checkpoints hold them, row after row, in float32.
 *
 * Reading the weights is what takes the time where rows are few, and float32 arithmetic on
 * them is free; and the weights can stay in the mapped file. A register of 32 weights is
 * made two of float32 by a shift and a mask: of those at even places and those at odd ones.
 * The activations are put into that order first. Matrices with the same input are computed
 * as one, each where it lies.
 */
#include "common.h"

/* Outputs and rows at a time: their sums fill half of the registers. */
enum { OUTS = VECTORS < 32 ? 2 : 4, ROWS = OUTS, WIDE = 32, CHUNK = 1024, FEW = 16, MOST = 128 };
/* Bytes from what is read to what is fetched meanwhile, where rows are few and no longer than
 * so many inputs: at the start of each a processor waits for memory otherwise; of longer ones
 * it sees by itself what comes next, and is only slowed down. */
enum { AHEAD = 4608, SHORT = 1792 };

typedef struct {
    int64_t outputs;
    const uint16_t *weight; /* bfloat16[outputs][k] */
    const float *bias;      /* float[outputs] or NULL */
} Matrix;

extern volatile int duibi_stop; /* linear.c */

static inline vf even_of(vi v) { return vf_from_bits(vi_left(v, 16)); }

static inline vf odd_of(vi v) {
    return vf_from_bits(vi_and(v, vi_all((int)0xffff0000)));
}

/* sums[rows][OUTS] += products of `wide` * 32 inputs; rows is known where this is inlined. */
static inline __attribute__((always_inline)) void block(const uint16_t *const *w, const float *x,
                                                        int64_t pitch, int64_t wide, int rows,
                                                        int outs, int ahead, float *sums) {
    vf acc[4][OUTS];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outs; o++)
            acc[r][o] = vf_zero();
    for (int64_t i = 0; i < wide; i++) {
        vf part[OUTS];
        for (int o = 0; o < outs; o++) {
            part[o] = even_of(vi_load(w[o] + i * WIDE));
            if (ahead)
                _mm_prefetch((const char *)(w[o] + i * WIDE) + AHEAD, _MM_HINT_T0);
        }
        for (int r = 0; r < rows; r++) {
            const vf a = vf_load(x + r * pitch + i * WIDE);
            for (int o = 0; o < outs; o++)
                acc[r][o] = vf_fma(a, part[o], acc[r][o]);
        }
        for (int o = 0; o < outs; o++)
            part[o] = odd_of(vi_load(w[o] + i * WIDE));
        for (int r = 0; r < rows; r++) {
            const vf b = vf_load(x + r * pitch + i * WIDE + 16);
            for (int o = 0; o < outs; o++)
                acc[r][o] = vf_fma(b, part[o], acc[r][o]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outs; o++)
            sums[r * OUTS + o] += vf_sum(acc[r][o]);
}

/* `ahead` is known where this is inlined: a test for it would cost as much as it brings. */
static inline __attribute__((always_inline)) void any(const uint16_t *const *w, const float *x,
                                                      int64_t pitch, int64_t wide, int64_t rows,
                                                      int outs, int ahead, float *sums) {
    if (outs < OUTS) {
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < outs; o++)
                block(w + o, x + r * pitch, pitch, wide, 1, 1, 0, sums + r * OUTS + o);
        return;
    }
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        block(w, x + r * pitch, pitch, wide, ROWS, OUTS, ahead, sums + r * OUTS);
    switch (rows - r) {
    case 3:
        block(w, x + r * pitch, pitch, wide, 3, OUTS, ahead, sums + r * OUTS);
        break;
    case 2:
        block(w, x + r * pitch, pitch, wide, 2, OUTS, ahead, sums + r * OUTS);
        break;
    case 1:
        block(w, x + r * pitch, pitch, wide, 1, OUTS, ahead, sums + r * OUTS);
    }
}

static void ordered(const float *x, int64_t rows, int64_t k, int64_t chunk, int64_t r, float *to) {
    for (int64_t i = 0; i < k; i += WIDE) {
        const int64_t c = i / chunk, size = k - c * chunk < chunk ? k - c * chunk : chunk;
        float *at = to + c * chunk * rows + r * size + (i - c * chunk);
        const vf a = vf_load(x + r * k + i), b = vf_load(x + r * k + i + 16);
        vf_store(at, vf_even(a, b));
        vf_store(at + 16, vf_odd(a, b));
    }
}

static int some(const float *x, int64_t rows, int64_t k, const Matrix *all, int64_t count, float *y) {
    int64_t groups = 0, n = 0;
    for (int64_t m = 0; m < count; m++) {
        groups += (all[m].outputs + OUTS - 1) / OUTS;
        n += all[m].outputs;
    }
    float *input = scratch((size_t)(rows * k) * sizeof(float));
    if (!input)
        return 1;
    /* Chunks of inputs outermost: what all rows have of one stays in the second cache. */
    const int64_t chunk = rows > FEW ? CHUNK : k;
    if (rows == 1)
        ordered(x, 1, k, chunk, 0, input);
#pragma omp parallel
    {
        if (rows > 1) {
#pragma omp for schedule(static)
            for (int64_t r = 0; r < rows; r++)
                ordered(x, rows, k, chunk, r, input);
        }
        float sums[MOST * OUTS];
        for (int64_t start = 0; start < k; start += chunk) {
            const int64_t size = k - start < chunk ? k - start : chunk;
            const float *part = input + start * rows;
#pragma omp for schedule(static) nowait
            for (int64_t g = 0; g < groups; g++) {
                if (duibi_stop)
                    continue;
                const Matrix *m = all;
                int64_t first = g * OUTS, column = 0;
                for (; first >= (m->outputs + OUTS - 1) / OUTS * OUTS; m++) {
                    first -= (m->outputs + OUTS - 1) / OUTS * OUTS;
                    column += m->outputs;
                }
                const int outs = m->outputs - first < OUTS ? (int)(m->outputs - first) : OUTS;
                const uint16_t *from[OUTS];
                for (int o = 0; o < OUTS; o++)
                    from[o] = m->weight + (first + (o < outs ? o : 0)) * k + start;
                if (rows <= FEW)
                    for (int o = 0; o < outs; o++)
                        _mm_prefetch((const char *)(from[o] + 4 * k), _MM_HINT_T1);
                memset(sums, 0, (size_t)(rows * OUTS) * sizeof(float));
                if (rows <= FEW && k <= SHORT)
                    any(from, part, size, size / WIDE, rows, outs, 1, sums);
                else
                    any(from, part, size, size / WIDE, rows, outs, 0, sums);
                for (int64_t r = 0; r < rows; r++)
                    for (int o = 0; o < outs; o++) {
                        float *to = y + r * n + column + first + o;
                        const float before = start ? *to : m->bias ? m->bias[first + o] : 0;
                        *to = before + sums[r * OUTS + o];
                    }
            }
        }
    }
    return 0;
}

/* y[rows][all outputs] = x[rows][k] W^T + bias in float32, of `count` matrices side by side.
 * k is a multiple of 32. Returns 0, or 1 where there was no memory. */
int duibi_plain(const float *x, int64_t rows, int64_t k, const Matrix *all, int64_t count, float *y) {
    int64_t n = 0;
    for (int64_t m = 0; m < count; m++)
        n += all[m].outputs;
    for (int64_t r = 0; r < rows; r += MOST)
        if (some(x + r * k, rows - r < MOST ? rows - r : MOST, k, all, count, y + r * n))
            return 1;
    return 0;
}
