/* What clang makes of the OpenMP pragmas, by GNU's OpenMP: torch has loaded that one, and a second
 * would keep a second pool of threads spinning on the same cores. Only what the kernels use:
 * parallel regions, barriers, and loops over int64_t, static and dynamic. The functions and their
 * arguments are those of LLVM's runtime (openmp/runtime/src/kmp_csupport.cpp), whose names are its
 * ABI. */
#if defined(__clang__) && defined(_OPENMP)
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

/* libgomp's. */
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
void GOMP_barrier(void);
_Bool GOMP_loop_dynamic_start(long first, long end, long step, long chunk, long *from, long *to);
_Bool GOMP_loop_dynamic_next(long *from, long *to);
void GOMP_loop_end_nowait(void);
int omp_get_thread_num(void);
int omp_get_num_threads(void);

enum { MAX_ARGUMENTS = 20 };
#define ARGUMENTS(a)                                                                           \
    a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], \
        a[15], a[16], a[17], a[18], a[19]

typedef void (*outlined)(int32_t *thread, int32_t *bound, ...);
typedef struct {
    outlined body;
    void *arguments[MAX_ARGUMENTS];
} Region;

/* More arguments than the body takes do no harm: the caller cleans up. */
static void run_region(void *data) {
    typedef void (*called)(int32_t *, int32_t *, void *, void *, void *, void *, void *, void *,
                           void *, void *, void *, void *, void *, void *, void *, void *, void *,
                           void *, void *, void *, void *, void *);
    const Region *region = data;
    int32_t thread = omp_get_thread_num(), bound = 0;
    void *const *a = region->arguments;
    ((called)region->body)(&thread, &bound, ARGUMENTS(a));
}

void __kmpc_fork_call(void *where, int32_t count, outlined body, ...) {
    (void)where;
    Region region = {.body = body};
    if (count > MAX_ARGUMENTS)
        abort();
    va_list rest;
    va_start(rest, body);
    for (int32_t i = 0; i < count; i++)
        region.arguments[i] = va_arg(rest, void *);
    va_end(rest);
    GOMP_parallel(run_region, &region, 0, 0);
}

int32_t __kmpc_global_thread_num(void *where) {
    (void)where;
    return omp_get_thread_num();
}

/* Around a region that one thread computes. */
static __thread int alone = 0;
void __kmpc_serialized_parallel(void *where, int32_t thread) {
    (void)where, (void)thread;
    alone++;
}
void __kmpc_end_serialized_parallel(void *where, int32_t thread) {
    (void)where, (void)thread;
    alone--;
}

void __kmpc_barrier(void *where, int32_t thread) {
    (void)where, (void)thread;
    if (!alone)
        GOMP_barrier();
}

/* Equal shares in order, the first ones larger by one; bounds are inclusive. */
void __kmpc_for_static_init_8(void *where, int32_t thread, int32_t schedule, int32_t *is_last,
                              int64_t *lower, int64_t *upper, int64_t *stride, int64_t step,
                              int64_t chunk) {
    (void)where, (void)thread, (void)schedule, (void)chunk;
    const int64_t threads = alone ? 1 : omp_get_num_threads();
    const int64_t mine = alone ? 0 : omp_get_thread_num();
    const int64_t all = (*upper - *lower) / step + 1, share = all / threads, more = all % threads;
    const int64_t first = mine * share + (mine < more ? mine : more);
    const int64_t last = first + share + (mine < more) - 1;
    *stride = all * step;
    *upper = *lower + last * step;
    *lower += first * step;
    *is_last = last == all - 1;
}
/* Of unsigned numbers: nothing here has more than 63 bits. */
void __kmpc_for_static_init_8u(void *where, int32_t thread, int32_t schedule, int32_t *is_last,
                               int64_t *lower, int64_t *upper, int64_t *stride, int64_t step,
                               int64_t chunk) {
    __kmpc_for_static_init_8(where, thread, schedule, is_last, lower, upper, stride, step, chunk);
}
void __kmpc_for_static_fini(void *where, int32_t thread) { (void)where, (void)thread; }

static __thread struct {
    int64_t lower, upper, step, chunk;
    int has_begun;
} loop;

void __kmpc_dispatch_init_8(void *where, int32_t thread, int32_t schedule, int64_t lower,
                            int64_t upper, int64_t step, int64_t chunk) {
    (void)where, (void)thread, (void)schedule;
    loop.lower = lower, loop.upper = upper, loop.step = step, loop.chunk = chunk;
    loop.has_begun = 0;
}

int32_t __kmpc_dispatch_next_8(void *where, int32_t thread, int32_t *is_last, int64_t *lower,
                               int64_t *upper, int64_t *stride) {
    (void)where, (void)thread;
    long from, to;
    const _Bool found = loop.has_begun
                            ? GOMP_loop_dynamic_next(&from, &to)
                            : GOMP_loop_dynamic_start(loop.lower, loop.upper + loop.step,
                                                      loop.step, loop.chunk, &from, &to);
    loop.has_begun = 1;
    if (!found) {
        GOMP_loop_end_nowait();
        return 0;
    }
    *lower = from, *upper = to - loop.step, *stride = loop.step;
    *is_last = *upper >= loop.upper;
    return 1;
}
#endif
