/* What parsing a request's head costs: the shortest there is, one of a command-line client, and one
 * of a browser with cookies. The name of a case ends in the head's bytes. */
#include "measure.h"

#include "http/src/head.h"

#include <assert.h>

#define HEAD_35 "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HEAD_165                                \
    "GET /notes/4711?fields=title HTTP/1.1\r\n" \
    "Host: api.example.com\r\n"                 \
    "User-Agent: curl/8.5.0\r\n"                \
    "Accept: */*\r\n"                           \
    "Authorization: Bearer 0123456789abcdef0123456789ab0123456789ab\r\n\r\n"
#define HEAD_700                                                                           \
    "GET /catalogue/books?sort=price&page=3 HTTP/1.1\r\n"                                  \
    "Host: shop.example.com\r\n"                                                           \
    "Connection: keep-alive\r\n"                                                           \
    "Cache-Control: max-age=0\r\n"                                                         \
    "Upgrade-Insecure-Requests: 1\r\n"                                                     \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "  \
    "Chrome/124.0.0.0 Safari/537.36\r\n"                                                   \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," \
    "image/apng,*/*;q=0.8\r\n"                                                             \
    "Sec-Fetch-Site: same-origin\r\n"                                                      \
    "Sec-Fetch-Mode: navigate\r\n"                                                         \
    "Sec-Fetch-Dest: document\r\n"                                                         \
    "Referer: https://shop.example.com/catalogue\r\n"                                      \
    "Accept-Encoding: gzip, deflate, br\r\n"                                               \
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"                                         \
    "Cookie: session=0123456789abcdef; theme=dark; cart=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012\r\n\r\n"

static_assert(sizeof HEAD_35 - 1 == 35, "as the case is named");
static_assert(sizeof HEAD_165 - 1 == 165, "as the case is named");
static_assert(sizeof HEAD_700 - 1 == 700, "as the case is named");

static const http_head_limits LIMITS = { .request_line_bytes_max = 8192,
                                         .fields_bytes_max = 32768,
                                         .fields_max = HTTP_FIELDS_MAX };

static void parse(void *state)
{
    static http_head head;
    http_head_init(&head);
    invariant(http_head_parse(&head, *(const str *)state, &LIMITS) == HTTP_HEAD_DONE);
}

int main(int argc, char **argv)
{
    str heads[] = { STR(HEAD_35), STR(HEAD_165), STR(HEAD_700) };
    const measure_case cases[] = {
        { "head_35", parse, &heads[0] },
        { "head_165", parse, &heads[1] },
        { "head_700", parse, &heads[2] },
    };
    return measure_main(argc, argv, cases, ARRAY_LEN(cases));
}
