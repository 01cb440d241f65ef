/* The vector operations that the kernels are written in, by names of our own, so that one source
 * serves every instruction set: `vf` is 16 floats, `vi` is 16 integers of 32 bits or 64 bytes.
 * With equal inputs all of them give equal bits, whatever the instruction set: what one machine
 * has packed, another may read. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512VNNI__
#include "vector_avx512.h"
#else
#include "vector_avx2.h"
#endif
