/* The Range field: "bytes=" and a list of first-last, first-, -suffix.
 *
 * What it promises: the parts lie within the representation, hold at least a byte each and do not
 * overlap, so that an answer is never larger than the whole and what frames its parts. */
#include "range.h"

#include "core/base.h"

#define WHITE_SPACE STR(" \t")

/* Digits only; a number that no file has stays the largest there is. */
static bool parse_position(str s, uint64_t *out)
{
    uint64_t value = 0;
    bool over = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        over = over || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
               __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value);
    }
    *out = over ? UINT64_MAX : value;
    return s.len > 0;
}

/* One of the list; `bytes` is 0 when it cannot be satisfied. False on bad syntax. */
static bool parse_one(str text, uint64_t size, http_range *out)
{
    uint64_t first, last = UINT64_MAX;
    str behind = text;
    const str before = str_cut(&behind, '-');
    *out = (http_range){ 0, 0 };
    if (!behind.ptr)
        return false;
    if (before.len == 0) { /* the last so many bytes */
        if (!parse_position(behind, &first))
            return false;
        out->bytes = first < size ? first : size;
        out->at = size - out->bytes;
        return true;
    }
    if (!parse_position(before, &first) || (behind.len > 0 && !parse_position(behind, &last)) ||
        last < first)
        return false;
    if (first >= size)
        return true;
    out->at = first;
    out->bytes = (last < size ? last + 1 : size) - first;
    return true;
}

static bool any_overlap(const http_range *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (parts[i].at < parts[j].at + parts[j].bytes &&
                parts[j].at < parts[i].at + parts[i].bytes)
                return true;
        }
    }
    return false;
}

http_range_result http_range_parse(str value, uint64_t size, http_range *parts, size_t *count)
{
    size_t asked = 0;
    bool suffix_of_nothing = false;
    *count = 0;
    if (!value.ptr)
        return HTTP_RANGE_WHOLE;
    const str unit = str_trim(str_cut(&value, '='), WHITE_SPACE);
    if (!str_eq_nocase(unit, STR("bytes")))
        return HTTP_RANGE_WHOLE;
    while (value.ptr) {
        http_range one;
        const str text = str_trim(str_cut(&value, ','), WHITE_SPACE);
        if (text.len == 0)
            continue; /* RFC 9110, 5.6.1.2: empty members of a list are nothing */
        if (++asked > HTTP_RANGES_MAX || !parse_one(text, size, &one))
            return HTTP_RANGE_WHOLE;
        suffix_of_nothing = suffix_of_nothing || (size == 0 && text.ptr[0] == '-');
        if (one.bytes > 0)
            parts[(*count)++] = one;
    }
    if (asked == 0 ||
        suffix_of_nothing) /* an empty file's last bytes: no Content-Range says that */
        return HTTP_RANGE_WHOLE;
    if (*count == 0)
        return HTTP_RANGE_BEHIND_END;
    return any_overlap(parts, *count) ? HTTP_RANGE_WHOLE : HTTP_RANGE_PARTS;
}
