/* Any bytes as the files that say how to connect, and as a password: a service file, a password
 * file, SASLprep. */
#include "passfile.h"
#include "saslprep.h"
#include "service_file.h"

#include "tests/support/fuzz.h"

#define ARENA_BYTES ((size_t)64 << 20)

static void check_service(str text)
{
    pg_parameters p = { 0 };
    bool found;
    const error e = pg_service_file_read(text, STR("s"), &p, &found);
    if (!e.kind)
        return;
    invariant(error_is(e, &PG_CONNINFO_INVALID));
    const str said = error_detail_of(e)->text;
    for (size_t i = 0; i < said.len; i++)
        invariant(said.ptr[i] >= ' ' && said.ptr[i] < 0x7F);
}

static void check_passfile(arena *a, str text)
{
    const pg_passfile_key key = { STR("h"), 5432, STR("d"), STR("u") };
    str password;
    invariant(error_is_ok(pg_passfile_find(text, &key, a, &password)));
    if (password.ptr)
        invariant(password.len < text.len && str_index(password, '\n') == password.len);
}

/* What is prepared is prepared: there is nothing left to do. */
static void check_password(arena *a, str text)
{
    str once, twice;
    invariant(error_is_ok(pg_saslprep(a, text, &once)));
    invariant(error_is_ok(pg_saslprep(a, once, &twice)));
    invariant(str_eq(once, twice));
    invariant(str_is_utf8(once) == str_is_utf8(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    arena a;
    arena_init(&a, ARENA_BYTES);
    const str text = fuzz_text(data, len);
    check_service(text);
    check_passfile(&a, text);
    check_password(&a, text);
    arena_deinit(&a);
    return 0;
}
