/* What the kernels have in common: values that are float32 or (`half`) bfloat16, and memory. */
#include "vector.h"
#include <stdlib.h>

static inline vf load(const void *from, int64_t at, int half) {
    if (!half)
        return vf_load((const float *)from + at);
    return vf_from_bits(vi_left(vi_load16((const uint16_t *)from + at), 16));
}

/* To nearest bfloat16, ties to even, as a float; NaN stays NaN. */
static inline vf rounded(vf x) {
    const vi bits = vf_bits(x);
    const vi odd = vi_and(vi_right(bits, 16), vi_all(1));
    vi up = vi_add(bits, vi_add(odd, vi_all(0x7fff)));
    up = vi_and(up, vi_all((int)0xffff0000));
    return vf_from_bits(vi_where_nan(x, vi_all(0x7fc00000), up));
}

static inline void store(void *to, int64_t at, vf x, int half) {
    if (!half) {
        vf_store((float *)to + at, x);
        return;
    }
    vi_store16((uint16_t *)to + at, vi_right(vf_bits(rounded(x)), 16));
}

/* At least so many bytes that stay this thread's, until it asks again; NULL: there are none. */
static inline void *scratch(size_t need) {
    static __thread void *room = NULL;
    static __thread size_t held = 0;
    if (!room || need > held) {
        free(room);
        held = 0;
        room = aligned_alloc(64, (need / 64 + 1) * 64);
        if (room)
            held = need;
    }
    return room;
}
