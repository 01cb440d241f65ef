/* Linear layers over bfloat16 weights as checkpoints hold them, row after row, in float32.
 *
 * Reading the weights is what takes the time where rows are few, and float32 arithmetic on
 * them is free; and the weights can stay in the mapped file. A register of 32 weights is
 * made two of float32 by a shift and a mask: of those at even places and those at odd ones.
 * The activations are put into that order first.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OUTS = 4, ROWS = 4, WIDE = 32, CHUNK = 1024, MOST = 128 };

static inline __m512 even_of(__m512i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16)); }

static inline __m512 odd_of(__m512i v) {
    return _mm512_castsi512_ps(_mm512_and_epi32(v, _mm512_set1_epi32((int)0xffff0000)));
}

/* sums[rows][OUTS] += products of `wide` * 32 inputs; rows is known where this is inlined. */
static inline __attribute__((always_inline)) void block(const uint16_t *const *w, const float *x,
                                                        int64_t pitch, int64_t wide, int rows,
                                                        int outs, float *sums) {
    __m512 acc[ROWS][OUTS];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outs; o++)
            acc[r][o] = _mm512_setzero_ps();
    for (int64_t i = 0; i < wide; i++) {
        __m512 even[OUTS], odd[OUTS];
        for (int o = 0; o < outs; o++) {
            const __m512i v = _mm512_loadu_si512(w[o] + i * WIDE);
            even[o] = even_of(v);
            odd[o] = odd_of(v);
        }
        for (int r = 0; r < rows; r++) {
            const __m512 a = _mm512_loadu_ps(x + r * pitch + i * WIDE);
            const __m512 b = _mm512_loadu_ps(x + r * pitch + i * WIDE + 16);
            for (int o = 0; o < outs; o++)
                acc[r][o] = _mm512_fmadd_ps(b, odd[o], _mm512_fmadd_ps(a, even[o], acc[r][o]));
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outs; o++)
            sums[r * OUTS + o] += _mm512_reduce_add_ps(acc[r][o]);
}

static void any(const uint16_t *const *w, const float *x, int64_t pitch, int64_t wide, int64_t rows,
                int outs, float *sums) {
    if (outs < OUTS) {
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < outs; o++)
                block(w + o, x + r * pitch, pitch, wide, 1, 1, sums + r * OUTS + o);
        return;
    }
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        block(w, x + r * pitch, pitch, wide, 4, OUTS, sums + r * OUTS);
    switch (rows - r) {
    case 3:
        block(w, x + r * pitch, pitch, wide, 3, OUTS, sums + r * OUTS);
        break;
    case 2:
        block(w, x + r * pitch, pitch, wide, 2, OUTS, sums + r * OUTS);
        break;
    case 1:
        block(w, x + r * pitch, pitch, wide, 1, OUTS, sums + r * OUTS);
    }
}

static int some(const float *x, int64_t rows, int64_t k, int64_t n, const uint16_t *w,
                const float *bias, float *y) {
    static __thread float *room = NULL;
    static __thread size_t held = 0;
    const int64_t groups = (n + OUTS - 1) / OUTS;
    const size_t need = (size_t)(rows * k + 2 * 64) * sizeof(float);
    if (need > held) {
        free(room);
        held = 0;
        room = aligned_alloc(64, (need + 63) / 64 * 64);
        if (!room)
            return 1;
        held = need;
    }
    /* Chunks of inputs outermost: what all rows have of one stays in the second cache. */
    const int64_t chunk = rows > 16 ? CHUNK : k;
    float *ordered = room;
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < k; i += WIDE) {
                const int64_t c = i / chunk, size = k - c * chunk < chunk ? k - c * chunk : chunk;
                float *to = ordered + c * chunk * rows + r * size + (i - c * chunk);
                const __m512 a = _mm512_loadu_ps(x + r * k + i), b = _mm512_loadu_ps(x + r * k + i + 16);
                _mm512_storeu_ps(to, _mm512_permutex2var_ps(a, evens, b));
                _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(a, odds, b));
            }
        float sums[MOST * OUTS];
        for (int64_t start = 0; start < k; start += chunk) {
            const int64_t size = k - start < chunk ? k - start : chunk;
            const float *part = ordered + start * rows;
#pragma omp for schedule(static) nowait
            for (int64_t g = 0; g < groups; g++) {
                const int outs = n - g * OUTS < OUTS ? (int)(n - g * OUTS) : OUTS;
                const uint16_t *from[OUTS];
                for (int o = 0; o < OUTS; o++)
                    from[o] = w + (g * OUTS + (o < outs ? o : 0)) * k + start;
                if (rows <= 16)
                    for (int o = 0; o < outs; o++)
                        _mm_prefetch((const char *)(from[o] + 4 * k), _MM_HINT_T1);
                memset(sums, 0, (size_t)(rows * OUTS) * sizeof(float));
                any(from, part, size, size / WIDE, rows, outs, sums);
                for (int64_t r = 0; r < rows; r++)
                    for (int o = 0; o < outs; o++) {
                        float *to = y + r * n + g * OUTS + o;
                        const float before = start ? *to : bias ? bias[g * OUTS + o] : 0;
                        *to = before + sums[r * OUTS + o];
                    }
            }
        }
    }
    return 0;
}

/* y[rows][n] = x[rows][k] W^T + bias in float32; w: bfloat16[n][k]; bias: float[n] or NULL.
 * k is a multiple of 32. Returns 0, or 1 where there was no memory. */
int duibi_plain(const float *x, int64_t rows, int64_t k, int64_t n, const uint16_t *w,
                const float *bias, float *y) {
    for (int64_t r = 0; r < rows; r += MOST)
        if (some(x + r * k, rows - r < MOST ? rows - r : MOST, k, n, w, bias, y + r * n))
            return 1;
    return 0;
}
