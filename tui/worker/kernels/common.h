/* What several kernels use: values stored as float32 or bfloat16, and scratch memory. */
#ifndef DUIBI_COMMON_H
#define DUIBI_COMMON_H

#include "duibi.h"
#include "vector.h"
#include <stdlib.h>

static inline vf load(const void *from, int64_t at, duibi_dtype dtype) {
    if (dtype == DUIBI_F32)
        return vf_load((const float *)from + at);
    return vf_from_bits(vi_shift_left(vi_load16((const uint16_t *)from + at), 16));
}

/* To the nearest bfloat16, ties to even, as a float; NaN stays NaN. */
static inline vf round_bf16(vf x) {
    const vi bits = vf_bits(x);
    const vi odd = vi_and(vi_shift_right(bits, 16), vi_set1(1));
    vi up = vi_add(bits, vi_add(odd, vi_set1(0x7fff)));
    up = vi_and(up, vi_set1((int)0xffff0000));
    return vf_from_bits(vi_select_nan(x, vi_set1(0x7fc00000), up));
}

static inline void store(void *to, int64_t at, vf x, duibi_dtype dtype) {
    if (dtype == DUIBI_F32) {
        vf_store((float *)to + at, x);
        return;
    }
    vi_store16((uint16_t *)to + at, vi_shift_right(vf_bits(round_bf16(x)), 16));
}

/* At least `need` bytes that belong to this thread until its next call; NULL: no memory. */
static inline void *scratch(size_t need) {
    static __thread void *buffer = NULL;
    static __thread size_t held = 0;
    if (!buffer || need > held) {
        free(buffer);
        held = 0;
        buffer = aligned_alloc(64, (need / 64 + 1) * 64);
        if (buffer)
            held = need;
    }
    return buffer;
}

/* A linear layer in whatever format it is; 1: no memory. */
static inline int apply_linear(const duibi_linear *l, const void *x, int64_t rows, void *y) {
    if (l->bits == 16)
        return duibi_linear_bf16(x, rows, l->inputs, l->matrices, l->count, y);
    return duibi_linear_quantised(l->bits, x, rows, l->inputs, l->outputs, l->tiles, l->scale,
                                  l->bias, y);
}

#endif
