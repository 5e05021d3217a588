/* The PROXY protocol's two forms, told apart by their first byte:
 *
 *   1: PROXY TCP4 192.0.2.1 198.51.100.7 49152 443\r\n      or TCP6, or UNKNOWN and anything
 *   2: 12 bytes of signature, version and command, family and transport, a length, then so many
 *      bytes: two addresses, two ports, and extensions of type, length and value
 *
 * Half a header is looked at again when there is more of it: of a line that is at most 107 bytes
 * each time, of the binary form 16 until its length has come.
 *
 * Invariant: what is not exactly as the specification has it is BAD; nothing of it is ever taken
 * for a request, nor the address that the client has for the one that the proxy tells. */
#include "proxy_header.h"

#include <string.h>

#define SIGNATURE       STR("\r\n\r\n\0\r\nQUIT\n")
#define FIXED_BYTES     16
#define INET_BYTES      12
#define INET6_BYTES     36
#define UNIX_BYTES      216
#define EXTENSION_BYTES 3 /* type and length */
#define PORT_MAX        65535
#define VERSION_2       0x20
#define COMMAND_LOCAL   0
#define COMMAND_PROXY   1
#define TRANSPORTS      3 /* none said, stream, datagram (of a client of HTTP/3) */

static const uint8_t MAPPED[12] = { [10] = 0xFF, [11] = 0xFF };

/* --- version 1 -------------------------------------------------------------------------------- */

static bool is_port(str text)
{
    uint64_t port;
    return text.len > 0 && (text.ptr[0] != '0' || text.len == 1) && str_to_uint64(text, &port) &&
           port <= PORT_MAX;
}

/* An address of just that family. */
static bool parse_ip(str text, bool is_ipv6, http_ip *out)
{
    return (str_index(text, ':') < text.len) == is_ipv6 && http_ip_parse(text, out);
}

/* "TCP4 192.0.2.1 198.51.100.7 49152 443" */
static http_proxy_result parse_words(str rest, http_proxy_header *out)
{
    http_ip to;
    const str family = str_cut(&rest, ' ');
    if (str_eq(family, STR("UNKNOWN")))
        return HTTP_PROXY_HEADER_DONE;
    const bool is_ipv6 = str_eq(family, STR("TCP6"));
    if (!is_ipv6 && !str_eq(family, STR("TCP4")))
        return HTTP_PROXY_HEADER_BAD;
    const str from_text = str_cut(&rest, ' ');
    const str to_text = str_cut(&rest, ' ');
    const str from_port = str_cut(&rest, ' ');
    if (!parse_ip(from_text, is_ipv6, &out->ip) || !parse_ip(to_text, is_ipv6, &to) ||
        !is_port(from_port) || !rest.ptr || !is_port(rest))
        return HTTP_PROXY_HEADER_BAD;
    out->source = HTTP_PROXY_SOURCE_IP;
    return HTTP_PROXY_HEADER_DONE;
}

static http_proxy_result parse_line(str bytes, http_proxy_header *out)
{
    const str beginning = STR("PROXY ");
    if (!str_starts_with(bytes, str_slice(beginning, 0, bytes.len)))
        return HTTP_PROXY_HEADER_BAD;
    const str line = str_slice(bytes, 0, HTTP_PROXY_LINE_BYTES_MAX);
    size_t end = 0;
    while (end < line.len && line.ptr[end] >= ' ' && line.ptr[end] <= '~')
        end++;
    if (line.len < HTTP_PROXY_LINE_BYTES_MAX &&
        (end == line.len || (end + 1 == line.len && line.ptr[end] == '\r')))
        return HTTP_PROXY_HEADER_INCOMPLETE;
    if (!str_eq(str_slice(line, end, 2), STR("\r\n")))
        return HTTP_PROXY_HEADER_BAD;
    out->bytes = end + 2;
    return parse_words(str_slice(line, beginning.len, end - beginning.len), out);
}

/* --- version 2 -------------------------------------------------------------------------------- */

static size_t uint16_at(str bytes, size_t at)
{
    return (size_t)(uint8_t)bytes.ptr[at] << 8 | (uint8_t)bytes.ptr[at + 1];
}

/* What a family's addresses take, in the order of its numbers; the first says nothing of them. */
static const size_t ADDRESS_BYTES[] = { 0, INET_BYTES, INET6_BYTES, UNIX_BYTES };

/* Extensions are passed over, but must end where the header does. */
static bool extensions_fit(str rest)
{
    while (rest.len > 0) {
        if (rest.len < EXTENSION_BYTES)
            return false;
        const size_t len = EXTENSION_BYTES + uint16_at(rest, 1);
        if (len > rest.len)
            return false;
        rest = str_slice(rest, len, rest.len);
    }
    return true;
}

static http_proxy_result parse_body(uint8_t family, str body, http_proxy_header *out)
{
    if (family == 0) /* the rest is to be ignored, whatever it is */
        return HTTP_PROXY_HEADER_DONE;
    const size_t len = ADDRESS_BYTES[family];
    if (body.len < len || !extensions_fit(str_slice(body, len, body.len)))
        return HTTP_PROXY_HEADER_BAD;
    if (len == UNIX_BYTES) {
        out->source = HTTP_PROXY_SOURCE_NONE;
        return HTTP_PROXY_HEADER_DONE;
    }
    out->source = HTTP_PROXY_SOURCE_IP;
    if (len == INET6_BYTES) {
        memcpy(out->ip.bytes, body.ptr, sizeof out->ip.bytes);
    } else {
        memcpy(out->ip.bytes, MAPPED, sizeof MAPPED);
        memcpy(out->ip.bytes + sizeof MAPPED, body.ptr, 4);
    }
    return HTTP_PROXY_HEADER_DONE;
}

static http_proxy_result parse_binary(str bytes, http_proxy_header *out)
{
    if (!str_starts_with(bytes, str_slice(SIGNATURE, 0, bytes.len)))
        return HTTP_PROXY_HEADER_BAD;
    if (bytes.len < FIXED_BYTES)
        return HTTP_PROXY_HEADER_INCOMPLETE;
    const uint8_t command = (uint8_t)bytes.ptr[12] ^ VERSION_2, kind = (uint8_t)bytes.ptr[13];
    const uint8_t family = kind >> 4, transport = kind & 0x0F;
    const size_t len = FIXED_BYTES + uint16_at(bytes, 14);
    if (command > COMMAND_PROXY || len > HTTP_PROXY_HEADER_BYTES_MAX)
        return HTTP_PROXY_HEADER_BAD;
    if (command == COMMAND_PROXY && (family >= ARRAY_LEN(ADDRESS_BYTES) || transport >= TRANSPORTS))
        return HTTP_PROXY_HEADER_BAD;
    if (bytes.len < len)
        return HTTP_PROXY_HEADER_INCOMPLETE;
    out->bytes = len;
    if (command == COMMAND_LOCAL)
        return HTTP_PROXY_HEADER_DONE;
    return parse_body(family, str_slice(bytes, FIXED_BYTES, len - FIXED_BYTES), out);
}

http_proxy_result http_proxy_header_parse(str bytes, http_proxy_header *out)
{
    *out = (http_proxy_header){ 0 };
    if (bytes.len == 0)
        return HTTP_PROXY_HEADER_INCOMPLETE;
    return bytes.ptr[0] == '\r' ? parse_binary(bytes, out) : parse_line(bytes, out);
}
