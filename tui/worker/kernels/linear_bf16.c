/* Linear layers over bfloat16 weights as checkpoints hold them, row after row, in float32.
 *
 * Where rows are few, reading the weights takes the time and float32 arithmetic on them costs
 * nothing extra; and the weights can stay in the mapped file. A vector of 32 weights is made two
 * of float32 by a shift and a mask: of those at even places and those at odd ones. The
 * activations are put into that order first. Matrices with the same input are computed as one,
 * each where it lies.
 */
#include "common.h"

/* Outputs and rows at a time: their sums fill half of the registers. */
enum { OUTPUTS_AT_ONCE = VECTOR_REGISTERS < 32 ? 2 : 4, ROWS_AT_ONCE = OUTPUTS_AT_ONCE };
enum { INPUTS_AT_ONCE = 32, CHUNK_INPUTS = 1024, MEMORY_BOUND_ROWS = 16, MAX_ROWS = 128 };
/* How far ahead to prefetch, in bytes, where rows are few and have no more than
 * PREFETCH_MAX_INPUTS: otherwise the processor waits for memory at the start of each row. Of
 * longer rows it predicts by itself what comes next, and prefetching only slows it down. */
enum { PREFETCH_BYTES = 4608, PREFETCH_MAX_INPUTS = 1792 };

static inline vf bf16_even(vi v) { return vf_from_bits(vi_shift_left(v, 16)); }

static inline vf bf16_odd(vi v) { return vf_from_bits(vi_and(v, vi_set1((int)0xffff0000))); }

/* sums[rows][OUTPUTS_AT_ONCE] += products of `steps` * 32 inputs. rows, outputs and ahead are
 * compile-time constants after inlining; a run-time test of `ahead` would cost what prefetching
 * gains. */
