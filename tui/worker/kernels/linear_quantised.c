/* Linear layers over 8-, 6- and 4-bit weights, in integers; duibi.h says how the weights lie.
 *
 * Activations get 8 bits and a scale for each row and group (as llama.cpp's Q8_0 has them),
 * so that products and sums within a group are exact integers, whatever the instructions: those
 * of VNNI multiply unsigned bytes (weights) by signed ones (activations) and add four products
 * to an int32; vector_avx2.h says what is done without.
 */
#include "common.h"

enum { MAX_ROWS = 128, HALF_TILE = DUIBI_TILE / 2, REGISTERS = VECTOR_REGISTERS * PARTS };
/* A tile has so many columns, each of as many outputs as a register has sums of. */
enum { COLUMNS = 2 * PARTS, OUTPUTS = HALF_TILE / PARTS };
/* Rows and columns that are computed together, as the registers allow. Up to MEMORY_BOUND_ROWS,
 * where reading the weights takes the time, 8 bits are computed in the order in which they lie in
 * memory: no more columns than half a tile has. */
enum {
    ROWS_AT_ONCE = 4,
    COLUMNS_AT_ONCE = REGISTERS < 32 || PARTS == 1 ? 2 : 4,
    FEW_COLUMNS = COLUMNS_AT_ONCE < PARTS ? COLUMNS_AT_ONCE : PARTS,
    MEMORY_BOUND_ROWS = 8
};
/* Where registers hold all columns, a group's 4-bit weights stay in them, row after row. */
enum { KEEPS_WEIGHTS = REGISTERS >= 32 && PARTS == 1 };

/* Non-zero: skip the remaining tiles, the forward pass was aborted. */
_Atomic int duibi_stop = 0;

/* Activations in 8 bits, group by group: all rows of group 0, then of group 1, ... */
typedef struct {
    int8_t *q;    /* [groups][rows][32]; for weights of 8 bits in DOT8_INPUT_BYTES each */
    float *scale; /* [groups][rows] */
    int32_t *sum; /* [groups][rows]: of a group's q */
    float *float_sum; /* [groups][rows]: the same */
} QuantisedRows;

enum { GROUP8_BYTES = DUIBI_GROUP * DOT8_INPUT_BYTES };

