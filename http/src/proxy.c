/* The client's address behind proxies. A header field is worth as much as who wrote it: the peer's
 * address is certain, or on a listener behind proxies the one that its PROXY header has; when the
 * peer is a trusted proxy, so is the hop that it added, at the right; and so on to the left while
 * the hops are trusted proxies themselves. Everything left of the first that is not is the client's
 * own claim and is never looked at.
 *
 * Only one of the two fields is read: a proxy that writes one passes the other on as it came.
 *
 * Invariant: an address that no trusted proxy vouches for is never returned. */
#include "proxy.h"

#include "conn.h"
#include "entrance.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NODE_BYTES_MAX 64

static const http_key CLIENT = { "client address" };
static const uint8_t MAPPED[12] = { [10] = 0xFF, [11] = 0xFF };

/* --- addresses ------------------------------------------------------------------------------- */

bool http_ip_parse(str text, http_ip *out)
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.len == 0 || text.len >= sizeof copy || str_index(text, '\0') < text.len)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, out->bytes) == 1)
        return true;
    memcpy(out->bytes, MAPPED, sizeof MAPPED);
    return inet_pton(AF_INET, copy, out->bytes + sizeof MAPPED) == 1;
}

bool http_ip_of(const address *at, http_ip *out)
{
    struct sockaddr_storage from = { 0 };
    if (at->len < sizeof(sa_family_t) || at->len > sizeof from)
        return false;
    memcpy(&from, at->sockaddr, at->len);
    if (from.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ip = (const struct sockaddr_in6 *)(const void *)&from;
        memcpy(out->bytes, &ip->sin6_addr, sizeof out->bytes);
        return true;
    }
    if (from.ss_family != AF_INET)
        return false;
    const struct sockaddr_in *ip = (const struct sockaddr_in *)(const void *)&from;
    memcpy(out->bytes, MAPPED, sizeof MAPPED);
    memcpy(out->bytes + sizeof MAPPED, &ip->sin_addr, 4);
    return true;
}

static bool is_ipv4(const http_ip *ip)
{
    return memcmp(ip->bytes, MAPPED, sizeof MAPPED) == 0;
}

str http_ip_text(arena *a, const http_ip *ip)
{
    char text[INET6_ADDRSTRLEN];
    const bool four = is_ipv4(ip);
    const char *done = inet_ntop(four ? AF_INET : AF_INET6,
                                 four ? ip->bytes + sizeof MAPPED : ip->bytes, text, sizeof text);
    invariant(done);
    return str_copy(a, str_from_c(done));
}

/* --- trust ----------------------------------------------------------------------------------- */

static bool has_prefix(const http_ip *ip, const http_ip *base, uint32_t bits)
{
    const uint32_t whole = bits / 8, rest = bits % 8;
    if (memcmp(ip->bytes, base->bytes, whole) != 0)
        return false;
    return rest == 0 || (ip->bytes[whole] ^ base->bytes[whole]) >> (8 - rest) == 0;
}

bool http_trusts(const http_trust *trust, const http_ip *ip)
{
    for (uint32_t i = 0; i < trust->count; i++) {
        if (has_prefix(ip, &trust->networks[i].base, trust->networks[i].bits))
            return true;
    }
    return false;
}

/* Whether no bit behind the first `bits` is set. */
static bool is_network(const http_ip *ip, uint64_t bits)
{
    for (uint64_t bit = bits; bit < 128; bit++) {
        if (ip->bytes[bit / 8] >> (7 - bit % 8) & 1)
            return false;
    }
    return true;
}

static error add_network(str text, http_trust *trust)
{
    http_ip base;
    str rest = text;
    const str ip = str_cut(&rest, '/');
    uint64_t bits = 128;
    if (!http_ip_parse(ip, &base))
        return error_set(&CONFIG_INVALID, "\"%.*s\" is neither an IP address nor a network",
                         STR_ARG(text));
    const uint64_t offset = str_index(ip, ':') == ip.len ? 96 : 0;
    if (rest.ptr && (!str_to_uint64(rest, &bits) || bits > 128 - offset))
        return error_set(&CONFIG_INVALID, "\"%.*s\": at most %u bits", STR_ARG(text),
                         (unsigned)(128 - offset));
    bits += rest.ptr ? offset : 0;
    if (!is_network(&base, bits))
        return error_set(&CONFIG_INVALID, "\"%.*s\" has bits behind its prefix", STR_ARG(text));
    if (trust->count == HTTP_TRUST_NETWORKS_MAX)
        return error_set(&CONFIG_INVALID, "more than %d networks", HTTP_TRUST_NETWORKS_MAX);
    trust->networks[trust->count].base = base;
    trust->networks[trust->count++].bits = (uint8_t)bits;
    return OK;
}

