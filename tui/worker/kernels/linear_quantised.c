/* Linear layers over 8- and 4-bit weights, in integers; duibi.h says how the weights lie.
 *
 * Activations get 8 bits and a scale for each row and group (as llama.cpp's Q8_0 has them),
 * so that products and sums within a group are exact integers, whatever the instructions: those
 * of VNNI multiply unsigned bytes (weights) by signed ones (activations) and add four products
 * to an int32; vector_avx2.h says what is done without.
 */
#include "common.h"

enum { MAX_ROWS = 128, HALF_TILE = DUIBI_TILE / 2 };
/* Rows and halves of a tile that are computed together, as the registers allow. Up to
 * MEMORY_BOUND_ROWS, where reading the weights takes the time, halves of 8 bits are computed one
 * by one, in the order in which they lie in memory. */
enum { ROWS_AT_ONCE = 4, HALVES_AT_ONCE = VECTOR_REGISTERS < 32 ? 1 : 2, MEMORY_BOUND_ROWS = 8 };

/* Non-zero: skip the remaining tiles, the forward pass was aborted. */
_Atomic int duibi_stop = 0;

/* Activations in 8 bits, group by group: all rows of group 0, then of group 1, ... */
typedef struct {
    int8_t *q;    /* [groups][rows][32] */
    float *scale; /* [groups][rows] */
    int32_t *sum; /* [groups][rows]: of a group's q */
} QuantisedRows;

static void quantise_group(const uint16_t *x, int8_t *q, float *scale, int32_t *sum) {
    vf a = load(x, 0, DUIBI_BF16), b = load(x, 16, DUIBI_BF16);
    /* Compared as integers, a NaN is larger than any number, so it is not lost. */
    vi magnitude = vi_max_unsigned(vi_and(vf_bits(a), vi_set1(0x7fffffff)),
                                   vi_and(vf_bits(b), vi_set1(0x7fffffff)));
    uint32_t bits = vi_reduce_max_unsigned(magnitude);
    float max_abs;
    memcpy(&max_abs, &bits, 4);
    *scale = bits >= 0x7f800000u ? __builtin_nanf("") : max_abs / 127.0f;
    vf inverse = vf_set1(max_abs > 1e-30f && bits < 0x7f800000u ? 127.0f / max_abs : 0.0f);
    vi qa = vf_to_int(vf_mul(a, inverse));
    vi qb = vf_to_int(vf_mul(b, inverse));
    *sum = vi_reduce_add(vi_add(qa, qb));
    vi_store8_signed(q, qa);
    vi_store8_signed(q + 16, qb);
}

/* Three bits of exponent and five of fraction, from 2^-7 to 2 - 2^-5. */
static inline vf decode_scales(const uint8_t *codes) {
    vi bits = vi_load8(codes);
    bits = vi_or(vi_shift_left(bits, 18), vi_set1(120 << 23));
    return vf_from_bits(bits);
}

/* In sixteenths. */
static inline vf decode_zeros(const uint8_t *codes) {
    vi whole = vi_load8(codes);
    return vf_mul(vf_from_int(whole), vf_set1(1.0f / 16));
}

static inline vi broadcast4(const int8_t *q) {
    int32_t word;
    memcpy(&word, q, 4);
    return vi_set1(word);
}

/* Adds the products of one group with `rows` rows from `at` on to acc[rows][32]. rows and halves
 * are compile-time constants after inlining. */
INLINE void group8(const uint8_t *w, const QuantisedRows *a, int64_t at, int rows, int halves,
                   float *acc) {
    for (int first = 0; first < 2; first += halves) {
        vi d[ROWS_AT_ONCE][HALVES_AT_ONCE];
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < halves; h++)
                d[r][h] = dot8_begin(a->sum[at + r]);
        for (int s = 0; s < 8; s++) {
            vi v[HALVES_AT_ONCE];
            for (int h = 0; h < halves; h++)
                v[h] = dot8_weights(w + 512 * (first + h) + 64 * s);
            for (int r = 0; r < rows; r++) {
                const vi x = broadcast4(a->q + (at + r) * DUIBI_GROUP + 4 * s);
                for (int h = 0; h < halves; h++)
                    d[r][h] = dot8(d[r][h], v[h], x);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < halves; h++) {
                float *to = acc + r * DUIBI_TILE + HALF_TILE * (first + h);
                const vf scale = vf_set1(a->scale[at + r]);
                vf_store(to, vf_fma(scale, vf_from_int(d[r][h]), vf_load(to)));
            }
    }
}