/* The 32 values of a row in a group, as number `at` of all. */
static void quantise_group(int bits, const uint16_t *x, const QuantisedRows *to, int64_t at) {
    vf a = load(x, 0, DUIBI_BF16), b = load(x, 16, DUIBI_BF16);
    /* Compared as integers, a NaN is larger than any number, so it is not lost. */
    vi magnitude = vi_max_unsigned(vi_and(vf_bits(a), vi_set1(0x7fffffff)),
                                   vi_and(vf_bits(b), vi_set1(0x7fffffff)));
    uint32_t largest = vi_reduce_max_unsigned(magnitude);
    float max_abs;
    memcpy(&max_abs, &largest, 4);
    to->scale[at] = largest >= 0x7f800000u ? __builtin_nanf("") : max_abs / 127.0f;
    vf inverse = vf_set1(max_abs > 1e-30f && largest < 0x7f800000u ? 127.0f / max_abs : 0.0f);
    vi qa = vf_to_int(vf_mul(a, inverse));
    vi qb = vf_to_int(vf_mul(b, inverse));
    to->sum[at] = vi_reduce_add(vi_add(qa, qb));
    to->float_sum[at] = (float)to->sum[at];
    if (bits == 8) {
        dot8_store(to->q + at * GROUP8_BYTES, qa);
        dot8_store(to->q + at * GROUP8_BYTES + GROUP8_BYTES / 2, qb);
    } else {
        vi_store8_signed(to->q + at * DUIBI_GROUP, qa);
        vi_store8_signed(to->q + at * DUIBI_GROUP + 16, qb);
    }
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

/* Where a column lies in a half of `half_bytes`, after its step 0. */
INLINE const uint8_t *column_weights(const uint8_t *w, int column, int half_bytes) {
    return w + column / PARTS * half_bytes + column % PARTS * (64 / PARTS);
}

/* Adds the products of one group with `rows` rows from `at` on, in `columns` columns, to
 * acc[rows][32]. rows and columns are compile-time constants after inlining. */
INLINE void group8(const uint8_t *w, const QuantisedRows *a, int64_t at, int rows, int column,
                   int columns, float *acc) {
    const int8_t *q = a->q + at * GROUP8_BYTES;
    OPAQUE(q);
    ipart d[ROWS_AT_ONCE][COLUMNS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            d[r][c] = dot8_begin(a->sum[at + r]);
    UNROLLED for (int s = 0; s < 8; s++)
        for (int half = 0; half < DOT8_INPUT_BYTES; half++) {
            ipart v[COLUMNS_AT_ONCE];
            for (int c = 0; c < columns; c++)
                v[c] = dot8_weights(column_weights(w, column + c, 512) + 64 * s, half);
            for (int r = 0; r < rows; r++) {
                const int place = r * GROUP8_BYTES + 4 * (s * DOT8_INPUT_BYTES + half);
                const ipart x = ipart_set4(q + place);
                for (int c = 0; c < columns; c++)
                    d[r][c] = dot8(d[r][c], v[c], x);
            }
        }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            float *to = acc + r * DUIBI_TILE + OUTPUTS * (column + c);
            const part scale = part_set1(a->scale[at + r]);
            part_store(to, part_fma(scale, part_from_int(d[r][c]), part_load(to)));
        }
}

/* What 6- or 4-bit weights of a group have in common: scales s, and s * z. */
typedef struct {
    part scale[COLUMNS], zero[COLUMNS];
} GroupScales;

INLINE GroupScales group_scales(int bits, const uint8_t *w) {
    GroupScales found;
    for (int h = 0; h < 2; h++) {
        const uint8_t *codes =
            w + (bits == 6 ? DUIBI_INT6_WEIGHTS : DUIBI_INT4_WEIGHTS) + HALF_TILE * h;
        const vf scale = decode_scales(codes);
        const vf zero = bits == 6 ? vf_set1(32) : decode_zeros(codes + DUIBI_TILE);
        vf_to_parts(scale, found.scale + h * PARTS);
        vf_to_parts(vf_mul(scale, zero), found.zero + h * PARTS);
    }
    return found;
}

/* 6- or 4-bit weights of a group, a byte each: of steps 0 to 3, and of 4 to 7. */
typedef struct {
    ipart low[4][COLUMNS], high[4][COLUMNS];
} UnpackedGroup;

/* Steps whose weights share bytes: with 4 bits two that are 4 apart, with 6 bits four, 2 apart. */
#define STEPS_APART(bits) ((bits) == 6 ? 2 : 4)

/* The steps of `columns` columns that share bytes with step s. */
INLINE void unpack_steps(int bits, const uint8_t *w, int column, int columns, int s,
                         UnpackedGroup *to) {
    for (int c = column; c < column + columns; c++) {
        for (int step = s; step < 4; step += STEPS_APART(bits)) {
            const ipart pairs = ipart_load(column_weights(w, c, 256) + 64 * step);
            to->low[step][c] = dot4_low(pairs);
            to->high[step][c] = dot4_high(pairs);
        }
        if (bits == 6) {
            ipart *all[4] = {&to->low[s][c], &to->low[s + 2][c], &to->high[s][c],
                             &to->high[s + 2][c]};
            const uint8_t *rest = w + DUIBI_INT4_WEIGHTS + 64 * s;
            dot6_weights(ipart_load(column_weights(rest, c, 128)), all);
        }
    }
}

/* As group8, of 6 or 4 bits. `kept`: the weights, where they were unpacked for all rows, or
 * NULL. */
INLINE void group_unpacked(int bits, const uint8_t *w, const UnpackedGroup *kept,
                           const GroupScales *scales, const QuantisedRows *a, int64_t at,
                           int rows, int column, int columns, float *acc) {
    const int8_t *q = a->q + at * DUIBI_GROUP;
    OPAQUE(q);
    ipart d[ROWS_AT_ONCE][COLUMNS_AT_ONCE];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            d[r][c] = ipart_zero();
    UNROLLED for (int s = 0; s < 4; s++) {
        if (s >= STEPS_APART(bits))
            continue;
        UnpackedGroup own;
        if (!kept)
            unpack_steps(bits, w, column, columns, s, &own);
        const UnpackedGroup *u = kept ? kept : &own;
        for (int step = s; bits == 6 && step < 4; step += STEPS_APART(bits))
            for (int r = 0; r < rows; r++) {
                const int8_t *from = q + r * DUIBI_GROUP + 4 * step;
                const ipart x0 = ipart_set4(from), x1 = ipart_set4(from + 16);
                for (int c = 0; c < columns; c++)
                    d[r][c] = dot6(d[r][c], u->low[step][column + c], x0,
                                   u->high[step][column + c], x1);
            }
        if (bits == 6)
            continue;
        for (int r = 0; r < rows; r++) {
            const ipart x = ipart_set4(q + r * DUIBI_GROUP + 4 * s);
            for (int c = 0; c < columns; c++)
                d[r][c] = dot4(d[r][c], u->low[s][column + c], x);
        }
        for (int r = 0; r < rows; r++) {
            const ipart x = ipart_set4(q + r * DUIBI_GROUP + 4 * s + 16);
            for (int c = 0; c < columns; c++)
                d[r][c] = dot4(d[r][c], u->high[s][column + c], x);
        }
    }
    for (int r = 0; r < rows; r++) {
        /* The sum of x s (q - z) over the group, in units of the row's scale. */
        const part sum = part_set1(a->float_sum[at + r]), scale = part_set1(a->scale[at + r]);
        for (int c = 0; c < columns; c++) {
            const part products = part_from_int(bits == 4 ? dot4_end(d[r][c]) : d[r][c]);
            const part p = part_fms(scales->scale[column + c], products,
                                    part_mul(scales->zero[column + c], sum));
            float *to = acc + r * DUIBI_TILE + OUTPUTS * (column + c);
            part_store(to, part_fma(scale, p, part_load(to)));
        }
    }
}

/* All columns of a group, with `rows` rows. `bits`, `columns` and `rows` are compile-time
 * constants after inlining. */
INLINE void multiply_group(int bits, int columns, const uint8_t *w, const UnpackedGroup *kept,
                           const GroupScales *scales, const QuantisedRows *a, int64_t at,
                           int rows, float *acc) {
    for (int column = 0; column < COLUMNS; column += columns)
        if (bits == 8)
            group8(w, a, at, rows, column, columns, acc);
        else
            group_unpacked(bits, w, kept, scales, a, at, rows, column, columns, acc);
}

/* Adds the products of rows `first` to `first + rows`, of `all`, with one tile to
 * acc[rows][32]. bits, columns and keeps are compile-time constants after inlining. */
INLINE void multiply_tile(int bits, int columns, int keeps, const uint8_t *w, int64_t groups,
                          const QuantisedRows *a, int64_t all, int64_t first, int64_t rows,
                          float *acc) {
    const int64_t block = duibi_block_bytes(bits);
    const int at_once = bits < 8 && KEEPS_WEIGHTS ? 1 : ROWS_AT_ONCE;
    for (int64_t g = 0; g < groups; g++, w += block) {
        for (int64_t i = 0; i < block; i += 64)
            PREFETCH(w + 4096 + i);
        UnpackedGroup weights;
        GroupScales scales;
        if (bits < 8)
            scales = group_scales(bits, w);
        if (keeps)
            for (int s = 0; s < STEPS_APART(bits); s++)
                unpack_steps(bits, w, 0, COLUMNS, s, &weights);
        const UnpackedGroup *kept = keeps ? &weights : NULL;
        const int64_t at = g * all + first;
        int64_t r = 0;
        for (; r + at_once <= rows; r += at_once)
            multiply_group(bits, columns, w, kept, &scales, a, at + r, at_once,
                           acc + r * DUIBI_TILE);
        float *to = acc + r * DUIBI_TILE;
        if (at_once > 1 && rows - r == 3)
            multiply_group(bits, columns, w, kept, &scales, a, at + r, 3, to);
        else if (at_once > 1 && rows - r == 2)
            multiply_group(bits, columns, w, kept, &scales, a, at + r, 2, to);
        else if (at_once > 1 && rows - r == 1)
            multiply_group(bits, columns, w, kept, &scales, a, at + r, 1, to);
    }
}

/* Adds the products of `count` rows from `first` on with a tile to acc[count][32]. */
static void multiply_rows(int bits, const uint8_t *w, int64_t groups, const QuantisedRows *a,
                          int64_t rows, int64_t first, int64_t count, float *acc) {
    const int is_bound = count <= MEMORY_BOUND_ROWS;
    if (bits == 8 && is_bound)
        multiply_tile(8, FEW_COLUMNS, 0, w, groups, a, rows, first, count, acc);
    else if (bits == 8)
        multiply_tile(8, COLUMNS_AT_ONCE, 0, w, groups, a, rows, first, count, acc);
    else if (bits == 6 && is_bound)
        multiply_tile(6, COLUMNS_AT_ONCE, KEEPS_WEIGHTS, w, groups, a, rows, first, count, acc);
    else if (bits == 6)
        multiply_tile(6, COLUMNS_AT_ONCE, 1, w, groups, a, rows, first, count, acc);
    else if (is_bound)
        multiply_tile(4, COLUMNS_AT_ONCE, KEEPS_WEIGHTS, w, groups, a, rows, first, count, acc);
    else
        multiply_tile(4, COLUMNS_AT_ONCE, 1, w, groups, a, rows, first, count, acc);
}

/* Of `count` rows the outputs of tile t, from their sums in units of the outputs' scales. */
static void store_outputs(const duibi_linear *l, int64_t t, const float *acc, int64_t count,
                          uint16_t *y) {
    for (int64_t r = 0; r < count; r++)
        for (int offset = 0; offset < DUIBI_TILE; offset += HALF_TILE) {
            const int64_t o = t * DUIBI_TILE + offset, left = l->outputs - o;
            if (left <= 0)
                break;
            vf v = vf_load(acc + r * DUIBI_TILE + offset);
            v = vf_mul(v, vf_load(l->scale + o));
            uint16_t *to = y + r * l->outputs + o;
            if (left >= HALF_TILE) {
                if (l->bias)
                    v = vf_add(v, vf_load(l->bias + o));
                store(to, 0, v, DUIBI_BF16);
            } else {
                uint16_t last[HALF_TILE];
                if (l->bias)
                    v = vf_add(v, vf_load_partial(l->bias + o, left, vf_zero()));
                store(last, 0, v, DUIBI_BF16);
                memcpy(to, last, (size_t)left * 2);
            }
        }
}

/* Bytes of the rows of a product in 8 bits. */
static int64_t row_bytes(const duibi_product *p) {
    const int64_t groups = p->rows * (p->layer->inputs / DUIBI_GROUP);
    return groups * ((p->layer->bits == 8 ? GROUP8_BYTES : DUIBI_GROUP) + 12);
}

static QuantisedRows rows_within(int8_t *buffer, const duibi_product *p) {
    const int64_t groups = p->rows * (p->layer->inputs / DUIBI_GROUP);
    QuantisedRows a = {buffer, NULL, NULL, NULL};
    a.scale = (float *)(buffer + groups * (p->layer->bits == 8 ? GROUP8_BYTES : DUIBI_GROUP));
    a.float_sum = a.scale + groups;
    a.sum = (int32_t *)(a.float_sum + groups);
    return a;
}

static void quantise_row(const duibi_product *p, const QuantisedRows *a, int64_t row) {
    const int64_t inputs = p->layer->inputs, groups = inputs / DUIBI_GROUP;
    const uint16_t *x = (const uint16_t *)p->x + row * inputs;
    for (int64_t g = 0; g < groups; g++)
        quantise_group(p->layer->bits, x + g * DUIBI_GROUP, a, g * p->rows + row);
}

/* Whether a product has the rows of the one before it. */
static int has_same_rows(const duibi_product *p, int64_t n) {
    return n > 0 && p[n].x == p[n - 1].x && p[n].rows == p[n - 1].rows;
}

int duibi_quantised_products(const duibi_product *p, int64_t count) {
    size_t bytes = (size_t)count * sizeof(QuantisedRows);
    for (int64_t n = 0; n < count; n++)
        bytes += has_same_rows(p, n) ? 0 : (size_t)row_bytes(p + n);
    QuantisedRows *a = scratch(bytes);
    if (!a)
        return 1;
    int8_t *next = (int8_t *)(a + count);
    for (int64_t n = 0; n < count; n++) {
        if (has_same_rows(p, n)) {
            a[n] = a[n - 1];
            continue;
        }
        a[n] = rows_within(next, p + n);
        next += row_bytes(p + n);
    }
    /* One row is quantised sooner than threads have waited for each other. */
    const int single = count == 1 && p->rows == 1;
    if (single)
        quantise_row(p, a, 0);
#pragma omp parallel
    {
        float acc[MAX_ROWS * DUIBI_TILE] __attribute__((aligned(64)));
        if (!single) {
            for (int64_t n = 0; n < count; n++) {
                if (has_same_rows(p, n))
                    continue;
#pragma omp for schedule(static) nowait
                for (int64_t r = 0; r < p[n].rows; r++)
                    quantise_row(p + n, a + n, r);
            }
#pragma omp barrier
        }
        for (int64_t n = 0; n < count; n++) {
            const duibi_linear *l = p[n].layer;
            const int64_t rows = p[n].rows, groups = l->inputs / DUIBI_GROUP;
            const int64_t tiles = (l->outputs + DUIBI_TILE - 1) / DUIBI_TILE;
            const int64_t tile_bytes = groups * duibi_block_bytes(l->bits);
#pragma omp for schedule(static) collapse(2) nowait
            for (int64_t first = 0; first < rows; first += MAX_ROWS)
                for (int64_t t = 0; t < tiles; t++) {
                    if (stopped())
                        continue;
                    const int64_t some = rows - first < MAX_ROWS ? rows - first : MAX_ROWS;
                    memset(acc, 0, (size_t)some * DUIBI_TILE * sizeof(float));
                    multiply_rows(l->bits, l->tiles + t * tile_bytes, groups, a + n, rows, first,
                                  some, acc);
                    store_outputs(l, t, acc, some, (uint16_t *)p[n].y + first * l->outputs);
                }
        }
    }
    return 0;
}

int duibi_linear_quantised(int bits, const uint16_t *x, int64_t rows, int64_t inputs,
                           int64_t outputs, const uint8_t *tiles, const float *scale,
                           const float *bias, uint16_t *y) {
    const duibi_linear layer = {.inputs = inputs, .outputs = outputs, .tiles = tiles,
                                .scale = scale, .bias = bias, .bits = bits};
    const duibi_product product = {.layer = &layer, .x = x, .rows = rows, .y = y};
    return duibi_quantised_products(&product, 1);
}