error http_trust_parse(str text, http_trust *out)
{
    out->count = 0;
    out->unix_sockets = false;
    while (text.ptr) {
        str words = str_cut(&text, ',');
        while (words.ptr) {
            const str word = str_cut(&words, ' ');
            if (str_eq(word, STR("unix")))
                out->unix_sockets = true;
            else if (word.len > 0)
                TRY(add_network(word, out));
        }
    }
    return OK;
}

/* --- what the fields say --------------------------------------------------------------------- */

static void add_hop(http_hops *hops, const http_ip *ip)
{
    const uint32_t at = hops->count++ % HTTP_HOPS_MAX;
    hops->known[at] = ip != NULL;
    if (ip)
        hops->ips[at] = *ip;
}

static bool is_port(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return s.len > 0 && s.len <= 5;
}

/* An address of either kind, IPv6 also in brackets, and then perhaps a port. */
static bool parse_node(str node, http_ip *out)
{
    if (http_ip_parse(node, out))
        return true;
    const bool bracket = str_starts_with(node, STR("["));
    const size_t end = str_index(node, bracket ? ']' : ':');
    if (end == node.len)
        return false;
    const str rest = str_slice(node, end + bracket, node.len);
    const str ip = str_slice(node, bracket, end - bracket);
    if (bracket != (str_index(ip, ':') < ip.len) || !http_ip_parse(ip, out))
        return false;
    return rest.len == 0 || (rest.ptr[0] == ':' && is_port(str_slice(rest, 1, rest.len)));
}

static void add_list(http_hops *hops, str value)
{
    http_ip ip;
    while (value.ptr) {
        const str node = str_trim(str_cut(&value, ','), STR(" \t"));
        if (node.len > 0)
            add_hop(hops, parse_node(node, &ip) ? &ip : NULL);
    }
}

/* Bytes of a field that are still to be read. */
typedef struct cursor {
    const char *at, *end;
} cursor;

static bool next_is(const cursor *c, char wanted)
{
    return c->at < c->end && *c->at == wanted;
}

static void skip_space(cursor *c)
{
    while (next_is(c, ' ') || next_is(c, '\t'))
        c->at++;
}

static str take_token(cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && (unsigned char)*c->at > ' ' && *c->at != 0x7F &&
           !strchr("\"(),/:;<=>?@[\\]{}", *c->at))
        c->at++;
    return str_between(from, c->at);
}

/* A quoted string's content in `out`; one that is longer is cut, and then no address. False when it
 * does not end. */
static bool take_quoted(cursor *c, char out[NODE_BYTES_MAX], str *value)
{
    size_t len = 0;
    for (c->at++; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at == '\\' && ++c->at == c->end)
            return false;
        if (len < NODE_BYTES_MAX)
            out[len++] = *c->at;
    }
    *value = (str){ out, len };
    return c->at++ < c->end;
}

/* name=value */
static bool take_pair(cursor *c, str *name, char out[NODE_BYTES_MAX], str *value)
{
    *name = take_token(c);
    if (name->len == 0 || !next_is(c, '='))
        return false;
    c->at++;
    if (next_is(c, '"'))
        return take_quoted(c, out, value);
    *value = take_token(c);
    return value->len > 0;
}

