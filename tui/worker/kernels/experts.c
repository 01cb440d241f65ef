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

int duibi_experts_forward(const duibi_experts *experts, const void *x, int64_t rows, int64_t each,
                          const int64_t *chosen, const float *shares, void *y) {
    const duibi_dtype dtype = (duibi_dtype)experts->dtype;
    const int64_t count = experts->count, places = rows * each;
    const int64_t hidden = experts->up[0].inputs, inner = experts->down[0].inputs;
    /* Whole cache lines, so that no two parts share one. */
    const size_t size = dtype == DUIBI_F32 ? 4 : 2, line = 64;
#define BYTES(n, of) (((size_t)(n) * (of) + line - 1) / line * line)
    const size_t lists = BYTES(count + 1, 8) + BYTES(places, 8);
    char *buffer = scratch(lists + BYTES(rows * hidden, 4) + 2 * BYTES(rows * hidden, size) +
                           BYTES(rows * 2 * inner, size) + BYTES(rows * inner, size));
    if (!buffer)
        return 1;
    int64_t *start = (int64_t *)buffer, *order = (int64_t *)(buffer + BYTES(count + 1, 8));
    float *sum = (float *)(buffer + lists);
    char *given = (char *)sum + BYTES(rows * hidden, 4);
    char *made = given + BYTES(rows * hidden, size);
    char *gate_up = made + BYTES(rows * hidden, size);
    char *gated = gate_up + BYTES(rows * 2 * inner, size);
#undef BYTES
    sort_by_expert(chosen, places, count, start, order);
    memset(sum, 0, (size_t)(rows * hidden) * sizeof(float));
    const size_t row = (size_t)hidden * size;
    for (int64_t e = 0; e < count; e++) {
        const int64_t *own = order + start[e], n = start[e + 1] - start[e];
        if (!n)
            continue;
        for (int64_t i = 0; i < n; i++)
            memcpy(given + (size_t)i * row, (const char *)x + (size_t)(own[i] / each) * row, row);
        if (apply_linear(experts->up + e, given, n, gate_up))
            return 1;
        duibi_swiglu(gate_up, n, inner, gated, dtype);
        if (apply_linear(experts->down + e, gated, n, made))
            return 1;
        for (int64_t i = 0; i < n; i++)
            add_share(made + (size_t)i * row, shares[own[i]], hidden, sum + own[i] / each * hidden,
                      dtype);
    }
    for (int64_t i = 0; i < rows * hidden; i += DUIBI_LANES)
        store(y, i, vf_load(sum + i), dtype);
    return 0;
}
