/* Prints a hash of all that the kernels and the vector operations make of the same numbers, a
 * line each: NAME HASH. Of two instruction sets every line must be the same. */
#include "common.h"
#include <stdio.h>

enum { OUTPUTS = 101, MOST_ROWS = 130 };

static uint32_t state;

static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Cubes of numbers of -1 to 1: of very different size. */
static float random_float(void) {
    const float x = (float)((int32_t)(next() & 0xffff) - 0x8000) / 0x8000;
    return x * x * x;
}

static uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (uint16_t)(bits >> 16);
}

static void *allocate(size_t bytes) {
    void *made = aligned_alloc(64, (bytes / 64 + 1) * 64);
    if (!made)
        abort();
    memset(made, 0, (bytes / 64 + 1) * 64);
    return made;
}

static float *random_floats(int64_t count, float size) {
    float *made = allocate((size_t)count * 4);
    for (int64_t i = 0; i < count; i++)
        made[i] = random_float() * size;
    return made;
}

/* In float32 or bfloat16. */
static void *random_values(int64_t count, float size, duibi_dtype dtype) {
    float *wide = random_floats(count, size);
    if (dtype == DUIBI_F32)
        return wide;
    uint16_t *narrow = allocate((size_t)count * 2);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = to_bf16(wide[i]);
    free(wide);
    return narrow;
}

static void print_bytes(const char *name, const void *bytes, size_t count) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    printf("%s %016llx\n", name, (unsigned long long)hash);
}

/* Which NaN comes out depends on the processor: all are made one. */
static void print_values(const char *name, const void *values, int64_t count, duibi_dtype dtype) {
    const size_t size = dtype == DUIBI_F32 ? 4 : 2;
    uint8_t *bytes = allocate((size_t)count * size);
    memcpy(bytes, values, (size_t)count * size);
    for (uint8_t *at = bytes; at < bytes + (size_t)count * size; at += size) {
        uint32_t bits = 0;
        memcpy((uint8_t *)&bits + 4 - size, at, size);
        if ((bits & 0x7fffffff) > 0x7f800000)
            memset(at, 0xff, size);
    }
    print_bytes(name, bytes, (size_t)count * size);
    free(bytes);
}

static void print_vector(const char *name, vf x) {
    float all[16];
    vf_store(all, x);
    print_values(name, all, 16, DUIBI_F32);
}

static void print_integers(const char *name, vi x) {
    int32_t all[16];
    vi_store(all, x);
    print_bytes(name, all, sizeof all);
}

