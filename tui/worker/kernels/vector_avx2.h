/* AVX2 and FMA: a vector is two registers. vector_avx512.h says what the operations are; rounding,
 * and the order of sums, are the same here. */
typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;

enum { VECTOR_REGISTERS = 8, PARTS = 2 };
typedef __m256 part;
typedef __m256i ipart;

/* One instruction for each half. */
#define VF2(op) (vf){op(x.a, y.a), op(x.b, y.b)}
#define VF3(op) (vf){op(x.a, y.a, z.a), op(x.b, y.b, z.b)}
#define VI2(op) (vi){op(x.a, y.a), op(x.b, y.b)}

/* All bits of the first `count` of 8. */
INLINE __m256i lane_mask(int64_t count) {
    const __m256i place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < 8 ? (int)count : 8), place);
}

INLINE vf vf_set1(float x) { return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE vf vf_zero(void) { return vf_set1(0); }
INLINE vf vf_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
INLINE __m256 load_partial(const float *p, __m256i mask, __m256 rest) {
    return _mm256_blendv_ps(rest, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
INLINE vf vf_load_partial(const float *p, int64_t count, vf rest) {
    if (count >= 16)
        return vf_load(p);
    return (vf){load_partial(p, lane_mask(count), rest.a),
                load_partial(p + 8, lane_mask(count - 8), rest.b)};
}
INLINE void vf_store_partial(float *p, int64_t count, vf x) {
    if (count >= 16) {
        vf_store(p, x);
        return;
    }
    _mm256_maskstore_ps(p, lane_mask(count), x.a);
    _mm256_maskstore_ps(p + 8, lane_mask(count - 8), x.b);
}

INLINE vf vf_add(vf x, vf y) { return VF2(_mm256_add_ps); }
INLINE vf vf_sub(vf x, vf y) { return VF2(_mm256_sub_ps); }
INLINE vf vf_mul(vf x, vf y) { return VF2(_mm256_mul_ps); }
INLINE vf vf_div(vf x, vf y) { return VF2(_mm256_div_ps); }
INLINE vf vf_min(vf x, vf y) { return VF2(_mm256_min_ps); }
INLINE vf vf_max(vf x, vf y) { return VF2(_mm256_max_ps); }
INLINE vf vf_fma(vf x, vf y, vf z) { return VF3(_mm256_fmadd_ps); }
INLINE vf vf_fms(vf x, vf y, vf z) { return VF3(_mm256_fmsub_ps); }
INLINE vf vf_fnma(vf x, vf y, vf z) { return VF3(_mm256_fnmadd_ps); }
INLINE vf vf_abs(vf x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
INLINE vf vf_round(vf x) {
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (vf){_mm256_round_ps(x.a, NEAREST), _mm256_round_ps(x.b, NEAREST)};
}
/* 2^n, for n of -126 to 127. */
INLINE __m256 pow2(__m256i n) {
    n = _mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23);
    return _mm256_castsi256_ps(n);
}
/* In two steps, of which only the second can round: both factors fit in an exponent. */
INLINE __m256 scale(__m256 x, __m256 n) {
    const __m256i whole = _mm256_cvtps_epi32(n), lower = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(x, pow2(lower)), pow2(_mm256_sub_epi32(whole, lower)));
}
INLINE vf vf_scale(vf x, vf n) { return (vf){scale(x.a, n.a), scale(x.b, n.b)}; }

/* In the order of _mm512_reduce_add_ps: halves, then quarters, and so on. */
#define REDUCE(op)                                                    \
    const __m256 eight = _mm256_##op##_ps(x.b, x.a);                   \
    const __m128 upper = _mm256_extractf128_ps(eight, 1);              \
    const __m128 four = _mm_##op##_ps(upper, _mm256_castps256_ps128(eight)); \
    const __m128 two = _mm_##op##_ps(four, _mm_movehl_ps(four, four)); \
    return _mm_cvtss_f32(_mm_##op##_ss(two, _mm_movehdup_ps(two)))
INLINE float vf_reduce_add(vf x) { REDUCE(add); }
INLINE float vf_reduce_min(vf x) { REDUCE(min); }
INLINE float vf_reduce_max(vf x) { REDUCE(max); }

INLINE vf vf_from_bits(vi x) { return (vf){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
INLINE vi vf_bits(vf x) { return (vi){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
INLINE vf vf_from_int(vi x) { return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
INLINE vi vf_to_int(vf x) { return (vi){_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
INLINE __m256i select_nan(__m256 x, __m256i yes, __m256i no) {
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
INLINE vi vi_select_nan(vf x, vi yes, vi no) {
    return (vi){select_nan(x.a, yes.a, no.a), select_nan(x.b, yes.b, no.b)};
}

/* Pairs of floats 0, 2, 1, 3: _mm256_shuffle_ps works in each 128 bits apart. */
INLINE __m256 restore_order(__m256 x) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
}
INLINE vf vf_even(vf x, vf y) {
    return (vf){restore_order(_mm256_shuffle_ps(x.a, x.b, 0x88)),
                restore_order(_mm256_shuffle_ps(y.a, y.b, 0x88))};
}
INLINE vf vf_odd(vf x, vf y) {
    return (vf){restore_order(_mm256_shuffle_ps(x.a, x.b, 0xdd)),
                restore_order(_mm256_shuffle_ps(y.a, y.b, 0xdd))};
}

INLINE part part_zero(void) { return _mm256_setzero_ps(); }
INLINE part part_set1(float x) { return _mm256_set1_ps(x); }
INLINE part part_load(const float *p) {
    part x = _mm256_loadu_ps(p);
    /* Kept in a register: compilers load it again for each use, and loads are what limits. */
    __asm__("" : "+x"(x));
    return x;
}
INLINE void part_store(float *p, part x) { _mm256_storeu_ps(p, x); }
INLINE part part_mul(part x, part y) { return _mm256_mul_ps(x, y); }
INLINE part part_fma(part x, part y, part z) { return _mm256_fmadd_ps(x, y, z); }
INLINE part part_fms(part x, part y, part z) { return _mm256_fmsub_ps(x, y, z); }
INLINE part part_from_int(ipart x) { return _mm256_cvtepi32_ps(x); }
INLINE part part_load_even(const uint16_t *p) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}
INLINE part part_load_odd(const uint16_t *p) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000)));
}
INLINE vf vf_of_parts(const part *p) { return (vf){p[0], p[1]}; }
INLINE void vf_to_parts(vf x, part *p) { p[0] = x.a, p[1] = x.b; }

INLINE vi vi_set1(int32_t x) { return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
INLINE vi vi_zero(void) { return vi_set1(0); }
INLINE vi vi_load(const void *p) {
    const __m256i *from = p;
    return (vi){_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
}
INLINE void vi_store(void *p, vi x) {
    __m256i *to = p;
    _mm256_storeu_si256(to, x.a);
    _mm256_storeu_si256(to + 1, x.b);
}
INLINE vi vi_add(vi x, vi y) { return VI2(_mm256_add_epi32); }
INLINE vi vi_and(vi x, vi y) { return VI2(_mm256_and_si256); }
INLINE vi vi_or(vi x, vi y) { return VI2(_mm256_or_si256); }
INLINE vi vi_max_unsigned(vi x, vi y) { return VI2(_mm256_max_epu32); }
INLINE vi vi_shift_left(vi x, int n) {
    return (vi){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
INLINE vi vi_shift_right(vi x, int n) {
    return (vi){_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)};
}
INLINE int32_t vi_reduce_add(vi x) {
    const __m256i eight = _mm256_add_epi32(x.a, x.b);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
}
INLINE uint32_t vi_reduce_max_unsigned(vi x) {
    const __m256i eight = _mm256_max_epu32(x.a, x.b);
    __m128i most = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4e));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(most);
}

INLINE vi vi_load8(const uint8_t *p) {
    return (vi){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
INLINE vi vi_load16(const uint16_t *p) {
    return (vi){_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)),
                _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
INLINE void vi_store16(uint16_t *p, vi x) {
    const __m256i v = _mm256_permute4x64_epi64(_mm256_packus_epi32(x.a, x.b), 0xd8);
    _mm256_storeu_si256((__m256i *)p, v);
}
/* To signed 16 bits, saturated, in order. */
INLINE __m256i narrow16(vi x) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
}
INLINE void vi_store8(uint8_t *p, vi x) {
    const __m256i v = narrow16(x);
    const __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(low, high));
}
INLINE void vi_store8_signed(int8_t *p, vi x) {
    const __m256i v = narrow16(x);
    const __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(low, high));
}

INLINE ipart ipart_zero(void) { return _mm256_setzero_si256(); }
INLINE ipart ipart_set1(int32_t x) { return _mm256_set1_epi32(x); }
/* Where it stands: compilers would do it once for several products, and go through memory to keep
 * it. */
INLINE ipart ipart_set4(const int8_t *p) {
    ipart x;
    __asm__ volatile("vpbroadcastd %1, %0" : "=x"(x) : "m"(*(const int32_t *)p));
    return x;
}
INLINE ipart ipart_load(const void *p) { return _mm256_loadu_si256(p); }

INLINE ipart dot8_begin(int32_t sum_of_x) { return ipart_set1(-128 * sum_of_x); }
INLINE ipart dot4_low(ipart pairs) { return _mm256_and_si256(pairs, _mm256_set1_epi8(15)); }
INLINE ipart dot4_high(ipart pairs) { return dot4_low(_mm256_srli_epi16(pairs, 4)); }
INLINE void dot6_weights(ipart high, ipart *to[4]) {
    const __m256i mask = _mm256_set1_epi8(0x30);
    *to[0] = _mm256_or_si256(*to[0], _mm256_and_si256(_mm256_slli_epi16(high, 4), mask));
    *to[1] = _mm256_or_si256(*to[1], _mm256_and_si256(_mm256_slli_epi16(high, 2), mask));
    *to[2] = _mm256_or_si256(*to[2], _mm256_and_si256(high, mask));
    *to[3] = _mm256_or_si256(*to[3], _mm256_and_si256(_mm256_srli_epi16(high, 2), mask));
}

#ifdef __AVXVNNI__

enum { DOT8_INPUT_BYTES = 1 };
INLINE void dot8_store(int8_t *p, vi x) { vi_store8_signed(p, x); }
INLINE ipart dot8_weights(const uint8_t *p, int half) {
    (void)half;
    return ipart_load(p);
}
INLINE ipart dot8(ipart sum, ipart weights, ipart x) {
    return _mm256_dpbusd_avx_epi32(sum, weights, x);
}
INLINE ipart dot4(ipart sum, ipart weights, ipart x) { return dot8(sum, weights, x); }
INLINE ipart dot4_end(ipart sum) { return sum; }
INLINE ipart dot6(ipart sum, ipart w0, ipart x0, ipart w1, ipart x1) {
    return dot8(dot8(sum, w0, x0), w1, x1);
}

#else

/* One sum after the other: compilers would add products of several steps first, and keep all. */
#define IN_ORDER(sum) __asm__("" : "+x"(sum))

/* _mm256_maddubs_epi16 adds pairs of products of bytes in 16 bits and saturates: of 8 bits they do
 * not fit. So activations have 16 bits here, and weights get them: of every four those at even
 * places, then those at odd ones. */
enum { DOT8_INPUT_BYTES = 2 };
INLINE void dot8_store(int8_t *p, vi x) {
    const __m256i v = _mm256_shufflelo_epi16(narrow16(x), 0xd8);
    _mm256_storeu_si256((__m256i *)p, _mm256_shufflehi_epi16(v, 0xd8));
}
INLINE ipart dot8_weights(const uint8_t *p, int half) {
    const ipart w = ipart_load(p);
    return half ? _mm256_srli_epi16(w, 8) : _mm256_and_si256(w, _mm256_set1_epi16(255));
}
INLINE ipart dot8(ipart sum, ipart w, ipart x) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(w, x));
    IN_ORDER(sum);
    return sum;
}

/* Of 4 bits even sums of eight fit: 8 * 2 * 15 * 127 < 2^15. */
INLINE ipart dot4(ipart sum, ipart w, ipart x) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
    IN_ORDER(sum);
    return sum;
}
INLINE __m256i add_pairs(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }
INLINE ipart dot4_end(ipart sum) { return add_pairs(sum); }

/* And of 6 bits those of two: 2 * 2 * 63 * 127 < 2^15. */
INLINE ipart dot6(ipart sum, ipart w0, ipart x0, ipart w1, ipart x1) {
    const __m256i both =
        _mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1));
    sum = _mm256_add_epi32(sum, add_pairs(both));
    IN_ORDER(sum);
    return sum;
}

#endif
