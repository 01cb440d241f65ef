/* Plain C, value after value: the reference that the tests compare the others with.
 * vector_avx512.h says what the operations are. Compilers must not contract products and sums:
 * every fma is written out. */
#include <math.h>

typedef struct {
    float v[16];
} vf;
typedef struct {
    int32_t v[16];
} vi;

enum { VECTOR_REGISTERS = 8, PARTS = 1 };
typedef vf part;
typedef vi ipart;

#define EACH(statement)          \
    for (int i = 0; i < 16; i++) \
    statement

INLINE vf vf_set1(float x) {
    vf y;
    EACH(y.v[i] = x);
    return y;
}
INLINE vf vf_zero(void) { return vf_set1(0); }
INLINE vf vf_load(const float *p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE void vf_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
INLINE vf vf_load_partial(const float *p, int64_t count, vf rest) {
    EACH(if (i < count) rest.v[i] = p[i]);
    return rest;
}
INLINE void vf_store_partial(float *p, int64_t count, vf x) { EACH(if (i < count) p[i] = x.v[i]); }

INLINE vf vf_add(vf x, vf y) {
    EACH(x.v[i] += y.v[i]);
    return x;
}
INLINE vf vf_sub(vf x, vf y) {
    EACH(x.v[i] -= y.v[i]);
    return x;
}
INLINE vf vf_mul(vf x, vf y) {
    EACH(x.v[i] *= y.v[i]);
    return x;
}
INLINE vf vf_div(vf x, vf y) {
    EACH(x.v[i] /= y.v[i]);
    return x;
}
/* Not fminf and fmaxf: these lose a NaN. */
INLINE float lesser(float x, float y) { return x < y ? x : y; }
INLINE float greater(float x, float y) { return x > y ? x : y; }
INLINE float sum(float x, float y) { return x + y; }
INLINE vf vf_min(vf x, vf y) {
    EACH(x.v[i] = lesser(x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_max(vf x, vf y) {
    EACH(x.v[i] = greater(x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_abs(vf x) {
    EACH(x.v[i] = fabsf(x.v[i]));
    return x;
}
INLINE vf vf_fma(vf x, vf y, vf z) {
    EACH(x.v[i] = fmaf(x.v[i], y.v[i], z.v[i]));
    return x;
}
INLINE vf vf_fms(vf x, vf y, vf z) {
    EACH(x.v[i] = fmaf(x.v[i], y.v[i], -z.v[i]));
    return x;
}
INLINE vf vf_fnma(vf x, vf y, vf z) {
    EACH(x.v[i] = fmaf(-x.v[i], y.v[i], z.v[i]));
    return x;
}
INLINE vf vf_round(vf x) {
    EACH(x.v[i] = rintf(x.v[i]));
    return x;
}
INLINE vf vf_scale(vf x, vf n) {
    EACH(x.v[i] = ldexpf(x.v[i], (int)lrintf(n.v[i])));
    return x;
}
/* Halves, then quarters, and so on. */
INLINE float reduce(vf x, float (*op)(float, float)) {
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            x.v[i] = op(x.v[i + half], x.v[i]);
    return x.v[0];
}
INLINE float vf_reduce_add(vf x) { return reduce(x, sum); }
INLINE float vf_reduce_min(vf x) { return reduce(x, lesser); }
INLINE float vf_reduce_max(vf x) { return reduce(x, greater); }

INLINE vf vf_from_bits(vi x) {
    vf y;
    memcpy(&y, &x, sizeof y);
    return y;
}
INLINE vi vf_bits(vf x) {
    vi y;
    memcpy(&y, &x, sizeof y);
    return y;
}
INLINE vf vf_from_int(vi x) {
    vf y;
    EACH(y.v[i] = (float)x.v[i]);
    return y;
}
INLINE vi vf_to_int(vf x) {
    vi y;
    EACH(y.v[i] = (int32_t)lrintf(x.v[i]));
    return y;
}
INLINE vi vi_select_nan(vf x, vi yes, vi no) {
    EACH(if (x.v[i] != x.v[i]) no.v[i] = yes.v[i]);
    return no;
}

INLINE vf every_other(vf x, vf y, int first) {
    vf z;
    EACH(z.v[i] = i < 8 ? x.v[2 * i + first] : y.v[2 * i - 16 + first]);
    return z;
}
INLINE vf vf_even(vf x, vf y) { return every_other(x, y, 0); }
INLINE vf vf_odd(vf x, vf y) { return every_other(x, y, 1); }

INLINE vi vi_set1(int32_t x) {
    vi y;
    EACH(y.v[i] = x);
    return y;
}
INLINE part part_zero(void) { return vf_zero(); }
INLINE part part_set1(float x) { return vf_set1(x); }
INLINE part part_load(const float *p) { return vf_load(p); }
INLINE void part_store(float *p, part x) { vf_store(p, x); }
INLINE part part_mul(part x, part y) { return vf_mul(x, y); }
INLINE part part_fma(part x, part y, part z) { return vf_fma(x, y, z); }
INLINE part part_fms(part x, part y, part z) { return vf_fms(x, y, z); }
INLINE part part_from_int(ipart x) { return vf_from_int(x); }
INLINE part part_load_even(const uint16_t *p) {
    vi y;
    EACH(y.v[i] = (int32_t)((uint32_t)p[2 * i] << 16));
    return vf_from_bits(y);
}
INLINE part part_load_odd(const uint16_t *p) { return part_load_even(p + 1); }
INLINE vf vf_of_parts(const part *p) { return p[0]; }
INLINE void vf_to_parts(vf x, part *p) { p[0] = x; }

INLINE vi vi_zero(void) { return vi_set1(0); }
INLINE vi vi_load(const void *p) {
    vi x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE void vi_store(void *p, vi x) { memcpy(p, &x, sizeof x); }
INLINE vi vi_add(vi x, vi y) {
    EACH(x.v[i] = (int32_t)((uint32_t)x.v[i] + (uint32_t)y.v[i]));
    return x;
}
INLINE vi vi_and(vi x, vi y) {
    EACH(x.v[i] &= y.v[i]);
    return x;
}
INLINE vi vi_or(vi x, vi y) {
    EACH(x.v[i] |= y.v[i]);
    return x;
}
INLINE vi vi_max_unsigned(vi x, vi y) {
    EACH(if ((uint32_t)y.v[i] > (uint32_t)x.v[i]) x.v[i] = y.v[i]);
    return x;
}
INLINE vi vi_shift_left(vi x, int n) {
    EACH(x.v[i] = (int32_t)((uint32_t)x.v[i] << n));
    return x;
}
INLINE vi vi_shift_right(vi x, int n) {
    EACH(x.v[i] = (int32_t)((uint32_t)x.v[i] >> n));
    return x;
}
INLINE int32_t vi_reduce_add(vi x) {
    uint32_t all = 0;
    EACH(all += (uint32_t)x.v[i]);
    return (int32_t)all;
}
INLINE uint32_t vi_reduce_max_unsigned(vi x) {
    uint32_t most = 0;
    EACH(if ((uint32_t)x.v[i] > most) most = (uint32_t)x.v[i]);
    return most;
}

INLINE vi vi_load8(const uint8_t *p) {
    vi x;
    EACH(x.v[i] = p[i]);
    return x;
}
INLINE vi vi_load16(const uint16_t *p) {
    vi x;
    EACH(x.v[i] = p[i]);
    return x;
}
INLINE void vi_store8(uint8_t *p, vi x) { EACH(p[i] = (uint8_t)x.v[i]); }
INLINE void vi_store16(uint16_t *p, vi x) { EACH(p[i] = (uint16_t)x.v[i]); }
INLINE void vi_store8_signed(int8_t *p, vi x) {
    EACH(p[i] = (int8_t)(x.v[i] < -128 ? -128 : x.v[i] > 127 ? 127 : x.v[i]));
}

INLINE ipart ipart_zero(void) { return vi_zero(); }
INLINE ipart ipart_set1(int32_t x) { return vi_set1(x); }
INLINE ipart ipart_set4(const int8_t *p) {
    int32_t word;
    memcpy(&word, p, 4);
    return ipart_set1(word);
}
INLINE ipart ipart_load(const void *p) { return vi_load(p); }

enum { DOT8_INPUT_BYTES = 1 };
INLINE ipart dot8_begin(int32_t sum_of_x) { return vi_set1(-128 * sum_of_x); }
INLINE void dot8_store(int8_t *p, vi x) { vi_store8_signed(p, x); }
INLINE ipart dot8_weights(const uint8_t *p, int half) {
    (void)half;
    return vi_load(p);
}
INLINE ipart dot8(ipart sum, ipart weights, ipart x) {
    uint8_t w[64];
    int8_t b[64];
    memcpy(w, &weights, 64);
    memcpy(b, &x, 64);
    for (int i = 0; i < 64; i++)
        sum.v[i / 4] += w[i] * b[i];
    return sum;
}

INLINE ipart dot4_low(ipart pairs) { return vi_and(pairs, vi_set1(0x0f0f0f0f)); }
INLINE ipart dot4_high(ipart pairs) { return dot4_low(vi_shift_right(pairs, 4)); }
INLINE ipart dot4(ipart sum, ipart weights, ipart x) { return dot8(sum, weights, x); }
INLINE ipart dot4_end(ipart sum) { return sum; }
INLINE void dot6_weights(ipart high, ipart *to[4]) {
    const vi mask = vi_set1(0x30303030);
    *to[0] = vi_or(*to[0], vi_and(vi_shift_left(high, 4), mask));
    *to[1] = vi_or(*to[1], vi_and(vi_shift_left(high, 2), mask));
    *to[2] = vi_or(*to[2], vi_and(high, mask));
    *to[3] = vi_or(*to[3], vi_and(vi_shift_right(high, 2), mask));
}
INLINE ipart dot6(ipart sum, ipart w0, ipart x0, ipart w1, ipart x1) {
    return dot8(dot8(sum, w0, x0), w1, x1);
}
