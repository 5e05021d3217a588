/* Any bytes as the body of a wide struct. Malformed exactly when json_is_valid says so, otherwise
 * read or refused with named fields; what was read is written as JSON that reads the same. */
#include "core/json.h"
#include "tests/support/fuzz.h"
#include "tests/support/wide_shape.h"

#define ARENA_BYTES ((size_t)256 << 20)

static str written(arena *a, const wide *w)
{
    buf b;
    buf_init_arena(&b, a, (size_t)64 << 20);
    json_write_shape(&b, wide_shape(), w);
    invariant(error_is_ok(buf_status(&b)));
    return buf_str(&b);
}

static void check_refusal(error e, bool valid)
{
    const error_detail *detail = error_detail_of(e);
    invariant(detail != NULL);
    if (error_is(e, &JSON_MALFORMED)) {
        invariant(!valid && detail->text.len > 0);
        return;
    }
    invariant(error_is(e, &JSON_INVALID) && valid);
    invariant(detail->field_count > 0 && detail->field_count <= JSON_FIELDS_MAX);
    for (size_t i = 0; i < detail->field_count; i++) {
        invariant(str_is_utf8(detail->fields[i].path));
        invariant(detail->fields[i].code.len > 0 && detail->fields[i].message.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    arena a;
    arena_init(&a, ARENA_BYTES);
    wide w = { 0 };
    const bool valid = json_is_valid(text);
    const error e = json_parse_shape(&a, text, wide_shape(), &w);
    if (error_is_ok(e)) {
        invariant(valid);
        wide back = { 0 };
        const str once = written(&a, &w);
        invariant(error_is_ok(json_parse_shape(&a, once, wide_shape(), &back)));
        invariant(str_eq(written(&a, &back), once));
    } else {
        check_refusal(e, valid);
    }
    arena_deinit(&a);
    return 0;
}
