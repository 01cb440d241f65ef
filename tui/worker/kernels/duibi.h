/* What the kernels and their callers share: constants, formats, structures and prototypes.
 * It does not depend on the instruction set. abi.py reads its `#define DUIBI_NAME number` lines
 * and holds the same structures for ctypes.
 *
 * Weights of 8, 6 and 4 bits lie in tiles of 32 outputs; a tile is a run of blocks, one for each 32
 * inputs (a group), in the order in which they are read:
 *
 *   8 bits: 2 halves x 8 steps x 16 outputs x 4 inputs, a byte each: q + 128.
 *           w = scale[output] * q, symmetric, the largest of a row at 127 steps.
 *   6 bits: the low four bits of q as with 4 bits, then the high two: 2 halves x 2 steps x 16
 *           outputs x 4 inputs, a byte each: of steps s, s + 2, s + 4 and s + 6, from its lowest
 *           bits on; then a byte of scale s for each of the 32 outputs.
 *           w = scale[output] * s * (q - 32), q of 0 to 63.
 *   4 bits: 2 halves x 4 steps x 16 outputs x 4 inputs, a byte each: q of step s in its low four
 *           bits, of step s + 4 in its high four bits; then a byte of scale s and a byte of zero
 *           point z for each of the 32 outputs.
 *           w = scale[output] * s * (q - z), q of 0 to 15. s is a small float without sign: three
 *           bits of exponent and five of fraction, 2^-7 to 2 - 2^-5. z is in sixteenths of a
 *           step, 0 to 15.94.
 */
#ifndef DUIBI_H
#define DUIBI_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Values in a vector: rows of the fused layers are multiples of it. */
#define DUIBI_LANES 16
#define DUIBI_MAX_HEAD_DIM 512
/* Up to so many rows reading the weights takes the time of a product in bfloat16. */
#define DUIBI_FEW_ROWS 16
/* Outputs in a tile, inputs in a group. */
#define DUIBI_TILE 32
#define DUIBI_GROUP 32
/* Bytes of a block (a tile's part in one group); with 6 and 4 bits, those of its weights. */
#define DUIBI_INT8_BLOCK 1024
#define DUIBI_INT6_WEIGHTS 768
#define DUIBI_INT6_BLOCK 800
#define DUIBI_INT4_WEIGHTS 512
#define DUIBI_INT4_BLOCK 576

_Static_assert(DUIBI_INT8_BLOCK == DUIBI_TILE * DUIBI_GROUP, "a byte for each weight");
_Static_assert(DUIBI_INT6_WEIGHTS == DUIBI_TILE * DUIBI_GROUP * 6 / 8, "6 bits for each weight");
_Static_assert(DUIBI_INT6_BLOCK == DUIBI_INT6_WEIGHTS + DUIBI_TILE, "scales");
_Static_assert(DUIBI_INT4_WEIGHTS == DUIBI_TILE * DUIBI_GROUP / 2, "half a byte for each weight");
_Static_assert(DUIBI_INT4_BLOCK == DUIBI_INT4_WEIGHTS + 2 * DUIBI_TILE, "scales and zero points");

/* What activations, keys and values are stored as. */
typedef enum { DUIBI_F32 = 0, DUIBI_BF16 = 1 } duibi_dtype;

typedef struct {
    int64_t outputs;
    const uint16_t *weight; /* bfloat16[outputs][inputs] */
    const float *bias;      /* float[outputs] or NULL */
} duibi_bf16_matrix;

/* head_dim is a multiple of DUIBI_LANES, at most DUIBI_MAX_HEAD_DIM. */
typedef struct {
    const void *qkv; /* [batch][new_tokens][queries of all heads, keys, values of all kv_heads] */
    const void *cosine, *sine; /* [batch or 1][new_tokens][head_dim] */
    const float *query_norm, *key_norm; /* weights, float[head_dim], or NULL */
    void *query;         /* out: [batch][new_tokens][heads][head_dim] */
    void *keys, *values; /* out: [batch][kv_heads][capacity][head_dim], from token `buffered` on */
    int64_t batch, new_tokens, heads, kv_heads, head_dim;
    int64_t position_stride; /* rows of cosine and sine for each of the batch; 0: shared */
    int64_t buffered, capacity;
    float eps;
    int32_t dtype; /* duibi_dtype */
} duibi_rope_args;

