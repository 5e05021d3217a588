/* Inside a file that streams send: its references, and how it is read when it cannot be sent. */
#ifndef CORE_SRC_STREAM_FILE_H
#define CORE_SRC_STREAM_FILE_H

#include "core/stream.h"

#include <sys/types.h>

struct stream_file {
    int fd;
    uint32_t references;
    bool copies; /* its file system does not let it be sent from: it is read and written */
};

/* Bytes of a file that are to be sent. */
typedef struct stream_range {
    stream_file *file;
    uint64_t at;
    uint64_t bytes;
} stream_range;

/* One more reference. */
stream_file *stream_file_keep(stream_file *f);
/* Reads what lies at `at`, at most `len` bytes.
 *   returns  how many; 0: the file ends before; -1 with errno */
ssize_t stream_file_read(const stream_file *f, uint64_t at, char *to, size_t len);

#endif
