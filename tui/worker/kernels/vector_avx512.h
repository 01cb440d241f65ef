/* AVX-512: a vector is one register, an operation one instruction. */
typedef __m512 vf;
typedef __m512i vi;

/* Vectors that fit in the registers. */
enum { VECTOR_REGISTERS = 32 };

/* The registers of a vector, for loops that need all of them: of floats, and of integers. */
enum { PARTS = 1 };
typedef __m512 part;
typedef __m512i ipart;

INLINE __mmask16 lane_mask(int64_t count) {
    return count < 16 ? (__mmask16)((1u << count) - 1) : 0xffff;
}

INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
/* Only the first `count` of the 16 are read or written; `rest` fills the others. */
INLINE vf vf_load_partial(const float *p, int64_t count, vf rest) {
    return _mm512_mask_loadu_ps(rest, lane_mask(count), p);
}
INLINE void vf_store_partial(float *p, int64_t count, vf x) {
    _mm512_mask_storeu_ps(p, lane_mask(count), x);
}

INLINE vf vf_add(vf x, vf y) { return _mm512_add_ps(x, y); }
INLINE vf vf_sub(vf x, vf y) { return _mm512_sub_ps(x, y); }
INLINE vf vf_mul(vf x, vf y) { return _mm512_mul_ps(x, y); }
INLINE vf vf_div(vf x, vf y) { return _mm512_div_ps(x, y); }
/* The second operand where one is NaN. */
INLINE vf vf_min(vf x, vf y) { return _mm512_min_ps(x, y); }
INLINE vf vf_max(vf x, vf y) { return _mm512_max_ps(x, y); }
INLINE vf vf_abs(vf x) { return _mm512_abs_ps(x); }
/* x y + z, x y - z, z - x y */
INLINE vf vf_fma(vf x, vf y, vf z) { return _mm512_fmadd_ps(x, y, z); }
INLINE vf vf_fms(vf x, vf y, vf z) { return _mm512_fmsub_ps(x, y, z); }
INLINE vf vf_fnma(vf x, vf y, vf z) { return _mm512_fnmadd_ps(x, y, z); }
/* To the nearest whole number, ties to even. */
INLINE vf vf_round(vf x) { return _mm512_roundscale_ps(x, 8); }
/* x 2^n, for whole n of -150 to 128. */
INLINE vf vf_scale(vf x, vf n) { return _mm512_scalef_ps(x, n); }
/* The first half and the second, then quarters, and so on; minimum and maximum of numbers only. */
INLINE float vf_reduce_add(vf x) { return _mm512_reduce_add_ps(x); }
INLINE float vf_reduce_min(vf x) { return _mm512_reduce_min_ps(x); }
INLINE float vf_reduce_max(vf x) { return _mm512_reduce_max_ps(x); }

INLINE vf vf_from_bits(vi x) { return _mm512_castsi512_ps(x); }
INLINE vi vf_bits(vf x) { return _mm512_castps_si512(x); }
INLINE vf vf_from_int(vi x) { return _mm512_cvtepi32_ps(x); }
/* To the nearest, ties to even. */
INLINE vi vf_to_int(vf x) { return _mm512_cvtps_epi32(x); }
/* `yes` where x is NaN, else `no`. */
INLINE vi vi_select_nan(vf x, vi yes, vi no) {
    return _mm512_mask_mov_epi32(no, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), yes);
}

/* Of the 32 floats x, y those at even places; at odd places. */
INLINE vf vf_even(vf x, vf y) {
    const __m512i places =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(x, places, y);
}
INLINE vf vf_odd(vf x, vf y) {
    const __m512i places =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(x, places, y);
}

INLINE part part_zero(void) { return _mm512_setzero_ps(); }
INLINE part part_set1(float x) { return _mm512_set1_ps(x); }
INLINE part part_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void part_store(float *p, part x) { _mm512_storeu_ps(p, x); }
INLINE part part_mul(part x, part y) { return _mm512_mul_ps(x, y); }
INLINE part part_fma(part x, part y, part z) { return _mm512_fmadd_ps(x, y, z); }
INLINE part part_fms(part x, part y, part z) { return _mm512_fmsub_ps(x, y, z); }
INLINE part part_from_int(ipart x) { return _mm512_cvtepi32_ps(x); }
/* The bfloat16 at even places, and those at odd ones. */
INLINE part part_load_even(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
INLINE part part_load_odd(const uint16_t *p) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), upper));
}
INLINE vf vf_of_parts(const part *p) { return p[0]; }
INLINE void vf_to_parts(vf x, part *p) { p[0] = x; }

INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
INLINE vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void vi_store(void *p, vi x) { _mm512_storeu_si512(p, x); }
INLINE vi vi_add(vi x, vi y) { return _mm512_add_epi32(x, y); }
INLINE vi vi_and(vi x, vi y) { return _mm512_and_si512(x, y); }
INLINE vi vi_or(vi x, vi y) { return _mm512_or_si512(x, y); }
INLINE vi vi_max_unsigned(vi x, vi y) { return _mm512_max_epu32(x, y); }
INLINE vi vi_shift_left(vi x, int n) { return _mm512_slli_epi32(x, (unsigned)n); }
INLINE vi vi_shift_right(vi x, int n) { return _mm512_srli_epi32(x, (unsigned)n); }
INLINE int32_t vi_reduce_add(vi x) { return _mm512_reduce_add_epi32(x); }
INLINE uint32_t vi_reduce_max_unsigned(vi x) { return _mm512_reduce_max_epu32(x); }

/* 16 unsigned integers of 8 or 16 bits each. */
INLINE vi vi_load8(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
INLINE vi vi_load16(const uint16_t *p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
/* Values of 0 to 255; of 0 to 65535; and any, saturated to -128 to 127. */
INLINE void vi_store8(uint8_t *p, vi x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x));
}
INLINE void vi_store16(uint16_t *p, vi x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(x));
}
INLINE void vi_store8_signed(int8_t *p, vi x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(x));
}

INLINE ipart ipart_zero(void) { return _mm512_setzero_si512(); }
INLINE ipart ipart_set1(int32_t x) { return _mm512_set1_epi32(x); }
/* The same four bytes for each output. */
INLINE ipart ipart_set4(const int8_t *p) {
    int32_t word;
    memcpy(&word, p, 4);
    return ipart_set1(word);
}
INLINE ipart ipart_load(const void *p) { return _mm512_loadu_si512(p); }

/* Sums of products of 8-bit weights, stored as w + 128, with integers of -127 to 127, four for each
 * of the outputs of a part. dot8_begin subtracts what the 128 adds. The integers have so many
 * bytes, as dot8_store writes them: where it is two, a dot8 takes one half of the four, of the
 * weights and of theirs. */
enum { DOT8_INPUT_BYTES = 1 };
INLINE ipart dot8_begin(int32_t sum_of_x) { return _mm512_set1_epi32(-128 * sum_of_x); }
INLINE void dot8_store(int8_t *p, vi x) { vi_store8_signed(p, x); }
INLINE ipart dot8_weights(const uint8_t *p, int half) {
    (void)half;
    return ipart_load(p);
}
INLINE ipart dot8(ipart sum, ipart weights, ipart x) {
    return _mm512_dpbusd_epi32(sum, weights, x);
}

/* The same for weights of 0 to 15, two in a byte; at most eight dot4 before dot4_end. */
INLINE ipart dot4_low(ipart pairs) { return _mm512_and_si512(pairs, _mm512_set1_epi8(15)); }
INLINE ipart dot4_high(ipart pairs) { return dot4_low(_mm512_srli_epi16(pairs, 4)); }
INLINE ipart dot4(ipart sum, ipart weights, ipart x) {
    return _mm512_dpbusd_epi32(sum, weights, x);
}
INLINE ipart dot4_end(ipart sum) { return sum; }

/* The same for weights of 0 to 63, two at a time. dot6_weights adds their high two bits, of which a
 * byte has four, to the low four bits in `to`. */
INLINE void dot6_weights(ipart high, ipart *to[4]) {
    const __m512i mask = _mm512_set1_epi8(0x30);
    *to[0] = _mm512_or_si512(*to[0], _mm512_and_si512(_mm512_slli_epi16(high, 4), mask));
    *to[1] = _mm512_or_si512(*to[1], _mm512_and_si512(_mm512_slli_epi16(high, 2), mask));
    *to[2] = _mm512_or_si512(*to[2], _mm512_and_si512(high, mask));
    *to[3] = _mm512_or_si512(*to[3], _mm512_and_si512(_mm512_srli_epi16(high, 2), mask));
}
INLINE ipart dot6(ipart sum, ipart w0, ipart x0, ipart w1, ipart x1) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, w0, x0), w1, x1);
}
