/* RMSNorm, SwiGLU, RoPE and decode attention, one kernel call each. Tensors are float32, or
 * bfloat16 computed in float32 and rounded where the model's classes round.
 *
 * For one token each of these takes microseconds; as operations of torch, three to a dozen each,
 * they cost a small model as much time as reading its weights.
 */
#include "common.h"
#include <math.h>

enum { TOKENS_PER_BLOCK = 64, QUERIES_AT_ONCE = 4, MIN_PARALLEL_VALUES = 1 << 15 };

size_t duibi_struct_size(int which) {
    switch (which) {
    case 0:
        return sizeof(duibi_bf16_matrix);
    case 1:
        return sizeof(duibi_rope_args);
    case 2:
        return sizeof(duibi_attention_args);
    case 3:
        return sizeof(duibi_decoder_layer);
    case 4:
        return sizeof(duibi_step);
    case 5:
        return sizeof(duibi_experts);
    case 6:
        return sizeof(duibi_router);
    }
    return 0;
}

/* Within 2 units in the last place; 0 from -104 down, NaN for NaN. */
static inline vf exp_ps(vf x) {
    /* max and min return their second operand for NaN, so NaN passes through. */
    x = vf_min(vf_set1(89), vf_max(vf_set1(-104), x));
    const vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fnma(n, vf_set1(0.693359375f), x);
    r = vf_fnma(n, vf_set1(-2.12194440e-4f), r);
    vf p = vf_set1(1.0f / 5040);
    static const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    for (int i = 0; i < 7; i++)
        p = vf_fma(p, r, vf_set1(terms[i]));
    return vf_scale(p, n);
}

static void rms_norm(const void *x, int64_t at, int64_t k, const float *weight, float eps, void *y,
                     int64_t to, duibi_dtype dtype) {
    vf sum = vf_zero();
    for (int64_t i = 0; i < k; i += DUIBI_LANES) {
        const vf v = load(x, at + i, dtype);
        sum = vf_fma(v, v, sum);
    }
    const float mean = vf_reduce_add(sum) / (float)k;
    const vf unit = vf_set1(1 / __builtin_sqrtf(mean + eps));
    for (int64_t i = 0; i < k; i += DUIBI_LANES) {
        vf v = vf_mul(load(x, at + i, dtype), unit);
        v = vf_mul(dtype == DUIBI_BF16 ? round_bf16(v) : v, vf_load(weight + i));
        store(y, to + i, v, dtype);
    }
}

void duibi_rms_norm(const void *x, int64_t rows, int64_t k, const float *weight, float eps,
                    void *y, duibi_dtype dtype) {
#pragma omp parallel for schedule(static) if (rows * k > MIN_PARALLEL_VALUES)
    for (int64_t r = 0; r < rows; r++)
        rms_norm(x, r * k, k, weight, eps, y, r * k, dtype);
}

/* One head rotated to its position: each pair (i, i + head_dim / 2) by the angle of i. */
static void rope_head(const void *x, int64_t at, int64_t head_dim, const float *cosine,
                      const float *sine, const float *weight, float eps, void *y, int64_t to,
                      duibi_dtype dtype) {
    float row[DUIBI_MAX_HEAD_DIM], out[DUIBI_MAX_HEAD_DIM];
    if (weight) {
        rms_norm(x, at, head_dim, weight, eps, y, to, dtype);
        x = y, at = to;
    }
    for (int64_t i = 0; i < head_dim; i += DUIBI_LANES)
        vf_store(row + i, load(x, at + i, dtype));
    const int64_t h = head_dim / 2;
    for (int64_t i = 0; i < h; i++)
        out[i] = fmaf(row[i], cosine[i], -(row[i + h] * sine[i]));
    for (int64_t i = h; i < head_dim; i++)
        out[i] = fmaf(row[i], cosine[i], row[i - h] * sine[i]);
    for (int64_t i = 0; i < head_dim; i += DUIBI_LANES)
        store(y, to + i, vf_load(out + i), dtype);
}