/* RFC 7239, 4: the pairs of one hop, up to a comma or the end. */
static bool take_element(cursor *c, http_hops *hops)
{
    char unquoted[NODE_BYTES_MAX];
    str name, value, node = STR_NONE;
    http_ip ip = { 0 };
    bool known = false, any = false;
    for (;; c->at++) {
        skip_space(c);
        if (c->at < c->end && *c->at != ';' && *c->at != ',') {
            if (!take_pair(c, &name, unquoted, &value))
                return false;
            any = true;
            if (str_eq_nocase(name, STR("for"))) {
                if (node.ptr)
                    return false;
                node = value;
                known = parse_node(node, &ip);
            }
            skip_space(c);
        }
        if (!next_is(c, ';'))
            break;
    }
    if (any)
        add_hop(hops, known ? &ip : NULL);
    return c->at == c->end || *c->at == ',';
}

static void add_forwarded(http_hops *hops, str value)
{
    cursor c = { value.ptr, value.ptr + value.len };
    for (; c.at < c.end; c.at++) {
        if (!take_element(&c, hops)) {
            add_hop(hops, NULL);
            return;
        }
        if (c.at == c.end)
            return;
    }
}

void http_hops_add(http_hops *hops, http_proxy_field field, str value)
{
    if (field == HTTP_PROXY_FORWARDED)
        add_forwarded(hops, value);
    else
        add_list(hops, value);
}

bool http_hops_client(const http_hops *hops, const http_trust *trust, http_ip *out)
{
    const uint32_t oldest = hops->count > HTTP_HOPS_MAX ? hops->count - HTTP_HOPS_MAX : 0;
    for (uint32_t i = hops->count; i > oldest; i--) {
        const uint32_t at = (i - 1) % HTTP_HOPS_MAX;
        if (!hops->known[at])
            return false;
        *out = hops->ips[at];
        if (!http_trusts(trust, out))
            return true;
    }
    return hops->count > 0 && oldest == 0;
}

/* --- requests -------------------------------------------------------------------------------- */

typedef struct client {
    bool known;
    http_ip ip;
    str text;
} client;

/* Whether the peer's word counts; its address where it has one. */
static bool find_peer(const http_request *req, const http_trust *trust, client *out)
{
    const stream *s = req->conn->stream;
    const http_proxy_header *header = http_entrance_header(req->conn);
    if (header && header->source != HTTP_PROXY_SOURCE_PEER) {
        out->known = header->source == HTTP_PROXY_SOURCE_IP;
        out->ip = header->ip;
        return out->known && http_trusts(trust, &out->ip);
    }
    if (!s)
        return false;
    const address peer = stream_peer(s);
    sa_family_t family = AF_UNSPEC;
    if (peer.len >= sizeof family)
        memcpy(&family, peer.sockaddr + offsetof(struct sockaddr, sa_family), sizeof family);
    out->known = http_ip_of(&peer, &out->ip);
    return out->known ? http_trusts(trust, &out->ip) : family == AF_UNIX && trust->unix_sockets;
}

bool http_peer_is_trusted(const http_request *req)
{
    client peer;
    return find_peer(req, &req->conn->server->settings->trust, &peer);
}

static const client *find_client(http_request *req)
{
    client *found = http_value(req, &CLIENT);
    if (found)
        return found;
    const http_trust *trust = &req->conn->server->settings->trust;
    found = ARENA_NEW(&req->conn->arena, client);
    found->text = STR_NONE;
    if (find_peer(req, trust, found)) {
        const str name =
            trust->field == HTTP_PROXY_FORWARDED ? STR("Forwarded") : STR("X-Forwarded-For");
        http_hops hops = { .count = 0 };
        http_ip ip;
        for (uint32_t i = 0; i < req->head.fields.count; i++) {
            if (str_eq_nocase(req->head.fields.items[i].name, name))
                http_hops_add(&hops, trust->field, req->head.fields.items[i].value);
        }
        if (http_hops_client(&hops, trust, &ip)) {
            found->ip = ip;
            found->known = true;
        }
    }
    if (found->known)
        found->text = http_ip_text(&req->conn->arena, &found->ip);
    http_set_value(req, &CLIENT, found);
    return found;
}

const http_ip *http_client_ip(http_request *req)
{
    const client *found = find_client(req);
    return found->known ? &found->ip : NULL;
}

str http_client_address(http_request *req)
{
    return find_client(req)->text;
}

str http_client_known(const http_request *req)
{
    const client *found = http_value(req, &CLIENT);
    return found ? found->text : STR_NONE;
}
