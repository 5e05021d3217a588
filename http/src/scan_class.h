/* The classes of scan.h as constant expressions, and as the tables that a byte shuffle looks up.
 *
 * For a byte below 0x80, bit (byte >> 4) of the class's table at (byte & 15) says whether it
 * belongs. A shuffle gives zero for bytes from 0x80 on: those are of class `value` only. */
#ifndef HTTP_SRC_SCAN_CLASS_H
#define HTTP_SRC_SCAN_CLASS_H

#define IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_TOKEN(c)                                                                        \
    (IS_ALPHA(c) || IS_DIGIT(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || \
     (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' ||  \
     (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_VALUE(c) ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7F))
#define IS_TARGET(c)                                                                       \
    (IS_ALPHA(c) || IS_DIGIT(c) || (c) == '!' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '(' || (c) == ')' || (c) == '*' || (c) == '+' || (c) == ',' ||  \
     (c) == '-' || (c) == '.' || (c) == '/' || (c) == ':' || (c) == ';' || (c) == '=' ||   \
     (c) == '?' || (c) == '@' || (c) == '_' || (c) == '~' || (c) == '[' || (c) == ']' ||   \
     (c) == '|')

/* What stands at one place of the table: eight rows of a column of ASCII. */
#define COLUMN(IS, low)                                                                           \
    (char)((IS(0x00 | (low)) ? 1 : 0) | (IS(0x10 | (low)) ? 2 : 0) | (IS(0x20 | (low)) ? 4 : 0) | \
           (IS(0x30 | (low)) ? 8 : 0) | (IS(0x40 | (low)) ? 16 : 0) |                             \
           (IS(0x50 | (low)) ? 32 : 0) | (IS(0x60 | (low)) ? 64 : 0) |                            \
           (IS(0x70 | (low)) ? 128 : 0))
#define COLUMNS(IS)                                                                           \
    COLUMN(IS, 0), COLUMN(IS, 1), COLUMN(IS, 2), COLUMN(IS, 3), COLUMN(IS, 4), COLUMN(IS, 5), \
        COLUMN(IS, 6), COLUMN(IS, 7), COLUMN(IS, 8), COLUMN(IS, 9), COLUMN(IS, 10),           \
        COLUMN(IS, 11), COLUMN(IS, 12), COLUMN(IS, 13), COLUMN(IS, 14), COLUMN(IS, 15)
/* The bit of a row; rows from 8 on are past ASCII and have none. */
#define ROW_BITS 1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0

#endif
