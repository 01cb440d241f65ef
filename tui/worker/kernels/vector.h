/* Vector operations under names of our own, so that one source serves every instruction set:
 * `vf` is 16 floats, `vi` is 16 integers of 32 bits or 64 bytes. With equal inputs every
 * operation gives equal bits on every instruction set: weights that one machine has packed can be
 * read by another. */
#ifndef DUIBI_VECTOR_H
#define DUIBI_VECTOR_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Before a loop over the steps of a group, with few registers: its sums then stay in them. */
#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__clang__)
#define UNROLLED _Pragma("GCC unroll 8")
#else
#define UNROLLED
#endif
/* Of a pointer nobody knows how it was computed from here on. What is read at small distances from
 * it needs no register of its own then; compilers would compute each address before a loop. */
#define OPAQUE(p) __asm__("" : "+r"(p))

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#include "vector_avx512.h"
#elif defined(__AVX2__)
#include <immintrin.h>
#include "vector_avx2.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "vector_neon.h"
#else
#include "vector_scalar.h"
#endif

/* Into the nearest cache; into the one behind it. */
#define PREFETCH(p) __builtin_prefetch(p, 0, 3)
#define PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)

#endif