/* head_dim is a multiple of DUIBI_LANES; heads / kv_heads heads share keys and values. */
typedef struct {
    const void *query;                       /* [batch][new_tokens][heads][head_dim] */
    const void *keys, *values;               /* [batch][kv_heads][tokens][head_dim] */
    const void *buffer_keys, *buffer_values; /* [batch][kv_heads][capacity][head_dim] */
    /* [batch][new_tokens][tokens + buffered], 0 is hidden. NULL: each of the new tokens, which
     * are the last ones, sees all before it and itself. */
    const uint8_t *mask;
    void *out; /* as query */
    int64_t batch, new_tokens, heads, kv_heads, head_dim, tokens, buffered, capacity;
    float scale;   /* of the products of queries and keys */
    int32_t dtype; /* duibi_dtype */
} duibi_attention_args;

/* A linear layer in one of the formats; the others' pointers are NULL. */
typedef struct {
    int64_t inputs, outputs;
    const duibi_bf16_matrix *matrices; /* 16 bits */
    const uint8_t *tiles;              /* 8, 6 and 4 bits */
    const float *scale, *bias;         /* of tiles */
    int32_t bits, count;               /* count of matrices */
} duibi_linear;

/* A linear layer of 8, 6 or 4 bits, and what is computed with it: as in duibi_linear_quantised. */
typedef struct {
    const duibi_linear *layer;
    const void *x;
    void *y;
    int64_t rows;
} duibi_product;

/* Which experts of a mixture compute a row: those of the `each` largest probabilities, which are
 * their shares. */
typedef struct {
    duibi_bf16_matrix gate; /* an output for each expert */
    int64_t inputs, each;
    int32_t is_normalised; /* the shares of a row are divided by their sum */
    int32_t is_rounded;    /* to dtype */
    int32_t dtype;         /* duibi_dtype of rows and of the products with gate */
} duibi_router;

/* The experts of a layer: `count` linear layers (gate above up), and as many behind the gate.
 * dtype: as in duibi_decoder_layer. */
typedef struct {
    const duibi_linear *up, *down;
    int64_t count;
    int32_t dtype;
} duibi_experts;

/* What is the same in every step. dtype: DUIBI_F32 with linear layers of 16 bits, else
 * DUIBI_BF16. The feed-forward part is gate_up and down, a mixture where it has experts, or what the
 * caller computes (duibi_step). */
typedef struct {
    duibi_linear qkv, o, gate_up, down;
    const duibi_router *router;
    const duibi_experts *experts;
    const float *input_norm, *post_attention_norm; /* weights, float[inputs of qkv] */
    const float *query_norm, *key_norm;            /* as in duibi_rope_args */
    int64_t heads, kv_heads, head_dim;
    float input_eps, post_attention_eps, query_eps;
    float scale;   /* of the products of queries and keys */
    int32_t dtype; /* duibi_dtype */
} duibi_decoder_layer;

/* What one step brings; as in duibi_rope_args and duibi_attention_args. `buffered`: tokens in the
 * buffer of the KV cache before this step. */
typedef struct {
    const void *x; /* [batch][new_tokens][inputs of qkv] */
    void *y;       /* out: as x */
    /* out, as x: the input of the feed-forward part, which the caller computes and adds to y. NULL:
     * it is computed here. */
    void *normed;
    const void *cosine, *sine;
    const void *keys, *values;
    void *buffer_keys, *buffer_values;
    const uint8_t *mask;
    int64_t batch, new_tokens, position_stride, tokens, buffered, capacity;
} duibi_step;

/* Not 0: products are left unfinished, the forward pass was aborted. Another thread writes it. */
extern _Atomic int duibi_stop;
_Static_assert(sizeof(_Atomic int) == sizeof(int), "Python writes it as a plain int");

