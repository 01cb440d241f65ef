/* ARM NEON with dot products (ARMv8.2 dotprod): a vector is four registers. vector_avx512.h says
 * what the operations are; rounding, and the order of sums, are the same here. */
#include <arm_neon.h>

typedef struct {
    float32x4_t v[4];
} vf;
typedef struct {
    int32x4_t v[4];
} vi;

enum { VECTOR_REGISTERS = 8, PARTS = 4 };
typedef float32x4_t part;
typedef int32x4_t ipart;

#define EACH(statement)         \
    for (int i = 0; i < 4; i++) \
    statement
#define AS_UNSIGNED vreinterpretq_u32_s32
#define AS_SIGNED vreinterpretq_s32_u32

INLINE vf vf_set1(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return (vf){{v, v, v, v}};
}
INLINE vf vf_zero(void) { return vf_set1(0); }
INLINE vf vf_load(const float *p) {
    vf x;
    EACH(x.v[i] = vld1q_f32(p + 4 * i));
    return x;
}
INLINE void vf_store(float *p, vf x) { EACH(vst1q_f32(p + 4 * i, x.v[i])); }
INLINE vf vf_load_partial(const float *p, int64_t count, vf rest) {
    if (count >= 16)
        return vf_load(p);
    float all[16];
    vf_store(all, rest);
    for (int64_t n = 0; n < count; n++)
        all[n] = p[n];
    return vf_load(all);
}
INLINE void vf_store_partial(float *p, int64_t count, vf x) {
    if (count >= 16) {
        vf_store(p, x);
        return;
    }
    float all[16];
    vf_store(all, x);
    for (int64_t n = 0; n < count; n++)
        p[n] = all[n];
}

