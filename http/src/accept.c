/* Accept-Encoding, member by member: `coding [;q=0.5]`, with "*" for what is not named.
 *
 * Invariant: identity stays acceptable unless it, or "*" without it, has q=0. Its quality when
 * nobody names it is the least there is, so that any coding a client names wins. */
#include "accept.h"

#define QUALITY_UNSET UINT16_MAX
#define QUALITY_LEAST 1
#define MEMBERS_MAX   64 /* what stands behind is not read */
#define WHITE_SPACE   STR(" \t")

static const str NAMES[HTTP_CODINGS] = {
    [HTTP_CODING_BR] = { "br", 2 },
    [HTTP_CODING_ZSTD] = { "zstd", 4 },
    [HTTP_CODING_GZIP] = { "gzip", 4 },
    [HTTP_CODING_IDENTITY] = { "identity", 8 },
};

str http_coding_name(http_coding coding)
{
    return NAMES[coding];
}

/* "0", "0.5", "1.000": at most three digits behind the point (RFC 9110, 12.4.2). */
static bool parse_quality(str s, uint16_t *out)
{
    if (s.len < 1 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1'))
        return false;
    unsigned value = (unsigned)(s.ptr[0] - '0') * HTTP_QUALITY_MAX;
    if (s.len > 1 && s.ptr[1] != '.')
        return false;
    unsigned worth = HTTP_QUALITY_MAX / 10;
    for (size_t i = 2; i < s.len; i++, worth /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value += (unsigned)(s.ptr[i] - '0') * worth;
    }
    *out = (uint16_t)value;
    return value <= HTTP_QUALITY_MAX;
}

/* "gzip ; q=0.5" */
static bool parse_member(str member, str *name, uint16_t *quality)
{
    *name = str_trim(str_cut(&member, ';'), WHITE_SPACE);
    *quality = HTTP_QUALITY_MAX;
    if (name->len == 0)
        return false;
    if (!member.ptr)
        return true;
    const str weight = str_trim(member, WHITE_SPACE);
    if (!str_eq_nocase(str_slice(weight, 0, 2), STR("q=")))
        return false;
    return parse_quality(str_slice(weight, 2, weight.len), quality);
}

static void set_named(uint16_t quality[HTTP_CODINGS], str name, uint16_t value)
{
    if (str_eq_nocase(name, STR("x-gzip"))) /* RFC 9110, 8.4.1.3 */
        name = NAMES[HTTP_CODING_GZIP];
    for (size_t i = 0; i < HTTP_CODINGS; i++) {
        if (str_eq_nocase(name, NAMES[i]))
            quality[i] = value;
    }
}

http_accepted http_accept_encoding(str value)
{
    http_accepted accepted;
    uint16_t *quality = accepted.quality;
    uint16_t others = QUALITY_UNSET;
    for (size_t i = 0; i < HTTP_CODINGS; i++)
        quality[i] = QUALITY_UNSET;
    for (int members = 0; value.ptr && members < MEMBERS_MAX; members++) {
        str name;
        uint16_t q;
        if (!parse_member(str_cut(&value, ','), &name, &q))
            continue;
        if (str_eq(name, STR("*")))
            others = q;
        else
            set_named(quality, name, q);
    }
    for (size_t i = 0; i < HTTP_CODINGS; i++) {
        if (quality[i] != QUALITY_UNSET)
            continue;
        if (i == HTTP_CODING_IDENTITY)
            quality[i] = others == 0 ? 0 : QUALITY_LEAST;
        else
            quality[i] = others == QUALITY_UNSET ? 0 : others;
    }
    return accepted;
}

http_coding http_accept_best(const http_accepted *accepted, uint32_t offered)
{
    http_coding best = HTTP_CODING_IDENTITY;
    uint16_t quality = 0;
    for (http_coding i = HTTP_CODING_BR; i < HTTP_CODINGS; i++) {
        if ((offered >> i & 1) && accepted->quality[i] > quality) {
            best = i;
            quality = accepted->quality[i];
        }
    }
    return best;
}

http_coding http_accept_first(const http_accepted *accepted, const http_coding *offered,
                              size_t count)
{
    http_coding best = HTTP_CODING_IDENTITY;
    uint16_t quality = 0;
    for (size_t i = 0; i < count; i++) {
        if (accepted->quality[offered[i]] > quality) {
            best = offered[i];
            quality = accepted->quality[best];
        }
    }
    return accepted->quality[HTTP_CODING_IDENTITY] > quality ? HTTP_CODING_IDENTITY : best;
}
