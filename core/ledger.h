/* Ledger: numbers by which the workers of a program agree, without a lock and without a repair when
 * one of them dies: each worker writes its own column and reads those of all.
 *
 *   const ledger_line line = ledger_line_of("shop.con");
 *   if (!ledger_reserve(line, 100))   // all workers together hold 100 already
 *       return shop_wait_for_one();
 *   …
 *   ledger_return(line);
 *
 * The columns lie in a mapping that is made before the workers are forked; a worker that begins,
 * and a slot whose worker has gone, has zeroes. Without ledger_open there is one column: this
 * process's. Only the loop's thread may call these. */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_LINES_MAX      32
#define LEDGER_NAME_BYTES_MAX 8

typedef uint32_t ledger_line;

/* Maps the columns of `workers` slots (1..1024), all zero. Once, before forking and before the
 * first ledger_line_of.
 *   fails  OUT_OF_MEMORY */
error ledger_open(uint32_t workers);
/* Undoes it; for tests. No line may be used after it. Harmless when there is none. */
void ledger_close(void);
/* Says which column this process writes, and sets it to zero; after the fork, and by who has seen
 * the slot's worker end. */
void ledger_use_slot(uint32_t worker);

/* The line of that name (1 to 8 bytes), the same in all workers; made by whoever asks first.
 * Without room for another, and with a name that is too long, a programmer's error. */
ledger_line ledger_line_of(const char *name);

/* The own number. */
uint64_t ledger_own(ledger_line line);
/* Changes it; whoever reads after that sees it. */
void ledger_set(ledger_line line, uint64_t value);
/* Adds 1 to the own number unless all workers together would then have more than `limit`. Of two
 * that reserve the last one at the same time both may be refused, never both served: try again
 * after a pause of random length. */
bool ledger_reserve(ledger_line line, uint64_t limit);
/* Takes back what was reserved. */
void ledger_return(ledger_line line);

/* How many columns there are, and each one's number. */
uint32_t ledger_columns(void);
uint64_t ledger_at(ledger_line line, uint32_t column);
/* All of them together, and the largest. */
uint64_t ledger_sum(ledger_line line);
uint64_t ledger_max(ledger_line line);

#endif
