/* Reason phrases: what IANA's registry of status codes says (its temporary and its obsolete ones
 * too, but for 306 and 418, which it has without a meaning). Clients go by the number alone, and
 * take one that they do not know for the x00 of its class (RFC 9110, 15); so does this room, in the
 * words of that section. */
#include "status.h"

#include "core/base.h"

static const str PHRASES[] = {
    [100] = STR("Continue"),
    [101] = STR("Switching Protocols"),
    [102] = STR("Processing"),
    [103] = STR("Early Hints"),
    [104] = STR("Upload Resumption Supported"),
    [200] = STR("OK"),
    [201] = STR("Created"),
    [202] = STR("Accepted"),
    [203] = STR("Non-Authoritative Information"),
    [204] = STR("No Content"),
    [205] = STR("Reset Content"),
    [206] = STR("Partial Content"),
    [207] = STR("Multi-Status"),
    [208] = STR("Already Reported"),
    [226] = STR("IM Used"),
    [300] = STR("Multiple Choices"),
    [301] = STR("Moved Permanently"),
    [302] = STR("Found"),
    [303] = STR("See Other"),
    [304] = STR("Not Modified"),
    [305] = STR("Use Proxy"),
    [307] = STR("Temporary Redirect"),
    [308] = STR("Permanent Redirect"),
    [400] = STR("Bad Request"),
    [401] = STR("Unauthorized"),
    [402] = STR("Payment Required"),
    [403] = STR("Forbidden"),
    [404] = STR("Not Found"),
    [405] = STR("Method Not Allowed"),
    [406] = STR("Not Acceptable"),
    [407] = STR("Proxy Authentication Required"),
    [408] = STR("Request Timeout"),
    [409] = STR("Conflict"),
    [410] = STR("Gone"),
    [411] = STR("Length Required"),
    [412] = STR("Precondition Failed"),
    [413] = STR("Content Too Large"),
    [414] = STR("URI Too Long"),
    [415] = STR("Unsupported Media Type"),
    [416] = STR("Range Not Satisfiable"),
    [417] = STR("Expectation Failed"),
    [421] = STR("Misdirected Request"),
    [422] = STR("Unprocessable Content"),
    [423] = STR("Locked"),
    [424] = STR("Failed Dependency"),
    [425] = STR("Too Early"),
    [426] = STR("Upgrade Required"),
    [428] = STR("Precondition Required"),
    [429] = STR("Too Many Requests"),
    [431] = STR("Request Header Fields Too Large"),
    [451] = STR("Unavailable For Legal Reasons"),
    [500] = STR("Internal Server Error"),
    [501] = STR("Not Implemented"),
    [502] = STR("Bad Gateway"),
    [503] = STR("Service Unavailable"),
    [504] = STR("Gateway Timeout"),
    [505] = STR("HTTP Version Not Supported"),
    [506] = STR("Variant Also Negotiates"),
    [507] = STR("Insufficient Storage"),
    [508] = STR("Loop Detected"),
    [510] = STR("Not Extended"),
    [511] = STR("Network Authentication Required"),
};
static const str CLASSES[] = {
    STR("Informational"), STR("Successful"),   STR("Redirection"),
    STR("Client Error"),  STR("Server Error"),
};

str http_status_text(int status)
{
    if (LIKELY(status >= 0 && (size_t)status < ARRAY_LEN(PHRASES) && PHRASES[status].ptr))
        return PHRASES[status];
    return status >= 100 && status <= 599 ? CLASSES[status / 100 - 1] : STR("Status");
}