/* 4-bit weights of a group, a byte each, with their scales s and s * z. */
typedef struct {
    vi q[8][HALVES_AT_ONCE];
    vf scale[HALVES_AT_ONCE], zero[HALVES_AT_ONCE];
} UnpackedGroup;

INLINE UnpackedGroup unpack_group(const uint8_t *w, int first) {
    UnpackedGroup u;
    for (int h = 0; h < HALVES_AT_ONCE; h++) {
        for (int s = 0; s < 4; s++) {
            const vi pairs = vi_load(w + 256 * (first + h) + 64 * s);
            u.q[s][h] = dot4_low(pairs);
            u.q[s + 4][h] = dot4_high(pairs);
        }
        const uint8_t *codes = w + DUIBI_INT4_WEIGHTS + HALF_TILE * (first + h);
        u.scale[h] = decode_scales(codes);
        u.zero[h] = vf_mul(u.scale[h], decode_zeros(codes + DUIBI_TILE));
    }
    return u;
}

/* As group8. `unpacked`: the group's weights, unpacked for all rows, or NULL. */
INLINE void group4(const uint8_t *w, const UnpackedGroup *unpacked, const QuantisedRows *a,
                   int64_t at, int rows, float *acc) {
    for (int first = 0; first < 2; first += HALVES_AT_ONCE) {
        UnpackedGroup own;
        if (!unpacked)
            own = unpack_group(w, first);
        const UnpackedGroup *u = unpacked ? unpacked + first / HALVES_AT_ONCE : &own;
        vi d[ROWS_AT_ONCE][HALVES_AT_ONCE];
        for (int r = 0; r < rows; r++)
            for (int h = 0; h < HALVES_AT_ONCE; h++)
                d[r][h] = vi_zero();
        for (int s = 0; s < 8; s++)
            for (int r = 0; r < rows; r++) {
                const vi x = broadcast4(a->q + (at + r) * DUIBI_GROUP + 4 * s);
                for (int h = 0; h < HALVES_AT_ONCE; h++)
                    d[r][h] = dot4(d[r][h], u->q[s][h], x);
            }
        for (int r = 0; r < rows; r++) {
            /* The sum of x s (q - z) over the group, in units of the row's scale. */
            const vf sum = vf_set1((float)a->sum[at + r]), scale = vf_set1(a->scale[at + r]);
            for (int h = 0; h < HALVES_AT_ONCE; h++) {
                const vf products = vf_from_int(dot4_end(d[r][h]));
                const vf p = vf_fms(u->scale[h], products, vf_mul(u->zero[h], sum));
                float *to = acc + r * DUIBI_TILE + HALF_TILE * (first + h);
                vf_store(to, vf_fma(scale, p, vf_load(to)));
            }
        }
    }
}

/* `bits`, `halves` and `rows` are compile-time constants after inlining. */
INLINE void multiply_group(int bits, int halves, const uint8_t *w, const UnpackedGroup *unpacked,
                           const QuantisedRows *a, int64_t at, int rows, float *acc) {
    if (bits == 8)
        group8(w, a, at, rows, halves, acc);
    else
        group4(w, unpacked, a, at, rows, acc);
}

/* Adds the products of rows `first` to `first + rows`, of `all`, with one tile to
 * acc[rows][32]. unpack: 4-bit weights are unpacked once for all rows. */
INLINE void multiply_tile(int bits, int halves, int unpack, const uint8_t *w, int64_t groups,
                          const QuantisedRows *a, int64_t all, int64_t first, int64_t rows,
                          float *acc) {
    const int64_t block = bits == 8 ? DUIBI_INT8_BLOCK : DUIBI_INT4_BLOCK;
    for (int64_t g = 0; g < groups; g++, w += block) {
        for (int64_t i = 0; i < block; i += 64)
            PREFETCH(w + 4096 + i);
        UnpackedGroup whole[2 / HALVES_AT_ONCE];
        if (unpack)
            for (int first = 0; first < 2; first += HALVES_AT_ONCE)
                whole[first / HALVES_AT_ONCE] = unpack_group(w, first);
        const UnpackedGroup *unpacked = unpack ? whole : NULL;
        const int64_t at = g * all + first;
        const int at_once = bits == 4 && HALVES_AT_ONCE == 2 ? 1 : ROWS_AT_ONCE;
        int64_t r = 0;
        for (; r + at_once <= rows; r += at_once)
            multiply_group(bits, halves, w, unpacked, a, at + r, at_once, acc + r * DUIBI_TILE);
        switch (rows - r) {
        case 3:
            multiply_group(bits, halves, w, unpacked, a, at + r, 3, acc + r * DUIBI_TILE);
            break;
        case 2:
            multiply_group(bits, halves, w, unpacked, a, at + r, 2, acc + r * DUIBI_TILE);
            break;
        case 1:
            multiply_group(bits, halves, w, unpacked, a, at + r, 1, acc + r * DUIBI_TILE);
        }
    }
}

