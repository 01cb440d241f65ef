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

/* What a mixture makes of x, which `part` points to; 1: no memory. `lists` has room for what the
 * router says. */
static int mix(const duibi_decoder_layer *l, const void *x, int64_t rows, void *part, char *lists) {
    const int64_t each = l->router->each;
    int64_t *chosen = (int64_t *)lists;
    float *shares = (float *)(chosen + rows * each), *logits = shares + rows * each;
    return duibi_router_forward(l->router, x, rows, logits, chosen, shares) ||
           duibi_experts_forward(l->experts, x, rows, each, chosen, shares, part);
}

int duibi_decoder_layer_forward(const duibi_decoder_layer *layer, const duibi_step *step) {
    const duibi_decoder_layer *l = layer;
    const duibi_dtype dtype = (duibi_dtype)l->dtype;
    const int64_t rows = step->batch * step->new_tokens, hidden = l->qkv.inputs;
    const int64_t attended = l->o.inputs, inner = l->down.inputs;
    const int64_t chosen = l->router ? l->router->each : 0;
    const int64_t experts = l->router ? l->router->gate.outputs : 0;
    /* Whole cache lines, so that no two parts share one. */
    const size_t size = dtype == DUIBI_F32 ? 4 : 2, line = 64;
#define BYTES(columns, of) (((size_t)(rows * (columns)) * (of) + line - 1) / line * line)
    char *normed = scratch(2 * BYTES(hidden, size) + BYTES(l->qkv.outputs, size) +
                           2 * BYTES(attended, size) + BYTES(2 * inner, size) +
                           BYTES(inner, size) + BYTES(3 * chosen + experts, 4));
    if (!normed)
        return 1;
    char *part = normed + BYTES(hidden, size), *qkv = part + BYTES(hidden, size);
    char *query = qkv + BYTES(l->qkv.outputs, size), *out = query + BYTES(attended, size);
    char *gate_up = out + BYTES(attended, size), *gated = gate_up + BYTES(2 * inner, size);
    char *lists = gated + BYTES(inner, size);
#undef BYTES
    duibi_rms_norm(step->x, rows, hidden, l->input_norm, l->input_eps, normed, dtype);
    if (apply_linear(&l->qkv, normed, rows, qkv) || attend(l, step, qkv, query, out) ||
        apply_linear(&l->o, out, rows, part))
        return 1;
    add(step->x, part, rows * hidden, step->y, dtype);
    void *given = step->normed ? step->normed : normed;
    duibi_rms_norm(step->y, rows, hidden, l->post_attention_norm, l->post_attention_eps, given,
                   dtype);
    if (step->normed)
        return 0;
    if (l->experts) {
        if (mix(l, normed, rows, part, lists))
            return 1;
    } else {
        if (apply_linear(&l->gate_up, normed, rows, gate_up))
            return 1;
        duibi_swiglu(gate_up, rows, inner, gated, dtype);
        if (apply_linear(&l->down, gated, rows, part))
            return 1;
    }
    add(step->y, part, rows * hidden, step->y, dtype);
    return 0;
}
