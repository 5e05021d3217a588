/* Framing: lengths, codings and the connection's fate, gathered over all fields and judged at the
 * end.
 *
 * Invariant: a message that passes has a length, or the chunked coding, or neither; never both. */
#include "framing.h"

void http_framing_init(http_framing *f, uint8_t minor_version)
{
    *f = (http_framing){ .keep_alive = minor_version == 1, .minor_version = minor_version };
}

static uint16_t refuse(const char **reason, uint16_t status, const char *text)
{
    *reason = text;
    return status;
}

static void take_connection(http_framing *f, str value)
{
    while (value.ptr) {
        const str option = str_trim(str_cut(&value, ','), STR(" \t"));
        if (str_eq_nocase(option, STR("close")))
            f->keep_alive = false;
        else if (str_eq_nocase(option, STR("keep-alive")) && f->minor_version == 0)
            f->keep_alive = true;
    }
    f->close |= !f->keep_alive && f->minor_version == 1;
}

static uint16_t take_length(http_framing *f, str value, const char **reason)
{
    if (f->lengths++ > 0 || !str_to_uint64(value, &f->content_length))
        return refuse(reason, 400, "bad Content-Length");
    f->has_content_length = true;
    return 0;
}

static uint16_t take_coding(http_framing *f, str value, const char **reason)
{
    if (f->codings++ > 0 || f->minor_version == 0)
        return refuse(reason, 400, "bad Transfer-Encoding");
    if (!str_eq_nocase(value, STR("chunked")))
        return refuse(reason, 501, "transfer coding not supported");
    f->chunked = true;
    return 0;
}

uint16_t http_framing_take(http_framing *f, http_field_name name, str value, const char **reason)
{
    if (name == HTTP_FIELD_CONTENT_LENGTH)
        return take_length(f, value, reason);
    if (name == HTTP_FIELD_TRANSFER_ENCODING)
        return take_coding(f, value, reason);
    if (name == HTTP_FIELD_CONNECTION)
        take_connection(f, value);
    return 0;
}

uint16_t http_framing_finish(http_framing *f, const char **reason)
{
    if (f->close)
        f->keep_alive = false;
    if (f->lengths > 0 && f->codings > 0)
        return refuse(reason, 400, "both Content-Length and Transfer-Encoding");
    return 0;
}
