/* The PHC string format as far as Argon2id has it. Only the version and variant that we make are
 * read; base64 there is the standard alphabet without padding.
 *
 * Invariant: what parses is inside the limits of kdf.h, so it may be run. */
#include "phc.h"

#include "core/arena.h"
#include "core/buf.h"

#define TEXT_BYTES_MAX 256 /* a hash and a salt of the greatest length take 214 */

/* "m=19456": the number after the name, without leading zeros. */
static bool parse_number(str text, str name, uint32_t *out)
{
    uint64_t number;
    if (!str_starts_with(text, name))
        return false;
    const str digits = str_slice(text, name.len, text.len);
    if (!str_to_uint64(digits, &number) || number > UINT32_MAX ||
        (digits.len > 1 && digits.ptr[0] == '0'))
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool parse_cost(str text, auth_cost *out)
{
    str rest = text;
    const str memory = str_cut(&rest, ',');
    const str passes = str_cut(&rest, ',');
    return parse_number(memory, STR("m="), &out->memory_kib) &&
           parse_number(passes, STR("t="), &out->passes) &&
           parse_number(rest, STR("p="), &out->lanes);
}

static bool parse_bytes(arena *a, str text, bytea *out)
{
    static const str PADDING = { "===", 3 };
    if (str_index(text, '=') < text.len)
        return false;
    buf padded;
    buf_init_arena(&padded, a, TEXT_BYTES_MAX + PADDING.len);
    buf_append(&padded, text);
    buf_append(&padded, str_slice(PADDING, 0, (4 - text.len % 4) % 4));
    return base64_decode(a, buf_str(&padded), out);
}

bool auth_phc_parse(arena *a, str text, auth_phc *out)
{
    static const str START = { "$argon2id$v=19$", 15 };
    if (!text.ptr || text.len > TEXT_BYTES_MAX || !str_starts_with(text, START))
        return false;
    auth_phc phc;
    str rest = str_slice(text, START.len, text.len);
    const str cost = str_cut(&rest, '$');
    const str salt = str_cut(&rest, '$');
    if (!rest.ptr || !parse_cost(cost, &phc.cost) || !parse_bytes(a, salt, &phc.salt) ||
        !parse_bytes(a, rest, &phc.hash))
        return false;
    if (!auth_cost_is_allowed(&phc.cost) || phc.salt.len < AUTH_SALT_BYTES_MIN ||
        phc.salt.len > AUTH_SALT_BYTES_MAX || phc.hash.len < AUTH_DERIVED_BYTES_MIN ||
        phc.hash.len > AUTH_DERIVED_BYTES_MAX)
        return false;
    *out = phc;
    return true;
}

str auth_phc_format(arena *a, const auth_phc *phc)
{
    const str padding = STR("=");
    const str salt = str_trim(base64_encode(a, phc->salt), padding);
    const str hash = str_trim(base64_encode(a, phc->hash), padding);
    return str_format(a, "$argon2id$v=19$m=%u,t=%u,p=%u$%.*s$%.*s", phc->cost.memory_kib,
                      phc->cost.passes, phc->cost.lanes, STR_ARG(salt), STR_ARG(hash));
}
