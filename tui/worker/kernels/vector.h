/* Vector operations under names of our own, so that one source serves every instruction set:
 * `vf` is 16 floats, `vi` is 16 integers of 32 bits or 64 bytes. With equal inputs every
 * operation gives equal bits on every instruction set: weights that one machine has packed can be
 * read by another. */
#ifndef DUIBI_VECTOR_H
#define DUIBI_VECTOR_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512VNNI__
#include "vector_avx512.h"
#else
#include "vector_avx2.h"
#endif

#endif
