/* SASLprep: spaces of all kinds become one, what nobody sees goes, and the rest is brought to
 * Unicode's form NFKC. Code points are taken apart (decomposed), marks that follow a letter sorted
 * by their class, and put together again (composed); Hangul by arithmetic, the rest by tables.
 *
 * PostgreSQL looks for what is not allowed before it normalizes, and so does this: the two sides
 * must agree on what a password is more than with the RFC. */
#include "saslprep.h"

#include "saslprep_table.h"

#include <string.h>

#define EXPANSION_MAX 18 /* code points that one stands for */
#define UTF8_MAX      4

/* Hangul syllables, Unicode section 3.12: a first and a middle letter, perhaps a last one. */
enum hangul {
    HANGUL_FIRST = 0xAC00,
    HANGUL_COUNT = 11172,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7,
    HANGUL_L_COUNT = 19,
    HANGUL_V_COUNT = 21,
    HANGUL_T_COUNT = 28, /* with none */
};

typedef struct codes {
    uint32_t *items;
    size_t count;
} codes;

/* --- tables ----------------------------------------------------------------------------------- */

/* The index of the last row whose first column is at most `key`, SIZE_MAX without one. */
#define FIND_ROW(table, column, key, out)                     \
    do {                                                      \
        size_t low_ = 0, high_ = ARRAY_LEN(table);            \
        while (low_ < high_) {                                \
            const size_t middle_ = low_ + (high_ - low_) / 2; \
            if ((table)[middle_].column <= (key))             \
                low_ = middle_ + 1;                           \
            else                                              \
                high_ = middle_;                              \
        }                                                     \
        *(out) = low_ == 0 ? SIZE_MAX : low_ - 1;             \
    } while (0)

static bool is_in(const pg_code_range *table, size_t count, uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code < table[middle].first)
            high = middle;
        else if (code > table[middle].last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}
#define IS_IN(table, code) is_in((table), ARRAY_LEN(table), (code))

static uint8_t class_of(uint32_t code)
{
    size_t row;
    FIND_ROW(PG_SASLPREP_CLASSES, first, code, &row);
    return row != SIZE_MAX && code <= PG_SASLPREP_CLASSES[row].last ? PG_SASLPREP_CLASSES[row].value
                                                                    : 0;
}

/* --- UTF-8 ------------------------------------------------------------------------------------ */