static void print_operations(void) {
    const float inf = __builtin_inff(), nan = __builtin_nanf("");
    const float a[16] = {0, -0.0f, 1, -1, 0.5f, 1.5f, 2.5f, -2.5f,
                         inf, -inf, nan, 1, 1e-40f, -3e38f, 3e38f, 1.17549435e-38f};
    const float b[16] = {-0.0f, 0, 3, 1e-8f, 7, -0.3f, 1.0f / 3, nan,
                         1, inf, 2, nan, 0.7f, 3e38f, 1e-3f, 0.1f};
    const float c[16] = {1, 2, -3, 1e-8f, -3.5f, 0.45f, 5e-9f, 1,
                         -inf, 1, 0, 3, 1e-44f, 1, -3e35f, 1e-39f};
    const float n[16] = {0, 1, -1, -126, -149, 127, 128, -150, 3, -3, 64, -64, -23, 24, 100, -100};
    const vf x = vf_load(a), y = vf_load(b), z = vf_load(c);
    print_vector("add", vf_add(x, y));
    print_vector("sub", vf_sub(x, y));
    print_vector("mul", vf_mul(x, y));
    print_vector("div", vf_div(x, y));
    print_vector("min", vf_min(x, y));
    print_vector("max", vf_max(x, y));
    print_vector("abs", vf_abs(x));
    print_vector("fma", vf_fma(x, y, z));
    print_vector("fms", vf_fms(x, y, z));
    print_vector("fnma", vf_fnma(x, y, z));
    print_vector("round", vf_round(x));
    print_vector("scale", vf_scale(vf_load(c), vf_load(n)));
    print_vector("even", vf_even(x, y));
    print_vector("odd", vf_odd(x, y));
    print_integers("select_nan", vi_select_nan(x, vi_set1(1), vi_set1(2)));
    for (int64_t count = 0; count <= 16; count += 3) {
        float some[16];
        print_vector("load_partial", vf_load_partial(a, count, y));
        vf_store(some, y);
        vf_store_partial(some, count, x);
        print_values("store_partial", some, 16, DUIBI_F32);
    }
    float reduced[3] = {vf_reduce_add(vf_load(n)), vf_reduce_min(z), vf_reduce_max(vf_load(n))};
    print_values("reduce", reduced, 3, DUIBI_F32);

    int32_t i[16], j[16];
    uint8_t bytes[64];
    for (int k = 0; k < 16; k++)
        i[k] = (int32_t)next(), j[k] = (int32_t)next();
    for (int k = 0; k < 64; k++)
        bytes[k] = (uint8_t)(k % 4 ? next() >> 24 : k % 8 ? 255 : 1);
    const vi p = vi_load(i), q = vi_load(j);
    print_integers("vi_add", vi_add(p, q));
    print_integers("vi_and", vi_and(p, q));
    print_integers("vi_or", vi_or(p, q));
    print_integers("vi_max_unsigned", vi_max_unsigned(p, q));
    print_integers("vi_shift_left", vi_shift_left(p, 5));
    print_integers("vi_shift_right", vi_shift_right(p, 5));
    const int32_t all = vi_reduce_add(p);
    const uint32_t most = vi_reduce_max_unsigned(p);
    print_bytes("vi_reduce_add", &all, 4);
    print_bytes("vi_reduce_max", &most, 4);
    print_vector("from_int", vf_from_int(p));
    print_integers("to_int", vf_to_int(vf_load(n)));
    print_integers("load8", vi_load8(bytes));
    uint16_t shorts[16];
    memcpy(shorts, bytes, sizeof shorts);
    print_integers("load16", vi_load16(shorts));
    vi_store8(bytes, vi_and(p, vi_set1(255)));
    print_bytes("store8", bytes, 16);
    vi_store8_signed((int8_t *)bytes, vf_to_int(vf_load(n)));
    print_bytes("store8_signed", bytes, 16);
    vi_store16(shorts, vi_and(q, vi_set1(65535)));
    print_bytes("store16", shorts, sizeof shorts);
    for (int sign = -1; sign <= 1; sign += 2) {
        int8_t ones[64];
        memset(ones, sign * 127, 64);
        for (int w = 1; w <= 255; w += 127) {
            memset(bytes, w, 64);
            int32_t eight[16], six[16], four[16];
            for (int p = 0; p < PARTS; p++) {
                const ipart x = ipart_load(ones), pairs = ipart_load(bytes + 64 / PARTS * p);
                const ipart nibbles = dot4_high(dot4_low(pairs));
                int8_t inputs[16 * DOT8_INPUT_BYTES];
                dot8_store(inputs, vi_set1(sign * 127));
                ipart sum = dot8_begin(sign * 127 * 4);
                for (int half = 0; half < DOT8_INPUT_BYTES; half++)
                    sum = dot8(sum, dot8_weights(bytes + 64 / PARTS * p, half),
                               ipart_set4(inputs + 4 * half));
                memcpy(eight + 16 / PARTS * p, &sum, sizeof sum);
                sum = dot4(ipart_zero(), nibbles, x);
                for (int s = 1; s < 8; s++)
                    sum = dot4(sum, s % 2 ? dot4_low(pairs) : nibbles, x);
                sum = dot4_end(sum);
                memcpy(four + 16 / PARTS * p, &sum, sizeof sum);
                ipart w[4] = {nibbles, dot4_low(pairs), nibbles, dot4_high(pairs)};
                ipart *all[4] = {&w[0], &w[1], &w[2], &w[3]};
                dot6_weights(pairs, all);
                sum = dot6(dot6(ipart_zero(), w[0], x, w[1], x), w[2], x, w[3], x);
                memcpy(six + 16 / PARTS * p, &sum, sizeof sum);
            }
            print_integers("dot8", vi_load(eight));
            print_integers("dot6", vi_load(six));
            print_integers("dot4", vi_load(four));
        }
    }
}

