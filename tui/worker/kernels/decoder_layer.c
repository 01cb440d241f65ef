/* A whole decoder layer for a few new tokens, in one call: what Python and torch take to call its
 * parts one by one, and to make a tensor for what each of them computes, is a third of a step of
 * a small model.
 */
#include "common.h"

static void add(const void *x, const void *y, int64_t count, void *to, duibi_dtype dtype) {
    for (int64_t i = 0; i < count; i += DUIBI_LANES)
        store(to, i, vf_add(load(x, i, dtype), load(y, i, dtype)), dtype);
}

/* RoPE of the queries and keys in `qkv`, then attention. */
static int attend(const duibi_decoder_layer *l, const duibi_step *s, const void *qkv, void *query,
                  void *out) {
    const duibi_rope_args rope = {
        .qkv = qkv,
        .cosine = s->cosine,
        .sine = s->sine,
        .query_norm = l->query_norm,
        .key_norm = l->key_norm,
        .query = query,
        .keys = s->buffer_keys,
        .values = s->buffer_values,
        .batch = s->batch,
        .new_tokens = s->new_tokens,
        .heads = l->heads,
        .kv_heads = l->kv_heads,
        .head_dim = l->head_dim,
        .position_stride = s->position_stride,
        .buffered = s->buffered,
        .capacity = s->capacity,
        .eps = l->query_eps,
        .dtype = l->dtype,
    };
    duibi_qkv_rope(&rope);
    const duibi_attention_args attention = {
        .query = query,
        .keys = s->keys,
        .values = s->values,
        .buffer_keys = s->buffer_keys,
        .buffer_values = s->buffer_values,
        .mask = s->mask,
        .out = out,
        .batch = s->batch,
        .new_tokens = s->new_tokens,
        .heads = l->heads,
        .kv_heads = l->kv_heads,
        .head_dim = l->head_dim,
        .tokens = s->tokens,
        .buffered = s->buffered + s->new_tokens,
        .capacity = s->capacity,
        .scale = l->scale,
        .dtype = l->dtype,
    };
    return duibi_attention(&attention);
}

int duibi_decoder_layer_forward(const duibi_decoder_layer *layer, const duibi_step *step) {
    const duibi_decoder_layer *l = layer;
    const duibi_dtype dtype = (duibi_dtype)l->dtype;
    const int64_t rows = step->batch * step->new_tokens, hidden = l->qkv.inputs;
    const int64_t attended = l->o.inputs, inner = l->down.inputs;
    /* Whole cache lines, so that no two parts share one. */
    const size_t row = dtype == DUIBI_F32 ? 4 : 2, line = 64;
#define BYTES(columns) (((size_t)(rows * (columns)) * row + line - 1) / line * line)
    char *normed = scratch(2 * BYTES(hidden) + BYTES(l->qkv.outputs) + 2 * BYTES(attended) +
                           BYTES(2 * inner) + BYTES(inner));
    if (!normed)
        return 1;
    char *part = normed + BYTES(hidden), *qkv = part + BYTES(hidden);
    char *query = qkv + BYTES(l->qkv.outputs), *out = query + BYTES(attended);
    char *gate_up = out + BYTES(attended), *gated = gate_up + BYTES(2 * inner);
#undef BYTES
    duibi_rms_norm(step->x, rows, hidden, l->input_norm, l->input_eps, normed, dtype);
    if (apply_linear(&l->qkv, normed, rows, qkv) || attend(l, step, qkv, query, out) ||
        apply_linear(&l->o, out, rows, part))
        return 1;
    add(step->x, part, rows * hidden, step->y, dtype);
    duibi_rms_norm(step->y, rows, hidden, l->post_attention_norm, l->post_attention_eps, normed,
                   dtype);
    if (apply_linear(&l->gate_up, normed, rows, gate_up))
        return 1;
    duibi_swiglu(gate_up, rows, inner, gated, dtype);
    if (apply_linear(&l->down, gated, rows, part))
        return 1;
    add(step->y, part, rows * hidden, step->y, dtype);
    return 0;
}
