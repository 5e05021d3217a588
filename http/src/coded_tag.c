/* The suffix of a coded body's tag: two hyphens and the coding's name, right before the quote that
 * ends it. Two, so that it is not what an application would end its own tags with. */
#include "coded_tag.h"

#include "core/buf.h"

#define MARK STR("--")

static bool is_strong(str tag)
{
    return tag.len >= 2 && tag.ptr[0] == '"' && tag.ptr[tag.len - 1] == '"';
}

str http_coded_tag(arena *a, str tag, http_coding coding)
{
    if (!is_strong(tag) || coding == HTTP_CODING_IDENTITY)
        return tag;
    const str name = http_coding_name(coding), before = str_slice(tag, 0, tag.len - 1);
    return str_format(a, "%.*s--%.*s\"", STR_ARG(before), STR_ARG(name));
}

/* The length of a suffix that `rest` begins with, the quote behind it not counted; 0: none. */
static size_t suffix_at(str rest, uint32_t codings)
{
    if (!str_starts_with(rest, MARK))
        return 0;
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODING_IDENTITY; i++) {
        const str name = http_coding_name(i);
        const size_t len = MARK.len + name.len;
        if ((codings >> i & 1) && str_eq(str_slice(rest, MARK.len, name.len), name) &&
            rest.len > len && rest.ptr[len] == '"')
            return len;
    }
    return 0;
}

str http_coded_tags_undo(arena *a, str list, uint32_t codings)
{
    buf out;
    size_t kept = 0;
    buf_init_arena(&out, a, list.len);
    for (size_t at = 0; at < list.len; at++) {
        const size_t len =
            list.ptr[at] == '-' ? suffix_at(str_slice(list, at, list.len), codings) : 0;
        if (len == 0)
            continue;
        buf_append(&out, str_slice(list, kept, at - kept));
        kept = at + len;
        at = kept - 1;
    }
    if (kept == 0)
        return list;
    buf_append(&out, str_slice(list, kept, list.len));
    return buf_str(&out);
}