static bool is_ascii(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((uint8_t)s.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

/* The code point at the front of valid UTF-8, which it is cut from. */
static uint32_t cut_code(str *text)
{
    const uint8_t first = (uint8_t)text->ptr[0];
    const size_t len = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    static const uint8_t BITS[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    uint32_t code = first & BITS[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((uint8_t)text->ptr[i] & 0x3F);
    *text = str_slice(*text, len, text->len);
    return code;
}

static char *put_code(char *to, uint32_t code)
{
    const unsigned len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t MARKS[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (unsigned i = len; i > 0; i--) {
        const uint32_t low = len == 1 ? code : i > 1 ? 0x80 | (code & 0x3F) : MARKS[len] | code;
        to[i - 1] = (char)low;
        code >>= 6;
    }
    return to + len;
}

/* --- NFKC ------------------------------------------------------------------------------------- */

static void add(codes *to, uint32_t code)
{
    to->items[to->count++] = code;
}

static void decompose(uint32_t code, codes *to)
{
    size_t row;
    if (code >= HANGUL_FIRST && code < HANGUL_FIRST + HANGUL_COUNT) {
        const uint32_t index = code - HANGUL_FIRST, last = index % HANGUL_T_COUNT;
        add(to, HANGUL_L + index / (HANGUL_V_COUNT * HANGUL_T_COUNT));
        add(to, HANGUL_V + index / HANGUL_T_COUNT % HANGUL_V_COUNT);
        if (last > 0)
            add(to, HANGUL_T + last);
        return;
    }
    FIND_ROW(PG_SASLPREP_PLACES, code, code, &row);
    if (row != SIZE_MAX && PG_SASLPREP_PLACES[row].code == code) {
        const pg_code_place *place = &PG_SASLPREP_PLACES[row];
        invariant(place->len <= EXPANSION_MAX);
        for (size_t i = 0; i < place->len; i++)
            add(to, PG_SASLPREP_POOL[place->at + i]);
        return;
    }
    FIND_ROW(PG_SASLPREP_RUNS, first, code, &row);
    if (row != SIZE_MAX && code - PG_SASLPREP_RUNS[row].first < PG_SASLPREP_RUNS[row].count)
        code = PG_SASLPREP_RUNS[row].to + (code - PG_SASLPREP_RUNS[row].first);
    add(to, code);
}

/* Marks of different classes do not depend on their order; they get one. */
static void sort_marks(codes *c)
{
    for (size_t i = 1; i < c->count; i++) {
        const uint32_t code = c->items[i];
        const uint8_t class = class_of(code);
        size_t at = i;
        for (; class > 0 && at > 0 && class_of(c->items[at - 1]) > class; at--)
            c->items[at] = c->items[at - 1];
        c->items[at] = code;
    }
}

static bool compose_hangul(uint32_t first, uint32_t second, uint32_t *out)
{
    if (first >= HANGUL_L && first < HANGUL_L + HANGUL_L_COUNT && second >= HANGUL_V &&
        second < HANGUL_V + HANGUL_V_COUNT) {
        *out = HANGUL_FIRST +
               ((first - HANGUL_L) * HANGUL_V_COUNT + (second - HANGUL_V)) * HANGUL_T_COUNT;
        return true;
    }
    if (first >= HANGUL_FIRST && first < HANGUL_FIRST + HANGUL_COUNT &&
        (first - HANGUL_FIRST) % HANGUL_T_COUNT == 0 && second > HANGUL_T &&
        second < HANGUL_T + HANGUL_T_COUNT) {
        *out = first + (second - HANGUL_T);
        return true;
    }
    return false;
}

static bool compose_pair(uint32_t first, uint32_t second, uint32_t *out)
{
    if (compose_hangul(first, second, out))
        return true;
    size_t row;
    if (first > UINT16_MAX || second > UINT16_MAX)
        return false;
    FIND_ROW(PG_SASLPREP_PAIRS, first, first, &row); /* the last of this first one */
    for (; row != SIZE_MAX && PG_SASLPREP_PAIRS[row].first == first; row--) {
        if (PG_SASLPREP_PAIRS[row].second == second) {
            *out = PG_SASLPREP_PAIRS[row].composed;
            return true;
        }
    }
    return false;
}

/* A mark goes into the letter before it unless one of its class, or of none, stands between. */
static void compose(codes *c)
{
    size_t starter = SIZE_MAX, count = 0;
    uint8_t before = 0; /* the class of the last that was kept behind the starter */
    for (size_t i = 0; i < c->count; i++) {
        const uint32_t code = c->items[i];
        const uint8_t class = class_of(code);
        const bool reaches = starter != SIZE_MAX && (before < class || count == starter + 1);
        if (reaches && compose_pair(c->items[starter], code, &c->items[starter]))
            continue;
        if (class == 0)
            starter = count;
        before = class;
        c->items[count++] = code;
    }
    c->count = count;
}

/* --- SASLprep --------------------------------------------------------------------------------- */

/* RFC 3454, section 6: one direction, and right to left from end to end. */
static bool is_one_way(const codes *c)
{
    bool right = false, left = false;
    for (size_t i = 0; i < c->count; i++) {
        right = right || IS_IN(PG_SASLPREP_RIGHT_TO_LEFT, c->items[i]);
        left = left || IS_IN(PG_SASLPREP_LEFT_TO_RIGHT, c->items[i]);
    }
    return !right || (!left && IS_IN(PG_SASLPREP_RIGHT_TO_LEFT, c->items[0]) &&
                      IS_IN(PG_SASLPREP_RIGHT_TO_LEFT, c->items[c->count - 1]));
}

/* Maps what is mapped; false when the password has what is not allowed. */
static bool map(str password, codes *to)
{
    while (password.len > 0) {
        const uint32_t code = cut_code(&password);
        if (IS_IN(PG_SASLPREP_SPACES, code))
            add(to, ' ');
        else if (IS_IN(PG_SASLPREP_NOTHING, code))
            continue;
        else if (IS_IN(PG_SASLPREP_REFUSED, code))
            return false;
        else
            add(to, code);
    }
    return to->count > 0 && is_one_way(to);
}

error pg_saslprep(arena *a, str password, str *out)
{
    *out = password;
    if (is_ascii(password) || !str_is_utf8(password))
        return OK;
    const size_t most = password.len * EXPANSION_MAX;
    codes mapped = { arena_try_alloc(a, password.len * sizeof(uint32_t), _Alignof(uint32_t)), 0 };
    codes whole = { arena_try_alloc(a, most * sizeof(uint32_t), _Alignof(uint32_t)), 0 };
    if (!mapped.items || !whole.items)
        return error_set(&OUT_OF_MEMORY, "no memory to prepare a password");
    if (!map(password, &mapped))
        return OK;
    for (size_t i = 0; i < mapped.count; i++)
        decompose(mapped.items[i], &whole);
    sort_marks(&whole);
    compose(&whole);
    char *const text = arena_try_alloc(a, whole.count * UTF8_MAX, 1);
    if (!text)
        return error_set(&OUT_OF_MEMORY, "no memory to prepare a password");
    char *at = text;
    for (size_t i = 0; i < whole.count; i++)
        at = put_code(at, whole.items[i]);
    *out = str_between(text, at);
    return OK;
}
