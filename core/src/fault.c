/* The table of armed fault points: a handful of entries searched by name, consulted only while at
 * least one is armed. */
#include "core/fault.h"

#include <string.h>

#define FAULTS_MAX 16

typedef struct fault_entry {
    const char *name; /* the caller's literal */
    uint32_t at;      /* fails at this passage; 0: at every one */
    uint32_t passed;
} fault_entry;

static _Thread_local struct {
    fault_entry entries[FAULTS_MAX];
    uint32_t count;
} faults;

static fault_entry *find(const char *name)
{
    for (uint32_t i = 0; i < faults.count; i++) {
        if (strcmp(faults.entries[i].name, name) == 0)
            return &faults.entries[i];
    }
    return NULL;
}

static void arm(const char *name, uint32_t at)
{
    fault_entry *entry = find(name);
    if (!entry) {
        invariant(faults.count < FAULTS_MAX);
        entry = &faults.entries[faults.count++];
    }
    *entry = (fault_entry){ .name = name, .at = at };
}

void fault_at(const char *name, uint32_t n)
{
    invariant(n > 0);
    arm(name, n);
}

void fault_always(const char *name)
{
    arm(name, 0);
}

void fault_clear(void)
{
    faults.count = 0;
}

uint32_t fault_passed(const char *name)
{
    const fault_entry *entry = find(name);
    return entry ? entry->passed : 0;
}

uint32_t fault_armed_count(void)
{
    return faults.count;
}

bool fault_hit(const char *name)
{
    fault_entry *entry = find(name);
    if (!entry)
        return false;
    entry->passed++;
    return entry->at == 0 || entry->passed == entry->at;
}
