#!/usr/bin/env python3
"""Writes pg/sqlstate.h: the SQLSTATEs that PostgreSQL knows, with their names.

    tools/make_sqlstates.py 18/errcodes.txt 15/errcodes.txt > pg/sqlstate.h

A server's file is share/errcodes.txt; what later ones do not have stays known. Of several names for
one code that one stands which PL/pgSQL has. tests/unit/pg/test_sqlstate.c holds the list against the
errcodes.txt of the servers that are installed.
"""
import re
import sys

HEAD = '''/* The SQLSTATEs that PostgreSQL knows, by their names in its manual (Appendix A, "PostgreSQL Error
 * Codes"): for code that has to tell errors apart which share a kind of pg/error.h.
 *
 *   const error e = pg_execute(db, NULL, "alter table notes add column due date");
 *   if (pg_sqlstate_of(e) == PG_SQLSTATE_DUPLICATE_COLUMN)
 *       return OK;
 *   if (pg_error_in_class(e, "53"))   // the server is short of something
 *       return try_later();
 *
 * Made by tools/make_sqlstates.py. */
#ifndef PG_SQLSTATE_H
#define PG_SQLSTATE_H

#include "pg/error.h"

/* X(name, code, name in text), in the order of the codes. */
// clang-format off
#define PG_SQLSTATES(X) \\
'''

TAIL = '''// clang-format on

typedef enum pg_sqlstate {
    PG_SQLSTATE_UNKNOWN = 0, /* of a server that is newer, an extension, or a function of its own */
#define PG_SQLSTATE_ITEM_(name, code, text) PG_SQLSTATE_##name,
    PG_SQLSTATES(PG_SQLSTATE_ITEM_)
#undef PG_SQLSTATE_ITEM_
} pg_sqlstate;

/* That of five characters. */
pg_sqlstate pg_sqlstate_parse(str code);
/* Its five characters; "" of PG_SQLSTATE_UNKNOWN. */
str pg_sqlstate_code(pg_sqlstate state);
/* Its name: "unique_violation"; "" of PG_SQLSTATE_UNKNOWN. */
str pg_sqlstate_name(pg_sqlstate state);

/* The code that the server gave the running fiber's last error, which `e` must be, or its nearest
 * cause that has one. PG_SQLSTATE_UNKNOWN also when the server did not speak. */
pg_sqlstate pg_sqlstate_of(error e);
/* Whether that is of this class, the first two characters: "23", a constraint; "40", a transaction
 * that may be tried again; "53", the server's resources; "57", somebody's intervention. Classes are
 * known whatever the server's version. */
bool pg_error_in_class(error e, const char *two);

#endif'''


def main():
    rows = {}
    for line in (line for path in sys.argv[1:] for line in open(path, encoding="utf-8")):
        m = re.match(r"([0-9A-Z]{5})\s+[EWS]\s+ERRCODE_(\w+)(?:\s+(\w+))?\s*$", line)
        if m and m[3] and m[1] not in rows:
            rows[m[1]] = (m[2], m[3])
    texts = [text for _, text in rows.values()]
    lines = []
    for code, (name, text) in sorted(rows.items()):
        name = text.upper() if texts.count(text) == 1 else name  # a name that several codes share
        lines.append(f'    X({name}, "{code}", "{text}")')
    print(HEAD + " \\\n".join(lines) + "\n" + TAIL)


main()