INLINE void multiply_block(const uint16_t *const *w, const float *x, int64_t pitch, int64_t steps,
                           int rows, int outputs, int ahead, float *sums) {
    vf acc[4][OUTPUTS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++)
            acc[r][o] = vf_zero();
    for (int64_t i = 0; i < steps; i++) {
        vf part[OUTPUTS_AT_ONCE];
        for (int o = 0; o < outputs; o++) {
            part[o] = bf16_even(vi_load(w[o] + i * INPUTS_AT_ONCE));
            if (ahead)
                PREFETCH((const char *)(w[o] + i * INPUTS_AT_ONCE) + PREFETCH_BYTES);
        }
        for (int r = 0; r < rows; r++) {
            const vf a = vf_load(x + r * pitch + i * INPUTS_AT_ONCE);
            for (int o = 0; o < outputs; o++)
                acc[r][o] = vf_fma(a, part[o], acc[r][o]);
        }
        for (int o = 0; o < outputs; o++)
            part[o] = bf16_odd(vi_load(w[o] + i * INPUTS_AT_ONCE));
        for (int r = 0; r < rows; r++) {
            const vf b = vf_load(x + r * pitch + i * INPUTS_AT_ONCE + 16);
            for (int o = 0; o < outputs; o++)
                acc[r][o] = vf_fma(b, part[o], acc[r][o]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++)
            sums[r * OUTPUTS_AT_ONCE + o] += vf_reduce_add(acc[r][o]);
}

/* All rows with up to OUTPUTS_AT_ONCE outputs. */
INLINE void multiply_outputs(const uint16_t *const *w, const float *x, int64_t pitch, int64_t steps,
                             int64_t rows, int outputs, int ahead, float *sums) {
    enum { OUTPUTS = OUTPUTS_AT_ONCE, ROWS = ROWS_AT_ONCE };
    if (outputs < OUTPUTS) {
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < outputs; o++)
                multiply_block(w + o, x + r * pitch, pitch, steps, 1, 1, 0, sums + r * OUTPUTS + o);
        return;
    }
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        multiply_block(w, x + r * pitch, pitch, steps, ROWS, OUTPUTS, ahead, sums + r * OUTPUTS);
    switch (rows - r) {
    case 3:
        multiply_block(w, x + r * pitch, pitch, steps, 3, OUTPUTS, ahead, sums + r * OUTPUTS);
        break;
    case 2:
        multiply_block(w, x + r * pitch, pitch, steps, 2, OUTPUTS, ahead, sums + r * OUTPUTS);
        break;
    case 1:
        multiply_block(w, x + r * pitch, pitch, steps, 1, OUTPUTS, ahead, sums + r * OUTPUTS);
    }
}

/* Row r of x, even places before odd ones in each 32 inputs, chunk by chunk:
 * to[chunks][rows][inputs of a chunk]. */
static void deinterleave(const float *x, int64_t rows, int64_t inputs, int64_t chunk, int64_t r,
                         float *to) {
    for (int64_t i = 0; i < inputs; i += INPUTS_AT_ONCE) {
        const int64_t c = i / chunk, rest = inputs - c * chunk, size = rest < chunk ? rest : chunk;
        float *at = to + c * chunk * rows + r * size + (i - c * chunk);
        const vf a = vf_load(x + r * inputs + i), b = vf_load(x + r * inputs + i + 16);
        vf_store(at, vf_even(a, b));
        vf_store(at + 16, vf_odd(a, b));
    }
}

/* As duibi_linear_bf16, of at most MAX_ROWS rows. */
static int multiply_rows(const float *x, int64_t rows, int64_t inputs,
                         const duibi_bf16_matrix *matrices, int64_t count, float *y) {
    int64_t groups = 0, all_outputs = 0;
    for (int64_t m = 0; m < count; m++) {
        groups += (matrices[m].outputs + OUTPUTS_AT_ONCE - 1) / OUTPUTS_AT_ONCE;
        all_outputs += matrices[m].outputs;
    }
    float *ordered = scratch((size_t)(rows * inputs) * sizeof(float));
    if (!ordered)
        return 1;
    /* Chunks of inputs are the outermost loop: one chunk of all rows stays in the L2 cache. */
    const int64_t chunk = rows > MEMORY_BOUND_ROWS ? CHUNK_INPUTS : inputs;
    if (rows == 1)
        deinterleave(x, 1, inputs, chunk, 0, ordered);
#pragma omp parallel
    {
        if (rows > 1) {
#pragma omp for schedule(static)
            for (int64_t r = 0; r < rows; r++)
                deinterleave(x, rows, inputs, chunk, r, ordered);
        }
        float sums[MAX_ROWS * OUTPUTS_AT_ONCE];
        for (int64_t start = 0; start < inputs; start += chunk) {
            const int64_t size = inputs - start < chunk ? inputs - start : chunk;
            const float *part = ordered + start * rows;
#pragma omp for schedule(static) nowait
            for (int64_t g = 0; g < groups; g++) {
                if (stopped())
                    continue;
                const duibi_bf16_matrix *m = matrices;
                int64_t first = g * OUTPUTS_AT_ONCE, column = 0;
                for (int64_t padded;; m++) {
                    padded = (m->outputs + OUTPUTS_AT_ONCE - 1) / OUTPUTS_AT_ONCE * OUTPUTS_AT_ONCE;
                    if (first < padded)
                        break;
                    first -= padded;
                    column += m->outputs;
                }
                const int64_t rest = m->outputs - first;
                const int outputs = rest < OUTPUTS_AT_ONCE ? (int)rest : OUTPUTS_AT_ONCE;
                const uint16_t *w[OUTPUTS_AT_ONCE];
                for (int o = 0; o < OUTPUTS_AT_ONCE; o++)
                    w[o] = m->weight + (first + (o < outputs ? o : 0)) * inputs + start;
                if (rows <= MEMORY_BOUND_ROWS)
                    for (int o = 0; o < outputs; o++)
                        PREFETCH_L2(w[o] + 4 * inputs);
                memset(sums, 0, (size_t)(rows * OUTPUTS_AT_ONCE) * sizeof(float));
                const int64_t steps = size / INPUTS_AT_ONCE;
                if (rows <= MEMORY_BOUND_ROWS && inputs <= PREFETCH_MAX_INPUTS)
                    multiply_outputs(w, part, size, steps, rows, outputs, 1, sums);
                else
                    multiply_outputs(w, part, size, steps, rows, outputs, 0, sums);
                for (int64_t r = 0; r < rows; r++)
                    for (int o = 0; o < outputs; o++) {
                        float *to = y + r * all_outputs + column + first + o;
                        const float before = start ? *to : m->bias ? m->bias[first + o] : 0;
                        *to = before + sums[r * OUTPUTS_AT_ONCE + o];
                    }
            }
        }
    }
    return 0;
}

int duibi_linear_bf16(const float *x, int64_t rows, int64_t inputs,
                      const duibi_bf16_matrix *matrices, int64_t count, float *y) {
    int64_t outputs = 0;
    for (int64_t m = 0; m < count; m++)
        outputs += matrices[m].outputs;
    for (int64_t r = 0; r < rows; r += MAX_ROWS) {
        const int64_t some = rows - r < MAX_ROWS ? rows - r : MAX_ROWS;
        if (multiply_rows(x + r * inputs, some, inputs, matrices, count, y + r * outputs))
            return 1;
    }
    return 0;
}