static void print_quantised(int bits, int64_t inputs, int weighed, int biased) {
    static const int64_t ROWS[] = {1, 2, 3, 4, 5, 7, 8, 9, 17, 130};
    const int64_t tiles = (OUTPUTS + DUIBI_TILE - 1) / DUIBI_TILE;
    const int64_t bytes = tiles * inputs / DUIBI_GROUP * duibi_block_bytes(bits);
    float *w = random_floats(OUTPUTS * inputs, 1), *bias = random_floats(tiles * DUIBI_TILE, 1);
    float *importance = random_floats(inputs, 1), *scale = allocate((size_t)tiles * DUIBI_TILE * 4);
    uint8_t *packed = allocate((size_t)bytes);
    for (int64_t i = 0; i < inputs; i++) {
        importance[i] = importance[i] * importance[i] + 0.01f;
        w[7 * inputs + i] = 0;
    }
    memset(w + 9 * inputs, 0, 32 * 4);
    char name[99];
    duibi_pack_quantised(bits, w, weighed ? importance : NULL, OUTPUTS, inputs, packed, scale);
    snprintf(name, sizeof name, "packed%d_%d_%d", bits, (int)inputs, weighed);
    print_bytes(name, packed, (size_t)bytes);
    print_bytes(name, scale, (size_t)tiles * DUIBI_TILE * 4);
    uint16_t *x = random_values(MOST_ROWS * inputs, 30, DUIBI_BF16);
    for (int64_t i = 0; i < 3; i++)
        x[i * inputs] = to_bf16(i ? 1e30f : 1e-35f);
    x[8 * inputs + 3] = 0x7fc0, x[8 * inputs + 40] = 0x7f80; /* NaN and infinity */
    uint16_t *y = allocate(MOST_ROWS * OUTPUTS * 2);
    for (size_t n = 0; n < sizeof ROWS / sizeof *ROWS; n++) {
        if (duibi_linear_quantised(bits, x, ROWS[n], inputs, OUTPUTS, packed, scale,
                                   biased ? bias : NULL, y))
            abort();
        snprintf(name, sizeof name, "linear%d_%d_%d_%d_%d", bits, (int)inputs, weighed, biased,
                 (int)ROWS[n]);
        print_values(name, y, ROWS[n] * OUTPUTS, DUIBI_BF16);
    }
    free(w), free(bias), free(importance), free(scale), free(packed), free(x), free(y);
}

static void print_bf16(int64_t inputs) {
    static const int64_t ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 20, 130};
    enum { SECOND = 50 };
    uint16_t *w = random_values((OUTPUTS + SECOND) * inputs, 1, DUIBI_BF16);
    float *bias = random_floats(OUTPUTS, 1), *x = random_floats(MOST_ROWS * inputs, 30);
    float *y = allocate(MOST_ROWS * (OUTPUTS + SECOND) * 4);
    const duibi_bf16_matrix both[] = {{OUTPUTS, w, bias}, {SECOND, w + OUTPUTS * inputs, NULL}};
    for (size_t n = 0; n < sizeof ROWS / sizeof *ROWS; n++) {
        if (duibi_linear_bf16(x, ROWS[n], inputs, both, 2, y))
            abort();
        char name[99];
        snprintf(name, sizeof name, "bf16_%d_%d", (int)inputs, (int)ROWS[n]);
        print_values(name, y, ROWS[n] * (OUTPUTS + SECOND), DUIBI_F32);
    }
    free(w), free(bias), free(x), free(y);
}

static void print_layers(duibi_dtype dtype) {
    enum { ROWS = 9, WIDTH = 96 };
    char name[99];
    void *x = random_values(ROWS * WIDTH, 30, dtype), *y = allocate(ROWS * WIDTH * 4);
    if (dtype == DUIBI_F32)
        ((float *)x)[300] = __builtin_nanf(""), ((float *)x)[400] = __builtin_inff();
    else
        ((uint16_t *)x)[300] = 0x7fc0, ((uint16_t *)x)[400] = 0x7f80;
    float *weight = random_floats(WIDTH, 1);
    duibi_rms_norm(x, ROWS, WIDTH, weight, 1e-6f, y, dtype);
    snprintf(name, sizeof name, "rms_norm_%d", dtype);
    print_values(name, y, ROWS * WIDTH, dtype);
    duibi_swiglu(x, ROWS, WIDTH / 2, y, dtype);
    snprintf(name, sizeof name, "swiglu_%d", dtype);
    print_values(name, y, ROWS * WIDTH / 2, dtype);
    free(x), free(y), free(weight);
}