void duibi_qkv_rope(const duibi_rope_args *args) {
    const duibi_rope_args a = *args;
    const duibi_dtype dtype = (duibi_dtype)a.dtype;
    const int64_t head_dim = a.head_dim, heads = a.heads, kv_heads = a.kv_heads;
    float cosine[DUIBI_MAX_HEAD_DIM], sine[DUIBI_MAX_HEAD_DIM];
    for (int64_t n = 0; n < a.batch * a.new_tokens; n++) {
        const int64_t b = n / a.new_tokens, c = n % a.new_tokens;
        const int64_t angle = (b * a.position_stride + c) * head_dim;
        for (int64_t i = 0; i < head_dim; i += DUIBI_LANES) {
            vf_store(cosine + i, load(a.cosine, angle + i, dtype));
            vf_store(sine + i, load(a.sine, angle + i, dtype));
        }
        int64_t at = n * (heads + 2 * kv_heads) * head_dim;
        for (int64_t h = 0; h < heads; h++, at += head_dim)
            rope_head(a.qkv, at, head_dim, cosine, sine, a.query_norm, a.eps, a.query,
                      (n * heads + h) * head_dim, dtype);
        for (int64_t g = 0; g < kv_heads; g++, at += head_dim) {
            const int64_t to = ((b * kv_heads + g) * a.capacity + a.buffered + c) * head_dim;
            rope_head(a.qkv, at, head_dim, cosine, sine, a.key_norm, a.eps, a.keys, to, dtype);
            for (int64_t i = 0; i < head_dim; i += DUIBI_LANES)
                store(a.values, to + i, load(a.qkv, at + kv_heads * head_dim + i, dtype), dtype);
        }
    }
}

void duibi_swiglu(const void *x, int64_t rows, int64_t k, void *y, duibi_dtype dtype) {
#pragma omp parallel for schedule(static) if (rows * k > MIN_PARALLEL_VALUES)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i += DUIBI_LANES) {
            const vf gate = load(x, r * 2 * k + i, dtype), one = vf_set1(1);
            const vf e = exp_ps(vf_sub(vf_zero(), gate));
            const vf v = vf_div(gate, vf_add(one, e));
            const vf up = load(x, (r * 2 + 1) * k + i, dtype);
            store(y, r * k + i, vf_mul(dtype == DUIBI_BF16 ? round_bf16(v) : v, up), dtype);
        }
}

/* Keys or values: the main tensor [batch][kv_heads][tokens][head_dim] and the buffer
 * [batch][kv_heads][capacity][head_dim]. */
typedef struct {
    const void *parts[2];
    int64_t tokens, capacity;
} KvCache;

static inline const char *cached_token(const KvCache *cache, int64_t kv_head, int64_t at,
                                       int64_t head_dim, duibi_dtype dtype) {
    const int in_buffer = at >= cache->tokens;
    const int64_t n = in_buffer ? kv_head * cache->capacity + at - cache->tokens
                                : kv_head * cache->tokens + at;
    return (const char *)cache->parts[in_buffer] + n * head_dim * (dtype == DUIBI_BF16 ? 2 : 4);
}

/* Of the scores of `length` tokens, of which those from `seen` on are hidden. */
static void softmax(float *s, int64_t length, int64_t seen, const uint8_t *mask) {
    const vf least = vf_set1(-__builtin_inff());
    vf most = least, sum = vf_zero();
    for (int64_t i = 0; i < length; i++)
        if (i >= seen || (mask && !mask[i]))
            s[i] = -__builtin_inff();
    for (int64_t i = 0; i < length; i += DUIBI_LANES)
        most = vf_max(most, vf_load_partial(s + i, length - i, least));
    const vf top = vf_set1(vf_reduce_max(most));
    for (int64_t i = 0; i < length; i += DUIBI_LANES) {
        const vf e = exp_ps(vf_sub(vf_load_partial(s + i, length - i, least), top));
        sum = vf_add(sum, e);
        vf_store_partial(s + i, length - i, e);
    }
    const vf inverse = vf_set1(1 / vf_reduce_add(sum));
    for (int64_t i = 0; i < length; i += DUIBI_LANES) {
        const vf e = vf_load_partial(s + i, length - i, vf_zero());
        vf_store_partial(s + i, length - i, vf_mul(e, inverse));
    }
}

