/* Linear layers over bfloat16 weights as checkpoints hold them, row after row, in float32.
 *
 * Where rows are few, reading the weights takes the time and float32 arithmetic on them costs
 * nothing extra; and the weights can stay in the mapped file. A vector of 32 weights is made two
 * of float32 by a shift and a mask: of those at even places and those at odd ones. The
 * activations are put into that order first. Matrices with the same input are computed as one,
 * each where it lies.
 */
#include "common.h"

/* Outputs and rows at a time: their sums leave registers for weights and activations. Of one row
 * it is LONG_OUTPUTS, if its inputs are many, and MIDDLE_OUTPUTS up to LONG_INPUTS. */
enum { OUTPUTS_AT_ONCE = VECTOR_REGISTERS < 32 ? 2 : 4, ROWS_AT_ONCE = OUTPUTS_AT_ONCE };
enum { MIDDLE_OUTPUTS = VECTOR_REGISTERS < 32 ? 1 : 4, LONG_INPUTS = 4096 };
enum { INPUTS_AT_ONCE = 32 };
/* Outputs that a thread takes at a time. What it needs again soon, SLICE_FLOATS activations of all
 * rows, stays in its nearest cache: sums are set aside between such slices. */
enum { LONG_OUTPUTS = 4, BLOCK_OUTPUTS = 16, SLICE_FLOATS = 4096 };
/* How far ahead to prefetch, in bytes, where rows have no more than SHORT_INPUTS:
 * otherwise the processor waits for memory at the start of each row. Up to STREAM_ROWS, where
 * weights are read faster than anything else happens, it is best to read such rows one after the
 * other. Of longer rows it predicts by itself what comes next, and prefetching far ahead only slows
 * it down; LONG_BYTES help it over the ends of pages where several rows are read at once. */
enum { PREFETCH_BYTES = 4608, STREAM_BYTES = 2304, SHORT_INPUTS = 1792, STREAM_ROWS = 2 };
enum { LONG_BYTES = 512 };

/* Sums of some rows with some outputs: vectors of which a slice of the inputs is missing, and
 * floats. */
typedef struct {
    part (*vectors)[BLOCK_OUTPUTS][PARTS]; /* [rows] */
    float (*floats)[BLOCK_OUTPUTS];        /* [rows] */
} Sums;

/* Where in a row a slice lies. */
typedef struct {
    int64_t steps; /* of INPUTS_AT_ONCE */
    int is_first, is_last;
    int64_t ahead; /* bytes from weights to those to prefetch */
} Slice;

/* sums[first row...][first output...] += products of a slice. rows, outputs and ahead are
 * compile-time constants after inlining; a run-time test of `ahead` would cost what prefetching
 * gains. */
INLINE void multiply_block(const uint16_t *const *w, const float *x, int64_t pitch, Slice slice,
                           int rows, int outputs, int ahead, Sums sums, int64_t row,
                           int64_t output) {
    enum { WEIGHTS = INPUTS_AT_ONCE / PARTS, FLOATS = WEIGHTS / 2 };
    part acc[ROWS_AT_ONCE][LONG_OUTPUTS][PARTS];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++)
            for (int p = 0; p < PARTS; p++)
                acc[r][o][p] =
                    slice.is_first ? part_zero() : sums.vectors[row + r][output + o][p];
    for (int64_t i = 0; i < slice.steps; i++) {
        const float *a = x + i * INPUTS_AT_ONCE;
        if (ahead)
            for (int o = 0; o < outputs; o++)
                PREFETCH((const char *)(w[o] + i * INPUTS_AT_ONCE) + slice.ahead);
        for (int p = 0; p < PARTS; p++) {
            part even[LONG_OUTPUTS], odd[LONG_OUTPUTS];
            for (int o = 0; o < outputs; o++)
                even[o] = part_load_even(w[o] + i * INPUTS_AT_ONCE + p * WEIGHTS);
            for (int r = 0; r < rows; r++) {
                const part v = part_load(a + r * pitch + p * FLOATS);
                for (int o = 0; o < outputs; o++)
                    acc[r][o][p] = part_fma(v, even[o], acc[r][o][p]);
            }
            for (int o = 0; o < outputs; o++)
                odd[o] = part_load_odd(w[o] + i * INPUTS_AT_ONCE + p * WEIGHTS);
            for (int r = 0; r < rows; r++) {
                const part v = part_load(a + r * pitch + INPUTS_AT_ONCE / 2 + p * FLOATS);
                for (int o = 0; o < outputs; o++)
                    acc[r][o][p] = part_fma(v, odd[o], acc[r][o][p]);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++)
            if (slice.is_last)
                sums.floats[row + r][output + o] = vf_reduce_add(vf_of_parts(acc[r][o]));
            else
                memcpy(sums.vectors[row + r][output + o], acc[r][o], sizeof acc[r][o]);
}

/* All rows with up to `at_once` outputs; at_once, rows_at_once and ahead are compile-time
 * constants after inlining. */
INLINE void multiply_outputs(const uint16_t *const *w, const float *x, int64_t pitch, Slice slice,
                             int64_t rows, int64_t output, int outputs, int at_once,
                             int rows_at_once, int ahead, Sums sums) {
    if (outputs < at_once) {
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < outputs; o++)
                multiply_block(w + o, x + r * pitch, pitch, slice, 1, 1, 0, sums, r, output + o);
        return;
    }
    int64_t row = 0;
    for (; rows - row >= rows_at_once; row += rows_at_once) {
        multiply_block(w, x, pitch, slice, rows_at_once, at_once, ahead, sums, row, output);
        x += rows_at_once * pitch;
    }
    if (rows - row == 3 && rows_at_once > 3)
        multiply_block(w, x, pitch, slice, 3, at_once, ahead, sums, row, output);
    else if (rows - row == 2 && rows_at_once > 2)
        multiply_block(w, x, pitch, slice, 2, at_once, ahead, sums, row, output);
    else if (rows - row == 1 && rows_at_once > 1)
        multiply_block(w, x, pitch, slice, 1, at_once, ahead, sums, row, output);
}

