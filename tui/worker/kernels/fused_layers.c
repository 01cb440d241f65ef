/* What stands between the linear layers of a decoder: its norms, the gate of its feed-forward
 * part, and the attention of a few new tokens. Tensors are float32, or bfloat16 computed in
 * float32 and rounded where the model's classes round.
 *
 * For one token each of these is microseconds of work; as operations of torch, of which they
 * take three to a dozen each, they cost a small model as much as reading its weights.
 */
#include "common.h"

enum { WIDE = 16, TOKENS = 64, QUERIES = 4, ALONE = 1 << 15, WIDEST = 512 };

/* Within 2 units in the last place; 0 from -104 down, NaN for NaN. */
static inline vf exponential(vf x) {
    /* Of a NaN in the second place these make that NaN. */
    x = vf_min(vf_all(89), vf_max(vf_all(-104), x));
    const vf n = vf_round(vf_mul(x, vf_all(1.44269504f)));
    vf r = vf_fnma(n, vf_all(0.693359375f), x);
    r = vf_fnma(n, vf_all(-2.12194440e-4f), r);
    vf p = vf_all(1.0f / 5040);
    static const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    for (int i = 0; i < 7; i++)
        p = vf_fma(p, r, vf_all(terms[i]));
    return vf_scale(p, n);
}

static void norm(const void *x, int64_t at, int64_t k, const float *weight, float eps, void *y,
                 int64_t to, int half) {
    vf sum = vf_zero();
    for (int64_t i = 0; i < k; i += WIDE) {
        const vf v = load(x, at + i, half);
        sum = vf_fma(v, v, sum);
    }
    const float mean = vf_sum(sum) / (float)k;
    const vf unit = vf_all(1 / __builtin_sqrtf(mean + eps));
    for (int64_t i = 0; i < k; i += WIDE) {
        vf v = vf_mul(load(x, at + i, half), unit);
        v = vf_mul(half ? rounded(v) : v, vf_load(weight + i));
        store(y, to + i, v, half);
    }
}

/* y[rows][k] = weight * (x / sqrt(mean(x^2) + eps)); weight: float[k]; k in sixteens. */
void duibi_norm(const void *x, int64_t rows, int64_t k, const float *weight, float eps, void *y,
                int half) {
#pragma omp parallel for schedule(static) if (rows * k > ALONE)
    for (int64_t r = 0; r < rows; r++)
        norm(x, r * k, k, weight, eps, y, r * k, half);
}

/* One head turned to its position: of a pair (i, i + width / 2), by the angle of i. */
static void turned(const void *x, int64_t at, int64_t width, const float *cosine, const float *sine,
                   const float *weight, float eps, void *y, int64_t to, int half) {
    float row[WIDEST], out[WIDEST];
    if (weight) {
        norm(x, at, width, weight, eps, y, to, half);
        x = y, at = to;
    }
    for (int64_t i = 0; i < width; i += WIDE)
        vf_store(row + i, load(x, at + i, half));
    const int64_t h = width / 2;
    for (int64_t i = 0; i < h; i++)
        out[i] = row[i] * cosine[i] - row[i + h] * sine[i];
    for (int64_t i = h; i < width; i++)
        out[i] = row[i] * cosine[i] + row[i - h] * sine[i];
    for (int64_t i = 0; i < width; i += WIDE)
        store(y, to + i, vf_load(out + i), half);
}

/* Of x[batch][count][queries of all heads, keys of all groups, values of all groups]: queries
 * and keys normed (where there are weights) and turned; queries into q[batch][count][heads]
 * [width], keys and values behind the `late` tokens of [batch][groups][room][width]. cosine,
 * sine: [batch or 1 (every = 0)][count][width]. width in sixteens, at most WIDEST. */
