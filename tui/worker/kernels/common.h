/* What the kernels have in common: values that are float32 or (`half`) bfloat16, and memory. */
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline __m512 load(const void *from, int64_t at, int half) {
    if (!half)
        return _mm512_loadu_ps((const float *)from + at);
    const __m256i v = _mm256_loadu_si256((const __m256i *)((const uint16_t *)from + at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* To nearest bfloat16, ties to even, as a float; NaN stays NaN. */
static inline __m512 rounded(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    up = _mm512_and_epi32(up, _mm512_set1_epi32((int)0xffff0000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(up, nan, _mm512_set1_epi32(0x7fc00000)));
}

static inline void store(void *to, int64_t at, __m512 x, int half) {
    if (!half) {
        _mm512_storeu_ps((float *)to + at, x);
        return;
    }
    const __m512i bits = _mm512_srli_epi32(_mm512_castps_si512(rounded(x)), 16);
    _mm256_storeu_si256((__m256i *)((uint16_t *)to + at), _mm512_cvtepi32_epi16(bits));
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
