/* The shared numbers: a directory of names, and a column of cells for each worker.
 *
 *   [names: 32 words | column 0: 32 cells | column 1: …]
 *
 * A name is one word, so that it is there wholly or not at all, whenever its maker dies.
 *
 * All reads and writes are sequentially consistent: of those who add and then sum, the last one to
 * add sees what all others have added. So if it stays, the sum is within the limit. */
#include "core/ledger.h"

#include "core/base.h"

#include <string.h>
#include <sys/mman.h>

#define WORKERS_MAX 1024

static struct {
    uint64_t *cells; /* NULL: those of one process */
    uint32_t workers;
    uint32_t own;
    uint64_t alone[2 * LEDGER_LINES_MAX];
} book;

static uint64_t *names(void)
{
    return book.cells ? book.cells : book.alone;
}

static uint64_t *cell(ledger_line line, uint32_t column)
{
    invariant(line < LEDGER_LINES_MAX && column < ledger_columns());
    return names() + (size_t)(column + 1) * LEDGER_LINES_MAX + line;
}

static size_t mapped_bytes(void)
{
    return ((size_t)book.workers + 1) * LEDGER_LINES_MAX * sizeof(uint64_t);
}

error ledger_open(uint32_t workers)
{
    invariant(!book.cells);
    invariant(workers >= 1 && workers <= WORKERS_MAX);
    book.workers = workers;
    void *mapped =
        mmap(NULL, mapped_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for a ledger");
    book.cells = mapped;
    book.own = 0;
    return OK;
}

void ledger_close(void)
{
    if (book.cells)
        munmap(book.cells, mapped_bytes());
    memset(&book, 0, sizeof book);
}

void ledger_use_slot(uint32_t worker)
{
    book.own = worker;
    for (ledger_line line = 0; line < LEDGER_LINES_MAX; line++)
        ledger_set(line, 0);
}

ledger_line ledger_line_of(const char *name)
{
    uint64_t word = 0;
    const size_t len = strlen(name);
    invariant(len >= 1 && len <= LEDGER_NAME_BYTES_MAX);
    memcpy(&word, name, len);
    for (ledger_line line = 0; line < LEDGER_LINES_MAX; line++) {
        uint64_t there = 0;
        if (__atomic_compare_exchange_n(names() + line, &there, word, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST) ||
            there == word)
            return line;
    }
    unreachable(); /* more lines than there may be */
}

uint64_t ledger_own(ledger_line line)
{
    return ledger_at(line, book.own);
}

void ledger_set(ledger_line line, uint64_t value)
{
    __atomic_store_n(cell(line, book.own), value, __ATOMIC_SEQ_CST);
}

bool ledger_reserve(ledger_line line, uint64_t limit)
{
    ledger_set(line, ledger_own(line) + 1);
    if (ledger_sum(line) <= limit)
        return true;
    ledger_return(line);
    return false;
}

void ledger_return(ledger_line line)
{
    const uint64_t own = ledger_own(line);
    invariant(own > 0);
    ledger_set(line, own - 1);
}

uint32_t ledger_columns(void)
{
    return book.cells ? book.workers : 1;
}

uint64_t ledger_at(ledger_line line, uint32_t column)
{
    return __atomic_load_n(cell(line, column), __ATOMIC_SEQ_CST);
}

uint64_t ledger_sum(ledger_line line)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ledger_columns(); i++)
        sum += ledger_at(line, i);
    return sum;
}

uint64_t ledger_max(ledger_line line)
{
    uint64_t max = 0;
    for (uint32_t i = 0; i < ledger_columns(); i++) {
        const uint64_t one = ledger_at(line, i);
        max = one > max ? one : max;
    }
    return max;
}