void duibi_turn(const void *x, int64_t batch, int64_t count, int64_t heads, int64_t groups,
                int64_t width, const void *cosine, const void *sine, int64_t every,
                const float *query_norm, const float *key_norm, float eps, void *q, void *keys,
                void *values, int64_t late, int64_t room, int half) {
    float cos[WIDEST], sin[WIDEST];
    for (int64_t n = 0; n < batch * count; n++) {
        const int64_t b = n / count, c = n % count, angle = (b * every + c) * width;
        for (int64_t i = 0; i < width; i += WIDE) {
            vf_store(cos + i, load(cosine, angle + i, half));
            vf_store(sin + i, load(sine, angle + i, half));
        }
        int64_t at = n * (heads + 2 * groups) * width;
        for (int64_t h = 0; h < heads; h++, at += width)
            turned(x, at, width, cos, sin, query_norm, eps, q, (n * heads + h) * width, half);
        for (int64_t g = 0; g < groups; g++, at += width) {
            const int64_t to = ((b * groups + g) * room + late + c) * width;
            turned(x, at, width, cos, sin, key_norm, eps, keys, to, half);
            for (int64_t i = 0; i < width; i += WIDE)
                store(values, to + i, load(x, at + groups * width + i, half), half);
        }
    }
}

/* y[rows][k] = silu(gate) * up, x[rows] = gate[k], up[k]; k in sixteens. */
void duibi_gate(const void *x, int64_t rows, int64_t k, void *y, int half) {
#pragma omp parallel for schedule(static) if (rows * k > ALONE)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i += WIDE) {
            const vf gate = load(x, r * 2 * k + i, half), one = vf_all(1);
            const vf less = exponential(vf_sub(vf_zero(), gate));
            const vf v = vf_div(gate, vf_add(one, less));
            const vf up = load(x, (r * 2 + 1) * k + i, half);
            store(y, r * k + i, vf_mul(half ? rounded(v) : v, up), half);
        }
}

/* Keys or values in two pieces, [batch][groups][tokens][width] and [batch][groups][room][width]. */
typedef struct {
    const void *piece[2];
    int64_t tokens, room;
} Past;

static inline const char *token(const Past *p, int64_t group, int64_t at, int64_t width, int half) {
    const int tail = at >= p->tokens;
    const int64_t n = tail ? group * p->room + at - p->tokens : group * p->tokens + at;
    return (const char *)p->piece[tail] + n * width * (half ? 2 : 4);
}

static void softmax(float *s, int64_t length, int64_t seen, const uint8_t *mask) {
    const vf least = vf_all(-__builtin_inff());
    vf most = least, sum = vf_zero();
    for (int64_t i = 0; i < length; i++)
        if (i >= seen || (mask && !mask[i]))
            s[i] = -__builtin_inff();
    for (int64_t i = 0; i < length; i += WIDE)
        most = vf_max(most, vf_load_first(s + i, length - i, least));
    const vf top = vf_all(vf_most(most));
    for (int64_t i = 0; i < length; i += WIDE) {
        const vf e = exponential(vf_sub(vf_load_first(s + i, length - i, least), top));
        sum = vf_add(sum, e);
        vf_store_first(s + i, length - i, e);
    }
    const vf share = vf_all(1 / vf_sum(sum));
    for (int64_t i = 0; i < length; i += WIDE) {
        const vf e = vf_load_first(s + i, length - i, vf_zero());
        vf_store_first(s + i, length - i, vf_mul(e, share));
    }
}

/* Of `lanes` registers of the values' width, for all queries of one group. */
static inline __attribute__((always_inline)) void
weigh(const Past *values, int64_t group, int64_t column, int64_t width, int64_t queries,
      const float *scores, int64_t length, float *out, int half, int lanes) {
    for (int64_t first = 0; first < queries; first += QUERIES) {
        const int64_t many = queries - first < QUERIES ? queries - first : QUERIES;
        vf acc[QUERIES][2];
        for (int r = 0; r < QUERIES; r++)
            acc[r][0] = acc[r][1] = vf_zero();
        for (int64_t at = 0; at < length; at++) {
            const char *from = token(values, group, at, width, half);
            vf v[2];
            for (int l = 0; l < lanes; l++)
                v[l] = load(from, column + l * WIDE, half);
            for (int r = 0; r < QUERIES; r++) {
                if (r >= many)
                    break;
                const vf p = vf_all(scores[(first + r) * length + at]);
                for (int l = 0; l < lanes; l++)
                    acc[r][l] = vf_fma(p, v[l], acc[r][l]);
            }
        }
        for (int64_t r = 0; r < many; r++)
            for (int l = 0; l < lanes; l++)
                vf_store(out + (first + r) * width + column + l * WIDE, acc[r][l]);
    }
}