/* RoPE and attention: 8 heads, 2 KV heads; 70 tokens in the KV cache, 5 in its buffer. */
static void print_attention(duibi_dtype dtype, int64_t head_dim, int64_t new_tokens, int normed) {
    enum { BATCH = 2, HEADS = 8, KV_HEADS = 2, TOKENS = 70, BUFFERED = 5, CAPACITY = 64 };
    const int64_t rows = BATCH * new_tokens, length = TOKENS + BUFFERED + new_tokens;
    const int64_t kv = BATCH * KV_HEADS * head_dim;
    void *qkv = random_values(rows * (HEADS + 2 * KV_HEADS) * head_dim, 3, dtype);
    void *cosine = random_values(rows * head_dim, 1, dtype);
    void *sine = random_values(rows * head_dim, 1, dtype);
    void *keys = random_values(kv * TOKENS, 3, dtype), *values = random_values(kv * TOKENS, 3, dtype);
    void *buffer_keys = random_values(kv * CAPACITY, 3, dtype);
    void *buffer_values = random_values(kv * CAPACITY, 3, dtype);
    float *norms = random_floats(2 * head_dim, 1);
    void *query = allocate((size_t)(rows * HEADS * head_dim) * 4);
    void *out = allocate((size_t)(rows * HEADS * head_dim) * 4);
    uint8_t *mask = allocate((size_t)(rows * length));
    for (int64_t i = 0; i < rows * length; i++)
        mask[i] = next() % 3 != 0;
    const duibi_rope_args rope = {
        .qkv = qkv, .cosine = cosine, .sine = sine, .query = query,
        .query_norm = normed ? norms : NULL, .key_norm = normed ? norms + head_dim : NULL,
        .keys = buffer_keys, .values = buffer_values, .batch = BATCH, .new_tokens = new_tokens,
        .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = head_dim,
        .position_stride = new_tokens, .buffered = BUFFERED, .capacity = CAPACITY, .eps = 1e-6f,
        .dtype = (int32_t)dtype};
    duibi_qkv_rope(&rope);
    char name[99];
    snprintf(name, sizeof name, "%d_%d_%d_%d", dtype, (int)head_dim, (int)new_tokens, normed);
    printf("rope_"), print_values(name, query, rows * HEADS * head_dim, dtype);
    printf("keys_"), print_values(name, buffer_keys, kv * CAPACITY, dtype);
    printf("values_"), print_values(name, buffer_values, kv * CAPACITY, dtype);
    duibi_attention_args attention = {
        .query = query, .keys = keys, .values = values, .buffer_keys = buffer_keys,
        .buffer_values = buffer_values, .out = out, .batch = BATCH, .new_tokens = new_tokens,
        .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = head_dim, .tokens = TOKENS,
        .buffered = BUFFERED + new_tokens, .capacity = CAPACITY, .scale = 0.3f,
        .dtype = (int32_t)dtype};
    for (int masked = 0; masked < 2; masked++) {
        attention.mask = masked ? mask : NULL;
        if (duibi_attention(&attention))
            abort();
        printf("attention%d_", masked), print_values(name, out, rows * HEADS * head_dim, dtype);
    }
    free(qkv), free(cosine), free(sine), free(keys), free(values), free(buffer_keys);
    free(buffer_values), free(norms), free(query), free(out), free(mask);
}

int main(void) {
    state = 2463534242u;
    print_operations();
    static const int64_t INPUTS[] = {64, 96, 1056};
    for (size_t n = 0; n < sizeof INPUTS / sizeof *INPUTS; n++) {
        print_quantised(8, INPUTS[n], 0, n % 2);
        print_quantised(4, INPUTS[n], 0, 1);
        print_quantised(4, INPUTS[n], 1, 0);
        print_bf16(INPUTS[n]);
    }
    print_bf16(1824);
    for (int dtype = DUIBI_F32; dtype <= DUIBI_BF16; dtype++) {
        print_layers((duibi_dtype)dtype);
        print_attention((duibi_dtype)dtype, 48, 1, 0);
        print_attention((duibi_dtype)dtype, 128, 9, 1);
    }
    for (size_t n = 0; n < sizeof INPUTS / sizeof *INPUTS; n++)
        for (int weighed = 0; weighed <= 1; weighed++)
            print_quantised(6, INPUTS[n], weighed, weighed);
    return 0;
}