/* Sums of values weighted by the scores, for all queries of one KV head, in `vectors` vectors
 * from `column` on; `vectors` is a compile-time constant after inlining. */
INLINE void weighted_sum(const KvCache *values, int64_t kv_head, int64_t column, int64_t head_dim,
                         int64_t queries, const float *scores, int64_t length, float *out,
                         duibi_dtype dtype, int vectors) {
    for (int64_t first = 0; first < queries; first += QUERIES_AT_ONCE) {
        const int64_t rest = queries - first;
        const int64_t count = rest < QUERIES_AT_ONCE ? rest : QUERIES_AT_ONCE;
        vf acc[QUERIES_AT_ONCE][2];
        for (int r = 0; r < QUERIES_AT_ONCE; r++)
            acc[r][0] = acc[r][1] = vf_zero();
        for (int64_t at = 0; at < length; at++) {
            const char *from = cached_token(values, kv_head, at, head_dim, dtype);
            vf v[2];
            for (int l = 0; l < vectors; l++)
                v[l] = load(from, column + l * DUIBI_LANES, dtype);
            for (int r = 0; r < QUERIES_AT_ONCE; r++) {
                if (r >= count)
                    break;
                const vf p = vf_set1(scores[(first + r) * length + at]);
                for (int l = 0; l < vectors; l++)
                    acc[r][l] = vf_fma(p, v[l], acc[r][l]);
            }
        }
        for (int64_t r = 0; r < count; r++)
            for (int l = 0; l < vectors; l++)
                vf_store(out + (first + r) * head_dim + column + l * DUIBI_LANES, acc[r][l]);
    }
}

int duibi_attention(const duibi_attention_args *args) {
    const duibi_attention_args a = *args;
    const duibi_dtype dtype = (duibi_dtype)a.dtype;
    const int64_t heads = a.heads, new_tokens = a.new_tokens, head_dim = a.head_dim;
    const int64_t length = a.tokens + a.buffered, groups = a.batch * a.kv_heads;
    /* Queries of one KV head, and of all. */
    const int64_t queries = heads / a.kv_heads * new_tokens, all = a.batch * heads * new_tokens;
    const int64_t blocks = (length + TOKENS_PER_BLOCK - 1) / TOKENS_PER_BLOCK;
    const int vectors = head_dim % (2 * DUIBI_LANES) ? 1 : 2;
    const int64_t columns = head_dim / (vectors * DUIBI_LANES);
    float *scaled_query = scratch((size_t)(all * (length + 2 * head_dim)) * sizeof(float));
    if (!scaled_query)
        return 1;
    const KvCache keys = {{a.keys, a.buffer_keys}, a.tokens, a.capacity};
    const KvCache values = {{a.values, a.buffer_values}, a.tokens, a.capacity};
    /* [batch][kv_heads][heads of one][new_tokens][...] */
    float *out = scaled_query + all * head_dim, *scores = out + all * head_dim;
    const vf scale = vf_set1(a.scale);
    for (int64_t n = 0; n < all; n++) {
        const int64_t b = n / (heads * new_tokens), h = n / new_tokens % heads, c = n % new_tokens;
        for (int64_t i = 0; i < head_dim; i += DUIBI_LANES) {
            const vf x = load(a.query, ((b * new_tokens + c) * heads + h) * head_dim + i, dtype);
            vf_store(scaled_query + n * head_dim + i, vf_mul(x, scale));
        }
    }
#pragma omp parallel
    {
#pragma omp for schedule(static) collapse(2)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t end = (block + 1) * TOKENS_PER_BLOCK;
                for (int64_t at = block * TOKENS_PER_BLOCK; at < (end < length ? end : length);
                     at++) {
                    const char *key = cached_token(&keys, g, at, head_dim, dtype);
                    for (int64_t r = g * queries; r < (g + 1) * queries; r++) {
                        vf sum = vf_zero();
                        for (int64_t i = 0; i < head_dim; i += DUIBI_LANES)
                            sum = vf_fma(vf_load(scaled_query + r * head_dim + i),
                                         load(key, i, dtype), sum);
                        scores[r * length + at] = vf_reduce_add(sum);
                    }
                }
            }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < all; n++) {
            const int64_t b = n / (heads * new_tokens), c = n % new_tokens;
            const uint8_t *mask = a.mask ? a.mask + (b * new_tokens + c) * length : NULL;
            softmax(scores + n * length, length, mask ? length : length - new_tokens + 1 + c, mask);
        }