INLINE vf vf_add(vf x, vf y) {
    EACH(x.v[i] = vaddq_f32(x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_sub(vf x, vf y) {
    EACH(x.v[i] = vsubq_f32(x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_mul(vf x, vf y) {
    EACH(x.v[i] = vmulq_f32(x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_div(vf x, vf y) {
    EACH(x.v[i] = vdivq_f32(x.v[i], y.v[i]));
    return x;
}
/* Not vminq and vmaxq: of a NaN in either place they give the NaN. */
INLINE vf vf_min(vf x, vf y) {
    EACH(x.v[i] = vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_max(vf x, vf y) {
    EACH(x.v[i] = vbslq_f32(vcgtq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]));
    return x;
}
INLINE vf vf_abs(vf x) {
    EACH(x.v[i] = vabsq_f32(x.v[i]));
    return x;
}
INLINE vf vf_fma(vf x, vf y, vf z) {
    EACH(z.v[i] = vfmaq_f32(z.v[i], x.v[i], y.v[i]));
    return z;
}
INLINE vf vf_fms(vf x, vf y, vf z) {
    EACH(z.v[i] = vfmaq_f32(vnegq_f32(z.v[i]), x.v[i], y.v[i]));
    return z;
}
INLINE vf vf_fnma(vf x, vf y, vf z) {
    EACH(z.v[i] = vfmsq_f32(z.v[i], x.v[i], y.v[i]));
    return z;
}
INLINE vf vf_round(vf x) {
    EACH(x.v[i] = vrndnq_f32(x.v[i]));
    return x;
}
/* 2^n, for n of -126 to 127. */
INLINE float32x4_t pow2(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
/* In two steps, of which only the second can round: both factors fit in an exponent. */
INLINE float32x4_t scale(float32x4_t x, float32x4_t n) {
    const int32x4_t whole = vcvtnq_s32_f32(n), lower = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(x, pow2(lower)), pow2(vsubq_s32(whole, lower)));
}
INLINE vf vf_scale(vf x, vf n) {
    EACH(x.v[i] = scale(x.v[i], n.v[i]));
    return x;
}
/* Halves, then quarters, and so on. */
INLINE float vf_reduce_add(vf x) {
    const float32x4_t low = vaddq_f32(x.v[2], x.v[0]), high = vaddq_f32(x.v[3], x.v[1]);
    const float32x4_t four = vaddq_f32(high, low);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
INLINE float vf_reduce_min(vf x) {
    return vminvq_f32(vminq_f32(vminq_f32(x.v[0], x.v[1]), vminq_f32(x.v[2], x.v[3])));
}
INLINE float vf_reduce_max(vf x) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.v[0], x.v[1]), vmaxq_f32(x.v[2], x.v[3])));
}

INLINE vf vf_from_bits(vi x) {
    vf y;
    EACH(y.v[i] = vreinterpretq_f32_s32(x.v[i]));
    return y;
}
INLINE vi vf_bits(vf x) {
    vi y;
    EACH(y.v[i] = vreinterpretq_s32_f32(x.v[i]));
    return y;
}
INLINE vf vf_from_int(vi x) {
    vf y;
    EACH(y.v[i] = vcvtq_f32_s32(x.v[i]));
    return y;
}
INLINE vi vf_to_int(vf x) {
    vi y;
    EACH(y.v[i] = vcvtnq_s32_f32(x.v[i]));
    return y;
}
INLINE vi vi_select_nan(vf x, vi yes, vi no) {
    EACH(no.v[i] = vbslq_s32(vceqq_f32(x.v[i], x.v[i]), no.v[i], yes.v[i]));
    return no;
}

INLINE vf vf_even(vf x, vf y) {
    return (vf){{vuzp1q_f32(x.v[0], x.v[1]), vuzp1q_f32(x.v[2], x.v[3]),
                 vuzp1q_f32(y.v[0], y.v[1]), vuzp1q_f32(y.v[2], y.v[3])}};
}
INLINE vf vf_odd(vf x, vf y) {
    return (vf){{vuzp2q_f32(x.v[0], x.v[1]), vuzp2q_f32(x.v[2], x.v[3]),
                 vuzp2q_f32(y.v[0], y.v[1]), vuzp2q_f32(y.v[2], y.v[3])}};
}

INLINE part part_zero(void) { return vdupq_n_f32(0); }
INLINE part part_set1(float x) { return vdupq_n_f32(x); }
INLINE part part_load(const float *p) { return vld1q_f32(p); }
INLINE void part_store(float *p, part x) { vst1q_f32(p, x); }
INLINE part part_mul(part x, part y) { return vmulq_f32(x, y); }
INLINE part part_fma(part x, part y, part z) { return vfmaq_f32(z, x, y); }
INLINE part part_fms(part x, part y, part z) { return vfmaq_f32(vnegq_f32(z), x, y); }
INLINE part part_from_int(ipart x) { return vcvtq_f32_s32(x); }
INLINE part part_load_even(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_u16(vld1q_u16(p)), 16));
}
INLINE part part_load_odd(const uint16_t *p) {
    const uint32x4_t v = vreinterpretq_u32_u16(vld1q_u16(p));
    return vreinterpretq_f32_u32(vandq_u32(v, vdupq_n_u32(0xffff0000)));
}
INLINE vf vf_of_parts(const part *p) { return (vf){{p[0], p[1], p[2], p[3]}}; }
INLINE void vf_to_parts(vf x, part *p) { EACH(p[i] = x.v[i]); }

INLINE vi vi_set1(int32_t x) {
    const int32x4_t v = vdupq_n_s32(x);
    return (vi){{v, v, v, v}};
}
INLINE vi vi_zero(void) { return vi_set1(0); }
INLINE vi vi_load(const void *p) {
    vi x;
    EACH(x.v[i] = vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)p + 16 * i)));
    return x;
}
INLINE void vi_store(void *p, vi x) {
    EACH(vst1q_u8((uint8_t *)p + 16 * i, vreinterpretq_u8_s32(x.v[i])));
}
INLINE vi vi_add(vi x, vi y) {
    EACH(x.v[i] = vaddq_s32(x.v[i], y.v[i]));
    return x;
}
INLINE vi vi_and(vi x, vi y) {
    EACH(x.v[i] = vandq_s32(x.v[i], y.v[i]));
    return x;
}
INLINE vi vi_or(vi x, vi y) {
    EACH(x.v[i] = vorrq_s32(x.v[i], y.v[i]));
    return x;
}
INLINE vi vi_max_unsigned(vi x, vi y) {
    EACH(x.v[i] = AS_SIGNED(vmaxq_u32(AS_UNSIGNED(x.v[i]), AS_UNSIGNED(y.v[i]))));
    return x;
}
INLINE vi vi_shift_left(vi x, int n) {
    EACH(x.v[i] = vshlq_s32(x.v[i], vdupq_n_s32(n)));
    return x;
}
INLINE vi vi_shift_right(vi x, int n) {
    EACH(x.v[i] = AS_SIGNED(vshlq_u32(AS_UNSIGNED(x.v[i]), vdupq_n_s32(-n))));
    return x;
}
INLINE int32_t vi_reduce_add(vi x) {
    return vaddvq_s32(vaddq_s32(vaddq_s32(x.v[0], x.v[1]), vaddq_s32(x.v[2], x.v[3])));
}
INLINE uint32_t vi_reduce_max_unsigned(vi x) {
    const uint32x4_t low = vmaxq_u32(AS_UNSIGNED(x.v[0]), AS_UNSIGNED(x.v[1]));
    return vmaxvq_u32(vmaxq_u32(low, vmaxq_u32(AS_UNSIGNED(x.v[2]), AS_UNSIGNED(x.v[3]))));
}

INLINE vi vi_load16(const uint16_t *p) {
    vi x;
    EACH(x.v[i] = AS_SIGNED(vmovl_u16(vld1_u16(p + 4 * i))));
    return x;
}
INLINE vi vi_load8(const uint8_t *p) {
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
    return (vi){{AS_SIGNED(vmovl_u16(vget_low_u16(low))), AS_SIGNED(vmovl_high_u16(low)),
                 AS_SIGNED(vmovl_u16(vget_low_u16(high))), AS_SIGNED(vmovl_high_u16(high))}};
}
INLINE void vi_store16(uint16_t *p, vi x) {
    EACH(vst1_u16(p + 4 * i, vmovn_u32(AS_UNSIGNED(x.v[i]))));
}
INLINE void vi_store8(uint8_t *p, vi x) {
    const int16x8_t low = vmovn_high_s32(vmovn_s32(x.v[0]), x.v[1]);
    const int16x8_t high = vmovn_high_s32(vmovn_s32(x.v[2]), x.v[3]);
    vst1q_u8(p, vreinterpretq_u8_s8(vmovn_high_s16(vmovn_s16(low), high)));
}
INLINE void vi_store8_signed(int8_t *p, vi x) {
    const int16x8_t low = vqmovn_high_s32(vqmovn_s32(x.v[0]), x.v[1]);
    const int16x8_t high = vqmovn_high_s32(vqmovn_s32(x.v[2]), x.v[3]);
    vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(low), high));
}

