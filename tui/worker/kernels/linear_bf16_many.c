/* Linear layers over bfloat16 weights of many rows, in float32.
 *
 * Computing takes the time here, not reading the weights: each is widened once for all rows, and
 * every product is one instruction with a whole vector of rows. The rows' activations stand side
 * by side for that, input after input; so do the sums. A sum is one chain of products, in the
 * order of `ordered_inputs`.
 */
#include "common.h"

enum { REGISTERS = VECTOR_REGISTERS * PARTS, PART_ROWS = DUIBI_LANES / PARTS };
/* Rows that stand side by side, and outputs that are computed with them: three quarters of the
 * registers hold sums. */
enum { PANEL_PARTS = PARTS > 1 ? PARTS : REGISTERS < 32 ? 1 : 2 };
enum { PANEL_ROWS = PANEL_PARTS * PART_ROWS, OUTPUTS_AT_ONCE = REGISTERS * 3 / 4 / PANEL_PARTS };
/* A thread takes BLOCK_OUTPUTS at a time: their weights, widened for CHUNK_INPUTS, and a panel of
 * activations stay in its nearest caches. */
enum { INPUTS_AT_ONCE = 32, CHUNK_INPUTS = 256, BLOCK_OUTPUTS = 24, MAX_ROWS = 128 };

/* sums[output][row] += products of a chunk of the inputs, or = where it is the first. parts and
 * outputs are compile-time constants after inlining. */
INLINE void multiply_panel(const float *w, const float *x, int64_t inputs, int is_first, int parts,
                           int outputs, float (*sums)[MAX_ROWS]) {
    part acc[2 * OUTPUTS_AT_ONCE][PANEL_PARTS];
    for (int o = 0; o < outputs; o++)
        for (int p = 0; p < parts; p++)
            acc[o][p] = is_first ? part_zero() : part_load(sums[o] + p * PART_ROWS);
    for (int64_t i = 0; i < inputs; i++) {
        part v[PANEL_PARTS];
        for (int p = 0; p < parts; p++)
            v[p] = part_load(x + i * PANEL_ROWS + p * PART_ROWS);
        for (int o = 0; o < outputs; o++) {
            const part weight = part_set1(w[o * CHUNK_INPUTS + i]);
            for (int p = 0; p < parts; p++)
                acc[o][p] = part_fma(weight, v[p], acc[o][p]);
        }
    }
    for (int o = 0; o < outputs; o++)
        for (int p = 0; p < parts; p++)
            part_store(sums[o] + p * PART_ROWS, acc[o][p]);
}

/* A chunk of `size` inputs of a row's weights as float32: those at even places before those at odd
 * ones in each 32. */
static void widen(const uint16_t *from, int64_t size, float *to) {
    enum { WEIGHTS = INPUTS_AT_ONCE / PARTS };
    for (int64_t i = 0; i < size; i += INPUTS_AT_ONCE)
        for (int p = 0; p < PARTS; p++) {
            part_store(to + i + p * PART_ROWS, part_load_even(from + i + p * WEIGHTS));
            part_store(to + i + DUIBI_LANES + p * PART_ROWS,
                       part_load_odd(from + i + p * WEIGHTS));
        }
}

/* Activations of one panel, [inputs][PANEL_ROWS], in the order of `widen`; rows that it lacks
 * are 0. */
static void order_panel(const float *x, int64_t rows, int64_t inputs, float *to) {
    for (int64_t i = 0; i < inputs; i += INPUTS_AT_ONCE)
        for (int64_t r = 0; r < PANEL_ROWS; r++)
            for (int64_t n = 0; n < INPUTS_AT_ONCE; n++) {
                const int64_t place = n % DUIBI_LANES * 2 + n / DUIBI_LANES;
                to[(i + n) * PANEL_ROWS + r] = r < rows ? x[r * inputs + i + place] : 0;
            }
}

/* All rows with up to BLOCK_OUTPUTS outputs of a matrix. x: panel after panel. */
static void multiply_block(const uint16_t *weight, int64_t inputs, int outputs, const float *x,
                           int64_t rows, float (*sums)[MAX_ROWS]) {
    float w[BLOCK_OUTPUTS * CHUNK_INPUTS] __attribute__((aligned(64)));
    for (int64_t start = 0; start < inputs; start += CHUNK_INPUTS) {
        const int64_t rest = inputs - start, size = rest < CHUNK_INPUTS ? rest : CHUNK_INPUTS;
        for (int o = 0; o < BLOCK_OUTPUTS; o++)
            if (o < outputs)
                widen(weight + o * inputs + start, size, w + o * CHUNK_INPUTS);
            else if (start == 0)
                memset(w + o * CHUNK_INPUTS, 0, CHUNK_INPUTS * sizeof(float));
        for (int64_t first = 0; first < rows; first += PANEL_ROWS) {
            const float *panel = x + first * inputs + start * PANEL_ROWS;
            /* Of half a panel, half the parts and twice the outputs. */
            const int is_half = PANEL_PARTS > 1 && rows - first <= PANEL_ROWS / 2;
            const int at_once = is_half ? 2 * OUTPUTS_AT_ONCE : OUTPUTS_AT_ONCE;
            for (int o = 0; o < outputs; o += at_once) {
                float(*to)[MAX_ROWS] = (float(*)[MAX_ROWS])(sums[o] + first);
                const float *from = w + o * CHUNK_INPUTS;
                if (is_half)
                    multiply_panel(from, panel, size, start == 0, (PANEL_PARTS + 1) / 2,
                                   2 * OUTPUTS_AT_ONCE, to);
                else
                    multiply_panel(from, panel, size, start == 0, PANEL_PARTS, OUTPUTS_AT_ONCE,
                                   to);
            }
        }
    }
}

/* As duibi_linear_bf16, of at most MAX_ROWS rows. */
static int multiply_rows(const float *x, int64_t rows, int64_t inputs,
                         const duibi_bf16_matrix *matrices, int64_t count, float *y) {
    int64_t blocks = 0, all_outputs = 0;
    for (int64_t m = 0; m < count; m++) {
        blocks += (matrices[m].outputs + BLOCK_OUTPUTS - 1) / BLOCK_OUTPUTS;
        all_outputs += matrices[m].outputs;
    }
    const int64_t panels = (rows + PANEL_ROWS - 1) / PANEL_ROWS;
    float *ordered = scratch((size_t)(panels * PANEL_ROWS * inputs) * sizeof(float));
    if (!ordered)
        return 1;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < panels; p++)
            order_panel(x + p * PANEL_ROWS * inputs, rows - p * PANEL_ROWS, inputs,
                        ordered + p * PANEL_ROWS * inputs);
        float sums[BLOCK_OUTPUTS][MAX_ROWS] __attribute__((aligned(64)));
#pragma omp for schedule(dynamic)
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
            multiply_block(m->weight + first * inputs, inputs, outputs, ordered, rows, sums);
            for (int64_t r = 0; r < rows; r++)
                for (int o = 0; o < outputs; o++)
                    y[r * all_outputs + column + first + o] =
                        (m->bias ? m->bias[first + o] : 0) + sums[o][r];
        }
    }
    return 0;
}

int duibi_linear_bf16_many(const float *x, int64_t rows, int64_t inputs,
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
