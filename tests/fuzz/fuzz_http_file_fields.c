/* Any bytes as the fields that a file is asked for by: the size in the first byte, then the value.
 * Ranges lie within the file, hold something and do not overlap; a date that is read is written and
 * read again as the same; what is weak is never strongly the same. */
#include "accept.h"
#include "coded_tag.h"
#include "conditional.h"
#include "date.h"
#include "mime.h"
#include "range.h"

#include "tests/support/fuzz.h"

#define NOW_S 1700000000

static void check_ranges(str value, uint64_t size)
{
    http_range parts[HTTP_RANGES_MAX];
    size_t count;
    if (http_range_parse(value, size, parts, &count) != HTTP_RANGE_PARTS)
        return;
    invariant(count >= 1 && count <= HTTP_RANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        invariant(parts[i].bytes > 0 && parts[i].at < size);
        invariant(parts[i].bytes <= size - parts[i].at);
        for (size_t j = 0; j < i; j++)
            invariant(parts[i].at >= parts[j].at + parts[j].bytes ||
                      parts[j].at >= parts[i].at + parts[i].bytes);
    }
}

static void check_date(str value)
{
    int64_t seconds, again;
    char text[HTTP_DATE_LEN + 1];
    if (!http_date_parse(value, NOW_S, &seconds))
        return;
    http_date_format(text, seconds);
    invariant(http_date_parse((str){ text, HTTP_DATE_LEN }, NOW_S, &again) && again == seconds);
}

static void check_tags(str value)
{
    const http_validators weak = { STR("W/\"a\""), NOW_S, false };
    const bool any = str_eq(str_trim(value, STR(" \t")), STR("*"));
    invariant(any || !http_etags_have(value, weak.etag, true));
    invariant(!http_etags_have(value, STR("\"a\""), true) ||
              http_etags_have(value, weak.etag, false));
    invariant(!http_if_range_holds(&(http_conditions){ .if_range = value }, &weak, NOW_S) ||
              !value.ptr);
}

/* Whatever stands in a list, a tag of a coded body in it is found by what it was made of. */
static void check_coded_tags(str value)
{
    arena a;
    arena_init(&a, (size_t)1 << 24);
    const str tag = STR("\"a\"");
    const str plain = http_coded_tags_undo(&a, value, UINT32_MAX);
    invariant(plain.len <= value.len);
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODING_IDENTITY; i++)
        invariant(!http_etags_have(value, http_coded_tag(&a, tag, i), true) ||
                  http_etags_have(plain, tag, true));
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    const str value = str_slice(text, 1, len);
    check_ranges(value, len > 0 ? data[0] : 0);
    check_ranges(value, UINT64_MAX);
    check_date(value);
    check_tags(value);
    check_coded_tags(value);
    const http_accepted accepted = http_accept_encoding(value);
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODINGS; i++)
        invariant(accepted.quality[i] <= HTTP_QUALITY_MAX);
    const http_coding best = http_accept_best(&accepted, UINT32_MAX);
    invariant(best == HTTP_CODING_IDENTITY || accepted.quality[best] > 0);
    static const http_coding offered[] = { HTTP_CODING_ZSTD, HTTP_CODING_GZIP };
    const http_coding first = http_accept_first(&accepted, offered, ARRAY_LEN(offered));
    invariant(first != HTTP_CODING_BR);
    invariant(first == HTTP_CODING_IDENTITY || accepted.quality[first] > 0);
    invariant(http_mime_of(value).type.len > 0);
    return 0;
}
