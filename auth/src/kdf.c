/* Argon2id (RFC 9106) by libargon2, on an offload thread. The job is a copy of everything it reads,
 * so that the thread touches nothing of the fiber's; libargon2 takes its working memory from the
 * heap, outside the request's arena. One thread walks all lanes: a hash never starts threads of its
 * own.
 *
 * Invariant: the password's copy is wiped before the call returns. */
#include "kdf.h"

#include "core/fault.h"
#include "core/offload.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <string.h>

typedef struct job {
    argon2_context context;
    int status;
} job;

bool auth_cost_is_allowed(const auth_cost *cost)
{
    return cost->passes >= 1 && cost->passes <= AUTH_PASSES_MAX && cost->lanes >= 1 &&
           cost->lanes <= AUTH_LANES_MAX && cost->memory_kib <= AUTH_MEMORY_KIB_MAX &&
           cost->memory_kib >= AUTH_MEMORY_KIB_A_LANE * cost->lanes;
}

/* libargon2's allocator when a test wants none: the failure takes the library's own way. */
static int allocate_nothing(uint8_t **memory, size_t bytes)
{
    (void)bytes;
    *memory = NULL;
    return ARGON2_MEMORY_ALLOCATION_ERROR;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is libargon2's */
static void free_nothing(uint8_t *memory, size_t bytes)
{
    (void)bytes;
    invariant(memory == NULL);
}

/* Runs on the offload thread. */
static error derive(void *arg)
{
    job *j = arg;
    j->status = argon2_ctx(&j->context, Argon2_id);
    return OK;
}

static uint8_t *copy_bytes(arena *a, const void *bytes, size_t len)
{
    uint8_t *copy = arena_alloc(a, len, 1);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

static error status_error(int status)
{
    if (status == ARGON2_OK)
        return OK;
    const error_kind *kind =
        status == ARGON2_MEMORY_ALLOCATION_ERROR ? &OUT_OF_MEMORY : &SYSTEM_FAILED;
    return error_set(kind, "argon2: %s", argon2_error_message(status));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the thread writes to `out` */
error auth_kdf_run(const auth_kdf_input *input, uint8_t *out, size_t bytes)
{
    invariant(auth_cost_is_allowed(&input->cost));
    invariant(input->salt.len >= AUTH_SALT_BYTES_MIN && input->salt.len <= AUTH_SALT_BYTES_MAX);
    invariant(bytes >= AUTH_DERIVED_BYTES_MIN && bytes <= AUTH_DERIVED_BYTES_MAX);
    invariant(input->password.len <= UINT32_MAX);
    const bool without_memory = fault_point("auth.kdf");
    arena *a = fiber_arena();
    job *j = ARENA_NEW(a, job);
    uint8_t *password = copy_bytes(a, input->password.ptr, input->password.len);
    j->context = (argon2_context){
        .out = out,
        .outlen = (uint32_t)bytes,
        .pwd = password,
        .pwdlen = (uint32_t)input->password.len,
        .salt = copy_bytes(a, input->salt.ptr, input->salt.len),
        .saltlen = (uint32_t)input->salt.len,
        .t_cost = input->cost.passes,
        .m_cost = input->cost.memory_kib,
        .lanes = input->cost.lanes,
        .threads = 1,
        .version = ARGON2_VERSION_13,
        .allocate_cbk = without_memory ? allocate_nothing : NULL,
        .free_cbk = without_memory ? free_nothing : NULL,
    };
    const error e = offload(derive, j);
    OPENSSL_cleanse(password, input->password.len);
    TRY(e);
    return status_error(j->status);
}
