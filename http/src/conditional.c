/* Preconditions: what a client still has, or believes to be there, against what is there.
 *
 *   If-Match, else If-Unmodified-Since      fails: 412
 *   If-None-Match, else If-Modified-Since   fails: 304
 *   If-Range                                fails: the whole instead of a part
 *
 * A date that cannot be read makes its field void; a list of tags that cannot be read has no tag
 * that matches, so that If-Match fails on the safe side and If-None-Match sends the whole. */
#include "conditional.h"

#include "date.h"

#define WHITE_SPACE STR(" \t")

/* --- entity tags -------------------------------------------------------------------------------
 */

/* Cuts one tag off the front of `*rest`, weak mark and quotes included. */
static bool cut_etag(str *rest, str *tag)
{
    size_t at = str_starts_with(*rest, STR("W/")) ? 2 : 0;
    if (at >= rest->len || rest->ptr[at] != '"')
        return false;
    for (at++; at < rest->len && rest->ptr[at] != '"'; at++) {
        const unsigned char c = (unsigned char)rest->ptr[at];
        if (c <= 0x20 || c == 0x7F) /* RFC 9110, 8.8.3: etagc */
            return false;
    }
    if (at == rest->len)
        return false;
    *tag = str_slice(*rest, 0, at + 1);
    *rest = str_slice(*rest, at + 1, rest->len);
    return true;
}

static bool is_weak(str tag)
{
    return str_starts_with(tag, STR("W/"));
}

static bool etags_equal(str a, str b, bool strong)
{
    if (strong && (is_weak(a) || is_weak(b)))
        return false;
    return str_eq(str_slice(a, is_weak(a) ? 2 : 0, a.len), str_slice(b, is_weak(b) ? 2 : 0, b.len));
}

/* Drops white space and commas: empty members are nothing. */
static size_t drop_separators(str *rest)
{
    size_t at = 0, commas = 0;
    while (at < rest->len &&
           (rest->ptr[at] == ' ' || rest->ptr[at] == '\t' || rest->ptr[at] == ','))
        commas += rest->ptr[at++] == ',';
    *rest = str_slice(*rest, at, rest->len);
    return commas;
}

bool http_etags_have(str list, str etag, bool strong)
{
    str rest = str_trim(list, WHITE_SPACE), tag;
    bool found = false;
    if (str_eq(rest, STR("*")))
        return true;
    drop_separators(&rest);
    while (rest.len > 0) {
        if (!cut_etag(&rest, &tag))
            return false;
        found = found || etags_equal(tag, etag, strong);
        if (drop_separators(&rest) == 0 && rest.len > 0)
            return false;
    }
    return found;
}

/* --- conditions --------------------------------------------------------------------------------
 */

http_condition http_conditions_check(const http_conditions *c, const http_validators *v,
                                     int64_t now_s)
{
    int64_t date;
    if (c->if_match.ptr) {
        if (!http_etags_have(c->if_match, v->etag, true))
            return HTTP_CONDITION_FAILED;
    } else if (c->if_unmodified_since.ptr &&
               http_date_parse(c->if_unmodified_since, now_s, &date) && v->modified_s > date) {
        return HTTP_CONDITION_FAILED;
    }
    if (c->if_none_match.ptr)
        return http_etags_have(c->if_none_match, v->etag, false) ? HTTP_CONDITION_NOT_MODIFIED
                                                                 : HTTP_CONDITION_MET;
    if (c->if_modified_since.ptr && http_date_parse(c->if_modified_since, now_s, &date) &&
        v->modified_s <= date)
        return HTTP_CONDITION_NOT_MODIFIED;
    return HTTP_CONDITION_MET;
}

bool http_if_range_holds(const http_conditions *c, const http_validators *v, int64_t now_s)
{
    int64_t date;
    str tag, rest = c->if_range;
    if (!rest.ptr)
        return true;
    if (cut_etag(&rest, &tag))
        return rest.len == 0 && etags_equal(tag, v->etag, true);
    return v->modified_strong && http_date_parse(c->if_range, now_s, &date) &&
           date == v->modified_s;
}
