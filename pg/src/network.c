/* Addresses in the server's bytes and text. The text of an address itself is the C library's, whose
 * rules for shortening an IPv6 address are the server's. */
#include "network.h"

#include "reader.h"

#include <arpa/inet.h>
#include <string.h>

#define WIRE_IPV4 2
#define WIRE_IPV6 3

static size_t address_bytes(uint8_t version)
{
    invariant(version == 4 || version == 6);
    return version == 4 ? 4 : 16;
}

static bool zeros_behind_prefix(const pg_inet *inet)
{
    for (size_t bit = inet->prefix; bit < address_bytes(inet->version) * 8; bit++) {
        if (inet->bytes[bit / 8] & (0x80 >> bit % 8))
            return false;
    }
    return true;
}

/* --- IP --------------------------------------------------------------------------------------- */

bool pg_inet_read(str bytes, bool cidr, pg_inet *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint8_t family = pg_reader_u8(&r);
    pg_inet inet = { .version = family == WIRE_IPV4 ? 4 : 6, .cidr = cidr };
    inet.prefix = pg_reader_u8(&r);
    const uint8_t is_cidr = pg_reader_u8(&r);
    const size_t len = pg_reader_u8(&r);
    if (r.failed || (family != WIRE_IPV4 && family != WIRE_IPV6) || is_cidr > 1 ||
        len != address_bytes(inet.version) || inet.prefix > len * 8)
        return false;
    const str address = pg_reader_bytes(&r, len);
    if (!pg_reader_done(&r))
        return false;
    memcpy(inet.bytes, address.ptr, len);
    if (cidr && !zeros_behind_prefix(&inet))
        return false;
    *out = inet;
    return true;
}

size_t pg_inet_size(const pg_inet *inet)
{
    return 4 + address_bytes(inet->version);
}

char *pg_inet_put(const pg_inet *inet, char *at)
{
    const size_t len = address_bytes(inet->version);
    at = pg_put8(at, inet->version == 4 ? WIRE_IPV4 : WIRE_IPV6);
    at = pg_put8(at, inet->prefix);
    at = pg_put8(at, 0); /* not a cidr, of whose type no parameter is */
    at = pg_put8(at, (uint8_t)len);
    return pg_put_bytes(at, inet->bytes, len);
}

str pg_inet_format(arena *a, const pg_inet *inet)
{
    char text[INET6_ADDRSTRLEN];
    const size_t bits = address_bytes(inet->version) * 8;
    const int family = inet->version == 4 ? AF_INET : AF_INET6;
    invariant(inet_ntop(family, inet->bytes, text, sizeof text) != NULL);
    if (inet->prefix == bits && !inet->cidr)
        return str_format(a, "%s", text);
    return str_format(a, "%s/%u", text, inet->prefix);
}

static bool parse_prefix(str text, size_t bits, uint8_t *out)
{
    uint64_t value;
    if (text.len > 1 && text.ptr[0] == '0')
        return false;
    if (!str_to_uint64(text, &value) || value > bits)
        return false;
    *out = (uint8_t)value;
    return true;
}

bool pg_inet_parse(str text, pg_inet *out)
{
    char address[INET6_ADDRSTRLEN];
    str prefix = text;
    const str host = str_cut(&prefix, '/');
    if (host.len == 0 || host.len >= sizeof address || memchr(host.ptr, 0, host.len))
        return false;
    memcpy(address, host.ptr, host.len);
    address[host.len] = 0;
    pg_inet inet = { .version = memchr(host.ptr, ':', host.len) ? 6 : 4 };
    const size_t bits = address_bytes(inet.version) * 8;
    inet.prefix = (uint8_t)bits;
    if (inet_pton(inet.version == 4 ? AF_INET : AF_INET6, address, inet.bytes) != 1)
        return false;
    if (prefix.ptr && !parse_prefix(prefix, bits, &inet.prefix))
        return false;
    *out = inet;
    return true;
}

bool pg_inet_parse_cidr(str text, pg_inet *out)
{
    pg_inet inet;
    if (!pg_inet_parse(text, &inet) || !zeros_behind_prefix(&inet))
        return false;
    inet.cidr = true;
    *out = inet;
    return true;
}

/* --- Ethernet --------------------------------------------------------------------------------- */

static str mac_text(arena *a, const uint8_t *bytes, size_t len)
{
    static const char HEX[] = "0123456789abcdef";
    char *text = arena_alloc(a, len * 3, 1);
    for (size_t i = 0; i < len; i++) {
        text[3 * i] = HEX[bytes[i] >> 4];
        text[3 * i + 1] = HEX[bytes[i] & 15];
        text[3 * i + 2] = ':';
    }
    return (str){ text, len * 3 - 1 };
}

static bool mac_parse(str text, uint8_t *out, size_t len)
{
    uint8_t bytes[8];
    if (text.len != len * 3 - 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        const int high = str_hex_digit(text.ptr[3 * i]);
        const int low = str_hex_digit(text.ptr[3 * i + 1]);
        if (high < 0 || low < 0 || (i + 1 < len && text.ptr[3 * i + 2] != ':'))
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(out, bytes, len);
    return true;
}

str pg_macaddr_format(arena *a, const pg_macaddr *macaddr)
{
    return mac_text(a, macaddr->bytes, sizeof macaddr->bytes);
}

bool pg_macaddr_parse(str text, pg_macaddr *out)
{
    return mac_parse(text, out->bytes, sizeof out->bytes);
}

str pg_macaddr8_format(arena *a, const pg_macaddr8 *macaddr)
{
    return mac_text(a, macaddr->bytes, sizeof macaddr->bytes);
}

bool pg_macaddr8_parse(str text, pg_macaddr8 *out)
{
    return mac_parse(text, out->bytes, sizeof out->bytes);
}
