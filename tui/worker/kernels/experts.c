/* The experts of a mixture that a router chose, in one call for a layer: each reads its weights
 * once for all rows that chose it, the others' are not touched. */
#include "common.h"

/* Which rows chose each expert: `order` holds places in `chosen`, expert by expert, those of
 * expert e from start[e] on. Numbers that stand for no expert are left out. */
static void sort_by_expert(const int64_t *chosen, int64_t places, int64_t count, int64_t *start,
                           int64_t *order) {
    memset(start, 0, (size_t)(count + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < places; i++)
        if (chosen[i] >= 0 && chosen[i] < count)
            start[chosen[i] + 1]++;
    for (int64_t e = 0; e < count; e++)
        start[e + 1] += start[e];
    for (int64_t i = 0; i < places; i++)
        if (chosen[i] >= 0 && chosen[i] < count)
            order[start[chosen[i]]++] = i;
    /* What was the beginning of each is now its end. */
    memmove(start + 1, start, (size_t)count * sizeof(int64_t));
    start[0] = 0;
}

static void add_share(const void *from, float share, int64_t hidden, float *to,
                      duibi_dtype dtype) {
    const vf s = vf_set1(share);
    for (int64_t i = 0; i < hidden; i += DUIBI_LANES)
        vf_store(to + i, vf_fma(s, load(from, i, dtype), vf_load(to + i)));
}

/* So many rows are computed together at least: those of a decode step. */
enum { WAVE_ROWS = 32 };

/* Layers from `layers` on with `sizes` rows each, one after the other in x and y; `rows`: of x, 1
 * where all have the same. */
static int apply_each(const duibi_linear *const *layers, const int64_t *sizes, int64_t count,
                      const char *x, int64_t rows, size_t size, char *y) {
    duibi_product products[WAVE_ROWS];
    for (int64_t n = 0; n < count; n++) {
        const duibi_linear *l = layers[n];
        products[n] = (duibi_product){.layer = l, .x = x, .y = y, .rows = sizes[n]};
        if (l->bits == 16 && apply_linear(l, x, sizes[n], y))
            return 1;
        x += rows == 1 ? 0 : (size_t)(sizes[n] * l->inputs) * size;
        y += (size_t)(sizes[n] * l->outputs) * size;
    }
    return layers[0]->bits == 16 ? 0 : duibi_quantised_products(products, count);
}

int duibi_experts_forward(const duibi_experts *experts, const void *x, int64_t rows, int64_t each,
                          const int64_t *chosen, const float *shares, void *y) {
    const duibi_dtype dtype = (duibi_dtype)experts->dtype;
    const int64_t count = experts->count, places = rows * each;
    const int64_t hidden = experts->up[0].inputs, inner = experts->down[0].inputs;
    /* Whole cache lines, so that no two parts share one. */
    const size_t size = dtype == DUIBI_F32 ? 4 : 2, line = 64;
#define BYTES(n, of) (((size_t)(n) * (of) + line - 1) / line * line)
    const size_t lists = BYTES(count + 1, 8) + BYTES(places, 8);
    const int64_t most = rows > WAVE_ROWS ? rows : WAVE_ROWS;
    char *buffer = scratch(lists + BYTES(rows * hidden, 4) + 2 * BYTES(most * hidden, size) +
                           BYTES(most * 2 * inner, size) + BYTES(most * inner, size));
    if (!buffer)
        return 1;
    int64_t *start = (int64_t *)buffer, *order = (int64_t *)(buffer + BYTES(count + 1, 8));
    float *sum = (float *)(buffer + lists);
    char *given = (char *)sum + BYTES(rows * hidden, 4);
    char *made = given + BYTES(most * hidden, size);
    char *gate_up = made + BYTES(most * hidden, size);
    char *gated = gate_up + BYTES(most * 2 * inner, size);
#undef BYTES
    sort_by_expert(chosen, places, count, start, order);
    memset(sum, 0, (size_t)(rows * hidden) * sizeof(float));
    const size_t row = (size_t)hidden * size;
    for (int64_t e = 0, begin = 0, end = 0; begin < start[count]; begin = end) {
        const duibi_linear *up[WAVE_ROWS], *down[WAVE_ROWS];
        int64_t sizes[WAVE_ROWS], parts = 0;
        while (e < count && parts < WAVE_ROWS) {
            const int64_t left = start[e + 1] - end, room = most - (end - begin);
            /* An expert is computed in parts only where one row chose it several times. */
            if (left > room && end > begin)
                break;
            if (left) {
                up[parts] = experts->up + e;
                down[parts] = experts->down + e;
                sizes[parts] = left < room ? left : room;
                end += sizes[parts++];
            }
            e += left <= room;
        }
        const int64_t n = end - begin;
        for (int64_t i = 0; i < n; i++)
            memcpy(given + (size_t)i * row, (const char *)x + (size_t)(order[begin + i] / each) * row,
                   row);
        if (apply_each(up, sizes, parts, given, rows, size, gate_up))
            return 1;
        duibi_swiglu(gate_up, n, inner, gated, dtype);
        if (apply_each(down, sizes, parts, gated, 0, size, made))
            return 1;
        for (int64_t i = 0; i < n; i++)
            add_share(made + (size_t)i * row, shares[order[begin + i]], hidden,
                      sum + order[begin + i] / each * hidden, dtype);
    }
    for (int64_t i = 0; i < rows * hidden; i += DUIBI_LANES)
        store(y, i, vf_load(sum + i), dtype);
    return 0;
}