/* All rows with up to BLOCK_OUTPUTS outputs. */
static void multiply_outputs_block(const uint16_t *weight, int64_t inputs, const float *x,
                                   int64_t rows, int outputs, float (*floats)[BLOCK_OUTPUTS]) {
    enum { OUTPUTS = OUTPUTS_AT_ONCE, ROWS = ROWS_AT_ONCE, LONG = LONG_OUTPUTS };
    enum { MIDDLE = MIDDLE_OUTPUTS };
    part vectors[DUIBI_FEW_ROWS][BLOCK_OUTPUTS][PARTS];
    const Sums sums = {vectors, floats};
    const int is_short = inputs <= SHORT_INPUTS, stream = rows <= STREAM_ROWS && is_short;
    const int is_long = rows == 1 && inputs > LONG_INPUTS, is_middle = rows == 1 && !is_long;
    const int at_once = stream ? 1 : is_long ? LONG : is_middle ? MIDDLE : OUTPUTS;
    const int sliced = rows > STREAM_ROWS && rows * inputs > 2 * SLICE_FLOATS;
    const int64_t length = sliced ? SLICE_FLOATS / rows / INPUTS_AT_ONCE * INPUTS_AT_ONCE : inputs;
    const int64_t ahead = stream    ? STREAM_BYTES
                          : is_long ? LONG_BYTES
                          : sliced  ? OUTPUTS * inputs * 2
                                    : PREFETCH_BYTES;
    for (int64_t start = 0; start < inputs; start += length) {
        const int64_t rest = inputs - start < length ? inputs - start : length;
        const Slice slice = {rest / INPUTS_AT_ONCE, start == 0, start + rest == inputs, ahead};
        const float *from = x + start;
        for (int o = 0; o < outputs; o += at_once) {
            const int count = outputs - o < at_once ? outputs - o : at_once;
            const uint16_t *w[LONG_OUTPUTS];
            for (int n = 0; n < at_once; n++)
                w[n] = weight + (o + (n < count ? n : 0)) * inputs + start;
            if (!sliced && at_once > 1)
                for (int n = 0; n < count; n++)
                    PREFETCH_L2(w[n] + 4 * inputs);
            if (stream)
                multiply_outputs(w, from, inputs, slice, rows, o, count, 1, 2, 1, sums);
            else if (is_long)
                multiply_outputs(w, from, inputs, slice, 1, o, count, LONG, 1, 1, sums);
            else if (is_middle)
                multiply_outputs(w, from, inputs, slice, 1, o, count, MIDDLE, 1, 0, sums);
            else if (sliced || is_short)
                multiply_outputs(w, from, inputs, slice, rows, o, count, OUTPUTS, ROWS, 1, sums);
            else
                multiply_outputs(w, from, inputs, slice, rows, o, count, OUTPUTS, ROWS, 0, sums);
        }
    }
}

/* A row of x, even places before odd ones in each 32 inputs. */
static void deinterleave(const float *x, int64_t inputs, float *to) {
    for (int64_t i = 0; i < inputs; i += INPUTS_AT_ONCE) {
        const vf a = vf_load(x + i), b = vf_load(x + i + 16);
        vf_store(to + i, vf_even(a, b));
        vf_store(to + i + 16, vf_odd(a, b));
    }
}

int duibi_linear_bf16(const float *x, int64_t rows, int64_t inputs,
                      const duibi_bf16_matrix *matrices, int64_t count, float *y) {
    if (rows > DUIBI_FEW_ROWS)
        return duibi_linear_bf16_many(x, rows, inputs, matrices, count, y);
    int64_t blocks = 0, all_outputs = 0;
    for (int64_t m = 0; m < count; m++) {
        blocks += (matrices[m].outputs + BLOCK_OUTPUTS - 1) / BLOCK_OUTPUTS;
        all_outputs += matrices[m].outputs;
    }
    float *ordered = scratch((size_t)(rows * inputs) * sizeof(float));
    if (!ordered)
        return 1;
    if (rows == 1)
        deinterleave(x, inputs, ordered);
#pragma omp parallel
    {
        if (rows > 1) {
#pragma omp for schedule(static)
            for (int64_t r = 0; r < rows; r++)
                deinterleave(x + r * inputs, inputs, ordered + r * inputs);
        }
        float sums[DUIBI_FEW_ROWS][BLOCK_OUTPUTS];
#pragma omp for schedule(static)
        for (int64_t n = 0; n < blocks; n++) {
            if (stopped())
                continue;
            const duibi_bf16_matrix *m = matrices;
            int64_t first = n * BLOCK_OUTPUTS, column = 0;
            for (int64_t padded;; m++) {
                padded = (m->outputs + BLOCK_OUTPUTS - 1) / BLOCK_OUTPUTS * BLOCK_OUTPUTS;
                if (first < padded)
                    break;
                first -= padded;
                column += m->outputs;
            }
            const int64_t rest = m->outputs - first;
            const int outputs = rest < BLOCK_OUTPUTS ? (int)rest : BLOCK_OUTPUTS;
            multiply_outputs_block(m->weight + first * inputs, inputs, ordered, rows, outputs,
                                   sums);
            for (int64_t r = 0; r < rows; r++)
                for (int o = 0; o < outputs; o++)
                    y[r * all_outputs + column + first + o] =
                        (m->bias ? m->bias[first + o] : 0) + sums[r][o];
        }
    }
    return 0;
}
