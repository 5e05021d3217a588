/* Any bytes as the text of each scalar: what is taken is formatted as text that gives it back, and
 * doubles agree with the C library. */
#include "core/arena.h"
#include "core/scalar.h"
#include "tests/support/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check_double(arena *a, str text)
{
    double value, back;
    if (!float8_parse(text, &value))
        return;
    const double expected = strtod(str_to_c(a, text), NULL);
    invariant(isfinite(value) && memcmp(&value, &expected, sizeof value) == 0);
    char formatted[FLOAT8_TEXT_MAX];
    invariant(float8_parse((str){ formatted, float8_format(formatted, value) }, &back));
    invariant(memcmp(&value, &back, sizeof value) == 0);
}

static void check_instant(str text)
{
    timestamptz t, back;
    char formatted[TIMESTAMPTZ_TEXT_MAX];
    if (!timestamptz_parse(text, &t))
        return;
    invariant(timestamptz_parse((str){ formatted, timestamptz_format(formatted, t) }, &back));
    invariant(t.us == back.us);
}

static void check_uuid(str text)
{
    uuid u, back;
    char formatted[UUID_TEXT_LEN];
    if (!uuid_parse(text, &u))
        return;
    invariant(uuid_parse((str){ formatted, uuid_format(formatted, u) }, &back));
    invariant(memcmp(&u, &back, sizeof u) == 0);
}

static void check_integer(str text)
{
    int64_t value, back;
    char formatted[INT64_TEXT_MAX];
    if (!str_to_int64(text, &value))
        return;
    invariant(str_to_int64((str){ formatted, int64_format(formatted, value) }, &back));
    invariant(value == back);
}

/* One text a value: what is taken is what encoding gives. */
static void check_base64(arena *a, str text)
{
    bytea bytes;
    if (base64_decode(a, text, &bytes))
        invariant(str_eq(base64_encode(a, bytes), text));
    if (base64url_decode(a, text, &bytes))
        invariant(str_eq(base64url_encode(a, bytes), text));
    bytes = (bytea){ (const uint8_t *)text.ptr, text.len };
    bytea back;
    invariant(base64_decode(a, base64_encode(a, bytes), &back));
    invariant(back.len == text.len && memcmp(back.ptr, text.ptr, text.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    arena a;
    arena_init(&a, (size_t)64 << 20);
    check_double(&a, text);
    check_instant(text);
    check_uuid(text);
    check_integer(text);
    check_base64(&a, text);
    arena_deinit(&a);
    return 0;
}
