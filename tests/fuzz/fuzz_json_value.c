/* Any bytes as a free-form document: what is parsed is written as JSON that parses to the same
 * value, and what json_is_valid takes is refused only for what it does not look at. */
#include "core/json.h"
#include "tests/support/fuzz.h"
#include "tests/support/json_same.h"

#define ARENA_BYTES ((size_t)256 << 20)

static str written(arena *a, const json *value)
{
    buf b;
    buf_init_arena(&b, a, (size_t)64 << 20);
    json_write(&b, value);
    invariant(error_is_ok(buf_status(&b)));
    return buf_str(&b);
}

static void check_parsed(arena *a, const json *value)
{
    json back;
    const str once = written(a, value);
    invariant(json_is_valid(once));
    invariant(error_is_ok(json_parse(a, once, &back)));
    invariant(json_same(value, &back));
    invariant(str_eq(written(a, &back), once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    arena a;
    arena_init(&a, ARENA_BYTES);
    json value;
    const bool valid = json_is_valid(text);
    const error e = json_parse(&a, text, &value);
    if (error_is_ok(e)) {
        invariant(valid);
        check_parsed(&a, &value);
    } else {
        invariant(error_is(e, &JSON_MALFORMED));
        const str why = error_detail_of(e)->text;
        invariant(!valid || str_starts_with(why, STR("a key stands twice")) ||
                  str_starts_with(why, STR("a number is out of range")));
    }
    arena_deinit(&a);
    return 0;
}