/* y[batch][count][heads][width] = softmax(scale q k) v. q: as y. k, v: two pieces each, of
 * `tokens` and, in a place for `room`, `late` more; heads / groups heads share a group. mask: uint8
 * [batch][count][tokens], 0 is hidden, or NULL: then each of the `count` last tokens sees all
 * before it. width in sixteens. Returns 0, or 1 where there was no memory. */
int duibi_attend(const void *q, int64_t batch, int64_t count, int64_t heads, int64_t groups,
                 int64_t width, const void *keys, const void *late_keys, const void *values,
                 const void *late_values, int64_t tokens, int64_t late, int64_t room,
                 const uint8_t *mask, float scale, void *y, int half) {
    const int64_t length = tokens + late, shared = heads / groups, queries = shared * count;
    const int64_t all = batch * heads * count, blocks = (length + TOKENS - 1) / TOKENS;
    const int lanes = width % (2 * WIDE) ? 1 : 2;
    const int64_t columns = width / (lanes * WIDE);
    float *asked = scratch((size_t)(all * (length + 2 * width)) * sizeof(float));
    if (!asked)
        return 1;
    const Past k = {{keys, late_keys}, tokens, room}, v = {{values, late_values}, tokens, room};
    /* [batch][groups][shared][count][...] */
    float *out = asked + all * width, *scores = out + all * width;
    const vf unit = vf_all(scale);
    for (int64_t n = 0; n < all; n++) {
        const int64_t b = n / (heads * count), h = n / count % heads, c = n % count;
        for (int64_t i = 0; i < width; i += WIDE) {
            const vf x = load(q, ((b * count + c) * heads + h) * width + i, half);
            vf_store(asked + n * width + i, vf_mul(x, unit));
        }
    }
#pragma omp parallel
    {
#pragma omp for schedule(static) collapse(2)
        for (int64_t g = 0; g < batch * groups; g++)
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t end = (block + 1) * TOKENS;
                for (int64_t at = block * TOKENS; at < (end < length ? end : length); at++) {
                    const char *key = token(&k, g, at, width, half);
                    for (int64_t r = g * queries; r < (g + 1) * queries; r++) {
                        vf sum = vf_zero();
                        for (int64_t i = 0; i < width; i += WIDE)
                            sum = vf_fma(vf_load(asked + r * width + i),
                                                  load(key, i, half), sum);
                        scores[r * length + at] = vf_sum(sum);
                    }
                }
            }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < all; n++) {
            const int64_t b = n / (heads * count), c = n % count;
            const uint8_t *own = mask ? mask + (b * count + c) * length : NULL;
            softmax(scores + n * length, length, mask ? length : length - count + 1 + c, own);
        }
#pragma omp for schedule(static) collapse(2)
        for (int64_t g = 0; g < batch * groups; g++)
            for (int64_t c = 0; c < columns; c++) {
                const float *of = scores + g * queries * length;
                float *to = out + g * queries * width;
                if (lanes == 2)
                    weigh(&v, g, c * 2 * WIDE, width, queries, of, length, to, half, 2);
                else
                    weigh(&v, g, c * WIDE, width, queries, of, length, to, half, 1);
            }
    }
    for (int64_t n = 0; n < all; n++) {
        const int64_t b = n / (heads * count), h = n / count % heads, c = n % count;
        for (int64_t i = 0; i < width; i += WIDE)
            store(y, ((b * count + c) * heads + h) * width + i, vf_load(out + n * width + i), half);
    }
    return 0;
}
