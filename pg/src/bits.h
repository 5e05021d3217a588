/* The binary form of bits: their count in 32 bits, then the bytes. */
#ifndef PG_SRC_BITS_H
#define PG_SRC_BITS_H

#include "pg/bits.h"

/* The bytes that pg_bits_put writes, and that; it returns their end. */
size_t pg_bits_size(const pg_bits *bits);
char *pg_bits_put(const pg_bits *bits, char *at);

#endif