INLINE ipart ipart_zero(void) { return vdupq_n_s32(0); }
INLINE ipart ipart_set1(int32_t x) { return vdupq_n_s32(x); }
INLINE ipart ipart_set4(const int8_t *p) {
    int32_t word;
    memcpy(&word, p, 4);
    return ipart_set1(word);
}
INLINE ipart ipart_load(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }

/* Products of signed bytes: the weights lose their 128 first. */
enum { DOT8_INPUT_BYTES = 1 };
INLINE ipart dot8_begin(int32_t sum_of_x) {
    (void)sum_of_x;
    return ipart_zero();
}
INLINE void dot8_store(int8_t *p, vi x) { vi_store8_signed(p, x); }
INLINE ipart dot8_weights(const uint8_t *p, int half) {
    (void)half;
    return vreinterpretq_s32_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128)));
}
INLINE ipart dot8(ipart sum, ipart weights, ipart x) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(x));
}

INLINE ipart dot4_low(ipart pairs) { return vandq_s32(pairs, vdupq_n_s32(0x0f0f0f0f)); }
INLINE ipart dot4_high(ipart pairs) {
    return dot4_low(AS_SIGNED(vshrq_n_u32(AS_UNSIGNED(pairs), 4)));
}
INLINE ipart dot4(ipart sum, ipart weights, ipart x) { return dot8(sum, weights, x); }
INLINE ipart dot4_end(ipart sum) { return sum; }
INLINE void dot6_weights(ipart high, ipart *to[4]) {
    const int32x4_t mask = vdupq_n_s32(0x30303030);
    *to[0] = vorrq_s32(*to[0], vandq_s32(vshlq_n_s32(high, 4), mask));
    *to[1] = vorrq_s32(*to[1], vandq_s32(vshlq_n_s32(high, 2), mask));
    *to[2] = vorrq_s32(*to[2], vandq_s32(high, mask));
    *to[3] = vorrq_s32(*to[3], vandq_s32(AS_SIGNED(vshrq_n_u32(AS_UNSIGNED(high), 2)), mask));
}
INLINE ipart dot6(ipart sum, ipart w0, ipart x0, ipart w1, ipart x1) {
    return dot8(dot8(sum, w0, x0), w1, x1);
}
