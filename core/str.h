/* Strings are slices: a pointer and a length in bytes. They are not NUL-terminated, a NUL inside is
 * data, and they own nothing: a slice is valid as long as the memory it was cut from. */
#ifndef CORE_STR_H
#define CORE_STR_H

#include "core/base.h"

typedef struct arena arena;

typedef struct str {
    const char *ptr; /* NULL only in STR_NONE */
    size_t len;      /* bytes */
} str;

/* A slice of a string literal; anything but a literal does not compile. */
#define STR(literal) ((str){ "" literal, sizeof(literal) - 1 })
/* No string at all, distinct from the empty one. */
#define STR_NONE     ((str){ NULL, 0 })
/* For printf's %.*s. */
#define STR_ARG(s)   (int)(s).len, (s).ptr

/* The slice [from, to) of memory. */
static inline str str_between(const char *from, const char *to)
{
    return (str){ from, (size_t)(to - from) };
}

/* The bytes of `s` from `from` on, at most `len` of them; both are clipped to what is there. */
str str_slice(str s, size_t from, size_t len);
/* A view of a NUL-terminated string; NULL gives STR_NONE. */
str str_from_c(const char *text);

/* The same bytes; STR_NONE equals the empty string. */
bool str_eq(str a, str b);
/* Equal but for the case of A-Z. */
bool str_eq_nocase(str a, str b);
/* Takes the same time for equal lengths whatever the bytes: for secrets. */
bool str_eq_constant_time(str a, str b);
/* Whether the first, or last, bytes of `s` are those; the empty string always is there. */
bool str_starts_with(str s, str prefix);
bool str_ends_with(str s, str suffix);
/* <0, 0, >0 by bytes, a prefix before the longer string. */
int str_compare(str a, str b);
/* Index of the first `c` in `s`, or `s.len`. */
size_t str_index(str s, char c);
/* `s` without the bytes of `set` at both ends. */
str str_trim(str s, str set);
/* Cuts `*rest` at the first `separator`: returns what stood before it, leaves in `*rest` what
 * follows. Without a separator returns all and leaves STR_NONE. */
str str_cut(str *rest, char separator);

/* Whole-string decimal conversion, optional leading '-', no spaces, no '+', no overflow.
 *   returns false and leaves `*out` alone when `s` is anything else */
bool str_to_int64(str s, int64_t *out);
bool str_to_uint64(str s, uint64_t *out);

/* The value of a hexadecimal digit of either case, -1 for any other byte. */
int str_hex_digit(char c);

/* 64-bit hash, keyed by `seed`; not for secrets. */
uint64_t str_hash(str s, uint64_t seed);

/* A copy that lives in `a`. */
str str_copy(arena *a, str s);
/* A NUL-terminated copy in `a`; bytes after a NUL inside `s` are copied but C will not see
 * them. */
char *str_to_c(arena *a, str s);
/* printf into `arena`. */
str str_format(arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

/* Whether the bytes are valid UTF-8 (RFC 3629: no overlong forms, surrogates or > U+10FFFF). */
bool str_is_utf8(str s);

#endif