int duibi_linear_quantised(int bits, const uint16_t *x, int64_t rows, int64_t inputs,
                           int64_t outputs, const uint8_t *tiles, const float *scale,
                           const float *bias, uint16_t *y) {
    const int64_t groups = inputs / DUIBI_GROUP;
    const int64_t tile_count = (outputs + DUIBI_TILE - 1) / DUIBI_TILE;
    const int64_t tile_bytes = groups * (bits == 8 ? DUIBI_INT8_BLOCK : DUIBI_INT4_BLOCK);
    int8_t *buffer = scratch((size_t)(rows * groups) * (DUIBI_GROUP + 8));
    if (!buffer)
        return 1;
    QuantisedRows a = {buffer, (float *)(buffer + rows * inputs), NULL};
    a.sum = (int32_t *)(a.scale + rows * groups);
    const int single = rows == 1;
    if (single)
        for (int64_t g = 0; g < groups; g++)
            quantise_group(x + g * DUIBI_GROUP, a.q + g * DUIBI_GROUP, a.scale + g, a.sum + g);
#pragma omp parallel
    {
        float acc[MAX_ROWS * DUIBI_TILE] __attribute__((aligned(64)));
        if (!single) {
#pragma omp for schedule(static)
            for (int64_t r = 0; r < rows; r++)
                for (int64_t g = 0; g < groups; g++) {
                    int64_t at = g * rows + r;
                    quantise_group(x + r * inputs + g * DUIBI_GROUP, a.q + at * DUIBI_GROUP,
                                   a.scale + at, a.sum + at);
                }
        }
#pragma omp for schedule(static) collapse(2)
        for (int64_t first = 0; first < rows; first += MAX_ROWS)
            for (int64_t t = 0; t < tile_count; t++) {
                if (stopped())
                    continue;
                const int64_t count = rows - first < MAX_ROWS ? rows - first : MAX_ROWS;
                const uint8_t *w = tiles + t * tile_bytes;
                memset(acc, 0, (size_t)count * DUIBI_TILE * sizeof(float));
                /* Without room for them in the registers, unpacked weights are worth their way
                 * through memory where they are used often. */
                if (bits == 4 && (HALVES_AT_ONCE == 2 || count > MEMORY_BOUND_ROWS))
                    multiply_tile(4, HALVES_AT_ONCE, 1, w, groups, &a, rows, first, count, acc);
                else if (bits == 4)
                    multiply_tile(4, HALVES_AT_ONCE, 0, w, groups, &a, rows, first, count, acc);
                else if (count <= MEMORY_BOUND_ROWS)
                    multiply_tile(8, 1, 0, w, groups, &a, rows, first, count, acc);
                else
                    multiply_tile(8, HALVES_AT_ONCE, 0, w, groups, &a, rows, first, count, acc);
                for (int64_t r = 0; r < count; r++)
                    for (int offset = 0; offset < DUIBI_TILE; offset += HALF_TILE) {
                        const int64_t o = t * DUIBI_TILE + offset;
                        if (o >= outputs)
                            break;
                        vf v = vf_load(acc + r * DUIBI_TILE + offset);
                        v = vf_mul(v, vf_load(scale + o));
                        uint16_t *to = y + (first + r) * outputs + o;
                        if (outputs - o >= HALF_TILE) {
                            if (bias)
                                v = vf_add(v, vf_load(bias + o));
                            store(to, 0, v, DUIBI_BF16);
                        } else {
                            uint16_t last[HALF_TILE];
                            if (bias)
                                v = vf_add(v, vf_load_partial(bias + o, outputs - o, vf_zero()));
                            store(last, 0, v, DUIBI_BF16);
                            memcpy(to, last, (size_t)(outputs - o) * 2);
                        }
                    }
            }
    }
    return 0;
}