static inline int stopped(void) { return atomic_load_explicit(&duibi_stop, memory_order_relaxed); }

/* sizeof(duibi_bf16_matrix), (duibi_rope_args), (duibi_attention_args), (duibi_decoder_layer),
 * (duibi_step), (duibi_experts), (duibi_router) for 0 to 6; else 0. */
size_t duibi_struct_size(int which);

/* Functions that return int: 0, or 1 where there was no memory. */

/* y[rows][outputs] = x[rows][inputs] W^T + bias, x and y in bfloat16.
 * bits: 8, 6 or 4. tiles: of all outputs, filled up to a whole tile. scale: float[tiles * 32], one
 * for each output. bias: float[outputs] or NULL. inputs: a multiple of DUIBI_GROUP. */
int duibi_linear_quantised(int bits, const uint16_t *x, int64_t rows, int64_t inputs,
                           int64_t outputs, const uint8_t *tiles, const float *scale,
                           const float *bias, uint16_t *y);

/* Several products at once. */
int duibi_quantised_products(const duibi_product *products, int64_t count);

/* Makes tiles and scale of w, float[rows][inputs]; rows that a tile lacks become zeros.
 * importance: float[inputs], the mean square of each input, or NULL; not used for 8 bits. */
void duibi_pack_quantised(int bits, const float *w, const float *importance, int64_t rows,
                          int64_t inputs, uint8_t *tiles, float *scale);

/* y[rows][all outputs] = x[rows][inputs] W^T + bias in float32, of `count` matrices side by
 * side. inputs: a multiple of 32. */
int duibi_linear_bf16(const float *x, int64_t rows, int64_t inputs,
                      const duibi_bf16_matrix *matrices, int64_t count, float *y);

/* The same, for more than DUIBI_FEW_ROWS rows: where computing takes longer than reading. */
int duibi_linear_bf16_many(const float *x, int64_t rows, int64_t inputs,
                           const duibi_bf16_matrix *matrices, int64_t count, float *y);

/* y[rows][k] = weight * (x / sqrt(mean(x^2) + eps)); weight: float[k]. */
void duibi_rms_norm(const void *x, int64_t rows, int64_t k, const float *weight, float eps,
                    void *y, duibi_dtype dtype);

/* y[rows][k] = silu(gate) * up, x[rows] = gate[k], up[k]. */
void duibi_swiglu(const void *x, int64_t rows, int64_t k, void *y, duibi_dtype dtype);

/* RMSNorm (where there are weights) and rotate-half RoPE of queries and keys; queries go to
 * `query`, keys and values to the buffer of the KV cache. */
void duibi_qkv_rope(const duibi_rope_args *args);

/* out = softmax(scale q k) v over the KV cache and its buffer. */
int duibi_attention(const duibi_attention_args *args);

/* Of x[rows][inputs] the products with the gate, logits[rows][experts] as the router's dtype rounds
 * them, the experts of each row, chosen[rows][each], the likeliest first, and their
 * shares[rows][each]. inputs: a multiple of 32. */
int duibi_router_forward(const duibi_router *router, const void *x, int64_t rows, float *logits,
                         int64_t *chosen, float *shares);

/* A decoder layer of the Llama kind: x + attention of its norm, then that + SwiGLU, or experts, of
 * its norm. */
int duibi_decoder_layer_forward(const duibi_decoder_layer *layer, const duibi_step *step);

/* y[rows][hidden] = the sum of what the experts chosen[row][each] make of x[rows][hidden], weighed
 * by shares[row][each]: down(silu(gate) * up). A number that stands for no expert is left out.
 * hidden and the width behind the gate: multiples of DUIBI_LANES. */
int duibi_experts_forward(const duibi_experts *experts, const void *x, int64_t rows, int64_t each,
                          const int64_t *chosen, const float *shares, void *y);

/* Bytes of a block of 8, 6 or 4 bits. */
static inline int64_t duibi_block_bytes(int bits) {
    return bits == 8 ? DUIBI_INT8_BLOCK : bits == 6 ? DUIBI_INT6_BLOCK : DUIBI_INT4_BLOCK;
}

#endif