#pragma omp for schedule(static) collapse(2)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t c = 0; c < columns; c++) {
                const float *from = scores + g * queries * length;
                float *to = out + g * queries * head_dim;
                if (vectors == 2)
                    weighted_sum(&values, g, c * 2 * DUIBI_LANES, head_dim, queries, from, length,
                                 to, dtype, 2);
                else
                    weighted_sum(&values, g, c * DUIBI_LANES, head_dim, queries, from, length, to,
                                 dtype, 1);
            }
    }
    for (int64_t n = 0; n < all; n++) {
        const int64_t b = n / (heads * new_tokens), h = n / new_tokens % heads, c = n % new_tokens;
        const int64_t to = ((b * new_tokens + c) * heads + h) * head_dim;
        for (int64_t i = 0; i < head_dim; i += DUIBI_LANES)
            store(a.out, to + i, vf_load(out + n * head_dim + i), dtype);
    }
    return 0;
}

/* The `each` largest of p, the first of equal ones first; p is used up. */
static void take_largest(float *p, int64_t count, int64_t each, int64_t *chosen, float *shares) {
    for (int64_t n = 0; n < each; n++) {
        int64_t most = 0;
        for (int64_t i = 1; i < count; i++)
            if (p[i] > p[most])
                most = i;
        chosen[n] = most;
        shares[n] = p[most];
        p[most] = -1;
    }
}

int duibi_router_forward(const duibi_router *router, const void *x, int64_t rows, float *logits,
                         int64_t *chosen, float *shares) {
    const duibi_router r = *router;
    const duibi_dtype dtype = (duibi_dtype)r.dtype;
    const int64_t count = r.gate.outputs, wide = dtype == DUIBI_BF16 ? rows * r.inputs : 0;
    float *given = scratch((size_t)(wide + count) * sizeof(float)), *p = given + wide;
    if (!given)
        return 1;
    for (int64_t i = 0; i < wide; i += DUIBI_LANES)
        vf_store(given + i, load(x, i, dtype));
    if (duibi_linear_bf16(wide ? given : x, rows, r.inputs, &r.gate, 1, logits))
        return 1;
    for (int64_t n = 0; n < rows; n++, logits += count, chosen += r.each, shares += r.each) {
        for (int64_t i = 0; i < count; i += DUIBI_LANES) {
            vf v = vf_load_partial(logits + i, count - i, vf_zero());
            v = dtype == DUIBI_BF16 ? round_bf16(v) : v;
            vf_store_partial(logits + i, count - i, v);
            vf_store_partial(p + i, count - i, v);
        }
        softmax(p, count, count, NULL);
        take_largest(p, count, r.each, chosen, shares);
        float sum = 0;
        for (int64_t i = 0; i < r.each; i++)
            sum += shares[i];
        const vf whole = vf_set1(r.is_normalised ? sum : 1);
        for (int64_t i = 0; i < r.each; i += DUIBI_LANES) {
            vf v = vf_div(vf_load_partial(shares + i, r.each - i, vf_zero()), whole);
            v = r.is_rounded && dtype == DUIBI_BF16 ? round_bf16(v) : v;
            vf_store_partial(shares + i, r.each - i, v);
        }
    }
    return 0;
}
